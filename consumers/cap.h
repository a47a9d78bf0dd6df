/* Caps: at most so many effects in any window of time, counted for everybody who shares a key (a recipient's domain, a
 * tenant). Pure; for one thread at a time.
 *
 * A cap remembers the moments of its last effects, so that it holds for every window, wherever that begins. A token
 * bucket (pace.h) would let nearly twice as many through in its first one, which is what an hourly limit of a mail
 * provider, or Qlik's 300 calls a minute, does not forgive.
 *
 * Who finds no room takes nothing and asks again: a place in a line that lasts for hours would be lost with a
 * rebalance, and its time with it. How many wait is counted, so that each asks about when its turn comes. */
#ifndef FERRY_CONSUMERS_CAP_H
#define FERRY_CONSUMERS_CAP_H

#include <stddef.h>

#include "core/config.h"

struct ferry_series;

struct ferry_cap {
    uint64_t id;
    struct ferry_cap *next; /* in the bucket */
    int64_t window_ms;
    int64_t *taken_ms; /* a ring: when, the oldest at `first` */
    size_t capacity;
    size_t first;
    size_t count;
    int64_t blocked_ms;  /* nobody has room before that */
    size_t waiting;      /* who asked and was turned away, and has not come back */
    int64_t promised_ms; /* to the last of those who wait elsewhere */
    struct ferry_series *gauge;
};

enum { FERRY_CAP_BUCKETS = 256, FERRY_CAPS_SWEEP = 1024 /* when so many were added, the idle ones go */ };

/* {0} is empty. */
struct ferry_caps {
    struct ferry_cap *buckets[FERRY_CAP_BUCKETS];
    size_t added; /* since the last tidying */
};

uint64_t ferry_cap_id(const char *name, struct ferry_slice key);
/* The cap with that id, made where there is none. NULL when memory ran out. */
struct ferry_cap *ferry_caps_get(struct ferry_caps *caps, uint64_t id);
/* The same, or NULL where there is none. */
struct ferry_cap *ferry_caps_find(const struct ferry_caps *caps, uint64_t id);
/* Frees the idle ones, now and then: caps that were got before are void. */
void ferry_caps_tidy(struct ferry_caps *caps, int64_t now_ms);
void ferry_caps_done(struct ferry_caps *caps);

/* When whoever asks now has room: `now_ms` at once, or about the moment at which to ask again. Takes nothing. */
int64_t ferry_cap_room(struct ferry_cap *cap, struct ferry_rate rate, int64_t now_ms);
/* For whoever is turned away and waits where it is dear to ask again (the retry topic): a moment of its own, at most a
 * window away, one after the other as there will be room. It binds nobody. */
int64_t ferry_cap_promise(struct ferry_cap *cap, struct ferry_rate rate, int64_t now_ms);
/* Counts an effect that begins now. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_cap_take(struct ferry_cap *cap, int64_t now_ms);

#endif
