/* The types of CloudEvents 1.0.2 context attributes: which names and values are legal. */
#ifndef FERRY_CORE_ATTRIBUTE_H
#define FERRY_CORE_ATTRIBUTE_H

#include "core/arena.h"
#include "core/slice.h"

/* One or more of a-z and 0-9, and not "data". */
bool ferry_attribute_name_valid(struct ferry_slice name);
/* String: UTF-8 without control characters (U+0000–001F, U+007F–009F) and noncharacters. */
bool ferry_attribute_text_valid(struct ferry_slice text);
/* Integer: is this number of JSON one of 32 bits, without fraction and exponent? */
bool ferry_attribute_integer_valid(struct ferry_slice number);

/* The text with U+FFFD for what a String may not hold: the text itself if nothing had to be replaced, else in the
 * arena; the absent slice when memory ran out. */
struct ferry_slice ferry_attribute_text_mend(struct ferry_slice text, struct ferry_arena *arena);

#endif
