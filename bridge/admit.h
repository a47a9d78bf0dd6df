/* Admission: a request becomes records for Kafka, or a code. Pure: no socket, no Kafka, no clock of its own; the rate
 * bucket of a door is all that changes.
 *
 * The order of the checks is the table in admit.c. Those that need no body come first, so that a request can be
 * refused before its body is read; nothing of a body is parsed before its signature has been found right. */
#ifndef FERRY_BRIDGE_ADMIT_H
#define FERRY_BRIDGE_ADMIT_H

#include "bridge/snapshot.h"
#include "core/envelope.h"
#include "core/record.h"
#include "core/template.h"

/* What the doors of `format: json` have compiled: one for each thread, since a jq program belongs to its thread. */
struct ferry_admit_thread;
struct ferry_admit_thread *ferry_admit_thread_new(void);
void ferry_admit_thread_free(struct ferry_admit_thread *thread);

/* A request as it came; borrowed until the admission is done with. */
struct ferry_admit_request {
    struct ferry_slice method;
    struct ferry_slice path; /* without the query, as it came */
    struct ferry_pairs headers;
    struct ferry_slice body;
    int64_t wall_ms; /* when it was received */
    int64_t mono_ms;
};

struct ferry_admission {
    struct ferry_door *door;      /* NULL: no such path */
    struct ferry_record *records; /* in the arena; 0 for an empty batch */
    size_t record_count;
    struct ferry_events events;  /* what the records were made of; empty when quarantined */
    enum ferry_code quarantined; /* why the request is kept in quarantine; FERRY_OK if it is not */
    int64_t retry_after_ms;      /* with FERRY_RATE */
};

/* The checks that need no body: path, method, rate, required headers. Sets `admission->door` even when it refuses.
 * FERRY_NOT_FOUND, FERRY_METHOD, FERRY_RATE or FERRY_HEADER_WRONG. */
FERRY_NODISCARD enum ferry_code ferry_admit_head(struct ferry_snapshot *snapshot,
                                                 const struct ferry_admit_request *request,
                                                 struct ferry_admission *admission, struct ferry_error *error);

/* All others, after ferry_admit_head said FERRY_OK: signature, content coding, envelope, what the door may bring,
 * records. Records borrow from the request and the arena. On the thread that `thread` belongs to. */
FERRY_NODISCARD enum ferry_code ferry_admit_body(struct ferry_snapshot *snapshot,
                                                 const struct ferry_admit_request *request,
                                                 struct ferry_admit_thread *thread, struct ferry_arena *arena,
                                                 struct ferry_admission *admission, struct ferry_error *error);

/* The record of an event, through whichever door it came: its topic (`topics.other` where its own is not to be created)
 * and key, then as ferry_record_make. `marks` may be NULL. Fails as ferry_route_topic does. */
FERRY_NODISCARD enum ferry_code ferry_admit_record(const struct ferry_snapshot *snapshot,
                                                   const struct ferry_event *event,
                                                   const struct ferry_record_marks *marks, struct ferry_arena *arena,
                                                   struct ferry_record *record, struct ferry_error *error);

/* Something that ought to be an event and is none. */
struct ferry_quarantine {
    enum ferry_code why;
    struct ferry_slice reason; /* copied */
    struct ferry_slice path;   /* the door's */
    struct ferry_slice media_type;
    struct ferry_slice body;
    int64_t wall_ms; /* when it was received */
};
/* Its record for <internal>.quarantine: the body as it came, so that nothing is lost that was signed. Borrows from
 * `kept` and the arena. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_admit_quarantine(const struct ferry_snapshot *snapshot,
                                                       const struct ferry_quarantine *kept, struct ferry_arena *arena,
                                                       struct ferry_record *record, struct ferry_error *error);

/* The OPTIONS handshake of CloudEvents web hooks. */
struct ferry_handshake {
    struct ferry_slice allowed_origin; /* absent: nothing is granted */
    char allowed_rate[24];             /* requests a minute, or "*" */
};
struct ferry_handshake ferry_admit_handshake(const struct ferry_door *door, struct ferry_pairs headers);

#endif
