/* The partitions that a worker holds, and how it lets go of them. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"

struct ferry_held_partition *ferry_partition_find(const struct ferry_engine *engine, struct ferry_slice topic,
                                                  int32_t number)
{
    for (size_t i = 0; i < engine->partition_count; i++) {
        struct ferry_held_partition *partition = engine->partitions[i];
        if (partition->number == number && !partition->gone && ferry_slice_is(topic, partition->topic))
            return partition;
    }
    return NULL;
}

enum ferry_code ferry_partition_add(struct ferry_engine *engine, const char *topic, int32_t number)
{
    struct ferry_held_partition **partitions =
        realloc(engine->partitions, (engine->partition_count + 1) * sizeof(struct ferry_held_partition *));
    if (partitions == NULL)
        return FERRY_MEMORY;
    engine->partitions = partitions;
    struct ferry_held_partition *partition = calloc(1, sizeof *partition);
    char *name = strdup(topic);
    if (partition == NULL || name == NULL) {
        free(partition);
        free(name);
        return FERRY_MEMORY;
    }
    *partition = (struct ferry_held_partition){.topic = name,
                                               .number = number,
                                               .retry = strcmp(topic, engine->retry_topic) == 0,
                                               .restoring = true,
                                               .stored = -1};
    ferry_offsets_init(&partition->offsets);
    partitions[engine->partition_count++] = partition;
    pthread_cond_signal(&engine->restore);
    return FERRY_OK;
}

void ferry_partition_reap(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    if (!partition->gone || partition->tasks > 0)
        return;
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i] == partition)
            engine->partitions[i] = engine->partitions[--engine->partition_count];
    ferry_offsets_done(&partition->offsets);
    free(partition->topic);
    free(partition);
}

static void drop_not_begun(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    for (struct ferry_task *task = partition->first, *behind; task != NULL; task = behind) {
        behind = task->behind;
        if (!ferry_task_begun(task))
            ferry_task_drop(engine, task);
    }
}

/* False when `until_ms` has come before everything that was begun has ended. */
static bool wait_for_begun(struct ferry_engine *engine, const struct ferry_held_partition *partition, int64_t until_ms)
{
    while (partition->begun > 0)
        if (!ferry_engine_sleep(engine, &engine->settled, until_ms))
            return partition->begun == 0;
    return true;
}

void ferry_partition_close(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    partition->revoking = true;
    drop_not_begun(engine, partition);
}

void ferry_partition_drain(struct ferry_engine *engine, struct ferry_held_partition *partition, int64_t soft_ms,
                           int64_t hard_ms)
{
    if (wait_for_begun(engine, partition, soft_ms))
        return;
    ferry_calls_abandon(engine, partition);
    wait_for_begun(engine, partition, hard_ms);
}

void ferry_partition_give_up(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    drop_not_begun(engine, partition);
    partition->gone = true;
    ferry_partition_reap(engine, partition);
}
