#include "core/kafka/mock_broker.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

struct ferry_mock_broker {
    rd_kafka_t *host; /* the client instance that the cluster's threads hang on; it never connects */
    rd_kafka_mock_cluster_t *cluster;
};

enum ferry_code ferry_mock_broker_start(struct ferry_mock_broker **out, struct ferry_error *error)
{
    struct ferry_mock_broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for a broker");
    char reason[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* it would complain that the host has no server to connect to */
    /* How often the cluster's thread may be woken for a request of ours: with the default each topic takes 0.2 s. */
    rd_kafka_conf_set(conf, "linger.ms", "0", reason, sizeof reason);
    broker->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (broker->host == NULL) {
        rd_kafka_conf_destroy(conf);
        ferry_mock_broker_stop(broker);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start the embedded broker: %s", reason);
    }
    broker->cluster = rd_kafka_mock_cluster_new(broker->host, 1);
    if (broker->cluster == NULL) {
        ferry_mock_broker_stop(broker);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start the embedded broker: %s", strerror(errno));
    }
    *out = broker;
    return FERRY_OK;
}

const char *ferry_mock_broker_address(const struct ferry_mock_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

enum ferry_code ferry_mock_broker_topic(struct ferry_mock_broker *broker, const char *topic, int partitions,
                                        struct ferry_error *error)
{
    rd_kafka_resp_err_t failed = rd_kafka_mock_topic_create(broker->cluster, topic, partitions, 1);
    if (failed)
        return ferry_fail(error, FERRY_KAFKA, "cannot make the topic %s: %s", topic, rd_kafka_err2str(failed));
    return FERRY_OK;
}

void ferry_mock_broker_stop(struct ferry_mock_broker *broker)
{
    if (broker == NULL)
        return;
    if (broker->cluster != NULL)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->host != NULL)
        rd_kafka_destroy(broker->host);
    free(broker);
}
