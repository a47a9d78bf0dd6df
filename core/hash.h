/* FNV-1a, 64 bits: for tables of ours. Not against people who choose the bytes. */
#ifndef FERRY_CORE_HASH_H
#define FERRY_CORE_HASH_H

#include <stdint.h>

#include "core/slice.h"

#define FERRY_HASH_EMPTY UINT64_C(0xcbf29ce484222325)

/* Goes on from `hash`; begin with FERRY_HASH_EMPTY. */
static inline uint64_t ferry_hash_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

static inline uint64_t ferry_hash(uint64_t hash, struct ferry_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = ferry_hash_byte(hash, (unsigned char)bytes.ptr[i]);
    return hash;
}

#endif
