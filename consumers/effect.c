#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/worker.h"

const char *ferry_outcome_name(enum ferry_outcome outcome)
{
    static const char *const names[FERRY_OUTCOME_COUNT] = {"done",     "skipped", "expired", "duplicate",
                                                           "doubtful", "retry",   "dead"};
    return names[outcome];
}

/* Any of it may be or hold a secret: an incoming webhook's URL, a token in a header. */
static void wipe(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void ferry_effect_init(struct ferry_effect *effect)
{
    *effect = (struct ferry_effect){0};
    ferry_buffer_init(&effect->body, FERRY_EFFECT_BODY_MAX);
}

void ferry_effect_clear(struct ferry_effect *effect)
{
    char **const texts[] = {&effect->method, &effect->url, &effect->sender, &effect->recipient};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        wipe(texts[i]);
    for (; effect->header_count > 0; effect->header_count--) {
        wipe(&effect->headers[effect->header_count - 1].name);
        wipe(&effect->headers[effect->header_count - 1].value);
    }
    if (effect->body.ptr != NULL)
        explicit_bzero(effect->body.ptr, effect->body.len);
    ferry_buffer_done(&effect->body);
    effect->smtp = NULL;
    effect->answer_max = 0;
}

void ferry_effect_done(struct ferry_effect *effect)
{
    ferry_effect_clear(effect);
    ferry_effect_init(effect);
}

static char *copy(struct ferry_slice text)
{
    return strndup(text.ptr != NULL ? text.ptr : "", text.len);
}

enum ferry_code ferry_effect_request(struct ferry_effect *effect, const char *method, struct ferry_slice url,
                                     int64_t timeout_ms)
{
    effect->method = strdup(method);
    effect->url = copy(url);
    effect->timeout_ms = timeout_ms;
    return effect->method != NULL && effect->url != NULL ? FERRY_OK : FERRY_MEMORY;
}

enum ferry_code ferry_effect_header(struct ferry_effect *effect, const char *name, struct ferry_slice value)
{
    if (effect->header_count == FERRY_EFFECT_HEADERS)
        return FERRY_MEMORY;
    struct ferry_effect_header header = {strdup(name), copy(value)};
    if (header.name == NULL || header.value == NULL) {
        wipe(&header.name);
        wipe(&header.value);
        return FERRY_MEMORY;
    }
    effect->headers[effect->header_count++] = header;
    return FERRY_OK;
}

enum ferry_code ferry_effect_trace(const struct ferry_event *event, struct ferry_effect *effect)
{
    if (event->traceparent.len == 0)
        return FERRY_OK;
    enum ferry_code code = ferry_effect_header(effect, "traceparent", event->traceparent);
    if (code == FERRY_OK && event->tracestate.len > 0)
        code = ferry_effect_header(effect, "tracestate", event->tracestate);
    return code;
}

void ferry_verdict_set(struct ferry_verdict *verdict, enum ferry_outcome outcome, enum ferry_code code,
                       const char *format, ...)
{
    *verdict = (struct ferry_verdict){.outcome = outcome, .code = code, .retry_after_ms = -1};
    va_list args;
    va_start(args, format);
    vsnprintf(verdict->reason, sizeof verdict->reason, format, args);
    va_end(args);
}

static bool is_temporary(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

void ferry_verdict_by_status(const struct ferry_answer *answer, struct ferry_verdict *verdict)
{
    const char *words = answer->reason != NULL ? answer->reason : "";
    if (answer->exchange == FERRY_EXCHANGE_NOT_SENT)
        ferry_verdict_set(verdict, FERRY_OUTCOME_RETRY, FERRY_NETWORK, "not sent: %s", words);
    else if (answer->exchange == FERRY_EXCHANGE_IN_DOUBT)
        ferry_verdict_set(verdict, FERRY_OUTCOME_DOUBTFUL, FERRY_OUTCOME_UNKNOWN, "sent without an answer: %s", words);
    else if (answer->status >= 200 && answer->status < 300)
        ferry_verdict_set(verdict, FERRY_OUTCOME_DONE, FERRY_OK, "%s", "");
    else if (is_temporary(answer->status))
        ferry_verdict_set(verdict, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY, "status %d", answer->status);
    else
        ferry_verdict_set(verdict, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED, "status %d", answer->status);
    verdict->retry_after_ms = answer->retry_after_ms;
}
