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
#include "core/log.h"

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

/* ---- the retry topic ---- */

enum { DUE_MS = 1000000 };

static uint64_t lane_of(const char *key)
{
    return ferry_lane_id(FERRY_SLICE("one"), FERRY_SLICE("t"), 0, ferry_slice_from(key));
}

/* There is a topic for what waits, and a partition of it is ours. */
static struct ferry_held_partition *have_retry_topic(struct ferry_engine *engine)
{
    engine->retry_width = 1;
    assert_int_equal(ferry_retry_index_widen(engine->retries, 1), FERRY_OK);
    ferry_retry_index_pass(engine->retries, 0, 0);
    assert_int_equal(ferry_partition_add(engine, "ferry.slack.retry", 0), FERRY_OK);
    struct ferry_held_partition *partition = engine->partitions[engine->partition_count - 1];
    assert_true(partition->retry);
    partition->restoring = false;
    return partition;
}

/* Without a producer a note is put off; this is the report all the same. */
static void report_note(struct ferry_engine *engine, struct ferry_task *task, int64_t offset)
{
    ferry_engine_unlock(engine);
    assert_int_equal(ferry_note_written(engine, task, 0, offset), FERRY_OK);
    ferry_engine_lock(engine);
}

static void requeue(struct ferry_engine *engine, struct ferry_task *task)
{
    const struct ferry_next why = {.code = FERRY_HTTP_BUSY, .reason = "status 503"};
    ferry_engine_unlock(engine); /* it takes the lock itself */
    ferry_task_requeue(engine, task, DUE_MS, &why);
    ferry_engine_lock(engine);
}

static struct ferry_retry_row *waiting_row(struct ferry_engine *engine, int64_t origin)
{
    const struct ferry_retry_note entry = {.route = FERRY_SLICE("one"), .origin = {FERRY_SLICE("t"), 0, origin}};
    return ferry_retry_index_find(engine->retries, &entry);
}

static void what_was_to_go_to_a_retry_topic_that_has_gone_stays(void **state)
{
    struct ferry_engine *engine = *state;
    have_retry_topic(engine);
    deliver(engine, 0, "k", "one", NULL);
    struct ferry_task *failed = next(engine);
    engine->retry_width = 0;
    requeue(engine, failed);
    assert_int_equal(engine->partitions[0]->tasks, 1);
    assert_int_equal(failed->state, FERRY_TASK_WAITING);
    assert_int_equal(engine->partitions[0]->offsets.next, -1);
}

static void what_goes_to_the_retry_topic_is_settled_with_the_report_and_blocks_its_lane(void **state)
{
    struct ferry_engine *engine = *state;
    have_retry_topic(engine);
    deliver(engine, 0, "k", "one", NULL);
    deliver(engine, 1, "k", "one", NULL);
    struct ferry_task *failed = next(engine);
    failed->attempts = 3;
    failed->first_failure_ms = 77;
    requeue(engine, failed);
    assert_int_equal(engine->partitions[0]->offsets.next, -1);
    assert_false(ferry_retry_index_blocks(engine->retries, lane_of("k")));
    report_note(engine, failed, 5);
    assert_int_equal(engine->partitions[0]->offsets.next, 1);
    assert_true(ferry_retry_index_blocks(engine->retries, lane_of("k")));
    assert_false(ferry_retry_index_blocks(engine->retries, lane_of("other")));
    const struct ferry_retry_row *row = waiting_row(engine, 0);
    assert_int_equal(row->attempts, 3);
    assert_int_equal(row->first_failure_ms, 77);
    assert_int_equal(row->due_ms, DUE_MS);
    assert_int_equal(offset_of(next(engine)), 1); /* an evaluator sees that its lane is blocked */
}

/* A task of the entry that is due, as the retriever makes it. */
static struct ferry_task *retrieve(struct ferry_engine *engine, struct ferry_held_partition *partition, int64_t origin)
{
    struct ferry_retry_row *row = ferry_retry_index_take(engine->retries, 0, DUE_MS);
    assert_non_null(row);
    assert_int_equal(row->origin_offset, origin);
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = calloc(1, sizeof *delivery->fetched);
    delivery->fetched->record =
        (struct ferry_record){.topic = FERRY_SLICE("t"), .key = FERRY_SLICE("k"), .offset = origin};
    partition->records++;
    assert_int_equal(ferry_task_add(engine, partition, delivery, slot_of(engine, "one"), row), FERRY_OK);
    struct ferry_task *task = next(engine);
    assert_ptr_equal(task->row, row);
    return task;
}

static void have_entry(struct ferry_engine *engine, int64_t origin, int64_t offset)
{
    const struct ferry_retry_note note = {.route = FERRY_SLICE("one"),
                                          .origin = {FERRY_SLICE("t"), 0, origin},
                                          .attempts = 2,
                                          .first_failure_ms = 77,
                                          .due_ms = DUE_MS};
    assert_int_equal(ferry_retry_index_read(engine->retries, &note, FERRY_SLICE("k"), 0, offset), FERRY_OK);
}

static void an_entry_goes_on_where_it_was_and_ends_with_its_note(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_held_partition *partition = have_retry_topic(engine);
    have_entry(engine, 0, 5);
    struct ferry_task *task = retrieve(engine, partition, 0);
    assert_int_equal(task->attempts, 2);
    assert_int_equal(task->first_failure_ms, 77);
    task->attempts++;
    requeue(engine, task);
    report_note(engine, task, 6); /* `again` */
    assert_int_equal(partition->tasks, 0);
    assert_int_equal(waiting_row(engine, 0)->attempts, 3);
    task = retrieve(engine, partition, 0);
    ferry_engine_unlock(engine);
    ferry_task_conclude(engine, task, FERRY_OUTCOME_DONE);
    ferry_engine_lock(engine);
    assert_true(ferry_retry_index_blocks(engine->retries, lane_of("k"))); /* not before the report */
    report_note(engine, task, 7);
    assert_false(ferry_retry_index_blocks(engine->retries, lane_of("k")));
    assert_int_equal(engine->retrieved, 0);
    assert_int_equal(partition->records, 0);
}

static void an_entry_of_a_partition_that_goes_away_is_left_to_the_next_owner(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_held_partition *partition = have_retry_topic(engine);
    have_entry(engine, 0, 5);
    struct ferry_task *task = retrieve(engine, partition, 0);
    ferry_task_put_off(engine, task, FERRY_TASK_WAITING, ferry_clock_mono_ms() + 60000);
    ferry_partition_close(engine, partition);
    assert_int_equal(partition->tasks, 0);
    assert_non_null(waiting_row(engine, 0));
    assert_int_equal(engine->retrieved, 0);
}

/* What has something to write is not given up with a partition that is taken away. */
static void what_is_to_be_written_counts_as_begun(void **state)
{
    struct ferry_engine *engine = *state;
    have_retry_topic(engine);
    deliver(engine, 0, "k", "one", NULL);
    struct ferry_task *task = next(engine);
    task->writing = FERRY_WRITE_ENTRY;
    ferry_task_make_ready(engine, task);
    assert_int_equal(engine->partitions[0]->begun, 1);
    ferry_partition_close(engine, engine->partitions[0]);
    assert_int_equal(engine->partitions[0]->tasks, 1);
}

static void of_a_full_partition_those_that_wait_longest_leave(void **state)
{
    struct ferry_engine *engine = *state;
    have_retry_topic(engine);
    const char *const keys[] = {"a", "b", "c"};
    int64_t now_ms = ferry_clock_mono_ms();
    struct ferry_task *tasks[3];
    for (int64_t i = 0; i < 3; i++) {
        deliver(engine, i, keys[i], "one", NULL);
        tasks[i] = next(engine);
        tasks[i]->reserved = true;
        tasks[i]->token_ms = now_ms + 60000 * (i + 1);
    }
    tasks[0]->failed = true; /* it waits for another reason */
    for (size_t i = 0; i < 3; i++)
        ferry_task_put_off(engine, tasks[i], FERRY_TASK_WAITING, tasks[i]->token_ms);
    ferry_partition_spill(engine, engine->partitions[0]);
    assert_int_equal(tasks[0]->state, FERRY_TASK_WAITING);
    assert_int_equal(tasks[1]->state, FERRY_TASK_WAITING);
    assert_int_equal(tasks[2]->state, FERRY_TASK_READY);
    assert_int_equal(tasks[2]->writing, FERRY_WRITE_ENTRY);
    assert_int_equal(tasks[2]->attempts, 0);
    assert_ptr_equal(next(engine), tasks[2]);
    int64_t token_ms = tasks[2]->token_ms;
    report_note(engine, tasks[2], 9);
    const struct ferry_retry_row *row = waiting_row(engine, 2);
    assert_int_equal(row->token_ms, token_ms);
    assert_in_range(row->due_ms, ferry_clock_wall_ms() + 170000, ferry_clock_wall_ms() + 190000);
}

static bool wants_all(const struct ferry_event *event)
{
    (void)event;
    return true;
}

static void note_outcome(struct ferry_teller *teller, const struct ferry_news *news)
{
    *(enum ferry_outcome *)teller = news->outcome;
}

static void an_outcome_is_told_also_where_it_is_not_logged(void **state)
{
    struct ferry_engine *engine = *state;
    const struct ferry_telling telling = {.wants = wants_all, .tell = note_outcome};
    const struct ferry_channel *before = engine->channel;
    struct ferry_channel channel = *before;
    enum ferry_outcome told = FERRY_OUTCOME_DONE;
    channel.telling = &telling;
    engine->channel = &channel;
    engine->teller = (struct ferry_teller *)&told;
    deliver(engine, 0, "k", "one", NULL);
    struct ferry_task *task = next(engine);
    ferry_log_events_set(false);
    ferry_engine_unlock(engine);
    ferry_report_outcome(engine, task, FERRY_OUTCOME_DUPLICATE, FERRY_OK, "had before");
    ferry_engine_lock(engine);
    ferry_log_events_set(true);
    assert_int_equal(told, FERRY_OUTCOME_DUPLICATE);
    engine->teller = NULL;
    engine->channel = before;
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
        TEST(what_was_to_go_to_a_retry_topic_that_has_gone_stays),
        TEST(what_goes_to_the_retry_topic_is_settled_with_the_report_and_blocks_its_lane),
        TEST(an_entry_goes_on_where_it_was_and_ends_with_its_note),
        TEST(an_entry_of_a_partition_that_goes_away_is_left_to_the_next_owner),
        TEST(what_is_to_be_written_counts_as_begun),
        TEST(of_a_full_partition_those_that_wait_longest_leave),
        TEST(an_outcome_is_told_also_where_it_is_not_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
