/* The reader: walks a map with its table, row by row, and hands each value to what reads its kind. */
#include "core/config_reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/words.h"

enum { SHOWN_BYTES = 60, SHOWN_MAX_BYTES = 512, KEYS_MAX = 64 };

/* ---- findings ---- */

static void add_finding(struct ferry_config_reader *reader, struct ferry_place place, bool warning, const char *format,
                        va_list args) FERRY_PRINTF(4, 0);

static void add_finding(struct ferry_config_reader *reader, struct ferry_place place, bool warning, const char *format,
                        va_list args)
{
    struct ferry_config_memory *memory = reader->memory;
    char what[1024];
    vsnprintf(what, sizeof what, format, args);
    if (memory->finding_count == memory->finding_capacity) {
        size_t capacity = memory->finding_capacity == 0 ? 16 : memory->finding_capacity * 2;
        struct ferry_finding *grown = realloc(memory->findings, capacity * sizeof *grown);
        if (grown == NULL) {
            reader->failed = true;
            return;
        }
        memory->findings = grown;
        memory->finding_capacity = capacity;
    }
    size_t bytes = reader->path_len + strlen(what) + 3;
    char *text = ferry_config_new(reader, bytes, 1);
    if (text == NULL)
        return;
    snprintf(text, bytes, "%s%s%s", reader->path, reader->path_len > 0 ? ": " : "", what);
    for (char *at = text; *at != '\0'; at++) /* a key may hold anything, a finding is one line */
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    memory->findings[memory->finding_count++] =
        (struct ferry_finding){.place = place, .warning = warning, .text = text};
}

void ferry_config_error(struct ferry_config_reader *reader, struct ferry_place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_finding(reader, place, false, format, args);
    va_end(args);
}

void ferry_config_warning(struct ferry_config_reader *reader, struct ferry_place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_finding(reader, place, true, format, args);
    va_end(args);
}

const char *ferry_config_show(struct ferry_config_reader *reader, const struct ferry_config_value *value)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer shown;
    ferry_buffer_init(&shown, SHOWN_MAX_BYTES);
    if (value->origin != NULL) {
        ferry_buffer_printf(&shown, "what %s gives", value->origin);
    } else {
        bool cut = value->text.len > SHOWN_BYTES;
        ferry_buffer_add_json_string(&shown, ferry_slice_of(value->text.ptr, cut ? SHOWN_BYTES : value->text.len));
        ferry_buffer_add_text(&shown, cut ? "…" : "");
    }
    const char *text = ferry_arena_text(&reader->memory->arena, ferry_buffer_slice(&shown));
    return text != NULL ? text : "the value";
}

/* ---- the path and memory ---- */

size_t ferry_config_enter(struct ferry_config_reader *reader, const char *key, size_t index)
{
    size_t before = reader->path_len, room = sizeof reader->path - before;
    int len = key != NULL ? snprintf(reader->path + before, room, "%s%s", before > 0 ? "." : "", key)
                          : snprintf(reader->path + before, room, "[%zu]", index);
    reader->path_len += (size_t)len < room ? (size_t)len : room - 1;
    return before;
}

void ferry_config_leave(struct ferry_config_reader *reader, size_t path_len)
{
    reader->path_len = path_len;
    reader->path[path_len] = '\0';
}

struct ferry_place ferry_config_place(const struct ferry_config_reader *reader, const struct ferry_yaml_node *node)
{
    return (struct ferry_place){reader->config->file, node != NULL ? node->line : 1};
}

struct ferry_place ferry_config_place_of(const struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                         const char *key)
{
    const struct ferry_yaml_member *member = ferry_yaml_get(node, key);
    return member != NULL ? (struct ferry_place){reader->config->file, member->line} : ferry_config_place(reader, node);
}

void *ferry_config_new(struct ferry_config_reader *reader, size_t count, size_t item_bytes)
{
    void *taken = ferry_arena_new_array(&reader->memory->arena, count, item_bytes);
    reader->failed |= taken == NULL;
    return taken;
}

/* ---- lists and maps of scalars ---- */

static void expect(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *what)
{
    ferry_config_error(reader, ferry_config_place(reader, node), "%s is expected here", what);
}

/* Reads every item as a scalar of `kind` into an array of `item_bytes`; NULL, and 0 in `count`, if it is no list. */
static void *read_list(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                       const struct ferry_yaml_node *node, enum ferry_config_kind kind, size_t item_bytes,
                       const char *example, size_t *count)
{
    struct ferry_config_option item = *option;
    item.kind = kind;
    *count = 0;
    if (node->kind != FERRY_YAML_LIST) {
        expect(reader, node, example);
        return NULL;
    }
    char *items = ferry_config_new(reader, node->count, item_bytes);
    for (size_t i = 0; i < node->count && items != NULL; i++) {
        struct ferry_config_value value;
        size_t before = ferry_config_enter(reader, NULL, i);
        if (ferry_config_resolve(reader, node->items[i], kind == FERRY_KIND_SECRET, &value) == FERRY_GOT_VALUE) {
            size_t errors = reader->memory->finding_count;
            ferry_config_read_value(reader, &item, &value, items + *count * item_bytes);
            *count += reader->memory->finding_count == errors; /* what does not fit leaves no gap */
        }
        ferry_config_leave(reader, before);
    }
    return items;
}

static void read_texts(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                       const struct ferry_yaml_node *node, char *target)
{
    struct ferry_strings *out = (void *)(target + option->offset);
    size_t count;
    const char *const *items =
        read_list(reader, option, node, FERRY_KIND_TEXT, sizeof *items, "a list like [a, b]", &count);
    *out = (struct ferry_strings){items, count};
}

static void read_secrets(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                         const struct ferry_yaml_node *node, char *target)
{
    size_t *count = (void *)(target + option->count_offset);
    *(const struct ferry_secret **)(void *)(target + option->offset) =
        read_list(reader, option, node, FERRY_KIND_SECRET, sizeof(struct ferry_secret),
                  "a list like [{env: NAME}, {file: PATH}]", count);
}

static void read_expressions(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                             const struct ferry_yaml_node *node, char *target)
{
    size_t *count = (void *)(target + option->count_offset);
    *(const struct ferry_source **)(void *)(target + option->offset) =
        read_list(reader, option, node, FERRY_KIND_EXPRESSION, sizeof(struct ferry_source),
                  "a list of jq expressions like [.tenantid, .resource.id]", count);
}

static void read_accept(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_yaml_node *node, char *target)
{
    size_t count;
    const char *const *words =
        read_list(reader, option, node, FERRY_KIND_TEXT, sizeof *words, "a list like [2xx, 404, 410]", &count);
    struct ferry_status_range *ranges = ferry_config_new(reader, count, sizeof *ranges);
    if (words == NULL || ranges == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        (void)ferry_config_parse_status(ferry_slice_from(words[i]), &ranges[i]); /* the shape let it through */
    *(const struct ferry_status_range **)(void *)(target + option->offset) = ranges;
    *(size_t *)(void *)(target + option->count_offset) = count;
}

static void read_mapping_member(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                                const struct ferry_yaml_member *member, struct ferry_named_source *out)
{
    struct ferry_config_value value;
    size_t before = ferry_config_enter(reader, member->key, 0);
    out->name = member->key;
    if (ferry_config_resolve(reader, member->value, false, &value) == FERRY_GOT_VALUE)
        ferry_config_read_value(reader, option, &value, &out->source);
    ferry_config_leave(reader, before);
}

/* One expression, or a map whose values are expressions; {file: x.jq} is the one expression of that file. */
static void read_mapping(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                         const struct ferry_yaml_node *node, char *target)
{
    struct ferry_mapping *out = (void *)(target + option->offset);
    struct ferry_config_option expression = *option;
    struct ferry_config_value value;
    expression.kind = FERRY_KIND_EXPRESSION;
    if (node->kind == FERRY_YAML_LIST) {
        expect(reader, node, "a jq expression, or a map whose values are expressions,");
        return;
    }
    if (node->kind == FERRY_YAML_SCALAR || ferry_config_is_reference(node)) {
        if (ferry_config_resolve(reader, node, false, &value) == FERRY_GOT_VALUE)
            ferry_config_read_value(reader, &expression, &value, &out->whole);
        return;
    }
    struct ferry_named_source *members = ferry_config_new(reader, node->count, sizeof *members);
    for (size_t i = 0; i < node->count && members != NULL; i++)
        read_mapping_member(reader, &expression, &node->members[i], &members[i]);
    out->members = members;
    out->member_count = members != NULL ? node->count : 0;
}

static bool is_token(struct ferry_slice text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr(marks, c, sizeof marks - 1) == NULL)
            return false;
    }
    return text.len > 0;
}

/* Does a header of that name carry a credential, whose value must not stand in the file? */
static bool holds_credential(const char *name)
{
    static const char *const parts[] = {"authorization", "token", "secret", "password", "api-key", "apikey", "cookie"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

static bool has_control(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool read_header(struct ferry_config_reader *reader, const struct ferry_yaml_member *member,
                        struct ferry_secret_header *out)
{
    struct ferry_config_value value;
    struct ferry_place place = {reader->config->file, member->line};
    if (!is_token(ferry_slice_from(member->key))) {
        ferry_config_error(reader, place, "is no name of an HTTP header");
        return false;
    }
    /* What is a reference may be a secret, whatever the header is called; the name stays. */
    bool is_secret = holds_credential(member->key) ||
                     ((reader->sections & FERRY_SECTION_NO_SECRETS) != 0 && ferry_config_is_reference(member->value));
    enum ferry_config_got got = ferry_config_resolve(reader, member->value, is_secret, &value);
    if (got == FERRY_GOT_NOTHING)
        *out = (struct ferry_secret_header){.name = member->key};
    if (got != FERRY_GOT_VALUE)
        return got == FERRY_GOT_NOTHING;
    if (has_control(value.text)) {
        ferry_config_error(reader, value.place, "%s holds a control character", ferry_config_show(reader, &value));
        return false;
    }
    *out = (struct ferry_secret_header){member->key, ferry_config_keep_secret(reader, value.text)};
    return true;
}

static void read_headers(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                         const struct ferry_yaml_node *node, char *target)
{
    size_t count = 0;
    if (node->kind != FERRY_YAML_MAP) {
        expect(reader, node, "a map like {X-Caller: {env: NAME}}");
        return;
    }
    struct ferry_secret_header *headers = ferry_config_new(reader, node->count, sizeof *headers);
    for (size_t i = 0; i < node->count && headers != NULL; i++) {
        size_t before = ferry_config_enter(reader, node->members[i].key, 0);
        count += read_header(reader, &node->members[i], &headers[count]);
        ferry_config_leave(reader, before);
    }
    *(const struct ferry_secret_header **)(void *)(target + option->offset) = headers;
    *(size_t *)(void *)(target + option->count_offset) = count;
}

/* The properties of librdkafka that hold a secret. */
static bool is_secret_property(const char *name)
{
    static const char *const names[] = {"sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
                                        "sasl.oauthbearer.client.secret"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool read_property(struct ferry_config_reader *reader, const struct ferry_config_owned *owned,
                          const struct ferry_yaml_member *member, struct ferry_property *out)
{
    struct ferry_config_value value;
    struct ferry_place place = {reader->config->file, member->line};
    const char *reason = owned != NULL ? owned->reason(member->key) : NULL;
    if (reason != NULL) {
        ferry_config_error(reader, place, "belongs to Ferry, leave it out: %s", reason);
        return false;
    }
    if (ferry_config_resolve(reader, member->value, is_secret_property(member->key), &value) != FERRY_GOT_VALUE)
        return false;
    *out = (struct ferry_property){.name = member->key, .value = value.text.ptr, .place = place};
    return true;
}

static void read_properties(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                            const struct ferry_yaml_node *node, char *target)
{
    struct ferry_properties *out = (void *)(target + option->offset);
    size_t count = 0;
    if (node->kind != FERRY_YAML_MAP) {
        expect(reader, node, "a map of properties and values");
        return;
    }
    struct ferry_property *items = ferry_config_new(reader, node->count, sizeof *items);
    for (size_t i = 0; i < node->count && items != NULL; i++) {
        size_t before = ferry_config_enter(reader, node->members[i].key, 0);
        count += read_property(reader, option->about, &node->members[i], &items[count]);
        ferry_config_leave(reader, before);
    }
    *out = (struct ferry_properties){items, count};
}

/* ---- tables ---- */

static void read_inner_table(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                             const struct ferry_yaml_node *node, char *target)
{
    bool off =
        (option->flags & FERRY_OPTION_OFF) != 0 && node->kind == FERRY_YAML_SCALAR && ferry_slice_is(node->text, "off");
    if (off)
        return;
    ferry_config_read_table(reader, option->about, node, target + option->offset);
}

static void read_tables(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_yaml_node *node, char *target)
{
    const struct ferry_config_table *table = option->about;
    if (node->kind != FERRY_YAML_LIST) {
        expect(reader, node, "a list, each item begins with \"- \",");
        return;
    }
    char *items = ferry_config_new(reader, node->count, table->size);
    for (size_t i = 0; i < node->count && items != NULL; i++) {
        size_t before = ferry_config_enter(reader, NULL, i);
        ferry_config_read_table(reader, table, node->items[i], items + i * table->size);
        ferry_config_leave(reader, before);
    }
    *(const void **)(void *)(target + option->offset) = items;
    *(size_t *)(void *)(target + option->count_offset) = items != NULL ? node->count : 0;
}

static void ignore_problem(void *context, int line, const char *text)
{
    (void)context, (void)line, (void)text;
    assert(!"a default in an option table is no YAML");
}

static const struct ferry_yaml_node *parse_preset(struct ferry_config_reader *reader, const char *preset)
{
    const struct ferry_yaml_listener listener = {.problem = ignore_problem};
    const struct ferry_yaml_node *node = NULL;
    if (ferry_yaml_parse(ferry_slice_from(preset), &reader->memory->arena, &listener, &node) == FERRY_MEMORY)
        reader->failed = true;
    return node;
}

static void read_scalar(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_yaml_node *node, char *target)
{
    struct ferry_config_value value;
    enum ferry_config_got got = ferry_config_resolve(reader, node, option->kind == FERRY_KIND_SECRET, &value);
    if (got == FERRY_GOT_VALUE)
        ferry_config_read_value(reader, option, &value, target + option->offset);
    else if (got == FERRY_GOT_NOTHING && option->kind == FERRY_KIND_TEXT && option->preset == NULL)
        *(const char **)(void *)(target + option->offset) = ""; /* it is set, but only its own program knows to what */
}

typedef void read_fn(struct ferry_config_reader *, const struct ferry_config_option *, const struct ferry_yaml_node *,
                     char *);

static void read_option(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                        const struct ferry_yaml_node *node, char *target)
{
    static read_fn *const readers[] = {
        [FERRY_KIND_TEXTS] = read_texts,
        [FERRY_KIND_SECRETS] = read_secrets,
        [FERRY_KIND_EXPRESSIONS] = read_expressions,
        [FERRY_KIND_MAPPING] = read_mapping,
        [FERRY_KIND_HEADERS] = read_headers,
        [FERRY_KIND_PROPERTIES] = read_properties,
        [FERRY_KIND_ACCEPT] = read_accept,
        [FERRY_KIND_TABLE] = read_inner_table,
        [FERRY_KIND_TABLES] = read_tables,
    };
    if (option->kind < FERRY_KIND_SCALARS)
        read_scalar(reader, option, node, target);
    else
        readers[option->kind](reader, option, node, target);
}

/* Defaults come before what the file says, so that a value that does not fit leaves a sound struct behind. */
static void read_preset(struct ferry_config_reader *reader, const struct ferry_config_option *option, char *target)
{
    if (reader->no_presets || option->preset == NULL)
        return;
    const struct ferry_yaml_node *node = parse_preset(reader, option->preset);
    if (node != NULL)
        read_option(reader, option, node, target);
}

static void read_row(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                     const struct ferry_yaml_node *map, char *target)
{
    const struct ferry_yaml_member *member = ferry_yaml_get(map, option->key);
    bool is_set = member != NULL && !ferry_yaml_is_null(member->value);
    bool own = reader->own;
    size_t before = ferry_config_enter(reader, option->key, 0);
    if (option->sections != 0)
        reader->own = (option->sections & reader->sections) != 0;
    read_preset(reader, option, target);
    if (is_set)
        read_option(reader, option, member->value, target);
    else if (option->kind == FERRY_KIND_TABLE && option->preset == NULL)
        ferry_config_read_table(reader, option->about, NULL, target + option->offset);
    if (!is_set && map != NULL && (option->flags & FERRY_OPTION_REQUIRED) != 0)
        ferry_config_error(reader, ferry_config_place_of(reader, map, option->key), "is missing, it is %s",
                           option->help);
    reader->own = own;
    ferry_config_leave(reader, before);
}

/* Rows without a key: what the struct wants to know about its map. */
static void read_mark(const struct ferry_config_reader *reader, const struct ferry_config_option *option,
                      const struct ferry_yaml_node *map, char *target)
{
    if (option->kind == FERRY_KIND_PRESENT)
        *(bool *)(target + option->offset) = map != NULL;
    else
        *(struct ferry_place *)(void *)(target + option->offset) = ferry_config_place(reader, map);
}

static void read_rows(struct ferry_config_reader *reader, const struct ferry_config_table *table,
                      const struct ferry_yaml_node *map, char *target)
{
    for (size_t i = 0; i < table->option_count; i++) {
        const struct ferry_config_option *option = &table->options[i];
        if (option->key != NULL)
            read_row(reader, option, map, target);
        else
            read_mark(reader, option, map, target);
    }
}

/* The keys that a map may have. */
static size_t list_keys(const struct ferry_config_table *table, const char *keys[KEYS_MAX])
{
    size_t count = 0;
    for (; table != NULL; table = table->merged)
        for (size_t i = 0; i < table->option_count && count < KEYS_MAX; i++)
            if (table->options[i].key != NULL)
                keys[count++] = table->options[i].key;
    return count;
}

static void refuse_key(struct ferry_config_reader *reader, const struct ferry_yaml_member *member,
                       const char *const *keys, size_t count)
{
    struct ferry_place place = {reader->config->file, member->line};
    const char *nearest = ferry_words_nearest(member->key, keys, count);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer list;
    ferry_buffer_init(&list, 1024);
    for (size_t i = 0; i < count; i++)
        ferry_buffer_printf(&list, "%s%s", i > 0 ? " " : "", keys[i]);
    size_t before = ferry_config_enter(reader, member->key, 0);
    if (nearest != NULL)
        ferry_config_error(reader, place, "unknown key, did you mean %s?", nearest);
    else
        ferry_config_error(reader, place, "unknown key, allowed here: %s", list.ptr != NULL ? list.ptr : "");
    ferry_config_leave(reader, before);
}

static void refuse_unknown_keys(struct ferry_config_reader *reader, const struct ferry_config_table *table,
                                const struct ferry_yaml_node *map)
{
    const char *keys[KEYS_MAX];
    size_t count = list_keys(table, keys);
    for (size_t i = 0; i < map->count; i++) {
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = strcmp(map->members[i].key, keys[k]) == 0;
        if (!known)
            refuse_key(reader, &map->members[i], keys, count);
    }
}

void ferry_config_read_table(struct ferry_config_reader *reader, const struct ferry_config_table *table,
                             const struct ferry_yaml_node *node, void *target)
{
    if (node != NULL && node->kind != FERRY_YAML_MAP) {
        expect(reader, node, "a map of keys and values");
        node = NULL;
    }
    if (table->prepare != NULL)
        table->prepare(reader, target);
    read_rows(reader, table, node, target);
    if (table->merged != NULL) {
        reader->no_presets = true;
        read_rows(reader, table->merged, node, target);
        reader->no_presets = false;
    }
    if (node == NULL)
        return;
    refuse_unknown_keys(reader, table, node);
    if (table->check != NULL)
        table->check(reader, node, target);
}
