/* The exchange with the world, and what follows from its answer. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

/* On its way with the client, and the owner of what is on its way: from the submission on the answer may come at any
 * moment, or the job may be ended as in doubt; then `job` is NULL, and a late answer is ignored. */
struct ferry_call {
    struct ferry_engine *engine;
    struct ferry_job *job; /* under the lock */
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

static void finish(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_next *next)
{
    ferry_report_outcome(engine, job, next->outcome, next->code, next->reason);
    ferry_engine_lock(engine);
    if (next->outcome == FERRY_OUTCOME_DONE) {
        destination_lives(job->slot);
        ferry_once_mark(engine->once, &job->key, ferry_clock_wall_ms());
    }
    ferry_job_settle(engine, job);
    ferry_engine_unlock(engine);
}

/* The lane waits. (Retry topics will take over here what waits longer than a minute: design.md, 2.) */
static void again(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_next *next, int64_t now_ms)
{
    ferry_report_outcome(engine, job, FERRY_OUTCOME_RETRY, next->code, next->reason);
    ferry_effect_done(&job->effect);
    ferry_engine_lock(engine);
    job->failed = true;
    if (job->first_failure_ms == 0)
        job->first_failure_ms = now_ms;
    if (next->code == FERRY_HTTP_BUSY && job->slot->destination != NULL)
        ferry_pace_block(&job->slot->destination->pace, now_ms + next->delay_ms);
    ferry_job_put_off(engine, job, FERRY_JOB_WAITING, now_ms + next->delay_ms);
    ferry_engine_unlock(engine);
}

static void follow(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_next *next, int64_t now_ms)
{
    ferry_engine_lock(engine);
    job->follow = true;
    ferry_job_put_off(engine, job, FERRY_JOB_FOLLOWING, now_ms + next->delay_ms);
    ferry_engine_unlock(engine);
}

/* What may have taken effect is marked as if it had: nobody shall repeat it behind the dead letter's back. */
static void bury(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_next *next, int64_t now_ms)
{
    ferry_engine_lock(engine);
    if (next->outcome == FERRY_OUTCOME_DOUBTFUL)
        ferry_once_mark(engine->once, &job->key, ferry_clock_wall_ms());
    if (next->code == FERRY_DESTINATION_DEAD)
        park(job->slot, now_ms, next->reason);
    else if (next->outcome == FERRY_OUTCOME_DEAD && next->code != FERRY_RETRIES_EXHAUSTED)
        destination_lives(job->slot);
    ferry_engine_unlock(engine);
    ferry_job_bury(engine, job, next->outcome, next->code, next->reason);
}

void ferry_job_apply(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_verdict *verdict)
{
    int64_t now_ms = ferry_clock_mono_ms();
    int64_t failing_ms = job->first_failure_ms != 0 ? now_ms - job->first_failure_ms : 0;
    struct ferry_next next;
    ferry_decide(verdict, engine->channel->worker(job->generation->config), job->attempts, failing_ms, ferry_random(),
                 &next);
    switch (next.kind) {
    case FERRY_NEXT_FINISH:
        finish(engine, job, &next);
        break;
    case FERRY_NEXT_AGAIN:
        again(engine, job, &next, now_ms);
        break;
    case FERRY_NEXT_FOLLOW:
        follow(engine, job, &next, now_ms);
        break;
    case FERRY_NEXT_BURY:
        bury(engine, job, &next, now_ms);
        break;
    }
}

/* ---- the exchange ---- */

static void settle(struct ferry_engine *engine, struct ferry_job *job, const struct ferry_answer *answer)
{
    struct ferry_verdict verdict = {.retry_after_ms = -1};
    engine->channel->settle(job->generation->config, job->index, answer, &job->effect, &verdict);
    job->follow = false; /* a new follow-up is one by its verdict */
    if (job->slot != NULL && !verdict.follow_up)
        ferry_series_observe_ms(job->slot->effect_seconds, (double)(ferry_clock_mono_ms() - job->called_ms));
    ferry_job_apply(engine, job, &verdict);
}

/* The job takes its effect back and is RUNNING again; NULL if it was ended meanwhile. Frees the call. */
static struct ferry_job *take_back(struct ferry_call *call)
{
    struct ferry_engine *engine = call->engine;
    ferry_engine_lock(engine);
    struct ferry_job *job = call->job;
    if (job != NULL) {
        job->call = NULL;
        job->effect = call->effect;
        ferry_job_enter(engine, job, FERRY_JOB_RUNNING);
    }
    ferry_engine_unlock(engine);
    if (job == NULL)
        ferry_effect_done(&call->effect);
    free(call);
    return job;
}

static void answered(void *context, const struct ferry_answer *answer)
{
    struct ferry_call *call = context;
    struct ferry_engine *engine = call->engine;
    struct ferry_job *job = take_back(call);
    if (job != NULL)
        settle(engine, job, answer);
}

static enum ferry_code submit_http(struct ferry_call *call, struct ferry_error *error)
{
    const struct ferry_effect *effect = &call->effect;
    struct ferry_pair headers[FERRY_EFFECT_HEADERS];
    for (size_t i = 0; i < effect->header_count; i++)
        headers[i] = (struct ferry_pair){ferry_slice_from(effect->headers[i].name),
                                         ferry_slice_from(effect->headers[i].value)};
    const struct ferry_http_request request = {.method = effect->method,
                                               .url = effect->url,
                                               .headers = headers,
                                               .header_count = effect->header_count,
                                               .body = ferry_buffer_slice(&effect->body),
                                               .timeout_ms = effect->timeout_ms};
    return ferry_client_http(call->engine->client, &request, answered, call, error);
}

static enum ferry_code submit_mail(struct ferry_call *call, struct ferry_error *error)
{
    const struct ferry_effect *effect = &call->effect;
    const struct ferry_mail_request request = {.url = effect->smtp->url,
                                               .username = effect->smtp->username,
                                               .password = ferry_secret_slice(effect->smtp->password),
                                               .tls_required = effect->smtp->tls_required,
                                               .sender = effect->sender,
                                               .recipient = effect->recipient,
                                               .message = ferry_buffer_slice(&effect->body),
                                               .timeout_ms = effect->timeout_ms};
    return ferry_client_mail(call->engine->client, &request, answered, call, error);
}

static void not_sent(struct ferry_engine *engine, struct ferry_job *job, const char *reason)
{
    const struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_NOT_SENT, .retry_after_ms = -1, .reason = reason};
    settle(engine, job, &answer);
}

/* CALLING: the call owns the effect. NULL when memory ran out. */
static struct ferry_call *hand_over(struct ferry_engine *engine, struct ferry_job *job)
{
    struct ferry_call *call = malloc(sizeof *call);
    if (call == NULL)
        return NULL;
    *call = (struct ferry_call){engine, job, job->effect};
    ferry_effect_init(&job->effect);
    ferry_engine_lock(engine);
    job->call = call;
    ferry_job_enter(engine, job, FERRY_JOB_CALLING);
    ferry_engine_unlock(engine);
    return call;
}

void ferry_call_begin(struct ferry_engine *engine, struct ferry_job *job)
{
    struct ferry_error error = {0};
    if (!job->follow) {
        job->effect.attempt = ++job->attempts;
        job->called_ms = ferry_clock_mono_ms();
    }
    job->reserved = false;
    struct ferry_call *call = hand_over(engine, job);
    if (call == NULL) {
        not_sent(engine, job, "out of memory");
        return;
    }
    enum ferry_code code = call->effect.smtp != NULL ? submit_mail(call, &error) : submit_http(call, &error);
    if (code != FERRY_OK && (job = take_back(call)) != NULL)
        not_sent(engine, job, error.text);
}

/* ---- giving up on answers ---- */

static struct ferry_job *find_unanswered(const struct ferry_held_partition *partition)
{
    for (struct ferry_job *job = partition->first; job != NULL; job = job->behind)
        if (job->state == FERRY_JOB_CALLING || (job->follow && job->state != FERRY_JOB_RUNNING))
            return job;
    return NULL;
}

/* Whatever step it was at: that the effect was begun, and not seen to end, is all that is known. */
static void end_in_doubt(struct ferry_engine *engine, struct ferry_job *job)
{
    const struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_IN_DOUBT,
                                        .retry_after_ms = -1,
                                        .reason = "the worker had to let go of the partition before the answer"};
    ferry_effect_done(&job->effect);
    job->effect.attempt = job->attempts;
    settle(engine, job, &answer);
}

void ferry_calls_abandon(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    for (struct ferry_job *job; (job = find_unanswered(partition)) != NULL;) {
        if (job->call != NULL)
            job->call->job = NULL;
        job->call = NULL;
        ferry_job_take(engine, job);
        ferry_engine_unlock(engine);
        end_in_doubt(engine, job);
        ferry_engine_lock(engine);
    }
}
