/* The handles of topics that a client has used, by name. Given only a name, librdkafka compares it with one topic after
 * the other, under the lock of the whole client, for each record. Private to core/kafka. */
#ifndef FERRY_CORE_KAFKA_TOPIC_HANDLES_H
#define FERRY_CORE_KAFKA_TOPIC_HANDLES_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "core/slice.h"

enum { FERRY_TOPIC_HANDLE_HEADS = 256 };

struct ferry_topic_handle;

struct ferry_topic_handles {
    rd_kafka_t *client;
    pthread_mutex_t lock;                                                 /* of adding; whoever looks needs none */
    _Atomic(struct ferry_topic_handle *) heads[FERRY_TOPIC_HANDLE_HEADS]; /* a list for each hash; nothing is removed */
};

void ferry_topic_handles_init(struct ferry_topic_handles *handles, rd_kafka_t *client);
/* Before the client is destroyed, when nobody sends any more. */
void ferry_topic_handles_done(struct ferry_topic_handles *handles);
/* The handle of the topic, which is the table's; made when there is none yet. Any thread. NULL with `*failure`: the
 * name is none, or memory ran out. */
rd_kafka_topic_t *ferry_topic_handle(struct ferry_topic_handles *handles, struct ferry_slice name,
                                     rd_kafka_resp_err_t *failure);

#endif
