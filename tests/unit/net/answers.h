/* Waiting for an answer of the client. */
#ifndef FERRY_TESTS_UNIT_NET_ANSWERS_H
#define FERRY_TESTS_UNIT_NET_ANSWERS_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/net/client.h"

/* An answer, kept beyond its callback. */
struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t came;
    int count;
    enum ferry_exchange exchange;
    int status;
    char body[70000];
    size_t body_len;
    bool truncated;
    int64_t retry_after_ms;
    char reason[256];
    double seconds;
};

static inline struct outcome *outcome_new(void)
{
    struct outcome *outcome = calloc(1, sizeof *outcome);
    pthread_mutex_init(&outcome->lock, NULL);
    pthread_cond_init(&outcome->came, NULL);
    return outcome;
}

static inline void outcome_take(void *context, const struct ferry_answer *answer)
{
    struct outcome *outcome = context;
    pthread_mutex_lock(&outcome->lock);
    outcome->exchange = answer->exchange;
    outcome->status = answer->status;
    outcome->body_len = answer->body.len;
    if (answer->body.len > 0 && answer->body.len < sizeof outcome->body)
        memcpy(outcome->body, answer->body.ptr, answer->body.len);
    outcome->truncated = answer->truncated;
    outcome->retry_after_ms = answer->retry_after_ms;
    strncpy(outcome->reason, answer->reason, sizeof outcome->reason - 1);
    outcome->seconds = answer->seconds;
    outcome->count++;
    pthread_cond_signal(&outcome->came);
    pthread_mutex_unlock(&outcome->lock);
}

/* Has it been called `count` times within 20 s? */
static inline bool outcome_wait(struct outcome *outcome, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    int late = 0;
    pthread_mutex_lock(&outcome->lock);
    while (outcome->count < count && late == 0)
        late = pthread_cond_timedwait(&outcome->came, &outcome->lock, &until);
    pthread_mutex_unlock(&outcome->lock);
    return late == 0;
}

static inline void outcome_free(struct outcome *outcome)
{
    pthread_cond_destroy(&outcome->came);
    pthread_mutex_destroy(&outcome->lock);
    free(outcome);
}

#endif
