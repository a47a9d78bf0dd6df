/* The life of a job: its lane, its lists, its timer, its counts. See the drawing in engine.h. */
#include "consumers/engine.h"

#include <stdlib.h>
#include <time.h>

#include "core/clock.h"

static struct ferry_job *job_of_place(struct ferry_lane_place *place)
{
    return (struct ferry_job *)((char *)place - offsetof(struct ferry_job, place));
}

static struct ferry_job *job_of_timer(struct ferry_timer *timer)
{
    return (struct ferry_job *)((char *)timer - offsetof(struct ferry_job, timer));
}

/* ---- lists ---- */

static void list_append(struct ferry_job_list *list, struct ferry_job *job)
{
    job->list = list;
    job->list_before = list->last;
    job->list_behind = NULL;
    if (list->last != NULL)
        list->last->list_behind = job;
    else
        list->first = job;
    list->last = job;
}

static void list_remove(struct ferry_job *job)
{
    struct ferry_job_list *list = job->list;
    if (list == NULL)
        return;
    if (job->list_before != NULL)
        job->list_before->list_behind = job->list_behind;
    else
        list->first = job->list_behind;
    if (job->list_behind != NULL)
        job->list_behind->list_before = job->list_before;
    else
        list->last = job->list_before;
    job->list = NULL;
}

static void link_to_partition(struct ferry_held_partition *partition, struct ferry_job *job)
{
    job->partition = partition;
    job->behind = partition->first;
    if (partition->first != NULL)
        partition->first->before = job;
    partition->first = job;
    partition->jobs++;
}

static void unlink_from_partition(struct ferry_job *job)
{
    if (job->before != NULL)
        job->before->behind = job->behind;
    else
        job->partition->first = job->behind;
    if (job->behind != NULL)
        job->behind->before = job->before;
    job->partition->jobs--;
}

/* ---- states ---- */

static bool is_working(const struct ferry_job *job)
{
    return job->state == FERRY_JOB_RUNNING || job->state == FERRY_JOB_CALLING;
}

/* A follow-up is begun also while it is READY for its next exchange. */
bool ferry_job_begun(const struct ferry_job *job)
{
    return job->state >= FERRY_JOB_RUNNING || job->follow;
}

static void make_ready(struct ferry_engine *engine, struct ferry_job *job)
{
    list_remove(job);
    ferry_job_enter(engine, job, FERRY_JOB_READY);
    list_append(&engine->ready, job);
    pthread_cond_signal(&engine->work);
}

/* Whoever stood at the gate has passed it: all may follow once the destination has shown that it lives, else one. */
static void open_gate(struct ferry_engine *engine, struct ferry_slot *slot)
{
    slot->at_gate = NULL;
    do {
        if (slot->gated.first == NULL)
            return;
        make_ready(engine, slot->gated.first);
    } while (slot->proven);
}

static void count_waiting(struct ferry_slot *slot, int change)
{
    slot->waiting += (size_t)change;
    ferry_series_set(slot->retry_waiting, (double)slot->waiting);
}

/* What a job counts for in its state; `change` is 1 on the way in and -1 on the way out. */
static void count(struct ferry_engine *engine, struct ferry_job *job, int change)
{
    if (ferry_job_begun(job))
        job->partition->begun += (size_t)change;
    if (is_working(job))
        engine->working += (size_t)change;
    if (job->state == FERRY_JOB_WAITING && job->failed && job->slot != NULL)
        count_waiting(job->slot, change);
}

static void move(struct ferry_engine *engine, struct ferry_job *job, enum ferry_job_state state, bool follow)
{
    bool was_begun = ferry_job_begun(job), was_working = is_working(job);
    count(engine, job, -1);
    job->state = state;
    job->follow = follow;
    count(engine, job, 1);
    if (was_working && !is_working(job)) {
        if (job->slot != NULL && job->slot->at_gate == job)
            open_gate(engine, job->slot);
        pthread_cond_signal(&engine->work);
    }
    if (was_begun && !ferry_job_begun(job))
        pthread_cond_broadcast(&engine->settled);
}

void ferry_job_enter(struct ferry_engine *engine, struct ferry_job *job, enum ferry_job_state state)
{
    move(engine, job, state, job->follow);
}

enum ferry_code ferry_job_add(struct ferry_engine *engine, struct ferry_held_partition *partition,
                              struct ferry_delivery *delivery, struct ferry_slot *slot)
{
    struct ferry_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return FERRY_MEMORY;
    const struct ferry_record *record = &delivery->fetched->record;
    struct ferry_slice route = ferry_slice_from(slot != NULL ? slot->name : "");
    bool head;
    if (ferry_lanes_join(&engine->lanes, ferry_lane_id(route, record->topic, record->partition, record->key),
                         &job->place, &head) != FERRY_OK) {
        free(job);
        return FERRY_MEMORY;
    }
    ferry_effect_init(&job->effect);
    job->delivery = delivery;
    job->slot = slot;
    delivery->references++;
    link_to_partition(partition, job);
    if (head)
        make_ready(engine, job);
    return FERRY_OK;
}

/* ---- the end ---- */

void ferry_delivery_free(struct ferry_delivery *delivery)
{
    ferry_fetched_free(delivery->fetched);
    ferry_arena_done(&delivery->arena);
    free(delivery);
}

static void release_delivery(struct ferry_held_partition *partition, struct ferry_delivery *delivery)
{
    if (--delivery->references > 0)
        return;
    partition->bytes -= delivery->bytes;
    ferry_delivery_free(delivery);
}

static void remove_job(struct ferry_engine *engine, struct ferry_job *job)
{
    struct ferry_held_partition *partition = job->partition;
    move(engine, job, FERRY_JOB_QUEUED, false); /* out of every count */
    ferry_timers_cancel(&engine->timers, &job->timer);
    list_remove(job);
    struct ferry_lane_place *successor = ferry_lanes_leave(&engine->lanes, &job->place);
    if (successor != NULL)
        make_ready(engine, job_of_place(successor));
    if (job->claimed)
        ferry_once_release(engine->once, &job->key); /* nothing happens if it was marked */
    if (job->slot != NULL && job->slot->at_gate == NULL)
        open_gate(engine, job->slot); /* it may have been the one that was let through */
    unlink_from_partition(job);
    release_delivery(partition, job->delivery);
    ferry_generation_drop(job->generation);
    ferry_effect_done(&job->effect);
    free(job);
    ferry_partition_reap(engine, partition);
}

void ferry_job_settle(struct ferry_engine *engine, struct ferry_job *job)
{
    ferry_offsets_settle(&job->partition->offsets, job->delivery->fetched->record.offset);
    remove_job(engine, job);
}

void ferry_job_drop(struct ferry_engine *engine, struct ferry_job *job)
{
    remove_job(engine, job);
}

/* ---- waiting and running ---- */

void ferry_job_put_off(struct ferry_engine *engine, struct ferry_job *job, enum ferry_job_state state,
                       int64_t due_ms)
{
    bool unwanted = job->partition->revoking || job->partition->gone;
    if ((state == FERRY_JOB_WAITING && unwanted) || ferry_timers_set(&engine->timers, &job->timer, due_ms) != FERRY_OK) {
        ferry_job_drop(engine, job);
        return;
    }
    ferry_job_enter(engine, job, state);
    pthread_cond_signal(&engine->work); /* it may be the earliest */
}

void ferry_job_take(struct ferry_engine *engine, struct ferry_job *job)
{
    ferry_timers_cancel(&engine->timers, &job->timer);
    list_remove(job);
    ferry_job_enter(engine, job, FERRY_JOB_RUNNING);
}

static void wake_due(struct ferry_engine *engine, int64_t now_ms)
{
    for (struct ferry_timer *timer; (timer = ferry_timers_first(&engine->timers)) != NULL && timer->due_ms <= now_ms;) {
        ferry_timers_cancel(&engine->timers, timer);
        make_ready(engine, job_of_timer(timer));
    }
}

/* True if the job has to wait at its slot's gate. */
static bool stop_at_gate(struct ferry_engine *engine, struct ferry_job *job)
{
    struct ferry_slot *slot = job->slot;
    if (slot == NULL || slot->proven || job->follow || job->burying)
        return false;
    if (slot->at_gate == NULL) {
        slot->at_gate = job;
        return false;
    }
    ferry_job_enter(engine, job, FERRY_JOB_GATED);
    list_append(&slot->gated, job);
    return true;
}

static struct ferry_job *take_ready(struct ferry_engine *engine, int64_t now_ms)
{
    size_t limit = (size_t)ferry_engine_worker(engine)->concurrency;
    while (engine->working < limit && engine->ready.first != NULL) {
        struct ferry_job *job = engine->ready.first;
        list_remove(job);
        if (stop_at_gate(engine, job))
            continue;
        ferry_job_enter(engine, job, FERRY_JOB_RUNNING);
        job->started_ms = now_ms;
        return job;
    }
    return NULL;
}

static void sleep_until_work(struct ferry_engine *engine)
{
    const struct ferry_timer *first = ferry_timers_first(&engine->timers);
    if (first == NULL) {
        pthread_cond_wait(&engine->work, &engine->lock);
        return;
    }
    struct timespec until = {.tv_sec = first->due_ms / 1000, .tv_nsec = first->due_ms % 1000 * 1000000};
    pthread_cond_timedwait(&engine->work, &engine->lock, &until);
}

struct ferry_job *ferry_jobs_next(struct ferry_engine *engine)
{
    while (!engine->ended) {
        int64_t now_ms = ferry_clock_mono_ms();
        wake_due(engine, now_ms);
        struct ferry_job *job = take_ready(engine, now_ms);
        if (job != NULL)
            return job;
        sleep_until_work(engine);
    }
    return NULL;
}
