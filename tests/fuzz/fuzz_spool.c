/* Rows of a spool whose bytes are not what was written. Whatever is read as a record lies inside the row, and written
 * again it is the same row: two different rows are never read as the same record. */
#include <stdint.h>
#include <stdlib.h>

#include "core/spool/spool_row.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_inside(struct ferry_slice part, struct ferry_slice row)
{
    require(part.ptr == NULL ? part.len == 0 : part.ptr >= row.ptr && part.ptr + part.len <= row.ptr + row.len);
}

static void check_record(const struct ferry_record *record, struct ferry_slice row)
{
    require(record->topic.len > 0);
    check_inside(record->topic, row);
    check_inside(record->key, row);
    check_inside(record->value, row);
    for (size_t i = 0; i < record->header_count; i++) {
        check_inside(record->headers[i].name, row);
        check_inside(record->headers[i].value, row);
    }
}

/* One bit more or less is another sum. */
static void check_sum(struct ferry_slice row)
{
    char *copy = malloc(row.len);
    require(copy != NULL);
    memcpy(copy, row.ptr, row.len);
    copy[row.len / 2] ^= 1;
    uint32_t sum = ferry_spool_row_crc(1, row);
    require(sum != ferry_spool_row_crc(1, ferry_slice_of(copy, row.len)) && sum != ferry_spool_row_crc(2, row));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer again;
    struct ferry_slice row = ferry_slice_of((const char *)data, size);
    struct ferry_record record;
    ferry_buffer_init(&again, size + 1);
    if (size > 0)
        check_sum(row);
    if (!ferry_spool_row_read(row, &arena, &record))
        return 0;
    check_record(&record, row);
    ferry_spool_row_write(&record, &again);
    require(!again.failed && ferry_slice_equal(ferry_buffer_slice(&again), row));
    return 0;
}
