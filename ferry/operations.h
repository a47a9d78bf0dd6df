/* The operators' journal: whatever a command of the CLI changes stands in `<internal>.operations`, for whoever asks
 * later who did what, and for the run itself, which goes on where its last record says.
 *
 * A record is one JSON object, keyed by the run, so that the records of a run stand in order in one partition:
 *
 *   {"time": "2026-11-22T10:00:00.000Z", "who": "ada@bastion", "command": "dlq redrive",
 *    "arguments": ["--worker", "mail"], "filter": {…}, "run": "20261122T100000-1f0c9a",
 *    "state": "done", "count": 12, "details": {…}} */
#ifndef FERRY_OPERATIONS_H
#define FERRY_OPERATIONS_H

#include "core/survey/journal.h"

/* One run of one command. Everything is borrowed until ferry_operations_close. */
struct ferry_operation {
    const char *command;          /* "replay", "dlq redrive" */
    const char *const *arguments; /* as they were given; of URLs only the host is kept, the rest may be secret */
    size_t argument_count;
    const char *run;           /* run id */
    struct ferry_slice filter; /* JSON: what was chosen; absent: not told */
};

enum { FERRY_RUN_ID = 65 };
/* A new run id that sorts by time: "20261122T100000-1f0c9a". */
void ferry_run_id_new(char out[FERRY_RUN_ID]);
/* 1 to 64 of letters, digits and . _ - */
bool ferry_run_id_valid(const char *run);

struct ferry_operations;
/* Opens the journal, and makes its topic where it is missing and `topics.create` allows it. Waits for a broker, about
 * ten seconds at most. Fails with FERRY_KAFKA or FERRY_TOPIC_UNKNOWN, and a cure. */
FERRY_NODISCARD enum ferry_code ferry_operations_open(const struct ferry_config *config,
                                                      const struct ferry_operation *operation,
                                                      struct ferry_operations **out, struct ferry_error *error);
/* Appends a record and waits until it is acknowledged. `state`: "begun", "progress", "done", "stopped", "failed".
 * `count`: what the run has changed so far. `details`: a JSON value, or absent. Fails with FERRY_KAFKA and others. */
FERRY_NODISCARD enum ferry_code ferry_operations_note(struct ferry_operations *journal, const char *state,
                                                      int64_t count, struct ferry_slice details,
                                                      struct ferry_error *error);
/* NULL is allowed. */
void ferry_operations_close(struct ferry_operations *journal);

/* ferry_journal_read with a client of its own. */
FERRY_NODISCARD enum ferry_code ferry_operations_read(const struct ferry_config *config, const char *run,
                                                      ferry_journal_fn *visit, void *context,
                                                      struct ferry_error *error);

/* Appends the value of a record. Pure; for ferry_operations_note and for tests. */
struct ferry_buffer;
void ferry_operation_print(const struct ferry_operation *operation, const char *who, int64_t wall_ms, const char *state,
                           int64_t count, struct ferry_slice details, struct ferry_buffer *out);

#endif
