/* From requests to events.
 *
 * Most cases are folders of tests/data/envelope: `headers` (a field a line, raw), `body` (raw; may be missing) and
 * `expected.json`:
 *   rules             qlik, cloudevents, json, or audit (ferry_envelope_read_audit of the body)
 *   door              of the json rules: type, id, source
 *   error, text       the code's name and the exact text; or
 *   events            a list of: format, event (canonical name), repairs, attributes (time included, specversion not),
 *                     json (the bytes of JSON data) or bytes (of other data), traceparent, tracestate
 * A new case needs no C. Requests come in at 2026-11-22T19:11:25.123Z. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/buffer.h"
#include "core/catalog.h"
#include "core/envelope.h"
#include "tests/support/files.h"

static const int64_t RECEIVED_MS = 1795374685123;

/* ---- golden folders ---- */

/* "Name: value" lines, values as raw as they are. */
static struct ferry_pairs parse_headers(struct ferry_slice text, struct ferry_arena *arena)
{
    enum { MOST = 32 };
    struct ferry_pair *items = ferry_arena_new_array(arena, MOST, sizeof *items);
    size_t count = 0;
    while (text.len > 0) {
        const char *colon = memchr(text.ptr, ':', text.len), *end = memchr(text.ptr, '\n', text.len);
        assert_true(colon != NULL && end != NULL && colon < end && count < MOST);
        items[count].name = ferry_slice_of(text.ptr, (size_t)(colon - text.ptr));
        items[count++].value = ferry_slice_of(colon + 1, (size_t)(end - colon) - 1);
        text = ferry_slice_skip(text, (size_t)(end + 1 - text.ptr));
    }
    return (struct ferry_pairs){items, count};
}

static void add_member(json_t *object, const char *name, struct ferry_slice value)
{
    if (value.ptr != NULL)
        assert_int_equal(json_object_set_new(object, name, json_stringn(value.ptr, value.len)), 0);
}

static json_t *attributes_of(const struct ferry_event *event)
{
    json_t *attributes = json_object();
    add_member(attributes, "id", event->id);
    add_member(attributes, "source", event->source);
    add_member(attributes, "type", event->type);
    add_member(attributes, "time", event->time);
    add_member(attributes, "subject", event->subject);
    add_member(attributes, "dataschema", event->dataschema);
    add_member(attributes, "datacontenttype", event->datacontenttype);
    for (size_t i = 0; i < event->extension_count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", FERRY_SLICE_ARGS(event->extensions[i].name));
        assert_null(json_object_get(attributes, name));
        add_member(attributes, name, event->extensions[i].value);
    }
    return attributes;
}

static json_t *repairs_of(const struct ferry_event *event)
{
    json_t *repairs = json_array();
    for (int i = 0; i < FERRY_REPAIR_COUNT; i++)
        if (event->repairs >> i & 1)
            json_array_append_new(repairs, json_string(ferry_repair_name((enum ferry_repair)i)));
    return repairs;
}

/* The event as expected.json would say it. */
static json_t *describe(const struct ferry_event *event)
{
    assert_int_equal(event->received_ms, RECEIVED_MS);
    json_t *said = json_object();
    add_member(said, "format", ferry_slice_from(ferry_format_name(event->format)));
    add_member(said, "event", event->canonical);
    json_object_set_new(said, "repairs", repairs_of(event));
    json_object_set_new(said, "attributes", attributes_of(event));
    if (event->data_kind != FERRY_DATA_NONE) {
        assert_non_null(event->data.ptr);
        add_member(said, event->data_kind == FERRY_DATA_JSON ? "json" : "bytes", event->data);
    }
    add_member(said, "traceparent", event->traceparent);
    add_member(said, "tracestate", event->tracestate);
    return said;
}

static struct ferry_slice member_text(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);
    return ferry_slice_of(json_string_value(text), json_string_length(text));
}

static enum ferry_code read_case(const json_t *expected, struct ferry_slice headers, struct ferry_slice body,
                                 struct ferry_arena *arena, struct ferry_events *events, struct ferry_error *error)
{
    const json_t *door = json_object_get(expected, "door");
    struct ferry_envelope_input input = {.headers = parse_headers(headers, arena),
                                         .body = body,
                                         .received_ms = RECEIVED_MS,
                                         .json_type = member_text(door, "type"),
                                         .json_id = member_text(door, "id"),
                                         .json_source = member_text(door, "source")};
    struct ferry_slice rules = member_text(expected, "rules");
    if (ferry_slice_is(rules, "audit")) {
        events->items = ferry_arena_new(arena, sizeof *events->items);
        events->count = 1;
        return ferry_envelope_read_audit(body, RECEIVED_MS, arena, events->items, error);
    }
    enum ferry_envelope_rules known = ferry_slice_is(rules, "qlik")          ? FERRY_ENVELOPE_QLIK
                                      : ferry_slice_is(rules, "cloudevents") ? FERRY_ENVELOPE_CLOUDEVENTS
                                                                             : FERRY_ENVELOPE_JSON;
    return ferry_envelope_read(known, &input, arena, events, error);
}

static void assert_same(const json_t *actual, const json_t *expected)
{
    if (json_equal(actual, expected))
        return;
    char *got = json_dumps(actual, JSON_INDENT(2)), *wanted = json_dumps(expected, JSON_INDENT(2));
    fail_msg("got %s\nexpected %s", got, wanted);
}

static void the_folder_is_as_expected(void **state)
{
    const char *folder = *state;
    char path[512];
    snprintf(path, sizeof path, FERRY_TEST_DATA "/envelope/%s/expected.json", folder);
    json_error_t why;
    json_t *expected = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (expected == NULL)
        fail_msg("%s: %s", path, why.text);
    snprintf(path, sizeof path, FERRY_TEST_DATA "/envelope/%s/headers", folder);
    struct ferry_slice headers = read_file(path);
    snprintf(path, sizeof path, FERRY_TEST_DATA "/envelope/%s/body", folder);
    struct ferry_slice body = read_file_if_there(path);

    struct ferry_arena arena = {0};
    struct ferry_events events = {NULL, 0};
    struct ferry_error error = {0};
    enum ferry_code code = read_case(expected, headers, body, &arena, &events, &error);
    json_t *actual = json_object();
    if (code == FERRY_OK) {
        json_t *list = json_array();
        for (size_t i = 0; i < events.count; i++)
            json_array_append_new(list, describe(&events.items[i]));
        json_object_set_new(actual, "events", list);
    } else {
        assert_int_equal(error.code, code);
        json_object_set_new(actual, "error", json_string(ferry_code_name(code)));
        json_object_set_new(actual, "text", json_string(error.text));
    }
    json_object_del(expected, "rules");
    json_object_del(expected, "door");
    assert_same(actual, expected);

    json_decref(actual);
    json_decref(expected);
    ferry_arena_done(&arena);
    free((void *)headers.ptr);
    free((void *)body.ptr);
}

/* ---- the fixtures of all events ---- */

/* The text with {{now}} replaced. */
static struct ferry_slice fill_in(struct ferry_slice text, struct ferry_arena *arena)
{
    static const char hole[] = "{{now}}", now[] = "2026-11-22T19:11:25Z";
    char *filled = ferry_arena_new(arena, text.len * 3 + 1);
    size_t len = 0;
    while (text.len > 0) {
        bool is_hole = ferry_slice_starts(text, hole);
        struct ferry_slice piece = is_hole ? ferry_slice_from(now) : ferry_slice_of(text.ptr, 1);
        memcpy(filled + len, piece.ptr, piece.len);
        len += piece.len;
        text = ferry_slice_skip(text, is_hole ? strlen(hole) : 1);
    }
    return ferry_slice_of(filled, len);
}

static struct ferry_event read_one(enum ferry_envelope_rules rules, struct ferry_slice media_type,
                                   struct ferry_slice body, struct ferry_arena *arena)
{
    struct ferry_pair content_type = {FERRY_SLICE("content-type"), media_type};
    struct ferry_envelope_input input = {.headers = {&content_type, 1}, .body = body, .received_ms = RECEIVED_MS};
    struct ferry_events events;
    struct ferry_error error;
    if (ferry_envelope_read(rules, &input, arena, &events, &error) != FERRY_OK)
        fail_msg("%s in %.*s", error.text, FERRY_SLICE_ARGS(body));
    assert_int_equal(events.count, 1);
    return events.items[0];
}

static void assert_slices(struct ferry_slice actual, struct ferry_slice expected)
{
    if (!ferry_slice_equal(actual, expected))
        fail_msg("got %.*s, expected %.*s", FERRY_SLICE_ARGS(actual), FERRY_SLICE_ARGS(expected));
}

/* What was repaired is a strict CloudEvent: printed and read again it is the same. */
static void assert_survives_strict_reading(const struct ferry_event *event, struct ferry_arena *arena)
{
    struct ferry_buffer FERRY_CLEANUP(ferry_buffer_done) printed;
    ferry_buffer_init(&printed, 1 << 20);
    ferry_event_print_json(event, &printed);
    struct ferry_event again = read_one(FERRY_ENVELOPE_CLOUDEVENTS, FERRY_SLICE("application/cloudevents+json"),
                                        ferry_buffer_slice(&printed), arena);
    assert_slices(again.id, event->id);
    assert_slices(again.time, event->time);
    assert_slices(again.data, event->data);
    assert_slices(again.datacontenttype, event->datacontenttype);
    assert_int_equal(again.extension_count, event->extension_count);
    for (size_t i = 0; i < event->extension_count; i++) {
        assert_slices(again.extensions[i].name, event->extensions[i].name);
        assert_slices(again.extensions[i].value, event->extensions[i].value);
    }
}

static void check_fixture(const char *event_name, const char *format, uint32_t repairs)
{
    char path[512];
    snprintf(path, sizeof path, FERRY_TEST_DATA "/events/%s/%s.json", event_name, format);
    struct ferry_slice text = read_file(path);
    struct ferry_arena arena = {0};
    struct ferry_slice body = fill_in(text, &arena);
    struct ferry_event event = read_one(FERRY_ENVELOPE_QLIK, FERRY_SLICE("application/json"), body, &arena);
    assert_slices(event.canonical, ferry_slice_from(event_name));
    assert_string_equal(ferry_format_name(event.format), format);
    assert_int_equal(event.repairs, repairs);
    assert_int_equal(event.data_kind, FERRY_DATA_JSON);
    assert_true(event.data.ptr > body.ptr && event.data.ptr < body.ptr + body.len);
    assert_survives_strict_reading(&event, &arena);
    ferry_arena_done(&arena);
    free((void *)text.ptr);
}

static void every_current_event_is_read_in_its_three_shapes(void **state)
{
    (void)state;
    struct dirent **names;
    int count = list_folder(FERRY_TEST_DATA "/events", &names);
    assert_true(count >= 102);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        bool task = strcmp(name, "task.created") == 0 || strcmp(name, "task.deleted") == 0;
        uint32_t strays =
            1u << FERRY_REPAIR_EXTENSIONS | 1u << FERRY_REPAIR_EVENT_TYPE | 1u << FERRY_REPAIR_DISAGREEMENT;
        check_fixture(name, "legacy", 0);
        check_fixture(name, "hybrid", 0);
        check_fixture(name, "cloudevents", task ? strays : 0);
        free(names[i]);
    }
    free(names);
}

static void every_row_of_the_catalogue_has_a_fixture(void **state)
{
    (void)state;
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < 102; i++) {
        char path[512];
        snprintf(path, sizeof path, FERRY_TEST_DATA "/events/%s/legacy.json", entries[i].canonical);
        free((void *)read_file(path).ptr);
    }
}

/* ---- trace context ---- */

static void the_traceparent_vectors_of_w3c_are_passed(void **state)
{
    (void)state;
    json_t *file = json_load_file(FERRY_TEST_DATA "/w3c-trace-context/traceparent.json", 0, NULL);
    json_t *vectors = json_object_get(file, "vectors"), *vector, *header;
    assert_int_equal(json_array_size(vectors), 35);
    size_t i, j;
    json_array_foreach (vectors, i, vector) {
        struct ferry_pair fields[8] = {
            {FERRY_SLICE_LITERAL("content-type"), FERRY_SLICE_LITERAL("application/cloudevents+json")}};
        size_t count = 1;
        json_array_foreach (json_object_get(vector, "headers"), j, header) {
            fields[count].name = ferry_slice_from(json_string_value(json_array_get(header, 0)));
            fields[count++].value = ferry_slice_from(json_string_value(json_array_get(header, 1)));
        }
        struct ferry_envelope_input input = {
            .headers = {fields, count},
            .body = FERRY_SLICE("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}")};
        struct ferry_arena arena = {0};
        struct ferry_events events;
        assert_int_equal(ferry_envelope_read(FERRY_ENVELOPE_CLOUDEVENTS, &input, &arena, &events, NULL), FERRY_OK);
        bool goes_on = json_boolean_value(json_object_get(vector, "continue_trace"));
        if ((events.items[0].traceparent.ptr != NULL) != goes_on)
            fail_msg("vector %zu, %s", i, json_string_value(json_object_get(vector, "test")));
        ferry_arena_done(&arena);
    }
    json_decref(file);
}

static void a_traceparent_is_in_lower_case(void **state)
{
    (void)state;
    assert_true(ferry_traceparent_valid(FERRY_SLICE("00-abcdefabcdefabcdefabcdefabcdefab-1234567890abcdef-01")));
    assert_false(ferry_traceparent_valid(FERRY_SLICE("00-ABCDEFABCDEFABCDEFABCDEFABCDEFAB-1234567890abcdef-01")));
    assert_false(ferry_traceparent_valid((struct ferry_slice){NULL, 0}));
}

/* ---- hostile input ---- */

static void a_refused_request_leaves_no_event(void **state)
{
    (void)state;
    struct ferry_pair content_type = {FERRY_SLICE("content-type"), FERRY_SLICE("application/cloudevents-batch+json")};
    struct ferry_envelope_input input = {
        .headers = {&content_type, 1},
        .body = FERRY_SLICE("[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"},{}]")};
    struct ferry_arena arena = {0};
    struct ferry_events events = {NULL, 77};
    struct ferry_error error;
    assert_int_equal(ferry_envelope_read(FERRY_ENVELOPE_CLOUDEVENTS, &input, &arena, &events, &error),
                     FERRY_EVENT_INVALID);
    assert_string_equal(error.text, "event 1: specversion: missing");
    assert_int_equal(events.count, 77);
    ferry_arena_done(&arena);
}

/* An event with `count` extensions, and how reading it ended. */
static enum ferry_code read_extensions(enum ferry_envelope_rules rules, int count, const char *more, char text[512])
{
    struct ferry_buffer FERRY_CLEANUP(ferry_buffer_done) body;
    ferry_buffer_init(&body, 4 << 20);
    ferry_buffer_add_text(&body, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"");
    for (int i = 0; i < count; i++)
        ferry_buffer_printf(&body, ",\"a%d\":1", i);
    ferry_buffer_add_text(&body, more);
    struct ferry_pair content_type = {FERRY_SLICE("content-type"), FERRY_SLICE("application/cloudevents+json")};
    struct ferry_envelope_input input = {.headers = {&content_type, 1}, .body = ferry_buffer_slice(&body)};
    struct ferry_arena arena = {0};
    struct ferry_events events;
    struct ferry_error error = {0};
    enum ferry_code code = ferry_envelope_read(rules, &input, &arena, &events, &error);
    snprintf(text, 512, "%s", error.text);
    ferry_arena_done(&arena);
    return code;
}

static void as_many_members_as_the_limit_are_read(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(read_extensions(FERRY_ENVELOPE_CLOUDEVENTS, 252, "}", text), FERRY_OK);
    assert_int_equal(read_extensions(FERRY_ENVELOPE_QLIK, 252, "}", text), FERRY_OK);
    assert_int_equal(read_extensions(FERRY_ENVELOPE_QLIK, 251, ",\"a0\":1}", text), FERRY_EVENT_INVALID);
    assert_string_equal(text, "a0: is there twice");
}

static void a_hundred_thousand_members_do_not_keep_us_busy(void **state)
{
    (void)state;
    char text[512];
    assert_int_equal(read_extensions(FERRY_ENVELOPE_CLOUDEVENTS, 253, "}", text), FERRY_EVENT_INVALID);
    assert_int_equal(read_extensions(FERRY_ENVELOPE_QLIK, 100000, "}", text), FERRY_EVENT_INVALID);
    assert_string_equal(text, "more than 256 attributes");
}

static const struct CMUnitTest own_tests[] = {
    cmocka_unit_test(every_current_event_is_read_in_its_three_shapes),
    cmocka_unit_test(every_row_of_the_catalogue_has_a_fixture),
    cmocka_unit_test(the_traceparent_vectors_of_w3c_are_passed),
    cmocka_unit_test(a_traceparent_is_in_lower_case),
    cmocka_unit_test(a_refused_request_leaves_no_event),
    cmocka_unit_test(a_hundred_thousand_members_do_not_keep_us_busy),
    cmocka_unit_test(as_many_members_as_the_limit_are_read),
};
enum { OWN_COUNT = sizeof own_tests / sizeof own_tests[0] };

int main(void)
{
    struct dirent **folders;
    int count = scandir(FERRY_TEST_DATA "/envelope", &folders, not_hidden, alphasort);
    if (count <= 0)
        return 1;
    struct CMUnitTest *tests = calloc((size_t)count + OWN_COUNT, sizeof *tests);
    if (tests == NULL)
        return 1;
    for (int i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = folders[i]->d_name, .test_func = the_folder_is_as_expected, .initial_state = folders[i]->d_name};
    memcpy(tests + count, own_tests, sizeof own_tests);
    int failed = _cmocka_run_group_tests("envelope", tests, (size_t)count + OWN_COUNT, NULL, NULL);
    for (int i = 0; i < count; i++)
        free(folders[i]);
    free(folders);
    free(tests);
    return failed;
}
