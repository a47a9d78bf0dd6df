#include "core/json.h"

#include <stdint.h>

#include "core/hex.h"
#include "core/plain.h"
#include "core/utf8.h"

/* How the scanner works
 *
 * One pass, no recursion: a value is read, then as many brackets are closed as follow it, then comes a comma and, in
 * an object, a name; and so on until nothing is open. What is open is a stack of bits, one a level: object or array.
 *
 * Only two levels are recorded: the top value itself (level 0) and its direct members (level 1). Deeper levels are
 * checked and forgotten, so that a megabyte of `data` costs no memory. */

enum { FIRST_MEMBERS = 12 }; /* room for those of an event; of a batch it is taken for each */

struct scanner {
    const char *begin, *at, *end;
    size_t depth;                            /* how many brackets are open */
    uint64_t objects[FERRY_JSON_DEPTH / 64]; /* bit d: the bracket that opened level d + 1 is a `{` */
    struct ferry_json levels[2];             /* the value that is being read at level 0 and 1 */
    struct ferry_json_member name;           /* the name in front of it */
    struct ferry_slice wanted;               /* the one member that is sought; absent: none */
    bool found;                              /* it is the one at level 1 */
    struct ferry_arena *arena;               /* NULL: members are not wanted */
    struct ferry_json_parts parts;
    size_t capacity;
    struct ferry_error *error;
};

/* ---- failing ---- */

static enum ferry_code expected(struct scanner *s, const char *what)
{
    return ferry_fail(s->error, FERRY_JSON_INVALID, "JSON: at byte %zu: expected %s", (size_t)(s->at - s->begin), what);
}

static enum ferry_code out_of_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "JSON: out of memory");
}

/* ---- bytes ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct scanner *s)
{
    return s->at < s->end ? *s->at : '\0';
}

static void skip_space(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool take(struct scanner *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* ---- scalars ---- */

static enum ferry_code scan_escape(struct scanner *s)
{
    s->at++; /* the backslash */
    if (peek(s) != '\0' && strchr("\"\\/bfnrt", *s->at) != NULL) {
        s->at++;
        return FERRY_OK;
    }
    if (!take(s, 'u'))
        return expected(s, "one of \" \\ / b f n r t u after a backslash");
    for (int i = 0; i < 4; i++, s->at++)
        if (ferry_hex_digit(peek(s)) < 0)
            return expected(s, "four hexadecimal digits after \\u");
    return FERRY_OK;
}

/* A string from its first quote on; tells whether it has escapes. */
static enum ferry_code scan_string(struct scanner *s, bool *escaped)
{
    *escaped = false;
    s->at++;
    for (;;) {
        s->at = ferry_plain_end(s->at, s->end);
        if (s->at == s->end)
            return expected(s, "the closing quote of a string");
        if (take(s, '"'))
            return FERRY_OK;
        if (*s->at == '\\') {
            *escaped = true;
            enum ferry_code code = scan_escape(s);
            if (code != FERRY_OK)
                return code;
            continue;
        }
        size_t len = (unsigned char)*s->at < 0x20 ? 0 : ferry_utf8_sequence(s->at, (size_t)(s->end - s->at));
        if (len == 0)
            return expected(s, (unsigned char)*s->at < 0x20 ? "control characters to be escaped" : "valid UTF-8");
        s->at += len;
    }
}

static bool take_digits(struct scanner *s)
{
    const char *first = s->at;
    while (is_digit(peek(s)))
        s->at++;
    return s->at > first;
}

static enum ferry_code scan_number(struct scanner *s)
{
    take(s, '-');
    if (!take(s, '0') && !take_digits(s))
        return expected(s, "a digit");
    if (take(s, '.') && !take_digits(s))
        return expected(s, "a digit after the decimal point");
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            take(s, '-');
        if (!take_digits(s))
            return expected(s, "a digit in the exponent");
    }
    return FERRY_OK;
}

static enum ferry_code scan_word(struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return expected(s, "a value");
    s->at += len;
    return FERRY_OK;
}

/* ---- names; strings of an accepted text ---- */

static unsigned four_hex(const char *at)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)ferry_hex_digit(at[i]);
    return value;
}

/* Writes the character of the escape at `*at` (a backslash) and moves past it; returns its length, 0 for a lone
 * surrogate. */
static size_t read_escape(const char **at, const char *end, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char letter = (*at)[1];
    if (letter != 'u') {
        out[0] = to[strchr(from, letter) - from];
        *at += 2;
        return 1;
    }
    unsigned unit = four_hex(*at + 2);
    *at += 6;
    if (unit < 0xD800 || unit > 0xDFFF)
        return ferry_utf8_encode(unit, out);
    if (unit > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return 0;
    unsigned low = four_hex(*at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *at += 6;
    return ferry_utf8_encode(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00), out);
}

/* Is `escaped`, unescaped, this text? */
static bool unescapes_to(struct ferry_slice escaped, struct ferry_slice text)
{
    const char *at = escaped.ptr, *end = escaped.ptr + escaped.len;
    while (at < end) {
        char character[4] = {*at};
        size_t len = 1;
        if (*at == '\\')
            len = read_escape(&at, end, character);
        else
            at++;
        if (len == 0 || len > text.len || memcmp(character, text.ptr, len) != 0)
            return false;
        text = ferry_slice_skip(text, len);
    }
    return text.len == 0;
}

static bool is_named(const struct ferry_json_member *member, struct ferry_slice name)
{
    if (member->name.ptr == NULL)
        return false;
    return member->name_escaped ? unescapes_to(member->name, name) : ferry_slice_equal(member->name, name);
}

/* ---- structure ---- */

static bool in_object(const struct scanner *s)
{
    return s->objects[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
}

static enum ferry_code open_bracket(struct scanner *s)
{
    if (s->depth == FERRY_JSON_DEPTH)
        return expected(s, "no more than 512 levels of nesting");
    uint64_t bit = UINT64_C(1) << s->depth % 64;
    if (*s->at == '{')
        s->objects[s->depth / 64] |= bit;
    else
        s->objects[s->depth / 64] &= ~bit;
    s->depth++;
    s->at++;
    return FERRY_OK;
}

static void value_begins(struct scanner *s, enum ferry_json_type type)
{
    if (s->depth < 2)
        s->levels[s->depth] = (struct ferry_json){type, {s->at, 0}};
}

static enum ferry_code add_member(struct scanner *s)
{
    if (s->parts.count == s->capacity) {
        size_t capacity = s->capacity == 0 ? FIRST_MEMBERS : s->capacity * 2;
        struct ferry_json_member *items = ferry_arena_new_array(s->arena, capacity, sizeof *items);
        if (items == NULL)
            return out_of_memory(s->error);
        if (s->parts.count > 0)
            memcpy(items, s->parts.items, s->parts.count * sizeof *items);
        s->parts.items = items;
        s->capacity = capacity;
    }
    s->name.value = s->levels[1];
    s->parts.items[s->parts.count++] = s->name;
    return FERRY_OK;
}

static enum ferry_code value_ends(struct scanner *s)
{
    if (s->depth >= 2)
        return FERRY_OK;
    struct ferry_slice *text = &s->levels[s->depth].text;
    text->len = (size_t)(s->at - text->ptr);
    s->found |= s->depth == 1 && s->wanted.ptr != NULL && is_named(&s->name, s->wanted);
    return s->depth == 1 && s->arena != NULL ? add_member(s) : FERRY_OK;
}

static enum ferry_code scan_scalar(struct scanner *s, char first)
{
    bool escaped;
    switch (first) {
    case '"':
        value_begins(s, FERRY_JSON_STRING);
        return scan_string(s, &escaped);
    case 't':
        value_begins(s, FERRY_JSON_TRUE);
        return scan_word(s, "true");
    case 'f':
        value_begins(s, FERRY_JSON_FALSE);
        return scan_word(s, "false");
    case 'n':
        value_begins(s, FERRY_JSON_NULL);
        return scan_word(s, "null");
    default:
        if (first != '-' && !is_digit(first))
            return expected(s, "a value");
        value_begins(s, FERRY_JSON_NUMBER);
        return scan_number(s);
    }
}

/* Reads a whole scalar, or only the bracket that opens an array or object. */
static enum ferry_code scan_value(struct scanner *s, bool *opened)
{
    skip_space(s);
    char first = peek(s);
    *opened = first == '{' || first == '[';
    if (*opened) {
        value_begins(s, first == '{' ? FERRY_JSON_OBJECT : FERRY_JSON_ARRAY);
        return open_bracket(s);
    }
    enum ferry_code code = scan_scalar(s, first);
    return code == FERRY_OK ? value_ends(s) : code;
}

/* Closes all brackets that end here. */
static enum ferry_code close_brackets(struct scanner *s, bool *closed)
{
    *closed = false;
    for (; s->depth > 0; *closed = true) {
        skip_space(s);
        if (!take(s, in_object(s) ? '}' : ']'))
            return FERRY_OK;
        s->depth--;
        enum ferry_code code = value_ends(s);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

static enum ferry_code scan_name(struct scanner *s)
{
    skip_space(s);
    if (peek(s) != '"')
        return expected(s, "a member's name in quotes");
    const char *quote = s->at;
    bool escaped;
    enum ferry_code code = scan_string(s, &escaped);
    if (code != FERRY_OK)
        return code;
    if (s->depth == 1) {
        s->name.name = ferry_slice_of(quote + 1, (size_t)(s->at - quote) - 2);
        s->name.name_escaped = escaped;
    }
    skip_space(s);
    return take(s, ':') ? FERRY_OK : expected(s, "a colon");
}

static enum ferry_code scan_text(struct scanner *s)
{
    for (;;) {
        bool opened, closed;
        enum ferry_code code = scan_value(s, &opened);
        if (code == FERRY_OK)
            code = close_brackets(s, &closed);
        if (code != FERRY_OK || s->depth == 0 || s->found)
            return code;
        bool first = opened && !closed; /* of its array or object: no comma before it */
        if (!first && !take(s, ','))
            return expected(s, in_object(s) ? "a comma or }" : "a comma or ]");
        if (in_object(s) && (code = scan_name(s)) != FERRY_OK)
            return code;
    }
}

enum ferry_code ferry_json_scan(struct ferry_slice text, struct ferry_arena *arena, struct ferry_json *value,
                                struct ferry_json_parts *parts, struct ferry_error *error)
{
    const char *begin = text.ptr != NULL ? text.ptr : "";
    struct scanner s = {
        .begin = begin, .at = begin, .end = begin + text.len, .arena = parts != NULL ? arena : NULL, .error = error};
    enum ferry_code code = scan_text(&s);
    if (code != FERRY_OK)
        return code;
    skip_space(&s);
    if (s.at != s.end)
        return expected(&s, "nothing more after the value");
    *value = s.levels[0];
    if (parts != NULL)
        *parts = s.parts;
    return FERRY_OK;
}

enum ferry_code ferry_json_open(struct ferry_json value, struct ferry_arena *arena, struct ferry_json_parts *parts,
                                struct ferry_error *error)
{
    /* Finding where the members end is the same walk as checking them. */
    return ferry_json_scan(value.text, arena, &value, parts, error);
}

/* ---- parts of an accepted text ---- */

const struct ferry_json_member *ferry_json_find(const struct ferry_json_parts *parts, const char *name)
{
    struct ferry_slice wanted = ferry_slice_from(name);
    for (size_t i = 0; i < parts->count; i++)
        if (is_named(&parts->items[i], wanted))
            return &parts->items[i];
    return NULL;
}

bool ferry_json_seek(struct ferry_slice object, const char *name, struct ferry_json *value)
{
    struct ferry_error error;
    struct scanner s = {.begin = object.ptr,
                        .at = object.ptr,
                        .end = object.ptr + object.len,
                        .wanted = ferry_slice_from(name),
                        .error = &error};
    if (scan_text(&s) != FERRY_OK || !s.found)
        return false;
    *value = s.levels[1];
    return true;
}

static enum ferry_code unescape(struct ferry_slice escaped, struct ferry_arena *arena, struct ferry_slice *out,
                                struct ferry_error *error)
{
    char *text = ferry_arena_new(arena, escaped.len + 1); /* unescaping never lengthens */
    if (text == NULL)
        return out_of_memory(error);
    size_t len = 0;
    const char *at = escaped.ptr, *end = escaped.ptr + escaped.len;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash != NULL ? backslash : end) - at);
        memcpy(text + len, at, plain);
        len += plain;
        at += plain;
        if (at == end)
            break;
        char character[4];
        size_t taken = read_escape(&at, end, character);
        if (taken == 0)
            return ferry_fail(error, FERRY_JSON_INVALID, "JSON: a lone surrogate in a string");
        memcpy(text + len, character, taken);
        len += taken;
    }
    *out = ferry_slice_of(text, len);
    return FERRY_OK;
}

enum ferry_code ferry_json_unescape(struct ferry_json string, struct ferry_arena *arena, struct ferry_slice *out,
                                    struct ferry_error *error)
{
    struct ferry_slice inner = ferry_slice_of(string.text.ptr + 1, string.text.len - 2);
    if (memchr(inner.ptr, '\\', inner.len) != NULL)
        return unescape(inner, arena, out, error);
    *out = inner;
    return FERRY_OK;
}

enum ferry_code ferry_json_member_name(const struct ferry_json_member *member, struct ferry_arena *arena,
                                       struct ferry_slice *out, struct ferry_error *error)
{
    if (member->name_escaped)
        return unescape(member->name, arena, out, error);
    *out = member->name;
    return FERRY_OK;
}

const char *ferry_json_type_name(enum ferry_json_type type)
{
    static const char *const names[] = {
        [FERRY_JSON_NULL] = "null",     [FERRY_JSON_FALSE] = "boolean", [FERRY_JSON_TRUE] = "boolean",
        [FERRY_JSON_NUMBER] = "number", [FERRY_JSON_STRING] = "string", [FERRY_JSON_ARRAY] = "array",
        [FERRY_JSON_OBJECT] = "object"};
    return names[type];
}
