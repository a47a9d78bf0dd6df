/* Time: wall clock and monotonic in milliseconds, and RFC 3339. */
#ifndef FERRY_CORE_CLOCK_H
#define FERRY_CORE_CLOCK_H

#include <stdint.h>

#include "core/slice.h"

/* Milliseconds since 1970-01-01 UTC. */
int64_t ferry_clock_wall_ms(void);
/* A moment before all others. */
#define FERRY_EARLIEST_MS INT64_MIN
/* Milliseconds since some fixed moment; never goes back. Deadlines are measured on this one. */
int64_t ferry_clock_mono_ms(void);

enum { FERRY_TIME_TEXT = 32 };
/* "2026-11-22T19:11:25.123Z" with its NUL into `out`; returns its length. Years 0000 to 9999. */
size_t ferry_time_format(int64_t wall_ms, char out[FERRY_TIME_TEXT]);
/* Strict RFC 3339 date-time with seconds and offset (CloudEvents 1.0.2, Timestamp); a fraction of any length is cut to
 * milliseconds, a leap second counts as :59. False, and `wall_ms` untouched, for anything else. */
bool ferry_time_parse(struct ferry_slice text, int64_t *wall_ms);

#endif
