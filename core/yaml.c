#include "core/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { DEPTH_MAX = 64 };

/* `&name`, once its node is complete: an alias inside its own anchor finds nothing, so that no cycle can be built. */
struct anchor {
    const char *name;
    const struct ferry_yaml_node *node;
    struct anchor *older;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at; deleted by the next one */
    struct ferry_slice input;
    struct ferry_arena *arena;
    const struct ferry_yaml_listener *listener;
    struct anchor *anchors;
    int depth;
    bool over; /* nothing more can be read: a syntax error, too deep, or no memory */
    enum ferry_code code;
};

/* Children of a list or map while it is read. */
struct children {
    struct ferry_yaml_member *items;
    size_t count;
    size_t capacity;
};

static void report(struct reader *reader, int line, const char *text)
{
    if (reader->code == FERRY_OK)
        reader->code = FERRY_CONFIG;
    reader->listener->problem(reader->listener->context, line, text);
}

static void *out_of_memory(struct reader *reader)
{
    reader->code = FERRY_MEMORY;
    reader->over = true;
    return NULL;
}

static int line_of_offset(struct ferry_slice input, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && i < input.len; i++)
        line += input.ptr[i] == '\n';
    return line;
}

static void report_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    char text[256];
    int line = (int)parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR) {
        out_of_memory(reader);
        return;
    }
    if (parser->error == YAML_READER_ERROR)
        line = line_of_offset(reader->input, parser->problem_offset);
    const char *context = parser->context != NULL ? parser->context : "";
    bool alias = strstr(context, "scanning an alias") != NULL;
    snprintf(text, sizeof text, "not YAML: %s%s%s%s", parser->problem != NULL ? parser->problem : "syntax error",
             context[0] != '\0' ? ", " : "", context,
             alias ? "; a text that begins with * stands in quotes, like \"*.created\"" : "");
    report(reader, line, text);
}

/* The next event in `reader->event`; false at a syntax error, which is the end of the reading. */
static bool next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (!reader->over && yaml_parser_parse(&reader->parser, &reader->event))
        return true;
    if (!reader->over)
        report_syntax(reader);
    reader->over = true;
    return false;
}

static int event_line(const struct reader *reader)
{
    return (int)reader->event.start_mark.line + 1;
}

static const struct ferry_yaml_node *remember_anchor(struct reader *reader, const char *name,
                                                     const struct ferry_yaml_node *node)
{
    if (name == NULL || node == NULL)
        return node;
    struct anchor *anchor = ferry_arena_new(reader->arena, sizeof *anchor);
    if (anchor == NULL)
        return out_of_memory(reader);
    *anchor = (struct anchor){.name = name, .node = node, .older = reader->anchors};
    reader->anchors = anchor;
    return node;
}

static const struct ferry_yaml_node *read_alias(struct reader *reader)
{
    const char *name = (const char *)reader->event.data.alias.anchor;
    for (const struct anchor *anchor = reader->anchors; anchor != NULL; anchor = anchor->older)
        if (strcmp(anchor->name, name) == 0)
            return anchor->node;
    char text[128];
    snprintf(text, sizeof text, "*%s: there is no complete &%s above it", name, name);
    report(reader, event_line(reader), text);
    return NULL;
}

static void refuse_tag(struct reader *reader, const yaml_char_t *tag)
{
    char text[128];
    if (tag == NULL)
        return;
    snprintf(text, sizeof text, "the tag %s has no meaning here, leave it out", (const char *)tag);
    report(reader, event_line(reader), text);
}

static const struct ferry_yaml_node *read_scalar(struct reader *reader)
{
    struct ferry_slice text = {(const char *)reader->event.data.scalar.value, reader->event.data.scalar.length};
    yaml_scalar_style_t style = reader->event.data.scalar.style;
    struct ferry_yaml_node *node = ferry_arena_new(reader->arena, sizeof *node);
    if (node == NULL)
        return out_of_memory(reader);
    refuse_tag(reader, reader->event.data.scalar.tag);
    if (memchr(text.ptr, '\0', text.len) != NULL)
        report(reader, event_line(reader), "the text holds a NUL character");
    bool block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    node->line = event_line(reader);
    node->text_line = node->line + block;
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    node->text = ferry_arena_slice(reader->arena, text);
    return node->text.ptr != NULL ? node : out_of_memory(reader);
}

static void add_child(struct reader *reader, struct children *children, struct ferry_yaml_member child)
{
    if (children->count == children->capacity) {
        size_t capacity = children->capacity == 0 ? 8 : children->capacity * 2;
        struct ferry_yaml_member *grown = realloc(children->items, capacity * sizeof *grown);
        if (grown == NULL) {
            out_of_memory(reader);
            return;
        }
        children->items = grown;
        children->capacity = capacity;
    }
    children->items[children->count++] = child;
}

static void free_children(struct children *children)
{
    free(children->items);
}

static const struct ferry_yaml_node *read_node(struct reader *reader);

/* A key that stands twice is reported where it stands again, and its first value is kept. */
static bool is_new_key(struct reader *reader, const struct children *children, const char *key, int line)
{
    char text[256];
    for (size_t i = 0; i < children->count; i++) {
        if (strcmp(children->items[i].key, key) != 0)
            continue;
        snprintf(text, sizeof text, "%.100s: stands here for the second time, first in line %d", key,
                 children->items[i].line);
        report(reader, line, text);
        return false;
    }
    return true;
}

/* Members up to the event that ends the map. */
static void read_members(struct reader *reader, struct children *children)
{
    while (next(reader) && reader->event.type != YAML_MAPPING_END_EVENT) {
        int line = event_line(reader);
        bool is_word = reader->event.type == YAML_SCALAR_EVENT;
        const struct ferry_yaml_node *key = read_node(reader);
        const struct ferry_yaml_node *value = next(reader) ? read_node(reader) : NULL;
        if (reader->over)
            return;
        if (!is_word)
            report(reader, line, "a key is a word");
        else if (value != NULL && is_new_key(reader, children, key->text.ptr, line))
            add_child(reader, children, (struct ferry_yaml_member){key->text.ptr, line, value});
    }
}

static void read_items(struct reader *reader, struct children *children)
{
    while (next(reader) && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        const struct ferry_yaml_node *item = read_node(reader);
        if (item != NULL)
            add_child(reader, children, (struct ferry_yaml_member){NULL, item->line, item});
    }
}

/* From the growing array into the arena. */
static const struct ferry_yaml_node *keep_children(struct reader *reader, struct ferry_yaml_node *node,
                                                   const struct children *children)
{
    struct ferry_yaml_member *members = ferry_arena_new_array(reader->arena, children->count, sizeof *members);
    const struct ferry_yaml_node **items = ferry_arena_new_array(reader->arena, children->count, sizeof(void *));
    if (members == NULL || items == NULL)
        return out_of_memory(reader);
    for (size_t i = 0; i < children->count; i++) {
        members[i] = children->items[i];
        items[i] = children->items[i].value;
    }
    node->count = children->count;
    node->members = node->kind == FERRY_YAML_MAP ? members : NULL;
    node->items = node->kind == FERRY_YAML_LIST ? items : NULL;
    return node;
}

static const struct ferry_yaml_node *read_collection(struct reader *reader, enum ferry_yaml_kind kind)
{
    struct ferry_yaml_node *node = ferry_arena_new(reader->arena, sizeof *node);
    if (node == NULL)
        return out_of_memory(reader);
    node->kind = kind;
    node->line = node->text_line = event_line(reader);
    if (reader->depth == DEPTH_MAX) {
        report(reader, node->line, "nested too deeply");
        reader->over = true;
        return NULL;
    }
    FERRY_CLEANUP(free_children) struct children children = {0};
    reader->depth++;
    if (kind == FERRY_YAML_MAP)
        read_members(reader, &children);
    else
        read_items(reader, &children);
    reader->depth--;
    return reader->over ? NULL : keep_children(reader, node, &children);
}

/* The node that begins with the current event; afterwards its last event is the current one. NULL for a dangling
 * alias, or when the reading is over. */
static const struct ferry_yaml_node *read_node(struct reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL;
    const struct ferry_yaml_node *node = NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(reader);
    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor;
    else if (event->type == YAML_MAPPING_START_EVENT)
        anchor = event->data.mapping_start.anchor;
    else
        anchor = event->data.sequence_start.anchor;
    char *name = anchor != NULL ? ferry_arena_text(reader->arena, ferry_slice_from((const char *)anchor)) : NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        node = read_scalar(reader);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        refuse_tag(reader, event->data.mapping_start.tag);
        node = read_collection(reader, FERRY_YAML_MAP);
    } else {
        refuse_tag(reader, event->data.sequence_start.tag);
        node = read_collection(reader, FERRY_YAML_LIST);
    }
    return remember_anchor(reader, name, node);
}

/* Up to the next document: behind the stream's start, or behind the last document's end. False if none begins. */
static bool find_document(struct reader *reader)
{
    while (next(reader) && reader->event.type != YAML_STREAM_END_EVENT)
        if (reader->event.type == YAML_DOCUMENT_START_EVENT)
            return true;
    return false;
}

static void read_document(struct reader *reader, const struct ferry_yaml_node **root)
{
    if (!find_document(reader) || !next(reader))
        return;
    *root = read_node(reader);
    if (*root != NULL && find_document(reader))
        report(reader, event_line(reader), "a second document begins here, the configuration is one");
}

enum ferry_code ferry_yaml_parse(struct ferry_slice text, struct ferry_arena *arena,
                                 const struct ferry_yaml_listener *listener, const struct ferry_yaml_node **root)
{
    struct reader reader = {.input = text, .arena = arena, .listener = listener};
    if (!yaml_parser_initialize(&reader.parser))
        return FERRY_MEMORY;
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.ptr, text.len);
    *root = NULL;
    read_document(&reader, root);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return reader.code;
}

const struct ferry_yaml_member *ferry_yaml_get(const struct ferry_yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != FERRY_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->members[i].key, key) == 0)
            return &node->members[i];
    return NULL;
}

bool ferry_yaml_is_null(const struct ferry_yaml_node *node)
{
    return node != NULL && node->kind == FERRY_YAML_SCALAR && node->plain &&
           (node->text.len == 0 || ferry_slice_is(node->text, "~") || ferry_slice_is(node->text, "null"));
}
