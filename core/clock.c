#include "core/clock.h"

#include <time.h>

enum { DAY_SECONDS = 86400 };

/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z. */
static const int64_t FIRST_MS = -62167219200000;
static const int64_t LAST_MS = 253402300799999;

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t ferry_clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t ferry_clock_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

struct date {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};

/* Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is the last of
 * its year and the month lengths follow one line: (153 m + 2) / 5. An era is 400 years, 146097 days. */
static int64_t days_of(struct date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month = (date.month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct date date_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    struct date date = {.year = year_of_era + era * 400,
                        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
                        .day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1)};
    date.year += date.month <= 2;
    return date;
}

static char *put_digits(char *out, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

size_t ferry_time_format(int64_t wall_ms, char out[FERRY_TIME_TEXT])
{
    wall_ms = wall_ms < FIRST_MS ? FIRST_MS : wall_ms > LAST_MS ? LAST_MS : wall_ms;
    int64_t seconds = (wall_ms - FIRST_MS) / 1000; /* since year 0, hence never negative */
    int64_t in_day = seconds % DAY_SECONDS;
    struct date date = date_of(seconds / DAY_SECONDS + FIRST_MS / 1000 / DAY_SECONDS);
    const struct {
        int64_t value;
        int width;
        char after;
    } fields[] = {
        {date.year, 4, '-'},
        {date.month, 2, '-'},
        {date.day, 2, 'T'},
        {in_day / 3600, 2, ':'},
        {in_day / 60 % 60, 2, ':'},
        {in_day % 60, 2, '.'},
        {(wall_ms - FIRST_MS) % 1000, 3, 'Z'},
    };
    char *at = out;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        at = put_digits(at, fields[i].value, fields[i].width);
        *at++ = fields[i].after;
    }
    *at = '\0';
    return (size_t)(at - out);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes `width` digits that lie within [low, high] off the front of `text`. */
static bool take_number(struct ferry_slice *text, size_t width, int low, int high, int *value)
{
    if (text->len < width)
        return false;
    int number = 0;
    for (size_t i = 0; i < width; i++) {
        if (!is_digit(text->ptr[i]))
            return false;
        number = number * 10 + (text->ptr[i] - '0');
    }
    if (number < low || number > high)
        return false;
    *text = ferry_slice_skip(*text, width);
    *value = number;
    return true;
}

/* Takes one byte that is in `set` off the front; 0 if there is none. */
static char take_one_of(struct ferry_slice *text, const char *set)
{
    if (text->len == 0 || text->ptr[0] == '\0' || strchr(set, text->ptr[0]) == NULL)
        return '\0';
    char c = text->ptr[0];
    *text = ferry_slice_skip(*text, 1);
    return c;
}

/* ".123456" to 123; no fraction is 0. False for a dot without digits. */
static bool take_fraction(struct ferry_slice *text, int *milliseconds)
{
    *milliseconds = 0;
    if (!take_one_of(text, "."))
        return true;
    size_t digits = 0;
    for (int unit = 100; digits < text->len && is_digit(text->ptr[digits]); digits++, unit /= 10)
        *milliseconds += unit * (text->ptr[digits] - '0');
    *text = ferry_slice_skip(*text, digits);
    return digits > 0;
}

/* "Z" or "+hh:mm", to minutes east of UTC. */
static bool take_offset(struct ferry_slice *text, int *minutes)
{
    int hour, minute;
    char sign = take_one_of(text, "Zz+-");
    if (sign == 'Z' || sign == 'z') {
        *minutes = 0;
        return true;
    }
    if (sign == '\0' || !take_number(text, 2, 0, 23, &hour) || !take_one_of(text, ":") ||
        !take_number(text, 2, 0, 59, &minute))
        return false;
    *minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

bool ferry_time_parse(struct ferry_slice text, int64_t *wall_ms)
{
    int year, month, day, hour, minute, second, milliseconds, offset;
    if (!take_number(&text, 4, 0, 9999, &year) || !take_one_of(&text, "-") || !take_number(&text, 2, 1, 12, &month) ||
        !take_one_of(&text, "-") || !take_number(&text, 2, 1, month_days(year, month), &day) ||
        !take_one_of(&text, "Tt") || !take_number(&text, 2, 0, 23, &hour) || !take_one_of(&text, ":") ||
        !take_number(&text, 2, 0, 59, &minute) || !take_one_of(&text, ":") || !take_number(&text, 2, 0, 60, &second) ||
        !take_fraction(&text, &milliseconds) || !take_offset(&text, &offset) || text.len != 0)
        return false;
    int64_t minutes =
        days_of((struct date){year, (unsigned)month, (unsigned)day}) * 1440 + INT64_C(60) * hour + minute - offset;
    if (second == 60) {
        /* Leap seconds end a day of UTC, wherever the clock stands. */
        if (((minutes % 1440) + 1440) % 1440 != 1439)
            return false;
        second = 59;
    }
    *wall_ms = (minutes * 60 + second) * 1000 + milliseconds;
    return true;
}
