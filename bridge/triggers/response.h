/* An answer with more to it than a code: status, fields and a body, made without knowing the HTTP library.
 * bridge/http_reply sends it. */
#ifndef FERRY_BRIDGE_TRIGGERS_RESPONSE_H
#define FERRY_BRIDGE_TRIGGERS_RESPONSE_H

#include "core/buffer.h"

enum { FERRY_RESPONSE_FIELDS = 16, FERRY_RESPONSE_MAX_BYTES = 1 << 20 };

/* A field of the answer's head; both texts end in NUL and live as long as the request. */
struct ferry_response_field {
    const char *name;
    const char *value;
};

struct ferry_response {
    int status;             /* 0: there is none yet */
    const char *media_type; /* of `body`; NULL: no body */
    struct ferry_response_field fields[FERRY_RESPONSE_FIELDS];
    size_t field_count;
    struct ferry_buffer body;
};

void ferry_response_init(struct ferry_response *answer);
/* Fit for FERRY_CLEANUP; {0} is allowed. */
void ferry_response_done(struct ferry_response *answer);
/* Adds a field; the caller keeps both texts until the request has ended. Not more than FERRY_RESPONSE_FIELDS. */
void ferry_response_add(struct ferry_response *answer, const char *name, const char *value);

/* Appends text with the five characters escaped that mean something in HTML, in elements and in quoted attributes. */
void ferry_html_add(struct ferry_buffer *out, struct ferry_slice text);

#endif
