/* The base modules under everything: slice, utf8, buffer, arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/attribute.h"
#include "core/buffer.h"
#include "core/slice.h"
#include "core/utf8.h"

static void assert_slice(struct ferry_slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void a_glob_matches_the_whole_text(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *text;
        bool match;
    } cases[] = {
        {"app.created", "app.created", true},
        {"app.created", "app.created2", false},
        {"app.*", "app.reload.finished", true},
        {"app.*", "apps.created", false},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"*.created", "user.created", true},
        {"*.created", "created", false},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXbX", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"**", "anything", true},
        {"app.[c]*", "app.created", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ferry_glob_match(cases[i].glob, ferry_slice_from(cases[i].text)), cases[i].match);
}

static void a_hostile_glob_ends_soon(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'a', sizeof text);
    assert_false(ferry_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", ferry_slice_of(text, sizeof text)));
}

static void trimming_leaves_inner_blanks(void **state)
{
    (void)state;
    assert_slice(ferry_slice_trim(FERRY_SLICE(" \t a b\t ")), "a b");
    assert_slice(ferry_slice_trim(FERRY_SLICE("  ")), "");
}

static void pairs_are_found_without_case_and_counted(void **state)
{
    (void)state;
    const struct ferry_pair items[] = {{FERRY_SLICE_LITERAL("Host"), FERRY_SLICE_LITERAL("a")},
                                       {FERRY_SLICE_LITERAL("X-Two"), FERRY_SLICE_LITERAL("1")},
                                       {FERRY_SLICE_LITERAL("x-two"), FERRY_SLICE_LITERAL("2")}};
    struct ferry_pairs pairs = {items, 3};
    assert_slice(ferry_pairs_get(pairs, "HOST"), "a");
    assert_slice(ferry_pairs_get(pairs, "x-TWO"), "1");
    assert_int_equal(ferry_pairs_count(pairs, "x-two"), 2);
    assert_null(ferry_pairs_get(pairs, "none").ptr);
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xC2\x80",
                                       "\xC3\x85sa",
                                       "\xE2\x82\xAC",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x9F\x9A\xA2",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\xA0",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE2\x82",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "a\xC3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(ferry_utf8_valid(ferry_slice_from(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ferry_utf8_valid(ferry_slice_from(bad[i])));
}

static void every_code_point_is_encoded_as_it_is_read(void **state)
{
    (void)state;
    for (unsigned c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char out[4];
        size_t len = ferry_utf8_encode(c, out);
        assert_int_equal(ferry_utf8_sequence(out, len), len);
    }
}

static void a_buffer_ends_in_nul_and_grows(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer buffer;
    ferry_buffer_init(&buffer, 1 << 20);
    for (int i = 0; i < 1000; i++)
        ferry_buffer_printf(&buffer, "%d,", i);
    assert_false(buffer.failed);
    assert_int_equal(buffer.len, strlen(buffer.ptr));
    assert_memory_equal(buffer.ptr + buffer.len - 4, "999,", 4);
}

static void a_buffer_over_its_maximum_stays_failed(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer buffer;
    ferry_buffer_init(&buffer, 4);
    ferry_buffer_add_text(&buffer, "1234");
    assert_false(buffer.failed);
    ferry_buffer_add_char(&buffer, '5');
    assert_true(buffer.failed);
    ferry_buffer_add_text(&buffer, "");
    assert_true(buffer.failed);
    assert_null(ferry_buffer_take(&buffer));
}

static void an_empty_buffer_is_taken_as_an_empty_text(void **state)
{
    (void)state;
    struct ferry_buffer buffer;
    ferry_buffer_init(&buffer, 10);
    char *text = ferry_buffer_take(&buffer);
    assert_string_equal(text, "");
    free(text);
}

static void a_json_string_escapes_what_it_must(void **state)
{
    (void)state;
    static const struct {
        struct ferry_slice text;
        const char *json;
    } cases[] = {
        {FERRY_SLICE_LITERAL("plain \xC3\x85"), "\"plain \xC3\x85\""},
        {FERRY_SLICE_LITERAL("\"\\/"), "\"\\\"\\\\/\""},
        {FERRY_SLICE_LITERAL("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
        {FERRY_SLICE_LITERAL("\0\x1f\x7f"), "\"\\u0000\\u001f\\u007f\""},
        {FERRY_SLICE_LITERAL("a\xFF\xC3"), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer buffer;
        ferry_buffer_init(&buffer, 100);
        ferry_buffer_add_json_string(&buffer, cases[i].text);
        assert_slice(ferry_buffer_slice(&buffer), cases[i].json);
    }
}

static void an_arena_hands_out_zeroed_aligned_memory(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena;
    ferry_arena_init(&arena);
    for (size_t bytes = 0; bytes < 10000; bytes += 37) {
        char *taken = ferry_arena_new(&arena, bytes);
        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(taken[i], 0);
        memset(taken, 0xFF, bytes);
        if (bytes % 5 == 0)
            ferry_arena_reset(&arena);
    }
}

static void an_arena_refuses_an_array_that_overflows(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena;
    ferry_arena_init(&arena);
    assert_null(ferry_arena_new_array(&arena, SIZE_MAX / 4, 8));
    assert_null(ferry_arena_new(&arena, SIZE_MAX));
}

/* As a_hostile_glob_ends_soon: work that grew with the square of the length would take minutes here. */
static void a_text_of_nothing_but_controls_is_mended_soon(void **state)
{
    enum { LENGTH = 900 << 10 };
    (void)state;
    struct ferry_slice worst = {memset(malloc(LENGTH), 0x7F, LENGTH), LENGTH};
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer escaped;
    ferry_arena_init(&arena);
    ferry_buffer_init(&escaped, 8 * LENGTH);
    assert_int_equal(ferry_attribute_text_mend(worst, &arena).len, 3 * LENGTH);
    ferry_buffer_add_json_string(&escaped, worst);
    assert_int_equal(escaped.len, 6 * LENGTH + 2);
    free((void *)(uintptr_t)worst.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_glob_matches_the_whole_text),
        cmocka_unit_test(a_hostile_glob_ends_soon),
        cmocka_unit_test(trimming_leaves_inner_blanks),
        cmocka_unit_test(pairs_are_found_without_case_and_counted),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(every_code_point_is_encoded_as_it_is_read),
        cmocka_unit_test(a_buffer_ends_in_nul_and_grows),
        cmocka_unit_test(a_buffer_over_its_maximum_stays_failed),
        cmocka_unit_test(an_empty_buffer_is_taken_as_an_empty_text),
        cmocka_unit_test(a_json_string_escapes_what_it_must),
        cmocka_unit_test(a_text_of_nothing_but_controls_is_mended_soon),
        cmocka_unit_test(an_arena_hands_out_zeroed_aligned_memory),
        cmocka_unit_test(an_arena_refuses_an_array_that_overflows),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
