#include "bridge/snapshot.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void free_snapshot(struct ferry_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->door_count; i++)
        ferry_verifier_free(snapshot->doors[i].verifier);
    free(snapshot->doors);
    free(snapshot->triggers);
    ferry_topic_set_free(snapshot->topics);
    ferry_config_free(snapshot->owned);
    free(snapshot);
}

static enum ferry_code open_door(const struct ferry_webhook_config *webhook, const struct ferry_snapshot *older,
                                 struct ferry_door *door, struct ferry_error *error)
{
    struct ferry_error why = {0};
    enum ferry_code code =
        ferry_verifier_new(webhook->signature, webhook->secrets, webhook->secret_count, &door->verifier, &why);
    if (code != FERRY_OK)
        return ferry_fail(error, code, "%s:%d: webhook %s: %s", webhook->place.file, webhook->place.line, webhook->path,
                          why.text);
    door->config = webhook;
    ferry_bucket_init(&door->bucket, webhook->rate);
    const struct ferry_door *before =
        older != NULL ? ferry_snapshot_door(older, ferry_slice_from(webhook->path)) : NULL;
    if (before != NULL)
        ferry_bucket_inherit(&door->bucket, &before->bucket);
    return FERRY_OK;
}

static enum ferry_code open_doors(struct ferry_snapshot *snapshot, const struct ferry_snapshot *older,
                                  struct ferry_error *error)
{
    const struct ferry_bridge_config *bridge = &snapshot->config->bridge;
    snapshot->doors = calloc(bridge->webhook_count + 1, sizeof *snapshot->doors);
    snapshot->topics = ferry_topic_set_new(snapshot->config);
    if (snapshot->doors == NULL || snapshot->topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (; snapshot->door_count < bridge->webhook_count; snapshot->door_count++) {
        enum ferry_code code =
            open_door(&bridge->webhooks[snapshot->door_count], older, &snapshot->doors[snapshot->door_count], error);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

static enum ferry_code open_triggers(struct ferry_snapshot *snapshot, const struct ferry_snapshot *older,
                                     struct ferry_error *error)
{
    const struct ferry_bridge_config *bridge = &snapshot->config->bridge;
    snapshot->triggers = calloc(bridge->trigger_count + 1, sizeof *snapshot->triggers);
    if (snapshot->triggers == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (; snapshot->trigger_count < bridge->trigger_count; snapshot->trigger_count++) {
        struct ferry_trigger *trigger = &snapshot->triggers[snapshot->trigger_count];
        trigger->config = &bridge->triggers[snapshot->trigger_count];
        snprintf(trigger->path, sizeof trigger->path, "/triggers/%s", trigger->config->name);
        ferry_bucket_init(&trigger->bucket, trigger->config->rate);
        const struct ferry_trigger *before =
            older != NULL ? ferry_snapshot_trigger(older, ferry_slice_from(trigger->config->name)) : NULL;
        if (before != NULL)
            ferry_bucket_inherit(&trigger->bucket, &before->bucket);
    }
    return FERRY_OK;
}

enum ferry_code ferry_snapshot_new(struct ferry_config *config, bool owned, const struct ferry_snapshot *older,
                                   struct ferry_snapshot **out, struct ferry_error *error)
{
    struct ferry_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    atomic_init(&snapshot->references, 1);
    snapshot->config = config;
    enum ferry_code code = open_doors(snapshot, older, error);
    if (code == FERRY_OK)
        code = open_triggers(snapshot, older, error);
    if (code != FERRY_OK) {
        free_snapshot(snapshot);
        return code;
    }
    snapshot->owned = owned ? config : NULL;
    *out = snapshot;
    return FERRY_OK;
}

struct ferry_snapshot *ferry_snapshot_hold(struct ferry_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void ferry_snapshot_drop(struct ferry_snapshot *snapshot)
{
    if (snapshot != NULL && atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1)
        free_snapshot(snapshot);
}

struct ferry_door *ferry_snapshot_door(const struct ferry_snapshot *snapshot, struct ferry_slice path)
{
    for (size_t i = 0; i < snapshot->door_count; i++) {
        if (ferry_slice_is(path, snapshot->doors[i].config->path))
            return &snapshot->doors[i];
    }
    return NULL;
}

struct ferry_trigger *ferry_snapshot_trigger(const struct ferry_snapshot *snapshot, struct ferry_slice name)
{
    for (size_t i = 0; i < snapshot->trigger_count; i++) {
        if (ferry_slice_is(name, snapshot->triggers[i].config->name))
            return &snapshot->triggers[i];
    }
    return NULL;
}

void ferry_snapshot_slot_init(struct ferry_snapshot_slot *slot, struct ferry_snapshot *first)
{
    pthread_mutex_init(&slot->lock, NULL);
    slot->current = first;
}

void ferry_snapshot_slot_done(struct ferry_snapshot_slot *slot)
{
    ferry_snapshot_drop(slot->current);
    pthread_mutex_destroy(&slot->lock);
}

struct ferry_snapshot *ferry_snapshot_slot_get(struct ferry_snapshot_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct ferry_snapshot *snapshot = ferry_snapshot_hold(slot->current);
    pthread_mutex_unlock(&slot->lock);
    return snapshot;
}

void ferry_snapshot_slot_set(struct ferry_snapshot_slot *slot, struct ferry_snapshot *next)
{
    assert(next != NULL);
    pthread_mutex_lock(&slot->lock);
    struct ferry_snapshot *before = slot->current;
    slot->current = next;
    pthread_mutex_unlock(&slot->lock);
    ferry_snapshot_drop(before);
}
