#include "core/envelope.h"

#include "core/envelope_draft.h"
#include "core/media_type.h"

/* ---- which mode ---- */

enum mode {
    MODE_STRUCTURED, /* one event as a JSON object */
    MODE_BATCH,      /* an array of such */
    MODE_BINARY,     /* attributes in header fields, data in the body */
    MODE_PLAIN       /* a JSON object that becomes data */
};

static bool has_ce_headers(struct ferry_pairs headers)
{
    for (size_t i = 0; i < headers.count; i++)
        if (ferry_slice_starts_nocase(headers.items[i].name, "ce-"))
            return true;
    return false;
}

/* Where nothing else can come, no Content-Type is as good as JSON. */
static enum ferry_code require_json(struct ferry_slice content_type, struct ferry_error *error)
{
    if (content_type.len == 0 || ferry_media_type_is_json(content_type))
        return FERRY_OK;
    return ferry_fail(error, FERRY_MEDIA_TYPE, "Content-Type: this address takes JSON");
}

static const struct {
    const char *media_type;
    enum mode mode;
} event_formats[] = {
    {"application/cloudevents-batch+json", MODE_BATCH},
    {"application/cloudevents+json", MODE_STRUCTURED},
};

static enum ferry_code choose_event_mode(enum ferry_envelope_rules rules, struct ferry_pairs headers,
                                         struct ferry_slice content_type, enum mode *mode, struct ferry_error *error)
{
    struct ferry_slice essence = ferry_media_type_essence(content_type);
    for (size_t i = 0; i < sizeof event_formats / sizeof event_formats[0]; i++) {
        if (ferry_slice_is_nocase(essence, event_formats[i].media_type)) {
            *mode = event_formats[i].mode;
            return FERRY_OK;
        }
    }
    if (ferry_slice_starts_nocase(essence, "application/cloudevents"))
        return ferry_fail(error, FERRY_MEDIA_TYPE, "Content-Type: of the event formats this address takes JSON");
    if (has_ce_headers(headers)) {
        *mode = MODE_BINARY;
        return FERRY_OK;
    }
    if (rules != FERRY_ENVELOPE_QLIK)
        return ferry_fail(error, FERRY_EVENT_INVALID,
                          "specversion: missing: neither ce- headers nor Content-Type application/cloudevents+json");
    *mode = MODE_STRUCTURED;
    return require_json(content_type, error);
}

static enum ferry_code choose_mode(enum ferry_envelope_rules rules, struct ferry_pairs headers, enum mode *mode,
                                   struct ferry_error *error)
{
    if (ferry_pairs_count(headers, "content-type") > 1)
        return ferry_fail(error, FERRY_MEDIA_TYPE, "Content-Type: is there twice");
    struct ferry_slice content_type = ferry_slice_trim(ferry_pairs_get(headers, "content-type"));
    if (rules != FERRY_ENVELOPE_JSON)
        return choose_event_mode(rules, headers, content_type, mode, error);
    *mode = MODE_PLAIN;
    return require_json(content_type, error);
}

/* ---- one event ---- */

static struct ferry_draft new_draft(enum ferry_envelope_rules rules, int64_t received_ms, struct ferry_slice text,
                                    struct ferry_arena *arena, struct ferry_error *error)
{
    return (struct ferry_draft){.arena = arena,
                                .error = error,
                                .received_ms = received_ms,
                                .text = text,
                                .known_count = rules == FERRY_ENVELOPE_QLIK ? (size_t)FERRY_DRAFT_NAME_COUNT
                                                                            : (size_t)FERRY_DRAFT_CORE_NAMES};
}

static enum ferry_code read_draft(enum ferry_envelope_rules rules, struct ferry_draft *draft, struct ferry_event *event)
{
    return rules == FERRY_ENVELOPE_QLIK ? ferry_draft_read_qlik(draft, event) : ferry_draft_read_strict(draft, event);
}

static enum ferry_code read_object(enum ferry_envelope_rules rules, struct ferry_draft *draft, struct ferry_json value,
                                   struct ferry_json_parts members, struct ferry_event *event)
{
    if (value.type != FERRY_JSON_OBJECT)
        return ferry_fail(draft->error, FERRY_EVENT_INVALID, "not an event: a JSON %s, not an object",
                          ferry_json_type_name(value.type));
    enum ferry_code code = ferry_draft_from_json(draft, members);
    return code == FERRY_OK ? read_draft(rules, draft, event) : code;
}

/* ---- one request ---- */

static enum ferry_code reserve_events(size_t count, struct ferry_arena *arena, struct ferry_events *events,
                                      struct ferry_error *error)
{
    events->items = ferry_arena_new_array(arena, count, sizeof *events->items);
    events->count = count;
    return events->items != NULL ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code read_structured(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                       struct ferry_arena *arena, struct ferry_events *events,
                                       struct ferry_error *error)
{
    struct ferry_json value;
    struct ferry_json_parts members;
    enum ferry_code code = ferry_json_scan(input->body, arena, &value, &members, error);
    if (code == FERRY_OK)
        code = reserve_events(1, arena, events, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_draft draft = new_draft(rules, input->received_ms, value.text, arena, error);
    return read_object(rules, &draft, value, members, &events->items[0]);
}

static enum ferry_code read_element(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                    struct ferry_json value, size_t index, struct ferry_arena *arena,
                                    struct ferry_event *event, struct ferry_error *error)
{
    struct ferry_error why = {0};
    struct ferry_draft draft = new_draft(rules, input->received_ms, value.text, arena, &why);
    draft.index = index;
    struct ferry_json_parts members = {NULL, 0};
    enum ferry_code code = FERRY_OK;
    if (value.type == FERRY_JSON_OBJECT)
        code = ferry_json_open(value, arena, &members, &why);
    if (code == FERRY_OK)
        code = read_object(rules, &draft, value, members, event);
    return code == FERRY_OK ? code : ferry_fail(error, code, "event %zu: %.480s", index, why.text);
}

static enum ferry_code read_batch(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                  struct ferry_arena *arena, struct ferry_events *events, struct ferry_error *error)
{
    struct ferry_json value;
    struct ferry_json_parts parts;
    enum ferry_code code = ferry_json_scan(input->body, arena, &value, &parts, error);
    if (code == FERRY_OK && value.type != FERRY_JSON_ARRAY)
        code = ferry_fail(error, FERRY_EVENT_INVALID, "not a batch: a JSON %s, not an array",
                          ferry_json_type_name(value.type));
    if (code == FERRY_OK)
        code = reserve_events(parts.count, arena, events, error);
    for (size_t i = 0; code == FERRY_OK && i < parts.count; i++)
        code = read_element(rules, input, parts.items[i].value, i, arena, &events->items[i], error);
    return code;
}

static enum ferry_code read_binary(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                   struct ferry_arena *arena, struct ferry_events *events, struct ferry_error *error)
{
    enum ferry_code code = reserve_events(1, arena, events, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_draft draft = new_draft(rules, input->received_ms, input->body, arena, error);
    code = ferry_draft_from_http(&draft, input);
    return code == FERRY_OK ? read_draft(rules, &draft, &events->items[0]) : code;
}

static void add_text(struct ferry_draft *draft, struct ferry_slice name, struct ferry_slice text)
{
    ferry_draft_add(draft, (struct ferry_draft_field){.name = name, .type = FERRY_JSON_STRING, .text = text});
}

/* The event of a plain JSON body, as if its sender had said the attributes: what the door's templates made of foreign
 * headers is held to the standard's rules. */
static enum ferry_code draft_plain(struct ferry_draft *draft, const struct ferry_envelope_input *input)
{
    struct ferry_slice *names, id = input->json_id;
    enum ferry_code code = ferry_draft_start(draft, 0, &names);
    if (code == FERRY_OK && id.ptr == NULL)
        code = ferry_draft_stable_id(draft, &id);
    if (code != FERRY_OK)
        return code;
    add_text(draft, FERRY_SLICE("specversion"), FERRY_SLICE("1.0"));
    add_text(draft, FERRY_SLICE("id"), id);
    add_text(draft, FERRY_SLICE("source"), input->json_source);
    add_text(draft, FERRY_SLICE("type"), input->json_type);
    add_text(draft, FERRY_SLICE("datacontenttype"), FERRY_SLICE("application/json"));
    draft->data_from = FERRY_DRAFT_DATA_MEMBER;
    draft->data = (struct ferry_json){FERRY_JSON_OBJECT, input->body};
    return FERRY_OK;
}

static enum ferry_code read_plain(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                  struct ferry_arena *arena, struct ferry_events *events, struct ferry_error *error)
{
    struct ferry_json value;
    enum ferry_code code = ferry_json_scan(input->body, arena, &value, NULL, error);
    if (code == FERRY_OK && value.type != FERRY_JSON_OBJECT)
        code =
            ferry_fail(error, FERRY_EVENT_INVALID, "body: a JSON %s, not an object", ferry_json_type_name(value.type));
    if (code == FERRY_OK)
        code = reserve_events(1, arena, events, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_draft draft = new_draft(rules, input->received_ms, value.text, arena, error);
    code = draft_plain(&draft, input);
    if (code == FERRY_OK)
        code = ferry_draft_read_strict(&draft, &events->items[0]);
    if (code == FERRY_OK)
        events->items[0].format = FERRY_FORMAT_JSON;
    return code;
}

/* ---- trace context ---- */

static bool is_printable(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7E)
            return false;
    return true;
}

/* Several `tracestate` fields are one list (Trace Context, section 3.3.1). What is no text is dropped. */
static struct ferry_slice join_tracestate(struct ferry_pairs headers, struct ferry_arena *arena)
{
    const struct ferry_slice absent = {NULL, 0};
    size_t room = 0;
    for (size_t i = 0; i < headers.count; i++)
        room += ferry_slice_is_nocase(headers.items[i].name, "tracestate") ? headers.items[i].value.len + 1 : 0;
    char *joined = room > 0 ? ferry_arena_new(arena, room) : NULL;
    if (joined == NULL)
        return absent;
    size_t len = 0;
    for (size_t i = 0; i < headers.count; i++) {
        struct ferry_slice value = ferry_slice_trim(headers.items[i].value);
        if (!ferry_slice_is_nocase(headers.items[i].name, "tracestate") || value.len == 0)
            continue;
        if (len > 0)
            joined[len++] = ',';
        memcpy(joined + len, value.ptr, value.len);
        len += value.len;
    }
    struct ferry_slice tracestate = ferry_slice_of(joined, len);
    return len > 0 && is_printable(tracestate) ? tracestate : absent;
}

static void note_trace(const struct ferry_envelope_input *input, struct ferry_arena *arena,
                       const struct ferry_events *events)
{
    struct ferry_slice traceparent = ferry_slice_trim(ferry_pairs_get(input->headers, "traceparent"));
    if (ferry_pairs_count(input->headers, "traceparent") != 1 || !ferry_traceparent_valid(traceparent))
        return;
    struct ferry_slice tracestate = join_tracestate(input->headers, arena);
    for (size_t i = 0; i < events->count; i++) {
        events->items[i].traceparent = traceparent;
        events->items[i].tracestate = tracestate;
    }
}

enum ferry_code ferry_envelope_read(enum ferry_envelope_rules rules, const struct ferry_envelope_input *input,
                                    struct ferry_arena *arena, struct ferry_events *events, struct ferry_error *error)
{
    static enum ferry_code (*const readers[])(enum ferry_envelope_rules, const struct ferry_envelope_input *,
                                              struct ferry_arena *, struct ferry_events *, struct ferry_error *) = {
        [MODE_STRUCTURED] = read_structured,
        [MODE_BATCH] = read_batch,
        [MODE_BINARY] = read_binary,
        [MODE_PLAIN] = read_plain,
    };
    enum mode mode = MODE_STRUCTURED;
    struct ferry_events read = {NULL, 0};
    enum ferry_code code = choose_mode(rules, input->headers, &mode, error);
    if (code == FERRY_OK)
        code = readers[mode](rules, input, arena, &read, error);
    if (code != FERRY_OK)
        return code;
    note_trace(input, arena, &read);
    *events = read;
    return FERRY_OK;
}

enum ferry_code ferry_envelope_read_audit(struct ferry_slice record, int64_t received_ms, struct ferry_arena *arena,
                                          struct ferry_event *event, struct ferry_error *error)
{
    struct ferry_json value;
    struct ferry_json_parts members;
    enum ferry_code code = ferry_json_scan(record, arena, &value, &members, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_draft draft = new_draft(FERRY_ENVELOPE_QLIK, received_ms, value.text, arena, error);
    if (value.type != FERRY_JSON_OBJECT)
        return ferry_fail(error, FERRY_EVENT_INVALID, "not a record: a JSON %s, not an object",
                          ferry_json_type_name(value.type));
    code = ferry_draft_from_json(&draft, members);
    return code == FERRY_OK ? ferry_draft_read_audit(&draft, event) : code;
}
