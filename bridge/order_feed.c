/* The feeder: hands rows of the spool to the producer, a chunk of a topic at a time, by sequence, once the producer
 * holds nothing more of that topic. Topics that flow are fed together in a pass. A topic that Kafka does not take keeps
 * its rows, and the others waiting for COMPANY_MS once. */
#include <stdlib.h>

#include "bridge/event_log.h"
#include "bridge/order_inside.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "core/wait.h"

enum {
    CHUNK = 1000,
    GATES_AT_ONCE = 64,
    ROWS_AT_ONCE = 3000,
    FEW_ROWS = 500, /* to note so many takes less than the reserve of a full disk has */
    SHORT_PAUSE_MS = 10,
    COMPANY_MS = 100,
    IDLE_MS = 1000
};

/* Rows of one topic that are fed together, and their memory. */
struct chunk {
    struct ferry_gate_of_topic *gate;
    size_t counted; /* rows of the gate before what was reported was deleted */
    struct ferry_spool_row *rows;
    struct ferry_arena arena;
    atomic_size_t left;
    size_t count, bytes;
    size_t delivered; /* under the gate's lock */
    bool passing;     /* there are no rows behind it, and Kafka takes as much at once */
    struct ferry_shipment shipments[CHUNK];
};

/* The chunks that are read, marked and handed over in one go: rows of several topics lie in one page of the file, which
 * is written once for all of them. */
struct pass {
    struct chunk *chunks[GATES_AT_ONCE];
    size_t count;
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
static bool mark_rows(struct ferry_order *order, const struct pass *pass)
{
    int64_t fresh[ROWS_AT_ONCE];
    size_t fresh_count = 0;
    for (size_t i = 0; i < pass->count; i++) {
        struct chunk *chunk = pass->chunks[i];
        for (size_t row = 0; row < chunk->count; row++) {
            if (!chunk->rows[row].handed)
                fresh[fresh_count++] = chunk->rows[row].sequence;
            else if (!ferry_record_mark_maybe_duplicate(&chunk->rows[row].record, &chunk->arena))
                return false;
        }
    }
    return ferry_spool_mark_handed(order->spool, fresh, fresh_count) == FERRY_OK;
}

/* Hands rows over until one is refused; that one and those behind it come again with the next chunk. False when not
 * one was taken. */
static bool hand_over(struct ferry_order *order, struct chunk *chunk)
{
    struct ferry_gate_of_topic *gate = chunk->gate;
    struct ferry_spool_row *rows = chunk->rows;
    enum ferry_code code = FERRY_OK;
    size_t i = 0;
    for (; i < chunk->count && code == FERRY_OK; i++) {
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
    i -= code != FERRY_OK;
    bool any = i > 0;
    for (; i < chunk->count; i++)
        if (!rows[i].handed)
            ferry_spool_unmark_handed(order->spool, rows[i].sequence);
    return any;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many rows of a topic to feed, at most `room`. Kafka says "too large" of a whole batch: then half of it, and from
 * there up again. */
static size_t next_chunk(struct ferry_gate_of_topic *gate, size_t room)
{
    pthread_mutex_lock(&gate->lock);
    size_t chunk = smaller(gate->chunk > 0 ? smaller(gate->chunk, CHUNK) : CHUNK, room);
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
static void measure(struct chunk *chunk, size_t count, size_t wanted)
{
    const struct ferry_gate_of_topic *gate = chunk->gate;
    for (; chunk->count < count; chunk->count++) {
        size_t bytes = ferry_order_bytes_of(&chunk->rows[chunk->count].record);
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
}

/* The next rows of a topic of which the producer holds nothing. */
static enum ferry_code read_chunk(struct ferry_order *order, struct chunk *chunk, size_t room,
                                  struct ferry_error *error)
{
    struct ferry_gate_of_topic *gate = chunk->gate;
    size_t count, damaged, wanted = next_chunk(gate, room);
    enum ferry_code code =
        ferry_spool_read(order->spool, gate->topic, wanted, &chunk->arena, &chunk->rows, &count, &damaged, error);
    if (code != FERRY_OK)
        return code;
    FERRY_CRASH_POINT("feed-after-read");
    ferry_order_rows_gone(gate, damaged);
    if (count == 0 && damaged == 0)
        note_missing(gate, chunk->counted);
    measure(chunk, count, wanted);
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

/* NULL when there is nothing to feed of this topic now. */
static struct chunk *begin_chunk(struct ferry_gate_of_topic *gate, int64_t now_ms)
{
    if (!begin_feeding(gate, now_ms))
        return NULL;
    struct chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        end_feeding(gate, FERRY_FEED_PAUSE_MS);
        return NULL;
    }
    chunk->gate = gate;
    chunk->counted = counted_rows(gate);
    atomic_init(&chunk->left, 1);
    return chunk;
}

static void end_chunk(struct chunk *chunk, int64_t pause_ms)
{
    struct ferry_gate_of_topic *gate = chunk->gate;
    if (atomic_fetch_sub(&chunk->left, 1) == 1) /* nothing was handed over, or all is reported already */
        chunk_free(chunk);
    end_feeding(gate, pause_ms);
}

static void fail_chunk(struct chunk *chunk, const char *reason)
{
    ferry_log(FERRY_LOG_ERROR, "spool: cannot feed",
              FERRY_FIELDS(ferry_field_slice("topic", chunk->gate->topic), ferry_text("reason", reason)));
    end_chunk(chunk, FERRY_FEED_PAUSE_MS);
}

static void fail_pass(struct pass *pass, const char *reason)
{
    for (size_t i = 0; i < pass->count; i++)
        fail_chunk(pass->chunks[i], reason);
    pass->count = 0;
}

/* Chunks that cannot be read leave the pass. */
static void read_chunks(struct ferry_order *order, struct pass *pass)
{
    size_t count = pass->count;
    pass->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct ferry_error error = {.text = ""};
        if (read_chunk(order, pass->chunks[i], order->rows_at_once / count, &error) == FERRY_OK)
            pass->chunks[pass->count++] = pass->chunks[i];
        else
            fail_chunk(pass->chunks[i], error.text);
    }
}

static void feed(struct ferry_order *order, struct pass *pass)
{
    /* What was reported is deleted before rows are read: none is fed a second time. */
    if (ferry_spool_sync(order->spool) != FERRY_OK)
        fail_pass(pass, "the spool cannot write to its disk");
    read_chunks(order, pass);
    if (!mark_rows(order, pass)) {
        fail_pass(pass, "the spool could not note what is handed over");
        order->rows_at_once = FEW_ROWS;
    } else if (pass->count > 0 && ferry_spool_accepts(order->spool)) {
        order->rows_at_once = smaller(order->rows_at_once * 2, ROWS_AT_ONCE);
    }
    FERRY_CRASH_POINT("feed-after-mark");
    for (size_t i = 0; i < pass->count; i++) {
        bool any = hand_over(order, pass->chunks[i]);
        FERRY_CRASH_POINT("feed-handed-over");
        end_chunk(pass->chunks[i], any ? 0 : SHORT_PAUSE_MS);
    }
}

static struct ferry_gate_of_topic *all_gates(struct ferry_order *order)
{
    pthread_rwlock_rdlock(&order->gates_lock);
    struct ferry_gate_of_topic *gate = order->all; /* new ones are put in front: this tail stays as it is */
    pthread_rwlock_unlock(&order->gates_lock);
    return gate;
}

/* Whether the producer still holds rows of the pass, behind which there are more. */
static bool is_coming(struct ferry_gate_of_topic *gate)
{
    pthread_mutex_lock(&gate->lock);
    bool coming = gate->with_producer > 0 && gate->spooled > gate->with_producer;
    pthread_mutex_unlock(&gate->lock);
    return coming;
}

/* Topics that have been fed together and go on are fed together again: then their rows share pages once more. A topic
 * that Kafka does not take keeps the others waiting once, and is in no pass from then on. */
static void wait_for_company(struct ferry_order *order, struct ferry_gate_of_topic *const *gates, size_t count)
{
    const struct timespec until = ferry_deadline_in(COMPANY_MS);
    bool in_time = true, waited = false;
    for (size_t i = 0; i < count && in_time; i++) {
        while (in_time && is_coming(gates[i])) {
            pthread_mutex_lock(&order->feeder_lock);
            while (in_time && !order->feeder_due && !order->stopping)
                in_time = pthread_cond_timedwait(&order->feeder_wake, &order->feeder_lock, &until) == 0;
            in_time = in_time && !order->stopping;
            order->feeder_due = false;
            waited = true;
            pthread_mutex_unlock(&order->feeder_lock);
        }
    }
    if (waited) /* it has used up what would have said so */
        ferry_order_wake_feeder(order);
}

static void feed_gates(struct ferry_order *order)
{
    struct ferry_gate_of_topic *gate = all_gates(order), *fed[GATES_AT_ONCE];
    while (gate != NULL) {
        struct pass pass = {.count = 0};
        for (; gate != NULL && pass.count < GATES_AT_ONCE; gate = gate->next_all) {
            pass.chunks[pass.count] = begin_chunk(gate, ferry_clock_mono_ms());
            fed[pass.count] = gate;
            pass.count += pass.chunks[pass.count] != NULL;
        }
        size_t count = pass.count;
        if (count > 0)
            feed(order, &pass);
        wait_for_company(order, fed, count);
    }
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
    order->rows_at_once = ROWS_AT_ONCE;
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
