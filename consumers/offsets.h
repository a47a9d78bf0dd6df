/* How far a partition is settled: the offset that may be stored is the highest contiguous settled one, plus one.
 *
 * Records are entered in the order of their offsets (gaps are usual: transactions, compaction), each with the number of
 * effects that it is to have; they are settled in any order. Pure, for one thread at a time. */
#ifndef FERRY_CONSUMERS_OFFSETS_H
#define FERRY_CONSUMERS_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "core/attrs.h"
#include "core/error.h"

/* rows[(first + i) % capacity], i < count: the records at and behind the first unsettled one.
 *
 *   next            first                  first + count
 *    |  (gap)         |  settled  | pending  |
 */
struct ferry_offsets {
    struct ferry_offset_row {
        int64_t offset;
        uint32_t pending; /* effects that are not settled */
    } * rows;
    size_t first;
    size_t count;
    size_t capacity;
    int64_t next; /* everything below is settled; -1: nothing was entered yet */
};

/* {0} with next = -1. */
void ferry_offsets_init(struct ferry_offsets *offsets);
void ferry_offsets_done(struct ferry_offsets *offsets);

/* Is `offset` above everything that was entered? If not, the partition was rewound. */
bool ferry_offsets_follows(const struct ferry_offsets *offsets, int64_t offset);
/* Enters a record; `pending` 0: settled already. It must follow. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_offsets_add(struct ferry_offsets *offsets, int64_t offset, uint32_t pending);
/* One effect of that record is settled. True if `next` moved. */
bool ferry_offsets_settle(struct ferry_offsets *offsets, int64_t offset);

#endif
