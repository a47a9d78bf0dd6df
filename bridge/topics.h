/* The topics of the configuration, made or looked for in the background, so that a start never waits for Kafka. */
#ifndef FERRY_BRIDGE_TOPICS_H
#define FERRY_BRIDGE_TOPICS_H

#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"

struct ferry_topics;

/* Starts the thread: it asks until a broker answers, creates what is missing (`create: never`: only looks), waits
 * for the leaders of what is there and tells the publisher, logs each finding once with its cure, and looks again every
 * minute while there are findings. Everything is borrowed until ferry_topics_stop. */
FERRY_NODISCARD enum ferry_code ferry_topics_start(struct ferry_snapshot_slot *snapshots,
                                                   struct ferry_publisher *publisher, struct ferry_ops *ops,
                                                   struct ferry_topics **out, struct ferry_error *error);
/* The configuration is another one. */
void ferry_topics_again(struct ferry_topics *topics);
/* Waits for a call that is under way, a few seconds at most. */
void ferry_topics_stop(struct ferry_topics *topics);

#endif
