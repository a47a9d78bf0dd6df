/* HTTP calls to systems of record. */
#include <stdlib.h>

#include "consumers/automation/automation.h"

enum { TIMEOUT_MS = 30000, URL_MAX = 16 * 1024 };

struct ferry_request_route {
    const struct ferry_request_call *call;
    bool insecure;
    struct ferry_template *url;
    struct ferry_body_program json;
};

enum ferry_code ferry_request_new(const struct ferry_automation_route *config, struct ferry_request_route **out,
                                  struct ferry_error *error)
{
    struct ferry_request_route *route = calloc(1, sizeof *route);
    if (route == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    route->call = &config->request;
    route->insecure = config->insecure;
    enum ferry_code code = ferry_template_new(config->request.url.text, FERRY_ESCAPE_URL, &route->url, error);
    if (code == FERRY_OK)
        code = ferry_body_compile(&config->request.json, &route->json, error);
    if (code == FERRY_OK)
        *out = route;
    else
        ferry_request_free(route);
    return code;
}

void ferry_request_free(struct ferry_request_route *route)
{
    if (route == NULL)
        return;
    ferry_template_free(route->url);
    ferry_body_done(&route->json);
    free(route);
}

static bool is_configured(const struct ferry_request_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (strcasecmp(call->headers[i].name, name) == 0)
            return true;
    return false;
}

/* A header of ours, unless the configuration has its own. */
static enum ferry_code add_own(const struct ferry_request_call *call, const char *name, struct ferry_slice value,
                               struct ferry_effect *effect)
{
    return is_configured(call, name) ? FERRY_OK : ferry_effect_header(effect, name, value);
}

static enum ferry_code add_headers(const struct ferry_request_route *route, const struct ferry_event *event,
                                   const char *effect_key, struct ferry_effect *effect)
{
    const struct ferry_request_call *call = route->call;
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < call->header_count && code == FERRY_OK; i++)
        code = ferry_effect_header(effect, call->headers[i].name, ferry_secret_slice(call->headers[i].value));
    if (code == FERRY_OK)
        code = add_own(call, "Idempotency-Key", ferry_slice_from(effect_key), effect);
    if (code == FERRY_OK && !ferry_body_is_empty(&route->json))
        code = add_own(call, "Content-Type", FERRY_SLICE("application/json"), effect);
    return code == FERRY_OK ? ferry_effect_trace(event, effect) : code;
}

static enum ferry_code render_url(const struct ferry_request_route *route, const struct ferry_view *view,
                                  struct ferry_buffer *url, struct ferry_error *error)
{
    enum ferry_code code = ferry_template_render(route->url, view, url, error);
    if (code != FERRY_OK)
        return code;
    if (url->failed)
        return ferry_fail(error, FERRY_TEMPLATE, "url: over %d bytes", URL_MAX);
    code = ferry_url_check(url->ptr, route->insecure, error);
    return code == FERRY_CONFIG ? FERRY_TEMPLATE : code;
}

enum ferry_code ferry_request_render(struct ferry_request_route *route, const struct ferry_event *event,
                                     const struct ferry_view *view, const char *effect_key, struct ferry_effect *effect,
                                     struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, URL_MAX);
    enum ferry_code code = render_url(route, view, &url, error);
    if (code == FERRY_OK && !ferry_body_is_empty(&route->json))
        code = ferry_body_render(&route->json, view, &effect->body, error);
    if (code != FERRY_OK)
        return code;
    if (ferry_effect_request(effect, route->call->method, ferry_buffer_slice(&url), TIMEOUT_MS) != FERRY_OK ||
        add_headers(route, event, effect_key, effect) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory, or more than %d headers", FERRY_EFFECT_HEADERS);
    return FERRY_OK;
}

static bool is_accepted(const struct ferry_request_call *call, int status)
{
    for (size_t i = 0; i < call->accept_count; i++)
        if (status >= call->accept[i].from && status <= call->accept[i].to)
            return true;
    return call->accept_count == 0 && status / 100 == 2;
}

void ferry_request_settle(const struct ferry_request_call *call, enum ferry_in_doubt in_doubt,
                          const struct ferry_answer *answer, struct ferry_verdict *verdict)
{
    ferry_verdict_by_status(answer, verdict);
    if (answer->exchange == FERRY_EXCHANGE_ANSWERED && is_accepted(call, answer->status))
        ferry_verdict_set(verdict, FERRY_OUTCOME_DONE, FERRY_OK, "status %d", answer->status);
    else if (verdict->outcome == FERRY_OUTCOME_DONE)
        ferry_verdict_set(verdict, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED, "status %d is none that accept names",
                          answer->status);
    else if (verdict->outcome == FERRY_OUTCOME_DOUBTFUL)
        ferry_automation_doubt(in_doubt, verdict);
}
