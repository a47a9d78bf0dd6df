/* When there is no memory for a record. The copies are made here, so that they can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "cluster.h"
#include "core/clock.h"
#include "core/kafka/consumer.h"
#include "core/kafka/consumer_private.h"

static unsigned copies;

/* Only where it stands; every second copy finds no memory. */
struct ferry_fetched *ferry_fetched_copy(const rd_kafka_message_t *message)
{
    if (copies++ % 2 == 0)
        return NULL;
    struct ferry_fetched *fetched = calloc(1, sizeof *fetched);
    assert_non_null(fetched);
    fetched->record = (struct ferry_record){.partition = message->partition, .offset = message->offset};
    return fetched;
}

void ferry_fetched_free(struct ferry_fetched *fetched)
{
    free(fetched);
}

static void what_there_was_no_memory_for_is_not_skipped(void **state)
{
    (void)state;
    enum { RECORDS = 10 };
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, RECORDS - 1);
    struct ferry_consumer *reader = NULL;
    assert_int_equal(
        ferry_reader_open_at(cluster->properties, &(struct ferry_partition){"events", 0, 0}, 1, &reader, NULL),
        FERRY_OK);
    int64_t until_ms = ferry_clock_mono_ms() + 20000, next = 0;
    while (next < RECORDS && ferry_clock_mono_ms() < until_ms) {
        int64_t before = ferry_reader_position(reader, "events", 0);
        struct ferry_fetched *fetched = ferry_consumer_poll(reader, 100);
        if (fetched == NULL)
            assert_int_equal(ferry_reader_position(reader, "events", 0), before);
        else
            assert_int_equal(fetched->record.offset, next++);
        ferry_fetched_free(fetched);
    }
    assert_int_equal(next, RECORDS);
    ferry_consumer_close(reader);
    cluster_stop(cluster);
}

static void what_there_was_no_memory_for_is_forgotten_by_a_reader_that_moves_or_closes(void **state)
{
    (void)state;
    const struct ferry_partition first = {"events", 0, 0}, fifth = {"events", 0, 5};
    struct cluster *cluster = cluster_start();
    cluster_topic(cluster, "events", 1);
    cluster_fill(cluster, "events", 0, 0, 9);
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open_at(cluster->properties, &first, 1, &reader, NULL), FERRY_OK);
    int64_t until_ms = ferry_clock_mono_ms() + 20000;
    for (copies = 0; copies == 0 && ferry_clock_mono_ms() < until_ms;)
        assert_null(ferry_consumer_poll(reader, 100));
    assert_int_equal(ferry_reader_move(reader, &fifth, 1, NULL), FERRY_OK);
    struct ferry_fetched *fetched = NULL;
    while (fetched == NULL && ferry_clock_mono_ms() < until_ms)
        fetched = ferry_consumer_poll(reader, 100);
    assert_int_equal(fetched != NULL ? fetched->record.offset : -1, 5);
    ferry_fetched_free(fetched);
    for (copies = 0; copies == 0 && ferry_clock_mono_ms() < until_ms;)
        assert_null(ferry_consumer_poll(reader, 100));
    ferry_consumer_close(reader);
    cluster_stop(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_there_was_no_memory_for_is_not_skipped),
        cmocka_unit_test(what_there_was_no_memory_for_is_forgotten_by_a_reader_that_moves_or_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
