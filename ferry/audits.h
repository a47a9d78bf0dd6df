/* The inside of `ferry audits`: what a tenant's Audits API lists of a time, brought into Kafka or compared with it.
 *
 *   audits.c           the command: flags, and a run from its beginning to its end
 *   audits_walk.c      what the tenant lists, the oldest first: the archive, then the pages
 *   audits_publish.c   into Kafka
 *   audits_journal.c   what a run remembers in <internal>.operations, and where it goes on
 *   audits_known.c     which events the topics have
 *   audits_report.c    what it tells */
#ifndef FERRY_AUDITS_H
#define FERRY_AUDITS_H

#include "core/buffer.h"
#include "core/config.h"
#include "core/event.h"
#include "core/qlik/audits.h"
#include "ferry/at_tenant.h"
#include "ferry/console.h"
#include "ferry/id_set.h"
#include "ferry/operations.h"

struct json_t;

/* An event and its time. */
struct ferry_audits_item {
    struct ferry_event event;
    int64_t time_ms;
    uint64_t hash; /* ferry_id_hash */
};

/* ---- the walk ---- */

struct ferry_walk_record {
    int64_t time_ms;
    size_t index;
};

struct ferry_walk {
    struct ferry_at_tenant *at;
    const struct ferry_strings *events; /* globs; a record that none matches is passed over */
    int64_t from_ms;                    /* where it begins … */
    int64_t to_ms;                      /* … and ends, without this moment */

    /* what it came across */
    int64_t pages;
    int64_t unwanted;       /* records that no glob matches */
    int64_t unreadable;     /* records that are no events … */
    struct ferry_error why; /* … and why, of the first */
    int64_t unarchived_ms;  /* the first day that the archive did not have; -1: it had all */

    /* the module's own */
    int64_t day_ms;      /* the next day to be asked of the archive … */
    int64_t last_day_ms; /* … and the last one; before `day_ms`: none is left */
    bool in_archive;     /* the page at hand is a day of it */
    int64_t highest_ms;  /* of what was handed out in order … */
    bool disorder;       /* … and then something earlier came */
    struct ferry_audits_page page;
    struct ferry_walk_record *records; /* of the page, in the order of time */
    size_t count, next;
    struct ferry_arena arena;     /* of a chunk */
    struct ferry_id_set last_day; /* what the archive had of its last day, which pages list as well */
};

/* `now_ms`: the present moment. Asks nobody yet. */
void ferry_walk_begin(struct ferry_walk *walk, int64_t now_ms);
/* Asks for what comes next, patiently; `*more` false: that was all. Fails as ferry_audits_fetch does, and with
 * FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_walk_fetch(struct ferry_walk *walk, bool *more, struct ferry_error *error);
/* Up to `max` wanted events of what was fetched, in the order of time; `*count` 0: it is through. They live until the
 * next call. */
FERRY_NODISCARD enum ferry_code ferry_walk_chunk(struct ferry_walk *walk, struct ferry_audits_item *items, size_t max,
                                                 size_t *count, struct ferry_error *error);
/* Will nothing come any more that is earlier than what came last? */
bool ferry_walk_is_ordered(const struct ferry_walk *walk);
void ferry_walk_end(struct ferry_walk *walk);

/* ---- into Kafka ---- */

struct ferry_filler;
/* What the records say of themselves. */
struct ferry_fill {
    const struct ferry_config *config;
    bool effects; /* workers let them take effect */
};
/* Waits for nobody. `fill` is borrowed. Fails as ferry_producer_open does. */
FERRY_NODISCARD enum ferry_code ferry_filler_open(const struct ferry_fill *fill, struct ferry_filler **out,
                                                  struct ferry_error *error);
/* Publishes these and waits until all are acknowledged; makes topics that are missing, as the bridge would. An event
 * that Kafka can never take is told on stderr, counted in `*too_large`, and passed over. The first `doubtful` may be
 * there already. Fails with FERRY_KAFKA when nothing moved for a minute, or with what a report said; then nothing more
 * can be published with it. */
FERRY_NODISCARD enum ferry_code ferry_filler_publish(struct ferry_filler *filler, const struct ferry_audits_item *items,
                                                     size_t count, size_t doubtful, int64_t *too_large,
                                                     struct ferry_error *error);
/* NULL is allowed. */
void ferry_filler_close(struct ferry_filler *filler);

/* ---- what the topics have ---- */

/* Fills `known` with the events that came into the topics from `from_ms` on; those that a webhook brought are marked.
 * Waits; FERRY_KAFKA, FERRY_STOPPING, FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_audits_known(const struct ferry_config *config, int64_t from_ms,
                                                   struct ferry_id_set *known, struct ferry_error *error);

/* ---- a run ---- */

/* Up to where all is settled: everything before `ms`, and of `ms` itself what is in `seen`. */
struct ferry_audits_position {
    int64_t ms;
    struct ferry_id_set seen;
};

struct ferry_audits_request {
    const char *config;
    const char *from;
    const char *to;
    const char *events;
    const char *run_id;
    bool effects;
    bool missing;
    bool compare;
    bool dry_run;
    bool json;
    int argc; /* as getopt left them */
    char **argv;
};

struct ferry_audits_run {
    const struct ferry_audits_request *request;
    const char *id;
    struct ferry_config *config;
    struct ferry_at_tenant at;
    struct ferry_arena arena;
    struct ferry_strings events;
    int64_t from_ms;
    int64_t to_ms;
    struct ferry_walk walk;
    struct ferry_id_set known; /* for --compare and --missing */
    struct ferry_fill fill;
    struct ferry_filler *filler;      /* NULL: nothing is published */
    struct ferry_operations *journal; /* the same */
    struct ferry_audits_position position;
    bool killed;         /* the run before this one was, or was ahead: what comes first may be there already … */
    size_t doubtful;     /* … so many events of what comes in order */
    bool ahead;          /* something was brought that is behind the position: it comes once more when one goes on */
    int64_t resumed;     /* events that earlier runs of this id have brought there */
    int64_t brought;     /* events, in this run */
    int64_t listed;      /* events that the tenant listed */
    int64_t passed_over; /* --missing: events that are there */
    int64_t alone;       /* --compare: events that the Audits API alone has brought */
    int64_t missing;     /* --compare */
    int64_t too_large;
    int64_t began_ms;
    struct json_t *counts; /* of a dry run and of --compare: event → number */
    struct ferry_progress progress;
};

enum ferry_audits_past { FERRY_AUDITS_FRESH, FERRY_AUDITS_UNFINISHED, FERRY_AUDITS_FINISHED };
/* What the journal knows of this run; an unfinished one goes on there: times, position and count are filled in. Fails
 * with FERRY_USAGE when that run was about something else, FERRY_KAFKA and FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_audits_recall(struct ferry_audits_run *run, enum ferry_audits_past *past,
                                                    struct ferry_error *error);
/* The same from the records themselves, each as ferry_operations_read hands it out. Pure. */
struct ferry_audits_memory {
    struct json_t *filter;
    struct json_t *begun;    /* details of "begun" */
    struct json_t *position; /* details of the last one that has a position */
    int64_t count;
    bool done;
    bool orderly; /* the last word was "stopped": nothing was under way */
    bool ahead;   /* some run brought events that are behind the position */
};
void ferry_audits_remember(void *memory, const struct json_t *record);
void ferry_audits_forget(struct ferry_audits_memory *memory);

/* Is this the run that the memory is of: the same filter, and the same times, in the same words (-7d means another
 * moment by now) or as moments? Pure. */
bool ferry_audits_is_same(const struct ferry_audits_run *run, const struct ferry_audits_memory *memory);

/* The journal's `filter`: what was asked for, as a JSON object. */
void ferry_audits_print_filter(const struct ferry_audits_run *run, struct ferry_buffer *out);
/* Tells the journal where the run is; nothing without one. */
FERRY_NODISCARD enum ferry_code ferry_audits_note(struct ferry_audits_run *run, const char *state,
                                                  struct ferry_error *error);
/* These are settled, in the order of time. False when memory ran out. */
bool ferry_audits_settle(struct ferry_audits_position *position, const struct ferry_audits_item *items, size_t count);

/* On stdout: an event that is missing; the result. On stderr: how to go on. */
void ferry_audits_print_missing(const struct ferry_audits_run *run, const struct ferry_audits_item *item);
void ferry_audits_print_result(const struct ferry_audits_run *run, const char *state);
void ferry_audits_print_how_to_go_on(const struct ferry_audits_run *run);

#endif
