#include "bridge/triggers/response.h"

#include <assert.h>

void ferry_response_init(struct ferry_response *answer)
{
    *answer = (struct ferry_response){0};
    ferry_buffer_init(&answer->body, FERRY_RESPONSE_MAX_BYTES);
}

void ferry_response_done(struct ferry_response *answer)
{
    ferry_buffer_done(&answer->body);
}

void ferry_response_add(struct ferry_response *answer, const char *name, const char *value)
{
    assert(answer->field_count < FERRY_RESPONSE_FIELDS);
    answer->fields[answer->field_count++] = (struct ferry_response_field){name, value};
}

void ferry_html_add(struct ferry_buffer *out, struct ferry_slice text)
{
    static const char *const escaped[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;",
    };
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < sizeof escaped / sizeof escaped[0] && escaped[c] != NULL)
            ferry_buffer_add_text(out, escaped[c]);
        else
            ferry_buffer_add_char(out, (char)c);
    }
}
