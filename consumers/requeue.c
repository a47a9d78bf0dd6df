/* To the retry topic, and the end of what came from there (docs/decisions/retry.md).
 *
 * An input's record that has to wait long becomes an entry: appended to the partition of its own partition's number,
 * known to the index with the report, and only then settled, so that whatever is behind it in its lane finds the lane
 * blocked. An entry that fails once more gets an `again`, one that is settled a `done`; its task is gone after that
 * report. When a process dies before it could write one of them, the next owner tries the entry again, and its mark in
 * the effects topic tells whether it had taken effect. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/mask.h"

/* ---- notes ---- */

static const enum ferry_retry_kind kinds[FERRY_WRITE_COUNT] = {
    [FERRY_WRITE_ENTRY] = FERRY_RETRY_ENTRY,
    [FERRY_WRITE_AGAIN] = FERRY_RETRY_AGAIN,
    [FERRY_WRITE_DONE] = FERRY_RETRY_DONE,
};

static struct ferry_slice masked(const char *reason, struct ferry_arena *arena)
{
    char words[512];
    ferry_mask_addresses(ferry_slice_from(reason), words, sizeof words);
    return ferry_arena_slice(arena, ferry_slice_from(words));
}

static struct ferry_slice hex_of(const struct ferry_once_key *key, struct ferry_arena *arena)
{
    char hex[2 * sizeof key->bytes + 1];
    ferry_hex_write(key->bytes, sizeof key->bytes, hex);
    return ferry_arena_slice(arena, ferry_slice_of(hex, sizeof hex - 1));
}

/* It took effect, now or before, or may have: whoever reads the input has to know. */
static bool had_effect(enum ferry_outcome outcome)
{
    return outcome == FERRY_OUTCOME_DONE || outcome == FERRY_OUTCOME_DUPLICATE || outcome == FERRY_OUTCOME_DOUBTFUL;
}

static struct ferry_retry_note note_of(const struct ferry_task *task, struct ferry_arena *arena)
{
    const struct ferry_record *record = &task->delivery->fetched->record;
    struct ferry_retry_note note = {.kind = kinds[task->writing],
                                    .route = ferry_slice_from(task->slot != NULL ? task->slot->name : task->row->route),
                                    .origin = {record->topic, record->partition, record->offset},
                                    .attempts = task->attempts,
                                    .first_failure_ms = task->first_failure_ms,
                                    .due_ms = task->due_ms,
                                    .redrive = task->delivery->note.redrive,
                                    .replay = task->delivery->note.replay,
                                    .effects = task->delivery->note.effects,
                                    .again = task->delivery->note.again};
    if (note.kind == FERRY_RETRY_DONE) {
        note.outcome = ferry_slice_from(ferry_outcome_name(task->end.outcome));
        if (had_effect(task->end.outcome))
            note.effect = hex_of(&task->key, arena);
    } else if (task->end.code != FERRY_OK) {
        note.error = ferry_slice_from(ferry_code_name(task->end.code));
        note.reason = masked(task->end.reason, arena);
    }
    return note;
}

/* `again` and `done` stand where their entry does, also when the topic was widened since. Any number will do when the
 * topic has gone meanwhile. */
static int32_t partition_of(struct ferry_engine *engine, const struct ferry_task *task)
{
    if (task->row != NULL)
        return task->row->partition;
    ferry_engine_lock(engine);
    int32_t width = engine->retry_width;
    ferry_engine_unlock(engine);
    return width > 0 ? ferry_retry_partition(task->delivery->fetched->record.partition, width) : 0;
}

static enum ferry_code make(const struct ferry_retry_note *note, const struct ferry_record *origin, const char *topic,
                            struct ferry_arena *arena, struct ferry_record *record)
{
    if (note->kind == FERRY_RETRY_ENTRY)
        return ferry_retry_entry_make(note, origin, topic, arena, record);
    if (note->kind == FERRY_RETRY_AGAIN)
        return ferry_retry_again_make(note, origin->key, topic, arena, record);
    return ferry_retry_done_make(note, origin->key, topic, arena, record);
}

enum ferry_code ferry_note_send(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const struct ferry_retry_note note = note_of(task, &arena);
    struct ferry_record record;
    if (make(&note, &task->delivery->fetched->record, engine->retry_topic, &arena, &record) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return ferry_engine_send(engine, &record, partition_of(engine, task), task, error);
}

/* ---- after the report ---- */

/* The token that it had reserved is its own, wherever it waits. */
static void keep_token(struct ferry_engine *engine, const struct ferry_task *task, const struct ferry_retry_note *note)
{
    struct ferry_retry_row *row = ferry_retry_index_find(engine->retries, note);
    if (row != NULL && task->reserved)
        ferry_retry_index_postpone(row, row->due_ms, task->token_ms);
}

enum ferry_code ferry_note_written(struct ferry_engine *engine, struct ferry_task *task, int32_t partition,
                                   int64_t offset)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const struct ferry_retry_note note = note_of(task, &arena);
    struct ferry_slice key = task->delivery->fetched->record.key;
    ferry_engine_lock(engine);
    enum ferry_code code = ferry_retry_index_learn(engine->retries, &note, key, partition, offset);
    if (code == FERRY_OK && note.kind == FERRY_RETRY_ENTRY)
        keep_token(engine, task, &note);
    if (code == FERRY_OK && note.kind == FERRY_RETRY_AGAIN)
        ferry_task_drop(engine, task); /* it is the index's again */
    else if (code == FERRY_OK)
        ferry_task_settle(engine, task);
    pthread_cond_signal(&engine->retrieve);
    ferry_engine_unlock(engine);
    return code;
}

/* ---- who may not be tried ---- */

bool ferry_task_blocked(const struct ferry_engine *engine, const struct ferry_task *task)
{
    return task->row == NULL && engine->retry_width > 0 &&
           ferry_retry_index_blocks(engine->retries, ferry_lane_of(&task->place));
}

/* ---- ends ---- */

void ferry_task_requeue(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms,
                        const struct ferry_next *why)
{
    const struct ferry_event *event = &task->delivery->event;
    task->end = *why;
    task->due_ms = due_ms;
    if (task->first_failure_ms == 0)
        task->first_failure_ms = ferry_clock_wall_ms(); /* its `retry.for` begins when it is put behind */
    ferry_effect_done(&task->effect);
    if (task->row == NULL)
        ferry_log(FERRY_LOG_INFO, "waits in the retry topic",
                  FERRY_FIELDS(ferry_field_slice("id", event->id), ferry_field_slice("event", event->canonical),
                               ferry_text("route", task->slot->name), ferry_number("attempts", task->attempts),
                               ferry_number("due_ms", due_ms - ferry_clock_wall_ms())));
    ferry_task_note(engine, task, task->row != NULL ? FERRY_WRITE_AGAIN : FERRY_WRITE_ENTRY);
}

void ferry_task_postpone(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms, int64_t now_ms,
                         int64_t token_ms)
{
    ferry_retry_index_postpone(task->row, ferry_clock_wall_ms() + due_ms - now_ms, token_ms);
    ferry_task_drop(engine, task);
}

void ferry_task_conclude(struct ferry_engine *engine, struct ferry_task *task, enum ferry_outcome outcome)
{
    task->end = (struct ferry_next){.outcome = outcome};
    if (task->row != NULL) {
        ferry_task_note(engine, task, FERRY_WRITE_DONE);
        return;
    }
    ferry_engine_lock(engine);
    ferry_task_settle(engine, task);
    ferry_engine_unlock(engine);
}

/* ---- a partition that is full ---- */

/* Waits for its turn at the destination, alone or in a digest, and has not failed. Of a lane only the first: those that
 * a digest holds behind it follow it by themselves. */
static bool can_spill(const struct ferry_task *task)
{
    bool waits = task->state == FERRY_TASK_WAITING && (task->reserved || task->turned_away != NULL);
    bool collected = task->state == FERRY_TASK_COLLECTED && ferry_task_before(task) == NULL;
    return (waits || collected) && !task->failed && task->row == NULL && task->writing == FERRY_WRITE_NOTHING;
}

static int64_t turn_of(const struct ferry_task *task)
{
    return task->collected != NULL ? ferry_digest_due_ms(task) : task->timer.due_ms;
}

static int by_due_descending(const void *a, const void *b)
{
    const struct ferry_task *first = *(struct ferry_task *const *)a, *second = *(struct ferry_task *const *)b;
    int64_t first_ms = turn_of(first), second_ms = turn_of(second);
    return (second_ms > first_ms) - (second_ms < first_ms);
}

/* An evaluator writes the entry. Behind it in its lane the others follow by themselves: the lane is blocked then. */
static void spill(struct ferry_engine *engine, struct ferry_task *task)
{
    int64_t wall_ms = ferry_clock_wall_ms();
    task->due_ms = wall_ms + turn_of(task) - ferry_clock_mono_ms();
    if (task->first_failure_ms == 0)
        task->first_failure_ms = task->due_ms > wall_ms ? task->due_ms : wall_ms; /* waiting its turn is no failing */
    ferry_digest_leave(engine, task);
    ferry_task_take(engine, task);
    task->end = (struct ferry_next){.code = FERRY_OK};
    task->publish_failures = 0;
    task->writing = FERRY_WRITE_ENTRY;
    ferry_task_make_ready(engine, task);
}

void ferry_partition_spill(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    if (engine->retry_width == 0 || partition->retry || !ferry_partition_may_begin(partition))
        return;
    struct ferry_task **tasks = calloc(partition->tasks + 1, sizeof(struct ferry_task *));
    size_t count = 0;
    if (tasks == NULL)
        return; /* it waits here */
    for (struct ferry_task *task = partition->first; task != NULL; task = task->behind)
        if (can_spill(task))
            tasks[count++] = task;
    qsort(tasks, count, sizeof(struct ferry_task *), by_due_descending);
    for (size_t i = 0; i < count / 2; i++)
        spill(engine, tasks[i]);
    if (count / 2 > 0)
        ferry_log(FERRY_LOG_INFO, "a partition is full, what waits longest goes to the retry topic",
                  FERRY_FIELDS(ferry_text("topic", partition->topic), ferry_number("partition", partition->number),
                               ferry_number("records", (int64_t)(count / 2))));
    free(tasks);
}
