/* Inside of the template module: the only header that names libjq. Compiling and running one program, and the value
 * behind a view. Everything here belongs to the thread that made it: jq's reference counts are not atomic. */
#ifndef FERRY_CORE_TEMPLATE_JQ_H
#define FERRY_CORE_TEMPLATE_JQ_H

#include <stdint.h>
#include <stdio.h>

#include <jq.h>
#include <jv.h>

#include "core/buffer.h"
#include "core/error.h"

struct ferry_view {
    jv value;
};

/* Fits FERRY_CLEANUP. */
static inline void ferry_jv_free(jv *value)
{
    jv_free(*value);
}

/* Compiles `source`; fails with FERRY_CONFIG and jq's message, "line N" counted in the source. The caller frees with
 * jq_teardown. */
FERRY_NODISCARD enum ferry_code ferry_jq_compile(struct ferry_slice source, jq_state **out, struct ferry_error *error);

/* The first result over `input` (taken); null if there is none. Fails with FERRY_TEMPLATE and jq's message. The caller
 * frees `*result`. Nothing of an earlier run, even of one that failed, is left. */
FERRY_NODISCARD enum ferry_code ferry_jq_run(jq_state *jq, jv input, jv *result, struct ferry_error *error);

/* What a jq program handed to `error` (taken), as one line without control characters, cut where it is long. */
enum { FERRY_JQ_MESSAGE = 204 };
void ferry_jq_message(jv message, char out[FERRY_JQ_MESSAGE]);

/* The text of a string (taken as it is) or of anything else as compact JSON: a string value. Borrows `value`. */
jv ferry_jq_text(jv value);
/* The bytes of a string value; they live as long as it does. */
struct ferry_slice ferry_jq_slice(jv string);

/* Cuts `text` to at most `max` bytes at a character's boundary, with an ellipsis, and makes one line of it. `out` has
 * `max` + 4 bytes. */
void ferry_jq_one_line(struct ferry_slice text, size_t max, char *out);

/* Walks jq source from character to character of code: strings and comments are passed over, the code inside a string's
 * `\( … )` is not. */
enum { FERRY_JQ_NESTING = 32 };
struct ferry_jq_code {
    const char *at; /* the next byte */
    const char *end;
    size_t level;                  /* how many interpolations are open */
    size_t open[FERRY_JQ_NESTING]; /* parentheses that are open in each */
    bool in_string;
};
/* The next character of code, `at` behind it; '\0' at the end, or when interpolations nest too deep. */
char ferry_jq_code_next(struct ferry_jq_code *code);

#endif
