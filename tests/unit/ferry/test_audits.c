/* What a back-fill remembers of itself, the set of what was seen, and the flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/program.h"
#include "ferry/audits.h"
#include "ferry/command.h"
#include "tests/unit/ferry/capture.h"

/* ---- the set ---- */

static uint64_t hash_of(int number)
{
    char id[32];
    snprintf(id, sizeof id, "event-%d", number);
    return ferry_id_hash(FERRY_SLICE("com.qlik/my-service"), ferry_slice_from(id));
}

static void a_set_knows_what_was_added_however_much(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_id_set_done) struct ferry_id_set set = {0};
    assert_false(ferry_id_set_has(&set, hash_of(1)));
    for (int i = 0; i < 20000; i++)
        assert_true(ferry_id_set_add(&set, hash_of(i), i % 2 == 1));
    assert_int_equal(set.count, 20000);
    for (int i = 0; i < 20000; i++) {
        assert_true(ferry_id_set_has(&set, hash_of(i)));
        assert_int_equal(ferry_id_set_marked(&set, hash_of(i)), i % 2 == 1);
    }
    for (int i = 20000; i < 40000; i++)
        assert_false(ferry_id_set_has(&set, hash_of(i)));
}

static void a_mark_stays_and_a_repetition_counts_once(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_id_set_done) struct ferry_id_set set = {0};
    assert_true(ferry_id_set_add(&set, hash_of(1), true));
    assert_true(ferry_id_set_add(&set, hash_of(1), false));
    assert_int_equal(set.count, 1);
    assert_true(ferry_id_set_marked(&set, hash_of(1)));
    ferry_id_set_clear(&set);
    assert_int_equal(set.count, 0);
    assert_false(ferry_id_set_has(&set, hash_of(1)));
}

static void source_and_id_are_told_apart(void **state)
{
    (void)state;
    assert_true(ferry_id_hash(FERRY_SLICE("ab"), FERRY_SLICE("c")) !=
                ferry_id_hash(FERRY_SLICE("a"), FERRY_SLICE("bc")));
    assert_true(hash_of(1) != hash_of(2) && hash_of(1) == hash_of(1));
}

/* ---- the position ---- */

static void settle(struct ferry_audits_position *position, int64_t time_ms, int number)
{
    const struct ferry_audits_item item = {.time_ms = time_ms, .hash = hash_of(number)};
    assert_true(ferry_audits_settle(position, &item, 1));
}

static void a_position_keeps_the_events_of_its_own_millisecond(void **state)
{
    (void)state;
    struct ferry_audits_position position = {.ms = 100};
    settle(&position, 200, 1);
    settle(&position, 200, 2);
    assert_int_equal(position.ms, 200);
    assert_true(ferry_id_set_has(&position.seen, hash_of(1)) && ferry_id_set_has(&position.seen, hash_of(2)));
    settle(&position, 150, 3); /* never back */
    assert_int_equal(position.ms, 200);
    settle(&position, 201, 4);
    assert_int_equal(position.ms, 201);
    assert_false(ferry_id_set_has(&position.seen, hash_of(1)));
    assert_true(ferry_id_set_has(&position.seen, hash_of(4)));
    ferry_id_set_done(&position.seen);
}

/* ---- the memory ---- */

static void remember(struct ferry_audits_memory *memory, const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    ferry_audits_remember(memory, record);
    json_decref(record);
}

static void the_last_position_counts_and_how_the_run_ended(void **state)
{
    (void)state;
    struct ferry_audits_memory memory = {0};
    remember(&memory, "{\"command\":\"audits\",\"state\":\"begun\",\"count\":0,\"filter\":{\"tenant\":\"t\"},"
                      "\"details\":{\"from_ms\":1,\"to_ms\":9}}");
    assert_null(memory.position);
    remember(&memory, "{\"command\":\"audits\",\"state\":\"progress\",\"count\":4,\"details\":{\"position_ms\":3,"
                      "\"seen\":[\"0000000000000abc\"]}}");
    assert_false(memory.orderly); /* whoever comes now finds a run that was killed */
    remember(&memory, "{\"command\":\"replay\",\"state\":\"done\",\"count\":99}");
    remember(&memory, "{\"command\":\"audits\",\"state\":\"stopped\",\"count\":5,\"details\":{\"position_ms\":7,"
                      "\"seen\":[]}}");
    assert_true(memory.orderly);
    assert_int_equal(memory.count, 5);
    assert_int_equal(json_integer_value(json_object_get(memory.begun, "to_ms")), 9);
    assert_int_equal(json_integer_value(json_object_get(memory.position, "position_ms")), 7);
    assert_false(memory.done);
    assert_false(memory.ahead);
    remember(&memory, "{\"command\":\"audits\",\"state\":\"stopped\",\"count\":6,\"details\":{\"position_ms\":7,"
                      "\"seen\":[],\"ahead\":true}}");
    assert_true(memory.ahead);
    remember(&memory, "{\"command\":\"audits\",\"state\":\"done\",\"count\":7,\"details\":{\"position_ms\":8}}");
    assert_true(memory.done);
    ferry_audits_forget(&memory);
}

static void the_filter_is_what_was_asked_for(void **state)
{
    (void)state;
    const struct ferry_audits_request request = {.events = "app.*", .effects = true};
    struct ferry_audits_run run = {.request = &request, .at = {.url = "https://acme.eu.qlikcloud.com"}};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 4096);
    ferry_audits_print_filter(&run, &text);
    assert_string_equal(text.ptr,
                        "{\"tenant\":\"https://acme.eu.qlikcloud.com\",\"events\":\"app.*\",\"effects\":true}");
}

static bool goes_on(const struct ferry_audits_memory *memory, const char *from, const char *to, int64_t from_ms,
                    int64_t to_ms)
{
    const struct ferry_audits_request request = {.from = from, .to = to};
    const struct ferry_audits_run run = {
        .request = &request, .at = {.url = "https://t"}, .from_ms = from_ms, .to_ms = to_ms};
    return ferry_audits_is_same(&run, memory);
}

static void a_run_goes_on_with_the_flags_and_times_it_was_begun_with_alone(void **state)
{
    (void)state;
    struct ferry_audits_memory memory = {0};
    remember(&memory,
             "{\"command\":\"audits\",\"state\":\"begun\",\"filter\":{\"tenant\":\"https://t\",\"events\":\"*\"},"
             "\"details\":{\"from_ms\":1,\"to_ms\":9,\"from\":\"-2h\",\"to\":null}}");
    assert_true(goes_on(&memory, "-2h", NULL, 5, 20)); /* later, so that the words mean another time */
    assert_true(goes_on(&memory, "1970-01-01T00:00:00.001Z", NULL, 1, 20));
    assert_true(goes_on(&memory, "-2h", "1970-01-01T00:00:00.009Z", 5, 9));
    assert_false(goes_on(&memory, "-3h", NULL, 5, 20));
    assert_false(goes_on(&memory, "-2h", "-1h", 5, 20));
    ferry_audits_forget(&memory);
}

/* ---- the flags ---- */

static void a_mistake_in_the_flags_is_named(void **state)
{
    static const struct {
        const char *const words[8];
        const char *said;
    } cases[] = {
        {{"audits", NULL}, "--from is missing"},
        {{"audits", "--from", "-1h", "--to", "-2h", NULL}, "not before"},
        {{"audits", "--from", "sometime", NULL}, "are times"},
        {{"audits", "--from", "-1h", "--compare", "--missing", NULL}, "--compare brings nothing"},
        {{"audits", "--from", "-1h", "more", NULL}, "flags only"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct capture *done = capture_run(ferry_command_audits, cases[i].words);
        assert_int_equal(done->exit_code, FERRY_EXIT_USAGE);
        if (strstr(done->err, cases[i].said) == NULL)
            fail_msg("%s: %s", cases[i].said, done->err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_knows_what_was_added_however_much),
        cmocka_unit_test(a_mark_stays_and_a_repetition_counts_once),
        cmocka_unit_test(source_and_id_are_told_apart),
        cmocka_unit_test(a_position_keeps_the_events_of_its_own_millisecond),
        cmocka_unit_test(the_last_position_counts_and_how_the_run_ended),
        cmocka_unit_test(the_filter_is_what_was_asked_for),
        cmocka_unit_test(a_run_goes_on_with_the_flags_and_times_it_was_begun_with_alone),
        cmocka_unit_test(a_mistake_in_the_flags_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
