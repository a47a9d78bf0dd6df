/* What becomes of a task, told to whoever looks on through the channel's teller. News, not bookkeeping: nothing in the
 * engine depends on it. */
#include "consumers/engine.h"
#include "consumers/subscribe.h"

static bool is_news(const struct ferry_engine *engine, const struct ferry_task *task)
{
    return engine->teller != NULL && task->slot != NULL && task->delivery->unreadable.code == FERRY_OK &&
           engine->channel->telling->wants(&task->delivery->event);
}

static size_t count_routes(struct ferry_engine *engine, struct ferry_slice canonical)
{
    size_t count = 0;
    ferry_engine_lock(engine);
    const struct ferry_config *config = engine->current->config;
    for (size_t i = 0; i < engine->channel->route_count(config); i++)
        count += ferry_route_wants(engine->channel->route(config, i), canonical);
    ferry_engine_unlock(engine);
    return count;
}

static void tell(struct ferry_engine *engine, const struct ferry_task *task, struct ferry_news news)
{
    news.event = &task->delivery->event;
    news.route = task->slot->name;
    news.routes = count_routes(engine, news.event->canonical);
    news.attempts = task->attempts;
    engine->channel->telling->tell(engine->teller, &news);
}

void ferry_task_tell_call(struct ferry_engine *engine, const struct ferry_task *task)
{
    if (is_news(engine, task))
        tell(engine, task, (struct ferry_news){.kind = FERRY_NEWS_CALL});
}

void ferry_task_tell_answer(struct ferry_engine *engine, const struct ferry_task *task,
                            const struct ferry_answer *answer, const struct ferry_verdict *verdict)
{
    if (is_news(engine, task))
        tell(engine, task,
             (struct ferry_news){.kind = FERRY_NEWS_ANSWER,
                                 .config = task->generation->config,
                                 .index = task->index,
                                 .answer = answer,
                                 .effect = &task->effect,
                                 .verdict = verdict});
}

void ferry_task_tell_outcome(struct ferry_engine *engine, const struct ferry_task *task, enum ferry_outcome outcome,
                             enum ferry_code code, const char *reason)
{
    if (outcome != FERRY_OUTCOME_DONE && is_news(engine, task))
        tell(engine, task,
             (struct ferry_news){.kind = FERRY_NEWS_OUTCOME, .outcome = outcome, .code = code, .reason = reason});
}
