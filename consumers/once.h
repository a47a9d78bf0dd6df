/* "Once": which effects have been had inside the window, and which are being had at this moment (docs/contract.md,
 * "Workers").
 *
 * An effect is claimed before it is carried out, so that two records of one action (two names, a resend) that are in
 * work side by side do not both take effect: the second waits for the first. A claim ends as a mark (it took effect)
 * or is released (it did not; whoever comes next may try).
 *
 * This window lives in memory: at most FERRY_ONCE_KEYS marks, the oldest forgotten first. The marks are what
 * `<internal>.<worker>.effects` keeps across restarts (marks.c).
 * Two processes that are at the same effect are kept apart by claims.h.
 * For one thread at a time. */
#ifndef FERRY_CONSUMERS_ONCE_H
#define FERRY_CONSUMERS_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attrs.h"

enum { FERRY_ONCE_KEYS = 1000000 };

/* The bytes of an effect key: uniformly distributed. */
struct ferry_once_key {
    unsigned char bytes[16];
};

/* 32 hex digits to bytes. */
struct ferry_once_key ferry_once_key_parse(const char hex[33]);

enum ferry_claim {
    FERRY_CLAIM_OURS, /* claimed by this call */
    FERRY_CLAIM_BUSY, /* somebody is at it: ask again later */
    FERRY_CLAIM_DONE, /* it took effect inside the window, or may have and has its dead letter */
    FERRY_CLAIM_DOUBT /* claimed by this call; a worker that died had begun it, and nobody knows whether it took effect
                       */
};

struct ferry_once;

/* NULL when memory ran out. */
struct ferry_once *ferry_once_new(int64_t window_ms, size_t max_keys);
void ferry_once_free(struct ferry_once *once);
void ferry_once_set_window(struct ferry_once *once, int64_t window_ms);

/* When memory ran out the claim is given without being noted: better a possible repeat than a standstill. */
FERRY_NODISCARD enum ferry_claim ferry_once_claim(struct ferry_once *once, const struct ferry_once_key *key,
                                                  int64_t wall_ms);
/* It took effect at that moment; claimed before or not. */
void ferry_once_mark(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* Nobody knows whether it took effect; its dead letter says so. Counts as if it had. */
void ferry_once_mark_doubt(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* Somebody has decided to have the effect although it is in doubt: such a mark is taken away, others stay. */
void ferry_once_absolve(struct ferry_once *once, const struct ferry_once_key *key);
/* It did not take effect. Nothing happens if there is no claim. */
void ferry_once_release(struct ferry_once *once, const struct ferry_once_key *key);

/* ---- reading marks back, in the order of their log ---- */

/* It took effect then. Claims of this process know better, and stay. */
void ferry_once_restore(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* The same of what is in doubt. */
void ferry_once_restore_doubt(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* It was begun then; what is known of the key already stays, but doubt: it was begun once more. */
void ferry_once_restore_intent(struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* What was begun did not take effect. */
void ferry_once_restore_void(struct ferry_once *once, const struct ferry_once_key *key);

/* It took effect inside the window. */
bool ferry_once_is_done(const struct ferry_once *once, const struct ferry_once_key *key, int64_t wall_ms);
/* How many marks are held. */
size_t ferry_once_marks(const struct ferry_once *once);

#endif
