#include "core/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4096 };

struct ferry_arena_block {
    struct ferry_arena_block *older;
    size_t used;
    size_t capacity;
    alignas(max_align_t) char bytes[];
};

void ferry_arena_init(struct ferry_arena *arena)
{
    arena->newest = NULL;
}

static void free_blocks(struct ferry_arena_block *block)
{
    while (block != NULL) {
        struct ferry_arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void ferry_arena_done(struct ferry_arena *arena)
{
    free_blocks(arena->newest);
    arena->newest = NULL;
}

void ferry_arena_reset(struct ferry_arena *arena)
{
    if (arena->newest == NULL)
        return;
    free_blocks(arena->newest->older);
    arena->newest->older = NULL;
    arena->newest->used = 0;
}

static struct ferry_arena_block *add_block(struct ferry_arena *arena, size_t bytes)
{
    size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct ferry_arena_block *block = malloc(sizeof *block + capacity);
    if (block == NULL)
        return NULL;
    *block = (struct ferry_arena_block){.older = arena->newest, .capacity = capacity};
    arena->newest = block;
    return block;
}

void *ferry_arena_new(struct ferry_arena *arena, size_t bytes)
{
    const size_t unit = alignof(max_align_t);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + unit - 1) / unit * unit;
    struct ferry_arena_block *block = arena->newest;
    if (block == NULL || block->capacity - block->used < bytes)
        block = add_block(arena, bytes);
    if (block == NULL)
        return NULL;
    void *taken = block->bytes + block->used;
    block->used += bytes;
    return memset(taken, 0, bytes);
}

void *ferry_arena_new_array(struct ferry_arena *arena, size_t count, size_t item_bytes)
{
    if (item_bytes != 0 && count > SIZE_MAX / 2 / item_bytes)
        return NULL;
    return ferry_arena_new(arena, count * item_bytes);
}

char *ferry_arena_text(struct ferry_arena *arena, struct ferry_slice text)
{
    char *copy = ferry_arena_new(arena, text.len + 1);
    if (copy != NULL && text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

struct ferry_slice ferry_arena_slice(struct ferry_arena *arena, struct ferry_slice text)
{
    char *copy = ferry_arena_text(arena, text);
    return ferry_slice_of(copy, copy != NULL ? text.len : 0);
}
