/* Where an event goes: its topic and its key (docs/contract.md, "Records in Kafka"). */
#ifndef FERRY_CORE_ROUTE_H
#define FERRY_CORE_ROUTE_H

#include "core/config.h"
#include "core/error.h"
#include "core/event.h"

/* Kafka's own limit for a topic's name. */
enum { FERRY_TOPIC_NAME = 249 };

/* The topic of `topics.name` for an event, each character that Kafka forbids replaced by '-'. In the arena. Fails with
 * FERRY_EVENT_INVALID when the name would be too long, "." or "..", or one of Ferry's internal topics. */
FERRY_NODISCARD enum ferry_code ferry_route_topic(const struct ferry_topics_config *topics,
                                                  const struct ferry_event *event, struct ferry_arena *arena,
                                                  struct ferry_slice *topic, struct ferry_error *error);

/* The same for a canonical name alone and the type that stands for it: which topics to create and to subscribe. */
FERRY_NODISCARD enum ferry_code ferry_route_topic_of(const struct ferry_topics_config *topics,
                                                     struct ferry_slice canonical, struct ferry_slice type,
                                                     struct ferry_arena *arena, struct ferry_slice *topic,
                                                     struct ferry_error *error);

/* The key of `topics.key`: for `resource` toplevelresourceid, else data.id (legacy: data.attributes.id; a number as its
 * text), else subject, else id; for `tenant` tenantid, else source. Borrowed from the event or in the arena. */
FERRY_NODISCARD enum ferry_code ferry_route_key(const struct ferry_topics_config *topics,
                                                const struct ferry_event *event, struct ferry_arena *arena,
                                                struct ferry_slice *key, struct ferry_error *error);

/* The names behind `<internal>.`, NULL-ended: for itself, and `<worker>.<topic>` of each worker. */
extern const char *const ferry_internal_topics[];
extern const char *const ferry_worker_names[];
extern const char *const ferry_worker_topics[];
bool ferry_route_topic_is_internal(const struct ferry_topics_config *topics, struct ferry_slice topic);

/* Is this one of the topics that Ferry creates (`topics.create`)? The set is made once, then only read. */
struct ferry_topic_set;
struct ferry_topic_list {
    const char *const *names; /* sorted, no duplicates */
    size_t count;
};
/* What `topics.create` and the routes of all sections ask for: event topics (the catalogue's for `known`, the routes',
 * the triggers', and the types that doors of other senders name without a glob), `other`, and the internal ones. For
 * `never` the same as for `routed`: which topics an event may go to, though nobody here creates them. The caller frees
 * the set; NULL when memory ran out. */
struct ferry_topic_set *ferry_topic_set_new(const struct ferry_config *config);
void ferry_topic_set_free(struct ferry_topic_set *set);
bool ferry_topic_set_has(const struct ferry_topic_set *set, struct ferry_slice topic);
/* Borrowed from the set. */
struct ferry_topic_list ferry_topic_set_list(const struct ferry_topic_set *set);

/* The record of an event, for the topic and the key that follow from the configuration; for `topics.other` where its
 * own topic is not among `set`. Fails as ferry_route_topic, ferry_route_key and ferry_record_make do. */
struct ferry_record;
struct ferry_record_marks;
FERRY_NODISCARD enum ferry_code ferry_route_record(const struct ferry_topics_config *topics,
                                                   const struct ferry_topic_set *set, const struct ferry_event *event,
                                                   const struct ferry_record_marks *marks, struct ferry_arena *arena,
                                                   struct ferry_record *record, struct ferry_error *error);

#endif
