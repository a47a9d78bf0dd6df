/* Topics before anything is read: what a worker subscribes to, and the ones that are its own. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/kafka/admin.h"
#include "core/log.h"

enum { CREATE_MS = 8000 };

/* Without the right to create, or where somebody else makes the topics, a worker can work all the same: it reads what
 * there is, and a dead letter that finds no topic waits for one. */
static void log_results(const struct ferry_topic_result *results, size_t count)
{
    int64_t created = 0;
    for (size_t i = 0; i < count; i++) {
        created += results[i].state == FERRY_TOPIC_CREATED;
        if (results[i].state == FERRY_TOPIC_DENIED || results[i].state == FERRY_TOPIC_FAILED)
            ferry_log(FERRY_LOG_WARN, "a topic could not be created",
                      FERRY_FIELDS(ferry_text("topic", results[i].name), ferry_text("reason", results[i].reason)));
    }
    if (created > 0)
        ferry_log(FERRY_LOG_INFO, "topics created", FERRY_FIELDS(ferry_number("topics", created)));
}

bool ferry_engine_create_topics(struct ferry_engine *engine, const struct ferry_config *config)
{
    if (config->topics.create == FERRY_CREATE_NEVER)
        return true;
    struct ferry_error error = {.text = "out of memory"};
    struct ferry_topic_set *set = ferry_topic_set_new(config);
    struct ferry_topic_list topics = set != NULL ? ferry_topic_set_list(set) : (struct ferry_topic_list){0};
    struct ferry_topic_result *results = calloc(topics.count + 1, sizeof *results);
    enum ferry_code code = FERRY_MEMORY;
    if (set != NULL && results != NULL)
        code = ferry_admin_create(config, engine->channel->worker(config)->kafka, topics, CREATE_MS, results, &error);
    if (code == FERRY_OK)
        log_results(results, topics.count);
    else
        ferry_log(FERRY_LOG_WARN, "topics could not be looked at", FERRY_FIELDS(ferry_text("reason", error.text)));
    free(results);
    ferry_topic_set_free(set);
    return code == FERRY_OK;
}
