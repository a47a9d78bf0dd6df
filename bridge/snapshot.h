/* What a reload replaces: the doors (webhooks with their keys) and the topics of one configuration, immutable and
 * counted by reference. Each request holds the snapshot that it met, so that a reload fails none. */
#ifndef FERRY_BRIDGE_SNAPSHOT_H
#define FERRY_BRIDGE_SNAPSHOT_H

#include <pthread.h>

#include "bridge/rate.h"
#include "core/config.h"
#include "core/route.h"
#include "core/signature.h"

/* One webhook path. */
struct ferry_door {
    const struct ferry_webhook_config *config;
    struct ferry_verifier *verifier;
    struct ferry_bucket bucket; /* the one thing that changes */
};

/* One trigger. */
enum { FERRY_TRIGGER_PATH = 80 };
struct ferry_trigger {
    const struct ferry_trigger_config *config;
    char path[FERRY_TRIGGER_PATH]; /* /triggers/NAME */
    struct ferry_bucket bucket;    /* the one thing that changes */
};

struct ferry_snapshot {
    atomic_uint references;
    const struct ferry_config *config;
    struct ferry_config *owned; /* the same, or NULL when it belongs to somebody else */
    struct ferry_topic_set *topics;
    struct ferry_door *doors;
    size_t door_count;
    struct ferry_trigger *triggers;
    size_t trigger_count;
};

/* `older` (or NULL) hands its rate buckets on. With `owned` the configuration is freed with the snapshot, but only if
 * this succeeds. Fails with FERRY_CONFIG (a secret does not fit its scheme; names file and line) or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_snapshot_new(struct ferry_config *config, bool owned,
                                                   const struct ferry_snapshot *older, struct ferry_snapshot **out,
                                                   struct ferry_error *error);
struct ferry_snapshot *ferry_snapshot_hold(struct ferry_snapshot *snapshot);
void ferry_snapshot_drop(struct ferry_snapshot *snapshot);

/* The door of exactly this path, or NULL. */
struct ferry_door *ferry_snapshot_door(const struct ferry_snapshot *snapshot, struct ferry_slice path);

/* The trigger of exactly this name, or NULL. */
struct ferry_trigger *ferry_snapshot_trigger(const struct ferry_snapshot *snapshot, struct ferry_slice name);

/* The current snapshot, for all threads. */
struct ferry_snapshot_slot {
    pthread_mutex_t lock;
    struct ferry_snapshot *current;
};
/* Takes the reference that the caller has. */
void ferry_snapshot_slot_init(struct ferry_snapshot_slot *slot, struct ferry_snapshot *first);
void ferry_snapshot_slot_done(struct ferry_snapshot_slot *slot);
/* A new reference to what is current. */
struct ferry_snapshot *ferry_snapshot_slot_get(struct ferry_snapshot_slot *slot);
/* Takes the reference that the caller has. */
void ferry_snapshot_slot_set(struct ferry_snapshot_slot *slot, struct ferry_snapshot *next);

#endif
