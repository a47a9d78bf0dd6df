#include "core/media_type.h"

struct ferry_slice ferry_media_type_essence(struct ferry_slice media_type)
{
    const char *semicolon = media_type.len > 0 ? memchr(media_type.ptr, ';', media_type.len) : NULL;
    if (semicolon != NULL)
        media_type.len = (size_t)(semicolon - media_type.ptr);
    return ferry_slice_trim(media_type);
}

/* RFC 9110, section 5.6.2. */
static bool is_token(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

bool ferry_media_type_valid(struct ferry_slice media_type)
{
    struct ferry_slice essence = ferry_media_type_essence(media_type);
    const char *slash = essence.len > 0 ? memchr(essence.ptr, '/', essence.len) : NULL;
    if (slash == NULL)
        return false;
    size_t type_len = (size_t)(slash - essence.ptr);
    return is_token(ferry_slice_of(essence.ptr, type_len)) && is_token(ferry_slice_skip(essence, type_len + 1));
}

bool ferry_media_type_is_json(struct ferry_slice media_type)
{
    static const char suffix[] = "+json";
    if (!ferry_media_type_valid(media_type))
        return false;
    struct ferry_slice essence = ferry_media_type_essence(media_type);
    const char *slash = memchr(essence.ptr, '/', essence.len);
    struct ferry_slice subtype = ferry_slice_skip(essence, (size_t)(slash + 1 - essence.ptr));
    if (subtype.len > strlen(suffix))
        return ferry_slice_is_nocase(ferry_slice_skip(subtype, subtype.len - strlen(suffix)), suffix);
    return ferry_slice_is_nocase(subtype, "json");
}
