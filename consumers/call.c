/* The exchange with the world, and what follows from its answer. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"

enum { TOO_MANY_REQUESTS = 429 };

/* On its way with the client, and the owner of what is on its way: from the submission on the answer may come at any
 * moment, or the task may be ended as in doubt; then `task` is NULL, and a late answer is ignored. */
struct ferry_call {
    struct ferry_engine *engine;
    struct ferry_task *task; /* under the lock */
    struct ferry_effect effect;
};

/* ---- what follows from a verdict ---- */

/* A destination that answers is proven; one that was parked is so no longer. */
static void destination_lives(struct ferry_slot *slot)
{
    slot->proven = true;
    if (slot->probe_ms != 0)
        ferry_log(FERRY_LOG_INFO, "the destination lives again", FERRY_FIELDS(ferry_text("route", slot->name)));
    slot->probe_ms = 0;
    ferry_series_set(slot->parked, 0);
}

static void park(struct ferry_slot *slot, int64_t now_ms, const char *reason)
{
    if (slot->probe_ms == 0)
        ferry_log(FERRY_LOG_ERROR, "the destination is dead, the route is parked",
                  FERRY_FIELDS(ferry_text("route", slot->name), ferry_text("reason", reason),
                               ferry_number("probe_seconds", FERRY_PROBE_MS / 1000)));
    slot->probe_ms = now_ms + FERRY_PROBE_MS;
    ferry_series_set(slot->parked, 1);
}

static void finish(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next)
{
    ferry_effect_done(&task->effect);
    if (next->outcome == FERRY_OUTCOME_DONE) {
        ferry_engine_lock(engine);
        destination_lives(task->slot);
        ferry_once_mark(engine->once, &task->key, ferry_clock_wall_ms());
        ferry_claims_forget(engine->claims, &task->key);
        ferry_engine_unlock(engine);
        ferry_task_mark(engine, task, FERRY_MARK_DONE, FERRY_AFTER_SETTLE, next);
        return;
    }
    ferry_task_withdraw(engine, task);
    ferry_report_outcome(engine, task, next->outcome, next->code, next->reason);
    ferry_task_conclude(engine, task, next->outcome);
}

/* Does it wait in the retry topic? An entry always does; the record of an input does when the next attempt is later
 * than `retry.in_lane` after the first failure. */
static bool waits_outside(const struct ferry_engine *engine, const struct ferry_task *task, int64_t next_ms)
{
    if (task->row != NULL)
        return true;
    return engine->retry_width > 0 && next_ms - task->first_failure_ms > ferry_engine_worker(engine)->retry_in_lane_ms;
}

/* Others shall not have to hear it, also when there is no other attempt of this one. The lock is held. */
static void leave_alone(const struct ferry_slot *slot, const struct ferry_next *next, int64_t now_ms)
{
    if (next->busy && slot->destination != NULL)
        ferry_pace_block(&slot->destination->pace, now_ms + next->delay_ms);
}

/* The lane waits, here or in the retry topic. */
static void again(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next, int64_t now_ms)
{
    ferry_task_withdraw(engine, task);
    ferry_report_outcome(engine, task, FERRY_OUTCOME_RETRY, next->code, next->reason);
    ferry_effect_done(&task->effect);
    int64_t wall_ms = ferry_clock_wall_ms(), due_ms = wall_ms + next->delay_ms;
    ferry_engine_lock(engine);
    if (task->first_failure_ms == 0)
        task->first_failure_ms = wall_ms;
    leave_alone(task->slot, next, now_ms);
    bool outside = waits_outside(engine, task, due_ms);
    task->failed = !outside;
    if (!outside)
        ferry_task_put_off(engine, task, FERRY_TASK_WAITING, now_ms + next->delay_ms);
    ferry_engine_unlock(engine);
    if (outside)
        ferry_task_requeue(engine, task, due_ms, next);
}

static void follow(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next, int64_t now_ms)
{
    ferry_engine_lock(engine);
    task->follow = true;
    ferry_task_put_off(engine, task, FERRY_TASK_FOLLOWING, now_ms + next->delay_ms);
    ferry_engine_unlock(engine);
}

/* What may have taken effect is marked as if it had, after the letter is written: nobody shall repeat it behind the
 * letter's back. */
static void bury(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next, int64_t now_ms)
{
    bool doubtful = next->outcome == FERRY_OUTCOME_DOUBTFUL;
    ferry_engine_lock(engine);
    leave_alone(task->slot, next, now_ms);
    if (doubtful) {
        ferry_once_mark_doubt(engine->once, &task->key, ferry_clock_wall_ms());
        ferry_claims_forget(engine->claims, &task->key);
    } else if (next->code == FERRY_DESTINATION_DEAD)
        park(task->slot, now_ms, next->reason);
    else if (next->code != FERRY_RETRIES_EXHAUSTED)
        destination_lives(task->slot);
    ferry_engine_unlock(engine);
    if (!doubtful)
        ferry_task_withdraw(engine, task);
    ferry_task_bury(engine, task, next);
}

void ferry_task_proceed(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next,
                        int64_t now_ms)
{
    switch (next->kind) {
    case FERRY_NEXT_FINISH:
        finish(engine, task, next);
        break;
    case FERRY_NEXT_AGAIN:
        again(engine, task, next, now_ms);
        break;
    case FERRY_NEXT_FOLLOW:
        follow(engine, task, next, now_ms);
        break;
    case FERRY_NEXT_BURY:
        bury(engine, task, next, now_ms);
        break;
    }
}

void ferry_task_apply(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_verdict *verdict)
{
    int64_t now_ms = ferry_clock_mono_ms();
    int64_t failing_ms = task->first_failure_ms != 0 ? ferry_clock_wall_ms() - task->first_failure_ms : 0;
    uint32_t random = verdict->outcome == FERRY_OUTCOME_RETRY ? ferry_random() : 0; /* a system call */
    struct ferry_next next;
    ferry_decide(verdict, engine->channel->worker(task->generation->config), task->attempts, failing_ms, random, &next);
    ferry_task_proceed(engine, task, &next, now_ms);
}

/* ---- the exchange ---- */

static void settle(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_answer *answer)
{
    struct ferry_verdict verdict = {.retry_after_ms = -1};
    engine->channel->settle(task->generation->config, task->index, answer, &task->effect, &verdict);
    ferry_task_tell_answer(engine, task, answer, &verdict);
    ferry_engine_lock(engine);
    if (answer->status == TOO_MANY_REQUESTS)
        ferry_task_close_caps(engine, task, answer->retry_after_ms);
    task->follow = false; /* a new follow-up is one by its verdict */
    ferry_engine_unlock(engine);
    if (task->slot != NULL && !verdict.follow_up)
        ferry_series_observe_ms(task->slot->effect_seconds, (double)(ferry_clock_mono_ms() - task->called_ms));
    ferry_task_apply(engine, task, &verdict);
}

/* The task takes its effect back and is RUNNING again; NULL if it was ended meanwhile. Frees the call. */
static struct ferry_task *take_back(struct ferry_call *call)
{
    struct ferry_engine *engine = call->engine;
    ferry_engine_lock(engine);
    struct ferry_task *task = call->task;
    if (task != NULL) {
        task->call = NULL;
        task->effect = call->effect;
        ferry_task_enter(engine, task, FERRY_TASK_RUNNING);
    }
    ferry_engine_unlock(engine);
    if (task == NULL)
        ferry_effect_done(&call->effect);
    free(call);
    return task;
}

static void answered(void *context, const struct ferry_answer *answer)
{
    struct ferry_call *call = context;
    struct ferry_engine *engine = call->engine;
    struct ferry_task *task = take_back(call);
    FERRY_CRASH_POINT("call-answered");
    if (task != NULL)
        settle(engine, task, answer);
}

static void not_sent(struct ferry_engine *engine, struct ferry_task *task, const char *reason)
{
    const struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_NOT_SENT, .retry_after_ms = -1, .reason = reason};
    settle(engine, task, &answer);
}

/* CALLING: the call owns the effect. NULL when memory ran out. */
static struct ferry_call *hand_over(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_call *call = malloc(sizeof *call);
    if (call == NULL)
        return NULL;
    *call = (struct ferry_call){engine, task, task->effect};
    ferry_effect_init(&task->effect);
    ferry_engine_lock(engine);
    task->call = call;
    ferry_task_enter(engine, task, FERRY_TASK_CALLING);
    ferry_engine_unlock(engine);
    return call;
}

void ferry_call_begin(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_error error = {0};
    if (!task->follow) {
        task->effect.attempt = ++task->attempts;
        task->called_ms = ferry_clock_mono_ms();
        ferry_task_tell_call(engine, task);
    }
    task->reserved = false;
    struct ferry_call *call = hand_over(engine, task);
    if (call == NULL) {
        not_sent(engine, task, "out of memory");
        return;
    }
    FERRY_CRASH_POINT("call-before-send");
    enum ferry_code code = ferry_effect_submit(engine->client, &call->effect, answered, call, &error);
    FERRY_CRASH_POINT("call-handed-over");
    if (code != FERRY_OK && (task = take_back(call)) != NULL)
        not_sent(engine, task, error.text);
}

/* ---- giving up on answers ---- */

static struct ferry_task *find_unanswered(const struct ferry_held_partition *partition)
{
    for (struct ferry_task *task = partition->first; task != NULL; task = task->behind)
        if (task->state == FERRY_TASK_CALLING || task->state == FERRY_TASK_RIDING ||
            (task->follow && task->state != FERRY_TASK_RUNNING))
            return task;
    return NULL;
}

/* What was accepted, and only followed since, must not be begun a second time; for the rest the channel decides as for
 * any call without an answer. */
void ferry_call_in_doubt(struct ferry_engine *engine, struct ferry_task *task, const char *why)
{
    const struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_IN_DOUBT, .retry_after_ms = -1, .reason = why};
    ferry_effect_done(&task->effect);
    task->effect.attempt = task->attempts;
    if (!task->follow) {
        settle(engine, task, &answer);
        return;
    }
    struct ferry_verdict verdict;
    ferry_verdict_set(&verdict, FERRY_OUTCOME_DOUBTFUL, FERRY_OUTCOME_UNKNOWN, "accepted, but %s", why);
    ferry_engine_lock(engine);
    task->follow = false;
    ferry_engine_unlock(engine);
    ferry_task_apply(engine, task, &verdict);
}

void ferry_calls_abandon(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    for (struct ferry_task *task; (task = find_unanswered(partition)) != NULL;) {
        if (task->call != NULL)
            task->call->task = NULL;
        task->call = NULL;
        ferry_digest_leave(engine, task);
        ferry_task_take(engine, task);
        ferry_engine_unlock(engine);
        ferry_call_in_doubt(engine, task, "the worker had to let go of the partition before the end");
        ferry_engine_lock(engine);
    }
}
