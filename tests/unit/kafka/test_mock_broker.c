#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "core/kafka/mock_broker.h"

static int start(void **state)
{
    struct ferry_mock_broker *broker = NULL;
    struct ferry_error error = {0};
    assert_int_equal(ferry_mock_broker_start(&broker, &error), FERRY_OK);
    *state = broker;
    return 0;
}

static int stop(void **state)
{
    ferry_mock_broker_stop(*state);
    return 0;
}

/* The partitions that a client of its own sees, asked over TCP. */
static int partitions_seen(const char *address, const char *topic)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", address, reason, sizeof reason), RD_KAFKA_CONF_OK);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    assert_non_null(client);
    const struct rd_kafka_metadata *metadata = NULL;
    assert_int_equal(rd_kafka_metadata(client, 1, NULL, &metadata, 5000), RD_KAFKA_RESP_ERR_NO_ERROR);
    int seen = 0;
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, topic) == 0)
            seen = metadata->topics[i].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(client);
    return seen;
}

static void topics_that_were_made_are_there_for_a_client(void **state)
{
    static const char *const topics[] = {"qlik.app.created", "qlik.user.created"};
    struct ferry_error error = {0};
    assert_int_equal(ferry_mock_broker_topics(*state, topics, 2, &error), FERRY_OK);
    const char *address = ferry_mock_broker_address(*state);
    assert_int_equal(partitions_seen(address, "qlik.app.created"), FERRY_MOCK_PARTITIONS);
    assert_int_equal(partitions_seen(address, "qlik.user.created"), FERRY_MOCK_PARTITIONS);
}

static void a_topic_may_be_there_already(void **state)
{
    static const char *const topics[] = {"qlik.app.created"};
    struct ferry_error error = {0};
    assert_int_equal(ferry_mock_broker_topics(*state, topics, 1, &error), FERRY_OK);
    assert_int_equal(ferry_mock_broker_topics(*state, topics, 1, &error), FERRY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(topics_that_were_made_are_there_for_a_client, start, stop),
        cmocka_unit_test_setup_teardown(a_topic_may_be_there_already, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
