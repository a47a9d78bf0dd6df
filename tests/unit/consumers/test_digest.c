/* Digests without threads, broker or network: the test is the evaluator, and the client that answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumers/engine.h"
#include "consumers/slack/slack.h"
#include "core/clock.h"

enum { WINDOW_MS = 30, CALLS = 2000 };

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                           "worker: {retry: {first: 2ms, max: 4ms, for: 1h}}\n"
                           "slack:\n"
                           "  routes:\n"
                           "    - {name: one, events: [app.created], webhook: {file: hook}, text: x}\n"
                           "    - {name: two, events: [app.created], webhook: {file: hook}, text: x}\n";

/* ---- the client: every exchange waits here for its answer ---- */

static struct exchange {
    ferry_answer_fn *done; /* NULL: answered */
    void *context;
    char *text;
} calls[CALLS];
static size_t call_count;

enum ferry_code ferry_effect_submit(struct ferry_client *client, const struct ferry_effect *effect,
                                    ferry_answer_fn *done, void *context, struct ferry_error *error)
{
    (void)client, (void)error;
    assert_true(call_count < CALLS);
    json_t *message = json_loadb(effect->body.ptr, effect->body.len, 0, NULL);
    assert_non_null(message);
    calls[call_count++] = (struct exchange){done, context, strdup(json_string_value(json_object_get(message, "text")))};
    json_decref(message);
    return FERRY_OK;
}

static void answer_with(size_t call, const struct ferry_answer *answer)
{
    struct exchange *exchange = &calls[call];
    ferry_answer_fn *done = exchange->done;
    assert_non_null(done);
    exchange->done = NULL;
    done(exchange->context, answer);
}

static void answer(size_t call, int status, const char *body)
{
    answer_with(call, &(struct ferry_answer){.exchange = FERRY_EXCHANGE_ANSWERED,
                                             .status = status,
                                             .body = ferry_slice_from(body),
                                             .retry_after_ms = -1});
}

static void lose(size_t call)
{
    answer_with(
        call, &(struct ferry_answer){.exchange = FERRY_EXCHANGE_IN_DOUBT, .retry_after_ms = -1, .reason = "no answer"});
}

/* ---- the engine ---- */

static void add_partition(struct ferry_engine *engine, int32_t number)
{
    ferry_engine_lock(engine);
    assert_int_equal(ferry_partition_add(engine, "t", number), FERRY_OK);
    ferry_partition_find(engine, FERRY_SLICE("t"), number)->restoring = false;
    ferry_engine_unlock(engine);
}

static int setup(void **state)
{
    struct ferry_engine *engine = malloc(sizeof *engine);
    struct ferry_config *config = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    assert_int_equal(ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), FERRY_SECTION_NO_SECRETS, &config,
                                        &findings, &error),
                     FERRY_OK);
    assert_int_equal(ferry_engine_init(engine, &ferry_slack_channel, config, NULL), FERRY_OK);
    add_partition(engine, 0);
    add_partition(engine, 1);
    engine->destinations = calloc(1, sizeof *engine->destinations);
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next) {
        slot->proven = true;
        slot->rate = (struct ferry_rate){0};
        slot->destination = engine->destinations;
    }
    *state = engine;
    return 0;
}

static int teardown(void **state)
{
    struct ferry_engine *engine = *state;
    for (size_t i = 0; i < call_count; i++) {
        if (calls[i].done != NULL)
            lose(i);
        free(calls[i].text);
    }
    call_count = 0;
    ferry_engine_done(engine);
    free(engine);
    return 0;
}

static struct ferry_digest *digest_of(const struct ferry_engine *engine)
{
    return &engine->destinations->digest;
}

static struct ferry_slot *slot_of(const struct ferry_engine *engine, const char *name)
{
    struct ferry_slot *slot = engine->slots;
    while (strcmp(slot->name, name) != 0)
        slot = slot->next;
    return slot;
}

static struct ferry_held_partition *partition_of(struct ferry_engine *engine, int32_t number)
{
    return ferry_partition_find(engine, FERRY_SLICE("t"), number);
}

static void deliver_to(struct ferry_engine *engine, int32_t number, int64_t offset, const char *key, const char *route)
{
    ferry_engine_lock(engine);
    struct ferry_held_partition *partition = partition_of(engine, number);
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    delivery->fetched = calloc(1, sizeof *delivery->fetched);
    delivery->fetched->record = (struct ferry_record){
        .topic = FERRY_SLICE("t"), .partition = number, .key = ferry_slice_from(key), .offset = offset};
    assert_int_equal(ferry_offsets_add(&partition->offsets, offset, 1), FERRY_OK);
    assert_int_equal(ferry_task_add(engine, partition, delivery, slot_of(engine, route), NULL), FERRY_OK);
    ferry_engine_unlock(engine);
}

static void deliver(struct ferry_engine *engine, int64_t offset, const char *key, const char *route)
{
    deliver_to(engine, 0, offset, key, route);
}

/* ---- the evaluator: texts are "<key><offset>", padded to `padding` characters ---- */

static size_t padding;
static const char *bearer;

static void render(struct ferry_engine *engine, struct ferry_task *task)
{
    const struct ferry_record *record = &task->delivery->fetched->record;
    char *text = calloc(1, padding + 64);
    int len = snprintf(text, 64, "%.*s%lld", FERRY_SLICE_ARGS(record->key), (long long)record->offset);
    if (padding > (size_t)len)
        memset(text + len, '.', padding - (size_t)len);
    ferry_effect_done(&task->effect);
    ferry_slack_message(NULL, ferry_slice_from(text), (struct ferry_slice){0}, &task->effect.body);
    assert_int_equal(ferry_effect_request(&task->effect, "POST", FERRY_SLICE("http://127.0.0.1/"), 1000), FERRY_OK);
    if (bearer != NULL)
        assert_int_equal(ferry_effect_header(&task->effect, "Authorization", ferry_slice_from(bearer)), FERRY_OK);
    free(text);
    ferry_engine_lock(engine);
    ferry_generation_drop(task->generation);
    task->generation = engine->current;
    task->generation->references++;
    task->index = (size_t)task->slot->index;
    ferry_engine_unlock(engine);
}

/* What an evaluator does with one task; false: there is none that may run now. */
static bool step(struct ferry_engine *engine, int64_t window_ms)
{
    ferry_engine_lock(engine);
    struct ferry_task *task = ferry_tasks_take(engine);
    ferry_engine_unlock(engine);
    if (task == NULL)
        return false;
    if (task->collected != NULL) {
        ferry_digest_depart(engine, task);
        return true;
    }
    render(engine, task);
    if (!ferry_digest_take(engine, task, window_ms))
        ferry_call_begin(engine, task);
    return true;
}

static void work(struct ferry_engine *engine)
{
    while (step(engine, WINDOW_MS))
        ;
}

static void pass(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Works until so many calls were made in all. */
static void work_until(struct ferry_engine *engine, size_t count)
{
    int64_t until_ms = ferry_clock_mono_ms() + 10000;
    for (work(engine); call_count < count; work(engine)) {
        assert_true(ferry_clock_mono_ms() < until_ms);
        pass(1);
    }
    assert_int_equal(call_count, count);
}

static int64_t offset_of(struct ferry_engine *engine)
{
    return partition_of(engine, 0)->offsets.next;
}

/* The dead letters that wait for a producer; they are settled as if it had taken them. */
static size_t bury(struct ferry_engine *engine)
{
    size_t count = 0;
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++)
        for (struct ferry_task *task = engine->partitions[i]->first, *behind; task != NULL; task = behind) {
            behind = task->behind;
            if (task->writing != FERRY_WRITE_LETTER)
                continue;
            ferry_task_take(engine, task);
            task->writing = FERRY_WRITE_NOTHING;
            ferry_task_settle(engine, task);
            count++;
        }
    ferry_engine_unlock(engine);
    return count;
}

/* ---- what goes together ---- */

static void what_waits_for_one_destination_goes_as_one_message(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "two");
    deliver(engine, 2, "c", "one");
    work(engine);
    assert_int_equal(call_count, 0); /* the window is open */
    assert_int_equal(digest_of(engine)->count, 3);
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "a0\nb1\nc2");
    assert_int_equal(offset_of(engine), -1);
    answer(0, 200, "ok");
    assert_int_equal(offset_of(engine), 3);
    assert_int_equal(partition_of(engine, 0)->tasks, 0);
    assert_null(digest_of(engine)->flight);
}

static void a_single_one_goes_as_it_is(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "a0");
    answer(0, 200, "ok");
    assert_int_equal(offset_of(engine), 1);
}

static void the_records_of_one_lane_go_together_in_their_order(void **state)
{
    struct ferry_engine *engine = *state;
    for (int64_t offset = 0; offset < 4; offset++)
        deliver(engine, offset, "k", "one");
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "k0\nk1\nk2\nk3");
    deliver(engine, 4, "k", "one");
    answer(0, 200, "ok");
    assert_int_equal(offset_of(engine), 4);
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "k4");
}

static void the_first_opens_the_window_and_a_shorter_one_closes_it_sooner(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    assert_true(step(engine, 60000));
    int64_t due_ms = digest_of(engine)->due_ms;
    deliver(engine, 1, "b", "one");
    assert_true(step(engine, 120000));
    assert_int_equal(digest_of(engine)->due_ms, due_ms);
    deliver(engine, 2, "c", "two");
    assert_true(step(engine, 1));
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "a0\nb1\nc2");
}

static void more_than_fits_goes_as_several_messages_one_after_the_other(void **state)
{
    struct ferry_engine *engine = *state;
    padding = 15000;
    for (int64_t offset = 0; offset < 5; offset++)
        deliver(engine, offset, offset % 2 == 0 ? "a" : "b", "one");
    work_until(engine, 1);
    pass(WINDOW_MS * 2);
    work(engine);
    assert_int_equal(call_count, 1); /* the second waits for the first */
    answer(0, 200, "ok");
    work_until(engine, 2);
    answer(1, 200, "ok");
    work_until(engine, 3);
    answer(2, 200, "ok");
    padding = 0;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(strlen(calls[i].text), i < 2 ? 30001 : 15000);
    assert_memory_equal(calls[1].text, "a2", 2);
    assert_int_equal(offset_of(engine), 5);
}

static void what_comes_during_a_message_goes_with_the_next(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    work_until(engine, 1);
    deliver(engine, 1, "k", "one"); /* behind one that is under way */
    deliver(engine, 2, "x", "one");
    work(engine);
    assert_int_equal(digest_of(engine)->count, 2);
    pass(WINDOW_MS * 2);
    work(engine);
    assert_int_equal(call_count, 1);
    answer(0, 200, "ok");
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "k1\nx2");
}

static void another_token_is_another_message(void **state)
{
    struct ferry_engine *engine = *state;
    bearer = "Bearer first";
    deliver(engine, 0, "a", "one");
    work(engine);
    bearer = "Bearer second";
    deliver(engine, 1, "b", "two");
    work_until(engine, 1);
    bearer = NULL;
    assert_string_equal(calls[0].text, "a0");
    answer(0, 200, "ok");
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "b1");
}

static void the_pace_of_the_destination_decides_too(void **state)
{
    struct ferry_engine *engine = *state;
    slot_of(engine, "one")->rate = (struct ferry_rate){.events = 1, .window_ms = 150};
    deliver(engine, 0, "a", "one");
    work_until(engine, 1);
    int64_t first_ms = ferry_clock_mono_ms();
    answer(0, 200, "ok");
    deliver(engine, 1, "b", "one");
    pass(WINDOW_MS * 2);
    work(engine); /* the window has closed, but there is no token yet */
    deliver(engine, 2, "c", "one");
    work_until(engine, 2);
    assert_true(ferry_clock_mono_ms() - first_ms >= 100);
    assert_string_equal(calls[1].text, "b1\nc2");
}

static void a_token_is_void_when_the_destination_asks_for_peace(void **state)
{
    struct ferry_engine *engine = *state;
    slot_of(engine, "one")->rate = (struct ferry_rate){.events = 1, .window_ms = 60};
    deliver(engine, 0, "a", "one");
    work_until(engine, 1);
    answer(0, 200, "ok");
    deliver(engine, 1, "b", "one");
    for (int i = 0; i < 1000 && !digest_of(engine)->reserved; i++) {
        pass(1);
        work(engine);
    }
    assert_true(digest_of(engine)->reserved);
    int64_t until_ms = ferry_clock_mono_ms() + 200; /* a message that went alone was answered with 429 */
    ferry_pace_block(&engine->destinations->pace, until_ms);
    work_until(engine, 2);
    assert_true(ferry_clock_mono_ms() >= until_ms);
}

static void a_full_partition_puts_the_heads_of_lanes_into_the_retry_topic(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    deliver(engine, 1, "k", "one");
    deliver(engine, 2, "x", "one");
    work(engine);
    ferry_engine_lock(engine);
    ferry_pace_block(&engine->destinations->pace, ferry_clock_mono_ms() + 3600000);
    engine->retry_width = 1;
    ferry_partition_spill(engine, partition_of(engine, 0));
    size_t written = 0;
    for (struct ferry_task *task = partition_of(engine, 0)->first; task != NULL; task = task->behind)
        if (task->writing == FERRY_WRITE_ENTRY) {
            assert_null(ferry_task_before(task));
            assert_true(task->due_ms - ferry_clock_wall_ms() > 3500000);
            written++;
        }
    assert_int_equal(written, 1); /* half of the two heads */
    assert_int_equal(digest_of(engine)->count, 2);
    engine->retry_width = 0;
    ferry_engine_unlock(engine);
}

/* Its entry is written, and the record settled. */
static void put_behind(struct ferry_engine *engine, struct ferry_task *task)
{
    const struct ferry_record *record = &task->delivery->fetched->record;
    const struct ferry_retry_note note = {.kind = FERRY_RETRY_ENTRY,
                                          .route = ferry_slice_from(task->slot->name),
                                          .origin = {record->topic, record->partition, record->offset}};
    assert_int_equal(ferry_retry_index_learn(engine->retries, &note, record->key, 0, 0), FERRY_OK);
    ferry_task_take(engine, task);
    task->writing = FERRY_WRITE_NOTHING;
    ferry_task_settle(engine, task);
}

static void who_was_behind_it_in_the_digest_does_not_overtake_what_was_put_into_the_retry_topic(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    deliver(engine, 1, "k", "one");
    deliver(engine, 2, "x", "one");
    deliver(engine, 3, "y", "one");
    work(engine);
    ferry_engine_lock(engine);
    engine->retry_width = 1;
    assert_int_equal(ferry_retry_index_widen(engine->retries, 1), FERRY_OK);
    struct ferry_task *head = partition_of(engine, 0)->first;
    ferry_digest_leave(engine, head);
    put_behind(engine, head);
    ferry_engine_unlock(engine);
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "x2\ny3");
}

static void without_a_window_each_goes_alone(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "one");
    while (step(engine, 0))
        ;
    assert_int_equal(call_count, 2);
    assert_string_equal(calls[1].text, "b1");
}

/* A reload has taken the window away while one of the lane is still collected. */
static void who_goes_alone_never_overtakes_the_digest(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    deliver(engine, 1, "k", "one");
    assert_true(step(engine, WINDOW_MS));
    assert_true(step(engine, 0));
    assert_int_equal(call_count, 0);
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "k0");
    answer(0, 200, "ok");
    while (call_count < 2)
        step(engine, 0);
    assert_string_equal(calls[1].text, "k1");
}

/* ---- what goes wrong ---- */

static void a_temporary_failure_is_one_of_each_and_they_meet_again(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    deliver(engine, 1, "a", "two");
    deliver(engine, 2, "k", "one");
    deliver(engine, 3, "b", "one");
    work_until(engine, 1);
    answer(0, 503, "");
    assert_int_equal(slot_of(engine, "one")->waiting, 2); /* the heads of k and b */
    assert_int_equal(slot_of(engine, "two")->waiting, 1);
    for (struct ferry_task *task = partition_of(engine, 0)->first; task != NULL; task = task->behind) {
        assert_int_equal(task->attempts, 1);
        assert_true(task->failed && task->first_failure_ms > 0);
    }
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "k0\na1\nb3\nk2"); /* k2 is called when k0 has joined */
    answer(1, 200, "ok");
    assert_int_equal(offset_of(engine), 4);
}

static void behind_a_failure_nobody_of_the_lane_slips_through(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    work_until(engine, 1);
    deliver(engine, 1, "k", "one");
    deliver(engine, 2, "k", "one");
    deliver(engine, 3, "x", "one");
    work(engine);
    assert_int_equal(digest_of(engine)->count, 3);
    lose(0);
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "x3\nk0\nk1\nk2");
}

static void a_failure_stops_those_too_who_are_about_to_depart(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    work_until(engine, 1);
    deliver(engine, 1, "k", "one");
    work(engine);
    pass(WINDOW_MS * 2);
    ferry_engine_lock(engine);
    struct ferry_task *driver = ferry_tasks_take(engine); /* an evaluator has it when the answer comes */
    ferry_engine_unlock(engine);
    assert_non_null(driver->collected);
    lose(0);
    ferry_digest_depart(engine, driver);
    assert_int_equal(call_count, 1);
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "k0\nk1");
}

static void too_many_requests_hold_the_whole_digest(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "one");
    work_until(engine, 1);
    int64_t asked_ms = ferry_clock_mono_ms();
    answer_with(0, &(struct ferry_answer){.exchange = FERRY_EXCHANGE_ANSWERED,
                                          .status = 429,
                                          .body = FERRY_SLICE("rate_limited"),
                                          .retry_after_ms = 150});
    deliver(engine, 2, "c", "one");
    work_until(engine, 2);
    assert_true(ferry_clock_mono_ms() - asked_ms >= 150);
    answer(1, 200, "ok");
    pass(WINDOW_MS);
    for (int i = 0; i < 100 && offset_of(engine) < 3; i++) {
        work(engine);
        if (call_count == 3 && calls[2].done != NULL)
            answer(2, 200, "ok");
        pass(1);
    }
    assert_int_equal(offset_of(engine), 3);
}

static void who_is_given_up_because_of_a_long_wait_leaves_the_wait_to_the_others(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    work_until(engine, 1);
    partition_of(engine, 0)->first->first_failure_ms = ferry_clock_wall_ms() - 3500000; /* of the hour of `retry.for` */
    deliver(engine, 1, "b", "one");
    answer_with(0, &(struct ferry_answer){.exchange = FERRY_EXCHANGE_ANSWERED,
                                          .status = 429,
                                          .body = FERRY_SLICE("rate_limited"),
                                          .retry_after_ms = 1800000});
    assert_int_equal(bury(engine), 1);
    pass(2 * WINDOW_MS);
    work(engine);
    assert_int_equal(call_count, 1);
    assert_true(engine->destinations->pace.blocked_ms > ferry_clock_mono_ms() + 1700000);
}

static void what_is_refused_together_is_sent_singly_and_in_order(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "k", "one");
    deliver(engine, 1, "k", "one");
    deliver(engine, 2, "a", "one");
    work_until(engine, 1);
    answer(0, 400, "invalid_blocks");
    work_until(engine, 3);
    assert_string_equal(calls[1].text, "k0");
    assert_string_equal(calls[2].text, "a2");
    answer(1, 400, "invalid_blocks");
    assert_int_equal(bury(engine), 1);
    work_until(engine, 4);
    assert_string_equal(calls[3].text, "k1");
    answer(2, 200, "ok");
    answer(3, 200, "ok");
    assert_int_equal(offset_of(engine), 3);
}

static void a_dead_destination_parks_the_routes_of_the_digest(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "two");
    work_until(engine, 1);
    deliver(engine, 2, "c", "one");
    work(engine);
    answer(0, 404, "no_service");
    assert_true(slot_of(engine, "one")->probe_ms != 0 && slot_of(engine, "two")->probe_ms != 0);
    assert_int_equal(digest_of(engine)->count, 0); /* who waited asks again, and finds its route parked */
    assert_int_equal(bury(engine), 2);
    assert_int_equal(offset_of(engine), 2);
}

static void a_lost_answer_is_a_possible_repeat_of_each(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "one");
    work_until(engine, 1);
    lose(0);
    work_until(engine, 2);
    assert_string_equal(calls[1].text, "a0\nb1");
}

/* ---- rebalances ---- */

/* Most routes have no digest, and weighing reads the whole body. */
static void who_goes_alone_is_not_weighed(void **state)
{
    struct ferry_engine *engine = *state;
    deliver_to(engine, 0, 0, "a", "one");
    deliver_to(engine, 0, 1, "b", "one");
    assert_true(step(engine, 0));
    assert_true(step(engine, WINDOW_MS));
    const struct ferry_task *alone = partition_of(engine, 0)->first;
    assert_int_equal(alone->state, FERRY_TASK_CALLING);
    assert_int_equal(alone->load.characters, 0);
    assert_int_equal(alone->behind->state, FERRY_TASK_COLLECTED);
    assert_true(alone->behind->load.characters > 0);
}

static void who_is_only_collected_is_dropped_with_its_partition(void **state)
{
    struct ferry_engine *engine = *state;
    deliver_to(engine, 0, 0, "a", "one");
    deliver_to(engine, 1, 7, "b", "one");
    deliver_to(engine, 0, 1, "c", "one");
    work(engine);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, partition_of(engine, 0)); /* that of the driver */
    assert_int_equal(partition_of(engine, 0)->tasks, 0);
    ferry_engine_unlock(engine);
    work_until(engine, 1);
    assert_string_equal(calls[0].text, "b7");
}

static void who_is_on_its_way_is_waited_for(void **state)
{
    struct ferry_engine *engine = *state;
    deliver_to(engine, 0, 0, "a", "one");
    deliver_to(engine, 1, 7, "b", "one");
    work_until(engine, 1);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, partition_of(engine, 0));
    assert_int_equal(partition_of(engine, 0)->begun, 1);
    ferry_engine_unlock(engine);
    answer(0, 200, "ok");
    assert_int_equal(offset_of(engine), 1);
    assert_int_equal(partition_of(engine, 1)->offsets.next, 8);
}

static void who_has_to_leave_before_the_answer_is_in_doubt_and_the_others_stay(void **state)
{
    struct ferry_engine *engine = *state;
    deliver_to(engine, 0, 0, "a", "one");
    deliver_to(engine, 1, 7, "b", "one");
    work_until(engine, 1);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, partition_of(engine, 0));
    ferry_partition_drain(engine, partition_of(engine, 0), 0, 0);
    assert_int_equal(partition_of(engine, 0)->tasks, 0);
    assert_int_equal(partition_of(engine, 0)->offsets.next, -1);
    ferry_engine_unlock(engine);
    answer(0, 200, "ok");
    assert_int_equal(partition_of(engine, 1)->offsets.next, 8);
    assert_null(digest_of(engine)->flight);
}

static void an_answer_that_comes_when_all_have_left_is_ignored(void **state)
{
    struct ferry_engine *engine = *state;
    deliver(engine, 0, "a", "one");
    deliver(engine, 1, "b", "one");
    work_until(engine, 1);
    ferry_engine_lock(engine);
    ferry_partition_close(engine, partition_of(engine, 0));
    ferry_partition_drain(engine, partition_of(engine, 0), 0, 0);
    ferry_engine_unlock(engine);
    lose(0);
    assert_null(digest_of(engine)->flight);
    assert_int_equal(partition_of(engine, 0)->offsets.next, -1);
}

/* ---- whatever happens ---- */

enum { RANDOM_RECORDS = 60, KEYS = 6 };

static const char *const keys[KEYS] = {"a", "b", "c", "d", "e", "f"};
static unsigned seed;

static unsigned roll(unsigned sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % sides;
}

/* A record that Slack would never take. */
static bool is_poison(int64_t offset)
{
    return offset % 17 == 5;
}

/* What arrived, by the offsets in the texts of calls that were answered with ok. */
static int arrivals[RANDOM_RECORDS], last_of_key[KEYS];

/* Of a line "<key><offset>". */
static int64_t offset_in(const char *line)
{
    return strtoll(line + 1, NULL, 10);
}

static const char *line_behind(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : NULL;
}

static bool holds_poison(const char *text)
{
    for (const char *line = text; line != NULL; line = line_behind(line))
        if (is_poison(offset_in(line)))
            return true;
    return false;
}

static void note_arrivals(const char *text)
{
    for (const char *line = text; line != NULL; line = line_behind(line)) {
        int offset = (int)offset_in(line), key = line[0] - 'a';
        arrivals[offset]++;
        assert_true(offset > last_of_key[key]);
        last_of_key[key] = offset;
    }
}

static void answer_somehow(size_t call)
{
    if (roll(4) == 0)
        answer(call, 503, "");
    else if (roll(6) == 0)
        lose(call);
    else if (holds_poison(calls[call].text))
        answer(call, 400, "invalid_payload");
    else {
        note_arrivals(calls[call].text);
        answer(call, 200, "ok");
    }
}

static void play(struct ferry_engine *engine)
{
    int64_t delivered = 0, until_ms = ferry_clock_mono_ms() + 20000;
    size_t answered = 0;
    while (offset_of(engine) < RANDOM_RECORDS) {
        assert_true(ferry_clock_mono_ms() < until_ms);
        for (unsigned i = roll(8); i > 0 && delivered < RANDOM_RECORDS; i--) {
            const char *key = keys[roll(KEYS)]; /* records borrow it */
            deliver(engine, delivered, key, key[0] % 2 == 0 ? "one" : "two");
            delivered++;
        }
        for (unsigned i = roll(20); i > 0 && step(engine, (int64_t)roll(4)); i--)
            ;
        bury(engine);
        if (answered < call_count && calls[answered].done != NULL && roll(2) == 0)
            answer_somehow(answered++);
        if (roll(3) == 0)
            pass(1);
    }
}

static void every_record_arrives_once_and_in_the_order_of_its_lane(void **state)
{
    struct ferry_engine *engine = *state;
    for (unsigned round = 1; round <= 12; round++) {
        seed = round * 7919;
        memset(arrivals, 0, sizeof arrivals);
        for (int key = 0; key < KEYS; key++)
            last_of_key[key] = -1;
        padding = round % 3 == 0 ? 9000 : 0; /* four fit */
        play(engine);
        for (int offset = 0; offset < RANDOM_RECORDS; offset++)
            assert_int_equal(arrivals[offset], is_poison(offset) ? 0 : 1);
        void *again = NULL;
        teardown(state);
        setup(&again);
        *state = engine = again;
    }
    padding = 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_waits_for_one_destination_goes_as_one_message),
        TEST(a_single_one_goes_as_it_is),
        TEST(the_records_of_one_lane_go_together_in_their_order),
        TEST(the_first_opens_the_window_and_a_shorter_one_closes_it_sooner),
        TEST(more_than_fits_goes_as_several_messages_one_after_the_other),
        TEST(what_comes_during_a_message_goes_with_the_next),
        TEST(another_token_is_another_message),
        TEST(the_pace_of_the_destination_decides_too),
        TEST(a_token_is_void_when_the_destination_asks_for_peace),
        TEST(a_full_partition_puts_the_heads_of_lanes_into_the_retry_topic),
        TEST(who_was_behind_it_in_the_digest_does_not_overtake_what_was_put_into_the_retry_topic),
        TEST(without_a_window_each_goes_alone),
        TEST(who_goes_alone_never_overtakes_the_digest),
        TEST(a_temporary_failure_is_one_of_each_and_they_meet_again),
        TEST(behind_a_failure_nobody_of_the_lane_slips_through),
        TEST(a_failure_stops_those_too_who_are_about_to_depart),
        TEST(too_many_requests_hold_the_whole_digest),
        TEST(who_is_given_up_because_of_a_long_wait_leaves_the_wait_to_the_others),
        TEST(what_is_refused_together_is_sent_singly_and_in_order),
        TEST(a_dead_destination_parks_the_routes_of_the_digest),
        TEST(a_lost_answer_is_a_possible_repeat_of_each),
        TEST(who_goes_alone_is_not_weighed),
        TEST(who_is_only_collected_is_dropped_with_its_partition),
        TEST(who_is_on_its_way_is_waited_for),
        TEST(who_has_to_leave_before_the_answer_is_in_doubt_and_the_others_stay),
        TEST(an_answer_that_comes_when_all_have_left_is_ignored),
        TEST(every_record_arrives_once_and_in_the_order_of_its_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
