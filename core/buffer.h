/* Owned text that grows, born with its maximum.
 *
 * Appending never fails at the call: a buffer that outgrew its maximum, or memory that ran out, leaves it marked
 * `failed`, and every later append does nothing. Look once, at the end. `ptr` always ends in NUL (not counted). */
#ifndef FERRY_CORE_BUFFER_H
#define FERRY_CORE_BUFFER_H

#include <stdint.h>

#include "core/attrs.h"
#include "core/slice.h"

struct ferry_buffer {
    char *ptr; /* NULL until the first byte */
    size_t len;
    size_t capacity;
    size_t max;
    bool failed;
    bool starved; /* it failed because memory ran out, not because of its maximum */
};

void ferry_buffer_init(struct ferry_buffer *buffer, size_t max_bytes);
/* Frees the bytes; the buffer may be initialized again. Fit for FERRY_CLEANUP. */
void ferry_buffer_done(struct ferry_buffer *buffer);
/* The same for a secret: its bytes are overwritten before. */
void ferry_buffer_wipe(struct ferry_buffer *buffer);
/* Room for `more` bytes beside those that it has, at once instead of step by step. */
void ferry_buffer_reserve(struct ferry_buffer *buffer, size_t more);
/* Empties, keeps the memory. */
void ferry_buffer_clear(struct ferry_buffer *buffer);

void ferry_buffer_add(struct ferry_buffer *buffer, struct ferry_slice bytes);
void ferry_buffer_add_text(struct ferry_buffer *buffer, const char *text);
void ferry_buffer_add_char(struct ferry_buffer *buffer, char c);
void ferry_buffer_printf(struct ferry_buffer *buffer, const char *format, ...) FERRY_PRINTF(2, 3);
/* As a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void ferry_buffer_add_json_string(struct ferry_buffer *buffer, struct ferry_slice text);

/* What is in it; lives until the next append. */
struct ferry_slice ferry_buffer_slice(const struct ferry_buffer *buffer);
/* Hands the bytes (ending in NUL) to the caller, who frees them; "" for an empty buffer. NULL if it failed. */
char *ferry_buffer_take(struct ferry_buffer *buffer);

#endif
