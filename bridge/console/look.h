/* One look at Kafka for the console: workers, routes, retries, dead letters, topics. Reads as `ferry lag` and
 * `ferry dlq` do, with bounds. On the console's thread; calls wait. */
#ifndef FERRY_BRIDGE_CONSOLE_LOOK_H
#define FERRY_BRIDGE_CONSOLE_LOOK_H

#include "bridge/console/flow.h"
#include "core/survey/dlq.h"
#include "core/survey/lag.h"

enum { FERRY_LOOK_LETTERS = 50, FERRY_LOOK_LETTER_NAME = 48 };

/* A dead letter in full, as JSON. */
struct ferry_console_letter {
    char name[FERRY_LOOK_LETTER_NAME]; /* "mail/0/12" */
    char *json;
};
struct ferry_console_letters {
    struct ferry_console_letter items[FERRY_LOOK_LETTERS];
    size_t count;
};
void ferry_console_letters_done(struct ferry_console_letters *letters);

/* A topic and how much is in it. */
struct ferry_console_topic {
    const char *name;
    bool internal;
    int partitions;
    int64_t records; /* that are still there, or were before compaction */
    int64_t end;     /* of all partitions: grows when something is written */
};

struct ferry_console_look {
    struct ferry_dlq dlq; /* its client, and the memory of everything here */
    struct ferry_console_topic *topics;
    size_t topic_count;
    struct ferry_lag lag;
};
/* Looks. `overrides` are Kafka properties that win. Done with in any case. FERRY_KAFKA, FERRY_STOPPING. */
FERRY_NODISCARD enum ferry_code ferry_console_look(struct ferry_console_look *look, const struct ferry_config *config,
                                                   struct ferry_properties overrides,
                                                   const struct ferry_survey_caller *caller, struct ferry_error *error);
void ferry_console_look_done(struct ferry_console_look *look);

/* A number that changes when there are other dead letters, or somebody has redriven or dropped some. */
uint64_t ferry_console_look_mark(const struct ferry_console_look *look);
/* Reads the newest dead letters: appends "letters":{…} without their values, and fills `letters` with them. */
FERRY_NODISCARD enum ferry_code ferry_console_look_letters(struct ferry_console_look *look, struct ferry_buffer *out,
                                                           struct ferry_console_letters *letters,
                                                           struct ferry_error *error);

/* "topics":[…],"workers":[…],"routes":[…],"retries":[…]; routes with what the flow has seen of them. */
void ferry_console_look_print(const struct ferry_console_look *look, const struct ferry_flow *flow,
                              struct ferry_buffer *out);

#endif
