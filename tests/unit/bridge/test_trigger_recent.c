/* Calls that came a moment ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/triggers/recent.h"

enum { WINDOW_MS = 1000 };

static const unsigned char call[FERRY_RECENT_CALL] = "a call", other[FERRY_RECENT_CALL] = "another";

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

enum standing { NEW, ON_ITS_WAY, SAFE };

/* Takes the call under the id that ends in that digit; which one it has is left in `has`. */
static char has;
static enum standing take(struct ferry_recent *recent, const unsigned char *which, int64_t mono_ms, char digit)
{
    char id[FERRY_RECENT_ID] = "0123456789abcdef0123456789abcde0";
    bool safe = false;
    id[FERRY_RECENT_ID - 2] = digit;
    bool found = ferry_recent_take(recent, which, WINDOW_MS, mono_ms, id, &safe);
    has = id[FERRY_RECENT_ID - 2];
    return !found ? NEW : safe ? SAFE : ON_ITS_WAY;
}

static void settle(struct ferry_recent *recent, const unsigned char *which, char digit, bool safe)
{
    char id[FERRY_RECENT_ID] = "0123456789abcdef0123456789abcde0";
    id[FERRY_RECENT_ID - 2] = digit;
    ferry_recent_settle(recent, which, id, safe);
}

static void a_call_is_known_within_its_window_under_its_first_id(void **state)
{
    assert_int_equal(take(*state, call, 5000, 'a'), NEW);
    assert_int_equal(take(*state, call, 5999, 'b'), ON_ITS_WAY);
    assert_int_equal(has, 'a');
    assert_int_equal(take(*state, other, 5000, 'c'), NEW);
    assert_int_equal(take(*state, call, 6000, 'b'), NEW);
    assert_int_equal(has, 'b');
}

static void it_is_safe_when_it_was_published(void **state)
{
    (void)take(*state, call, 5000, 'a');
    settle(*state, call, 'a', true);
    assert_int_equal(take(*state, call, 5500, 'b'), SAFE);
    assert_int_equal(has, 'a');
}

static void what_could_not_be_published_is_not_known(void **state)
{
    (void)take(*state, call, 5000, 'a');
    settle(*state, call, 'a', false);
    assert_int_equal(take(*state, call, 5000, 'b'), NEW);
}

static void what_becomes_of_an_earlier_call_says_nothing_of_a_later_one(void **state)
{
    (void)take(*state, call, 5000, 'a');
    (void)take(*state, call, 7000, 'b');
    settle(*state, call, 'a', true);
    assert_int_equal(take(*state, call, 7000, 'c'), ON_ITS_WAY);
    settle(*state, call, 'a', false);
    assert_int_equal(take(*state, call, 7000, 'c'), ON_ITS_WAY);
    settle(*state, call, 'b', true);
    settle(*state, call, 'b', false); /* once more under the same id: what is safe stays so */
    assert_int_equal(take(*state, call, 7000, 'c'), SAFE);
}

static void the_oldest_make_room(void **state)
{
    unsigned char many[FERRY_RECENT_CALL] = {0};
    for (unsigned char i = 0; i < 10; i++) { /* all in one place */
        many[15] = i;
        (void)take(*state, many, 5000 + i, 'a');
    }
    assert_int_equal(take(*state, many, 5010, 'b'), ON_ITS_WAY);
    many[15] = 0;
    assert_int_equal(take(*state, many, 5010, 'b'), NEW);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_known_within_its_window_under_its_first_id),
        TEST(it_is_safe_when_it_was_published),
        TEST(what_could_not_be_published_is_not_known),
        TEST(what_becomes_of_an_earlier_call_says_nothing_of_a_later_one),
        TEST(the_oldest_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
