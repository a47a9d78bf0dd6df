/* The programs of the routes, compiled for one evaluator: jq's state belongs to one thread. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/log.h"

static void compiled_done(const struct ferry_channel *channel, struct ferry_compiled *compiled)
{
    ferry_expression_free(compiled->when);
    for (size_t i = 0; i < compiled->once_per_count; i++)
        ferry_expression_free(compiled->once_per[i]);
    free(compiled->once_per);
    if (compiled->route != NULL)
        channel->route_free(compiled->route);
}

static void routes_free(const struct ferry_channel *channel, struct ferry_compiled *routes, size_t count)
{
    for (size_t i = 0; routes != NULL && i < count; i++)
        compiled_done(channel, &routes[i]);
    free(routes);
}

static enum ferry_code compile_once_per(const struct ferry_route_config *route, struct ferry_compiled *compiled,
                                        struct ferry_error *error)
{
    if (route->once_per_count == 0)
        return FERRY_OK;
    compiled->once_per = calloc(route->once_per_count, sizeof(struct ferry_expression *));
    if (compiled->once_per == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    compiled->once_per_count = route->once_per_count;
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < route->once_per_count && code == FERRY_OK; i++)
        code = ferry_expression_new(route->once_per[i].text, &compiled->once_per[i], error);
    return code;
}

static enum ferry_code compile(const struct ferry_channel *channel, const struct ferry_config *config, size_t index,
                               struct ferry_compiled *compiled, struct ferry_error *error)
{
    const struct ferry_route_config *route = channel->route(config, index);
    enum ferry_code code = FERRY_OK;
    if (route->when.text != NULL)
        code = ferry_expression_new(route->when.text, &compiled->when, error);
    if (code == FERRY_OK)
        code = compile_once_per(route, compiled, error);
    if (code == FERRY_OK)
        code = channel->route_new(config, index, &compiled->route, error);
    return code;
}

static enum ferry_code compile_all(const struct ferry_channel *channel, const struct ferry_config *config,
                                   struct ferry_compiled **out, struct ferry_error *error)
{
    size_t count = channel->route_count(config);
    struct ferry_compiled *routes = calloc(count > 0 ? count : 1, sizeof *routes);
    if (routes == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        enum ferry_code code = compile(channel, config, i, &routes[i], error);
        if (code != FERRY_OK) {
            routes_free(channel, routes, count);
            return code;
        }
    }
    *out = routes;
    return FERRY_OK;
}

/* The current generation with one more reference, or NULL if the evaluator has it already. */
static struct ferry_generation *take_newer(struct ferry_evaluator *evaluator)
{
    struct ferry_engine *engine = evaluator->engine;
    ferry_engine_lock(engine);
    struct ferry_generation *newer = engine->current != evaluator->generation ? engine->current : NULL;
    if (newer != NULL)
        newer->references++;
    ferry_engine_unlock(engine);
    return newer;
}

/* What every event is asked for the default effect key. */
static enum ferry_code compile_own(struct ferry_evaluator *evaluator, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    if (evaluator->resource_id == NULL)
        code = ferry_expression_new(".resource.id?", &evaluator->resource_id, error);
    if (code == FERRY_OK && evaluator->delete_type == NULL)
        code = ferry_expression_new(".resource.deleteType?", &evaluator->delete_type, error);
    return code;
}

enum ferry_code ferry_evaluator_refresh(struct ferry_evaluator *evaluator, struct ferry_error *error)
{
    struct ferry_engine *engine = evaluator->engine;
    struct ferry_generation *newer = take_newer(evaluator);
    if (newer == NULL)
        return FERRY_OK;
    struct ferry_compiled *routes = NULL;
    enum ferry_code code = compile_own(evaluator, error);
    if (code == FERRY_OK)
        code = compile_all(engine->channel, newer->config, &routes, error);
    if (code != FERRY_OK) {
        ferry_engine_drop_generation(engine, newer);
        return code;
    }
    if (evaluator->generation != NULL)
        routes_free(engine->channel, evaluator->routes, engine->channel->route_count(evaluator->generation->config));
    ferry_engine_drop_generation(engine, evaluator->generation);
    evaluator->generation = newer;
    evaluator->routes = routes;
    return FERRY_OK;
}

void ferry_evaluator_done(struct ferry_evaluator *evaluator)
{
    struct ferry_engine *engine = evaluator->engine;
    if (evaluator->generation != NULL)
        routes_free(engine->channel, evaluator->routes, engine->channel->route_count(evaluator->generation->config));
    ferry_engine_drop_generation(engine, evaluator->generation);
    ferry_expression_free(evaluator->resource_id);
    ferry_expression_free(evaluator->delete_type);
    ferry_view_free(evaluator->view);
    ferry_namer_done(&evaluator->namer);
}
