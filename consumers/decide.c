#include "consumers/decide.h"

#include <stdio.h>

#include "consumers/backoff.h"

static void decide_retry(const struct ferry_verdict *verdict, const struct ferry_worker_config *worker, int attempts,
                         int64_t failing_ms, uint32_t random, struct ferry_next *next)
{
    int64_t backoff_ms = ferry_backoff_ms(worker->retry_first_ms, worker->retry_max_ms, attempts, random);
    int64_t delay_ms = ferry_backoff_obey_ms(verdict->retry_after_ms, backoff_ms, random);
    *next = (struct ferry_next){.kind = FERRY_NEXT_AGAIN,
                                .outcome = FERRY_OUTCOME_RETRY,
                                .code = verdict->code,
                                .delay_ms = delay_ms,
                                .busy = verdict->code == FERRY_HTTP_BUSY};
    snprintf(next->reason, sizeof next->reason, "%s", verdict->reason);
    if (failing_ms + delay_ms <= worker->retry_for_ms)
        return;
    next->kind = FERRY_NEXT_BURY;
    next->outcome = FERRY_OUTCOME_DEAD;
    next->code = FERRY_RETRIES_EXHAUSTED;
    snprintf(next->reason, sizeof next->reason, "given up after %d attempts: %s", attempts, verdict->reason);
}

void ferry_decide(const struct ferry_verdict *verdict, const struct ferry_worker_config *worker, int attempts,
                  int64_t failing_ms, uint32_t random, struct ferry_next *next)
{
    static const enum ferry_next_kind kinds[FERRY_OUTCOME_COUNT] = {
        [FERRY_OUTCOME_DEAD] = FERRY_NEXT_BURY,
        [FERRY_OUTCOME_DOUBTFUL] = FERRY_NEXT_BURY,
    };
    if (verdict->outcome == FERRY_OUTCOME_RETRY && !verdict->follow_up) {
        decide_retry(verdict, worker, attempts, failing_ms, random, next);
        return;
    }
    *next = (struct ferry_next){.kind = verdict->follow_up ? FERRY_NEXT_FOLLOW : kinds[verdict->outcome],
                                .outcome = verdict->outcome,
                                .code = verdict->code,
                                .delay_ms = verdict->retry_after_ms > 0 ? verdict->retry_after_ms : 0};
    snprintf(next->reason, sizeof next->reason, "%s", verdict->reason);
}
