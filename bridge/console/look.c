#include "bridge/console/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/console/conceal.h"
#include "bridge/console/print.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/route.h"
#include "core/survey/selection.h"
#include "core/utf8.h"

enum { LETTERS_A_PARTITION = 100, VALUE_MAX_BYTES = 16 * 1024, LETTER_MAX_BYTES = 512 * 1024, HEADERS_MAX = 64 };

/* ---- topics ---- */

static enum ferry_code list_topics(struct ferry_console_look *look, struct ferry_error *error)
{
    static const struct ferry_selection all = {.event = NULL};
    struct ferry_dlq *dlq = &look->dlq;
    const struct ferry_scan_topic *topics;
    size_t count;
    enum ferry_code code = ferry_scan_topics(dlq->scan, dlq->caller->look_ms, &topics, &count, error);
    if (code != FERRY_OK)
        return code;
    look->topics = ferry_arena_new_array(&dlq->arena, count, sizeof *look->topics);
    if (look->topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct ferry_topics_config *config = &dlq->config->topics;
        bool internal = ferry_route_topic_is_internal(config, ferry_slice_from(topics[i].name));
        if (!internal && !ferry_selection_reads(&all, config, topics[i].name))
            continue;
        struct ferry_console_topic topic = {.name = ferry_arena_text(&dlq->arena, ferry_slice_from(topics[i].name)),
                                            .internal = internal,
                                            .partitions = topics[i].partitions > 0 ? topics[i].partitions : 0};
        if (topic.name == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        look->topics[look->topic_count++] = topic;
    }
    return FERRY_OK;
}

/* How much is in them: one question for the beginnings and one for the ends of all. */
static enum ferry_code measure_topics(struct ferry_console_look *look, struct ferry_error *error)
{
    struct ferry_dlq *dlq = &look->dlq;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < look->topic_count; i++)
        count += (size_t)look->topics[i].partitions;
    struct ferry_span *spans = ferry_arena_new_array(&dlq->arena, count, sizeof *spans);
    int64_t *begins = ferry_arena_new_array(&dlq->arena, count, sizeof *begins);
    int64_t *ends = ferry_arena_new_array(&dlq->arena, count, sizeof *ends);
    if (spans == NULL || begins == NULL || ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < look->topic_count; i++)
        for (int p = 0; p < look->topics[i].partitions; p++)
            spans[at++] = (struct ferry_span){.topic = look->topics[i].name, .partition = p};
    int look_ms = dlq->caller->look_ms;
    enum ferry_code code = ferry_scan_offsets(dlq->scan, spans, count, FERRY_SCAN_EARLIEST, look_ms, begins, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(dlq->scan, spans, count, FERRY_SCAN_END, look_ms, ends, error);
    at = 0;
    for (size_t i = 0; code == FERRY_OK && i < look->topic_count; i++)
        for (int p = 0; p < look->topics[i].partitions; p++, at++) {
            look->topics[i].records += ends[at] - begins[at];
            look->topics[i].end += ends[at];
        }
    return code;
}

/* ---- the look ---- */

enum ferry_code ferry_console_look(struct ferry_console_look *look, const struct ferry_config *config,
                                   struct ferry_properties overrides, const struct ferry_survey_caller *caller,
                                   struct ferry_error *error)
{
    *look = (struct ferry_console_look){.topic_count = 0};
    enum ferry_code code = ferry_dlq_open(config, overrides, caller, &look->dlq, error);
    if (code == FERRY_OK)
        code = list_topics(look, error);
    if (code == FERRY_OK)
        code = measure_topics(look, error);
    if (code == FERRY_OK)
        code = ferry_lag_look(&look->dlq, NULL, &look->lag, error);
    return code;
}

void ferry_console_look_done(struct ferry_console_look *look)
{
    ferry_dlq_done(&look->dlq);
}

static bool ends_with(const char *name, const char *what)
{
    size_t len = strlen(name), what_len = strlen(what);
    return len >= what_len && strcmp(name + len - what_len, what) == 0;
}

uint64_t ferry_console_look_mark(const struct ferry_console_look *look)
{
    uint64_t mark = FERRY_HASH_EMPTY;
    for (size_t i = 0; i < look->topic_count; i++) {
        const char *name = look->topics[i].name;
        if (!look->topics[i].internal || (!ends_with(name, ".dlq") && !ends_with(name, ".operations")))
            continue;
        mark = ferry_hash(mark, ferry_slice_from(name));
        mark = ferry_hash(mark, ferry_slice_of((const char *)&look->topics[i].end, sizeof look->topics[i].end));
    }
    return mark;
}

/* ---- dead letters ---- */

void ferry_console_letters_done(struct ferry_console_letters *letters)
{
    for (size_t i = 0; i < letters->count; i++)
        free(letters->items[i].json);
    letters->count = 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct ferry_letter *one = a, *other = b;
    return (one->note.failed_at_ms < other->note.failed_at_ms) - (one->note.failed_at_ms > other->note.failed_at_ms);
}

static void name_letter(const struct ferry_dlq *dlq, const struct ferry_letter *letter,
                        char name[FERRY_LOOK_LETTER_NAME])
{
    snprintf(name, FERRY_LOOK_LETTER_NAME, "%s/%" PRId32 "/%" PRId64, dlq->queues[letter->queue].worker,
             letter->partition, letter->offset);
}

/* The members that the list and the letter itself have in common. */
static void print_note(const struct ferry_dlq *dlq, const struct ferry_letter *letter, struct ferry_buffer *out)
{
    char name[FERRY_LOOK_LETTER_NAME], redrive[FERRY_LOOK_LETTER_NAME + 32];
    const struct ferry_retry_note *note = &letter->note;
    name_letter(dlq, letter, name);
    snprintf(redrive, sizeof redrive, "ferry dlq redrive %s", name);
    ferry_console_add_plain(out, "letter", name);
    ferry_console_add_plain(out, "worker", dlq->queues[letter->queue].worker);
    ferry_console_add_moment(out, "failed_at", note->failed_at_ms);
    ferry_console_add_text(out, "route", note->route);
    ferry_console_add_text(out, "error", note->error);
    ferry_console_add_text(out, "reason", note->reason);
    ferry_console_add_text(out, "event", letter->event);
    ferry_console_add_number(out, "attempts", note->attempts);
    if (note->route.len > 0) /* else it cannot be redriven */
        ferry_console_add_plain(out, "redrive", redrive);
}

/* Bytes that are no text are only counted; long ones are cut. */
static void add_bytes(struct ferry_buffer *out, const char *name, struct ferry_slice bytes)
{
    char instead[64];
    bool is_text = ferry_utf8_valid(bytes);
    size_t len = bytes.len < VALUE_MAX_BYTES ? bytes.len : VALUE_MAX_BYTES;
    while (len < bytes.len && len > 0 && ((unsigned char)bytes.ptr[len] & 0xC0) == 0x80)
        len--;
    snprintf(instead, sizeof instead, "(%zu bytes that are no text)", bytes.len);
    ferry_console_add_text(out, name, is_text ? ferry_slice_of(bytes.ptr, len) : ferry_slice_from(instead));
}

/* A header's name may tell that its value is secret, so the two are concealed as one text. */
static void add_header(struct ferry_buffer *out, const struct ferry_pair *header)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, VALUE_MAX_BYTES * 2);
    ferry_buffer_add(&line, header->name);
    ferry_buffer_add_text(&line, ": ");
    ferry_buffer_add(&line, header->value);
    add_bytes(out, NULL, line.failed ? header->name : ferry_buffer_slice(&line));
}

static char *print_letter(const struct ferry_dlq *dlq, const struct ferry_letter *letter,
                          const struct ferry_record *record)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, LETTER_MAX_BYTES);
    ferry_console_open(&out, NULL, '{');
    print_note(dlq, letter, &out);
    add_bytes(&out, "key", record->key);
    ferry_console_open(&out, "headers", '[');
    for (size_t i = 0; i < record->header_count && i < HEADERS_MAX; i++)
        add_header(&out, &record->headers[i]);
    ferry_console_close(&out, ']');
    add_bytes(&out, "value", record->value);
    ferry_console_add_number(&out, "bytes", (int64_t)record->value.len);
    ferry_console_add_flag(&out, "cut", record->value.len > VALUE_MAX_BYTES);
    ferry_console_close(&out, '}');
    return ferry_buffer_take(&out);
}

struct keeping {
    const struct ferry_dlq *dlq;
    struct ferry_console_letters *letters;
};

static enum ferry_code keep_letter(void *context, struct ferry_letter *letter, struct ferry_fetched *fetched,
                                   struct ferry_error *error)
{
    (void)error;
    const struct keeping *keeping = context;
    struct ferry_console_letter *kept = &keeping->letters->items[keeping->letters->count];
    if (keeping->letters->count < FERRY_LOOK_LETTERS) {
        name_letter(keeping->dlq, letter, kept->name);
        kept->json = print_letter(keeping->dlq, letter, &fetched->record);
        keeping->letters->count += kept->json != NULL;
    }
    ferry_fetched_free(fetched);
    return FERRY_OK;
}

static void print_letters(const struct ferry_console_look *look, const struct ferry_letters *letters, size_t found,
                          struct ferry_buffer *out)
{
    ferry_console_open(out, "letters", '{');
    ferry_console_add_flag(out, "cut", found > letters->count);
    ferry_console_open(out, "items", '[');
    for (size_t i = 0; i < letters->count; i++) {
        ferry_console_open(out, NULL, '{');
        print_note(&look->dlq, &letters->items[i], out);
        ferry_console_close(out, '}');
    }
    ferry_console_close(out, ']');
    ferry_console_close(out, '}');
}

enum ferry_code ferry_console_look_letters(struct ferry_console_look *look, struct ferry_buffer *out,
                                           struct ferry_console_letters *letters, struct ferry_error *error)
{
    const struct ferry_dlq_filter newest = {
        .from_ms = FERRY_EARLIEST_MS, .to_ms = INT64_MAX, .last = LETTERS_A_PARTITION};
    struct ferry_letters found = {0};
    enum ferry_code code = ferry_dlq_collect(&look->dlq, &newest, &found, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_letters shown = found;
    if (found.count > 0)
        qsort(found.items, found.count, sizeof *found.items, newest_first);
    shown.count = found.count < FERRY_LOOK_LETTERS ? found.count : FERRY_LOOK_LETTERS;
    print_letters(look, &shown, found.count, out);
    ferry_letters_sort(&shown); /* the order in which they are read */
    struct keeping keeping = {&look->dlq, letters};
    return shown.count > 0 ? ferry_dlq_read(&look->dlq, &shown, keep_letter, &keeping, error) : FERRY_OK;
}

/* ---- as JSON ---- */

static void print_topic(const struct ferry_console_topic *topic, struct ferry_buffer *out)
{
    ferry_console_open(out, NULL, '{');
    ferry_console_add_plain(out, "topic", topic->name);
    ferry_console_add_flag(out, "internal", topic->internal);
    ferry_console_add_number(out, "partitions", topic->partitions);
    ferry_console_add_number(out, "records", topic->records);
    ferry_console_close(out, '}');
}

static void print_partitions(const struct ferry_lag_worker *worker, struct ferry_buffer *out)
{
    ferry_console_open(out, "behind", '[');
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct ferry_lag_partition *partition = &worker->partitions[i];
        if (partition->lag == 0)
            continue;
        ferry_console_open(out, NULL, '{');
        ferry_console_add_plain(out, "topic", partition->topic);
        ferry_console_add_number(out, "partition", partition->partition);
        ferry_console_add_number(out, "lag", partition->lag);
        ferry_console_add_moment(out, "oldest", partition->oldest_ms);
        ferry_console_close(out, '}');
    }
    ferry_console_close(out, ']');
}

static void print_worker(const struct ferry_lag_worker *worker, struct ferry_buffer *out)
{
    ferry_console_open(out, NULL, '{');
    ferry_console_add_plain(out, "worker", worker->name);
    ferry_console_add_plain(out, "group", worker->group);
    ferry_console_add_text(out, "state", worker->state.state);
    ferry_console_add_number(out, "members", (int64_t)worker->state.member_count);
    ferry_console_add_number(out, "lag", worker->lag);
    ferry_console_add_moment(out, "oldest", worker->oldest_ms);
    ferry_console_add_number(out, "retries", worker->retries_waiting);
    ferry_console_add_number(out, "letters", worker->dead_letters);
    print_partitions(worker, out);
    ferry_console_close(out, '}');
}

static void print_retry(const char *worker, const struct ferry_retry_group *group, struct ferry_buffer *out)
{
    ferry_console_open(out, NULL, '{');
    ferry_console_add_plain(out, "worker", worker);
    ferry_console_add_text(out, "route", ferry_slice_from(group->route));
    ferry_console_add_text(out, "error", ferry_slice_from(group->error));
    ferry_console_add_text(out, "reason", ferry_slice_from(group->reason));
    ferry_console_add_number(out, "waiting", group->waiting);
    ferry_console_add_moment(out, "since", group->since_ms);
    ferry_console_add_moment(out, "due", group->due_ms);
    ferry_console_add_number(out, "attempts", group->attempts);
    ferry_console_close(out, '}');
}

static void print_route(const char *worker, const struct ferry_route_config *route, const struct ferry_flow *flow,
                        struct ferry_buffer *out)
{
    const struct ferry_flow_route *last = ferry_flow_route(flow, worker, route->name);
    ferry_console_open(out, NULL, '{');
    ferry_console_add_plain(out, "worker", worker);
    ferry_console_add_plain(out, "route", route->name);
    ferry_console_open(out, "events", '[');
    for (size_t i = 0; i < route->events.count; i++)
        ferry_console_add_plain(out, NULL, route->events.items[i]);
    ferry_console_close(out, ']');
    ferry_console_add_moment(out, "last", last != NULL ? last->at_ms : 0);
    ferry_console_add_text(out, "event", ferry_slice_from(last != NULL ? last->event : NULL));
    ferry_console_add_number(out, "delay", last != NULL ? last->delay_ms : -1);
    ferry_console_add_flag(out, "doubtful", last != NULL && last->doubtful);
    ferry_console_add_number(out, "effects", last != NULL ? last->count : 0);
    ferry_console_close(out, '}');
}

static void print_routes(const struct ferry_console_look *look, const struct ferry_flow *flow, struct ferry_buffer *out)
{
    ferry_console_open(out, "routes", '[');
    for (const char *const *worker = ferry_worker_names; *worker != NULL; worker++) {
        const struct ferry_route_config *route;
        for (size_t i = 0; (route = ferry_config_route(look->dlq.config, *worker, i)) != NULL; i++)
            print_route(*worker, route, flow, out);
    }
    ferry_console_close(out, ']');
}

void ferry_console_look_print(const struct ferry_console_look *look, const struct ferry_flow *flow,
                              struct ferry_buffer *out)
{
    ferry_console_open(out, "topics", '[');
    for (size_t i = 0; i < look->topic_count; i++)
        print_topic(&look->topics[i], out);
    ferry_console_close(out, ']');
    ferry_console_open(out, "workers", '[');
    for (size_t i = 0; i < look->lag.worker_count; i++)
        print_worker(&look->lag.workers[i], out);
    ferry_console_close(out, ']');
    print_routes(look, flow, out);
    ferry_console_open(out, "retries", '[');
    for (size_t w = 0; w < look->lag.worker_count; w++)
        for (size_t i = 0; i < look->lag.workers[w].retry_count; i++)
            print_retry(look->lag.workers[w].name, &look->lag.workers[w].retries[i], out);
    ferry_console_close(out, ']');
}
