/* The life of a parcel:
 *
 *               ferry_publish               last shipment settled       ferry_outlet_collect
 *   (owner's) ----------------> WAITING --------------------------> SETTLED ----------------> (owner's)
 *                                  |
 *                                  | ack_timeout: its shipments are given up to the spool, and it waits on for that;
 *                                  | a second time-out, or no spool
 *                                  v
 *                              GIVEN_UP -> (owner's)
 *
 * The step out of WAITING is one compare-and-exchange, so exactly one side decides what the sender is told. Its memory
 * is released when the owner has it back and no shipment needs it. */
#include "bridge/publish.h"

#include <stdlib.h>
#include <unistd.h>

#include "bridge/outbound.h"
#include "core/crash_point.h"

enum parcel_state { WAITING, SETTLED, GIVEN_UP };
enum outcome { FAILED = 1, TOO_LARGE = 2, SPOOLED = 4 };

enum {
    MAX_BYTES = 256 << 20, /* of values that are with the producer: what Kafka's absence may cost in memory */
    SPOOL_TIMEOUT_MS = 1000,
};

struct ferry_publisher {
    struct ferry_order *order;
    int64_t ack_timeout_ms;
    atomic_size_t bytes;
    struct ferry_outlet *dirty; /* report thread alone */
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

static void let_go(struct ferry_parcel *parcel)
{
    if (atomic_fetch_sub(&parcel->references, 1) != 1)
        return;
    atomic_fetch_sub(&parcel->publisher->bytes, parcel->bytes);
    if (parcel->shipments != &parcel->only)
        free(parcel->shipments);
    parcel->release(parcel);
}

static void note_outcome(struct ferry_parcel *parcel, enum ferry_code code)
{
    if (code == FERRY_SPOOLED)
        atomic_fetch_or(&parcel->outcomes, SPOOLED);
    else if (code != FERRY_OK)
        atomic_fetch_or(&parcel->outcomes, code == FERRY_RECORD_TOO_LARGE ? FAILED | TOO_LARGE : FAILED);
}

/* One of those that `unsettled` counts is done; true when the parcel is to go back to its owner. */
static bool settle(struct ferry_parcel *parcel)
{
    return atomic_fetch_sub(&parcel->unsettled, 1) == 1 && leave_waiting(parcel, SETTLED);
}

static void hand_back_with_batch(struct ferry_publisher *publisher, struct ferry_parcel *parcel)
{
    struct ferry_outlet *outlet = parcel->outlet;
    if (outlet->batch.first == NULL) {
        outlet->next_dirty = publisher->dirty;
        publisher->dirty = outlet;
    }
    append(&outlet->batch, parcel);
}

static void take_settled(void *context, struct ferry_shipment *shipment, enum ferry_code code, bool reporting)
{
    struct ferry_parcel *parcel = shipment->owner;
    note_outcome(parcel, code);
    if (!settle(parcel))
        return;
    FERRY_CRASH_POINT("publish-settled");
    if (reporting)
        hand_back_with_batch(context, parcel);
    else
        hand_back_one(parcel);
}

static void take_released(void *context, struct ferry_shipment *shipment)
{
    (void)context;
    let_go(shipment->owner);
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

static size_t value_bytes(const struct ferry_parcel *parcel)
{
    size_t bytes = 0;
    for (size_t i = 0; i < parcel->record_count; i++)
        bytes += parcel->records[i].value.len;
    return bytes;
}

/* False when memory ran out. */
static bool make_shipments(struct ferry_parcel *parcel)
{
    parcel->shipments = &parcel->only;
    if (parcel->record_count > 1)
        parcel->shipments = calloc(parcel->record_count, sizeof *parcel->shipments);
    for (size_t i = 0; parcel->shipments != NULL && i < parcel->record_count; i++)
        parcel->shipments[i] = (struct ferry_shipment){.record = &parcel->records[i], .owner = parcel};
    return parcel->shipments != NULL;
}

/* The request cannot be made safe: nothing of it is sent. */
static void refuse(struct ferry_parcel *parcel, enum ferry_code why)
{
    const struct ferry_tally *tally = ferry_order_tally(parcel->publisher->order);
    note_outcome(parcel, why);
    ferry_tally_receive(tally, parcel->record_count);
    ferry_tally_refuse(tally, why, parcel->record_count);
}

/* With Kafka away and the spool full there is no reason to let the sender wait for ack_timeout. */
static bool is_hopeless(struct ferry_order *order)
{
    return ferry_order_has_spool(order) && !ferry_outbound_up(ferry_order_outbound(order)) &&
           !ferry_order_spool_accepts(order);
}

static void send_all(struct ferry_publisher *publisher, struct ferry_parcel *parcel, bool full)
{
    if ((full && !ferry_order_has_spool(publisher->order)) || is_hopeless(publisher->order)) {
        refuse(parcel, FERRY_QUEUE_FULL);
        return;
    }
    if (!make_shipments(parcel)) {
        refuse(parcel, FERRY_MEMORY);
        return;
    }
    atomic_fetch_add(&parcel->unsettled, parcel->record_count);
    atomic_fetch_add(&parcel->references, parcel->record_count);
    for (size_t i = 0; i < parcel->record_count; i++)
        ferry_order_send(publisher->order, &parcel->shipments[i], full);
}

/* Who waits for nobody's answer is not sent away while the producer may still bring the record to Kafka: it would only
 * publish it once more. */
static int64_t patience_ms(const struct ferry_publisher *publisher, const struct ferry_outlet *outlet)
{
    return outlet->patience_ms > 0 && !ferry_order_has_spool(publisher->order) ? outlet->patience_ms
                                                                               : publisher->ack_timeout_ms;
}

void ferry_publish(struct ferry_publisher *publisher, struct ferry_outlet *outlet, struct ferry_parcel *parcel,
                   int64_t mono_ms)
{
    parcel->publisher = publisher;
    parcel->outlet = outlet;
    parcel->bytes = value_bytes(parcel);
    parcel->deadline_ms = mono_ms + patience_ms(publisher, outlet);
    parcel->given_up = false;
    parcel->shipments = NULL;
    atomic_init(&parcel->unsettled, 1);
    atomic_init(&parcel->references, 1);
    atomic_init(&parcel->outcomes, 0);
    atomic_init(&parcel->state, WAITING);
    wait_in(&outlet->waiting, parcel);
    bool full = atomic_fetch_add(&publisher->bytes, parcel->bytes) + parcel->bytes > MAX_BYTES;
    FERRY_CRASH_POINT("publish-before-send");
    send_all(publisher, parcel, full);
    FERRY_CRASH_POINT("publish-after-send");
    if (settle(parcel))
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

/* What the sender is told. */
static enum ferry_code decide(struct ferry_parcel *parcel)
{
    unsigned outcomes = atomic_load(&parcel->outcomes);
    if (outcomes & TOO_LARGE)
        return FERRY_RECORD_TOO_LARGE;
    if (outcomes & FAILED || atomic_load(&parcel->state) != SETTLED)
        return FERRY_UNAVAILABLE;
    return outcomes & SPOOLED ? FERRY_SPOOLED : FERRY_OK;
}

static struct ferry_parcel_list *list_of(struct ferry_outlet *outlet, const struct ferry_parcel *parcel)
{
    return parcel->given_up ? &outlet->spooling : &outlet->waiting;
}

/* Back to the owner, who holds a reference of its own. */
static void give_back(struct ferry_outlet *outlet, struct ferry_parcel *parcel, struct ferry_parcel_list *decided)
{
    wait_no_more(list_of(outlet, parcel), parcel);
    parcel->code = decide(parcel);
    FERRY_CRASH_POINT("publish-before-answer");
    append(decided, parcel);
    let_go(parcel);
}

/* Kafka took too long. With a spool the parcel goes on waiting, for that. */
static void give_up(struct ferry_outlet *outlet, struct ferry_parcel *parcel, int64_t mono_ms,
                    struct ferry_parcel_list *decided)
{
    struct ferry_order *order = parcel->publisher->order;
    if (parcel->given_up || !ferry_order_has_spool(order)) {
        if (leave_waiting(parcel, GIVEN_UP)) /* else its last shipment was settled this moment: it is on its way */
            give_back(outlet, parcel, decided);
        return;
    }
    FERRY_CRASH_POINT("publish-give-up");
    wait_no_more(&outlet->waiting, parcel);
    parcel->given_up = true;
    parcel->deadline_ms = mono_ms + SPOOL_TIMEOUT_MS;
    wait_in(&outlet->spooling, parcel);
    for (size_t i = 0; parcel->shipments != NULL && i < parcel->record_count; i++)
        ferry_order_give_up(order, &parcel->shipments[i]);
}

static void collect_late(struct ferry_outlet *outlet, struct ferry_parcel_list *list, int64_t mono_ms,
                         struct ferry_parcel_list *decided)
{
    for (struct ferry_parcel *parcel = list->first, *next; parcel != NULL; parcel = next) {
        next = parcel->next_waiting;
        if (parcel->deadline_ms > mono_ms)
            break;
        give_up(outlet, parcel, mono_ms, decided);
    }
}

struct ferry_parcel *ferry_outlet_collect(struct ferry_outlet *outlet, int64_t mono_ms)
{
    struct ferry_parcel_list decided = {0};
    for (struct ferry_parcel *parcel = take_ready(outlet), *next; parcel != NULL; parcel = next) {
        next = parcel->next;
        give_back(outlet, parcel, &decided);
    }
    collect_late(outlet, &outlet->waiting, mono_ms, &decided);
    collect_late(outlet, &outlet->spooling, mono_ms, &decided);
    return decided.first;
}

void ferry_outlet_hurry(struct ferry_outlet *outlet, int64_t mono_ms)
{
    for (struct ferry_parcel *parcel = outlet->waiting.first; parcel != NULL; parcel = parcel->next_waiting)
        if (parcel->deadline_ms > mono_ms)
            parcel->deadline_ms = mono_ms;
}

int64_t ferry_outlet_deadline(const struct ferry_outlet *outlet)
{
    int64_t kafka = outlet->waiting.first != NULL ? outlet->waiting.first->deadline_ms : INT64_MAX;
    int64_t spool = outlet->spooling.first != NULL ? outlet->spooling.first->deadline_ms : INT64_MAX;
    return kafka < spool ? kafka : spool;
}

/* ---- life ---- */

enum ferry_code ferry_publisher_open(const struct ferry_config *config, struct ferry_metrics *metrics,
                                     struct ferry_publisher **out, struct ferry_error *error)
{
    struct ferry_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    publisher->ack_timeout_ms = config->bridge.ack_timeout_ms;
    const struct ferry_order_listener listener = {publisher, take_settled, take_released, take_reports_end};
    enum ferry_code code = ferry_order_open(config, &listener, metrics, &publisher->order, error);
    if (code != FERRY_OK) {
        free(publisher);
        return code;
    }
    *out = publisher;
    return FERRY_OK;
}

bool ferry_publisher_up(struct ferry_publisher *publisher)
{
    return ferry_outbound_up(ferry_order_outbound(publisher->order));
}

bool ferry_publisher_accepts(struct ferry_publisher *publisher)
{
    struct ferry_order *order = publisher->order;
    return (ferry_outbound_ready(ferry_order_outbound(order)) && !ferry_order_is_blocked(order)) ||
           ferry_order_spool_accepts(order);
}

void ferry_publisher_topics_ready(struct ferry_publisher *publisher)
{
    ferry_outbound_topics_ready(ferry_order_outbound(publisher->order));
}

enum ferry_code ferry_publisher_tend(struct ferry_publisher *publisher, int64_t mono_ms, struct ferry_error *error)
{
    return ferry_outbound_tend(ferry_order_outbound(publisher->order), mono_ms, error);
}

enum ferry_code ferry_publisher_flush(struct ferry_publisher *publisher, int64_t timeout_ms)
{
    return ferry_outbound_flush(ferry_order_outbound(publisher->order), timeout_ms);
}

void ferry_publisher_close(struct ferry_publisher *publisher)
{
    if (publisher == NULL)
        return;
    ferry_order_close(publisher->order);
    free(publisher);
}
