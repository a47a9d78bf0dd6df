#include "core/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/plain.h"
#include "core/utf8.h"

void ferry_buffer_init(struct ferry_buffer *buffer, size_t max_bytes)
{
    *buffer = (struct ferry_buffer){.max = max_bytes};
}

void ferry_buffer_done(struct ferry_buffer *buffer)
{
    free(buffer->ptr);
    *buffer = (struct ferry_buffer){.max = buffer->max};
}

void ferry_buffer_wipe(struct ferry_buffer *buffer)
{
    if (buffer->ptr != NULL)
        explicit_bzero(buffer->ptr, buffer->capacity);
    ferry_buffer_done(buffer);
}

void ferry_buffer_clear(struct ferry_buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = buffer->starved = false;
    if (buffer->ptr != NULL)
        buffer->ptr[0] = '\0';
}

/* Room for `more` bytes and the NUL. */
static bool reserve(struct ferry_buffer *buffer, size_t more)
{
    if (buffer->failed || more > buffer->max - buffer->len) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->len + more + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity * 2 > needed ? buffer->capacity * 2 : needed;
    if (capacity < 64)
        capacity = 64;
    char *grown = realloc(buffer->ptr, capacity);
    if (grown == NULL) {
        buffer->failed = buffer->starved = true;
        return false;
    }
    buffer->ptr = grown;
    buffer->capacity = capacity;
    return true;
}

void ferry_buffer_reserve(struct ferry_buffer *buffer, size_t more)
{
    if (reserve(buffer, more))
        buffer->ptr[buffer->len] = '\0';
}

void ferry_buffer_add(struct ferry_buffer *buffer, struct ferry_slice bytes)
{
    if (!reserve(buffer, bytes.len))
        return;
    if (bytes.len > 0)
        memcpy(buffer->ptr + buffer->len, bytes.ptr, bytes.len);
    buffer->len += bytes.len;
    buffer->ptr[buffer->len] = '\0';
}

void ferry_buffer_add_text(struct ferry_buffer *buffer, const char *text)
{
    ferry_buffer_add(buffer, ferry_slice_from(text));
}

void ferry_buffer_add_char(struct ferry_buffer *buffer, char c)
{
    ferry_buffer_add(buffer, ferry_slice_of(&c, 1));
}

void ferry_buffer_printf(struct ferry_buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        buffer->failed = true;
    else if (reserve(buffer, (size_t)len)) {
        vsnprintf(buffer->ptr + buffer->len, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
}

static void add_json_escape(struct ferry_buffer *buffer, unsigned char c)
{
    static const char *const shorts[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"' || c == '\\') {
        ferry_buffer_add_char(buffer, '\\');
        ferry_buffer_add_char(buffer, (char)c);
    } else if (c < sizeof shorts / sizeof shorts[0] && shorts[c] != NULL) {
        ferry_buffer_add_text(buffer, shorts[c]);
    } else {
        ferry_buffer_printf(buffer, "\\u%04x", c);
    }
}

/* How much of the text a JSON string may hold as it stands: printable ASCII and valid UTF-8. */
static size_t plain_bytes(const char *at, const char *end)
{
    const char *begin = at;
    for (size_t len = 1; len > 0; at += len) {
        at = ferry_plain_end(at, end);
        len = at < end && (unsigned char)*at >= 0x80 ? ferry_utf8_sequence(at, (size_t)(end - at)) : 0;
    }
    return (size_t)(at - begin);
}

void ferry_buffer_add_json_string(struct ferry_buffer *buffer, struct ferry_slice text)
{
    ferry_buffer_add_char(buffer, '"');
    const char *at = text.ptr, *end = at != NULL ? at + text.len : at;
    while (at != end) {
        size_t plain = plain_bytes(at, end);
        ferry_buffer_add(buffer, ferry_slice_of(at, plain));
        at += plain;
        if (at == end)
            break;
        unsigned char c = (unsigned char)*at++;
        if (c >= 0x80)
            ferry_buffer_add_text(buffer, "\xEF\xBF\xBD");
        else
            add_json_escape(buffer, c);
    }
    ferry_buffer_add_char(buffer, '"');
}

struct ferry_slice ferry_buffer_slice(const struct ferry_buffer *buffer)
{
    return ferry_slice_of(buffer->ptr != NULL ? buffer->ptr : "", buffer->len);
}

char *ferry_buffer_take(struct ferry_buffer *buffer)
{
    ferry_buffer_add(buffer, FERRY_SLICE(""));
    char *bytes = buffer->failed ? NULL : buffer->ptr;
    if (bytes != NULL)
        buffer->ptr = NULL;
    ferry_buffer_done(buffer);
    return bytes;
}
