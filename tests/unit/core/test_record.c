#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/envelope.h"
#include "core/record.h"
#include "tests/support/arena.h"

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- making ---- */

static struct ferry_pair extensions[] = {{FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("t1")},
                                         {FERRY_SLICE_LITERAL("note"), FERRY_SLICE_LITERAL("50% \xC3\xA5\"")}};

static struct ferry_event full_event(void)
{
    return (struct ferry_event){.id = FERRY_SLICE("e1"),
                                .source = FERRY_SLICE("com.qlik/my-service"),
                                .type = FERRY_SLICE("com.qlik.v1.app.created"),
                                .time = FERRY_SLICE("2026-11-22T10:00:00Z"),
                                .subject = FERRY_SLICE("s"),
                                .dataschema = FERRY_SLICE("https://example.com/schema"),
                                .datacontenttype = FERRY_SLICE("application/json"),
                                .extensions = extensions,
                                .extension_count = 2,
                                .data_kind = FERRY_DATA_JSON,
                                .data = FERRY_SLICE("{\"n\": 1.10 }"),
                                .canonical = FERRY_SLICE("app.created"),
                                .format = FERRY_FORMAT_HYBRID,
                                .received_ms = 1763838687123,
                                .traceparent = FERRY_SLICE(TRACEPARENT),
                                .tracestate = FERRY_SLICE("a=b")};
}

static struct ferry_record made_of(const struct ferry_event *event, enum ferry_encoding encoding,
                                   const struct ferry_record_marks *marks)
{
    struct ferry_record record;
    struct ferry_error error = {.text = ""};
    if (ferry_record_make(event, FERRY_SLICE("qlik.app.created"), FERRY_SLICE("k"), encoding, marks, &arena, &record,
                          &error) != FERRY_OK)
        fail_msg("%s", error.text);
    return record;
}

/* "name: value" lines. */
static void assert_headers(const struct ferry_record *record, const char *expected)
{
    struct ferry_buffer lines;
    ferry_buffer_init(&lines, 1 << 16);
    for (size_t i = 0; i < record->header_count; i++)
        ferry_buffer_printf(&lines, "%.*s: %.*s\n", FERRY_SLICE_ARGS(record->headers[i].name),
                            FERRY_SLICE_ARGS(record->headers[i].value));
    assert_string_equal(ferry_buffer_slice(&lines).ptr, expected);
    ferry_buffer_done(&lines);
}

static void assert_slice(struct ferry_slice actual, const char *expected)
{
    if (!ferry_slice_is(actual, expected))
        fail_msg("%.*s is not %s", FERRY_SLICE_ARGS(actual), expected);
}

static void a_binary_record_carries_attributes_as_headers_in_the_contracts_order(void **state)
{
    (void)state;
    struct ferry_event event = full_event();
    struct ferry_record_marks marks = {
        .maybe_duplicate = true, .backfill = true, .effects = true, .replay = FERRY_SLICE("run-1")};
    struct ferry_record record = made_of(&event, FERRY_ENCODING_BINARY, &marks);
    assert_headers(&record, "ce_specversion: 1.0\n"
                            "ce_id: e1\n"
                            "ce_source: com.qlik/my-service\n"
                            "ce_type: com.qlik.v1.app.created\n"
                            "ce_time: 2026-11-22T10:00:00Z\n"
                            "ce_subject: s\n"
                            "ce_dataschema: https://example.com/schema\n"
                            "ce_tenantid: t1\n"
                            "ce_note: 50% \xC3\xA5\"\n"
                            "content-type: application/json\n"
                            "ferry-event: app.created\n"
                            "ferry-format: hybrid\n"
                            "ferry-received: 2025-11-22T19:11:27.123Z\n"
                            "ferry-maybe-duplicate: true\n"
                            "ferry-backfill: true\n"
                            "ferry-effects: yes\n"
                            "ferry-replay: run-1\n"
                            "traceparent: " TRACEPARENT "\n"
                            "tracestate: a=b\n");
    assert_ptr_equal(record.value.ptr, event.data.ptr); /* not even copied */
    assert_int_equal(record.value.len, event.data.len);
    assert_slice(record.topic, "qlik.app.created");
    assert_slice(record.key, "k");
}

static void unset_attributes_are_left_out(void **state)
{
    (void)state;
    struct ferry_event event = full_event();
    event.subject = event.dataschema = event.datacontenttype = (struct ferry_slice){NULL, 0};
    event.traceparent = event.tracestate = (struct ferry_slice){NULL, 0};
    event.extension_count = 0;
    event.data_kind = FERRY_DATA_NONE;
    event.data = (struct ferry_slice){NULL, 0};
    struct ferry_record record = made_of(&event, FERRY_ENCODING_BINARY, NULL);
    assert_headers(&record, "ce_specversion: 1.0\n"
                            "ce_id: e1\n"
                            "ce_source: com.qlik/my-service\n"
                            "ce_type: com.qlik.v1.app.created\n"
                            "ce_time: 2026-11-22T10:00:00Z\n"
                            "ferry-event: app.created\n"
                            "ferry-format: hybrid\n"
                            "ferry-received: 2025-11-22T19:11:27.123Z\n");
    assert_int_equal(record.value.len, 0);
    assert_non_null(record.value.ptr); /* empty, not a tombstone */
}

static void a_record_that_goes_once_more_says_so_behind_its_other_headers(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("a"), FERRY_SLICE_LITERAL("1")},
                                   {FERRY_SLICE_LITERAL("b"), FERRY_SLICE_LITERAL("2")}};
    struct ferry_record record = {.headers = headers, .header_count = 2}, bare = {.headers = NULL};
    assert_true(ferry_record_mark_maybe_duplicate(&record, &arena));
    assert_headers(&record, "a: 1\nb: 2\nferry-maybe-duplicate: true\n");
    assert_ptr_not_equal(record.headers, headers);
    assert_true(ferry_record_mark_maybe_duplicate(&bare, &arena));
    assert_headers(&bare, "ferry-maybe-duplicate: true\n");
}

static void undeclared_json_is_declared_and_undeclared_bytes_are_not(void **state)
{
    (void)state;
    struct ferry_event event = full_event();
    event.datacontenttype = (struct ferry_slice){NULL, 0};
    struct ferry_record record = made_of(&event, FERRY_ENCODING_BINARY, NULL);
    assert_slice(ferry_record_header(&record, "content-type"), "application/json");
    event.data_kind = FERRY_DATA_BYTES;
    record = made_of(&event, FERRY_ENCODING_BINARY, NULL);
    assert_null(ferry_record_header(&record, "content-type").ptr);
}

static void a_structured_record_is_one_json_text(void **state)
{
    (void)state;
    struct ferry_event event = full_event();
    struct ferry_record record = made_of(&event, FERRY_ENCODING_STRUCTURED, NULL);
    assert_headers(&record, "content-type: application/cloudevents+json; charset=UTF-8\n"
                            "ferry-event: app.created\n"
                            "ferry-format: hybrid\n"
                            "ferry-received: 2025-11-22T19:11:27.123Z\n"
                            "traceparent: " TRACEPARENT "\n"
                            "tracestate: a=b\n");
    char *text = ferry_arena_text(&arena, record.value);
    assert_non_null(strstr(text, "\"data\":{\"n\": 1.10 }"));
    assert_non_null(strstr(text, "\"note\":\"50% \xC3\xA5\\\"\""));
}

/* ---- there and back ---- */

static void assert_same_slice(struct ferry_slice a, struct ferry_slice b)
{
    if (!ferry_slice_equal(a, b) || (a.ptr == NULL) != (b.ptr == NULL))
        fail_msg("%.*s became %.*s", FERRY_SLICE_ARGS(a), FERRY_SLICE_ARGS(b));
}

static void assert_same_event(const struct ferry_event *a, const struct ferry_event *b)
{
    assert_same_slice(a->id, b->id);
    assert_same_slice(a->source, b->source);
    assert_same_slice(a->type, b->type);
    assert_same_slice(a->time, b->time);
    assert_same_slice(a->subject, b->subject);
    assert_same_slice(a->dataschema, b->dataschema);
    assert_same_slice(a->datacontenttype, b->datacontenttype);
    assert_same_slice(a->canonical, b->canonical);
    assert_same_slice(a->traceparent, b->traceparent);
    assert_same_slice(a->tracestate, b->tracestate);
    assert_int_equal(a->format, b->format);
    assert_int_equal(a->received_ms, b->received_ms);
    assert_int_equal(a->data_kind, b->data_kind);
    assert_true(ferry_slice_equal(a->data, b->data));
    assert_int_equal(a->extension_count, b->extension_count);
    for (size_t i = 0; i < a->extension_count; i++) {
        assert_same_slice(a->extensions[i].name, b->extensions[i].name);
        assert_same_slice(a->extensions[i].value, b->extensions[i].value);
    }
}

static void assert_comes_back(const struct ferry_event *event)
{
    for (int encoding = FERRY_ENCODING_BINARY; encoding <= FERRY_ENCODING_STRUCTURED; encoding++) {
        struct ferry_record record = made_of(event, (enum ferry_encoding)encoding, NULL);
        struct ferry_event read;
        struct ferry_error error = {.text = ""};
        if (ferry_record_read(&record, &arena, &read, &error) != FERRY_OK)
            fail_msg("%s", error.text);
        assert_same_event(event, &read);
    }
}

static void every_kind_of_data_comes_back(void **state)
{
    (void)state;
    static const struct {
        enum ferry_data_kind kind;
        struct ferry_slice data;
        struct ferry_slice type;
    } cases[] = {
        {FERRY_DATA_JSON, FERRY_SLICE_LITERAL("null"), FERRY_SLICE_LITERAL("application/json")},
        {FERRY_DATA_JSON, FERRY_SLICE_LITERAL("\"text\""), FERRY_SLICE_LITERAL("application/vnd.example+json")},
        {FERRY_DATA_JSON, FERRY_SLICE_LITERAL("{\"a\":1e400, \"a\":12345678901234567891}"),
         FERRY_SLICE_LITERAL("application/json; charset=utf-8")},
        {FERRY_DATA_BYTES, FERRY_SLICE_LITERAL("{\"a\":1}"), FERRY_SLICE_LITERAL("text/plain")},
        {FERRY_DATA_BYTES, FERRY_SLICE_LITERAL("<\xC3\xA5>\n"), FERRY_SLICE_LITERAL("text/xml")},
        {FERRY_DATA_BYTES, FERRY_SLICE_LITERAL("\x00\xff\x01"), FERRY_SLICE_LITERAL("application/octet-stream")},
        {FERRY_DATA_BYTES, FERRY_SLICE_LITERAL("\xff"), {NULL, 0}},
        {FERRY_DATA_NONE, {NULL, 0}, {NULL, 0}},
        {FERRY_DATA_NONE, {NULL, 0}, FERRY_SLICE_LITERAL("application/json")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_event event = full_event();
        event.data_kind = cases[i].kind;
        event.data = cases[i].data;
        event.datacontenttype = cases[i].type;
        assert_comes_back(&event);
    }
}

static struct ferry_slice read_file(const char *path)
{
    char *text = ferry_arena_new(&arena, 1 << 16);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, 1 << 16, file);
    fclose(file);
    return ferry_slice_of(text, len);
}

static void every_event_of_the_catalogue_comes_back_in_both_modes(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(FERRY_TEST_DATA "/events/*/*.json", 0, NULL, &found), 0);
    struct ferry_pair type = {FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")};
    size_t count = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct ferry_envelope_input input = {
            .headers = {&type, 1}, .body = read_file(found.gl_pathv[i]), .received_ms = 1763838687123};
        struct ferry_events events = {NULL, 0};
        if (ferry_envelope_read(FERRY_ENVELOPE_QLIK, &input, &arena, &events, NULL) != FERRY_OK)
            continue; /* a file beside the events */
        for (size_t j = 0; j < events.count; j++, count++)
            assert_comes_back(&events.items[j]);
        ferry_arena_reset(&arena);
    }
    globfree(&found);
    assert_true(count >= 300); /* 102 events, three shapes */
}

/* ---- records of other producers ---- */

static enum ferry_code read_record(struct ferry_pair *headers, size_t count, struct ferry_slice value,
                                   struct ferry_event *event, struct ferry_error *error)
{
    struct ferry_record record = {
        .value = value, .headers = headers, .header_count = count, .timestamp_ms = 1763838687123};
    return ferry_record_read(&record, &arena, event, error);
}

#define HEADER(name, value)                                   \
    {                                                         \
        FERRY_SLICE_LITERAL(name), FERRY_SLICE_LITERAL(value) \
    }
enum { LEAST = 4 };
#define LEAST_HEADERS                                                                \
    HEADER("ce_specversion", "1.0"), HEADER("ce_id", "1"), HEADER("ce_source", "s"), \
        HEADER("ce_type", "com.qlik.core.user.created")

static void the_least_record_of_another_producer_is_read(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {LEAST_HEADERS};
    struct ferry_event event;
    assert_int_equal(read_record(headers, LEAST, (struct ferry_slice){NULL, 0}, &event, NULL), FERRY_OK);
    assert_slice(event.canonical, "user.created");
    assert_slice(event.time, "2025-11-22T19:11:27.123Z"); /* the record's own */
    assert_int_equal(event.received_ms, 1763838687123);
    assert_int_equal(event.format, FERRY_FORMAT_CLOUDEVENTS);
    assert_int_equal(event.data_kind, FERRY_DATA_NONE);
}

static void headers_that_are_no_attributes_are_passed_over(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {LEAST_HEADERS,
                                   HEADER("x-any", "\xff"),
                                   HEADER("CE_UPPER", "x"),
                                   HEADER("ce_one", "1"),
                                   HEADER("ce_one", "2"),
                                   HEADER("traceparent", "nonsense"),
                                   HEADER("ferry-error", "template_null")};
    struct ferry_event event;
    assert_int_equal(read_record(headers, LEAST + 6, FERRY_SLICE(""), &event, NULL), FERRY_OK);
    assert_int_equal(event.extension_count, 1);
    assert_slice(ferry_event_extension(&event, "one"), "1");
    assert_null(event.traceparent.ptr);
}

static void a_structured_record_of_another_producer_is_read(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {HEADER("content-type", "Application/CloudEvents+JSON")};
    struct ferry_slice value =
        FERRY_SLICE(" {\"data\": {\"a\" : 1} , \"specversion\":\"1.0\",\"id\":\"\\u0031\",\"source\":\"s\","
                    "\"type\":\"t\",\"flag\":true,\"count\":7,\"none\":null,\"datacontenttype\":null}");
    struct ferry_event event;
    assert_int_equal(read_record(headers, 1, value, &event, NULL), FERRY_OK);
    assert_slice(event.id, "1");
    assert_slice(event.data, "{\"a\" : 1}");
    assert_slice(event.datacontenttype, "application/json");
    assert_int_equal(event.extension_count, 2);
    assert_slice(ferry_event_extension(&event, "flag"), "true");
    assert_slice(ferry_event_extension(&event, "count"), "7");
}

static void assert_refused(struct ferry_pair *headers, size_t count, const char *value, const char *reason)
{
    struct ferry_event event = {.id = FERRY_SLICE("untouched")};
    struct ferry_error error = {.text = ""};
    assert_int_equal(read_record(headers, count, ferry_slice_from(value), &event, &error), FERRY_RECORD_INVALID);
    if (strstr(error.text, reason) == NULL)
        fail_msg("%s, not: %s", error.text, reason);
    assert_slice(event.id, "untouched");
}

static void a_record_that_is_no_event_is_refused_with_what_is_missing(void **state)
{
    (void)state;
    struct ferry_pair complete[] = {LEAST_HEADERS};
    static const char *const reasons[] = {"specversion is missing", "id is missing", "source is missing",
                                          "type is missing"};
    for (size_t i = 0; i < LEAST; i++) {
        struct ferry_pair headers[LEAST];
        memcpy(headers, complete, sizeof headers);
        headers[i].value = FERRY_SLICE("");
        assert_refused(headers, LEAST, "", reasons[i]);
        headers[i] = headers[LEAST - 1];
        assert_refused(headers, LEAST - 1, "", reasons[i]);
    }
    assert_refused(NULL, 0, "{}", "specversion is missing");
}

static void what_cannot_be_understood_is_refused(void **state)
{
    (void)state;
    static struct ferry_pair old[] = {HEADER("ce_specversion", "0.3"), HEADER("ce_id", "1"), HEADER("ce_source", "s"),
                                      HEADER("ce_type", "t")};
    assert_refused(old, 4, "", "specversion is not 1.0");
    static struct ferry_pair latin[] = {LEAST_HEADERS, HEADER("ce_subject", "\xE5")};
    assert_refused(latin, LEAST + 1, "", "subject is not UTF-8");
    static struct ferry_pair data[] = {LEAST_HEADERS, HEADER("ce_data", "x")};
    assert_refused(data, LEAST + 1, "", "data is not the name of an attribute");
    static struct ferry_pair json[] = {LEAST_HEADERS, HEADER("content-type", "application/json")};
    assert_refused(json, LEAST + 1, "{", "data JSON: at byte 1");
    static struct ferry_pair avro[] = {HEADER("content-type", "application/cloudevents+avro")};
    assert_refused(avro, 1, "", "content-type is an event format");
    static struct ferry_pair batch[] = {HEADER("content-type", "application/cloudevents-batch+json")};
    assert_refused(batch, 1, "[]", "content-type is an event format");
}

static void a_broken_structured_record_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *reason;
    } cases[] = {
        {"", "value JSON: at byte 0"},
        {"[]", "value is not a JSON object"},
        {"{}", "specversion is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"\\ud800\"}", "id has a lone surrogate"},
        {"{\"specversion\":\"1.0\",\"ext\":{}}", "ext is an object or array"},
        {"{\"specversion\":\"1.0\",\"data\":1,\"data_base64\":\"\"}", "data stands beside data_base64"},
        {"{\"specversion\":\"1.0\",\"data_base64\":\"?\"}", "data_base64 is not base64"},
        {"{\"specversion\":\"1.0\",\"data_base64\":1}", "data_base64 is not base64"},
    };
    struct ferry_pair headers[] = {HEADER("content-type", "application/cloudevents+json")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(headers, 1, cases[i].value, cases[i].reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binary_record_carries_attributes_as_headers_in_the_contracts_order),
        cmocka_unit_test(unset_attributes_are_left_out),
        cmocka_unit_test(a_record_that_goes_once_more_says_so_behind_its_other_headers),
        cmocka_unit_test(undeclared_json_is_declared_and_undeclared_bytes_are_not),
        cmocka_unit_test(a_structured_record_is_one_json_text),
        cmocka_unit_test(every_kind_of_data_comes_back),
        cmocka_unit_test(every_event_of_the_catalogue_comes_back_in_both_modes),
        cmocka_unit_test(the_least_record_of_another_producer_is_read),
        cmocka_unit_test(headers_that_are_no_attributes_are_passed_over),
        cmocka_unit_test(a_structured_record_of_another_producer_is_read),
        cmocka_unit_test(a_record_that_is_no_event_is_refused_with_what_is_missing),
        cmocka_unit_test(what_cannot_be_understood_is_refused),
        cmocka_unit_test(a_broken_structured_record_is_refused),
    };
    return cmocka_run_group_tests(tests, fresh_arena, free_arena);
}
