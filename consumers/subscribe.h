/* Which topics a worker reads: those where the events of its routes' globs can lie. Pure. */
#ifndef FERRY_CONSUMERS_SUBSCRIBE_H
#define FERRY_CONSUMERS_SUBSCRIBE_H

#include "consumers/worker.h"

/* The topics of a channel's routes: every event of the catalogue that a glob matches; a name outside the catalogue as
 * it stands; for a glob with * or ? a regular expression (it begins with ^) beside, because other senders' events may
 * match it; `topics.other`, whose records are selected by their event; and the worker's retry topic. Sorted, no
 * duplicates, in the arena.
 * Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_subscription(const struct ferry_channel *channel,
                                                   const struct ferry_config *config, struct ferry_arena *arena,
                                                   struct ferry_strings *topics);

/* Is this a topic of Kafka's or of Ferry's own (retries, dead letters, marks)? A wide glob may subscribe to it; its
 * records are no events. */
bool ferry_topic_has_no_events(const struct ferry_topics_config *topics, struct ferry_slice topic);

/* Does one of the route's globs match? */
bool ferry_route_wants(const struct ferry_route_config *route, struct ferry_slice canonical);

#endif
