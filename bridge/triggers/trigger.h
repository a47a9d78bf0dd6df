/* Triggers: addresses for callers that can only call a URL. A call becomes the event com.ferry.trigger.NAME, published
 * like any other.
 *
 *   /triggers/NAME                       the call: GET or POST; HEAD tries the key and starts nothing
 *   /triggers/NAME/KEY                   the same for keys with `in_url` and for keys of the kit
 *   /triggers/NAME/kit                   the kit (bridge/triggers/kit)
 *   /triggers/NAME/runs/ID/TOKEN         what became of a call (bridge/triggers/feedback)
 *   /triggers/NAME/runs/ID/TOKEN/events  the same as server-sent events
 *
 * The way of a request: ferry_trigger_head decides all that needs no body (path, method, previews, back-off, key,
 * origin), in the order of the tables in trigger.c; ferry_trigger_end, with the body, makes either an answer or the
 * record of an event; ferry_trigger_published makes the answer when the record is safe. None of them blocks, none knows
 * the HTTP library.
 *
 *   trigger   paths, the tables, dispatch            input     query, form and JSON to `data`
 *   key       which key was shown                    event     id, run token, event, record
 *   origin    cross-site calls, CORS, previews       recent    calls that came already
 *   answer    answers and the confirmation page      backoff   addresses that show wrong keys
 *   kit       what callers are given                 results   what became of calls, read from Kafka
 *   feedback  what became of a call, shown           page, form, response: what those have in common */
#ifndef FERRY_BRIDGE_TRIGGERS_TRIGGER_H
#define FERRY_BRIDGE_TRIGGERS_TRIGGER_H

#include "bridge/address.h"
#include "bridge/admit.h"
#include "bridge/snapshot.h"
#include "bridge/triggers/response.h"

struct ferry_metrics;

/* ---- paths ---- */

enum ferry_trigger_place {
    FERRY_TRIGGER_CALL,   /* /triggers/NAME, /triggers/NAME/KEY */
    FERRY_TRIGGER_RUN,    /* /triggers/NAME/runs/ID/TOKEN */
    FERRY_TRIGGER_EVENTS, /* /triggers/NAME/runs/ID/TOKEN/events */
    FERRY_TRIGGER_KIT     /* /triggers/NAME/kit */
};

/* Borrowed from the path. */
struct ferry_trigger_path {
    enum ferry_trigger_place place;
    struct ferry_slice name;
    struct ferry_slice key;   /* absent: none stands in the path */
    struct ferry_slice run;   /* the event's id; of RUN and EVENTS */
    struct ferry_slice token; /* of RUN and EVENTS */
};

/* Does this path belong to triggers, known or not? */
bool ferry_trigger_owns(struct ferry_slice path);
/* False for a path that cannot be one of the five. */
bool ferry_trigger_path_parse(struct ferry_slice path, struct ferry_trigger_path *out);

/* ---- what all bridges of a process share ---- */

/* Addresses that showed wrong keys, and calls that came already: bounded, any thread. NULL when memory ran out. The
 * metrics may be NULL. */
struct ferry_triggers;
struct ferry_triggers *ferry_triggers_new(struct ferry_metrics *metrics);
void ferry_triggers_free(struct ferry_triggers *triggers);

/* ---- a call ---- */

enum { FERRY_TRIGGER_ID = 32, FERRY_TRIGGER_TOKEN = 22 };

/* What the HTTP layer knows; borrowed until the call is done with. */
struct ferry_trigger_request {
    const struct ferry_admit_request *in;
    struct ferry_slice query; /* behind the question mark; absent: there is none */
    struct ferry_ip client;
    bool has_client;
    struct ferry_snapshot *snapshot;
    struct ferry_arena *arena;
};

/* How the key was shown. */
enum ferry_trigger_way {
    FERRY_KEY_IN_PATH,
    FERRY_KEY_IN_HEADER,
    FERRY_KEY_AS_PASSWORD /* of basic authorization: a browser adds it by itself */
};

/* A request under /triggers/, from its head to its answer. Slices and texts are borrowed from the request, from the
 * configuration or from the arena. {0} before ferry_trigger_head. */
struct ferry_trigger_call {
    struct ferry_triggers *shared;
    struct ferry_trigger_request request;
    struct ferry_trigger_path path;
    struct ferry_trigger *trigger; /* bridge/snapshot.h; NULL: there is no such trigger */

    /* Who calls; set when the key, or for RUN and EVENTS the token, was found right. */
    const struct ferry_trigger_key *key; /* the configured key that was shown, or of which the shown one derives */
    struct ferry_slice label;            /* of a kit's key; absent for a configured one */
    struct ferry_slice caller;           /* the key's name, or NAME/LABEL: the event's subject */
    enum ferry_trigger_way way;

    /* What the caller can read. */
    bool browser;               /* Accept prefers text/html: pages; else JSON */
    const char *allowed_origin; /* of `cors`, when the request comes from there; NULL: none */
    struct ferry_slice wait;    /* the value of `wait`, percent-decoded; absent: none */
    int64_t retry_after_ms;     /* with FERRY_RATE and FERRY_KEY_BLOCKED */

    /* Of a call (CALL), from ferry_trigger_end on. */
    char id[FERRY_TRIGGER_ID + 1];       /* of the event; "" before */
    char token[FERRY_TRIGGER_TOKEN + 1]; /* of its run */
    const char *run_path;                /* /triggers/NAME/runs/ID/TOKEN; NULL before */
    const char *run_url;                 /* the same below public_url, where that is set */
    bool duplicate;                      /* came already: nothing is published */
    bool twin;                           /* came already, but is not safe yet: to be ended once more, a moment later */
    bool confirm;                        /* a person has to say so first */

    struct ferry_slice data; /* what the event is to bring; absent before it was read */
    unsigned char kind[16];  /* a hash of what makes two calls the same; trigger_recent's key */
};

/* The checks that need no body. Sets `call->trigger` even when it refuses. FERRY_NOT_FOUND, FERRY_METHOD,
 * FERRY_PREVIEW, FERRY_KEY_BLOCKED, FERRY_KEY_MISSING, FERRY_KEY_WRONG, FERRY_CROSS_SITE, FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_trigger_head(struct ferry_triggers *shared,
                                                   const struct ferry_trigger_request *request,
                                                   struct ferry_trigger_call *call, struct ferry_error *error);

/* With the body, after ferry_trigger_head said FERRY_OK. Either `admission->record_count` is 1, and the record is to be
 * published, or `answer` is complete, or `call->twin` is set: what becomes of the same call, which is being published,
 * is not decided yet, and this is to be called again until it is. FERRY_INPUT_REFUSED, FERRY_JSON_INVALID,
 * FERRY_MEDIA_TYPE, FERRY_RATE, FERRY_MEMORY, and what ferry_route_topic says. */
FERRY_NODISCARD enum ferry_code ferry_trigger_end(struct ferry_trigger_call *call, struct ferry_admission *admission,
                                                  struct ferry_response *answer, struct ferry_error *error);

/* The record came back with this code. Makes the answer for FERRY_OK and FERRY_SPOOLED, else none. */
void ferry_trigger_published(struct ferry_trigger_call *call, enum ferry_code code, struct ferry_response *answer);

/* Settles `id` and `token` from the path, where they are not settled yet, and the run's addresses. False when memory
 * ran out. */
FERRY_NODISCARD bool ferry_trigger_name_run(struct ferry_trigger_call *call);

/* For every answer of a request under /triggers/, also a refusal: what it says to caches, pages and callers without a
 * key. */
void ferry_trigger_add_fields(const struct ferry_trigger_call *call, enum ferry_code code,
                              struct ferry_response *answer);
/* Counts in ferry_trigger_calls_total how a call ended. Other places count nothing. */
void ferry_trigger_count(const struct ferry_trigger_call *call, enum ferry_code code);

/* The token of a run: base64url of 16 bytes of HMAC-SHA256(the configured key that called or of which the key that
 * called derives, "ferry run\n" NAME "\n" ID). Whoever started a run may look at it, and nobody else. False when
 * OpenSSL fails. */
FERRY_NODISCARD bool ferry_trigger_run_token(const struct ferry_trigger_config *trigger,
                                             const struct ferry_trigger_key *key, struct ferry_slice id,
                                             char token[FERRY_TRIGGER_TOKEN + 1]);

#endif
