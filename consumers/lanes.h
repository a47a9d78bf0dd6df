/* Order: what shares a lane takes effect one after the other; lanes run side by side.
 *
 * A lane is route + topic + partition + key, known here by a 64-bit hash of them. Two lanes that share a hash share a
 * queue: they wait for each other, and nothing worse. A lane exists while somebody is in it. Pure, for one thread at a
 * time. */
#ifndef FERRY_CONSUMERS_LANES_H
#define FERRY_CONSUMERS_LANES_H

#include <stdint.h>

#include "core/error.h"
#include "core/slice.h"

struct ferry_lane;

/* A place in a lane; embedded in what waits there. */
struct ferry_lane_place {
    struct ferry_lane *lane;
    struct ferry_lane_place *before;
    struct ferry_lane_place *behind;
};

struct ferry_lanes {
    struct ferry_lane **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

FERRY_NODISCARD enum ferry_code ferry_lanes_init(struct ferry_lanes *lanes);
/* Frees the table; all lanes must be empty. */
void ferry_lanes_done(struct ferry_lanes *lanes);

uint64_t ferry_lane_id(struct ferry_slice route, struct ferry_slice topic, int32_t partition, struct ferry_slice key);

/* Goes to the end of the lane; `*head` is true when nobody is before it. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_lanes_join(struct ferry_lanes *lanes, uint64_t id, struct ferry_lane_place *place,
                                                 bool *head);
bool ferry_lane_is_head(const struct ferry_lane_place *place);
/* The ferry_lane_id that it went to. */
uint64_t ferry_lane_of(const struct ferry_lane_place *place);
/* Leaves, from any position. Returns who has become the head by that, or NULL. */
struct ferry_lane_place *ferry_lanes_leave(struct ferry_lanes *lanes, struct ferry_lane_place *place);

#endif
