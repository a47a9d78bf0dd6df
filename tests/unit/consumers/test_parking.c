/* A dead destination, with an evaluator and without network: the test is the client that answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "consumers/engine.h"
#include "core/clock.h"

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                           "slack:\n"
                           "  routes:\n"
                           "    - {name: one, events: [app.created], webhook: {file: hook}, text: x, pace: 1000/1s}\n"
                           "    - {name: two, events: [app.created], webhook: {file: hook}, text: x, pace: 1000/1s}\n";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ferry_answer_fn *pending;
static void *pending_context;
static size_t call_count;

enum ferry_code ferry_effect_submit(struct ferry_client *client, const struct ferry_effect *effect,
                                    ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    (void)client, (void)effect, (void)error;
    pthread_mutex_lock(&lock);
    pending = done;
    pending_context = context;
    call_count++;
    pthread_mutex_unlock(&lock);
    return FERRY_OK;
}

static size_t calls(void)
{
    pthread_mutex_lock(&lock);
    size_t count = call_count;
    pthread_mutex_unlock(&lock);
    return count;
}

static void answer(int status, const char *word)
{
    pthread_mutex_lock(&lock);
    ferry_answer_fn *done = pending;
    pthread_mutex_unlock(&lock);
    done(pending_context, &(struct ferry_answer){.exchange = FERRY_EXCHANGE_ANSWERED,
                                                 .status = status,
                                                 .body = ferry_slice_from(word),
                                                 .retry_after_ms = -1});
}

static struct ferry_engine engine;
static struct ferry_evaluator evaluator = {.engine = &engine};

static int setup(void **state)
{
    (void)state;
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    call_count = 0;
    assert_int_equal(ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), FERRY_SECTION_NO_SECRETS, &config,
                                        &findings, &error),
                     FERRY_OK);
    assert_int_equal(ferry_engine_init(&engine, &ferry_slack_channel, config, NULL), FERRY_OK);
    ferry_engine_lock(&engine);
    assert_int_equal(ferry_partition_add(&engine, "t", 0), FERRY_OK);
    engine.partitions[0]->restoring = false;
    ferry_engine_unlock(&engine);
    return pthread_create(&evaluator.thread, NULL, ferry_evaluator_run, &evaluator);
}

static int teardown(void **state)
{
    (void)state;
    ferry_engine_lock(&engine);
    engine.ended = true;
    pthread_cond_broadcast(&engine.work);
    ferry_engine_unlock(&engine);
    pthread_join(evaluator.thread, NULL);
    ferry_evaluator_done(&evaluator);
    evaluator = (struct ferry_evaluator){.engine = &engine};
    ferry_engine_done(&engine);
    return 0;
}

static struct ferry_slot *slot_of(const char *name)
{
    struct ferry_slot *slot = engine.slots;
    while (strcmp(slot->name, name) != 0)
        slot = slot->next;
    return slot;
}

/* An event of its own resource. */
static void deliver(int64_t offset, const char *id, const char *route)
{
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = calloc(1, sizeof *delivery->fetched);
    delivery->fetched->record =
        (struct ferry_record){.topic = FERRY_SLICE("t"), .key = ferry_slice_from(id), .offset = offset};
    delivery->event = (struct ferry_event){.id = ferry_slice_from(id),
                                           .source = FERRY_SLICE("s"),
                                           .type = FERRY_SLICE("com.qlik.app.created"),
                                           .canonical = FERRY_SLICE("app.created")};
    ferry_engine_lock(&engine);
    delivery->serial = ++engine.serial;
    assert_int_equal(ferry_offsets_add(&engine.partitions[0]->offsets, offset, 1), FERRY_OK);
    assert_int_equal(ferry_task_add(&engine, engine.partitions[0], delivery, slot_of(route), NULL), FERRY_OK);
    ferry_engine_unlock(&engine);
}

/* Tasks that are to be dead letters; there is no producer, so they stay. */
static size_t letters(void)
{
    size_t count = 0;
    ferry_engine_lock(&engine);
    for (struct ferry_task *task = engine.partitions[0]->first; task != NULL; task = task->behind)
        count += task->writing == FERRY_WRITE_LETTER && task->end.code == FERRY_DESTINATION_DEAD;
    ferry_engine_unlock(&engine);
    return count;
}

static void wait_for(size_t (*count)(void), size_t wanted)
{
    for (int i = 0; i < 5000 && count() < wanted; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(count(), wanted);
}

static int64_t probe_ms(const char *route)
{
    ferry_engine_lock(&engine);
    int64_t ms = slot_of(route)->probe_ms;
    ferry_engine_unlock(&engine);
    return ms;
}

static void make_probe_due(const char *route)
{
    ferry_engine_lock(&engine);
    slot_of(route)->probe_ms = 1;
    ferry_engine_unlock(&engine);
}

static void a_dead_destination_is_left_alone_but_for_a_probe(void **state)
{
    (void)state;
    deliver(0, "a", "one");
    wait_for(calls, 1);
    answer(404, "no_service");
    int64_t due_ms = probe_ms("one") - ferry_clock_mono_ms();
    assert_true(due_ms > FERRY_PROBE_MS - 10000 && due_ms <= FERRY_PROBE_MS);
    deliver(1, "b", "one");
    deliver(2, "c", "one");
    wait_for(letters, 3);
    assert_int_equal(calls(), 1);
    make_probe_due("one");
    deliver(3, "d", "one");
    wait_for(calls, 2); /* the probe … */
    deliver(4, "e", "one");
    answer(404, "no_service");
    wait_for(letters, 5);
    assert_int_equal(calls(), 2); /* … is one for these five minutes */
}

static void a_probe_that_succeeds_opens_the_route_again(void **state)
{
    (void)state;
    deliver(0, "a", "one");
    wait_for(calls, 1);
    answer(403, "account_inactive");
    make_probe_due("one");
    deliver(1, "b", "one");
    wait_for(calls, 2);
    answer(200, "ok");
    assert_int_equal(probe_ms("one"), 0);
    deliver(2, "c", "one");
    wait_for(calls, 3);
    answer(200, "ok");
    assert_int_equal(letters(), 1);
}

static void another_route_is_not_parked(void **state)
{
    (void)state;
    deliver(0, "a", "one");
    wait_for(calls, 1);
    answer(410, "channel_is_archived");
    assert_int_equal(probe_ms("two"), 0);
    deliver(1, "b", "two");
    wait_for(calls, 2);
    answer(200, "ok");
    assert_int_equal(letters(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_dead_destination_is_left_alone_but_for_a_probe),
        TEST(a_probe_that_succeeds_opens_the_route_again),
        TEST(another_route_is_not_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
