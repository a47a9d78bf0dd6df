/* The inside of `ferry topics`: each topic as it is to be and as it is, and the ways to print that.
 *
 *   topics.c          the command: looks, creates, compares
 *   topics_format.c   text, json, strimzi, terraform
 *   topics_acls.c     what each program needs */
#ifndef FERRY_TOPICS_H
#define FERRY_TOPICS_H

#include <stdio.h>

#include "core/arena.h"
#include "core/kafka/admin.h"

struct ferry_topic_setting {
    const char *name;
    const char *value;
    const char *actual; /* NULL: not known */
};

struct ferry_topic_row {
    const char *name;
    const char *kind; /* "event", "other", "internal" */
    /* planned */
    int partitions;  /* -1: the broker's default */
    int replication; /* -1: the broker's default */
    struct ferry_topic_setting *settings;
    size_t setting_count;
    /* found */
    bool looked;
    struct ferry_topic_result found;
};

struct ferry_topic_rows {
    struct ferry_topic_row *items;
    size_t count;
};

/* The plan of every topic that the configuration uses; nothing is looked at. `widest`: the most partitions that an
 * input topic is known to have, 0 for none. In the arena; false when memory ran out. */
bool ferry_topics_plan(const struct ferry_config *config, struct ferry_topic_list topics, int widest,
                       struct ferry_arena *arena, struct ferry_topic_rows *rows);

/* Appends how an existing topic differs from its plan, "3 partitions, not 6; retention.ms is 1, not 2"; nothing if it
 * does not. Fewer partitions than planned differ, more do not. */
void ferry_topic_differs(const struct ferry_topic_row *row, struct ferry_buffer *out);

void ferry_topics_print_text(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);
void ferry_topics_print_json(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);
/* KafkaTopic resources of Strimzi, and resources of Terraform's provider Mongey/kafka. */
void ferry_topics_print_strimzi(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);
void ferry_topics_print_terraform(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);
/* kafka-acls.sh commands. */
void ferry_topics_print_acls(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);

#endif
