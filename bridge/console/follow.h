/* Reads along: the event topics and the effects topics of the last minutes, and what comes from now on, into a flow.
 * A client of its own in nobody's group. One thread. */
#ifndef FERRY_BRIDGE_CONSOLE_FOLLOW_H
#define FERRY_BRIDGE_CONSOLE_FOLLOW_H

#include "bridge/console/look.h"

struct ferry_console_follow {
    struct ferry_flow flow;
    struct ferry_scan *scan; /* NULL: reads nothing yet */
    struct ferry_span *spans;
    const char **workers; /* of each span: whose effects these are; NULL: events */
    size_t count;
    struct ferry_arena arena; /* of the three */
};

/* Reads the topics that the look has found: those that are new from some minutes ago, but no more than a number of
 * records of each, the others from where they are. Does nothing when the topics are the same. FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_console_follow_topics(struct ferry_console_follow *follow,
                                                            struct ferry_console_look *look, struct ferry_error *error);
/* Takes what has come; waits a moment when nothing has. */
void ferry_console_follow_poll(struct ferry_console_follow *follow, int timeout_ms);
/* Closes the client, forgets everything. */
void ferry_console_follow_done(struct ferry_console_follow *follow);

#endif
