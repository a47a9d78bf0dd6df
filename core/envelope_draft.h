/* Inside of core/envelope: an event between its transport and its rules.
 *
 * Reading has two steps. First the members of a JSON object, or the header fields of a binary-mode request, become a
 * draft: names and values taken apart, nothing judged but what no rules allow. Then the rules of the door, strict
 * CloudEvents or Qlik's with repairs, make the event of it. Nobody but core/envelope*.c includes this. */
#ifndef FERRY_CORE_ENVELOPE_DRAFT_H
#define FERRY_CORE_ENVELOPE_DRAFT_H

#include "core/envelope.h"
#include "core/json.h"

/* A context attribute, or what stands in the place of one. */
struct ferry_draft_field {
    struct ferry_slice name;
    enum ferry_json_type type;
    /* A string's characters; of any other value its JSON text. Absent: there is no such member, or it is null. */
    struct ferry_slice text;
    bool surrogate; /* a string with a lone surrogate: `text` is still escaped */
};

/* The members that rules ask for by name. Strict rules know the first eight; to them the others are extensions. */
#define FERRY_DRAFT_NAMES(X)                    \
    X(SPECVERSION, "specversion")               \
    X(ID, "id")                                 \
    X(SOURCE, "source")                         \
    X(TYPE, "type")                             \
    X(TIME, "time")                             \
    X(SUBJECT, "subject")                       \
    X(DATASCHEMA, "dataschema")                 \
    X(DATACONTENTTYPE, "datacontenttype")       \
    X(LEGACY_SPECVERSION, "cloudEventsVersion") \
    X(LEGACY_ID, "eventId")                     \
    X(LEGACY_TYPE, "eventType")                 \
    X(LEGACY_TIME, "eventTime")                 \
    X(LEGACY_DATACONTENTTYPE, "contentType")    \
    X(LEGACY_TYPE_VERSION, "eventTypeVersion")  \
    X(EXTENSIONS, "extensions")

enum ferry_draft_name {
#define FERRY_DRAFT_ENUM(code, name) FERRY_DRAFT_##code,
    FERRY_DRAFT_NAMES(FERRY_DRAFT_ENUM)
#undef FERRY_DRAFT_ENUM
        FERRY_DRAFT_NAME_COUNT
};
enum { FERRY_DRAFT_CORE_NAMES = FERRY_DRAFT_LEGACY_SPECVERSION };

enum ferry_draft_data {
    FERRY_DRAFT_NO_DATA,
    FERRY_DRAFT_DATA_MEMBER, /* the JSON member `data` */
    FERRY_DRAFT_DATA_BASE64, /* the JSON member `data_base64` */
    FERRY_DRAFT_DATA_BODY    /* the body of a binary-mode request */
};

struct ferry_draft {
    struct ferry_arena *arena;
    struct ferry_error *error;
    int64_t received_ms;
    struct ferry_slice text; /* all of the event's bytes, for the hash that stands in for a missing id */
    bool attributes_apart;   /* `text` is the body of a binary-mode request, which says nothing of the attributes */
    size_t index;            /* its place in a batch */
    size_t known_count;      /* how many of `known` the rules look at: FERRY_DRAFT_CORE_NAMES, all, or 0 for an object
                              * in which every member, `data` too, is an extension */
    struct ferry_draft_field known[FERRY_DRAFT_NAME_COUNT];
    struct ferry_draft_field *others;
    size_t other_count;
    enum ferry_draft_data data_from;
    struct ferry_json data; /* the member's value; of a body only its text */
};

/* Takes an object apart, or the header fields and body of a binary-mode request. The caller has set the members up to
 * `known_count`. Fails with FERRY_EVENT_INVALID on what no rules allow: a member that is there twice, `data` beside
 * `data_base64`, a header field that is not UTF-8. */
FERRY_NODISCARD enum ferry_code ferry_draft_from_json(struct ferry_draft *draft, struct ferry_json_parts members);
FERRY_NODISCARD enum ferry_code ferry_draft_from_http(struct ferry_draft *draft,
                                                      const struct ferry_envelope_input *input);
/* The steps of both: room for `count` fields and as many names; a field among the known or the others; names that
 * must differ and not be too many. */
FERRY_NODISCARD enum ferry_code ferry_draft_start(struct ferry_draft *draft, size_t count, struct ferry_slice **names);
void ferry_draft_add(struct ferry_draft *draft, struct ferry_draft_field field);
FERRY_NODISCARD enum ferry_code ferry_draft_check_names(const struct ferry_draft *draft,
                                                        const struct ferry_slice *names, size_t count);

/* Makes the event by the rules of CloudEvents 1.0.2, or by those for Qlik. */
FERRY_NODISCARD enum ferry_code ferry_draft_read_strict(struct ferry_draft *draft, struct ferry_event *event);
FERRY_NODISCARD enum ferry_code ferry_draft_read_qlik(struct ferry_draft *draft, struct ferry_event *event);
/* The same for a record of the Audits API. */
FERRY_NODISCARD enum ferry_code ferry_draft_read_audit(struct ferry_draft *draft, struct ferry_event *event);

/* What the rules share. */

/* FERRY_EVENT_INVALID: "name: what", the name cut and made printable. */
enum ferry_code ferry_draft_fail(const struct ferry_draft *draft, struct ferry_slice name, const char *what);
enum ferry_code ferry_draft_no_memory(const struct ferry_draft *draft);
/* Room for all extensions that the draft can bring, and `more`. */
FERRY_NODISCARD enum ferry_code ferry_draft_reserve(const struct ferry_draft *draft, struct ferry_event *event,
                                                    size_t more);
/* `data` and `data_kind` by the media type that the rules have settled (absent and JSON: application/json). */
FERRY_NODISCARD enum ferry_code ferry_draft_settle_data(const struct ferry_draft *draft, struct ferry_event *event);
/* The rest that follows from the attributes: a time for who has none, the media type in lower case, the canonical
 * name. */
FERRY_NODISCARD enum ferry_code ferry_draft_finish(const struct ferry_draft *draft, struct ferry_event *event);
/* The stable id of an event that has none: 32 hexadecimal digits of the SHA-256 of its bytes; and of the attributes
 * where they stand apart; and, behind the first of a batch, of its place there, so that equal ones stay two. */
FERRY_NODISCARD enum ferry_code ferry_draft_stable_id(const struct ferry_draft *draft, struct ferry_slice *id);

#endif
