#include "bridge/topics.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/log.h"
#include "core/wait.h"

enum {
    CALL_TIMEOUT_MS = 2000,
    AWAY_PAUSE_S = 2,
    FINDINGS_PAUSE_S = 60,
    LEADERS_MS = 10000, /* a partition may have lost its leader for good */
    LEADERS_PAUSE_MS = 100,
};

struct ferry_topics {
    struct ferry_snapshot_slot *snapshots;
    struct ferry_publisher *publisher;
    struct ferry_ops *ops;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;  /* under the lock */
    bool again; /* under the lock */
    bool away_logged;
    struct ferry_snapshot *seen;        /* what `results` is about, held */
    struct ferry_topic_result *results; /* of the last round */
    enum ferry_topic_state *logged;     /* the state of each topic that has been logged */
};

/* What a finding is called, and its cure when the result itself brings none. NULL: nothing to say. */
static const struct {
    const char *message;
    const char *cure;
} findings[] = {
    [FERRY_TOPIC_CREATED] = {NULL, NULL},
    [FERRY_TOPIC_EXISTS] = {NULL, NULL},
    [FERRY_TOPIC_MISSING] = {"topic is missing", "create it, or set topics.create: known; its events are answered 503"},
    [FERRY_TOPIC_DENIED] = {"topic is not allowed", "allow the bridge to create, describe and write it"},
    [FERRY_TOPIC_FAILED] = {"topic could not be created", "create it by hand, or mend topics.partitions and "
                                                          "topics.replication"},
};

static void log_finding(const struct ferry_topic_result *result)
{
    const char *cure = result->reason[0] != '\0' ? result->reason : findings[result->state].cure;
    ferry_log(FERRY_LOG_WARN, findings[result->state].message,
              FERRY_FIELDS(ferry_text("topic", result->name), ferry_text("cure", cure)));
}

/* How many topics cannot be used; each is logged when its state is new. */
static size_t log_findings(struct ferry_topics *topics, size_t count)
{
    size_t created = 0, unusable = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ferry_topic_result *result = &topics->results[i];
        created += result->state == FERRY_TOPIC_CREATED;
        bool finding = findings[result->state].message != NULL;
        unusable += finding;
        if (finding && topics->logged[i] != result->state)
            log_finding(result);
        topics->logged[i] = result->state;
    }
    ferry_ops_set_topics_missing(topics->ops, unusable);
    ferry_log(FERRY_LOG_INFO, "topics looked through",
              FERRY_FIELDS(ferry_number("topics", (int64_t)count), ferry_number("created", (int64_t)created),
                           ferry_number("unusable", (int64_t)unusable)));
    return unusable;
}

static void forget(struct ferry_topics *topics)
{
    free(topics->results);
    free(topics->logged);
    ferry_snapshot_drop(topics->seen);
    topics->results = NULL;
    topics->logged = NULL;
    topics->seen = NULL;
}

static bool same_topics(const struct ferry_snapshot *a, const struct ferry_snapshot *b)
{
    struct ferry_topic_list left = ferry_topic_set_list(a->topics), right = ferry_topic_set_list(b->topics);
    bool same = left.count == right.count;
    for (size_t i = 0; same && i < left.count; i++)
        same = strcmp(left.names[i], right.names[i]) == 0;
    return same;
}

/* Takes up the current snapshot; false when memory ran out. What was logged of the same topics stays logged. */
static bool take_up(struct ferry_topics *topics)
{
    struct ferry_snapshot *current = ferry_snapshot_slot_get(topics->snapshots);
    if (topics->seen != NULL && same_topics(topics->seen, current)) {
        ferry_snapshot_drop(topics->seen);
        topics->seen = current;
        return true;
    }
    forget(topics);
    topics->seen = current;
    size_t count = ferry_topic_set_list(current->topics).count;
    topics->results = calloc(count + 1, sizeof *topics->results);
    topics->logged = calloc(count + 1, sizeof *topics->logged);
    if (topics->results != NULL && topics->logged != NULL)
        return true;
    forget(topics);
    return false;
}

/* False when it is time to stop, which is heard at once. */
static bool rest(struct ferry_topics *topics, int64_t ms)
{
    const struct timespec until = ferry_deadline_in(ms);
    pthread_mutex_lock(&topics->lock);
    while (!topics->stop && pthread_cond_timedwait(&topics->changed, &topics->lock, &until) == 0)
        ;
    bool go_on = !topics->stop;
    pthread_mutex_unlock(&topics->lock);
    return go_on;
}

static bool is_there(const struct ferry_topic_result *result)
{
    return result->state == FERRY_TOPIC_CREATED || result->state == FERRY_TOPIC_EXISTS;
}

static bool have_leaders(const struct ferry_topic_result *results, size_t count)
{
    bool have = true;
    for (size_t i = 0; have && i < count; i++)
        have = !is_there(&results[i]) || results[i].led;
    return have;
}

/* What was created a moment ago has no leaders yet, and a record would have to wait for them. */
static void await_leaders(struct ferry_topics *topics, struct ferry_topic_list list)
{
    const struct ferry_config *config = topics->seen->config;
    struct ferry_topic_result *results = calloc(list.count + 1, sizeof *results);
    int64_t deadline = ferry_clock_mono_ms() + LEADERS_MS;
    bool led = have_leaders(topics->results, list.count);
    while (results != NULL && !led && ferry_clock_mono_ms() < deadline && rest(topics, LEADERS_PAUSE_MS))
        led = ferry_admin_look(config, config->bridge.kafka, list, CALL_TIMEOUT_MS, results, NULL) == FERRY_OK &&
              have_leaders(results, list.count);
    free(results);
    ferry_publisher_topics_ready(topics->publisher);
}

/* One round; how many seconds until the next, 0: when somebody asks. */
static int look_through(struct ferry_topics *topics)
{
    if (!take_up(topics))
        return AWAY_PAUSE_S;
    const struct ferry_config *config = topics->seen->config;
    struct ferry_topic_list list = ferry_topic_set_list(topics->seen->topics);
    struct ferry_error error = {0};
    enum ferry_code code =
        config->topics.create == FERRY_CREATE_NEVER
            ? ferry_admin_look(config, config->bridge.kafka, list, CALL_TIMEOUT_MS, topics->results, &error)
            : ferry_admin_create(config, config->bridge.kafka, list, CALL_TIMEOUT_MS, topics->results, &error);
    if (code != FERRY_OK) {
        if (!topics->away_logged)
            ferry_log(FERRY_LOG_WARN, "topics wait for Kafka", FERRY_FIELDS(ferry_text("reason", error.text)));
        topics->away_logged = true;
        return AWAY_PAUSE_S;
    }
    topics->away_logged = false;
    await_leaders(topics, list);
    return log_findings(topics, list.count) > 0 ? FINDINGS_PAUSE_S : 0;
}

/* False when it is time to stop. */
static bool pause_for(struct ferry_topics *topics, int seconds)
{
    const struct timespec until = ferry_deadline_in((int64_t)seconds * 1000);
    pthread_mutex_lock(&topics->lock);
    int waited = 0;
    while (!topics->stop && !topics->again && waited == 0)
        waited = seconds > 0 ? pthread_cond_timedwait(&topics->changed, &topics->lock, &until)
                             : pthread_cond_wait(&topics->changed, &topics->lock);
    topics->again = false;
    bool go_on = !topics->stop;
    pthread_mutex_unlock(&topics->lock);
    return go_on;
}

static void *run(void *context)
{
    struct ferry_topics *topics = context;
    while (pause_for(topics, look_through(topics)))
        ;
    return NULL;
}

enum ferry_code ferry_topics_start(struct ferry_snapshot_slot *snapshots, struct ferry_publisher *publisher,
                                   struct ferry_ops *ops, struct ferry_topics **out, struct ferry_error *error)
{
    struct ferry_topics *topics = calloc(1, sizeof *topics);
    if (topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    topics->snapshots = snapshots;
    topics->publisher = publisher;
    topics->ops = ops;
    pthread_mutex_init(&topics->lock, NULL);
    ferry_condition_init(&topics->changed);
    int failed = pthread_create(&topics->thread, NULL, run, topics);
    if (failed) {
        free(topics);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    *out = topics;
    return FERRY_OK;
}

void ferry_topics_again(struct ferry_topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    topics->again = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
}

void ferry_topics_stop(struct ferry_topics *topics)
{
    if (topics == NULL)
        return;
    pthread_mutex_lock(&topics->lock);
    topics->stop = true;
    pthread_cond_signal(&topics->changed);
    pthread_mutex_unlock(&topics->lock);
    pthread_join(topics->thread, NULL);
    forget(topics);
    pthread_cond_destroy(&topics->changed);
    pthread_mutex_destroy(&topics->lock);
    free(topics);
}
