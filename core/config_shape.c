#include "core/config_shape.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "core/uri.h"

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters, digits and the marks, nothing else. */
static bool made_of(struct ferry_slice text, const char *marks)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || strchr(marks, text.ptr[i]) == NULL))
            return false;
    return text.len > 0;
}

static bool is_name(struct ferry_slice text)
{
    return text.len <= 64 && made_of(text, "._-") && is_alnum(text.ptr[0]);
}
const struct ferry_config_shape ferry_shape_name = {
    is_name, "a name of letters, digits and . _ - that begins with a letter or digit (64 at most)"};

static bool is_input(struct ferry_slice text)
{
    return text.len <= 64 && made_of(text, "_-") && !ferry_slice_is(text, "wait");
}
const struct ferry_config_shape ferry_shape_input = {is_input,
                                                     "a name of letters, digits, _ and -; `wait` is Ferry's own"};

static bool is_word(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len > 0;
}
const struct ferry_config_shape ferry_shape_word = {is_word, "one word without blanks"};

static bool is_glob(struct ferry_slice text)
{
    return made_of(text, "._-*?:/+~");
}
const struct ferry_config_shape ferry_shape_glob = {is_glob,
                                                    "a name or glob like app.created, \"app.*\" or \"com.github.*\""};

enum { TOPIC_PREFIX_MAX = 200 };

static bool is_topic(struct ferry_slice text)
{
    return text.len <= TOPIC_PREFIX_MAX && made_of(text, "._-") && !ferry_slice_is(text, ".") &&
           !ferry_slice_is(text, "..");
}
const struct ferry_config_shape ferry_shape_topic = {
    is_topic, "a name that Kafka takes: letters, digits and . _ - (200 at most)"};

/* The length of {event}, {family} or {type} at the beginning of the text, or 0. */
static size_t hole_length(struct ferry_slice text)
{
    static const char *const holes[] = {"{event}", "{family}", "{type}"};
    for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++)
        if (ferry_slice_starts(text, holes[i]))
            return strlen(holes[i]);
    return 0;
}

static bool is_topic_template(struct ferry_slice text)
{
    bool has_hole = false;
    if (text.len > TOPIC_PREFIX_MAX)
        return false;
    while (text.len > 0) {
        size_t len = hole_length(text);
        if (len == 0 && !made_of(ferry_slice_of(text.ptr, 1), "._-"))
            return false;
        has_hole |= len > 0;
        text = ferry_slice_skip(text, len > 0 ? len : 1);
    }
    return has_hole;
}
const struct ferry_config_shape ferry_shape_topic_template = {
    is_topic_template, "a topic name with {event}, {family} or {type} in it, like \"qlik.{event}\""};

static bool is_url_path(struct ferry_slice text)
{
    if (text.len < 2 || text.ptr[0] != '/' || !made_of(text, "/._~-"))
        return false;
    bool climbs = memmem(text.ptr, text.len, "/.", 2) != NULL, doubled = memmem(text.ptr, text.len, "//", 2) != NULL;
    return !climbs && !doubled && !ferry_slice_starts(text, "/triggers/");
}
const struct ferry_config_shape ferry_shape_url_path = {
    is_url_path, "a path like /webhooks/qlik of letters, digits and . _ ~ -, outside /triggers/"};

/* ---- networks and hosts ---- */

static bool copy_host(struct ferry_slice text, char *out, size_t room)
{
    if (text.len == 0 || text.len >= room || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

static bool is_cidr(struct ferry_slice text)
{
    char host[INET6_ADDRSTRLEN], bytes[16];
    const char *slash = memchr(text.ptr, '/', text.len);
    size_t at = slash != NULL ? (size_t)(slash - text.ptr) : text.len;
    if (!copy_host(ferry_slice_of(text.ptr, at), host, sizeof host))
        return false;
    int most = inet_pton(AF_INET, host, bytes) == 1 ? 32 : inet_pton(AF_INET6, host, bytes) == 1 ? 128 : -1;
    if (most < 0 || slash == NULL)
        return most > 0;
    struct ferry_slice bits = ferry_slice_skip(text, at + 1);
    if (bits.len == 0 || bits.len > 3)
        return false;
    for (size_t i = 0; i < bits.len; i++)
        if (!isdigit((unsigned char)bits.ptr[i]))
            return false;
    return strtol(bits.ptr, NULL, 10) <= most;
}
const struct ferry_config_shape ferry_shape_cidr = {is_cidr, "a network like 10.0.0.0/8, 192.0.2.7 or fd00::/8"};

static bool is_domain_name(struct ferry_slice text)
{
    return text.len > 0 && text.len <= 253 && made_of(text, ".-") && is_alnum(text.ptr[0]) &&
           is_alnum(text.ptr[text.len - 1]) && memmem(text.ptr, text.len, "..", 2) == NULL;
}

static bool is_domain(struct ferry_slice text)
{
    return ferry_slice_is(text, "*") || is_domain_name(text);
}
const struct ferry_config_shape ferry_shape_domain = {is_domain, "a domain like example.com, or \"*\" for any"};

bool ferry_config_is_loopback(struct ferry_slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (host.len >= 2 && host.ptr[0] == '[')
        host = ferry_slice_of(host.ptr + 1, host.len - 2);
    if (ferry_slice_is_nocase(host, "localhost"))
        return true;
    if (!copy_host(host, text, sizeof text))
        return false;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* The end of the host within an authority: before the port. */
static struct ferry_slice host_of(struct ferry_slice authority)
{
    if (authority.len > 0 && authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        return ferry_slice_of(authority.ptr, end != NULL ? (size_t)(end - authority.ptr) + 1 : 0);
    }
    const char *colon = memchr(authority.ptr, ':', authority.len);
    return ferry_slice_of(authority.ptr, colon != NULL ? (size_t)(colon - authority.ptr) : authority.len);
}

static bool is_authority(struct ferry_slice authority, struct ferry_slice *host)
{
    *host = host_of(authority);
    struct ferry_slice port = ferry_slice_skip(authority, host->len);
    if (port.len > 0 && (port.ptr[0] != ':' || port.len < 2 || port.len > 6))
        return false;
    for (size_t i = 1; i < port.len; i++)
        if (!isdigit((unsigned char)port.ptr[i]))
            return false;
    if (host->len > 0 && host->ptr[0] == '[')
        return is_cidr(ferry_slice_of(host->ptr + 1, host->len - 2));
    return is_domain_name(*host);
}

const char *ferry_config_url_problem(struct ferry_slice url, const char *const *schemes, size_t secure_count,
                                     bool insecure)
{
    size_t scheme = 0, prefix = 0;
    for (; schemes[scheme] != NULL; scheme++) {
        prefix = strlen(schemes[scheme]);
        if (ferry_slice_starts_nocase(url, schemes[scheme]) && ferry_slice_starts(ferry_slice_skip(url, prefix), "://"))
            break;
    }
    if (schemes[scheme] == NULL)
        return "has another scheme";
    struct ferry_slice authority = ferry_slice_skip(url, prefix + 3), host;
    size_t end = 0;
    while (end < authority.len && strchr("/?#\\", authority.ptr[end]) == NULL)
        end++;
    authority.len = end;
    if (memchr(authority.ptr, '@', authority.len) != NULL)
        return "has a user in it, which belongs elsewhere";
    if (!is_authority(authority, &host))
        return "has no plain host[:port]";
    if (scheme >= secure_count && !insecure && !ferry_config_is_loopback(host))
        return "is without TLS, which is allowed to loopback only";
    return NULL;
}

static bool is_origin(struct ferry_slice text)
{
    static const char *const schemes[] = {"https", "http", NULL};
    const char *authority = memmem(text.ptr, text.len, "://", 3);
    if (ferry_slice_is(text, "*"))
        return true;
    return authority != NULL && ferry_config_url_problem(text, schemes, 2, true) == NULL &&
           memchr(authority + 3, '/', text.len - (size_t)(authority + 3 - text.ptr)) == NULL && is_word(text);
}
const struct ferry_config_shape ferry_shape_origin = {
    is_origin, "an origin like https://acme.eu.qlikcloud.com, without a path, or \"*\""};

static bool is_uri(struct ferry_slice text)
{
    return text.len > 0 && ferry_uri_reference_valid(text);
}
const struct ferry_config_shape ferry_shape_uri = {is_uri, "a URI or URI-reference like https://github.com/acme"};

/* ---- mail, HTTP ---- */

static bool has_control(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool is_bare_address(struct ferry_slice text)
{
    const char *at = memchr(text.ptr, '@', text.len);
    if (at == NULL)
        return false;
    struct ferry_slice local = ferry_slice_of(text.ptr, (size_t)(at - text.ptr));
    return local.len <= 64 && made_of(local, "!#$%&'*+-/=?^_`{|}~.") && local.ptr[0] != '.' &&
           local.ptr[local.len - 1] != '.' && is_domain_name(ferry_slice_skip(text, local.len + 1));
}

/* local@domain or `Name <local@domain>`; the name may be anything printable but < > and quotes. */
static bool is_mailbox(struct ferry_slice text)
{
    const char *open = memchr(text.ptr, '<', text.len);
    if (has_control(text))
        return false;
    if (open == NULL)
        return is_bare_address(text);
    struct ferry_slice name = ferry_slice_of(text.ptr, (size_t)(open - text.ptr));
    struct ferry_slice address = ferry_slice_skip(text, name.len + 1);
    if (address.len == 0 || address.ptr[address.len - 1] != '>' || memchr(name.ptr, '"', name.len) != NULL)
        return false;
    address.len--;
    return is_bare_address(address);
}
const struct ferry_config_shape ferry_shape_mailbox = {
    is_mailbox, "an address like no-reply@example.com or Analytics team <no-reply@example.com>"};

static bool is_method(struct ferry_slice text)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (ferry_slice_is(text, methods[i]))
            return true;
    return false;
}
const struct ferry_config_shape ferry_shape_method = {is_method, "one of GET POST PUT PATCH DELETE"};

static bool is_status(struct ferry_slice text)
{
    struct ferry_status_range range;
    return ferry_config_parse_status(text, &range);
}
const struct ferry_config_shape ferry_shape_status = {is_status, "a status like 404 or 2xx"};
