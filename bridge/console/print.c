#include "bridge/console/print.h"

#include <inttypes.h>

#include "bridge/console/conceal.h"

enum { TEXT_MAX_BYTES = 256 * 1024 };

void ferry_console_member(struct ferry_buffer *out, const char *name)
{
    char last = out->len > 0 ? out->ptr[out->len - 1] : '{';
    if (last != '{' && last != '[')
        ferry_buffer_add_char(out, ',');
    if (name != NULL)
        ferry_buffer_printf(out, "\"%s\":", name);
}

void ferry_console_add_plain(struct ferry_buffer *out, const char *name, const char *text)
{
    ferry_console_member(out, name);
    ferry_buffer_add_json_string(out, ferry_slice_from(text));
}

void ferry_console_add_text(struct ferry_buffer *out, const char *name, struct ferry_slice text)
{
    ferry_console_member(out, name);
    if (text.ptr == NULL) {
        ferry_buffer_add_text(out, "null");
        return;
    }
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer shown;
    ferry_buffer_init(&shown, TEXT_MAX_BYTES);
    ferry_console_conceal(text, &shown);
    ferry_buffer_add_json_string(out, shown.failed ? FERRY_SLICE("(not shown)") : ferry_buffer_slice(&shown));
}

void ferry_console_add_number(struct ferry_buffer *out, const char *name, int64_t number)
{
    ferry_console_member(out, name);
    ferry_buffer_printf(out, "%" PRId64, number);
}

void ferry_console_add_moment(struct ferry_buffer *out, const char *name, int64_t wall_ms)
{
    ferry_console_member(out, name);
    if (wall_ms > 0)
        ferry_buffer_printf(out, "%" PRId64, wall_ms);
    else
        ferry_buffer_add_text(out, "null");
}

void ferry_console_add_flag(struct ferry_buffer *out, const char *name, bool flag)
{
    ferry_console_member(out, name);
    ferry_buffer_add_text(out, flag ? "true" : "false");
}

void ferry_console_open(struct ferry_buffer *out, const char *name, char bracket)
{
    ferry_console_member(out, name);
    ferry_buffer_add_char(out, bracket);
}

void ferry_console_close(struct ferry_buffer *out, char bracket)
{
    ferry_buffer_add_char(out, bracket);
}
