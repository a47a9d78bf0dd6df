#include "consumers/offsets.h"

#include <assert.h>
#include <stdlib.h>

void ferry_offsets_init(struct ferry_offsets *offsets)
{
    *offsets = (struct ferry_offsets){.next = -1};
}

void ferry_offsets_done(struct ferry_offsets *offsets)
{
    free(offsets->rows);
    ferry_offsets_init(offsets);
}

static struct ferry_offset_row *row_at(const struct ferry_offsets *offsets, size_t index)
{
    return &offsets->rows[(offsets->first + index) % offsets->capacity];
}

bool ferry_offsets_follows(const struct ferry_offsets *offsets, int64_t offset)
{
    int64_t newest = offsets->count > 0 ? row_at(offsets, offsets->count - 1)->offset : offsets->next - 1;
    return offset > newest;
}

/* Doubles the ring; the rows begin at 0 afterwards. */
static enum ferry_code grow(struct ferry_offsets *offsets)
{
    size_t capacity = offsets->capacity > 0 ? offsets->capacity * 2 : 64;
    struct ferry_offset_row *rows = calloc(capacity, sizeof *rows);
    if (rows == NULL)
        return FERRY_MEMORY;
    for (size_t i = 0; i < offsets->count; i++)
        rows[i] = *row_at(offsets, i);
    free(offsets->rows);
    offsets->rows = rows;
    offsets->first = 0;
    offsets->capacity = capacity;
    return FERRY_OK;
}

/* Drops settled rows from the front. */
static bool advance(struct ferry_offsets *offsets)
{
    int64_t before = offsets->next;
    while (offsets->count > 0 && row_at(offsets, 0)->pending == 0) {
        offsets->next = row_at(offsets, 0)->offset + 1;
        offsets->first = (offsets->first + 1) % offsets->capacity;
        offsets->count--;
    }
    return offsets->next != before;
}

enum ferry_code ferry_offsets_add(struct ferry_offsets *offsets, int64_t offset, uint32_t pending)
{
    assert(ferry_offsets_follows(offsets, offset));
    if (offsets->count == offsets->capacity && grow(offsets) != FERRY_OK)
        return FERRY_MEMORY;
    *row_at(offsets, offsets->count++) = (struct ferry_offset_row){offset, pending};
    advance(offsets);
    return FERRY_OK;
}

/* By bisection: the rows are sorted. */
static struct ferry_offset_row *find(const struct ferry_offsets *offsets, int64_t offset)
{
    size_t low = 0, high = offsets->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_at(offsets, middle)->offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < offsets->count && row_at(offsets, low)->offset == offset ? row_at(offsets, low) : NULL;
}

bool ferry_offsets_settle(struct ferry_offsets *offsets, int64_t offset)
{
    struct ferry_offset_row *row = find(offsets, offset);
    assert(row != NULL && row->pending > 0);
    row->pending--;
    return advance(offsets);
}
