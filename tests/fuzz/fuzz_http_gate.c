/* Heads through a parser that is as lenient as the HTTP library's, then through the gate. Whatever the gate lets pass
 * must be a strict RFC 9112 head in the bytes as they came, with one reading only. */
#include <stdint.h>
#include <stdlib.h>

#include "tests/support/lenient_head.h"

static void demand(bool condition)
{
    if (!condition)
        abort();
}

/* Cuts the first line off, which must end in CR LF and hold no other CR, LF or NUL. */
static struct ferry_slice strict_line(struct ferry_slice *rest)
{
    const char *lf = memchr(rest->ptr, '\n', rest->len);
    demand(lf != NULL && lf > rest->ptr && lf[-1] == '\r');
    struct ferry_slice line = ferry_slice_of(rest->ptr, (size_t)(lf - rest->ptr) - 1);
    demand(line.len == 0 || (memchr(line.ptr, '\r', line.len) == NULL && memchr(line.ptr, '\0', line.len) == NULL));
    *rest = ferry_slice_skip(*rest, line.len + 2);
    return line;
}

static void demand_field(struct ferry_slice line, const struct ferry_pair *seen)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    demand(colon != NULL && colon > line.ptr);
    demand(memchr(line.ptr, ' ', (size_t)(colon - line.ptr)) == NULL);
    demand(memchr(line.ptr, '\t', (size_t)(colon - line.ptr)) == NULL);
    size_t name_len = (size_t)(colon - line.ptr);
    demand(ferry_slice_equal(ferry_slice_of(line.ptr, name_len), seen->name));
    struct ferry_slice value = ferry_slice_of(colon + 1, line.len - name_len - 1);
    demand(ferry_slice_equal(ferry_slice_trim(value), ferry_slice_trim(seen->value)));
}

static void demand_strict(struct ferry_slice request, const struct lenient_head *parsed)
{
    struct ferry_slice line = strict_line(&request);
    size_t blanks = 0;
    for (size_t i = 0; i < line.len; i++)
        blanks += line.ptr[i] == ' ';
    demand(blanks == 2);
    for (size_t i = 0; i < parsed->count; i++)
        demand_field(strict_line(&request), &parsed->fields[i]);
    demand(strict_line(&request).len == 0);
}

/* Beside a line end a NUL leaves the same bytes in memory as the line end itself: NUL LF looks like CR LF. That is the
 * one thing that the layout cannot tell. */
static bool holds_nul_at_line_end(struct ferry_slice request)
{
    for (size_t i = 0; i + 1 < request.len; i++) {
        if (request.ptr[i] == '\0' && (request.ptr[i + 1] == '\n' || request.ptr[i + 1] == '\r'))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lenient_head parsed;
    struct ferry_slice request = ferry_slice_of((const char *)data, size);
    struct ferry_gate_body body;
    struct ferry_error error = {0};
    if (holds_nul_at_line_end(request) || !lenient_parse(&parsed, request))
        return 0;
    if (ferry_gate_check(&parsed.head, &body, &error) != FERRY_OK) {
        demand(error.text[0] != '\0');
        return 0;
    }
    demand_strict(request, &parsed);
    demand(ferry_pairs_count(parsed.head.fields, "Host") <= 1);
    demand(ferry_pairs_count(parsed.head.fields, "Content-Length") +
               ferry_pairs_count(parsed.head.fields, "Transfer-Encoding") <=
           1);
    demand(body.length <= INT64_MAX && !(body.chunked && body.length > 0));
    return 0;
}
