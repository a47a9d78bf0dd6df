/* What expressions see. jq keeps numbers as doubles: 12345678901234567891 would come out as 12345678901234567000. So
 * integers beyond 2^53 are put into quotes before jq reads the text. */
#include <limits.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/json.h"
#include "core/template.h"
#include "core/template_jq.h"
#include "core/utf8.h"

enum { DEPTH = 256 /* jq's own limit for parsing */ };

/* ---- JSON text to jq value ---- */

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at < end ? at + 1 : end;
}

static bool is_too_deep(struct ferry_slice text)
{
    size_t depth = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if ((*at == '[' || *at == '{') && ++depth > DEPTH)
            return true;
        if ((*at == ']' || *at == '}') && depth > 0)
            depth--;
        at++;
    }
    return false;
}

static bool is_in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Is this number an integer that a double may not hold? */
static bool is_big_integer(struct ferry_slice number)
{
    if (number.ptr[0] == '-')
        number = ferry_slice_skip(number, 1);
    static const char most[] = "9007199254740992"; /* 2^53 */
    if (number.len < sizeof most - 1 || (number.len == sizeof most - 1 && memcmp(number.ptr, most, number.len) <= 0))
        return false;
    for (size_t i = 0; i < number.len; i++)
        if (number.ptr[i] < '0' || number.ptr[i] > '9')
            return false;
    return true;
}

/* The first big integer of valid JSON text from `at` on; the absent slice if there is none. */
static struct ferry_slice find_big_integer(const char *at, const char *end)
{
    while (at < end) {
        const char *begin = at;
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            while (at < end && is_in_number(*at))
                at++;
            struct ferry_slice number = ferry_slice_of(begin, (size_t)(at - begin));
            if (is_big_integer(number))
                return number;
        } else {
            at++;
        }
    }
    return (struct ferry_slice){NULL, 0};
}

/* A copy of the text in which big integers are strings, or the text itself. */
static struct ferry_slice quote_big_integers(struct ferry_slice text, struct ferry_buffer *copy)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    struct ferry_slice big = find_big_integer(at, end);
    if (big.ptr == NULL)
        return text;
    for (; big.ptr != NULL; big = find_big_integer(at, end)) {
        ferry_buffer_add(copy, ferry_slice_of(at, (size_t)(big.ptr - at)));
        ferry_buffer_add_char(copy, '"');
        ferry_buffer_add(copy, big);
        ferry_buffer_add_char(copy, '"');
        at = big.ptr + big.len;
    }
    ferry_buffer_add(copy, ferry_slice_of(at, (size_t)(end - at)));
    return ferry_buffer_slice(copy);
}

static enum ferry_code parse(struct ferry_slice text, enum ferry_code if_invalid, jv *out, struct ferry_error *error)
{
    if (is_too_deep(text))
        return ferry_fail(error, FERRY_TOO_DEEP, "the JSON is nested deeper than %d levels", DEPTH);
    struct ferry_json scanned;
    struct ferry_error why = {.text = ""};
    enum ferry_code code = ferry_json_scan(text, NULL, &scanned, NULL, &why);
    if (code != FERRY_OK)
        return ferry_fail(error, code == FERRY_JSON_INVALID ? if_invalid : code, "%s", why.text);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer copy;
    ferry_buffer_init(&copy, INT_MAX);
    text = quote_big_integers(text, &copy);
    if (copy.failed || text.len > INT_MAX)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    jv value = jv_parse_sized(text.ptr, (int)text.len);
    if (!jv_is_valid(value)) {
        char message[FERRY_JQ_MESSAGE];
        ferry_jq_message(jv_invalid_get_msg(value), message);
        char *quote = strstr(message, " (while parsing"); /* the text itself: no body in logs */
        if (quote != NULL)
            *quote = '\0';
        return ferry_fail(error, if_invalid, "jq: %s", message);
    }
    *out = value;
    return FERRY_OK;
}

/* ---- the view ---- */

static jv text_value(struct ferry_slice text)
{
    return jv_string_sized(text.ptr, (int)text.len);
}

static void set(jv *object, const char *name, jv value)
{
    *object = jv_object_set(*object, jv_string(name), value);
}

static void set_attributes(const struct ferry_event *event, jv *object)
{
    const struct {
        const char *name;
        struct ferry_slice value;
    } attributes[] = {
        {"specversion", FERRY_SLICE("1.0")},
        {"id", event->id},
        {"source", event->source},
        {"type", event->type},
        {"time", event->time},
        {"subject", event->subject},
        {"dataschema", event->dataschema},
        {"datacontenttype", event->datacontenttype},
    };
    for (size_t i = 0; i < event->extension_count; i++)
        *object = jv_object_set(*object, text_value(event->extensions[i].name), text_value(event->extensions[i].value));
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (attributes[i].value.ptr != NULL)
            set(object, attributes[i].name, text_value(attributes[i].value));
}

/* Bytes that are no JSON: text as a string, anything else as base64. */
static enum ferry_code bytes_value(struct ferry_slice bytes, jv *out, struct ferry_error *error)
{
    if (ferry_utf8_valid(bytes)) {
        *out = text_value(bytes);
        return FERRY_OK;
    }
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer encoded;
    ferry_buffer_init(&encoded, INT_MAX);
    ferry_base64_encode(bytes, &encoded);
    if (encoded.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *out = text_value(ferry_buffer_slice(&encoded));
    return FERRY_OK;
}

/* `data.attributes` where that is an object (legacy app events), else `data`. */
static jv resource_of(jv data)
{
    if (jv_get_kind(data) == JV_KIND_OBJECT) {
        jv attributes = jv_object_get(jv_copy(data), jv_string("attributes"));
        if (jv_get_kind(attributes) == JV_KIND_OBJECT)
            return attributes;
        jv_free(attributes);
    }
    return jv_copy(data);
}

static enum ferry_code make_view(jv value, struct ferry_view **out, struct ferry_error *error)
{
    struct ferry_view *view = malloc(sizeof *view);
    if (view == NULL) {
        jv_free(value);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    view->value = value;
    *out = view;
    return FERRY_OK;
}

enum ferry_code ferry_view_new(const struct ferry_event *event, struct ferry_view **out, struct ferry_error *error)
{
    jv data = jv_null();
    enum ferry_code code = FERRY_OK;
    if (event->data_kind == FERRY_DATA_JSON)
        code = parse(event->data, FERRY_RECORD_INVALID, &data, error);
    else if (event->data_kind == FERRY_DATA_BYTES)
        code = bytes_value(event->data, &data, error);
    if (code != FERRY_OK)
        return code;
    jv object = jv_object();
    set_attributes(event, &object);
    set(&object, "event", text_value(event->canonical));
    set(&object, "resource", resource_of(data));
    set(&object, "data", data);
    return make_view(object, out, error);
}

enum ferry_code ferry_view_of_json(struct ferry_slice json, struct ferry_view **out, struct ferry_error *error)
{
    jv value = jv_null();
    enum ferry_code code = parse(json, FERRY_JSON_INVALID, &value, error);
    return code == FERRY_OK ? make_view(value, out, error) : code;
}

enum ferry_code ferry_view_with(const struct ferry_view *view, const struct ferry_pair *members, size_t count,
                                struct ferry_view **out, struct ferry_error *error)
{
    jv object = jv_copy(view->value);
    for (size_t i = 0; i < count; i++) {
        if (jv_object_has(jv_copy(object), text_value(members[i].name)))
            continue;
        jv value = jv_null();
        enum ferry_code code = parse(members[i].value, FERRY_JSON_INVALID, &value, error);
        if (code != FERRY_OK) {
            jv_free(object);
            return code;
        }
        object = jv_object_set(object, text_value(members[i].name), value);
    }
    return make_view(object, out, error);
}

void ferry_view_free(struct ferry_view *view)
{
    if (view == NULL)
        return;
    jv_free(view->value);
    free(view);
}
