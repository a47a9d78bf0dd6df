#include "bridge/triggers/form.h"

#include "core/hex.h"

/* Takes what stands before `mark` off the front of `rest`, and the mark itself. */
static struct ferry_slice take_until(struct ferry_slice *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    struct ferry_slice taken = ferry_slice_of(rest->ptr, len);
    *rest = ferry_slice_skip(*rest, at != NULL ? len + 1 : len);
    return taken;
}

/* The byte at the front of `rest`, decoded, taken off. */
static char take_byte(struct ferry_slice *rest)
{
    const char *at = rest->ptr;
    if (*at == '%' && rest->len >= 3) {
        int high = ferry_hex_digit(at[1]), low = ferry_hex_digit(at[2]);
        if (high >= 0 && low >= 0) {
            *rest = ferry_slice_skip(*rest, 3);
            return (char)(high << 4 | low);
        }
    }
    *rest = ferry_slice_skip(*rest, 1);
    return *at == '+' ? ' ' : *at;
}

/* Absent when memory ran out; decoded text is never longer than what it was. */
static struct ferry_slice decode(struct ferry_slice text, struct ferry_arena *arena)
{
    char *decoded = ferry_arena_new(arena, text.len + 1);
    if (decoded == NULL)
        return (struct ferry_slice){NULL, 0};
    size_t len = 0;
    while (text.len > 0)
        decoded[len++] = take_byte(&text);
    return ferry_slice_of(decoded, len);
}

enum ferry_code ferry_form_read(struct ferry_slice text, struct ferry_arena *arena, struct ferry_pairs *out,
                                struct ferry_error *error)
{
    struct ferry_pair *items = ferry_arena_new_array(arena, FERRY_FORM_FIELDS, sizeof *items);
    if (items == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    size_t count = 0;
    while (text.len > 0) {
        struct ferry_slice value = take_until(&text, '&');
        if (value.len == 0)
            continue;
        if (count == FERRY_FORM_FIELDS)
            return ferry_fail(error, FERRY_INPUT_REFUSED, "there are more than %d fields", (int)FERRY_FORM_FIELDS);
        struct ferry_slice name = take_until(&value, '=');
        items[count] = (struct ferry_pair){decode(name, arena), decode(value, arena)};
        if (items[count].name.ptr == NULL || items[count].value.ptr == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        count++;
    }
    *out = (struct ferry_pairs){items, count};
    return FERRY_OK;
}
