#include "consumers/cap.h"

#include <stdlib.h>

#include "core/hash.h"

enum { FIRST_CAPACITY = 16 };

/* ---- one ---- */

static int64_t *moment(const struct ferry_cap *cap, size_t index)
{
    return &cap->taken_ms[(cap->first + index) % cap->capacity];
}

/* Forgets what lies a whole window back. */
static void forget(struct ferry_cap *cap, int64_t now_ms)
{
    while (cap->count > 0 && *moment(cap, 0) + cap->window_ms <= now_ms) {
        cap->first = (cap->first + 1) % cap->capacity;
        cap->count--;
    }
}

int64_t ferry_cap_room(struct ferry_cap *cap, struct ferry_rate rate, int64_t now_ms)
{
    int64_t free_ms = now_ms;
    cap->window_ms = rate.window_ms;
    forget(cap, now_ms);
    if ((int64_t)cap->count >= rate.events) {
        /* The one that makes room for the next, and one more for each who waits already. */
        size_t turn = cap->count - (size_t)rate.events + cap->waiting;
        free_ms = *moment(cap, turn < cap->count ? turn : cap->count - 1) + cap->window_ms;
    }
    return free_ms > cap->blocked_ms ? free_ms : cap->blocked_ms;
}

int64_t ferry_cap_promise(struct ferry_cap *cap, struct ferry_rate rate, int64_t now_ms)
{
    int64_t free_ms = ferry_cap_room(cap, rate, now_ms), latest_ms = now_ms + rate.window_ms;
    int64_t next_ms = cap->promised_ms + (rate.window_ms + rate.events - 1) / rate.events;
    cap->promised_ms = next_ms > free_ms ? next_ms : free_ms;
    if (cap->promised_ms > latest_ms)
        cap->promised_ms = latest_ms;
    return cap->promised_ms;
}

static bool grow(struct ferry_cap *cap)
{
    size_t capacity = cap->capacity > 0 ? 2 * cap->capacity : FIRST_CAPACITY;
    int64_t *taken_ms = malloc(capacity * sizeof *taken_ms);
    if (taken_ms == NULL)
        return false;
    for (size_t i = 0; i < cap->count; i++)
        taken_ms[i] = *moment(cap, i);
    free(cap->taken_ms);
    cap->taken_ms = taken_ms;
    cap->capacity = capacity;
    cap->first = 0;
    return true;
}

enum ferry_code ferry_cap_take(struct ferry_cap *cap, int64_t now_ms)
{
    if (cap->count == cap->capacity && !grow(cap))
        return FERRY_MEMORY;
    *moment(cap, cap->count) = now_ms;
    cap->count++;
    return FERRY_OK;
}

/* ---- all ---- */

uint64_t ferry_cap_id(const char *name, struct ferry_slice key)
{
    uint64_t hash = ferry_hash(FERRY_HASH_EMPTY, ferry_slice_from(name));
    return ferry_hash(ferry_hash(hash, FERRY_SLICE("/")), key);
}

static void free_cap(struct ferry_cap *cap)
{
    free(cap->taken_ms);
    free(cap);
}

static bool is_idle(struct ferry_cap *cap, int64_t now_ms)
{
    forget(cap, now_ms);
    return cap->count == 0 && cap->waiting == 0 && cap->blocked_ms <= now_ms;
}

/* Keys come from events, so their number has no other bound than what happens in a window. */
static void sweep(struct ferry_cap **at, int64_t now_ms)
{
    while (*at != NULL) {
        struct ferry_cap *cap = *at;
        if (is_idle(cap, now_ms)) {
            *at = cap->next;
            free_cap(cap);
        } else {
            at = &cap->next;
        }
    }
}

struct ferry_cap *ferry_caps_find(const struct ferry_caps *caps, uint64_t id)
{
    struct ferry_cap *cap = caps->buckets[id % FERRY_CAP_BUCKETS];
    while (cap != NULL && cap->id != id)
        cap = cap->next;
    return cap;
}

struct ferry_cap *ferry_caps_get(struct ferry_caps *caps, uint64_t id)
{
    struct ferry_cap *cap = ferry_caps_find(caps, id);
    if (cap != NULL)
        return cap;
    cap = calloc(1, sizeof *cap);
    if (cap == NULL)
        return NULL;
    struct ferry_cap **bucket = &caps->buckets[id % FERRY_CAP_BUCKETS];
    *cap = (struct ferry_cap){.id = id, .next = *bucket};
    *bucket = cap;
    caps->added++;
    return cap;
}

void ferry_caps_tidy(struct ferry_caps *caps, int64_t now_ms)
{
    if (caps->added < FERRY_CAPS_SWEEP)
        return;
    caps->added = 0;
    for (size_t i = 0; i < FERRY_CAP_BUCKETS; i++)
        sweep(&caps->buckets[i], now_ms);
}

void ferry_caps_done(struct ferry_caps *caps)
{
    for (size_t i = 0; i < FERRY_CAP_BUCKETS; i++)
        for (struct ferry_cap *cap = caps->buckets[i], *next; cap != NULL; cap = next) {
            next = cap->next;
            free_cap(cap);
        }
    *caps = (struct ferry_caps){0};
}
