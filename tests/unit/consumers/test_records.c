#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/dead_letter.h"
#include "consumers/subscribe.h"

/* ---- dead letters ---- */

static const struct ferry_dead_letter letter = {
    .error = FERRY_HTTP_REFUSED, .reason = "status 403", .attempts = 2, .route = "new-app", .failed_at_ms = 0};

static struct ferry_slice header(const struct ferry_record *record, const char *name)
{
    struct ferry_slice found = {0};
    for (size_t i = 0; i < record->header_count; i++)
        if (ferry_slice_is(record->headers[i].name, name)) {
            assert_null(found.ptr); /* once */
            found = record->headers[i].value;
        }
    return found;
}

static void a_letter_holds_the_original_whole(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("1")},
                                   {FERRY_SLICE_LITERAL("odd"), FERRY_SLICE_LITERAL("\xff\x00\x01")},
                                   {FERRY_SLICE_LITERAL("odd"), FERRY_SLICE_LITERAL("again")},
                                   {FERRY_SLICE_LITERAL("empty"), {"", 0}},
                                   {FERRY_SLICE_LITERAL("null"), {NULL, 0}}};
    const struct ferry_record origin = {.topic = FERRY_SLICE("qlik.app.created"),
                                        .partition = 3,
                                        .offset = INT64_C(12345678901),
                                        .key = FERRY_SLICE("k\0y"),
                                        .value = FERRY_SLICE("\x00\xff{"),
                                        .headers = headers,
                                        .header_count = 5};
    struct ferry_record record;
    assert_int_equal(ferry_dead_letter_make(&letter, &origin, "ferry.slack.dlq", &arena, &record), FERRY_OK);
    assert_true(ferry_slice_is(record.topic, "ferry.slack.dlq"));
    assert_true(ferry_slice_equal(record.key, origin.key));
    assert_true(ferry_slice_equal(record.value, origin.value));
    assert_int_equal(record.header_count, 5 + 6);
    for (size_t i = 0; i < 5; i++) {
        assert_true(ferry_slice_equal(record.headers[i].name, headers[i].name));
        assert_true(ferry_slice_equal(record.headers[i].value, headers[i].value));
        assert_int_equal(record.headers[i].value.ptr == NULL, headers[i].value.ptr == NULL);
    }
    assert_true(ferry_slice_is(header(&record, "ferry-error"), "http-refused"));
    assert_true(ferry_slice_is(header(&record, "ferry-reason"), "status 403"));
    assert_true(ferry_slice_is(header(&record, "ferry-attempts"), "2"));
    assert_true(ferry_slice_is(header(&record, "ferry-origin"), "qlik.app.created/3/12345678901"));
    assert_true(ferry_slice_is(header(&record, "ferry-route"), "new-app"));
    assert_true(ferry_slice_is(header(&record, "ferry-failed-at"), "1970-01-01T00:00:00.000Z"));
}

static void a_letter_that_died_before_has_the_marks_of_this_death_alone(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("ferry-error"), FERRY_SLICE_LITERAL("the sender's own")}};
    const struct ferry_record origin = {.topic = FERRY_SLICE("t"), .headers = headers, .header_count = 1};
    struct ferry_record first, second;
    assert_int_equal(ferry_dead_letter_make(&letter, &origin, "dlq", &arena, &first), FERRY_OK);
    assert_int_equal(first.header_count, 1 + 6);
    struct ferry_dead_letter later = letter;
    later.attempts = 99;
    assert_int_equal(ferry_dead_letter_make(&later, &first, "dlq", &arena, &second), FERRY_OK);
    assert_int_equal(second.header_count, 1 + 6);
    assert_true(ferry_slice_is(second.headers[0].value, "the sender's own"));
    assert_true(ferry_slice_is(header(&second, "ferry-attempts"), "99"));
    assert_null(second.key.ptr);
}

/* ---- subscriptions ---- */

static struct ferry_slack_route routes[2];

static struct ferry_config config_of(const char *topics, const char *const *globs, size_t count)
{
    routes[0].common = (struct ferry_route_config){.name = "r", .events = {globs, count}};
    return (struct ferry_config){
        .topics = {.name = topics, .internal = "ferry", .other = "qlik.other"},
        .slack = {.routes = routes, .route_count = 1},
    };
}

static bool has(struct ferry_strings topics, const char *name)
{
    for (size_t i = 0; i < topics.count; i++)
        if (strcmp(topics.items[i], name) == 0)
            return true;
    return false;
}

static struct ferry_strings subscription(const char *template, const char *glob, struct ferry_arena *arena)
{
    struct ferry_config config = config_of(template, &glob, 1);
    struct ferry_strings topics;
    assert_int_equal(ferry_subscription(&ferry_slack_channel, &config, arena, &topics), FERRY_OK);
    assert_true(has(topics, "qlik.other"));
    assert_true(has(topics, "ferry.slack.retry"));
    for (size_t i = 1; i < topics.count; i++)
        assert_true(strcmp(topics.items[i - 1], topics.items[i]) < 0);
    return topics;
}

static void a_name_of_the_catalogue_is_one_topic(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings topics = subscription("qlik.{event}", "app.created", &arena);
    assert_int_equal(topics.count, 3);
    assert_true(has(topics, "qlik.app.created"));
}

static void a_glob_is_its_events_and_an_expression_for_those_to_come(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings topics = subscription("qlik.{event}", "app.reload.*", &arena);
    assert_true(has(topics, "qlik.app.reload.finished"));
    assert_true(has(topics, "^qlik\\.app\\.reload\\..*$"));
    assert_false(has(topics, "qlik.app.created"));
}

static void another_senders_name_stands_as_it_is(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    assert_true(has(subscription("q.{event}", "com.github.push", &arena), "q.com.github.push"));
    assert_true(has(subscription("q.{event}", "trigger.nightly", &arena), "q.trigger.nightly"));
    assert_true(has(subscription("q.{type}", "trigger.nightly", &arena), "q.com.ferry.trigger.nightly"));
}

static void a_family_is_read_as_one_topic(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings topics = subscription("qlik.{family}", "app.*", &arena);
    assert_true(has(topics, "qlik.app"));
    assert_true(has(topics, "^qlik\\.app$"));
    assert_true(has(subscription("qlik.{family}", "*", &arena), "^qlik\\..*$"));
}

static void types_are_read_under_all_their_names(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings topics = subscription("q.{type}", "app.created", &arena);
    assert_true(has(topics, "q.com.qlik.app.created"));
    assert_true(has(topics, "q.com.qlik.v1.app.created"));
}

static void what_is_ferrys_own_holds_no_events(void **state)
{
    (void)state;
    const struct ferry_topics_config topics = {.internal = "qlik"};
    assert_true(ferry_topic_has_no_events(&topics, FERRY_SLICE("qlik.slack.dlq")));
    assert_true(ferry_topic_has_no_events(&topics, FERRY_SLICE("qlik.quarantine")));
    assert_true(ferry_topic_has_no_events(&topics, FERRY_SLICE("__consumer_offsets")));
    assert_false(ferry_topic_has_no_events(&topics, FERRY_SLICE("qlik.app.created")));
    assert_false(ferry_topic_has_no_events(&topics, FERRY_SLICE("qlik.slack.dlq2")));
    assert_false(ferry_topic_has_no_events(&topics, FERRY_SLICE("qlikslack.dlq")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_holds_the_original_whole),
        cmocka_unit_test(a_letter_that_died_before_has_the_marks_of_this_death_alone),
        cmocka_unit_test(a_name_of_the_catalogue_is_one_topic),
        cmocka_unit_test(a_glob_is_its_events_and_an_expression_for_those_to_come),
        cmocka_unit_test(another_senders_name_stands_as_it_is),
        cmocka_unit_test(a_family_is_read_as_one_topic),
        cmocka_unit_test(types_are_read_under_all_their_names),
        cmocka_unit_test(what_is_ferrys_own_holds_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
