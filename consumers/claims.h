/* Who is at an effect whose key crosses partitions, as the log says (docs/decisions/once.md): a pure fold of the claims
 * in the effects topic, beside what this process has claimed itself.
 *
 * Every process reads the same records in the same order and therefore comes to the same holder of each key. What this
 * process has had, or seen had, is remembered in once.h; here is only what is open.
 * For one thread at a time. */
#ifndef FERRY_CONSUMERS_CLAIMS_H
#define FERRY_CONSUMERS_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumers/once.h"
#include "core/attrs.h"

/* A process, and which of its claims; `process` 0: nobody. */
struct ferry_claimant {
    uint64_t process;
    uint64_t serial;
};

enum ferry_standing {
    FERRY_STANDING_FREE,      /* nobody holds it */
    FERRY_STANDING_OURS,      /* our newest claim was read back, and we hold it */
    FERRY_STANDING_INHERITED, /* the same, from a process that died with it: in doubt */
    FERRY_STANDING_OTHERS,    /* another process is at it */
    FERRY_STANDING_DEAD,      /* another process holds it, and has not renewed its claim for the lease */
    FERRY_STANDING_DONE,      /* it took effect, or may have and has its dead letter */
    FERRY_STANDING_COUNT
};

/* Longest text of ferry_claimant_print with its NUL: 16 hex digits, a space, 20 digits. */
enum { FERRY_CLAIMANT_TEXT = 40 };

void ferry_claimant_print(const struct ferry_claimant *claimant, char text[FERRY_CLAIMANT_TEXT]);
/* False, and `*out` untouched, when it is no claimant. */
FERRY_NODISCARD bool ferry_claimant_parse(const char *text, size_t len, struct ferry_claimant *out);

struct ferry_claims;

/* `process` is this one's number, not 0 and nobody else's. NULL when memory ran out. */
struct ferry_claims *ferry_claims_new(uint64_t process);
void ferry_claims_free(struct ferry_claims *claims);
/* Who does not renew its claim for `lease_ms` is dead; marks count for `window_ms`. */
void ferry_claims_set_terms(struct ferry_claims *claims, int64_t lease_ms, int64_t window_ms);
int64_t ferry_claims_lease_ms(const struct ferry_claims *claims);

/* ---- this process's side ---- */

/* This process is going to claim the key: marks that are read from now on are kept for it. False: no memory. */
FERRY_NODISCARD bool ferry_claims_watch(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t mono_ms);
/* A claim is to be written: who claims, and over whom if the holder is dead (else process 0). The key is watched. From
 * here on a claim of ours may stand in the log, and has to be taken back, or ended by a mark. */
void ferry_claims_write(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t mono_ms,
                        struct ferry_claimant *by, struct ferry_claimant *over);
/* The claim that may stand in the log is renewed; false: there is none. */
FERRY_NODISCARD bool ferry_claims_renew(struct ferry_claims *claims, const struct ferry_once_key *key,
                                        struct ferry_claimant *by);
/* Keys whose claims may stand in the log, in a new array (free); NULL: none, or no memory. */
struct ferry_once_key *ferry_claims_standing_keys(const struct ferry_claims *claims, size_t *count);
/* It is about to be taken back; false: none of ours stands there. */
FERRY_NODISCARD bool ferry_claims_withdraw(struct ferry_claims *claims, const struct ferry_once_key *key,
                                           struct ferry_claimant *by);
/* It has ended with a mark of ours, or nobody here is at it any more. */
void ferry_claims_forget(struct ferry_claims *claims, const struct ferry_once_key *key);
/* Its task goes away. True: a claim may stand in the log, and the key is kept for ferry_claims_take_left. False: not,
 * and the key is forgotten; or it is one over a dead process and stays, for taking it back would take the doubt with
 * it. */
FERRY_NODISCARD bool ferry_claims_leave(struct ferry_claims *claims, const struct ferry_once_key *key);
/* A key that was left with a claim; false: there is none. The caller takes the claim back, and forgets the key then. */
FERRY_NODISCARD bool ferry_claims_take_left(struct ferry_claims *claims, struct ferry_once_key *key);
bool ferry_claims_any_left(const struct ferry_claims *claims);
/* An operator has decided to have the effect although it is in doubt. */
void ferry_claims_absolve(struct ferry_claims *claims, const struct ferry_once_key *key);

/* How it stands with a key as far as the log was read. */
enum ferry_standing ferry_claims_standing(const struct ferry_claims *claims, const struct ferry_once_key *key,
                                          int64_t mono_ms, int64_t wall_ms);
/* The moment of the mark that was read while the key was watched, and whether it is one of doubt. 0: there is none. */
int64_t ferry_claims_marked_ms(const struct ferry_claims *claims, const struct ferry_once_key *key, bool *doubtful);

/* ---- reading the log, in its order ---- */

/* Somebody claims, or renews what it holds; `over` whom it believes to be dead, or process 0. */
void ferry_claims_read(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant by,
                       struct ferry_claimant over, int64_t mono_ms);
/* Somebody takes its claim back. */
void ferry_claims_read_void(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant by);
/* It took effect, or is in doubt with its dead letter written. */
void ferry_claims_read_mark(struct ferry_claims *claims, const struct ferry_once_key *key, int64_t wall_ms,
                            bool doubtful);

/* How many keys are held in memory. */
size_t ferry_claims_count(const struct ferry_claims *claims);

#endif
