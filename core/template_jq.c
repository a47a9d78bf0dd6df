/* What jq may not do is taken from it by jq's own scoping: before the source stand definitions that shadow the builtins
 * which reach outside the event. Each refers to a variable that does not exist, and jq 1.6 drops a definition that
 * nobody uses; so a program that calls `env` does not compile, while `{env: 1}` and `.input` are what they look like.
 * The same place mends builtins that abort the process on unlucky input. Modules are out because `import` may only
 * stand first. `$ENV` is a variable, so it is searched for in the source, and bound to null besides.
 *
 * One thing is left: libjq reads definitions from ~/.jq where that file exists, and has no switch against it. They
 * cannot bring back what is shadowed here; a service's home has no such file. */
#include "core/template_jq.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/attrs.h"
#include "core/utf8.h"

#define UNAVAILABLE "$__unavailable_"
#define FORBID(name) "def " name ": " UNAVAILABLE name "; "

/* One line, so that jq's line numbers are those of the source. */
/* clang-format off */
static const char prelude[] =
    "null as $ENV | "
    FORBID("env") FORBID("input") FORBID("inputs") FORBID("debug") FORBID("stderr") FORBID("halt") FORBID("halt_error")
    "def halt_error(f): " UNAVAILABLE "halt_error; "
    FORBID("input_filename") FORBID("input_line_number") FORBID("modulemeta")
    FORBID("get_search_list") FORBID("get_jq_origin") FORBID("get_prog_origin")
    /* jq 1.6 aborts when these meet a number that is no date: ask gmtime first, which fails as it should. */
    "def __strftime(f): strftime(f); "
    "def strftime(f): if type == \"number\" then gmtime else . end | __strftime(f); "
    "def __strflocaltime(f): strflocaltime(f); "
    "def strflocaltime(f): if type == \"number\" then localtime else . end | __strflocaltime(f); "
    "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todate: todateiso8601; ";
/* clang-format on */

/* ---- walking source ---- */

static void skip_comment(struct ferry_jq_code *code)
{
    while (code->at < code->end && *code->at != '\n')
        code->at++;
}

/* Up to the string's end or to the code inside it; false when that nests too deep. */
static bool skip_string(struct ferry_jq_code *code)
{
    while (code->at < code->end) {
        char c = *code->at++;
        if (c == '"') {
            code->in_string = false;
            return true;
        }
        if (c != '\\' || code->at == code->end || *code->at++ != '(')
            continue;
        if (++code->level == FERRY_JQ_NESTING)
            return false;
        code->open[code->level] = 1;
        code->in_string = false;
        return true;
    }
    return true;
}

char ferry_jq_code_next(struct ferry_jq_code *code)
{
    while (code->at < code->end) {
        if (code->in_string) {
            if (!skip_string(code))
                return '\0';
            continue;
        }
        char c = *code->at++;
        if (c == '"') {
            code->in_string = true;
        } else if (c == '#') {
            skip_comment(code);
        } else if (c == ')' && code->level > 0 && code->open[code->level] == 1) {
            code->level--;
            code->in_string = true;
        } else {
            if (c == '(')
                code->open[code->level]++;
            else if (c == ')' && code->open[code->level] > 0)
                code->open[code->level]--;
            return c;
        }
    }
    return '\0';
}

/* Is there a `$ENV`? jq's grammar allows white space and comments between the two. */
static bool names_env(struct ferry_slice source)
{
    struct ferry_jq_code code = {.at = source.ptr, .end = source.ptr + source.len};
    for (char c = ferry_jq_code_next(&code); c != '\0';) {
        if (c != '$') {
            c = ferry_jq_code_next(&code);
            continue;
        }
        do
            c = ferry_jq_code_next(&code);
        while (isspace((unsigned char)c));
        const char *word = code.at - 1;
        if (c == 'E' && code.end - word >= 3 && memcmp(word, "ENV", 3) == 0 &&
            (code.end - word == 3 || (word[3] != '_' && !isalnum((unsigned char)word[3]))))
            return true;
    }
    return false;
}

/* ---- messages ---- */

void ferry_jq_one_line(struct ferry_slice text, size_t max, char *out)
{
    size_t limit = text.len < max ? text.len : max, at = 0;
    while (at < limit) {
        size_t len = ferry_utf8_sequence(text.ptr + at, text.len - at);
        if (at + len > limit)
            break;
        if (len == 0 || iscntrl((unsigned char)text.ptr[at])) {
            out[at++] = ' ';
        } else {
            memcpy(out + at, text.ptr + at, len);
            at += len;
        }
    }
    static const char ellipsis[] = "\xE2\x80\xA6";
    if (text.len > max)
        memcpy(out + at, ellipsis, sizeof ellipsis);
    else
        out[at] = '\0';
}

void ferry_jq_message(jv message, char out[FERRY_JQ_MESSAGE])
{
    FERRY_CLEANUP(ferry_jv_free) jv text = ferry_jq_text(message);
    jv_free(message);
    ferry_jq_one_line(ferry_jq_slice(text), FERRY_JQ_MESSAGE - 4, out);
}

/* jq's own words for a program that does not compile: the first complaint. */
struct complaint {
    char text[400];
};

/* "env is not defined" of a shadowing definition, or the complaint as it is. */
static void print_complaint(struct ferry_slice what, char *out, size_t size)
{
    char shown[304];
    if (ferry_slice_starts(what, UNAVAILABLE)) {
        what = ferry_slice_skip(what, strlen(UNAVAILABLE));
        const char *space = memchr(what.ptr, ' ', what.len);
        what.len = space != NULL ? (size_t)(space - what.ptr) : what.len;
        snprintf(out, size, "`%.*s` is not available", FERRY_SLICE_ARGS(what));
    } else {
        ferry_jq_one_line(what, sizeof shown - 4, shown);
        snprintf(out, size, "%s", shown);
    }
}

/* Makes "jq: error: X (Unix shell quoting issues?) at <top-level>, line 2:\n…" to "X, line 2". */
static void note_complaint(void *context, jv message)
{
    static const char intro[] = "jq: error: ", hint[] = " (Unix shell", place[] = " at <top-level>, line ";
    struct complaint *complaint = context;
    FERRY_CLEANUP(ferry_jv_free) jv text = message;
    if (complaint->text[0] != '\0' || jv_get_kind(text) != JV_KIND_STRING)
        return;
    struct ferry_slice what = ferry_slice_from(jv_string_value(text));
    if (ferry_slice_starts(what, intro))
        what = ferry_slice_skip(what, strlen(intro));
    const char *line = strstr(what.ptr, place);
    const char *ends[] = {strstr(what.ptr, hint), line, strchr(what.ptr, '\n')};
    for (size_t i = 0; i < 3; i++)
        if (ends[i] != NULL && ends[i] < what.ptr + what.len)
            what.len = (size_t)(ends[i] - what.ptr);
    print_complaint(what, complaint->text, sizeof complaint->text - 32);
    if (line != NULL)
        snprintf(complaint->text + strlen(complaint->text), 32, ", line %ld", strtol(line + strlen(place), NULL, 10));
}

static void drop_complaint(void *context, jv message)
{
    (void)context;
    jv_free(message);
}

/* ---- compiling and running ---- */

static bool is_blank(struct ferry_slice source)
{
    struct ferry_jq_code code = {.at = source.ptr, .end = source.ptr + source.len};
    char c;
    do
        c = ferry_jq_code_next(&code);
    while (isspace((unsigned char)c));
    return c == '\0' && memchr(source.ptr, '"', source.len) == NULL;
}

enum ferry_code ferry_jq_compile(struct ferry_slice source, jq_state **out, struct ferry_error *error)
{
    if (is_blank(source))
        return ferry_fail(error, FERRY_CONFIG, "the expression is empty");
    if (memchr(source.ptr, '\0', source.len) != NULL)
        return ferry_fail(error, FERRY_CONFIG, "the expression holds a NUL");
    if (names_env(source))
        return ferry_fail(error, FERRY_CONFIG, "`$ENV` is not available");
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer program;
    ferry_buffer_init(&program, 16 << 20);
    ferry_buffer_add_text(&program, prelude);
    ferry_buffer_add(&program, source);
    if (program.failed)
        return ferry_fail(error, FERRY_CONFIG, "the expression is too long");
    jq_state *jq = jq_init();
    if (jq == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    struct complaint complaint = {.text = ""};
    jq_set_error_cb(jq, note_complaint, &complaint);
    if (!jq_compile(jq, program.ptr)) {
        jq_teardown(&jq);
        return ferry_fail(error, FERRY_CONFIG, "%s", complaint.text[0] != '\0' ? complaint.text : "jq refuses it");
    }
    jq_set_error_cb(jq, drop_complaint, NULL);
    *out = jq;
    return FERRY_OK;
}

enum ferry_code ferry_jq_run(jq_state *jq, jv input, jv *result, struct ferry_error *error)
{
    jq_start(jq, input, 0); /* forgets whatever an earlier run left */
    jv first = jq_next(jq);
    if (jv_is_valid(first)) {
        *result = first;
        return FERRY_OK;
    }
    if (jv_invalid_has_msg(jv_copy(first))) {
        char message[FERRY_JQ_MESSAGE];
        ferry_jq_message(jv_invalid_get_msg(first), message);
        return ferry_fail(error, FERRY_TEMPLATE, "%s", message);
    }
    jv_free(first);
    *result = jv_null();
    return FERRY_OK;
}

jv ferry_jq_text(jv value)
{
    return jv_get_kind(value) == JV_KIND_STRING ? jv_copy(value) : jv_dump_string(jv_copy(value), 0);
}

struct ferry_slice ferry_jq_slice(jv string)
{
    return ferry_slice_of(jv_string_value(string), (size_t)jv_string_length_bytes(jv_copy(string)));
}
