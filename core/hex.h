/* Hexadecimal digits. */
#ifndef FERRY_CORE_HEX_H
#define FERRY_CORE_HEX_H

/* 0 to 15, either case; -1 for any other character. */
static inline int ferry_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
