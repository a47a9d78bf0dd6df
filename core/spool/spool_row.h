/* A record as bytes in a spool row, version 1: a version byte, then topic, key, value, and name and value of each
 * header, each as a 32-bit little-endian length (all ones: absent) and its bytes. */
#ifndef FERRY_CORE_SPOOL_ROW_H
#define FERRY_CORE_SPOOL_ROW_H

#include <stdint.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/record.h"

void ferry_spool_row_write(const struct ferry_record *record, struct ferry_buffer *out);
/* Slices point into `bytes`, the header list lives in `arena`. False for bytes that no ferry_spool_row_write made. */
bool ferry_spool_row_read(struct ferry_slice bytes, struct ferry_arena *arena, struct ferry_record *record);
/* CRC-32C over the sequence number and the bytes: a row that moved is as bad as one that changed. */
uint32_t ferry_spool_row_crc(int64_t sequence, struct ferry_slice bytes);

#endif
