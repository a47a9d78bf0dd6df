#include "bridge/body_pool.h"

#include <stdlib.h>

void ferry_body_pool_init(struct ferry_body_pool *pool)
{
    *pool = (struct ferry_body_pool){.count = 0};
    pthread_mutex_init(&pool->lock, NULL);
}

void ferry_body_pool_done(struct ferry_body_pool *pool)
{
    while (pool->count > 0)
        free(pool->kept[--pool->count]);
    pthread_mutex_destroy(&pool->lock);
}

static char *take_kept(struct ferry_body_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    char *piece = pool->count > 0 ? pool->kept[--pool->count] : NULL;
    pthread_mutex_unlock(&pool->lock);
    return piece;
}

void ferry_body_pool_take(struct ferry_body_pool *pool, struct ferry_buffer *body, size_t bytes)
{
    bool fit = bytes > FERRY_BODY_SMALL && bytes < FERRY_BODY_PIECE && body->max >= FERRY_BODY_PIECE;
    char *piece = fit ? take_kept(pool) : NULL;
    if (piece == NULL) {
        ferry_buffer_reserve(body, fit ? FERRY_BODY_PIECE - 1 : bytes);
        return;
    }
    piece[0] = '\0';
    body->ptr = piece;
    body->capacity = FERRY_BODY_PIECE;
}

static bool keep(struct ferry_body_pool *pool, char *piece)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->count < FERRY_BODY_KEPT;
    if (room)
        pool->kept[pool->count++] = piece;
    pthread_mutex_unlock(&pool->lock);
    return room;
}

void ferry_body_pool_give(struct ferry_body_pool *pool, struct ferry_buffer *body)
{
    if (body->capacity == FERRY_BODY_PIECE && keep(pool, body->ptr))
        body->ptr = NULL;
    ferry_buffer_done(body);
}
