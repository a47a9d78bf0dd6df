#include "consumers/name_cache.h"

#include <stdlib.h>

#include "core/hash.h"

bool ferry_name_id_valid(struct ferry_slice id)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (id.len == 0 || id.len >= FERRY_NAME_ID)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] == '\0' || strchr(allowed, id.ptr[i]) == NULL)
            return false;
    return true;
}

uint64_t ferry_name_key(enum ferry_name_kind kind, struct ferry_slice id)
{
    return ferry_hash(ferry_hash_byte(FERRY_HASH_EMPTY, (unsigned char)kind), id);
}

static struct ferry_known_name **set_of(struct ferry_name_cache *cache, enum ferry_name_kind kind,
                                        struct ferry_slice id)
{
    return cache->sets[ferry_name_key(kind, id) % FERRY_NAME_SETS];
}

static bool is_settled(const struct ferry_known_name *known)
{
    return known->state == FERRY_NAME_KNOWN || known->state == FERRY_NAME_UNKNOWN;
}

static void drop(struct ferry_known_name **place)
{
    if (*place == NULL)
        return;
    free((*place)->json);
    free(*place);
    *place = NULL;
}

struct ferry_known_name *ferry_name_cache_find(struct ferry_name_cache *cache, enum ferry_name_kind kind,
                                               struct ferry_slice id, int64_t now_ms)
{
    struct ferry_known_name **set = set_of(cache, kind, id);
    for (size_t i = 0; i < FERRY_NAME_WAYS; i++) {
        struct ferry_known_name *known = set[i];
        if (known == NULL || known->kind != kind || !ferry_slice_is(id, known->id))
            continue;
        if (is_settled(known) && known->until_ms <= now_ms) {
            drop(&set[i]);
            return NULL;
        }
        known->used_ms = now_ms;
        return known;
    }
    return NULL;
}

/* An empty place, or that of the one that was of use least lately; NULL if all are being asked for. */
static struct ferry_known_name **find_place(struct ferry_known_name **set)
{
    struct ferry_known_name **oldest = NULL;
    for (size_t i = 0; i < FERRY_NAME_WAYS; i++) {
        if (set[i] == NULL)
            return &set[i];
        if (is_settled(set[i]) && (oldest == NULL || set[i]->used_ms < (*oldest)->used_ms))
            oldest = &set[i];
    }
    return oldest;
}

struct ferry_known_name *ferry_name_cache_add(struct ferry_name_cache *cache, enum ferry_name_kind kind,
                                              struct ferry_slice id, int64_t now_ms)
{
    struct ferry_known_name **place = find_place(set_of(cache, kind, id));
    struct ferry_known_name *known = place != NULL ? calloc(1, sizeof *known) : NULL;
    if (known == NULL)
        return NULL;
    drop(place);
    known->kind = kind;
    known->state = FERRY_NAME_WANTED;
    known->used_ms = now_ms;
    memcpy(known->id, id.ptr, id.len);
    *place = known;
    return known;
}

void ferry_name_cache_settle(struct ferry_known_name *known, char *json, int64_t until_ms)
{
    free(known->json);
    known->json = json;
    known->state = json != NULL ? FERRY_NAME_KNOWN : FERRY_NAME_UNKNOWN;
    known->until_ms = until_ms;
}

void ferry_name_cache_done(struct ferry_name_cache *cache)
{
    for (size_t set = 0; set < FERRY_NAME_SETS; set++)
        for (size_t way = 0; way < FERRY_NAME_WAYS; way++)
            drop(&cache->sets[set][way]);
}
