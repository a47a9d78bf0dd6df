#include "bridge/rate.h"

static const int64_t ns_per_ms = 1000000;

void ferry_bucket_init(struct ferry_bucket *bucket, struct ferry_rate rate)
{
    bucket->rate = rate;
    atomic_init(&bucket->full_again_ns, 0);
}

bool ferry_bucket_take(struct ferry_bucket *bucket, int64_t mono_ms, int64_t *retry_after_ms)
{
    if (bucket->rate.events <= 0)
        return true;
    int64_t now = mono_ms * ns_per_ms;
    int64_t window = bucket->rate.window_ms * ns_per_ms;
    int64_t token = window / bucket->rate.events;
    int64_t seen = atomic_load_explicit(&bucket->full_again_ns, memory_order_relaxed);
    for (;;) {
        int64_t next = (seen > now ? seen : now) + token;
        if (next > now + window) {
            *retry_after_ms = (next - now - window + ns_per_ms - 1) / ns_per_ms;
            return false;
        }
        if (atomic_compare_exchange_weak_explicit(&bucket->full_again_ns, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
}

void ferry_bucket_inherit(struct ferry_bucket *bucket, const struct ferry_bucket *older)
{
    if (bucket->rate.events == older->rate.events && bucket->rate.window_ms == older->rate.window_ms)
        atomic_store_explicit(&bucket->full_again_ns, atomic_load_explicit(&older->full_again_ns, memory_order_relaxed),
                              memory_order_relaxed);
}
