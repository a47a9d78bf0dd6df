/* A mock cluster that a test can let misbehave, and what the Kafka tests share. */
#ifndef FERRY_TESTS_UNIT_KAFKA_CLUSTER_H
#define FERRY_TESTS_UNIT_KAFKA_CLUSTER_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/kafka/producer.h"

/* Numbers of the protocol's requests. */
enum {
    API_PRODUCE = 0,
    API_FETCH = 1,
    API_OFFSET_COMMIT = 8,
    API_OFFSET_FETCH = 9,
    API_FIND_COORDINATOR = 10,
    API_INIT_PRODUCER_ID = 22
};

enum { CLUSTER_PROPERTIES = 8 };

struct cluster {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *mock;
    struct ferry_property items[CLUSTER_PROPERTIES];
    struct ferry_properties properties; /* what reaches it */
};

static inline void cluster_property(struct cluster *cluster, const char *name, const char *value)
{
    cluster->items[cluster->properties.count++] = (struct ferry_property){.name = name, .value = value};
    cluster->properties.items = cluster->items;
}

static inline struct cluster *cluster_start(void)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    cluster->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    cluster->mock = rd_kafka_mock_cluster_new(cluster->host, 1);
    cluster_property(cluster, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster->mock));
    cluster_property(cluster, "session.timeout.ms", "6000");
    cluster_property(cluster, "fetch.wait.max.ms", "10");
    cluster_property(cluster, "reconnect.backoff.max.ms", "500");
    return cluster;
}

static inline void cluster_stop(struct cluster *cluster)
{
    rd_kafka_mock_cluster_destroy(cluster->mock);
    rd_kafka_destroy(cluster->host);
    free(cluster);
}

static inline void cluster_topic(struct cluster *cluster, const char *topic, int partitions)
{
    if (rd_kafka_mock_topic_create(cluster->mock, topic, partitions, 1))
        abort();
}

static inline void pause_ms(int ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* Waits until the condition holds, 20 s at most; then asserts it. */
#define WAIT_FOR(condition)                                    \
    do {                                                       \
        int64_t until_ = ferry_clock_mono_ms() + 20000;        \
        while (!(condition) && ferry_clock_mono_ms() < until_) \
            pause_ms(2);                                       \
        assert_true(condition);                                \
    } while (0)

static inline void ignore_report(void *context, const struct ferry_report *report)
{
    (void)context, (void)report;
}

/* Values are the numbers `from` to `to`, to one partition. */
static inline void cluster_fill(struct cluster *cluster, const char *topic, int32_t partition, int from, int to)
{
    static const struct ferry_producer_listener listener = {NULL, ignore_report, NULL};
    static char numbers[1000][8];
    struct ferry_producer *producer = NULL;
    assert_int_equal(
        ferry_producer_open(cluster->properties, (struct ferry_properties){NULL, 0}, &listener, NULL, &producer, NULL),
        FERRY_OK);
    for (int i = from; i <= to; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", i);
        struct ferry_record record = {.topic = ferry_slice_from(topic), .value = ferry_slice_from(numbers[i])};
        assert_int_equal(ferry_producer_send_to(producer, &record, partition, NULL, NULL), FERRY_OK);
    }
    assert_int_equal(ferry_producer_flush(producer, 10000), FERRY_OK);
    ferry_producer_close(producer);
}

#endif
