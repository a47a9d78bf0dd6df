/* An example starts as a model: one object with the CloudEvents attributes and `data`. `sets` change the model, and
 * only then it is written in one of the forms, so that a path means the same in all of them:
 *
 *   table row ──fill placeholders──▶ model ──sets──▶ model ──┬─▶ CloudEvents: the model itself
 *                                                           ├─▶ legacy: other names, `extensions`, an app nested
 *                                                           └─▶ hybrid: the members of both in one object */
#include "ferry/examples.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/catalog.h"
#include "core/clock.h"

enum { ID_BYTES = 40, ROW_BYTES = 64 * 1024 };

static const struct row {
    const char *type;
    const char *attributes;
    const char *data;
} rows[] = {
#define ROW(type, attributes, data) {type, attributes, data},
#include "ferry/examples_table.h"
#undef ROW
};

static const struct row *row_of(const char *type)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].type, type) == 0)
            return &rows[i];
    return NULL;
}

bool ferry_example_form_parse(const char *word, enum ferry_format *format)
{
    static const enum ferry_format forms[] = {FERRY_FORMAT_LEGACY, FERRY_FORMAT_HYBRID, FERRY_FORMAT_CLOUDEVENTS};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(word, ferry_format_name(forms[i])) == 0) {
            *format = forms[i];
            return true;
        }
    }
    return false;
}

/* ---- placeholders ---- */

static void random_bytes(unsigned char *bytes, size_t count)
{
    while (getrandom(bytes, count, 0) != (ssize_t)count)
        continue; /* interrupted */
}

/* A random UUID: eight, four, four, four and twelve hexadecimal digits. */
static void make_uuid(char out[ID_BYTES])
{
    unsigned char b[16];
    random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    size_t len = 0;
    for (size_t i = 0; i < sizeof b; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        len += (size_t)snprintf(out + len, ID_BYTES - len, "%s%02x", dash ? "-" : "", b[i]);
    }
}

/* "now", "now-15m", "now+7d". */
static void add_time(struct ferry_buffer *out, const char *word, int64_t now_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char *unit = NULL;
    int64_t shift = strtoll(word + strlen("now"), &unit, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (*unit == units[i].unit)
            now_ms += shift * units[i].ms;
    char text[FERRY_TIME_TEXT];
    ferry_time_format(now_ms, text);
    ferry_buffer_add_text(out, text);
}

static void fill(struct ferry_buffer *out, const char *text, int64_t now_ms, const char *resource)
{
    const char *open;
    while ((open = strstr(text, "{{")) != NULL) {
        ferry_buffer_add(out, ferry_slice_of(text, (size_t)(open - text)));
        if (ferry_slice_starts(ferry_slice_from(open), "{{resource"))
            ferry_buffer_add_text(out, resource);
        else
            add_time(out, open + 2, now_ms);
        text = strstr(open, "}}") + 2;
    }
    ferry_buffer_add_text(out, text);
}

static json_t *filled(const char *text, int64_t now_ms, const char *resource)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer buffer;
    ferry_buffer_init(&buffer, ROW_BYTES);
    fill(&buffer, text, now_ms, resource);
    return json_loadb(ferry_buffer_slice(&buffer).ptr, buffer.len, 0, NULL);
}

/* ---- the model ---- */

static json_t *model_of(const struct row *row, const struct ferry_example *example)
{
    char new_id[ID_BYTES], new_resource[ID_BYTES], time[FERRY_TIME_TEXT];
    make_uuid(new_id);
    make_uuid(new_resource);
    ferry_time_format(example->now_ms, time);
    const char *id = example->id != NULL ? example->id : new_id;
    const char *resource = example->resource != NULL ? example->resource : new_resource;
    const char *source = ferry_catalog_find_type(ferry_slice_from(row->type))->source;
    json_t *model = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "specversion", "1.0", "id", id, "source",
                              source[0] != '\0' ? source : "com.qlik/my-service", "type", row->type, "time", time,
                              "datacontenttype", "application/json");
    json_t *attributes = filled(row->attributes, example->now_ms, resource);
    if (json_object_update(model, attributes) != 0 ||
        json_object_set_new(model, "data", filled(row->data, example->now_ms, resource)) != 0) {
        json_decref(model);
        model = NULL;
    }
    json_decref(attributes);
    return model;
}

/* The object in which the last part of a path lies, made on the way where it is missing; NULL where something else is
 * in the way. `*last` is that part. */
static json_t *walk(json_t *model, char *path, const char **last)
{
    json_t *at = model;
    char *dot;
    while ((dot = strchr(path, '.')) != NULL) {
        *dot = '\0';
        json_t *next = json_object_get(at, path);
        if (next == NULL) {
            next = json_object();
            json_object_set_new(at, path, next);
        }
        at = next;
        path = dot + 1;
    }
    *last = path;
    return json_is_object(at) && path[0] != '\0' ? at : NULL;
}

static enum ferry_code set(json_t *model, const char *assignment, struct ferry_error *error)
{
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment)
        return ferry_fail(error, FERRY_USAGE, "\"%s\": PATH=VALUE is needed", assignment);
    char path[256];
    bool alias = ferry_slice_starts(ferry_slice_from(assignment), "resource.");
    snprintf(path, sizeof path, "%s%.*s", alias ? "data." : "", (int)(equals - assignment) - (alias ? 9 : 0),
             assignment + (alias ? 9 : 0));
    const char *last;
    json_t *parent = walk(model, path, &last);
    if (parent == NULL)
        return ferry_fail(error, FERRY_USAGE, "\"%s\": the path leads through a value that is no object", assignment);
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (value == NULL || (parent == model && !json_is_object(value)))
        json_object_set_new(parent, last, json_string(equals + 1)); /* attributes are strings */
    else
        json_object_set(parent, last, value);
    json_decref(value);
    return FERRY_OK;
}

/* ---- the forms ---- */

struct renaming {
    const char *name;
    const char *legacy;
};

static const struct renaming members[] = {
    {"id", "eventId"},     {"source", "source"}, {"time", "eventTime"},
    {"type", "eventType"}, {"data", "data"},     {"datacontenttype", "contentType"},
};

static const struct renaming extensions[] = {
    {"tenantid", "tenantId"},
    {"userid", "userId"},
    {"ownerid", "ownerId"},
    {"spaceid", "spaceId"},
    {"toplevelresourceid", "topLevelResourceId"},
};

static json_t *renamed(json_t *model, const struct renaming *names, size_t count)
{
    json_t *out = json_object();
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(model, names[i].name);
        if (value != NULL)
            json_object_set(out, names[i].legacy, value);
    }
    return out;
}

static json_t *legacy_members(json_t *model)
{
    json_t *out = renamed(model, members, sizeof members / sizeof members[0]);
    json_object_set_new(out, "cloudEventsVersion", json_string("0.1"));
    json_object_set_new(out, "eventTypeVersion", json_string("1.0.0"));
    json_object_set_new(out, "extensions", renamed(model, extensions, sizeof extensions / sizeof extensions[0]));
    return out;
}

/* The name that the type had before it was renamed, if it was. */
static const char *older_type(struct ferry_slice type)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    struct ferry_slice canonical = ferry_catalog_canonical(type);
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].note, "older name") == 0 && ferry_slice_is(canonical, entries[i].canonical))
            return entries[i].type;
    return NULL;
}

static json_t *as_legacy(json_t *model)
{
    json_t *out = legacy_members(model);
    struct ferry_slice type = ferry_slice_from(json_string_value(json_object_get(model, "type")));
    if (older_type(type) != NULL)
        json_object_set_new(out, "eventType", json_string(older_type(type)));
    struct ferry_slice event = ferry_catalog_canonical(type);
    if (ferry_slice_starts(event, "app.") && !ferry_slice_is(event, "app.reload.finished"))
        json_object_set_new(out, "data", json_pack("{s:O}", "attributes", json_object_get(model, "data")));
    return out;
}

static json_t *as_hybrid(json_t *model)
{
    json_t *out = legacy_members(model);
    json_object_update(out, model);
    return out;
}

static json_t *as_cloudevents(json_t *model)
{
    return json_incref(model);
}

static enum ferry_code print(json_t *model, enum ferry_format format, struct ferry_buffer *out,
                             struct ferry_error *error)
{
    static json_t *(*const forms[])(json_t *) = {
        [FERRY_FORMAT_LEGACY] = as_legacy,
        [FERRY_FORMAT_HYBRID] = as_hybrid,
        [FERRY_FORMAT_CLOUDEVENTS] = as_cloudevents,
    };
    json_t *event = forms[format](model);
    char *text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (text == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for an example");
    ferry_buffer_add_text(out, text);
    free(text);
    return FERRY_OK;
}

enum ferry_code ferry_example_make(const struct ferry_example *example, struct ferry_buffer *out,
                                   struct ferry_error *error)
{
    const struct row *row = row_of(example->type);
    if (row == NULL)
        return ferry_fail(error, FERRY_USAGE, "\"%s\" is no type of the catalogue", example->type);
    json_t *model = model_of(row, example);
    enum ferry_code code = model != NULL ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "no memory for an example");
    for (size_t i = 0; code == FERRY_OK && i < example->set_count; i++)
        code = set(model, example->sets[i], error);
    if (code == FERRY_OK)
        code = print(model, example->format, out, error);
    json_decref(model);
    return code;
}
