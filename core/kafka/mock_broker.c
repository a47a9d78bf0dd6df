#include "core/kafka/mock_broker.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS_MS = 10000 };

struct ferry_mock_broker {
    rd_kafka_t *host; /* the client instance that the cluster's threads hang on; it never connects */
    rd_kafka_mock_cluster_t *cluster;
};

/* A client; its log is nobody's affair: the host would complain that it has no server to connect to. */
static rd_kafka_t *client_new(const char *servers, struct ferry_error *error)
{
    char reason[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    if (servers != NULL)
        rd_kafka_conf_set(conf, "bootstrap.servers", servers, reason, sizeof reason);
    rd_kafka_conf_set(conf, "allow.auto.create.topics", "true", reason, sizeof reason);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        ferry_fail(error, FERRY_SYSTEM, "cannot start the embedded broker: %s", reason);
    }
    return client;
}

enum ferry_code ferry_mock_broker_start(struct ferry_mock_broker **out, struct ferry_error *error)
{
    struct ferry_mock_broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for a broker");
    broker->host = client_new(NULL, error);
    if (broker->host != NULL)
        broker->cluster = rd_kafka_mock_cluster_new(broker->host, 1);
    if (broker->cluster == NULL) {
        if (broker->host != NULL)
            ferry_fail(error, FERRY_SYSTEM, "cannot start the embedded broker: %s", strerror(errno));
        ferry_mock_broker_stop(broker);
        return FERRY_SYSTEM;
    }
    *out = broker;
    return FERRY_OK;
}

const char *ferry_mock_broker_address(const struct ferry_mock_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

/* By asking for their metadata, all in one request, which makes those that are not there. The call that is meant for
 * it, rd_kafka_mock_topic_create, loses every fourth wake-up of the cluster's thread (2.0.2) and then takes a second.
 */
enum ferry_code ferry_mock_broker_topics(struct ferry_mock_broker *broker, const char *const *topics, size_t count,
                                         struct ferry_error *error)
{
    rd_kafka_t *client = client_new(ferry_mock_broker_address(broker), error);
    if (client == NULL)
        return FERRY_SYSTEM;
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_destroy(rd_kafka_topic_new(client, topics[i], NULL)); /* known here from now on */
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t failed = rd_kafka_metadata(client, 0, NULL, &metadata, TOPICS_MS);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(client);
    return failed ? ferry_fail(error, FERRY_KAFKA, "cannot make topics: %s", rd_kafka_err2str(failed)) : FERRY_OK;
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
