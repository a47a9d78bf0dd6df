/* The documented shapes of events: the members of `data` with their JSON types. From Qlik's event catalogue, November
 * 2026; not every type is documented. */
#ifndef FERRY_SHAPES_H
#define FERRY_SHAPES_H

#include "core/buffer.h"
#include "core/error.h"

/* A shape is JSON in which a leaf is the name of a JSON type: {"id":"string","tags":["string"]}. An array shows its
 * element, an object its members; [] and {} say no more than that they are an array and an object. */
struct ferry_shape {
    const char *type; /* "com.qlik.app.created" */
    const char *data;
};

/* The shape of a type, else of any other name of the same action; NULL where none is documented. Static. */
const struct ferry_shape *ferry_shape_find(struct ferry_slice type);

/* Appends a JSON Schema (2020-12) of the `data` of that type; of one without a documented shape it says only that.
 * Members are never required: the documentation does not say which are. */
FERRY_NODISCARD enum ferry_code ferry_shape_print_schema(struct ferry_slice type, struct ferry_buffer *out,
                                                         struct ferry_error *error);

#endif
