/* Records of any producer. The input is header lines (name:value), an empty line and the value. What is read as an
 * event has all that events have, and comes back the same from both encodings; what is refused has a reason. */
#include <stdint.h>
#include <stdlib.h>

#include "core/media_type.h"
#include "core/record.h"
#include "core/utf8.h"

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

static size_t take_headers(struct ferry_slice *text, struct ferry_pair headers[MOST_HEADERS])
{
    size_t count = 0;
    for (struct ferry_slice line; (line = take_line(text)).len > 0 && count < MOST_HEADERS;) {
        const char *colon = memchr(line.ptr, ':', line.len);
        size_t len = colon != NULL ? (size_t)(colon - line.ptr) : line.len;
        struct ferry_slice value = ferry_slice_skip(line, colon != NULL ? len + 1 : len);
        headers[count++] = (struct ferry_pair){ferry_slice_of(line.ptr, len), value};
    }
    return count;
}

static void check_event(const struct ferry_event *event)
{
    require(event->id.len > 0 && event->source.len > 0 && event->type.len > 0 && event->time.len > 0);
    require(event->canonical.len > 0 && ferry_utf8_valid(event->canonical));
    require(event->data_kind == FERRY_DATA_NONE || event->data.ptr != NULL);
    for (size_t i = 0; i < event->extension_count; i++)
        require(event->extensions[i].name.len > 0 && ferry_utf8_valid(event->extensions[i].value));
}

static void check_same(const struct ferry_event *a, const struct ferry_event *b)
{
    require(ferry_slice_equal(a->id, b->id) && ferry_slice_equal(a->source, b->source));
    require(ferry_slice_equal(a->type, b->type) && ferry_slice_equal(a->time, b->time));
    require(ferry_slice_equal(a->subject, b->subject) && ferry_slice_equal(a->dataschema, b->dataschema));
    require(ferry_slice_equal(a->datacontenttype, b->datacontenttype));
    require(ferry_slice_equal(a->canonical, b->canonical) && a->format == b->format);
    require(a->received_ms == b->received_ms && ferry_slice_equal(a->traceparent, b->traceparent));
    require(a->extension_count == b->extension_count);
    for (size_t i = 0; i < a->extension_count; i++)
        require(ferry_slice_equal(a->extensions[i].name, b->extensions[i].name) &&
                ferry_slice_equal(a->extensions[i].value, b->extensions[i].value));
}

/* Binary mode knows no difference between no bytes and no data, nor between JSON and text where the media type is no
 * JSON; structured mode drops the white space around JSON data. */
static void check_same_data(const struct ferry_event *a, const struct ferry_event *b)
{
    bool blurred =
        a->data.len == 0 || (a->data_kind == FERRY_DATA_JSON && !ferry_media_type_is_json(a->datacontenttype));
    require(blurred || a->data_kind == b->data_kind);
    require(a->data_kind == FERRY_DATA_JSON ? b->data.len <= a->data.len : ferry_slice_equal(a->data, b->data));
}

static void check_round_trip(const struct ferry_event *event, enum ferry_encoding encoding, struct ferry_arena *arena)
{
    struct ferry_record record;
    struct ferry_event again;
    struct ferry_error error = {.text = ""};
    struct ferry_slice topic = FERRY_SLICE("t");
    require(ferry_record_make(event, topic, event->id, encoding, NULL, arena, &record, NULL) == FERRY_OK);
    require(record.value.ptr != NULL);
    enum ferry_code code = ferry_record_read(&record, arena, &again, &error);
    if (code != FERRY_OK && strstr(error.text, "512 levels") != NULL)
        return; /* one level more than alone */
    require(code == FERRY_OK);
    check_same(event, &again);
    check_same_data(event, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ferry_arena arena = {0};
    struct ferry_slice text = ferry_slice_of((const char *)bytes, len);
    struct ferry_pair headers[MOST_HEADERS];
    struct ferry_record record = {.headers = headers, .timestamp_ms = 1795374685123};
    record.header_count = take_headers(&text, headers);
    record.value = text;
    struct ferry_event event;
    struct ferry_error error = {.text = ""};
    if (ferry_record_read(&record, &arena, &event, &error) == FERRY_OK) {
        check_event(&event);
        check_round_trip(&event, FERRY_ENCODING_BINARY, &arena);
        check_round_trip(&event, FERRY_ENCODING_STRUCTURED, &arena);
    } else {
        require(error.text[0] != '\0' && ferry_utf8_valid(ferry_slice_from(error.text)));
        require(strpbrk(error.text, "\r\n\t\x1B") == NULL);
    }
    ferry_arena_done(&arena);
    return 0;
}
