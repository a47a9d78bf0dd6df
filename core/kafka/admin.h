/* Topics: making them, looking whether they are there, and what is allowed. Calls wait; not for a hot path. */
#ifndef FERRY_CORE_KAFKA_ADMIN_H
#define FERRY_CORE_KAFKA_ADMIN_H

#include "core/config.h"
#include "core/route.h"

/* What became of one topic. */
enum ferry_topic_state {
    FERRY_TOPIC_CREATED,
    FERRY_TOPIC_EXISTS,
    FERRY_TOPIC_MISSING,
    FERRY_TOPIC_DENIED,
    FERRY_TOPIC_FAILED
};

struct ferry_topic_result {
    const char *name; /* borrowed from the list */
    enum ferry_topic_state state;
    int partitions;   /* of one that EXISTS; -1 where that is not known */
    char reason[256]; /* for DENIED and FAILED: what is missing and the cure */
};

/* Creates those that are missing (settings from `config->topics`; compaction etc. for the internal ones that need
 * it). `results` has room for `topics.count`. FERRY_KAFKA when no broker answered in `timeout_ms`. */
FERRY_NODISCARD enum ferry_code ferry_admin_create(const struct ferry_config *config, struct ferry_properties overrides,
                                                   struct ferry_topic_list topics, int timeout_ms,
                                                   struct ferry_topic_result *results, struct ferry_error *error);
/* Looks only: EXISTS, MISSING, DENIED or FAILED (no valid name). */
FERRY_NODISCARD enum ferry_code ferry_admin_look(const struct ferry_config *config, struct ferry_properties overrides,
                                                 struct ferry_topic_list topics, int timeout_ms,
                                                 struct ferry_topic_result *results, struct ferry_error *error);

/* Checks a property name and value the way librdkafka does; for the configuration. */
FERRY_NODISCARD enum ferry_code ferry_kafka_property_check(const char *name, const char *value,
                                                           struct ferry_error *error);
#endif
