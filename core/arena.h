/* Memory with one lifetime: everything that is taken from an arena is freed with it. One request, one record, one
 * configuration has one. Not for several threads at once. */
#ifndef FERRY_CORE_ARENA_H
#define FERRY_CORE_ARENA_H

#include "core/slice.h"

struct ferry_arena_block;

struct ferry_arena {
    struct ferry_arena_block *newest;
};

/* {0} is an empty arena. */
void ferry_arena_init(struct ferry_arena *arena);
/* Frees all. Fit for FERRY_CLEANUP. */
void ferry_arena_done(struct ferry_arena *arena);
/* Forgets all, keeps one block for the next use. */
void ferry_arena_reset(struct ferry_arena *arena);

/* Aligned for any type, zeroed. NULL when memory ran out. */
void *ferry_arena_new(struct ferry_arena *arena, size_t bytes);
/* An array; NULL on overflow too. */
void *ferry_arena_new_array(struct ferry_arena *arena, size_t count, size_t item_bytes);
/* A copy that ends in NUL (not counted in a slice); NULL, or the absent slice, when memory ran out. */
char *ferry_arena_text(struct ferry_arena *arena, struct ferry_slice text);
struct ferry_slice ferry_arena_slice(struct ferry_arena *arena, struct ferry_slice text);

#endif
