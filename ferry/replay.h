/* The inside of `ferry replay`: the run, where its records go, and what it remembers in the operators' journal.
 *
 *   replay.c          the command: flags, the plan, the loop, the report
 *   replay_track.c    how far it is
 *   replay_journal.c  its records in <internal>.operations, and what a run of the same id finds there
 *   replay_kafka.c    --to-topic, --to-worker
 *   replay_url.c      --to-url */
#ifndef FERRY_REPLAY_H
#define FERRY_REPLAY_H

#include "core/arena.h"
#include "ferry/operations.h"
#include "ferry/replay_track.h"
#include "ferry/selection.h"

struct ferry_replay {
    const char *run;
    const char *to_topic; /* one of these three */
    const char *to_worker;
    const char *to_url;
    bool structured; /* to_url: as application/cloudevents+json */
    bool effects;
    bool again;
    struct ferry_selection selection;

    struct ferry_config *config;
    struct ferry_scan *scan;
    struct ferry_arena arena; /* of the plan */
    struct ferry_span *spans; /* none is empty */
    size_t span_count;
    int64_t from_ms; /* of records' own times; INT64_MIN, INT64_MAX: open */
    int64_t to_ms;
    struct ferry_track *track;
    int64_t resumed; /* records that earlier runs of this id have brought there */
};

/* ---- where records go ---- */

struct ferry_replay_sink {
    void *context;
    size_t in_flight_max; /* records on their way; more are not handed over */
    /* `*wanted`: the record is the track's now, also on failure. Else (false before the call) nobody there wants it and
     * it stays the caller's. Waits while there is no room. */
    enum ferry_code (*take)(void *context, struct ferry_fetched *fetched, size_t span, bool *wanted,
                            struct ferry_error *error);
    /* Does what is due; called often. May wait a few milliseconds. */
    void (*work)(void *context);
    void (*close)(void *context);
};
FERRY_NODISCARD enum ferry_code ferry_replay_open_topic(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                                        struct ferry_error *error);
FERRY_NODISCARD enum ferry_code ferry_replay_open_worker(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                                         struct ferry_error *error);
FERRY_NODISCARD enum ferry_code ferry_replay_open_url(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                                      struct ferry_error *error);

/* The headers of a replayed record: the original's in their order, without marks of an earlier replay, then
 * ferry-replay, and ferry-effects, ferry-again where asked for. False when memory ran out. Pure. */
bool ferry_replay_headers(const struct ferry_replay *replay, const struct ferry_record *original,
                          struct ferry_arena *arena, struct ferry_record *record);

/* ---- what it remembers ---- */

struct json_t;
/* The journal's `filter`: what was asked for, as a JSON object. */
void ferry_replay_print_filter(const struct ferry_replay *replay, struct ferry_buffer *out);
/* The details of "begun": the stretches. */
void ferry_replay_print_plan(const struct ferry_replay *replay, struct ferry_buffer *out);
/* The details of "progress" and what follows: where each partition would go on. */
void ferry_replay_print_positions(const struct ferry_replay *replay, struct ferry_buffer *out);

enum ferry_replay_past { FERRY_REPLAY_NEW, FERRY_REPLAY_UNFINISHED, FERRY_REPLAY_FINISHED };
/* What the journal knows of this run. An unfinished one becomes the plan: spans, times and count are filled in. Fails
 * with FERRY_USAGE when that run was about something else, FERRY_KAFKA and FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_replay_recall(struct ferry_replay *replay, enum ferry_replay_past *past,
                                                    struct ferry_error *error);
/* The same from the records themselves, each as ferry_operations_read hands it out. Pure. */
struct ferry_replay_memory {
    struct json_t *filter;
    struct json_t *spans;     /* topic → partition → [from, end] */
    struct json_t *positions; /* topic → partition → offset */
    int64_t from_ms;
    int64_t to_ms;
    int64_t count;
    bool done;
};
void ferry_replay_remember(void *memory, const struct json_t *record);
void ferry_replay_forget(struct ferry_replay_memory *memory);

#endif
