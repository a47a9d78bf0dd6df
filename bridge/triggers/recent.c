#include "bridge/triggers/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 1024, WAYS = 4 };

struct entry {
    bool used;
    bool safe;
    unsigned char call[FERRY_RECENT_CALL];
    char id[FERRY_RECENT_ID];
    int64_t since_ms;
};

struct ferry_recent {
    pthread_mutex_t lock;
    struct entry sets[SETS][WAYS];
};

struct ferry_recent *ferry_recent_new(void)
{
    struct ferry_recent *recent = calloc(1, sizeof *recent);
    if (recent != NULL)
        pthread_mutex_init(&recent->lock, NULL);
    return recent;
}

void ferry_recent_free(struct ferry_recent *recent)
{
    if (recent == NULL)
        return;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

/* The hash is a cryptographic one: any of its bytes choose evenly. */
static struct entry *set_of(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL])
{
    return recent->sets[((size_t)call[0] << 8 | call[1]) % SETS];
}

static struct entry *find(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL])
{
    struct entry *set = set_of(recent, call);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used && memcmp(set[i].call, call, FERRY_RECENT_CALL) == 0)
            return &set[i];
    }
    return NULL;
}

/* In the place of what was known of it, else of the oldest of its set. */
static void note(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL], int64_t mono_ms,
                 const char id[FERRY_RECENT_ID])
{
    struct entry *set = set_of(recent, call), *entry = find(recent, call);
    if (entry == NULL) {
        entry = &set[0];
        for (size_t i = 1; i < WAYS; i++) {
            if (entry->used && (!set[i].used || set[i].since_ms < entry->since_ms))
                entry = &set[i];
        }
    }
    *entry = (struct entry){.used = true, .since_ms = mono_ms};
    memcpy(entry->call, call, FERRY_RECENT_CALL);
    memcpy(entry->id, id, FERRY_RECENT_ID);
}

bool ferry_recent_take(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL], int64_t window_ms,
                       int64_t mono_ms, char id[FERRY_RECENT_ID], bool *safe)
{
    pthread_mutex_lock(&recent->lock);
    const struct entry *entry = find(recent, call);
    bool found = entry != NULL && mono_ms - entry->since_ms < window_ms;
    if (found) {
        memcpy(id, entry->id, FERRY_RECENT_ID);
        *safe = entry->safe;
    } else {
        note(recent, call, mono_ms, id);
    }
    pthread_mutex_unlock(&recent->lock);
    return found;
}

void ferry_recent_settle(struct ferry_recent *recent, const unsigned char call[FERRY_RECENT_CALL],
                         const char id[FERRY_RECENT_ID], bool safe)
{
    pthread_mutex_lock(&recent->lock);
    struct entry *entry = find(recent, call);
    if (entry != NULL && memcmp(entry->id, id, FERRY_RECENT_ID) == 0) { /* else it is about a later call by now */
        entry->safe |= safe;
        entry->used = entry->safe;
    }
    pthread_mutex_unlock(&recent->lock);
}
