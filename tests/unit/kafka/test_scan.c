/* Reading stretches of partitions. (The mock has no look-up by time; the integration tests have a real Kafka.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"
#include "core/kafka/scan.h"

static const struct ferry_properties none;

static struct ferry_scan *open_scan(struct cluster *cluster)
{
    struct ferry_scan *scan = NULL;
    assert_int_equal(ferry_scan_open(cluster->properties, none, &scan, NULL), FERRY_OK);
    return scan;
}

/* Polls until all is read; checks that the values are the offsets from `first` of each span. */
static size_t read_all(struct ferry_scan *scan, int64_t *first)
{
    struct ferry_scanned batch[7];
    size_t read = 0;
    int64_t until_ms = ferry_clock_mono_ms() + 20000;
    while (!ferry_scan_done(scan) && ferry_clock_mono_ms() < until_ms) {
        size_t count = ferry_scan_poll(scan, 100, batch, 7);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(batch[i].fetched->record.offset, first[batch[i].span]++);
            ferry_fetched_free(batch[i].fetched);
        }
        read += count;
    }
    assert_true(ferry_scan_done(scan));
    return read;
}

static void a_stretch_is_read_from_its_beginning_to_before_its_end(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "a", 2);
    cluster_topic(cluster, "b", 1);
    cluster_fill(cluster, "a", 0, 0, 99);
    cluster_fill(cluster, "a", 1, 0, 9);
    cluster_fill(cluster, "b", 0, 0, 9);
    struct ferry_scan *scan = open_scan(cluster);
    struct ferry_span spans[] = {{"b", 0, 3, 5}, {"a", 1, 4, 4}, {"a", 0, 10, 90}, {"a", 1, 9, 10}};
    int64_t first[] = {3, 4, 10, 9};
    assert_int_equal(ferry_scan_begin(scan, spans, 4, NULL), FERRY_OK);
    assert_int_equal(read_all(scan, first), 2 + 80 + 1);
    assert_int_equal(spans[0].next, 5);
    assert_int_equal(spans[2].next, 90);
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

static void a_stretch_ends_where_its_partition_does(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "a", 1);
    cluster_fill(cluster, "a", 0, 0, 9);
    struct ferry_scan *scan = open_scan(cluster);
    struct ferry_span span = {"a", 0, 5, 1000};
    int64_t first = 5;
    assert_int_equal(ferry_scan_begin(scan, &span, 1, NULL), FERRY_OK);
    assert_int_equal(read_all(scan, &first), 5);
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

static void one_that_is_followed_goes_on_with_what_comes(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "a", 1);
    cluster_fill(cluster, "a", 0, 0, 9);
    struct ferry_scan *scan = open_scan(cluster);
    struct ferry_span span = {"a", 0, 10, FERRY_SPAN_FOLLOW};
    struct ferry_scanned one;
    assert_int_equal(ferry_scan_begin(scan, &span, 1, NULL), FERRY_OK);
    assert_int_equal(ferry_scan_poll(scan, 300, &one, 1), 0);
    cluster_fill(cluster, "a", 0, 10, 10);
    size_t count = 0;
    for (int i = 0; count == 0 && i < 200; i++)
        count = ferry_scan_poll(scan, 100, &one, 1);
    assert_int_equal(count, 1);
    assert_int_equal(one.fetched->record.offset, 10);
    ferry_fetched_free(one.fetched);
    assert_false(ferry_scan_done(scan));
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

static void the_same_client_reads_another_stretch(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "a", 1);
    cluster_fill(cluster, "a", 0, 0, 99);
    struct ferry_scan *scan = open_scan(cluster);
    struct ferry_span one = {"a", 0, 90, 95}, other = {"a", 0, 20, 30};
    int64_t first = 90;
    assert_int_equal(ferry_scan_begin(scan, &one, 1, NULL), FERRY_OK);
    assert_int_equal(read_all(scan, &first), 5);
    first = 20;
    assert_int_equal(ferry_scan_begin(scan, &other, 1, NULL), FERRY_OK);
    assert_int_equal(read_all(scan, &first), 10);
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

static void topics_are_listed_and_their_ends_are_known(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "b", 3);
    cluster_topic(cluster, "a", 1);
    cluster_fill(cluster, "b", 1, 0, 41);
    struct ferry_scan *scan = open_scan(cluster);
    const struct ferry_scan_topic *topics;
    size_t count;
    assert_int_equal(ferry_scan_topics(scan, 10000, &topics, &count, NULL), FERRY_OK);
    assert_int_equal(count, 2);
    assert_string_equal(topics[0].name, "a");
    assert_int_equal(topics[1].partitions, 3);
    struct ferry_span spans[] = {{"b", 1, 0, 0}, {"b", 2, 0, 0}};
    int64_t offsets[2] = {-7, -7};
    assert_int_equal(ferry_scan_offsets(scan, spans, 2, FERRY_SCAN_END, 10000, offsets, NULL), FERRY_OK);
    assert_int_equal(offsets[0], 42);
    assert_int_equal(offsets[1], 0);
    assert_int_equal(ferry_scan_offsets(scan, spans, 2, FERRY_SCAN_EARLIEST, 10000, offsets, NULL), FERRY_OK);
    assert_int_equal(offsets[0], 0);
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

static void without_a_broker_it_says_so_in_time(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_start();
    struct ferry_scan *scan = open_scan(cluster);
    rd_kafka_mock_broker_set_down(cluster->mock, 1);
    const struct ferry_scan_topic *topics;
    size_t count;
    struct ferry_error error = {.text = ""};
    int64_t began_ms = ferry_clock_mono_ms(), offset = -7;
    struct ferry_span span = {"a", 0, 0, 0};
    assert_int_equal(ferry_scan_topics(scan, 500, &topics, &count, &error), FERRY_KAFKA);
    assert_non_null(strstr(error.text, "127.0.0.1"));
    assert_int_equal(ferry_scan_offsets(scan, &span, 1, FERRY_SCAN_END, 500, &offset, &error), FERRY_KAFKA);
    assert_int_equal(offset, -7);
    assert_true(ferry_clock_mono_ms() - began_ms < 5000);
    ferry_scan_close(scan);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_is_read_from_its_beginning_to_before_its_end),
        cmocka_unit_test(a_stretch_ends_where_its_partition_does),
        cmocka_unit_test(one_that_is_followed_goes_on_with_what_comes),
        cmocka_unit_test(the_same_client_reads_another_stretch),
        cmocka_unit_test(topics_are_listed_and_their_ends_are_known),
        cmocka_unit_test(without_a_broker_it_says_so_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
