#include "core/kafka/topic_plan.h"

#include "core/route.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)

static void set(struct ferry_topic_plan *plan, const char *name, const char *value)
{
    struct ferry_plan_setting *setting = &plan->settings[plan->setting_count++];
    setting->name = name;
    snprintf(setting->value, sizeof setting->value, "%s", value);
}

static void set_number(struct ferry_topic_plan *plan, const char *name, int64_t value)
{
    char text[FERRY_PLAN_VALUE];
    snprintf(text, sizeof text, "%" PRId64, value);
    set(plan, name, text);
}

static const char *configured(const struct ferry_config *config, const char *name)
{
    for (size_t i = 0; i < config->topics.settings.count; i++)
        if (strcmp(config->topics.settings.items[i].name, name) == 0)
            return config->topics.settings.items[i].value;
    return NULL;
}

/* A mark, and what waits, stands at the number of its input's partition, hence as wide as the widest input. */
static void widen(struct ferry_topic_plan *plan, int widest)
{
    if (plan->partitions >= 0 && widest > plan->partitions)
        plan->partitions = widest;
}

/* The marks of "once": one a key, kept as long as the window. A segment that is still open is neither compacted nor
 * deleted, hence its short life. */
static void plan_effects(const struct ferry_config *config, const struct ferry_worker_config *worker, int widest,
                         struct ferry_topic_plan *plan)
{
    (void)config;
    set(plan, "cleanup.policy", "compact,delete");
    set_number(plan, "retention.ms", worker->dedupe_window_ms + HOUR_MS);
    set(plan, "retention.bytes", "-1");
    set_number(plan, "segment.ms", 6 * HOUR_MS);
    widen(plan, widest);
}

/* What waits must not be deleted before it was tried for as long as `retry.for` says; a week more is for a worker that
 * is away. */
static void plan_retry(const struct ferry_config *config, const struct ferry_worker_config *worker, int widest,
                       struct ferry_topic_plan *plan)
{
    const char *written = configured(config, "retention.ms");
    int64_t retention = written != NULL ? strtoll(written, NULL, 10) : 7 * DAY_MS; /* the broker's default */
    int64_t needed = (retention > worker->retry_for_ms ? retention : worker->retry_for_ms) + 7 * DAY_MS;
    set(plan, "cleanup.policy", "delete");
    set(plan, "retention.bytes", "-1");
    if (retention >= 0)
        set_number(plan, "retention.ms", needed);
    widen(plan, widest);
}

/* Dead letters live as long as events do. */
static void plan_letters(const struct ferry_config *config, const struct ferry_worker_config *worker, int widest,
                         struct ferry_topic_plan *plan)
{
    (void)config, (void)worker, (void)widest;
    set(plan, "cleanup.policy", "delete");
}

/* What was told of triggers' calls may be personal, and is of no use to anybody an hour later. Closed segments alone
 * are deleted, hence the short life of one. */
static void plan_results(struct ferry_topic_plan *plan)
{
    set(plan, "cleanup.policy", "delete");
    set_number(plan, "retention.ms", HOUR_MS);
    set_number(plan, "segment.ms", HOUR_MS / 6);
}

/* One checkpoint a tenant, written with every page of a busy one: small segments are soon compacted, so that whoever
 * takes a tenant over has little to read. */
static void plan_audits(struct ferry_topic_plan *plan)
{
    set(plan, "cleanup.policy", "compact");
    set_number(plan, "segment.bytes", 16 << 20);
    set_number(plan, "segment.ms", 6 * HOUR_MS);
    set(plan, "min.cleanable.dirty.ratio", "0.1");
}

/* Of the bridge's own. */
static const struct {
    const char *name;
    void (*plan)(struct ferry_topic_plan *plan);
} own[] = {
    {"audits", plan_audits},
    {"results", plan_results},
};

/* Of each worker. */
static const struct {
    const char *suffix;
    void (*plan)(const struct ferry_config *config, const struct ferry_worker_config *worker, int widest,
                 struct ferry_topic_plan *plan);
} kinds[] = {
    {"effects", plan_effects},
    {"retry", plan_retry},
    {"dlq", plan_letters},
};

static const struct ferry_worker_config *find_worker(const struct ferry_config *config, const char *name, size_t len)
{
    const struct {
        const char *name;
        const struct ferry_worker_config *worker;
    } workers[] = {
        {"slack", &config->slack.worker}, {"mail", &config->mail.worker}, {"automation", &config->automation.worker}};
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        if (strlen(workers[i].name) == len && memcmp(workers[i].name, name, len) == 0)
            return workers[i].worker;
    return NULL;
}

void ferry_topic_plan(const struct ferry_config *config, const char *topic, int widest, struct ferry_topic_plan *plan)
{
    *plan =
        (struct ferry_topic_plan){.partitions = config->topics.partitions, .replication = config->topics.replication};
    if (!ferry_route_topic_is_internal(&config->topics, ferry_slice_from(topic)))
        return;
    const char *name = topic + strlen(config->topics.internal) + 1; /* "slack.effects" */
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(name, own[i].name) == 0)
            own[i].plan(plan);
    const char *dot = strchr(name, '.');
    const struct ferry_worker_config *worker = dot != NULL ? find_worker(config, name, (size_t)(dot - name)) : NULL;
    for (size_t i = 0; worker != NULL && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(dot + 1, kinds[i].suffix) == 0)
            kinds[i].plan(config, worker, widest, plan);
}

bool ferry_topic_plan_sets(const struct ferry_topic_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->setting_count; i++)
        if (strcmp(plan->settings[i].name, name) == 0)
            return true;
    return false;
}
