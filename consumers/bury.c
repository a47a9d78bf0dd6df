/* Dead letters: sent as often as it takes, and the record is settled after the report, never before. */
#include "consumers/backoff.h"
#include "consumers/dead_letter.h"
#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

#include <stdio.h>

enum { AGAIN_FIRST_MS = 1000, AGAIN_MAX_MS = 30000 };

/* The topic cannot take it now: the offset stays where it is. */
static void put_off(struct ferry_engine *engine, struct ferry_task *task, const char *reason)
{
    ferry_log(FERRY_LOG_WARN, "a dead letter could not be written, trying again",
              FERRY_FIELDS(ferry_text("topic", engine->dead_letter_topic), ferry_text("reason", reason)));
    ferry_engine_lock(engine);
    int64_t delay_ms = ferry_backoff_ms(AGAIN_FIRST_MS, AGAIN_MAX_MS, ++task->letter_failures, ferry_random());
    ferry_task_put_off(engine, task, FERRY_TASK_WAITING, ferry_clock_mono_ms() + delay_ms);
    ferry_engine_unlock(engine);
}

static void buried(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_report_outcome(engine, task, task->letter_outcome, task->letter_code, task->letter_reason);
    ferry_engine_lock(engine);
    ferry_task_settle(engine, task);
    ferry_engine_unlock(engine);
}

static void reported(void *context, const struct ferry_report *report)
{
    struct ferry_engine *engine = context;
    if (report->code == FERRY_OK)
        buried(engine, report->tag);
    else
        put_off(engine, report->tag, report->reason);
}

/* From a successful send on the task may be gone. */
static enum ferry_code send_letter(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const struct ferry_dead_letter letter = {.error = task->letter_code,
                                             .reason = task->letter_reason,
                                             .attempts = task->attempts,
                                             .route = task->slot != NULL ? task->slot->name : NULL,
                                             .failed_at_ms = ferry_clock_wall_ms()};
    struct ferry_record record;
    if (ferry_dead_letter_make(&letter, &task->delivery->fetched->record, engine->dead_letter_topic, &arena, &record) !=
        FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    pthread_mutex_lock(&engine->producer_lock);
    enum ferry_code code = engine->producer != NULL
                               ? ferry_producer_send(engine->producer, &record, task, error)
                               : ferry_fail(error, FERRY_KAFKA_FATAL, "there is no producer at this moment");
    pthread_mutex_unlock(&engine->producer_lock);
    return code;
}

void ferry_task_bury_again(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_error error = {0};
    ferry_engine_lock(engine);
    ferry_task_enter(engine, task, FERRY_TASK_BURYING);
    ferry_engine_unlock(engine);
    if (send_letter(engine, task, &error) != FERRY_OK)
        put_off(engine, task, error.text);
}

void ferry_task_bury(struct ferry_engine *engine, struct ferry_task *task, enum ferry_outcome outcome,
                    enum ferry_code code, const char *reason)
{
    task->burying = true;
    task->failed = false;
    task->letter_outcome = outcome;
    task->letter_code = code;
    snprintf(task->letter_reason, sizeof task->letter_reason, "%s", reason);
    ferry_effect_done(&task->effect);
    ferry_task_bury_again(engine, task);
}

/* ---- the producer ---- */

static enum ferry_code open_producer(struct ferry_engine *engine, struct ferry_error *error)
{
    const struct ferry_producer_listener listener = {.context = engine, .report = reported};
    ferry_engine_lock(engine);
    struct ferry_generation *generation = engine->current;
    generation->references++;
    ferry_engine_unlock(engine);
    enum ferry_code code =
        ferry_producer_open(generation->config->kafka, engine->channel->worker(generation->config)->kafka, &listener,
                            engine->metrics, &engine->producer, error);
    ferry_engine_lock(engine);
    ferry_generation_drop(generation);
    ferry_engine_unlock(engine);
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
