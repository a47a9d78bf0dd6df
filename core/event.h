/* One CloudEvents 1.0.2 event as Ferry carries it, whatever format it came in.
 *
 * All slices are borrowed: from the request's body or the record, or from the arena that was handed to whoever made
 * the event. Nothing here is freed alone. */
#ifndef FERRY_CORE_EVENT_H
#define FERRY_CORE_EVENT_H

#include <stdint.h>

#include "core/arena.h"
#include "core/slice.h"

/* In which format it came: the header `ferry-format`. */
enum ferry_format {
    FERRY_FORMAT_LEGACY,
    FERRY_FORMAT_HYBRID,
    FERRY_FORMAT_CLOUDEVENTS,
    FERRY_FORMAT_JSON,
    FERRY_FORMAT_AUDIT,
    FERRY_FORMAT_TRIGGER
};
/* "legacy", "hybrid", "cloudevents", "json", "audit", "trigger". */
const char *ferry_format_name(enum ferry_format format);

enum ferry_data_kind {
    FERRY_DATA_NONE, /* no data: a record value of zero length */
    FERRY_DATA_JSON, /* `data` is JSON text, the bytes as they came; `null` is a value */
    FERRY_DATA_BYTES /* anything else: an unescaped string, decoded base64, a binary-mode body */
};

/* What Ferry mended in an event of `format: qlik`: the label `kind` of ferry_repairs_total. Bits of `repairs`. */
#define FERRY_REPAIRS(X)                                                                            \
    X(SPECVERSION, "specversion")         /* "1.0.2" */                                             \
    X(EXTENSIONS, "extensions")           /* an object */                                           \
    X(UPDATES, "updates")                 /* an array */                                            \
    X(EVENT_TYPE, "event_type")           /* beside type */                                         \
    X(DATACONTENTTYPE, "datacontenttype") /* no media type */                                       \
    X(ID, "id")                           /* missing */                                             \
    X(TIME, "time")                       /* missing or date */                                     \
    X(ATTRIBUTE, "attribute")             /* illegal name or value, kept or mended as documented */ \
    X(DISAGREEMENT, "disagreement")       /* hybrid halves differ */

enum ferry_repair {
#define FERRY_REPAIR_ENUM(code, name) FERRY_REPAIR_##code,
    FERRY_REPAIRS(FERRY_REPAIR_ENUM)
#undef FERRY_REPAIR_ENUM
        FERRY_REPAIR_COUNT
};
const char *ferry_repair_name(enum ferry_repair repair);

/* Longest canonical name that is carried; longer types are refused. */
enum { FERRY_EVENT_NAME = 200 };

/* Most members that an event may come with, `data` included; one with more is refused. Each attribute becomes a
 * header of a record. */
enum { FERRY_EVENT_MEMBERS = 256 };

struct ferry_event {
    /* Context attributes, unescaped UTF-8. The first four are never absent after normalizing; `time` neither. */
    struct ferry_slice id;
    struct ferry_slice source;
    struct ferry_slice type;
    struct ferry_slice time;
    struct ferry_slice subject;
    struct ferry_slice dataschema;
    struct ferry_slice datacontenttype;
    /* Extension attributes: lower-case names, values in their canonical string form. In the order they came. */
    struct ferry_pair *extensions;
    size_t extension_count;

    enum ferry_data_kind data_kind;
    struct ferry_slice data;

    struct ferry_slice canonical; /* the canonical event name: ferry_catalog_canonical of type */
    enum ferry_format format;
    uint32_t repairs;    /* 1 << enum ferry_repair */
    int64_t received_ms; /* wall clock */

    /* HTTP trace context of the request, validated; absent otherwise. Not the extension of the same name. */
    struct ferry_slice traceparent;
    struct ferry_slice tracestate;
};

/* The value of an extension, or the absent slice. */
struct ferry_slice ferry_event_extension(const struct ferry_event *event, const char *name);

/* The whole event as one structured-mode JSON text (`application/cloudevents+json`), `data` spliced in
 * byte-identical, bytes that are not JSON as `data_base64` (or a string when the media type is text and they are
 * UTF-8). */
struct ferry_buffer;
void ferry_event_print_json(const struct ferry_event *event, struct ferry_buffer *out);

#endif
