/* What the producer, the consumer and the admin client share. Private to core/kafka. */
#ifndef FERRY_CORE_KAFKA_COMMON_H
#define FERRY_CORE_KAFKA_COMMON_H

#include <librdkafka/rdkafka.h>

#include "core/config.h"

/* A property that Ferry sets. */
struct ferry_kafka_setting {
    const char *name; /* NULL ends a table */
    const char *value;
};

/* Defaults yield to what the user wrote, `owned` ones do not. Either table may be NULL. */
struct ferry_kafka_settings {
    const struct ferry_kafka_setting *defaults;
    const struct ferry_kafka_setting *owned;
};

/* A configuration whose log goes to core/log at debug level. On failure (FERRY_CONFIG, librdkafka's words and the place
 * in the file) there is nothing to free. */
FERRY_NODISCARD enum ferry_code ferry_kafka_conf(struct ferry_kafka_settings settings, struct ferry_properties common,
                                                 struct ferry_properties overrides, rd_kafka_conf_t **out,
                                                 struct ferry_error *error);

/* Makes the client; takes `conf` in any case. FERRY_CONFIG. */
FERRY_NODISCARD enum ferry_code ferry_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
                                                   struct ferry_error *error);

/* What librdkafka's or the broker's error is in Ferry's table. */
enum ferry_code ferry_kafka_code(rd_kafka_resp_err_t failure);

/* The error of the first partition that was answered with one, or none. */
rd_kafka_resp_err_t ferry_kafka_list_error(const rd_kafka_topic_partition_list_t *list);

/* The value of a property of a client that runs, "" if it is not set. */
void ferry_kafka_value(rd_kafka_t *client, const char *name, char *out, size_t out_bytes);

#endif
