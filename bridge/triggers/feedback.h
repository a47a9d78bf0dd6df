/* What a caller of a trigger is shown of its run: a page for people, JSON for scripts, server-sent events, or the
 * output itself. Pure: the HTTP layer's http_long decides when. docs/triggers.md, "Feedback". */
#ifndef FERRY_BRIDGE_TRIGGERS_FEEDBACK_H
#define FERRY_BRIDGE_TRIGGERS_FEEDBACK_H

#include "bridge/triggers/results.h"
#include "bridge/triggers/trigger.h"

enum { FERRY_FEEDBACK_WAIT_MAX_MS = 120000 };

/* How long `?wait=` wants the answer to be held back: 0 for not at all, at most FERRY_FEEDBACK_WAIT_MAX_MS. False: it
 * is no duration (`error` says what is). Browsers that are shown the page do not wait. */
FERRY_NODISCARD bool ferry_feedback_wait(const struct ferry_trigger_call *call, int64_t *wait_ms,
                                         struct ferry_error *error);

/* The answer for whoever started or looks at a run, of which `run` is known (NULL: nothing yet). `call->run_url` and
 * `call->run_path` are set. A browser gets the page (200). Others get the state: 202 with `Location` to who started it,
 * 200 to who looks. With `waited` it is the output when the run is at its end: 200 as it is, 502 as a problem when it
 * failed; else 202. */
void ferry_feedback_answer(const struct ferry_trigger_call *call, const struct ferry_run *run, bool waited,
                           struct ferry_response *answer);

/* Appends the state as one line of JSON. */
void ferry_feedback_json(const struct ferry_trigger_call *call, const struct ferry_run *run, struct ferry_buffer *out);
/* Appends the inside of the page's main element. */
void ferry_feedback_page(const struct ferry_trigger_call *call, const struct ferry_run *run, struct ferry_buffer *out);
/* Appends one server-sent event: `state` with JSON, or with `as_page` `page` with HTML; the last one is followed by
 * `end`. */
void ferry_feedback_event(const struct ferry_trigger_call *call, const struct ferry_run *run, bool as_page,
                          struct ferry_buffer *out);

#endif
