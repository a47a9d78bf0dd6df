/* Publishing: the records of a request are produced, and the request is answered when the last delivery report has
 * come, or when its time is up.
 *
 * A parcel is one request's records on their way. Three parties touch it:
 *   the owner (a shard thread) hands it over with ferry_publish and gets it back from ferry_outlet_collect, once;
 *   the producer's report thread counts its reports;
 *   whoever of the two comes second lets go of the memory through `release`, once. Values are not copied, so that a
 *   parcel which the owner has answered lives on until the last of its reports has come. */
#ifndef FERRY_BRIDGE_PUBLISH_H
#define FERRY_BRIDGE_PUBLISH_H

#include <pthread.h>
#include <stdatomic.h>

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
    enum ferry_code code; /* FERRY_OK: every record acknowledged */

    /* publishing's own */
    struct ferry_publisher *publisher;
    struct ferry_outlet *outlet;
    atomic_size_t outstanding; /* reports to come, and one for ferry_publish while it hands over */
    atomic_uint failures;      /* bits of enum failure */
    atomic_int state;          /* enum parcel_state */
    size_t bytes;
    int64_t deadline_ms;
    struct ferry_parcel *previous_waiting; /* in `waiting` */
    struct ferry_parcel *next_waiting;
    struct ferry_parcel *next; /* in `batch`, in `ready`, in the list that ferry_outlet_collect returns */
};

struct ferry_parcel_list {
    struct ferry_parcel *first;
    struct ferry_parcel *last;
};

/* Where the parcels of one shard come back. */
struct ferry_outlet {
    int wake_fd; /* an eventfd, written once a batch when something is ready */
    pthread_mutex_t lock;
    struct ferry_parcel_list ready;   /* under the lock */
    struct ferry_parcel_list batch;   /* report thread alone: reports of the batch at hand */
    struct ferry_outlet *next_dirty;  /* report thread alone */
    struct ferry_parcel_list waiting; /* owner alone; by deadline */
};
void ferry_outlet_init(struct ferry_outlet *outlet, int wake_fd);
void ferry_outlet_done(struct ferry_outlet *outlet);

/* Where a request goes that Kafka did not take in time: the spool's place. `take` is called on the owner thread; if it
 * returns true it has taken the parcel and brings it back, from any thread, by ferry_parcel_sheltered. */
struct ferry_shelter {
    void *context;
    bool (*take)(void *context, struct ferry_parcel *parcel);
};
/* The sheltered parcel comes back to its owner with this code. Its records may still be with the producer. */
void ferry_parcel_sheltered(struct ferry_parcel *parcel, enum ferry_code code);

/* Opens the producer; does not wait for a broker. The configuration is borrowed until ferry_publisher_close; `shelter`
 * may be NULL: then what is not safe in time is FERRY_UNAVAILABLE. Fails with FERRY_CONFIG or FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_publisher_open(const struct ferry_config *config, struct ferry_metrics *metrics,
                                                     const struct ferry_shelter *shelter, struct ferry_publisher **out,
                                                     struct ferry_error *error);

/* Hands the records over; the parcel comes back through `outlet`, also when nothing could be sent. Owner thread, and
 * whoever is to be answered must be parked before. */
void ferry_publish(struct ferry_publisher *publisher, struct ferry_outlet *outlet, struct ferry_parcel *parcel,
                   int64_t mono_ms);
/* What is decided by now, linked by `next`: settled parcels, and those whose time is up. Owner thread. */
struct ferry_parcel *ferry_outlet_collect(struct ferry_outlet *outlet, int64_t mono_ms);
/* When the next deadline is, or INT64_MAX. Owner thread. */
int64_t ferry_outlet_deadline(const struct ferry_outlet *outlet);

bool ferry_publisher_up(struct ferry_publisher *publisher);
/* See ferry_producer_warm. */
void ferry_publisher_warm(struct ferry_publisher *publisher, const char *const *topics, size_t count);
/* Call it every second or so: replaces a producer that broke for good, with back-off. Returns FERRY_OK when nothing
 * was to be done, FERRY_KAFKA_FATAL when one was replaced, or why it could not be. May take seconds. */
FERRY_NODISCARD enum ferry_code ferry_publisher_tend(struct ferry_publisher *publisher, int64_t mono_ms,
                                                     struct ferry_error *error);
/* Waits until every report has come; FERRY_UNAVAILABLE if the time did not suffice. */
FERRY_NODISCARD enum ferry_code ferry_publisher_flush(struct ferry_publisher *publisher, int64_t timeout_ms);
/* Purges what is left and frees. All outlets must still be there, and no parcel may wait for an answer. */
void ferry_publisher_close(struct ferry_publisher *publisher);

#endif
