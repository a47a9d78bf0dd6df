/* An example of every event of the catalogue, in the three forms in which Qlik Cloud has sent events: what `try`,
 * `send` and `demo` work with. Members as documented, values made up. */
#ifndef FERRY_EXAMPLES_H
#define FERRY_EXAMPLES_H

#include "core/buffer.h"
#include "core/error.h"
#include "core/event.h"

struct ferry_example {
    const char *type;         /* of the catalogue */
    enum ferry_format format; /* legacy, hybrid or cloudevents */
    int64_t now_ms;           /* the event's time; other times in it are relative to it */
    const char *id;           /* of the event; NULL: one that no other has */
    const char *resource;     /* the id of what it is about; NULL: one that no other has */
    /* "path=value", carried out in order, the same for all three forms: `data.name=Sales` (or `resource.name`), or a
     * CloudEvents attribute such as `tenantid=x`. A value that is not JSON is a string. */
    const char *const *sets;
    size_t set_count;
};

/* Appends the event as JSON. Fails with FERRY_USAGE: a type that is not in the catalogue, a path that cannot be set. */
FERRY_NODISCARD enum ferry_code ferry_example_make(const struct ferry_example *example, struct ferry_buffer *out,
                                                   struct ferry_error *error);

/* "legacy", "hybrid" or "cloudevents" to the format; false for another word. */
bool ferry_example_form_parse(const char *word, enum ferry_format *format);

#endif
