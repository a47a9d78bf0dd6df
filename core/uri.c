#include "core/uri.h"

#include "core/hex.h"

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ferry_uri_byte_is_unreserved(unsigned char byte)
{
    char c = (char)byte;
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Unreserved bytes, sub-delims, whole percent escapes, and what `also` names. */
static bool consists_of(struct ferry_slice text, const char *also)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (ferry_uri_byte_is_unreserved((unsigned char)c))
            continue;
        if (c == '%' && text.len - i > 2 && ferry_hex_digit(text.ptr[i + 1]) >= 0 &&
            ferry_hex_digit(text.ptr[i + 2]) >= 0)
            i += 2;
        else if (c == '\0' || (strchr("!$&'()*+,;=", c) == NULL && strchr(also, c) == NULL))
            return false;
    }
    return true;
}

/* The part in front of the first byte of `stops` (all of it if there is none); `text` keeps the rest. */
static struct ferry_slice cut(struct ferry_slice *text, const char *stops)
{
    size_t len = 0;
    while (len < text->len && (text->ptr[len] == '\0' || strchr(stops, text->ptr[len]) == NULL))
        len++;
    struct ferry_slice part = ferry_slice_of(text->ptr, len);
    *text = ferry_slice_skip(*text, len);
    return part;
}

static bool valid_scheme(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alpha(text.ptr[i]) && (i == 0 || (!is_digit(text.ptr[i]) && strchr("+-.", text.ptr[i]) == NULL)))
            return false;
    return text.len > 0 && memchr(text.ptr, '\0', text.len) == NULL;
}

static bool valid_port(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.ptr[i]))
            return false;
    return true;
}

/* [userinfo "@"] host [":" port], where the host may be an IP literal in brackets. */
static bool valid_authority(struct ferry_slice text)
{
    const char *at_sign = text.len > 0 ? memchr(text.ptr, '@', text.len) : NULL;
    if (at_sign != NULL) {
        size_t len = (size_t)(at_sign - text.ptr);
        if (!consists_of(ferry_slice_of(text.ptr, len), ":"))
            return false;
        text = ferry_slice_skip(text, len + 1);
    }
    bool literal = ferry_slice_starts(text, "[");
    struct ferry_slice host = cut(&text, literal ? "]" : ":");
    if (literal) {
        if (text.len == 0)
            return false;
        host = ferry_slice_skip(host, 1);
        text = ferry_slice_skip(text, 1);
    }
    if (!consists_of(host, literal ? ":" : ""))
        return false;
    return text.len == 0 || (text.ptr[0] == ':' && valid_port(ferry_slice_skip(text, 1)));
}

/* What follows the scheme: ["//" authority] path ["?" query] ["#" fragment]. */
static bool valid_rest(struct ferry_slice text)
{
    if (ferry_slice_starts(text, "//")) {
        text = ferry_slice_skip(text, 2);
        if (!valid_authority(cut(&text, "/?#")))
            return false;
    }
    if (!consists_of(cut(&text, "?#"), ":@/"))
        return false;
    if (ferry_slice_starts(text, "?")) {
        text = ferry_slice_skip(text, 1);
        if (!consists_of(cut(&text, "#"), ":@/?"))
            return false;
    }
    return text.len == 0 || consists_of(ferry_slice_skip(text, 1), ":@/?");
}

bool ferry_uri_valid(struct ferry_slice text)
{
    struct ferry_slice rest = text;
    return valid_scheme(cut(&rest, ":/?#")) && ferry_slice_starts(rest, ":") && valid_rest(ferry_slice_skip(rest, 1));
}

bool ferry_uri_reference_valid(struct ferry_slice text)
{
    struct ferry_slice rest = text;
    cut(&rest, ":/?#");
    /* The first segment of a relative path has no colon: it would be a scheme. */
    return ferry_slice_starts(rest, ":") ? ferry_uri_valid(text) : valid_rest(text);
}
