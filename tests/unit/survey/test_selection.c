/* Which records and topics a command is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/survey/selection.h"

#define HEADER(header, text)                                   \
    {                                                          \
        FERRY_SLICE_LITERAL(header), FERRY_SLICE_LITERAL(text) \
    }

static struct ferry_pair binary[] = {
    HEADER("ce_specversion", "1.0"),
    HEADER("ce_id", "id-1"),
    HEADER("ce_source", "s"),
    HEADER("ce_type", "com.qlik.app.created"),
    HEADER("ce_tenantid", "acme"),
    HEADER("content-type", "application/json"),
    HEADER("ferry-event", "app.created"),
};

static struct ferry_record binary_record(void)
{
    return (struct ferry_record){.topic = FERRY_SLICE("qlik.app.created"),
                                 .value = FERRY_SLICE("{\"id\":\"a\",\"name\":\"Sales\"}"),
                                 .headers = binary,
                                 .header_count = sizeof binary / sizeof binary[0]};
}

static bool takes(struct ferry_selection selection, const struct ferry_record *record)
{
    struct ferry_event event;
    assert_int_equal(ferry_selection_begin(&selection, NULL), FERRY_OK);
    bool without = ferry_selection_takes(&selection, record, NULL);
    bool with = ferry_selection_takes(&selection, record, &event);
    assert_int_equal(without, with);
    ferry_selection_end(&selection);
    return with;
}

static void a_binary_record_is_chosen_by_its_headers(void **state)
{
    (void)state;
    struct ferry_record record = binary_record();
    assert_true(takes((struct ferry_selection){0}, &record));
    assert_true(takes((struct ferry_selection){.event = "*"}, &record));
    assert_true(takes((struct ferry_selection){.event = "app.*"}, &record));
    assert_true(takes((struct ferry_selection){.event = "com.qlik.v1.app.created"}, &record));
    assert_false(takes((struct ferry_selection){.event = "app.deleted"}, &record));
    assert_true(takes((struct ferry_selection){.id = "id-1", .tenant = "acme"}, &record));
    assert_false(takes((struct ferry_selection){.id = "id-2"}, &record));
    assert_false(takes((struct ferry_selection){.tenant = "other"}, &record));
    record.header_count--; /* another producer's: without ferry-event */
    assert_true(takes((struct ferry_selection){.event = "app.created"}, &record));
}

static void a_structured_record_is_chosen_by_what_stands_in_it(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {HEADER("content-type", "application/cloudevents+json; charset=UTF-8")};
    struct ferry_record record = {
        .topic = FERRY_SLICE("qlik.app.created"),
        .value =
            FERRY_SLICE("{\"specversion\":\"1.0\",\"id\":\"id-1\",\"source\":\"s\",\"type\":\"com.qlik.app.created\","
                        "\"tenantid\":\"acme\",\"data\":{\"name\":\"Sales\"}}"),
        .headers = headers,
        .header_count = 1};
    assert_true(takes((struct ferry_selection){.event = "app.*", .id = "id-1", .tenant = "acme"}, &record));
    assert_false(takes((struct ferry_selection){.id = "id-2"}, &record));
    assert_false(takes((struct ferry_selection){.event = "user.*"}, &record));
    assert_true(takes((struct ferry_selection){.where = ".data.name == \"Sales\""}, &record));
}

static void where_decides_and_its_failures_are_counted(void **state)
{
    (void)state;
    struct ferry_record record = binary_record();
    assert_true(takes((struct ferry_selection){.where = ".resource.name == \"Sales\""}, &record));
    assert_false(takes((struct ferry_selection){.where = ".resource.name == \"HR\""}, &record));
    struct ferry_selection failing = {.where = ".data.name.x"};
    assert_int_equal(ferry_selection_begin(&failing, NULL), FERRY_OK);
    assert_false(ferry_selection_takes(&failing, &record, NULL));
    assert_int_equal(failing.where_failed, 1);
    assert_true(failing.why.text[0] != '\0');
    ferry_selection_end(&failing);
    struct ferry_selection broken = {.where = ".data |"};
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_selection_begin(&broken, &error), FERRY_CONFIG);
    assert_non_null(strstr(error.text, "--where"));
    ferry_selection_end(&broken);
}

static void what_is_no_event_is_counted_and_left_out(void **state)
{
    (void)state;
    struct ferry_record record = {.value = FERRY_SLICE("x")};
    struct ferry_selection selection = {0};
    assert_int_equal(ferry_selection_begin(&selection, NULL), FERRY_OK);
    assert_false(ferry_selection_takes(&selection, &record, NULL));
    assert_int_equal(selection.no_events, 1);
    ferry_selection_end(&selection);
}

static void a_topic_is_read_where_chosen_events_can_lie(void **state)
{
    (void)state;
    static const struct {
        const char *template, *event, *topic;
        bool read;
    } cases[] = {
        {"qlik.{event}", NULL, "qlik.app.created", true},
        {"qlik.{event}", NULL, "other.topic", false},
        {"qlik.{event}", NULL, "elsewhere", true}, /* topics.other */
        {"qlik.{event}", NULL, "qlik.ops.slack.dlq", false},
        {"qlik.{event}", "app.*", "qlik.app.created", true},
        {"qlik.{event}", "app.*", "qlik.user.created", false},
        {"qlik.{event}", "app.*", "elsewhere", true},
        {"qlik.{event}", "a b", "qlik.a-b", true},
        {"qlik.{family}", "app.created", "qlik.app", true},
        {"qlik.{family}", "user.created", "qlik.app", false},
        {"qlik.{family}", "*created", "qlik.app", true},
        {"qlik.{family}", "a?p", "qlik.apple", true},
        {"{type}", "app.*", "com.qlik.app.created", true},
        {"{event}", NULL, "__consumer_offsets", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct ferry_topics_config topics = {
            .name = cases[i].template, .internal = "qlik.ops", .other = "elsewhere"};
        struct ferry_selection selection = {.event = cases[i].event};
        assert_int_equal(ferry_selection_begin(&selection, NULL), FERRY_OK);
        if (ferry_selection_reads(&selection, &topics, cases[i].topic) != cases[i].read)
            fail_msg("%s with %s reads %s: %s", cases[i].template, cases[i].event, cases[i].topic,
                     cases[i].read ? "should" : "should not");
        ferry_selection_end(&selection);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binary_record_is_chosen_by_its_headers),
        cmocka_unit_test(a_structured_record_is_chosen_by_what_stands_in_it),
        cmocka_unit_test(where_decides_and_its_failures_are_counted),
        cmocka_unit_test(what_is_no_event_is_counted_and_left_out),
        cmocka_unit_test(a_topic_is_read_where_chosen_events_can_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
