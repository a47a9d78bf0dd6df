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
    int64_t lag;                             /* of all */
    int64_t oldest_ms;                       /* the earliest of all; 0: none */
    int64_t retries_waiting;                 /* in the retry topic */
    const struct ferry_retry_group *retries; /* … and why; in the arena */
    size_t retry_count;
    int64_t dead_letters; /* that nobody has redriven or dropped */
};

struct ferry_lag {
    struct ferry_lag_worker workers[FERRY_DLQ_QUEUES];
    size_t worker_count; /* those that the configuration has */
};

/* Looks at the workers (`worker` NULL: all). Everything lives in `dlq->arena`. Waits; FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_lag_look(struct ferry_dlq *dlq, const char *worker, struct ferry_lag *out,
                                               struct ferry_error *error);

/* What waits for the same reason: entries of one route whose last attempt failed with the same error. */
enum { FERRY_RETRY_NAME = 64, FERRY_RETRY_REASON = 200 };
struct ferry_retry_group {
    char route[FERRY_RETRY_NAME];
    char error[FERRY_RETRY_NAME];
    char reason[FERRY_RETRY_REASON]; /* words for people, of one of them */
    int64_t waiting;
    int64_t since_ms; /* the earliest first failure */
    int64_t due_ms;   /* the next one is tried again */
    int attempts;     /* the most that one of them has had */
};

/* Entries of a retry topic that are not settled. */
enum { FERRY_RETRY_GROUPS = 64 };
struct ferry_retry_tally {
    struct ferry_retry_mark {
        uint64_t entry; /* a hash of route and origin */
        size_t order;   /* the how many-th record */
        enum ferry_retry_kind kind;
        int group; /* -1: there are too many */
        int attempts;
        int64_t since_ms, due_ms;
    } * marks;
    size_t count, room;
    struct ferry_retry_group groups[FERRY_RETRY_GROUPS]; /* counted by ferry_retry_tally_count */
    size_t group_count;
    bool failed; /* memory ran out */
};
/* Takes a record of the topic, in the order of its partition. */
void ferry_retry_tally_add(struct ferry_retry_tally *tally, const struct ferry_record *record);
/* How many wait. Sorts. */
int64_t ferry_retry_tally_count(struct ferry_retry_tally *tally);
void ferry_retry_tally_done(struct ferry_retry_tally *tally);

#endif
