/* Which dead letters there are, and which of them were redriven or dropped already.
 *
 * The topics `<internal>.<worker>.dlq` only grow. What became of a letter stands in the operators' journal, whose
 * records of `dlq redrive` and `dlq drop` name letters by ranges of offsets in `details`:
 *
 *   {"letters": {"ferry.mail.dlq": {"0": [[12, 15], [17, 17]]}}} */
#ifndef FERRY_CORE_SURVEY_DLQ_H
#define FERRY_CORE_SURVEY_DLQ_H

#include "core/arena.h"
#include "core/buffer.h"
#include "core/config.h"
#include "core/record.h"
#include "core/retry_record.h"
#include "core/survey/read.h"

enum ferry_letter_state { FERRY_LETTER_OPEN, FERRY_LETTER_REDRIVEN, FERRY_LETTER_DROPPED };

/* What is known of a letter without its value; everything in the arena of the list. */
struct ferry_letter {
    size_t queue; /* index into ferry_dlq.queues */
    int32_t partition;
    int64_t offset;
    enum ferry_letter_state state;
    struct ferry_slice event;
    struct ferry_retry_note note; /* route empty: the record could not be read, or this is no letter of Ferry's */
};

/* A worker's topics. */
struct ferry_dlq_queue {
    const char *worker; /* "mail" */
    const char *topic;  /* "ferry.mail.dlq" */
    int partitions;     /* 0: there is no such topic */
    const char *retry;  /* "ferry.mail.retry" */
    int retry_partitions;
};

enum { FERRY_DLQ_QUEUES = 3 };
struct ferry_dlq {
    const struct ferry_config *config;
    struct ferry_properties overrides; /* of `config->kafka` */
    const struct ferry_survey_caller *caller;
    struct ferry_scan *scan;
    struct ferry_arena arena;
    struct ferry_dlq_queue queues[FERRY_DLQ_QUEUES];
};

struct ferry_letters {
    struct ferry_letter *items; /* sorted by queue, partition and offset */
    size_t count, room;
};

/* Which letters; NULL and empty: any. */
struct ferry_dlq_filter {
    const char *worker;
    const char *reason; /* a code: "http-refused" */
    const char *route;
    const char *event;          /* a glob over canonical names */
    int64_t from_ms, to_ms;     /* failed at; FERRY_EARLIEST_MS and INT64_MAX: any */
    struct ferry_letters named; /* by their places, sorted; `note` is not looked at */
    bool all;                   /* also what was redriven or dropped */
    int64_t last;               /* only so many of each partition, the newest; 0: all */
};

/* Finds the topics. `overrides` win over `config->kafka`. Waits: FERRY_KAFKA. `dlq` is done with in any case. */
FERRY_NODISCARD enum ferry_code ferry_dlq_open(const struct ferry_config *config, struct ferry_properties overrides,
                                               const struct ferry_survey_caller *caller, struct ferry_dlq *dlq,
                                               struct ferry_error *error);
/* Fit for FERRY_CLEANUP after {0}. */
void ferry_dlq_done(struct ferry_dlq *dlq);

/* The letters that the filter takes. Fails with FERRY_KAFKA, FERRY_NOT_FOUND (one that was named is not
 * there) or FERRY_STOPPING. */
FERRY_NODISCARD enum ferry_code ferry_dlq_collect(struct ferry_dlq *dlq, const struct ferry_dlq_filter *filter,
                                                  struct ferry_letters *letters, struct ferry_error *error);
/* Reads these letters (sorted as collected) again and hands each over with its record, which the visitor owns from then
 * on. A visitor that fails ends it. A letter that is gone meanwhile is not visited. */
typedef enum ferry_code ferry_dlq_visit(void *context, struct ferry_letter *letter, struct ferry_fetched *fetched,
                                        struct ferry_error *error);
FERRY_NODISCARD enum ferry_code ferry_dlq_read(struct ferry_dlq *dlq, const struct ferry_letters *letters,
                                               ferry_dlq_visit *visit, void *context, struct ferry_error *error);

/* How many letters there are of each queue that nobody has redriven or dropped, without reading them. */
FERRY_NODISCARD enum ferry_code ferry_dlq_count(struct ferry_dlq *dlq, int64_t counts[FERRY_DLQ_QUEUES],
                                                struct ferry_error *error);

/* "ferry.mail.dlq/0/12" */
enum { FERRY_LETTER_NAME = 320 };
const char *ferry_letter_name(const struct ferry_dlq *dlq, const struct ferry_letter *letter,
                              char out[FERRY_LETTER_NAME]);
/* Adds the letter of a name to a list that is not sorted yet; a worker's name may stand for its topic ("mail/0/12").
 * False for what is no letter's name, or when memory ran out. */
bool ferry_letter_parse(struct ferry_dlq *dlq, const char *name, struct ferry_letters *letters);
void ferry_letters_sort(struct ferry_letters *letters);
/* Does the filter take it? Pure. Places and states are not looked at. */
bool ferry_dlq_takes(const struct ferry_dlq_filter *filter, const struct ferry_dlq *dlq,
                     const struct ferry_letter *letter);

/* ---- what became of them ---- */

/* The `details` of a record that names these letters. Pure. */
void ferry_dlq_print_details(const struct ferry_dlq *dlq, const struct ferry_letters *letters,
                             struct ferry_buffer *out);

/* Letters that a record of the journal names. */
struct ferry_dlq_range {
    size_t queue;
    int32_t partition;
    int64_t first, last;
    enum ferry_letter_state state; /* what became of them */
    int64_t when_ms;
};
typedef void ferry_dlq_range_fn(void *context, const struct ferry_dlq_range *range);
/* Hands out the ranges of a record; none of a record that is about something else. Pure. */
struct json_t;
void ferry_dlq_walk(const struct ferry_dlq *dlq, const struct json_t *record, ferry_dlq_range_fn *visit, void *context);
/* Gives letters (sorted) their state by a record: those that it names and that had failed before it was written, as a
 * topic that was made anew counts from 0 again. Pure. */
void ferry_dlq_apply(const struct ferry_dlq *dlq, const struct json_t *record, struct ferry_letters *letters);

const char *ferry_letter_state_name(enum ferry_letter_state state);

#endif
