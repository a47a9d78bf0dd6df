/* The consumer of a group against a mock cluster. A group there takes three seconds to form, so each test asks several
 * things of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "core/log.h"
#include "member.h"

/* ---- offsets ---- */

static void a_group_goes_on_after_what_was_stored_not_after_what_was_fetched(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    assert_false(ferry_consumer_ready(member.consumer));
    for (int i = 0; i < 10; i++)
        expect(&member, "events", i, i < 4);
    assert_true(ferry_consumer_ready(member.consumer));
    assert_int_equal(member.first_offset, -1);
    ferry_consumer_store(member.consumer, "events", 0, 2);   /* older: ignored */
    ferry_consumer_store(member.consumer, "events", 7, 100); /* not ours: ignored */
    ferry_consumer_store(member.consumer, "other", 0, 100);
    leave(&member);
    assert_int_equal(member.assigned, 0);
    assert_int_equal(member.revocations, 1);
    assert_false(member.lost);

    join(&member, cluster, "events", FERRY_START_EARLIEST);
    expect(&member, "events", 4, false);
    assert_int_equal(member.first_offset, 4);
    leave(&member);
    cluster_stop(cluster);
}

static void what_is_stored_during_a_revocation_is_committed(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    expect(&member, "events", 0, false);
    member.store_topic = "events";
    member.store_offset = 7;
    leave(&member);
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    expect(&member, "events", 7, false);
    leave(&member);
    cluster_stop(cluster);
}

static void stores_are_committed_in_the_background(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member first, second;
    join(&first, cluster, "events", FERRY_START_EARLIEST);
    for (int i = 0; i < 3; i++)
        expect(&first, "events", i, true);
    for (int i = 3; i < 10; i++)
        expect(&first, "events", i, false);
    expect_nothing_for(&first, 2000);
    /* The first one never leaves: what the second finds was committed before. */
    rd_kafka_mock_push_request_errors(cluster->mock, API_OFFSET_COMMIT, 3, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    leave(&first);
    rd_kafka_mock_clear_request_errors(cluster->mock, API_OFFSET_COMMIT);
    join(&second, cluster, "events", FERRY_START_EARLIEST);
    expect(&second, "events", 3, false);
    leave(&second);
    cluster_stop(cluster);
}

/* ---- flow ---- */

static void a_pause_loses_and_repeats_nothing(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 2);
    cluster_fill(cluster, "events", 0, 0, 99);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    for (int i = 0; i < 30; i++)
        expect(&member, "events", i, false);
    for (int round = 1; round <= 3; round++) {
        ferry_consumer_pause(member.consumer, "events", 0);
        expect_nothing_for(&member, 300);
        ferry_consumer_resume(member.consumer, "events", 0);
        for (int i = 0; i < 20; i++)
            expect(&member, "events", 10 + round * 20 + i, false);
    }
    for (int i = 90; i < 100; i++)
        expect(&member, "events", i, false);
    ferry_consumer_pause(member.consumer, "events", 0);
    cluster_fill(cluster, "events", 1, 200, 200);
    expect(&member, "events", 200, false); /* the other partition goes on */
    leave(&member);
    cluster_stop(cluster);
}

/* ---- lag ---- */

static double lag(struct ferry_metrics *metrics, int32_t partition)
{
    static const char *const labels[] = {"topic", "partition", NULL};
    struct ferry_metric *family = ferry_metrics_family(metrics, FERRY_GAUGE, "ferry_consumer_lag", "", labels);
    char number[8];
    snprintf(number, sizeof number, "%d", partition);
    struct ferry_slice values[] = {FERRY_SLICE("events"), ferry_slice_from(number)};
    return ferry_series_value(ferry_metric_series(family, values));
}

static void lag_is_what_is_not_settled(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 2);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct member member;
    join_with(&member, cluster, "events", FERRY_START_EARLIEST, metrics);
    for (int i = 0; i < 10; i++)
        expect(&member, "events", i, i < 3);
    ferry_consumer_update_lag(member.consumer);
    assert_true(lag(metrics, 0) == 7);
    ferry_consumer_store(member.consumer, "events", 0, 10);
    expect_nothing_for(&member, 300);
    ferry_consumer_update_lag(member.consumer);
    assert_true(lag(metrics, 0) == 0);
    assert_true(lag(metrics, 1) == 0);
    leave(&member);

    /* Nobody's partitions have no lag here. */
    struct ferry_buffer page;
    ferry_buffer_init(&page, 1 << 20);
    ferry_metrics_print(metrics, &page);
    assert_null(strstr(page.ptr, "topic=\"events\""));
    ferry_buffer_done(&page);
    cluster_stop(cluster);
    ferry_metrics_free(metrics);
}

/* ---- mistakes ---- */

static void a_bad_property_or_expression_is_told(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    static const struct ferry_property wrong = {
        .name = "session.timeout.ms", .value = "0", .place = {"ferry.yaml", 12}};
    const char *topic = "events";
    struct ferry_consumer_options options = {
        .group = "g", .topics = {&topic, 1}, .common = cluster->properties, .overrides = {&wrong, 1}};
    struct ferry_consumer *consumer = NULL;
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_consumer_open(&options, NULL, NULL, &consumer, &error), FERRY_CONFIG);
    assert_non_null(strstr(error.text, "ferry.yaml:12: session.timeout.ms: "));
    options.overrides.count = 0;
    topic = "^(";
    assert_int_equal(ferry_consumer_open(&options, NULL, NULL, &consumer, &error), FERRY_CONFIG);
    assert_null(consumer);
    cluster_stop(cluster);
}

/* Polls until stderr, which `file` takes, has the text; false when it does not come. */
static bool poll_until_told(struct member *member, int file, const char *text)
{
    static char told[64 * 1024];
    int64_t until_ms = ferry_clock_mono_ms() + 20000;
    do {
        ferry_fetched_free(ferry_consumer_poll(member->consumer, 20));
        ssize_t len = pread(file, told, sizeof told - 1, 0);
        told[len > 0 ? len : 0] = '\0';
    } while (strstr(told, text) == NULL && ferry_clock_mono_ms() < until_ms);
    return strstr(told, text) != NULL;
}

static void a_right_that_is_missing_is_told(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    rd_kafka_mock_push_request_errors(
        cluster->mock, API_FIND_COORDINATOR, 3, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    FILE *heard = tmpfile();
    int kept = dup(STDERR_FILENO);
    ferry_log_setup("test", FERRY_LOG_JSON, FERRY_LOG_WARN);
    struct member member;
    dup2(fileno(heard), STDERR_FILENO);
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    bool group = poll_until_told(&member, fileno(heard), "\"right\":\"Read on the group\",\"group\":\"group\"");
    leave(&member);
    rd_kafka_mock_topic_set_error(cluster->mock, "events", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    bool topic = poll_until_told(&member, fileno(heard), "\"right\":\"Read on the topic\",\"topic\":\"events\"");
    leave(&member);
    dup2(kept, STDERR_FILENO);
    close(kept);
    fclose(heard);
    assert_true(group);
    assert_true(topic);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_goes_on_after_what_was_stored_not_after_what_was_fetched),
        cmocka_unit_test(what_is_stored_during_a_revocation_is_committed),
        cmocka_unit_test(stores_are_committed_in_the_background),
        cmocka_unit_test(a_pause_loses_and_repeats_nothing),
        cmocka_unit_test(lag_is_what_is_not_settled),
        cmocka_unit_test(a_bad_property_or_expression_is_told),
        cmocka_unit_test(a_right_that_is_missing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
