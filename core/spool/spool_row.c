#include "core/spool/spool_row.h"

#include "core/crc32c.h"

enum { VERSION = 1, LENGTH_BYTES = 4 };
static const uint32_t absent = UINT32_MAX;

static void write_u32(struct ferry_buffer *out, uint32_t value)
{
    for (int i = 0; i < LENGTH_BYTES; i++)
        ferry_buffer_add_char(out, (char)(value >> 8 * i & 0xFF));
}

static void write_slice(struct ferry_buffer *out, struct ferry_slice slice)
{
    write_u32(out, slice.ptr != NULL ? (uint32_t)slice.len : absent);
    ferry_buffer_add(out, slice);
}

void ferry_spool_row_write(const struct ferry_record *record, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, VERSION);
    write_slice(out, record->topic);
    write_slice(out, record->key);
    write_slice(out, record->value);
    for (size_t i = 0; i < record->header_count; i++) {
        write_slice(out, record->headers[i].name);
        write_slice(out, record->headers[i].value);
    }
}

static bool read_slice(struct ferry_slice *rest, struct ferry_slice *out)
{
    uint32_t len = 0;
    if (rest->len < LENGTH_BYTES)
        return false;
    for (int i = 0; i < LENGTH_BYTES; i++)
        len |= (uint32_t)(unsigned char)rest->ptr[i] << 8 * i;
    *rest = ferry_slice_skip(*rest, LENGTH_BYTES);
    *out = (struct ferry_slice){NULL, 0};
    if (len == absent)
        return true;
    if (len > rest->len)
        return false;
    *out = ferry_slice_of(rest->ptr, len);
    *rest = ferry_slice_skip(*rest, len);
    return true;
}

static bool read_headers(struct ferry_slice rest, struct ferry_arena *arena, struct ferry_record *record)
{
    struct ferry_pair pair;
    size_t count = 0;
    for (struct ferry_slice left = rest; left.len > 0; count++)
        if (!read_slice(&left, &pair.name) || !read_slice(&left, &pair.value))
            return false;
    struct ferry_pair *headers = ferry_arena_new_array(arena, count, sizeof *headers);
    if (headers == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!read_slice(&rest, &headers[i].name) || !read_slice(&rest, &headers[i].value))
            return false;
    record->headers = headers;
    record->header_count = count;
    return true;
}

bool ferry_spool_row_read(struct ferry_slice bytes, struct ferry_arena *arena, struct ferry_record *record)
{
    struct ferry_record read = {.partition = -1, .offset = -1};
    if (bytes.len == 0 || bytes.ptr[0] != VERSION)
        return false;
    bytes = ferry_slice_skip(bytes, 1);
    if (!read_slice(&bytes, &read.topic) || !read_slice(&bytes, &read.key) || !read_slice(&bytes, &read.value) ||
        read.topic.len == 0 || !read_headers(bytes, arena, &read))
        return false;
    *record = read;
    return true;
}

uint32_t ferry_spool_row_crc(int64_t sequence, struct ferry_slice bytes)
{
    char number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (char)((uint64_t)sequence >> 8 * i & 0xFF);
    return ferry_crc32c(ferry_crc32c(0, ferry_slice_of(number, sizeof number)), bytes);
}
