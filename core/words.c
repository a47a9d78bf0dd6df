#include "core/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST = 64 };

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment by rows: row[i][j] is the distance of the first i letters of `a` to the first j of `b`; a
 * swap looks two rows back, so that three rows are kept. */
size_t ferry_words_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > LONGEST || b_len > LONGEST)
        return SIZE_MAX;
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(above[j - 1] + !same(a[i - 1], b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *ferry_words_nearest(const char *word, const char *const *known, size_t count)
{
    size_t bound = strlen(word) / 3 + 2; /* what is further away is another word */
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t apart = ferry_words_distance(word, known[i]);
        if (apart < bound && apart < strlen(known[i])) {
            bound = apart;
            nearest = known[i];
        }
    }
    return nearest;
}
