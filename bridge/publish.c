/* The life of a parcel:
 *
 *               ferry_publish                last report              ferry_outlet_collect
 *   (owner's) ----------------> WAITING --------------------> SETTLED ---------------------> (owner's) + release
 *                                  |
 *                                  | deadline, in ferry_outlet_collect
 *                                  v                          last report, later
 *                              GIVEN_UP  -> (owner's) ....... --------------------> release
 *
 * The step out of WAITING is one compare-and-exchange, so exactly one side decides what the sender is told. */
#include "bridge/publish.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/kafka/producer.h"

enum parcel_state { WAITING, SETTLED, GIVEN_UP, SHELTERED };
enum failure { FAILED = 1, TOO_LARGE = 2 };

enum {
    MAX_BYTES = 256 << 20, /* of values that are with the producer: what Kafka's absence may cost in memory */
    REPLACE_FIRST_MS = 1000,
    REPLACE_MAX_MS = 60000,
    QUIET_MS = 5 * 60000, /* so long without breaking, and the back-off begins anew */
};

struct ferry_publisher {
    const struct ferry_config *config;
    struct ferry_metrics *metrics;
    struct ferry_series *replaced;
    const struct ferry_shelter *shelter;
    int64_t ack_timeout_ms;
    atomic_size_t bytes;
    pthread_rwlock_t lock; /* of `producer`: written while one is replaced */
    struct ferry_producer *producer;
    struct ferry_outlet *dirty; /* report thread alone */
    int64_t replaced_ms;
    int64_t back_off_ms;
};

/* ---- outlets ---- */

static void append(struct ferry_parcel_list *list, struct ferry_parcel *parcel)
{
    parcel->next = NULL;
    if (list->last != NULL)
        list->last->next = parcel;
    else
        list->first = parcel;
    list->last = parcel;
}

static void wait_in(struct ferry_parcel_list *waiting, struct ferry_parcel *parcel)
{
    parcel->previous_waiting = waiting->last;
    parcel->next_waiting = NULL;
    if (waiting->last != NULL)
        waiting->last->next_waiting = parcel;
    else
        waiting->first = parcel;
    waiting->last = parcel;
}

static void wait_no_more(struct ferry_parcel_list *waiting, struct ferry_parcel *parcel)
{
    *(parcel->previous_waiting != NULL ? &parcel->previous_waiting->next_waiting : &waiting->first) =
        parcel->next_waiting;
    *(parcel->next_waiting != NULL ? &parcel->next_waiting->previous_waiting : &waiting->last) =
        parcel->previous_waiting;
}

void ferry_outlet_init(struct ferry_outlet *outlet, int wake_fd)
{
    *outlet = (struct ferry_outlet){.wake_fd = wake_fd};
    pthread_mutex_init(&outlet->lock, NULL);
}

void ferry_outlet_done(struct ferry_outlet *outlet)
{
    pthread_mutex_destroy(&outlet->lock);
}

/* Moves a whole list to the owner, and wakes it. */
static void hand_back(struct ferry_outlet *outlet, struct ferry_parcel_list *list)
{
    pthread_mutex_lock(&outlet->lock);
    if (outlet->ready.last != NULL)
        outlet->ready.last->next = list->first;
    else
        outlet->ready.first = list->first;
    outlet->ready.last = list->last;
    pthread_mutex_unlock(&outlet->lock);
    *list = (struct ferry_parcel_list){0};
    const uint64_t one = 1;
    (void)!write(outlet->wake_fd, &one, sizeof one); /* it can only be full, and then the owner wakes anyway */
}

static void hand_back_one(struct ferry_parcel *parcel)
{
    struct ferry_parcel_list list = {0};
    append(&list, parcel);
    hand_back(parcel->outlet, &list);
}

/* ---- settling ---- */

static bool leave_waiting(struct ferry_parcel *parcel, enum parcel_state next)
{
    int waiting = WAITING;
    return atomic_compare_exchange_strong(&parcel->state, &waiting, (int)next);
}

/* One of those that `outstanding` counts is done; true for the last one. */
static bool count_down(struct ferry_parcel *parcel)
{
    if (atomic_fetch_sub(&parcel->outstanding, 1) != 1)
        return false;
    atomic_fetch_sub(&parcel->publisher->bytes, parcel->bytes);
    return true;
}

static void note_failure(struct ferry_parcel *parcel, enum ferry_code code)
{
    if (code != FERRY_OK)
        atomic_fetch_or(&parcel->failures, code == FERRY_RECORD_TOO_LARGE ? FAILED | TOO_LARGE : FAILED);
}

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_publisher *publisher = context;
    struct ferry_parcel *parcel = report->tag;
    struct ferry_outlet *outlet = parcel->outlet;
    note_failure(parcel, report->code);
    if (!count_down(parcel))
        return;
    if (!leave_waiting(parcel, SETTLED)) {
        parcel->release(parcel); /* answered long ago */
        return;
    }
    if (outlet->batch.first == NULL) {
        outlet->next_dirty = publisher->dirty;
        publisher->dirty = outlet;
    }
    append(&outlet->batch, parcel);
}

static void take_reports_end(void *context)
{
    struct ferry_publisher *publisher = context;
    while (publisher->dirty != NULL) {
        struct ferry_outlet *outlet = publisher->dirty;
        publisher->dirty = outlet->next_dirty;
        hand_back(outlet, &outlet->batch);
    }
}

/* ---- handing over ---- */

static enum ferry_code send_record(struct ferry_publisher *publisher, const struct ferry_record *record,
                                   struct ferry_parcel *parcel)
{
    if (publisher->producer == NULL)
        return FERRY_KAFKA;
    atomic_fetch_add(&parcel->outstanding, 1);
    enum ferry_code code = ferry_producer_send(publisher->producer, record, parcel, NULL);
    if (code != FERRY_OK)
        atomic_fetch_sub(&parcel->outstanding, 1); /* never the last: ferry_publish holds one */
    return code;
}

/* All records, or up to the first that is refused: the rest could not make the request safe any more. */
static void send_records(struct ferry_publisher *publisher, struct ferry_parcel *parcel)
{
    enum ferry_code code = FERRY_OK;
    pthread_rwlock_rdlock(&publisher->lock);
    for (size_t i = 0; i < parcel->record_count && code == FERRY_OK; i++)
        code = send_record(publisher, &parcel->records[i], parcel);
    pthread_rwlock_unlock(&publisher->lock);
    note_failure(parcel, code);
}

static size_t value_bytes(const struct ferry_parcel *parcel)
{
    size_t bytes = 0;
    for (size_t i = 0; i < parcel->record_count; i++)
        bytes += parcel->records[i].value.len;
    return bytes;
}

void ferry_publish(struct ferry_publisher *publisher, struct ferry_outlet *outlet, struct ferry_parcel *parcel,
                   int64_t mono_ms)
{
    parcel->publisher = publisher;
    parcel->outlet = outlet;
    parcel->bytes = value_bytes(parcel);
    parcel->deadline_ms = mono_ms + publisher->ack_timeout_ms;
    atomic_init(&parcel->outstanding, 1);
    atomic_init(&parcel->failures, 0);
    atomic_init(&parcel->state, WAITING);
    wait_in(&outlet->waiting, parcel);
    if (atomic_fetch_add(&publisher->bytes, parcel->bytes) + parcel->bytes > MAX_BYTES)
        note_failure(parcel, FERRY_QUEUE_FULL);
    else
        send_records(publisher, parcel);
    if (count_down(parcel) && leave_waiting(parcel, SETTLED))
        hand_back_one(parcel);
}

/* ---- collecting ---- */

static struct ferry_parcel *take_ready(struct ferry_outlet *outlet)
{
    pthread_mutex_lock(&outlet->lock);
    struct ferry_parcel *first = outlet->ready.first;
    outlet->ready = (struct ferry_parcel_list){0};
    pthread_mutex_unlock(&outlet->lock);
    return first;
}

/* Not everything is safe in Kafka: the one place where the spool comes in. True when the owner is to be told now. */
static bool decide_without_kafka(struct ferry_parcel *parcel)
{
    const struct ferry_shelter *shelter = parcel->publisher->shelter;
    if (shelter != NULL && shelter->take(shelter->context, parcel))
        return false;
    parcel->code = FERRY_UNAVAILABLE;
    return true;
}

/* Fills the code; true when the owner is to be told now. */
static bool decide(struct ferry_parcel *parcel)
{
    unsigned failures = atomic_load(&parcel->failures);
    if (atomic_load(&parcel->state) == SETTLED && failures == 0) {
        parcel->code = FERRY_OK;
        return true;
    }
    if (failures & TOO_LARGE) {
        parcel->code = FERRY_RECORD_TOO_LARGE;
        return true;
    }
    return decide_without_kafka(parcel);
}

static void collect_ready(struct ferry_outlet *outlet, struct ferry_parcel *parcel, struct ferry_parcel_list *decided)
{
    if (atomic_load(&parcel->state) == SHELTERED) {
        append(decided, parcel);
        return;
    }
    wait_no_more(&outlet->waiting, parcel);
    if (decide(parcel))
        append(decided, parcel);
    parcel->release(parcel);
}

void ferry_parcel_sheltered(struct ferry_parcel *parcel, enum ferry_code code)
{
    parcel->code = code;
    atomic_store(&parcel->state, SHELTERED);
    hand_back_one(parcel);
}

struct ferry_parcel *ferry_outlet_collect(struct ferry_outlet *outlet, int64_t mono_ms)
{
    struct ferry_parcel_list decided = {0};
    for (struct ferry_parcel *parcel = take_ready(outlet), *next; parcel != NULL; parcel = next) {
        next = parcel->next;
        collect_ready(outlet, parcel, &decided);
    }
    for (struct ferry_parcel *parcel = outlet->waiting.first, *next; parcel != NULL; parcel = next) {
        next = parcel->next_waiting;
        if (parcel->deadline_ms > mono_ms)
            break;
        if (!leave_waiting(parcel, GIVEN_UP))
            continue; /* its last report came this moment: it is on its way to `ready` */
        wait_no_more(&outlet->waiting, parcel);
        if (decide(parcel))
            append(&decided, parcel);
    }
    return decided.first;
}

int64_t ferry_outlet_deadline(const struct ferry_outlet *outlet)
{
    return outlet->waiting.first != NULL ? outlet->waiting.first->deadline_ms : INT64_MAX;
}

/* ---- the producer ---- */

static enum ferry_code open_producer(struct ferry_publisher *publisher, struct ferry_error *error)
{
    struct ferry_producer_listener listener = {publisher, take_report, take_reports_end};
    struct ferry_producer *producer;
    enum ferry_code code = ferry_producer_open(publisher->config->kafka, publisher->config->bridge.kafka, &listener,
                                               publisher->metrics, &producer, error);
    if (code != FERRY_OK)
        return code;
    pthread_rwlock_wrlock(&publisher->lock);
    publisher->producer = producer;
    pthread_rwlock_unlock(&publisher->lock);
    return FERRY_OK;
}

/* Nobody sends to it any more, each of its records gets its report, and it is gone. */
static void close_producer(struct ferry_publisher *publisher)
{
    pthread_rwlock_wrlock(&publisher->lock);
    struct ferry_producer *producer = publisher->producer;
    publisher->producer = NULL;
    pthread_rwlock_unlock(&publisher->lock);
    ferry_producer_close(producer);
}

enum ferry_code ferry_publisher_open(const struct ferry_config *config, struct ferry_metrics *metrics,
                                     const struct ferry_shelter *shelter, struct ferry_publisher **out,
                                     struct ferry_error *error)
{
    struct ferry_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    publisher->config = config;
    publisher->metrics = metrics;
    publisher->replaced =
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_producer_replacements_total",
                                                 "Producers that broke for good and were replaced", NULL),
                            NULL);
    publisher->shelter = shelter;
    publisher->ack_timeout_ms = config->bridge.ack_timeout_ms;
    publisher->back_off_ms = REPLACE_FIRST_MS;
    pthread_rwlock_init(&publisher->lock, NULL);
    enum ferry_code code = open_producer(publisher, error);
    if (code != FERRY_OK) {
        pthread_rwlock_destroy(&publisher->lock);
        free(publisher);
        return code;
    }
    *out = publisher;
    return FERRY_OK;
}

bool ferry_publisher_up(struct ferry_publisher *publisher)
{
    pthread_rwlock_rdlock(&publisher->lock);
    bool up = publisher->producer != NULL && ferry_producer_up(publisher->producer);
    pthread_rwlock_unlock(&publisher->lock);
    return up;
}

void ferry_publisher_warm(struct ferry_publisher *publisher, const char *const *topics, size_t count)
{
    pthread_rwlock_rdlock(&publisher->lock);
    if (publisher->producer != NULL)
        ferry_producer_warm(publisher->producer, topics, count);
    pthread_rwlock_unlock(&publisher->lock);
}

enum ferry_code ferry_publisher_tend(struct ferry_publisher *publisher, int64_t mono_ms, struct ferry_error *error)
{
    /* Only the thread that tends changes `producer`: it may look without the lock. */
    if (publisher->producer != NULL && !ferry_producer_broken(publisher->producer))
        return FERRY_OK;
    int64_t since = mono_ms - publisher->replaced_ms;
    if (publisher->replaced_ms > 0 && since < publisher->back_off_ms)
        return FERRY_OK;
    int64_t doubled = publisher->back_off_ms * 2 < REPLACE_MAX_MS ? publisher->back_off_ms * 2 : REPLACE_MAX_MS;
    publisher->back_off_ms = since > QUIET_MS ? REPLACE_FIRST_MS : doubled;
    publisher->replaced_ms = mono_ms;
    close_producer(publisher);
    enum ferry_code code = open_producer(publisher, error);
    if (code != FERRY_OK)
        return code;
    ferry_series_add(publisher->replaced, 1);
    return ferry_fail(error, FERRY_KAFKA_FATAL, "the producer broke and was replaced");
}

enum ferry_code ferry_publisher_flush(struct ferry_publisher *publisher, int64_t timeout_ms)
{
    return publisher->producer != NULL ? ferry_producer_flush(publisher->producer, timeout_ms) : FERRY_OK;
}

void ferry_publisher_close(struct ferry_publisher *publisher)
{
    if (publisher == NULL)
        return;
    close_producer(publisher);
    pthread_rwlock_destroy(&publisher->lock);
    free(publisher);
}
