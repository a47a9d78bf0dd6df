/* Runs of plain text: printable ASCII that a JSON string holds as it stands. */
#ifndef FERRY_CORE_PLAIN_H
#define FERRY_CORE_PLAIN_H

#include <stdint.h>
#include <string.h>

/* The first byte from `at` on that is not plain: a quote, a backslash, a control character (DEL is one) or a byte above
 * 127; `end` if there is none.
 *
 * Eight bytes at a time: in `special` the high bit of each such byte is set. A borrow or a carry may set it in bytes
 * after the first special one as well; the first one, the lowest in a word of a little-endian machine, is always right.
 */
static inline const char *ferry_plain_end(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones * 0x80;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t special = (word | (word + ones) | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs;
        if (special == 0)
            continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return at + __builtin_ctzll(special) / 8;
#else
        break;
#endif
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7F && *at != '"' && *at != '\\')
        at++;
    return at;
}

#endif
