/* Where a group begins that has no commit yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member.h"

static void start_now_skips_what_is_old_but_not_what_appears_later(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_property(cluster, "topic.metadata.refresh.interval.ms", "500");
    cluster_topic(cluster, "qlik.a", 2);
    cluster_fill(cluster, "qlik.a", 0, 0, 9);
    cluster_fill(cluster, "qlik.a", 1, 0, 4);
    struct member member;
    join(&member, cluster, "^qlik\\..*", FERRY_START_NOW);
    POLL_UNTIL(&member, member.assigned == 2);
    expect_nothing_for(&member, 500);
    cluster_fill(cluster, "qlik.a", 0, 10, 10);
    expect(&member, "qlik.a", 10, true);

    cluster_topic(cluster, "qlik.b", 1);
    cluster_fill(cluster, "qlik.b", 0, 50, 51);
    expect(&member, "qlik.b", 50, true);
    expect(&member, "qlik.b", 51, true);
    leave(&member);

    /* A restart is no first start, not even for the partition that never had a record settled. */
    cluster_fill(cluster, "qlik.a", 1, 5, 5);
    join(&member, cluster, "^qlik\\..*", FERRY_START_NOW);
    expect(&member, "qlik.a", 5, false);
    expect_nothing_for(&member, 500);
    leave(&member);
    cluster_stop(cluster);
}

static void start_now_skips_nothing_of_a_topic_that_begins_at_its_beginning(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_topic(cluster, "retry", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    cluster_fill(cluster, "retry", 0, 70, 70);
    const char *topics[] = {"events", "retry"};
    struct ferry_consumer_options options = {.group = "group",
                                             .topics = {topics, 2},
                                             .start = FERRY_START_NOW,
                                             .from_beginning = "retry",
                                             .common = cluster->properties};
    struct member member = {0};
    struct ferry_consumer_listener listener = {&member, on_assigned, on_revoked};
    assert_int_equal(ferry_consumer_open(&options, &listener, NULL, &member.consumer, NULL), FERRY_OK);
    expect(&member, "retry", 70, false);
    expect_nothing_for(&member, 300);
    cluster_fill(cluster, "events", 0, 10, 10);
    expect(&member, "events", 10, true);
    leave(&member);
    cluster_stop(cluster);
}

static void start_now_waits_until_it_knows_where_the_group_stands(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    /* The coordinator refuses to tell, for a while. */
    rd_kafka_mock_push_request_errors(cluster->mock, API_OFFSET_FETCH, 2, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    struct member member;
    join(&member, cluster, "events", FERRY_START_NOW);
    POLL_UNTIL(&member, member.assigned == 1);
    cluster_fill(cluster, "events", 0, 10, 10);
    expect(&member, "events", 10, true);
    leave(&member);
    cluster_stop(cluster);
}

static void leaving_while_the_start_is_unsettled_is_possible(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    rd_kafka_resp_err_t never[200];
    for (size_t i = 0; i < 200; i++)
        never[i] = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    rd_kafka_mock_push_request_errors_array(cluster->mock, API_OFFSET_FETCH, 200, never);
    struct member member;
    join(&member, cluster, "events", FERRY_START_NOW);
    expect_nothing_for(&member, 6000);
    assert_int_equal(member.assignments, 0);
    assert_false(ferry_consumer_ready(member.consumer));
    int64_t began = ferry_clock_mono_ms();
    leave(&member);
    assert_true(ferry_clock_mono_ms() - began < 8000);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_now_skips_what_is_old_but_not_what_appears_later),
        cmocka_unit_test(start_now_skips_nothing_of_a_topic_that_begins_at_its_beginning),
        cmocka_unit_test(start_now_waits_until_it_knows_where_the_group_stands),
        cmocka_unit_test(leaving_while_the_start_is_unsettled_is_possible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
