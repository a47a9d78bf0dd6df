#include "core/names.h"

#include <string.h>

static const char *const words[FERRY_NAMES] = {
    [FERRY_NAME_USER] = "user", [FERRY_NAME_SPACE] = "space", [FERRY_NAME_APP] = "app"};

const char *ferry_name_word(enum ferry_name_kind kind)
{
    return words[kind];
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Does the path that goes on with the dot at `dot` begin there, or at a variable? `.data.user` is somebody else. */
static bool begins_path(const char *source, const char *dot)
{
    const char *at = dot;
    while (at > source && is_word(at[-1]))
        at--;
    char before = at > source ? at[-1] : ' ';
    if (at < dot)
        return before == '$';
    return strchr(")]}\"?", before) == NULL;
}

static bool mentions(const char *source, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = source; (at = strchr(at, '.')) != NULL; at++)
        if (strncmp(at + 1, word, len) == 0 && !is_word(at[1 + len]) && begins_path(source, at))
            return true;
    return false;
}

unsigned ferry_names_mentioned(const char *source)
{
    unsigned kinds = 0;
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        if (mentions(source, words[kind]))
            kinds |= 1U << kind;
    return kinds;
}
