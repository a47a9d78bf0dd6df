/* With which settings a topic is created: what `topics` says, but for the internal ones that would not work with it.
 * Pure. For core/kafka, and for `ferry topics`, which shows it. */
#ifndef FERRY_CORE_KAFKA_TOPIC_PLAN_H
#define FERRY_CORE_KAFKA_TOPIC_PLAN_H

#include "core/config.h"

enum { FERRY_PLAN_SETTINGS = 4, FERRY_PLAN_VALUE = 24 };

struct ferry_topic_plan {
    int partitions;  /* -1: the broker's default */
    int replication; /* -1: the broker's default */
    /* These win over `topics.config`. */
    struct ferry_plan_setting {
        const char *name;
        char value[FERRY_PLAN_VALUE];
    } settings[FERRY_PLAN_SETTINGS];
    size_t setting_count;
};

/* `widest`: the most partitions that an input topic is known to have, 0 if none is known. */
void ferry_topic_plan(const struct ferry_config *config, const char *topic, int widest, struct ferry_topic_plan *plan);
/* Does the plan set this itself? */
bool ferry_topic_plan_sets(const struct ferry_topic_plan *plan, const char *name);

#endif
