/* What flows: events by name over the last minutes, how late they were, the latest of them, and each route's last
 * effect. Counted from records that the console reads while somebody looks. Pure, bounded, one thread. */
#ifndef FERRY_BRIDGE_CONSOLE_FLOW_H
#define FERRY_BRIDGE_CONSOLE_FLOW_H

#include "core/buffer.h"
#include "core/record.h"

enum {
    FERRY_FLOW_BUCKETS = 30,
    FERRY_FLOW_BUCKET_MS = 30000,
    FERRY_FLOW_WINDOW_MS = FERRY_FLOW_BUCKETS * FERRY_FLOW_BUCKET_MS,
    FERRY_FLOW_NAMES = 64, /* events beyond are counted as the last of them, "other" */
    FERRY_FLOW_RECENT = 40,
    FERRY_FLOW_ROUTES = 128, /* routes beyond are left out */
    FERRY_FLOW_DELAYS = 96,  /* four to a doubling, from a millisecond */
    FERRY_FLOW_NAME = 96,
};

struct ferry_flow_event {
    char name[FERRY_FLOW_NAME];
    int32_t counts[FERRY_FLOW_BUCKETS]; /* of bucket n at n modulo their number */
    int64_t last_ms;
    uint32_t delays[FERRY_FLOW_DELAYS];
};

struct ferry_flow_record {
    char event[FERRY_FLOW_NAME], id[FERRY_FLOW_NAME], source[FERRY_FLOW_NAME], topic[FERRY_FLOW_NAME];
    int32_t partition;
    int64_t offset;
    int64_t at_ms;
    int64_t delay_ms; /* -1: not known */
};

struct ferry_flow_route {
    const char *worker;
    char route[FERRY_FLOW_NAME], event[FERRY_FLOW_NAME];
    int64_t at_ms;
    int64_t delay_ms; /* from the event's time; -1: not known */
    bool doubtful;
    int64_t count; /* seen */
};

struct ferry_flow {
    int64_t newest; /* number of the last bucket; 0: nothing yet */
    struct ferry_flow_event events[FERRY_FLOW_NAMES];
    size_t event_count;
    struct ferry_flow_record recent[FERRY_FLOW_RECENT]; /* in no order */
    size_t recent_count;
    struct ferry_flow_route routes[FERRY_FLOW_ROUTES];
    size_t route_count;
    bool cut; /* there was more in the window than is read */
};

/* A record of an event topic; now by the wall clock. What is no event is left alone. */
void ferry_flow_add(struct ferry_flow *flow, const struct ferry_record *record, int64_t now_ms);
/* A record of `<internal>.<worker>.effects`; `worker` is static. What is no effect's mark is left alone. */
void ferry_flow_add_effect(struct ferry_flow *flow, const char *worker, const struct ferry_record *record);

/* How long at most, in ms, that part (0 to 1) of the events took from their time to Kafka; -1: not known. */
int64_t ferry_flow_delay(const struct ferry_flow_event *event, double part);
/* "flow":{…}, the buckets up to `now_ms`. */
void ferry_flow_print(struct ferry_flow *flow, int64_t now_ms, struct ferry_buffer *out);
const struct ferry_flow_route *ferry_flow_route(const struct ferry_flow *flow, const char *worker, const char *route);

#endif
