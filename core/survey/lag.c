/* Looking at the workers' groups from outside. A worker reads the topics where the events of its routes can lie; of
 * each partition that is not at its end the first record that is not settled is fetched, for its age. */
#include "core/survey/lag.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/hash.h"
#include "core/survey/selection.h"

enum { QUIET_MS = 8000 };

/* What a configuration says of a worker. */
struct worker {
    const char *name;
    const struct ferry_worker_config *config;
};

/* ---- which partitions ---- */

static enum ferry_code any_glob_reads(const struct ferry_config *config, const struct worker *worker, const char *topic,
                                      bool *reads, struct ferry_error *error)
{
    *reads = false;
    const struct ferry_route_config *route;
    for (size_t r = 0; (route = ferry_config_route(config, worker->name, r)) != NULL && !*reads; r++) {
        for (size_t i = 0; i < route->events.count && !*reads; i++) {
            FERRY_CLEANUP(ferry_selection_end) struct ferry_selection selection = {.event = route->events.items[i]};
            enum ferry_code code = ferry_selection_begin(&selection, error);
            if (code != FERRY_OK)
                return code;
            *reads = ferry_selection_reads(&selection, &config->topics, topic);
        }
    }
    return FERRY_OK;
}

static enum ferry_code find_partitions(struct ferry_dlq *dlq, const struct worker *worker, struct ferry_lag_worker *out,
                                       struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t topic_count, room = 0;
    enum ferry_code code = ferry_scan_topics(dlq->scan, dlq->caller->look_ms, &topics, &topic_count, error);
    for (size_t t = 0; code == FERRY_OK && t < topic_count; t++)
        room += (size_t)topics[t].partitions;
    if (code == FERRY_OK)
        out->partitions = ferry_arena_new_array(&dlq->arena, room, sizeof *out->partitions);
    if (code == FERRY_OK && out->partitions == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t t = 0; code == FERRY_OK && t < topic_count; t++) {
        bool reads = false;
        code = any_glob_reads(dlq->config, worker, topics[t].name, &reads, error);
        const char *name = reads ? ferry_arena_text(&dlq->arena, ferry_slice_from(topics[t].name)) : NULL;
        for (int p = 0; name != NULL && p < topics[t].partitions; p++)
            out->partitions[out->partition_count++] =
                (struct ferry_lag_partition){.topic = name, .partition = p, .committed = -1};
    }
    return code;
}

/* ---- where the group stands ---- */

/* The commits of its partitions and, behind them, of the partitions of the retry topic. */
static enum ferry_code look_at_group(struct ferry_dlq *dlq, const struct ferry_dlq_queue *queue,
                                     struct ferry_lag_worker *out, struct ferry_partition **retry,
                                     struct ferry_error *error)
{
    size_t retries = (size_t)queue->retry_partitions, count = out->partition_count + retries;
    struct ferry_partition *list = ferry_arena_new_array(&dlq->arena, count, sizeof *list);
    if (list == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < out->partition_count; i++)
        list[i] = (struct ferry_partition){out->partitions[i].topic, out->partitions[i].partition, -1};
    for (size_t i = 0; i < retries; i++)
        list[out->partition_count + i] = (struct ferry_partition){queue->retry, (int32_t)i, -1};
    enum ferry_code code = ferry_group_look(dlq->config->kafka, dlq->overrides, out->group, list, count,
                                            dlq->caller->look_ms, &dlq->arena, &out->state, error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < out->partition_count; i++)
        out->partitions[i].committed = list[i].offset;
    *retry = list + out->partition_count;
    return FERRY_OK;
}

/* ---- reading ---- */

/* Fills in the present bounds of the spans: from their `next` (-1: from the beginning), but not before the first record
 * that is still there, to their end. */
static enum ferry_code bound_spans(struct ferry_dlq *dlq, struct ferry_span *spans, size_t count,
                                   struct ferry_error *error)
{
    int64_t *begins = ferry_arena_new_array(&dlq->arena, count, sizeof *begins);
    int64_t *ends = ferry_arena_new_array(&dlq->arena, count, sizeof *ends);
    if (begins == NULL || ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code =
        ferry_scan_offsets(dlq->scan, spans, count, FERRY_SCAN_EARLIEST, dlq->caller->look_ms, begins, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(dlq->scan, spans, count, FERRY_SCAN_END, dlq->caller->look_ms, ends, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++) {
        spans[i].next = spans[i].next > begins[i] ? spans[i].next : begins[i];
        spans[i].end = ends[i];
    }
    return code;
}

/* ---- lag and age ---- */

static enum ferry_code note_oldest(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    (void)error;
    struct ferry_lag_worker *worker = context;
    int64_t written_ms = found->fetched->record.timestamp_ms;
    worker->partitions[found->span].oldest_ms = written_ms;
    if (worker->oldest_ms == 0 || written_ms < worker->oldest_ms)
        worker->oldest_ms = written_ms;
    ferry_fetched_free(found->fetched);
    return FERRY_OK;
}

/* A group without any commit begins at the ends when it starts: nothing waits for it. */
static bool begins_now(const struct worker *worker, const struct ferry_lag_worker *found)
{
    bool committed = false;
    for (size_t i = 0; i < found->partition_count; i++)
        committed |= found->partitions[i].committed >= 0;
    return !committed && worker->config->start == FERRY_START_NOW;
}

static enum ferry_code measure(struct ferry_dlq *dlq, const struct worker *worker, struct ferry_lag_worker *out,
                               struct ferry_error *error)
{
    bool at_ends = begins_now(worker, out);
    struct ferry_span *spans = ferry_arena_new_array(&dlq->arena, out->partition_count, sizeof *spans);
    if (spans == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < out->partition_count; i++)
        spans[i] = (struct ferry_span){.topic = out->partitions[i].topic,
                                       .partition = out->partitions[i].partition,
                                       .next = out->partitions[i].committed};
    enum ferry_code code = bound_spans(dlq, spans, out->partition_count, error);
    for (size_t i = 0; code == FERRY_OK && i < out->partition_count; i++) {
        struct ferry_lag_partition *partition = &out->partitions[i];
        partition->end = spans[i].end;
        if (!at_ends && spans[i].end > spans[i].next)
            partition->lag = spans[i].end - spans[i].next;
        out->lag += partition->lag;
        spans[i].end = partition->lag > 0 ? spans[i].next + 1 : spans[i].next; /* the first one alone */
    }
    const struct ferry_visitor visitor = {"", QUIET_MS, note_oldest, out};
    return code == FERRY_OK ? ferry_survey_read(dlq->scan, spans, out->partition_count, &visitor, dlq->caller, error)
                            : code;
}

/* ---- retries ---- */

static void copy_text(char *out, size_t room, struct ferry_slice text)
{
    snprintf(out, room, "%.*s", FERRY_SLICE_ARGS(text));
}

/* The group of an entry or of a failed attempt, made where there is none yet. */
static int group_of(struct ferry_retry_tally *tally, const struct ferry_retry_note *note)
{
    char route[FERRY_RETRY_NAME], error[FERRY_RETRY_NAME];
    size_t i = 0;
    copy_text(route, sizeof route, note->route);
    copy_text(error, sizeof error, note->error);
    while (i < tally->group_count &&
           (strcmp(tally->groups[i].route, route) != 0 || strcmp(tally->groups[i].error, error) != 0))
        i++;
    if (i == FERRY_RETRY_GROUPS)
        return -1;
    if (i == tally->group_count) {
        struct ferry_retry_group *group = &tally->groups[tally->group_count++];
        *group = (struct ferry_retry_group){.waiting = 0};
        memcpy(group->route, route, sizeof route);
        memcpy(group->error, error, sizeof error);
    }
    copy_text(tally->groups[i].reason, sizeof tally->groups[i].reason, note->reason);
    return (int)i;
}

static uint64_t hash_entry(const struct ferry_retry_note *note)
{
    char place[64];
    int len = snprintf(place, sizeof place, "/%d/%lld/", (int)note->origin.partition, (long long)note->origin.offset);
    uint64_t hash = ferry_hash(FERRY_HASH_EMPTY, note->origin.topic);
    return ferry_hash(ferry_hash(hash, ferry_slice_of(place, (size_t)len)), note->route);
}

void ferry_retry_tally_add(struct ferry_retry_tally *tally, const struct ferry_record *record)
{
    struct ferry_retry_note note;
    if (ferry_retry_read(record, &note, NULL) != FERRY_OK)
        return;
    if (tally->count == tally->room) {
        size_t room = tally->room * 2 + 256;
        struct ferry_retry_mark *grown = reallocarray(tally->marks, room, sizeof *grown);
        tally->failed |= grown == NULL;
        if (grown == NULL)
            return;
        tally->marks = grown;
        tally->room = room;
    }
    tally->marks[tally->count] =
        (struct ferry_retry_mark){.entry = hash_entry(&note),
                                  .order = tally->count,
                                  .kind = note.kind,
                                  .group = note.kind == FERRY_RETRY_DONE ? -1 : group_of(tally, &note),
                                  .attempts = note.attempts,
                                  .since_ms = note.first_failure_ms,
                                  .due_ms = note.due_ms};
    tally->count++;
}

static int by_entry(const void *a, const void *b)
{
    const struct ferry_retry_mark *one = a, *other = b;
    if (one->entry != other->entry)
        return one->entry < other->entry ? -1 : 1;
    return (one->order > other->order) - (one->order < other->order);
}

static void count_in(struct ferry_retry_tally *tally, const struct ferry_retry_mark *mark)
{
    if (mark->group < 0)
        return;
    struct ferry_retry_group *group = &tally->groups[mark->group];
    bool first = group->waiting++ == 0;
    group->since_ms = first || mark->since_ms < group->since_ms ? mark->since_ms : group->since_ms;
    group->due_ms = first || mark->due_ms < group->due_ms ? mark->due_ms : group->due_ms;
    group->attempts = mark->attempts > group->attempts ? mark->attempts : group->attempts;
}

/* An entry is what its last record says, as long as the entry itself was seen: an `again` alone belongs to one that was
 * settled before the first record that is read. */
int64_t ferry_retry_tally_count(struct ferry_retry_tally *tally)
{
    int64_t waiting = 0;
    bool seen = false;
    if (tally->count > 0)
        qsort(tally->marks, tally->count, sizeof *tally->marks, by_entry);
    for (size_t i = 0; i < tally->count; i++) {
        const struct ferry_retry_mark *mark = &tally->marks[i];
        seen = mark->kind == FERRY_RETRY_ENTRY || (seen && i > 0 && tally->marks[i - 1].entry == mark->entry);
        bool last = i + 1 == tally->count || tally->marks[i + 1].entry != mark->entry;
        if (!last || !seen || mark->kind == FERRY_RETRY_DONE)
            continue;
        waiting++;
        count_in(tally, mark);
    }
    return waiting;
}

void ferry_retry_tally_done(struct ferry_retry_tally *tally)
{
    free(tally->marks);
    *tally = (struct ferry_retry_tally){0};
}

static enum ferry_code note_retry(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    (void)error;
    ferry_retry_tally_add(context, &found->fetched->record);
    ferry_fetched_free(found->fetched);
    return FERRY_OK;
}

/* Those that something waits in. */
static bool keep_groups(struct ferry_dlq *dlq, const struct ferry_retry_tally *tally, struct ferry_lag_worker *out)
{
    struct ferry_retry_group *groups = ferry_arena_new_array(&dlq->arena, tally->group_count, sizeof *groups);
    for (size_t i = 0; groups != NULL && i < tally->group_count; i++)
        if (tally->groups[i].waiting > 0)
            groups[out->retry_count++] = tally->groups[i];
    out->retries = groups;
    return groups != NULL;
}

/* From where the group stands: everything before is settled. */
static enum ferry_code count_retries(struct ferry_dlq *dlq, const struct ferry_dlq_queue *queue,
                                     const struct ferry_partition *commits, struct ferry_lag_worker *out,
                                     struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_retry_tally_done) struct ferry_retry_tally tally = {0};
    size_t count = (size_t)queue->retry_partitions;
    struct ferry_span *spans = ferry_arena_new_array(&dlq->arena, count, sizeof *spans);
    if (spans == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        spans[i] = (struct ferry_span){.topic = queue->retry, .partition = (int32_t)i, .next = commits[i].offset};
    const struct ferry_visitor visitor = {"", QUIET_MS, note_retry, &tally};
    enum ferry_code code = bound_spans(dlq, spans, count, error);
    if (code == FERRY_OK)
        code = ferry_survey_read(dlq->scan, spans, count, &visitor, dlq->caller, error);
    if (code == FERRY_OK && tally.failed)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code != FERRY_OK)
        return code;
    out->retries_waiting = ferry_retry_tally_count(&tally);
    return keep_groups(dlq, &tally, out) ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* ---- all of it ---- */

static enum ferry_code look_at(struct ferry_dlq *dlq, const struct worker *worker, const struct ferry_dlq_queue *queue,
                               struct ferry_lag_worker *out, struct ferry_error *error)
{
    struct ferry_partition *retry = NULL;
    *out = (struct ferry_lag_worker){.name = worker->name, .group = worker->config->group};
    enum ferry_code code = find_partitions(dlq, worker, out, error);
    if (code == FERRY_OK)
        code = look_at_group(dlq, queue, out, &retry, error);
    if (code == FERRY_OK)
        code = measure(dlq, worker, out, error);
    if (code == FERRY_OK)
        code = count_retries(dlq, queue, retry, out, error);
    return code;
}

enum ferry_code ferry_lag_look(struct ferry_dlq *dlq, const char *worker, struct ferry_lag *out,
                               struct ferry_error *error)
{
    const struct ferry_config *config = dlq->config;
    const struct worker workers[FERRY_DLQ_QUEUES] = {
        {"slack", &config->slack.worker}, {"mail", &config->mail.worker}, {"automation", &config->automation.worker}};
    struct ferry_lag lag = {.worker_count = 0};
    int64_t letters[FERRY_DLQ_QUEUES] = {0};
    enum ferry_code code = ferry_dlq_count(dlq, letters, error);
    for (size_t i = 0; code == FERRY_OK && i < FERRY_DLQ_QUEUES; i++) {
        if (!workers[i].config->present || (worker != NULL && strcmp(worker, workers[i].name) != 0))
            continue;
        struct ferry_lag_worker *one = &lag.workers[lag.worker_count++];
        code = look_at(dlq, &workers[i], &dlq->queues[i], one, error);
        one->dead_letters = letters[i];
    }
    if (code == FERRY_OK)
        *out = lag;
    return code;
}
