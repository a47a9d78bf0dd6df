/* Tables and texts for a terminal. What came from outside is shown so that it cannot steer the terminal. And a member
 * of the JSON that stands in their place with --json. */
#ifndef FERRY_TABLE_H
#define FERRY_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/buffer.h"

struct ferry_column {
    const char *title;
    bool right; /* numbers */
};

/* Rows are collected, then printed as wide as the longest cell of each column. */
struct ferry_table {
    const struct ferry_column *columns;
    size_t column_count;
    struct ferry_arena arena;
    struct ferry_slice *cells;
    size_t cell_count, cell_room;
    bool failed; /* memory ran out */
};

/* `columns` is borrowed. */
void ferry_table_init(struct ferry_table *table, const struct ferry_column *columns, size_t count);
/* Fit for FERRY_CLEANUP. */
void ferry_table_done(struct ferry_table *table);
/* A row: as many cells as columns, copied. */
void ferry_table_add(struct ferry_table *table, const struct ferry_slice *cells);
/* With the titles above; nothing where there are no rows. */
void ferry_table_print(const struct ferry_table *table, FILE *out);

/* Appends text with control characters, and bytes that are no UTF-8, as \x1b; line breaks and tabs stay if `lines`. */
void ferry_terminal_add(struct ferry_buffer *out, struct ferry_slice text, bool lines);

/* "340 B", "5.6 MiB"; "12 s", "3 min", "26 h", "9 d". */
enum { FERRY_AMOUNT_TEXT = 24 };
const char *ferry_amount_bytes(int64_t bytes, char out[FERRY_AMOUNT_TEXT]);
const char *ferry_amount_time(int64_t ms, char out[FERRY_AMOUNT_TEXT]);

/* "name": "text" and a comma; null for the absent slice. */
void ferry_json_add_text(struct ferry_buffer *out, const char *name, struct ferry_slice text);

#endif
