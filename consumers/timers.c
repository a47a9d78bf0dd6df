#include "consumers/timers.h"

#include <assert.h>
#include <stdlib.h>

void ferry_timers_done(struct ferry_timers *timers)
{
    free(timers->heap);
    *timers = (struct ferry_timers){0};
}

static void put(struct ferry_timers *timers, size_t slot, struct ferry_timer *timer)
{
    timers->heap[slot] = timer;
    timer->slot = slot;
}

static bool is_earlier(const struct ferry_timer *a, const struct ferry_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->turn < b->turn;
}

/* Moves the timer of `slot` up or down to where it belongs. */
static void settle(struct ferry_timers *timers, size_t slot)
{
    struct ferry_timer *timer = timers->heap[slot];
    for (; slot > 1 && is_earlier(timer, timers->heap[slot / 2]); slot /= 2)
        put(timers, slot, timers->heap[slot / 2]);
    for (size_t child; (child = slot * 2) <= timers->count; slot = child) {
        if (child < timers->count && is_earlier(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!is_earlier(timers->heap[child], timer))
            break;
        put(timers, slot, timers->heap[child]);
    }
    put(timers, slot, timer);
}

enum ferry_code ferry_timers_reserve(struct ferry_timers *timers, size_t count)
{
    size_t capacity = timers->capacity > 0 ? timers->capacity : 64;
    while (count + 1 > capacity)
        capacity *= 2;
    if (capacity == timers->capacity)
        return FERRY_OK;
    struct ferry_timer **heap = realloc(timers->heap, capacity * sizeof(struct ferry_timer *));
    if (heap == NULL)
        return FERRY_MEMORY;
    timers->heap = heap;
    timers->capacity = capacity;
    return FERRY_OK;
}

enum ferry_code ferry_timers_set(struct ferry_timers *timers, struct ferry_timer *timer, int64_t due_ms)
{
    assert(timer->slot == 0);
    if (ferry_timers_reserve(timers, timers->count + 1) != FERRY_OK)
        return FERRY_MEMORY;
    timer->due_ms = due_ms;
    timer->turn = timers->turns++;
    put(timers, ++timers->count, timer);
    settle(timers, timers->count);
    return FERRY_OK;
}

void ferry_timers_cancel(struct ferry_timers *timers, struct ferry_timer *timer)
{
    size_t slot = timer->slot;
    if (slot == 0)
        return;
    timer->slot = 0;
    struct ferry_timer *last = timers->heap[timers->count--];
    if (last == timer)
        return;
    put(timers, slot, last);
    settle(timers, slot);
}

struct ferry_timer *ferry_timers_first(const struct ferry_timers *timers)
{
    return timers->count > 0 ? timers->heap[1] : NULL;
}
