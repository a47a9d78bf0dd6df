/* The life of a task: its lane, its lists, its timer, its counts. See the drawing in engine.h. */
#include "consumers/engine.h"

#include <stdlib.h>

#include "core/clock.h"

static struct ferry_task *task_of_place(struct ferry_lane_place *place)
{
    return (struct ferry_task *)((char *)place - offsetof(struct ferry_task, place));
}

static struct ferry_task *task_of_timer(struct ferry_timer *timer)
{
    return (struct ferry_task *)((char *)timer - offsetof(struct ferry_task, timer));
}

/* ---- lists ---- */

static void list_append(struct ferry_task_list *list, struct ferry_task *task)
{
    task->list = list;
    task->list_before = list->last;
    task->list_behind = NULL;
    if (list->last != NULL)
        list->last->list_behind = task;
    else
        list->first = task;
    list->last = task;
}

static void list_remove(struct ferry_task *task)
{
    struct ferry_task_list *list = task->list;
    if (list == NULL)
        return;
    if (task->list_before != NULL)
        task->list_before->list_behind = task->list_behind;
    else
        list->first = task->list_behind;
    if (task->list_behind != NULL)
        task->list_behind->list_before = task->list_before;
    else
        list->last = task->list_before;
    task->list = NULL;
}

static void link_to_partition(struct ferry_held_partition *partition, struct ferry_task *task)
{
    task->partition = partition;
    task->before = partition->last;
    if (partition->last != NULL)
        partition->last->behind = task;
    else
        partition->first = task;
    partition->last = task;
    partition->tasks++;
}

static void unlink_from_partition(struct ferry_task *task)
{
    struct ferry_held_partition *partition = task->partition;
    if (task->before != NULL)
        task->before->behind = task->behind;
    else
        partition->first = task->behind;
    if (task->behind != NULL)
        task->behind->before = task->before;
    else
        partition->last = task->before;
    partition->tasks--;
}

/* ---- states ---- */

static bool is_working(const struct ferry_task *task)
{
    return task->state == FERRY_TASK_RUNNING || task->state == FERRY_TASK_CALLING;
}

/* A follow-up is begun also while it is READY for its next exchange, what has an intent in the log for its call, and
 * what has something to write for that. */
bool ferry_task_begun(const struct ferry_task *task)
{
    bool writes = task->state == FERRY_TASK_READY && task->writing != FERRY_WRITE_NOTHING;
    return task->state >= FERRY_TASK_RUNNING || task->follow || task->intended || writes;
}

void ferry_task_make_ready(struct ferry_engine *engine, struct ferry_task *task)
{
    list_remove(task);
    ferry_task_enter(engine, task, FERRY_TASK_READY);
    list_append(&engine->ready, task);
    pthread_cond_signal(&engine->work);
}

/* Whoever stood at the gate has passed it: all may follow once the destination has shown that it lives, else one. */
static void open_gate(struct ferry_engine *engine, struct ferry_slot *slot)
{
    slot->at_gate = NULL;
    do {
        if (slot->gated.first == NULL)
            return;
        ferry_task_make_ready(engine, slot->gated.first);
    } while (slot->proven);
}

void ferry_slot_count_waiting(struct ferry_slot *slot)
{
    ferry_series_set(slot->retry_waiting, (double)(slot->waiting + slot->outstanding));
}

/* What a task counts for in its state; `change` is 1 on the way in and -1 on the way out. */
static void count(struct ferry_engine *engine, struct ferry_task *task, int change)
{
    if (ferry_task_begun(task))
        task->partition->begun += (size_t)change;
    if (is_working(task))
        engine->working += (size_t)change;
    if (task->state == FERRY_TASK_WAITING && task->failed && task->slot != NULL) {
        task->slot->waiting += (size_t)change;
        ferry_slot_count_waiting(task->slot);
    }
}

static void move(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state, bool ends)
{
    bool was_begun = ferry_task_begun(task), was_working = is_working(task);
    count(engine, task, -1);
    task->state = state;
    task->follow = task->follow && !ends;
    task->intended = task->intended && !ends;
    count(engine, task, 1);
    if (was_working && !is_working(task)) {
        if (task->slot != NULL && task->slot->at_gate == task)
            open_gate(engine, task->slot);
        pthread_cond_signal(&engine->work);
    }
    if (was_begun && !ferry_task_begun(task))
        pthread_cond_broadcast(&engine->settled);
}

void ferry_task_enter(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state)
{
    move(engine, task, state, false);
}

/* While a partition is restored nothing begins yet, while it is taken away nothing begins any more: what is left of it
 * is dropped, and behind a dropped head even a record that is ready would be out of order. */
bool ferry_partition_may_begin(const struct ferry_held_partition *partition)
{
    return !partition->restoring && !partition->revoking && !partition->gone;
}

/* An entry goes on where its last attempt left it. */
static void resume_entry(struct ferry_task *task)
{
    const struct ferry_retry_row *row = task->row;
    task->attempts = row->attempts;
    task->first_failure_ms = row->first_failure_ms;
    task->reserved = row->token_ms != 0;
    task->token_ms = row->token_ms;
}

/* Who is in a digest lets the next of its lane run. */
static bool is_in_digest(const struct ferry_task *task)
{
    return task->collected != NULL || task->flight != NULL;
}

/* A task whose turn has come, unless a digest has called it before. */
static void let_begin(struct ferry_engine *engine, struct ferry_task *task)
{
    if (task->state == FERRY_TASK_QUEUED && ferry_partition_may_begin(task->partition))
        ferry_task_make_ready(engine, task);
}

enum ferry_code ferry_task_add(struct ferry_engine *engine, struct ferry_held_partition *partition,
                               struct ferry_delivery *delivery, struct ferry_slot *slot, struct ferry_retry_row *row)
{
    struct ferry_task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return FERRY_MEMORY;
    const struct ferry_record *record = &delivery->fetched->record;
    struct ferry_slice route = ferry_slice_from(slot != NULL ? slot->name : "");
    bool head;
    if (ferry_lanes_join(&engine->lanes, ferry_lane_id(route, record->topic, record->partition, record->key),
                         &task->place, &head) != FERRY_OK) {
        free(task);
        return FERRY_MEMORY;
    }
    ferry_effect_init(&task->effect);
    task->delivery = delivery;
    task->slot = slot;
    task->row = row;
    if (row != NULL)
        resume_entry(task);
    engine->retrieved += row != NULL;
    delivery->references++;
    link_to_partition(partition, task);
    if (head || is_in_digest(ferry_task_before(task)))
        let_begin(engine, task);
    return FERRY_OK;
}

void ferry_tasks_release(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    partition->restoring = false;
    if (partition->retry)
        pthread_cond_signal(&engine->retrieve);
    if (!ferry_partition_may_begin(partition))
        return;
    for (struct ferry_task *task = partition->first; task != NULL; task = task->behind)
        if (task->state == FERRY_TASK_QUEUED && ferry_lane_is_head(&task->place))
            ferry_task_make_ready(engine, task);
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
    partition->records--;
    ferry_delivery_free(delivery);
}

static void put_row_back(struct ferry_engine *engine, struct ferry_retry_row *row)
{
    ferry_retry_index_put_back(engine->retries, row);
    engine->retrieved--;
    pthread_cond_signal(&engine->retrieve);
}

/* A claim in the log is taken back before anybody here claims the key anew: by the prover, for this is under the lock.
 */
static void release_claim(struct ferry_engine *engine, const struct ferry_task *task)
{
    if (task->crossing && ferry_claims_leave(engine->claims, &task->key))
        pthread_cond_signal(&engine->prove);
    else
        ferry_once_release(engine->once, &task->key); /* nothing happens if it was marked */
}

static void remove_task(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_held_partition *partition = task->partition;
    move(engine, task, FERRY_TASK_QUEUED, true); /* out of every count */
    ferry_timers_cancel(&engine->timers, &task->timer);
    list_remove(task);
    ferry_digest_leave(engine, task);
    struct ferry_lane_place *successor = ferry_lanes_leave(&engine->lanes, &task->place);
    if (successor != NULL)
        let_begin(engine, task_of_place(successor));
    ferry_task_forgo_room(task);
    if (task->claimed)
        release_claim(engine, task);
    if (task->row != NULL)
        put_row_back(engine, task->row);
    if (task->slot != NULL && task->slot->at_gate == NULL)
        open_gate(engine, task->slot); /* it may have been the one that was let through */
    unlink_from_partition(task);
    release_delivery(partition, task->delivery);
    ferry_generation_drop(task->generation);
    ferry_effect_done(&task->effect);
    free(task);
    ferry_partition_reap(engine, partition);
}

void ferry_task_settle(struct ferry_engine *engine, struct ferry_task *task)
{
    if (task->row == NULL)
        ferry_offsets_settle(&task->partition->offsets, task->delivery->fetched->record.offset);
    remove_task(engine, task);
}

void ferry_task_drop(struct ferry_engine *engine, struct ferry_task *task)
{
    remove_task(engine, task);
}

/* ---- waiting and running ---- */

bool ferry_task_unwanted(const struct ferry_task *task)
{
    return task->partition->revoking || task->partition->gone;
}

void ferry_task_return(struct ferry_engine *engine, struct ferry_task *task)
{
    if (ferry_task_unwanted(task)) {
        ferry_task_drop(engine, task);
        return;
    }
    ferry_timers_cancel(&engine->timers, &task->timer);
    list_remove(task);
    ferry_task_enter(engine, task, FERRY_TASK_QUEUED);
    if (ferry_lane_is_head(&task->place))
        let_begin(engine, task);
}

struct ferry_task *ferry_task_before(const struct ferry_task *task)
{
    return task->place.before != NULL ? task_of_place(task->place.before) : NULL;
}

void ferry_task_pass_on(struct ferry_engine *engine, struct ferry_task *task)
{
    if (task->place.behind != NULL)
        let_begin(engine, task_of_place(task->place.behind));
}

/* False when the task was dropped instead. */
static bool put_off(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state, int64_t due_ms)
{
    if ((state == FERRY_TASK_WAITING && ferry_task_unwanted(task)) ||
        ferry_timers_set(&engine->timers, &task->timer, due_ms) != FERRY_OK) {
        ferry_task_drop(engine, task);
        return false;
    }
    ferry_task_enter(engine, task, state);
    pthread_cond_signal(&engine->work); /* it may be the earliest */
    return true;
}

void ferry_task_put_off(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state,
                        int64_t due_ms)
{
    (void)put_off(engine, task, state, due_ms);
}

void ferry_task_await_names(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms)
{
    if (put_off(engine, task, FERRY_TASK_WAITING, due_ms))
        list_append(&engine->nameless, task);
}

static bool awaits(const struct ferry_task *task, uint64_t key)
{
    bool found = false;
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        found |= task->awaited[kind] == key;
    return found;
}

void ferry_tasks_named(struct ferry_engine *engine, uint64_t key)
{
    engine->names_settled++;
    for (struct ferry_task *task = engine->nameless.first, *next; task != NULL; task = next) {
        next = task->list_behind;
        if (!awaits(task, key))
            continue;
        ferry_timers_cancel(&engine->timers, &task->timer);
        ferry_task_make_ready(engine, task);
    }
}

void ferry_task_take(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_timers_cancel(&engine->timers, &task->timer);
    list_remove(task);
    ferry_task_enter(engine, task, FERRY_TASK_RUNNING);
}

static void wake_due(struct ferry_engine *engine, int64_t now_ms)
{
    for (struct ferry_timer *timer; (timer = ferry_timers_first(&engine->timers)) != NULL && timer->due_ms <= now_ms;) {
        ferry_timers_cancel(&engine->timers, timer);
        ferry_task_make_ready(engine, task_of_timer(timer));
    }
}

/* True if the task has to wait at its slot's gate. */
static bool stop_at_gate(struct ferry_engine *engine, struct ferry_task *task)
{
    struct ferry_slot *slot = task->slot;
    if (slot == NULL || slot->proven || task->follow || task->collected != NULL || task->writing != FERRY_WRITE_NOTHING)
        return false;
    if (slot->at_gate == NULL) {
        slot->at_gate = task;
        return false;
    }
    ferry_task_enter(engine, task, FERRY_TASK_GATED);
    list_append(&slot->gated, task);
    return true;
}

void ferry_task_prove(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_task_enter(engine, task, FERRY_TASK_PROVING);
    list_append(&engine->proving, task);
    pthread_cond_signal(&engine->prove);
}

static struct ferry_task *take_ready(struct ferry_engine *engine, int64_t now_ms)
{
    size_t limit = (size_t)ferry_engine_worker(engine)->concurrency;
    while (engine->working < limit && engine->ready.first != NULL) {
        struct ferry_task *task = engine->ready.first;
        list_remove(task);
        if (stop_at_gate(engine, task))
            continue;
        ferry_task_enter(engine, task, FERRY_TASK_RUNNING);
        task->started_ms = now_ms;
        return task;
    }
    return NULL;
}

static void sleep_until_work(struct ferry_engine *engine)
{
    const struct ferry_timer *first = ferry_timers_first(&engine->timers);
    if (first == NULL)
        pthread_cond_wait(&engine->work, &engine->lock);
    else
        ferry_engine_sleep(engine, &engine->work, first->due_ms);
}

struct ferry_task *ferry_tasks_take(struct ferry_engine *engine)
{
    int64_t now_ms = ferry_clock_mono_ms();
    wake_due(engine, now_ms);
    return take_ready(engine, now_ms);
}

struct ferry_task *ferry_tasks_next(struct ferry_engine *engine)
{
    while (!engine->ended) {
        struct ferry_task *task = ferry_tasks_take(engine);
        if (task != NULL)
            return task;
        sleep_until_work(engine);
    }
    return NULL;
}
