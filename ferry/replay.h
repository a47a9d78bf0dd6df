/* The inside of `ferry replay`: the run, where its records go, and what it remembers in the operators' journal.
 *
 *   replay.c          the command: flags, and a run from its beginning to its end
 *   replay_flow.c     the plan, and the loop that reads, chooses and hands over
 *   replay_report.c   what it tells
 *   replay_track.c    how far it is
 *   replay_journal.c  its records in <internal>.operations, and what a run of the same id finds there
 *   replay_kafka.c    --to-topic, --to-worker
 *   replay_url.c      --to-url */
#ifndef FERRY_REPLAY_H
#define FERRY_REPLAY_H

#include "core/arena.h"
#include "core/survey/selection.h"
#include "ferry/console.h"
#include "ferry/operations.h"
#include "ferry/replay_track.h"

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

/* ---- a run while it runs ---- */

struct json_t;

struct ferry_replay_request {
    const char *config;
    const char *from;
    const char *to;
    const char *rate;
    bool replays_too;
    bool dry_run;
    bool json;
    int argc; /* as getopt left them */
    char **argv;
};

struct ferry_replay_run {
    const struct ferry_replay_request *request;
    struct ferry_replay *replay;
    struct ferry_replay_sink sink; /* take NULL: a dry run */
    struct ferry_operations *journal;
    struct ferry_progress progress;
    struct json_t *events; /* of a dry run: event → count */
    int64_t rate;          /* records a second; 0: as fast as they go */
    int64_t began_ms;
    int64_t noted_ms;
    int64_t moved_ms; /* when something was read or settled last */
    int64_t read;
    int64_t taken;
    int64_t left_out_replays;
    int64_t left_out_unwanted;
    struct ferry_error error;
};

/* Fixes the stretches to read. Waits; FERRY_KAFKA, FERRY_TOPIC_UNKNOWN, FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_replay_plan(struct ferry_replay *replay, struct ferry_error *error);
/* How many offsets they hold. */
int64_t ferry_replay_planned(const struct ferry_replay *replay);
/* How much the run has brought there, over all its parts. */
int64_t ferry_replay_brought(const struct ferry_replay_run *run);
/* Tells the journal, with `print` for the details; nothing without a journal (a dry run). */
FERRY_NODISCARD enum ferry_code ferry_replay_note(struct ferry_replay_run *run, const char *state,
                                                  void (*print)(const struct ferry_replay *replay,
                                                                struct ferry_buffer *out),
                                                  struct ferry_error *error);
/* Reads everything there is to read, until Ctrl-C. False: the run has failed, `run->error` says why. */
bool ferry_replay_flow(struct ferry_replay_run *run);
/* Waits until what is under way has arrived; after Ctrl-C, not for long. False as above. */
bool ferry_replay_drain(struct ferry_replay_run *run);

/* The result on stdout, for people or as JSON. */
void ferry_replay_print_result(const struct ferry_replay_run *run, const char *state);
/* On stderr: the same command, with the run's id. */
void ferry_replay_print_how_to_go_on(const struct ferry_replay_run *run);

/* ---- what it remembers ---- */

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
