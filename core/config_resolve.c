/* References: {env: NAME}, {env: NAME, default: X}, {file: PATH}, and the file of NAME=value lines behind `secrets`.
 *
 * A program resolves its own sections alone. In the others a secret is never looked at, and a missing variable or file
 * of anything else is no mistake: it simply is not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/config_reader.h"

enum { FILE_MAX_BYTES = 1024 * 1024 };

static const char secret_cure[] = "a secret must not stand in this file, use {env: NAME} or {file: PATH}";

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum ferry_code read_all(int fd, const char *path, struct ferry_buffer *out, struct ferry_error *error)
{
    char chunk[4096];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ferry_fail(error, FERRY_SYSTEM, "%s cannot be read: %s", path, strerror(errno));
        if (got == 0)
            break;
        ferry_buffer_add(out, ferry_slice_of(chunk, (size_t)got));
    }
    explicit_bzero(chunk, sizeof chunk);
    if (out->failed)
        return ferry_fail(error, FERRY_SYSTEM, "%s cannot be read: larger than 1 MiB", path);
    return FERRY_OK;
}

enum ferry_code ferry_config_read_file(const char *path, struct ferry_buffer *out, struct ferry_error *error)
{
    FERRY_CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ferry_fail(error, FERRY_SYSTEM, "%s cannot be read: %s", path, strerror(errno));
    return read_all(fd, path, out, error);
}

const char *ferry_config_join(struct ferry_config_reader *reader, const char *directory, const char *path)
{
    size_t bytes = strlen(directory) + strlen(path) + 1;
    char *joined = ferry_config_new(reader, bytes, 1);
    if (joined == NULL)
        return path;
    snprintf(joined, bytes, "%s%s", path[0] == '/' ? "" : directory, path);
    return joined;
}

struct ferry_secret ferry_config_keep_secret(struct ferry_config_reader *reader, struct ferry_slice text)
{
    struct ferry_config_memory *memory = reader->memory;
    if (memory->secret_count == memory->secret_capacity) {
        size_t capacity = memory->secret_capacity == 0 ? 16 : memory->secret_capacity * 2;
        struct ferry_secret *grown = realloc(memory->secrets, capacity * sizeof *grown);
        if (grown == NULL) {
            reader->failed = true;
            return (struct ferry_secret){NULL, 0};
        }
        memory->secrets = grown;
        memory->secret_capacity = capacity;
    }
    struct ferry_secret copy = ferry_secret_copy(text);
    if (copy.ptr == NULL)
        reader->failed = true;
    else
        memory->secrets[memory->secret_count++] = copy;
    return copy;
}

/* ---- {env: } and {file: } ---- */

static const struct ferry_yaml_node *scalar_member(const struct ferry_yaml_node *node, const char *key)
{
    const struct ferry_yaml_member *member = ferry_yaml_get(node, key);
    return member != NULL && member->value->kind == FERRY_YAML_SCALAR ? member->value : NULL;
}

bool ferry_config_is_reference(const struct ferry_yaml_node *node)
{
    if (node->kind != FERRY_YAML_MAP)
        return false;
    if (node->count == 1)
        return scalar_member(node, "env") != NULL || scalar_member(node, "file") != NULL;
    return node->count == 2 && scalar_member(node, "env") != NULL && scalar_member(node, "default") != NULL;
}

/* The environment first, then the `secrets` file. */
static bool look_up(const struct ferry_config_reader *reader, const char *name, struct ferry_slice *out)
{
    const char *text = getenv(name);
    if (text != NULL) {
        *out = ferry_slice_from(text);
        return true;
    }
    for (const struct ferry_config_variable *at = reader->variables; at != NULL; at = at->next) {
        if (strcmp(at->name, name) == 0) {
            *out = ferry_secret_slice(at->value);
            return true;
        }
    }
    return false;
}

/* Every value that comes from outside is kept and wiped as a secret: what it is for does not say what it holds. */
static enum ferry_config_got keep_value(struct ferry_config_reader *reader, struct ferry_slice text,
                                        struct ferry_config_value *value)
{
    if (memchr(text.ptr, '\0', text.len) != NULL) {
        ferry_config_error(reader, value->place, "%s gives a text with a NUL character", value->origin);
        return FERRY_GOT_ERROR;
    }
    value->text = ferry_secret_slice(ferry_config_keep_secret(reader, text));
    return value->text.ptr != NULL ? FERRY_GOT_VALUE : FERRY_GOT_ERROR;
}

static const char *origin_text(struct ferry_config_reader *reader, const char *kind, const char *name)
{
    size_t bytes = strlen(name) + 16;
    char *text = ferry_config_new(reader, bytes, 1);
    if (text == NULL)
        return "a reference";
    snprintf(text, bytes, "{%s: %s}", kind, name);
    return text;
}

/* Are secrets of the section being read left alone? */
static bool is_withheld(const struct ferry_config_reader *reader)
{
    return !reader->own || (reader->sections & FERRY_SECTION_NO_SECRETS) != 0;
}

static enum ferry_config_got resolve_env(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                         bool is_secret, struct ferry_config_value *value)
{
    const char *name = ferry_yaml_get(node, "env")->value->text.ptr;
    const struct ferry_yaml_node *preset = scalar_member(node, "default");
    struct ferry_slice text;
    value->origin = origin_text(reader, "env", name);
    if (is_secret && preset != NULL) {
        ferry_config_error(reader, value->place, "the default of a secret is a secret: leave it out");
        return FERRY_GOT_ERROR;
    }
    if (is_secret && is_withheld(reader))
        return FERRY_GOT_NOTHING;
    if (look_up(reader, name, &text))
        return keep_value(reader, text, value);
    if (preset != NULL) {
        value->text = preset->text;
        value->origin = NULL;
        return FERRY_GOT_VALUE;
    }
    if (!reader->own)
        return FERRY_GOT_NOTHING;
    ferry_config_error(reader, value->place,
                       "the environment variable %s is not set; set it, or give it a line in the file under `secrets:`"
                       "%s%s%s",
                       name, is_secret ? "" : ", or add a default: {env: ", is_secret ? "" : name,
                       is_secret ? "" : ", default: …}");
    return FERRY_GOT_ERROR;
}

static void wipe_buffer(struct ferry_buffer *buffer)
{
    if (buffer->ptr != NULL)
        explicit_bzero(buffer->ptr, buffer->len);
    ferry_buffer_done(buffer);
}

/* The text begins in line 1 of that file: messages about it name the file and its lines. */
static enum ferry_config_got resolve_file(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                          bool is_secret, struct ferry_config_value *value)
{
    const char *name = ferry_yaml_get(node, "file")->value->text.ptr;
    if (!reader->own || (is_secret && is_withheld(reader)))
        return FERRY_GOT_NOTHING;
    const char *path = ferry_config_join(reader, reader->directory, name);
    FERRY_CLEANUP(wipe_buffer) struct ferry_buffer text;
    ferry_buffer_init(&text, FILE_MAX_BYTES);
    struct ferry_error error;
    if (ferry_config_read_file(path, &text, &error) != FERRY_OK) {
        ferry_config_error(reader, value->place, "%s", error.text);
        return FERRY_GOT_ERROR;
    }
    struct ferry_slice bytes = ferry_buffer_slice(&text);
    if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\n')
        bytes.len--;
    value->origin = origin_text(reader, "file", name);
    enum ferry_config_got got = keep_value(reader, bytes, value);
    value->place = (struct ferry_place){path, 1};
    return got;
}

enum ferry_config_got ferry_config_resolve(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                           bool is_secret, struct ferry_config_value *value)
{
    *value = (struct ferry_config_value){.place = ferry_config_place(reader, node)};
    if (ferry_config_is_reference(node))
        return ferry_yaml_get(node, "file") != NULL ? resolve_file(reader, node, is_secret, value)
                                                    : resolve_env(reader, node, is_secret, value);
    if (node->kind != FERRY_YAML_SCALAR) {
        ferry_config_error(reader, value->place,
                           "%s stands where one value is expected: a literal, {env: NAME}, {env: "
                           "NAME, default: X} or {file: PATH}",
                           node->kind == FERRY_YAML_MAP ? "a map" : "a list");
        return FERRY_GOT_ERROR;
    }
    if (is_secret) {
        ferry_config_error(reader, value->place, "%s", secret_cure);
        return FERRY_GOT_ERROR;
    }
    value->text = node->text;
    value->place.line = node->text_line;
    return FERRY_GOT_VALUE;
}

/* ---- the file of NAME=value lines ---- */

static bool is_name(struct ferry_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return text.len > 0;
}

/* One line: nothing, a comment, or NAME=value; quotes have no meaning, as in `docker run --env-file`. */
static void take_line(struct ferry_config_reader *reader, struct ferry_slice line, struct ferry_place place)
{
    struct ferry_slice trimmed = ferry_slice_trim(line);
    if (trimmed.len == 0 || trimmed.ptr[0] == '#')
        return;
    const char *equals = memchr(line.ptr, '=', line.len);
    size_t name_len = equals != NULL ? (size_t)(equals - line.ptr) : 0;
    if (!is_name(ferry_slice_of(line.ptr, name_len))) {
        ferry_config_error(reader, place, "this line is no NAME=value");
        return;
    }
    struct ferry_config_variable *variable = ferry_config_new(reader, 1, sizeof *variable);
    const char *name = ferry_arena_text(&reader->memory->arena, ferry_slice_of(line.ptr, name_len));
    struct ferry_secret value = ferry_config_keep_secret(reader, ferry_slice_skip(line, name_len + 1));
    if (variable == NULL || name == NULL || value.ptr == NULL)
        return;
    *variable = (struct ferry_config_variable){.name = name, .value = value, .next = reader->variables};
    reader->variables = variable;
}

static void take_lines(struct ferry_config_reader *reader, struct ferry_slice text, const char *path)
{
    for (int number = 1; text.len > 0; number++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        struct ferry_slice line = ferry_slice_of(text.ptr, len);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        take_line(reader, line, (struct ferry_place){path, number});
        text = ferry_slice_skip(text, end != NULL ? len + 1 : len);
    }
}

void ferry_config_read_env_file(struct ferry_config_reader *reader, const char *path, struct ferry_place place)
{
    FERRY_CLEANUP(wipe_buffer) struct ferry_buffer text;
    ferry_buffer_init(&text, FILE_MAX_BYTES);
    struct ferry_error error;
    struct stat status;
    if (ferry_config_read_file(path, &text, &error) != FERRY_OK) {
        ferry_config_error(reader, place, "%s", error.text);
        return;
    }
    if (stat(path, &status) == 0 && (status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        ferry_config_error(reader, place,
                           "%s may be read or changed by others (mode %03o), its secrets are theirs: "
                           "chmod 600 %s",
                           path, (unsigned)(status.st_mode & 0777), path);
        return;
    }
    take_lines(reader, ferry_buffer_slice(&text), path);
}
