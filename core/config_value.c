/* Scalars by kind: durations, sizes, words, addresses, jq … Each kind is one function in the table at the end. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/config_reader.h"
#include "core/names.h"
#include "core/template.h"
#include "core/words.h"

/* ---- numbers and units ---- */

/* Digits alone, without sign; false when there are none or too many. */
static bool parse_digits(struct ferry_slice text, int64_t *out)
{
    int64_t number = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        number = number * 10 + (text.ptr[i] - '0');
    }
    *out = number;
    return true;
}

static bool parse_number(struct ferry_slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    int64_t number;
    if (!parse_digits(negative ? ferry_slice_skip(text, 1) : text, &number))
        return false;
    *out = negative ? -number : number;
    return true;
}

struct unit {
    const char *name;
    int64_t size;
};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40},
};
enum { TIME_UNITS = sizeof time_units / sizeof time_units[0], SIZE_UNITS = sizeof size_units / sizeof size_units[0] };

/* A number and a unit without a blank between: 10s, 64KiB. */
static bool parse_with_unit(struct ferry_slice text, const struct unit *units, size_t unit_count, int64_t *out)
{
    size_t digits = 0;
    int64_t number;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!parse_digits(ferry_slice_of(text.ptr, digits), &number))
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (!ferry_slice_is(ferry_slice_skip(text, digits), units[i].name))
            continue;
        return !__builtin_mul_overflow(number, units[i].size, out);
    }
    return false;
}

static bool in_range(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                     const struct ferry_config_value *value, int64_t number)
{
    const struct ferry_config_range *range = option->about;
    if (range == NULL || (number >= range->least && number <= range->most))
        return true;
    ferry_config_error(reader, value->place, "%s is out of range, allowed is %s", ferry_config_show(reader, value),
                       range->text);
    return false;
}

static void expected(struct ferry_config_reader *reader, const struct ferry_config_value *value, const char *what)
{
    ferry_config_error(reader, value->place, "%s is not %s", ferry_config_show(reader, value), what);
}

static void read_integer(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                         const struct ferry_config_value *value, void *out)
{
    int64_t number;
    if (!parse_number(value->text, &number))
        expected(reader, value, "a whole number");
    else if (in_range(reader, option, value, number))
        *(int *)out = (int)number;
}

static void read_count(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                       const struct ferry_config_value *value, void *out)
{
    int64_t number;
    if (!parse_number(value->text, &number))
        expected(reader, value, "a whole number");
    else if (in_range(reader, option, value, number))
        *(int64_t *)out = number;
}

static void read_duration(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                          const struct ferry_config_value *value, void *out)
{
    bool may_be_off = (option->flags & FERRY_OPTION_OFF) != 0;
    int64_t ms = 0;
    if (may_be_off && ferry_slice_is(value->text, "off"))
        *(int64_t *)out = 0;
    else if (!parse_with_unit(value->text, time_units, TIME_UNITS, &ms))
        expected(reader, value,
                 may_be_off ? "a duration like 250ms 10s 5m 1h 7d, or off" : "a duration like 250ms 10s 5m 1h 7d");
    else if (in_range(reader, option, value, ms))
        *(int64_t *)out = ms;
}

static void read_size(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    int64_t bytes;
    if (!parse_with_unit(value->text, size_units, SIZE_UNITS, &bytes))
        expected(reader, value, "a size like 512B 64KiB 10MiB 1GiB");
    else if (in_range(reader, option, value, bytes))
        *(int64_t *)out = bytes;
}

/* 10/1m: ten in a minute. */
static void read_rate(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    const char *slash = memchr(value->text.ptr, '/', value->text.len);
    size_t at = slash != NULL ? (size_t)(slash - value->text.ptr) : value->text.len;
    struct ferry_rate rate;
    (void)option;
    if (slash == NULL || !parse_digits(ferry_slice_of(value->text.ptr, at), &rate.events) ||
        !parse_with_unit(ferry_slice_skip(value->text, at + 1), time_units, TIME_UNITS, &rate.window_ms) ||
        rate.events == 0 || rate.window_ms == 0)
        expected(reader, value, "a rate like 10/1m (ten in a minute) or 1000/1s");
    else
        *(struct ferry_rate *)out = rate;
}

/* ---- words and texts ---- */

static void read_flag(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    (void)option;
    if (ferry_slice_is(value->text, "true") || ferry_slice_is(value->text, "false"))
        *(bool *)out = value->text.ptr[0] == 't';
    else
        expected(reader, value, "true or false");
}

enum { WORDS_MAX = 16 };

static void refuse_word(struct ferry_config_reader *reader, const struct ferry_config_word *words,
                        const struct ferry_config_value *value)
{
    const char *known[WORDS_MAX];
    char list[256] = "";
    size_t count = 0, len = 0;
    for (; words[count].word != NULL && count < WORDS_MAX && len < sizeof list; count++) {
        known[count] = words[count].word;
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", count > 0 ? " | " : "", words[count].word);
    }
    const char *nearest = value->origin == NULL ? ferry_words_nearest(value->text.ptr, known, count) : NULL;
    if (nearest != NULL)
        ferry_config_error(reader, value->place, "%s is unknown, did you mean %s? Allowed is %s",
                           ferry_config_show(reader, value), nearest, list);
    else
        ferry_config_error(reader, value->place, "%s is unknown, allowed is %s", ferry_config_show(reader, value),
                           list);
}

static void read_word(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    const struct ferry_config_word *words = option->about;
    for (const struct ferry_config_word *at = words; at->word != NULL; at++) {
        if (ferry_slice_is(value->text, at->word)) {
            *(int *)out = at->value;
            return;
        }
    }
    refuse_word(reader, words, value);
}

static void read_switch(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_config_value *value, void *out)
{
    int word = -1;
    read_word(reader, option, value, &word);
    if (word >= 0)
        *(bool *)out = word != 0;
}

static void read_text(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    const struct ferry_config_shape *shape = option->about;
    if (shape != NULL && !shape->good(value->text))
        expected(reader, value, shape->expected);
    else if (value->text.len == 0)
        ferry_config_error(reader, value->place, "is empty");
    else
        *(const char **)out = value->text.ptr;
}

static void read_path(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_config_value *value, void *out)
{
    (void)option;
    if (value->text.len == 0)
        ferry_config_error(reader, value->place, "is empty");
    else
        *(const char **)out = ferry_config_join(reader, reader->absolute, value->text.ptr);
}

/* ---- addresses ---- */

static bool is_host(struct ferry_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '-')
            return false;
    }
    return host.len <= 253;
}

static bool is_ipv6(struct ferry_slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len == 0 || host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* host:port, [ipv6]:port or :port */
static bool split_address(struct ferry_slice text, struct ferry_slice *host, int64_t *port)
{
    const char *colon = memrchr(text.ptr, ':', text.len);
    if (colon == NULL)
        return false;
    size_t at = (size_t)(colon - text.ptr);
    *host = ferry_slice_of(text.ptr, at);
    if (!parse_digits(ferry_slice_skip(text, at + 1), port) || *port > 65535)
        return false;
    if (host->len < 2 || host->ptr[0] != '[')
        return is_host(*host);
    *host = ferry_slice_of(host->ptr + 1, host->len - 2);
    return text.ptr[at - 1] == ']' && is_ipv6(*host);
}

static void read_address(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                         const struct ferry_config_value *value, void *out)
{
    struct ferry_slice host;
    int64_t port;
    (void)option;
    if (!split_address(value->text, &host, &port)) {
        expected(reader, value, "an address like 127.0.0.1:8080, [::1]:8080 or :8080");
        return;
    }
    struct ferry_address address = {.text = value->text.ptr, .port = (uint16_t)port};
    address.host = ferry_arena_text(&reader->memory->arena, host);
    if (address.host == NULL)
        reader->failed = true;
    else
        *(struct ferry_address *)out = address;
}

/* ---- jq ---- */

/* jq counts lines from the beginning of the program and says ", line N" at the end; the file's line is that many
 * further down, and stands before the message. */
static void report_jq(struct ferry_config_reader *reader, struct ferry_place place, char *message)
{
    static const char mark[] = ", line ";
    char *last = NULL, *end = NULL;
    for (char *at = strstr(message, mark); at != NULL; at = strstr(at + 1, mark))
        last = at;
    long line = last != NULL ? strtol(last + strlen(mark), &end, 10) : 0;
    if (line > 0 && line < 100000 && *end == '\0') {
        place.line += (int)line - 1;
        *last = '\0';
    }
    ferry_config_error(reader, place, "%s", message);
}

static void keep_source(struct ferry_config_reader *reader, const struct ferry_config_value *value, void *out)
{
    reader->names |= ferry_names_mentioned(value->text.ptr);
    *(struct ferry_source *)out = (struct ferry_source){.text = value->text.ptr, .place = value->place};
}

static void read_expression(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                            const struct ferry_config_value *value, void *out)
{
    struct ferry_error error = {0};
    struct ferry_expression *compiled = NULL;
    (void)option;
    keep_source(reader, value, out);
    if (ferry_slice_trim(value->text).len == 0)
        ferry_config_error(reader, value->place, "is empty, expected is a jq expression like .resource.name");
    else if (reader->own && ferry_expression_new(value->text.ptr, &compiled, &error) != FERRY_OK)
        report_jq(reader, value->place, error.text);
    ferry_expression_free(compiled);
}

static void read_template(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                          const struct ferry_config_value *value, void *out)
{
    const struct ferry_config_escape *escape = option->about;
    struct ferry_error error = {0};
    struct ferry_template *compiled = NULL;
    keep_source(reader, value, out);
    if (value->text.len == 0)
        ferry_config_error(reader, value->place, "is empty, expected is text with \\( … ) holes");
    else if (reader->own &&
             ferry_template_new(value->text.ptr, (enum ferry_escape)escape->escape, &compiled, &error) != FERRY_OK)
        report_jq(reader, value->place, error.text);
    ferry_template_free(compiled);
}

/* ---- others ---- */

static void read_secret(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_config_value *value, void *out)
{
    (void)option;
    if (value->text.len == 0)
        ferry_config_error(reader, value->place, "%s is empty", value->origin);
    else
        *(struct ferry_secret *)out = (struct ferry_secret){(char *)value->text.ptr, value->text.len};
}

static void read_env_file(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                          const struct ferry_config_value *value, void *out)
{
    read_path(reader, option, value, out);
    if (value->text.len > 0)
        ferry_config_read_env_file(reader, ferry_config_join(reader, reader->directory, value->text.ptr), value->place);
}

bool ferry_config_parse_status(struct ferry_slice text, struct ferry_status_range *out)
{
    int64_t number;
    if (text.len != 3 || text.ptr[0] < '1' || text.ptr[0] > '5')
        return false;
    if (ferry_slice_is(ferry_slice_skip(text, 1), "xx")) {
        int first = (text.ptr[0] - '0') * 100;
        *out = (struct ferry_status_range){first, first + 99};
        return true;
    }
    if (!parse_digits(text, &number))
        return false;
    *out = (struct ferry_status_range){(int)number, (int)number};
    return true;
}

void ferry_config_read_value(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                             const struct ferry_config_value *value, void *out)
{
    static void (*const readers[])(struct ferry_config_reader *, const struct ferry_config_option *,
                                   const struct ferry_config_value *, void *) = {
        [FERRY_KIND_TEXT] = read_text,
        [FERRY_KIND_FLAG] = read_flag,
        [FERRY_KIND_INTEGER] = read_integer,
        [FERRY_KIND_COUNT] = read_count,
        [FERRY_KIND_DURATION] = read_duration,
        [FERRY_KIND_SIZE] = read_size,
        [FERRY_KIND_WORD] = read_word,
        [FERRY_KIND_SWITCH] = read_switch,
        [FERRY_KIND_RATE] = read_rate,
        [FERRY_KIND_ADDRESS] = read_address,
        [FERRY_KIND_PATH] = read_path,
        [FERRY_KIND_SECRET] = read_secret,
        [FERRY_KIND_EXPRESSION] = read_expression,
        [FERRY_KIND_TEMPLATE] = read_template,
        [FERRY_KIND_ENV_FILE] = read_env_file,
    };
    readers[option->kind](reader, option, value, out);
}
