/* Who calls the triggers, from records alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "ferry/callers.h"

static const struct ferry_trigger_key keys[] = {{.name = "script"}, {.name = "ifttt"}};
static const char *const revoked[] = {"gone"};
static const struct ferry_trigger_config triggers[] = {
    {.name = "nightly", .keys = keys, .key_count = 2, .revoked = {revoked, 1}},
    {.name = "weekly", .keys = keys, .key_count = 1},
};
static const struct ferry_bridge_config bridge = {.triggers = triggers, .trigger_count = 2};

static int set_up(void **state)
{
    struct ferry_callers *callers = calloc(1, sizeof *callers);
    assert_int_equal(ferry_callers_init(callers, &bridge, NULL, NULL), FERRY_OK);
    *state = callers;
    return 0;
}

static int tear_down(void **state)
{
    ferry_callers_done(*state);
    free(*state);
    return 0;
}

static void take(struct ferry_callers *callers, const char *canonical, const char *key, int64_t at_ms,
                 const char *address)
{
    struct ferry_pair header = {FERRY_SLICE("ferry-caller"), ferry_slice_from(address)};
    const struct ferry_record record = {.headers = &header, .header_count = address != NULL ? 1 : 0};
    const struct ferry_event event = {.canonical = ferry_slice_from(canonical),
                                      .subject = ferry_slice_from(key),
                                      .format = FERRY_FORMAT_TRIGGER,
                                      .received_ms = at_ms};
    assert_int_equal(ferry_callers_take(callers, &record, &event, NULL), FERRY_OK);
}

static const struct ferry_caller *find(struct ferry_callers *callers, const char *trigger, const char *key)
{
    for (size_t i = 0; i < callers->count; i++)
        if (ferry_slice_is(callers->items[i].trigger, trigger) && ferry_slice_is(callers->items[i].key, key))
            return &callers->items[i];
    return NULL;
}

static void keys_that_nobody_uses_are_listed(void **state)
{
    struct ferry_callers *callers = *state;
    assert_int_equal(callers->count, 3);
    assert_int_equal(find(callers, "nightly", "ifttt")->calls, 0);
    assert_int_equal(find(callers, "nightly", "ifttt")->last_ms, 0);
    assert_int_equal(find(callers, "weekly", "script")->standing, FERRY_CALLER_CONFIGURED);
}

static void calls_are_counted_and_the_latest_says_when_and_whence(void **state)
{
    struct ferry_callers *callers = *state;
    take(callers, "trigger.nightly", "script", 2000, "192.0.2.2");
    take(callers, "trigger.nightly", "script", 3000, "192.0.2.3");
    take(callers, "trigger.nightly", "script", 1000, "192.0.2.1"); /* another partition */
    const struct ferry_caller *caller = find(callers, "nightly", "script");
    assert_int_equal(caller->calls, 3);
    assert_int_equal(caller->last_ms, 3000);
    assert_true(ferry_slice_is(caller->address, "192.0.2.3"));
    take(callers, "trigger.nightly", "script", 4000, NULL);
    assert_null(find(callers, "nightly", "script")->address.ptr);
}

static void what_a_key_is_today_is_said(void **state)
{
    struct ferry_callers *callers = *state;
    static const struct {
        const char *event, *key;
        enum ferry_caller_standing standing;
    } cases[] = {
        {"trigger.nightly", "ifttt", FERRY_CALLER_CONFIGURED},
        {"trigger.nightly", "ifttt/anna", FERRY_CALLER_OF_KIT},
        {"trigger.nightly", "ifttt/gone", FERRY_CALLER_REVOKED},
        {"trigger.nightly", "ifttt/gone.curl", FERRY_CALLER_REVOKED},
        {"trigger.nightly", "old", FERRY_CALLER_UNCONFIGURED},
        {"trigger.weekly", "ifttt/anna", FERRY_CALLER_UNCONFIGURED},
        {"trigger.yearly", "script", FERRY_CALLER_NO_TRIGGER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        take(callers, cases[i].event, cases[i].key, 1000, NULL);
        assert_int_equal(find(callers, cases[i].event + strlen("trigger."), cases[i].key)->standing, cases[i].standing);
    }
}

static void other_events_and_replays_are_no_calls(void **state)
{
    struct ferry_callers *callers = *state;
    struct ferry_pair replay = {FERRY_SLICE("ferry-replay"), FERRY_SLICE("run")};
    const struct ferry_record replayed = {.headers = &replay, .header_count = 1}, plain = {.header_count = 0};
    struct ferry_event event = {
        .canonical = FERRY_SLICE("trigger.nightly"), .subject = FERRY_SLICE("x"), .format = FERRY_FORMAT_TRIGGER};
    assert_int_equal(ferry_callers_take(callers, &replayed, &event, NULL), FERRY_OK);
    event.format = FERRY_FORMAT_JSON;
    assert_int_equal(ferry_callers_take(callers, &plain, &event, NULL), FERRY_OK);
    event = (struct ferry_event){.canonical = FERRY_SLICE("app.created"), .format = FERRY_FORMAT_TRIGGER};
    assert_int_equal(ferry_callers_take(callers, &plain, &event, NULL), FERRY_OK);
    assert_int_equal(callers->count, 3);
}

static void one_trigger_can_be_asked_for(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_callers_done) struct ferry_callers callers = {0};
    assert_int_equal(ferry_callers_init(&callers, &bridge, "weekly", NULL), FERRY_OK);
    take(&callers, "trigger.nightly", "script", 1000, NULL);
    take(&callers, "trigger.weekly", "script", 1000, NULL);
    assert_int_equal(callers.count, 1);
    assert_int_equal(callers.items[0].calls, 1);
}

static void the_latest_stands_first_and_the_unused_last(void **state)
{
    struct ferry_callers *callers = *state;
    take(callers, "trigger.nightly", "b", 1000, NULL);
    take(callers, "trigger.nightly", "a", 2000, NULL);
    ferry_callers_sort(callers);
    static const char *const order[] = {"a", "b", "ifttt", "script", "script"};
    for (size_t i = 0; i < callers->count; i++)
        assert_true(ferry_slice_is(callers->items[i].key, order[i]));
}

static char *printed(void (*print)(const struct ferry_callers *callers, FILE *out), struct ferry_callers *callers)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(callers, out);
    fclose(out);
    return text;
}

static void print_text(const struct ferry_callers *callers, FILE *out)
{
    ferry_callers_print_text(callers, 63000, out);
}

static void it_is_printed_for_people_and_for_programs(void **state)
{
    struct ferry_callers *callers = *state;
    take(callers, "trigger.nightly", "script/\x1b[31m", 3000, "2001:db8::1");
    ferry_callers_sort(callers);
    char *text = printed(print_text, callers);
    assert_non_null(strstr(text, "1970-01-01T00:00:03.000Z  60 s  2001:db8::1"));
    assert_non_null(strstr(text, "never"));
    assert_null(strchr(text, '\x1b'));
    free(text);
    char *lines = printed(ferry_callers_print_json, callers);
    json_t *first = json_loads(lines, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(first);
    assert_string_equal(json_string_value(json_object_get(first, "last")), "1970-01-01T00:00:03.000Z");
    assert_string_equal(json_string_value(json_object_get(first, "standing")), "kit");
    assert_int_equal(json_integer_value(json_object_get(first, "calls")), 1);
    json_t *second = json_loads(strchr(lines, '\n'), JSON_DISABLE_EOF_CHECK, NULL);
    assert_true(json_is_null(json_object_get(second, "last")));
    json_decref(first);
    json_decref(second);
    free(lines);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keys_that_nobody_uses_are_listed),
        TEST(calls_are_counted_and_the_latest_says_when_and_whence),
        TEST(what_a_key_is_today_is_said),
        TEST(other_events_and_replays_are_no_calls),
        TEST(one_trigger_can_be_asked_for),
        TEST(the_latest_stands_first_and_the_unused_last),
        TEST(it_is_printed_for_people_and_for_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
