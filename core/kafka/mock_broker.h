/* A broker inside this process: librdkafka's mock cluster over real TCP on loopback, for `ferry demo` and for tests
 * where a broker must misbehave on command. Other processes can use it too.
 *
 * It keeps everything in memory (at most 5 MiB a partition), knows produce, fetch, groups and idempotence, and has no
 * CreateTopics and no look-up by time. */
#ifndef FERRY_CORE_KAFKA_MOCK_BROKER_H
#define FERRY_CORE_KAFKA_MOCK_BROKER_H

#include <stddef.h>

#include "core/error.h"

struct ferry_mock_broker;

/* Starts one broker on a free port, with threads of its own. Fails with FERRY_SYSTEM. The caller stops it. */
FERRY_NODISCARD enum ferry_code ferry_mock_broker_start(struct ferry_mock_broker **out, struct ferry_error *error);
/* "127.0.0.1:PORT", the value of bootstrap.servers; lives as long as the broker. */
const char *ferry_mock_broker_address(const struct ferry_mock_broker *broker);
/* Makes those topics that are not there yet, each with FERRY_MOCK_PARTITIONS partitions. Fails with FERRY_KAFKA. */
enum { FERRY_MOCK_PARTITIONS = 4 };
FERRY_NODISCARD enum ferry_code ferry_mock_broker_topics(struct ferry_mock_broker *broker, const char *const *topics,
                                                         size_t count, struct ferry_error *error);
/* Closes its connections, forgets all records, joins its threads, frees. NULL is allowed. */
void ferry_mock_broker_stop(struct ferry_mock_broker *broker);

#endif
