/* ferry dlq list, and show. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/mask.h"
#include "core/program.h"
#include "core/utf8.h"
#include "ferry/console.h"
#include "ferry/dlq.h"
#include "ferry/table.h"

enum { OUTPUT_BYTES = 256 << 20, REASON_CHARACTERS = 60, INDENT = 2 };

static int fail(const struct ferry_error *error)
{
    fprintf(stderr, "ferry: %s\n", error->text);
    return FERRY_EXIT_FAILED;
}

static struct ferry_slice number(int64_t value, char out[FERRY_AMOUNT_TEXT])
{
    return ferry_slice_of(out, (size_t)snprintf(out, FERRY_AMOUNT_TEXT, "%" PRId64, value));
}

static struct ferry_slice moment(int64_t wall_ms, char out[FERRY_TIME_TEXT])
{
    return ferry_slice_of(out, ferry_time_format(wall_ms, out));
}

/* ---- as JSON ---- */

void ferry_dlq_print_letter(const struct ferry_dlq *dlq, const struct ferry_letter *letter, struct ferry_buffer *out)
{
    char name[FERRY_LETTER_NAME], failed_at[FERRY_TIME_TEXT], origin[FERRY_LETTER_NAME];
    const struct ferry_retry_note *note = &letter->note;
    snprintf(origin, sizeof origin, "%.*s/%" PRId32 "/%" PRId64, FERRY_SLICE_ARGS(note->origin.topic),
             note->origin.partition, note->origin.offset);
    ferry_buffer_add_char(out, '{');
    ferry_json_add_text(out, "letter", ferry_slice_from(ferry_letter_name(dlq, letter, name)));
    ferry_json_add_text(out, "worker", ferry_slice_from(dlq->queues[letter->queue].worker));
    ferry_json_add_text(out, "failed_at", moment(note->failed_at_ms, failed_at));
    ferry_json_add_text(out, "route", note->route);
    ferry_json_add_text(out, "error", note->error);
    ferry_json_add_text(out, "reason", note->reason);
    ferry_json_add_text(out, "event", letter->event);
    ferry_json_add_text(out, "origin", ferry_slice_from(note->origin.topic.ptr != NULL ? origin : NULL));
    ferry_json_add_text(out, "state", ferry_slice_from(ferry_letter_state_name(letter->state)));
    ferry_buffer_printf(out, "\"attempts\": %d", note->attempts);
}

/* ---- list ---- */

static void print_letters(const struct ferry_dlq *dlq, const struct ferry_letters *letters, bool states)
{
    static const struct ferry_column columns[] = {{"letter", false}, {"failed at", false}, {"route", false},
                                                  {"error", false},  {"tries", true},      {"event", false},
                                                  {"reason", false}, {"state", false}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    ferry_table_init(&table, columns, states ? 8 : 7);
    for (size_t i = 0; i < letters->count; i++) {
        const struct ferry_letter *letter = &letters->items[i];
        char name[FERRY_LETTER_NAME], at[FERRY_TIME_TEXT], tries[FERRY_AMOUNT_TEXT], cut[REASON_CHARACTERS + 4];
        struct ferry_slice reason = letter->note.reason;
        if (reason.len > REASON_CHARACTERS) {
            size_t len = REASON_CHARACTERS;
            while (len > 0 && ((unsigned char)reason.ptr[len] & 0xC0) == 0x80)
                len--;
            reason = ferry_slice_of(cut, (size_t)snprintf(cut, sizeof cut, "%.*s…", (int)len, reason.ptr));
        }
        const struct ferry_slice cells[] = {ferry_slice_from(ferry_letter_name(dlq, letter, name)),
                                            moment(letter->note.failed_at_ms, at),
                                            letter->note.route.len > 0 ? letter->note.route : FERRY_SLICE("-"),
                                            letter->note.error,
                                            number(letter->note.attempts, tries),
                                            letter->event.len > 0 ? letter->event : FERRY_SLICE("-"),
                                            reason,
                                            ferry_slice_from(ferry_letter_state_name(letter->state))};
        ferry_table_add(&table, cells);
    }
    ferry_table_print(&table, stdout);
}

static int by_kind(const void *a, const void *b)
{
    const struct ferry_letter *one = *(const struct ferry_letter *const *)a,
                              *other = *(const struct ferry_letter *const *)b;
    if (one->queue != other->queue)
        return one->queue < other->queue ? -1 : 1;
    size_t len = one->note.error.len < other->note.error.len ? one->note.error.len : other->note.error.len;
    int order = len > 0 ? memcmp(one->note.error.ptr, other->note.error.ptr, len) : 0;
    return order != 0 ? order
                      : (one->note.error.len > other->note.error.len) - (one->note.error.len < other->note.error.len);
}

/* By worker and error. */
static void print_counts(const struct ferry_dlq *dlq, const struct ferry_letters *letters)
{
    const struct ferry_letter **sorted = calloc(letters->count + 1, sizeof *sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < letters->count; i++)
        sorted[i] = &letters->items[i];
    qsort(sorted, letters->count, sizeof *sorted, by_kind);
    printf("%s%zu dead letter%s\n", letters->count > 0 ? "\n" : "", letters->count, letters->count == 1 ? "" : "s");
    for (size_t i = 0, first = 0; i < letters->count; i++)
        if (i + 1 == letters->count || by_kind(&sorted[i], &sorted[i + 1]) != 0) {
            FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer error;
            ferry_buffer_init(&error, 4096);
            ferry_terminal_add(&error, sorted[i]->note.error, false);
            printf("%7zu  %s %s\n", i + 1 - first, dlq->queues[sorted[i]->queue].worker,
                   ferry_buffer_slice(&error).ptr);
            first = i + 1;
        }
    free(sorted);
}

static void print_array(const struct ferry_dlq *dlq, const struct ferry_letters *letters)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUTPUT_BYTES);
    for (size_t i = 0; i < letters->count; i++) {
        ferry_buffer_clear(&out);
        ferry_dlq_print_letter(dlq, &letters->items[i], &out);
        printf("%s%s}", i > 0 ? ",\n " : "[", out.failed ? "{" : out.ptr);
    }
    puts(letters->count > 0 ? "]" : "[]");
}

int ferry_dlq_list(struct ferry_dlq *dlq, const struct ferry_dlq_request *request)
{
    struct ferry_letters letters = {0};
    struct ferry_error error;
    if (ferry_dlq_collect(dlq, &request->filter, &letters, &error) != FERRY_OK)
        return fail(&error);
    if (request->json) {
        print_array(dlq, &letters);
        return FERRY_EXIT_DONE;
    }
    print_letters(dlq, &letters, request->filter.all);
    print_counts(dlq, &letters);
    return FERRY_EXIT_DONE;
}

/* ---- show ---- */

/* JSON that was found to be valid: only strings, brackets and separators are looked at. */
static void add_line(struct ferry_buffer *out, int depth)
{
    ferry_buffer_printf(out, "\n%*s", depth * INDENT, "");
}

/* `at` is at a quote; where the string ends. */
static size_t end_of_string(struct ferry_slice text, size_t at)
{
    for (at++; text.ptr[at] != '"'; at++)
        at += text.ptr[at] == '\\';
    return at + 1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_empty(struct ferry_slice text, size_t at)
{
    for (at++; is_space(text.ptr[at]);)
        at++;
    return text.ptr[at] == ']' || text.ptr[at] == '}';
}

static void indent(struct ferry_slice text, struct ferry_buffer *out)
{
    int depth = 0;
    for (size_t at = 0, end; at < text.len; at = end) {
        char c = text.ptr[at];
        end = c == '"' ? end_of_string(text, at) : at + 1;
        if (is_space(c))
            continue;
        bool closes = c == ']' || c == '}', opens = c == '[' || c == '{';
        if (closes && out->len > 0 && out->ptr[out->len - 1] != '[' && out->ptr[out->len - 1] != '{')
            add_line(out, depth - 1);
        ferry_buffer_add(out, ferry_slice_of(text.ptr + at, end - at));
        depth += opens - closes;
        if (c == ',' || (opens && !is_empty(text, at)))
            add_line(out, depth);
        if (c == ':')
            ferry_buffer_add_char(out, ' ');
    }
}

void ferry_dlq_print_pretty(struct ferry_slice text, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_json value;
    struct ferry_error error;
    if (ferry_json_scan(text, &arena, &value, NULL, &error) == FERRY_OK)
        indent(value.text, out);
    else
        ferry_buffer_add(out, text);
}

struct showing {
    const struct ferry_dlq *dlq;
    const struct ferry_dlq_request *request;
};

/* Masked unless that was asked for. NULL when memory ran out; the caller frees it. */
static char *readable(const struct showing *showing, struct ferry_slice text, size_t *len)
{
    size_t room = text.len * 4 + 1;
    char *out = malloc(room);
    if (out == NULL)
        return NULL;
    if (showing->request->unmasked) {
        if (text.len > 0)
            memcpy(out, text.ptr, text.len);
        out[text.len] = '\0';
        *len = text.len;
    } else {
        *len = ferry_mask_addresses(text, out, room);
    }
    return out;
}

static void add_readable(const struct showing *showing, struct ferry_slice text, struct ferry_buffer *out)
{
    size_t len = 0;
    char *copy = readable(showing, text, &len);
    if (copy != NULL)
        ferry_terminal_add(out, ferry_slice_of(copy, len), true);
    free(copy);
}

static void print_text(const struct showing *showing, const struct ferry_letter *letter,
                       const struct ferry_record *record)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out, value;
    ferry_buffer_init(&out, OUTPUT_BYTES);
    ferry_buffer_init(&value, OUTPUT_BYTES);
    char name[FERRY_LETTER_NAME];
    ferry_buffer_printf(&out, "letter  %s (%s)\nkey     ", ferry_letter_name(showing->dlq, letter, name),
                        ferry_letter_state_name(letter->state));
    add_readable(showing, record->key, &out);
    ferry_buffer_add_text(&out, "\n\n");
    for (size_t i = 0; i < record->header_count; i++) {
        ferry_terminal_add(&out, record->headers[i].name, false);
        ferry_buffer_add_text(&out, ": ");
        add_readable(showing, record->headers[i].value, &out);
        ferry_buffer_add_char(&out, '\n');
    }
    ferry_buffer_add_char(&out, '\n');
    if (ferry_utf8_valid(record->value)) {
        ferry_dlq_print_pretty(record->value, &value);
        add_readable(showing, ferry_buffer_slice(&value), &out);
    } else {
        ferry_buffer_printf(&out, "(%zu bytes that are no text; --json shows them as Base64)", record->value.len);
    }
    puts(out.failed ? "(out of memory)" : ferry_buffer_slice(&out).ptr);
}

static void add_bytes(const struct showing *showing, const char *name, struct ferry_slice bytes,
                      struct ferry_buffer *out)
{
    bool text = ferry_utf8_valid(bytes);
    size_t len = 0;
    char *copy = text ? readable(showing, bytes, &len) : NULL;
    ferry_buffer_printf(out, "\"%s%s\": ", name, bytes.ptr == NULL || text ? "" : "_base64");
    if (bytes.ptr == NULL || (text && copy == NULL)) {
        ferry_buffer_add_text(out, "null");
    } else if (text) {
        ferry_buffer_add_json_string(out, ferry_slice_of(copy, len));
    } else {
        ferry_buffer_add_char(out, '"');
        ferry_base64_encode(bytes, out);
        ferry_buffer_add_char(out, '"');
    }
    free(copy);
}

static void print_json(const struct showing *showing, const struct ferry_letter *letter,
                       const struct ferry_record *record)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUTPUT_BYTES);
    ferry_dlq_print_letter(showing->dlq, letter, &out);
    ferry_buffer_add_text(&out, ", ");
    add_bytes(showing, "key", record->key, &out);
    ferry_buffer_add_text(&out, ", \"headers\": [");
    for (size_t i = 0; i < record->header_count; i++) {
        ferry_buffer_add_text(&out, i > 0 ? ", {\"name\": " : "{\"name\": ");
        ferry_buffer_add_json_string(&out, record->headers[i].name);
        ferry_buffer_add_text(&out, ", ");
        add_bytes(showing, "value", record->headers[i].value, &out);
        ferry_buffer_add_char(&out, '}');
    }
    ferry_buffer_add_text(&out, "], ");
    add_bytes(showing, "value", record->value, &out);
    ferry_buffer_add_char(&out, '}');
    puts(out.failed ? "null" : out.ptr);
}

static enum ferry_code show(void *context, struct ferry_letter *letter, struct ferry_fetched *fetched,
                            struct ferry_error *error)
{
    const struct showing *showing = context;
    (void)error;
    (showing->request->json ? print_json : print_text)(showing, letter, &fetched->record);
    ferry_fetched_free(fetched);
    return FERRY_OK;
}

int ferry_dlq_show(struct ferry_dlq *dlq, const struct ferry_dlq_request *request)
{
    struct ferry_letters letters = {0};
    struct ferry_dlq_filter filter = request->filter;
    struct showing showing = {dlq, request};
    struct ferry_error error;
    filter.all = true;
    if (ferry_dlq_collect(dlq, &filter, &letters, &error) != FERRY_OK ||
        ferry_dlq_read(dlq, &letters, show, &showing, &error) != FERRY_OK)
        return fail(&error);
    return FERRY_EXIT_DONE;
}
