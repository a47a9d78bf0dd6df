/* The pace of a destination: a token bucket whose tokens are reserved in order, so that everybody who has to wait
 * waits once and knows how long (GCRA: the bucket is one moment, the one at which it will be full). Pure. */
#ifndef FERRY_CONSUMERS_PACE_H
#define FERRY_CONSUMERS_PACE_H

#include "core/config.h"

struct ferry_pace {
    int64_t full_us;    /* when all tokens are back, on the monotonic clock */
    int64_t blocked_ms; /* nobody sends before that (the destination said so) */
};

/* Takes the next token and returns the moment (ms, monotonic) at which it may be used: `now_ms` at once. A rate of 0
 * events has no limit, but is blocked all the same. */
int64_t ferry_pace_reserve(struct ferry_pace *pace, struct ferry_rate rate, int64_t now_ms);
/* The destination wants to be left alone until `until_ms`; reservations before that are void. */
void ferry_pace_block(struct ferry_pace *pace, int64_t until_ms);

#endif
