#include "core/attribute.h"

#include <stdint.h>

#include "core/plain.h"
#include "core/utf8.h"

bool ferry_attribute_name_valid(struct ferry_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!(name.ptr[i] >= 'a' && name.ptr[i] <= 'z') && !(name.ptr[i] >= '0' && name.ptr[i] <= '9'))
            return false;
    return name.len > 0 && !ferry_slice_is(name, "data");
}

/* Of a valid sequence of two to four bytes. */
static uint32_t code_point_of(const char *ptr, size_t len)
{
    uint32_t code_point = (unsigned char)ptr[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++)
        code_point = code_point << 6 | ((unsigned char)ptr[i] & 0x3Fu);
    return code_point;
}

static bool is_noncharacter(uint32_t code_point)
{
    return (code_point & 0xFFFE) == 0xFFFE || (code_point >= 0xFDD0 && code_point <= 0xFDEF);
}

/* Length of the character at `ptr` if a String may hold it, else 0. */
static size_t legal_character(const char *ptr, size_t len)
{
    unsigned char c = (unsigned char)ptr[0];
    if (c < 0x80)
        return c >= 0x20 && c != 0x7F;
    size_t taken = ferry_utf8_sequence(ptr, len);
    if (taken == 0)
        return 0;
    uint32_t code_point = code_point_of(ptr, taken);
    return code_point < 0xA0 || is_noncharacter(code_point) ? 0 : taken;
}

/* How many bytes at the front are legal. */
static size_t legal_prefix(struct ferry_slice text)
{
    size_t at = text.len > 0 ? (size_t)(ferry_plain_end(text.ptr, text.ptr + text.len) - text.ptr) : 0;
    for (size_t len; at < text.len && (len = legal_character(text.ptr + at, text.len - at)) > 0;)
        at += len;
    return at;
}

bool ferry_attribute_text_valid(struct ferry_slice text)
{
    return legal_prefix(text) == text.len;
}

bool ferry_attribute_integer_valid(struct ferry_slice number)
{
    bool negative = ferry_slice_starts(number, "-");
    int64_t value = 0;
    for (size_t i = negative; i < number.len; i++) {
        if (number.ptr[i] < '0' || number.ptr[i] > '9')
            return false;
        value = value * 10 + (number.ptr[i] - '0');
        if (value > (int64_t)INT32_MAX + negative)
            return false;
    }
    return number.len > (size_t)negative;
}

struct ferry_slice ferry_attribute_text_mend(struct ferry_slice text, struct ferry_arena *arena)
{
    static const char replacement[3] = {'\xEF', '\xBF', '\xBD'};
    size_t legal = legal_prefix(text);
    if (legal == text.len)
        return text;
    char *mended = ferry_arena_new_array(arena, text.len, sizeof replacement); /* one byte may become three */
    if (mended == NULL)
        return (struct ferry_slice){NULL, 0};
    size_t len = 0;
    for (;;) {
        memcpy(mended + len, text.ptr, legal);
        len += legal;
        text = ferry_slice_skip(text, legal);
        if (text.len == 0)
            return ferry_slice_of(mended, len);
        memcpy(mended + len, replacement, sizeof replacement);
        len += sizeof replacement;
        size_t illegal = ferry_utf8_sequence(text.ptr, text.len);
        text = ferry_slice_skip(text, illegal > 0 ? illegal : 1);
        legal = legal_prefix(text);
    }
}
