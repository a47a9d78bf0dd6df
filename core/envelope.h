/* From the bytes of a request to events: legacy, hybrid, CloudEvents (structured, binary, batch), audit records and
 * plain JSON. Pure: no clock, no global state; the caller has checked the signature before. */
#ifndef FERRY_CORE_ENVELOPE_H
#define FERRY_CORE_ENVELOPE_H

#include "core/error.h"
#include "core/event.h"

/* Which formats a door takes. The mode is chosen by Content-Type, without case: a batch or one event by its media
 * type, another event format is FERRY_MEDIA_TYPE; else binary mode where there are `ce-` fields; else, only for
 * FERRY_ENVELOPE_QLIK, one event in a JSON body (no Content-Type counts as JSON; an array is no event). What Qlik's
 * rules mend, and how, stands at the head of envelope_qlik.c; they refuse an event without a type, one whose type
 * cannot be one, a member that is there twice, and data that cannot be read. */
enum ferry_envelope_rules {
    FERRY_ENVELOPE_QLIK,        /* legacy, hybrid, CloudEvents; repaired where Qlik strays, each repair noted */
    FERRY_ENVELOPE_CLOUDEVENTS, /* strict 1.0.2 */
    FERRY_ENVELOPE_JSON         /* any JSON object: becomes `data`; the door gives type, id and source */
};

struct ferry_envelope_input {
    struct ferry_pairs headers; /* as received; names in any case, values raw */
    struct ferry_slice body;
    int64_t received_ms;
    /* For FERRY_ENVELOPE_JSON only: what the door's templates made of the request; `id` absent: a stable hash of the
     * body. */
    struct ferry_slice json_type;
    struct ferry_slice json_id;
    struct ferry_slice json_source;
};

/* The events of one request; `items` lives in the arena. */
struct ferry_events {
    struct ferry_event *items;
    size_t count; /* 0 for an empty batch */
};

/* Reads all events of a request or none. Events point into `input` (headers and body) and `arena`. `datacontenttype`
 * is in lower case but for its parameters, and `application/json` where JSON data came without one.
 * Fails with FERRY_JSON_INVALID, FERRY_EVENT_INVALID (the text names the member, and in a batch the event, counted
 * from 0: "event 3: source: missing"), FERRY_MEDIA_TYPE or FERRY_MEMORY. Trace context: a valid traceparent of the
 * headers is noted in every event. */
FERRY_NODISCARD enum ferry_code ferry_envelope_read(enum ferry_envelope_rules rules,
                                                    const struct ferry_envelope_input *input, struct ferry_arena *arena,
                                                    struct ferry_events *events, struct ferry_error *error);

/* One record of Qlik's Audits API (GET /api/v1/audits) as the event that the webhook would have brought. `record` has
 * been scanned. */
FERRY_NODISCARD enum ferry_code ferry_envelope_read_audit(struct ferry_slice record, int64_t received_ms,
                                                          struct ferry_arena *arena, struct ferry_event *event,
                                                          struct ferry_error *error);

/* W3C Trace Context level 1: is this a traceparent that is to be carried on? */
bool ferry_traceparent_valid(struct ferry_slice value);
/* The trace's id of such a one; absent where that is. */
struct ferry_slice ferry_traceparent_trace(struct ferry_slice value);

#endif
