/* RFC 3339 there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "core/clock.h"

static void a_moment_is_printed_with_milliseconds(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1795374685123, "2026-11-22T19:11:25.123Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[FERRY_TIME_TEXT];
        assert_int_equal(ferry_time_format(cases[i].ms, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void a_date_time_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01T00:00:00.1Z", 100},
        {"1970-01-01T00:00:00.1239999999999999999999Z", 123},
        {"1970-01-01T02:30:00+02:30", 0},
        {"1969-12-31T23:59:00-00:01", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"2016-12-31T23:59:60Z", 1483228799000},
        {"2017-01-01T00:59:60+01:00", 1483228799000},
        {"2026-11-22T19:11:25.123Z", 1795374685123},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"0000-01-01T00:00:00Z", -62167219200000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -7;
        if (!ferry_time_parse(ferry_slice_from(cases[i].text), &ms))
            fail_msg("%s was refused", cases[i].text);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2026",
        "2026-11-22",
        "2026-11-22T19:11Z",
        "2026-11-22T19:11:25",
        "2026-11-22 19:11:25Z",
        "2026-11-22T19:11:25.Z",
        "2026-11-22T19:11:25,1Z",
        "2026-11-22T19:11:25+0100",
        "2026-11-22T19:11:25+01",
        "2026-11-22T24:00:00Z",
        "2026-11-22T19:60:00Z",
        "2026-11-22T19:11:61Z",
        "2026-11-22T19:11:60Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-22T19:11:25+24:00",
        "2026-11-22T19:11:25+01:60",
        " 2026-11-22T19:11:25Z",
        "2026-11-22T19:11:25Z ",
        "02026-11-22T19:11:25Z",
        "-026-11-22T19:11:25Z",
        "2026-11-22T19:11:2 Z",
        "1900-02-29T00:00:00Z",
        "yesterday",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -7;
        if (ferry_time_parse(ferry_slice_from(cases[i]), &ms))
            fail_msg("%s was taken", cases[i]);
        assert_int_equal(ms, -7);
    }
    int64_t ms;
    assert_false(ferry_time_parse(FERRY_SLICE("2026-11-22T19:11:25\0"), &ms));
    assert_false(ferry_time_parse((struct ferry_slice){NULL, 0}, &ms));
}

/* One day after the other, against the C library's calendar. */
static void every_day_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = -800000; day < 2900000; day += 331) {
        int64_t ms = day * 86400000 + 1000, parsed;
        time_t seconds = (time_t)(ms / 1000);
        struct tm parts;
        char expected[64], text[FERRY_TIME_TEXT];
        if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year < -1900 || parts.tm_year > 8099)
            continue;
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.000Z", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        size_t len = ferry_time_format(ms, text);
        assert_string_equal(text, expected);
        assert_true(ferry_time_parse(ferry_slice_of(text, len), &parsed));
        assert_int_equal(parsed, ms);
    }
}

static void the_clocks_go_forward(void **state)
{
    (void)state;
    assert_true(ferry_clock_wall_ms() > 1700000000000);
    int64_t before = ferry_clock_mono_ms();
    assert_true(ferry_clock_mono_ms() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_moment_is_printed_with_milliseconds),
        cmocka_unit_test(a_date_time_is_understood),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(every_day_agrees_with_the_c_library),
        cmocka_unit_test(the_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
