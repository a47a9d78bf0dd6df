/* The inside of a consumer: shared by the group's side (consumer.c), its first start (consumer_start.c) and the readers
 * without a group (reader.c, scan.c). Private to core/kafka. */
#ifndef FERRY_CORE_KAFKA_CONSUMER_PRIVATE_H
#define FERRY_CORE_KAFKA_CONSUMER_PRIVATE_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/kafka/common.h"
#include "core/kafka/consumer.h"

/* A partition that is ours. */
struct ferry_owned_partition {
    char *topic;
    int32_t partition;
    int64_t settled;  /* the next offset that is not settled; -1 while unknown */
    int64_t position; /* readers: what a poll looks at next; -1 while unknown */
    bool ended;       /* readers: its end was reached once */
};

struct ferry_consumer {
    rd_kafka_t *client;
    struct ferry_consumer_listener listener;
    rd_kafka_topic_partition_list_t *subscription; /* NULL: a reader */
    bool start_unsettled;                          /* "start: now", and where the group stands was not looked up yet */
    char *from_beginning;                          /* a topic that this does not concern, or NULL */
    rd_kafka_topic_partition_list_t *waiting;      /* an assignment that waits for that, or NULL */
    int64_t look_again_ms;
    bool member; /* the group's coordinator has known us once; looked at until `placed` */
    bool placed; /* the group has told once which partitions are ours, be they none */
    bool kept;   /* the client cannot be freed, see leave_group */
    struct ferry_metric *lag;
    atomic_bool ready;
    rd_kafka_message_t *uncopied; /* there was no memory for it when it came: the next poll begins with it; or NULL */

    pthread_mutex_t lock; /* of the table: stores come from any thread */
    struct ferry_owned_partition *owned;
    size_t owned_count;
    struct ferry_partition *told; /* room for what the listener is told; owner thread */
};

/* Without a client yet. NULL when memory ran out. */
struct ferry_consumer *ferry_consumer_new(void);
/* Frees everything (but a client that cannot be, see leave_group) and leaves no group. */
void ferry_consumer_free(struct ferry_consumer *consumer);

/* Adds partitions, with their offsets as `settled`, to the table. False when memory ran out. */
bool ferry_consumer_own(struct ferry_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions);
/* Empties the table, and forgets the record that no memory was for. */
void ferry_consumer_disown_all(struct ferry_consumer *consumer);
/* The row of a partition, or NULL. The lock is held. */
struct ferry_owned_partition *ferry_consumer_find(struct ferry_consumer *consumer, const char *topic,
                                                  int32_t partition);

/* Does what "start: now" asks of a group's first start, but of the topic `except` (NULL: none). FERRY_OK when the group
 * stands somewhere, now or from before; FERRY_KAFKA when that could not be found out in `timeout_ms`. Waits. */
FERRY_NODISCARD enum ferry_code ferry_consumer_begin_now(rd_kafka_t *client,
                                                         const rd_kafka_topic_partition_list_t *subscription,
                                                         const char *except, int timeout_ms);
/* All partitions of the topics that a subscription (exact names and ^expressions) matches. The caller destroys the
 * list. FERRY_KAFKA when no broker answered. */
FERRY_NODISCARD enum ferry_code ferry_kafka_partitions(rd_kafka_t *client,
                                                       const rd_kafka_topic_partition_list_t *subscription,
                                                       int timeout_ms, rd_kafka_topic_partition_list_t **out);

/* A client in nobody's group: commits nothing, tells where partitions end, whatever the user wrote. FERRY_CONFIG. */
FERRY_NODISCARD enum ferry_code ferry_reader_client(const struct ferry_kafka_setting *client_defaults,
                                                    struct ferry_properties common, struct ferry_properties overrides,
                                                    rd_kafka_t **out, struct ferry_error *error);

/* A copy of a message: a record lives as long as it likes, while a librdkafka message holds the whole response it came
 * in. NULL when memory ran out. */
struct ferry_fetched *ferry_fetched_copy(const rd_kafka_message_t *message);

#endif
