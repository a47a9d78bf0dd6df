#include "core/mask.h"

static bool is_address_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80) != 0 ||
           (c != '\0' && strchr(".!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* How many bytes an @ has at the front of the text, as it is, in a URL or in JSON; 0: there is none. */
static size_t at_sign(struct ferry_slice rest)
{
    static const char *const signs[] = {"@", "%40", "\\u0040"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (ferry_slice_starts(rest, signs[i]))
            return strlen(signs[i]);
    return 0;
}

size_t ferry_mask_addresses(struct ferry_slice text, char *out, size_t out_bytes)
{
    size_t written = 0, local = 0; /* `local`: where in `out` the run that may be a local part begins */
    for (size_t i = 0; i < text.len && written + 1 < out_bytes; i++) {
        char c = text.ptr[i];
        size_t sign = at_sign(ferry_slice_skip(text, i));
        if (sign > 0 && written > local) {
            written = local + 1;
            for (const char *mask = "***"; *mask != '\0' && written + 1 < out_bytes; mask++)
                out[written++] = *mask;
            if (written + 1 == out_bytes)
                break;
        }
        out[written++] = c;
        for (; sign > 1 && written + 1 < out_bytes; sign--)
            out[written++] = text.ptr[++i];
        if (sign > 0 || !is_address_byte(c))
            local = written;
    }
    out[written] = '\0';
    return written;
}
