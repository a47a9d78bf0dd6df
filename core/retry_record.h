/* The records of the retry topics `<internal>.<worker>.retry`, written by the workers and by the operator's commands.
 * Pure; docs/decisions/retry.md says what they are for.
 *
 * Three kinds, told apart by the header `ferry-retry`:
 *
 *   entry   waits for its next attempt: the original key, value and headers, then Ferry's own headers behind them
 *   again   an attempt failed: what the entry of that route and origin is due at now
 *   done    the entry of that route and origin is settled
 *
 * `again` and `done` have the entry's key, an empty value and Ferry's headers alone. An entry is known by its route,
 * its origin (the place of the original record) and, if a command has put it there, the command's run. It stands in the
 * partition of its origin's number, modulo the width of the topic, as the marks of its effects do in theirs.
 *
 * All carry `ferry-version`, the format's number; without one it is 1. It goes up only where an older reader would
 * misread a record, never for one more header (docs/upgrade.md).
 *
 * Ferry's own headers are one block at the end. In an entry it begins at the last `ferry-retry`; in a dead letter it is
 * the last six, from `ferry-error` on. Headers of those names before the block belong to the original. */
#ifndef FERRY_CORE_RETRY_RECORD_H
#define FERRY_CORE_RETRY_RECORD_H

#include "core/arena.h"
#include "core/record.h"

enum { FERRY_RETRY_VERSION = 1 };

/* Where the original record stands. */
struct ferry_origin {
    struct ferry_slice topic;
    int32_t partition;
    int64_t offset;
};

/* "topic/partition/offset", in the arena; absent when memory ran out. */
struct ferry_slice ferry_origin_text(const struct ferry_origin *origin, struct ferry_arena *arena);

/* The headers of a dead letter's block, in their order. */
enum { FERRY_LETTER_HEADERS = 6 };
extern const char *const ferry_letter_headers[FERRY_LETTER_HEADERS];

enum ferry_retry_kind { FERRY_RETRY_ENTRY, FERRY_RETRY_AGAIN, FERRY_RETRY_DONE };

/* What Ferry's own headers say. Slices are borrowed; an absent one has no header. Times are wall clock. */
struct ferry_retry_note {
    enum ferry_retry_kind kind;
    struct ferry_slice route;
    struct ferry_origin origin;
    int attempts; /* made so far */
    /* entry and again */
    int64_t first_failure_ms; /* or, of what was never tried, when it was put there */
    int64_t due_ms;
    struct ferry_slice error; /* the name of a code, and words for people, masked; of the last failure */
    struct ferry_slice reason;
    /* by an operator's command; `again` and `done` repeat them */
    struct ferry_slice redrive; /* run id: it is a dead letter that is tried again */
    struct ferry_slice replay;  /* run id: it is an old record that is replayed */
    bool effects;               /* … and is to take effect, if it has not before */
    bool again;                 /* … and is to take effect though it has before */
    /* done */
    struct ferry_slice outcome; /* as in ferry_effects_total */
    struct ferry_slice effect;  /* 32 hex digits: the key of an effect that was had, or may have been */
    /* dead letters alone */
    int64_t failed_at_ms;
};

/* The run of the command that has put the entry there; empty: it was a worker. */
struct ferry_slice ferry_retry_run(const struct ferry_retry_note *note);

/* The partition of an origin's entries in a retry topic of `width` partitions. */
int32_t ferry_retry_partition(int32_t origin_partition, int32_t width);

/* Each makes a record for that topic; `note->kind` is not looked at. Headers are in the arena or borrowed from the
 * note, everything else is borrowed. Fails with FERRY_MEMORY.
 * An entry: `original` as it was fetched, or as ferry_retry_original gave it. */
FERRY_NODISCARD enum ferry_code ferry_retry_entry_make(const struct ferry_retry_note *note,
                                                       const struct ferry_record *original, const char *topic,
                                                       struct ferry_arena *arena, struct ferry_record *record);
/* A failed attempt, and a settled entry; `key` is the original's. */
FERRY_NODISCARD enum ferry_code ferry_retry_again_make(const struct ferry_retry_note *note, struct ferry_slice key,
                                                       const char *topic, struct ferry_arena *arena,
                                                       struct ferry_record *record);
FERRY_NODISCARD enum ferry_code ferry_retry_done_make(const struct ferry_retry_note *note, struct ferry_slice key,
                                                      const char *topic, struct ferry_arena *arena,
                                                      struct ferry_record *record);

/* Reads a record of a retry topic; the note borrows from it. Fails with FERRY_RECORD_INVALID (the text says why): then
 * it is none of ours. `error` may be NULL. */
FERRY_NODISCARD enum ferry_code ferry_retry_read(const struct ferry_record *record, struct ferry_retry_note *note,
                                                 struct ferry_error *error);
/* The same of a dead letter: route (empty: it could not be read), origin, attempts, error, reason, failed_at_ms. */
FERRY_NODISCARD enum ferry_code ferry_retry_read_letter(const struct ferry_record *letter,
                                                        struct ferry_retry_note *note, struct ferry_error *error);

/* Is it of a later format than this program knows? ferry_retry_read refuses it, and nobody may pass it over. */
bool ferry_retry_is_newer(const struct ferry_record *record);

/* The original of an entry or of a dead letter: the same record without the block of Ferry's own headers, borrowed.
 * What has no such block is returned as it is. Topic, partition and offset stay those of the record. */
struct ferry_record ferry_retry_original(const struct ferry_record *record);
/* The same where the record may be a letter, and else is no entry but somebody's own: only a letter's block goes. */
struct ferry_record ferry_retry_letter_original(const struct ferry_record *record);

#endif
