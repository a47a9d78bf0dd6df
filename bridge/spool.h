/* The spool: records that Kafka did not acknowledge in time, safe on disk (SQLite, WAL, synchronous=FULL).
 *
 * One writer thread appends, marks and deletes, many records a commit; `stored` comes after the fsync. The feeder reads
 * by a connection of its own. A row carries a sequence number, given when its request was accepted, so that feeding by
 * sequence is feeding in the order of acceptance; and a CRC-32C, since a flipped bit in a database page goes unnoticed
 * otherwise: a damaged row is set aside and named, never produced.
 *
 * A commit that failed is final for its batch: nobody is told that it is safe, nothing is tried again. Until the file
 * is sound again (it is written anew and synced, tried once a second) the spool takes no rows (FERRY_SPOOL_BROKEN).
 * When the disk is full it takes none either, but gives away a reserve, so that its rows can still leave.
 *
 * Layout: `<directory>/spool.db`, `user_version` 1; `<directory>/lock` keeps a second process out;
 * `<directory>/reserve` is room for a full disk. */
#ifndef FERRY_BRIDGE_SPOOL_H
#define FERRY_BRIDGE_SPOOL_H

#include "core/metrics.h"
#include "core/spool/spool_file.h"

struct ferry_spool;

struct ferry_spool_listener {
    void *context;
    /* On the writer's thread, once for each append: FERRY_OK when the rows are on disk (fsync returned). */
    void (*stored)(void *context, void *tag, enum ferry_code code);
};

/* Makes the directory if it is not there (0700), but not its parents. Fails with FERRY_CONFIG or FERRY_SYSTEM: cannot
 * be written, is in use by another process, or was written by a newer version; the text names the cure. */
FERRY_NODISCARD enum ferry_code ferry_spool_open(const char *directory, int64_t limit_bytes,
                                                 const struct ferry_spool_listener *listener,
                                                 struct ferry_metrics *metrics, struct ferry_spool **out,
                                                 struct ferry_error *error);
/* Writes what is queued, then frees. No other thread may use it any more. */
void ferry_spool_close(struct ferry_spool *spool);

/* Queues rows of one request; they are copied. Any thread, never waits for the disk. On FERRY_OK `stored` will come
 * once; FERRY_SPOOL_FULL and FERRY_SPOOL_BROKEN come at once and nothing is queued. */
FERRY_NODISCARD enum ferry_code ferry_spool_append(struct ferry_spool *spool, const struct ferry_spool_row *rows,
                                                   size_t count, void *tag, struct ferry_error *error);
/* The row is in Kafka. Any thread; comes after an append of the same row that is still queued. A commit that fails for
 * want of room is made up for by a later one. False when memory ran out: the row stays. */
bool ferry_spool_delete(struct ferry_spool *spool, int64_t sequence);
/* Keeps the row, but out of the way: it can never be produced (too large, damaged). `reason` is for people. Otherwise
 * as ferry_spool_delete. */
bool ferry_spool_set_aside(struct ferry_spool *spool, int64_t sequence, const char *reason);
/* Notes, and waits until it is on disk, that these rows are about to be given to the producer. Not on a shard. */
FERRY_NODISCARD enum ferry_code ferry_spool_mark_handed(struct ferry_spool *spool, const int64_t *sequences,
                                                        size_t count);
/* It was not given to the producer after all. Any thread. */
void ferry_spool_unmark_handed(struct ferry_spool *spool, int64_t sequence);

/* The first rows of a topic, by sequence, at most `limit` and a few MiB; everything in `arena`. Damaged ones are set
 * aside, left out and counted in `*damaged`. One thread alone (the feeder). `*count` 0: there is none. */
FERRY_NODISCARD enum ferry_code ferry_spool_read(struct ferry_spool *spool, struct ferry_slice topic, size_t limit,
                                                 struct ferry_arena *arena, struct ferry_spool_row **rows,
                                                 size_t *count, size_t *damaged, struct ferry_error *error);
/* The topics that have rows, and how many; in `arena`. The feeder's thread, or before it starts. */
FERRY_NODISCARD enum ferry_code ferry_spool_topics(struct ferry_spool *spool, struct ferry_arena *arena,
                                                   struct ferry_spool_topic **topics, size_t *count,
                                                   struct ferry_error *error);
/* Waits until everything that was queued before is on disk. Not on a shard. */
FERRY_NODISCARD enum ferry_code ferry_spool_sync(struct ferry_spool *spool);
/* Brings ferry_spool_oldest_seconds up to date. The feeder's thread. */
void ferry_spool_look(struct ferry_spool *spool);

/* The highest sequence number that was ever stored here; the next one is above it. */
int64_t ferry_spool_last_sequence(const struct ferry_spool *spool);
/* A commit failed, and its file is not sound again yet. Any thread. */
bool ferry_spool_is_broken(struct ferry_spool *spool);
/* Can it take an event of an ordinary size at this moment? (readiness) Any thread. */
bool ferry_spool_accepts(struct ferry_spool *spool);
/* Rows that are stored or queued. Any thread. */
int64_t ferry_spool_rows(struct ferry_spool *spool);

#endif
