/* Reading is more lenient than the doors of the bridge: a record is in Kafka already, maybe from another producer, and
 * what its attributes say is not Ferry's to judge. It must have what makes it an event (id, source, type, specversion
 * 1.0), its text must be UTF-8, and data that is declared as JSON must be JSON, because templates and structured mode
 * rely on it. An attribute that is there twice counts as its first. */
#include "core/attribute.h"
#include "core/base64.h"
#include "core/catalog.h"
#include "core/clock.h"
#include "core/envelope.h"
#include "core/json.h"
#include "core/media_type.h"
#include "core/record.h"
#include "core/utf8.h"

struct reader {
    const struct ferry_record *record;
    struct ferry_arena *arena;
    struct ferry_error *error;
    struct ferry_slice specversion;
    struct ferry_event event;
};

static const struct attribute {
    const char *name;
    size_t member; /* of struct reader */
    bool required;
} attributes[] = {
    {"specversion", offsetof(struct reader, specversion), true},
    {"id", offsetof(struct reader, event.id), true},
    {"source", offsetof(struct reader, event.source), true},
    {"type", offsetof(struct reader, event.type), true},
    {"time", offsetof(struct reader, event.time), false},
    {"subject", offsetof(struct reader, event.subject), false},
    {"dataschema", offsetof(struct reader, event.dataschema), false},
    {"datacontenttype", offsetof(struct reader, event.datacontenttype), false},
};
enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0], NAME_SHOWN = 40 };

/* Names of foreign headers are shown only where they are short and printable. */
static enum ferry_code invalid(const struct reader *r, struct ferry_slice name, const char *what)
{
    if (name.len == 0 || name.len > NAME_SHOWN || !ferry_attribute_text_valid(name))
        name = FERRY_SLICE("attribute");
    return ferry_fail(r->error, FERRY_RECORD_INVALID, "the record's %.*s %s", FERRY_SLICE_ARGS(name), what);
}

static enum ferry_code no_memory(const struct reader *r)
{
    return ferry_fail(r->error, FERRY_MEMORY, "out of memory");
}

/* ---- attributes ---- */

static struct ferry_slice *member_of(struct reader *r, const struct attribute *attribute)
{
    return (struct ferry_slice *)(void *)((char *)r + attribute->member);
}

/* Any name that is not the data's: a name that the standard forbids is carried on, as Ferry's own repairs may do. */
static bool name_fits(struct ferry_slice name)
{
    return name.len > 0 && ferry_utf8_valid(name) && !ferry_slice_is(name, "data") &&
           !ferry_slice_is(name, "data_base64");
}

/* An attribute of either mode; the event has room for every extension. */
static enum ferry_code take_attribute(struct reader *r, struct ferry_slice name, struct ferry_slice value)
{
    if (value.ptr == NULL)
        return FERRY_OK;
    if (!ferry_utf8_valid(value))
        return invalid(r, name, "is not UTF-8");
    for (size_t i = 0; i < ATTRIBUTES; i++) {
        if (!ferry_slice_is(name, attributes[i].name))
            continue;
        struct ferry_slice *member = member_of(r, &attributes[i]);
        if (member->ptr == NULL && value.len > 0)
            *member = value;
        return FERRY_OK;
    }
    if (!name_fits(name))
        return invalid(r, name, "is not the name of an attribute");
    for (size_t i = 0; i < r->event.extension_count; i++)
        if (ferry_slice_equal(r->event.extensions[i].name, name))
            return FERRY_OK;
    r->event.extensions[r->event.extension_count++] = (struct ferry_pair){name, value};
    return FERRY_OK;
}

static enum ferry_code reserve_extensions(struct reader *r, size_t count)
{
    r->event.extensions = ferry_arena_new_array(r->arena, count, sizeof *r->event.extensions);
    return r->event.extensions != NULL ? FERRY_OK : no_memory(r);
}

static enum ferry_code check_required(struct reader *r)
{
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].required && member_of(r, &attributes[i])->ptr == NULL)
            return invalid(r, ferry_slice_from(attributes[i].name), "is missing");
    if (!ferry_slice_is(r->specversion, "1.0"))
        return invalid(r, FERRY_SLICE("specversion"), "is not 1.0");
    return FERRY_OK;
}

/* ---- data ---- */

/* Bytes whose meaning the media type tells. */
static enum ferry_code take_bytes(struct reader *r, struct ferry_slice bytes)
{
    struct ferry_json value;
    struct ferry_error why = {.text = ""};
    r->event.data = bytes;
    r->event.data_kind = FERRY_DATA_BYTES;
    if (!ferry_media_type_is_json(r->event.datacontenttype))
        return FERRY_OK;
    r->event.data_kind = FERRY_DATA_JSON;
    enum ferry_code code = ferry_json_scan(bytes, r->arena, &value, NULL, &why);
    return code == FERRY_JSON_INVALID ? invalid(r, FERRY_SLICE("data"), why.text) : code;
}

static enum ferry_code take_base64(struct reader *r, struct ferry_json value)
{
    struct ferry_slice text;
    size_t room = ferry_base64_room(value.text.len), len = 0;
    char *bytes = ferry_arena_new(r->arena, room);
    if (bytes == NULL)
        return no_memory(r);
    if (value.type != FERRY_JSON_STRING || ferry_json_unescape(value, r->arena, &text, NULL) != FERRY_OK ||
        !ferry_base64_decode(text, bytes, room, &len))
        return invalid(r, FERRY_SLICE("data_base64"), "is not base64");
    return take_bytes(r, ferry_slice_of(bytes, len));
}

/* The member `data`: JSON, unless the media type says that its string stands for text. */
static enum ferry_code take_data(struct reader *r, struct ferry_json value)
{
    if (r->event.datacontenttype.ptr == NULL)
        r->event.datacontenttype = FERRY_SLICE("application/json");
    if (value.type != FERRY_JSON_STRING || ferry_media_type_is_json(r->event.datacontenttype)) {
        r->event.data_kind = FERRY_DATA_JSON;
        r->event.data = value.text;
        return FERRY_OK;
    }
    r->event.data_kind = FERRY_DATA_BYTES;
    enum ferry_code code = ferry_json_unescape(value, r->arena, &r->event.data, r->error);
    return code == FERRY_JSON_INVALID ? invalid(r, FERRY_SLICE("data"), "has a lone surrogate") : code;
}

/* ---- the two modes ---- */

static enum ferry_code read_binary(struct reader *r)
{
    enum ferry_code code = reserve_extensions(r, r->record->header_count);
    if (code == FERRY_OK)
        code = take_attribute(r, FERRY_SLICE("datacontenttype"), ferry_record_header(r->record, "content-type"));
    for (size_t i = 0; code == FERRY_OK && i < r->record->header_count; i++) {
        struct ferry_pair header = r->record->headers[i];
        if (ferry_slice_starts(header.name, "ce_"))
            code = take_attribute(r, ferry_slice_skip(header.name, strlen("ce_")), header.value);
    }
    if (code != FERRY_OK || r->record->value.len == 0)
        return code;
    return take_bytes(r, r->record->value);
}

/* The text of a scalar, which is the canonical string form of an attribute; absent for null. */
static enum ferry_code text_of(struct reader *r, struct ferry_slice name, struct ferry_json value,
                               struct ferry_slice *text)
{
    enum ferry_code code = FERRY_OK;
    *text = value.text;
    if (value.type == FERRY_JSON_NULL)
        *text = (struct ferry_slice){NULL, 0};
    else if (value.type == FERRY_JSON_STRING)
        code = ferry_json_unescape(value, r->arena, text, r->error);
    else if (value.type == FERRY_JSON_OBJECT || value.type == FERRY_JSON_ARRAY)
        return invalid(r, name, "is an object or array");
    return code == FERRY_JSON_INVALID ? invalid(r, name, "has a lone surrogate") : code;
}

static enum ferry_code take_member(struct reader *r, const struct ferry_json_member *member)
{
    struct ferry_slice name, text;
    enum ferry_code code = ferry_json_member_name(member, r->arena, &name, r->error);
    if (code == FERRY_JSON_INVALID)
        return invalid(r, member->name, "is not the name of an attribute");
    if (code == FERRY_OK && !ferry_slice_is(name, "data") && !ferry_slice_is(name, "data_base64")) {
        code = text_of(r, name, member->value, &text);
        if (code == FERRY_OK)
            code = take_attribute(r, name, text);
    }
    return code;
}

static enum ferry_code read_structured(struct reader *r)
{
    struct ferry_json value;
    struct ferry_json_parts parts = {NULL, 0};
    struct ferry_error why = {.text = ""};
    enum ferry_code code = ferry_json_scan(r->record->value, r->arena, &value, &parts, &why);
    if (code != FERRY_OK)
        return code == FERRY_JSON_INVALID ? invalid(r, FERRY_SLICE("value"), why.text) : no_memory(r);
    if (value.type != FERRY_JSON_OBJECT)
        return invalid(r, FERRY_SLICE("value"), "is not a JSON object");
    code = reserve_extensions(r, parts.count);
    for (size_t i = 0; code == FERRY_OK && i < parts.count; i++)
        code = take_member(r, &parts.items[i]);
    if (code != FERRY_OK)
        return code;
    /* After the attributes: their order is free, and the media type decides. */
    const struct ferry_json_member *data = ferry_json_find(&parts, "data");
    const struct ferry_json_member *base64 = ferry_json_find(&parts, "data_base64");
    if (base64 != NULL && base64->value.type != FERRY_JSON_NULL)
        return data == NULL ? take_base64(r, base64->value)
                            : invalid(r, FERRY_SLICE("data"), "stands beside data_base64");
    return data != NULL ? take_data(r, data->value) : FERRY_OK;
}

/* ---- Ferry's own headers ---- */

static enum ferry_format format_of(struct ferry_slice name)
{
    for (int format = FERRY_FORMAT_LEGACY; format <= FERRY_FORMAT_TRIGGER; format++)
        if (ferry_slice_is(name, ferry_format_name((enum ferry_format)format)))
            return (enum ferry_format)format;
    return FERRY_FORMAT_CLOUDEVENTS;
}

/* What another producer left out follows from the record. */
static enum ferry_code read_own_headers(struct reader *r)
{
    struct ferry_event *event = &r->event;
    struct ferry_slice canonical = ferry_record_header(r->record, "ferry-event");
    bool named = canonical.len > 0 && ferry_utf8_valid(canonical);
    event->canonical = named ? canonical : ferry_catalog_canonical(event->type);
    event->format = format_of(ferry_record_header(r->record, "ferry-format"));
    event->received_ms = r->record->timestamp_ms > 0 ? r->record->timestamp_ms : 0;
    ferry_time_parse(ferry_record_header(r->record, "ferry-received"), &event->received_ms);
    struct ferry_slice traceparent = ferry_record_header(r->record, "traceparent");
    if (ferry_traceparent_valid(traceparent)) {
        event->traceparent = traceparent;
        event->tracestate = ferry_record_header(r->record, "tracestate");
    }
    if (event->time.ptr != NULL)
        return FERRY_OK;
    char *text = ferry_arena_new(r->arena, FERRY_TIME_TEXT);
    if (text == NULL)
        return no_memory(r);
    event->time = ferry_slice_of(text, ferry_time_format(event->received_ms, text));
    return FERRY_OK;
}

enum ferry_code ferry_record_read(const struct ferry_record *record, struct ferry_arena *arena,
                                  struct ferry_event *event, struct ferry_error *error)
{
    struct reader r = {.record = record, .arena = arena, .error = error};
    struct ferry_slice essence = ferry_media_type_essence(ferry_record_header(record, "content-type"));
    enum ferry_code code;
    if (ferry_slice_is_nocase(essence, "application/cloudevents+json"))
        code = read_structured(&r);
    else if (ferry_slice_starts_nocase(essence, "application/cloudevents"))
        code = invalid(&r, FERRY_SLICE("content-type"), "is an event format that Ferry does not read");
    else
        code = read_binary(&r);
    if (code == FERRY_OK)
        code = check_required(&r);
    if (code == FERRY_OK)
        code = read_own_headers(&r);
    if (code == FERRY_OK)
        *event = r.event;
    return code;
}
