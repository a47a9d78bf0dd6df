#include "core/crc32c.h"

#include <pthread.h>

static const uint32_t polynomial = UINT32_C(0x82F63B78); /* reflected */

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        table[byte] = crc;
    }
}

uint32_t ferry_crc32c(uint32_t crc, struct ferry_slice bytes)
{
    pthread_once(&table_once, make_table);
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++)
        crc = crc >> 8 ^ table[(crc ^ (unsigned char)bytes.ptr[i]) & 0xFF];
    return ~crc;
}
