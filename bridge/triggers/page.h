/* The frame of the HTML pages that the bridge shows: one style, fit for phones, dark rooms and paper; nothing from
 * elsewhere, and a policy that allows nothing else. */
#ifndef FERRY_BRIDGE_TRIGGERS_PAGE_H
#define FERRY_BRIDGE_TRIGGERS_PAGE_H

#include "bridge/triggers/response.h"
#include "core/arena.h"

#define FERRY_PAGE_MEDIA_TYPE "text/html; charset=utf-8"

/* Appends all up to the opening tag of the main element; `title` is escaped, `head` (or NULL) is HTML that stands in
 * the head as it is. */
void ferry_page_begin(struct ferry_buffer *out, struct ferry_slice title, const char *head);
/* Appends the rest; `script` is the page's one script, or NULL. */
void ferry_page_end(struct ferry_buffer *out, const char *script);

/* The fields that make a browser treat the answer as what it is, the policy among them: no resource, no frame around
 * it, forms to its own origin only, this style, and `script` (or NULL, then none; with one, connections to its own
 * origin). Texts live in the arena; false when memory ran out. Every answer under /triggers/ also has
 * no-store, no-referrer and nosniff (ferry_trigger_add_fields). */
FERRY_NODISCARD bool ferry_page_add_fields(struct ferry_response *answer, struct ferry_arena *arena,
                                           const char *script);

#endif
