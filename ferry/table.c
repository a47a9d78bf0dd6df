#include "ferry/table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/utf8.h"

enum { CELL_BYTES = 4096, GAP = 2 };

/* ---- texts ---- */

/* U+0080 to U+009F steer terminals too. */
static bool is_c1(const char *at, size_t len)
{
    return len == 2 && (unsigned char)at[0] == 0xC2 && (unsigned char)at[1] < 0xA0;
}

static bool is_shown(const char *at, size_t len, bool lines)
{
    unsigned char first = (unsigned char)at[0];
    if (len == 1 && (first < ' ' || first == 0x7F))
        return lines && (first == '\n' || first == '\t');
    return len > 0 && !is_c1(at, len);
}

void ferry_terminal_add(struct ferry_buffer *out, struct ferry_slice text, bool lines)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = ferry_utf8_sequence(text.ptr + at, text.len - at);
        bool shown = is_shown(text.ptr + at, len, lines);
        if (shown)
            ferry_buffer_add(out, ferry_slice_of(text.ptr + at, len));
        for (size_t i = 0; !shown && i < (len > 0 ? len : 1); i++)
            ferry_buffer_printf(out, "\\x%02x", (unsigned char)text.ptr[at + i]);
        at += len > 0 ? len : 1;
    }
}

const char *ferry_amount_bytes(int64_t bytes, char out[FERRY_AMOUNT_TEXT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        snprintf(out, FERRY_AMOUNT_TEXT, "%" PRId64 " B", bytes);
        return out;
    }
    for (; amount >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        amount /= 1024;
    snprintf(out, FERRY_AMOUNT_TEXT, "%.1f %s", amount, units[unit]);
    return out;
}

const char *ferry_amount_time(int64_t ms, char out[FERRY_AMOUNT_TEXT])
{
    static const struct {
        int64_t below_ms, unit_ms;
        const char *unit;
    } units[] = {
        {120000, 1000, "s"}, {7200000, 60000, "min"}, {INT64_C(172800000), 3600000, "h"}, {INT64_MAX, 86400000, "d"}};
    size_t unit = 0;
    if (ms < 0)
        ms = 0;
    while (ms >= units[unit].below_ms)
        unit++;
    snprintf(out, FERRY_AMOUNT_TEXT, "%" PRId64 " %s", ms / units[unit].unit_ms, units[unit].unit);
    return out;
}

/* ---- tables ---- */

void ferry_table_init(struct ferry_table *table, const struct ferry_column *columns, size_t count)
{
    *table = (struct ferry_table){.columns = columns, .column_count = count};
    ferry_arena_init(&table->arena);
}

void ferry_table_done(struct ferry_table *table)
{
    ferry_arena_done(&table->arena);
    free(table->cells);
    *table = (struct ferry_table){0};
}

static bool make_room(struct ferry_table *table)
{
    if (table->cell_count + table->column_count <= table->cell_room)
        return true;
    size_t room = table->cell_room * 2 + 16 * table->column_count;
    struct ferry_slice *grown = reallocarray(table->cells, room, sizeof *grown);
    if (grown == NULL)
        return false;
    table->cells = grown;
    table->cell_room = room;
    return true;
}

void ferry_table_add(struct ferry_table *table, const struct ferry_slice *cells)
{
    if (table->failed || !make_room(table)) {
        table->failed = true;
        return;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer shown;
        ferry_buffer_init(&shown, CELL_BYTES);
        ferry_terminal_add(&shown, cells[i], false);
        struct ferry_slice copy =
            ferry_arena_slice(&table->arena, shown.failed ? FERRY_SLICE("(too long)") : ferry_buffer_slice(&shown));
        table->failed |= copy.ptr == NULL && shown.len > 0;
        table->cells[table->cell_count++] = copy;
    }
}

/* In characters; those that are wider than one place are taken for one. */
static int width_of(struct ferry_slice text)
{
    int width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return width;
}

static int width_of_column(const struct ferry_table *table, size_t column)
{
    int widest = width_of(ferry_slice_from(table->columns[column].title));
    for (size_t i = column; i < table->cell_count; i += table->column_count)
        if (width_of(table->cells[i]) > widest)
            widest = width_of(table->cells[i]);
    return widest;
}

static void print_cell(struct ferry_slice text, int width, bool right, bool last, FILE *out)
{
    int gap = width - width_of(text);
    fprintf(out, "%*s%.*s%*s", right ? gap : 0, "", FERRY_SLICE_ARGS(text), right || last ? 0 : gap, "");
    fprintf(out, "%*s", last ? 0 : GAP, "");
}

void ferry_table_print(const struct ferry_table *table, FILE *out)
{
    int *widths = calloc(table->column_count, sizeof *widths);
    if (table->cell_count == 0 || widths == NULL || table->failed) {
        if (table->cell_count > 0)
            fputs("(out of memory)\n", out);
        free(widths);
        return;
    }
    for (size_t c = 0; c < table->column_count; c++)
        widths[c] = width_of_column(table, c);
    for (size_t c = 0; c < table->column_count; c++)
        print_cell(ferry_slice_from(table->columns[c].title), widths[c], table->columns[c].right,
                   c + 1 == table->column_count, out);
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t c = i % table->column_count;
        if (c == 0)
            fputc('\n', out);
        print_cell(table->cells[i], widths[c], table->columns[c].right, c + 1 == table->column_count, out);
    }
    fputc('\n', out);
    free(widths);
}

/* ---- JSON ---- */

void ferry_json_add_text(struct ferry_buffer *out, const char *name, struct ferry_slice text)
{
    ferry_buffer_printf(out, "\"%s\": ", name);
    if (text.ptr != NULL)
        ferry_buffer_add_json_string(out, text);
    else
        ferry_buffer_add_text(out, "null");
    ferry_buffer_add_text(out, ", ");
}
