#include "ferry/shapes.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/catalog.h"

static const struct ferry_shape shapes[] = {
#define ROW(type, data) {type, data},
#include "ferry/shapes_table.h"
#undef ROW
};

enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

const struct ferry_shape *ferry_shape_find(struct ferry_slice type)
{
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        if (ferry_slice_is(type, shapes[i].type))
            return &shapes[i];
    struct ferry_slice canonical = ferry_catalog_canonical(type);
    for (size_t i = 0; i < SHAPE_COUNT; i++)
        if (ferry_slice_equal(canonical, ferry_catalog_canonical(ferry_slice_from(shapes[i].type))))
            return &shapes[i];
    return NULL;
}

/* The schema of one value; new reference, NULL when memory ran out. */
static json_t *schema_of(const json_t *shape);

static json_t *schema_of_object(const json_t *shape)
{
    json_t *properties = json_object();
    const char *name;
    json_t *member;
    json_object_foreach ((json_t *)shape, name, member) {
        if (json_object_set_new(properties, name, schema_of(member)) != 0) {
            json_decref(properties);
            return NULL;
        }
    }
    if (json_object_size(properties) == 0) {
        json_decref(properties);
        return json_pack("{s:s}", "type", "object");
    }
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static json_t *schema_of(const json_t *shape)
{
    if (json_is_object(shape))
        return schema_of_object(shape);
    if (!json_is_array(shape))
        return json_pack("{s:s}", "type", json_string_value(shape));
    if (json_array_size(shape) == 0)
        return json_pack("{s:s}", "type", "array");
    return json_pack("{s:s, s:o}", "type", "array", "items", schema_of(json_array_get(shape, 0)));
}

static json_t *data_schema(struct ferry_slice type)
{
    const struct ferry_shape *shape = ferry_shape_find(type);
    if (shape == NULL)
        return json_pack("{s:s}", "$comment", "the shape of this event's data is not documented");
    json_t *data = json_loads(shape->data, 0, NULL);
    json_t *schema = data != NULL ? schema_of(data) : NULL;
    json_decref(data);
    return schema;
}

enum ferry_code ferry_shape_print_schema(struct ferry_slice type, struct ferry_buffer *out, struct ferry_error *error)
{
    json_t *schema = json_pack("{s:s, s:s%}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
                               type.ptr, type.len);
    json_t *data = data_schema(type);
    char *text = NULL;
    if (schema != NULL && data != NULL && json_object_update(schema, data) == 0)
        text = json_dumps(schema, JSON_INDENT(2));
    json_decref(schema);
    json_decref(data);
    if (text == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for a schema");
    ferry_buffer_add_text(out, text);
    ferry_buffer_add_char(out, '\n');
    free(text);
    return FERRY_OK;
}
