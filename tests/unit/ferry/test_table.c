#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "ferry/spool.h"
#include "ferry/table.h"

static void assert_shown(struct ferry_slice text, bool lines, const char *expected)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_terminal_add(&out, text, lines);
    assert_string_equal(ferry_buffer_slice(&out).ptr, expected);
}

static void what_would_steer_the_terminal_is_shown_as_hexadecimal(void **state)
{
    (void)state;
    assert_shown(FERRY_SLICE("a\033[2Jb"), false, "a\\x1b[2Jb");
    assert_shown(FERRY_SLICE("\177\r\007"), true, "\\x7f\\x0d\\x07");
    assert_shown(FERRY_SLICE("\xc2\x9b"
                             "2J"),
                 false, "\\xc2\\x9b2J"); /* C1: CSI in one character */
    assert_shown(FERRY_SLICE("\xff"
                             "x"),
                 false, "\\xffx");
    assert_shown(FERRY_SLICE("\xc3\x85sa \xf0\x9f\x9a\xa2"), false, "\xc3\x85sa \xf0\x9f\x9a\xa2");
}

static void lines_stay_where_they_are_wanted(void **state)
{
    (void)state;
    assert_shown(FERRY_SLICE("a\n\tb"), true, "a\n\tb");
    assert_shown(FERRY_SLICE("a\n\tb"), false, "a\\x0a\\x09b");
}

static void amounts_are_short(void **state)
{
    (void)state;
    char out[FERRY_AMOUNT_TEXT];
    assert_string_equal(ferry_amount_bytes(0, out), "0 B");
    assert_string_equal(ferry_amount_bytes(1023, out), "1023 B");
    assert_string_equal(ferry_amount_bytes(1536, out), "1.5 KiB");
    assert_string_equal(ferry_amount_bytes(INT64_C(3) << 30, out), "3.0 GiB");
    assert_string_equal(ferry_amount_time(-5, out), "0 s");
    assert_string_equal(ferry_amount_time(119999, out), "119 s");
    assert_string_equal(ferry_amount_time(180000, out), "3 min");
    assert_string_equal(ferry_amount_time(7200000, out), "2 h");
    assert_string_equal(ferry_amount_time(INT64_C(9) * 86400000, out), "9 d");
}

static void assert_printed(const struct ferry_table *table, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ferry_table_print(table, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void columns_are_as_wide_as_their_longest_cell(void **state)
{
    (void)state;
    static const struct ferry_column columns[] = {{"name", false}, {"n", true}, {"why", false}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    ferry_table_init(&table, columns, 3);
    assert_printed(&table, "");
    ferry_table_add(&table, (struct ferry_slice[]){FERRY_SLICE("\xc3\x85sa"), FERRY_SLICE("7"), FERRY_SLICE("x\033")});
    ferry_table_add(&table, (struct ferry_slice[]){FERRY_SLICE("Margaret"), FERRY_SLICE("1200"), {NULL, 0}});
    assert_printed(&table, "name         n  why\n"
                           "\xc3\x85sa          7  x\\x1b\n"
                           "Margaret  1200  \n");
}

static void assert_row(const struct ferry_spool_stored *stored, enum ferry_spool_table table, const char *expected)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_spool_print_row(stored, table, &out);
    assert_string_equal(ferry_buffer_slice(&out).ptr, expected);
}

static void an_exported_row_says_everything_of_its_record(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("a"), FERRY_SLICE_LITERAL("1")},
                                   {FERRY_SLICE_LITERAL("a"), FERRY_SLICE_LITERAL("\xff")},
                                   {FERRY_SLICE_LITERAL("b"), {NULL, 0}}};
    struct ferry_spool_stored stored = {.row = {.sequence = 7,
                                                .handed = true,
                                                .record = {.topic = FERRY_SLICE("t"),
                                                           .value = FERRY_SLICE("{\"x\": \"\xc3\x85\"}"),
                                                           .headers = headers,
                                                           .header_count = 3}},
                                        .topic = FERRY_SLICE("t"),
                                        .since_ms = 1000};
    assert_row(
        &stored, FERRY_SPOOL_WAITING,
        "{\"sequence\": 7, \"topic\": \"t\", \"stored\": \"1970-01-01T00:00:01.000Z\", \"maybe_duplicate\": true, "
        "\"key\": null, \"headers\": [[\"a\", \"1\"], [\"a\", {\"base64\": \"/w==\"}], [\"b\", null]], "
        "\"value\": \"{\\\"x\\\": \\\"\xc3\x85\\\"}\"}");
    stored =
        (struct ferry_spool_stored){.row.sequence = 8, .damaged = true, .reason = FERRY_SLICE("why"), .since_ms = 1000};
    assert_row(&stored, FERRY_SPOOL_ASIDE,
               "{\"sequence\": 8, \"topic\": null, \"set_aside\": \"1970-01-01T00:00:01.000Z\", \"reason\": \"why\", "
               "\"damaged\": true}");
}

static void a_json_member_is_a_text_or_null(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_json_add_text(&out, "who", FERRY_SLICE("a \"b\""));
    ferry_json_add_text(&out, "what", FERRY_SLICE(""));
    ferry_json_add_text(&out, "why", ferry_slice_of(NULL, 0));
    assert_string_equal(ferry_buffer_slice(&out).ptr, "\"who\": \"a \\\"b\\\"\", \"what\": \"\", \"why\": null, ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_steer_the_terminal_is_shown_as_hexadecimal),
        cmocka_unit_test(lines_stay_where_they_are_wanted),
        cmocka_unit_test(amounts_are_short),
        cmocka_unit_test(columns_are_as_wide_as_their_longest_cell),
        cmocka_unit_test(an_exported_row_says_everything_of_its_record),
        cmocka_unit_test(a_json_member_is_a_text_or_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
