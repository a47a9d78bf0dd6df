#include "consumers/engine.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "consumers/dead_letter.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/wait.h"

uint32_t ferry_random(void)
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        bits = (uint32_t)ferry_clock_mono_ms() * UINT32_C(2654435761);
    return bits;
}

/* ---- generations ---- */

static struct ferry_generation *generation_new(struct ferry_config *config, unsigned number)
{
    struct ferry_generation *generation = malloc(sizeof *generation);
    if (generation != NULL)
        *generation = (struct ferry_generation){config, number, 1};
    return generation;
}

void ferry_generation_drop(struct ferry_generation *generation)
{
    if (generation == NULL || --generation->references > 0)
        return;
    ferry_config_free(generation->config);
    free(generation);
}

struct ferry_generation *ferry_engine_take_generation(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    struct ferry_generation *generation = engine->current;
    generation->references++;
    ferry_engine_unlock(engine);
    return generation;
}

void ferry_engine_drop_generation(struct ferry_engine *engine, struct ferry_generation *generation)
{
    ferry_engine_lock(engine);
    ferry_generation_drop(generation);
    ferry_engine_unlock(engine);
}

const struct ferry_worker_config *ferry_engine_worker(const struct ferry_engine *engine)
{
    return engine->channel->worker(engine->current->config);
}

struct ferry_properties ferry_engine_properties(const struct ferry_engine *engine, const struct ferry_config *config,
                                                const struct ferry_property *more, struct ferry_arena *arena)
{
    struct ferry_properties common = config->kafka, own = engine->channel->worker(config)->kafka;
    size_t added = 0, count = 0;
    while (more[added].name != NULL)
        added++;
    struct ferry_property *items = ferry_arena_new_array(arena, common.count + own.count + added + 1, sizeof *items);
    if (items == NULL)
        return common;
    for (size_t i = 0; i < common.count; i++)
        items[count++] = common.items[i];
    for (size_t i = 0; i < own.count; i++)
        items[count++] = own.items[i];
    for (size_t i = 0; i < added; i++)
        items[count++] = more[i];
    return (struct ferry_properties){items, count};
}

bool ferry_engine_is_stopping(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    bool stopping = engine->stopping;
    ferry_engine_unlock(engine);
    return stopping;
}

bool ferry_engine_sleep(struct ferry_engine *engine, pthread_cond_t *condition, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_cond_timedwait(condition, &engine->lock, &until) == 0;
}

/* ---- slots: routes across reloads ---- */

struct ferry_slot *ferry_engine_slot(struct ferry_engine *engine, const char *name)
{
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next)
        if (strcmp(slot->name, name) == 0)
            return slot;
    struct ferry_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL || (slot->name = strdup(name)) == NULL) {
        free(slot);
        return NULL;
    }
    slot->index = -1;
    slot->next = engine->slots;
    engine->slots = slot;
    ferry_report_slot(engine, slot);
    return slot;
}

static struct ferry_destination *destination_of(struct ferry_engine *engine, struct ferry_slice text)
{
    uint64_t id = ferry_lane_id(text, FERRY_SLICE(""), 0, FERRY_SLICE(""));
    for (struct ferry_destination *found = engine->destinations; found != NULL; found = found->next)
        if (found->id == id)
            return found;
    struct ferry_destination *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    *made = (struct ferry_destination){.id = id, .next = engine->destinations};
    engine->destinations = made;
    return made;
}

/* Gives each route its slot, and each slot its place in the new configuration. What was parked is tried again: the
 * reload may have brought the cure. */
static enum ferry_code bind_slots(struct ferry_engine *engine, const struct ferry_config *config)
{
    const struct ferry_channel *channel = engine->channel;
    size_t count = channel->route_count(config);
    for (size_t i = 0; i < count; i++)
        if (ferry_engine_slot(engine, channel->route(config, i)->name) == NULL)
            return FERRY_MEMORY;
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next) {
        slot->index = -1;
        slot->probe_ms = 0;
        slot->proven = channel->pace == NULL;
        ferry_series_set(slot->parked, 0);
    }
    for (size_t i = 0; i < count; i++) {
        struct ferry_slot *slot = ferry_engine_slot(engine, channel->route(config, i)->name);
        struct ferry_slice destination = {0};
        slot->index = (ptrdiff_t)i;
        slot->rate = channel->pace != NULL ? channel->pace(config, i, &destination) : (struct ferry_rate){0};
        slot->destination = destination.ptr != NULL ? destination_of(engine, destination) : NULL;
    }
    return FERRY_OK;
}

enum ferry_code ferry_engine_use_lookup(struct ferry_engine *engine, const struct ferry_config *config)
{
    return ferry_lookup_use(engine->lookup, &engine->channel->worker(config)->lookup, config->ca, NULL);
}

enum ferry_code ferry_engine_adopt(struct ferry_engine *engine, struct ferry_config *config)
{
    ferry_engine_lock(engine);
    unsigned number = engine->current != NULL ? engine->current->number + 1 : 1;
    struct ferry_generation *generation = generation_new(config, number);
    if (generation == NULL)
        ferry_config_free(config);
    else if (bind_slots(engine, config) != FERRY_OK) {
        ferry_generation_drop(generation);
        generation = NULL;
    } else {
        if (ferry_engine_use_lookup(engine, config) != FERRY_OK)
            ferry_log(FERRY_LOG_ERROR, "names cannot be looked up from now on", FERRY_NO_FIELDS);
        ferry_generation_drop(engine->current);
        engine->current = generation;
        engine->resubscribe = true;
        if (engine->once != NULL)
            ferry_once_set_window(engine->once, engine->channel->worker(config)->dedupe_window_ms);
        if (engine->claims != NULL)
            ferry_claim_set_terms(engine, config);
        pthread_cond_broadcast(&engine->work);
    }
    ferry_engine_unlock(engine);
    return generation != NULL ? FERRY_OK : FERRY_MEMORY;
}

/* ---- life ---- */

/* Timers run on the monotonic clock, so the conditions do too. */
static void init_conditions(struct ferry_engine *engine)
{
    ferry_condition_init(&engine->work);
    ferry_condition_init(&engine->settled);
    ferry_condition_init(&engine->prove);
    ferry_condition_init(&engine->restore);
    ferry_condition_init(&engine->retrieve);
}

static char *topic_name(const struct ferry_engine *engine, const char *what)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const char *name = ferry_internal_topic(&engine->current->config->topics, engine->channel->name, what, &arena);
    return name != NULL ? strdup(name) : NULL;
}

static enum ferry_code name_topics(struct ferry_engine *engine)
{
    engine->dead_letter_topic = topic_name(engine, "dlq");
    engine->effects_topic = topic_name(engine, "effects");
    engine->retry_topic = topic_name(engine, "retry");
    bool named = engine->dead_letter_topic != NULL && engine->effects_topic != NULL && engine->retry_topic != NULL;
    return named ? FERRY_OK : FERRY_MEMORY;
}

enum ferry_code ferry_engine_init(struct ferry_engine *engine, const struct ferry_channel *channel,
                                  struct ferry_config *config, struct ferry_metrics *metrics)
{
    *engine = (struct ferry_engine){.channel = channel, .metrics = metrics};
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->producer_lock, NULL);
    pthread_mutex_init(&engine->claim_lock, NULL);
    init_conditions(engine);
    ferry_report_setup(engine);
    enum ferry_code code = ferry_engine_adopt(engine, config);
    if (code == FERRY_OK)
        code = ferry_lanes_init(&engine->lanes);
    if (code == FERRY_OK)
        code = name_topics(engine);
    if (code != FERRY_OK)
        return code;
    engine->resubscribe = false;
    engine->once = ferry_once_new(channel->worker(engine->current->config)->dedupe_window_ms, FERRY_ONCE_KEYS);
    engine->retries = ferry_retry_index_new();
    engine->claims = ferry_claims_new((uint64_t)ferry_random() << 32 | ferry_random() | 1);
    if (engine->once == NULL || engine->retries == NULL || engine->claims == NULL)
        return FERRY_MEMORY;
    ferry_claim_set_terms(engine, engine->current->config);
    return ferry_marks_open(engine);
}

void ferry_engine_done(struct ferry_engine *engine)
{
    while (engine->partition_count > 0) {
        struct ferry_held_partition *partition = engine->partitions[0];
        partition->gone = true;
        while (partition->tasks > 1)
            ferry_task_drop(engine, partition->first);
        if (partition->first != NULL)
            ferry_task_drop(engine, partition->first); /* and the partition with it */
        else
            ferry_partition_reap(engine, partition);
    }
    ferry_lanes_done(&engine->lanes);
    ferry_timers_done(&engine->timers);
    ferry_once_free(engine->once);
    ferry_claims_free(engine->claims);
    ferry_retry_index_free(engine->retries);
    ferry_marks_close(engine);
    ferry_generation_drop(engine->current);
    for (struct ferry_slot *slot = engine->slots, *next; slot != NULL; slot = next) {
        next = slot->next;
        free(slot->name);
        free(slot);
    }
    for (struct ferry_destination *found = engine->destinations, *next; found != NULL; found = next) {
        next = found->next;
        free(found);
    }
    ferry_caps_done(&engine->caps);
    free(engine->partitions);
    free(engine->dead_letter_topic);
    free(engine->effects_topic);
    free(engine->retry_topic);
    ferry_arena_done(&engine->subscription_arena);
    pthread_cond_destroy(&engine->work);
    pthread_cond_destroy(&engine->settled);
    pthread_cond_destroy(&engine->prove);
    pthread_cond_destroy(&engine->restore);
    pthread_cond_destroy(&engine->retrieve);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->producer_lock);
    pthread_mutex_destroy(&engine->claim_lock);
}
