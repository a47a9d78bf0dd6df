/* The producer against a mock cluster that answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "core/kafka/consumer.h"
#include "reports.h"

/* ---- what arrives ---- */

static struct ferry_fetched *read_back(struct fixture *f, const char *topic)
{
    struct ferry_consumer *reader = NULL;
    assert_int_equal(ferry_reader_open(f->cluster->properties, (struct ferry_strings){&topic, 1}, false, &reader, NULL),
                     FERRY_OK);
    struct ferry_fetched *fetched = NULL;
    while (fetched == NULL && !ferry_reader_ended(reader))
        fetched = ferry_consumer_poll(reader, 100);
    ferry_consumer_close(reader);
    assert_non_null(fetched);
    return fetched;
}

static void assert_slice(struct ferry_slice actual, const char *bytes, size_t len)
{
    assert_non_null(actual.ptr);
    assert_int_equal(actual.len, len);
    assert_memory_equal(actual.ptr, bytes, len);
}

static void a_record_arrives_byte_by_byte(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    static struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("1")},
                                          {FERRY_SLICE_LITERAL("empty"), FERRY_SLICE_LITERAL("")},
                                          {FERRY_SLICE_LITERAL("bytes"), FERRY_SLICE_LITERAL("\0\377")},
                                          {FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("twice")}};
    struct ferry_record record = {.topic = FERRY_SLICE("eventsXX"),
                                  .key = FERRY_SLICE("a\0b"),
                                  .value = FERRY_SLICE("v\0\n"),
                                  .headers = headers,
                                  .header_count = 4};
    record.topic.len = 6; /* a slice need not end in NUL */
    assert_int_equal(ferry_producer_send(f.producer, &record, NULL, NULL), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);

    struct ferry_fetched *fetched = read_back(&f, "events");
    assert_slice(fetched->record.topic, "events", 6);
    assert_slice(fetched->record.key, "a\0b", 3);
    assert_slice(fetched->record.value, "v\0\n", 3);
    assert_int_equal(fetched->record.header_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_slice(fetched->record.headers[i].name, headers[i].name.ptr, headers[i].name.len);
        assert_slice(fetched->record.headers[i].value, headers[i].value.ptr, headers[i].value.len);
    }
    assert_true(llabs(fetched->record.timestamp_ms - ferry_clock_wall_ms()) < 60000);
    ferry_fetched_free(fetched);
    end(&f);
}

static void an_empty_value_is_no_tombstone_and_no_key_is_no_empty_key(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct ferry_record empty = {.topic = FERRY_SLICE("events"), .value = FERRY_SLICE("")};
    assert_int_equal(ferry_producer_send_to(f.producer, &empty, 0, NULL, NULL), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    struct ferry_fetched *fetched = read_back(&f, "events");
    assert_non_null(fetched->record.value.ptr);
    assert_int_equal(fetched->record.value.len, 0);
    assert_null(fetched->record.key.ptr);
    ferry_fetched_free(fetched);
    end(&f);
}

static void an_absent_value_is_a_tombstone(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct ferry_record tombstone = {.topic = FERRY_SLICE("events"), .key = FERRY_SLICE("")};
    assert_int_equal(ferry_producer_send(f.producer, &tombstone, NULL, NULL), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    struct ferry_fetched *fetched = read_back(&f, "events");
    assert_null(fetched->record.value.ptr);
    assert_slice(fetched->record.key, "", 0);
    ferry_fetched_free(fetched);
    end(&f);
}

/* The hashes are those of Java's own test, UtilsTest.testMurmur2. */
static void a_key_goes_to_the_partition_that_java_would_choose(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"abc", 479470107}};
    struct fixture f;
    begin(&f);
    for (int i = 0; i < 5; i++) {
        struct ferry_record record = {
            .topic = FERRY_SLICE("events"), .key = ferry_slice_from(cases[i].key), .value = FERRY_SLICE("v")};
        assert_int_equal(ferry_producer_send(f.producer, &record, (void *)(uintptr_t)(i + 1), NULL), FERRY_OK);
    }
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen.tags[i + 1].partition, (cases[i].hash & 0x7fffffff) % 4);
    end(&f);
}

static void a_partition_that_does_not_exist_is_refused_without_harm(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    static struct ferry_pair header = {FERRY_SLICE_LITERAL("a"), FERRY_SLICE_LITERAL("b")};
    struct ferry_record record = {
        .topic = FERRY_SLICE("events"), .value = FERRY_SLICE("v"), .headers = &header, .header_count = 1};
    assert_int_equal(ferry_producer_send_to(f.producer, &record, 3, (void *)1, NULL), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    assert_int_equal(seen.tags[1].partition, 3);
    struct ferry_error error = {.text = ""};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ferry_producer_send_to(f.producer, &record, 99, (void *)2, &error), FERRY_TOPIC_UNKNOWN);
    assert_non_null(strstr(error.text, "events"));
    assert_int_equal(ferry_producer_in_flight(f.producer), 0);
    assert_int_equal(atomic_load(&seen.tags[2].count), 0);
    end(&f);
}

static void a_record_that_is_too_large_is_refused(void **state)
{
    (void)state;
    static char large[1 << 20];
    struct fixture f;
    begin(&f);
    struct ferry_record record = {.topic = FERRY_SLICE("events"), .value = {large, sizeof large}};
    struct ferry_error error;
    assert_int_equal(ferry_producer_send(f.producer, &record, (void *)1, &error), FERRY_RECORD_TOO_LARGE);
    assert_int_equal(ferry_producer_in_flight(f.producer), 0);
    end(&f);
    assert_int_equal(atomic_load(&seen.reports), 0);
}

/* ---- reports ---- */

static void reports_come_in_batches_and_once_for_each_record(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int tag = 1; tag <= TAGS; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 10000), FERRY_OK);
    assert_int_equal(ferry_producer_in_flight(f.producer), 0);
    assert_reported_once(1, TAGS);
    assert_int_equal(atomic_load(&seen.acknowledged), TAGS);
    assert_true(atomic_load(&seen.ends) >= 1);
    assert_true(atomic_load(&seen.ends) < TAGS / 4);
    for (int tag = 2; tag <= TAGS; tag++)
        assert_int_equal(seen.tags[tag].offset, seen.tags[tag - 1].offset + 1);
    end(&f);
}

struct quarter {
    struct fixture *fixture;
    int number;
};

static void *send_quarter(void *context)
{
    struct quarter *quarter = context;
    for (int i = 1; i <= TAGS / 4; i++)
        if (hand_over(quarter->fixture, "events", quarter->number * (TAGS / 4) + i) != FERRY_OK)
            abort();
    return NULL;
}

static void threads_may_send_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct quarter jobs[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct quarter){&f, i};
        pthread_create(&threads[i], NULL, send_quarter, &jobs[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ferry_producer_flush(f.producer, 10000), FERRY_OK);
    assert_reported_once(1, TAGS);
    end(&f);
}

/* ---- properties and metrics ---- */

static void a_bad_property_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct ferry_producer_listener listener = {NULL, on_report, on_reports_end};
    static const struct ferry_property wrong[] = {
        {.name = "linger.ms", .value = "soon", .place = {"ferry.yaml", 7}},
        {.name = "lingr.ms", .value = "1", .place = {"ferry.yaml", 7}},
        {.name = "security.protocol", .value = "tls", .place = {"ferry.yaml", 7}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ferry_producer *producer = NULL;
        struct ferry_error error = {.text = ""};
        assert_int_equal(ferry_producer_open((struct ferry_properties){&wrong[i], 1},
                                             (struct ferry_properties){NULL, 0}, &listener, NULL, &producer, &error),
                         FERRY_CONFIG);
        assert_null(producer);
        assert_non_null(strstr(error.text, "ferry.yaml:7: "));
        assert_non_null(strstr(error.text, wrong[i].name));
    }
}

static void properties_that_do_not_fit_together_are_told(void **state)
{
    (void)state;
    static const struct ferry_producer_listener listener = {NULL, on_report, on_reports_end};
    static const struct ferry_property wrong[] = {
        {.name = "max.in.flight.requests.per.connection", .value = "6", .place = {"ferry.yaml", 7}}};
    struct ferry_producer *producer = NULL;
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_producer_open((struct ferry_properties){NULL, 0}, (struct ferry_properties){wrong, 1},
                                         &listener, NULL, &producer, &error),
                     FERRY_CONFIG);
    assert_non_null(strstr(error.text, "max.in.flight"));
}

static void produce_seconds_are_counted(void **state)
{
    (void)state;
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct fixture f;
    begin_with(&f, (struct ferry_properties){NULL, 0}, metrics);
    for (int tag = 1; tag <= 3; tag++)
        assert_int_equal(hand_over(&f, "events", tag), FERRY_OK);
    assert_int_equal(ferry_producer_flush(f.producer, 5000), FERRY_OK);
    struct ferry_buffer page;
    ferry_buffer_init(&page, 1 << 20);
    ferry_metrics_print(metrics, &page);
    assert_non_null(strstr(page.ptr, "\nferry_produce_seconds_count 3\n"));
    assert_non_null(strstr(page.ptr, "\nferry_produce_seconds_bucket{le=\"60\"} 3\n"));
    ferry_buffer_done(&page);
    end(&f);
    ferry_metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_arrives_byte_by_byte),
        cmocka_unit_test(an_empty_value_is_no_tombstone_and_no_key_is_no_empty_key),
        cmocka_unit_test(an_absent_value_is_a_tombstone),
        cmocka_unit_test(a_key_goes_to_the_partition_that_java_would_choose),
        cmocka_unit_test(a_partition_that_does_not_exist_is_refused_without_harm),
        cmocka_unit_test(a_record_that_is_too_large_is_refused),
        cmocka_unit_test(reports_come_in_batches_and_once_for_each_record),
        cmocka_unit_test(threads_may_send_at_once),
        cmocka_unit_test(a_bad_property_is_told_with_its_place),
        cmocka_unit_test(properties_that_do_not_fit_together_are_told),
        cmocka_unit_test(produce_seconds_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
