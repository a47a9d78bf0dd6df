/* A set of events by source and id, 8 bytes each: what was seen, of very many. Two events of the 63 bits of one hash
 * are taken for one; of ten million that is one pair in a hundred thousand runs. */
#ifndef FERRY_ID_SET_H
#define FERRY_ID_SET_H

#include <stdint.h>

#include "core/slice.h"

/* Of an event; even, and never 0. */
uint64_t ferry_id_hash(struct ferry_slice source, struct ferry_slice id);

/* {0} is an empty set. */
struct ferry_id_set {
    uint64_t *slots; /* 0: free; the lowest bit is the mark */
    size_t room;     /* a power of two */
    size_t count;
};
/* With the mark, or as it was marked before. False when memory ran out. */
bool ferry_id_set_add(struct ferry_id_set *set, uint64_t hash, bool mark);
bool ferry_id_set_has(const struct ferry_id_set *set, uint64_t hash);
bool ferry_id_set_marked(const struct ferry_id_set *set, uint64_t hash);
/* Empties, keeps the memory. */
void ferry_id_set_clear(struct ferry_id_set *set);
/* Fit for FERRY_CLEANUP. */
void ferry_id_set_done(struct ferry_id_set *set);

#endif
