/* Which dead letters there are: the topics are read from their beginning, which takes what it takes; what is kept of a
 * letter are its marks alone, so that a hundred thousand letters of 900 KiB fit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/route.h"
#include "core/survey/dlq.h"
#include "core/survey/journal.h"

enum { QUIET_MS = 10000 };
#define BEFORE_MS INT64_C(3600000) /* clocks of workers may differ: --from begins to read so much earlier */

/* ---- the topics ---- */

static int partitions_of(const struct ferry_scan_topic *topics, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, name) == 0)
            return topics[i].partitions;
    return 0;
}

static const char *name_topic(struct ferry_dlq *dlq, const char *worker, const char *what)
{
    char name[512];
    int len = snprintf(name, sizeof name, "%s.%s.%s", dlq->config->topics.internal, worker, what);
    const char *copy = ferry_arena_text(&dlq->arena, ferry_slice_of(name, (size_t)len));
    return copy != NULL ? copy : "";
}

enum ferry_code ferry_dlq_open(const struct ferry_config *config, struct ferry_properties overrides,
                               const struct ferry_survey_caller *caller, struct ferry_dlq *dlq,
                               struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t count;
    *dlq = (struct ferry_dlq){.config = config, .overrides = overrides, .caller = caller};
    enum ferry_code code = ferry_scan_open(config->kafka, overrides, &dlq->scan, error);
    if (code == FERRY_OK)
        code = ferry_scan_topics(dlq->scan, dlq->caller->look_ms, &topics, &count, error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < FERRY_DLQ_QUEUES; i++) {
        const char *worker = ferry_worker_names[i];
        const char *topic = name_topic(dlq, worker, "dlq"), *retry = name_topic(dlq, worker, "retry");
        dlq->queues[i] = (struct ferry_dlq_queue){worker, topic, partitions_of(topics, count, topic), retry,
                                                  partitions_of(topics, count, retry)};
    }
    return FERRY_OK;
}

void ferry_dlq_done(struct ferry_dlq *dlq)
{
    ferry_scan_close(dlq->scan);
    ferry_arena_done(&dlq->arena);
}

const char *ferry_letter_name(const struct ferry_dlq *dlq, const struct ferry_letter *letter,
                              char out[FERRY_LETTER_NAME])
{
    snprintf(out, FERRY_LETTER_NAME, "%.280s/%" PRId32 "/%" PRId64, dlq->queues[letter->queue].topic, letter->partition,
             letter->offset);
    return out;
}

/* ---- lists of letters ---- */

static int by_place(const void *a, const void *b)
{
    const struct ferry_letter *one = a, *other = b;
    if (one->queue != other->queue)
        return one->queue < other->queue ? -1 : 1;
    if (one->partition != other->partition)
        return one->partition < other->partition ? -1 : 1;
    return (one->offset > other->offset) - (one->offset < other->offset);
}

void ferry_letters_sort(struct ferry_letters *letters)
{
    if (letters->count > 0)
        qsort(letters->items, letters->count, sizeof *letters->items, by_place);
}

static struct ferry_letter *find_letter(const struct ferry_letters *letters, const struct ferry_letter *wanted)
{
    return letters->count > 0 ? bsearch(wanted, letters->items, letters->count, sizeof *letters->items, by_place)
                              : NULL;
}

/* A copy at the end; NULL when memory ran out. */
static struct ferry_letter *append(struct ferry_arena *arena, struct ferry_letters *letters,
                                   const struct ferry_letter *letter)
{
    if (letters->count == letters->room) {
        size_t room = letters->room > 0 ? letters->room * 2 : 256;
        struct ferry_letter *grown = ferry_arena_new_array(arena, room, sizeof *grown);
        if (grown == NULL)
            return NULL;
        if (letters->count > 0)
            memcpy(grown, letters->items, letters->count * sizeof *grown);
        letters->items = grown;
        letters->room = room;
    }
    letters->items[letters->count] = *letter;
    return &letters->items[letters->count++];
}

/* "/NUMBER" at `*at`, which moves behind it. */
static bool take_number(const char **at, int64_t least, int64_t most, int64_t *number)
{
    char *end;
    if (**at != '/')
        return false;
    errno = 0;
    int64_t value = strtoll(*at + 1, &end, 10);
    if (end == *at + 1 || errno != 0 || value < least || value > most)
        return false;
    *at = end;
    *number = value;
    return true;
}

bool ferry_letter_parse(struct ferry_dlq *dlq, const char *name, struct ferry_letters *letters)
{
    struct ferry_letter letter = {0};
    size_t len = strcspn(name, "/");
    const char *at = name + len;
    int64_t partition;
    while (letter.queue < FERRY_DLQ_QUEUES &&
           !ferry_slice_is(ferry_slice_of(name, len), dlq->queues[letter.queue].topic) &&
           !ferry_slice_is(ferry_slice_of(name, len), dlq->queues[letter.queue].worker))
        letter.queue++;
    if (letter.queue == FERRY_DLQ_QUEUES || strlen(at) > 32 || !take_number(&at, INT32_MIN, INT32_MAX, &partition) ||
        !take_number(&at, INT64_MIN, INT64_MAX, &letter.offset) || *at != '\0')
        return false;
    letter.partition = (int32_t)partition;
    return append(&dlq->arena, letters, &letter) != NULL;
}

/* ---- what is to be read ---- */

static bool is_meant(const struct ferry_dlq_filter *filter, const struct ferry_dlq_queue *queue)
{
    return queue->partitions > 0 && (filter->worker == NULL || strcmp(filter->worker, queue->worker) == 0);
}

/* Only what is named, from the first to the last. */
static void clip(const struct ferry_dlq *dlq, const struct ferry_letters *named, struct ferry_span *span)
{
    int64_t first = INT64_MAX, last = -1;
    for (size_t i = 0; i < named->count; i++) {
        const struct ferry_letter *letter = &named->items[i];
        if (letter->partition != span->partition || strcmp(dlq->queues[letter->queue].topic, span->topic) != 0)
            continue;
        first = letter->offset < first ? letter->offset : first;
        last = letter->offset > last ? letter->offset : last;
    }
    if (named->count == 0)
        return;
    span->next = first > span->next ? first : span->next;
    span->end = last + 1 < span->end ? last + 1 : span->end;
    if (span->end < span->next)
        span->end = span->next;
}

/* Every partition of the workers that are meant, from `from_ms` on, to its present end. */
static enum ferry_code find_spans(struct ferry_dlq *dlq, const struct ferry_dlq_filter *filter, struct ferry_span **out,
                                  size_t *out_count, struct ferry_error *error)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < FERRY_DLQ_QUEUES; i++)
        count += is_meant(filter, &dlq->queues[i]) ? (size_t)dlq->queues[i].partitions : 0;
    struct ferry_span *spans = ferry_arena_new_array(&dlq->arena, count, sizeof *spans);
    int64_t *begins = ferry_arena_new_array(&dlq->arena, count, sizeof *begins);
    int64_t *ends = ferry_arena_new_array(&dlq->arena, count, sizeof *ends);
    if (spans == NULL || begins == NULL || ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < FERRY_DLQ_QUEUES; i++)
        for (int p = 0; is_meant(filter, &dlq->queues[i]) && p < dlq->queues[i].partitions; p++)
            spans[at++] = (struct ferry_span){.topic = dlq->queues[i].topic, .partition = p};
    int64_t from_ms = filter->from_ms > BEFORE_MS ? filter->from_ms - BEFORE_MS : FERRY_SCAN_EARLIEST;
    enum ferry_code code = ferry_scan_offsets(dlq->scan, spans, count, from_ms, dlq->caller->look_ms, begins, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(dlq->scan, spans, count, FERRY_SCAN_END, dlq->caller->look_ms, ends, error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < count; i++) {
        spans[i].next = begins[i];
        spans[i].end = ends[i];
        if (filter->last > 0 && ends[i] - begins[i] > filter->last)
            spans[i].next = ends[i] - filter->last;
        clip(dlq, &filter->named, &spans[i]);
    }
    *out = spans;
    *out_count = count;
    return FERRY_OK;
}

static size_t queue_of(const struct ferry_dlq *dlq, struct ferry_slice topic)
{
    size_t i = 0;
    while (i + 1 < FERRY_DLQ_QUEUES && !ferry_slice_is(topic, dlq->queues[i].topic))
        i++;
    return i;
}

/* ---- collecting ---- */

bool ferry_dlq_takes(const struct ferry_dlq_filter *filter, const struct ferry_dlq *dlq,
                     const struct ferry_letter *letter)
{
    const struct ferry_retry_note *note = &letter->note;
    return (filter->worker == NULL || strcmp(filter->worker, dlq->queues[letter->queue].worker) == 0) &&
           (filter->reason == NULL || ferry_slice_is(note->error, filter->reason)) &&
           (filter->route == NULL || ferry_slice_is(note->route, filter->route)) &&
           (filter->event == NULL || ferry_glob_match(filter->event, letter->event)) &&
           note->failed_at_ms >= filter->from_ms && note->failed_at_ms < filter->to_ms;
}

static bool is_named(const struct ferry_dlq_filter *filter, const struct ferry_letter *letter)
{
    return filter->named.count == 0 || find_letter(&filter->named, letter) != NULL;
}

struct collection {
    struct ferry_dlq *dlq;
    const struct ferry_dlq_filter *filter;
    struct ferry_letters *letters;
    int64_t seen, total;
};

/* Another CloudEvents producer's event has no canonical name with it: its type stands in. */
static struct ferry_slice event_of(const struct ferry_record *record)
{
    struct ferry_slice name = ferry_record_header(record, "ferry-event");
    return name.ptr != NULL ? name : ferry_record_header(record, "ce_type");
}

static bool keep(struct collection *collection, const struct ferry_letter *letter)
{
    struct ferry_arena *arena = &collection->dlq->arena;
    struct ferry_letter *kept = append(arena, collection->letters, letter);
    if (kept == NULL)
        return false;
    struct ferry_slice *const texts[] = {&kept->event, &kept->note.route, &kept->note.error, &kept->note.reason,
                                         &kept->note.origin.topic};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ferry_slice text = *texts[i];
        *texts[i] = text.ptr != NULL ? ferry_arena_slice(arena, text) : text;
        if (text.ptr != NULL && texts[i]->ptr == NULL)
            return false;
    }
    return true;
}

static enum ferry_code collect(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    struct collection *collection = context;
    const struct ferry_record *record = &found->fetched->record;
    struct ferry_letter letter = {.queue = queue_of(collection->dlq, record->topic),
                                  .partition = record->partition,
                                  .offset = record->offset,
                                  .event = event_of(record)};
    struct ferry_error why = {.text = ""};
    if (ferry_retry_read_letter(record, &letter.note, &why) != FERRY_OK)
        letter.note = (struct ferry_retry_note){.failed_at_ms = record->timestamp_ms,
                                                .error = ferry_slice_from(ferry_code_name(FERRY_RECORD_INVALID)),
                                                .reason = ferry_slice_from(why.text)};
    enum ferry_code code = FERRY_OK;
    if (ferry_dlq_takes(collection->filter, collection->dlq, &letter) && is_named(collection->filter, &letter) &&
        !keep(collection, &letter))
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    ferry_fetched_free(found->fetched);
    if (++collection->seen < collection->total)
        ferry_survey_progress(collection->dlq->caller, collection->seen, collection->total);
    return code;
}

static void leave_out_handled(struct ferry_letters *letters)
{
    size_t kept = 0;
    for (size_t i = 0; i < letters->count; i++)
        if (letters->items[i].state == FERRY_LETTER_OPEN)
            letters->items[kept++] = letters->items[i];
    letters->count = kept;
}

struct application {
    const struct ferry_dlq *dlq;
    struct ferry_letters *letters;
};

static void apply(void *context, const struct json_t *record)
{
    const struct application *application = context;
    ferry_dlq_apply(application->dlq, record, application->letters);
}

/* All or nothing: a name that is no letter's is a slip. */
static enum ferry_code check_names(const struct ferry_dlq *dlq, const struct ferry_dlq_filter *filter,
                                   const struct ferry_letters *letters, struct ferry_error *error)
{
    char name[FERRY_LETTER_NAME];
    for (size_t i = 0; i < filter->named.count; i++)
        if (find_letter(letters, &filter->named.items[i]) == NULL)
            return ferry_fail(error, FERRY_NOT_FOUND,
                              "there is no dead letter %s that the filters take; `ferry dlq list` shows them",
                              ferry_letter_name(dlq, &filter->named.items[i], name));
    return FERRY_OK;
}

enum ferry_code ferry_dlq_collect(struct ferry_dlq *dlq, const struct ferry_dlq_filter *filter,
                                  struct ferry_letters *letters, struct ferry_error *error)
{
    struct ferry_span *spans;
    size_t count;
    enum ferry_code code = find_spans(dlq, filter, &spans, &count, error);
    if (code != FERRY_OK)
        return code;
    struct collection collection = {.dlq = dlq, .filter = filter, .letters = letters};
    for (size_t i = 0; i < count; i++)
        collection.total += spans[i].end - spans[i].next;
    const struct ferry_visitor visitor = {"dead letters: ", QUIET_MS, collect, &collection};
    code = ferry_survey_read(dlq->scan, spans, count, &visitor, dlq->caller, error);
    ferry_survey_progress(dlq->caller, collection.total, collection.total);
    if (code != FERRY_OK)
        return code;
    if (letters->count > 0) {
        ferry_letters_sort(letters);
        struct application application = {dlq, letters};
        code = ferry_journal_read(dlq->scan, &dlq->config->topics, NULL, dlq->caller, apply, &application, error);
    }
    if (code == FERRY_OK)
        code = check_names(dlq, filter, letters, error);
    if (code == FERRY_OK && !filter->all)
        leave_out_handled(letters);
    return code;
}

/* ---- reading them again ---- */

struct reading {
    const struct ferry_dlq *dlq;
    const struct ferry_letters *letters;
    ferry_dlq_visit *visit;
    void *context;
};

static enum ferry_code pass_on(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    struct reading *reading = context;
    struct ferry_fetched *fetched = found->fetched;
    const struct ferry_letter wanted = {.queue = queue_of(reading->dlq, fetched->record.topic),
                                        .partition = fetched->record.partition,
                                        .offset = fetched->record.offset};
    struct ferry_letter *letter = find_letter(reading->letters, &wanted);
    if (letter != NULL)
        return reading->visit(reading->context, letter, fetched, error);
    ferry_fetched_free(fetched);
    return FERRY_OK;
}

enum ferry_code ferry_dlq_read(struct ferry_dlq *dlq, const struct ferry_letters *letters, ferry_dlq_visit *visit,
                               void *context, struct ferry_error *error)
{
    struct ferry_span *spans = ferry_arena_new_array(&dlq->arena, letters->count, sizeof *spans);
    size_t count = 0;
    if (spans == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < letters->count; i++) { /* sorted: from the first of a partition to the last */
        const struct ferry_letter *letter = &letters->items[i], *before = i > 0 ? letter - 1 : NULL;
        if (before == NULL || before->queue != letter->queue || before->partition != letter->partition)
            spans[count++] = (struct ferry_span){
                .topic = dlq->queues[letter->queue].topic, .partition = letter->partition, .next = letter->offset};
        spans[count - 1].end = letter->offset + 1;
    }
    struct reading reading = {dlq, letters, visit, context};
    const struct ferry_visitor visitor = {"dead letters: ", QUIET_MS, pass_on, &reading};
    return ferry_survey_read(dlq->scan, spans, count, &visitor, dlq->caller, error);
}

/* ---- counting ---- */

/* A stretch of offsets that was handled, of one span. */
struct stretch {
    size_t span;
    int64_t from, to; /* without `to` */
};

struct tally {
    const struct ferry_dlq *dlq;
    const struct ferry_span *spans;
    size_t span_count;
    struct stretch *stretches;
    size_t count, room;
    bool failed;
};

static bool make_room(struct tally *tally)
{
    if (tally->count < tally->room)
        return true;
    size_t room = tally->room * 2 + 64;
    struct stretch *grown = reallocarray(tally->stretches, room, sizeof *grown);
    if (grown == NULL)
        return false;
    tally->stretches = grown;
    tally->room = room;
    return true;
}

/* What of it is still there. */
static void note_range(void *context, const struct ferry_dlq_range *range)
{
    struct tally *tally = context;
    for (size_t i = 0; i < tally->span_count && !tally->failed; i++) {
        const struct ferry_span *span = &tally->spans[i];
        if (span->partition != range->partition || strcmp(span->topic, tally->dlq->queues[range->queue].topic) != 0)
            continue;
        int64_t from = range->first > span->next ? range->first : span->next;
        int64_t to = range->last < span->end ? range->last + 1 : span->end;
        tally->failed = from < to && !make_room(tally);
        if (from < to && !tally->failed)
            tally->stretches[tally->count++] = (struct stretch){i, from, to};
    }
}

static void note_record(void *context, const struct json_t *record)
{
    struct tally *tally = context;
    ferry_dlq_walk(tally->dlq, record, note_range, tally);
}

static int by_begin(const void *a, const void *b)
{
    const struct stretch *one = a, *other = b;
    if (one->span != other->span)
        return one->span < other->span ? -1 : 1;
    return (one->from > other->from) - (one->from < other->from);
}

/* Each offset once, though stretches overlap. */
static void take_off(const struct tally *tally, int64_t counts[FERRY_DLQ_QUEUES])
{
    int64_t reached = 0;
    for (size_t i = 0; i < tally->count; i++) {
        const struct stretch *stretch = &tally->stretches[i];
        if (i == 0 || stretch->span != tally->stretches[i - 1].span)
            reached = stretch->from;
        int64_t from = stretch->from > reached ? stretch->from : reached;
        if (stretch->to <= from)
            continue;
        counts[queue_of(tally->dlq, ferry_slice_from(tally->spans[stretch->span].topic))] -= stretch->to - from;
        reached = stretch->to;
    }
}

enum ferry_code ferry_dlq_count(struct ferry_dlq *dlq, int64_t counts[FERRY_DLQ_QUEUES], struct ferry_error *error)
{
    const struct ferry_dlq_filter any = {.from_ms = FERRY_EARLIEST_MS, .to_ms = INT64_MAX};
    struct ferry_span *spans = NULL;
    struct tally tally = {.dlq = dlq};
    int64_t found[FERRY_DLQ_QUEUES] = {0};
    enum ferry_code code = find_spans(dlq, &any, &spans, &tally.span_count, error);
    if (code != FERRY_OK)
        return code;
    tally.spans = spans;
    for (size_t i = 0; i < tally.span_count; i++)
        found[queue_of(dlq, ferry_slice_from(spans[i].topic))] += spans[i].end - spans[i].next;
    if (tally.span_count > 0)
        code = ferry_journal_read(dlq->scan, &dlq->config->topics, NULL, dlq->caller, note_record, &tally, error);
    if (code == FERRY_OK && tally.failed)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK) {
        if (tally.count > 0)
            qsort(tally.stretches, tally.count, sizeof *tally.stretches, by_begin);
        take_off(&tally, found);
        memcpy(counts, found, sizeof found);
    }
    free(tally.stretches);
    return code;
}
