/* application/x-www-form-urlencoded, as queries and forms have it. */
#ifndef FERRY_BRIDGE_TRIGGERS_FORM_H
#define FERRY_BRIDGE_TRIGGERS_FORM_H

#include "core/arena.h"
#include "core/error.h"

enum { FERRY_FORM_FIELDS = 128 };

/* Name and value of every field, in order: `+` is a blank, `%41` an A, and what is no escape stands as it came, as
 * browsers read it (WHATWG URL, section 5.1). Empty pieces are left out. Whether the bytes are UTF-8 the caller looks.
 * Texts live in the arena. Fails with FERRY_INPUT_REFUSED for more than FERRY_FORM_FIELDS fields, and FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_form_read(struct ferry_slice text, struct ferry_arena *arena,
                                                struct ferry_pairs *out, struct ferry_error *error);

#endif
