/* For unit tests: an arena for a test, or for all of a file, by the set-up fresh_arena and the tear-down free_arena. */
#ifndef FERRY_TESTS_SUPPORT_ARENA_H
#define FERRY_TESTS_SUPPORT_ARENA_H

#include "core/arena.h"

static struct ferry_arena arena;

static inline int fresh_arena(void **state)
{
    (void)state;
    ferry_arena_init(&arena);
    return 0;
}

static inline int free_arena(void **state)
{
    (void)state;
    ferry_arena_done(&arena);
    return 0;
}

#endif
