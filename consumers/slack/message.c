#include <jansson.h>
#include <stdlib.h>

#include "consumers/slack/slack.h"
#include "core/utf8.h"

#define ELLIPSIS "\xE2\x80\xA6"

/* ---- cutting ---- */

/* Bytes of the first `count` characters. A byte that is no UTF-8 counts as one. */
static size_t bytes_of(struct ferry_slice text, size_t count)
{
    size_t at = 0;
    for (; count > 0 && at < text.len; count--) {
        size_t len = ferry_utf8_sequence(text.ptr + at, text.len - at);
        at += len > 0 ? len : 1;
    }
    return at;
}

/* Without an entity that was cut in the middle: an & among the last bytes with no ; behind it. */
static size_t before_half_entity(struct ferry_slice text)
{
    enum { LONGEST = sizeof "&amp" - 1 };
    for (size_t back = 1; back <= LONGEST && back <= text.len; back++) {
        char c = text.ptr[text.len - back];
        if (c == ';')
            break;
        if (c == '&')
            return text.len - back;
    }
    return text.len;
}

size_t ferry_slack_fit(struct ferry_slice text, size_t max)
{
    size_t len = bytes_of(text, max);
    return len == text.len ? len : before_half_entity(ferry_slice_of(text.ptr, len));
}

void ferry_slack_cut(struct ferry_slice text, size_t max, struct ferry_buffer *out)
{
    if (bytes_of(text, max) == text.len) {
        ferry_buffer_add(out, text);
        return;
    }
    ferry_buffer_add(out, ferry_slice_of(text.ptr, ferry_slack_fit(text, max - 1)));
    ferry_buffer_add_text(out, ELLIPSIS);
}

/* ---- blocks ---- */

/* Cuts the `text` of a text object. */
static void limit_text(json_t *object, size_t max)
{
    json_t *text = json_object_get(object, "text");
    if (!json_is_string(text))
        return;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer cut;
    ferry_buffer_init(&cut, json_string_length(text) + sizeof ELLIPSIS);
    ferry_slack_cut(ferry_slice_of(json_string_value(text), json_string_length(text)), max, &cut);
    json_string_setn(text, cut.ptr != NULL ? cut.ptr : "", cut.len);
}

static void limit_block(json_t *block)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    bool is_header = type != NULL && strcmp(type, "header") == 0;
    json_t *fields = json_object_get(block, "fields");
    limit_text(json_object_get(block, "text"), is_header ? FERRY_SLACK_HEADER : FERRY_SLACK_SECTION);
    for (size_t i = 0; i < json_array_size(fields); i++)
        limit_text(json_array_get(fields, i), FERRY_SLACK_FIELD);
}

static enum ferry_code limit_blocks(json_t *blocks, struct ferry_error *error)
{
    if (!json_is_array(blocks))
        return ferry_fail(error, FERRY_TEMPLATE, "blocks: the program must yield an array of blocks, or null");
    while (json_array_size(blocks) > FERRY_SLACK_BLOCKS)
        json_array_remove(blocks, json_array_size(blocks) - 1);
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        json_t *block = json_array_get(blocks, i);
        if (!json_is_object(block))
            return ferry_fail(error, FERRY_TEMPLATE, "blocks: element %zu is not an object", i);
        limit_block(block);
    }
    return FERRY_OK;
}

static int append(const char *bytes, size_t len, void *out)
{
    ferry_buffer_add(out, ferry_slice_of(bytes, len));
    return 0;
}

enum ferry_code ferry_slack_blocks(struct ferry_slice json, struct ferry_buffer *out, struct ferry_error *error)
{
    if (ferry_slice_is(json, "null"))
        return FERRY_OK;
    json_t *blocks = json_loadb(json.ptr, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    ferry_slack_unmark(blocks);
    enum ferry_code code = limit_blocks(blocks, error);
    if (code == FERRY_OK)
        json_dump_callback(blocks, append, out, JSON_COMPACT);
    json_decref(blocks);
    return code;
}

/* ---- the message ---- */

void ferry_slack_message(const char *channel, struct ferry_slice text, struct ferry_slice blocks,
                         struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer cut;
    ferry_buffer_init(&cut, FERRY_EFFECT_BODY_MAX);
    ferry_slack_cut(text, FERRY_SLACK_TEXT, &cut);
    ferry_buffer_add_char(out, '{');
    if (channel != NULL) {
        ferry_buffer_add_text(out, "\"channel\":");
        ferry_buffer_add_json_string(out, ferry_slice_from(channel));
        ferry_buffer_add_char(out, ',');
    }
    ferry_buffer_add_text(out, "\"text\":");
    ferry_buffer_add_json_string(out, ferry_buffer_slice(&cut));
    if (blocks.len > 0) {
        ferry_buffer_add_text(out, ",\"blocks\":");
        ferry_buffer_add(out, blocks);
    }
    ferry_buffer_add_text(out, ",\"link_names\":0,\"unfurl_links\":false}");
    out->failed = out->failed || cut.failed;
}
