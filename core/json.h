/* The span scanner: checks a whole JSON text (RFC 8259, strict) and reports where its parts lie, without converting a
 * number, copying a byte or building a tree.
 *
 * It is iterative, with a bounded depth; UTF-8 is strict, lone surrogate escapes are accepted (the grammar allows
 * them) and reported by ferry_json_unescape. Spans point into the scanned text. */
#ifndef FERRY_CORE_JSON_H
#define FERRY_CORE_JSON_H

#include "core/arena.h"
#include "core/error.h"
#include "core/slice.h"

enum { FERRY_JSON_DEPTH = 512 };

enum ferry_json_type {
    FERRY_JSON_NULL,
    FERRY_JSON_FALSE,
    FERRY_JSON_TRUE,
    FERRY_JSON_NUMBER,
    FERRY_JSON_STRING,
    FERRY_JSON_ARRAY,
    FERRY_JSON_OBJECT
};

/* A value's bytes as they stand, quotes and brackets included, white space around it not. */
struct ferry_json {
    enum ferry_json_type type;
    struct ferry_slice text;
};

/* A member of an object, or an element of an array (then `name` is absent). `name` is without quotes, and still
 * escaped if `name_escaped`. */
struct ferry_json_member {
    struct ferry_slice name;
    bool name_escaped;
    struct ferry_json value;
};

/* The parts of one value; `items` lives in the arena that was handed over. */
struct ferry_json_parts {
    struct ferry_json_member *items;
    size_t count;
};

/* Checks the whole `text`, which must be one JSON value with optional white space around it, and gives its type and
 * span; if it is an object or array and `parts` is not NULL, also its direct members, in order, duplicates included.
 * Fails with FERRY_JSON_INVALID (the text names the byte offset and what was expected) or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_json_scan(struct ferry_slice text, struct ferry_arena *arena,
                                                struct ferry_json *value, struct ferry_json_parts *parts,
                                                struct ferry_error *error);

/* The direct members of a value that a scan has already accepted; not re-checked. */
FERRY_NODISCARD enum ferry_code ferry_json_open(struct ferry_json value, struct ferry_arena *arena,
                                                struct ferry_json_parts *parts, struct ferry_error *error);

/* The first member of that name, or NULL. Escaped names are compared unescaped. */
const struct ferry_json_member *ferry_json_find(const struct ferry_json_parts *parts, const char *name);

/* The first member of that name of an object that a scan has already accepted; what is behind it is not looked at.
 * False if there is none, or if the value is no object. */
bool ferry_json_seek(struct ferry_slice object, const char *name, struct ferry_json *value);

/* The characters of a string value as UTF-8: a slice of the text itself when nothing was escaped, else in the arena.
 * Fails with FERRY_JSON_INVALID on a lone surrogate. */
FERRY_NODISCARD enum ferry_code ferry_json_unescape(struct ferry_json string, struct ferry_arena *arena,
                                                    struct ferry_slice *out, struct ferry_error *error);

/* The characters of a member's name, in the same way. */
FERRY_NODISCARD enum ferry_code ferry_json_member_name(const struct ferry_json_member *member,
                                                       struct ferry_arena *arena, struct ferry_slice *out,
                                                       struct ferry_error *error);

/* "null", "boolean", "number", "string", "array", "object". */
const char *ferry_json_type_name(enum ferry_json_type type);

#endif
