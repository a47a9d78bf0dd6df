/* From an event to a view in which it has names: which ids it has of which kinds, what the lookup knows of them, and
 * the id where that is nothing. */
#ifndef FERRY_CONSUMERS_NAMING_H
#define FERRY_CONSUMERS_NAMING_H

#include "consumers/lookup.h"
#include "core/template.h"

/* The programs that find the ids; belongs to one thread. {0} is one. */
struct ferry_namer {
    struct ferry_expression *ids[FERRY_NAMES];
};
void ferry_namer_done(struct ferry_namer *namer);

/* What was found for one event. */
struct ferry_naming {
    struct ferry_buffer members[FERRY_NAMES]; /* JSON text; empty: the event has no such id */
    uint64_t pending[FERRY_NAMES];            /* the keys that are being asked for; 0: none */
    unsigned stood_in;                        /* 1 << kind: the member is the id's stand-in */
};
void ferry_naming_init(struct ferry_naming *naming);
void ferry_naming_done(struct ferry_naming *naming);

/* Fills the members of these kinds (1 << kind). `lookup` NULL: ids stand in. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_namer_name(struct ferry_namer *namer, struct ferry_lookup *lookup, unsigned kinds,
                                                 const struct ferry_view *view, struct ferry_naming *naming,
                                                 struct ferry_error *error);
bool ferry_naming_is_pending(const struct ferry_naming *naming);
/* The view with the members; the caller frees. Fails as ferry_view_with. */
FERRY_NODISCARD enum ferry_code ferry_naming_view(const struct ferry_naming *naming, const struct ferry_view *view,
                                                  struct ferry_view **out, struct ferry_error *error);

#endif
