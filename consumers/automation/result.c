#include "consumers/automation/result.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/utf8.h"

enum {
    LOOKS_TOLD = 5,   /* of a run that goes on the first ones are news, … */
    LOOKS_BETWEEN = 4 /* … then about one a minute, for bridges that began to read only now */
};

bool ferry_result_wanted(const struct ferry_event *event)
{
    return ferry_slice_starts(event->type, "com.ferry.trigger.") && ferry_slice_starts(event->canonical, "trigger.");
}

/* ---- what an answer says ---- */

/* {"status": …, "id": …}: Qlik's words about a run. */
struct run_words {
    char status[32];
    char id[128];
};

static void copy_member(const json_t *object, const char *name, char *out, size_t out_bytes)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, out_bytes, "%s", text != NULL && strlen(text) < out_bytes ? text : "");
}

static struct run_words words_of(struct ferry_slice body)
{
    struct run_words words;
    json_t *answer = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    copy_member(answer, "status", words.status, sizeof words.status);
    copy_member(answer, "id", words.id, sizeof words.id);
    json_decref(answer);
    return words;
}

static bool is_queued(const struct run_words *words)
{
    return strcmp(words->status, "queued") == 0 && words->id[0] != '\0';
}

static bool is_told(int looks)
{
    return looks <= LOOKS_TOLD || looks % LOOKS_BETWEEN == 0;
}

/* A run that was accepted goes on; `effect` is the next look at it. A login says nothing of it. */
static bool of_run(const struct ferry_news *news, struct ferry_result *result)
{
    struct run_words words = words_of(news->answer->body);
    if (words.status[0] == '\0' || !is_told(news->effect->looks))
        return false;
    result->state = is_queued(&words) ? FERRY_RESULT_QUEUED : FERRY_RESULT_RUNNING;
    snprintf(result->run, sizeof result->run, "%s", news->effect->note);
    return true;
}

static void take_output(const struct ferry_answer *answer, struct ferry_result *result)
{
    result->output = answer->body.len > 0 ? answer->body : (struct ferry_slice){0};
    result->truncated = answer->truncated;
}

/* What the call gave is the output, but for a run that Qlik has only queued: nobody looks at how that one ends. */
static bool of_success(const struct ferry_news *news, struct ferry_result *result)
{
    bool is_qlik = news->config->automation.routes[news->index].is_qlik;
    struct run_words words = is_qlik ? words_of(news->answer->body) : (struct run_words){.status = ""};
    bool queued = news->effect->step == 0 && is_queued(&words);
    result->state = queued ? FERRY_RESULT_QUEUED : FERRY_RESULT_FINISHED;
    result->final = true;
    snprintf(result->run, sizeof result->run, "%s", queued ? words.id : news->effect->note);
    if (!queued)
        take_output(news->answer, result);
    return true;
}

/* A run that was seen to fail: Qlik's record of it says why. The dead letter is news of its own, and that is final.
 * What a call was refused with is no output; it may repeat what it was called with. */
static bool of_failure(const struct ferry_news *news, struct ferry_result *result)
{
    if (news->verdict->code != FERRY_RUN_FAILED)
        return false;
    result->state = FERRY_RESULT_FAILED;
    result->code = ferry_code_name(news->verdict->code);
    result->text = news->verdict->reason;
    snprintf(result->run, sizeof result->run, "%s", news->effect->note);
    take_output(news->answer, result);
    return true;
}

static bool of_answer(const struct ferry_news *news, struct ferry_result *result)
{
    if (news->answer->exchange != FERRY_EXCHANGE_ANSWERED)
        return false;
    if (news->verdict->follow_up)
        return of_run(news, result);
    if (news->verdict->outcome == FERRY_OUTCOME_DONE)
        return of_success(news, result);
    return of_failure(news, result);
}

static bool of_call(const struct ferry_news *news, struct ferry_result *result)
{
    (void)news;
    result->state = FERRY_RESULT_RUNNING;
    return true;
}

static bool of_outcome(const struct ferry_news *news, struct ferry_result *result)
{
    bool again = news->outcome == FERRY_OUTCOME_RETRY;
    bool is_letter = news->outcome == FERRY_OUTCOME_DEAD || news->outcome == FERRY_OUTCOME_DOUBTFUL;
    result->state = again ? FERRY_RESULT_QUEUED : FERRY_RESULT_FAILED;
    result->final = !again;
    result->code = again || is_letter ? ferry_code_name(news->code) : ferry_outcome_name(news->outcome);
    result->text = news->reason;
    return true;
}

bool ferry_result_of(const struct ferry_news *news, struct ferry_result *result)
{
    static bool (*const readers[])(const struct ferry_news *news, struct ferry_result *result) = {
        [FERRY_NEWS_CALL] = of_call, [FERRY_NEWS_ANSWER] = of_answer, [FERRY_NEWS_OUTCOME] = of_outcome};
    *result = (struct ferry_result){.state = FERRY_RESULT_QUEUED};
    return readers[news->kind](news, result);
}

/* ---- secrets ---- */

enum { SECRET_SHORT = 6 }; /* shorter ones are words that an output may well have */

static void blot(char *text, size_t len, struct ferry_slice secret)
{
    if (secret.len < SECRET_SHORT)
        return;
    for (char *found = text; (found = memmem(found, len - (size_t)(found - text), secret.ptr, secret.len)) != NULL;
         found += secret.len) /* a secret may be stars itself */
        memset(found, '*', secret.len);
}

/* "Bearer KEY" is the key too. */
static void blot_header(char *text, size_t len, struct ferry_slice value)
{
    const char *space = value.len > 0 ? memrchr(value.ptr, ' ', value.len) : NULL;
    blot(text, len, space != NULL ? ferry_slice_skip(value, (size_t)(space + 1 - value.ptr)) : value);
}

/* An automation that gives back what it was called with shall not bring its token to everybody who may look. */
static void blot_secrets(const struct ferry_automation_route *route, char *text, size_t len)
{
    const struct ferry_qlik_call *call = &route->qlik;
    const struct ferry_secret secrets[] = {call->token, call->auth.api_key, call->auth.client_secret,
                                           call->auth.password};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        blot(text, len, ferry_secret_slice(secrets[i]));
    for (size_t i = 0; i < route->request.header_count; i++)
        blot_header(text, len, ferry_secret_slice(route->request.headers[i].value));
}

/* ---- the record ---- */

static void add_member(struct ferry_buffer *out, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    ferry_buffer_printf(out, ",\"%s\":", name);
    ferry_buffer_add_json_string(out, ferry_slice_from(value));
}

static const char *type_of(struct ferry_slice text, bool truncated)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_json value;
    bool is_json = !truncated && ferry_json_scan(text, &arena, &value, NULL, NULL) == FERRY_OK;
    return is_json ? "application/json" : "text/plain";
}

/* Not in the middle of a character. */
static size_t cut(struct ferry_slice text, size_t most)
{
    if (text.len <= most)
        return text.len;
    size_t back = 0;
    while (back < 3 && back < most && ((unsigned char)text.ptr[most - back] & 0xC0) == 0x80)
        back++;
    return most - back;
}

/* A text full of control characters grows in JSON: then less of it is told. */
static void add_output(struct ferry_buffer *out, struct ferry_slice text, bool truncated)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer quoted;
    ferry_buffer_init(&quoted, FERRY_RESULT_RECORD_MAX - 16 * 1024);
    size_t kept = cut(text, FERRY_RESULT_OUTPUT_MAX);
    ferry_buffer_add_json_string(&quoted, ferry_slice_of(text.ptr, kept));
    while (quoted.failed && !quoted.starved && kept > 0) {
        ferry_buffer_done(&quoted);
        ferry_buffer_init(&quoted, FERRY_RESULT_RECORD_MAX - 16 * 1024);
        kept = cut(text, kept / 2);
        ferry_buffer_add_json_string(&quoted, ferry_slice_of(text.ptr, kept));
    }
    truncated = truncated || kept < text.len;
    ferry_buffer_printf(out,
                        ",\"output\":{\"type\":\"%s\",\"text\":", type_of(ferry_slice_of(text.ptr, kept), truncated));
    ferry_buffer_add(out, ferry_buffer_slice(&quoted));
    ferry_buffer_printf(out, ",\"truncated\":%s}", truncated ? "true" : "false");
    out->failed = out->failed || quoted.failed;
}

static void add_blotted_output(const struct ferry_news *news, const struct ferry_result *result,
                               struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer copy;
    ferry_buffer_init(&copy, result->output.len + 1);
    ferry_buffer_add(&copy, result->output);
    if (copy.failed) {
        out->failed = true;
        return;
    }
    blot_secrets(&news->config->automation.routes[news->index], copy.ptr, copy.len);
    add_output(out, ferry_buffer_slice(&copy), result->truncated);
}

void ferry_result_print(const struct ferry_news *news, const struct ferry_result *result, int64_t wall_ms,
                        struct ferry_buffer *out)
{
    static const char *const states[] = {"queued", "running", "finished", "failed"};
    char at[FERRY_TIME_TEXT];
    ferry_time_format(wall_ms, at);
    ferry_buffer_add_text(out, "{\"version\":1,\"id\":");
    ferry_buffer_add_json_string(out, news->event->id);
    ferry_buffer_add_text(out, ",\"trigger\":");
    ferry_buffer_add_json_string(out, ferry_slice_skip(news->event->canonical, strlen("trigger.")));
    add_member(out, "route", news->route);
    ferry_buffer_printf(out, ",\"routes\":%zu,\"state\":\"%s\",\"final\":%s,\"at\":\"%s\",\"attempts\":%d",
                        news->routes, states[result->state], result->final ? "true" : "false", at, news->attempts);
    add_member(out, "run", result->run);
    if (result->output.len > 0)
        add_blotted_output(news, result, out);
    if (result->code != NULL) {
        ferry_buffer_printf(out, ",\"error\":{\"code\":\"%s\"", result->code);
        add_member(out, "text", result->text);
        ferry_buffer_add_char(out, '}');
    }
    ferry_buffer_add_char(out, '}');
}
