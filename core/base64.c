#include "core/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 0 to 63, or -1. */
static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Without the padding that completes the last group; other `=` stay, and are no digits. */
static struct ferry_slice without_padding(struct ferry_slice text)
{
    if (text.len % 4 == 0 && text.len > 0 && text.ptr[text.len - 1] == '=') {
        text.len--;
        if (text.ptr[text.len - 1] == '=')
            text.len--;
    }
    return text;
}

bool ferry_base64_decode(struct ferry_slice text, char *out, size_t room, size_t *len)
{
    text = without_padding(text);
    size_t bytes = text.len * 6 / 8;
    if (text.len % 4 == 1 || bytes > room)
        return false;
    uint32_t bits = 0;
    size_t written = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0) /* digits 1, 2 and 3 of a group each complete a byte */
            out[written++] = (char)(bits >> (6 - i % 4 * 2) & 0xFF);
    }
    *len = written;
    return true;
}

void ferry_base64_encode(struct ferry_slice bytes, struct ferry_buffer *out)
{
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t taken = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < taken ? (unsigned char)bytes.ptr[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            ferry_buffer_add_char(out, i <= taken ? alphabet[bits >> (18 - 6 * i) & 63] : '=');
    }
}

void ferry_base64url_encode(struct ferry_slice bytes, char *out)
{
    uint32_t bits = 0;
    unsigned waiting = 0; /* of `bits`, not written yet */
    for (size_t at = 0; at < bytes.len; at++) {
        bits = bits << 8 | (unsigned char)bytes.ptr[at];
        for (waiting += 8; waiting >= 6; waiting -= 6)
            *out++ = url_alphabet[bits >> (waiting - 6) & 63];
    }
    if (waiting > 0)
        *out++ = url_alphabet[bits << (6 - waiting) & 63];
    *out = '\0';
}
