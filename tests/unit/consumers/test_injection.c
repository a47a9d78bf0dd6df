/* What an event brings stays text, wherever a route puts it: tests/data/injections.json through the channels, as they
 * render for the client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "consumers/worker.h"

enum { PAYLOADS = 50 };

static const char yaml[] =
    "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
    "slack:\n"
    "  routes:\n"
    "    - {name: text, events: [app.created], webhook: {file: hook}, text: '[\\(.data.x)]'}\n"
    "    - {name: blocks, events: [app.created], webhook: {file: hook}, text: x, blocks: '[{type: \"section\", text: "
    "{type: "
    "\"mrkdwn\", text: (\"<!here> \" + .data.x)}, accessory: {type: \"button\", value: .data.x, url: "
    "(\"https://x/?a=\" + (.data.special | @uri))}}]'}\n"
    "mail:\n"
    "  smtp: {url: 'smtp://127.0.0.1:1', tls: none}\n"
    "  from: 'Ferry <ferry@example.com>'\n"
    "  recipient_domains: ['*']\n"
    "  routes:\n"
    "    - {name: subject, events: [app.created], to: '\"to@example.com\"', subject: '\\(.data.x)', text: "
    "'\\(.data.x)'}\n"
    "    - {name: to, events: [app.created], to: .data.x, subject: s, text: t}\n"
    "automation:\n"
    "  routes:\n"
    "    - name: call\n"
    "      events: [app.created]\n"
    "      request: {method: POST, url: 'http://127.0.0.1/users/\\(.data.x)/end?q=\\(.data.x)', json: {x: .data.x}}\n";

static struct ferry_config *config;
static json_t *payloads;

static int load(void **state)
{
    (void)state;
    struct ferry_findings findings;
    struct ferry_error error;
    payloads = json_load_file(FERRY_TEST_DATA "/injections.json", JSON_ALLOW_NUL, NULL);
    enum ferry_code code = ferry_config_parse("/tmp/ferry.yaml", ferry_slice_from(yaml), FERRY_SECTION_NO_SECRETS,
                                              &config, &findings, &error);
    return payloads != NULL && code == FERRY_OK && findings.errors == 0 ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    ferry_config_free(config);
    json_decref(payloads);
    return 0;
}

/* ---- rendering {"x": payload, "secret": …} ---- */

static struct ferry_effect effect;

static int setup(void **state)
{
    (void)state;
    ferry_effect_init(&effect);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ferry_effect_done(&effect);
    return 0;
}

static struct ferry_channel_route *route_new(const struct ferry_channel *channel, size_t index)
{
    struct ferry_channel_route *route = NULL;
    assert_int_equal(channel->route_new(config, index, &route, NULL), FERRY_OK);
    return route;
}

static enum ferry_code render(const struct ferry_channel *channel, struct ferry_channel_route *route,
                              const json_t *payload)
{
    json_t *data = json_pack("{s:O, s:s, s:s}", "x", payload, "secret", "not to be seen", "special", "&<>");
    char *text = json_dumps(data, 0);
    const struct ferry_event event = {.id = FERRY_SLICE("1"),
                                      .source = FERRY_SLICE("s"),
                                      .type = FERRY_SLICE("a"),
                                      .time = FERRY_SLICE("2026-11-22T19:31:25Z"),
                                      .canonical = FERRY_SLICE("a"),
                                      .data_kind = FERRY_DATA_JSON,
                                      .data = ferry_slice_from(text)};
    struct ferry_view *view;
    struct ferry_error error;
    bool skip = false;
    ferry_effect_done(&effect);
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    enum ferry_code code =
        channel->render(route, &event, view, "00000000000000000000000000000000", &effect, &skip, &error);
    assert_false(skip || effect.body.failed);
    ferry_view_free(view);
    json_decref(data);
    free(text);
    return code;
}

static struct ferry_slice text_of(const json_t *string)
{
    return ferry_slice_of(json_string_value(string), json_string_length(string));
}

/* ---- Slack ---- */

/* Undoes exactly &amp; &lt; &gt;. Any other & and any < or > would be markup. */
static void decode(struct ferry_slice text, struct ferry_buffer *out)
{
    static const struct {
        const char *entity;
        char c;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}};
    for (size_t at = 0, len; at < text.len; at += len) {
        len = 1;
        char c = text.ptr[at];
        assert_true(c != '<' && c != '>');
        for (size_t i = 0; c == '&' && i < 3; i++)
            if (strncmp(text.ptr + at, entities[i].entity, strlen(entities[i].entity)) == 0) {
                c = entities[i].c;
                len = strlen(entities[i].entity);
            }
        assert_true(c != '&' || len > 1);
        ferry_buffer_add_char(out, c);
    }
}

/* A text is this payload between a literal beginning and end, and nothing in it is markup. */
static void assert_inert(struct ferry_slice text, const char *before, const json_t *payload, const char *after)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer decoded;
    ferry_buffer_init(&decoded, 1 << 20);
    size_t skip = strlen(before), rest = strlen(after);
    assert_true(text.len >= skip + rest);
    assert_memory_equal(text.ptr, before, skip);
    assert_memory_equal(text.ptr + text.len - rest, after, rest);
    decode(ferry_slice_of(text.ptr + skip, text.len - skip - rest), &decoded);
    struct ferry_slice original = text_of(payload);
    assert_int_equal(decoded.len, original.len);
    if (original.len > 0)
        assert_memory_equal(decoded.ptr, original.ptr, original.len);
}

static json_t *message(void)
{
    for (size_t i = 0; i < effect.body.len; i++)
        assert_true((unsigned char)effect.body.ptr[i] >= ' ');
    json_t *json = json_loadb(effect.body.ptr, effect.body.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "link_names")), 0);
    assert_true(json_is_false(json_object_get(json, "unfurl_links")));
    return json;
}

static void each_slack_text(const char *group)
{
    struct ferry_channel_route *route = route_new(&ferry_slack_channel, 0);
    size_t i;
    json_t *payload;
    assert_int_equal(json_array_size(json_object_get(payloads, group)), PAYLOADS);
    json_array_foreach (json_object_get(payloads, group), i, payload) {
        assert_int_equal(render(&ferry_slack_channel, route, payload), FERRY_OK);
        json_t *json = message();
        assert_int_equal(json_object_size(json), 3);
        assert_inert(text_of(json_object_get(json, "text")), "[", payload, "]");
        json_decref(json);
    }
    ferry_slack_channel.route_free(route);
}

static void a_slack_text_mentions_and_links_nobody(void **state)
{
    (void)state;
    each_slack_text("slack");
}

/* What the author of the program wrote is markup, what the event brought is not; but for the texts it is as it was. */
static void a_value_in_blocks_is_text_beside_the_markup_of_the_program(void **state)
{
    (void)state;
    struct ferry_channel_route *route = route_new(&ferry_slack_channel, 1);
    size_t i;
    json_t *payload;
    json_array_foreach (json_object_get(payloads, "slack"), i, payload) {
        assert_int_equal(render(&ferry_slack_channel, route, payload), FERRY_OK);
        json_t *json = message();
        const json_t *block = json_array_get(json_object_get(json, "blocks"), 0);
        const json_t *button = json_object_get(block, "accessory");
        assert_inert(text_of(json_object_get(json_object_get(block, "text"), "text")), "<!here> ", payload, "");
        assert_true(json_equal(json_object_get(button, "value"), payload));
        assert_string_equal(json_string_value(json_object_get(button, "url")), "https://x/?a=%26%3C%3E");
        json_decref(json);
    }
    ferry_slack_channel.route_free(route);
}

static void what_looks_like_a_hole_is_text(void **state)
{
    (void)state;
    each_slack_text("hole");
}

/* ---- mail ---- */

/* The header's fields are these, in this order, 7-bit without controls, on lines that every server takes; and what a
 * reader would decode was encoded by us. */
static void assert_usual_header(struct ferry_slice mail)
{
    static const char *const names[] = {"From: ",         "To: ",           "Subject: ",
                                        "Date: ",         "Message-ID: ",   "Auto-Submitted: ",
                                        "MIME-Version: ", "Content-Type: ", "Content-Transfer-Encoding: "};
    size_t field = 0;
    for (const char *line = mail.ptr, *end; line[0] != '\r'; line = end + 2) {
        end = strstr(line, "\r\n");
        assert_non_null(end);
        assert_true(end - line <= 998);
        for (const char *c = line; c < end; c++)
            assert_true((unsigned char)*c >= ' ' && *c <= '~' &&
                        (strncmp(c, "=?", 2) != 0 || c[2] == '=' || strncmp(c, "=?UTF-8?B?", 10) == 0));
        if (line[0] == ' ')
            continue;
        assert_true(field < sizeof names / sizeof names[0]);
        assert_memory_equal(line, names[field], strlen(names[field]));
        field++;
    }
    assert_int_equal(field, sizeof names / sizeof names[0]);
}

static bool has_line_break(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("\r\n", text.ptr[i]) != NULL) /* NUL too */
            return true;
    return false;
}

static void a_subject_is_one_header_field_or_none(void **state)
{
    (void)state;
    struct ferry_channel_route *route = route_new(&ferry_mail_channel, 0);
    size_t i;
    json_t *payload;
    assert_int_equal(json_array_size(json_object_get(payloads, "subject")), PAYLOADS);
    json_array_foreach (json_object_get(payloads, "subject"), i, payload) {
        enum ferry_code code = render(&ferry_mail_channel, route, payload);
        assert_int_equal(code, has_line_break(text_of(payload)) ? FERRY_ADDRESS_INVALID : FERRY_OK);
        if (code == FERRY_OK)
            assert_usual_header(ferry_buffer_slice(&effect.body));
    }
    ferry_mail_channel.route_free(route);
}

static void a_recipient_is_one_address_or_none(void **state)
{
    (void)state;
    struct ferry_channel_route *route = route_new(&ferry_mail_channel, 1);
    size_t i;
    json_t *payload;
    assert_int_equal(json_array_size(json_object_get(payloads, "recipient")), PAYLOADS);
    json_array_foreach (json_object_get(payloads, "recipient"), i, payload) {
        assert_int_equal(render(&ferry_mail_channel, route, payload), FERRY_ADDRESS_INVALID);
        assert_null(effect.recipient);
    }
    ferry_mail_channel.route_free(route);
}

/* ---- URLs ---- */

static unsigned hex(char c)
{
    const char *digit = strchr("0123456789ABCDEF", c);
    assert_true(c != '\0' && digit != NULL);
    return (unsigned)(digit - "0123456789ABCDEF");
}

/* The text begins with the payload, percent-encoded; returns what comes behind it. */
static const char *skip_encoded(const char *text, struct ferry_slice payload)
{
    for (size_t i = 0; i < payload.len; i++) {
        unsigned char c = (unsigned char)*text++;
        if (c == '%') {
            c = (unsigned char)(hex(text[0]) << 4 | hex(text[1]));
            text += 2;
        } else {
            assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c));
        }
        assert_int_equal(c, (unsigned char)payload.ptr[i]);
    }
    return text;
}

static void a_part_of_a_url_stays_that_part(void **state)
{
    (void)state;
    struct ferry_channel_route *route = route_new(&ferry_automation_channel, 0);
    size_t i;
    json_t *payload;
    assert_int_equal(json_array_size(json_object_get(payloads, "url")), PAYLOADS);
    json_array_foreach (json_object_get(payloads, "url"), i, payload) {
        struct ferry_slice text = text_of(payload);
        enum ferry_code code = render(&ferry_automation_channel, route, payload);
        if (ferry_slice_is(text, ".") || ferry_slice_is(text, "..")) {
            assert_int_equal(code, FERRY_ADDRESS_INVALID);
            continue;
        }
        static const char before[] = "http://127.0.0.1/users/", between[] = "/end?q=";
        assert_int_equal(code, FERRY_OK);
        assert_memory_equal(effect.url, before, sizeof before - 1);
        const char *rest = skip_encoded(effect.url + sizeof before - 1, text);
        assert_memory_equal(rest, between, sizeof between - 1);
        assert_string_equal(skip_encoded(rest + sizeof between - 1, text), "");
    }
    ferry_automation_channel.route_free(route);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_slack_text_mentions_and_links_nobody), TEST(a_value_in_blocks_is_text_beside_the_markup_of_the_program),
        TEST(what_looks_like_a_hole_is_text),         TEST(a_subject_is_one_header_field_or_none),
        TEST(a_recipient_is_one_address_or_none),     TEST(a_part_of_a_url_stays_that_part),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
