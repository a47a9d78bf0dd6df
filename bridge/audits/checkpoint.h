/* How far a tenant's audits have been published: a position in time, and the ids of what was published since one
 * overlap before it. Pure; the record that it becomes is described in docs/audits.md. Not for several threads at once.
 *
 *      position − overlap            position
 *   ───────────┬────────────────────────┬───────────►  eventTime
 *   forgotten  │ ids are remembered     │ not asked for yet
 *
 * A sweep asks again for everything from `position − overlap` on, because Qlik lists some events late; what is
 * remembered is not published again. An id that was forgotten too early is an event published twice, never one lost. */
#ifndef FERRY_BRIDGE_AUDITS_CHECKPOINT_H
#define FERRY_BRIDGE_AUDITS_CHECKPOINT_H

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/event.h"

enum { FERRY_AUDITS_SEEN_MAX = 40000 }; /* a record of 640 KB; of more the oldest are forgotten */

struct ferry_audits_seen {
    uint64_t id;
    int64_t time_ms;
};

struct ferry_audits_checkpoint {
    int64_t epoch;    /* one up with each bridge that takes the tenant over */
    int64_t sequence; /* one up with each record of an epoch */
    int64_t position_ms;
    struct ferry_audits_seen *seen; /* sorted by id */
    size_t seen_count;
    size_t seen_room;
};

/* {0} is an empty one. Fit for FERRY_CLEANUP. */
void ferry_audits_checkpoint_done(struct ferry_audits_checkpoint *checkpoint);

/* What identifies an event here: a hash of source and id. */
uint64_t ferry_audits_id(struct ferry_slice source, struct ferry_slice id);
bool ferry_audits_checkpoint_has(const struct ferry_audits_checkpoint *checkpoint, uint64_t id);
/* False when memory ran out. */
bool ferry_audits_checkpoint_add(struct ferry_audits_checkpoint *checkpoint, uint64_t id, int64_t time_ms);
/* Forgets what happened before. */
void ferry_audits_checkpoint_prune(struct ferry_audits_checkpoint *checkpoint, int64_t before_ms);

/* Appends the value of its record: JSON. */
void ferry_audits_checkpoint_write(const struct ferry_audits_checkpoint *checkpoint, struct ferry_buffer *out);
/* Reads one; the caller is done with it later. Fails with FERRY_RECORD_INVALID, `checkpoint` untouched: not one of
 * ours, or of a version that this program does not know. */
FERRY_NODISCARD enum ferry_code ferry_audits_checkpoint_read(struct ferry_slice value,
                                                             struct ferry_audits_checkpoint *checkpoint,
                                                             struct ferry_error *error);
/* Does `a` stand for later work than `b`? */
bool ferry_audits_checkpoint_newer(const struct ferry_audits_checkpoint *a, const struct ferry_audits_checkpoint *b);

#endif
