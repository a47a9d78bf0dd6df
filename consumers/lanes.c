#include "consumers/lanes.h"

#include <assert.h>
#include <stdlib.h>

#include "core/hash.h"

struct ferry_lane {
    uint64_t id;
    struct ferry_lane *next; /* in the bucket */
    struct ferry_lane_place *head;
    struct ferry_lane_place *tail;
};

enum { FIRST_BUCKETS = 256 };

enum ferry_code ferry_lanes_init(struct ferry_lanes *lanes)
{
    struct ferry_lane **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);
    if (buckets == NULL)
        return FERRY_MEMORY;
    *lanes = (struct ferry_lanes){.buckets = buckets, .bucket_count = FIRST_BUCKETS};
    return FERRY_OK;
}

void ferry_lanes_done(struct ferry_lanes *lanes)
{
    assert(lanes->count == 0);
    free(lanes->buckets);
    *lanes = (struct ferry_lanes){0};
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    return ferry_hash(hash, ferry_slice_of(bytes, len));
}

/* The length goes in as well, so that "a"+"bc" and "ab"+"c" differ. */
static uint64_t mix_slice(uint64_t hash, struct ferry_slice text)
{
    return mix(mix(hash, &text.len, sizeof text.len), text.ptr, text.len);
}

uint64_t ferry_lane_id(struct ferry_slice route, struct ferry_slice topic, int32_t partition, struct ferry_slice key)
{
    uint64_t hash = mix_slice(FERRY_HASH_EMPTY, route);
    hash = mix_slice(hash, topic);
    hash = mix(hash, &partition, sizeof partition);
    hash = mix_slice(hash, key);
    return hash ^ (hash >> 32); /* the low bits choose the bucket */
}

static struct ferry_lane **bucket_of(const struct ferry_lanes *lanes, uint64_t id)
{
    return &lanes->buckets[id & (lanes->bucket_count - 1)];
}

static struct ferry_lane *find(const struct ferry_lanes *lanes, uint64_t id)
{
    struct ferry_lane *lane = *bucket_of(lanes, id);
    while (lane != NULL && lane->id != id)
        lane = lane->next;
    return lane;
}

/* Four times the buckets. When memory runs out the chains only get longer. */
static void grow(struct ferry_lanes *lanes)
{
    struct ferry_lanes wider = {.bucket_count = lanes->bucket_count * 4, .count = lanes->count};
    wider.buckets = calloc(wider.bucket_count, sizeof(struct ferry_lane *));
    if (wider.buckets == NULL)
        return;
    for (size_t i = 0; i < lanes->bucket_count; i++)
        for (struct ferry_lane *lane = lanes->buckets[i], *next; lane != NULL; lane = next) {
            struct ferry_lane **bucket = bucket_of(&wider, lane->id);
            next = lane->next;
            lane->next = *bucket;
            *bucket = lane;
        }
    free(lanes->buckets);
    *lanes = wider;
}

static struct ferry_lane *open_lane(struct ferry_lanes *lanes, uint64_t id)
{
    if (lanes->count >= lanes->bucket_count)
        grow(lanes);
    struct ferry_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    struct ferry_lane **bucket = bucket_of(lanes, id);
    *lane = (struct ferry_lane){.id = id, .next = *bucket};
    *bucket = lane;
    lanes->count++;
    return lane;
}

static void close_lane(struct ferry_lanes *lanes, struct ferry_lane *lane)
{
    struct ferry_lane **link = bucket_of(lanes, lane->id);
    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
    lanes->count--;
    free(lane);
}

enum ferry_code ferry_lanes_join(struct ferry_lanes *lanes, uint64_t id, struct ferry_lane_place *place, bool *head)
{
    struct ferry_lane *lane = find(lanes, id);
    if (lane == NULL && (lane = open_lane(lanes, id)) == NULL)
        return FERRY_MEMORY;
    *place = (struct ferry_lane_place){.lane = lane, .before = lane->tail};
    if (lane->tail != NULL)
        lane->tail->behind = place;
    else
        lane->head = place;
    lane->tail = place;
    *head = lane->head == place;
    return FERRY_OK;
}

bool ferry_lane_is_head(const struct ferry_lane_place *place)
{
    return place->lane->head == place;
}

uint64_t ferry_lane_of(const struct ferry_lane_place *place)
{
    return place->lane->id;
}

struct ferry_lane_place *ferry_lanes_leave(struct ferry_lanes *lanes, struct ferry_lane_place *place)
{
    struct ferry_lane *lane = place->lane;
    struct ferry_lane_place *successor = lane->head == place ? place->behind : NULL;
    if (place->before != NULL)
        place->before->behind = place->behind;
    else
        lane->head = place->behind;
    if (place->behind != NULL)
        place->behind->before = place->before;
    else
        lane->tail = place->before;
    *place = (struct ferry_lane_place){0};
    if (lane->head == NULL)
        close_lane(lanes, lane);
    return successor;
}
