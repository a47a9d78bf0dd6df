/* One pass over the words of the text. A word is a run of letters, digits, - and _; only where one begins can a token
 * or a telling name begin. What is hidden is cut out of the text as it stands, so that JSON stays readable as JSON. */
#include "bridge/console/conceal.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/mask.h"

enum { TOKEN_LEAST = 12, AFTER_SCHEME_LEAST = 6, NAME_MAX_BYTES = 64 };

/* A part of a text: from `from`, without `to`. */
struct stretch {
    size_t from, to;
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool is_name(char c)
{
    return is_word(c) || c == '.';
}

static bool is_token(char c)
{
    return is_word(c) || (c != '\0' && strchr(".+/=~:", c) != NULL);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static char at(struct ferry_slice text, size_t i)
{
    return i < text.len ? text.ptr[i] : '\0';
}

static size_t skip(struct ferry_slice text, size_t i, bool (*wanted)(char c))
{
    while (i < text.len && wanted(text.ptr[i]))
        i++;
    return i;
}

/* ---- what a token looks like ---- */

static bool ends_with(struct ferry_slice text, size_t end, const char *what)
{
    size_t len = strlen(what);
    return end >= len && memcmp(text.ptr + end - len, what, len) == 0;
}

static bool begins_a_token(struct ferry_slice rest)
{
    static const char *const beginnings[] = {"eyJ",      "xoxa-",    "xoxb-",  "xoxp-", "xoxr-",
                                             "xapp-",    "ghp_",     "gho_",   "ghs_",  "github_pat_",
                                             "sk_live_", "sk_test_", "whsec_", "AKIA",  "glpat-"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (ferry_slice_starts(rest, beginnings[i]))
            return true;
    return false;
}

/* A token whose first word is at `from`. Runs are measured only where one may begin: a text of a thousand short words
 * is not gone through a thousand times. */
static bool find_token(struct ferry_slice text, size_t from, size_t word_end, struct stretch *out)
{
    struct ferry_slice word = ferry_slice_of(text.ptr + from, word_end - from);
    size_t begin = from, least = TOKEN_LEAST;
    if (ferry_slice_is_nocase(word, "bearer") || ferry_slice_is_nocase(word, "basic")) {
        begin = skip(text, word_end, is_blank);
        least = AFTER_SCHEME_LEAST;
        if (begin == word_end)
            return false;
    } else if (ferry_slice_is(word, "services") && ends_with(text, from, "hooks.slack.com/")) {
        begin = word_end;
        least = 1;
    } else if (ferry_slice_is(word, "triggers") && ends_with(text, from, "/") && at(text, word_end) == '/') {
        begin = skip(text, word_end + 1, is_name) + 1; /* behind the trigger's name: a key, or a run and its token */
        if (at(text, begin - 1) != '/')
            return false;
        least = 1;
    } else if (!begins_a_token(ferry_slice_skip(text, from))) {
        return false;
    }
    size_t end = skip(text, begin, is_token);
    *out = (struct stretch){begin, end};
    return end - begin >= least;
}

/* ---- what stands behind a telling name ---- */

/* Compared without - and _, in lower case. */
static const struct telling {
    const char *word;
    bool whole_line; /* its value goes to the end of the line, where it has no quotes */
} telling[] = {{"authorization", true}, {"cookie", true},     {"password", false},   {"passwd", false},
               {"passphrase", false},   {"secret", false},    {"token", false},      {"apikey", false},
               {"credential", false},   {"signature", false}, {"privatekey", false}, {"accesskey", false},
               {"ferrykey", false},     {"pwd", false}};

static const struct telling *find_telling_in(struct ferry_slice word)
{
    char name[NAME_MAX_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < word.len && len + 1 < sizeof name; i++)
        if (isalnum((unsigned char)word.ptr[i]))
            name[len++] = (char)tolower((unsigned char)word.ptr[i]);
    name[len] = '\0';
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        if (strstr(name, telling[i].word) != NULL)
            return &telling[i];
    return NULL;
}

/* Of a word that is longer than any name, its two ends. */
static const struct telling *find_telling(struct ferry_slice word)
{
    const struct telling *found = find_telling_in(word);
    if (found == NULL && word.len >= NAME_MAX_BYTES)
        found = find_telling_in(ferry_slice_skip(word, word.len - NAME_MAX_BYTES + 1));
    return found;
}

/* `open` is behind the opening quote; where the text in quotes ends. Inside a text that is JSON in JSON quotes are
 * escaped, the closing one too. */
static size_t end_of_quoted(struct ferry_slice text, size_t open, bool escaped)
{
    char quote = text.ptr[open - 1];
    for (size_t i = open; i < text.len; i++) {
        bool backslash = text.ptr[i] == '\\';
        if (text.ptr[i] == quote || (escaped && backslash && at(text, i + 1) == quote))
            return i;
        i += backslash;
    }
    return text.len;
}

/* `open` is at a bracket; behind the one that closes it. */
static size_t end_of_brackets(struct ferry_slice text, size_t open)
{
    int depth = 0;
    for (size_t i = open; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"')
            i = end_of_quoted(text, i + 1, false);
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (depth == 0)
            return i + 1 < text.len ? i + 1 : text.len;
    }
    return text.len;
}

static size_t end_of_bare(struct ferry_slice text, size_t from, bool whole_line)
{
    size_t i = from;
    while (i < text.len && strchr(whole_line ? "\r\n" : ",}]&;\"'<>) \t\r\n", text.ptr[i]) == NULL)
        i++;
    return i;
}

/* The value behind the name that ends at `i`. False where there is none, or nothing to hide. */
static bool find_value(struct ferry_slice text, size_t i, bool whole_line, struct stretch *out)
{
    while (at(text, i) == '\\' || is_quote(at(text, i)))
        i++;
    i = skip(text, i, is_blank);
    if (at(text, i) != ':' && at(text, i) != '=')
        return false;
    i = skip(text, i + 1, is_blank);
    bool escaped = at(text, i) == '\\';
    while (at(text, i) == '\\')
        i++;
    if (is_quote(at(text, i)))
        *out = (struct stretch){i + 1, end_of_quoted(text, i + 1, escaped)};
    else if (at(text, i) == '{' || at(text, i) == '[')
        *out = (struct stretch){i, end_of_brackets(text, i)};
    else
        *out = (struct stretch){i, end_of_bare(text, i, whole_line)};
    struct ferry_slice value = ferry_slice_of(text.ptr + out->from, out->to - out->from);
    return value.len > 0 && !ferry_slice_is(value, "null") && !ferry_slice_is(value, "true") &&
           !ferry_slice_is(value, "false");
}

/* ---- the whole ---- */

static bool find_hidden(struct ferry_slice text, size_t from, size_t word_end, struct stretch *out)
{
    if (find_token(text, from, word_end, out))
        return true;
    const struct telling *name = find_telling(ferry_slice_of(text.ptr + from, word_end - from));
    return name != NULL && find_value(text, word_end, name->whole_line, out);
}

static void hide_secrets(struct ferry_slice text, struct ferry_buffer *out)
{
    for (size_t i = 0, end; i < text.len; i = end) {
        struct stretch hidden;
        end = skip(text, i, is_word);
        if (end == i) {
            ferry_buffer_add(out, ferry_slice_of(text.ptr + i, 1));
            end = i + 1;
        } else if (find_hidden(text, i, end, &hidden)) {
            ferry_buffer_add(out, ferry_slice_of(text.ptr + i, hidden.from - i));
            ferry_buffer_add_text(out, "***");
            end = hidden.to;
        } else {
            ferry_buffer_add(out, ferry_slice_of(text.ptr + i, end - i));
        }
    }
}

void ferry_console_conceal(struct ferry_slice text, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer hidden;
    ferry_buffer_init(&hidden, text.len * 2 + 64);
    hide_secrets(text, &hidden);
    size_t room = hidden.len * 4 + 1;
    char *masked = malloc(room);
    out->failed |= masked == NULL || hidden.failed; /* rather nothing than a secret */
    if (masked != NULL && !hidden.failed)
        ferry_buffer_add(out, ferry_slice_of(masked, ferry_mask_addresses(ferry_buffer_slice(&hidden), masked, room)));
    free(masked);
}
