/* Tasks and partitions without threads, broker or network: what runs when, and what becomes of the offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                           "slack:\n"
                           "  concurrency: 3\n"
                           "  routes:\n"
                           "    - {name: one, events: [app.created], webhook: {file: hook}, text: x}\n"
                           "    - {name: two, events: [app.created], webhook: {file: hook}, text: x}\n";

static struct ferry_config *load(void)
{
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    assert_int_equal(ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), 0, &config, &findings, &error),
                     FERRY_OK);
    return config;
}

static int setup(void **state)
{
    struct ferry_engine *engine = malloc(sizeof *engine);
    assert_int_equal(ferry_engine_init(engine, &ferry_slack_channel, load(), NULL), FERRY_OK);
    ferry_engine_lock(engine); /* everything below is called under it */
    assert_int_equal(ferry_partition_add(engine, "t", 0), FERRY_OK);
    engine->partitions[0]->restoring = false;
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next)
        slot->proven = true;
    *state = engine;
    return 0;
}

static int teardown(void **state)
{
    ferry_engine_unlock(*state);
    ferry_engine_done(*state);
    free(*state);
    return 0;
}

static struct ferry_slot *slot_of(const struct ferry_engine *engine, const char *name)
{
    struct ferry_slot *slot = engine->slots;
    while (strcmp(slot->name, name) != 0)
        slot = slot->next;
    return slot;
}

/* A record for these routes ("one", "two", or both). */
static struct ferry_delivery *deliver(struct ferry_engine *engine, int64_t offset, const char *key, const char *first,
                                      const char *second)
{
    struct ferry_held_partition *partition = engine->partitions[0];
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = calloc(1, sizeof *delivery->fetched);
    delivery->fetched->record =
        (struct ferry_record){.topic = FERRY_SLICE("t"), .key = ferry_slice_from(key), .offset = offset};
    delivery->bytes = 100;
    partition->bytes += 100;
    partition->records++;
    assert_int_equal(ferry_offsets_add(&partition->offsets, offset, second != NULL ? 2 : 1), FERRY_OK);
    assert_int_equal(ferry_task_add(engine, partition, delivery, slot_of(engine, first), NULL), FERRY_OK);
    if (second != NULL)
        assert_int_equal(ferry_task_add(engine, partition, delivery, slot_of(engine, second), NULL), FERRY_OK);
    return delivery;
}

static struct ferry_task *next(struct ferry_engine *engine)
{
    return ferry_tasks_take(engine);
}

static int64_t offset_of(const struct ferry_task *task)
{
    return task->delivery->fetched->record.offset;
}

static void records_of_one_key_run_one_after_the_other(void **state)
{
    struct ferry_engine *engine = *state;
    for (int64_t offset = 0; offset < 3; offset++)
        deliver(engine, offset, "k", "one", NULL);
    for (int64_t offset = 0; offset < 3; offset++) {
        struct ferry_task *task = next(engine);
        assert_int_equal(offset_of(task), offset);
        assert_null(next(engine));
        ferry_task_settle(engine, task);
        assert_int_equal(engine->partitions[0]->offsets.next, offset + 1);
    }
    assert_int_equal(engine->partitions[0]->tasks, 0);
    assert_int_equal(engine->partitions[0]->bytes, 0);
}

static void different_keys_run_up_to_the_concurrency(void **state)
{
    struct ferry_engine *engine = *state;
    const char *const keys[] = {"a", "b", "c", "d"};
    struct ferry_task *tasks[3];
    for (int64_t offset = 0; offset < 4; offset++)
        deliver(engine, offset, keys[offset], "one", NULL);
    for (size_t i = 0; i < 3; i++)
        tasks[i] = next(engine);
    assert_int_equal(engine->working, 3);
    assert_null(next(engine));
    ferry_task_settle(engine, tasks[2]);
    assert_int_equal(engine->partitions[0]->offsets.next, -1);
    assert_int_equal(offset_of(next(engine)), 3);
    ferry_task_settle(engine, tasks[0]);
    assert_int_equal(engine->partitions[0]->offsets.next, 1);
}

static void two_routes_are_settled_each_alone(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 5, "k", "one", "two");
    struct ferry_task *first = next(engine), *second = next(engine);
    assert_ptr_not_equal(first->slot, second->slot);
    ferry_task_settle(engine, second);
    assert_int_equal(engine->partitions[0]->offsets.next, -1);
    assert_int_equal(offset_of(first), 5); /* the record lives as long as one of them */
    ferry_task_settle(engine, first);
    assert_int_equal(engine->partitions[0]->offsets.next, 6);
}

static void who_waits_holds_its_lane_and_nobody_else(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one", NULL);
    deliver(engine, 1, "k", "one", NULL);
    deliver(engine, 2, "other", "one", NULL);
    struct ferry_task *failed = next(engine);
    failed->failed = true;
    ferry_task_put_off(engine, failed, FERRY_TASK_WAITING, ferry_clock_mono_ms() + 50);
    assert_int_equal(failed->slot->waiting, 1);
    assert_int_equal(engine->working, 0);
    struct ferry_task *other = next(engine);
    assert_int_equal(offset_of(other), 2);
    ferry_task_settle(engine, other);
    assert_null(next(engine));
    assert_ptr_equal(ferry_tasks_next(engine), failed); /* waits for its moment */
    assert_int_equal(failed->slot->waiting, 0);
    ferry_task_settle(engine, failed);
    assert_int_equal(offset_of(next(engine)), 1);
}

static void a_destination_that_has_not_answered_gets_one_call_at_a_time(void **state)
{
    struct ferry_engine *engine = *state;
    slot_of(engine, "one")->proven = false;
    deliver(engine, 0, "a", "one", NULL);
    deliver(engine, 1, "b", "one", NULL);
    deliver(engine, 2, "c", "one", NULL);
    deliver(engine, 3, "d", "two", NULL);
    struct ferry_task *first = next(engine), *other = next(engine);
    assert_int_equal(offset_of(first), 0);
    assert_int_equal(offset_of(other), 3); /* another route's */
    assert_null(next(engine));
    ferry_task_settle(engine, first);
    struct ferry_task *second = next(engine);
    assert_int_equal(offset_of(second), 1);
    assert_null(next(engine));
    slot_of(engine, "one")->proven = true; /* it has answered */
    ferry_task_settle(engine, second);
    assert_int_equal(offset_of(next(engine)), 2);
}

static void nothing_begins_before_the_marks_are_read_back(void **state)
{
    struct ferry_engine *engine = *state;
    engine->partitions[0]->restoring = true;
    deliver(engine, 0, "a", "one", NULL);
    deliver(engine, 1, "a", "one", NULL);
    deliver(engine, 2, "b", "one", NULL);
    assert_null(next(engine));
    ferry_tasks_release(engine, engine->partitions[0]);
    assert_int_equal(offset_of(next(engine)), 0);
    assert_int_equal(offset_of(next(engine)), 2);
    assert_null(next(engine));
}

static void a_partition_that_goes_away_finishes_what_is_begun_and_drops_the_rest(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_held_partition *partition = engine->partitions[0];
    deliver(engine, 0, "a", "one", NULL);
    deliver(engine, 1, "a", "one", NULL);
    deliver(engine, 2, "b", "one", NULL);
    struct ferry_task *begun = next(engine);
    ferry_partition_close(engine, partition);
    assert_int_equal(partition->tasks, 1);
    assert_null(next(engine));
    ferry_task_settle(engine, begun);
    assert_null(next(engine));
    assert_int_equal(partition->offsets.next, 1);
    ferry_partition_drain(engine, partition, 0, 0);
    ferry_partition_give_up(engine, partition);
    assert_int_equal(engine->partition_count, 0);
}

/* A retry behind which the next of its lane must not slip through. */
static void a_failure_in_a_partition_that_goes_away_lets_nobody_pass(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one", NULL);
    struct ferry_task *begun = next(engine);
    ferry_partition_close(engine, engine->partitions[0]);
    deliver(engine, 1, "a", "one", NULL); /* came in before the close was known to the poller */
    ferry_task_put_off(engine, begun, FERRY_TASK_WAITING, 0);
    assert_null(next(engine));
    assert_int_equal(engine->partitions[0]->offsets.next, -1);
}

static void what_was_accepted_is_begun_while_it_waits_to_be_followed(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one", NULL);
    struct ferry_task *task = next(engine);
    task->follow = true;
    ferry_task_put_off(engine, task, FERRY_TASK_FOLLOWING, 0);
    assert_int_equal(engine->partitions[0]->begun, 1);
    assert_int_equal(engine->working, 0);
    ferry_partition_close(engine, engine->partitions[0]);
    assert_int_equal(engine->partitions[0]->tasks, 1);
    assert_ptr_equal(next(engine), task);
    ferry_task_settle(engine, task);
    assert_int_equal(engine->partitions[0]->offsets.next, 1);
}

static void a_lost_partition_ends_without_an_offset_and_without_a_leak(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_held_partition *lost = engine->partitions[0];
    deliver(engine, 0, "a", "one", NULL);
    struct ferry_task *begun = next(engine);
    ferry_partition_close(engine, lost);
    ferry_partition_give_up(engine, lost);
    assert_int_equal(engine->partition_count, 1);
    assert_null(ferry_partition_find(engine, FERRY_SLICE("t"), 0));
    assert_int_equal(ferry_partition_add(engine, "t", 0), FERRY_OK);
    assert_ptr_not_equal(ferry_partition_find(engine, FERRY_SLICE("t"), 0), lost);
    ferry_task_settle(engine, begun);
    assert_int_equal(engine->partition_count, 1);
}

static void a_reload_keeps_routes_by_their_names(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_slot *one = slot_of(engine, "one");
    one->probe_ms = 1; /* parked */
    struct ferry_config *config = load();
    config->slack.route_count = 1; /* only the first */
    ferry_engine_unlock(engine);   /* it takes the lock itself */
    assert_int_equal(ferry_engine_adopt(engine, config), FERRY_OK);
    ferry_engine_lock(engine);
    assert_ptr_equal(slot_of(engine, "one"), one);
    assert_int_equal(one->index, 0);
    assert_int_equal(one->probe_ms, 0);
    assert_int_equal(slot_of(engine, "two")->index, -1);
    assert_true(engine->resubscribe);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(records_of_one_key_run_one_after_the_other),
        TEST(different_keys_run_up_to_the_concurrency),
        TEST(two_routes_are_settled_each_alone),
        TEST(who_waits_holds_its_lane_and_nobody_else),
        TEST(a_destination_that_has_not_answered_gets_one_call_at_a_time),
        TEST(nothing_begins_before_the_marks_are_read_back),
        TEST(a_partition_that_goes_away_finishes_what_is_begun_and_drops_the_rest),
        TEST(a_failure_in_a_partition_that_goes_away_lets_nobody_pass),
        TEST(what_was_accepted_is_begun_while_it_waits_to_be_followed),
        TEST(a_lost_partition_ends_without_an_offset_and_without_a_leak),
        TEST(a_reload_keeps_routes_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
