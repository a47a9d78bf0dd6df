/* What an event brings stays text in blocks too.
 *
 * A blocks program puts values of the event beside markup of its author, and in the result nobody can tell one from the
 * other: an app with the name `<!channel>` would call everybody. So the program sees the event with & < > replaced by
 * three characters of Unicode's private use area, which mean nothing to jq or Slack. Where they come out, they came
 * from the event: in a text object they become entities, elsewhere (a URL, the value of a button) the characters that
 * they were. What @uri has made of them is mended as well. */
#include <jansson.h>

#include "consumers/slack/slack.h"

static const struct mark {
    char c;
    const char *mark;
    const char *entity;
    const char *marked_uri; /* the mark, percent-encoded */
    const char *uri;        /* … and the character */
} marks[] = {
    {'&', "\xEE\x80\x80", "&amp;", "%EE%80%80", "%26"},
    {'<', "\xEE\x80\x81", "&lt;", "%EE%80%81", "%3C"},
    {'>', "\xEE\x80\x82", "&gt;", "%EE%80%82", "%3E"},
};
enum { MARKS = sizeof marks / sizeof marks[0] };

void ferry_slack_mark(struct ferry_slice json, struct ferry_buffer *out)
{
    for (size_t at = 0; at < json.len; at++) {
        const char *mark = NULL;
        for (size_t i = 0; i < MARKS; i++)
            if (json.ptr[at] == marks[i].c)
                mark = marks[i].mark;
        if (mark != NULL)
            ferry_buffer_add_text(out, mark);
        else
            ferry_buffer_add_char(out, json.ptr[at]);
    }
}

/* Appends what stands for the mark at the beginning of the text; returns its length, 0 if there is none. */
static size_t add_unmarked(struct ferry_slice text, bool as_entity, struct ferry_buffer *out)
{
    for (size_t i = 0; i < MARKS; i++) {
        if (ferry_slice_starts(text, marks[i].mark)) {
            if (as_entity)
                ferry_buffer_add_text(out, marks[i].entity);
            else
                ferry_buffer_add_char(out, marks[i].c);
            return strlen(marks[i].mark);
        }
        if (ferry_slice_starts(text, marks[i].marked_uri)) {
            ferry_buffer_add_text(out, marks[i].uri);
            return strlen(marks[i].marked_uri);
        }
    }
    return 0;
}

/* Most texts hold no mark. */
static bool may_hold_mark(struct ferry_slice text)
{
    return memmem(text.ptr, text.len, "\xEE\x80", 2) != NULL || memmem(text.ptr, text.len, "%EE%80", 6) != NULL;
}

static void unmark_text(json_t *string, bool as_entity)
{
    struct ferry_slice text = ferry_slice_of(json_string_value(string), json_string_length(string));
    if (!may_hold_mark(text))
        return;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer plain;
    ferry_buffer_init(&plain, text.len * 2 + 1);
    while (text.len > 0) {
        size_t len = add_unmarked(text, as_entity, &plain);
        if (len == 0)
            ferry_buffer_add_char(&plain, text.ptr[0]);
        text = ferry_slice_skip(text, len > 0 ? len : 1);
    }
    if (plain.failed || json_string_setn(string, plain.ptr, plain.len) != 0)
        json_string_setn(string, "", 0); /* out of memory: rather nothing than markup */
}

/* Is it the text of a text object? */
static bool is_formatted(const json_t *object, const char *name)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type != NULL && strcmp(name, "text") == 0 &&
           (strcmp(type, "mrkdwn") == 0 || strcmp(type, "plain_text") == 0);
}

void ferry_slack_unmark(json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_string(value))
        unmark_text(value, false);
    json_array_foreach (value, i, member)
        ferry_slack_unmark(member);
    json_object_foreach (value, name, member) {
        if (json_is_string(member))
            unmark_text(member, is_formatted(value, name));
        else
            ferry_slack_unmark(member);
    }
}
