/* Base64 of RFC 4648: the standard alphabet of section 4, and for what Ferry itself puts into URLs that of section 5.
 */
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

/* The characters of `bytes` bytes in base64url without padding, the NUL not counted. */
#define FERRY_BASE64URL_LEN(bytes) (((bytes)*4 + 2) / 3)

/* Writes the bytes in the alphabet of URLs and file names, without padding, and a NUL. `out` has
 * FERRY_BASE64URL_LEN(bytes.len) + 1 bytes. */
void ferry_base64url_encode(struct ferry_slice bytes, char *out);

#endif
