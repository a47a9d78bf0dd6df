/* A compiled template belongs to one thread and costs tens of milliseconds, so each thread keeps those of the
 * snapshot that it met last, and compiles a door's at the door's first request. */
#include "bridge/admit_json.h"

#include <stdlib.h>

#include "core/json.h"

/* The texts that become a type and an id are short; a larger one is a mistake in a template. */
enum { TEXT_MAX_BYTES = 4096, VIEW_EXTRA_BYTES = 1 << 20 };

struct programs {
    struct ferry_template *type;
    struct ferry_template *id;
};

struct ferry_admit_thread {
    struct ferry_snapshot *snapshot; /* held, so that its address cannot come back as another's */
    struct programs *programs;       /* one for each door */
};

static void forget(struct ferry_admit_thread *thread)
{
    for (size_t i = 0; thread->snapshot != NULL && i < thread->snapshot->door_count; i++) {
        ferry_template_free(thread->programs[i].type);
        ferry_template_free(thread->programs[i].id);
    }
    free(thread->programs);
    ferry_snapshot_drop(thread->snapshot);
    *thread = (struct ferry_admit_thread){0};
}

struct ferry_admit_thread *ferry_admit_thread_new(void)
{
    return calloc(1, sizeof(struct ferry_admit_thread));
}

void ferry_admit_thread_free(struct ferry_admit_thread *thread)
{
    if (thread != NULL)
        forget(thread);
    free(thread);
}

static enum ferry_code compile(struct ferry_source source, struct ferry_template **compiled, struct ferry_error *error)
{
    if (source.text == NULL || *compiled != NULL)
        return FERRY_OK;
    return ferry_template_new(source.text, FERRY_ESCAPE_NONE, compiled, error);
}

/* NULL, and the error filled, when a template does not compile or memory ran out. */
static struct programs *programs_of(struct ferry_admit_thread *thread, struct ferry_snapshot *snapshot,
                                    const struct ferry_door *door, struct ferry_error *error)
{
    if (thread->snapshot != snapshot) {
        forget(thread);
        thread->programs = calloc(snapshot->door_count, sizeof *thread->programs);
        if (thread->programs == NULL) {
            (void)ferry_fail(error, FERRY_MEMORY, "out of memory");
            return NULL;
        }
        thread->snapshot = ferry_snapshot_hold(snapshot);
    }
    struct programs *programs = &thread->programs[door - snapshot->doors];
    if (compile(door->config->type, &programs->type, error) != FERRY_OK ||
        compile(door->config->id, &programs->id, error) != FERRY_OK)
        return NULL;
    return programs;
}

/* Once each: of a repeated header the first counts. */
static bool is_repeated(struct ferry_pairs headers, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (headers.items[i].name.len == headers.items[at].name.len &&
            strncasecmp(headers.items[i].name.ptr, headers.items[at].name.ptr, headers.items[at].name.len) == 0)
            return true;
    }
    return false;
}

static void print_lower_case(struct ferry_slice name, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '"'); /* a header name needs no escapes: the gate has seen it */
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        ferry_buffer_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    ferry_buffer_add_char(out, '"');
}

static void print_request(const struct ferry_envelope_input *input, struct ferry_buffer *out)
{
    const char *separator = "";
    ferry_buffer_add_text(out, "{\"headers\":{");
    for (size_t i = 0; i < input->headers.count; i++) {
        if (is_repeated(input->headers, i))
            continue;
        ferry_buffer_add_text(out, separator);
        print_lower_case(input->headers.items[i].name, out);
        ferry_buffer_add_char(out, ':');
        ferry_buffer_add_json_string(out, input->headers.items[i].value);
        separator = ",";
    }
    ferry_buffer_add_text(out, "},\"data\":");
    ferry_buffer_add(out, input->body);
    ferry_buffer_add_char(out, '}');
}

static enum ferry_code view_request(const struct ferry_envelope_input *input, struct ferry_arena *arena,
                                    struct ferry_view **out, struct ferry_error *error)
{
    struct ferry_json value;
    enum ferry_code code = ferry_json_scan(input->body, arena, &value, NULL, error); /* jq is lenient, this is not */
    if (code != FERRY_OK)
        return code;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, input->body.len + VIEW_EXTRA_BYTES);
    print_request(input, &text);
    if (text.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    code = ferry_view_of_json(ferry_buffer_slice(&text), out, error);
    return code == FERRY_OK || code == FERRY_MEMORY ? code : ferry_fail(error, FERRY_EVENT_INVALID, "data: too deep");
}

static enum ferry_code render(struct ferry_template *compiled, const struct ferry_view *view, struct ferry_arena *arena,
                              struct ferry_slice *out, struct ferry_error *error)
{
    if (compiled == NULL)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, TEXT_MAX_BYTES);
    enum ferry_code code = ferry_template_render(compiled, view, &text, error);
    if (code != FERRY_OK)
        return code;
    if (text.starved)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (text.failed)
        return ferry_fail(error, FERRY_TEMPLATE, "the text is longer than %d bytes", TEXT_MAX_BYTES);
    struct ferry_slice kept = ferry_arena_slice(arena, ferry_buffer_slice(&text));
    if (kept.ptr == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *out = kept;
    return FERRY_OK;
}

/* A template that finds nothing means "no event". The sender is told which attribute, not what the template is. */
static enum ferry_code render_for(const char *attribute, struct ferry_template *compiled, const struct ferry_view *view,
                                  struct ferry_arena *arena, struct ferry_slice *out, struct ferry_error *error)
{
    enum ferry_code code = render(compiled, view, arena, out, error);
    if (code == FERRY_OK || code == FERRY_MEMORY)
        return code;
    return ferry_fail(error, FERRY_EVENT_INVALID, "%s: the request does not carry what it is made of", attribute);
}

static enum ferry_code render_both(const struct programs *programs, struct ferry_envelope_input *input,
                                   struct ferry_arena *arena, struct ferry_error *error)
{
    struct ferry_view *view = NULL;
    enum ferry_code code = view_request(input, arena, &view, error);
    if (code != FERRY_OK)
        return code;
    code = render_for("type", programs->type, view, arena, &input->json_type, error);
    if (code == FERRY_OK)
        code = render_for("id", programs->id, view, arena, &input->json_id, error);
    ferry_view_free(view);
    return code;
}

enum ferry_code ferry_admit_json(struct ferry_admit_thread *thread, struct ferry_snapshot *snapshot,
                                 const struct ferry_door *door, struct ferry_envelope_input *input,
                                 struct ferry_arena *arena, struct ferry_error *error)
{
    const struct programs *programs = programs_of(thread, snapshot, door, error);
    if (programs == NULL)
        return error->code;
    enum ferry_code code = render_both(programs, input, arena, error);
    if (code == FERRY_OK)
        input->json_source = ferry_slice_from(door->config->source);
    return code;
}
