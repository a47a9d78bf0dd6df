/* Calls that came a moment ago, so that a doubled one starts nothing twice: a reload of the page, a double click, a
 * caller that tries again with its Idempotency-Key.
 *
 * A call is noted when it is published, and counts as came already from when its event is safe. A table of fixed size,
 * in which the oldest makes room: a call that was forgotten is published once more under the same id, and the workers'
 * "once" sees that. Any thread. */
#ifndef FERRY_BRIDGE_TRIGGERS_RECENT_H
#define FERRY_BRIDGE_TRIGGERS_RECENT_H

#include <stdbool.h>
#include <stdint.h>

enum { FERRY_RECENT_CALL = 16, FERRY_RECENT_ID = 33 };

struct ferry_recent;
/* NULL when memory ran out. */
struct ferry_recent *ferry_recent_new(void);
void ferry_recent_free(struct ferry_recent *recent);

/* Was the same call (16 bytes of a hash) taken within `window_ms`? Then the id of its event comes into `id`, and
 * `*safe` says whether that event is safe already. If not, it is taken now, under the id that stands there: its event
 * goes off. */
bool ferry_recent_take(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL], int64_t window_ms,
                       int64_t mono_ms, char id[FERRY_RECENT_ID], bool *safe);
/* That event is safe, or is not to be: then the next call of that kind is the first again. */
void ferry_recent_settle(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL],
                         const char id[FERRY_RECENT_ID], bool safe);

#endif
