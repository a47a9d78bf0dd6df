/* Slack says what is wrong by a word: as the whole body of a webhook's answer, as `error` of the Web API's. */
#include <jansson.h>
#include <stdio.h>

#include "consumers/slack/slack.h"

enum meaning { SENT, DEAD_DESTINATION, TEMPORARY, PERMANENT };

static const struct {
    const char *glob;
    enum meaning meaning;
} words[] = {
    {"ok", SENT},
    /* whom it was for does not exist any more, or does not let us in */
    {"no_service*", DEAD_DESTINATION},
    {"no_active_hooks", DEAD_DESTINATION},
    {"channel_*", DEAD_DESTINATION},
    {"is_archived", DEAD_DESTINATION},
    {"not_in_channel", DEAD_DESTINATION},
    {"team_disabled", DEAD_DESTINATION},
    {"invalid_token", DEAD_DESTINATION},
    {"invalid_auth", DEAD_DESTINATION},
    {"not_authed", DEAD_DESTINATION},
    {"account_inactive", DEAD_DESTINATION},
    {"token_revoked", DEAD_DESTINATION},
    {"token_expired", DEAD_DESTINATION},
    /* it will pass */
    {"rollup_error", TEMPORARY},
    {"ratelimited", TEMPORARY},
    {"rate_limited", TEMPORARY},
    {"message_limit_exceeded", TEMPORARY},
    {"internal_error", TEMPORARY},
    {"fatal_error", TEMPORARY},
    {"service_unavailable", TEMPORARY},
    {"request_timeout", TEMPORARY},
    /* what is wrong with the message */
    {"invalid_payload", PERMANENT},
    {"user_not_found", PERMANENT},
    {"action_prohibited", PERMANENT},
    {"posting_to_general_channel_denied", PERMANENT},
    {"no_team", PERMANENT},
    {"no_text", PERMANENT},
    {"too_many_attachments", PERMANENT},
    {"invalid_blocks*", PERMANENT},
    {"msg_too_long", PERMANENT},
    {"missing_scope", PERMANENT},
    {"restricted_action*", PERMANENT},
};

enum { WORD = 64 };

/* A word of Slack's, not a page of some proxy: [a-z_]+ and nothing else. */
static bool is_word(struct ferry_slice text)
{
    if (text.len == 0 || text.len >= WORD)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_' && (text.ptr[i] < 'a' || text.ptr[i] > 'z'))
            return false;
    return true;
}

static struct ferry_slice without_line_end(struct ferry_slice text)
{
    while (text.len > 0 && strchr("\r\n \t", text.ptr[text.len - 1]) != NULL)
        text.len--;
    return text;
}

/* "ok", or the `error` of an answer of the Web API. */
static struct ferry_slice api_word(const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "ok")))
        return FERRY_SLICE("ok");
    return ferry_slice_from(json_string_value(json_object_get(answer, "error")));
}

/* The answer's word into `out`, "" if there is none. */
static void find_word(const struct ferry_answer *answer, bool is_api, char out[WORD])
{
    json_t *json = is_api ? json_loadb(answer->body.ptr, answer->body.len, 0, NULL) : NULL;
    struct ferry_slice word = is_api ? api_word(json) : without_line_end(answer->body);
    if (is_word(word))
        snprintf(out, WORD, "%.*s", FERRY_SLICE_ARGS(word));
    else
        out[0] = '\0';
    json_decref(json);
}

/* The meaning of a known word; false for others. */
static bool look_up(const char *word, enum meaning *meaning)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (ferry_glob_match(words[i].glob, ferry_slice_from(word))) {
            *meaning = words[i].meaning;
            return true;
        }
    return false;
}

static void by_word(enum meaning meaning, const char *word, const struct ferry_answer *answer,
                    struct ferry_verdict *verdict)
{
    static const struct {
        enum ferry_outcome outcome;
        enum ferry_code code;
    } table[] = {
        [SENT] = {FERRY_OUTCOME_DONE, FERRY_OK},
        [DEAD_DESTINATION] = {FERRY_OUTCOME_DEAD, FERRY_DESTINATION_DEAD},
        [TEMPORARY] = {FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        [PERMANENT] = {FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
    };
    ferry_verdict_set(verdict, table[meaning].outcome, table[meaning].code, "status %d: %s", answer->status, word);
    verdict->retry_after_ms = answer->retry_after_ms;
}

/* The address comes from the configuration, never from an event: what is not there is not there for any of them. */
static bool is_gone(const struct ferry_answer *answer)
{
    return answer->exchange == FERRY_EXCHANGE_ANSWERED && (answer->status == 404 || answer->status == 410);
}

/* A status without a word that we know. The Web API's 200 says nothing by itself: a proxy may have answered. */
static void by_status(const struct ferry_answer *answer, bool is_api, const char *word, struct ferry_verdict *verdict)
{
    ferry_verdict_by_status(answer, verdict);
    if (is_api && verdict->outcome == FERRY_OUTCOME_DONE) {
        enum ferry_outcome outcome = word[0] != '\0' ? FERRY_OUTCOME_DEAD : FERRY_OUTCOME_DOUBTFUL;
        enum ferry_code code = word[0] != '\0' ? FERRY_HTTP_REFUSED : FERRY_OUTCOME_UNKNOWN;
        ferry_verdict_set(verdict, outcome, code, "status %d without \"ok\": %s", answer->status, word);
    } else if (answer->exchange == FERRY_EXCHANGE_ANSWERED && word[0] != '\0') {
        snprintf(verdict->reason, sizeof verdict->reason, "status %d: %s", answer->status, word);
    }
    if (is_gone(answer))
        verdict->code = FERRY_DESTINATION_DEAD;
    /* A message twice is better than none: in doubt it is sent again, and counted as a possible repeat. */
    if (verdict->outcome == FERRY_OUTCOME_DOUBTFUL)
        verdict->outcome = FERRY_OUTCOME_RETRY;
}

void ferry_slack_classify(const struct ferry_answer *answer, bool is_api, struct ferry_verdict *verdict)
{
    char word[WORD] = "";
    enum meaning meaning;
    if (answer->exchange == FERRY_EXCHANGE_ANSWERED)
        find_word(answer, is_api, word);
    if (word[0] != '\0' && look_up(word, &meaning))
        by_word(meaning, word, answer, verdict);
    else
        by_status(answer, is_api, word, verdict);
}
