/* Addresses, strictly: what libcurl writes into the SMTP dialogue stands there as it is. */
#include "consumers/mail/mail.h"

enum { LOCAL_MAX = 64, LABEL_MAX = 63, ADDRESS_MAX = 254 };

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 5322, atext. */
static bool is_atom(char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_atom(struct ferry_slice text)
{
    if (text.len == 0 || text.len > LOCAL_MAX || text.ptr[0] == '.' || text.ptr[text.len - 1] == '.')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_atom(text.ptr[i]) && !(text.ptr[i] == '.' && text.ptr[i - 1] != '.'))
            return false;
    return true;
}

static bool is_label(struct ferry_slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alphanumeric(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

static bool is_domain(struct ferry_slice domain)
{
    for (;;) {
        const char *dot = domain.len > 0 ? memchr(domain.ptr, '.', domain.len) : NULL;
        size_t len = dot != NULL ? (size_t)(dot - domain.ptr) : domain.len;
        if (!is_label(ferry_slice_of(domain.ptr, len)))
            return false;
        if (dot == NULL)
            return true;
        domain = ferry_slice_skip(domain, len + 1);
    }
}

bool ferry_mail_address_valid(struct ferry_slice address)
{
    const char *at = address.len > 0 ? memchr(address.ptr, '@', address.len) : NULL;
    if (at == NULL || address.len > ADDRESS_MAX)
        return false;
    size_t local = (size_t)(at - address.ptr);
    return is_dot_atom(ferry_slice_of(address.ptr, local)) && is_domain(ferry_slice_skip(address, local + 1));
}

struct ferry_slice ferry_mail_domain(struct ferry_slice address)
{
    const char *at = memchr(address.ptr, '@', address.len);
    return ferry_slice_skip(address, (size_t)(at - address.ptr) + 1);
}

enum ferry_code ferry_mail_check_recipient(struct ferry_slice address, struct ferry_strings domains,
                                           struct ferry_error *error)
{
    if (!ferry_mail_address_valid(address))
        return ferry_fail(error, FERRY_ADDRESS_INVALID, "to: not one plain mail address");
    struct ferry_slice domain = ferry_mail_domain(address);
    for (size_t i = 0; i < domains.count; i++)
        if (strcmp(domains.items[i], "*") == 0 || ferry_slice_is_nocase(domain, domains.items[i]))
            return FERRY_OK;
    return ferry_fail(error, FERRY_RECIPIENT_REFUSED, "to: %.*s is none of recipient_domains",
                      FERRY_SLICE_ARGS(domain));
}

/* Without the quotes around a name that was quoted. Escapes inside it are not supported, and kept. */
static struct ferry_slice unquoted(struct ferry_slice name)
{
    if (name.len >= 2 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"')
        return ferry_slice_of(name.ptr + 1, name.len - 2);
    return name;
}

bool ferry_mail_split(struct ferry_slice text, struct ferry_slice *name, struct ferry_slice *address)
{
    text = ferry_slice_trim(text);
    struct ferry_slice found = text, display = {"", 0};
    const char *open = text.len > 0 ? memrchr(text.ptr, '<', text.len) : NULL;
    if (open != NULL && text.ptr[text.len - 1] == '>') {
        size_t before = (size_t)(open - text.ptr);
        display = unquoted(ferry_slice_trim(ferry_slice_of(text.ptr, before)));
        found = ferry_slice_of(open + 1, text.len - before - 2);
    }
    for (size_t i = 0; i < display.len; i++)
        if (strchr("\r\n", display.ptr[i]) != NULL) /* NUL too */
            return false;
    if (!ferry_mail_address_valid(found))
        return false;
    *name = display;
    *address = found;
    return true;
}
