/* Several messages as one: the texts one below the other, or, as soon as one of them has blocks, all as blocks; the
 * texts of the others become sections then. What is joined are bodies that ferry_slack_message has made. */
#include <jansson.h>
#include <stdlib.h>

#include "consumers/slack/slack.h"
#include "core/utf8.h"

/* A section may end up to an entity's length before its limit. */
enum { SECTION_FULL = FERRY_SLACK_SECTION - (sizeof "&amp;" - 1) };

static struct ferry_slice text_of(const json_t *message)
{
    const json_t *text = json_object_get(message, "text");
    return ferry_slice_of(json_string_value(text), json_string_length(text));
}

static size_t characters_of(struct ferry_slice text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.len; count++) {
        size_t len = ferry_utf8_sequence(text.ptr + at, text.len - at);
        at += len > 0 ? len : 1;
    }
    return count;
}

struct ferry_load ferry_slack_weigh(struct ferry_slice body)
{
    json_t *message = json_loadb(body.ptr, body.len, JSON_ALLOW_NUL, NULL);
    size_t characters = characters_of(text_of(message));
    struct ferry_load load = {.characters = characters + 1, /* and its line end */
                              .blocks = json_array_size(json_object_get(message, "blocks"))};
    if (load.blocks == 0)
        load.sections = characters / SECTION_FULL + 1;
    json_decref(message);
    return load;
}

bool ferry_slack_fits(const struct ferry_load *load)
{
    return load->characters <= FERRY_SLACK_TEXT &&
           (load->blocks == 0 || load->blocks + load->sections <= FERRY_SLACK_BLOCKS);
}

static void add_section(json_t *blocks, struct ferry_slice text)
{
    json_array_append_new(blocks, json_pack("{s:s, s:{s:s, s:s%}}", "type", "section", "text", "type", "mrkdwn", "text",
                                            text.ptr, text.len));
}

/* A text as sections, as many as it takes. */
static void add_sections(json_t *blocks, struct ferry_slice text)
{
    while (text.len > 0) {
        size_t len = ferry_slack_fit(text, FERRY_SLACK_SECTION);
        add_section(blocks, ferry_slice_of(text.ptr, len));
        text = ferry_slice_of(text.ptr + len, text.len - len);
    }
}

static void add_blocks(json_t *all, const json_t *message)
{
    json_t *blocks = json_object_get(message, "blocks");
    if (json_array_size(blocks) > 0)
        json_array_extend(all, blocks);
    else
        add_sections(all, text_of(message));
}

static bool any_blocks(json_t *const *messages, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= json_array_size(json_object_get(messages[i], "blocks")) > 0;
    return any;
}

static int append(const char *bytes, size_t len, void *out)
{
    ferry_buffer_add(out, ferry_slice_of(bytes, len));
    return 0;
}

static void join_texts(json_t *const *messages, size_t count, struct ferry_buffer *text)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ferry_buffer_add_char(text, '\n');
        ferry_buffer_add(text, text_of(messages[i]));
    }
}

static void join_blocks(json_t *const *messages, size_t count, struct ferry_buffer *out)
{
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++)
        add_blocks(all, messages[i]);
    out->failed = all == NULL || json_dump_callback(all, append, out, JSON_COMPACT) != 0 || out->failed;
    json_decref(all);
}

static void join_messages(json_t *const *messages, size_t count, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer blocks;
    ferry_buffer_init(&text, FERRY_EFFECT_BODY_MAX);
    ferry_buffer_init(&blocks, FERRY_EFFECT_BODY_MAX);
    join_texts(messages, count, &text);
    if (any_blocks(messages, count))
        join_blocks(messages, count, &blocks);
    ferry_slack_message(json_string_value(json_object_get(messages[0], "channel")), ferry_buffer_slice(&text),
                        ferry_buffer_slice(&blocks), out);
    out->failed = out->failed || text.failed || blocks.failed;
}

void ferry_slack_join(const struct ferry_slice *bodies, size_t count, struct ferry_buffer *out)
{
    json_t **messages = calloc(count, sizeof(json_t *));
    bool parsed = messages != NULL;
    for (size_t i = 0; parsed && i < count; i++)
        parsed = (messages[i] = json_loadb(bodies[i].ptr, bodies[i].len, JSON_ALLOW_NUL, NULL)) != NULL;
    if (parsed)
        join_messages(messages, count, out);
    else
        out->failed = true; /* we made them ourselves, so memory ran out */
    for (size_t i = 0; messages != NULL && i < count; i++)
        json_decref(messages[i]);
    free(messages);
}
