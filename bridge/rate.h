/* A token bucket in one number (the generic cell rate algorithm): `events` at once, then one every window / events.
 * Lock-free, for any number of threads. */
#ifndef FERRY_BRIDGE_RATE_H
#define FERRY_BRIDGE_RATE_H

#include <stdatomic.h>

#include "core/config.h"

struct ferry_bucket {
    struct ferry_rate rate;
    _Atomic int64_t full_again_ns; /* on the monotonic clock, when no more is taken */
};

/* A full bucket; a rate of 0 events never refuses. */
void ferry_bucket_init(struct ferry_bucket *bucket, struct ferry_rate rate);
/* Takes one token, or refuses and says in how many milliseconds there will be one. */
bool ferry_bucket_take(struct ferry_bucket *bucket, int64_t mono_ms, int64_t *retry_after_ms);
/* Goes on where a bucket of the same rate stands, so that a reload is no way around the limit. */
void ferry_bucket_inherit(struct ferry_bucket *bucket, const struct ferry_bucket *older);

#endif
