#include "bridge/triggers/backoff.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/hash.h"

enum {
    SETS = 1024,
    WAYS = 4,
    FREE_TRIES = 4, /* the next wrong one is followed by a wait */
    FIRST_WAIT_MS = 1000,
    LONGEST_WAIT_MS = 300000,
    FORGET_MS = 900000, /* after so long without a try */
};

struct entry {
    uint64_t who; /* 0: free */
    unsigned wrong;
    int64_t until_ms;
    int64_t last_ms;
};

struct ferry_backoff {
    pthread_mutex_t lock;
    uint64_t seed; /* so that nobody can choose addresses that fall on one set */
    struct entry sets[SETS][WAYS];
};

struct ferry_backoff *ferry_backoff_new(void)
{
    struct ferry_backoff *backoff = calloc(1, sizeof *backoff);
    if (backoff == NULL)
        return NULL;
    pthread_mutex_init(&backoff->lock, NULL);
    backoff->seed = FERRY_HASH_EMPTY;
    (void)!getrandom(&backoff->seed, sizeof backoff->seed, 0);
    return backoff;
}

void ferry_backoff_free(struct ferry_backoff *backoff)
{
    if (backoff == NULL)
        return;
    pthread_mutex_destroy(&backoff->lock);
    free(backoff);
}

static uint64_t identify(const struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger)
{
    struct ferry_ip from = ferry_ip_of_caller(caller);
    uint64_t hash = ferry_hash(backoff->seed, ferry_slice_of((const char *)from.bytes, sizeof from.bytes));
    hash = ferry_hash(hash, ferry_slice_from(trigger));
    return hash != 0 ? hash : 1;
}

/* Its entry, or NULL. */
static struct entry *find(struct ferry_backoff *backoff, uint64_t who)
{
    struct entry *set = backoff->sets[(who ^ who >> 32) % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who)
            return &set[i];
    }
    return NULL;
}

/* Its entry, or an empty one in the place of the one of its set that was tried longest ago. */
static struct entry *find_or_make(struct ferry_backoff *backoff, uint64_t who)
{
    struct entry *set = backoff->sets[(who ^ who >> 32) % SETS], *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].who == who)
            return &set[i];
        if (oldest->who != 0 && (set[i].who == 0 || set[i].last_ms < oldest->last_ms))
            oldest = &set[i];
    }
    *oldest = (struct entry){.who = who};
    return oldest;
}

int64_t ferry_backoff_wait(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger,
                           int64_t mono_ms)
{
    pthread_mutex_lock(&backoff->lock);
    const struct entry *entry = find(backoff, identify(backoff, caller, trigger));
    int64_t wait_ms = entry != NULL && entry->until_ms > mono_ms ? entry->until_ms - mono_ms : 0;
    pthread_mutex_unlock(&backoff->lock);
    return wait_ms;
}

static int64_t wait_after(unsigned wrong)
{
    int64_t wait_ms = wrong > FREE_TRIES ? FIRST_WAIT_MS : 0;
    for (unsigned i = FREE_TRIES + 1; i < wrong && wait_ms < LONGEST_WAIT_MS; i++)
        wait_ms *= 2;
    return wait_ms < LONGEST_WAIT_MS ? wait_ms : LONGEST_WAIT_MS;
}

void ferry_backoff_wrong(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger,
                         int64_t mono_ms)
{
    pthread_mutex_lock(&backoff->lock);
    struct entry *entry = find_or_make(backoff, identify(backoff, caller, trigger));
    if (entry->wrong > 0 && mono_ms - entry->last_ms > FORGET_MS)
        entry->wrong = 0;
    entry->wrong++;
    entry->last_ms = mono_ms;
    entry->until_ms = mono_ms + wait_after(entry->wrong);
    pthread_mutex_unlock(&backoff->lock);
}

void ferry_backoff_right(struct ferry_backoff *backoff, const struct ferry_ip *caller, const char *trigger)
{
    pthread_mutex_lock(&backoff->lock);
    struct entry *entry = find(backoff, identify(backoff, caller, trigger));
    if (entry != NULL)
        *entry = (struct entry){0};
    pthread_mutex_unlock(&backoff->lock);
}
