#include <stdio.h>
#include <stdlib.h>

#include "consumers/slack/slack.h"

enum { TIMEOUT_MS = 15000 };

struct ferry_channel_route {
    const struct ferry_slack_route *config;
    struct ferry_template *text;
    struct ferry_expression *blocks; /* NULL: none */
    struct ferry_expression *whole;  /* the event as JSON, for the blocks; NULL: none */
};

static const struct ferry_worker_config *worker(const struct ferry_config *config)
{
    return &config->slack.worker;
}

static size_t route_count(const struct ferry_config *config)
{
    return config->slack.route_count;
}

static const struct ferry_route_config *route(const struct ferry_config *config, size_t index)
{
    return &config->slack.routes[index].common;
}

static const char *ca_file(const struct ferry_config *config)
{
    return config->ca;
}

static struct ferry_rate pace(const struct ferry_config *config, size_t index, struct ferry_slice *destination)
{
    const struct ferry_slack_route *slack = &config->slack.routes[index];
    *destination = slack->channel != NULL ? ferry_slice_from(slack->channel) : ferry_secret_slice(slack->webhook);
    return slack->pace;
}

static int64_t window(const struct ferry_config *config, size_t index)
{
    return config->slack.routes[index].digest_ms;
}

static const struct ferry_joining joining = {
    .window_ms = window,
    .weigh = ferry_slack_weigh,
    .fits = ferry_slack_fits,
    .join = ferry_slack_join,
};

/* ---- routes ---- */

static void route_free(struct ferry_channel_route *slack)
{
    ferry_template_free(slack->text);
    ferry_expression_free(slack->blocks);
    ferry_expression_free(slack->whole);
    free(slack);
}

static enum ferry_code compile(struct ferry_channel_route *slack, struct ferry_error *error)
{
    enum ferry_code code = ferry_template_new(slack->config->text.text, FERRY_ESCAPE_SLACK, &slack->text, error);
    if (code == FERRY_OK && slack->config->blocks.text != NULL)
        code = ferry_expression_new(slack->config->blocks.text, &slack->blocks, error);
    if (code == FERRY_OK && slack->blocks != NULL)
        code = ferry_expression_new(".", &slack->whole, error);
    return code;
}

static enum ferry_code route_new(const struct ferry_config *config, size_t index, struct ferry_channel_route **out,
                                 struct ferry_error *error)
{
    struct ferry_channel_route *slack = calloc(1, sizeof *slack);
    if (slack == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    slack->config = &config->slack.routes[index];
    enum ferry_code code = compile(slack, error);
    if (code == FERRY_OK)
        *out = slack;
    else
        route_free(slack);
    return code;
}

/* ---- an event ---- */

/* The event as a blocks program may see it. The caller frees. */
static enum ferry_code mark_view(struct ferry_channel_route *slack, const struct ferry_view *view,
                                 struct ferry_view **out, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer json;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer marked;
    ferry_buffer_init(&json, 4 * FERRY_EFFECT_BODY_MAX);
    ferry_buffer_init(&marked, 12 * FERRY_EFFECT_BODY_MAX);
    enum ferry_code code = ferry_expression_json(slack->whole, view, &json, error);
    if (code != FERRY_OK)
        return code;
    ferry_slack_mark(ferry_buffer_slice(&json), &marked);
    return marked.failed ? ferry_fail(error, FERRY_MEMORY, "out of memory")
                         : ferry_view_of_json(ferry_buffer_slice(&marked), out, error);
}

static enum ferry_code render_blocks(struct ferry_channel_route *slack, const struct ferry_view *view,
                                     struct ferry_buffer *out, struct ferry_error *error)
{
    if (slack->blocks == NULL)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer json;
    ferry_buffer_init(&json, FERRY_EFFECT_BODY_MAX);
    struct ferry_view *marked = NULL;
    enum ferry_code code = mark_view(slack, view, &marked, error);
    if (code == FERRY_OK)
        code = ferry_expression_json(slack->blocks, marked, &json, error);
    ferry_view_free(marked);
    return code == FERRY_OK ? ferry_slack_blocks(ferry_buffer_slice(&json), out, error) : code;
}

/* chat.postMessage with the bot's token. */
static enum ferry_code address_api(const struct ferry_slack_route *config, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer bearer;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_init(&bearer, 4096);
    ferry_buffer_printf(&url, "%s/chat.postMessage", config->api);
    ferry_buffer_printf(&bearer, "Bearer %s", config->token.ptr != NULL ? config->token.ptr : "");
    enum ferry_code code = ferry_effect_request(effect, "POST", ferry_buffer_slice(&url), TIMEOUT_MS);
    if (code == FERRY_OK)
        code = ferry_effect_header(effect, "Authorization", ferry_buffer_slice(&bearer));
    if (bearer.ptr != NULL)
        explicit_bzero(bearer.ptr, bearer.len);
    return url.failed || bearer.failed ? FERRY_MEMORY : code;
}

static enum ferry_code address(const struct ferry_slack_route *config, struct ferry_effect *effect)
{
    if (config->channel != NULL)
        return address_api(config, effect);
    return ferry_effect_request(effect, "POST", ferry_secret_slice(config->webhook), TIMEOUT_MS);
}

static enum ferry_code render(struct ferry_channel_route *slack, const struct ferry_event *event,
                              const struct ferry_view *view, const char *effect_key, struct ferry_effect *effect,
                              bool *skip, struct ferry_error *error)
{
    (void)effect_key, (void)skip;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer blocks;
    ferry_buffer_init(&text, FERRY_EFFECT_BODY_MAX);
    ferry_buffer_init(&blocks, FERRY_EFFECT_BODY_MAX);
    enum ferry_code code = ferry_template_render(slack->text, view, &text, error);
    if (code == FERRY_OK)
        code = render_blocks(slack, view, &blocks, error);
    if (code != FERRY_OK)
        return code;
    if (text.failed || blocks.failed)
        return ferry_fail(error, FERRY_TEMPLATE, "the message is over %d bytes", FERRY_EFFECT_BODY_MAX);
    ferry_slack_message(slack->config->channel, ferry_buffer_slice(&text), ferry_buffer_slice(&blocks), &effect->body);
    if (address(slack->config, effect) != FERRY_OK ||
        ferry_effect_header(effect, "Content-Type", FERRY_SLICE("application/json; charset=utf-8")) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    /* A message that is made of several events belongs to the trace of none. */
    if (slack->config->digest_ms == 0 && ferry_effect_trace(event, effect) != FERRY_OK)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return FERRY_OK;
}

static void settle(const struct ferry_config *config, size_t index, const struct ferry_answer *answer,
                   struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    (void)effect;
    ferry_slack_classify(answer, config->slack.routes[index].channel != NULL, verdict);
}

const struct ferry_channel ferry_slack_channel = {
    .name = "slack",
    .program = "ferry-slack",
    .section = FERRY_SECTION_SLACK,
    .worker = worker,
    .route_count = route_count,
    .route = route,
    .ca_file = ca_file,
    .pace = pace,
    .joining = &joining,
    .route_new = route_new,
    .route_free = route_free,
    .render = render,
    .settle = settle,
};
