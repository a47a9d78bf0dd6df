/* When the bridge is ready: the topics have been looked through, and have their leaders. */
#include "doors.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "bridge/topics.h"
#include "core/clock.h"
#include "core/log.h"

static const char yaml[] = "kafka: {bootstrap.servers: '%s'}\n"
                           "topics: {create: never}\n"
                           "bridge:\n"
                           "  spool: off\n"
                           "  webhooks:\n"
                           "    - path: /hook\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['com.acme.*']\n";

struct fixture {
    rd_kafka_t *client; /* that the mock belongs to */
    rd_kafka_mock_cluster_t *mock;
    struct ferry_snapshot_slot snapshots;
    struct ferry_ops *ops;
    struct ferry_publisher *publisher;
    struct ferry_topics *topics;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    fixture->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    fixture->mock = rd_kafka_mock_cluster_new(fixture->client, 1);
    assert_int_equal(rd_kafka_mock_topic_create(fixture->mock, "qlik.other", 2, 1), 0);
    char text[1024];
    snprintf(text, sizeof text, yaml, rd_kafka_mock_cluster_bootstraps(fixture->mock));
    struct ferry_snapshot *snapshot = doors_open(text);
    ferry_snapshot_slot_init(&fixture->snapshots, snapshot);
    fixture->ops = ferry_ops_new();
    assert_int_equal(ferry_publisher_open(snapshot->config, ferry_ops_metrics(fixture->ops), &fixture->publisher, NULL),
                     FERRY_OK);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ferry_topics_stop(fixture->topics);
    ferry_publisher_close(fixture->publisher);
    ferry_ops_free(fixture->ops);
    ferry_snapshot_slot_done(&fixture->snapshots);
    rd_kafka_mock_cluster_destroy(fixture->mock);
    rd_kafka_destroy(fixture->client);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture, int32_t leader)
{
    assert_int_equal(rd_kafka_mock_partition_set_leader(fixture->mock, "qlik.other", 1, leader), 0);
    assert_int_equal(ferry_topics_start(&fixture->snapshots, fixture->publisher, fixture->ops, &fixture->topics, NULL),
                     FERRY_OK);
}

/* How long until the bridge is ready, `most_ms` when it is not by then. */
static int64_t ready_after(const struct fixture *fixture, int64_t most_ms)
{
    int64_t began = ferry_clock_mono_ms(), passed = 0;
    while (passed < most_ms && !ferry_publisher_accepts(fixture->publisher)) {
        usleep(10000);
        passed = ferry_clock_mono_ms() - began;
    }
    return passed < most_ms ? passed : most_ms;
}

static void it_is_ready_when_the_topics_have_leaders(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    assert_true(ready_after(fixture, 20000) < 20000);
}

static void it_waits_for_a_leader_that_comes(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, -1);
    assert_int_equal(ready_after(fixture, 3000), 3000);
    assert_int_equal(rd_kafka_mock_partition_set_leader(fixture->mock, "qlik.other", 1, 1), 0);
    assert_true(ready_after(fixture, 20000) < 20000);
}

static void it_does_not_wait_for_ever_for_a_leader(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, -1);
    assert_in_range(ready_after(fixture, 40000), 9000, 39999);
}

static void a_stop_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, -1);
    assert_int_equal(ready_after(fixture, 2000), 2000);
    int64_t began = ferry_clock_mono_ms();
    ferry_topics_stop(fixture->topics);
    fixture->topics = NULL;
    assert_true(ferry_clock_mono_ms() - began < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_ready_when_the_topics_have_leaders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_waits_for_a_leader_that_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_does_not_wait_for_ever_for_a_leader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_ends_the_wait, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
