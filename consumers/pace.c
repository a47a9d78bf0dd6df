#include "consumers/pace.h"

int64_t ferry_pace_reserve(struct ferry_pace *pace, struct ferry_rate rate, int64_t now_ms)
{
    int64_t from_ms = now_ms > pace->blocked_ms ? now_ms : pace->blocked_ms;
    if (rate.events <= 0)
        return from_ms;
    int64_t interval_us = rate.window_ms * 1000 / rate.events;
    int64_t burst_us = rate.window_ms * 1000 - interval_us; /* the whole bucket but this token */
    int64_t from_us = from_ms * 1000;
    int64_t usable_us = pace->full_us - burst_us;
    if (usable_us < from_us)
        usable_us = from_us;
    pace->full_us = (pace->full_us > from_us ? pace->full_us : from_us) + interval_us;
    return (usable_us + 999) / 1000;
}

void ferry_pace_block(struct ferry_pace *pace, int64_t until_ms)
{
    if (until_ms > pace->blocked_ms)
        pace->blocked_ms = until_ms;
}
