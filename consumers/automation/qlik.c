/* The execution of an automation: the token travels in its header alone, never in the URL. */
#include <stdlib.h>

#include "consumers/automation/automation.h"

enum { TIMEOUT_MS = 70000 /* a synchronous run may take 55 s */ };

struct ferry_qlik_route {
    const struct ferry_qlik_call *call;
    struct ferry_body_program input;
};

enum ferry_code ferry_qlik_new(const struct ferry_automation_route *config, struct ferry_qlik_route **out,
                               struct ferry_error *error)
{
    struct ferry_qlik_route *route = calloc(1, sizeof *route);
    if (route == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    route->call = &config->qlik;
    enum ferry_code code = ferry_body_compile(&config->input, &route->input, error);
    if (code == FERRY_OK)
        *out = route;
    else
        ferry_qlik_free(route);
    return code;
}

void ferry_qlik_free(struct ferry_qlik_route *route)
{
    if (route == NULL)
        return;
    ferry_body_done(&route->input);
    free(route);
}

static enum ferry_code render_input(struct ferry_qlik_route *route, const struct ferry_event *event,
                                    const struct ferry_view *view, struct ferry_buffer *out, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    if (ferry_body_is_empty(&route->input))
        ferry_body_data(event, out);
    else
        code = ferry_body_render(&route->input, view, out, error);
    if (code != FERRY_OK || (!out->failed && out->len <= FERRY_QLIK_BODY_MAX))
        return code;
    size_t bytes = out->failed ? event->data.len : out->len;
    ferry_buffer_clear(out);
    ferry_body_note(event, bytes, out);
    return FERRY_OK;
}

static enum ferry_code address(const struct ferry_qlik_call *call, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_printf(&url, "%s/api/v1/automations/%s/actions/execute", call->tenant, call->automation);
    if (url.failed || ferry_effect_request(effect, "POST", ferry_buffer_slice(&url), TIMEOUT_MS) != FERRY_OK)
        return FERRY_MEMORY;
    enum ferry_code code = ferry_effect_header(effect, "X-Execution-Token", ferry_secret_slice(call->token));
    return code == FERRY_OK ? ferry_effect_header(effect, "Content-Type", FERRY_SLICE("application/json")) : code;
}

enum ferry_code ferry_qlik_render(struct ferry_qlik_route *route, const struct ferry_event *event,
                                  const struct ferry_view *view, struct ferry_effect *effect, struct ferry_error *error)
{
    enum ferry_code code = render_input(route, event, view, &effect->body, error);
    if (code != FERRY_OK)
        return code;
    if (address(route->call, effect) != FERRY_OK || ferry_effect_trace(event, effect) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return FERRY_OK;
}
