#include "bridge/triggers/feedback.h"
#include "bridge/triggers/inside.h"

#include <stdlib.h>

#include "bridge/triggers/kit.h"

static const char prefix[] = "/triggers/";

/* ---- paths ---- */

bool ferry_trigger_owns(struct ferry_slice path)
{
    return ferry_slice_starts(path, prefix);
}

/* What stands before the next slash, or the end. Takes the slash too; false when nothing is left. */
static bool take_segment(struct ferry_slice *path, struct ferry_slice *segment)
{
    if (path->ptr == NULL)
        return false;
    const char *slash = path->len > 0 ? memchr(path->ptr, '/', path->len) : NULL;
    *segment = ferry_slice_of(path->ptr, slash != NULL ? (size_t)(slash - path->ptr) : path->len);
    *path = slash != NULL ? ferry_slice_skip(*path, segment->len + 1) : (struct ferry_slice){NULL, 0};
    return true;
}

static bool is_made_of(struct ferry_slice text, size_t len, const char *characters)
{
    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text.ptr[i] == '\0' || strchr(characters, text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

/* ID/TOKEN and ID/TOKEN/events. */
static bool parse_run(struct ferry_slice rest, struct ferry_trigger_path *path)
{
    struct ferry_slice last;
    if (!take_segment(&rest, &path->run) || !take_segment(&rest, &path->token) ||
        !is_made_of(path->run, FERRY_TRIGGER_ID, "0123456789abcdef") ||
        !is_made_of(path->token, FERRY_TRIGGER_TOKEN,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
        return false;
    path->place = FERRY_TRIGGER_RUN;
    if (!take_segment(&rest, &last))
        return true;
    path->place = FERRY_TRIGGER_EVENTS;
    return ferry_slice_is(last, "events") && rest.ptr == NULL;
}

bool ferry_trigger_path_parse(struct ferry_slice path, struct ferry_trigger_path *out)
{
    struct ferry_trigger_path parsed = {.place = FERRY_TRIGGER_CALL};
    if (!ferry_trigger_owns(path))
        return false;
    struct ferry_slice rest = ferry_slice_skip(path, strlen(prefix)), next;
    bool good = take_segment(&rest, &parsed.name) && parsed.name.len > 0;
    if (good && take_segment(&rest, &next)) {
        if (ferry_slice_is(next, "runs")) {
            good = parse_run(rest, &parsed);
        } else {
            good = next.len > 0 && rest.ptr == NULL; /* nothing behind a key, or behind "kit" */
            if (ferry_slice_is(next, "kit"))
                parsed.place = FERRY_TRIGGER_KIT;
            else
                parsed.key = next;
        }
    }
    if (good)
        *out = parsed;
    return good;
}

/* ---- shared ---- */

struct ferry_triggers *ferry_triggers_new(struct ferry_metrics *metrics)
{
    static const char *const labels[] = {"trigger", "key", "outcome", NULL};
    struct ferry_triggers *triggers = calloc(1, sizeof *triggers);
    if (triggers == NULL)
        return NULL;
    triggers->backoff = ferry_backoff_new();
    triggers->recent = ferry_recent_new();
    triggers->calls = ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_trigger_calls_total",
                                           "Calls of triggers by the key that was shown and how they ended", labels);
    if (triggers->backoff == NULL || triggers->recent == NULL) {
        ferry_triggers_free(triggers);
        return NULL;
    }
    return triggers;
}

void ferry_triggers_free(struct ferry_triggers *triggers)
{
    if (triggers == NULL)
        return;
    ferry_backoff_free(triggers->backoff);
    ferry_recent_free(triggers->recent);
    free(triggers);
}

static const char *outcome_name(const struct ferry_trigger_call *call, enum ferry_code code)
{
    if (code != FERRY_OK && code != FERRY_SPOOLED)
        return ferry_code_name(code);
    if (call->confirm)
        return "confirm";
    if (call->id[0] == '\0')
        return "tried";
    return call->duplicate ? "duplicate" : code == FERRY_SPOOLED ? "spooled" : "started";
}

void ferry_trigger_count(const struct ferry_trigger_call *call, enum ferry_code code)
{
    if (call->trigger == NULL || call->path.place != FERRY_TRIGGER_CALL ||
        ferry_slice_is(call->request.in->method, "OPTIONS"))
        return;
    const struct ferry_slice labels[] = {
        ferry_slice_from(call->trigger->config->name),
        call->caller,
        ferry_slice_from(outcome_name(call, code)),
    };
    ferry_series_add(ferry_metric_series(call->shared->calls, labels), 1);
}

/* ---- before the body ---- */

static enum ferry_code find_trigger(struct ferry_trigger_call *call, struct ferry_error *error)
{
    if (!ferry_trigger_path_parse(call->request.in->path, &call->path))
        return ferry_fail(error, FERRY_NOT_FOUND, "no such path");
    call->trigger = ferry_snapshot_trigger(call->request.snapshot, call->path.name);
    if (call->trigger == NULL)
        return ferry_fail(error, FERRY_NOT_FOUND, "no such trigger");
    ferry_trigger_note_origin(call);
    return FERRY_OK;
}

static enum ferry_code check_method(struct ferry_trigger_call *call, struct ferry_error *error)
{
    struct ferry_slice method = call->request.in->method, allowed, rest;
    rest = ferry_slice_from(ferry_trigger_methods(call->path.place));
    while (rest.len > 0) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        allowed = ferry_slice_of(rest.ptr, comma != NULL ? (size_t)(comma - rest.ptr) : rest.len);
        if (ferry_slice_equal(method, allowed))
            return FERRY_OK;
        rest = ferry_slice_skip(rest, comma != NULL ? allowed.len + strlen(", ") : allowed.len);
    }
    return ferry_fail(error, FERRY_METHOD, "this address takes %s", ferry_trigger_methods(call->path.place));
}

static bool names_run(const struct ferry_trigger_call *call)
{
    return call->path.place == FERRY_TRIGGER_RUN || call->path.place == FERRY_TRIGGER_EVENTS;
}

static enum ferry_code check_right(struct ferry_trigger_call *call, struct ferry_error *error)
{
    return names_run(call) ? ferry_trigger_check_token(call, error) : ferry_trigger_check_key(call, error);
}

typedef enum ferry_code trigger_check(struct ferry_trigger_call *call, struct ferry_error *error);

/* In this order; the first that refuses decides. A preflight request has no key: it ends before that is asked for. */
static trigger_check *const address_checks[] = {find_trigger, check_method};
static trigger_check *const caller_checks[] = {ferry_trigger_check_preview, check_right, ferry_trigger_check_origin};

static enum ferry_code run_checks(trigger_check *const *table, size_t count, struct ferry_trigger_call *call,
                                  struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        code = table[i](call, error);
    return code;
}

static bool is_preflight(const struct ferry_trigger_call *call)
{
    return ferry_slice_is(call->request.in->method, "OPTIONS");
}

static bool accepts_html(struct ferry_pairs headers)
{
    struct ferry_slice accept = ferry_pairs_get(headers, "Accept");
    return accept.len > 0 && memmem(accept.ptr, accept.len, "text/html", strlen("text/html")) != NULL;
}

enum ferry_code ferry_trigger_head(struct ferry_triggers *shared, const struct ferry_trigger_request *request,
                                   struct ferry_trigger_call *call, struct ferry_error *error)
{
    *call = (struct ferry_trigger_call){
        .shared = shared,
        .request = *request,
        .browser = accepts_html(request->in->headers),
    };
    enum ferry_code code = run_checks(address_checks, sizeof address_checks / sizeof address_checks[0], call, error);
    if (code == FERRY_OK && !is_preflight(call))
        code = run_checks(caller_checks, sizeof caller_checks / sizeof caller_checks[0], call, error);
    return code;
}

/* ---- with the body ---- */

/* A call that came already costs no token: reloading a page must not be refused. */
static enum ferry_code take_token(struct ferry_trigger_call *call, struct ferry_error *error)
{
    if (ferry_bucket_take(&call->trigger->bucket, call->request.in->mono_ms, &call->retry_after_ms))
        return FERRY_OK;
    return ferry_fail(error, FERRY_RATE, "over the rate of this trigger");
}

static enum ferry_code start(struct ferry_trigger_call *call, struct ferry_admission *admission,
                             struct ferry_response *answer, struct ferry_error *error)
{
    enum ferry_code code = ferry_trigger_identify(call, call->data, error);
    if (code != FERRY_OK)
        return code;
    if (call->duplicate) {
        ferry_trigger_published(call, FERRY_OK, answer);
        return FERRY_OK;
    }
    if (call->twin)
        return FERRY_OK;
    code = take_token(call, error);
    if (code == FERRY_OK)
        code = ferry_trigger_make(call, call->data, admission, error);
    if (code != FERRY_OK)
        ferry_recent_settle(call->shared->recent, call->kind, call->id, false);
    return code;
}

static enum ferry_code end_call(struct ferry_trigger_call *call, struct ferry_admission *admission,
                                struct ferry_response *answer, struct ferry_error *error)
{
    struct ferry_trigger_inputs inputs;
    if (call->twin) /* once more: what was read stays, or a long wait would fill the memory */
        return start(call, admission, answer, error);
    if (ferry_slice_is(call->request.in->method, "HEAD")) {
        answer->status = 204;
        return FERRY_OK;
    }
    enum ferry_code code = ferry_trigger_read_inputs(call, &inputs, error);
    if (code != FERRY_OK)
        return code;
    call->wait = inputs.wait;
    int64_t wait_ms;
    if (!ferry_feedback_wait(call, &wait_ms, error))
        return FERRY_INPUT_REFUSED;
    if (call->confirm) {
        ferry_trigger_answer_confirm(call, &inputs, answer);
        return FERRY_OK;
    }
    call->data = ferry_trigger_data(call, &inputs);
    return call->data.ptr != NULL ? start(call, admission, answer, error)
                                  : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* What answers at the other places; a place without one is not found. */
static enum ferry_code end_elsewhere(struct ferry_trigger_call *call, struct ferry_response *answer,
                                     struct ferry_error *error)
{
    static enum ferry_code (*const places[])(struct ferry_trigger_call * call, struct ferry_response * answer,
                                             struct ferry_error * error) = {
        [FERRY_TRIGGER_KIT] = ferry_kit_answer,
    };
    if (places[call->path.place] == NULL)
        return ferry_fail(error, FERRY_NOT_FOUND, "no such path");
    return places[call->path.place](call, answer, error);
}

enum ferry_code ferry_trigger_end(struct ferry_trigger_call *call, struct ferry_admission *admission,
                                  struct ferry_response *answer, struct ferry_error *error)
{
    if (is_preflight(call)) {
        ferry_trigger_answer_preflight(call, answer);
        return FERRY_OK;
    }
    return call->path.place == FERRY_TRIGGER_CALL ? end_call(call, admission, answer, error)
                                                  : end_elsewhere(call, answer, error);
}

void ferry_trigger_published(struct ferry_trigger_call *call, enum ferry_code code, struct ferry_response *answer)
{
    bool safe = code == FERRY_OK || code == FERRY_SPOOLED;
    if (!call->duplicate)
        ferry_recent_settle(call->shared->recent, call->kind, call->id, safe);
    if (safe)
        ferry_feedback_answer(call, NULL, false, answer);
}
