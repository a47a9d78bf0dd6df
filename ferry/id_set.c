#include "ferry/id_set.h"

#include <stdlib.h>

#include "core/hash.h"

enum { FIRST_ROOM = 256 };

uint64_t ferry_id_hash(struct ferry_slice source, struct ferry_slice id)
{
    uint64_t hash = ferry_hash(ferry_hash_byte(ferry_hash(FERRY_HASH_EMPTY, source), 0), id) & ~UINT64_C(1);
    return hash != 0 ? hash : 2;
}

/* Where it is, or where it would be. FNV's low bits are good, but for the one that is cut off. */
static size_t find(const struct ferry_id_set *set, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & (set->room - 1);
    while (set->slots[at] != 0 && (set->slots[at] & ~UINT64_C(1)) != hash)
        at = (at + 1) & (set->room - 1);
    return at;
}

/* Room for one more, at most three quarters full. */
static bool grow(struct ferry_id_set *set)
{
    if (set->count + 1 <= set->room / 4 * 3)
        return true;
    struct ferry_id_set larger = {.room = set->room > 0 ? 2 * set->room : FIRST_ROOM, .count = set->count};
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < set->room; i++)
        if (set->slots[i] != 0)
            larger.slots[find(&larger, set->slots[i] & ~UINT64_C(1))] = set->slots[i];
    free(set->slots);
    *set = larger;
    return true;
}

bool ferry_id_set_add(struct ferry_id_set *set, uint64_t hash, bool mark)
{
    if (!grow(set))
        return false;
    uint64_t *slot = &set->slots[find(set, hash)];
    set->count += *slot == 0;
    *slot |= hash | (mark ? 1 : 0);
    return true;
}

static uint64_t look_up(const struct ferry_id_set *set, uint64_t hash)
{
    return set->room > 0 ? set->slots[find(set, hash)] : 0;
}

bool ferry_id_set_has(const struct ferry_id_set *set, uint64_t hash)
{
    return look_up(set, hash) != 0;
}

bool ferry_id_set_marked(const struct ferry_id_set *set, uint64_t hash)
{
    return (look_up(set, hash) & 1) != 0;
}

void ferry_id_set_clear(struct ferry_id_set *set)
{
    if (set->room > 0)
        memset(set->slots, 0, set->room * sizeof *set->slots);
    set->count = 0;
}

void ferry_id_set_done(struct ferry_id_set *set)
{
    free(set->slots);
    *set = (struct ferry_id_set){0};
}
