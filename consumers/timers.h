/* What is due when: a binary heap of timers that are embedded in what waits. Pure, for one thread at a time. */
#ifndef FERRY_CONSUMERS_TIMERS_H
#define FERRY_CONSUMERS_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct ferry_timer {
    int64_t due_ms;
    uint64_t turn; /* among those that are due at the same moment: the order in which they were set */
    size_t slot;   /* in the heap, from 1; 0: not set */
};

struct ferry_timers {
    struct ferry_timer **heap; /* heap[0] is unused: children of n are 2n and 2n + 1 */
    size_t count;
    size_t capacity;
    uint64_t turns;
};

/* {0} is an empty heap. */
void ferry_timers_done(struct ferry_timers *timers);

/* Room for so many timers at once: setting them cannot fail then. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_timers_reserve(struct ferry_timers *timers, size_t count);
/* Sets a timer that is not set. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_timers_set(struct ferry_timers *timers, struct ferry_timer *timer,
                                                 int64_t due_ms);
/* Nothing happens if it is not set. */
void ferry_timers_cancel(struct ferry_timers *timers, struct ferry_timer *timer);
/* The earliest, or NULL. */
struct ferry_timer *ferry_timers_first(const struct ferry_timers *timers);

#endif
