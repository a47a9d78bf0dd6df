/* Which records of Kafka a command is about: `--event --id --tenant --where`, and the topics where they can lie. */
#ifndef FERRY_CORE_SURVEY_SELECTION_H
#define FERRY_CORE_SURVEY_SELECTION_H

#include "core/arena.h"
#include "core/kafka/scan.h"
#include "core/record.h"

struct ferry_expression;

struct ferry_selection {
    /* as given; NULL: any */
    const char *event; /* a glob over canonical names; a type of Qlik's is taken as well */
    const char *id;
    const char *tenant;
    const char *where; /* a jq expression over the event */

    /* the module's own */
    char *glob;                          /* of canonical names; NULL: any */
    struct ferry_expression *expression; /* NULL: no `where` */
    struct ferry_arena arena;            /* of the record that is looked at */
    int64_t no_events;                   /* records so far that are no CloudEvents */
    int64_t where_failed;                /* events so far that `where` failed at */
    struct ferry_error why;              /* … and what jq said of the first */
};

/* Fails with FERRY_CONFIG (jq's words about `where`) or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_selection_begin(struct ferry_selection *selection, struct ferry_error *error);
/* Fit for FERRY_CLEANUP after {0}. */
void ferry_selection_end(struct ferry_selection *selection);

/* Is this record chosen? `event` (may be NULL) is filled where it is, and lives until the next call. Nothing is parsed
 * that the choice does not need: without `event` and `where` the headers of a binary record are enough. */
bool ferry_selection_takes(struct ferry_selection *selection, const struct ferry_record *record,
                           struct ferry_event *event);

/* Can events that are chosen lie in this topic? By the name alone: `topics.other`, and what the template makes of the
 * glob, never Kafka's and Ferry's own topics. */
bool ferry_selection_reads(const struct ferry_selection *selection, const struct ferry_topics_config *topics,
                           const char *topic);
/* A moment (ferry_moment_parse) as ferry_scan_offsets takes it. */
int64_t ferry_selection_when(int64_t moment_ms);

/* Every partition of these topics as an empty span, sorted; names and array are in the arena. Waits, ten seconds at
 * most. Fails with FERRY_KAFKA, or FERRY_TOPIC_UNKNOWN where there is no such topic. */
FERRY_NODISCARD enum ferry_code ferry_selection_spans(const struct ferry_selection *selection,
                                                      const struct ferry_topics_config *topics, struct ferry_scan *scan,
                                                      struct ferry_arena *arena, struct ferry_span **spans,
                                                      size_t *count, struct ferry_error *error);

#endif
