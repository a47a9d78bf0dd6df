#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/triggers/form.h"
#include "core/buffer.h"

static struct ferry_arena arena;

static int make(void **state)
{
    (void)state;
    ferry_arena_init(&arena);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    ferry_arena_done(&arena);
    return 0;
}

/* "name|value" of each field, in lines. */
static void assert_form(struct ferry_slice text, const char *expected)
{
    struct ferry_pairs fields = {NULL, 0};
    assert_int_equal(ferry_form_read(text, &arena, &fields, NULL), FERRY_OK);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer lines;
    ferry_buffer_init(&lines, 4096);
    for (size_t i = 0; i < fields.count; i++) {
        ferry_buffer_add(&lines, fields.items[i].name);
        ferry_buffer_add_char(&lines, '|');
        ferry_buffer_add(&lines, fields.items[i].value);
        ferry_buffer_add_char(&lines, '\n');
    }
    if (!ferry_slice_is(ferry_buffer_slice(&lines), expected))
        fail_msg("%.*s: %.*s", FERRY_SLICE_ARGS(text), FERRY_SLICE_ARGS(ferry_buffer_slice(&lines)));
}

static void fields_are_read_as_a_browser_wrote_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *fields;
    } cases[] = {
        {"", ""},
        {"a=1", "a|1\n"},
        {"a=1&b=2&a=3", "a|1\nb|2\na|3\n"},
        {"a", "a|\n"},
        {"a=", "a|\n"},
        {"=1", "|1\n"},
        {"=", "|\n"},
        {"&&a=1&", "a|1\n"},
        {"a=b=c", "a|b=c\n"},
        {"a+b=c+d", "a b|c d\n"},
        {"%61%3D=%26%2b%C3%84", "a=|&+\xc3\x84\n"},
        {"a=%", "a|%\n"},
        {"a=%4", "a|%4\n"},
        {"a=%zz%4g", "a|%zz%4g\n"},
        {"a=%%341", "a|%41\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_form(ferry_slice_from(cases[i].text), cases[i].fields);
    assert_form((struct ferry_slice){NULL, 0}, "");
}

static void a_text_is_not_read_beyond_its_end(void **state)
{
    (void)state;
    assert_form(ferry_slice_of("a=%41", 4), "a|%4\n");
    assert_form(ferry_slice_of("a=1&b=2", 3), "a|1\n");
}

static void an_escaped_nul_does_not_end_a_value(void **state)
{
    (void)state;
    struct ferry_pairs fields;
    assert_int_equal(ferry_form_read(FERRY_SLICE("a=%00b"), &arena, &fields, NULL), FERRY_OK);
    assert_int_equal(fields.items[0].value.len, 2);
    assert_memory_equal(fields.items[0].value.ptr, "\0b", 2);
}

static void more_fields_than_anybody_needs_are_refused(void **state)
{
    (void)state;
    char text[2 * (FERRY_FORM_FIELDS + 1)];
    for (size_t i = 0; i < sizeof text; i += 2)
        memcpy(text + i, "a&", 2);
    struct ferry_pairs fields = {NULL, 7};
    struct ferry_error error;
    assert_int_equal(ferry_form_read(ferry_slice_of(text, sizeof text - 2), &arena, &fields, &error), FERRY_OK);
    assert_int_equal(fields.count, FERRY_FORM_FIELDS);
    fields.count = 7;
    assert_int_equal(ferry_form_read(ferry_slice_of(text, sizeof text), &arena, &fields, &error), FERRY_INPUT_REFUSED);
    assert_int_equal(fields.count, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_are_read_as_a_browser_wrote_them, make, drop),
        cmocka_unit_test_setup_teardown(a_text_is_not_read_beyond_its_end, make, drop),
        cmocka_unit_test_setup_teardown(an_escaped_nul_does_not_end_a_value, make, drop),
        cmocka_unit_test_setup_teardown(more_fields_than_anybody_needs_are_refused, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
