/* Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef FERRY_CORE_UTF8_H
#define FERRY_CORE_UTF8_H

#include "core/slice.h"

/* Length (1 to 4) of the valid sequence at `ptr`, of which `len` > 0 bytes can be read; 0 if there is none. */
size_t ferry_utf8_sequence(const char *ptr, size_t len);
bool ferry_utf8_valid(struct ferry_slice text);
/* Writes the code point (<= 0x10FFFF, no surrogate) to `out`, returns 1 to 4. */
size_t ferry_utf8_encode(unsigned code_point, char out[4]);

#endif
