/* What is known of names: a table of bounded size, by kind and id. Pure; for one thread at a time.
 *
 * Sixteen ways to a set: an id has its set by its hash, and within that the one that was of use least lately makes
 * room. What is being asked for stays. */
#ifndef FERRY_CONSUMERS_NAME_CACHE_H
#define FERRY_CONSUMERS_NAME_CACHE_H

#include <stdint.h>

#include "core/names.h"
#include "core/slice.h"

enum { FERRY_NAME_SETS = 256, FERRY_NAME_WAYS = 16, FERRY_NAME_ID = 65 };

enum ferry_known_state {
    FERRY_NAME_WANTED, /* in the line of those to be asked for */
    FERRY_NAME_ASKED,
    FERRY_NAME_KNOWN,  /* until `until_ms` */
    FERRY_NAME_UNKNOWN /* the same */
};

struct ferry_known_name {
    enum ferry_name_kind kind;
    enum ferry_known_state state;
    char id[FERRY_NAME_ID];
    char *json; /* KNOWN: the member as JSON text, {"id":…,"name":…} */
    int64_t until_ms;
    int64_t used_ms;
    struct ferry_known_name *next; /* WANTED: in the line */
};

/* {0} is empty. */
struct ferry_name_cache {
    struct ferry_known_name *sets[FERRY_NAME_SETS][FERRY_NAME_WAYS];
};

/* May that be asked for? 1 to 64 letters, digits, hyphens and underlines: it becomes part of a URL. */
bool ferry_name_id_valid(struct ferry_slice id);
/* The same for the same kind and id: for whoever waits. */
uint64_t ferry_name_key(enum ferry_name_kind kind, struct ferry_slice id);

/* What is there and not out of date, or NULL. */
struct ferry_known_name *ferry_name_cache_find(struct ferry_name_cache *cache, enum ferry_name_kind kind,
                                               struct ferry_slice id, int64_t now_ms);
/* A new one, WANTED; it must not be there. NULL when memory ran out, or all of its set are being asked for. */
struct ferry_known_name *ferry_name_cache_add(struct ferry_name_cache *cache, enum ferry_name_kind kind,
                                              struct ferry_slice id, int64_t now_ms);
/* It is KNOWN (`json` is taken), or UNKNOWN (NULL), until then. */
void ferry_name_cache_settle(struct ferry_known_name *known, char *json, int64_t until_ms);
/* Forgets everything. */
void ferry_name_cache_done(struct ferry_name_cache *cache);

#endif
