/* Looking for topics. The mock cluster knows no CreateTopics: what becomes of created ones the integration tests show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cluster.h"
#include "core/kafka/admin.h"

static const char *const names[] = {"denied", "ferry.slack.effects", "missing", "there"};
enum { NAMES = sizeof names / sizeof names[0] };
static const struct ferry_topic_list list = {names, NAMES};

static struct cluster *cluster_with_topics(void)
{
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "there", 5);
    rd_kafka_mock_topic_set_error(cluster->mock, "missing", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    rd_kafka_mock_topic_set_error(cluster->mock, "ferry.slack.effects", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    rd_kafka_mock_topic_set_error(cluster->mock, "denied", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    return cluster;
}

static struct ferry_config config_of(const struct cluster *cluster)
{
    struct ferry_config config = {.kafka = cluster->properties,
                                  .topics = {.internal = "ferry", .partitions = 6, .replication = -1}};
    return config;
}

static const struct ferry_properties none = {NULL, 0};

static void a_look_tells_what_is_there(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_with_topics();
    struct ferry_config config = config_of(cluster);
    struct ferry_topic_result results[NAMES];
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_admin_look(&config, none, list, 5000, results, &error), FERRY_OK);
    for (size_t i = 0; i < NAMES; i++)
        assert_string_equal(results[i].name, names[i]);
    assert_int_equal(results[0].state, FERRY_TOPIC_DENIED);
    assert_string_equal(results[0].reason, "needs Describe on topic denied");
    assert_int_equal(results[1].state, FERRY_TOPIC_MISSING);
    assert_int_equal(results[2].state, FERRY_TOPIC_MISSING);
    assert_int_equal(results[2].partitions, -1);
    assert_int_equal(results[3].state, FERRY_TOPIC_EXISTS);
    assert_int_equal(results[3].partitions, 5);
    assert_string_equal(results[3].reason, "");
    cluster_stop(cluster);
}

static void a_look_tells_whether_all_partitions_have_leaders(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_with_topics();
    struct ferry_config config = config_of(cluster);
    struct ferry_topic_result results[NAMES];
    assert_int_equal(ferry_admin_look(&config, none, list, 5000, results, NULL), FERRY_OK);
    assert_false(results[2].led);
    assert_true(results[3].led);
    assert_int_equal(rd_kafka_mock_partition_set_leader(cluster->mock, names[3], 4, -1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(ferry_admin_look(&config, none, list, 5000, results, NULL), FERRY_OK);
    assert_int_equal(results[3].state, FERRY_TOPIC_EXISTS);
    assert_false(results[3].led);
    cluster_stop(cluster);
}

static void a_broker_that_cannot_create_stops_nobody(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_with_topics();
    struct ferry_config config = config_of(cluster);
    struct ferry_topic_result results[NAMES];
    struct ferry_error error = {.text = ""};
    int64_t began = ferry_clock_mono_ms();
    assert_int_equal(ferry_admin_create(&config, none, list, 5000, results, &error), FERRY_OK);
    assert_true(ferry_clock_mono_ms() - began < 6000);
    assert_int_equal(results[0].state, FERRY_TOPIC_DENIED);
    assert_int_equal(results[1].state, FERRY_TOPIC_FAILED);
    assert_int_equal(results[2].state, FERRY_TOPIC_FAILED);
    assert_non_null(strstr(results[2].reason, "make it by hand"));
    assert_int_equal(results[3].state, FERRY_TOPIC_EXISTS);
    cluster_stop(cluster);
}

static void no_broker_is_told_with_its_address(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_with_topics();
    struct ferry_config config = config_of(cluster);
    struct ferry_topic_result results[NAMES];
    struct ferry_error error = {.text = ""};
    rd_kafka_mock_broker_set_down(cluster->mock, 1);
    int64_t began = ferry_clock_mono_ms();
    assert_int_equal(ferry_admin_create(&config, none, list, 1000, results, &error), FERRY_KAFKA);
    assert_true(ferry_clock_mono_ms() - began < 3000);
    assert_non_null(strstr(error.text, rd_kafka_mock_cluster_bootstraps(cluster->mock)));
    assert_int_equal(ferry_admin_look(&config, none, list, 1000, results, &error), FERRY_KAFKA);
    cluster_stop(cluster);
}

static void a_property_is_checked_as_librdkafka_does(void **state)
{
    (void)state;
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_kafka_property_check("linger.ms", "5", &error), FERRY_OK);
    assert_int_equal(ferry_kafka_property_check("linger.ms", "-5", &error), FERRY_CONFIG);
    assert_int_equal(ferry_kafka_property_check("lingr.ms", "5", &error), FERRY_CONFIG);
    assert_non_null(strstr(error.text, "lingr.ms"));
    assert_int_equal(ferry_kafka_property_check("sasl.mechanism", "SCRAM-SHA-512", &error), FERRY_OK);
    assert_int_equal(ferry_kafka_property_check("security.protocol", "SASL_SSL", &error), FERRY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_tells_what_is_there),
        cmocka_unit_test(a_look_tells_whether_all_partitions_have_leaders),
        cmocka_unit_test(a_broker_that_cannot_create_stops_nobody),
        cmocka_unit_test(no_broker_is_told_with_its_address),
        cmocka_unit_test(a_property_is_checked_as_librdkafka_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
