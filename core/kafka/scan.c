/* A client in nobody's group. The spans are the caller's; beside them stands an index sorted by topic and partition,
 * because librdkafka hands records out by name. Most batches are of one partition, so the last span is looked at first.
 *
 * A span is over when a record at or behind its end comes, or when the end of the partition does: an end was looked up
 * before, so a partition that ends earlier has lost what was between (retention, compaction, markers of transactions).
 * A span that is over is paused, so that the others get the whole fetch. */
#include "core/kafka/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/kafka/common.h"
#include "core/kafka/consumer_private.h"

enum { BATCH = 1000, LOOK_AGAIN_MS = 200 };

struct ferry_scan {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    const struct rd_kafka_metadata *metadata; /* what `topics` borrows from; NULL: none */
    struct ferry_scan_topic *topics;

    struct ferry_span *spans;
    size_t *sorted; /* indexes into `spans` */
    size_t count;
    size_t open; /* spans that are not over */
    size_t last; /* the span of the last record */
    bool broken; /* memory ran out: a record is missing */
    char problem[256];
    char told[256];
    rd_kafka_message_t *batch[BATCH];
};

static const struct ferry_kafka_setting defaults[] = {
    {"group.id", "ferry-reader"}, /* librdkafka wants a name; a group of that name never comes to be */
    {"allow.auto.create.topics", "false"},
    {"topic.metadata.refresh.interval.ms", "10000"},
    {NULL, NULL},
};

enum ferry_code ferry_scan_open(struct ferry_properties common, struct ferry_properties overrides,
                                struct ferry_scan **out, struct ferry_error *error)
{
    struct ferry_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_reader_client(defaults, common, overrides, &scan->client, error);
    if (code != FERRY_OK) {
        free(scan);
        return code;
    }
    scan->queue = rd_kafka_queue_get_consumer(scan->client);
    *out = scan;
    return FERRY_OK;
}

static void forget_topics(struct ferry_scan *scan)
{
    if (scan->metadata != NULL)
        rd_kafka_metadata_destroy(scan->metadata);
    free(scan->topics);
    scan->metadata = NULL;
    scan->topics = NULL;
}

void ferry_scan_close(struct ferry_scan *scan)
{
    if (scan == NULL)
        return;
    forget_topics(scan);
    rd_kafka_queue_destroy(scan->queue);
    rd_kafka_destroy_flags(scan->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(scan->sorted);
    free(scan);
}

/* ---- looking up ---- */

static enum ferry_code no_broker(const struct ferry_scan *scan, const char *words, struct ferry_error *error)
{
    char servers[256] = "";
    ferry_kafka_value(scan->client, "bootstrap.servers", servers, sizeof servers);
    return ferry_fail(error, FERRY_KAFKA, "no Kafka broker answered at %s: %s", servers, words);
}

static int by_name(const void *a, const void *b)
{
    const struct ferry_scan_topic *one = a, *other = b;
    return strcmp(one->name, other->name);
}

enum ferry_code ferry_scan_topics(struct ferry_scan *scan, int timeout_ms, const struct ferry_scan_topic **topics,
                                  size_t *count, struct ferry_error *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t failed = rd_kafka_metadata(scan->client, 1, NULL, &metadata, timeout_ms);
    if (failed)
        return no_broker(scan, rd_kafka_err2str(failed), error);
    forget_topics(scan);
    scan->metadata = metadata;
    scan->topics = calloc((size_t)metadata->topic_cnt + 1, sizeof *scan->topics);
    if (scan->topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (int i = 0; i < metadata->topic_cnt; i++)
        scan->topics[i] = (struct ferry_scan_topic){metadata->topics[i].topic, metadata->topics[i].partition_cnt};
    qsort(scan->topics, (size_t)metadata->topic_cnt, sizeof *scan->topics, by_name);
    *topics = scan->topics;
    *count = (size_t)metadata->topic_cnt;
    return FERRY_OK;
}

static rd_kafka_topic_partition_list_t *list_of(const struct ferry_span *spans, size_t count, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, spans[i].topic, spans[i].partition)->offset = offset;
    return list;
}

/* One question about all partitions, asked again while one of them has no leader. */
static enum ferry_code look_up(struct ferry_scan *scan, const struct ferry_span *spans, size_t count, int64_t when_ms,
                               int64_t deadline_ms, int64_t *offsets, struct ferry_error *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
    for (;;) {
        int64_t left_ms = deadline_ms - ferry_clock_mono_ms();
        rd_kafka_topic_partition_list_t *list = list_of(spans, count, when_ms);
        rd_kafka_resp_err_t failed = rd_kafka_offsets_for_times(scan->client, list, left_ms > 1 ? (int)left_ms : 1);
        if (!failed)
            failed = ferry_kafka_list_error(list);
        for (size_t i = 0; !failed && i < count; i++)
            offsets[i] = list->elems[i].offset;
        rd_kafka_topic_partition_list_destroy(list);
        if (!failed)
            return FERRY_OK;
        if (failed == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            return ferry_fail(error, FERRY_KAFKA, "not allowed: Read and Describe on the event topics are needed");
        if (ferry_clock_mono_ms() + LOOK_AGAIN_MS >= deadline_ms)
            return no_broker(scan, rd_kafka_err2str(failed), error);
        nanosleep(&pause, NULL);
    }
}

/* Nothing at that time or later is told as "the end", without a number. */
static enum ferry_code number_ends(struct ferry_scan *scan, const struct ferry_span *spans, size_t count,
                                   int64_t deadline_ms, int64_t *offsets, struct ferry_error *error)
{
    bool missing = false;
    for (size_t i = 0; i < count; i++)
        missing |= offsets[i] < 0;
    if (!missing)
        return FERRY_OK;
    int64_t *ends = calloc(count, sizeof *ends);
    if (ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = look_up(scan, spans, count, FERRY_SCAN_END, deadline_ms, ends, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        if (offsets[i] < 0)
            offsets[i] = ends[i];
    free(ends);
    return code;
}

enum ferry_code ferry_scan_offsets(struct ferry_scan *scan, const struct ferry_span *spans, size_t count,
                                   int64_t when_ms, int timeout_ms, int64_t *offsets, struct ferry_error *error)
{
    int64_t deadline_ms = ferry_clock_mono_ms() + timeout_ms;
    int64_t *found = calloc(count + 1, sizeof *found);
    if (found == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = FERRY_OK;
    if (count > 0)
        code = look_up(scan, spans, count, when_ms, deadline_ms, found, error);
    if (code == FERRY_OK)
        code = number_ends(scan, spans, count, deadline_ms, found, error);
    if (code == FERRY_OK)
        memcpy(offsets, found, count * sizeof *found);
    free(found);
    return code;
}

/* ---- the spans ---- */

static int compare(const char *topic, int32_t partition, const struct ferry_span *span)
{
    int order = strcmp(topic, span->topic);
    return order != 0 ? order : (partition > span->partition) - (partition < span->partition);
}

static int by_place(const void *a, const void *b, void *context)
{
    const struct ferry_span *spans = context;
    const struct ferry_span *one = &spans[*(const size_t *)a];
    return compare(one->topic, one->partition, &spans[*(const size_t *)b]);
}

/* The span of a record, or NULL. */
static struct ferry_span *find(struct ferry_scan *scan, const char *topic, int32_t partition)
{
    if (scan->last < scan->count && compare(topic, partition, &scan->spans[scan->last]) == 0)
        return &scan->spans[scan->last];
    size_t low = 0, high = scan->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(topic, partition, &scan->spans[scan->sorted[middle]]);
        if (order == 0) {
            scan->last = scan->sorted[middle];
            return &scan->spans[scan->last];
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

enum ferry_code ferry_scan_begin(struct ferry_scan *scan, struct ferry_span *spans, size_t count,
                                 struct ferry_error *error)
{
    size_t *sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = i;
        if (spans[i].next < spans[i].end)
            rd_kafka_topic_partition_list_add(list, spans[i].topic, spans[i].partition)->offset = spans[i].next;
    }
    qsort_r(sorted, count, sizeof *sorted, by_place, spans);
    rd_kafka_resp_err_t failed = rd_kafka_assign(scan->client, list);
    if (!failed && list->cnt > 0)
        rd_kafka_resume_partitions(scan->client, list); /* a pause outlives its assignment */
    size_t open = (size_t)list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    if (failed) {
        free(sorted);
        return ferry_fail(error, FERRY_KAFKA, "cannot read: %s", rd_kafka_err2str(failed));
    }
    free(scan->sorted);
    scan->sorted = sorted;
    scan->spans = spans;
    scan->count = count;
    scan->open = open;
    return FERRY_OK;
}

/* It is over: the others get the whole fetch. */
static void end_span(struct ferry_scan *scan, struct ferry_span *span)
{
    span->next = span->end;
    scan->open--;
    rd_kafka_topic_partition_list_t *list = list_of(span, 1, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_pause_partitions(scan->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- reading ---- */

/* A copy of the record, or NULL for what is none of a span. */
static struct ferry_fetched *take_record(struct ferry_scan *scan, struct ferry_span *span,
                                         const rd_kafka_message_t *message)
{
    if (message->offset < span->next)
        return NULL;
    if (message->offset >= span->end) {
        end_span(scan, span);
        return NULL;
    }
    struct ferry_fetched *fetched = ferry_fetched_copy(message);
    if (fetched == NULL) {
        scan->broken = true;
        snprintf(scan->problem, sizeof scan->problem, "out of memory");
        return NULL;
    }
    span->next = message->offset + 1;
    if (span->next == span->end)
        end_span(scan, span);
    return fetched;
}

static struct ferry_fetched *take(struct ferry_scan *scan, const rd_kafka_message_t *message)
{
    if (scan->broken)
        return NULL; /* nothing may follow what is missing */
    if (message->rkt == NULL || (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)) {
        snprintf(scan->problem, sizeof scan->problem, "%s%s%s",
                 message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "", message->rkt != NULL ? ": " : "",
                 rd_kafka_err2str(message->err));
        return NULL;
    }
    struct ferry_span *span = find(scan, rd_kafka_topic_name(message->rkt), message->partition);
    if (span == NULL || span->next >= span->end)
        return NULL; /* of an earlier assignment, or behind the end */
    if (!message->err)
        return take_record(scan, span, message);
    if (span->end != FERRY_SPAN_FOLLOW)
        end_span(scan, span);
    return NULL;
}

size_t ferry_scan_poll(struct ferry_scan *scan, int timeout_ms, struct ferry_scanned *out, size_t max)
{
    /* librdkafka waits for a full batch: so the first record is waited for, and then what is there is taken. */
    ssize_t count = rd_kafka_consume_batch_queue(scan->queue, timeout_ms, scan->batch, 1);
    if (count > 0 && max > 1) {
        ssize_t more = rd_kafka_consume_batch_queue(scan->queue, 0, scan->batch + 1, (max < BATCH ? max : BATCH) - 1);
        count += more > 0 ? more : 0;
    }
    size_t taken = 0;
    for (ssize_t i = 0; i < count; i++) {
        struct ferry_fetched *fetched = take(scan, scan->batch[i]);
        if (fetched != NULL)
            out[taken++] = (struct ferry_scanned){fetched, scan->last};
        rd_kafka_message_destroy(scan->batch[i]);
    }
    return taken;
}

bool ferry_scan_done(const struct ferry_scan *scan)
{
    return scan->open == 0;
}

const char *ferry_scan_problem(struct ferry_scan *scan)
{
    memcpy(scan->told, scan->problem, sizeof scan->told);
    if (!scan->broken)
        scan->problem[0] = '\0';
    return scan->told;
}
