/* The inside of bridge/triggers/results*.c. */
#ifndef FERRY_BRIDGE_TRIGGERS_RESULTS_INSIDE_H
#define FERRY_BRIDGE_TRIGGERS_RESULTS_INSIDE_H

#include <pthread.h>

#include "bridge/triggers/results.h"

enum { FERRY_RESULTS_BUCKETS = 8192 };

/* A run that is remembered. */
struct ferry_results_entry {
    struct ferry_run *run;
    struct ferry_results_entry *next_in_bucket;
    struct ferry_results_entry *older;
    struct ferry_results_entry *newer;
    int64_t changed_ms; /* monotonic */
};

struct ferry_results {
    pthread_mutex_t lock; /* of everything up to `watches` */
    struct ferry_results_entry *buckets[FERRY_RESULTS_BUCKETS];
    struct ferry_results_entry *oldest;
    struct ferry_results_entry *newest;
    size_t count;
    size_t bytes;
    uint64_t version;
    struct ferry_watch *watches;

    struct ferry_series *known;
    struct ferry_series *read;
    struct ferry_series *invalid;

    pthread_t reader;
    bool reading; /* the thread was started */
    atomic_bool stop;
    const struct ferry_config *config;
};

#endif
