/* Where a consumer group stands, looked at from outside: nothing is joined or committed. Calls wait. */
#ifndef FERRY_CORE_KAFKA_GROUP_H
#define FERRY_CORE_KAFKA_GROUP_H

#include "core/arena.h"
#include "core/config.h"
#include "core/kafka/consumer.h"

struct ferry_group_member {
    struct ferry_slice client; /* client.id, "ferry" */
    struct ferry_slice host;
    size_t partitions; /* assigned to it */
};

struct ferry_group {
    struct ferry_slice state; /* Kafka's word: Stable, Empty, PreparingRebalance …; Dead: there is no such group */
    struct ferry_group_member *members;
    size_t member_count;
};

/* `overrides` win over `common`. Looks at a group and puts the group's commit into the `offset` of each partition, -1
 * where it has none. The rest of what is said lives in `arena`. Fails with FERRY_KAFKA: no answer in `timeout_ms`, or
 * not allowed (the text says which right is missing). */
FERRY_NODISCARD enum ferry_code ferry_group_look(struct ferry_properties common, struct ferry_properties overrides,
                                                 const char *group, struct ferry_partition *partitions, size_t count,
                                                 int timeout_ms, struct ferry_arena *arena, struct ferry_group *out,
                                                 struct ferry_error *error);

#endif
