/* Media types (RFC 9110, section 8.3.1), as far as events need them. */
#ifndef FERRY_CORE_MEDIA_TYPE_H
#define FERRY_CORE_MEDIA_TYPE_H

#include "core/slice.h"

/* "type/subtype" without parameters and the space before them. */
struct ferry_slice ferry_media_type_essence(struct ferry_slice media_type);
/* Is it token "/" token, with or without parameters? */
bool ferry_media_type_valid(struct ferry_slice media_type);
/* Does it declare JSON: a subtype `json`, or one that ends in `+json`? The case is ignored. */
bool ferry_media_type_is_json(struct ferry_slice media_type);

#endif
