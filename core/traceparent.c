#include "core/envelope.h"

/* version "-" trace-id "-" parent-id "-" flags, all lower-case hexadecimal digits. */
enum { VERSION_LEN = 2, TRACE_ID_LEN = 32, PARENT_ID_LEN = 16, FLAGS_LEN = 2 };

/* Takes `len` digits off the front; gives whether all of them are 0. */
static bool take_hex(struct ferry_slice *text, size_t len, bool *all_zero)
{
    *all_zero = true;
    if (text->len < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text->ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *all_zero = *all_zero && c == '0';
    }
    *text = ferry_slice_skip(*text, len);
    return true;
}

static bool take_dash(struct ferry_slice *text)
{
    if (!ferry_slice_starts(*text, "-"))
        return false;
    *text = ferry_slice_skip(*text, 1);
    return true;
}

bool ferry_traceparent_valid(struct ferry_slice value)
{
    struct ferry_slice rest = value;
    bool version_zero, trace_zero, parent_zero, flags_zero;
    if (ferry_slice_starts(value, "ff") || !take_hex(&rest, VERSION_LEN, &version_zero) || !take_dash(&rest) ||
        !take_hex(&rest, TRACE_ID_LEN, &trace_zero) || !take_dash(&rest) ||
        !take_hex(&rest, PARENT_ID_LEN, &parent_zero) || !take_dash(&rest) || !take_hex(&rest, FLAGS_LEN, &flags_zero))
        return false;
    if (trace_zero || parent_zero)
        return false;
    /* Versions to come may go on after another dash; this one may not. */
    return rest.len == 0 || (!version_zero && take_dash(&rest));
}

struct ferry_slice ferry_traceparent_trace(struct ferry_slice value)
{
    const size_t at = VERSION_LEN + 1;
    return value.len >= at + TRACE_ID_LEN ? ferry_slice_of(value.ptr + at, TRACE_ID_LEN)
                                          : (struct ferry_slice){NULL, 0};
}
