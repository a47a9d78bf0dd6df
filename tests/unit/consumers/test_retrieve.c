/* The retriever without a broker: the reader is a table of records here, and deliveries fail when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/kafka/admin.h"

enum { RECORDS = 4, FOUND_MS = 5000 };

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                           "slack:\n"
                           "  routes:\n"
                           "    - {name: one, events: [app.created], webhook: {file: hook}, text: x}\n";

/* ---- the retry topic: a record for each offset, or a hole ---- */

static struct ferry_engine engine;
static struct ferry_arena arena;
static struct ferry_record records[RECORDS];
static bool holes[RECORDS];
static bool first_unreadable;  /* partition 0 */
static bool strangers;         /* a record of another partition comes before the wanted one */
static bool stops;             /* the worker is told to stop while the marks are read */
static int deliveries_to_fail; /* so many times there is no memory */

struct ferry_consumer {
    bool of_marks;
    int64_t position;
};

enum ferry_code ferry_reader_open_at(struct ferry_properties common, const struct ferry_partition *partitions,
                                     size_t count, struct ferry_consumer **out, struct ferry_error *error)
{
    (void)common, (void)error;
    assert_int_equal(count, 1);
    if (first_unreadable && partitions[0].partition == 0)
        return FERRY_KAFKA;
    *out = calloc(1, sizeof **out);
    (*out)->of_marks = strcmp(partitions[0].topic, engine.effects_topic) == 0;
    (*out)->position = partitions[0].offset;
    return FERRY_OK;
}

enum ferry_code ferry_reader_move(struct ferry_consumer *reader, const struct ferry_partition *partitions, size_t count,
                                  struct ferry_error *error)
{
    (void)error;
    if (first_unreadable && count > 0 && partitions[0].partition == 0)
        return FERRY_KAFKA;
    if (count > 0)
        reader->position = partitions[0].offset;
    return FERRY_OK;
}

int64_t ferry_reader_position(struct ferry_consumer *reader, const char *topic, int32_t partition)
{
    (void)topic, (void)partition;
    return reader->position;
}

bool ferry_reader_ended(struct ferry_consumer *reader)
{
    assert_true(reader->of_marks);
    return !stops;
}

enum ferry_code ferry_reader_ends(struct ferry_consumer *reader, struct ferry_partition *partitions, size_t count,
                                  int timeout_ms, struct ferry_error *error)
{
    (void)reader, (void)partitions, (void)count, (void)timeout_ms, (void)error;
    return FERRY_KAFKA;
}

static struct ferry_fetched *fetch(const struct ferry_record *record)
{
    struct ferry_fetched *fetched = calloc(1, sizeof *fetched);
    fetched->record = *record;
    return fetched;
}

static struct ferry_topic_result looked;
static enum ferry_code look_code;

enum ferry_code ferry_admin_look(const struct ferry_config *config, struct ferry_properties overrides,
                                 struct ferry_topic_list topics, int timeout_ms, struct ferry_topic_result *results,
                                 struct ferry_error *error)
{
    (void)config, (void)overrides, (void)topics, (void)timeout_ms, (void)error;
    results[0] = looked;
    return look_code;
}

struct ferry_fetched *ferry_consumer_poll(struct ferry_consumer *reader, int timeout_ms)
{
    (void)timeout_ms;
    if (reader->of_marks) {
        ferry_engine_lock(&engine);
        engine.stopping = true;
        ferry_engine_unlock(&engine);
        return NULL;
    }
    if (strangers) {
        strangers = false;
        struct ferry_fetched *stranger = fetch(&records[0]);
        stranger->record.partition = 1;
        stranger->record.offset = reader->position;
        stranger->record.header_count = 0;
        return stranger;
    }
    if (reader->position >= RECORDS)
        return NULL;
    int64_t offset = reader->position++;
    return holes[offset] ? NULL : fetch(&records[offset]);
}

void ferry_consumer_close(struct ferry_consumer *reader)
{
    free(reader);
}

struct ferry_delivery *ferry_delivery_new(struct ferry_fetched *fetched, uint64_t serial)
{
    if (deliveries_to_fail > 0) {
        deliveries_to_fail--;
        return NULL;
    }
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = fetched;
    delivery->serial = serial;
    return delivery;
}

/* ---- the engine ---- */

static void add_entry(int32_t partition, int64_t offset)
{
    const char *const keys[RECORDS] = {"a", "b", "c", "d"};
    const struct ferry_record original = {.topic = FERRY_SLICE("t"), .key = ferry_slice_from(keys[offset])};
    const struct ferry_retry_note note = {.kind = FERRY_RETRY_ENTRY,
                                          .route = FERRY_SLICE("one"),
                                          .origin = {FERRY_SLICE("t"), partition, 10 + offset},
                                          .attempts = 1,
                                          .first_failure_ms = 1000,
                                          .due_ms = 2000};
    assert_int_equal(ferry_retry_entry_make(&note, &original, engine.retry_topic, &arena, &records[offset]), FERRY_OK);
    records[offset].partition = partition;
    records[offset].offset = offset;
    assert_int_equal(ferry_retry_index_read(engine.retries, &note, original.key, partition, offset), FERRY_OK);
}

static int setup(void **state)
{
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    (void)state;
    assert_int_equal(ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), FERRY_SECTION_NO_SECRETS, &config,
                                        &findings, &error),
                     FERRY_OK);
    assert_int_equal(ferry_engine_init(&engine, &ferry_slack_channel, config, NULL), FERRY_OK);
    assert_int_equal(ferry_retry_index_widen(engine.retries, 2), FERRY_OK);
    assert_int_equal(ferry_partition_add(&engine, engine.retry_topic, 0), FERRY_OK);
    engine.partitions[0]->restoring = false;
    engine.retry_width = 1;
    memset(holes, 0, sizeof holes);
    strangers = stops = first_unreadable = false;
    deliveries_to_fail = 0;
    for (int64_t offset = 0; offset < RECORDS; offset++)
        add_entry(0, offset);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ferry_engine_done(&engine);
    ferry_arena_done(&arena);
    return 0;
}

static size_t tasks_of(size_t partition)
{
    ferry_engine_lock(&engine);
    size_t count = engine.partitions[partition]->tasks;
    ferry_engine_unlock(&engine);
    return count;
}

static size_t tasks(void)
{
    return tasks_of(0);
}

/* Lets the retriever work until there are so many tasks, or for a while. */
static void retrieve_from(size_t partition, size_t wanted)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ferry_retriever_run, &engine), 0);
    int64_t until_ms = ferry_clock_mono_ms() + FOUND_MS;
    while (tasks_of(partition) < wanted && !ferry_engine_is_stopping(&engine) && ferry_clock_mono_ms() < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    ferry_engine_lock(&engine);
    engine.stopping = true;
    pthread_cond_broadcast(&engine.retrieve);
    ferry_engine_unlock(&engine);
    pthread_join(thread, NULL);
}

static void retrieve(size_t wanted)
{
    retrieve_from(0, wanted);
}

static size_t waiting(void)
{
    return ferry_retry_index_count(engine.retries, 0, "one");
}

/* ---- tests ---- */

static void what_is_due_becomes_a_task_at_its_original_place(void **state)
{
    (void)state;
    retrieve(RECORDS);
    assert_int_equal(tasks(), RECORDS);
    const struct ferry_record *first = &engine.partitions[0]->first->delivery->fetched->record;
    assert_true(ferry_slice_is(first->topic, "t"));
    assert_int_equal(first->offset, 10);
    assert_int_equal(first->header_count, 0);
}

static void what_is_not_in_the_topic_any_more_is_given_up(void **state)
{
    (void)state;
    holes[1] = true;
    retrieve(RECORDS - 1);
    assert_int_equal(tasks(), RECORDS - 1);
    assert_int_equal(waiting(), RECORDS - 1);
}

static void what_there_is_no_memory_for_comes_again(void **state)
{
    (void)state;
    deliveries_to_fail = 1;
    retrieve(RECORDS);
    assert_int_equal(tasks(), RECORDS);
    assert_int_equal(waiting(), RECORDS);
}

static void a_record_of_another_partition_is_not_taken_for_it(void **state)
{
    (void)state;
    strangers = true;
    retrieve(RECORDS);
    assert_int_equal(tasks(), RECORDS);
    assert_int_equal(waiting(), RECORDS);
}

static void nothing_begins_when_the_marks_were_not_read_to_their_end(void **state)
{
    (void)state;
    stops = true;
    engine.effects_width = 1;
    retrieve(1);
    assert_int_equal(tasks(), 0);
    assert_int_equal(waiting(), RECORDS);
}

static void a_partition_that_cannot_be_read_does_not_keep_back_the_others(void **state)
{
    (void)state;
    assert_int_equal(ferry_partition_add(&engine, engine.retry_topic, 1), FERRY_OK);
    engine.partitions[1]->restoring = false;
    add_entry(1, 2); /* in its place: the other partition's record */
    first_unreadable = true;
    retrieve_from(1, 1);
    assert_int_equal(tasks_of(1), 1);
    assert_int_equal(tasks_of(0), 0);
    assert_int_equal(waiting(), RECORDS);
}

static int32_t width(enum ferry_code code, enum ferry_topic_state state, int partitions)
{
    look_code = code;
    looked = (struct ferry_topic_result){.state = state, .partitions = partitions};
    return ferry_engine_look_at_width(&engine, engine.current->config, "topic");
}

static void a_topic_that_may_be_there_is_not_taken_for_missing(void **state)
{
    (void)state;
    assert_int_equal(width(FERRY_OK, FERRY_TOPIC_EXISTS, 12), 12);
    assert_int_equal(width(FERRY_OK, FERRY_TOPIC_MISSING, -1), 0);
    assert_int_equal(width(FERRY_OK, FERRY_TOPIC_DENIED, -1), 0);
    assert_int_equal(width(FERRY_OK, FERRY_TOPIC_EXISTS, 0), -1); /* being made */
    assert_int_equal(width(FERRY_OK, FERRY_TOPIC_FAILED, -1), -1);
    assert_int_equal(width(FERRY_KAFKA, FERRY_TOPIC_MISSING, -1), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_due_becomes_a_task_at_its_original_place),
        TEST(what_is_not_in_the_topic_any_more_is_given_up),
        TEST(what_there_is_no_memory_for_comes_again),
        TEST(a_record_of_another_partition_is_not_taken_for_it),
        TEST(a_partition_that_cannot_be_read_does_not_keep_back_the_others),
        TEST(a_topic_that_may_be_there_is_not_taken_for_missing),
        TEST(nothing_begins_when_the_marks_were_not_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
