/* The span scanner: no text makes it read outside of it, and what it accepts hangs together. */
#include <stdint.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/utf8.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A part of an accepted text is an accepted text, of the same type and the same bytes. */
static void check_part(const struct ferry_json_member *part, struct ferry_arena *arena)
{
    struct ferry_json again;
    struct ferry_json_parts parts;
    struct ferry_slice text;
    struct ferry_error error;
    require(ferry_json_scan(part->value.text, arena, &again, &parts, &error) == FERRY_OK);
    require(again.type == part->value.type && again.text.ptr == part->value.text.ptr);
    require(again.text.len == part->value.text.len);
    if (again.type == FERRY_JSON_STRING && ferry_json_unescape(again, arena, &text, &error) == FERRY_OK)
        require(ferry_utf8_valid(text) && text.len <= again.text.len - 2);
    if (part->name.ptr != NULL && ferry_json_member_name(part, arena, &text, &error) == FERRY_OK)
        require(ferry_utf8_valid(text));
}

static void check(struct ferry_slice text, struct ferry_arena *arena)
{
    struct ferry_json value;
    struct ferry_json_parts parts;
    struct ferry_error error;
    if (ferry_json_scan(text, arena, &value, &parts, &error) != FERRY_OK)
        return;
    require(ferry_utf8_valid(text));
    ferry_json_find(&parts, "id");
    const char *at = value.text.ptr;
    for (size_t i = 0; i < parts.count; i++) {
        require(parts.items[i].value.text.ptr > at);
        at = parts.items[i].value.text.ptr + parts.items[i].value.text.len;
        require(at < value.text.ptr + value.text.len);
        check_part(&parts.items[i], arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct ferry_arena arena = {0};
    check(ferry_slice_of((const char *)bytes, len), &arena);
    ferry_arena_done(&arena);
    return 0;
}
