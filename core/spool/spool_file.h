/* The spool's file: `<directory>/spool.db` (SQLite, WAL, synchronous=FULL) and the lock beside it. No threads of its
 * own: the functions of the first group belong to the spool's writer, those of the second to its feeder, which has a
 * connection of its own. The only files that name SQLite are these. */
#ifndef FERRY_CORE_SPOOL_FILE_H
#define FERRY_CORE_SPOOL_FILE_H

#include "core/arena.h"
#include "core/record.h"

struct ferry_spool_file;

struct ferry_spool_row {
    int64_t sequence;
    bool handed; /* was given to the producer before: may be in Kafka already */
    struct ferry_record record;
};

struct ferry_spool_topic {
    struct ferry_slice topic;
    size_t rows;
};

/* Who holds the lock of a spool directory: "ferry-bridge, process 12 on ferry-bridge-0". False: nobody, as far as one
 * may look. */
enum { FERRY_SPOOL_HOLDER = 256 };
bool ferry_spool_holder(const char *directory, char holder[FERRY_SPOOL_HOLDER]);

/* Takes the lock. Fails with FERRY_SYSTEM: cannot be written, is in use (the text says by whom), was written by a newer
 * version; the text names the cure. */
FERRY_NODISCARD enum ferry_code ferry_spool_file_open(const char *directory, struct ferry_spool_file **out,
                                                      struct ferry_error *error);
void ferry_spool_file_close(struct ferry_spool_file *file);

/* ---- the writer's ---- */

/* One transaction. Each step is false when the database refuses it; then comes ferry_spool_file_roll_back. */
bool ferry_spool_file_begin(struct ferry_spool_file *file);
bool ferry_spool_file_insert(struct ferry_spool_file *file, int64_t sequence, const char *topic, bool handed,
                             struct ferry_slice record);
bool ferry_spool_file_mark(struct ferry_spool_file *file, int64_t sequence, bool handed);
bool ferry_spool_file_set_aside(struct ferry_spool_file *file, int64_t sequence, const char *reason);
bool ferry_spool_file_delete(struct ferry_spool_file *file, int64_t sequence);
/* True when the fsync has returned; `*change`: how many rows there are more than before. */
bool ferry_spool_file_commit(struct ferry_spool_file *file, int64_t *change);
/* Says why: FERRY_MEMORY or FERRY_SPOOL_FULL (what is on the disk is sound: no room, or busy) or FERRY_SPOOL_BROKEN
 * (anything else, a failed fsync above all: unknown what is on the disk), with SQLite's words in `error`. */
enum ferry_code ferry_spool_file_roll_back(struct ferry_spool_file *file, struct ferry_error *error);

/* A commit may fail for want of room, and then what would make room, noting and deleting rows, needs some as well. So
 * a few MiB are kept beside the database, which nothing is written to; while they are given away the spool is to take
 * no more rows. */
bool ferry_spool_file_has_reserve(const struct ferry_spool_file *file);
/* Gives the reserve away, and moves the log into the database. */
void ferry_spool_file_make_room(struct ferry_spool_file *file);
/* The next commit writes the log from its beginning, unless somebody reads it: its room is used again. */
void ferry_spool_file_rewind_log(struct ferry_spool_file *file);
/* Takes it back when there is twice the room, or no row is left. */
void ferry_spool_file_restore_reserve(struct ferry_spool_file *file);
/* After FERRY_SPOOL_BROKEN. What was committed before is in the log, safely; what the failed fsync was for may be on
 * the disk or not, and must not stand between that and what comes. So the log is written into the database, synced and
 * emptied: when that succeeds the file is sound. */
bool ferry_spool_file_mend(struct ferry_spool_file *file);

/* Gives back the memory of pages that are kept. */
void ferry_spool_file_rest(struct ferry_spool_file *file);

/* Pages that hold something: what deleting gave back is not counted, though the file keeps it. */
int64_t ferry_spool_file_used_bytes(struct ferry_spool_file *file);
int64_t ferry_spool_file_rows(struct ferry_spool_file *file);
/* The highest sequence number that was ever inserted. */
int64_t ferry_spool_file_last_sequence(struct ferry_spool_file *file);

/* ---- the feeder's ---- */

/* The first rows of a topic, by sequence, at most `limit` and a few MiB; everything in `arena`. Those that are damaged
 * are left out; `damaged` has room for `limit` of their sequence numbers. `*count` 0: there is none. */
FERRY_NODISCARD enum ferry_code ferry_spool_file_read(struct ferry_spool_file *file, struct ferry_slice topic,
                                                      size_t limit, struct ferry_arena *arena,
                                                      struct ferry_spool_row **rows, size_t *count, int64_t *damaged,
                                                      size_t *damaged_count, struct ferry_error *error);
/* The same for all topics together, behind that sequence number. */
FERRY_NODISCARD enum ferry_code ferry_spool_file_read_behind(struct ferry_spool_file *file, int64_t sequence,
                                                             size_t limit, struct ferry_arena *arena,
                                                             struct ferry_spool_row **rows, size_t *count,
                                                             int64_t *damaged, size_t *damaged_count,
                                                             struct ferry_error *error);
/* The topics that have rows, and how many; in `arena`. */
FERRY_NODISCARD enum ferry_code ferry_spool_file_topics(struct ferry_spool_file *file, struct ferry_arena *arena,
                                                        struct ferry_spool_topic **topics, size_t *count,
                                                        struct ferry_error *error);
/* When the oldest row was stored (wall clock); 0: there is none. */
int64_t ferry_spool_file_oldest_ms(struct ferry_spool_file *file);

#endif
