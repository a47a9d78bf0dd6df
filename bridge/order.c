/* Why order holds
 *
 * A topic's records get their sequence numbers under the lock of its gate, and in the same breath go to the producer
 * (gate open) or to the spool (gate closed). So among what the producer holds of a topic, and among the rows, numbers
 * rise; and a row that the producer does not hold is newer than all that it does hold, until the producer has reported
 * them all (`with_producer` 0). Only then the feeder reads rows, by sequence, and hands over the next chunk. What was
 * given up while the producer held it is a row as well: its report deletes it, or leaves it to the feeder.
 *
 * The gate opens when the last row is gone and the feeder has the topic in hand no more. Whatever the producer still
 * holds then was handed over before everything that comes now.
 *
 *             open ── a shipment goes to the spool ──► closed ── the last row is gone ──► open
 *
 * Under a steady stream the last row would never be gone: while a chunk is on its way, the next rows come. So the gate
 * opens already when the last rows have been handed over (they are `passing`): what comes then is behind them in the
 * producer's queue, which keeps its order and gives nothing up by itself. Kafka might refuse just that chunk for its
 * size and take what is behind it; so only a chunk no larger than one that it has taken passes.
 */
#include "bridge/order_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/event_log.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/wait.h"

/* ---- gates ---- */

static size_t bucket_of(struct ferry_slice topic)
{
    return ferry_hash(FERRY_HASH_EMPTY, topic) % FERRY_GATE_BUCKETS;
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

/* While the feeder reads, too: nothing may slip past what it has in hand. Under the gate's lock. */
static bool is_closed(const struct ferry_gate_of_topic *gate)
{
    return gate->spooled > gate->passing || gate->feeding;
}

void ferry_order_rows_gone(struct ferry_gate_of_topic *gate, size_t count)
{
    pthread_mutex_lock(&gate->lock);
    gate->spooled -= count;
    pthread_mutex_unlock(&gate->lock);
}

void ferry_order_pause_feeding(struct ferry_gate_of_topic *gate, int64_t pause_ms)
{
    int64_t until_ms = ferry_clock_mono_ms() + pause_ms;
    if (gate->not_before_ms < until_ms)
        gate->not_before_ms = until_ms;
}

/* ---- settling; without the gate's lock ---- */

static void settle(struct ferry_order *order, struct ferry_shipment *shipment, enum ferry_code code, bool reporting)
{
    order->listener.settled(order->listener.context, shipment, code, reporting);
}

/* Whatever became of it is final: nobody holds it any more. What is spooled is counted by the spool. */
static void close_account(const struct ferry_order *order, const struct ferry_shipment *shipment)
{
    if (shipment->state == FERRY_SHIPMENT_DELIVERED)
        ferry_tally_publish(&order->tally);
    else if (shipment->state == FERRY_SHIPMENT_LOST)
        ferry_tally_refuse(&order->tally, shipment->why, 1);
}

/* One holder less. */
static void let_go(struct ferry_order *order, struct ferry_shipment *shipment)
{
    pthread_mutex_lock(&shipment->gate->lock);
    bool last = --shipment->holders == 0;
    pthread_mutex_unlock(&shipment->gate->lock);
    if (!last)
        return;
    close_account(order, shipment);
    order->listener.released(order->listener.context, shipment);
}

/* Under the gate's lock. */
static void lose(struct ferry_shipment *shipment, enum ferry_code why)
{
    shipment->state = FERRY_SHIPMENT_LOST;
    shipment->why = why;
}

/* ---- to the spool ---- */

/* Under the gate's lock, so that a topic's rows are queued by number, and the delete that its report may bring comes
 * behind a row. From now on the gate is closed and counts the row, and the writer is a holder. False when the spool
 * does not take it: it is lost. */
static bool enter_spool(struct ferry_order *order, struct ferry_shipment *shipment, bool handed)
{
    const struct ferry_spool_row row = {shipment->sequence, handed, *shipment->record};
    enum ferry_code code = ferry_spool_append(order->spool, &row, 1, shipment, NULL);
    if (code != FERRY_OK) {
        lose(shipment, code);
        return false;
    }
    shipment->state = FERRY_SHIPMENT_SPOOLED;
    shipment->gate->spooled++;
    return true;
}

/* The row could not be written. What its sender is told: it may be in Kafka all the same. */
static enum ferry_code leave_spool(struct ferry_shipment *shipment, enum ferry_code why)
{
    pthread_mutex_lock(&shipment->gate->lock);
    if (shipment->state == FERRY_SHIPMENT_SPOOLED) {
        lose(shipment, why);
        shipment->gate->spooled--;
        shipment->gate->unwritten++;
    }
    bool delivered = shipment->state == FERRY_SHIPMENT_DELIVERED;
    pthread_mutex_unlock(&shipment->gate->lock);
    return delivered ? FERRY_OK : FERRY_UNAVAILABLE;
}

static void take_stored(void *context, void *tag, enum ferry_code code)
{
    struct ferry_order *order = context;
    struct ferry_shipment *shipment = tag;
    settle(order, shipment, code == FERRY_OK ? FERRY_SPOOLED : leave_spool(shipment, code), false);
    let_go(order, shipment);
    ferry_order_wake_feeder(order);
}

/* ---- sending ---- */

static bool goes_to_spool(const struct ferry_order *order, enum ferry_code code)
{
    return order->spool != NULL && code != FERRY_RECORD_TOO_LARGE;
}

/* Under the gate's lock. */
enum ferry_code ferry_order_give_to_producer(struct ferry_order *order, struct ferry_shipment *shipment)
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
    ferry_tally_receive(&order->tally, 1);
    if (shipment->gate == NULL) {
        ferry_tally_refuse(&order->tally, FERRY_MEMORY, 1);
        settle(order, shipment, FERRY_MEMORY, false);
        order->listener.released(order->listener.context, shipment);
        return;
    }
    pthread_mutex_lock(&shipment->gate->lock);
    shipment->sequence = atomic_fetch_add(&order->next_sequence, 1);
    shipment->holders = 1;
    enum ferry_code code =
        is_closed(shipment->gate) || to_spool ? FERRY_QUEUE_FULL : ferry_order_give_to_producer(order, shipment);
    if (code != FERRY_OK && goes_to_spool(order, code))
        code = enter_spool(order, shipment, false) ? FERRY_OK : FERRY_UNAVAILABLE;
    else if (code != FERRY_OK)
        lose(shipment, code);
    pthread_mutex_unlock(&shipment->gate->lock);
    if (code != FERRY_OK) {
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
    bool lost = ours && !enter_spool(order, shipment, true);
    if (ours)
        shipment->holders++;
    pthread_mutex_unlock(&shipment->gate->lock);
    if (lost) {
        settle(order, shipment, FERRY_UNAVAILABLE, false);
        let_go(order, shipment);
    }
}

/* ---- reports ---- */

size_t ferry_order_bytes_of(const struct ferry_record *record)
{
    size_t bytes = record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++)
        bytes += record->headers[i].name.len + record->headers[i].value.len;
    return bytes;
}

static void note_size(struct ferry_shipment *shipment, const struct ferry_report *report)
{
    size_t bytes = report->code == FERRY_OK ? ferry_order_bytes_of(shipment->record) : 0;
    if (bytes > shipment->gate->proven_bytes)
        shipment->gate->proven_bytes = bytes;
}

/* Kafka says "too large" of a whole batch, which one large record spoils for the others: one that is no larger than
 * what its topic has taken before is not meant, and can be sent again. */
static enum ferry_code judge(const struct ferry_shipment *shipment, const struct ferry_report *report)
{
    bool meant = ferry_order_bytes_of(shipment->record) > shipment->gate->proven_bytes;
    return report->code == FERRY_RECORD_TOO_LARGE && !meant ? FERRY_UNAVAILABLE : report->code;
}

/* Somebody was told 202 for it, and Kafka will never have it: a person has to know. */
static bool set_aside(struct ferry_order *order, const struct ferry_shipment *shipment, const char *reason)
{
    ferry_log(FERRY_LOG_ERROR, "spool: a row that Kafka refuses for good is set aside",
              FERRY_FIELDS(ferry_field_slice("id", ferry_record_header(shipment->record, "ce_id")),
                           ferry_field_slice("topic", shipment->gate->topic),
                           ferry_number("sequence", shipment->sequence), ferry_text("reason", reason),
                           ferry_text("cure", "ferry spool export --set-aside")));
    return ferry_spool_set_aside(order->spool, shipment->sequence, reason);
}

void ferry_order_report_row(struct ferry_order *order, struct ferry_shipment *shipment,
                            const struct ferry_report *report, bool alone)
{
    bool gone = false;
    FERRY_CRASH_POINT("report-before-delete");
    note_size(shipment, report);
    if (report->code == FERRY_OK)
        gone = ferry_spool_delete(order->spool, shipment->sequence);
    else if (report->code == FERRY_RECORD_TOO_LARGE && alone)
        gone = set_aside(order, shipment, report->reason);
    else if (!report->possibly_persisted && !shipment->repeated)
        ferry_spool_unmark_handed(order->spool, shipment->sequence);
    if (!gone) {
        if (report->code != FERRY_RECORD_TOO_LARGE) /* then it comes again at once, with fewer others */
            ferry_order_pause_feeding(shipment->gate, FERRY_FEED_PAUSE_MS);
        return;
    }
    FERRY_CRASH_POINT("report-after-delete");
    shipment->state = report->code == FERRY_OK ? FERRY_SHIPMENT_DELIVERED : FERRY_SHIPMENT_ASIDE;
    shipment->gate->spooled--;
}

/* A request's record; that the producer did not bring it to Kafka the spool can save. Under the gate's lock. True when
 * the producer's hold has become the writer's. */
static bool report_request(struct ferry_order *order, struct ferry_shipment *shipment, enum ferry_code code,
                           bool possibly_persisted)
{
    if (code != FERRY_OK && goes_to_spool(order, code))
        return enter_spool(order, shipment, possibly_persisted);
    if (code == FERRY_OK)
        shipment->state = FERRY_SHIPMENT_DELIVERED;
    else
        lose(shipment, code);
    return false;
}

static void report_sent(struct ferry_order *order, struct ferry_shipment *shipment, const struct ferry_report *report)
{
    struct ferry_gate_of_topic *gate = shipment->gate;
    bool saved = false;
    pthread_mutex_lock(&gate->lock);
    enum ferry_shipment_state before = shipment->state;
    bool waits = before == FERRY_SHIPMENT_SENT;
    note_size(shipment, report);
    enum ferry_code code = judge(shipment, report);
    if (waits)
        saved = report_request(order, shipment, code, report->possibly_persisted);
    else if (before == FERRY_SHIPMENT_SPOOLED)
        ferry_order_report_row(order, shipment, report, false);
    else if (report->code == FERRY_OK)
        shipment->state = FERRY_SHIPMENT_DELIVERED; /* after all, though its sender was told that it is not */
    bool late = !waits && shipment->state == FERRY_SHIPMENT_DELIVERED;
    bool drained = --gate->with_producer == 0 && gate->spooled > 0;
    pthread_mutex_unlock(&gate->lock);
    if (late)
        ferry_event_log_arrived(before == FERRY_SHIPMENT_SPOOLED ? FERRY_LEFT_THE_SPOOL : FERRY_CAME_AFTER_ALL,
                                shipment->record);
    if (waits && !saved)
        settle(order, shipment, code, true);
    if (!saved)
        let_go(order, shipment);
    if (drained)
        ferry_order_wake_feeder(order);
}

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_shipment *shipment = report->tag;
    (shipment->fed ? ferry_order_report_fed : report_sent)(context, shipment, report);
}

static void take_reports_end(void *context)
{
    struct ferry_order *order = context;
    order->listener.reports_end(order->listener.context);
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
        gate->spooled = topics[i].rows;
        ferry_tally_find(&order->tally, topics[i].rows);
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
    ferry_log(FERRY_LOG_INFO, "spool opened",
              FERRY_FIELDS(ferry_text("directory", directory), ferry_number("events", ferry_spool_rows(order->spool))));
    atomic_store(&order->next_sequence, ferry_spool_last_sequence(order->spool) + 1);
    code = close_gates(order, error);
    FERRY_CRASH_POINT("start-gates-closed");
    return code;
}

static void free_order(struct ferry_order *order)
{
    FERRY_CRASH_POINT("stop-before-purge");
    ferry_outbound_close(order->outbound); /* its last reports may still write rows */
    FERRY_CRASH_POINT("stop-after-purge");
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
    ferry_condition_init(&order->feeder_wake);
    return order;
}

enum ferry_code ferry_order_open(const struct ferry_config *config, const struct ferry_order_listener *listener,
                                 struct ferry_metrics *metrics, struct ferry_order **out, struct ferry_error *error)
{
    struct ferry_order *order = order_new(listener);
    if (order == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    const struct ferry_producer_listener reports = {order, take_report, take_reports_end};
    ferry_tally_init(&order->tally, metrics);
    enum ferry_code code = open_spool(order, config, metrics, error);
    if (code == FERRY_OK)
        code = ferry_outbound_open(config, &reports, metrics, &order->outbound, error);
    if (code == FERRY_OK)
        code = ferry_order_start_feeding(order, error);
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

bool ferry_order_is_blocked(struct ferry_order *order)
{
    return order->spool != NULL && ferry_spool_is_broken(order->spool) && ferry_spool_rows(order->spool) > 0;
}

bool ferry_order_spool_accepts(struct ferry_order *order)
{
    return order->spool != NULL && ferry_spool_accepts(order->spool);
}

struct ferry_outbound *ferry_order_outbound(struct ferry_order *order)
{
    return order->outbound;
}

const struct ferry_tally *ferry_order_tally(const struct ferry_order *order)
{
    return &order->tally;
}

void ferry_order_close(struct ferry_order *order)
{
    if (order == NULL)
        return;
    ferry_order_stop_feeding(order);
    free_order(order);
}
