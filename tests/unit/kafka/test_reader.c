/* Reading without a group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member.h"

static int read_to_end(struct ferry_consumer *reader)
{
    int count = 0;
    int64_t until = ferry_clock_mono_ms() + 20000;
    while (!ferry_reader_ended(reader) && ferry_clock_mono_ms() < until) {
        struct ferry_fetched *fetched = ferry_consumer_poll(reader, 100);
        count += fetched != NULL;
        ferry_fetched_free(fetched);
    }
    assert_true(ferry_reader_ended(reader));
    return count;
}

static void a_reader_reads_everything_once_and_knows_its_end(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 3);
    cluster_topic(cluster, "others", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    cluster_fill(cluster, "events", 2, 0, 4);
    cluster_fill(cluster, "others", 0, 0, 0);
    const char *topics[] = {"^ev", "missing", "others"};
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open(cluster->properties, (struct ferry_strings){topics, 3}, false, &reader, NULL),
                     FERRY_OK);
    assert_false(ferry_reader_ended(reader));
    assert_int_equal(read_to_end(reader), 16);
    ferry_consumer_close(reader);

    const struct ferry_partition from[] = {{"events", 0, 8}, {"events", 2, -1}};
    assert_int_equal(ferry_reader_open_at(cluster->properties, from, 2, &reader, NULL), FERRY_OK);
    assert_int_equal(read_to_end(reader), 7);
    ferry_consumer_close(reader);
    cluster_stop(cluster);
}

static void a_reader_that_is_moved_reads_from_there_and_knows_how_far_it_came(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 2);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct ferry_partition places[] = {{"events", 0, 4}, {"events", 1, -1}};
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open_at(cluster->properties, NULL, 0, &reader, NULL), FERRY_OK);
    assert_int_equal(ferry_reader_position(reader, "events", 0), -1);
    assert_int_equal(ferry_reader_move(reader, places, 2, NULL), FERRY_OK);
    assert_int_equal(read_to_end(reader), 6);
    assert_int_equal(ferry_reader_position(reader, "events", 0), 10);
    assert_int_equal(ferry_reader_position(reader, "events", 1), 0);
    cluster_fill(cluster, "events", 1, 0, 2);
    assert_int_equal(ferry_reader_ends(reader, places, 2, 10000, NULL), FERRY_OK);
    assert_int_equal(places[0].offset, 10);
    assert_int_equal(places[1].offset, 3);
    assert_int_equal(ferry_reader_move(reader, &(struct ferry_partition){"events", 0, 8}, 1, NULL), FERRY_OK);
    assert_int_equal(read_to_end(reader), 2);
    assert_int_equal(ferry_reader_move(reader, NULL, 0, NULL), FERRY_OK);
    assert_null(ferry_consumer_poll(reader, 200));
    ferry_consumer_close(reader);
    cluster_stop(cluster);
}

static void a_reader_begins_where_a_group_stands_without_joining_it(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 2);
    cluster_fill(cluster, "events", 0, 0, 9);
    cluster_fill(cluster, "events", 1, 0, 1);
    struct member member;
    join(&member, cluster, "events", FERRY_START_EARLIEST);
    for (int64_t until = ferry_clock_mono_ms() + 20000; member.assigned < 2 && ferry_clock_mono_ms() < until;)
        ferry_fetched_free(ferry_consumer_poll(member.consumer, 50));
    ferry_consumer_store(member.consumer, "events", 0, 7);
    leave(&member);
    cluster_property(cluster, "group.id", "group");
    const struct ferry_partition places[] = {{"events", 0, FERRY_OFFSET_COMMITTED},
                                             {"events", 1, FERRY_OFFSET_COMMITTED}};
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open_at(cluster->properties, places, 2, &reader, NULL), FERRY_OK);
    assert_int_equal(read_to_end(reader), 3 + 2);
    ferry_consumer_close(reader);
    cluster_stop(cluster);
}

static void a_reader_from_the_end_sees_only_what_comes(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    const char *topic = "events";
    struct member member = {0};
    assert_int_equal(
        ferry_reader_open(cluster->properties, (struct ferry_strings){&topic, 1}, true, &member.consumer, NULL),
        FERRY_OK);
    POLL_UNTIL(&member, ferry_reader_ended(member.consumer));
    cluster_fill(cluster, "events", 0, 10, 10);
    expect(&member, "events", 10, true);
    ferry_consumer_close(member.consumer);
    cluster_stop(cluster);
}

static void a_reader_without_a_broker_or_topic_says_so(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    rd_kafka_mock_topic_set_error(cluster->mock, "nothing", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    const char *topic = "nothing";
    struct ferry_consumer *reader = NULL;
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_reader_open(cluster->properties, (struct ferry_strings){&topic, 1}, false, &reader, &error),
                     FERRY_TOPIC_UNKNOWN);
    assert_non_null(strstr(error.text, "nothing"));
    rd_kafka_mock_broker_set_down(cluster->mock, 1);
    assert_int_equal(ferry_reader_open(cluster->properties, (struct ferry_strings){&topic, 1}, false, &reader, &error),
                     FERRY_KAFKA);
    assert_null(reader);
    cluster_stop(cluster);
}

static void a_fetched_record_outlives_its_consumer(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 7, 7);
    const struct ferry_partition from[] = {{"events", 0, -1}};
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open_at(cluster->properties, from, 1, &reader, NULL), FERRY_OK);
    struct ferry_fetched *fetched = NULL;
    while (fetched == NULL && !ferry_reader_ended(reader))
        fetched = ferry_consumer_poll(reader, 100);
    ferry_consumer_close(reader);
    cluster_stop(cluster);
    assert_non_null(fetched);
    if (fetched == NULL)
        return;
    assert_true(ferry_slice_is(fetched->record.value, "7"));
    assert_string_equal(fetched->record.topic.ptr, "events");
    ferry_fetched_free(fetched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_reads_everything_once_and_knows_its_end),
        cmocka_unit_test(a_reader_that_is_moved_reads_from_there_and_knows_how_far_it_came),
        cmocka_unit_test(a_reader_begins_where_a_group_stands_without_joining_it),
        cmocka_unit_test(a_reader_from_the_end_sees_only_what_comes),
        cmocka_unit_test(a_reader_without_a_broker_or_topic_says_so),
        cmocka_unit_test(a_fetched_record_outlives_its_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
