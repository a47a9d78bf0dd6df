#include "bridge/triggers/feedback_inside.h"

#include <stdlib.h>

#include "bridge/problem.h"
#include "bridge/triggers/page.h"
#include "core/json.h"

enum { STATE_BYTES = 900 * 1024 /* of a state as JSON, but for what frames its outputs */ };

#define JSON_TYPE "application/json"
#define TEXT_TYPE "text/plain; charset=utf-8"

/* ---- what is asked ---- */

/* 250ms, 55s, 2m, 1h, or seconds without a unit; -1: no duration. More than an hour is an hour. */
static int64_t duration_ms(struct ferry_slice text)
{
    enum { DIGITS_MAX = 9, HOUR_MS = 3600000 };
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", HOUR_MS}};
    int64_t number = 0;
    size_t digits = 0;
    for (; digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9'; digits++)
        number = digits < DIGITS_MAX ? number * 10 + (text.ptr[digits] - '0') : number;
    for (size_t i = 0; digits > 0 && digits <= DIGITS_MAX && i < sizeof units / sizeof units[0]; i++)
        if (ferry_slice_is(ferry_slice_skip(text, digits), units[i].unit))
            return number * units[i].ms < HOUR_MS ? number * units[i].ms : HOUR_MS;
    return -1;
}

bool ferry_feedback_wait(const struct ferry_trigger_call *call, int64_t *wait_ms, struct ferry_error *error)
{
    int64_t asked_ms = call->wait.ptr != NULL ? duration_ms(call->wait) : 0;
    if (asked_ms < 0) {
        (void)ferry_fail(error, FERRY_INPUT_REFUSED, "wait: is no duration, allowed are 250ms, 55s, 2m");
        return false;
    }
    *wait_ms = call->browser ? 0 : asked_ms < FERRY_FEEDBACK_WAIT_MAX_MS ? asked_ms : FERRY_FEEDBACK_WAIT_MAX_MS;
    return true;
}

/* ---- what is known ---- */

struct ferry_slice ferry_feedback_id(const struct ferry_trigger_call *call)
{
    return call->id[0] != '\0' ? ferry_slice_from(call->id) : call->path.run;
}

const char *ferry_feedback_path(const struct ferry_trigger_call *call)
{
    const char *host = strstr(call->run_url, "://");
    const char *path = host != NULL ? strchr(host + 3, '/') : call->run_url;
    return path != NULL ? path : call->run_url;
}

enum ferry_run_state ferry_feedback_state(const struct ferry_run *run)
{
    return run != NULL ? run->state : FERRY_RUN_IS_QUEUED;
}

bool ferry_feedback_is_final(const struct ferry_run *run)
{
    return run != NULL && run->final;
}

/* ---- JSON ---- */

static void add_member(struct ferry_buffer *out, const char *name, struct ferry_slice value)
{
    if (value.ptr == NULL)
        return;
    ferry_buffer_printf(out, ",\"%s\":", name);
    ferry_buffer_add_json_string(out, value);
}

/* Line ends in JSON stand between its tokens alone, so that spaces do as well. */
static void add_on_one_line(struct ferry_buffer *out, struct ferry_slice json)
{
    for (size_t i = 0; i < json.len; i++)
        ferry_buffer_add_char(out, json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i]);
}

static bool is_json(const struct ferry_run_result *result)
{
    return ferry_slice_is(result->output_type, JSON_TYPE);
}

/* Many routes may have much to say: what does not fit any more is left out whole, for half of a JSON text is none. */
static void add_output(const struct ferry_run_result *result, struct ferry_buffer *out)
{
    if (result->output.ptr == NULL)
        return;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, out->len < STATE_BYTES ? STATE_BYTES - out->len : 0);
    if (is_json(result))
        add_on_one_line(&text, result->output);
    else
        ferry_buffer_add_json_string(&text, result->output);
    ferry_buffer_add_text(out, ",\"output\":");
    ferry_buffer_add(out, text.failed ? FERRY_SLICE("null") : ferry_buffer_slice(&text));
    if (result->truncated || text.failed)
        ferry_buffer_add_text(out, ",\"truncated\":true");
}

static void add_result(const struct ferry_run_result *result, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "{\"route\":");
    ferry_buffer_add_json_string(out, result->route);
    ferry_buffer_printf(out, ",\"state\":\"%s\",\"final\":%s,\"attempts\":%lld", ferry_run_state_name(result->state),
                        result->final ? "true" : "false", (long long)result->attempts);
    add_member(out, "at", result->at);
    add_member(out, "run", result->run);
    add_output(result, out);
    if (result->error_code.ptr != NULL) {
        ferry_buffer_add_text(out, ",\"error\":{\"code\":");
        ferry_buffer_add_json_string(out, result->error_code);
        add_member(out, "text", result->error_text);
        ferry_buffer_add_char(out, '}');
    }
    ferry_buffer_add_char(out, '}');
}

void ferry_feedback_json(const struct ferry_trigger_call *call, const struct ferry_run *run, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "{\"id\":");
    ferry_buffer_add_json_string(out, ferry_feedback_id(call));
    add_member(out, "trigger", ferry_slice_from(call->trigger->config->name));
    ferry_buffer_printf(out, ",\"state\":\"%s\",\"final\":%s,\"known\":%s",
                        ferry_run_state_name(ferry_feedback_state(run)),
                        ferry_feedback_is_final(run) ? "true" : "false", run != NULL ? "true" : "false");
    add_member(out, "status_url", ferry_slice_from(call->run_url));
    ferry_buffer_add_text(out, ",\"results\":[");
    for (size_t i = 0; run != NULL && i < run->result_count; i++) {
        if (i > 0)
            ferry_buffer_add_char(out, ',');
        add_result(run->results[i], out);
    }
    ferry_buffer_add_text(out, "]}");
}

/* ---- server-sent events ---- */

/* Lines of an event begin with its field's name; CR ends one as LF does. */
static void add_data(struct ferry_buffer *out, struct ferry_slice data)
{
    ferry_buffer_add_text(out, "data: ");
    for (size_t i = 0; i < data.len; i++) {
        char c = data.ptr[i];
        if (c == '\r' && i + 1 < data.len && data.ptr[i + 1] == '\n')
            continue;
        if (c == '\n' || c == '\r')
            ferry_buffer_add_text(out, "\ndata: ");
        else
            ferry_buffer_add_char(out, c);
    }
    ferry_buffer_add_text(out, "\n\n");
}

void ferry_feedback_event(const struct ferry_trigger_call *call, const struct ferry_run *run, bool as_page,
                          struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer data;
    ferry_buffer_init(&data, FERRY_RESPONSE_MAX_BYTES);
    (as_page ? ferry_feedback_page : ferry_feedback_json)(call, run, &data);
    ferry_buffer_printf(out, "event: %s\nid: %llu\n", as_page ? "page" : "state",
                        (unsigned long long)(run != NULL ? run->version : 0));
    add_data(out, ferry_buffer_slice(&data));
    if (ferry_feedback_is_final(run))
        ferry_buffer_add_text(out, "event: end\ndata: final\n\n");
    out->failed = out->failed || data.failed;
}

/* ---- answers ---- */

/* The first result that is what is asked for; NULL: there is none. */
static const struct ferry_run_result *first_failure(const struct ferry_run *run)
{
    for (size_t i = 0; i < run->result_count; i++)
        if (run->results[i]->state == FERRY_RUN_HAS_FAILED && !ferry_run_result_is_void(run->results[i]))
            return run->results[i];
    return run->result_count > 0 ? run->results[0] : NULL;
}

static const struct ferry_run_result *first_output(const struct ferry_run *run)
{
    for (size_t i = 0; i < run->result_count; i++)
        if (run->results[i]->output.ptr != NULL && run->results[i]->state == FERRY_RUN_HAS_FINISHED)
            return run->results[i];
    return NULL;
}

static void answer_output(const struct ferry_run *run, struct ferry_response *answer)
{
    const struct ferry_run_result *result = first_output(run);
    answer->status = 200;
    answer->media_type = result != NULL && is_json(result) ? JSON_TYPE : TEXT_TYPE;
    if (result == NULL)
        return;
    ferry_buffer_add(&answer->body, result->output);
    if (result->truncated)
        ferry_response_add(answer, "Ferry-Truncated", "true");
}

static void answer_failure(const struct ferry_trigger_call *call, const struct ferry_run *run,
                           struct ferry_response *answer)
{
    const struct ferry_run_result *result = first_failure(run);
    struct ferry_slice detail =
        result != NULL && result->error_text.ptr != NULL ? result->error_text : FERRY_SLICE("The run failed.");
    answer->status = 502;
    answer->media_type = FERRY_PROBLEM_MEDIA_TYPE;
    ferry_buffer_add_text(&answer->body, "{\"type\":\"about:blank\",\"title\":\"Bad Gateway\",\"status\":502");
    add_member(&answer->body, "detail", detail);
    if (result != NULL)
        add_member(&answer->body, "code", result->error_code);
    ferry_buffer_add_text(&answer->body, ",\"run\":");
    ferry_feedback_json(call, run, &answer->body);
    ferry_buffer_add_text(&answer->body, "}\n");
}

static void answer_state(const struct ferry_trigger_call *call, const struct ferry_run *run, bool started,
                         struct ferry_response *answer)
{
    answer->status = started ? 202 : 200;
    answer->media_type = JSON_TYPE;
    if (started)
        ferry_response_add(answer, "Location", call->run_url);
    ferry_feedback_json(call, run, &answer->body);
    ferry_buffer_add_char(&answer->body, '\n');
}

void ferry_feedback_answer(const struct ferry_trigger_call *call, const struct ferry_run *run, bool waited,
                           struct ferry_response *answer)
{
    bool started = call->path.place == FERRY_TRIGGER_CALL;
    bool final = waited && ferry_feedback_is_final(run);
    if (call->browser)
        ferry_feedback_answer_page(call, run, answer);
    else if (final && run->state == FERRY_RUN_HAS_FINISHED)
        answer_output(run, answer);
    else if (final && run->state == FERRY_RUN_HAS_FAILED)
        answer_failure(call, run, answer);
    else
        answer_state(call, run, started || waited, answer);
}
