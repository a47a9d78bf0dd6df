/* A parser as lenient as libmicrohttpd 0.9.75's, for what tests the header gate: it works in place, overwrites the
 * colon and the line end of a field with NULs and nothing else, takes a bare LF for a line end, lets names and values
 * end at their first NUL, and glues a folded line to the *name* of the field before, elsewhere in memory. */
#ifndef FERRY_TESTS_SUPPORT_LENIENT_HEAD_H
#define FERRY_TESTS_SUPPORT_LENIENT_HEAD_H

#include "bridge/gate.h"

enum { LENIENT_FIELDS = 64, LENIENT_BYTES = 4096 };

struct lenient_head {
    char bytes[LENIENT_BYTES + 1];
    char glued[2 * LENIENT_BYTES];
    size_t glued_bytes;
    struct ferry_pair fields[LENIENT_FIELDS];
    size_t count;
    struct ferry_gate_head head;
};

/* Overwrites the line end; where the next line begins, or NULL without one. */
static inline char *lenient_end_line(char *line, const char *end)
{
    char *lf = (char *)memchr(line, '\n', (size_t)(end - line));
    if (lf == NULL)
        return NULL;
    *lf = '\0';
    if (lf > line && lf[-1] == '\r')
        lf[-1] = '\0';
    return lf + 1;
}

static inline bool lenient_glue(struct lenient_head *parsed, const char *line)
{
    if (parsed->count == 0)
        return false;
    struct ferry_pair *last = &parsed->fields[parsed->count - 1];
    line += strspn(line, " \t");
    size_t bytes = last->name.len + strlen(line) + 1;
    if (bytes > sizeof parsed->glued - parsed->glued_bytes)
        return false;
    char *name = parsed->glued + parsed->glued_bytes;
    memcpy(name, last->name.ptr, last->name.len);
    memcpy(name + last->name.len, line, strlen(line) + 1);
    parsed->glued_bytes += bytes;
    last->name = ferry_slice_from(name);
    return true;
}

static inline bool lenient_field(struct lenient_head *parsed, char *line)
{
    if (*line == ' ' || *line == '\t')
        return lenient_glue(parsed, line);
    char *colon = strchr(line, ':');
    if (colon == NULL || parsed->count == LENIENT_FIELDS)
        return false;
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    parsed->fields[parsed->count++] = (struct ferry_pair){ferry_slice_from(line), ferry_slice_from(value)};
    return true;
}

/* The request line up to `end`; false where the library would have refused by itself. */
static inline bool lenient_line(struct lenient_head *parsed, char *line, const char *end)
{
    char *target = (char *)memchr(line, ' ', (size_t)(end - line));
    char *version = (char *)memrchr(line, ' ', (size_t)(end - line));
    if (target == NULL || target == version || end - version != 9 || strncmp(version + 1, "HTTP/1.", 7) != 0 ||
        version[8] < '0' || version[8] > '9')
        return false;
    *target++ = *version++ = '\0';
    char *visible = target + strspn(target, " ");
    parsed->head = (struct ferry_gate_head){
        .method = ferry_slice_from(line),
        .target = ferry_slice_from(visible),
        .target_bytes = (size_t)(version - line) - strlen(line) - 2,
        .version = ferry_slice_from(version),
        .section = ferry_slice_of(version + strlen(version) + 2, 0),
    };
    return true;
}

static inline bool lenient_parse(struct lenient_head *parsed, struct ferry_slice request)
{
    parsed->count = parsed->glued_bytes = 0;
    if (request.len == 0 || request.len > LENIENT_BYTES)
        return false;
    memcpy(parsed->bytes, request.ptr, request.len);
    parsed->bytes[request.len] = '\0';
    const char *end = parsed->bytes + request.len;
    char *line = lenient_end_line(parsed->bytes, end);
    if (line == NULL)
        return false;
    bool crlf = line - parsed->bytes >= 2 && line[-2] == '\0' && request.ptr[line - parsed->bytes - 2] == '\r';
    if (!lenient_line(parsed, parsed->bytes, line - (crlf ? 2 : 1)))
        return false;
    for (char *next; (next = lenient_end_line(line, end)) != NULL; line = next) {
        if (*line != '\0') {
            if (!lenient_field(parsed, line))
                return false;
            continue;
        }
        if (next < parsed->head.section.ptr)
            return false;
        parsed->head.fields = (struct ferry_pairs){parsed->fields, parsed->count};
        parsed->head.section.len = (size_t)(next - parsed->head.section.ptr);
        return true;
    }
    return false; /* no blank line yet */
}

#endif
