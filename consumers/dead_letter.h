/* Dead letters: what permanently failed, kept whole in `<internal>.<worker>.dlq` (docs/contract.md, "Workers"). Pure.
 */
#ifndef FERRY_CONSUMERS_DEAD_LETTER_H
#define FERRY_CONSUMERS_DEAD_LETTER_H

#include "core/arena.h"
#include "core/record.h"

struct ferry_dead_letter {
    enum ferry_code error;
    const char *reason;
    int attempts;
    const char *route; /* NULL: the record itself could not be read */
    int64_t failed_at_ms;
};

/* "<internal>.<worker>.<what>" with `what` dlq, retry or effects; in the arena, NULL when memory ran out. */
char *ferry_internal_topic(const struct ferry_topics_config *topics, const char *worker, const char *what,
                           struct ferry_arena *arena);

/* The record that goes there: value, key and headers of `origin` byte-identical, but for the block of an
 * earlier death at their end, and this one's: ferry-error, ferry-reason, ferry-attempts, ferry-origin, ferry-route,
 * ferry-failed-at. Borrowed from `origin` and `letter`, or in the arena. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_dead_letter_make(const struct ferry_dead_letter *letter,
                                                       const struct ferry_record *origin, const char *topic,
                                                       struct ferry_arena *arena, struct ferry_record *record);

#endif
