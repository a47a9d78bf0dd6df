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
    int replication;  /* the same: of its first partition */
    bool led;         /* EXISTS, and each of its partitions has a leader */
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

/* Hands out each setting of each of these topics as the brokers have it, defaults included. A topic whose settings this
 * user may not see is passed over. FERRY_KAFKA when no broker answered. */
typedef void ferry_admin_setting_fn(void *context, const char *topic, const char *name, const char *value);
FERRY_NODISCARD enum ferry_code ferry_admin_settings(const struct ferry_config *config, struct ferry_topic_list topics,
                                                     int timeout_ms, ferry_admin_setting_fn *visit, void *context,
                                                     struct ferry_error *error);

/* Checks a property name and value the way librdkafka does; for the configuration. */
FERRY_NODISCARD enum ferry_code ferry_kafka_property_check(const char *name, const char *value,
                                                           struct ferry_error *error);
#endif
