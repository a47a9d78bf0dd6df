/* Borrowed text: a pointer and a length. A slice owns nothing and need not end in NUL; whoever hands one out says how
 * long the bytes live. {NULL, 0} is "absent", {p, 0} with p set is "empty". */
#ifndef FERRY_CORE_SLICE_H
#define FERRY_CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct ferry_slice {
    const char *ptr;
    size_t len;
};

/* Of a string literal; usable in static initializers. */
#define FERRY_SLICE_LITERAL(text) \
    {                             \
        (text), sizeof(text) - 1  \
    }
#define FERRY_SLICE(text) ((struct ferry_slice){(text), sizeof(text) - 1})
/* The two printf arguments of "%.*s". */
#define FERRY_SLICE_ARGS(s) (int)(s).len, (s).ptr != NULL ? (s).ptr : ""

static inline struct ferry_slice ferry_slice_from(const char *text)
{
    return (struct ferry_slice){text, text != NULL ? strlen(text) : 0};
}

static inline struct ferry_slice ferry_slice_of(const char *ptr, size_t len)
{
    return (struct ferry_slice){ptr, len};
}

static inline bool ferry_slice_equal(struct ferry_slice a, struct ferry_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool ferry_slice_is(struct ferry_slice a, const char *text)
{
    return ferry_slice_equal(a, ferry_slice_from(text));
}

/* ASCII case is ignored. */
static inline bool ferry_slice_is_nocase(struct ferry_slice a, const char *text)
{
    return a.len == strlen(text) && strncasecmp(a.ptr, text, a.len) == 0;
}

static inline bool ferry_slice_starts(struct ferry_slice a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.ptr, prefix, len) == 0;
}

static inline bool ferry_slice_starts_nocase(struct ferry_slice a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && strncasecmp(a.ptr, prefix, len) == 0;
}

/* Without the first `n` bytes; n <= a.len. */
static inline struct ferry_slice ferry_slice_skip(struct ferry_slice a, size_t n)
{
    return (struct ferry_slice){a.ptr + n, a.len - n};
}

/* Without spaces and tabs at both ends. */
struct ferry_slice ferry_slice_trim(struct ferry_slice a);

/* Shell-like match over the whole text: `*` any bytes, `?` one byte, nothing else is special. */
bool ferry_glob_match(const char *glob, struct ferry_slice text);

/* A name and a value: an HTTP field, a Kafka header, an extension attribute. */
struct ferry_pair {
    struct ferry_slice name;
    struct ferry_slice value;
};

/* A list of pairs that somebody else owns. */
struct ferry_pairs {
    const struct ferry_pair *items;
    size_t count;
};

/* The value of the first pair of that name (ASCII case ignored), or the absent slice. */
struct ferry_slice ferry_pairs_get(struct ferry_pairs pairs, const char *name);
/* How many pairs have that name (ASCII case ignored). */
size_t ferry_pairs_count(struct ferry_pairs pairs, const char *name);

#endif
