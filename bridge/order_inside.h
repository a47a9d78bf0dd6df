/* What order.c and order_feed.c share. */
#ifndef FERRY_BRIDGE_ORDER_INSIDE_H
#define FERRY_BRIDGE_ORDER_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridge/order.h"
#include "bridge/outbound.h"
#include "bridge/spool.h"

enum { FERRY_GATE_BUCKETS = 256, FERRY_FEED_PAUSE_MS = 500 };

struct ferry_gate_of_topic {
    struct ferry_gate_of_topic *next;     /* in its bucket */
    struct ferry_gate_of_topic *next_all; /* in the list of all; gates are never taken away */
    struct ferry_slice topic;
    pthread_mutex_t lock;
    size_t with_producer;
    size_t spooled;        /* rows; the gate is closed while there is one */
    size_t unwritten;      /* rows, ever, that were counted in `spooled` before the spool failed to write them */
    bool feeding;          /* and while the feeder has the topic in hand */
    int64_t not_before_ms; /* feeding failed: pause */
    size_t proven_bytes;   /* a record as large as this Kafka has taken */
    size_t passing;        /* rows that were handed over last of all: the gate does not wait for them */
    size_t proven_chunk;   /* bytes: Kafka has taken so many rows of this topic at once */
    bool wary;             /* Kafka has said "too large": what is larger than proven is fed alone */
    size_t chunk;          /* rows to feed at once; 0: as many as the feeder likes */
};

struct ferry_order {
    struct ferry_order_listener listener;
    struct ferry_outbound *outbound;
    struct ferry_tally tally;
    struct ferry_spool *spool; /* NULL: none is configured */
    atomic_int_fast64_t next_sequence;

    pthread_rwlock_t gates_lock;
    struct ferry_gate_of_topic *buckets[FERRY_GATE_BUCKETS];
    struct ferry_gate_of_topic *all;

    pthread_t feeder;
    size_t rows_at_once; /* of all topics; the feeder's alone */
    pthread_mutex_t feeder_lock;
    pthread_cond_t feeder_wake;
    bool feeder_due;
    bool stopping;
};

/* ---- order ---- */

/* Under the gate's lock; on FERRY_OK there will be a report. */
FERRY_NODISCARD enum ferry_code ferry_order_give_to_producer(struct ferry_order *order,
                                                             struct ferry_shipment *shipment);
/* A row, fed or given up: it is in Kafka, can never be, or stays for the feeder. `alone`: no other record of the topic
 * was on its way, so what is said is said of this one. Under the gate's lock. */
void ferry_order_report_row(struct ferry_order *order, struct ferry_shipment *shipment,
                            const struct ferry_report *report, bool alone);
/* What counts for Kafka's limits, nearly. */
size_t ferry_order_bytes_of(const struct ferry_record *record);
/* So many rows less; the gate opens when none is left. */
void ferry_order_rows_gone(struct ferry_gate_of_topic *gate, size_t count);
/* Nothing of the topic is fed for so long. Under the gate's lock. */
void ferry_order_pause_feeding(struct ferry_gate_of_topic *gate, int64_t pause_ms);

/* ---- order_feed ---- */

/* Nothing happens without a spool. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_order_start_feeding(struct ferry_order *order, struct ferry_error *error);
void ferry_order_stop_feeding(struct ferry_order *order);
/* There may be something to feed. Any thread. */
void ferry_order_wake_feeder(struct ferry_order *order);
/* The report of a row that was fed. Report thread. */
void ferry_order_report_fed(struct ferry_order *order, struct ferry_shipment *shipment,
                            const struct ferry_report *report);

#endif
