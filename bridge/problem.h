/* application/problem+json bodies (RFC 9457) of the ingress. They never say more than the sender may know. */
#ifndef FERRY_BRIDGE_PROBLEM_H
#define FERRY_BRIDGE_PROBLEM_H

#include "core/buffer.h"
#include "core/error.h"

#define FERRY_PROBLEM_MEDIA_TYPE "application/problem+json"

/* Appends {"type","title","status","detail"} for `code`. `said` is the text of the error; it is shown only where the
 * fault lies in the sender's own bytes (400, 413), never for what concerns secrets, rules or our inside. */
void ferry_problem_print(enum ferry_code code, const char *said, struct ferry_buffer *out);

/* The reason phrase of an HTTP status that the ingress uses; static. */
const char *ferry_problem_title(int status);

#endif
