/* Signatures. The input is a scheme's name, header lines (name:value), an empty line and the body. Whatever the headers
 * say, the answer is one of the few that there are; what Ferry signs itself is right for that body and for no other. */
#include <stdint.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/signature.h"

enum { MOST_HEADERS = 64, SCHEMES = FERRY_SIGNATURE_NONE + 1 };

static const int64_t now_ms = 1531420618000; /* of the corpus */
static const struct ferry_secret secret = {(char *)"8f742231b10e8888abcd99yyyzzz85a5", 32};
static struct ferry_verifier *verifiers[SCHEMES];

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct ferry_slice take_line(struct ferry_slice *text)
{
    const char *end = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    struct ferry_slice line = ferry_slice_of(text->ptr, len);
    *text = ferry_slice_skip(*text, end != NULL ? len + 1 : len);
    return line;
}

static struct ferry_pairs take_headers(struct ferry_slice *text, struct ferry_pair items[MOST_HEADERS])
{
    size_t count = 0;
    for (struct ferry_slice line; (line = take_line(text)).len > 0 && count < MOST_HEADERS;) {
        const char *colon = memchr(line.ptr, ':', line.len);
        size_t len = colon != NULL ? (size_t)(colon - line.ptr) : line.len;
        struct ferry_slice value = ferry_slice_skip(line, colon != NULL ? len + 1 : len);
        items[count++] = (struct ferry_pair){ferry_slice_of(line.ptr, len), value};
    }
    return (struct ferry_pairs){items, count};
}

static enum ferry_signature_scheme take_scheme(struct ferry_slice *text)
{
    struct ferry_slice word = take_line(text);
    for (int scheme = 0; scheme < SCHEMES; scheme++)
        if (ferry_slice_is(word, ferry_signature_scheme_name((enum ferry_signature_scheme)scheme)))
            return (enum ferry_signature_scheme)scheme;
    return FERRY_SIGNATURE_QLIK;
}

static void check_headers(enum ferry_signature_scheme scheme, struct ferry_pairs headers, struct ferry_slice body)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code = ferry_verifier_check(verifiers[scheme], headers, body, now_ms, &error);
    require(code == FERRY_OK || (code >= FERRY_SIGNATURE_MISSING && code <= FERRY_SIGNATURE_STALE));
    require((code == FERRY_OK) == (error.text[0] == '\0'));
}

static void check_made(enum ferry_signature_scheme scheme, struct ferry_slice body)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer made;
    ferry_buffer_init(&made, 4096);
    require(ferry_signature_make(scheme, &secret, body, now_ms, "msg", &made, NULL) == FERRY_OK);
    struct ferry_pair items[MOST_HEADERS];
    struct ferry_slice lines = ferry_buffer_slice(&made);
    struct ferry_pairs headers = take_headers(&lines, items);
    require(ferry_verifier_check(verifiers[scheme], headers, body, now_ms, NULL) == FERRY_OK);
    if (scheme < FERRY_SIGNATURE_BEARER && body.len > 0) {
        body.len--;
        require(ferry_verifier_check(verifiers[scheme], headers, body, now_ms, NULL) == FERRY_SIGNATURE_WRONG);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    for (int scheme = 0; scheme < SCHEMES && verifiers[scheme] == NULL; scheme++)
        require(ferry_verifier_new((enum ferry_signature_scheme)scheme, &secret, 1, &verifiers[scheme], NULL) ==
                FERRY_OK);
    struct ferry_slice text = ferry_slice_of((const char *)bytes, len);
    struct ferry_pair items[MOST_HEADERS];
    enum ferry_signature_scheme scheme = take_scheme(&text);
    struct ferry_pairs headers = take_headers(&text, items);
    check_headers(scheme, headers, text);
    check_made(scheme, text);
    return 0;
}
