/* How long to wait before the next attempt. Pure. */
#ifndef FERRY_CONSUMERS_BACKOFF_H
#define FERRY_CONSUMERS_BACKOFF_H

#include <stdint.h>

enum { FERRY_RETRY_AFTER_MAX_MS = 3600 * 1000 };

/* Doubles from `first_ms` with every failure up to `max_ms`, then takes a random part of the upper half, so that what
 * failed together does not come back together. `failures` counts from 1; `random` is any 32 random bits. */
int64_t ferry_backoff_ms(int64_t first_ms, int64_t max_ms, int failures, uint32_t random);

/* What the peer asked for (Retry-After; -1: nothing, and 0 is as good), obeyed up to an hour and never undercut, plus
 * up to a tenth; or the back-off. */
int64_t ferry_backoff_obey_ms(int64_t asked_ms, int64_t backoff_ms, uint32_t random);

#endif
