/* Events, their names and their structured form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/buffer.h"
#include "core/event.h"
#include "core/media_type.h"
#include "core/uri.h"

static struct ferry_event example(void)
{
    return (struct ferry_event){.id = FERRY_SLICE("1"),
                                .source = FERRY_SLICE("/s"),
                                .type = FERRY_SLICE("t"),
                                .time = FERRY_SLICE("2026-11-22T19:11:25Z")};
}

static void assert_prints(const struct ferry_event *event, const char *expected)
{
    struct ferry_buffer FERRY_CLEANUP(ferry_buffer_done) out;
    ferry_buffer_init(&out, 1 << 20);
    ferry_event_print_json(event, &out);
    assert_false(out.failed);
    assert_string_equal(out.ptr, expected);
}

#define HEAD "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"time\":\"2026-11-22T19:11:25Z\","

static void names_are_what_the_contract_says(void **state)
{
    (void)state;
    static const char *const formats[] = {"legacy", "hybrid", "cloudevents", "json", "audit", "trigger"};
    for (int i = 0; i < 6; i++)
        assert_string_equal(ferry_format_name((enum ferry_format)i), formats[i]);
    assert_string_equal(ferry_repair_name(FERRY_REPAIR_SPECVERSION), "specversion");
    assert_string_equal(ferry_repair_name(FERRY_REPAIR_DISAGREEMENT), "disagreement");
    assert_int_equal(FERRY_REPAIR_COUNT, 9);
}

static void an_event_without_data_prints_its_attributes(void **state)
{
    (void)state;
    struct ferry_event event = example();
    assert_prints(&event, HEAD "\"specversion\":\"1.0\"}");
}

static void every_attribute_is_printed_and_escaped(void **state)
{
    (void)state;
    struct ferry_pair extensions[] = {{FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("a\"b")},
                                      {FERRY_SLICE_LITERAL("empty"), FERRY_SLICE_LITERAL("")}};
    struct ferry_event event = example();
    event.subject = FERRY_SLICE("\xC3\xA5");
    event.dataschema = FERRY_SLICE("https://example.com/s");
    event.datacontenttype = FERRY_SLICE("application/json");
    event.extensions = extensions;
    event.extension_count = 2;
    assert_prints(&event, HEAD "\"subject\":\"\xC3\xA5\",\"dataschema\":\"https://example.com/s\","
                               "\"datacontenttype\":\"application/json\",\"tenantid\":\"a\\\"b\",\"empty\":\"\","
                               "\"specversion\":\"1.0\"}");
    assert_true(ferry_slice_is(ferry_event_extension(&event, "tenantid"), "a\"b"));
    assert_non_null(ferry_event_extension(&event, "empty").ptr);
    assert_null(ferry_event_extension(&event, "userid").ptr);
}

static void json_data_is_spliced_in_as_it_came(void **state)
{
    (void)state;
    struct ferry_event event = example();
    event.data_kind = FERRY_DATA_JSON;
    event.data = FERRY_SLICE("{ \"a\" : 1.10,\"a\":1e400 }");
    assert_prints(&event, HEAD "\"specversion\":\"1.0\",\"data\":{ \"a\" : 1.10,\"a\":1e400 }}");
    event.data = FERRY_SLICE("null");
    assert_prints(&event, HEAD "\"specversion\":\"1.0\",\"data\":null}");
}

static void other_bytes_are_base64_unless_they_are_text(void **state)
{
    (void)state;
    static const struct {
        const char *media_type;
        struct ferry_slice data;
        const char *printed;
    } cases[] = {
        {NULL, FERRY_SLICE_LITERAL("hi"), "\"data_base64\":\"aGk=\"}"},
        {"application/octet-stream", FERRY_SLICE_LITERAL("\0\xFF\x10"), "\"data_base64\":\"AP8Q\"}"},
        {"application/octet-stream", FERRY_SLICE_LITERAL(""), "\"data_base64\":\"\"}"},
        {"text/plain", FERRY_SLICE_LITERAL("h\n\xC3\xA5"), "\"data\":\"h\\n\xC3\xA5\"}"},
        {"TEXT/plain; charset=utf-8", FERRY_SLICE_LITERAL("x"), "\"data\":\"x\"}"},
        {"text/plain", FERRY_SLICE_LITERAL("\xE5"), "\"data_base64\":\"5Q==\"}"},
        {"text/json", FERRY_SLICE_LITERAL("x"), "\"data_base64\":\"eA==\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_event event = example();
        event.data_kind = FERRY_DATA_BYTES;
        event.data = cases[i].data;
        event.datacontenttype = ferry_slice_from(cases[i].media_type);
        char expected[512];
        snprintf(expected, sizeof expected, HEAD "%s%s%s\"specversion\":\"1.0\",%s",
                 cases[i].media_type != NULL ? "\"datacontenttype\":\"" : "",
                 cases[i].media_type != NULL ? cases[i].media_type : "", cases[i].media_type != NULL ? "\"," : "",
                 cases[i].printed);
        assert_prints(&event, expected);
    }
}

static void media_types_are_told_apart(void **state)
{
    (void)state;
    static const char *const json[] = {"application/json", "Application/JSON; charset=UTF-8", "text/json",
                                       "a/b+json",         "application/cloudevents+json",    "application/json ;x"};
    static const char *const other[] = {
        "",      "json",         "application/jsonx", "application/+jso",   "text/plain",
        "/json", "application/", "a b/json",          "application/x-json", "a/b/json",
        ";"};
    for (size_t i = 0; i < sizeof json / sizeof json[0]; i++)
        assert_true(ferry_media_type_is_json(ferry_slice_from(json[i])));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(ferry_media_type_is_json(ferry_slice_from(other[i])));
    assert_true(ferry_media_type_valid(FERRY_SLICE("text/plain")));
    assert_false(ferry_media_type_valid(FERRY_SLICE("string")));
    assert_false(ferry_media_type_valid((struct ferry_slice){NULL, 0}));
}

static void uris_are_told_from_references_and_from_other_text(void **state)
{
    (void)state;
    static const char *const uris[] = {"https://example.com",
                                       "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
                                       "mailto:a@example.com",
                                       "http://u:p@[::1]:80/a?b=c/?#d",
                                       "a:",
                                       "x+y-z.1:/",
                                       "https://example.com/%C3%A5"};
    static const char *const references[] = {"",   "/a/b", "com.qlik/engine", "//example.com",
                                             "?q", "#f",   "a/b:c",           "./a:b"};
    static const char *const neither[] = {"a b", "1a:b",          ":",           "a\\b",         "%",
                                          "%4",  "%zz",           "http://[::1", "http://x:8a/", "\xC3\xA5",
                                          "<a>", "http://a@b@c/", "#a#b",        "http://a[b/",  "a\"b"};
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++)
        assert_true(ferry_uri_valid(ferry_slice_from(uris[i])) && ferry_uri_reference_valid(ferry_slice_from(uris[i])));
    for (size_t i = 0; i < sizeof references / sizeof references[0]; i++)
        assert_true(!ferry_uri_valid(ferry_slice_from(references[i])) &&
                    ferry_uri_reference_valid(ferry_slice_from(references[i])));
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++)
        if (ferry_uri_reference_valid(ferry_slice_from(neither[i])))
            fail_msg("%s was taken for a URI-reference", neither[i]);
    assert_false(ferry_uri_reference_valid(ferry_slice_of("%41", 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_what_the_contract_says),
        cmocka_unit_test(an_event_without_data_prints_its_attributes),
        cmocka_unit_test(every_attribute_is_printed_and_escaped),
        cmocka_unit_test(json_data_is_spliced_in_as_it_came),
        cmocka_unit_test(other_bytes_are_base64_unless_they_are_text),
        cmocka_unit_test(media_types_are_told_apart),
        cmocka_unit_test(uris_are_told_from_references_and_from_other_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
