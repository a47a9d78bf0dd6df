/* Binary mode of the CloudEvents HTTP binding: attributes in `ce-` header fields, data in the body. */
#include "core/envelope_draft.h"
#include "core/hex.h"
#include "core/utf8.h"

/* "a\"b" to a"b: what stands between quotes, its backslashes taken away (RFC 9110, section 5.6.4). Any other text
 * stays. The copy is in `out`. */
static size_t unquote(struct ferry_slice value, char *out)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    if (quoted)
        value = ferry_slice_of(value.ptr + 1, value.len - 2);
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (quoted && value.ptr[i] == '\\' && i + 1 < value.len)
            i++;
        out[len++] = value.ptr[i];
    }
    return len;
}

/* In place, once: "%2541" becomes "%41". A `%` without two digits behind it stays, as other SDKs send it. */
static size_t percent_decode(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%' && len - i > 2 && ferry_hex_digit(text[i + 1]) >= 0 && ferry_hex_digit(text[i + 2]) >= 0) {
            c = (char)(ferry_hex_digit(text[i + 1]) << 4 | ferry_hex_digit(text[i + 2]));
            i += 2;
        }
        text[to++] = c;
    }
    return to;
}

static enum ferry_code read_header_value(const struct ferry_draft *draft, struct ferry_slice raw,
                                         struct ferry_slice *value)
{
    raw = ferry_slice_trim(raw);
    *value = raw;
    if (raw.len == 0 || (raw.ptr[0] != '"' && memchr(raw.ptr, '%', raw.len) == NULL))
        return FERRY_OK;
    char *text = ferry_arena_new(draft->arena, raw.len);
    if (text == NULL)
        return ferry_draft_no_memory(draft);
    *value = ferry_slice_of(text, percent_decode(text, unquote(raw, text)));
    return FERRY_OK;
}

static enum ferry_code lower_case(const struct ferry_draft *draft, struct ferry_slice *text)
{
    char *lower = ferry_arena_text(draft->arena, *text);
    if (lower == NULL)
        return ferry_draft_no_memory(draft);
    for (size_t i = 0; i < text->len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] | 0x20);
    text->ptr = lower;
    return FERRY_OK;
}

static enum ferry_code read_header(struct ferry_draft *draft, struct ferry_slice name, struct ferry_slice raw)
{
    struct ferry_draft_field field = {.name = name, .type = FERRY_JSON_STRING};
    enum ferry_code code = read_header_value(draft, raw, &field.text);
    if (code != FERRY_OK)
        return code;
    if (!ferry_utf8_valid(field.text))
        return ferry_draft_fail(draft, name, "not UTF-8 after decoding");
    if (ferry_slice_is(name, "datacontenttype"))
        return ferry_draft_fail(draft, name, "comes as Content-Type in binary mode");
    ferry_draft_add(draft, field);
    return FERRY_OK;
}

/* Names and decoded values of the `ce-` fields. */
static enum ferry_code read_headers(struct ferry_draft *draft, struct ferry_pairs headers)
{
    struct ferry_slice *names;
    enum ferry_code code = ferry_draft_start(draft, headers.count, &names);
    size_t count = 0;
    for (size_t i = 0; code == FERRY_OK && i < headers.count; i++) {
        if (!ferry_slice_starts_nocase(headers.items[i].name, "ce-"))
            continue;
        struct ferry_slice *name = &names[count++];
        *name = ferry_slice_skip(headers.items[i].name, strlen("ce-"));
        code = lower_case(draft, name);
        if (code == FERRY_OK)
            code = read_header(draft, *name, headers.items[i].value);
    }
    return code == FERRY_OK ? ferry_draft_check_names(draft, names, count) : code;
}

enum ferry_code ferry_draft_from_http(struct ferry_draft *draft, const struct ferry_envelope_input *input)
{
    draft->attributes_apart = true;
    enum ferry_code code = read_headers(draft, input->headers);
    if (code != FERRY_OK)
        return code;
    struct ferry_slice content_type = ferry_slice_trim(ferry_pairs_get(input->headers, "content-type"));
    if (content_type.len > 0)
        ferry_draft_add(draft, (struct ferry_draft_field){.name = FERRY_SLICE("datacontenttype"),
                                                          .type = FERRY_JSON_STRING,
                                                          .text = content_type});
    if (input->body.len > 0) {
        draft->data_from = FERRY_DRAFT_DATA_BODY;
        draft->data.text = input->body;
    }
    return FERRY_OK;
}
