/* Event ↔ Kafka record: the CloudEvents Kafka protocol binding 1.0.2, binary and structured mode, and Ferry's own
 * headers. Knows nothing of librdkafka. */
#ifndef FERRY_CORE_RECORD_H
#define FERRY_CORE_RECORD_H

#include "core/config.h"
#include "core/error.h"
#include "core/event.h"

/* A record to produce, or one that was fetched. Borrowed from whoever made it. A `value` of length 0 with `ptr` set
 * is an empty value, never a tombstone. */
struct ferry_record {
    struct ferry_slice topic;
    struct ferry_slice key; /* absent: no key */
    struct ferry_slice value;
    struct ferry_pair *headers; /* header values may hold any bytes */
    size_t header_count;
    /* of fetched records */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
};

/* What else the record says of itself. */
struct ferry_record_marks {
    bool maybe_duplicate; /* ferry-maybe-duplicate: true */
    bool backfill;        /* ferry-backfill: true */
    bool effects;         /* ferry-effects: yes, of one that is back-filled or replayed: workers let it take effect */
    struct ferry_slice replay; /* ferry-replay: run id */
};

/* Makes the record of an event for that topic and key. Headers live in the arena, everything else is borrowed from
 * the event (structured mode: the value is in the arena). `marks` may be NULL. Fails with FERRY_MEMORY alone. */
FERRY_NODISCARD enum ferry_code ferry_record_make(const struct ferry_event *event, struct ferry_slice topic,
                                                  struct ferry_slice key, enum ferry_encoding encoding,
                                                  const struct ferry_record_marks *marks, struct ferry_arena *arena,
                                                  struct ferry_record *record, struct ferry_error *error);

/* Adds `ferry-maybe-duplicate: true` to a record that is about to be produced once more. Its headers are in the arena
 * from then on. False, and the record untouched, when memory ran out. */
FERRY_NODISCARD bool ferry_record_mark_maybe_duplicate(struct ferry_record *record, struct ferry_arena *arena);

/* Reads a record back: binary or structured mode by content-type. Fails with FERRY_RECORD_INVALID (the text says what
 * is missing) or FERRY_MEMORY. Events that another CloudEvents producer wrote are read as well: `canonical` comes from
 * `ferry-event`, else from the type; a missing `time` from the record's timestamp. FERRY_DATA_JSON is JSON, checked.
 * The event borrows from the record and the arena. */
FERRY_NODISCARD enum ferry_code ferry_record_read(const struct ferry_record *record, struct ferry_arena *arena,
                                                  struct ferry_event *event, struct ferry_error *error);

/* The value of the first header of that name (exact), or the absent slice. */
struct ferry_slice ferry_record_header(const struct ferry_record *record, const char *name);

#endif
