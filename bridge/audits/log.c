/* Ownership. What is assigned to us is kept in a table of partitions. It is changed on the thread that tends, inside
 * the consumer's callbacks; the tenants' threads look at it before each page. When partitions are taken away in good
 * order, the callback waits until their pages are through, so that whoever comes next reads the last checkpoint. When
 * they are lost (we were silent for too long) somebody else has them already and nothing is waited for.
 *
 * A bridge that was thrown out and does not know it yet can publish the page at hand, and write one more checkpoint.
 * The page is published twice then. The checkpoint does no harm: it is of an older epoch, and readers take the newest.
 *
 * A write belongs to its report as much as to whoever waits for it, who may have gone: the last of them frees it. */
#include "bridge/audits/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/hash.h"
#include "core/kafka/consumer.h"
#include "core/kafka/producer.h"
#include "core/kafka/scan.h"
#include "core/route.h"
#include "core/wait.h"

enum {
    LOOK_UP_MS = 3000,
    LOOK_AGAIN_MS = 2000,    /* after one that failed */
    LOOK_ANYWAY_MS = 600000, /* partitions are added rarely */
    READ_MS = 60000,         /* the whole topic */
    HAND_OVER_MS = 5000,
    WRITE_MS = 30000,
    CHECKPOINT_BYTES = 1 << 20,
    BATCH = 100,
};

struct slot {
    bool owned;
    bool leaving;  /* it is being handed over: the pages at hand may still write */
    unsigned term; /* since when */
    bool paused;   /* the tending thread alone: its records are not fetched, reading them is the scan's work */
    unsigned busy; /* tenants that are at work */
};

struct ferry_audits_log {
    const struct ferry_config *config;
    struct ferry_audits_log_listener listener;
    char topic[FERRY_TOPIC_NAME + 1];
    char group[FERRY_TOPIC_NAME + 1];
    struct ferry_consumer *consumer; /* the tending thread alone */
    int64_t look_up_ms;              /* the tending thread alone: when to ask for the number of partitions */

    pthread_mutex_t lock; /* of everything up to the next lock, and of the writes */
    pthread_cond_t changed;
    struct slot *slots;
    size_t slot_count;
    int partitions;         /* 0 while unknown: nobody owns anything */
    unsigned terms;         /* assignments so far */
    bool news;              /* the listener is to be told */
    int64_t hurry_until_ms; /* INT64_MAX: no hurry */

    pthread_mutex_t producer_lock; /* apart, because closing a producer brings reports, which take the other one */
    struct ferry_producer *producer;
};

struct writing {
    struct ferry_audits_log *log;
    struct ferry_buffer value;
    bool reported;
    bool abandoned;
    enum ferry_code code;
    char reason[128];
};

/* ---- who owns what ---- */

static int partition_of(const char *tenant, int partitions)
{
    return (int)(ferry_hash(FERRY_HASH_EMPTY, ferry_slice_from(tenant)) % (uint64_t)partitions);
}

/* The tenant's slot, or NULL while that is not known. The lock is held. */
static struct slot *find_slot(struct ferry_audits_log *log, const char *tenant)
{
    if (log->partitions == 0)
        return NULL;
    size_t partition = (size_t)partition_of(tenant, log->partitions);
    return partition < log->slot_count ? &log->slots[partition] : NULL;
}

/* The tenant's slot, if it is ours; else NULL. The lock is held. */
static struct slot *find_owned(struct ferry_audits_log *log, const char *tenant)
{
    struct slot *slot = find_slot(log, tenant);
    return slot != NULL && slot->owned ? slot : NULL;
}

/* May its checkpoint be written? Also when no page is to be begun any more. The lock is held. */
static bool is_writable(struct ferry_audits_log *log, const char *tenant)
{
    const struct slot *slot = find_slot(log, tenant);
    return slot != NULL && (slot->owned || slot->leaving);
}

unsigned ferry_audits_log_term(struct ferry_audits_log *log, const char *tenant)
{
    pthread_mutex_lock(&log->lock);
    const struct slot *slot = find_owned(log, tenant);
    unsigned term = slot != NULL ? slot->term : 0;
    pthread_mutex_unlock(&log->lock);
    return term;
}

int ferry_audits_log_work(struct ferry_audits_log *log, const char *tenant)
{
    pthread_mutex_lock(&log->lock);
    struct slot *slot = find_owned(log, tenant);
    int turn = slot != NULL ? (int)(slot - log->slots) : -1;
    if (slot != NULL)
        slot->busy++;
    pthread_mutex_unlock(&log->lock);
    return turn;
}

void ferry_audits_log_rest(struct ferry_audits_log *log, int turn)
{
    pthread_mutex_lock(&log->lock);
    log->slots[turn].busy--;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* Room for a partition; the lock is held. False when memory ran out: then it is not ours. */
static bool reserve(struct ferry_audits_log *log, size_t count)
{
    if (count <= log->slot_count)
        return true;
    struct slot *slots = realloc(log->slots, count * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots + log->slot_count, 0, (count - log->slot_count) * sizeof *slots);
    log->slots = slots;
    log->slot_count = count;
    return true;
}

static void take(void *context, const struct ferry_partition *partitions, size_t count)
{
    struct ferry_audits_log *log = context;
    pthread_mutex_lock(&log->lock);
    log->terms++;
    for (size_t i = 0; i < count; i++) {
        size_t partition = (size_t)partitions[i].partition;
        if (!reserve(log, partition + 1))
            continue;
        log->slots[partition].owned = true;
        log->slots[partition].term = log->terms;
        log->slots[partition].paused = false;
    }
    log->look_up_ms = 0;
    log->news = true;
    pthread_mutex_unlock(&log->lock);
}

/* The lock is held. */
static unsigned count_busy(const struct ferry_audits_log *log, const struct ferry_partition *partitions, size_t count)
{
    unsigned busy = 0;
    for (size_t i = 0; i < count; i++)
        if ((size_t)partitions[i].partition < log->slot_count)
            busy += log->slots[partitions[i].partition].busy;
    return busy;
}

/* The lock is held. */
static void disown(struct ferry_audits_log *log, const struct ferry_partition *partitions, size_t count, bool leaving)
{
    for (size_t i = 0; i < count; i++) {
        if ((size_t)partitions[i].partition >= log->slot_count)
            continue;
        log->slots[partitions[i].partition].owned = false;
        log->slots[partitions[i].partition].leaving = leaving;
    }
}

static void give_up(void *context, const struct ferry_partition *partitions, size_t count, bool lost)
{
    struct ferry_audits_log *log = context;
    struct timespec until = ferry_deadline_in(HAND_OVER_MS);
    pthread_mutex_lock(&log->lock);
    disown(log, partitions, count, !lost);
    log->look_up_ms = 0;
    log->news = true;
    for (int late = 0; !lost && late == 0 && count_busy(log, partitions, count) > 0;)
        late = pthread_cond_timedwait(&log->changed, &log->lock, &until);
    disown(log, partitions, count, false);
    pthread_cond_broadcast(&log->changed); /* writes that wait are in vain */
    pthread_mutex_unlock(&log->lock);
}

/* ---- the topic ---- */

/* How many partitions it has; 0: it is not there yet. */
static enum ferry_code count_partitions(struct ferry_audits_log *log, struct ferry_scan *scan, int *partitions,
                                        struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t count;
    enum ferry_code code = ferry_scan_topics(scan, LOOK_UP_MS, &topics, &count, error);
    *partitions = 0;
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        if (strcmp(topics[i].name, log->topic) == 0)
            *partitions = topics[i].partitions;
    return code;
}

static bool owns_any(const struct ferry_audits_log *log)
{
    for (size_t i = 0; i < log->slot_count; i++)
        if (log->slots[i].owned)
            return true;
    return false;
}

/* Tenants belong to partitions by their number: asked for after each rebalance, and now and then. */
static void look_up_partitions(struct ferry_audits_log *log)
{
    if (!owns_any(log) || ferry_clock_mono_ms() < log->look_up_ms)
        return;
    struct ferry_scan *scan = NULL;
    int partitions = 0;
    bool known = ferry_scan_open(log->config->kafka, log->config->bridge.kafka, &scan, NULL) == FERRY_OK &&
                 count_partitions(log, scan, &partitions, NULL) == FERRY_OK && partitions > 0;
    ferry_scan_close(scan);
    pthread_mutex_lock(&log->lock);
    if (known && partitions != log->partitions) {
        log->partitions = partitions; /* tenants have moved to other slots: all begin a new term */
        log->terms++;
        for (size_t i = 0; i < log->slot_count; i++)
            log->slots[i].term = log->terms;
        log->news = true;
    }
    pthread_mutex_unlock(&log->lock);
    log->look_up_ms = ferry_clock_mono_ms() + (known ? LOOK_ANYWAY_MS : LOOK_AGAIN_MS);
}

static void pause_partitions(struct ferry_audits_log *log)
{
    for (size_t i = 0; i < log->slot_count; i++) {
        if (!log->slots[i].owned || log->slots[i].paused)
            continue;
        ferry_consumer_pause(log->consumer, log->topic, (int32_t)i);
        log->slots[i].paused = true;
    }
}

void ferry_audits_log_tend(struct ferry_audits_log *log, int timeout_ms)
{
    ferry_fetched_free(ferry_consumer_poll(log->consumer, timeout_ms));
    pause_partitions(log);
    look_up_partitions(log);
    pthread_mutex_lock(&log->lock);
    bool news = log->news;
    log->news = false;
    pthread_mutex_unlock(&log->lock);
    if (news)
        log->listener.changed(log->listener.context);
}

/* ---- reading ---- */

static bool is_hurrying(struct ferry_audits_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool hurrying = log->hurry_until_ms != INT64_MAX;
    pthread_mutex_unlock(&log->lock);
    return hurrying;
}

/* Takes the record if it is the tenant's and newer than what was found before. A tombstone says to begin anew. */
static enum ferry_code consider(const struct ferry_record *record, const char *tenant,
                                struct ferry_audits_checkpoint *best, bool *found, struct ferry_error *error)
{
    if (!ferry_slice_is(record->key, tenant))
        return FERRY_OK;
    if (record->value.len == 0) {
        ferry_audits_checkpoint_done(best);
        *found = false;
        return FERRY_OK;
    }
    FERRY_CLEANUP(ferry_audits_checkpoint_done) struct ferry_audits_checkpoint read = {0};
    struct ferry_error why = {0};
    enum ferry_code code = ferry_audits_checkpoint_read(record->value, &read, &why);
    if (code != FERRY_OK)
        return ferry_fail(error, code, "%s at %.*s/%d/%lld", why.text, FERRY_SLICE_ARGS(record->topic),
                          record->partition, (long long)record->offset);
    if (*found && !ferry_audits_checkpoint_newer(&read, best))
        return FERRY_OK;
    struct ferry_audits_checkpoint before = *best;
    *best = read;
    read = before;
    *found = true;
    return FERRY_OK;
}

static enum ferry_code read_spans(struct ferry_audits_log *log, struct ferry_scan *scan, const char *tenant,
                                  struct ferry_audits_checkpoint *best, bool *found, struct ferry_error *error)
{
    struct ferry_scanned batch[BATCH];
    int64_t deadline_ms = ferry_clock_mono_ms() + READ_MS;
    enum ferry_code code = FERRY_OK;
    while (code == FERRY_OK && !ferry_scan_done(scan)) {
        if (is_hurrying(log))
            return ferry_fail(error, FERRY_STOPPING, "the program is stopping");
        if (ferry_clock_mono_ms() > deadline_ms)
            return ferry_fail(error, FERRY_KAFKA, "the checkpoints could not be read in time: %s",
                              ferry_scan_problem(scan));
        size_t count = ferry_scan_poll(scan, 200, batch, BATCH);
        for (size_t i = 0; i < count; i++) {
            if (code == FERRY_OK)
                code = consider(&batch[i].fetched->record, tenant, best, found, error);
            ferry_fetched_free(batch[i].fetched);
        }
    }
    return code;
}

/* From the first offset that is kept to the end of this moment. */
static enum ferry_code open_spans(struct ferry_audits_log *log, struct ferry_scan *scan, int partitions,
                                  struct ferry_span *spans, struct ferry_error *error)
{
    size_t count = (size_t)partitions;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    int64_t *first = ferry_arena_new_array(&arena, count, sizeof *first);
    int64_t *end = ferry_arena_new_array(&arena, count, sizeof *end);
    if (first == NULL || end == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        spans[i] = (struct ferry_span){.topic = log->topic, .partition = (int32_t)i};
    enum ferry_code code = ferry_scan_offsets(scan, spans, count, FERRY_SCAN_EARLIEST, LOOK_UP_MS, first, error);
    if (code == FERRY_OK && is_hurrying(log))
        code = ferry_fail(error, FERRY_STOPPING, "the program is stopping");
    if (code == FERRY_OK)
        code = ferry_scan_offsets(scan, spans, count, FERRY_SCAN_END, LOOK_UP_MS, end, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++) {
        spans[i].next = first[i];
        spans[i].end = end[i];
    }
    return code == FERRY_OK ? ferry_scan_begin(scan, spans, count, error) : code;
}

static void close_scan(struct ferry_scan **scan)
{
    ferry_scan_close(*scan);
}

enum ferry_code ferry_audits_log_read(struct ferry_audits_log *log, const char *tenant,
                                      struct ferry_audits_checkpoint *checkpoint, bool *found,
                                      struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0}; /* outlives the scan, whose spans are in it */
    FERRY_CLEANUP(close_scan) struct ferry_scan *scan = NULL;
    FERRY_CLEANUP(ferry_audits_checkpoint_done) struct ferry_audits_checkpoint best = {0};
    bool any = false;
    int partitions = 0;
    enum ferry_code code = ferry_scan_open(log->config->kafka, log->config->bridge.kafka, &scan, error);
    if (code == FERRY_OK)
        code = count_partitions(log, scan, &partitions, error);
    if (code == FERRY_OK && partitions == 0)
        code = ferry_fail(error, FERRY_KAFKA, "there is no topic %s", log->topic);
    struct ferry_span *spans = ferry_arena_new_array(&arena, (size_t)partitions + 1, sizeof *spans);
    if (code == FERRY_OK && spans == NULL)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK)
        code = open_spans(log, scan, partitions, spans, error);
    if (code == FERRY_OK)
        code = read_spans(log, scan, tenant, &best, &any, error);
    if (code != FERRY_OK)
        return code;
    *found = any;
    *checkpoint = best;
    best = (struct ferry_audits_checkpoint){0};
    return FERRY_OK;
}

/* ---- writing ---- */

static void free_writing(struct writing *writing)
{
    ferry_buffer_done(&writing->value);
    free(writing);
}

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_audits_log *log = context;
    struct writing *writing = report->tag;
    pthread_mutex_lock(&log->lock);
    bool abandoned = writing->abandoned;
    writing->reported = true;
    writing->code = report->code;
    snprintf(writing->reason, sizeof writing->reason, "%s", report->reason != NULL ? report->reason : "");
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    if (abandoned)
        free_writing(writing);
}

static void end_reports(void *context)
{
    (void)context;
}

static enum ferry_code open_producer(struct ferry_audits_log *log, struct ferry_error *error)
{
    const struct ferry_producer_listener listener = {log, take_report, end_reports};
    return ferry_producer_open(log->config->kafka, log->config->bridge.kafka, &listener, NULL, &log->producer, error);
}

/* Hands it over; one that broke for good is replaced first. */
static enum ferry_code send(struct ferry_audits_log *log, const struct ferry_record *record, int partition,
                            struct writing *writing, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    pthread_mutex_lock(&log->producer_lock);
    if (log->producer != NULL && ferry_producer_broken(log->producer)) {
        ferry_producer_close(log->producer);
        log->producer = NULL;
    }
    if (log->producer == NULL)
        code = open_producer(log, error);
    if (code == FERRY_OK)
        code = ferry_producer_send_to(log->producer, record, partition, writing, error);
    pthread_mutex_unlock(&log->producer_lock);
    return code;
}

/* Waits for the report while that makes sense. The lock is held. */
static enum ferry_code await_report(struct ferry_audits_log *log, const char *tenant, const struct writing *writing,
                                    struct ferry_error *error)
{
    int64_t until_ms = ferry_clock_mono_ms() + WRITE_MS;
    while (!writing->reported) {
        int64_t now_ms = ferry_clock_mono_ms();
        if (now_ms >= log->hurry_until_ms || !is_writable(log, tenant))
            return ferry_fail(error, FERRY_STOPPING, "the checkpoint is waited for no longer");
        if (now_ms >= until_ms)
            return ferry_fail(error, FERRY_KAFKA, "Kafka does not acknowledge the checkpoint");
        int64_t end_ms = until_ms < log->hurry_until_ms ? until_ms : log->hurry_until_ms;
        struct timespec until = ferry_deadline_in(end_ms - now_ms);
        pthread_cond_timedwait(&log->changed, &log->lock, &until);
    }
    return writing->code == FERRY_OK ? FERRY_OK
                                     : ferry_fail(error, FERRY_KAFKA, "the checkpoint is refused: %s", writing->reason);
}

enum ferry_code ferry_audits_log_write(struct ferry_audits_log *log, const char *tenant,
                                       const struct ferry_audits_checkpoint *checkpoint, struct ferry_error *error)
{
    struct writing *writing = calloc(1, sizeof *writing);
    if (writing == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    writing->log = log;
    ferry_buffer_init(&writing->value, CHECKPOINT_BYTES);
    ferry_audits_checkpoint_write(checkpoint, &writing->value);
    pthread_mutex_lock(&log->lock);
    int partition = is_writable(log, tenant) ? partition_of(tenant, log->partitions) : -1;
    pthread_mutex_unlock(&log->lock);
    enum ferry_code code = FERRY_OK;
    if (writing->value.failed)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    else if (partition < 0)
        code = ferry_fail(error, FERRY_STOPPING, "the tenant is another bridge's now");
    const struct ferry_record record = {.topic = ferry_slice_from(log->topic),
                                        .key = ferry_slice_from(tenant),
                                        .value = ferry_buffer_slice(&writing->value)};
    if (code == FERRY_OK)
        code = send(log, &record, partition, writing, error);
    if (code != FERRY_OK) { /* no report will come */
        free_writing(writing);
        return code;
    }
    pthread_mutex_lock(&log->lock);
    code = await_report(log, tenant, writing, error);
    writing->abandoned = !writing->reported;
    bool mine = writing->reported;
    pthread_mutex_unlock(&log->lock);
    if (mine)
        free_writing(writing);
    return code;
}

/* ---- life ---- */

static enum ferry_code join(struct ferry_audits_log *log, struct ferry_error *error)
{
    const char *const topics[] = {log->topic};
    const struct ferry_consumer_options options = {.group = log->group,
                                                   .topics = {topics, 1},
                                                   .start = FERRY_START_EARLIEST,
                                                   .common = log->config->kafka,
                                                   .overrides = log->config->bridge.kafka};
    const struct ferry_consumer_listener listener = {.context = log, .assigned = take, .revoked = give_up};
    return ferry_consumer_open(&options, &listener, NULL, &log->consumer, error);
}

enum ferry_code ferry_audits_log_open(const struct ferry_config *config,
                                      const struct ferry_audits_log_listener *listener, struct ferry_audits_log **out,
                                      struct ferry_error *error)
{
    struct ferry_audits_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    log->config = config;
    log->listener = *listener;
    log->hurry_until_ms = INT64_MAX;
    snprintf(log->topic, sizeof log->topic, "%s.audits", config->topics.internal);
    snprintf(log->group, sizeof log->group, "%s-audits", config->topics.internal);
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->producer_lock, NULL);
    ferry_condition_init(&log->changed);
    enum ferry_code code = join(log, error);
    if (code != FERRY_OK) {
        ferry_audits_log_close(log);
        return code;
    }
    *out = log;
    return FERRY_OK;
}

void ferry_audits_log_hurry(struct ferry_audits_log *log, int64_t grace_ms)
{
    pthread_mutex_lock(&log->lock);
    log->hurry_until_ms = ferry_clock_mono_ms() + grace_ms;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

void ferry_audits_log_leave(struct ferry_audits_log *log)
{
    ferry_consumer_close(log->consumer);
    log->consumer = NULL;
}

void ferry_audits_log_close(struct ferry_audits_log *log)
{
    if (log == NULL)
        return;
    ferry_consumer_close(log->consumer);
    ferry_producer_close(log->producer);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->producer_lock);
    free(log->slots);
    free(log);
}
