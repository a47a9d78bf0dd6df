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
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    assert_int_equal(rd_kafka_metadata(client, 0, handle, &metadata, 5000), RD_KAFKA_RESP_ERR_NO_ERROR);
    int seen = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(client);
    return seen;
}

static void a_topic_that_was_made_is_there_for_a_client(void **state)
{
    struct ferry_error error = {0};
    assert_int_equal(ferry_mock_broker_topic(*state, "qlik.app.created", 3, &error), FERRY_OK);
    assert_int_equal(partitions_seen(ferry_mock_broker_address(*state), "qlik.app.created"), 3);
}

static void a_topic_is_made_only_once(void **state)
{
    struct ferry_error error = {0};
    assert_int_equal(ferry_mock_broker_topic(*state, "once", 1, &error), FERRY_OK);
    assert_int_equal(ferry_mock_broker_topic(*state, "once", 1, &error), FERRY_KAFKA);
    assert_non_null(strstr(error.text, "once"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_topic_that_was_made_is_there_for_a_client, start, stop),
        cmocka_unit_test_setup_teardown(a_topic_is_made_only_once, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
