/* The poller: records in, offsets out. The only thread that calls the consumer; it waits for nobody but in a
 * rebalance, and there a bounded time. */
#include <stdlib.h>
#include <unistd.h>

#include "consumers/engine.h"
#include "consumers/subscribe.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    POLL_MS = 50,
    KEEP_HOUSE_MS = 20, /* offsets are stored and partitions resumed at most so much later */
    LAG_MS = 1000,
    REOPEN_MS = 5000,     /* after a subscription that could not be opened */
    DRAIN_SOFT_MS = 7000, /* in a rebalance */
    DRAIN_HARD_MS = 10000,
    STOP_RESERVE_MS = 2000, /* of shutdown_timeout, for leaving the group and the last dead letters */
    RECORD_OVERHEAD = 512
};

/* A worker that cannot hold a record any more ends: what is not settled is not stored, so the next start reads it
 * again. Going on would mean to skip it. */
static _Noreturn void die(const char *why)
{
    ferry_log(FERRY_LOG_ERROR, "the worker ends", FERRY_FIELDS(ferry_text("reason", why)));
    _exit(FERRY_EXIT_FAILED);
}

/* ---- records ---- */

static size_t size_of(const struct ferry_record *record)
{
    size_t bytes = RECORD_OVERHEAD + record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++)
        bytes += record->headers[i].name.len + record->headers[i].value.len;
    return bytes;
}

struct ferry_delivery *ferry_delivery_new(struct ferry_fetched *fetched, uint64_t serial)
{
    struct ferry_delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL)
        return NULL;
    delivery->fetched = fetched;
    delivery->serial = serial;
    delivery->bytes = size_of(&fetched->record);
    enum ferry_code code =
        ferry_record_read(&fetched->record, &delivery->arena, &delivery->event, &delivery->unreadable);
    delivery->unreadable.code = code;
    if (code != FERRY_MEMORY)
        return delivery;
    ferry_arena_done(&delivery->arena);
    free(delivery);
    return NULL;
}

/* The routes that want the event get a task each; without `partition` they are only counted. */
static uint32_t give_to_routes(struct ferry_engine *engine, struct ferry_held_partition *partition,
                               struct ferry_delivery *delivery)
{
    uint32_t wanted = 0;
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next) {
        if (slot->index < 0)
            continue;
        const struct ferry_route_config *route = engine->channel->route(engine->current->config, (size_t)slot->index);
        if (!ferry_route_wants(route, delivery->event.canonical))
            continue;
        wanted++;
        if (partition != NULL && ferry_task_add(engine, partition, delivery, slot, NULL) != FERRY_OK)
            die("out of memory");
    }
    return wanted;
}

static uint32_t tasks_of(struct ferry_engine *engine, struct ferry_delivery *delivery)
{
    if (ferry_topic_has_no_events(&engine->current->config->topics, delivery->fetched->record.topic))
        return 0;
    return delivery->unreadable.code != FERRY_OK ? 1 : give_to_routes(engine, NULL, delivery);
}

static bool holds_more_than(const struct ferry_held_partition *partition, size_t part)
{
    return partition->records > FERRY_HELD_RECORDS / part || partition->bytes > FERRY_HELD_BYTES / part ||
           partition->offsets.count > FERRY_HELD_OFFSETS / part;
}

static void pause_if_full(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    if (partition->paused || !holds_more_than(partition, 1))
        return;
    partition->paused = true;
    ferry_consumer_pause(engine->consumer, partition->topic, partition->number);
}

/* Enters the record and makes its tasks; the delivery belongs to them, or is freed if there are none. */
static void enter(struct ferry_engine *engine, struct ferry_held_partition *partition, struct ferry_delivery *delivery)
{
    uint32_t tasks = tasks_of(engine, delivery);
    if (ferry_offsets_add(&partition->offsets, delivery->fetched->record.offset, tasks) != FERRY_OK)
        die("out of memory");
    if (tasks == 0) {
        ferry_delivery_free(delivery);
        return;
    }
    partition->bytes += delivery->bytes;
    partition->records++;
    delivery->references = 1; /* ours, so that a task which ends at once does not take the record with it */
    if (delivery->unreadable.code == FERRY_OK)
        give_to_routes(engine, partition, delivery);
    else if (ferry_task_add(engine, partition, delivery, NULL, NULL) != FERRY_OK)
        die("out of memory");
    delivery->references--;
    pause_if_full(engine, partition);
}

/* The log under a partition was cut and grows anew (an unclean election): what is held of it is abandoned, and the
 * offsets begin again. */
static struct ferry_held_partition *begin_again(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    ferry_log(FERRY_LOG_WARN, "the partition was rewound",
              FERRY_FIELDS(ferry_text("topic", partition->topic), ferry_number("partition", partition->number)));
    int32_t number = partition->number;
    char *topic = strdup(partition->topic);
    ferry_partition_give_up(engine, partition);
    if (topic == NULL || ferry_partition_add(engine, topic, number) != FERRY_OK)
        die("out of memory");
    struct ferry_held_partition *anew = ferry_partition_find(engine, ferry_slice_from(topic), number);
    free(topic);
    return anew;
}

static void take(struct ferry_engine *engine, struct ferry_fetched *fetched)
{
    struct ferry_delivery *delivery = ferry_delivery_new(fetched, ++engine->serial);
    if (delivery == NULL)
        die("out of memory");
    const struct ferry_record *record = &fetched->record;
    ferry_engine_lock(engine);
    struct ferry_held_partition *partition = ferry_partition_find(engine, record->topic, record->partition);
    if (partition != NULL && partition->retry)
        partition = NULL; /* before it could be paused; the retriever brings what is due */
    if (partition != NULL && !ferry_offsets_follows(&partition->offsets, record->offset))
        partition = begin_again(engine, partition);
    if (partition != NULL && !partition->revoking)
        enter(engine, partition, delivery);
    else
        ferry_delivery_free(delivery); /* not ours any more */
    ferry_engine_unlock(engine);
}

/* ---- offsets ---- */

static void store(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    int64_t next =
        partition->retry ? ferry_retry_index_settled(engine->retries, partition->number) : partition->offsets.next;
    if (partition->gone || next <= partition->stored)
        return;
    partition->stored = next;
    ferry_consumer_store(engine->consumer, partition->topic, partition->number, partition->stored);
}

static void resume_if_room(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    if (!partition->paused || partition->gone || partition->retry || holds_more_than(partition, 2))
        return;
    partition->paused = false;
    ferry_consumer_resume(engine->consumer, partition->topic, partition->number);
}

/* The retry topic is in the subscription for the sake of its owners alone: nothing of it is fetched that way. */
static void pause_retry(struct ferry_engine *engine, struct ferry_held_partition *partition)
{
    if (!partition->retry || partition->paused || partition->gone)
        return;
    partition->paused = true;
    ferry_consumer_pause(engine->consumer, partition->topic, partition->number);
}

static void keep_house(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++) {
        store(engine, engine->partitions[i]);
        pause_retry(engine, engine->partitions[i]);
        resume_if_room(engine, engine->partitions[i]);
    }
    ferry_engine_unlock(engine);
}

/* What waits for a route in those partitions of the retry topic that are ours. */
static void look_at_waiting(struct ferry_engine *engine, struct ferry_slot *slot)
{
    int64_t now_ms = ferry_clock_wall_ms(), since_ms = now_ms;
    slot->outstanding = 0;
    for (size_t i = 0; i < engine->partition_count; i++) {
        const struct ferry_held_partition *partition = engine->partitions[i];
        if (!partition->retry || partition->gone)
            continue;
        slot->outstanding += ferry_retry_index_count(engine->retries, partition->number, slot->name);
        int64_t oldest_ms = ferry_retry_index_oldest(engine->retries, partition->number, slot->name);
        since_ms = oldest_ms < since_ms ? oldest_ms : since_ms;
    }
    ferry_slot_count_waiting(slot);
    ferry_series_set(slot->retry_oldest, (double)(now_ms - since_ms) / 1000);
}

/* Now and then: what waits outside is counted, and partitions that are full are relieved. */
static void look_after_waiting(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    for (struct ferry_slot *slot = engine->slots; slot != NULL; slot = slot->next)
        look_at_waiting(engine, slot);
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->paused)
            ferry_partition_spill(engine, engine->partitions[i]);
    ferry_engine_unlock(engine);
}

/* ---- rebalances ---- */

static void assigned(void *context, const struct ferry_partition *partitions, size_t count)
{
    struct ferry_engine *engine = context;
    ferry_engine_lock(engine);
    for (size_t i = 0; i < count; i++) {
        struct ferry_slice topic = ferry_slice_from(partitions[i].topic);
        if (ferry_partition_find(engine, topic, partitions[i].partition) != NULL)
            continue;
        if (ferry_partition_add(engine, partitions[i].topic, partitions[i].partition) != FERRY_OK)
            die("out of memory");
    }
    ferry_engine_unlock(engine);
}

/* Waits for what is begun, stores how far it came, and gives the partition up. */
static void let_go(struct ferry_engine *engine, struct ferry_held_partition *partition, int64_t soft_ms,
                   int64_t hard_ms)
{
    ferry_partition_drain(engine, partition, soft_ms, hard_ms);
    store(engine, partition);
    ferry_partition_give_up(engine, partition);
}

static struct ferry_held_partition *held(struct ferry_engine *engine, const struct ferry_partition *partition)
{
    return ferry_partition_find(engine, ferry_slice_from(partition->topic), partition->partition);
}

/* All are closed before the first is waited for, so that all have the whole time. Of lost ones nothing may be stored,
 * so there is nothing to wait for: what is under way there ends without them. */
static void revoked(void *context, const struct ferry_partition *partitions, size_t count, bool lost)
{
    struct ferry_engine *engine = context;
    int64_t now_ms = ferry_clock_mono_ms();
    struct ferry_held_partition *partition;
    ferry_engine_lock(engine);
    for (size_t i = 0; i < count; i++)
        if ((partition = held(engine, &partitions[i])) != NULL)
            ferry_partition_close(engine, partition);
    for (size_t i = 0; i < count; i++)
        if ((partition = held(engine, &partitions[i])) != NULL && lost)
            ferry_partition_give_up(engine, partition);
        else if (partition != NULL)
            let_go(engine, partition, now_ms + DRAIN_SOFT_MS, now_ms + DRAIN_HARD_MS);
    ferry_engine_unlock(engine);
}

/* One that is still ours; NULL when all are given up. */
static struct ferry_held_partition *any_held(const struct ferry_engine *engine)
{
    for (size_t i = 0; i < engine->partition_count; i++)
        if (!engine->partitions[i]->gone)
            return engine->partitions[i];
    return NULL;
}

static void let_all_go(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    int64_t hard_ms = engine->stop_by_ms - STOP_RESERVE_MS, soft_ms = hard_ms - STOP_RESERVE_MS;
    for (size_t i = 0; i < engine->partition_count; i++)
        if (!engine->partitions[i]->gone)
            ferry_partition_close(engine, engine->partitions[i]);
    for (struct ferry_held_partition *partition; (partition = any_held(engine)) != NULL;)
        let_go(engine, partition, soft_ms, hard_ms);
    ferry_engine_unlock(engine);
}

/* ---- subscription ---- */

static bool same_strings(struct ferry_strings a, struct ferry_strings b)
{
    bool same = a.count == b.count;
    for (size_t i = 0; same && i < a.count; i++)
        same = strcmp(a.items[i], b.items[i]) == 0;
    return same;
}

/* Whether the current configuration reads other topics than the consumer does; makes them the wanted ones. */
static bool subscription_changed(struct ferry_engine *engine)
{
    struct ferry_arena arena = {0};
    struct ferry_strings topics;
    ferry_engine_lock(engine);
    enum ferry_code code = ferry_subscription(engine->channel, engine->current->config, &arena, &topics);
    bool changed = code == FERRY_OK && !same_strings(topics, engine->subscription);
    engine->resubscribe = false;
    ferry_engine_unlock(engine);
    struct ferry_arena unused = changed ? engine->subscription_arena : arena;
    if (changed) {
        engine->subscription_arena = arena;
        engine->subscription = topics;
    }
    ferry_arena_done(&unused);
    return changed;
}

static enum ferry_code open_consumer(struct ferry_engine *engine, struct ferry_error *error)
{
    struct ferry_generation *generation = ferry_engine_take_generation(engine);
    const struct ferry_config *config = generation->config;
    const struct ferry_worker_config *worker = engine->channel->worker(config);
    const struct ferry_consumer_options options = {.group = worker->group,
                                                   .topics = engine->subscription,
                                                   .start = worker->start,
                                                   .from_beginning = engine->retry_topic,
                                                   .common = config->kafka,
                                                   .overrides = worker->kafka};
    const struct ferry_consumer_listener listener = {engine, assigned, revoked};
    enum ferry_code code = ferry_consumer_open(&options, &listener, engine->metrics, &engine->consumer, error);
    ferry_engine_drop_generation(engine, generation);
    return code;
}

enum ferry_code ferry_poller_open(struct ferry_engine *engine, struct ferry_error *error)
{
    subscription_changed(engine);
    return open_consumer(engine, error);
}

/* A consumer is never re-subscribed while it holds records: it is closed, which drains, and opened anew. */
static void subscribe_anew(struct ferry_engine *engine)
{
    ferry_log(FERRY_LOG_INFO, "the routes read other topics now, subscribing anew",
              FERRY_FIELDS(ferry_number("topics", (int64_t)engine->subscription.count)));
    atomic_store(&engine->ready_for_work, false);
    ferry_consumer_close(engine->consumer);
    engine->consumer = NULL;
}

static bool ensure_consumer(struct ferry_engine *engine)
{
    struct ferry_error error = {0};
    if (engine->consumer != NULL || open_consumer(engine, &error) == FERRY_OK)
        return true;
    ferry_log(FERRY_LOG_ERROR, "cannot subscribe", FERRY_FIELDS(ferry_text("reason", error.text)));
    return false;
}

/* ---- the loop ---- */

static bool must_stop(struct ferry_engine *engine, bool *resubscribe)
{
    ferry_engine_lock(engine);
    bool stopping = engine->stopping;
    *resubscribe = engine->resubscribe;
    ferry_engine_unlock(engine);
    return stopping;
}

static void poll_once(struct ferry_engine *engine, int64_t *house_ms, int64_t *lag_ms)
{
    struct ferry_fetched *fetched = ferry_consumer_poll(engine->consumer, POLL_MS);
    if (fetched != NULL)
        take(engine, fetched);
    atomic_store(&engine->ready_for_work, ferry_consumer_ready(engine->consumer));
    int64_t now_ms = ferry_clock_mono_ms();
    if (now_ms >= *house_ms) {
        keep_house(engine);
        *house_ms = now_ms + KEEP_HOUSE_MS;
    }
    if (now_ms >= *lag_ms) {
        ferry_consumer_update_lag(engine->consumer);
        look_after_waiting(engine);
        *lag_ms = now_ms + LAG_MS;
    }
}

void *ferry_poller_run(void *context)
{
    struct ferry_engine *engine = context;
    int64_t house_ms = 0, lag_ms = 0;
    bool resubscribe;
    while (!must_stop(engine, &resubscribe)) {
        if (resubscribe && subscription_changed(engine))
            subscribe_anew(engine);
        if (ensure_consumer(engine))
            poll_once(engine, &house_ms, &lag_ms);
        else
            usleep(REOPEN_MS * 1000 / 10);
    }
    let_all_go(engine);
    if (engine->consumer != NULL)
        ferry_consumer_close(engine->consumer);
    engine->consumer = NULL;
    return NULL;
}
