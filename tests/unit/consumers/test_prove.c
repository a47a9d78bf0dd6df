/* Tasks whose keys cross partitions, without threads, broker or network: the test is the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"

enum { THEM = 8, WINDOW = 1000000, WIDTH = 4 };

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1, session.timeout.ms: 6000}\n"
                           "slack:\n"
                           "  routes:\n"
                           "    - {name: one, events: [app.created], webhook: {file: hook}, text: x}\n";

static const struct ferry_once_key key = {{1, 2, 3}};

/* ---- the producer ---- */

static struct {
    size_t voids;
    char key[sizeof key.bytes + 1]; /* of the last one */
    int32_t partition;
} sent;

/* Nobody waits for what has no tag: it is in the log. The rest is put off, as without a producer. */
enum ferry_code ferry_engine_send(struct ferry_engine *engine, const struct ferry_record *record, int32_t partition,
                                  struct ferry_task *task, struct ferry_error *error)
{
    (void)engine;
    if (task != NULL)
        return ferry_fail(error, FERRY_KAFKA_FATAL, "there is no producer at this moment");
    assert_true(ferry_slice_is(record->value, FERRY_CLAIM_VOID));
    assert_int_equal(record->key.len, sizeof sent.key);
    memcpy(sent.key, record->key.ptr, sizeof sent.key);
    sent.partition = partition;
    sent.voids++;
    return FERRY_OK;
}

static void assert_taken_back(size_t times)
{
    assert_int_equal(sent.voids, times);
    if (times == 0)
        return;
    assert_memory_equal(sent.key, key.bytes, sizeof key.bytes);
    assert_int_equal(sent.key[sizeof key.bytes], FERRY_CLAIM_MARK);
    assert_int_equal(sent.partition, ferry_claim_partition(&key, WIDTH));
}

/* ---- the engine ---- */

static int setup(void **state)
{
    struct ferry_engine *engine = malloc(sizeof *engine);
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    assert_int_equal(ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), 0, &config, &findings, &error),
                     FERRY_OK);
    assert_int_equal(ferry_engine_init(engine, &ferry_slack_channel, config, NULL), FERRY_OK);
    ferry_engine_lock(engine);
    engine->effects_width = WIDTH;
    assert_int_equal(ferry_partition_add(engine, "t", 0), FERRY_OK);
    engine->partitions[0]->restoring = false;
    engine->slots->proven = true;
    ferry_engine_unlock(engine);
    sent.voids = 0;
    *state = engine;
    return 0;
}

static int teardown(void **state)
{
    ferry_engine_done(*state);
    free(*state);
    return 0;
}

/* A task as the trial hands it over: RUNNING, rendered, claimed inside this process. */
static struct ferry_task *new_task(struct ferry_engine *engine)
{
    struct ferry_held_partition *partition = engine->partitions[0];
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = calloc(1, sizeof *delivery->fetched);
    delivery->fetched->record = (struct ferry_record){.topic = FERRY_SLICE("t"), .key = FERRY_SLICE("k")};
    partition->records++;
    ferry_engine_lock(engine);
    assert_int_equal(ferry_offsets_add(&partition->offsets, 0, 1), FERRY_OK);
    assert_int_equal(ferry_task_add(engine, partition, delivery, engine->slots, NULL), FERRY_OK);
    struct ferry_task *task = ferry_tasks_take(engine);
    task->key = key;
    task->claimed = task->crossing = true;
    task->generation = engine->current;
    task->generation->references++;
    assert_int_equal(ferry_once_claim(engine->once, &key, ferry_clock_wall_ms()), FERRY_CLAIM_OURS);
    assert_true(ferry_claims_watch(engine->claims, &key, ferry_clock_mono_ms()));
    ferry_engine_unlock(engine);
    return task;
}

/* ---- the log ---- */

static void read_back(struct ferry_engine *engine, const char *value, struct ferry_claimant by,
                      struct ferry_claimant over)
{
    char name[17], by_text[FERRY_CLAIMANT_TEXT], over_text[FERRY_CLAIMANT_TEXT];
    memcpy(name, key.bytes, sizeof key.bytes);
    name[16] = FERRY_CLAIM_MARK;
    ferry_claimant_print(&by, by_text);
    ferry_claimant_print(&over, over_text);
    struct ferry_pair headers[] = {{FERRY_SLICE(FERRY_CLAIM_BY), ferry_slice_from(by_text)},
                                   {FERRY_SLICE(FERRY_CLAIM_OVER), ferry_slice_from(over_text)}};
    const struct ferry_record record = {.key = ferry_slice_of(name, sizeof name),
                                        .value = ferry_slice_from(value),
                                        .headers = headers,
                                        .header_count = over.process != 0 ? 2 : 1};
    ferry_engine_lock(engine);
    ferry_claim_read(engine, &record);
    ferry_engine_unlock(engine);
}

static void they(struct ferry_engine *engine, const char *value, uint64_t serial)
{
    read_back(engine, value, (struct ferry_claimant){THEM, serial}, (struct ferry_claimant){0});
}

/* Without a producer a claim is put off; this is its report all the same. */
static struct ferry_claimant report(struct ferry_engine *engine, struct ferry_task *task, struct ferry_claimant *over)
{
    struct ferry_claimant by;
    assert_int_equal(task->state, FERRY_TASK_WAITING);
    assert_int_equal(task->writing, FERRY_WRITE_CLAIM);
    ferry_engine_lock(engine);
    ferry_task_take(engine, task);
    ferry_claims_write(engine->claims, &key, ferry_clock_mono_ms(), &by, over);
    ferry_engine_unlock(engine);
    ferry_claim_written(engine, task);
    assert_int_equal(task->state, FERRY_TASK_PROVING);
    return by;
}

static void claim(struct ferry_engine *engine, struct ferry_task *task, enum ferry_after after)
{
    struct ferry_claimant over;
    ferry_task_claim(engine, task, after);
    struct ferry_claimant by = report(engine, task, &over);
    read_back(engine, FERRY_CLAIM_CLAIM, by, over);
}

static enum ferry_claim asked_here(struct ferry_engine *engine)
{
    return ferry_once_claim(engine->once, &key, ferry_clock_wall_ms());
}

/* ---- */

static void the_first_in_the_log_makes_the_call(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    claim(engine, task, FERRY_AFTER_CALL);
    assert_true(ferry_task_begun(task));
    ferry_claim_judge(engine, task);
    assert_int_equal(task->state, FERRY_TASK_READY);
    assert_true(task->intended && task->held && ferry_task_begun(task));
}

static void what_goes_into_a_digest_goes_on_with_its_trial(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    claim(engine, task, FERRY_AFTER_TRIAL);
    ferry_claim_judge(engine, task);
    assert_int_equal(task->state, FERRY_TASK_READY);
    assert_true(task->held && !task->intended && !ferry_task_begun(task));
}

static void who_came_too_late_waits_and_looks_again(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    they(engine, FERRY_CLAIM_CLAIM, 1);
    ferry_task_claim(engine, task, FERRY_AFTER_CALL);
    assert_int_equal(task->state, FERRY_TASK_PROVING); /* another is known to be at it: no claim is written */
    ferry_claim_judge(engine, task);
    assert_int_equal(task->state, FERRY_TASK_WAITING);
    assert_int_equal(task->writing, FERRY_WRITE_NOTHING);
    assert_false(task->held || task->failed);
    int64_t first_ms = task->timer.due_ms - ferry_clock_mono_ms();

    ferry_engine_lock(engine);
    ferry_task_take(engine, task);
    ferry_engine_unlock(engine);
    ferry_task_claim(engine, task, FERRY_AFTER_CALL);
    ferry_claim_judge(engine, task);
    assert_true(task->timer.due_ms - ferry_clock_mono_ms() > first_ms); /* later and later */

    they(engine, FERRY_CLAIM_VOID, 2);
    ferry_engine_lock(engine);
    ferry_task_take(engine, task);
    ferry_engine_unlock(engine);
    claim(engine, task, FERRY_AFTER_CALL);
    ferry_claim_judge(engine, task);
    assert_true(task->intended && task->held);
}

static void an_effect_that_another_process_has_had_is_a_duplicate(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    they(engine, FERRY_CLAIM_CLAIM, 1);
    ferry_task_claim(engine, task, FERRY_AFTER_CALL);
    ferry_engine_lock(engine);
    ferry_engine_learn_mark(engine, &key, ferry_clock_wall_ms(), false);
    ferry_engine_unlock(engine);
    ferry_claim_judge(engine, task);
    assert_int_equal(engine->partitions[0]->tasks, 0);
    assert_int_equal(engine->partitions[0]->offsets.next, 1);
    assert_int_equal(asked_here(engine), FERRY_CLAIM_DONE);
    they(engine, FERRY_CLAIM_CLAIM, 2); /* a renewal that crossed with the mark */
    assert_int_equal(ferry_claims_count(engine->claims), 0);
    assert_taken_back(0); /* there was none of ours */
}

/* Behind the mark it would look like the claim of a worker that died. */
static void a_duplicate_takes_its_own_claim_back(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    struct ferry_claimant over;
    ferry_task_claim(engine, task, FERRY_AFTER_CALL);
    (void)report(engine, task, &over);
    ferry_engine_lock(engine);
    ferry_engine_learn_mark(engine, &key, ferry_clock_wall_ms(), false);
    ferry_engine_unlock(engine);
    ferry_claim_judge(engine, task);
    assert_int_equal(engine->partitions[0]->tasks, 0);
    assert_taken_back(1);
    assert_int_equal(asked_here(engine), FERRY_CLAIM_DONE);
    assert_int_equal(ferry_claims_count(engine->claims), 0);
}

static void what_a_dead_process_was_at_is_in_doubt(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    struct ferry_claimant over;
    they(engine, FERRY_CLAIM_CLAIM, 1);
    ferry_claims_set_terms(engine->claims, -1, WINDOW); /* whoever is silent now is dead */
    ferry_task_claim(engine, task, FERRY_AFTER_CALL);
    struct ferry_claimant by = report(engine, task, &over);
    assert_int_equal(over.process, THEM);
    read_back(engine, FERRY_CLAIM_CLAIM, by, over);
    ferry_claim_judge(engine, task);
    assert_int_equal(task->state, FERRY_TASK_WAITING); /* Slack: tried again, as a possible repeat */
    assert_true(task->failed && !task->held && !task->intended);
    assert_false(ferry_claims_withdraw(engine->claims, &key, &by)); /* was taken back already */
}

static void a_claim_that_is_dropped_is_taken_back_before_the_key_is_free_here(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    claim(engine, task, FERRY_AFTER_TRIAL);
    ferry_claim_judge(engine, task);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, engine->partitions[0]);
    ferry_engine_unlock(engine);
    assert_int_equal(engine->partitions[0]->tasks, 0);
    assert_true(ferry_claims_any_left(engine->claims));
    assert_int_equal(asked_here(engine), FERRY_CLAIM_BUSY);
    engine->ended = true;
    assert_taken_back(0);
    ferry_prover_run(engine);
    assert_taken_back(1);
    assert_false(ferry_claims_any_left(engine->claims));
    assert_int_equal(asked_here(engine), FERRY_CLAIM_OURS);
}

static void of_a_partition_that_goes_away_no_call_begins(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    claim(engine, task, FERRY_AFTER_CALL);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, engine->partitions[0]);
    ferry_engine_unlock(engine);
    assert_int_equal(engine->partitions[0]->tasks, 1); /* it is begun */
    ferry_claim_judge(engine, task);
    assert_int_equal(engine->partitions[0]->tasks, 0);
    assert_true(ferry_claims_any_left(engine->claims));
}

static void an_effect_that_failed_lets_others_try(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_task *task = new_task(engine);
    struct ferry_claimant by;
    claim(engine, task, FERRY_AFTER_CALL);
    ferry_claim_judge(engine, task);
    ferry_engine_lock(engine);
    ferry_task_take(engine, task);
    ferry_engine_unlock(engine);
    ferry_task_withdraw(engine, task);
    assert_taken_back(1);
    assert_false(task->held || task->intended);
    assert_false(ferry_claims_renew(engine->claims, &key, &by));
    assert_true(task->claimed); /* in this process it is still the one */
    ferry_engine_lock(engine);
    ferry_task_drop(engine, task);
    ferry_engine_unlock(engine);
    assert_int_equal(asked_here(engine), FERRY_CLAIM_OURS);
}

/* What is no claim of Ferry's changes nothing. */
static void other_records_are_passed_over(void **state)
{
    struct ferry_engine *engine = *state;
    struct ferry_pair headers[] = {{FERRY_SLICE(FERRY_CLAIM_BY), FERRY_SLICE("0000000000000008 1")}};
    const struct ferry_record records[] = {
        {.key = FERRY_SLICE("0123456789abcdefx"), .value = FERRY_SLICE("claim"), .headers = headers, .header_count = 1},
        {.key = FERRY_SLICE("0123456789abcdefc"), .value = FERRY_SLICE("other"), .headers = headers, .header_count = 1},
        {.key = FERRY_SLICE("0123456789abcdefc"), .value = FERRY_SLICE("claim")},
        {.key = FERRY_SLICE("0123456789abcdefc"), .headers = headers, .header_count = 1},
    };
    ferry_engine_lock(engine);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        ferry_claim_read(engine, &records[i]);
    ferry_engine_unlock(engine);
    assert_int_equal(ferry_claims_count(engine->claims), 0);
}

static void the_lease_is_the_session_timeout_and_a_margin(void **state)
{
    struct ferry_engine *engine = *state;
    assert_int_equal(ferry_claims_lease_ms(engine->claims), 11000);
}

static void a_key_has_one_partition_on_every_machine(void **state)
{
    (void)state;
    const struct ferry_once_key tail = {{[12] = 0x01, 0x02, 0x03, 0x04}};
    assert_int_equal(ferry_claim_partition(&tail, 7), 0x01020304 % 7);
    const struct ferry_once_key high = {{[12] = 0xff, 0xff, 0xff, 0xff}};
    assert_int_equal(ferry_claim_partition(&high, WIDTH), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_in_the_log_makes_the_call),
        TEST(what_goes_into_a_digest_goes_on_with_its_trial),
        TEST(who_came_too_late_waits_and_looks_again),
        TEST(an_effect_that_another_process_has_had_is_a_duplicate),
        TEST(a_duplicate_takes_its_own_claim_back),
        TEST(what_a_dead_process_was_at_is_in_doubt),
        TEST(a_claim_that_is_dropped_is_taken_back_before_the_key_is_free_here),
        TEST(of_a_partition_that_goes_away_no_call_begins),
        TEST(an_effect_that_failed_lets_others_try),
        TEST(other_records_are_passed_over),
        TEST(the_lease_is_the_session_timeout_and_a_margin),
        TEST(a_key_has_one_partition_on_every_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
