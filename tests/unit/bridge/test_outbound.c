/* The producer that breaks for good is replaced, and what it still held gets its reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bridge/outbound.h"
#include "core/clock.h"

enum { API_INIT_PRODUCER_ID = 22, HEALS_MS = 5000 };

struct fixture {
    rd_kafka_t *client; /* that the mock belongs to */
    rd_kafka_mock_cluster_t *mock;
    struct ferry_property property;
    struct ferry_config config;
    atomic_int good, bad; /* reports */
};

static void count_report(void *context, const struct ferry_report *report)
{
    struct fixture *fixture = context;
    atomic_fetch_add(report->code == FERRY_OK ? &fixture->good : &fixture->bad, 1);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    fixture.client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    fixture.mock = rd_kafka_mock_cluster_new(fixture.client, 1);
    rd_kafka_mock_topic_create(fixture.mock, "events", 1, 1);
    fixture.property.name = "bootstrap.servers";
    fixture.property.value = rd_kafka_mock_cluster_bootstraps(fixture.mock);
    fixture.config.kafka = (struct ferry_properties){&fixture.property, 1};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rd_kafka_mock_cluster_destroy(fixture->mock);
    rd_kafka_destroy(fixture->client);
    return 0;
}

static struct ferry_outbound *open_outbound(struct fixture *fixture)
{
    const struct ferry_producer_listener listener = {fixture, count_report, NULL};
    struct ferry_outbound *outbound;
    assert_int_equal(ferry_outbound_open(&fixture->config, &listener, NULL, &outbound, NULL), FERRY_OK);
    return outbound;
}

static enum ferry_code send_one(struct ferry_outbound *outbound)
{
    struct ferry_record record = {.topic = FERRY_SLICE("events"), .value = FERRY_SLICE("v")};
    return ferry_outbound_send(outbound, &record, NULL);
}

/* Tends as the bridge does, and sends until a record is in Kafka; how long that took. */
static int64_t heal(struct fixture *fixture, struct ferry_outbound *outbound, int *replaced)
{
    int64_t began = ferry_clock_mono_ms(), now = began;
    for (; now - began < 2 * HEALS_MS && atomic_load(&fixture->good) == 0; now = ferry_clock_mono_ms()) {
        *replaced += ferry_outbound_tend(outbound, now, NULL) == FERRY_KAFKA_FATAL;
        (void)send_one(outbound);
        usleep(100000);
    }
    return now - began;
}

static void a_producer_that_broke_for_good_is_replaced_within_five_seconds(void **state)
{
    struct fixture *fixture = *state;
    /* Kafka's answer to a client that lacks the right to write idempotently: fatal to librdkafka. */
    rd_kafka_mock_push_request_errors(fixture->mock, API_INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    struct ferry_outbound *outbound = open_outbound(fixture);
    int replaced = 0;
    assert_true(heal(fixture, outbound, &replaced) < HEALS_MS);
    assert_int_equal(replaced, 1);
    ferry_outbound_close(outbound);
}

static void a_second_break_right_after_the_first_waits_a_little_and_heals_too(void **state)
{
    struct fixture *fixture = *state;
    rd_kafka_mock_push_request_errors(fixture->mock, API_INIT_PRODUCER_ID, 2,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    struct ferry_outbound *outbound = open_outbound(fixture);
    int replaced = 0;
    assert_true(heal(fixture, outbound, &replaced) < HEALS_MS);
    assert_int_equal(replaced, 2);
    ferry_outbound_close(outbound);
}

static void what_a_replaced_producer_held_is_reported_once(void **state)
{
    struct fixture *fixture = *state;
    struct ferry_outbound *outbound = open_outbound(fixture);
    int replaced = 0;
    assert_true(heal(fixture, outbound, &replaced) < HEALS_MS);
    assert_int_equal(replaced, 0);
    assert_int_equal(ferry_outbound_flush(outbound, HEALS_MS), FERRY_OK);
    int before = atomic_load(&fixture->good) + atomic_load(&fixture->bad);
    rd_kafka_mock_broker_set_down(fixture->mock, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(send_one(outbound), FERRY_OK);
    ferry_outbound_close(outbound);
    assert_int_equal(atomic_load(&fixture->good) + atomic_load(&fixture->bad), before + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_producer_that_broke_for_good_is_replaced_within_five_seconds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_break_right_after_the_first_waits_a_little_and_heals_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_replaced_producer_held_is_reported_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
