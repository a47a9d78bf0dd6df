/* The span scanner: what it takes, what it refuses, and that spans are the bytes as they came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/plain.h"
#include "tests/support/files.h"

#define SUITE FERRY_TEST_DATA "/jsontestsuite"

static enum ferry_code scan(struct ferry_slice text, struct ferry_arena *arena, struct ferry_json *value,
                            struct ferry_json_parts *parts)
{
    struct ferry_error error;
    return ferry_json_scan(text, arena, value, parts, &error);
}

/* Scans a text that must be JSON. */
static struct ferry_json_parts parts_of(const char *text, struct ferry_arena *arena)
{
    struct ferry_json value;
    struct ferry_json_parts parts;
    assert_int_equal(scan(ferry_slice_from(text), arena, &value, &parts), FERRY_OK);
    return parts;
}

static void assert_text(struct ferry_slice actual, const char *expected)
{
    if (!ferry_slice_is(actual, expected))
        fail_msg("got %.*s, expected %s", FERRY_SLICE_ARGS(actual), expected);
}

static void assert_refused(const char *text, const char *why)
{
    struct ferry_arena arena = {0};
    struct ferry_error error = {0};
    struct ferry_json value = {FERRY_JSON_TRUE, FERRY_SLICE_LITERAL("untouched")};
    struct ferry_json_parts parts = {.count = 77};
    assert_int_equal(ferry_json_scan(ferry_slice_from(text), &arena, &value, &parts, &error), FERRY_JSON_INVALID);
    assert_string_equal(error.text, why);
    assert_text(value.text, "untouched");
    assert_int_equal(parts.count, 77);
    ferry_arena_done(&arena);
}

static void the_json_test_suite_is_passed(void **state)
{
    (void)state;
    struct dirent **names;
    int count = list_folder(SUITE "/test_parsing", &names);
    int accepted = 0, refused = 0, undecided = 0;
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, SUITE "/test_parsing/%s", names[i]->d_name);
        struct ferry_slice text = read_file(path);
        struct ferry_arena arena = {0};
        struct ferry_json value;
        struct ferry_json_parts parts;
        bool ok = scan(text, &arena, &value, &parts) == FERRY_OK;
        char class = names[i]->d_name[0];
        if (class != 'i' && ok != (class == 'y'))
            fail_msg("%s was %s", names[i]->d_name, ok ? "accepted" : "refused");
        accepted += class == 'y';
        refused += class == 'n';
        undecided += class == 'i';
        ferry_arena_done(&arena);
        free((void *)text.ptr);
        free(names[i]);
    }
    free(names);
    assert_int_equal(accepted, 95);
    assert_int_equal(refused, 188);
    assert_int_equal(undecided, 35);
}

static void strings_of_the_suite_are_unescaped_or_refused(void **state)
{
    (void)state;
    struct dirent **names;
    int count = list_folder(SUITE "/test_transform", &names);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, SUITE "/test_transform/%s", names[i]->d_name);
        struct ferry_slice text = read_file(path), out;
        struct ferry_arena arena = {0};
        struct ferry_json value;
        struct ferry_json_parts parts = {NULL, 0};
        struct ferry_error error;
        bool ok = scan(text, &arena, &value, &parts) == FERRY_OK;
        for (size_t j = 0; ok && j < parts.count; j++) {
            if (parts.items[j].value.type != FERRY_JSON_STRING)
                continue;
            enum ferry_code code = ferry_json_unescape(parts.items[j].value, &arena, &out, &error);
            bool lone = strstr(names[i]->d_name, "escaped_invalid") != NULL;
            assert_int_equal(code, lone ? FERRY_JSON_INVALID : FERRY_OK);
        }
        ferry_arena_done(&arena);
        free((void *)text.ptr);
        free(names[i]);
    }
    free(names);
}

static void spans_are_the_bytes_as_they_came(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    const char *text = " { \"a\" : 1.10 ,\"b\":[ 1e400, {\"a\":2} ],\n\"c\":{ \"x\" : 12345678901234567891 },"
                       "\"\":\"\\u00e5\", \"e\":null,\"f\":true}\t";
    struct ferry_json_parts parts = parts_of(text, &arena);
    static const struct {
        const char *name, *value;
        enum ferry_json_type type;
    } expected[] = {
        {"a", "1.10", FERRY_JSON_NUMBER},
        {"b", "[ 1e400, {\"a\":2} ]", FERRY_JSON_ARRAY},
        {"c", "{ \"x\" : 12345678901234567891 }", FERRY_JSON_OBJECT},
        {"", "\"\\u00e5\"", FERRY_JSON_STRING},
        {"e", "null", FERRY_JSON_NULL},
        {"f", "true", FERRY_JSON_TRUE},
    };
    assert_int_equal(parts.count, 6);
    for (size_t i = 0; i < parts.count; i++) {
        assert_text(parts.items[i].name, expected[i].name);
        assert_text(parts.items[i].value.text, expected[i].value);
        assert_int_equal(parts.items[i].value.type, expected[i].type);
        assert_true(parts.items[i].value.text.ptr > text && parts.items[i].value.text.ptr < text + strlen(text));
    }
    ferry_arena_done(&arena);
}

static void elements_of_an_array_have_no_name(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_json_parts parts = parts_of("[1,[2,3],\"x\"]", &arena);
    assert_int_equal(parts.count, 3);
    assert_null(parts.items[1].name.ptr);
    assert_text(parts.items[1].value.text, "[2,3]");
    assert_null(ferry_json_find(&parts, ""));
    assert_int_equal(parts_of("[]", &arena).count, 0);
    assert_int_equal(parts_of("{}", &arena).count, 0);
    assert_int_equal(parts_of("17", &arena).count, 0);
    ferry_arena_done(&arena);
}

static void many_members_are_all_reported(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    char text[COUNT * 2 + 2] = "[";
    for (int i = 0; i < COUNT; i++)
        snprintf(text + 1 + (size_t)i * 2, 3, "%d%c", i % 10, i + 1 < COUNT ? ',' : ']');
    struct ferry_arena arena = {0};
    struct ferry_json_parts parts = parts_of(text, &arena);
    assert_int_equal(parts.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(parts.items[i].value.text.ptr[0], '0' + i % 10);
    ferry_arena_done(&arena);
}

static void a_member_is_found_by_its_unescaped_name(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_json_parts parts = parts_of("{\"\\u0069d\":1,\"id\":2,\"\\ud83d\\ude80\":3,\"\\ud83d\":4}", &arena);
    assert_text(ferry_json_find(&parts, "id")->value.text, "1");
    assert_text(ferry_json_find(&parts, "\xF0\x9F\x9A\x80")->value.text, "3");
    assert_null(ferry_json_find(&parts, "i"));
    assert_null(ferry_json_find(&parts, "idx"));
    ferry_arena_done(&arena);
}

static void escapes_become_their_characters(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_error error;
    struct ferry_slice out;
    struct ferry_json_parts parts =
        parts_of("[\"plain\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"a\\u00e5\\uD83D\\uDE80z\\ue000\\ud7ff\"]", &arena);
    assert_int_equal(ferry_json_unescape(parts.items[0].value, &arena, &out, &error), FERRY_OK);
    assert_ptr_equal(out.ptr, parts.items[0].value.text.ptr + 1); /* no copy */
    assert_int_equal(ferry_json_unescape(parts.items[1].value, &arena, &out, &error), FERRY_OK);
    assert_text(out, "\"\\/\b\f\n\r\t");
    assert_int_equal(ferry_json_unescape(parts.items[2].value, &arena, &out, &error), FERRY_OK);
    assert_text(out, "a\xC3\xA5\xF0\x9F\x9A\x80z\xEE\x80\x80\xED\x9F\xBF");
    ferry_arena_done(&arena);
}

static void a_lone_surrogate_is_legal_text_but_no_string(void **state)
{
    (void)state;
    static const char *const texts[] = {"[\"\\ud800\"]",        "[\"\\udc00\"]",  "[\"\\ud800\\u0041\"]",
                                        "[\"\\ud800\\ud800\"]", "[\"\\ud800x\"]", "[\"\\ud800\\udbff\"]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ferry_arena arena = {0};
        struct ferry_error error;
        struct ferry_slice out = FERRY_SLICE("untouched");
        struct ferry_json_parts parts = parts_of(texts[i], &arena);
        assert_int_equal(ferry_json_unescape(parts.items[0].value, &arena, &out, &error), FERRY_JSON_INVALID);
        assert_text(out, "untouched");
        ferry_arena_done(&arena);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_json value;
    struct ferry_error error;
    char text[2 * (FERRY_JSON_DEPTH + 1)];
    memset(text, '[', FERRY_JSON_DEPTH + 1);
    memset(text + FERRY_JSON_DEPTH + 1, ']', FERRY_JSON_DEPTH + 1);
    struct ferry_slice deepest = ferry_slice_of(text + 1, sizeof text - 2);
    assert_int_equal(ferry_json_scan(deepest, &arena, &value, NULL, &error), FERRY_OK);
    struct ferry_slice deeper = ferry_slice_of(text, sizeof text);
    assert_int_equal(ferry_json_scan(deeper, &arena, &value, NULL, &error), FERRY_JSON_INVALID);
    assert_non_null(strstr(error.text, "512"));
    ferry_arena_done(&arena);
}

static void an_error_names_the_byte_and_what_was_expected(void **state)
{
    (void)state;
    assert_refused("", "JSON: at byte 0: expected a value");
    assert_refused("{\"a\":1", "JSON: at byte 6: expected a comma or }");
    assert_refused("[1 2]", "JSON: at byte 3: expected a comma or ]");
    assert_refused("{\"a\" 1}", "JSON: at byte 5: expected a colon");
    assert_refused("{\"a\":1,}", "JSON: at byte 7: expected a member's name in quotes");
    assert_refused("[1,]", "JSON: at byte 3: expected a value");
    assert_refused("{\"a\":01}", "JSON: at byte 6: expected a comma or }");
    assert_refused("1.", "JSON: at byte 2: expected a digit after the decimal point");
    assert_refused("\"a\nb\"", "JSON: at byte 2: expected control characters to be escaped");
    assert_refused("\"a\xC0\x80\"", "JSON: at byte 2: expected valid UTF-8");
    assert_refused("\"\\x\"", "JSON: at byte 2: expected one of \" \\ / b f n r t u after a backslash");
    assert_refused("{} x", "JSON: at byte 3: expected nothing more after the value");
}

static void a_nul_byte_is_never_space(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_json value;
    assert_int_equal(scan(FERRY_SLICE("{\"a\":1\0}"), &arena, &value, NULL), FERRY_JSON_INVALID);
    assert_int_equal(scan(FERRY_SLICE("{\"a\":1}\0"), &arena, &value, NULL), FERRY_JSON_INVALID);
    assert_int_equal(scan(FERRY_SLICE("\"\\\0\""), &arena, &value, NULL), FERRY_JSON_INVALID);
    assert_int_equal(scan((struct ferry_slice){NULL, 0}, &arena, &value, NULL), FERRY_JSON_INVALID);
    ferry_arena_done(&arena);
}

/* Every byte at every place of the eight that the scanner takes at a time. */
static void no_byte_hides_in_a_word(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    for (int byte = 0; byte < 256; byte++) {
        for (int at = 0; at < 16; at++) {
            char text[] = "\"abcdefghijklmnop\"";
            text[1 + at] = (char)byte;
            struct ferry_json value;
            bool legal = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            /* A backslash in front of b or f, and n is an escape. */
            legal = legal || (byte == '\\' && (at == 0 || at == 4 || at == 12));
            assert_int_equal(scan(ferry_slice_from(text), &arena, &value, NULL) == FERRY_OK, legal);
        }
    }
    ferry_arena_done(&arena);
}

static void a_member_is_sought_no_further_than_needed(void **state)
{
    static const struct {
        const char *object, *found; /* NULL: not there */
    } cases[] = {
        {"{\"id\":1}", "1"},
        {" { \"a\" : {\"id\":2} , \"id\" : \"x\" , \"id\":3 } ", "\"x\""},
        {"{\"id\":{\"id\":4},\"b\":[]}", "{\"id\":4}"},
        {"{\"\\u0069d\":[5]}", "[5]"},
        {"{\"id\":6, what is behind it is not looked at", "6"},
        {"{\"a\":[{\"id\":7}],\"b\":{\"id\":8}}", NULL},
        {"[1,\"id\",{\"id\":9}]", NULL},
        {"{}", NULL},
        {"\"id\"", NULL},
        {"{\"i\":1,\"idx\":2,\"ID\":3}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_json value;
        bool found = ferry_json_seek(ferry_slice_from(cases[i].object), "id", &value);
        assert_int_equal(found, cases[i].found != NULL);
        if (found)
            assert_text(value.text, cases[i].found);
    }
}

/* Every length and place of one byte that is special, in words of eight and in what is left of them. */
static void a_plain_run_ends_at_the_first_special_byte(void **state)
{
    enum { LENGTH = 40 };
    static const unsigned char specials[] = {0x00, 0x01, 0x1F, '"', '\\', 0x7F, 0x80, 0xFF};
    (void)state;
    for (size_t length = 0; length <= LENGTH; length++) {
        char text[LENGTH + 1];
        memset(text, '~', sizeof text);
        assert_ptr_equal(ferry_plain_end(text, text + length), text + length);
        for (size_t at = 0; at < length; at++)
            for (size_t i = 0; i < sizeof specials; i++)
                for (size_t j = 0; j < sizeof specials; j++) {
                    memset(text, ' ' + (int)((at + i) % 2), sizeof text); /* neighbours that a borrow could reach */
                    text[length] = '"';
                    text[at] = (char)specials[i];
                    if (at + 1 < length)
                        text[at + 1] = (char)specials[j];
                    assert_ptr_equal(ferry_plain_end(text, text + length), text + at);
                }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_the_bytes_as_they_came),
        cmocka_unit_test(elements_of_an_array_have_no_name),
        cmocka_unit_test(many_members_are_all_reported),
        cmocka_unit_test(a_member_is_found_by_its_unescaped_name),
        cmocka_unit_test(escapes_become_their_characters),
        cmocka_unit_test(a_lone_surrogate_is_legal_text_but_no_string),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(an_error_names_the_byte_and_what_was_expected),
        cmocka_unit_test(a_nul_byte_is_never_space),
        cmocka_unit_test(no_byte_hides_in_a_word),
        cmocka_unit_test(strings_of_the_suite_are_unescaped_or_refused),
        cmocka_unit_test(the_json_test_suite_is_passed),
        cmocka_unit_test(a_member_is_sought_no_further_than_needed),
        cmocka_unit_test(a_plain_run_ends_at_the_first_special_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
