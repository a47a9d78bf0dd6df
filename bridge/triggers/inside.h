/* Inside of bridge/triggers/trigger*.c: what one file does for another. Nobody else includes this. */
#ifndef FERRY_BRIDGE_TRIGGERS_INSIDE_H
#define FERRY_BRIDGE_TRIGGERS_INSIDE_H

#include "bridge/triggers/backoff.h"
#include "bridge/triggers/recent.h"
#include "bridge/triggers/trigger.h"
#include "core/metrics.h"

struct ferry_triggers {
    struct ferry_backoff *backoff;
    struct ferry_recent *recent;
    struct ferry_metric *calls;
};

/* ---- trigger_key ---- */

/* Which key was shown? Fills `key`, `label` and `caller`. FERRY_KEY_BLOCKED, FERRY_KEY_MISSING, FERRY_KEY_WRONG,
 * FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_trigger_check_key(struct ferry_trigger_call *call, struct ferry_error *error);
/* Is the path's token that of its run? Fills `key`. FERRY_NOT_FOUND. */
FERRY_NODISCARD enum ferry_code ferry_trigger_check_token(struct ferry_trigger_call *call, struct ferry_error *error);

/* ---- trigger_origin ---- */

/* Sets `allowed_origin`. */
void ferry_trigger_note_origin(struct ferry_trigger_call *call);
/* Is a GET made to look at the page in advance? FERRY_PREVIEW. */
FERRY_NODISCARD enum ferry_code ferry_trigger_check_preview(struct ferry_trigger_call *call, struct ferry_error *error);
/* May the page that the call comes from make it? Sets `confirm` where a person has to say so first. FERRY_CROSS_SITE.
 */
FERRY_NODISCARD enum ferry_code ferry_trigger_check_origin(struct ferry_trigger_call *call, struct ferry_error *error);

/* ---- trigger_input ---- */

/* What a call brings. */
struct ferry_trigger_inputs {
    struct ferry_slice
        *values;             /* JSON texts, as many as the trigger has inputs and in their order; absent: not given */
    struct ferry_slice wait; /* absent: not given */
};
/* Reads query and body. FERRY_INPUT_REFUSED (names the field), FERRY_JSON_INVALID, FERRY_MEDIA_TYPE, FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_trigger_read_inputs(const struct ferry_trigger_call *call,
                                                          struct ferry_trigger_inputs *inputs,
                                                          struct ferry_error *error);
/* The `data` of the event: an object of what was given, in the order of the configuration, so that the same call makes
 * the same bytes. In the arena; absent when memory ran out. */
struct ferry_slice ferry_trigger_data(const struct ferry_trigger_call *call, const struct ferry_trigger_inputs *inputs);

/* ---- trigger_event ---- */

/* public_url without a slash at its end; "" where it is not set. NULL when memory ran out. */
const char *ferry_trigger_base(const struct ferry_snapshot *snapshot, struct ferry_arena *arena);

/* Settles `id`, `token`, the run's addresses and whether the call came already; if not, it is taken now, and whoever
 * cannot publish it says so (ferry_recent_settle). FERRY_INPUT_REFUSED (a bad
 * Idempotency-Key), FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_trigger_identify(struct ferry_trigger_call *call, struct ferry_slice data,
                                                       struct ferry_error *error);
/* The event and its record. */
FERRY_NODISCARD enum ferry_code ferry_trigger_make(const struct ferry_trigger_call *call, struct ferry_slice data,
                                                   struct ferry_admission *admission, struct ferry_error *error);

/* ---- trigger_answer ---- */

void ferry_trigger_answer_preflight(const struct ferry_trigger_call *call, struct ferry_response *answer);
/* A page with a button: "Start NAME?" */
void ferry_trigger_answer_confirm(const struct ferry_trigger_call *call, const struct ferry_trigger_inputs *inputs,
                                  struct ferry_response *answer);
/* The methods of a place, as Allow lists them. */
const char *ferry_trigger_methods(enum ferry_trigger_place place);

#endif
