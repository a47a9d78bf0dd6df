#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/slack/slack.h"

static struct ferry_buffer out;

static int setup(void **state)
{
    (void)state;
    ferry_buffer_init(&out, 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ferry_buffer_done(&out);
    return 0;
}

/* ---- answers ---- */

static struct ferry_verdict classify(int status, const char *body, bool is_api)
{
    const struct ferry_answer answer = {
        .exchange = FERRY_EXCHANGE_ANSWERED, .status = status, .body = ferry_slice_from(body), .retry_after_ms = 3000};
    struct ferry_verdict verdict;
    ferry_slack_classify(&answer, is_api, &verdict);
    return verdict;
}

static void the_word_decides_before_the_status(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *body;
        enum ferry_outcome outcome;
        enum ferry_code code;
    } cases[] = {
        {200, "ok", FERRY_OUTCOME_DONE, FERRY_OK},
        {200, "ok\n", FERRY_OUTCOME_DONE, FERRY_OK},
        {404, "no_service", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {404, "no_service_id", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {404, "no_active_hooks", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {410, "channel_is_archived", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {404, "channel_not_found", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {403, "team_disabled", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {403, "invalid_token", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {500, "rollup_error", FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {400, "rollup_error", FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {400, "invalid_payload", FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
        {403, "action_prohibited", FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
        {500, "no_text", FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
        {429, "rate_limited", FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {429, "", FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {503, "<html>busy</html>", FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {404, "<html>no_service</html>", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {410, "", FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        {403, "<html>no_service</html>", FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
        {302, "", FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_verdict verdict = classify(cases[i].status, cases[i].body, false);
        assert_int_equal(verdict.outcome, cases[i].outcome);
        assert_int_equal(verdict.code, cases[i].code);
        assert_int_equal(verdict.retry_after_ms, 3000);
    }
}

static void the_web_api_says_no_with_a_200(void **state)
{
    (void)state;
    assert_int_equal(classify(200, "{\"ok\":true,\"ts\":\"1\"}", true).outcome, FERRY_OUTCOME_DONE);
    assert_int_equal(classify(200, "{\"ok\":false,\"error\":\"ratelimited\"}", true).outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(classify(200, "{\"ok\":false,\"error\":\"channel_not_found\"}", true).code,
                     FERRY_DESTINATION_DEAD);
    assert_int_equal(classify(200, "{\"ok\":false,\"error\":\"some_new_word\"}", true).code, FERRY_HTTP_REFUSED);
    struct ferry_verdict page = classify(200, "<html>hello</html>", true);
    assert_int_equal(page.outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(page.code, FERRY_OUTCOME_UNKNOWN);
}

static void a_destination_that_is_gone_is_known_by_its_word(void **state)
{
    (void)state;
    const char *const words[] = {"channel_not_found", "is_archived",  "not_in_channel", "channel_is_archived",
                                 "account_inactive",  "invalid_auth", "not_authed",     "token_revoked",
                                 "token_expired",     "no_service",   "team_disabled"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"ok\":false,\"error\":\"%s\"}", words[i]);
        struct ferry_verdict verdict = classify(200, body, true);
        assert_int_equal(verdict.outcome, FERRY_OUTCOME_DEAD);
        assert_int_equal(verdict.code, FERRY_DESTINATION_DEAD);
        assert_int_equal(classify(403, words[i], false).code, FERRY_DESTINATION_DEAD);
    }
}

static void an_unanswered_message_is_sent_again_as_a_possible_repeat(void **state)
{
    (void)state;
    const struct ferry_answer answer = {.exchange = FERRY_EXCHANGE_IN_DOUBT, .retry_after_ms = -1, .reason = "reset"};
    struct ferry_verdict verdict;
    ferry_slack_classify(&answer, false, &verdict);
    assert_int_equal(verdict.outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(verdict.code, FERRY_OUTCOME_UNKNOWN);
}

static void a_reason_shows_words_and_never_pages(void **state)
{
    (void)state;
    assert_non_null(strstr(classify(400, "invalid_payload", false).reason, "invalid_payload"));
    assert_non_null(strstr(classify(400, "another_word", false).reason, "another_word"));
    assert_null(strstr(classify(400, "bad token xoxb-1234", false).reason, "xoxb"));
}

/* ---- cutting ---- */

static const char *cut(const char *text, size_t max)
{
    ferry_buffer_clear(&out);
    ferry_slack_cut(ferry_slice_from(text), max, &out);
    return out.ptr;
}

static void a_text_is_cut_by_characters_with_an_ellipsis(void **state)
{
    (void)state;
    assert_string_equal(cut("hello", 5), "hello");
    assert_string_equal(cut("hello!", 5), "hell…");
    assert_string_equal(cut("ÅÄÖÅÄÖ", 6), "ÅÄÖÅÄÖ");
    assert_string_equal(cut("ÅÄÖÅÄÖÅ", 6), "ÅÄÖÅÄ…");
}

static void an_entity_is_never_cut_in_half(void **state)
{
    (void)state;
    assert_string_equal(cut("ab&amp;cd", 4), "ab…");
    assert_string_equal(cut("ab&amp;cd", 5), "ab…");
    assert_string_equal(cut("ab&amp;cd", 7), "ab…");
    assert_string_equal(cut("ab&amp;cde", 8), "ab&amp;…");
    assert_string_equal(cut("a&lt;b", 5), "a…");
}

/* ---- messages ---- */

static json_t *message(const char *channel, const char *text, const char *blocks)
{
    ferry_buffer_clear(&out);
    ferry_slack_message(channel, ferry_slice_from(text), ferry_slice_from(blocks), &out);
    assert_false(out.failed);
    json_t *json = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(json);
    return json;
}

static void a_message_mentions_nobody_and_unfurls_nothing(void **state)
{
    (void)state;
    json_t *json = message(NULL, "say \"hi\"\n", NULL);
    assert_string_equal(json_string_value(json_object_get(json, "text")), "say \"hi\"\n");
    assert_int_equal(json_integer_value(json_object_get(json, "link_names")), 0);
    assert_true(json_is_false(json_object_get(json, "unfurl_links")));
    assert_null(json_object_get(json, "channel"));
    assert_null(json_object_get(json, "blocks"));
    json_decref(json);
}

static void blocks_never_come_without_a_text(void **state)
{
    (void)state;
    json_t *json = message("C0123", "fallback", "[{\"type\":\"divider\"}]");
    assert_string_equal(json_string_value(json_object_get(json, "channel")), "C0123");
    assert_string_equal(json_string_value(json_object_get(json, "text")), "fallback");
    assert_int_equal(json_array_size(json_object_get(json, "blocks")), 1);
    json_decref(json);
}

static void a_text_over_the_limit_is_cut(void **state)
{
    (void)state;
    char *text = malloc(50001);
    memset(text, 'x', 50000);
    text[50000] = '\0';
    json_t *json = message(NULL, text, NULL);
    assert_int_equal(json_string_length(json_object_get(json, "text")), FERRY_SLACK_TEXT - 1 + 3);
    json_decref(json);
    free(text);
}

static json_t *blocks_of(json_t *given)
{
    char *text = json_dumps(given, 0);
    json_decref(given);
    ferry_buffer_clear(&out);
    assert_int_equal(ferry_slack_blocks(ferry_slice_from(text), &out, NULL), FERRY_OK);
    free(text);
    json_t *json = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(json);
    return json;
}

static json_t *section(const char *type, size_t length)
{
    char *text = malloc(length + 1);
    memset(text, 'x', length);
    text[length] = '\0';
    json_t *block = json_pack("{s:s, s:{s:s, s:s}}", "type", type, "text", "type", "mrkdwn", "text", text);
    free(text);
    return block;
}

static size_t text_length(const json_t *blocks, size_t index)
{
    return json_string_length(json_object_get(json_object_get(json_array_get(blocks, index), "text"), "text"));
}

static void blocks_are_kept_within_slacks_limits(void **state)
{
    (void)state;
    json_t *given = json_array();
    json_array_append_new(given, section("section", 3000));
    json_array_append_new(given, section("section", 3001));
    json_array_append_new(given, section("header", 151));
    for (int i = 0; i < 60; i++)
        json_array_append_new(given, json_pack("{s:s}", "type", "divider"));
    json_t *blocks = blocks_of(given);
    assert_int_equal(json_array_size(blocks), FERRY_SLACK_BLOCKS);
    assert_int_equal(text_length(blocks, 0), 3000);
    assert_int_equal(text_length(blocks, 1), 2999 + 3);
    assert_int_equal(text_length(blocks, 2), 149 + 3);
    json_decref(blocks);
}

static void what_is_no_array_of_blocks_is_refused_and_null_is_none(void **state)
{
    (void)state;
    struct ferry_error error;
    assert_int_equal(ferry_slack_blocks(FERRY_SLICE("{}"), &out, &error), FERRY_TEMPLATE);
    assert_int_equal(ferry_slack_blocks(FERRY_SLICE("[1]"), &out, &error), FERRY_TEMPLATE);
    assert_int_equal(ferry_slack_blocks(FERRY_SLICE("\"text\""), &out, &error), FERRY_TEMPLATE);
    ferry_buffer_clear(&out);
    assert_int_equal(ferry_slack_blocks(FERRY_SLICE("null"), &out, &error), FERRY_OK);
    assert_int_equal(out.len, 0);
}

/* ---- digests ---- */

/* Bodies as the channel renders them; `blocks` NULL: text alone. */
static char *body(const char *channel, const char *text, const char *blocks)
{
    struct ferry_buffer buffer;
    ferry_buffer_init(&buffer, 1 << 20);
    ferry_slack_message(channel, ferry_slice_from(text), ferry_slice_from(blocks), &buffer);
    return ferry_buffer_take(&buffer);
}

/* The members' bodies, freed, as one message. */
static json_t *joined(size_t count, char *const *bodies)
{
    struct ferry_slice slices[8];
    for (size_t i = 0; i < count; i++)
        slices[i] = ferry_slice_from(bodies[i]);
    ferry_buffer_clear(&out);
    ferry_slack_join(slices, count, &out);
    assert_false(out.failed);
    for (size_t i = 0; i < count; i++)
        free(bodies[i]);
    json_t *json = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(json);
    return json;
}

static void texts_are_joined_line_by_line(void **state)
{
    (void)state;
    char *const bodies[] = {body("C1", "one\n  &amp; more", NULL), body("C1", "two", NULL), body("C1", "\"x\"", NULL)};
    json_t *json = joined(3, bodies);
    assert_string_equal(json_string_value(json_object_get(json, "text")), "one\n  &amp; more\ntwo\n\"x\"");
    assert_string_equal(json_string_value(json_object_get(json, "channel")), "C1");
    assert_int_equal(json_integer_value(json_object_get(json, "link_names")), 0);
    assert_null(json_object_get(json, "blocks"));
    json_decref(json);
}

static void where_one_has_blocks_the_texts_of_the_others_become_sections(void **state)
{
    (void)state;
    char *const bodies[] = {body(NULL, "plain", NULL),
                            body(NULL, "fallback", "[{\"type\":\"divider\"},{\"type\":\"x\"}]"),
                            body(NULL, "last", NULL)};
    json_t *json = joined(3, bodies), *blocks = json_object_get(json, "blocks");
    assert_string_equal(json_string_value(json_object_get(json, "text")), "plain\nfallback\nlast");
    assert_int_equal(json_array_size(blocks), 4);
    const json_t *first = json_object_get(json_array_get(blocks, 0), "text");
    assert_string_equal(json_string_value(json_object_get(first, "type")), "mrkdwn");
    assert_string_equal(json_string_value(json_object_get(first, "text")), "plain");
    assert_string_equal(json_string_value(json_object_get(json_array_get(blocks, 1), "type")), "divider");
    assert_int_equal(text_length(blocks, 3), 4);
    json_decref(json);
}

static void a_long_text_becomes_several_sections_and_no_entity_is_cut(void **state)
{
    (void)state;
    char text[7001];
    for (size_t i = 0; i + 5 <= 7000; i += 5)
        memcpy(text + i, "&amp;", 5);
    memmove(text + 2, text, 6998); /* out of step with the limit */
    memcpy(text, "xx", 2);
    text[6997] = '\0'; /* xx and 1399 entities */
    char *const bodies[] = {body(NULL, text, NULL), body(NULL, "b", "[{\"type\":\"divider\"}]")};
    struct ferry_load load = ferry_slack_weigh(ferry_slice_from(bodies[0]));
    json_t *json = joined(2, bodies), *blocks = json_object_get(json, "blocks");
    assert_true(json_array_size(blocks) - 1 <= load.sections);
    size_t length = 0;
    for (size_t i = 0; i + 1 < json_array_size(blocks); i++) {
        const char *part =
            json_string_value(json_object_get(json_object_get(json_array_get(blocks, i), "text"), "text"));
        assert_true(strlen(part) <= FERRY_SLACK_SECTION && part[strlen(part) - 1] == ';');
        length += strlen(part);
    }
    assert_int_equal(length, 6997);
    json_decref(json);
}

static bool fits(size_t characters, size_t blocks, size_t sections)
{
    const struct ferry_load load = {characters, blocks, sections};
    return ferry_slack_fits(&load);
}

static void a_message_holds_what_slack_allows(void **state)
{
    (void)state;
    assert_true(fits(40000, 0, 99));
    assert_false(fits(40001, 0, 0));
    assert_true(fits(100, 30, 20));
    assert_false(fits(100, 30, 21));
    char *given = body(NULL, "\xC3\x85\xC3\x84", "[{\"type\":\"divider\"}]");
    struct ferry_load load = ferry_slack_weigh(ferry_slice_from(given));
    assert_int_equal(load.characters, 3);
    assert_int_equal(load.blocks, 1);
    assert_int_equal(load.sections, 0);
    free(given);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_decides_before_the_status),
        cmocka_unit_test(the_web_api_says_no_with_a_200),
        cmocka_unit_test(a_destination_that_is_gone_is_known_by_its_word),
        cmocka_unit_test(an_unanswered_message_is_sent_again_as_a_possible_repeat),
        cmocka_unit_test(a_reason_shows_words_and_never_pages),
        cmocka_unit_test_setup_teardown(a_text_is_cut_by_characters_with_an_ellipsis, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entity_is_never_cut_in_half, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_mentions_nobody_and_unfurls_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_never_come_without_a_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_over_the_limit_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_are_kept_within_slacks_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_array_of_blocks_is_refused_and_null_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_joined_line_by_line, setup, teardown),
        cmocka_unit_test_setup_teardown(where_one_has_blocks_the_texts_of_the_others_become_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_text_becomes_several_sections_and_no_entity_is_cut, setup, teardown),
        cmocka_unit_test(a_message_holds_what_slack_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
