/* The log: one JSON object a line on stderr, or text for people (`--log-format text`).
 *
 * Programs log; library code in core/ does not, but at debug level. Never hand it a body, a secret, a token or a full
 * e-mail address; control characters are escaped here. A line is never cut in two by two writes; from any thread.
 *
 *   ferry_log(FERRY_LOG_INFO, "listening", FERRY_FIELDS(ferry_text("address", address), ferry_number("shards", n)));
 */
#ifndef FERRY_CORE_LOG_H
#define FERRY_CORE_LOG_H

#include <stdint.h>

#include "core/slice.h"

enum ferry_log_level { FERRY_LOG_DEBUG, FERRY_LOG_INFO, FERRY_LOG_WARN, FERRY_LOG_ERROR };
enum ferry_log_format { FERRY_LOG_JSON, FERRY_LOG_TEXT };

struct ferry_field {
    const char *name; /* NULL ends a list */
    struct ferry_slice text;
    int64_t number;
    bool is_number;
};

static inline struct ferry_field ferry_text(const char *name, const char *value)
{
    return (struct ferry_field){.name = name, .text = ferry_slice_from(value != NULL ? value : "")};
}

static inline struct ferry_field ferry_field_slice(const char *name, struct ferry_slice value)
{
    return (struct ferry_field){.name = name, .text = value};
}

static inline struct ferry_field ferry_number(const char *name, int64_t value)
{
    return (struct ferry_field){.name = name, .number = value, .is_number = true};
}

/* A value that may be absent: then the fields end here. The last of a list, therefore. */
static inline struct ferry_field ferry_field_if(const char *name, struct ferry_slice value)
{
    return (struct ferry_field){.name = value.ptr != NULL ? name : NULL, .text = value};
}

#define FERRY_FIELDS(...) ((const struct ferry_field[]){__VA_ARGS__, {.name = NULL}})
#define FERRY_NO_FIELDS ((const struct ferry_field[]){{.name = NULL}})

/* Before other threads start. `program` is borrowed for ever. */
void ferry_log_setup(const char *program, enum ferry_log_format format, enum ferry_log_level least);
void ferry_log_level_set(enum ferry_log_level least);
/* `log.events`: may there be lines that only say that all went well with one event? Of them there are as many as there
 * are events, so whoever writes one asks first. True unless said otherwise. Any thread. */
void ferry_log_events_set(bool wanted);
bool ferry_log_wants_events(void);
/* "debug info warn error" to the level; false for another word. */
bool ferry_log_level_parse(const char *word, enum ferry_log_level *level);
void ferry_log(enum ferry_log_level level, const char *message, const struct ferry_field *fields);
/* Between these two calls the lines of this thread below "warn" are kept, and then written many at a time: for a loop
 * whose round may write a line for each event. What is kept when the process is killed or crashes is lost. */
void ferry_log_gather(void);
void ferry_log_write_gathered(void);

#endif
