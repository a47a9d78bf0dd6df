/* The producer while Kafka is away, freezes, or refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reports.h"

/* ---- closing ---- */

static void closing_reports_what_never_left_as_not_persisted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    rd_kafka_mock_broker_set_down(f.cluster->mock, 1);
    for (int tag = 1; tag <= 10; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 200), FERRY_UNAVAILABLE);
    assert_int_equal(ferry_producer_in_flight(f.producer), 10);
    end(&f);
    assert_reported_once(1, 10);
    for (int tag = 1; tag <= 10; tag++) {
        assert_int_equal(seen.tags[tag].code, FERRY_STOPPING);
        assert_false(seen.tags[tag].possibly_persisted);
    }
}

static void closing_reports_what_is_on_its_way_as_possibly_persisted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(hand_over(&f, "events", 1), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    rd_kafka_mock_broker_set_rtt(f.cluster->mock, 1, 5000); /* taken, and answered too late */
    assert_int_equal(hand_over(&f, "events", 2), FERRY_OK);
    pause_ms(300);
    end(&f);
    assert_reported_once(1, 2);
    assert_int_equal(seen.tags[2].code, FERRY_STOPPING);
    assert_true(seen.tags[2].possibly_persisted);
}

/* ---- Kafka goes and comes ---- */

static void up_follows_the_broker(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    static const char *const no_labels[] = {NULL};
    struct fixture f;
    begin_with(&f, (struct ferry_properties){NULL, 0}, metrics);
    struct ferry_series *gauge =
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_GAUGE, "ferry_kafka_up", "", no_labels), NULL);
    WAIT_FOR(ferry_producer_up(f.producer));
    assert_true(ferry_series_value(gauge) == 1);
    for (int round = 0; round < 2; round++) {
        int64_t began = ferry_clock_mono_ms();
        rd_kafka_mock_broker_set_down(f.cluster->mock, 1);
        WAIT_FOR(!ferry_producer_up(f.producer));
        assert_true(ferry_series_value(gauge) == 0);
        rd_kafka_mock_broker_set_up(f.cluster->mock, 1);
        WAIT_FOR(ferry_producer_up(f.producer));
        assert_true(ferry_clock_mono_ms() - began < 12000);
    }
    end(&f);
    assert_true(ferry_series_value(gauge) == 0);
    ferry_metrics_free(metrics);
}

static void a_frozen_broker_counts_as_away(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    WAIT_FOR(ferry_producer_up(f.producer));
    rd_kafka_mock_broker_set_rtt(f.cluster->mock, 1, 60000);
    int64_t began = ferry_clock_mono_ms();
    WAIT_FOR(!ferry_producer_up(f.producer));
    assert_true(ferry_clock_mono_ms() - began < 10000);
    end(&f);
}

static void nothing_is_lost_or_reordered_by_an_outage(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int tag = 1; tag <= 50; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    rd_kafka_mock_broker_set_down(f.cluster->mock, 1);
    for (int tag = 51; tag <= 100; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    pause_ms(1500);
    rd_kafka_mock_broker_set_up(f.cluster->mock, 1);
    assert_int_equal(ferry_producer_flush(f.producer, 20000), FERRY_OK);
    assert_reported_once(1, 100);
    assert_int_equal(atomic_load(&seen.acknowledged), 100);
    for (int tag = 2; tag <= 100; tag++)
        assert_true(seen.tags[tag].offset > seen.tags[tag - 1].offset);
    end(&f);
}

/* Measured with Kafka 4.3.1: a new partition took the second batch as its first, and the client said that both were in.
 */
static void what_only_a_later_record_vouches_for_is_not_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    rd_kafka_mock_broker_push_request_error_rtts(f.cluster->mock, 1, API_PRODUCE, 2,
                                                 RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 1500, /* the first batch */
                                                 RD_KAFKA_RESP_ERR_NO_ERROR, 1500);
    assert_int_equal(hand_over(&f, "events", 1), FERRY_OK);
    pause_ms(200);
    assert_int_equal(hand_over(&f, "events", 2), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 20000), FERRY_OK);
    assert_reported_once(1, 2);
    assert_int_equal(seen.tags[2].code, FERRY_OK);
    assert_int_equal(seen.tags[1].code, FERRY_UNAVAILABLE);
    assert_true(seen.tags[1].possibly_persisted);
    end(&f);
}

static void a_refusal_that_passes_is_retried(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    rd_kafka_mock_push_request_errors(f.cluster->mock, API_PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_int_equal(hand_over(&f, "events", 1), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 10000), FERRY_OK);
    assert_int_equal(seen.tags[1].code, FERRY_OK);
    end(&f);
}

static void a_topic_that_comes_late_gets_what_waited_for_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    rd_kafka_mock_topic_set_error(f.cluster->mock, "late", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(hand_over(&f, "late", 1), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 3000), FERRY_UNAVAILABLE);
    rd_kafka_mock_topic_set_error(f.cluster->mock, "late", RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(ferry_producer_flush(f.producer, 10000), FERRY_OK);
    assert_int_equal(seen.tags[1].code, FERRY_OK);
    end(&f);
}

static void a_full_queue_is_told_and_frees_itself(void **state)
{
    (void)state;
    static const struct ferry_property small[] = {{.name = "queue.buffering.max.messages", .value = "10"}};
    struct fixture f;
    begin_with(&f, (struct ferry_properties){small, 1}, NULL);
    rd_kafka_mock_broker_set_down(f.cluster->mock, 1);
    for (int tag = 1; tag <= 10; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    assert_int_equal(hand_over(&f, "events", 11), FERRY_QUEUE_FULL);
    assert_int_equal(ferry_producer_in_flight(f.producer), 10);
    rd_kafka_mock_broker_set_up(f.cluster->mock, 1);
    assert_int_equal(ferry_producer_flush(f.producer, 20000), FERRY_OK);
    assert_int_equal(hand_over(&f, "events", 11), FERRY_OK);
    end(&f);
    assert_reported_once(1, 11);
}

static void a_fatal_error_breaks_the_producer(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    ferry_producer_close(f.producer);
    /* Kafka's answer to a client that lacks the right to write idempotently. */
    rd_kafka_mock_push_request_errors(f.cluster->mock, API_INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    static const struct ferry_producer_listener listener = {NULL, on_report, on_reports_end};
    assert_int_equal(ferry_producer_open(f.cluster->properties, (struct ferry_properties){NULL, 0}, &listener, NULL,
                                         &f.producer, NULL),
                     FERRY_OK);
    WAIT_FOR(ferry_producer_broken(f.producer));
    struct ferry_error error;
    struct ferry_record record = {.topic = FERRY_SLICE("events"), .value = FERRY_SLICE("v")};
    assert_int_equal(ferry_producer_send(f.producer, &record, NULL, &error), FERRY_KAFKA_FATAL);
    assert_int_equal(ferry_producer_in_flight(f.producer), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_reports_what_never_left_as_not_persisted),
        cmocka_unit_test(closing_reports_what_is_on_its_way_as_possibly_persisted),
        cmocka_unit_test(up_follows_the_broker),
        cmocka_unit_test(a_frozen_broker_counts_as_away),
        cmocka_unit_test(nothing_is_lost_or_reordered_by_an_outage),
        cmocka_unit_test(what_only_a_later_record_vouches_for_is_not_acknowledged),
        cmocka_unit_test(a_refusal_that_passes_is_retried),
        cmocka_unit_test(a_topic_that_comes_late_gets_what_waited_for_it),
        cmocka_unit_test(a_full_queue_is_told_and_frees_itself),
        cmocka_unit_test(a_fatal_error_breaks_the_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
