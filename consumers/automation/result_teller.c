/* The way of results to Kafka: a producer of their own, opened when there is a route for triggers.
 *
 * Results are told from any thread, the engine's own report thread too, which may not send with its own producer. What
 * is on its way is bounded in bytes; beyond that, and while there is no producer, results are dropped: whoever waits
 * for one finds out later than he might, and nothing else is lost. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/automation/result.h"
#include "core/clock.h"
#include "core/kafka/producer.h"
#include "core/log.h"

enum { UNDER_WAY_BYTES = 32 << 20, OPEN_AGAIN_MS = 10000, TOPIC_MAX = 256 };

struct ferry_teller {
    pthread_mutex_t lock; /* of `producer`; never waited under */
    struct ferry_producer *producer;
    char topic[TOPIC_MAX]; /* written while there is no producer, read while there is one */
    int64_t open_again_ms; /* main thread alone */
    atomic_size_t under_way_bytes;
    struct ferry_series *told;
    struct ferry_metric *dropped;
};

/* A record's value, until its report. */
struct telling {
    size_t len;
    char *value;
};

static void drop(struct ferry_teller *teller, const char *why)
{
    const struct ferry_slice reason = ferry_slice_from(why);
    ferry_series_add(ferry_metric_series(teller->dropped, &reason), 1);
}

static void forget(struct ferry_teller *teller, struct telling *telling)
{
    atomic_fetch_sub(&teller->under_way_bytes, telling->len);
    free(telling->value);
    free(telling);
}

static void reported(void *context, const struct ferry_report *report)
{
    struct ferry_teller *teller = context;
    if (report->code == FERRY_OK)
        ferry_series_add(teller->told, 1);
    else
        drop(teller, ferry_code_name(report->code));
    forget(teller, report->tag);
}

/* ---- the producer ---- */

/* Can the glob match a trigger's name? By what stands before its first wildcard. */
static bool may_mean_trigger(const char *glob)
{
    static const char family[] = "trigger.";
    size_t literal = strcspn(glob, "*?"), shared = literal < strlen(family) ? literal : strlen(family);
    return strncmp(glob, family, shared) == 0 && (shared == strlen(family) || glob[literal] != '\0');
}

static bool has_route_for_triggers(const struct ferry_config *config)
{
    for (size_t i = 0; i < config->automation.route_count; i++) {
        const struct ferry_strings *events = &config->automation.routes[i].common.events;
        for (size_t j = 0; j < events->count; j++)
            if (may_mean_trigger(events->items[j]))
                return true;
    }
    return false;
}

/* Out of the hands of those who tell; closed without the lock, for that waits. */
static struct ferry_producer *swap(struct ferry_teller *teller, struct ferry_producer *next)
{
    pthread_mutex_lock(&teller->lock);
    struct ferry_producer *before = teller->producer;
    teller->producer = next;
    pthread_mutex_unlock(&teller->lock);
    return before;
}

static void tend(struct ferry_teller *teller, const struct ferry_config *config)
{
    const struct ferry_producer_listener listener = {.context = teller, .report = reported};
    struct ferry_error error = {0};
    struct ferry_producer *next = NULL;
    if (teller->producer != NULL && ferry_producer_broken(teller->producer))
        ferry_producer_close(swap(teller, NULL));
    int64_t now_ms = ferry_clock_mono_ms();
    if (teller->producer != NULL || now_ms < teller->open_again_ms || !has_route_for_triggers(config))
        return;
    teller->open_again_ms = now_ms + OPEN_AGAIN_MS;
    snprintf(teller->topic, sizeof teller->topic, "%s.results", config->topics.internal);
    if (ferry_producer_open(config->kafka, config->automation.worker.kafka, &listener, NULL, &next, &error) == FERRY_OK)
        (void)swap(teller, next);
    else
        ferry_log(FERRY_LOG_WARN, "results of triggers cannot be told", FERRY_FIELDS(ferry_text("reason", error.text)));
}

static struct ferry_teller *teller_open(struct ferry_metrics *metrics)
{
    static const char *const by_reason[] = {"reason", NULL};
    struct ferry_teller *teller = calloc(1, sizeof *teller);
    if (teller == NULL)
        return NULL;
    pthread_mutex_init(&teller->lock, NULL);
    teller->told =
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_results_told_total",
                                                 "Results of triggers' calls that were written for the bridges", NULL),
                            NULL);
    teller->dropped = ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_results_dropped_total",
                                           "Results of triggers' calls that could not be told", by_reason);
    return teller;
}

static void teller_close(struct ferry_teller *teller, int64_t timeout_ms)
{
    struct ferry_producer *producer = swap(teller, NULL);
    if (producer != NULL) {
        enum ferry_code code = ferry_producer_flush(producer, timeout_ms);
        if (code != FERRY_OK)
            ferry_log(FERRY_LOG_INFO, "not every result of a trigger was told", FERRY_NO_FIELDS);
        ferry_producer_close(producer);
    }
    pthread_mutex_destroy(&teller->lock);
    free(teller);
}

/* ---- telling ---- */

static struct telling *telling_new(struct ferry_teller *teller, struct ferry_buffer *value)
{
    struct telling *telling = malloc(sizeof *telling);
    if (telling == NULL)
        return NULL;
    telling->len = value->len;
    telling->value = ferry_buffer_take(value);
    if (telling->value == NULL) {
        free(telling);
        return NULL;
    }
    atomic_fetch_add(&teller->under_way_bytes, telling->len);
    return telling;
}

static enum ferry_code send(struct ferry_teller *teller, struct ferry_slice key, struct telling *telling)
{
    struct ferry_record record = {.key = key, .value = ferry_slice_of(telling->value, telling->len)};
    enum ferry_code code = FERRY_KAFKA;
    pthread_mutex_lock(&teller->lock);
    if (teller->producer != NULL) {
        record.topic = ferry_slice_from(teller->topic);
        code = ferry_producer_send(teller->producer, &record, telling, NULL);
    }
    pthread_mutex_unlock(&teller->lock);
    return code;
}

static void tell(struct ferry_teller *teller, const struct ferry_news *news)
{
    struct ferry_result result;
    if (!ferry_result_of(news, &result))
        return;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer value;
    ferry_buffer_init(&value, FERRY_RESULT_RECORD_MAX);
    ferry_result_print(news, &result, ferry_clock_wall_ms(), &value);
    if (atomic_load(&teller->under_way_bytes) + value.len > UNDER_WAY_BYTES) {
        drop(teller, "too-many");
        return;
    }
    struct telling *telling = value.failed ? NULL : telling_new(teller, &value);
    enum ferry_code code = telling != NULL ? send(teller, news->event->id, telling) : FERRY_MEMORY;
    if (code == FERRY_OK)
        return;
    drop(teller, ferry_code_name(code));
    if (telling != NULL)
        forget(teller, telling);
}

const struct ferry_telling ferry_result_telling = {
    .open = teller_open,
    .tend = tend,
    .wants = ferry_result_wanted,
    .tell = tell,
    .close = teller_close,
};
