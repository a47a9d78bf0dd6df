/* Waiting on a condition with a limit. On the monotonic clock: whoever sets the wall clock makes nobody wait longer. */
#ifndef FERRY_CORE_WAIT_H
#define FERRY_CORE_WAIT_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* A condition whose timed waits end by the monotonic clock. */
void ferry_condition_init(pthread_cond_t *condition);
/* The moment so long from now, for pthread_cond_timedwait on such a condition. */
struct timespec ferry_deadline_in(int64_t ms);

#endif
