/* Who shows wrong keys waits, and longer each time: 1 s after the fifth wrong one, then twice as long, up to 5 minutes.
 *
 * Kept by caller (IPv6 by /64) and trigger: a right key of one trigger clears nothing of another, and callers with two
 * triggers, whose browser first offers the password of the other, are not held up. A table of fixed size, in which the
 * caller that has been quiet longest makes room. Any thread. */
#ifndef FERRY_BRIDGE_TRIGGERS_BACKOFF_H
#define FERRY_BRIDGE_TRIGGERS_BACKOFF_H

#include "bridge/address.h"

struct ferry_backoff;
/* NULL when memory ran out. */
struct ferry_backoff *ferry_backoff_new(void);
void ferry_backoff_free(struct ferry_backoff *backoff);

/* For how many milliseconds no key of this caller is looked at; 0: it may try. */
int64_t ferry_backoff_wait(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger,
                           int64_t mono_ms);
/* The caller's key was wrong. */
void ferry_backoff_wrong(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger,
                         int64_t mono_ms);
/* It was right: what was before is forgotten. */
void ferry_backoff_right(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger);

#endif
