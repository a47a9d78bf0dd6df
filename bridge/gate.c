/* libmicrohttpd 0.9.75 lets pass what RFC 9112 forbids: two lengths, a length beside a transfer coding, two hosts,
 * control characters in values, and it mends what it should refuse: folded lines, bare line feeds. A proxy in front
 * that reads such a request in the other way would hand a second, hidden request to us. So every head goes through the
 * table of rules at the end of this file.
 *
 * What the parser mends it no longer shows: a NUL cuts a value short, a bare line feed looks like CR LF. But it parses
 * in place, overwriting the colon and the line end with NULs and nothing else, so the places of names and values in
 * memory still tell: check_layout() walks the section and refuses every head whose fields do not lie exactly one after
 * the other, two bytes of line end apart. (It cannot tell NUL LF from CR LF: both leave two NULs.) */
#include "bridge/gate.h"

static enum ferry_code refuse(struct ferry_error *error, const char *why)
{
    return ferry_fail(error, FERRY_HTTP_MALFORMED, "%s", why);
}

static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

/* Blanks, visible ASCII and obs-text; a tab only where `tab` says so. */
static bool is_text(struct ferry_slice text, bool tab)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && !(tab && c == '\t')) || c == 0x7f)
            return false;
    }
    return true;
}

static enum ferry_code check_method(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    (void)body;
    return is_token(head->method) ? FERRY_OK : refuse(error, "the method is no token");
}

static enum ferry_code check_target(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    (void)body;
    struct ferry_slice target = head->target;
    if (head->target_bytes > 0 && head->target_bytes != target.len)
        return refuse(error, "the request line holds a NUL or more than two blanks");
    if (target.len == 0 || !is_text(target, false))
        return refuse(error, "the request target holds a control character or is empty");
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c == ' ' || c == '#' || c >= 0x80)
            return refuse(error, "the request target holds a character that must be percent-encoded");
        if (c == '%' && target.len - i >= 3 && memcmp(target.ptr + i, "%00", 3) == 0)
            return refuse(error, "the request target holds an encoded NUL");
    }
    return FERRY_OK;
}

static enum ferry_code check_names(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                   struct ferry_error *error)
{
    (void)body;
    for (size_t i = 0; i < head->fields.count; i++) {
        if (!is_token(head->fields.items[i].name))
            return refuse(error, "a header name is missing, or holds a blank or a character that is not allowed there");
    }
    return FERRY_OK;
}

static enum ferry_code check_values(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    (void)body;
    for (size_t i = 0; i < head->fields.count; i++) {
        if (!is_text(head->fields.items[i].value, true))
            return refuse(error, "a header value holds a control character");
    }
    return FERRY_OK;
}

/* True where `bytes` start with `count` NULs that still lie in the section. */
static bool nuls_at(struct ferry_slice section, const char *at, size_t count)
{
    const char *end = section.ptr + section.len;
    return at >= section.ptr && at <= end && (size_t)(end - at) >= count && memcmp(at, "\0\0", count) == 0;
}

static enum ferry_code check_layout(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    (void)body;
    struct ferry_slice section = head->section;
    if (section.ptr == NULL)
        return FERRY_OK;
    const char *line = section.ptr;
    for (size_t i = 0; i < head->fields.count; i++) {
        struct ferry_slice name = head->fields.items[i].name, value = head->fields.items[i].value;
        if (name.ptr != line || !nuls_at(section, name.ptr + name.len, 1))
            return refuse(error, "a header line is folded, or does not end in CR LF");
        const char *at = name.ptr + name.len + 1;
        while (at < section.ptr + section.len && (*at == ' ' || *at == '\t'))
            at++;
        if (value.len > 0 && value.ptr != at)
            return refuse(error, "a header line is folded");
        line = at + value.len;
        if (!nuls_at(section, line, 2))
            return refuse(error, "a header line holds a NUL or does not end in CR LF");
        line += 2;
    }
    if (!nuls_at(section, line, 2) || line + 2 != section.ptr + section.len)
        return refuse(error, "a header line holds a NUL or does not end in CR LF");
    return FERRY_OK;
}

static bool is_version_10(const struct ferry_gate_head *head)
{
    return ferry_slice_is(head->version, "HTTP/1.0");
}

static enum ferry_code check_host(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                  struct ferry_error *error)
{
    (void)body;
    size_t hosts = ferry_pairs_count(head->fields, "Host");
    if (hosts > 1)
        return refuse(error, "there is more than one Host");
    if (hosts == 0 && !is_version_10(head))
        return refuse(error, "there is no Host");
    struct ferry_slice host = ferry_slice_trim(ferry_pairs_get(head->fields, "Host"));
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == ' ' || host.ptr[i] == '\t' || host.ptr[i] == ',' || host.ptr[i] == '/' || host.ptr[i] == '@')
            return refuse(error, "Host is no host");
    }
    return FERRY_OK;
}

/* 1 to 19 digits and nothing else: below 2^63. */
static bool parse_length(struct ferry_slice text, uint64_t *length)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *length = value;
    return true;
}

static enum ferry_code check_length(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    size_t lengths = ferry_pairs_count(head->fields, "Content-Length");
    if (lengths > 1)
        return refuse(error, "there is more than one Content-Length");
    struct ferry_slice text = ferry_slice_trim(ferry_pairs_get(head->fields, "Content-Length"));
    if (lengths == 1 && !parse_length(text, &body->length))
        return refuse(error, "Content-Length is no length");
    return FERRY_OK;
}

static enum ferry_code check_coding(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                    struct ferry_error *error)
{
    size_t codings = ferry_pairs_count(head->fields, "Transfer-Encoding");
    if (codings == 0)
        return FERRY_OK;
    if (ferry_pairs_count(head->fields, "Content-Length") > 0)
        return refuse(error, "there are both Content-Length and Transfer-Encoding");
    struct ferry_slice coding = ferry_slice_trim(ferry_pairs_get(head->fields, "Transfer-Encoding"));
    if (codings > 1 || !ferry_slice_is_nocase(coding, "chunked"))
        return refuse(error, "Transfer-Encoding must be \"chunked\", once");
    if (is_version_10(head))
        return refuse(error, "HTTP/1.0 has no Transfer-Encoding");
    body->chunked = true;
    return FERRY_OK;
}

typedef enum ferry_code gate_rule(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                  struct ferry_error *error);

/* In this order; the first that refuses decides. */
static gate_rule *const rules[] = {
    check_method, check_target, check_layout, check_names, check_values, check_host, check_length, check_coding,
};

enum ferry_code ferry_gate_check(const struct ferry_gate_head *head, struct ferry_gate_body *body,
                                 struct ferry_error *error)
{
    struct ferry_gate_body found = {0};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        enum ferry_code code = rules[i](head, &found, error);
        if (code != FERRY_OK)
            return code;
    }
    *body = found;
    return FERRY_OK;
}
