/* From a template to text. The source is split into parts, each some literal text and the hole behind it. All holes
 * become one jq program, because starting jq costs more than most holes do:
 *
 *     [(try [first((HOLE 1))] catch {e: .}), (try [first((HOLE 2))] catch {e: .}), …]
 *
 * so that the answer says for each hole by itself: [] no value, [value], or {"e": message}. */
#include "core/template.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/template_jq.h"

enum { HOLE_SHOWN = 60, PROGRAM_MAX = 8 << 20 };

struct part {
    struct ferry_slice literal;
    struct ferry_slice hole; /* absent in the last part */
    size_t line;             /* of the source, from 1: where the hole begins */
};

struct ferry_template {
    struct ferry_arena arena;
    enum ferry_escape escape;
    struct part *parts;
    size_t count;
    jq_state *jq; /* NULL without holes */
};

struct ferry_expression {
    jq_state *jq;
};

/* ---- expressions ---- */

enum ferry_code ferry_expression_new(const char *source, struct ferry_expression **out, struct ferry_error *error)
{
    jq_state *jq = NULL;
    enum ferry_code code = ferry_jq_compile(ferry_slice_from(source), &jq, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_expression *expression = malloc(sizeof *expression);
    if (expression == NULL) {
        jq_teardown(&jq);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    expression->jq = jq;
    *out = expression;
    return FERRY_OK;
}

void ferry_expression_free(struct ferry_expression *expression)
{
    if (expression == NULL)
        return;
    jq_teardown(&expression->jq);
    free(expression);
}

/* How a buffer was before something was appended. */
struct mark {
    size_t len;
    bool failed;
    bool starved;
};

static struct mark mark_of(const struct ferry_buffer *out)
{
    return (struct mark){out->len, out->failed, out->starved};
}

static void restore(struct ferry_buffer *out, struct mark mark)
{
    out->len = mark.len;
    out->failed = mark.failed;
    out->starved = mark.starved;
    if (out->ptr != NULL)
        out->ptr[mark.len] = '\0';
}

/* After the last append: did everything fit? If not, nothing was appended. */
static enum ferry_code check_fit(struct ferry_buffer *out, struct mark before, struct ferry_error *error)
{
    if (!out->failed)
        return FERRY_OK;
    bool starved = out->starved;
    restore(out, before);
    if (starved)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return ferry_fail(error, FERRY_TEMPLATE, "the result is longer than the %zu bytes that are left",
                      out->max - before.len);
}

enum ferry_code ferry_expression_json(struct ferry_expression *expression, const struct ferry_view *view,
                                      struct ferry_buffer *out, struct ferry_error *error)
{
    jv result;
    enum ferry_code code = ferry_jq_run(expression->jq, jv_copy(view->value), &result, error);
    if (code != FERRY_OK)
        return code;
    FERRY_CLEANUP(ferry_jv_free) jv text = jv_dump_string(result, 0);
    struct mark before = mark_of(out);
    ferry_buffer_add(out, ferry_jq_slice(text));
    return check_fit(out, before, error);
}

enum ferry_code ferry_expression_true(struct ferry_expression *expression, const struct ferry_view *view, bool *out,
                                      struct ferry_error *error)
{
    jv result;
    enum ferry_code code = ferry_jq_run(expression->jq, jv_copy(view->value), &result, error);
    if (code != FERRY_OK)
        return code;
    *out = jv_get_kind(result) != JV_KIND_NULL && jv_get_kind(result) != JV_KIND_FALSE;
    jv_free(result);
    return FERRY_OK;
}

enum ferry_code ferry_expression_text(struct ferry_expression *expression, const struct ferry_view *view,
                                      struct ferry_buffer *out, bool *is_null, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_jv_free) jv result = jv_null();
    enum ferry_code code = ferry_jq_run(expression->jq, jv_copy(view->value), &result, error);
    if (code != FERRY_OK)
        return code;
    jv_kind kind = jv_get_kind(result);
    if (kind == JV_KIND_OBJECT || kind == JV_KIND_ARRAY)
        return ferry_fail(error, FERRY_TEMPLATE, "the expression yields an %s where text is needed",
                          jv_kind_name(kind));
    FERRY_CLEANUP(ferry_jv_free) jv text = ferry_jq_text(result);
    struct mark before = mark_of(out);
    if (kind != JV_KIND_NULL)
        ferry_buffer_add(out, ferry_jq_slice(text));
    code = check_fit(out, before, error);
    if (code == FERRY_OK)
        *is_null = kind == JV_KIND_NULL;
    return code;
}

/* ---- splitting a template ---- */

/* Where the hole whose code begins at `begin` is closed, or NULL. */
static const char *find_close(const char *begin, const char *end)
{
    struct ferry_jq_code code = {.at = begin, .end = end, .open = {1}};
    while (ferry_jq_code_next(&code) != '\0')
        if (code.level == 0 && code.open[0] == 0)
            return code.at - 1;
    return NULL;
}

/* Appends literal text up to the next hole; moves `at` to its `\(` or to the end. Only `\\(` is special in it. */
static void split_literal(const char **at, const char *end, struct ferry_buffer *literal)
{
    while (*at < end && strncmp(*at, "\\(", 2) != 0) {
        size_t taken = 1;
        if (strncmp(*at, "\\\\(", 3) == 0) {
            taken = 3;
            ferry_buffer_add_text(literal, "\\(");
        } else {
            ferry_buffer_add(literal, ferry_slice_of(*at, 1));
        }
        *at += taken;
    }
}

static size_t count_openings(const char *source)
{
    size_t count = 0;
    for (const char *at = strstr(source, "\\("); at != NULL; at = strstr(at + 2, "\\("))
        count++;
    return count;
}

static enum ferry_code split_hole(const char **at, const char *end, size_t number, struct part *part,
                                  struct ferry_error *error)
{
    const char *begin = *at + 2, *close = find_close(begin, end);
    if (close == NULL) {
        char shown[HOLE_SHOWN + 4];
        ferry_jq_one_line(ferry_slice_of(*at, (size_t)(end - *at)), HOLE_SHOWN, shown);
        return ferry_fail(error, FERRY_CONFIG, "hole %zu is not closed: %s, line %zu", number, shown, part->line);
    }
    part->hole = ferry_slice_of(begin, (size_t)(close - begin));
    *at = close + 1;
    return FERRY_OK;
}

static size_t count_lines(const char *from, const char *to)
{
    size_t count = 0;
    for (; from < to; from++)
        count += *from == '\n';
    return count;
}

static enum ferry_code split(struct ferry_template *compiled, const char *source, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer literal;
    ferry_buffer_init(&literal, PROGRAM_MAX);
    const char *begin = ferry_arena_text(&compiled->arena, ferry_slice_from(source)), *at = begin;
    compiled->parts = ferry_arena_new_array(&compiled->arena, count_openings(source) + 1, sizeof *compiled->parts);
    if (at == NULL || compiled->parts == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (const char *end = at + strlen(at);;) {
        struct part *part = &compiled->parts[compiled->count++];
        ferry_buffer_clear(&literal);
        split_literal(&at, end, &literal);
        part->literal = ferry_arena_slice(&compiled->arena, ferry_buffer_slice(&literal));
        if (literal.failed || part->literal.ptr == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        if (compiled->escape == FERRY_ESCAPE_HEADER && strpbrk(part->literal.ptr, "\r\n") != NULL)
            return ferry_fail(error, FERRY_CONFIG, "a mail header is one line");
        if (at == end)
            return FERRY_OK;
        part->line = 1 + count_lines(begin, at);
        enum ferry_code code = split_hole(&at, end, compiled->count, part, error);
        if (code != FERRY_OK)
            return code;
    }
}

/* ---- compiling ---- */

/* Fails with `code`, naming the hole. */
static enum ferry_code hole_fails(const struct ferry_template *compiled, size_t index, enum ferry_code code,
                                  const char *what, struct ferry_error *error)
{
    char shown[HOLE_SHOWN + 4];
    ferry_jq_one_line(compiled->parts[index].hole, HOLE_SHOWN, shown);
    return ferry_fail(error, code, "hole %zu, \\(%s): %s", index + 1, shown, what);
}

/* The hole alone, behind as many line feeds as stand before it in the template: so that jq counts its lines. */
static enum ferry_code compile_hole(const struct part *part, jq_state **jq, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer program;
    ferry_buffer_init(&program, PROGRAM_MAX);
    for (size_t line = 1; line < part->line; line++)
        ferry_buffer_add_char(&program, '\n');
    ferry_buffer_add(&program, part->hole);
    return ferry_jq_compile(ferry_buffer_slice(&program), jq, error);
}

/* The whole program did not compile: which hole is it, and what does jq say about that one alone? */
static enum ferry_code find_culprit(const struct ferry_template *compiled, struct ferry_error *error)
{
    for (size_t i = 0; i + 1 < compiled->count; i++) {
        jq_state *jq = NULL;
        struct ferry_error why = {.text = ""};
        if (compile_hole(&compiled->parts[i], &jq, &why) != FERRY_OK)
            return hole_fails(compiled, i, FERRY_CONFIG, why.text, error);
        jq_teardown(&jq);
    }
    return FERRY_CONFIG; /* no hole alone: what jq said of the whole stands in `error` */
}

static enum ferry_code compile(struct ferry_template *compiled, struct ferry_error *error)
{
    if (compiled->count == 1)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer program;
    ferry_buffer_init(&program, PROGRAM_MAX);
    for (size_t i = 0; i + 1 < compiled->count; i++) {
        ferry_buffer_add_text(&program, i == 0 ? "[(try [first((" : ",(try [first((");
        ferry_buffer_add(&program, compiled->parts[i].hole);
        ferry_buffer_add_text(&program, "\n))] catch {e: .})"); /* the line feed ends a comment in the hole */
    }
    ferry_buffer_add_char(&program, ']');
    if (program.failed)
        return ferry_fail(error, FERRY_CONFIG, "the template is too long");
    enum ferry_code code = ferry_jq_compile(ferry_buffer_slice(&program), &compiled->jq, error);
    return code == FERRY_CONFIG ? find_culprit(compiled, error) : code;
}

static void free_template(struct ferry_template **compiled)
{
    ferry_template_free(*compiled);
}

enum ferry_code ferry_template_new(const char *source, enum ferry_escape escape, struct ferry_template **out,
                                   struct ferry_error *error)
{
    FERRY_CLEANUP(free_template) struct ferry_template *compiled = calloc(1, sizeof *compiled);
    if (compiled == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    compiled->escape = escape;
    enum ferry_code code = split(compiled, source, error);
    if (code == FERRY_OK)
        code = compile(compiled, error);
    if (code != FERRY_OK)
        return code;
    *out = compiled;
    compiled = NULL;
    return FERRY_OK;
}

void ferry_template_free(struct ferry_template *compiled)
{
    if (compiled == NULL)
        return;
    if (compiled->jq != NULL)
        jq_teardown(&compiled->jq);
    ferry_arena_done(&compiled->arena);
    free(compiled);
}

/* ---- rendering ---- */

/* The entity of a character that HTML, or Slack (only & < >), gives a meaning to; else NULL. */
static const char *entity_of(char c, bool slack)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return slack ? NULL : "&quot;";
    case '\'':
        return slack ? NULL : "&#39;";
    default:
        return NULL;
    }
}

static void add_with_entities(struct ferry_buffer *out, struct ferry_slice text, bool slack)
{
    size_t plain = 0; /* start of the run that is copied as it stands */
    for (size_t at = 0; at < text.len; at++) {
        const char *entity = entity_of(text.ptr[at], slack);
        if (entity == NULL)
            continue;
        ferry_buffer_add(out, ferry_slice_of(text.ptr + plain, at - plain));
        ferry_buffer_add_text(out, entity);
        plain = at + 1;
    }
    ferry_buffer_add(out, ferry_slice_skip(text, plain));
}

/* RFC 3986: everything but the unreserved characters. */
static void add_percent_encoded(struct ferry_buffer *out, struct ferry_slice text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t at = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (c != '\0' && strchr(unreserved, c) != NULL)
            ferry_buffer_add_char(out, c);
        else
            ferry_buffer_printf(out, "%%%02X", (unsigned char)c);
    }
}

/* Appends a hole's text as its place demands; returns why it may not stand there, or NULL. */
static const char *add_escaped(struct ferry_buffer *out, enum ferry_escape escape, struct ferry_slice text)
{
    switch (escape) {
    case FERRY_ESCAPE_HTML:
    case FERRY_ESCAPE_SLACK:
        add_with_entities(out, text, escape == FERRY_ESCAPE_SLACK);
        return NULL;
    case FERRY_ESCAPE_URL:
        /* Only holes that are dots alone can make a path segment of dots, alone or side by side. */
        if (ferry_slice_is(text, ".") || ferry_slice_is(text, ".."))
            return "`.` and `..` may not be a part of a URL";
        add_percent_encoded(out, text);
        return NULL;
    case FERRY_ESCAPE_HEADER:
        for (size_t at = 0; at < text.len; at++)
            if (text.ptr[at] == '\r' || text.ptr[at] == '\n' || text.ptr[at] == '\0')
                return "CR, LF and NUL may not stand in a mail header";
        break;
    case FERRY_ESCAPE_NONE:
        break;
    }
    ferry_buffer_add(out, text);
    return NULL;
}

static enum ferry_code add_value(const struct ferry_template *compiled, size_t index, jv value,
                                 struct ferry_buffer *out, struct ferry_error *error)
{
    if (jv_get_kind(value) == JV_KIND_NULL)
        return hole_fails(compiled, index, FERRY_TEMPLATE_NULL, "yields null", error);
    FERRY_CLEANUP(ferry_jv_free) jv text = ferry_jq_text(value);
    struct ferry_slice bytes = ferry_jq_slice(text);
    if (bytes.len == 0 && compiled->escape == FERRY_ESCAPE_URL)
        return hole_fails(compiled, index, FERRY_TEMPLATE_NULL, "yields \"\" in a URL", error);
    const char *refused = add_escaped(out, compiled->escape, bytes);
    return refused == NULL ? FERRY_OK : hole_fails(compiled, index, FERRY_ADDRESS_INVALID, refused, error);
}

/* `answer` (taken) is [], [value] or {"e": message}. */
static enum ferry_code add_answer(const struct ferry_template *compiled, size_t index, jv answer,
                                  struct ferry_buffer *out, struct ferry_error *error)
{
    if (jv_get_kind(answer) == JV_KIND_OBJECT) {
        char message[FERRY_JQ_MESSAGE];
        ferry_jq_message(jv_object_get(answer, jv_string("e")), message);
        return hole_fails(compiled, index, FERRY_TEMPLATE, message, error);
    }
    bool empty = jv_array_length(jv_copy(answer)) == 0;
    FERRY_CLEANUP(ferry_jv_free) jv value = empty ? jv_null() : jv_array_get(jv_copy(answer), 0);
    jv_free(answer);
    return add_value(compiled, index, value, out, error);
}

enum ferry_code ferry_template_render(struct ferry_template *compiled, const struct ferry_view *view,
                                      struct ferry_buffer *out, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_jv_free) jv answers = jv_null();
    enum ferry_code code = FERRY_OK;
    if (compiled->jq != NULL)
        code = ferry_jq_run(compiled->jq, jv_copy(view->value), &answers, error);
    struct mark before = mark_of(out);
    for (size_t i = 0; code == FERRY_OK && i < compiled->count; i++) {
        ferry_buffer_add(out, compiled->parts[i].literal);
        if (compiled->parts[i].hole.ptr != NULL)
            code = add_answer(compiled, i, jv_array_get(jv_copy(answers), (int)i), out, error);
    }
    if (code == FERRY_OK)
        return check_fit(out, before, error);
    restore(out, before);
    return code;
}
