#include "core/slice.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct ferry_slice ferry_slice_trim(struct ferry_slice a)
{
    while (a.len > 0 && is_blank(a.ptr[0]))
        a = ferry_slice_skip(a, 1);
    while (a.len > 0 && is_blank(a.ptr[a.len - 1]))
        a.len--;
    return a;
}

bool ferry_glob_match(const char *glob, struct ferry_slice text)
{
    /* On a mismatch the last star swallows one byte more: linear memory, no recursion. */
    const char *star = NULL;
    size_t at = 0, resume = 0;
    while (at < text.len) {
        if (*glob == '*') {
            star = ++glob;
            resume = at;
        } else if (*glob != '\0' && (*glob == '?' || *glob == text.ptr[at])) {
            glob++;
            at++;
        } else if (star != NULL) {
            glob = star;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

struct ferry_slice ferry_pairs_get(struct ferry_pairs pairs, const char *name)
{
    for (size_t i = 0; i < pairs.count; i++)
        if (ferry_slice_is_nocase(pairs.items[i].name, name))
            return pairs.items[i].value;
    return (struct ferry_slice){NULL, 0};
}

size_t ferry_pairs_count(struct ferry_pairs pairs, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < pairs.count; i++)
        count += ferry_slice_is_nocase(pairs.items[i].name, name);
    return count;
}
