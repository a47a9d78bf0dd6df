/* The feeder: hands rows of the spool to the producer, a chunk of a topic at a time, by sequence, once the producer
 * holds nothing more of that topic. Topics do not wait for each other: a topic that Kafka does not take keeps its rows,
 * the others flow. */
#include <stdlib.h>

#include "bridge/event_log.h"
#include "bridge/order_inside.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "core/wait.h"

enum { CHUNK = 1000, SHORT_PAUSE_MS = 10, IDLE_MS = 1000 };

/* Rows that were fed together: their memory. */
struct chunk {
    struct ferry_arena arena;
    atomic_size_t left;
    size_t count, bytes;
    size_t delivered; /* under the gate's lock */
    bool passing;     /* there are no rows behind it, and Kafka takes as much at once */
    struct ferry_shipment shipments[CHUNK];
};

static void chunk_free(struct chunk *chunk)
{
    ferry_arena_done(&chunk->arena);
    free(chunk);
}

void ferry_order_wake_feeder(struct ferry_order *order)
{
    pthread_mutex_lock(&order->feeder_lock);
    order->feeder_due = true;
    pthread_cond_signal(&order->feeder_wake);
    pthread_mutex_unlock(&order->feeder_lock);
}

/* ---- reports ---- */

void ferry_order_report_fed(struct ferry_order *order, struct ferry_shipment *shipment,
                            const struct ferry_report *report)
{
    struct chunk *chunk = shipment->owner;
    struct ferry_gate_of_topic *gate = shipment->gate;
    pthread_mutex_lock(&gate->lock);
    ferry_order_report_row(order, shipment, report, chunk->count == 1);
    gate->passing -= chunk->passing;
    chunk->delivered += report->code == FERRY_OK;
    if (chunk->delivered == chunk->count && chunk->bytes > gate->proven_chunk)
        gate->proven_chunk = chunk->bytes;
    if (report->code == FERRY_RECORD_TOO_LARGE && chunk->count > 1) {
        gate->chunk = chunk->count / 2;
        gate->wary = true;
    }
    bool drained = --gate->with_producer == 0;
    bool delivered = shipment->state == FERRY_SHIPMENT_DELIVERED;
    if (delivered)
        ferry_tally_publish(&order->tally);
    pthread_mutex_unlock(&gate->lock);
    if (delivered)
        ferry_event_log_arrived(FERRY_LEFT_THE_SPOOL, shipment->record);
    if (atomic_fetch_sub(&chunk->left, 1) == 1)
        chunk_free(chunk);
    if (drained)
        ferry_order_wake_feeder(order);
}

/* ---- feeding ---- */

/* Notes on disk that these rows are about to be with the producer; those that were before get their mark. */
static bool mark_rows(struct ferry_order *order, struct ferry_spool_row *rows, size_t count, struct chunk *chunk)
{
    int64_t fresh[CHUNK];
    size_t fresh_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].handed)
            fresh[fresh_count++] = rows[i].sequence;
        else if (!ferry_record_mark_maybe_duplicate(&rows[i].record, &chunk->arena))
            return false;
    }
    return ferry_spool_mark_handed(order->spool, fresh, fresh_count) == FERRY_OK;
}

/* Hands rows over until one is refused; that one and those behind it come again with the next chunk. */
static void hand_over(struct ferry_order *order, struct ferry_gate_of_topic *gate, struct ferry_spool_row *rows,
                      size_t count, struct chunk *chunk)
{
    enum ferry_code code = FERRY_OK;
    size_t i = 0;
    for (; i < count && code == FERRY_OK; i++) {
        struct ferry_shipment *shipment = &chunk->shipments[i];
        *shipment = (struct ferry_shipment){.record = &rows[i].record,
                                            .owner = chunk,
                                            .fed = true,
                                            .repeated = rows[i].handed,
                                            .gate = gate,
                                            .sequence = rows[i].sequence};
        atomic_fetch_add(&chunk->left, 1);
        pthread_mutex_lock(&gate->lock);
        code = ferry_order_give_to_producer(order, shipment);
        gate->passing += chunk->passing && code == FERRY_OK;
        if (code != FERRY_OK)
            ferry_order_report_row(order, shipment,
                                   &(struct ferry_report){.code = code, .reason = "too large for Kafka"}, true);
        pthread_mutex_unlock(&gate->lock);
        FERRY_CRASH_POINT("feed-between-rows");
        if (code != FERRY_OK)
            atomic_fetch_sub(&chunk->left, 1);
    }
    for (i -= code != FERRY_OK; i < count; i++)
        if (!rows[i].handed)
            ferry_spool_unmark_handed(order->spool, rows[i].sequence);
}

/* How many rows to feed at once. Kafka says "too large" of a whole batch: then half of it, and from there up again. */
static size_t next_chunk(struct ferry_gate_of_topic *gate)
{
    pthread_mutex_lock(&gate->lock);
    size_t chunk = gate->chunk > 0 && gate->chunk < CHUNK ? gate->chunk : CHUNK;
    gate->chunk = chunk * 2;
    pthread_mutex_unlock(&gate->lock);
    return chunk;
}

/* With those, ever, that could not be written: that one fails after it was counted changes nothing here. */
static size_t counted_rows(struct ferry_gate_of_topic *gate)
{
    pthread_mutex_lock(&gate->lock);
    size_t rows = gate->spooled + gate->unwritten;
    pthread_mutex_unlock(&gate->lock);
    return rows;
}

/* Rows that were counted before a sync are in the file, or could not be written, or damage hides them: then nobody will
 * ever feed them, and the gate must not wait for them. */
static void note_missing(struct ferry_gate_of_topic *gate, size_t counted)
{
    pthread_mutex_lock(&gate->lock);
    size_t missing = counted - gate->unwritten;
    gate->spooled -= missing;
    pthread_mutex_unlock(&gate->lock);
    if (missing == 0)
        return;
    ferry_log(FERRY_LOG_ERROR, "spool: rows are missing from the file: its disk is damaged",
              FERRY_FIELDS(ferry_field_slice("topic", gate->topic), ferry_number("rows", (int64_t)missing)));
}

/* How many of the rows make the next chunk: all, or, once Kafka has said "too large", those in front of the first that
 * may be meant, which then comes alone. */
static size_t measure(struct chunk *chunk, const struct ferry_gate_of_topic *gate, const struct ferry_spool_row *rows,
                      size_t count, size_t wanted)
{
    for (; chunk->count < count; chunk->count++) {
        size_t bytes = ferry_order_bytes_of(&rows[chunk->count].record);
        bool suspect = gate->wary && bytes > gate->proven_bytes;
        if (suspect && chunk->count > 0)
            break;
        chunk->bytes += bytes;
        if (suspect) {
            chunk->count = 1;
            break;
        }
    }
    chunk->passing = chunk->count == count && count < wanted && chunk->bytes <= gate->proven_chunk;
    return chunk->count;
}

/* The next rows of a topic of which the producer holds nothing. */
static enum ferry_code feed(struct ferry_order *order, struct ferry_gate_of_topic *gate, struct chunk *chunk,
                            struct ferry_error *error)
{
    struct ferry_spool_row *rows;
    size_t count, damaged, counted = counted_rows(gate), wanted = next_chunk(gate);
    /* What was reported is deleted before rows are read: none is fed a second time. */
    enum ferry_code code = ferry_spool_sync(order->spool);
    if (code != FERRY_OK)
        return ferry_fail(error, code, "the spool cannot write to its disk");
    code = ferry_spool_read(order->spool, gate->topic, wanted, &chunk->arena, &rows, &count, &damaged, error);
    if (code != FERRY_OK)
        return code;
    FERRY_CRASH_POINT("feed-after-read");
    ferry_order_rows_gone(gate, damaged);
    if (count == 0 && damaged == 0)
        note_missing(gate, counted);
    count = measure(chunk, gate, rows, count, wanted);
    if (!mark_rows(order, rows, count, chunk))
        return ferry_fail(error, FERRY_SYSTEM, "the spool could not note what is handed over");
    FERRY_CRASH_POINT("feed-after-mark");
    hand_over(order, gate, rows, count, chunk);
    FERRY_CRASH_POINT("feed-handed-over");
    return FERRY_OK;
}

/* If there is something to feed, the gate stays closed until end_feeding: what the producer held and the rows that are
 * read exclude each other. */
static bool begin_feeding(struct ferry_gate_of_topic *gate, int64_t now_ms)
{
    pthread_mutex_lock(&gate->lock);
    gate->feeding = gate->spooled > 0 && gate->with_producer == 0 && gate->not_before_ms <= now_ms;
    bool feeding = gate->feeding;
    pthread_mutex_unlock(&gate->lock);
    return feeding;
}

static void end_feeding(struct ferry_gate_of_topic *gate, int64_t pause_ms)
{
    pthread_mutex_lock(&gate->lock);
    gate->feeding = false;
    ferry_order_pause_feeding(gate, pause_ms);
    pthread_mutex_unlock(&gate->lock);
}

/* For how long to feed no more of this topic. */
static int64_t feed_gate(struct ferry_order *order, struct ferry_gate_of_topic *gate)
{
    struct ferry_error error = {.text = "out of memory"};
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL)
        return FERRY_FEED_PAUSE_MS;
    atomic_init(&chunk->left, 1);
    bool failed = feed(order, gate, chunk, &error) != FERRY_OK;
    if (failed)
        ferry_log(FERRY_LOG_ERROR, "spool: cannot feed",
                  FERRY_FIELDS(ferry_field_slice("topic", gate->topic), ferry_text("reason", error.text)));
    bool idle = atomic_fetch_sub(&chunk->left, 1) == 1; /* nothing was handed over, or all is reported already */
    if (idle)
        chunk_free(chunk);
    return failed ? FERRY_FEED_PAUSE_MS : idle ? SHORT_PAUSE_MS : 0;
}

static void feed_gates(struct ferry_order *order)
{
    pthread_rwlock_rdlock(&order->gates_lock);
    struct ferry_gate_of_topic *gate = order->all; /* new ones are put in front: this tail stays as it is */
    pthread_rwlock_unlock(&order->gates_lock);
    for (; gate != NULL; gate = gate->next_all)
        if (begin_feeding(gate, ferry_clock_mono_ms()))
            end_feeding(gate, feed_gate(order, gate));
}

/* Until there may be something to feed; false when it is time to stop. */
static bool wait_for_rows(struct ferry_order *order)
{
    int64_t wait_ms = ferry_spool_rows(order->spool) > 0 ? SHORT_PAUSE_MS : IDLE_MS;
    const struct timespec until = ferry_deadline_in(wait_ms);
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

enum ferry_code ferry_order_start_feeding(struct ferry_order *order, struct ferry_error *error)
{
    if (order->spool == NULL)
        return FERRY_OK;
    int failed = pthread_create(&order->feeder, NULL, run_feeder, order);
    return failed ? ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed)) : FERRY_OK;
}

void ferry_order_stop_feeding(struct ferry_order *order)
{
    if (order->spool == NULL)
        return;
    pthread_mutex_lock(&order->feeder_lock);
    order->stopping = true;
    pthread_cond_signal(&order->feeder_wake);
    pthread_mutex_unlock(&order->feeder_lock);
    pthread_join(order->feeder, NULL);
}
