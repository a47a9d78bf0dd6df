/* The fold, record by record:
 *
 *   claim by P
 *       Nobody holds the key: P does. P holds it: renewed. Else nothing: P was too late, waits, and claims again when
 *       the holder has gone.
 *   claim by P over Q's n
 *       The same, and: Q holds it, and n was the last that was read of Q: P holds it, in doubt. Has Q renewed before
 *       that record, or has another taken over, P was too late.
 *   void by P
 *       P holds it: nobody does.
 *   a mark
 *       Nobody does.
 *
 * Whether a holder lives is judged by the clock of whoever waits, from when it has read the holder's last claim: no two
 * clocks are compared. That judgement is then written down with the serial it was made from, so that the log decides
 * between it and a renewal that comes at the same moment.
 *
 * Chains in a table that doubles. Entries that say nothing any more go at once; those of processes that died and that
 * nobody waits for go when the table would grow and their marks have left the log, too. */
#include "consumers/claims.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

struct entry {
    struct ferry_once_key key;
    struct entry *next;

    /* by the log */
    struct ferry_claimant holder;
    int64_t seen_ms; /* when its last claim was read (monotonic) */
    bool inherited;  /* it took the key over from a dead one */

    /* by ourselves */
    bool watched;
    bool stands; /* a claim of ours may stand in the log */
    bool left;   /* … and its task has gone */
    bool over;   /* … and it may be one over a dead process */
    uint64_t serial;
    int64_t marked_ms; /* of the mark that was read meanwhile (wall clock); 0: none */
    bool doubtful;
};

struct ferry_claims {
    struct entry **table;
    size_t capacity; /* a power of two */
    size_t count;
    size_t left;
    uint64_t process;
    uint64_t serial;
    int64_t lease_ms;
    int64_t window_ms;
};

/* ---- claimants as text ---- */

void ferry_claimant_print(const struct ferry_claimant *claimant, char text[FERRY_CLAIMANT_TEXT])
{
    snprintf(text, FERRY_CLAIMANT_TEXT, "%016" PRIx64 " %" PRIu64, claimant->process, claimant->serial);
}

bool ferry_claimant_parse(const char *text, size_t len, struct ferry_claimant *out)
{
    char copy[FERRY_CLAIMANT_TEXT], again[FERRY_CLAIMANT_TEXT];
    struct ferry_claimant claimant;
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *end;
    claimant.process = strtoull(copy, &end, 16);
    claimant.serial = strtoull(end, NULL, 10);
    ferry_claimant_print(&claimant, again);
    if (strcmp(copy, again) != 0 || claimant.process == 0)
        return false;
    *out = claimant;
    return true;
}

/* ---- the table ---- */

struct ferry_claims *ferry_claims_new(uint64_t process)
{
    struct ferry_claims *claims = calloc(1, sizeof *claims);
    if (claims == NULL)
        return NULL;
    *claims = (struct ferry_claims){.capacity = FIRST_CAPACITY, .process = process};
    claims->table = calloc(claims->capacity, sizeof(struct entry *));
    if (claims->table != NULL)
        return claims;
    free(claims);
    return NULL;
}

void ferry_claims_free(struct ferry_claims *claims)
{
    if (claims == NULL)
        return;
    for (size_t i = 0; i < claims->capacity; i++)
        for (struct entry *entry = claims->table[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            free(entry);
        }
    free(claims->table);
    free(claims);
}

void ferry_claims_set_terms(struct ferry_claims *claims, int64_t lease_ms, int64_t window_ms)
{
    claims->lease_ms = lease_ms;
    claims->window_ms = window_ms;
}

int64_t ferry_claims_lease_ms(const struct ferry_claims *claims)
{
    return claims->lease_ms;
}

size_t ferry_claims_count(const struct ferry_claims *claims)
{
    return claims->count;
}

/* The key's bytes are uniformly distributed. */
static struct entry **chain_of(const struct ferry_claims *claims, const struct ferry_once_key *key)
{
    uint64_t head;
    memcpy(&head, key->bytes, sizeof head);
    return &claims->table[(size_t)head & (claims->capacity - 1)];
}

/* Where the entry hangs, or the end of its chain. */
static struct entry **place_of(const struct ferry_claims *claims, const struct ferry_once_key *key)
{
    struct entry **place = chain_of(claims, key);
    while (*place != NULL && memcmp(&(*place)->key, key, sizeof *key) != 0)
        place = &(*place)->next;
    return place;
}

static struct entry *find(const struct ferry_claims *claims, const struct ferry_once_key *key)
{
    return *place_of(claims, key);
}

static void erase(struct ferry_claims *claims, struct entry **place)
{
    struct entry *entry = *place;
    *place = entry->next;
    claims->count--;
    free(entry);
}

/* An entry that says nothing any more goes. */
static void tidy(struct ferry_claims *claims, const struct ferry_once_key *key)
{
    struct entry **place = place_of(claims, key);
    const struct entry *entry = *place;
    if (entry != NULL && !entry->watched && !entry->stands && entry->holder.process == 0)
        erase(claims, place);
}

static void drop_stale(struct ferry_claims *claims, int64_t mono_ms)
{
    for (size_t i = 0; i < claims->capacity; i++)
        for (struct entry **place = &claims->table[i]; *place != NULL;) {
            const struct entry *entry = *place;
            if (!entry->watched && !entry->stands && mono_ms - entry->seen_ms > claims->window_ms)
                erase(claims, place);
            else
                place = &(*place)->next;
        }
}

/* Without memory the chains grow longer instead. */
static void grow(struct ferry_claims *claims)
{
    struct ferry_claims wider = *claims;
    assert(claims->capacity >= FIRST_CAPACITY);
    wider.capacity = claims->capacity * 2;
    wider.table = calloc(wider.capacity, sizeof(struct entry *));
    if (wider.table == NULL)
        return;
    for (size_t i = 0; i < claims->capacity; i++)
        for (struct entry *entry = claims->table[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            struct entry **chain = chain_of(&wider, &entry->key);
            entry->next = *chain;
            *chain = entry;
        }
    free(claims->table);
    *claims = wider;
}

/* The key's entry, made if need be; NULL when memory ran out. */
static struct entry *enter(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t mono_ms)
{
    struct entry *entry = find(claims, key);
    if (entry != NULL)
        return entry;
    if (claims->count >= claims->capacity)
        drop_stale(claims, mono_ms);
    if (claims->count >= claims->capacity)
        grow(claims);
    entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.key = *key, .seen_ms = mono_ms};
    *place_of(claims, key) = entry;
    claims->count++;
    return entry;
}

/* ---- this process's side ---- */

static bool holds(const struct entry *entry, uint64_t process)
{
    return entry->holder.process == process;
}

static bool is_overdue(const struct ferry_claims *claims, const struct entry *entry, int64_t mono_ms)
{
    return mono_ms - entry->seen_ms > claims->lease_ms;
}

static struct ferry_claimant claim_anew(struct ferry_claims *claims, struct entry *entry)
{
    entry->serial = ++claims->serial;
    return (struct ferry_claimant){claims->process, entry->serial};
}

bool ferry_claims_watch(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t mono_ms)
{
    struct entry *entry = enter(claims, key, mono_ms);
    if (entry != NULL)
        entry->watched = true;
    return entry != NULL;
}

void ferry_claims_write(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t mono_ms,
                        struct ferry_claimant *by, struct ferry_claimant *over)
{
    struct entry *entry = find(claims, key);
    bool other = entry->holder.process != 0 && !holds(entry, claims->process);
    entry->stands = true;
    *by = claim_anew(claims, entry);
    *over = other && is_overdue(claims, entry, mono_ms) ? entry->holder : (struct ferry_claimant){0};
    entry->over |= over->process != 0;
}

bool ferry_claims_renew(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant *by)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL || !entry->stands)
        return false;
    *by = (struct ferry_claimant){claims->process, ++claims->serial}; /* the one that is read back stays the same */
    return true;
}

struct ferry_once_key *ferry_claims_standing_keys(const struct ferry_claims *claims, size_t *count)
{
    struct ferry_once_key *keys = calloc(claims->count + 1, sizeof *keys);
    size_t found = 0;
    for (size_t i = 0; keys != NULL && i < claims->capacity; i++)
        for (const struct entry *entry = claims->table[i]; entry != NULL; entry = entry->next)
            if (entry->stands)
                keys[found++] = entry->key;
    *count = found;
    if (found > 0)
        return keys;
    free(keys);
    return NULL;
}

bool ferry_claims_withdraw(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant *by)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL || !entry->stands)
        return false;
    claims->left -= entry->left;
    entry->stands = entry->left = entry->over = false;
    *by = (struct ferry_claimant){claims->process, ++claims->serial};
    tidy(claims, key);
    return true;
}

/* What the log says stays: it will tell the end as well. */
void ferry_claims_forget(struct ferry_claims *claims, const struct ferry_once_key *key)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL)
        return;
    claims->left -= entry->left;
    entry->watched = entry->stands = entry->left = entry->over = false;
    entry->marked_ms = 0;
    tidy(claims, key);
}

bool ferry_claims_leave(struct ferry_claims *claims, const struct ferry_once_key *key)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL || !entry->stands || entry->over) {
        ferry_claims_forget(claims, key);
        return false;
    }
    claims->left += !entry->left;
    entry->left = true;
    return true;
}

bool ferry_claims_any_left(const struct ferry_claims *claims)
{
    return claims->left > 0;
}

bool ferry_claims_take_left(struct ferry_claims *claims, struct ferry_once_key *key)
{
    for (size_t i = 0; claims->left > 0 && i < claims->capacity; i++)
        for (const struct entry *entry = claims->table[i]; entry != NULL; entry = entry->next)
            if (entry->left) {
                *key = entry->key;
                return true;
            }
    return false;
}

void ferry_claims_absolve(struct ferry_claims *claims, const struct ferry_once_key *key)
{
    struct entry *entry = find(claims, key);
    if (entry != NULL && entry->doubtful)
        entry->marked_ms = 0;
}

enum ferry_standing ferry_claims_standing(const struct ferry_claims *claims, const struct ferry_once_key *key,
                                          int64_t mono_ms, int64_t wall_ms)
{
    const struct entry *entry = find(claims, key);
    if (entry == NULL)
        return FERRY_STANDING_FREE;
    if (entry->marked_ms != 0 && entry->marked_ms + claims->window_ms > wall_ms)
        return FERRY_STANDING_DONE;
    if (entry->holder.process == 0)
        return FERRY_STANDING_FREE;
    if (!holds(entry, claims->process))
        return is_overdue(claims, entry, mono_ms) ? FERRY_STANDING_DEAD : FERRY_STANDING_OTHERS;
    if (!entry->stands || entry->holder.serial < entry->serial)
        return FERRY_STANDING_FREE; /* an older claim of ours, whose end was not read yet */
    return entry->inherited ? FERRY_STANDING_INHERITED : FERRY_STANDING_OURS;
}

int64_t ferry_claims_marked_ms(const struct ferry_claims *claims, const struct ferry_once_key *key, bool *doubtful)
{
    const struct entry *entry = find(claims, key);
    *doubtful = entry != NULL && entry->doubtful;
    return entry != NULL ? entry->marked_ms : 0;
}

/* ---- reading the log ---- */

static bool same(struct ferry_claimant a, struct ferry_claimant b)
{
    return a.process == b.process && a.serial == b.serial;
}

void ferry_claims_read(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant by,
                       struct ferry_claimant over, int64_t mono_ms)
{
    struct entry *entry = enter(claims, key, mono_ms);
    if (entry == NULL)
        return; /* better a possible repeat than a standstill */
    bool renews = holds(entry, by.process);
    bool inherits = over.process != 0 && same(entry->holder, over);
    if (entry->holder.process != 0 && !renews && !inherits)
        return;
    if (!renews)
        entry->inherited = inherits;
    if (!renews || by.serial > entry->holder.serial)
        entry->holder = by;
    entry->seen_ms = mono_ms;
}

void ferry_claims_read_void(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant by)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL || !holds(entry, by.process))
        return;
    entry->holder = (struct ferry_claimant){0};
    entry->inherited = false;
    tidy(claims, key);
}

void ferry_claims_read_mark(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t wall_ms,
                            bool doubtful)
{
    struct entry *entry = find(claims, key);
    if (entry == NULL)
        return;
    entry->holder = (struct ferry_claimant){0};
    entry->inherited = false;
    if (entry->watched) {
        entry->marked_ms = wall_ms;
        entry->doubtful = doubtful;
    }
    tidy(claims, key);
}
