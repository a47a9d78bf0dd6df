/* Members that come, leave, and stall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/kafka/consumer_private.h"
#include "member.h"

static void a_second_member_takes_over_where_the_first_has_settled(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 2);
    cluster_fill(cluster, "events", 0, 0, 9);
    cluster_fill(cluster, "events", 1, 0, 9);
    struct member first, second;
    join(&first, cluster, "events", FERRY_START_EARLIEST);
    int taken = 0;
    while (taken < 20) {
        struct ferry_fetched *fetched = ferry_consumer_poll(first.consumer, 100);
        taken += fetched != NULL;
        if (fetched != NULL && fetched->record.offset < 6)
            ferry_consumer_store(first.consumer, "events", fetched->record.partition, fetched->record.offset + 1);
        ferry_fetched_free(fetched);
    }
    /* Committed before the second comes: while a group gathers, the mock broker takes no commits, as Kafka would. */
    expect_nothing_for(&first, 3000);
    join(&second, cluster, "events", FERRY_START_EARLIEST);
    int64_t until = ferry_clock_mono_ms() + 60000, seen = -1;
    while (seen < 0 && ferry_clock_mono_ms() < until) {
        assert_null(ferry_consumer_poll(first.consumer, 20)); /* what it keeps it does not get twice */
        struct ferry_fetched *fetched = ferry_consumer_poll(second.consumer, 20);
        if (fetched != NULL)
            seen = fetched->record.offset;
        ferry_fetched_free(fetched);
    }
    assert_int_equal(seen, 6);
    assert_int_equal(first.assigned, 1);
    assert_int_equal(first.revocations, 1);
    assert_false(first.lost);
    assert_int_equal(second.assigned, 1);
    leave(&second);
    leave(&first);
    cluster_stop(cluster);
}

static void a_member_without_partitions_is_ready_too(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    struct member first, second;
    join(&first, cluster, "events", FERRY_START_EARLIEST);
    join(&second, cluster, "events", FERRY_START_EARLIEST);
    int64_t until = ferry_clock_mono_ms() + 20000;
    while (!(ferry_consumer_ready(first.consumer) && ferry_consumer_ready(second.consumer)) &&
           ferry_clock_mono_ms() < until) {
        assert_null(ferry_consumer_poll(first.consumer, 20));
        assert_null(ferry_consumer_poll(second.consumer, 20));
    }
    assert_true(ferry_consumer_ready(first.consumer));
    assert_true(ferry_consumer_ready(second.consumer));
    assert_int_equal(first.assigned + second.assigned, 1);
    leave(&second);
    leave(&first);
    cluster_stop(cluster);
}

static void a_member_that_stops_polling_loses_its_partitions(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_property(cluster, "max.poll.interval.ms", "6000");
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    expect(&member, "events", 0, true);
    pause_ms(8000);
    for (int64_t until = ferry_clock_mono_ms() + 20000; member.revocations == 0 && ferry_clock_mono_ms() < until;)
        ferry_fetched_free(ferry_consumer_poll(member.consumer, 50));
    assert_true(member.lost);
    assert_int_equal(member.assigned, 0);
    assert_false(ferry_consumer_ready(member.consumer));
    ferry_consumer_store(member.consumer, "events", 0, 5); /* somebody else's now: ignored */
    expect(&member, "events", 1, true);
    assert_int_equal(member.assignments, 2);
    assert_true(ferry_consumer_ready(member.consumer));
    leave(&member);
    cluster_stop(cluster);
}

static void leaving_does_not_wait_for_a_broker_that_is_away(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    expect(&member, "events", 0, true);
    rd_kafka_mock_broker_set_down(cluster->mock, 1);
    int64_t began = ferry_clock_mono_ms();
    leave(&member);
    assert_true(ferry_clock_mono_ms() - began < 9900);
    assert_int_equal(member.assigned, 0);
    cluster_stop(cluster);
}

/* Left between JoinGroup and SyncGroup: librdkafka's own assertion ended the process. */
static void leaving_in_the_middle_of_joining_is_survived(void **state)
{
    (void)state;
    enum { SYNC_GROUP = 14, SYNC_TAKES_MS = 5000 };
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    rd_kafka_mock_broker_push_request_error_rtts(cluster->mock, 1, SYNC_GROUP, (size_t)1, RD_KAFKA_RESP_ERR_NO_ERROR,
                                                 SYNC_TAKES_MS);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    size_t unasked = 1; /* for the second step */
    for (int64_t until = ferry_clock_mono_ms() + 20000; unasked > 0 && ferry_clock_mono_ms() < until;) {
        assert_null(ferry_consumer_poll(member.consumer, 20));
        rd_kafka_mock_broker_error_stack_cnt(cluster->mock, 1, SYNC_GROUP, &unasked);
    }
    assert_int_equal(unasked, 0);
    leave(&member);
    assert_int_equal(member.assignments, 0);
    cluster_stop(cluster);
}

/* The second step fails, and with it goes the name by which the coordinator knew the member. */
static void leaving_after_half_of_joining_has_failed_is_survived(void **state)
{
    (void)state;
    enum { SYNC_GROUP = 14, SYNC_TAKES_MS = 500 };
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    rd_kafka_mock_broker_push_request_error_rtts(cluster->mock, 1, SYNC_GROUP, (size_t)1,
                                                 RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, SYNC_TAKES_MS);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    bool known = false, forgotten = false;
    for (int64_t until = ferry_clock_mono_ms() + 20000; !forgotten && ferry_clock_mono_ms() < until;) {
        assert_null(ferry_consumer_poll(member.consumer, 5));
        char *id = rd_kafka_memberid(member.consumer->client);
        forgotten = known && *id == '\0';
        known |= *id != '\0';
        rd_kafka_mem_free(member.consumer->client, id);
    }
    assert_true(forgotten);
    leave(&member);
    assert_int_equal(member.assignments, 0);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_member_takes_over_where_the_first_has_settled),
        cmocka_unit_test(a_member_without_partitions_is_ready_too),
        cmocka_unit_test(a_member_that_stops_polling_loses_its_partitions),
        cmocka_unit_test(leaving_does_not_wait_for_a_broker_that_is_away),
        cmocka_unit_test(leaving_in_the_middle_of_joining_is_survived),
        cmocka_unit_test(leaving_after_half_of_joining_has_failed_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
