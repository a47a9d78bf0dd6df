/* What waits for the workers: their groups, retry topics and dead letters, looked at from outside. */
#ifndef FERRY_CORE_SURVEY_LAG_H
#define FERRY_CORE_SURVEY_LAG_H

#include "core/kafka/group.h"
#include "core/survey/dlq.h"

struct ferry_lag_partition {
    const char *topic;
    int32_t partition;
    int64_t committed; /* -1: none */
    int64_t end;
    int64_t lag;       /* records that are not settled and still there */
    int64_t oldest_ms; /* when the first of them was written; 0: there is none, or not known */
};

struct ferry_lag_worker {
    const char *name;
    const char *group;
    struct ferry_group state;
    struct ferry_lag_partition *partitions; /* of the topics that its routes read */
    size_t partition_count;
    int64_t lag;             /* of all */
    int64_t oldest_ms;       /* the earliest of all; 0: none */
    int64_t retries_waiting; /* in the retry topic */
    int64_t dead_letters;    /* that nobody has redriven or dropped */
};

struct ferry_lag {
    struct ferry_lag_worker workers[FERRY_DLQ_QUEUES];
    size_t worker_count; /* those that the configuration has */
};

/* Looks at the workers (`worker` NULL: all). Everything lives in `dlq->arena`. Waits; FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_lag_look(struct ferry_dlq *dlq, const char *worker, struct ferry_lag *out,
                                               struct ferry_error *error);

/* Entries of a retry topic that are not settled. */
struct ferry_retry_tally {
    struct ferry_retry_mark {
        uint64_t entry; /* a hash of route and origin */
        size_t order;   /* the how many-th record */
        bool waits;     /* an entry; else `done` */
    } * marks;
    size_t count, room;
    bool failed; /* memory ran out */
};
/* Takes a record of the topic, in the order of its partition. */
void ferry_retry_tally_add(struct ferry_retry_tally *tally, const struct ferry_record *record);
/* How many wait. Sorts. */
int64_t ferry_retry_tally_count(struct ferry_retry_tally *tally);
void ferry_retry_tally_done(struct ferry_retry_tally *tally);

#endif
