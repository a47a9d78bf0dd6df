#include <stdio.h>
#include <stdlib.h>

#include "consumers/automation/automation.h"
#include "consumers/automation/result.h"

/* One of the two. */
struct ferry_channel_route {
    struct ferry_qlik_route *qlik;
    struct ferry_request_route *request;
};

static const struct ferry_worker_config *worker(const struct ferry_config *config)
{
    return &config->automation.worker;
}

static size_t route_count(const struct ferry_config *config)
{
    return config->automation.route_count;
}

static const struct ferry_route_config *route(const struct ferry_config *config, size_t index)
{
    return &config->automation.routes[index].common;
}

static const char *ca_file(const struct ferry_config *config)
{
    return config->ca;
}

void ferry_automation_doubt(enum ferry_in_doubt in_doubt, struct ferry_verdict *verdict)
{
    if (in_doubt == FERRY_IN_DOUBT_RETRY)
        verdict->outcome = FERRY_OUTCOME_RETRY;
}

static void route_free(struct ferry_channel_route *compiled)
{
    ferry_qlik_free(compiled->qlik);
    ferry_request_free(compiled->request);
    free(compiled);
}

static enum ferry_code route_new(const struct ferry_config *config, size_t index, struct ferry_channel_route **out,
                                 struct ferry_error *error)
{
    const struct ferry_automation_route *source = &config->automation.routes[index];
    struct ferry_channel_route *compiled = calloc(1, sizeof *compiled);
    if (compiled == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = source->is_qlik ? ferry_qlik_new(source, &compiled->qlik, error)
                                           : ferry_request_new(source, &compiled->request, error);
    if (code == FERRY_OK)
        *out = compiled;
    else
        route_free(compiled);
    return code;
}

static enum ferry_code render(struct ferry_channel_route *compiled, const struct ferry_event *event,
                              const struct ferry_view *view, const char *effect_key, struct ferry_effect *effect,
                              bool *skip, struct ferry_error *error)
{
    (void)skip;
    if (ferry_result_wanted(event))
        effect->answer_max = FERRY_RESULT_OUTPUT_MAX; /* somebody wants to see it */
    if (compiled->qlik != NULL)
        return ferry_qlik_render(compiled->qlik, event, view, effect, error);
    return ferry_request_render(compiled->request, event, view, effect_key, effect, error);
}

/* All automations of one tenant share what Qlik allows it. */
static size_t limits(const struct ferry_config *config, size_t index, const struct ferry_event *event,
                     const struct ferry_effect *effect, struct ferry_limit out[FERRY_LIMITS])
{
    (void)event, (void)effect;
    const struct ferry_automation_route *source = &config->automation.routes[index];
    if (!source->is_qlik || config->automation.tenant_pace.events <= 0)
        return 0;
    out[0] = (struct ferry_limit){.name = "tenant", .rate = config->automation.tenant_pace};
    snprintf(out[0].key, sizeof out[0].key, "%s", source->qlik.tenant);
    return 1;
}

static void settle(const struct ferry_config *config, size_t index, const struct ferry_answer *answer,
                   struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    const struct ferry_automation_route *source = &config->automation.routes[index];
    enum ferry_in_doubt in_doubt = config->automation.in_doubt;
    if (source->is_qlik)
        ferry_qlik_settle(&source->qlik, in_doubt, answer, effect, verdict);
    else
        ferry_request_settle(&source->request, in_doubt, answer, verdict);
}

const struct ferry_channel ferry_automation_channel = {
    .name = "automation",
    .program = "ferry-automation",
    .section = FERRY_SECTION_AUTOMATION,
    .intends = true,
    .worker = worker,
    .route_count = route_count,
    .route = route,
    .ca_file = ca_file,
    .limits = limits,
    .route_new = route_new,
    .route_free = route_free,
    .render = render,
    .settle = settle,
    .telling = &ferry_result_telling,
};
