#include "bridge/outbound.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    REPLACE_FIRST_MS = 1000,
    REPLACE_MAX_MS = 60000,
    QUIET_MS = 5 * 60000, /* so long without breaking, and the back-off begins anew */
};

struct ferry_outbound {
    const struct ferry_config *config;
    struct ferry_producer_listener listener;
    struct ferry_metrics *metrics;
    struct ferry_series *replaced;
    pthread_rwlock_t lock; /* of `producer`: written while one is replaced, by the thread that tends */
    struct ferry_producer *producer;
    atomic_bool topics_ready;
    int64_t replaced_ms;
    int64_t back_off_ms;
};

static enum ferry_code open_producer(struct ferry_outbound *outbound, struct ferry_error *error)
{
    struct ferry_producer *producer;
    enum ferry_code code = ferry_producer_open(outbound->config->kafka, outbound->config->bridge.kafka,
                                               &outbound->listener, outbound->metrics, &producer, error);
    if (code != FERRY_OK)
        return code;
    pthread_rwlock_wrlock(&outbound->lock);
    outbound->producer = producer;
    pthread_rwlock_unlock(&outbound->lock);
    return FERRY_OK;
}

/* Nobody sends to it any more, each of its records gets its report, and it is gone. */
static void close_producer(struct ferry_outbound *outbound)
{
    pthread_rwlock_wrlock(&outbound->lock);
    struct ferry_producer *producer = outbound->producer;
    outbound->producer = NULL;
    pthread_rwlock_unlock(&outbound->lock);
    ferry_producer_close(producer);
}

enum ferry_code ferry_outbound_open(const struct ferry_config *config, const struct ferry_producer_listener *listener,
                                    struct ferry_metrics *metrics, struct ferry_outbound **out,
                                    struct ferry_error *error)
{
    struct ferry_outbound *outbound = calloc(1, sizeof *outbound);
    if (outbound == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    outbound->config = config;
    outbound->listener = *listener;
    outbound->metrics = metrics;
    outbound->back_off_ms = REPLACE_FIRST_MS;
    outbound->replaced =
        ferry_metric_series(ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_producer_replacements_total",
                                                 "Producers that broke for good and were replaced", NULL),
                            NULL);
    pthread_rwlock_init(&outbound->lock, NULL);
    enum ferry_code code = open_producer(outbound, error);
    if (code != FERRY_OK) {
        pthread_rwlock_destroy(&outbound->lock);
        free(outbound);
        return code;
    }
    *out = outbound;
    return FERRY_OK;
}

enum ferry_code ferry_outbound_send(struct ferry_outbound *outbound, const struct ferry_record *record, void *tag)
{
    pthread_rwlock_rdlock(&outbound->lock);
    enum ferry_code code =
        outbound->producer != NULL ? ferry_producer_send(outbound->producer, record, tag, NULL) : FERRY_KAFKA;
    pthread_rwlock_unlock(&outbound->lock);
    return code;
}

bool ferry_outbound_up(struct ferry_outbound *outbound)
{
    pthread_rwlock_rdlock(&outbound->lock);
    bool up = outbound->producer != NULL && ferry_producer_up(outbound->producer);
    pthread_rwlock_unlock(&outbound->lock);
    return up;
}

bool ferry_outbound_ready(struct ferry_outbound *outbound)
{
    return atomic_load(&outbound->topics_ready) && ferry_outbound_up(outbound);
}

void ferry_outbound_topics_ready(struct ferry_outbound *outbound)
{
    atomic_store(&outbound->topics_ready, true);
}

enum ferry_code ferry_outbound_tend(struct ferry_outbound *outbound, int64_t mono_ms, struct ferry_error *error)
{
    /* Only the thread that tends changes `producer`: it may look without the lock. */
    if (outbound->producer != NULL && !ferry_producer_broken(outbound->producer))
        return FERRY_OK;
    int64_t since = mono_ms - outbound->replaced_ms;
    if (outbound->replaced_ms > 0 && since < outbound->back_off_ms)
        return FERRY_OK;
    int64_t doubled = outbound->back_off_ms * 2 < REPLACE_MAX_MS ? outbound->back_off_ms * 2 : REPLACE_MAX_MS;
    outbound->back_off_ms = since > QUIET_MS ? REPLACE_FIRST_MS : doubled;
    outbound->replaced_ms = mono_ms;
    close_producer(outbound);
    enum ferry_code code = open_producer(outbound, error);
    if (code != FERRY_OK)
        return code;
    ferry_series_add(outbound->replaced, 1);
    return ferry_fail(error, FERRY_KAFKA_FATAL, "the producer broke and was replaced");
}

enum ferry_code ferry_outbound_flush(struct ferry_outbound *outbound, int64_t timeout_ms)
{
    return outbound->producer != NULL ? ferry_producer_flush(outbound->producer, timeout_ms) : FERRY_OK;
}

void ferry_outbound_close(struct ferry_outbound *outbound)
{
    if (outbound == NULL)
        return;
    close_producer(outbound);
    pthread_rwlock_destroy(&outbound->lock);
    free(outbound);
}
