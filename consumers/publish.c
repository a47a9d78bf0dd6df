/* What a worker writes to Kafka: marks of effects, dead letters, and notes to the retry topic. All are sent as often as
 * it takes, and what hangs on them (a settled record, a call) comes after the report, never before. Which one a task
 * has to write is task->writing, a row of the table `writers`. */
#include "consumers/backoff.h"
#include "consumers/dead_letter.h"
#include "consumers/engine.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"

enum { AGAIN_FIRST_MS = 1000, AGAIN_MAX_MS = 30000 };

static const char *topic_of(const struct ferry_engine *engine, const struct ferry_task *task)
{
    switch (task->writing) {
    case FERRY_WRITE_MARK:
    case FERRY_WRITE_CLAIM:
        return engine->effects_topic;
    case FERRY_WRITE_LETTER:
        return engine->dead_letter_topic;
    default:
        return engine->retry_topic;
    }
}

/* Kafka cannot take it now: the offset stays where it is. An entry that it will never take waits in its lane. */
static void put_off(struct ferry_engine *engine, struct ferry_task *task, enum ferry_code code, const char *reason)
{
    ferry_log(FERRY_LOG_WARN, "a record could not be written, trying again",
              FERRY_FIELDS(ferry_text("topic", topic_of(engine, task)), ferry_text("reason", reason)));
    ferry_engine_lock(engine);
    int64_t delay_ms = ferry_backoff_ms(AGAIN_FIRST_MS, AGAIN_MAX_MS, ++task->publish_failures, ferry_random());
    if (code == FERRY_RECORD_TOO_LARGE && task->writing == FERRY_WRITE_ENTRY) {
        int64_t wait_ms = task->due_ms - ferry_clock_wall_ms();
        delay_ms = wait_ms > delay_ms ? wait_ms : delay_ms;
        task->writing = FERRY_WRITE_NOTHING; /* still begun: it is NOTING */
        task->failed = true;
    }
    ferry_task_put_off(engine, task, FERRY_TASK_WAITING, ferry_clock_mono_ms() + delay_ms);
    ferry_engine_unlock(engine);
}

/* What comes next is an evaluator's affair: this may be the producer's thread. */
static void hand_to_evaluator(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_engine_lock(engine);
    ferry_task_make_ready(engine, task);
    ferry_engine_unlock(engine);
}

/* An entry of the retry topic has one thing more to write. */
static void end(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_report_outcome(engine, task, task->end.outcome, task->end.code, task->end.reason);
    if (task->row != NULL) {
        task->writing = FERRY_WRITE_DONE;
        hand_to_evaluator(engine, task);
        return;
    }
    ferry_engine_lock(engine);
    ferry_task_settle(engine, task);
    ferry_engine_unlock(engine);
    FERRY_CRASH_POINT("settled");
}

static void write_it(struct ferry_engine *engine, struct ferry_task *task, enum ferry_writing writing)
{
    task->writing = writing;
    task->failed = false;
    task->publish_failures = 0;
    ferry_task_publish_again(engine, task);
}

/* ---- dead letters ---- */

/* From a successful send on the task may be gone. */
static enum ferry_code send_letter(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const struct ferry_dead_letter letter = {.error = task->end.code,
                                             .reason = task->end.reason,
                                             .attempts = task->attempts,
                                             .route = task->slot != NULL ? task->slot->name : NULL,
                                             .failed_at_ms = ferry_clock_wall_ms()};
    struct ferry_record record;
    if (ferry_dead_letter_make(&letter, &task->delivery->fetched->record, engine->dead_letter_topic, &arena, &record) !=
        FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    FERRY_CRASH_POINT("letter-before-send");
    return ferry_engine_send(engine, &record, -1, task, error);
}

static enum ferry_code letter_written(struct ferry_engine *engine, struct ferry_task *task,
                                      const struct ferry_report *report)
{
    (void)report;
    FERRY_CRASH_POINT("letter-reported");
    if (task->end.outcome != FERRY_OUTCOME_DOUBTFUL) {
        task->writing = FERRY_WRITE_NOTHING;
        end(engine, task);
        return FERRY_OK;
    }
    task->writing = FERRY_WRITE_MARK;
    task->mark = FERRY_MARK_DOUBT;
    task->after = FERRY_AFTER_SETTLE;
    hand_to_evaluator(engine, task);
    return FERRY_OK;
}

void ferry_task_bury(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next)
{
    task->end = *next;
    ferry_effect_done(&task->effect);
    write_it(engine, task, FERRY_WRITE_LETTER);
}

/* ---- marks ---- */

/* The effects partition of the task: that of its origin's number, or its key's. -1: there is no effects topic. */
static int32_t partition_of(struct ferry_engine *engine, const struct ferry_task *task)
{
    ferry_engine_lock(engine);
    int32_t number = task->delivery->fetched->record.partition;
    int32_t width = engine->effects_width;
    ferry_engine_unlock(engine);
    if (width <= 0)
        return -1;
    return task->crossing ? ferry_claim_partition(&task->key, width) : number % width;
}

/* The value is static text, and headers are copied, so nobody has to keep anything until the report. The headers but
 * the first are for people who look at what a route did last (the console), not for "once". */
static enum ferry_code send_to_effects(struct ferry_engine *engine, const struct ferry_task *task, const char *value,
                                       int32_t partition, struct ferry_task *tag, struct ferry_error *error)
{
    const struct ferry_record *event = &task->delivery->fetched->record;
    struct ferry_pair headers[4] = {{FERRY_SLICE("ferry-version"), FERRY_SLICE(FERRY_MARK_VERSION)}};
    size_t count = 1;
    if (task->slot != NULL)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-route"), ferry_slice_from(task->slot->name)};
    static const char *const copied[] = {"ferry-event", "ce_time"};
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        struct ferry_slice text = ferry_record_header(event, copied[i]);
        if (text.len > 0)
            headers[count++] = (struct ferry_pair){ferry_slice_from(copied[i]), text};
    }
    const struct ferry_record record = {
        .topic = ferry_slice_from(engine->effects_topic),
        .key = ferry_slice_of((const char *)task->key.bytes, sizeof task->key.bytes),
        .value = ferry_slice_from(value),
        .headers = value != NULL ? headers : NULL,
        .header_count = value != NULL ? count : 0,
    };
    return ferry_engine_send(engine, &record, partition, tag, error);
}

static enum ferry_code mark_written(struct ferry_engine *engine, struct ferry_task *task,
                                    const struct ferry_report *report)
{
    (void)report;
    FERRY_CRASH_POINT("mark-reported");
    task->writing = FERRY_WRITE_NOTHING;
    if (task->after == FERRY_AFTER_SETTLE) {
        end(engine, task);
        return FERRY_OK;
    }
    task->intended = true;
    hand_to_evaluator(engine, task);
    return FERRY_OK;
}

/* Without an effects topic there is nothing to wait for. */
static enum ferry_code send_mark(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error)
{
    int32_t partition = partition_of(engine, task);
    if (partition < 0)
        return mark_written(engine, task, NULL);
    FERRY_CRASH_POINT("mark-before-send");
    return send_to_effects(engine, task, task->mark, partition, task, error);
}

void ferry_task_mark(struct ferry_engine *engine, struct ferry_task *task, const char *mark, enum ferry_after after,
                     const struct ferry_next *next)
{
    task->mark = mark;
    task->after = after;
    task->end = *next;
    write_it(engine, task, FERRY_WRITE_MARK);
}

void ferry_task_withdraw(struct ferry_engine *engine, struct ferry_task *task)
{
    int32_t partition = partition_of(engine, task);
    if (!task->intended && !task->held)
        return;
    ferry_engine_lock(engine);
    task->intended = false; /* still begun: it is RUNNING */
    task->held = false;
    ferry_engine_unlock(engine);
    if (task->crossing)
        ferry_claim_withdraw(engine, task);
    else if (partition >= 0 && send_to_effects(engine, task, NULL, partition, NULL, NULL) != FERRY_OK)
        ferry_log(FERRY_LOG_WARN, "an intent could not be taken back; after a crash the effect will be in doubt",
                  FERRY_FIELDS(ferry_text("route", task->slot->name)));
}

/* ---- claims ---- */

static enum ferry_code claim_written(struct ferry_engine *engine, struct ferry_task *task,
                                     const struct ferry_report *report)
{
    (void)report;
    ferry_claim_written(engine, task);
    return FERRY_OK;
}

/* ---- notes ---- */

static enum ferry_code note_written(struct ferry_engine *engine, struct ferry_task *task,
                                    const struct ferry_report *report)
{
    FERRY_CRASH_POINT("note-reported");
    return ferry_note_written(engine, task, report->partition, report->offset);
}

void ferry_task_note(struct ferry_engine *engine, struct ferry_task *task, enum ferry_writing writing)
{
    write_it(engine, task, writing);
}

/* ---- all ---- */

static const struct writer {
    enum ferry_task_state state; /* while it is on its way */
    enum ferry_code (*send)(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error);
    /* After the report; on the producer's thread. Not FERRY_OK: it has to be written once more. */
    enum ferry_code (*written)(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_report *report);
} writers[FERRY_WRITE_COUNT] = {
    [FERRY_WRITE_MARK] = {FERRY_TASK_MARKING, send_mark, mark_written},
    [FERRY_WRITE_CLAIM] = {FERRY_TASK_MARKING, ferry_claim_send, claim_written},
    [FERRY_WRITE_LETTER] = {FERRY_TASK_BURYING, send_letter, letter_written},
    [FERRY_WRITE_ENTRY] = {FERRY_TASK_NOTING, ferry_note_send, note_written},
    [FERRY_WRITE_AGAIN] = {FERRY_TASK_NOTING, ferry_note_send, note_written},
    [FERRY_WRITE_DONE] = {FERRY_TASK_NOTING, ferry_note_send, note_written},
};

void ferry_task_publish_again(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_error error = {0};
    const struct writer *writer = &writers[task->writing];
    ferry_engine_lock(engine);
    ferry_task_enter(engine, task, writer->state);
    ferry_engine_unlock(engine);
    enum ferry_code code = writer->send(engine, task, &error);
    if (code != FERRY_OK)
        put_off(engine, task, code, error.text);
}

/* What is logged of the reports that come together is written in one go. */
static void reported(void *context, const struct ferry_report *report)
{
    struct ferry_engine *engine = context;
    struct ferry_task *task = report->tag;
    if (task == NULL)
        return;
    ferry_log_gather();
    enum ferry_code code = report->code;
    if (code == FERRY_OK)
        code = writers[task->writing].written(engine, task, report);
    if (code != FERRY_OK)
        put_off(engine, task, code, report->code != FERRY_OK ? report->reason : "out of memory");
}

static void reports_ended(void *context)
{
    (void)context;
    ferry_log_write_gathered();
}

/* ---- the producer ---- */

static enum ferry_code open_producer(struct ferry_engine *engine, struct ferry_error *error)
{
    const struct ferry_producer_listener listener = {
        .context = engine, .report = reported, .reports_end = reports_ended};
    struct ferry_generation *generation = ferry_engine_take_generation(engine);
    enum ferry_code code =
        ferry_producer_open(generation->config->kafka, engine->channel->worker(generation->config)->kafka, &listener,
                            engine->metrics, &engine->producer, error);
    ferry_engine_drop_generation(engine, generation);
    return code;
}

enum ferry_code ferry_engine_open_producer(struct ferry_engine *engine, struct ferry_error *error)
{
    pthread_mutex_lock(&engine->producer_lock);
    enum ferry_code code = open_producer(engine, error);
    pthread_mutex_unlock(&engine->producer_lock);
    return code;
}

void ferry_engine_mend_producer(struct ferry_engine *engine)
{
    struct ferry_error error = {0};
    pthread_mutex_lock(&engine->producer_lock);
    bool broken = engine->producer == NULL || ferry_producer_broken(engine->producer);
    if (broken && engine->producer != NULL)
        ferry_producer_close(engine->producer); /* what was in flight is reported, and put off */
    if (broken)
        engine->producer = NULL;
    enum ferry_code code = broken ? open_producer(engine, &error) : FERRY_OK;
    pthread_mutex_unlock(&engine->producer_lock);
    if (broken)
        ferry_log(FERRY_LOG_WARN, code == FERRY_OK ? "the producer was replaced" : "the producer cannot be replaced",
                  FERRY_FIELDS(ferry_text("reason", error.text)));
}
