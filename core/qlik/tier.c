#include "core/qlik/tier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_MS = 61 }; /* a little under 1,000 a minute */

struct tier {
    char *tenant;
    int64_t next_turn_ms; /* monotonic, as the other */
    int64_t blocked_until_ms;
    struct tier *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tier *tiers; /* one a tenant that was ever asked; never freed */

/* The lock is held. NULL when memory ran out. */
static struct tier *find_or_add(const char *tenant)
{
    for (struct tier *tier = tiers; tier != NULL; tier = tier->next)
        if (strcmp(tier->tenant, tenant) == 0)
            return tier;
    struct tier *tier = calloc(1, sizeof *tier);
    if (tier == NULL || (tier->tenant = strdup(tenant)) == NULL) {
        free(tier);
        return NULL;
    }
    tier->next = tiers;
    tiers = tier;
    return tier;
}

int64_t ferry_tier_turn_ms(const char *tenant, int64_t mono_ms)
{
    int64_t wait_ms = 0;
    pthread_mutex_lock(&lock);
    struct tier *tier = find_or_add(tenant);
    if (tier != NULL) {
        if (tier->next_turn_ms > mono_ms)
            wait_ms = tier->next_turn_ms - mono_ms;
        tier->next_turn_ms = mono_ms + wait_ms + TURN_MS;
    }
    pthread_mutex_unlock(&lock);
    return wait_ms;
}

void ferry_tier_block(const char *tenant, int64_t mono_ms, int64_t for_ms)
{
    pthread_mutex_lock(&lock);
    struct tier *tier = find_or_add(tenant);
    if (tier != NULL && tier->blocked_until_ms < mono_ms + for_ms)
        tier->blocked_until_ms = mono_ms + for_ms;
    pthread_mutex_unlock(&lock);
}

int64_t ferry_tier_blocked_ms(const char *tenant, int64_t mono_ms)
{
    pthread_mutex_lock(&lock);
    const struct tier *tier = find_or_add(tenant);
    int64_t left_ms = tier != NULL ? tier->blocked_until_ms - mono_ms : 0;
    pthread_mutex_unlock(&lock);
    return left_ms > 0 ? left_ms : 0;
}
