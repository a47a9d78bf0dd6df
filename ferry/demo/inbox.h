/* What the demo's stand-ins were given, in the order of arrival: the proof that an effect took place.
 *
 * Stand-ins append from their own threads, the demo reads. An arrival never changes and lives as long as the inbox. */
#ifndef FERRY_DEMO_INBOX_H
#define FERRY_DEMO_INBOX_H

#include <stdint.h>

#include "core/buffer.h"

enum ferry_place_reached { FERRY_REACHED_SLACK, FERRY_REACHED_MAIL, FERRY_REACHED_AUTOMATION, FERRY_REACHED_CRM };
/* "Slack", "mail", "automation", "CRM". */
const char *ferry_reached_name(enum ferry_place_reached place);

struct ferry_arrival {
    enum ferry_place_reached place;
    bool accepted; /* the stand-in was content; else `text` says why not */
    int64_t wall_ms;
    int64_t mono_ms; /* when the last byte of the request was in */
    char *text;      /* one line for people */
    char *raw;       /* the body as it came */
};

struct ferry_inbox;

/* NULL when memory ran out. The caller frees, after all stand-ins have stopped. */
struct ferry_inbox *ferry_inbox_new(void);
void ferry_inbox_free(struct ferry_inbox *inbox);

/* Appends an arrival, stamped with the present time; `text` and `raw` are copied, line ends in `text` become spaces.
 * Any thread. What does not fit into memory is dropped: a demo that misses it says so. */
void ferry_inbox_add(struct ferry_inbox *inbox, enum ferry_place_reached place, bool accepted, struct ferry_slice text,
                     struct ferry_slice raw);
/* The arrival at that index, waiting for it at most `timeout_ms`; NULL when none came. Any thread. */
const struct ferry_arrival *ferry_inbox_wait(struct ferry_inbox *inbox, size_t index, int64_t timeout_ms);
/* All of it as a text page, newest last: the stand-ins' log. */
void ferry_inbox_print(struct ferry_inbox *inbox, struct ferry_buffer *out);

#endif
