/* From what a channel says of an answer to what the engine does next. Pure. */
#ifndef FERRY_CONSUMERS_DECIDE_H
#define FERRY_CONSUMERS_DECIDE_H

#include "consumers/worker.h"

enum ferry_next_kind {
    FERRY_NEXT_FINISH, /* settled, `outcome` */
    FERRY_NEXT_AGAIN,  /* try again after `delay_ms` */
    FERRY_NEXT_FOLLOW, /* carry out the follow-up after `delay_ms` */
    FERRY_NEXT_BURY    /* dead letter, then settled as `outcome` */
};

struct ferry_next {
    enum ferry_next_kind kind;
    enum ferry_outcome outcome;
    enum ferry_code code; /* of AGAIN and BURY */
    int64_t delay_ms;
    bool busy; /* AGAIN and BURY: the destination takes nothing more for `delay_ms` */
    char reason[512];
};

/* `attempts` calls were made; the first failure lies `failing_ms` back (0: this is it). What would come back later
 * than `retry.for` after the first failure is buried as retries-exhausted. */
void ferry_decide(const struct ferry_verdict *verdict, const struct ferry_worker_config *worker, int attempts,
                  int64_t failing_ms, uint32_t random, struct ferry_next *next);

#endif
