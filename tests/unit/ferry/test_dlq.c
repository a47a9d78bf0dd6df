#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/clock.h"
#include "ferry/console.h"
#include "ferry/dlq.h"

static const struct ferry_slack_route slack_routes[] = {{.common.name = "new-app"}};
static const struct ferry_config config = {.slack = {.routes = slack_routes, .route_count = 1}};

static int set_up(void **state)
{
    struct ferry_dlq *dlq = calloc(1, sizeof *dlq);
    *dlq = (struct ferry_dlq){.config = &config,
                              .queues = {{"slack", "ferry.slack.dlq", 1, "ferry.slack.retry", 1},
                                         {"mail", "ferry.mail.dlq", 2, "ferry.mail.retry", 0},
                                         {"automation", "ferry.automation.dlq", 0, "ferry.automation.retry", 0}}};
    *state = dlq;
    return 0;
}

static int tear_down(void **state)
{
    struct ferry_dlq *dlq = *state;
    ferry_arena_done(&dlq->arena);
    free(dlq);
    return 0;
}

static struct ferry_letters parse(struct ferry_dlq *dlq, const char *const *names)
{
    struct ferry_letters letters = {0};
    for (; *names != NULL; names++)
        if (!ferry_letter_parse(dlq, *names, &letters))
            fail_msg("%s is no name", *names);
    ferry_letters_sort(&letters);
    return letters;
}

#define LETTERS(dlq, ...) parse(dlq, (const char *const[]){__VA_ARGS__, NULL})

static void names_are_read_with_the_topic_or_the_worker(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letters letters = LETTERS(dlq, "ferry.mail.dlq/1/12", "slack/0/3", "mail/0/7");
    static const char *const expected[] = {"ferry.slack.dlq/0/3", "ferry.mail.dlq/0/7", "ferry.mail.dlq/1/12"};
    char name[FERRY_LETTER_NAME];
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(ferry_letter_name(dlq, &letters.items[i], name), expected[i]);
    static const char *const wrong[] = {
        "",         "mail",    "mail/0",         "fax/0/1",           "mail/0/1/2",
        "mail/x/1", "mail/0/", "ferry.mail/0/1", "mail/4294967296/1", "mail/0/9223372036854775808"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ferry_letter_parse(dlq, wrong[i], &letters));
}

static void assert_details(struct ferry_dlq *dlq, const struct ferry_letters *letters, const char *expected)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_dlq_print_details(dlq, letters, &out);
    assert_string_equal(ferry_buffer_slice(&out).ptr, expected);
    json_t *root = json_loads(out.ptr, 0, NULL);
    assert_non_null(root);
    json_decref(root);
}

static void neighbours_are_told_as_ranges(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letters letters =
        LETTERS(dlq, "mail/0/4", "mail/0/5", "mail/0/7", "mail/1/8", "slack/0/1", "slack/0/2");
    assert_details(dlq, &letters,
                   "{\"letters\": {\"ferry.slack.dlq\": {\"0\": [[1, 2]]}, "
                   "\"ferry.mail.dlq\": {\"0\": [[4, 5], [7, 7]], \"1\": [[8, 8]]}}}");
    letters.count = 0;
    assert_details(dlq, &letters, "{\"letters\": {}}");
}

/* The states of letters as "o", "r" or "d" after a record. */
static void assert_states(struct ferry_dlq *dlq, struct ferry_letters *letters, const char *record,
                          const char *expected)
{
    char states[16] = "";
    json_error_t error;
    json_t *root = json_loads(record, 0, &error);
    if (root == NULL)
        fail_msg("%s", error.text);
    ferry_dlq_apply(dlq, root, letters);
    json_decref(root);
    for (size_t i = 0; i < letters->count; i++)
        states[i] = ferry_letter_state_name(letters->items[i].state)[0];
    assert_string_equal(states, expected);
}

static void a_record_of_the_journal_gives_letters_their_state(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letters letters = LETTERS(dlq, "slack/0/1", "mail/0/1", "mail/0/2", "mail/0/3", "mail/1/2");
    assert_states(dlq, &letters,
                  "{\"command\": \"dlq redrive\", \"time\": \"2026-11-22T10:00:00.000Z\","
                  " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"0\": [[0, 2]]}}}}",
                  "orroo");
    assert_states(
        dlq, &letters,
        "{\"command\": \"dlq drop\", \"time\": \"2026-11-22T10:00:00.000Z\","
        " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"1\": [[2, 9]]}, \"elsewhere\": {\"0\": [[1, 1]]}}}}",
        "orrod");
}

static void records_about_something_else_and_odd_ones_are_left_alone(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letters letters = LETTERS(dlq, "mail/0/1");
    static const char *const records[] = {
        "{\"command\": \"replay\", \"time\": \"2026-11-22T10:00:00Z\","
        " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"0\": [[1, 1]]}}}}",
        "{\"command\": \"dlq drop\", \"time\": \"yesterday\","
        " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"0\": [[1, 1]]}}}}",
        "{\"command\": \"dlq drop\", \"time\": \"2026-11-22T10:00:00Z\","
        " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"0\": [[\"1\", 1], 1, [], null]}}}}",
        "{\"command\": \"dlq drop\", \"time\": \"2026-11-22T10:00:00Z\", \"details\": [1]}", "{}"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        assert_states(dlq, &letters, records[i], "o");
}

static void a_letter_that_failed_after_the_record_is_another_one(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letters letters = LETTERS(dlq, "mail/0/1", "mail/0/2");
    assert_true(ferry_time_parse(FERRY_SLICE("2026-11-22T10:04:00Z"), &letters.items[0].note.failed_at_ms));
    assert_true(ferry_time_parse(FERRY_SLICE("2026-11-22T10:06:00Z"), &letters.items[1].note.failed_at_ms));
    assert_states(dlq, &letters,
                  "{\"command\": \"dlq drop\", \"time\": \"2026-11-22T10:00:00Z\","
                  " \"details\": {\"letters\": {\"ferry.mail.dlq\": {\"0\": [[1, 2]]}}}}",
                  "do"); /* five minutes are what clocks may differ by */
}

static void filters_take_what_meets_all_of_them(void **state)
{
    struct ferry_dlq *dlq = *state;
    const struct ferry_letter letter = {
        .queue = 1,
        .event = FERRY_SLICE("user.created"),
        .note = {.route = FERRY_SLICE("welcome"), .error = FERRY_SLICE("smtp-refused"), .failed_at_ms = 1000}};
    const struct ferry_dlq_filter any = {.from_ms = FERRY_EARLIEST_MS, .to_ms = INT64_MAX};
    assert_true(ferry_dlq_takes(&any, dlq, &letter));
    const struct ferry_dlq_filter all = {.worker = "mail",
                                         .reason = "smtp-refused",
                                         .route = "welcome",
                                         .event = "user.*",
                                         .from_ms = 1000,
                                         .to_ms = 1001};
    assert_true(ferry_dlq_takes(&all, dlq, &letter));
    struct ferry_dlq_filter wrong[6] = {all, all, all, all, all, all};
    wrong[0].worker = "slack";
    wrong[1].reason = "smtp-busy";
    wrong[2].route = "welcom";
    wrong[3].event = "app.*";
    wrong[4].from_ms = 1001;
    wrong[5].to_ms = 1000;
    for (size_t i = 0; i < 6; i++)
        assert_false(ferry_dlq_takes(&wrong[i], dlq, &letter));
}

static void what_cannot_be_redriven_is_refused(void **state)
{
    struct ferry_dlq *dlq = *state;
    struct ferry_letter letter = {.queue = 0, .note.route = FERRY_SLICE("new-app")};
    assert_null(ferry_dlq_refusal(dlq, &letter));
    letter.note.route = FERRY_SLICE("old-app");
    assert_non_null(strstr(ferry_dlq_refusal(dlq, &letter), "not in the configuration"));
    letter.note.route = FERRY_SLICE("");
    assert_non_null(strstr(ferry_dlq_refusal(dlq, &letter), "could not be read"));
    letter = (struct ferry_letter){.queue = 1, .note.route = FERRY_SLICE("new-app")}; /* a route of another worker */
    assert_non_null(strstr(ferry_dlq_refusal(dlq, &letter), "not in the configuration"));
    dlq->queues[0].retry_partitions = 0;
    letter.queue = 0;
    assert_non_null(strstr(ferry_dlq_refusal(dlq, &letter), "no retry topic"));
}

static void assert_pretty(const char *text, const char *expected)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_dlq_print_pretty(ferry_slice_from(text), &out);
    assert_string_equal(ferry_buffer_slice(&out).ptr, expected);
}

static void values_are_shown_with_indents_and_unchanged_numbers(void **state)
{
    (void)state;
    assert_pretty("{\"a\":[1, {\"b\" :\"x\\\"{\"}],\"c\":{ },\"d\":[],\"n\":12345678901234567891.50}",
                  "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x\\\"{\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n"
                  "  \"n\": 12345678901234567891.50\n}");
    assert_pretty(" 7 ", "7");
    assert_pretty("{\"a\":", "{\"a\":");
    assert_pretty("no JSON", "no JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_read_with_the_topic_or_the_worker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(neighbours_are_told_as_ranges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_of_the_journal_gives_letters_their_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_about_something_else_and_odd_ones_are_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_letter_that_failed_after_the_record_is_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_take_what_meets_all_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_redriven_is_refused, set_up, tear_down),
        cmocka_unit_test(values_are_shown_with_indents_and_unchanged_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
