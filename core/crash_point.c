#include "core/crash_point.h"

#ifdef FERRY_CRASH_POINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char variable[] = "FERRY_CRASH_POINT";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[64]; /* empty: none */
static atomic_long left;

static void read_wish(void)
{
    const char *wish = getenv(variable), *colon = wish != NULL ? strrchr(wish, ':') : NULL;
    if (colon == NULL || (size_t)(colon - wish) >= sizeof wanted)
        return;
    memcpy(wanted, wish, (size_t)(colon - wish));
    atomic_store(&left, strtol(colon + 1, NULL, 10));
}

void ferry_crash_point_pass(const char *name)
{
    pthread_once(&once, read_wish);
    if (strcmp(name, wanted) != 0 || atomic_fetch_sub(&left, 1) != 1)
        return;
    kill(getpid(), SIGKILL);
    for (;;) /* the other threads may have a moment left; this one goes no step further */
        pause();
}

#else
extern const int ferry_crash_point_none; /* a file may not be empty */
#endif
