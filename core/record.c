#include "core/record.h"

#include <assert.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/envelope.h"

#define STRUCTURED "application/cloudevents+json; charset=UTF-8"
#define MAYBE_DUPLICATE "ferry-maybe-duplicate"

enum {
    OWN_HEADERS = 18,      /* all but the extensions */
    PREFIX = 3,            /* ce_ */
    VALUE_MAX = 256 << 20, /* of a structured value */
};

struct ferry_slice ferry_record_header(const struct ferry_record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (ferry_slice_is(record->headers[i].name, name))
            return record->headers[i].value;
    return (struct ferry_slice){NULL, 0};
}

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* An unset attribute has no header, never an empty or null one. */
static void add_header(struct ferry_record *record, struct ferry_slice name, struct ferry_slice value)
{
    if (value.ptr != NULL)
        record->headers[record->header_count++] = (struct ferry_pair){name, value};
}

static enum ferry_code add_extensions(const struct ferry_event *event, struct ferry_arena *arena,
                                      struct ferry_record *record, struct ferry_error *error)
{
    for (size_t i = 0; i < event->extension_count; i++) {
        struct ferry_slice name = event->extensions[i].name;
        char *prefixed = ferry_arena_new(arena, PREFIX + name.len);
        if (prefixed == NULL)
            return no_memory(error);
        memcpy(prefixed, "ce_", PREFIX);
        memcpy(prefixed + PREFIX, name.ptr, name.len);
        add_header(record, ferry_slice_of(prefixed, PREFIX + name.len), event->extensions[i].value);
    }
    return FERRY_OK;
}

static enum ferry_code make_binary(const struct ferry_event *event, struct ferry_arena *arena,
                                   struct ferry_record *record, struct ferry_error *error)
{
    add_header(record, FERRY_SLICE("ce_specversion"), FERRY_SLICE("1.0"));
    add_header(record, FERRY_SLICE("ce_id"), event->id);
    add_header(record, FERRY_SLICE("ce_source"), event->source);
    add_header(record, FERRY_SLICE("ce_type"), event->type);
    add_header(record, FERRY_SLICE("ce_time"), event->time);
    add_header(record, FERRY_SLICE("ce_subject"), event->subject);
    add_header(record, FERRY_SLICE("ce_dataschema"), event->dataschema);
    enum ferry_code code = add_extensions(event, arena, record, error);
    bool undeclared = event->data_kind == FERRY_DATA_JSON && event->datacontenttype.ptr == NULL;
    add_header(record, FERRY_SLICE("content-type"),
               undeclared ? FERRY_SLICE("application/json") : event->datacontenttype);
    record->value = event->data_kind != FERRY_DATA_NONE && event->data.len > 0 ? event->data : FERRY_SLICE("");
    return code;
}

static enum ferry_code make_structured(const struct ferry_event *event, struct ferry_arena *arena,
                                       struct ferry_record *record, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, VALUE_MAX);
    ferry_event_print_json(event, &text);
    record->value = ferry_arena_slice(arena, ferry_buffer_slice(&text));
    if (text.failed || record->value.ptr == NULL)
        return no_memory(error);
    add_header(record, FERRY_SLICE("content-type"), FERRY_SLICE(STRUCTURED));
    return FERRY_OK;
}

static enum ferry_code add_own_headers(const struct ferry_event *event, const struct ferry_record_marks *marks,
                                       struct ferry_arena *arena, struct ferry_record *record,
                                       struct ferry_error *error)
{
    const struct ferry_slice absent = {NULL, 0}, yes = FERRY_SLICE("true");
    char *received = ferry_arena_new(arena, FERRY_TIME_TEXT);
    if (received == NULL)
        return no_memory(error);
    size_t len = ferry_time_format(event->received_ms, received);
    add_header(record, FERRY_SLICE("ferry-event"), event->canonical);
    add_header(record, FERRY_SLICE("ferry-format"), ferry_slice_from(ferry_format_name(event->format)));
    add_header(record, FERRY_SLICE("ferry-received"), ferry_slice_of(received, len));
    add_header(record, FERRY_SLICE(MAYBE_DUPLICATE), marks->maybe_duplicate ? yes : absent);
    add_header(record, FERRY_SLICE("ferry-backfill"), marks->backfill ? yes : absent);
    add_header(record, FERRY_SLICE("ferry-effects"), marks->effects ? FERRY_SLICE("yes") : absent);
    add_header(record, FERRY_SLICE("ferry-replay"), marks->replay);
    add_header(record, FERRY_SLICE("traceparent"), event->traceparent);
    add_header(record, FERRY_SLICE("tracestate"), event->traceparent.ptr != NULL ? event->tracestate : absent);
    return FERRY_OK;
}

enum ferry_code ferry_record_make(const struct ferry_event *event, struct ferry_slice topic, struct ferry_slice key,
                                  enum ferry_encoding encoding, const struct ferry_record_marks *marks,
                                  struct ferry_arena *arena, struct ferry_record *record, struct ferry_error *error)
{
    static const struct ferry_record_marks no_marks;
    struct ferry_record made = {.topic = topic, .key = key};
    made.headers = ferry_arena_new_array(arena, OWN_HEADERS + event->extension_count, sizeof *made.headers);
    if (made.headers == NULL)
        return no_memory(error);
    enum ferry_code code = encoding == FERRY_ENCODING_BINARY ? make_binary(event, arena, &made, error)
                                                             : make_structured(event, arena, &made, error);
    if (code == FERRY_OK)
        code = add_own_headers(event, marks != NULL ? marks : &no_marks, arena, &made, error);
    assert(made.header_count <= OWN_HEADERS + event->extension_count);
    if (code == FERRY_OK)
        *record = made;
    return code;
}

bool ferry_record_mark_maybe_duplicate(struct ferry_record *record, struct ferry_arena *arena)
{
    struct ferry_pair *headers = ferry_arena_new_array(arena, record->header_count + 1, sizeof *headers);
    if (headers == NULL)
        return false;
    if (record->header_count > 0)
        memcpy(headers, record->headers, record->header_count * sizeof *headers);
    record->headers = headers;
    add_header(record, FERRY_SLICE(MAYBE_DUPLICATE), FERRY_SLICE("true"));
    return true;
}
