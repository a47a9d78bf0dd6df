/* A hash table with open addressing (the keys are hashes already), and a ring of the marks in the order in which they
 * were made: what is at its front is forgotten when its time is over or room is needed. Re-marking moves the time in
 * the table; the ring's older entry is then recognized as stale by its time. Deleting closes the gap by shifting what
 * follows back, so that probing needs no tombstones. */
#include "consumers/once.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    FREE = 0, /* values of `when_ms` that are no moment */
    CLAIMED = -1,
    SAME_MARK_MS = 60 * 1000 /* an own mark that is read back carries the time at which Kafka took it */
};

enum what {
    DONE,   /* it took effect */
    DOUBT,  /* it may have; its dead letter is written */
    INTENT, /* begun by a worker that died */
};

struct entry {
    struct ferry_once_key key;
    int64_t when_ms; /* of the mark; FREE or CLAIMED */
    enum what what;
};

struct ring_mark {
    struct ferry_once_key key;
    int64_t when_ms;
};

struct ferry_once {
    struct entry *table;
    size_t capacity; /* a power of two, at most half full */
    size_t used;
    struct ring_mark *ring;
    size_t ring_capacity;
    size_t ring_first;
    size_t ring_count;
    size_t max_keys;
    size_t marks;
    int64_t window_ms;
};

struct ferry_once_key ferry_once_key_parse(const char hex[33])
{
    struct ferry_once_key key = {{0}};
    for (size_t i = 0; i < 32; i++) {
        char c = hex[i];
        unsigned digit = (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
        key.bytes[i / 2] = (unsigned char)(key.bytes[i / 2] << 4 | (digit & 15));
    }
    return key;
}

struct ferry_once *ferry_once_new(int64_t window_ms, size_t max_keys)
{
    struct ferry_once *once = calloc(1, sizeof *once);
    if (once == NULL)
        return NULL;
    *once = (struct ferry_once){.capacity = 1024, .window_ms = window_ms, .max_keys = max_keys};
    once->table = calloc(once->capacity, sizeof *once->table);
    if (once->table == NULL) {
        free(once);
        return NULL;
    }
    return once;
}

void ferry_once_free(struct ferry_once *once)
{
    if (once == NULL)
        return;
    free(once->table);
    free(once->ring);
    free(once);
}

void ferry_once_set_window(struct ferry_once *once, int64_t window_ms)
{
    once->window_ms = window_ms;
}

size_t ferry_once_marks(const struct ferry_once *once)
{
    return once->marks;
}

static size_t home_of(const struct ferry_once_key *key, size_t capacity)
{
    uint64_t head;
    memcpy(&head, key->bytes, sizeof head);
    return (size_t)head & (capacity - 1);
}

/* The entry of that key, or the free one where it belongs. */
static struct entry *find(const struct ferry_once *once, const struct ferry_once_key *key)
{
    size_t at = home_of(key, once->capacity);
    while (once->table[at].when_ms != FREE && memcmp(&once->table[at].key, key, sizeof *key) != 0)
        at = (at + 1) & (once->capacity - 1);
    return &once->table[at];
}

static bool grow_table(struct ferry_once *once)
{
    struct ferry_once wider = {.capacity = once->capacity * 2};
    wider.table = calloc(wider.capacity, sizeof *wider.table);
    if (wider.table == NULL)
        return false;
    for (size_t i = 0; i < once->capacity; i++)
        if (once->table[i].when_ms != FREE)
            *find(&wider, &once->table[i].key) = once->table[i];
    free(once->table);
    once->table = wider.table;
    once->capacity = wider.capacity;
    return true;
}

/* The key's entry, made if need be; NULL when memory ran out. */
static struct entry *enter(struct ferry_once *once, const struct ferry_once_key *key)
{
    struct entry *entry = find(once, key);
    if (entry->when_ms != FREE)
        return entry;
    if ((once->used + 1) * 2 > once->capacity) {
        if (!grow_table(once))
            return NULL;
        entry = find(once, key);
    }
    *entry = (struct entry){.key = *key, .when_ms = CLAIMED};
    once->used++;
    return entry;
}

static void erase(struct ferry_once *once, struct entry *entry)
{
    size_t mask = once->capacity - 1, gap = (size_t)(entry - once->table);
    for (size_t at = (gap + 1) & mask; once->table[at].when_ms != FREE; at = (at + 1) & mask) {
        size_t home = home_of(&once->table[at].key, once->capacity);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue; /* the gap lies before its home: it stays */
        once->table[gap] = once->table[at];
        gap = at;
    }
    once->table[gap] = (struct entry){.when_ms = FREE};
    once->used--;
}

static void forget_oldest(struct ferry_once *once)
{
    const struct ring_mark *oldest = &once->ring[once->ring_first];
    struct entry *entry = find(once, &oldest->key);
    if (entry->when_ms == oldest->when_ms) {
        erase(once, entry);
        once->marks--;
    }
    once->ring_first = (once->ring_first + 1) % once->ring_capacity;
    once->ring_count--;
}

static void expire(struct ferry_once *once, int64_t wall_ms)
{
    while (once->ring_count > 0 && once->ring[once->ring_first].when_ms + once->window_ms <= wall_ms)
        forget_oldest(once);
}

/* Room for one more mark: a ring of twice the size up to `max_keys`, then the oldest gives way. */
static bool make_room(struct ferry_once *once)
{
    if (once->ring_count < once->ring_capacity)
        return true;
    if (once->ring_count >= once->max_keys) {
        forget_oldest(once);
        return true;
    }
    size_t capacity = once->ring_capacity > 0 ? once->ring_capacity * 2 : 1024;
    if (capacity > once->max_keys)
        capacity = once->max_keys;
    struct ring_mark *ring = calloc(capacity, sizeof *ring);
    if (ring == NULL)
        return false;
    for (size_t i = 0; i < once->ring_count; i++) {
        assert(once->ring_capacity > 0);
        ring[i] = once->ring[(once->ring_first + i) % once->ring_capacity];
    }
    free(once->ring);
    once->ring = ring;
    once->ring_first = 0;
    once->ring_capacity = capacity;
    return true;
}

enum ferry_claim ferry_once_claim(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    expire(once, wall_ms);
    const struct entry *entry = find(once, key);
    if (entry->when_ms == CLAIMED)
        return FERRY_CLAIM_BUSY;
    /* Marks that are read back may lie in the ring behind younger ones, so the time decides, not the presence. */
    bool is_marked = entry->when_ms != FREE && entry->when_ms + once->window_ms > wall_ms;
    bool is_intent = is_marked && entry->what == INTENT;
    if (is_marked && !is_intent)
        return FERRY_CLAIM_DONE;
    struct entry *claimed = enter(once, key);
    if (claimed != NULL && claimed->when_ms != CLAIMED) {
        claimed->when_ms = CLAIMED;
        once->marks--;
    }
    return is_intent ? FERRY_CLAIM_DOUBT : FERRY_CLAIM_OURS;
}

static void mark(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms, enum what what)
{
    assert(wall_ms > 0);
    if (!make_room(once))
        return;
    struct entry *entry = enter(once, key);
    if (entry == NULL)
        return;
    if (entry->when_ms == CLAIMED)
        once->marks++;
    entry->when_ms = wall_ms;
    entry->what = what;
    once->ring[(once->ring_first + once->ring_count++) % once->ring_capacity] = (struct ring_mark){*key, wall_ms};
}

void ferry_once_mark(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    mark(once, key, wall_ms, DONE);
}

void ferry_once_mark_doubt(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    mark(once, key, wall_ms, DOUBT);
}

static bool is_mark_of(const struct entry *entry, enum what what)
{
    return entry->when_ms != FREE && entry->when_ms != CLAIMED && entry->what == what;
}

bool ferry_once_is_done(const struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    const struct entry *entry = find(once, key);
    return is_mark_of(entry, DONE) && entry->when_ms + once->window_ms > wall_ms;
}

static void unmark(struct ferry_once *once, const struct ferry_once_key *key, enum what what)
{
    struct entry *entry = find(once, key);
    if (!is_mark_of(entry, what))
        return;
    erase(once, entry);
    once->marks--;
}

void ferry_once_absolve(struct ferry_once *once, const struct ferry_once_key *key)
{
    unmark(once, key, DOUBT);
}

static void restore(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms, enum what what)
{
    const struct entry *entry = find(once, key);
    bool known = is_mark_of(entry, what) && entry->when_ms + SAME_MARK_MS > wall_ms;
    if (entry->when_ms != CLAIMED && !known)
        mark(once, key, wall_ms, what);
}

void ferry_once_restore(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    restore(once, key, wall_ms, DONE);
}

void ferry_once_restore_doubt(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    if (!is_mark_of(find(once, key), DONE))
        restore(once, key, wall_ms, DOUBT);
}

void ferry_once_restore_intent(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms)
{
    const struct entry *entry = find(once, key);
    if (entry->when_ms == FREE || (is_mark_of(entry, DOUBT) && entry->when_ms < wall_ms))
        mark(once, key, wall_ms, INTENT);
}

void ferry_once_restore_void(struct ferry_once *once, const struct ferry_once_key *key)
{
    unmark(once, key, INTENT);
}

void ferry_once_release(struct ferry_once *once, const struct ferry_once_key *key)
{
    struct entry *entry = find(once, key);
    if (entry->when_ms == CLAIMED)
        erase(once, entry);
}
