/* Base64, the standard alphabet of RFC 4648, section 4. */
#ifndef FERRY_CORE_BASE64_H
#define FERRY_CORE_BASE64_H

#include "core/buffer.h"

/* Room that is enough for decoding `len` characters. */
static inline size_t ferry_base64_room(size_t len)
{
    return len / 4 * 3 + 3;
}

/* Decodes all of `text` into `out`, which has `room` bytes; `*len` gets how many there are. Padding may be missing but
 * not be wrong; white space and other alphabets are refused. False, with `*len` untouched, if it does not decode or
 * does not fit. */
bool ferry_base64_decode(struct ferry_slice text, char *out, size_t room, size_t *len);

/* Appends the bytes encoded, with padding. */
void ferry_base64_encode(struct ferry_slice bytes, struct ferry_buffer *out);

#endif
