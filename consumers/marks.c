/* The marks of "once", across restarts and rebalances (docs/decisions/once.md).
 *
 * An effect's mark is written to `<internal>.<worker>.effects`, at the number of the input's partition, and its record
 * is settled after the report. Whoever is assigned a partition therefore finds, in the effects partition of that
 * number, the mark of every effect that a former owner had. The restorer reads it from the beginning to its present end
 * while the records of the partition are taken in already, and nothing of it begins before that.
 *
 * Mail and automation write an intent before the call. An intent without a mark behind it is a call that a worker died
 * in: in doubt. What is known not to have taken effect is taken back by a record without a value.
 *
 * Keys that cross partitions (`once_per` that is not of one resource, `topics.key` other than resource) are held
 * together by the process that owns both partitions; two processes that carry them out at the same moment do not see
 * each other. */
#include <stdlib.h>
#include <unistd.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/log.h"

enum {
    LOOK_MS = 5000,
    AGAIN_MS = 1000, /* after a broker that did not answer */
    POLL_MS = 200
};

/* The partitions of the effects topic that hold the marks of a batch of input partitions. */
struct batch {
    unsigned number;
    bool *wanted; /* by effects partition */
    int32_t width;
    size_t marks;
};

static bool is_stopping(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    bool stopping = engine->stopping;
    ferry_engine_unlock(engine);
    return stopping;
}

static struct ferry_generation *take_generation(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    struct ferry_generation *generation = engine->current;
    generation->references++;
    ferry_engine_unlock(engine);
    return generation;
}

static void drop_generation(struct ferry_engine *engine, struct ferry_generation *generation)
{
    ferry_engine_lock(engine);
    ferry_generation_drop(generation);
    ferry_engine_unlock(engine);
}

/* ---- how wide the topic is ---- */

/* 0: there is no such topic for us; -1: no broker answered. */
static int32_t look_at_width(struct ferry_engine *engine, const struct ferry_config *config)
{
    const char *name = engine->effects_topic;
    struct ferry_topic_result result = {0};
    struct ferry_error error = {0};
    enum ferry_code code = ferry_admin_look(config, engine->channel->worker(config)->kafka,
                                            (struct ferry_topic_list){&name, 1}, LOOK_MS, &result, &error);
    if (code != FERRY_OK)
        return -1;
    return result.state == FERRY_TOPIC_EXISTS && result.partitions > 0 ? result.partitions : 0;
}

/* The width, or 0 without the topic; waits for a broker. */
static int32_t find_width(struct ferry_engine *engine, const struct ferry_config *config)
{
    int32_t width;
    while ((width = look_at_width(engine, config)) < 0 && !is_stopping(engine))
        usleep(AGAIN_MS * 1000);
    ferry_engine_lock(engine);
    bool lost = width <= 0 && (engine->effects_width > 0 || engine->restore_batch == 1);
    engine->effects_width = width > 0 ? width : 0;
    ferry_engine_unlock(engine);
    if (lost && width == 0)
        ferry_log(FERRY_LOG_WARN, "without the effects topic what took effect is known only while this process lives",
                  FERRY_FIELDS(ferry_text("topic", engine->effects_topic)));
    return width > 0 ? width : 0;
}

/* ---- reading ---- */

static void restore(struct ferry_engine *engine, const struct ferry_record *record)
{
    struct ferry_once_key key;
    int64_t when_ms = record->timestamp_ms > 0 ? record->timestamp_ms : ferry_clock_wall_ms();
    if (record->key.len != sizeof key.bytes)
        return;
    memcpy(key.bytes, record->key.ptr, sizeof key.bytes);
    ferry_engine_lock(engine);
    if (record->value.ptr == NULL)
        ferry_once_restore_void(engine->once, &key);
    else if (ferry_slice_is(record->value, FERRY_MARK_INTENT))
        ferry_once_restore_intent(engine->once, &key, when_ms);
    else
        ferry_once_restore(engine->once, &key, when_ms);
    ferry_engine_unlock(engine);
}

/* Common properties first, so that the worker's own win. */
static struct ferry_properties merged(const struct ferry_engine *engine, const struct ferry_config *config,
                                      struct ferry_arena *arena)
{
    struct ferry_properties common = config->kafka, own = engine->channel->worker(config)->kafka;
    struct ferry_property *items = ferry_arena_new_array(arena, common.count + own.count + 1, sizeof *items);
    if (items == NULL)
        return common;
    for (size_t i = 0; i < common.count; i++)
        items[i] = common.items[i];
    for (size_t i = 0; i < own.count; i++)
        items[common.count + i] = own.items[i];
    return (struct ferry_properties){items, common.count + own.count};
}

static enum ferry_code open_reader(struct ferry_engine *engine, const struct ferry_config *config,
                                   const struct batch *batch, struct ferry_consumer **reader, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_partition *partitions = ferry_arena_new_array(&arena, (size_t)batch->width, sizeof *partitions);
    if (partitions == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    size_t count = 0;
    for (int32_t i = 0; i < batch->width; i++)
        if (batch->wanted[i])
            partitions[count++] = (struct ferry_partition){engine->effects_topic, i, -1};
    return ferry_reader_open_at(merged(engine, config, &arena), partitions, count, reader, error);
}

static void read_to_end(struct ferry_engine *engine, struct ferry_consumer *reader, struct batch *batch)
{
    while (!ferry_reader_ended(reader) && !is_stopping(engine)) {
        struct ferry_fetched *fetched = ferry_consumer_poll(reader, POLL_MS);
        if (fetched == NULL)
            continue;
        restore(engine, &fetched->record);
        ferry_fetched_free(fetched);
        batch->marks++;
    }
}

/* ---- batches ---- */

/* What has to be restored becomes a batch; false when there is nothing. The lock is held. */
static bool collect(struct ferry_engine *engine, struct batch *batch)
{
    bool any = false;
    for (size_t i = 0; i < engine->partition_count; i++)
        any |= engine->partitions[i]->restoring && !engine->partitions[i]->gone;
    if (!any)
        return false;
    *batch = (struct batch){.number = ++engine->restore_batch};
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restoring)
            engine->partitions[i]->restore_batch = batch->number;
    return true;
}

/* Waits for partitions that have to be restored; false when the worker ends. */
static bool next_batch(struct ferry_engine *engine, struct batch *batch)
{
    ferry_engine_lock(engine);
    bool found;
    while (!(found = collect(engine, batch)) && !engine->stopping)
        pthread_cond_wait(&engine->restore, &engine->lock);
    bool stopping = engine->stopping;
    ferry_engine_unlock(engine);
    return found && !stopping;
}

static bool want_partitions(struct ferry_engine *engine, struct batch *batch)
{
    batch->wanted = calloc((size_t)batch->width, sizeof *batch->wanted);
    if (batch->wanted == NULL)
        return false;
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restore_batch == batch->number)
            batch->wanted[engine->partitions[i]->number % batch->width] = true;
    ferry_engine_unlock(engine);
    return true;
}

static void release(struct ferry_engine *engine, const struct batch *batch)
{
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restoring && engine->partitions[i]->restore_batch == batch->number)
            ferry_tasks_release(engine, engine->partitions[i]);
    ferry_engine_unlock(engine);
}

/* False: nothing was read, try again. */
static bool read_batch(struct ferry_engine *engine, const struct ferry_config *config, struct batch *batch)
{
    struct ferry_error error = {0};
    struct ferry_consumer *reader = NULL;
    batch->width = find_width(engine, config);
    if (batch->width == 0)
        return true;
    if (!want_partitions(engine, batch))
        return false;
    enum ferry_code code = open_reader(engine, config, batch, &reader, &error);
    if (code != FERRY_OK) {
        ferry_log(FERRY_LOG_WARN, "the marks cannot be read", FERRY_FIELDS(ferry_text("reason", error.text)));
        return false;
    }
    read_to_end(engine, reader, batch);
    ferry_consumer_close(reader);
    return true;
}

void *ferry_restorer_run(void *context)
{
    struct ferry_engine *engine = context;
    struct batch batch;
    while (next_batch(engine, &batch)) {
        int64_t began_ms = ferry_clock_mono_ms();
        struct ferry_generation *generation = take_generation(engine);
        bool good = read_batch(engine, generation->config, &batch);
        drop_generation(engine, generation);
        free(batch.wanted);
        if (!good) {
            usleep(AGAIN_MS * 1000);
            continue; /* they are collected again */
        }
        if (!is_stopping(engine))
            release(engine, &batch);
        ferry_log(FERRY_LOG_INFO, "marks read back",
                  FERRY_FIELDS(ferry_number("marks", (int64_t)batch.marks),
                               ferry_number("ms", ferry_clock_mono_ms() - began_ms)));
    }
    return NULL;
}
