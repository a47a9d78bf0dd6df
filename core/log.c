#include "core/log.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/clock.h"

enum { LINE_MAX_BYTES = 16 * 1024, LINE_BYTES = 1024 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char *program_name = "ferry";
static enum ferry_log_format line_format = FERRY_LOG_JSON;
static _Atomic int least_level = FERRY_LOG_INFO;
static atomic_bool events_wanted = true;

/* Whole lines of a thread. A pipe takes so many bytes at once without mixing in those of another process. */
static _Thread_local struct {
    bool on;
    size_t len;
    char bytes[PIPE_BUF];
} gathered;

void ferry_log_setup(const char *program, enum ferry_log_format format, enum ferry_log_level least)
{
    program_name = program;
    line_format = format;
    ferry_log_level_set(least);
}

void ferry_log_level_set(enum ferry_log_level least)
{
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

void ferry_log_events_set(bool wanted)
{
    atomic_store_explicit(&events_wanted, wanted, memory_order_relaxed);
}

bool ferry_log_wants_events(void)
{
    return atomic_load_explicit(&events_wanted, memory_order_relaxed) &&
           atomic_load_explicit(&least_level, memory_order_relaxed) <= FERRY_LOG_INFO;
}

bool ferry_log_level_parse(const char *word, enum ferry_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *level = (enum ferry_log_level)i;
            return true;
        }
    }
    return false;
}

/* Names are words of the source: there is nothing to escape. */
static void add_json_member(struct ferry_buffer *line, const char *name, struct ferry_slice value)
{
    ferry_buffer_add(line, FERRY_SLICE(",\""));
    ferry_buffer_add_text(line, name);
    ferry_buffer_add(line, FERRY_SLICE("\":"));
    ferry_buffer_add_json_string(line, value);
}

static void add_json_line(struct ferry_buffer *line, enum ferry_log_level level, const char *time, const char *message,
                          const struct ferry_field *fields)
{
    ferry_buffer_add_text(line, "{\"ts\":\"");
    ferry_buffer_add_text(line, time);
    ferry_buffer_add_char(line, '"');
    add_json_member(line, "level", ferry_slice_from(level_names[level]));
    add_json_member(line, "program", ferry_slice_from(program_name));
    add_json_member(line, "msg", ferry_slice_from(message));
    for (; fields->name != NULL; fields++) {
        if (fields->is_number)
            ferry_buffer_printf(line, ",\"%s\":%lld", fields->name, (long long)fields->number);
        else
            add_json_member(line, fields->name, fields->text);
    }
    ferry_buffer_add_text(line, "}\n");
}

/* A value for people: bare when it is one plain word, else as a JSON string, which escapes every control character. */
static void add_text_value(struct ferry_buffer *line, struct ferry_slice value)
{
    bool plain = value.len > 0;
    for (size_t i = 0; i < value.len && plain; i++)
        plain = value.ptr[i] > ' ' && value.ptr[i] < 0x7f && value.ptr[i] != '"' && value.ptr[i] != '\\';
    if (plain)
        ferry_buffer_add(line, value);
    else
        ferry_buffer_add_json_string(line, value);
}

/* The message comes from the program's own source, but may quote: what JSON would escape is escaped here too. */
static void add_text_message(struct ferry_buffer *line, const char *message)
{
    for (; *message != '\0'; message++) {
        unsigned char c = (unsigned char)*message;
        if (c < 0x20 || c == 0x7f)
            ferry_buffer_printf(line, "\\x%02x", c);
        else
            ferry_buffer_add_char(line, (char)c);
    }
}

static void add_text_line(struct ferry_buffer *line, enum ferry_log_level level, const char *time, const char *message,
                          const struct ferry_field *fields)
{
    ferry_buffer_printf(line, "%s %-5s %s: ", time, level_names[level], program_name);
    add_text_message(line, message);
    for (; fields->name != NULL; fields++) {
        ferry_buffer_printf(line, " %s=", fields->name);
        if (fields->is_number)
            ferry_buffer_printf(line, "%lld", (long long)fields->number);
        else
            add_text_value(line, fields->text);
    }
    ferry_buffer_add_char(line, '\n');
}

/* One write for whole lines, so that lines of threads and of processes that share a file never mix. What stderr does
 * not take is lost: a log that blocks or fails must not stop the traffic. */
static void write_lines(const char *bytes, size_t len)
{
    ssize_t written;
    do
        written = write(STDERR_FILENO, bytes, len);
    while (written < 0 && errno == EINTR);
}

static void write_kept(void)
{
    if (gathered.len > 0)
        write_lines(gathered.bytes, gathered.len);
    gathered.len = 0;
}

/* What is worth a warning is never kept: it may be the last that is heard. */
static void put_line(enum ferry_log_level level, const struct ferry_buffer *line)
{
    bool at_once = !gathered.on || level >= FERRY_LOG_WARN || line->len > sizeof gathered.bytes;
    if (at_once || gathered.len + line->len > sizeof gathered.bytes)
        write_kept();
    if (at_once) {
        write_lines(line->ptr, line->len);
        return;
    }
    memcpy(gathered.bytes + gathered.len, line->ptr, line->len);
    gathered.len += line->len;
}

void ferry_log_gather(void)
{
    gathered.on = true;
}

void ferry_log_write_gathered(void)
{
    gathered.on = false;
    write_kept();
}

void ferry_log(enum ferry_log_level level, const char *message, const struct ferry_field *fields)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    char time[FERRY_TIME_TEXT];
    ferry_time_format(ferry_clock_wall_ms(), time);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, LINE_MAX_BYTES);
    ferry_buffer_reserve(&line, LINE_BYTES);
    void (*add)(struct ferry_buffer *, enum ferry_log_level, const char *, const char *, const struct ferry_field *) =
        line_format == FERRY_LOG_JSON ? add_json_line : add_text_line;
    add(&line, level, time, message, fields);
    if (line.failed) { /* too long, or no memory: at least what happened */
        ferry_buffer_clear(&line);
        add(&line, level, time, message, FERRY_FIELDS(ferry_text("note", "fields left out: the line was too long")));
    }
    if (!line.failed)
        put_line(level, &line);
}
