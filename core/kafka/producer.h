/* The producer: idempotent, acks=all, `message.timeout.ms=0` (deadlines of requests are the caller's own).
 * Together with consumer.h and admin.h the only files that name librdkafka.
 *
 * Reports come on the producer's own thread, in batches: `report` once for each record, then `reports_end` once for
 * the batch, so that a listener is woken once. Both must be quick and must not call back into the producer. */
#ifndef FERRY_CORE_KAFKA_PRODUCER_H
#define FERRY_CORE_KAFKA_PRODUCER_H

#include "core/config.h"
#include "core/metrics.h"
#include "core/record.h"

struct ferry_producer;

/* The delivery report of one record. */
struct ferry_report {
    void *tag;               /* as handed to ferry_producer_send */
    enum ferry_code code;    /* FERRY_OK: acknowledged by all in-sync replicas */
    bool possibly_persisted; /* not FERRY_OK, yet it may be in Kafka */
    const char *reason;      /* librdkafka's text; valid during the call */
    int32_t partition;
    int64_t offset;
};

struct ferry_producer_listener {
    void *context;
    void (*report)(void *context, const struct ferry_report *report);
    void (*reports_end)(void *context);
};

/* Opens a producer; does not wait for a broker. `overrides` win over `common`; properties that Ferry owns have been
 * refused by the configuration. Fails with FERRY_CONFIG (librdkafka's words about the property) or FERRY_SYSTEM.
 * Metrics: ferry_kafka_up, ferry_produce_seconds. */
FERRY_NODISCARD enum ferry_code ferry_producer_open(struct ferry_properties common, struct ferry_properties overrides,
                                                    const struct ferry_producer_listener *listener,
                                                    struct ferry_metrics *metrics, struct ferry_producer **out,
                                                    struct ferry_error *error);

/* Hands one record over; the key and headers are copied, the *value is not*: it must live until the report. Any
 * thread, never blocks. On FERRY_OK there will be exactly one report; on FERRY_QUEUE_FULL, FERRY_RECORD_TOO_LARGE,
 * FERRY_TOPIC_UNKNOWN, FERRY_KAFKA, FERRY_KAFKA_FATAL or FERRY_MEMORY none. The partition follows from the key. */
FERRY_NODISCARD enum ferry_code ferry_producer_send(struct ferry_producer *producer, const struct ferry_record *record,
                                                    void *tag, struct ferry_error *error);
/* The same, to that partition of the topic. One that the topic does not have: FERRY_TOPIC_UNKNOWN, here or reported. */
FERRY_NODISCARD enum ferry_code ferry_producer_send_to(struct ferry_producer *producer,
                                                       const struct ferry_record *record, int32_t partition, void *tag,
                                                       struct ferry_error *error);

/* Is a broker reachable, as far as is known? (ferry_kafka_up) */
bool ferry_producer_up(const struct ferry_producer *producer);
/* Broken for good (a fatal error, or a run of sequence errors): every send fails with FERRY_KAFKA_FATAL. Close it,
 * which reports what is left, and open another, with back-off. */
bool ferry_producer_broken(const struct ferry_producer *producer);
/* Records handed over whose report, and the `reports_end` after it, has not returned. */
size_t ferry_producer_in_flight(const struct ferry_producer *producer);
/* Waits (not on the producer's thread) until all is reported, at most `timeout_ms`; FERRY_UNAVAILABLE if something is
 * left. */
FERRY_NODISCARD enum ferry_code ferry_producer_flush(struct ferry_producer *producer, int64_t timeout_ms);
/* Purges what is left (each gets its report), then frees. No other thread may use it any more. */
void ferry_producer_close(struct ferry_producer *producer);

#endif
