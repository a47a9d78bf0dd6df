/* The memory of large request bodies, used again. The heap maps a piece that large for each body and unmaps it
 * afterwards (see MAPPED_BYTES in http.c), and every page of it costs a fault: a third of what a 64 KiB event cost.
 *
 * Any thread: a body is given back by whoever needs it last. */
#ifndef FERRY_BRIDGE_BODY_POOL_H
#define FERRY_BRIDGE_BODY_POOL_H

#include <pthread.h>

#include "core/buffer.h"

enum {
    FERRY_BODY_SMALL = 16 << 10,  /* up to here the heap is better */
    FERRY_BODY_PIECE = 128 << 10, /* above it a body is rare */
    FERRY_BODY_KEPT = 32,
};

struct ferry_body_pool {
    pthread_mutex_t lock;
    char *kept[FERRY_BODY_KEPT]; /* of FERRY_BODY_PIECE bytes each */
    size_t count;
};

void ferry_body_pool_init(struct ferry_body_pool *pool);
void ferry_body_pool_done(struct ferry_body_pool *pool);
/* Room for so many bytes in an empty buffer; a kept piece if the size is fit for one. */
void ferry_body_pool_take(struct ferry_body_pool *pool, struct ferry_buffer *body, size_t bytes);
/* Frees the buffer, or keeps its memory. */
void ferry_body_pool_give(struct ferry_body_pool *pool, struct ferry_buffer *body);

#endif
