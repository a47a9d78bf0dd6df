/* Calls that came a moment ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "bridge/trigger_recent.h"

enum { WINDOW_MS = 1000 };

static const unsigned char call[FERRY_RECENT_CALL] = "a call", other[FERRY_RECENT_CALL] = "another";
static const char id[FERRY_RECENT_ID] = "0123456789abcdef0123456789abcdef";

static int set_up(void **state)
{
    *state = ferry_recent_new();
    return *state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    ferry_recent_free(*state);
    return 0;
}

/* 0: not known, 1: on its way, 2: safe */
static int find(struct ferry_recent *recent, const unsigned char *which, int64_t mono_ms)
{
    char found[FERRY_RECENT_ID];
    bool safe = false;
    if (!ferry_recent_find(recent, which, WINDOW_MS, mono_ms, found, &safe))
        return 0;
    assert_string_equal(found, id);
    return safe ? 2 : 1;
}

static void a_call_is_known_within_its_window(void **state)
{
    assert_int_equal(find(*state, call, 5000), 0);
    ferry_recent_note(*state, call, 5000, id);
    assert_int_equal(find(*state, call, 5999), 1);
    assert_int_equal(find(*state, call, 6000), 0);
    assert_int_equal(find(*state, other, 5000), 0);
}

static void it_is_safe_when_it_was_published(void **state)
{
    ferry_recent_note(*state, call, 5000, id);
    ferry_recent_settle(*state, call, true);
    assert_int_equal(find(*state, call, 5500), 2);
    ferry_recent_note(*state, call, 7000, id); /* again, later: not safe yet */
    assert_int_equal(find(*state, call, 7000), 1);
}

static void what_could_not_be_published_is_not_known(void **state)
{
    ferry_recent_note(*state, call, 5000, id);
    ferry_recent_settle(*state, call, false);
    assert_int_equal(find(*state, call, 5000), 0);
}

/* Two of them were on their way at once. */
static void what_is_safe_stays_so_when_another_attempt_fails(void **state)
{
    ferry_recent_note(*state, call, 5000, id);
    ferry_recent_settle(*state, call, true);
    ferry_recent_settle(*state, call, false);
    assert_int_equal(find(*state, call, 5000), 2);
}

static void the_oldest_make_room(void **state)
{
    unsigned char many[FERRY_RECENT_CALL] = {0};
    for (unsigned char i = 0; i < 10; i++) { /* all in one place */
        many[15] = i;
        ferry_recent_note(*state, many, 5000 + i, id);
    }
    assert_int_equal(find(*state, many, 5010), 1);
    many[15] = 0;
    assert_int_equal(find(*state, many, 5010), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_known_within_its_window),
        TEST(it_is_safe_when_it_was_published),
        TEST(what_could_not_be_published_is_not_known),
        TEST(what_is_safe_stays_so_when_another_attempt_fails),
        TEST(the_oldest_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
