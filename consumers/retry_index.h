/* What waits in a retry topic: its log, folded (core/retry_record.h, docs/decisions/retry.md).
 *
 * The index holds one row for each entry that is not settled, without its payload: where it stands, its lane, when it
 * is due. It is fed from two sides: by the reader that follows all partitions of the topic from where the group stands,
 * and, ahead of that reader, by what this process has written itself, as soon as the report is there. Facts of one
 * partition are ordered by their offsets, in whatever order they are learned: an own fact that the reader has passed
 * already is old news, and a row that an own `done` has settled is remembered until the reader has come by, so that its
 * entry does not rise again.
 *
 * A lane's entries are tried in the order of their origins, one at a time; the first is its head. Pure, for one thread
 * at a time. */
#ifndef FERRY_CONSUMERS_RETRY_INDEX_H
#define FERRY_CONSUMERS_RETRY_INDEX_H

#include "core/retry_record.h"

struct ferry_retry_lane;

/* One entry; read-only for others than the index. Lives while it is outstanding or taken. */
struct ferry_retry_row {
    const char *route; /* the index keeps names as long as it lives */
    const char *topic; /* of the origin */
    const char *run;   /* of the command that put it there; "": a worker */
    int32_t origin_partition;
    int32_t partition; /* of the retry topic */
    int64_t origin_offset;
    int64_t offset;  /* in the retry topic */
    int64_t changed; /* the offset of its newest `again`, or its own */
    int64_t settled; /* the offset of its `done`; -1: outstanding */
    int64_t first_failure_ms;
    int64_t due_ms;
    int64_t token_ms; /* the token that this process holds of its destination (monotonic); 0: none */
    int attempts;
    bool taken;  /* somebody works on it */
    bool erased; /* gone from the log; freed when it is put back */
    struct ferry_retry_lane *lane;
    struct ferry_retry_row *lane_before, *lane_behind; /* by origin offset */
    struct ferry_retry_row *log_before, *log_behind;   /* in the partition, by offset */
    size_t *tally;                                     /* of its route's rows in there */
    struct ferry_retry_row *next;                      /* in the bucket of its identity */
};

struct ferry_retry_index;

/* For a topic of no partitions yet. NULL when memory ran out. */
struct ferry_retry_index *ferry_retry_index_new(void);
void ferry_retry_index_free(struct ferry_retry_index *index);
/* The topic has that many partitions (at least as many as before). Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_retry_index_widen(struct ferry_retry_index *index, int32_t width);

/* ---- facts ---- */

/* A fact that this process has written at that place. The same entry twice counts once while the first is outstanding.
 * Fails with FERRY_MEMORY: then the fact is not known. */
FERRY_NODISCARD enum ferry_code ferry_retry_index_learn(struct ferry_retry_index *index,
                                                        const struct ferry_retry_note *note, struct ferry_slice key,
                                                        int32_t partition, int64_t offset);
/* The same, as the reader has come to it. An offset below where it was before: the topic was made anew, and what was
 * known of the partition is forgotten. */
FERRY_NODISCARD enum ferry_code ferry_retry_index_read(struct ferry_retry_index *index,
                                                       const struct ferry_retry_note *note, struct ferry_slice key,
                                                       int32_t partition, int64_t offset);
/* The reader has come so far: everything below `position` is known. Never goes back. */
void ferry_retry_index_pass(struct ferry_retry_index *index, int32_t partition, int64_t position);

/* ---- questions ---- */

/* Where the reader stands; -1: nowhere yet. */
int64_t ferry_retry_index_position(const struct ferry_retry_index *index, int32_t partition);
/* The offset below which everything of the partition is settled; -1 while the reader stands nowhere. */
int64_t ferry_retry_index_settled(const struct ferry_retry_index *index, int32_t partition);
/* Does an entry of that lane (ferry_lane_id of the original) wait? */
bool ferry_retry_index_blocks(const struct ferry_retry_index *index, uint64_t lane);
/* The outstanding entry of that route, origin and run, or NULL. */
struct ferry_retry_row *ferry_retry_index_find(const struct ferry_retry_index *index,
                                               const struct ferry_retry_note *note);
/* How many entries of the partition wait, for that route (NULL: any). */
size_t ferry_retry_index_count(const struct ferry_retry_index *index, int32_t partition, const char *route);
/* Since when that route's entry that stands first in the partition has been failing (wall clock, ms); INT64_MAX: none
 * waits. */
int64_t ferry_retry_index_oldest(const struct ferry_retry_index *index, int32_t partition, const char *route);

/* ---- work ---- */

/* When the next head of the partition is due (wall clock); INT64_MAX: none waits. */
int64_t ferry_retry_index_next_due(const struct ferry_retry_index *index, int32_t partition);
/* The head that has been due longest, taken; NULL: none is due. */
struct ferry_retry_row *ferry_retry_index_take(struct ferry_retry_index *index, int32_t partition, int64_t now_ms);
/* A taken row is due at that moment, as far as this process is concerned. */
void ferry_retry_index_postpone(struct ferry_retry_row *row, int64_t due_ms, int64_t token_ms);
/* Nobody works on it any more; it may be gone afterwards. */
void ferry_retry_index_put_back(struct ferry_retry_index *index, struct ferry_retry_row *row);
/* A taken row whose record is not in the topic any more: as if it were settled. Gone afterwards. */
void ferry_retry_index_lose(struct ferry_retry_index *index, struct ferry_retry_row *row);

#endif
