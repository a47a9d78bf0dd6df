#include "core/utf8.h"

static bool continues(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* The table of well-formed sequences in RFC 3629, section 4. */
size_t ferry_utf8_sequence(const char *ptr, size_t len)
{
    const unsigned char *p = (const unsigned char *)ptr;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    if (p[0] < 0xE0)
        return len >= 2 && continues(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        if (len < 3 || !continues(p[1]) || !continues(p[2]))
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (len < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3]))
        return 0;
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return 4;
}

bool ferry_utf8_valid(struct ferry_slice text)
{
    for (size_t at = 0, len; at < text.len; at += len) {
        len = ferry_utf8_sequence(text.ptr + at, text.len - at);
        if (len == 0)
            return false;
    }
    return true;
}

size_t ferry_utf8_encode(unsigned code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}
