/* What became of triggers' calls: the bridge's memory of `<internal>.results`.
 *
 * A thread reads all partitions of that topic, from ten minutes ago and without a group, so that each bridge knows of
 * each run, whichever took the call and whenever it was started. The memory is bounded in runs, bytes and age; what
 * went is not known any more. A run is immutable: a newer result makes a new one in its place, so whoever holds one may
 * read it at leisure, on any thread. */
#ifndef FERRY_BRIDGE_TRIGGERS_RESULTS_H
#define FERRY_BRIDGE_TRIGGERS_RESULTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/metrics.h"
#include "core/record.h"

struct ferry_results;

enum { FERRY_RUN_ROUTES_MAX = 1000 };

enum ferry_run_state { FERRY_RUN_IS_QUEUED, FERRY_RUN_IS_RUNNING, FERRY_RUN_HAS_FINISHED, FERRY_RUN_HAS_FAILED };
/* "queued", "running", "finished", "failed". */
const char *ferry_run_state_name(enum ferry_run_state state);

/* What one route has told last: one record. */
struct ferry_run_result {
    atomic_uint references;
    struct ferry_arena arena; /* all slices; absent ones were not told */
    size_t bytes;             /* about as many as it takes */
    struct ferry_slice id;
    struct ferry_slice trigger;
    struct ferry_slice route;
    size_t routes; /* that take the call; at least 1 */
    enum ferry_run_state state;
    bool final;
    struct ferry_slice at; /* RFC 3339 */
    struct ferry_slice run;
    int64_t attempts;
    struct ferry_slice output_type; /* "application/json": the output is JSON, checked; else text */
    struct ferry_slice output;
    bool truncated;
    struct ferry_slice error_code;
    struct ferry_slice error_text;
};

/* What is known of one call. */
struct ferry_run {
    atomic_uint references;
    enum ferry_run_state state; /* of all routes together */
    bool final;                 /* every route that takes the call is at its end */
    uint64_t version;           /* goes up with each change; never 0 */
    size_t result_count;
    struct ferry_run_result *results[]; /* by route, in the order in which they were heard of */
};
/* NULL is allowed. */
void ferry_run_drop(struct ferry_run *run);
/* The result did nothing, because nothing was to be done: skipped, expired, or had before. */
bool ferry_run_result_is_void(const struct ferry_run_result *result);

/* Somebody who waits for news of a run. Embedded; the caller's own until ferry_results_watch. */
struct ferry_watch {
    struct ferry_slice id; /* must live as long as the watch */
    /* There is news; on the reader's thread, under the memory's lock: must not wait and must not call back. */
    void (*changed)(struct ferry_watch *watch);
    struct ferry_watch *previous;
    struct ferry_watch *next;
};

/* The memory alone. NULL when memory ran out; the metrics may be NULL. */
struct ferry_results *ferry_results_new(struct ferry_metrics *metrics);
/* Nobody watches any more, the reader has been stopped. */
void ferry_results_free(struct ferry_results *results);

/* Reads one record. FERRY_RECORD_INVALID: none of ours (the text says why); FERRY_MEMORY. Held for the caller. */
FERRY_NODISCARD enum ferry_code ferry_run_result_read(const struct ferry_record *record, struct ferry_run_result **out,
                                                      struct ferry_error *error);
void ferry_run_result_drop(struct ferry_run_result *result);

/* Starts the reader's thread, unless it runs; it waits for the broker and the topic by itself. The configuration is
 * borrowed until ferry_results_stop. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_results_start(struct ferry_results *results, const struct ferry_config *config,
                                                    struct ferry_error *error);
/* Joins the thread, if there is one. */
void ferry_results_stop(struct ferry_results *results);

/* What follows: any thread. */

/* What is known of that run, held for the caller (ferry_run_drop); NULL: nothing. */
struct ferry_run *ferry_results_get(struct ferry_results *results, struct ferry_slice id);
void ferry_results_watch(struct ferry_results *results, struct ferry_watch *watch);
/* When it returns `changed` is not running and will not be called. */
void ferry_results_unwatch(struct ferry_results *results, struct ferry_watch *watch);
/* Takes the news of one record in. FERRY_RECORD_INVALID: none of ours; FERRY_MEMORY. `mono_ms` is now. */
FERRY_NODISCARD enum ferry_code ferry_results_learn(struct ferry_results *results, const struct ferry_record *record,
                                                    int64_t mono_ms, struct ferry_error *error);

#endif
