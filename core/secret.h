/* A secret's bytes: kept out of core dumps, wiped when freed, never printed. */
#ifndef FERRY_CORE_SECRET_H
#define FERRY_CORE_SECRET_H

#include "core/slice.h"

struct ferry_secret {
    char *ptr; /* ends in NUL (not counted); NULL: no secret */
    size_t len;
};

/* From now on secrets of up to 4 KiB, and the keys of HMACs, lie in pages of their own: locked into memory where the
 * system allows it, left out of core dumps, with guard pages around them; while there is room, which is for hundreds of
 * them. Once, before other threads. */
void ferry_secret_guard(void);

/* A copy; {NULL, 0} when memory ran out. */
struct ferry_secret ferry_secret_copy(struct ferry_slice bytes);
/* Wipes and frees; {NULL, 0} afterwards. */
void ferry_secret_done(struct ferry_secret *secret);

static inline struct ferry_slice ferry_secret_slice(struct ferry_secret secret)
{
    return (struct ferry_slice){secret.ptr, secret.len};
}

#endif
