/* Publishing: the records of a request go to Kafka, or to the spool, and the request is answered when the last of them
 * is safe, or when its time is up.
 *
 * A parcel is one request's records on their way. The owner (a shard thread) hands it over with ferry_publish and gets
 * it back from ferry_outlet_collect, once. The reports and the spool's writer settle its shipments from their threads.
 * Values are not copied, so a parcel that the owner has answered lives on until nobody needs its memory any more; then
 * `release` is called, once. */
#ifndef FERRY_BRIDGE_PUBLISH_H
#define FERRY_BRIDGE_PUBLISH_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridge/order.h"
#include "core/config.h"
#include "core/metrics.h"
#include "core/record.h"

struct ferry_publisher;

struct ferry_parcel {
    /* filled by the owner */
    const struct ferry_record *records;
    size_t record_count;
    void (*release)(struct ferry_parcel *parcel); /* publishing needs the memory no longer; any thread */
    /* filled when it comes back from ferry_outlet_collect */
    enum ferry_code code; /* FERRY_OK: all in Kafka; FERRY_SPOOLED: safe, at least one on disk */

    /* publishing's own */
    struct ferry_publisher *publisher;
    struct ferry_outlet *outlet;
    struct ferry_shipment *shipments; /* one a record: `only`, or allocated */
    struct ferry_shipment only;
    atomic_size_t unsettled;  /* shipments, and one for ferry_publish while it hands over */
    atomic_size_t references; /* shipments, and one for the owner */
    atomic_uint outcomes;     /* bits of enum outcome */
    atomic_int state;         /* enum parcel_state */
    bool given_up;            /* Kafka took too long: it is the spool's turn */
    size_t bytes;
    int64_t deadline_ms;
    struct ferry_parcel *previous_waiting; /* in `waiting` or `spooling` */
    struct ferry_parcel *next_waiting;
    struct ferry_parcel *next; /* in `batch`, in `ready`, in the list that ferry_outlet_collect returns */
};

struct ferry_parcel_list {
    struct ferry_parcel *first;
    struct ferry_parcel *last;
};

/* Where the parcels of one shard, or of another owner, come back. */
struct ferry_outlet {
    int wake_fd; /* an eventfd, written once a batch when something is ready */
    /* Of an owner whom nobody waits for: how long it waits where there is no spool. 0: ack_timeout, like all others. */
    int64_t patience_ms;
    pthread_mutex_t lock;
    struct ferry_parcel_list ready;    /* under the lock */
    struct ferry_parcel_list batch;    /* report thread alone: reports of the batch at hand */
    struct ferry_outlet *next_dirty;   /* report thread alone */
    struct ferry_parcel_list waiting;  /* for Kafka; owner alone; by deadline */
    struct ferry_parcel_list spooling; /* for the spool; owner alone; by deadline */
};
void ferry_outlet_init(struct ferry_outlet *outlet, int wake_fd);
void ferry_outlet_done(struct ferry_outlet *outlet);

/* Opens producer and spool; does not wait for a broker. The configuration is borrowed until ferry_publisher_close.
 * Fails with FERRY_CONFIG or FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_publisher_open(const struct ferry_config *config, struct ferry_metrics *metrics,
                                                     struct ferry_publisher **out, struct ferry_error *error);

/* Hands the records over; the parcel comes back through `outlet`, also when nothing could be sent. Owner thread, and
 * whoever is to be answered must be parked before. */
void ferry_publish(struct ferry_publisher *publisher, struct ferry_outlet *outlet, struct ferry_parcel *parcel,
                   int64_t mono_ms);
/* What is decided by now, linked by `next`: settled parcels, and those whose time is up. Owner thread. */
struct ferry_parcel *ferry_outlet_collect(struct ferry_outlet *outlet, int64_t mono_ms);
/* From now on nothing waits for Kafka any longer, as if its deadline had come. Owner thread. */
void ferry_outlet_hurry(struct ferry_outlet *outlet, int64_t mono_ms);
/* When the next deadline is, or INT64_MAX. Owner thread. */
int64_t ferry_outlet_deadline(const struct ferry_outlet *outlet);

bool ferry_publisher_up(struct ferry_publisher *publisher);
/* Can an event be made safe at this moment, in Kafka or in the spool? (readiness) */
bool ferry_publisher_accepts(struct ferry_publisher *publisher);
/* See ferry_outbound_topics_ready. */
void ferry_publisher_topics_ready(struct ferry_publisher *publisher);
/* See ferry_outbound_tend. */
FERRY_NODISCARD enum ferry_code ferry_publisher_tend(struct ferry_publisher *publisher, int64_t mono_ms,
                                                     struct ferry_error *error);
/* Waits until every report has come; FERRY_UNAVAILABLE if the time did not suffice. */
FERRY_NODISCARD enum ferry_code ferry_publisher_flush(struct ferry_publisher *publisher, int64_t timeout_ms);
/* Purges what is left and frees. All outlets must still be there, and no parcel may wait for an answer. */
void ferry_publisher_close(struct ferry_publisher *publisher);

#endif
