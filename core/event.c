#include "core/event.h"

#include <assert.h>

#include "core/base64.h"
#include "core/buffer.h"
#include "core/media_type.h"
#include "core/utf8.h"

const char *ferry_format_name(enum ferry_format format)
{
    static const char *const names[] = {
        [FERRY_FORMAT_LEGACY] = "legacy", [FERRY_FORMAT_HYBRID] = "hybrid", [FERRY_FORMAT_CLOUDEVENTS] = "cloudevents",
        [FERRY_FORMAT_JSON] = "json",     [FERRY_FORMAT_AUDIT] = "audit",   [FERRY_FORMAT_TRIGGER] = "trigger"};
    return names[format];
}

const char *ferry_repair_name(enum ferry_repair repair)
{
    static const char *const names[] = {
#define NAME(code, name) [FERRY_REPAIR_##code] = (name),
        FERRY_REPAIRS(NAME)
#undef NAME
    };
    assert(repair < FERRY_REPAIR_COUNT);
    return names[repair];
}

struct ferry_slice ferry_event_extension(const struct ferry_event *event, const char *name)
{
    for (size_t i = 0; i < event->extension_count; i++)
        if (ferry_slice_is(event->extensions[i].name, name))
            return event->extensions[i].value;
    return (struct ferry_slice){NULL, 0};
}

/* `"name":"value",`, nothing for an absent value. */
static void print_attribute(struct ferry_buffer *out, struct ferry_slice name, struct ferry_slice value)
{
    if (value.ptr == NULL)
        return;
    ferry_buffer_add_json_string(out, name);
    ferry_buffer_add_char(out, ':');
    ferry_buffer_add_json_string(out, value);
    ferry_buffer_add_char(out, ',');
}

/* May these bytes stand as a string in `data`? A JSON media type would make a reader take the string for a value. */
static bool is_text(const struct ferry_event *event)
{
    return ferry_slice_starts_nocase(event->datacontenttype, "text/") &&
           !ferry_media_type_is_json(event->datacontenttype) && ferry_utf8_valid(event->data);
}

static void print_data(const struct ferry_event *event, struct ferry_buffer *out)
{
    if (event->data_kind == FERRY_DATA_JSON) {
        ferry_buffer_add_text(out, ",\"data\":");
        ferry_buffer_add(out, event->data);
    } else if (event->data_kind == FERRY_DATA_BYTES && is_text(event)) {
        ferry_buffer_add_text(out, ",\"data\":");
        ferry_buffer_add_json_string(out, event->data);
    } else if (event->data_kind == FERRY_DATA_BYTES) {
        ferry_buffer_add_text(out, ",\"data_base64\":\"");
        ferry_base64_encode(event->data, out);
        ferry_buffer_add_char(out, '"');
    }
}

void ferry_event_print_json(const struct ferry_event *event, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '{');
    print_attribute(out, FERRY_SLICE("id"), event->id);
    print_attribute(out, FERRY_SLICE("source"), event->source);
    print_attribute(out, FERRY_SLICE("type"), event->type);
    print_attribute(out, FERRY_SLICE("time"), event->time);
    print_attribute(out, FERRY_SLICE("subject"), event->subject);
    print_attribute(out, FERRY_SLICE("dataschema"), event->dataschema);
    print_attribute(out, FERRY_SLICE("datacontenttype"), event->datacontenttype);
    for (size_t i = 0; i < event->extension_count; i++)
        print_attribute(out, event->extensions[i].name, event->extensions[i].value);
    ferry_buffer_add_text(out, "\"specversion\":\"1.0\""); /* last, and always there: no comma to take back */
    print_data(event, out);
    ferry_buffer_add_char(out, '}');
}
