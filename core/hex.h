/* Hexadecimal digits. */
#ifndef FERRY_CORE_HEX_H
#define FERRY_CORE_HEX_H

#include <stddef.h>

/* 0 to 15, either case; -1 for any other character. */
static inline int ferry_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Two small digits a byte, and a NUL behind them: `out` has room for 2 * count + 1. */
static inline void ferry_hex_write(const unsigned char *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

#endif
