/* Moments and the progress line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "ferry/console.h"

#define NOW INT64_C(1795345200000) /* 2026-11-22T11:00:00Z */

static void a_moment_is_a_time_a_date_or_an_age(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_ms;
    } cases[] = {
        {"2026-11-22T11:00:00Z", NOW},
        {"2026-11-22T12:00:00.500+01:00", NOW + 500},
        {"2026-11-22", NOW - 11 * INT64_C(3600000)},
        {"now", NOW},
        {"-250ms", NOW - 250},
        {"-90s", NOW - 90000},
        {"-5m", NOW - 300000},
        {"-1h", NOW - 3600000},
        {"-7d", NOW - 7 * INT64_C(86400000)},
        {"-2w", NOW - 14 * INT64_C(86400000)},
        {"earliest", FERRY_EARLIEST_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t wall_ms = 0;
        assert_true(ferry_moment_parse(cases[i].text, NOW, &wall_ms));
        assert_int_equal(wall_ms, cases[i].wall_ms);
    }
}

static void what_is_no_moment_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    static const char *const words[] = {
        "", "1h", "-1", "-h", "-1y", "-1h ", "-9999999999d", "2026-13-01", "2026-11-22T11:00", "yesterday", "-1hh"};
    int64_t wall_ms = 7;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_false(ferry_moment_parse(words[i], NOW, &wall_ms));
    assert_int_equal(wall_ms, 7);
}

static void the_progress_line_says_how_far_and_how_fast(void **state)
{
    (void)state;
    char text[FERRY_PROGRESS_TEXT];
    struct ferry_progress progress = {.what = "replaying", .total = 2000};
    ferry_progress_text(&progress, 840, 2000, text);
    assert_string_equal(text, "replaying  42 %  840/2000  420/s");
    progress.total = 0;
    ferry_progress_text(&progress, 840, 0, text);
    assert_string_equal(text, "replaying  840  0/s");
    progress.percent = 7; /* how far it is may be known by other means */
    ferry_progress_text(&progress, 840, 2000, text);
    assert_string_equal(text, "replaying   7 %  840  420/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moment_is_a_time_a_date_or_an_age),
        cmocka_unit_test(what_is_no_moment_is_refused_and_leaves_nothing),
        cmocka_unit_test(the_progress_line_says_how_far_and_how_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
