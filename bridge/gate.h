/* The header gate: refuses requests that two servers could take for different requests (smuggling), before a byte of
 * the body is read. Pure; knows nothing of the HTTP library. */
#ifndef FERRY_BRIDGE_GATE_H
#define FERRY_BRIDGE_GATE_H

#include <stdint.h>

#include "core/error.h"
#include "core/slice.h"

/* The head of a request, every byte as it came; values untrimmed. */
struct ferry_gate_head {
    struct ferry_slice method;
    struct ferry_slice target; /* query included */
    size_t target_bytes;       /* what the request line has between its blanks; 0 where the parser does not tell */
    struct ferry_slice version;
    struct ferry_pairs fields;
    /* The header section from the first field up to and with the blank line, in the memory that the fields point
     * into; absent where the parser does not keep it. Colons and line ends have been overwritten with NULs. */
    struct ferry_slice section;
};

/* How the body is delimited. */
struct ferry_gate_body {
    bool chunked;
    uint64_t length; /* declared; 0 without a body and for chunked ones */
};

/* Fails with FERRY_HTTP_MALFORMED (the text says which rule); the connection must then be closed. */
FERRY_NODISCARD enum ferry_code ferry_gate_check(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                                 struct ferry_error *error);

#endif
