/* Why order holds
 *
 * A topic's records get their sequence numbers under the lock of its gate, and in the same breath go to the producer
 * (gate open) or to the spool (gate closed). So among what the producer holds of a topic, and among the rows, numbers
 * rise; and a row that the producer does not hold is newer than all that it does hold, until the producer has reported
 * them all (`with_producer` 0). Only then the feeder reads rows, by sequence, and hands over the next chunk. What was
 * given up while the producer held it is a row as well: its report deletes it, or leaves it to the feeder.
 *
 * The gate opens when the last row is gone. Whatever the producer still holds then was handed over before everything
 * that comes now.
 *
 *             open ── a shipment goes to the spool ──► closed ── the last row is gone ──► open
 */
#include "bridge/order.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/outbound.h"
#include "bridge/spool.h"
#include "core/clock.h"
#include "core/log.h"

enum { GATE_BUCKETS = 256, CHUNK = 1000, FEED_PAUSE_MS = 500, SHORT_PAUSE_MS = 10, IDLE_MS = 1000 };

struct ferry_gate_of_topic {
    struct ferry_gate_of_topic *next;     /* in its bucket */
    struct ferry_gate_of_topic *next_all; /* in the list of all; gates are never taken away */
    struct ferry_slice topic;
    pthread_mutex_t lock;
    bool closed;
    size_t with_producer;
    size_t spooled;
    int64_t not_before_ms; /* feeding failed: pause */
};

struct ferry_order {
    struct ferry_order_listener listener;
    struct ferry_outbound *outbound;
    struct ferry_spool *spool; /* NULL: none is configured */
    atomic_int_fast64_t next_sequence;

    pthread_rwlock_t gates_lock;
    struct ferry_gate_of_topic *buckets[GATE_BUCKETS];
    struct ferry_gate_of_topic *all;

    pthread_t feeder;
    pthread_mutex_t feeder_lock;
    pthread_cond_t feeder_wake;
    bool feeder_due;
    bool stopping;
};

/* Rows that were fed together: their memory. */
struct chunk {
    struct ferry_arena arena;
    atomic_size_t left;
    struct ferry_shipment shipments[CHUNK];
};

static void chunk_free(struct chunk *chunk)
{
    ferry_arena_done(&chunk->arena);
    free(chunk);
}

/* ---- gates ---- */

static size_t bucket_of(struct ferry_slice topic)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < topic.len; i++)
        hash = (hash ^ (unsigned char)topic.ptr[i]) * UINT64_C(0x100000001b3);
    return hash % GATE_BUCKETS;
}

static struct ferry_gate_of_topic *find_gate(const struct ferry_order *order, struct ferry_slice topic)
{
    struct ferry_gate_of_topic *gate = order->buckets[bucket_of(topic)];
    while (gate != NULL && !ferry_slice_equal(gate->topic, topic))
        gate = gate->next;
    return gate;
}

static struct ferry_gate_of_topic *add_gate(struct ferry_order *order, struct ferry_slice topic)
{
    struct ferry_gate_of_topic *gate = calloc(1, sizeof *gate + topic.len);
    if (gate == NULL)
        return NULL;
    memcpy(gate + 1, topic.ptr, topic.len);
    gate->topic = ferry_slice_of((const char *)(gate + 1), topic.len);
    pthread_mutex_init(&gate->lock, NULL);
    struct ferry_gate_of_topic **bucket = &order->buckets[bucket_of(topic)];
    gate->next = *bucket;
    *bucket = gate;
    gate->next_all = order->all;
    order->all = gate;
    return gate;
}

/* NULL when memory ran out. */
static struct ferry_gate_of_topic *gate_of(struct ferry_order *order, struct ferry_slice topic)
{
    pthread_rwlock_rdlock(&order->gates_lock);
    struct ferry_gate_of_topic *gate = find_gate(order, topic);
    pthread_rwlock_unlock(&order->gates_lock);
    if (gate != NULL)
        return gate;
    pthread_rwlock_wrlock(&order->gates_lock);
    gate = find_gate(order, topic);
    if (gate == NULL)
        gate = add_gate(order, topic);
    pthread_rwlock_unlock(&order->gates_lock);
    return gate;
}

static void wake_feeder(struct ferry_order *order)
{
    pthread_mutex_lock(&order->feeder_lock);
    order->feeder_due = true;
    pthread_cond_signal(&order->feeder_wake);
    pthread_mutex_unlock(&order->feeder_lock);
}

/* One row less. Under the gate's lock. */
static void row_gone(struct ferry_gate_of_topic *gate)
{
    gate->spooled--;
    if (gate->spooled == 0)
        gate->closed = false;
}

static void rows_gone(struct ferry_gate_of_topic *gate, size_t count)
{
    pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < count; i++)
        row_gone(gate);
    pthread_mutex_unlock(&gate->lock);
}

/* ---- settling; without the gate's lock ---- */

static void settle(struct ferry_order *order, struct ferry_shipment *shipment, enum ferry_code code, bool reporting)
{
    order->listener.settled(order->listener.context, shipment, code, reporting);
}

/* One holder less. */
static void let_go(struct ferry_order *order, struct ferry_shipment *shipment)
{
    pthread_mutex_lock(&shipment->gate->lock);
    bool last = --shipment->holders == 0;
    pthread_mutex_unlock(&shipment->gate->lock);
    if (last)
        order->listener.released(order->listener.context, shipment);
}

/* ---- to the spool ---- */

/* Under the gate's lock: from now on the gate is closed and counts the row. */
static void enter_spool(struct ferry_shipment *shipment)
{
    shipment->state = FERRY_SHIPMENT_SPOOLED;
    shipment->gate->closed = true;
    shipment->gate->spooled++;
}

/* The row was not written. */
static void leave_spool(struct ferry_order *order, struct ferry_shipment *shipment, bool reporting)
{
    pthread_mutex_lock(&shipment->gate->lock);
    bool delivered = shipment->state == FERRY_SHIPMENT_DELIVERED;
    if (!delivered) {
        shipment->state = FERRY_SHIPMENT_LOST;
        row_gone(shipment->gate);
    }
    pthread_mutex_unlock(&shipment->gate->lock);
    settle(order, shipment, delivered ? FERRY_OK : FERRY_UNAVAILABLE, reporting);
    let_go(order, shipment);
}

/* After enter_spool, with the writer as a holder and the lock released. */
static void write_row(struct ferry_order *order, struct ferry_shipment *shipment, bool handed, bool reporting)
{
    const struct ferry_spool_row row = {shipment->sequence, handed, *shipment->record};
    if (ferry_spool_append(order->spool, &row, 1, shipment, NULL) != FERRY_OK)
        leave_spool(order, shipment, reporting);
}

static void take_stored(void *context, void *tag, enum ferry_code code)
{
    struct ferry_order *order = context;
    struct ferry_shipment *shipment = tag;
    if (code != FERRY_OK) {
        leave_spool(order, shipment, false);
        return;
    }
    settle(order, shipment, FERRY_SPOOLED, false);
    let_go(order, shipment);
    wake_feeder(order);
}

/* ---- sending ---- */

static bool goes_to_spool(const struct ferry_order *order, enum ferry_code code)
{
    return order->spool != NULL && code != FERRY_RECORD_TOO_LARGE;
}

/* Under the gate's lock. */
static enum ferry_code give_to_producer(struct ferry_order *order, struct ferry_shipment *shipment)
{
    shipment->state = FERRY_SHIPMENT_SENT;
    shipment->gate->with_producer++;
    enum ferry_code code = ferry_outbound_send(order->outbound, shipment->record, shipment);
    if (code != FERRY_OK)
        shipment->gate->with_producer--;
    return code;
}

void ferry_order_send(struct ferry_order *order, struct ferry_shipment *shipment, bool to_spool)
{
    shipment->gate = gate_of(order, shipment->record->topic);
    if (shipment->gate == NULL) {
        settle(order, shipment, FERRY_MEMORY, false);
        order->listener.released(order->listener.context, shipment);
        return;
    }
    pthread_mutex_lock(&shipment->gate->lock);
    shipment->sequence = atomic_fetch_add(&order->next_sequence, 1);
    shipment->holders = 1;
    enum ferry_code code = shipment->gate->closed || to_spool ? FERRY_QUEUE_FULL : give_to_producer(order, shipment);
    bool spool = code != FERRY_OK && goes_to_spool(order, code);
    if (spool)
        enter_spool(shipment);
    pthread_mutex_unlock(&shipment->gate->lock);
    if (spool) {
        write_row(order, shipment, false, false);
    } else if (code != FERRY_OK) {
        settle(order, shipment, code, false);
        let_go(order, shipment);
    }
}

void ferry_order_give_up(struct ferry_order *order, struct ferry_shipment *shipment)
{
    if (order->spool == NULL || shipment->gate == NULL)
        return;
    pthread_mutex_lock(&shipment->gate->lock);
    bool ours = shipment->state == FERRY_SHIPMENT_SENT;
    if (ours) {
        enter_spool(shipment);
        shipment->holders++;
    }
    pthread_mutex_unlock(&shipment->gate->lock);
    if (ours)
        write_row(order, shipment, true, false);
}

/* ---- reports ---- */

/* A row, fed or given up: it is in Kafka, can never be, or stays for the feeder. Under the gate's lock. */
static void report_row(struct ferry_order *order, struct ferry_shipment *shipment, const struct ferry_report *report)
{
    if (report->code == FERRY_OK)
        ferry_spool_delete(order->spool, shipment->sequence);
    else if (report->code == FERRY_RECORD_TOO_LARGE)
        ferry_spool_set_aside(order->spool, shipment->sequence, report->reason);
    else {
        shipment->gate->not_before_ms = ferry_clock_mono_ms() + FEED_PAUSE_MS;
        return;
    }
    shipment->state = FERRY_SHIPMENT_DELIVERED;
    row_gone(shipment->gate);
}

/* The producer says that a request's record is not in Kafka, while its request still waits: the spool can save it.
 * Under the gate's lock. */
static bool saved_by_spool(struct ferry_order *order, struct ferry_shipment *shipment, enum ferry_code code)
{
    if (code == FERRY_OK || !goes_to_spool(order, code))
        return false;
    enter_spool(shipment);
    return true;
}

static void report_fed(struct ferry_order *order, struct ferry_shipment *shipment, const struct ferry_report *report)
{
    struct chunk *chunk = shipment->owner;
    struct ferry_gate_of_topic *gate = shipment->gate;
    pthread_mutex_lock(&gate->lock);
    report_row(order, shipment, report);
    bool drained = --gate->with_producer == 0;
    pthread_mutex_unlock(&gate->lock);
    if (atomic_fetch_sub(&chunk->left, 1) == 1)
        chunk_free(chunk);
    if (drained)
        wake_feeder(order);
}

static void report_sent(struct ferry_order *order, struct ferry_shipment *shipment, const struct ferry_report *report)
{
    struct ferry_gate_of_topic *gate = shipment->gate;
    bool save = false, tell = false;
    pthread_mutex_lock(&gate->lock);
    bool drained = --gate->with_producer == 0 && gate->spooled > 0;
    if (shipment->state == FERRY_SHIPMENT_SPOOLED) {
        report_row(order, shipment, report);
    } else if (shipment->state == FERRY_SHIPMENT_SENT) {
        save = saved_by_spool(order, shipment, report->code);
        tell = !save;
        if (tell)
            shipment->state = report->code == FERRY_OK ? FERRY_SHIPMENT_DELIVERED : FERRY_SHIPMENT_LOST;
    }
    pthread_mutex_unlock(&gate->lock);
    if (save)
        write_row(order, shipment, report->possibly_persisted, true); /* the producer's hold becomes the writer's */
    if (tell)
        settle(order, shipment, report->code, true);
    if (!save)
        let_go(order, shipment);
    if (drained)
        wake_feeder(order);
}

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_shipment *shipment = report->tag;
    (shipment->fed ? report_fed : report_sent)(context, shipment, report);
}

static void take_reports_end(void *context)
{
    struct ferry_order *order = context;
    order->listener.reports_end(order->listener.context);
}

/* ---- feeding ---- */

/* Rows that were handed over before may be in Kafka already: they say so. */
static bool add_mark(struct ferry_record *record, struct ferry_arena *arena)
{
    struct ferry_pair *headers = ferry_arena_new_array(arena, record->header_count + 1, sizeof *headers);
    if (headers == NULL)
        return false;
    if (record->header_count > 0)
        memcpy(headers, record->headers, record->header_count * sizeof *headers);
    headers[record->header_count++] =
        (struct ferry_pair){FERRY_SLICE("ferry-maybe-duplicate"), FERRY_SLICE("true")};
    record->headers = headers;
    return true;
}

/* Notes on disk that these rows are about to be with the producer; those that were before get their mark. */
static bool mark_rows(struct ferry_order *order, struct ferry_spool_row *rows, size_t count, struct chunk *chunk)
{
    int64_t fresh[CHUNK];
    size_t fresh_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].handed)
            fresh[fresh_count++] = rows[i].sequence;
        else if (!add_mark(&rows[i].record, &chunk->arena))
            return false;
    }
    return ferry_spool_mark_handed(order->spool, fresh, fresh_count) == FERRY_OK;
}

/* Hands rows over until one is refused; that one and those behind it come again with the next chunk. */
static void hand_over(struct ferry_order *order, struct ferry_gate_of_topic *gate, struct ferry_spool_row *rows,
                      size_t count, struct chunk *chunk)
{
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < count && code == FERRY_OK; i++) {
        struct ferry_shipment *shipment = &chunk->shipments[i];
        *shipment = (struct ferry_shipment){.record = &rows[i].record, .owner = chunk, .fed = true, .gate = gate,
                                            .sequence = rows[i].sequence};
        atomic_fetch_add(&chunk->left, 1);
        pthread_mutex_lock(&gate->lock);
        code = give_to_producer(order, shipment);
        if (code != FERRY_OK)
            report_row(order, shipment, &(struct ferry_report){.code = code, .reason = "too large for Kafka"});
        pthread_mutex_unlock(&gate->lock);
        if (code != FERRY_OK)
            atomic_fetch_sub(&chunk->left, 1);
    }
}

/* The next rows of a topic of which the producer holds nothing. */
static enum ferry_code feed(struct ferry_order *order, struct ferry_gate_of_topic *gate, struct chunk *chunk,
                            struct ferry_error *error)
{
    struct ferry_spool_row *rows;
    size_t count, damaged;
    /* What was reported is deleted before rows are read: none is fed a second time. */
    enum ferry_code code = ferry_spool_sync(order->spool);
    if (code == FERRY_OK)
        code = ferry_spool_read(order->spool, gate->topic, -1, CHUNK, &chunk->arena, &rows, &count, &damaged, error);
    if (code != FERRY_OK)
        return code;
    rows_gone(gate, damaged);
    if (!mark_rows(order, rows, count, chunk))
        return ferry_fail(error, FERRY_SYSTEM, "the spool could not note what is handed over");
    hand_over(order, gate, rows, count, chunk);
    return FERRY_OK;
}

static bool wants_feeding(struct ferry_gate_of_topic *gate, int64_t now_ms)
{
    pthread_mutex_lock(&gate->lock);
    bool wants = gate->spooled > 0 && gate->with_producer == 0 && gate->not_before_ms <= now_ms;
    pthread_mutex_unlock(&gate->lock);
    return wants;
}

static void feed_gate(struct ferry_order *order, struct ferry_gate_of_topic *gate)
{
    struct ferry_error error = {.text = "out of memory"};
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL)
        return;
    atomic_init(&chunk->left, 1);
    if (feed(order, gate, chunk, &error) != FERRY_OK)
        ferry_log(FERRY_LOG_ERROR, "spool: cannot feed",
                  FERRY_FIELDS(ferry_field_slice("topic", gate->topic), ferry_text("reason", error.text)));
    if (atomic_fetch_sub(&chunk->left, 1) == 1) { /* nothing was handed over, or all is reported already */
        chunk_free(chunk);
        pthread_mutex_lock(&gate->lock);
        gate->not_before_ms = ferry_clock_mono_ms() + SHORT_PAUSE_MS;
        pthread_mutex_unlock(&gate->lock);
    }
}

static void feed_gates(struct ferry_order *order)
{
    pthread_rwlock_rdlock(&order->gates_lock);
    struct ferry_gate_of_topic *gate = order->all; /* new ones are put in front: this tail stays as it is */
    pthread_rwlock_unlock(&order->gates_lock);
    for (; gate != NULL; gate = gate->next_all)
        if (wants_feeding(gate, ferry_clock_mono_ms()))
            feed_gate(order, gate);
}

/* Until there may be something to feed; false when it is time to stop. */
static bool wait_for_rows(struct ferry_order *order)
{
    int64_t wait_ms = ferry_spool_rows(order->spool) > 0 ? SHORT_PAUSE_MS : IDLE_MS;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += wait_ms % 1000 * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&order->feeder_lock);
    while (!order->feeder_due && !order->stopping)
        if (pthread_cond_timedwait(&order->feeder_wake, &order->feeder_lock, &until) != 0)
            break;
    order->feeder_due = false;
    bool go_on = !order->stopping;
    pthread_mutex_unlock(&order->feeder_lock);
    return go_on;
}

static void *run_feeder(void *context)
{
    struct ferry_order *order = context;
    do {
        feed_gates(order);
        ferry_spool_look(order->spool);
    } while (wait_for_rows(order));
    return NULL;
}

/* ---- life ---- */

/* Gates of topics that have rows from an earlier run are closed from the start. */
static enum ferry_code close_gates(struct ferry_order *order, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_topic *topics;
    size_t count;
    enum ferry_code code = ferry_spool_topics(order->spool, &arena, &topics, &count, error);
    for (size_t i = 0; i < count && code == FERRY_OK; i++) {
        struct ferry_gate_of_topic *gate = gate_of(order, topics[i].topic);
        if (gate == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        gate->closed = true;
        gate->spooled = topics[i].rows;
    }
    return code;
}

/* The default directory is for machines that were set up for it: a bridge that was not told about a spool does not
 * fail for the lack of one. */
static bool parent_exists(const char *directory)
{
    char parent[4096];
    const char *slash = strrchr(directory, '/');
    snprintf(parent, sizeof parent, "%.*s/", slash != NULL ? (int)(slash - directory) : 0, directory);
    return access(parent, W_OK | X_OK) == 0;
}

static enum ferry_code open_spool(struct ferry_order *order, const struct ferry_config *config,
                                  struct ferry_metrics *metrics, struct ferry_error *error)
{
    const struct ferry_spool_listener listener = {order, take_stored};
    const char *directory = config->bridge.spool_directory;
    if (directory == NULL || (!config->bridge.spool_named && !parent_exists(directory))) {
        ferry_log(FERRY_LOG_INFO, "no spool: while Kafka does not answer requests are answered 503",
                  FERRY_FIELDS(ferry_text("cure", "set bridge.spool.directory")));
        return FERRY_OK;
    }
    enum ferry_code code =
        ferry_spool_open(directory, config->bridge.spool_limit_bytes, &listener, metrics, &order->spool, error);
    if (code != FERRY_OK)
        return code;
    atomic_store(&order->next_sequence, ferry_spool_last_sequence(order->spool) + 1);
    return close_gates(order, error);
}

static enum ferry_code start_feeder(struct ferry_order *order, struct ferry_error *error)
{
    if (order->spool == NULL)
        return FERRY_OK;
    int failed = pthread_create(&order->feeder, NULL, run_feeder, order);
    return failed ? ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed)) : FERRY_OK;
}

static void free_order(struct ferry_order *order)
{
    ferry_outbound_close(order->outbound); /* its last reports may still write rows */
    ferry_spool_close(order->spool);
    for (struct ferry_gate_of_topic *gate = order->all, *next; gate != NULL; gate = next) {
        next = gate->next_all;
        pthread_mutex_destroy(&gate->lock);
        free(gate);
    }
    pthread_cond_destroy(&order->feeder_wake);
    pthread_mutex_destroy(&order->feeder_lock);
    pthread_rwlock_destroy(&order->gates_lock);
    free(order);
}

static struct ferry_order *order_new(const struct ferry_order_listener *listener)
{
    struct ferry_order *order = calloc(1, sizeof *order);
    if (order == NULL)
        return NULL;
    order->listener = *listener;
    atomic_init(&order->next_sequence, 1);
    pthread_rwlock_init(&order->gates_lock, NULL);
    pthread_mutex_init(&order->feeder_lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&order->feeder_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return order;
}

enum ferry_code ferry_order_open(const struct ferry_config *config, const struct ferry_order_listener *listener,
                                 struct ferry_metrics *metrics, struct ferry_order **out, struct ferry_error *error)
{
    struct ferry_order *order = order_new(listener);
    if (order == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    const struct ferry_producer_listener reports = {order, take_report, take_reports_end};
    enum ferry_code code = open_spool(order, config, metrics, error);
    if (code == FERRY_OK)
        code = ferry_outbound_open(config, &reports, metrics, &order->outbound, error);
    if (code == FERRY_OK)
        code = start_feeder(order, error);
    if (code != FERRY_OK) {
        free_order(order);
        return code;
    }
    *out = order;
    return FERRY_OK;
}

bool ferry_order_has_spool(const struct ferry_order *order)
{
    return order->spool != NULL;
}

bool ferry_order_spool_accepts(struct ferry_order *order)
{
    return order->spool != NULL && ferry_spool_accepts(order->spool);
}

struct ferry_outbound *ferry_order_outbound(struct ferry_order *order)
{
    return order->outbound;
}

void ferry_order_close(struct ferry_order *order)
{
    if (order == NULL)
        return;
    if (order->spool != NULL) {
        pthread_mutex_lock(&order->feeder_lock);
        order->stopping = true;
        pthread_cond_signal(&order->feeder_wake);
        pthread_mutex_unlock(&order->feeder_lock);
        pthread_join(order->feeder, NULL);
    }
    free_order(order);
}
