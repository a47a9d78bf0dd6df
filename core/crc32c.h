/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): finds media damage, no defence against people. */
#ifndef FERRY_CORE_CRC32C_H
#define FERRY_CORE_CRC32C_H

#include <stdint.h>

#include "core/slice.h"

/* Goes on from `crc`; begin with 0. Any thread. */
uint32_t ferry_crc32c(uint32_t crc, struct ferry_slice bytes);

#endif
