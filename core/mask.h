/* E-mail addresses are personal: where texts are shown or logged, they are masked. */
#ifndef FERRY_CORE_MASK_H
#define FERRY_CORE_MASK_H

#include "core/slice.h"

/* Copies a text, every e-mail address in it as a***@example.com, and ends it with NUL. Cut to the size of `out`; four
 * times the text's length and one is always enough. Returns the length. */
size_t ferry_mask_addresses(struct ferry_slice text, char *out, size_t out_bytes);

#endif
