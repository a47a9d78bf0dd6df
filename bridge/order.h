/* Order per topic across the producer and the spool (docs/decisions/spool.md).
 *
 * A shipment is one record on its way. Normally it goes to the producer and its delivery report settles it. When Kafka
 * does not take it in time (ferry_order_give_up), or a report says that it was not taken, it goes to the spool and the
 * *gate* of its topic closes: everything newer for that topic goes straight to the spool. The feeder gives spooled rows
 * to the producer by sequence, once the producer holds nothing more of that topic; when no row is left the gate opens.
 *
 * Without a spool directory there are no gates: a shipment is settled by its report or not at all. */
#ifndef FERRY_BRIDGE_ORDER_H
#define FERRY_BRIDGE_ORDER_H

#include "bridge/tally.h"
#include "core/config.h"
#include "core/metrics.h"
#include "core/record.h"

struct ferry_order;
struct ferry_gate_of_topic;

enum ferry_shipment_state {
    FERRY_SHIPMENT_SENT,      /* with the producer */
    FERRY_SHIPMENT_SPOOLED,   /* given to the spool; the producer may still hold it as well */
    FERRY_SHIPMENT_DELIVERED, /* its report said FERRY_OK */
    FERRY_SHIPMENT_ASIDE,     /* given to the spool, which keeps it out of the way: Kafka can never take it */
    FERRY_SHIPMENT_LOST       /* neither: whoever waits for it has been told so */
};

struct ferry_shipment {
    const struct ferry_record *record; /* borrowed until `released` */
    void *owner;                       /* the caller's */

    /* order's own; all under the lock of the gate */
    bool fed;      /* a row of the spool, not a request's record */
    bool repeated; /* a row that was handed over before, and may be in Kafka from then */
    struct ferry_gate_of_topic *gate;
    int64_t sequence;
    enum ferry_shipment_state state;
    enum ferry_code why; /* when lost */
    unsigned holders;    /* the producer, the spool's writer */
};

struct ferry_order_listener {
    void *context;
    /* What became of a shipment: FERRY_OK (in Kafka), FERRY_SPOOLED (on disk), or why it is not safe. Once for each;
     * `reporting` on the report thread, where reports_end follows. Any thread; must be quick. */
    void (*settled)(void *context, struct ferry_shipment *shipment, enum ferry_code code, bool reporting);
    /* Nobody needs its memory any more; once for each, after `settled`. Any thread. */
    void (*released)(void *context, struct ferry_shipment *shipment);
    /* The batch of reports is through. Report thread. */
    void (*reports_end)(void *context);
};

/* Opens the producer and, if one is configured, the spool; does not wait for a broker. Fails with FERRY_CONFIG or
 * FERRY_SYSTEM. The configuration is borrowed until ferry_order_close. */
FERRY_NODISCARD enum ferry_code ferry_order_open(const struct ferry_config *config,
                                                 const struct ferry_order_listener *listener,
                                                 struct ferry_metrics *metrics, struct ferry_order **out,
                                                 struct ferry_error *error);
/* To the producer, or to the spool. `to_spool`: the producer is not to have it (memory). Any thread. */
void ferry_order_send(struct ferry_order *order, struct ferry_shipment *shipment, bool to_spool);
/* Kafka took too long: to the spool with it, unless its report has come. Any thread that knows that the shipment is
 * still there. Nothing happens without a spool. */
void ferry_order_give_up(struct ferry_order *order, struct ferry_shipment *shipment);

bool ferry_order_has_spool(const struct ferry_order *order);
/* The spool is broken and has rows: their topics can be fed no more, and so their gates stay closed. */
bool ferry_order_is_blocked(struct ferry_order *order);
/* Can the spool take an event at this moment? */
bool ferry_order_spool_accepts(struct ferry_order *order);
struct ferry_outbound *ferry_order_outbound(struct ferry_order *order);
/* The books, for records that never become shipments. */
const struct ferry_tally *ferry_order_tally(const struct ferry_order *order);
/* Stops feeding, purges the producer, closes the spool, frees. */
void ferry_order_close(struct ferry_order *order);

#endif
