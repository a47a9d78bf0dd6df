/* What the console knows. A thread of its own reads Kafka, the spool's file and the configuration while somebody looks,
 * and only then: 15 s after the last question it lets go of everything. The bridge's shards never wait for it. */
#ifndef FERRY_BRIDGE_CONSOLE_WATCH_H
#define FERRY_BRIDGE_CONSOLE_WATCH_H

#include "bridge/publish.h"
#include "bridge/snapshot.h"

struct ferry_console_watch;

/* All borrowed until ferry_console_watch_stop. */
struct ferry_console_subject {
    struct ferry_snapshot_slot *snapshots;
    struct ferry_publisher *publisher;
    const char *config_path;
};

/* Fails with FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_console_watch_start(const struct ferry_console_subject *subject,
                                                          struct ferry_console_watch **out, struct ferry_error *error);
/* Waits for the end of a look that is going on, three seconds at most where Kafka does not answer. NULL is allowed. */
void ferry_console_watch_stop(struct ferry_console_watch *watch);

/* Appends everything as one JSON object, as of the last look; somebody looks from now on. Does not wait. */
void ferry_console_watch_print(struct ferry_console_watch *watch, struct ferry_buffer *out);
/* Appends a dead letter of the list in full. False: it is not in the list. */
bool ferry_console_watch_letter(struct ferry_console_watch *watch, const char *name, struct ferry_buffer *out);

#endif
