/* Misspelt words: which of the known ones was meant? */
#ifndef FERRY_CORE_WORDS_H
#define FERRY_CORE_WORDS_H

#include <stddef.h>

/* How many letters must be changed, added, left out or swapped with their neighbour to make `b` of `a`; ASCII case is
 * ignored. Words over 64 bytes are SIZE_MAX apart. */
size_t ferry_words_distance(const char *a, const char *b);
/* Of `known`, the one that is so near that it may have been meant; NULL if none is. */
const char *ferry_words_nearest(const char *word, const char *const *known, size_t count);

#endif
