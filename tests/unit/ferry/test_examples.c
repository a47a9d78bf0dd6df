#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/catalog.h"
#include "core/clock.h"
#include "core/envelope.h"
#include "ferry/examples.h"

enum { NOON = 0 }; /* 1970-01-01T00:00:00Z, for times that can be told */

static const enum ferry_format forms[] = {FERRY_FORMAT_LEGACY, FERRY_FORMAT_HYBRID, FERRY_FORMAT_CLOUDEVENTS};

static json_t *made(const char *type, enum ferry_format format, const char *const *sets, size_t set_count)
{
    struct ferry_example example = {
        .type = type, .format = format, .now_ms = NOON, .sets = sets, .set_count = set_count};
    struct ferry_buffer out;
    struct ferry_error error = {0};
    ferry_buffer_init(&out, 1 << 20);
    assert_int_equal(ferry_example_make(&example, &out, &error), FERRY_OK);
    json_t *event = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(event);
    ferry_buffer_done(&out);
    return event;
}

static const char *text_at(json_t *object, const char *first, const char *second)
{
    json_t *value = json_object_get(object, first);
    return json_string_value(second != NULL ? json_object_get(value, second) : value);
}

/* Reads an example through the front door. */
static void reads_as(const struct ferry_catalog_entry *entry, enum ferry_format format)
{
    struct ferry_example example = {.type = entry->type, .format = format, .now_ms = NOON};
    struct ferry_buffer body;
    struct ferry_arena arena = {0};
    struct ferry_events events = {0};
    struct ferry_error error = {0};
    ferry_buffer_init(&body, 1 << 20);
    assert_int_equal(ferry_example_make(&example, &body, &error), FERRY_OK);
    assert_null(strstr(body.ptr, "{{"));
    struct ferry_pair type = {FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")};
    struct ferry_envelope_input input = {.headers = {&type, 1}, .body = ferry_buffer_slice(&body)};
    if (ferry_envelope_read(FERRY_ENVELOPE_QLIK, &input, &arena, &events, &error) != FERRY_OK)
        fail_msg("%s as %s: %s", entry->type, ferry_format_name(format), error.text);
    assert_int_equal(events.count, 1);
    assert_int_equal(events.items[0].format, format);
    assert_true(ferry_slice_is(events.items[0].canonical, entry->canonical));
    assert_int_equal(events.items[0].data_kind, FERRY_DATA_JSON);
    if (format == FERRY_FORMAT_CLOUDEVENTS && events.items[0].repairs != 0)
        fail_msg("%s needs repairs: %#x", entry->type, (unsigned)events.items[0].repairs);
    ferry_arena_done(&arena);
    ferry_buffer_done(&body);
}

static void every_event_has_an_example_in_all_forms_that_the_ingress_takes(void **state)
{
    (void)state;
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; f < 3; f++)
            reads_as(&entries[i], forms[f]);
}

static void a_legacy_app_is_nested_and_goes_by_its_older_name(void **state)
{
    (void)state;
    json_t *event = made("com.qlik.app.created", FERRY_FORMAT_LEGACY, NULL, 0);
    assert_string_equal(text_at(event, "eventType", NULL), "com.qlik.v1.app.created");
    assert_null(json_object_get(event, "type"));
    assert_null(json_object_get(event, "specversion"));
    json_t *attributes = json_object_get(json_object_get(event, "data"), "attributes");
    assert_string_equal(text_at(attributes, "name", NULL), "Sales overview");
    assert_string_equal(text_at(event, "extensions", "topLevelResourceId"), text_at(attributes, "id", NULL));
    json_decref(event);
}

static void a_hybrid_has_the_members_of_both(void **state)
{
    (void)state;
    json_t *event = made("com.qlik.v1.user.created", FERRY_FORMAT_HYBRID, NULL, 0);
    assert_string_equal(text_at(event, "eventId", NULL), text_at(event, "id", NULL));
    assert_string_equal(text_at(event, "specversion", NULL), "1.0");
    assert_string_equal(text_at(event, "cloudEventsVersion", NULL), "0.1");
    assert_string_equal(text_at(event, "extensions", "tenantId"), text_at(event, "tenantid", NULL));
    json_decref(event);
}

static void times_are_relative_to_now(void **state)
{
    (void)state;
    json_t *event = made("com.qlik.v1.reload.finished", FERRY_FORMAT_CLOUDEVENTS, NULL, 0);
    assert_string_equal(text_at(event, "time", NULL), "1970-01-01T00:00:00.000Z");
    assert_string_equal(text_at(event, "data", "startTime"), "1969-12-31T23:45:00.000Z");
    json_decref(event);
}

static void no_two_examples_have_an_id_or_a_resource_in_common(void **state)
{
    (void)state;
    json_t *one = made("com.qlik.app.created", FERRY_FORMAT_CLOUDEVENTS, NULL, 0);
    json_t *other = made("com.qlik.app.created", FERRY_FORMAT_CLOUDEVENTS, NULL, 0);
    assert_string_not_equal(text_at(one, "id", NULL), text_at(other, "id", NULL));
    assert_string_not_equal(text_at(one, "data", "id"), text_at(other, "data", "id"));
    json_decref(one);
    json_decref(other);
}

static void an_example_can_be_of_a_given_resource(void **state)
{
    (void)state;
    struct ferry_example example = {
        .type = "com.qlik.app.created", .format = FERRY_FORMAT_CLOUDEVENTS, .id = "e1", .resource = "app-1"};
    struct ferry_buffer out;
    struct ferry_error error = {0};
    ferry_buffer_init(&out, 1 << 20);
    assert_int_equal(ferry_example_make(&example, &out, &error), FERRY_OK);
    assert_non_null(strstr(out.ptr, "\"id\":\"e1\""));
    assert_non_null(strstr(out.ptr, "\"toplevelresourceid\":\"app-1\""));
    assert_non_null(strstr(out.ptr, "\"data\":{\"id\":\"app-1\""));
    ferry_buffer_done(&out);
}

static void a_path_means_the_same_in_every_form(void **state)
{
    (void)state;
    const char *const sets[] = {"resource.name=Budget", "data.size.memory=7", "tenantid=42", "data.new.deep=true"};
    json_t *legacy = made("com.qlik.app.created", FERRY_FORMAT_LEGACY, sets, 4);
    json_t *cloudevents = made("com.qlik.app.created", FERRY_FORMAT_CLOUDEVENTS, sets, 4);
    json_t *nested = json_object_get(json_object_get(legacy, "data"), "attributes");
    json_t *flat = json_object_get(cloudevents, "data");
    assert_string_equal(text_at(nested, "name", NULL), "Budget");
    assert_string_equal(text_at(flat, "name", NULL), "Budget");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(flat, "size"), "memory")), 7);
    assert_true(json_is_true(json_object_get(json_object_get(flat, "new"), "deep")));
    assert_string_equal(text_at(legacy, "extensions", "tenantId"), "42");
    assert_string_equal(text_at(cloudevents, "tenantid", NULL), "42");
    json_decref(legacy);
    json_decref(cloudevents);
}

static void refused(const char *type, const char *assignment)
{
    struct ferry_example example = {.type = type, .now_ms = NOON, .sets = &assignment, .set_count = 1};
    struct ferry_buffer out;
    struct ferry_error error = {0};
    ferry_buffer_init(&out, 1 << 20);
    assert_int_equal(ferry_example_make(&example, &out, &error), FERRY_USAGE);
    assert_int_equal(out.len, 0);
    ferry_buffer_done(&out);
}

static void what_cannot_be_set_is_refused(void **state)
{
    (void)state;
    refused("com.qlik.app.created", "data.name");
    refused("com.qlik.app.created", "=x");
    refused("com.qlik.app.created", "data.name.first=Ada");
    refused("com.qlik.app.created", "data.=Ada");
    refused("com.example.other", "data.name=Ada");
}

static void the_forms_have_names(void **state)
{
    (void)state;
    enum ferry_format format;
    for (size_t f = 0; f < 3; f++) {
        assert_true(ferry_example_form_parse(ferry_format_name(forms[f]), &format));
        assert_int_equal(format, forms[f]);
    }
    assert_false(ferry_example_form_parse("audit", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_has_an_example_in_all_forms_that_the_ingress_takes),
        cmocka_unit_test(a_legacy_app_is_nested_and_goes_by_its_older_name),
        cmocka_unit_test(a_hybrid_has_the_members_of_both),
        cmocka_unit_test(times_are_relative_to_now),
        cmocka_unit_test(no_two_examples_have_an_id_or_a_resource_in_common),
        cmocka_unit_test(an_example_can_be_of_a_given_resource),
        cmocka_unit_test(a_path_means_the_same_in_every_form),
        cmocka_unit_test(what_cannot_be_set_is_refused),
        cmocka_unit_test(the_forms_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
