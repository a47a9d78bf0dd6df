/* What a call brings: fields of the query, of a form, or members of a JSON object, each named in `inputs`. A text of
 * query or form becomes a JSON string; a JSON value stays byte by byte what it is. */
#include "bridge/triggers/form.h"
#include "bridge/triggers/inside.h"
#include "core/json.h"
#include "core/media_type.h"
#include "core/utf8.h"

enum { SHOWN_NAME = 40, DATA_MAX_BYTES = 64 << 20 };

struct reading {
    const struct ferry_trigger_call *call;
    struct ferry_trigger_inputs *inputs;
    struct ferry_arena *arena;
    struct ferry_error *error;
};

/* ---- one field ---- */

/* A name that came from outside, fit for a line of text. */
static const char *show(struct ferry_slice name, char shown[SHOWN_NAME + 1])
{
    size_t len = name.len < SHOWN_NAME ? name.len : SHOWN_NAME;
    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(name.ptr[i] > 0x20 && name.ptr[i] < 0x7f && name.ptr[i] != '"' ? name.ptr[i] : '?');
    shown[len] = '\0';
    return shown;
}

static enum ferry_code refuse(const struct reading *reading, struct ferry_slice name, const char *what)
{
    char shown[SHOWN_NAME + 1];
    return ferry_fail(reading->error, FERRY_INPUT_REFUSED, "\"%s\" %s", show(name, shown), what);
}

static void refuse_unknown(const struct reading *reading, struct ferry_slice name)
{
    struct ferry_strings known = reading->call->trigger->config->inputs;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer list;
    ferry_buffer_init(&list, 400);
    for (size_t i = 0; i < known.count; i++)
        ferry_buffer_printf(&list, "%s%s", i > 0 ? ", " : "", known.items[i]);
    char shown[SHOWN_NAME + 1];
    (void)ferry_fail(reading->error, FERRY_INPUT_REFUSED, "\"%s\" is no input here; there %s%s", show(name, shown),
                     known.count == 0 ? "are none" : "are: ", list.len > 0 ? list.ptr : "");
}

/* Where the value of that name goes; NULL where it is refused (FERRY_INPUT_REFUSED). */
static struct ferry_slice *find_place(const struct reading *reading, struct ferry_slice name)
{
    struct ferry_strings known = reading->call->trigger->config->inputs;
    struct ferry_slice *found = ferry_slice_is(name, "wait") ? &reading->inputs->wait : NULL;
    for (size_t i = 0; found == NULL && i < known.count; i++) {
        if (ferry_slice_is(name, known.items[i]))
            found = &reading->inputs->values[i];
    }
    if (found != NULL && found->ptr == NULL)
        return found;
    if (found == NULL)
        refuse_unknown(reading, name);
    else
        (void)refuse(reading, name, "is there twice");
    return NULL;
}

static enum ferry_code no_memory(const struct reading *reading)
{
    return ferry_fail(reading->error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code take_text(const struct reading *reading, struct ferry_slice name, struct ferry_slice text)
{
    struct ferry_slice *place = find_place(reading, name);
    if (place == NULL)
        return FERRY_INPUT_REFUSED;
    if (!ferry_utf8_valid(text))
        return refuse(reading, name, "is not UTF-8");
    if (place == &reading->inputs->wait) {
        *place = text;
        return FERRY_OK;
    }
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer json;
    ferry_buffer_init(&json, DATA_MAX_BYTES);
    ferry_buffer_add_json_string(&json, text);
    *place = ferry_arena_slice(reading->arena, ferry_buffer_slice(&json));
    return !json.failed && place->ptr != NULL ? FERRY_OK : no_memory(reading);
}

static enum ferry_code take_json(const struct reading *reading, const struct ferry_json_member *member)
{
    struct ferry_slice name;
    enum ferry_code code = ferry_json_member_name(member, reading->arena, &name, reading->error);
    if (code != FERRY_OK)
        return code;
    struct ferry_slice *place = find_place(reading, name);
    if (place == NULL)
        return FERRY_INPUT_REFUSED;
    if (place != &reading->inputs->wait) {
        *place = member->value.text;
        return FERRY_OK;
    }
    if (member->value.type != FERRY_JSON_STRING)
        return refuse(reading, name, "is a time, such as \"55s\"");
    return ferry_json_unescape(member->value, reading->arena, place, reading->error);
}

/* ---- query and form ---- */

static enum ferry_code read_form(const struct reading *reading, struct ferry_slice text)
{
    struct ferry_pairs fields;
    enum ferry_code code = ferry_form_read(text, reading->arena, &fields, reading->error);
    for (size_t i = 0; code == FERRY_OK && i < fields.count; i++)
        code = take_text(reading, fields.items[i].name, fields.items[i].value);
    return code;
}

/* ---- JSON ---- */

static enum ferry_code read_json(const struct reading *reading, struct ferry_slice text)
{
    struct ferry_json value;
    struct ferry_json_parts parts = {NULL, 0};
    enum ferry_code code = ferry_json_scan(text, reading->arena, &value, &parts, reading->error);
    if (code == FERRY_OK && value.type != FERRY_JSON_OBJECT)
        code = ferry_fail(reading->error, FERRY_INPUT_REFUSED, "body: a JSON %s, not an object",
                          ferry_json_type_name(value.type));
    for (size_t i = 0; code == FERRY_OK && i < parts.count; i++)
        code = take_json(reading, &parts.items[i]);
    return code;
}

/* ---- the whole ---- */

static enum ferry_code read_body(const struct reading *reading)
{
    const struct ferry_admit_request *in = reading->call->request.in;
    if (in->body.len == 0)
        return FERRY_OK;
    if (!ferry_slice_is(in->method, "POST"))
        return ferry_fail(reading->error, FERRY_INPUT_REFUSED, "a body comes with POST only");
    if (ferry_pairs_count(in->headers, "Content-Type") > 1 || ferry_pairs_count(in->headers, "Content-Encoding") > 0)
        return ferry_fail(reading->error, FERRY_MEDIA_TYPE, "one Content-Type and no Content-Encoding are taken here");
    struct ferry_slice media_type = ferry_pairs_get(in->headers, "Content-Type");
    if (ferry_slice_is_nocase(ferry_media_type_essence(media_type), "application/x-www-form-urlencoded"))
        return read_form(reading, in->body);
    if (ferry_media_type_is_json(media_type))
        return read_json(reading, in->body);
    return ferry_fail(reading->error, FERRY_MEDIA_TYPE,
                      "Content-Type: application/json and application/x-www-form-urlencoded are taken here");
}

enum ferry_code ferry_trigger_read_inputs(const struct ferry_trigger_call *call, struct ferry_trigger_inputs *inputs,
                                          struct ferry_error *error)
{
    struct ferry_trigger_inputs read = {0};
    const struct reading reading = {call, &read, call->request.arena, error};
    read.values = ferry_arena_new_array(reading.arena, call->trigger->config->inputs.count + 1, sizeof *read.values);
    if (read.values == NULL)
        return no_memory(&reading);
    enum ferry_code code = read_form(&reading, call->request.query);
    if (code == FERRY_OK)
        code = read_body(&reading);
    if (code == FERRY_OK)
        *inputs = read;
    return code;
}

struct ferry_slice ferry_trigger_data(const struct ferry_trigger_call *call, const struct ferry_trigger_inputs *inputs)
{
    struct ferry_strings names = call->trigger->config->inputs;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer data;
    ferry_buffer_init(&data, DATA_MAX_BYTES);
    ferry_buffer_add_char(&data, '{');
    for (size_t i = 0; i < names.count; i++) {
        if (inputs->values[i].ptr == NULL)
            continue;
        ferry_buffer_add_text(&data, data.len > 1 ? "," : "");
        ferry_buffer_add_json_string(&data, ferry_slice_from(names.items[i]));
        ferry_buffer_add_char(&data, ':');
        ferry_buffer_add(&data, inputs->values[i]);
    }
    ferry_buffer_add_char(&data, '}');
    return data.failed ? (struct ferry_slice){NULL, 0}
                       : ferry_arena_slice(call->request.arena, ferry_buffer_slice(&data));
}
