#include "core/mask.h"

static bool is_address_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80) != 0 ||
           (c != '\0' && strchr(".!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

size_t ferry_mask_addresses(struct ferry_slice text, char *out, size_t out_bytes)
{
    size_t written = 0, local = 0; /* `local`: where in `out` the run that may be a local part begins */
    for (size_t i = 0; i < text.len && written + 1 < out_bytes; i++) {
        char c = text.ptr[i];
        if (c == '@' && written > local) {
            written = local + 1;
            for (const char *mask = "***"; *mask != '\0' && written + 1 < out_bytes; mask++)
                out[written++] = *mask;
            if (written + 1 == out_bytes)
                break;
        }
        out[written++] = c;
        if (!is_address_byte(c))
            local = written;
    }
    out[written] = '\0';
    return written;
}
