/* The producer that is always there: one that broke for good is replaced. */
#ifndef FERRY_BRIDGE_OUTBOUND_H
#define FERRY_BRIDGE_OUTBOUND_H

#include "core/kafka/producer.h"

struct ferry_outbound;

/* Opens the producer; does not wait for a broker. The configuration is borrowed until ferry_outbound_close. Fails with
 * FERRY_CONFIG or FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_outbound_open(const struct ferry_config *config,
                                                    const struct ferry_producer_listener *listener,
                                                    struct ferry_metrics *metrics, struct ferry_outbound **out,
                                                    struct ferry_error *error);
/* As ferry_producer_send; FERRY_KAFKA while the producer is being replaced. */
FERRY_NODISCARD enum ferry_code ferry_outbound_send(struct ferry_outbound *outbound, const struct ferry_record *record,
                                                    void *tag);
bool ferry_outbound_up(struct ferry_outbound *outbound);
/* The topics have been looked through, and have their leaders. */
void ferry_outbound_topics_ready(struct ferry_outbound *outbound);
/* Kafka answers, and once the topics were ready: a record need not wait for a topic to come up. */
bool ferry_outbound_ready(struct ferry_outbound *outbound);
/* Call it every second or so, from one thread: replaces a producer that broke for good, with back-off; all its records
 * get their reports. FERRY_OK when nothing was to be done, FERRY_KAFKA_FATAL when one was replaced, or why it could not
 * be. May take seconds. */
FERRY_NODISCARD enum ferry_code ferry_outbound_tend(struct ferry_outbound *outbound, int64_t mono_ms,
                                                    struct ferry_error *error);
/* Waits until every report has come; FERRY_UNAVAILABLE if the time did not suffice. */
FERRY_NODISCARD enum ferry_code ferry_outbound_flush(struct ferry_outbound *outbound, int64_t timeout_ms);
/* Purges what is left (each gets its report) and frees. */
void ferry_outbound_close(struct ferry_outbound *outbound);

#endif
