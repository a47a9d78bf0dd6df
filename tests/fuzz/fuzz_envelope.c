/* Requests to events. The input is a line with the rules (qlik, cloudevents, json, audit), header lines, an empty line
 * and the body. Whatever is accepted is a strict CloudEvent, also after being printed and read again; whatever is
 * refused has a reason of one line. */
#include <stdint.h>
#include <stdlib.h>

#include "core/attribute.h"
#include "core/buffer.h"
#include "core/clock.h"
#include "core/envelope.h"
#include "core/uri.h"

enum { MOST_HEADERS = 64 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct ferry_slice take_line(struct ferry_slice *text)
{
    const char *end = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    struct ferry_slice line = ferry_slice_of(text->ptr, len);
    *text = ferry_slice_skip(*text, end != NULL ? len + 1 : len);
    return line;
}

static struct ferry_pairs take_headers(struct ferry_slice *text, struct ferry_pair items[MOST_HEADERS])
{
    size_t count = 0;
    for (struct ferry_slice line; (line = take_line(text)).len > 0 && count < MOST_HEADERS;) {
        const char *colon = memchr(line.ptr, ':', line.len);
        size_t len = colon != NULL ? (size_t)(colon - line.ptr) : line.len;
        struct ferry_slice value = ferry_slice_skip(line, colon != NULL ? len + 1 : len);
        items[count++] = (struct ferry_pair){ferry_slice_of(line.ptr, len), value};
    }
    return (struct ferry_pairs){items, count};
}

static void check_reason(const struct ferry_error *error)
{
    require(error->text[0] != '\0');
    for (const char *at = error->text; *at != '\0'; at++)
        require(*at >= 0x20 && *at < 0x7F);
}

static void check_text(struct ferry_slice text)
{
    require(text.ptr == NULL || (text.len > 0 && ferry_attribute_text_valid(text)));
}

static void check_event(const struct ferry_event *event)
{
    int64_t ignored;
    check_text(event->id);
    check_text(event->type);
    check_text(event->subject);
    check_text(event->datacontenttype);
    require(event->id.len > 0 && event->type.len > 0 && event->source.len > 0);
    require(event->canonical.len > 0 && event->canonical.len <= FERRY_EVENT_NAME);
    require(ferry_uri_reference_valid(event->source) && ferry_time_parse(event->time, &ignored));
    for (size_t i = 0; i < event->extension_count; i++) {
        require(ferry_attribute_name_valid(event->extensions[i].name));
        require(ferry_attribute_text_valid(event->extensions[i].value));
    }
    require(event->data_kind == FERRY_DATA_NONE || event->data.ptr != NULL);
}

static void check_round_trip(const struct ferry_event *event, struct ferry_arena *arena)
{
    struct ferry_buffer FERRY_CLEANUP(ferry_buffer_done) printed;
    ferry_buffer_init(&printed, 64 << 20);
    ferry_event_print_json(event, &printed);
    struct ferry_pair content_type = {FERRY_SLICE("content-type"), FERRY_SLICE("application/cloudevents+json")};
    struct ferry_envelope_input input = {.headers = {&content_type, 1}, .body = ferry_buffer_slice(&printed)};
    struct ferry_events again;
    struct ferry_error error;
    require(ferry_envelope_read(FERRY_ENVELOPE_CLOUDEVENTS, &input, arena, &again, &error) == FERRY_OK);
    require(again.count == 1 && again.items[0].extension_count == event->extension_count);
    require(ferry_slice_equal(again.items[0].id, event->id) && ferry_slice_equal(again.items[0].type, event->type));
    require(again.items[0].data_kind == event->data_kind);
    bool padded = event->data_kind == FERRY_DATA_JSON; /* a body may have white space around its value */
    require(padded || ferry_slice_equal(again.items[0].data, event->data));
}

static enum ferry_code read_input(struct ferry_slice text, struct ferry_arena *arena, struct ferry_events *events,
                                  struct ferry_error *error)
{
    struct ferry_pair headers[MOST_HEADERS];
    struct ferry_slice rules = take_line(&text);
    struct ferry_envelope_input input = {.headers = take_headers(&text, headers),
                                         .received_ms = 1795374685123,
                                         .json_type = FERRY_SLICE("com.example.x"),
                                         .json_source = FERRY_SLICE("/door")};
    input.body = text;
    if (ferry_slice_is(rules, "audit")) {
        events->items = ferry_arena_new(arena, sizeof *events->items);
        events->count = 1;
        return ferry_envelope_read_audit(text, input.received_ms, arena, events->items, error);
    }
    enum ferry_envelope_rules known = ferry_slice_is(rules, "cloudevents") ? FERRY_ENVELOPE_CLOUDEVENTS
                                      : ferry_slice_is(rules, "json")      ? FERRY_ENVELOPE_JSON
                                                                           : FERRY_ENVELOPE_QLIK;
    return ferry_envelope_read(known, &input, arena, events, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ferry_arena arena = {0};
    struct ferry_events events = {NULL, 0};
    struct ferry_error error = {0};
    enum ferry_code code = read_input(ferry_slice_of((const char *)bytes, len), &arena, &events, &error);
    if (code != FERRY_OK)
        check_reason(&error);
    for (size_t i = 0; code == FERRY_OK && i < events.count; i++) {
        check_event(&events.items[i]);
        if (events.items[i].extension_count < FERRY_EVENT_MEMBERS - 10)
            check_round_trip(&events.items[i], &arena);
    }
    ferry_arena_done(&arena);
    return 0;
}
