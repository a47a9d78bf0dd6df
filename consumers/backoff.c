#include "consumers/backoff.h"

/* A whole number from 0 to `most`, from 32 random bits. */
static int64_t part(int64_t most, uint32_t random)
{
    return (int64_t)((double)most * ((double)random / (double)UINT32_MAX));
}

int64_t ferry_backoff_ms(int64_t first_ms, int64_t max_ms, int failures, uint32_t random)
{
    int64_t delay = first_ms > 0 ? first_ms : 1;
    for (int i = 1; i < failures && delay < max_ms; i++)
        delay *= 2;
    if (delay > max_ms)
        delay = max_ms;
    return delay / 2 + part(delay - delay / 2, random);
}

int64_t ferry_backoff_obey_ms(int64_t asked_ms, int64_t backoff_ms, uint32_t random)
{
    if (asked_ms <= 0)
        return backoff_ms; /* "at once", or a date that is over, is no leave to hammer */
    if (asked_ms > FERRY_RETRY_AFTER_MAX_MS)
        asked_ms = FERRY_RETRY_AFTER_MAX_MS;
    return asked_ms + part(asked_ms / 10, random);
}
