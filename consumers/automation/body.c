#include <stdlib.h>

#include "consumers/automation/automation.h"
#include "core/base64.h"
#include "core/utf8.h"

static enum ferry_code compile_members(const struct ferry_mapping *mapping, struct ferry_body_program *program,
                                       struct ferry_error *error)
{
    program->members = calloc(mapping->member_count, sizeof *program->members);
    if (program->members == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    program->member_count = mapping->member_count;
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < mapping->member_count && code == FERRY_OK; i++) {
        program->members[i].name = mapping->members[i].name;
        code = ferry_expression_new(mapping->members[i].source.text, &program->members[i].value, error);
    }
    return code;
}

enum ferry_code ferry_body_compile(const struct ferry_mapping *mapping, struct ferry_body_program *program,
                                   struct ferry_error *error)
{
    *program = (struct ferry_body_program){0};
    if (mapping->whole.text != NULL)
        return ferry_expression_new(mapping->whole.text, &program->whole, error);
    return mapping->member_count > 0 ? compile_members(mapping, program, error) : FERRY_OK;
}

void ferry_body_done(struct ferry_body_program *program)
{
    ferry_expression_free(program->whole);
    for (size_t i = 0; i < program->member_count; i++)
        ferry_expression_free(program->members[i].value);
    free(program->members);
    *program = (struct ferry_body_program){0};
}

bool ferry_body_is_empty(const struct ferry_body_program *program)
{
    return program->whole == NULL && program->member_count == 0;
}

enum ferry_code ferry_body_render(const struct ferry_body_program *program, const struct ferry_view *view,
                                  struct ferry_buffer *out, struct ferry_error *error)
{
    if (program->whole != NULL)
        return ferry_expression_json(program->whole, view, out, error);
    ferry_buffer_add_char(out, '{');
    for (size_t i = 0; i < program->member_count; i++) {
        if (i > 0)
            ferry_buffer_add_char(out, ',');
        ferry_buffer_add_json_string(out, ferry_slice_from(program->members[i].name));
        ferry_buffer_add_char(out, ':');
        enum ferry_code code = ferry_expression_json(program->members[i].value, view, out, error);
        if (code != FERRY_OK)
            return code;
    }
    ferry_buffer_add_char(out, '}');
    return FERRY_OK;
}

void ferry_body_data(const struct ferry_event *event, struct ferry_buffer *out)
{
    if (event->data_kind == FERRY_DATA_JSON)
        ferry_buffer_add(out, event->data);
    else if (event->data_kind == FERRY_DATA_NONE)
        ferry_buffer_add_text(out, "{}");
    else if (ferry_utf8_valid(event->data))
        ferry_buffer_add_json_string(out, event->data);
    else {
        ferry_buffer_add_text(out, "{\"data_base64\":\"");
        ferry_base64_encode(event->data, out);
        ferry_buffer_add_text(out, "\"}");
    }
}

void ferry_body_note(const struct ferry_event *event, size_t bytes, struct ferry_buffer *out)
{
    const struct ferry_pair members[] = {
        {FERRY_SLICE_LITERAL("id"), event->id},           {FERRY_SLICE_LITERAL("source"), event->source},
        {FERRY_SLICE_LITERAL("type"), event->type},       {FERRY_SLICE_LITERAL("time"), event->time},
        {FERRY_SLICE_LITERAL("event"), event->canonical}, {FERRY_SLICE_LITERAL("subject"), event->subject},
    };
    ferry_buffer_add_char(out, '{');
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (members[i].value.ptr == NULL)
            continue;
        ferry_buffer_add_json_string(out, members[i].name);
        ferry_buffer_add_char(out, ':');
        ferry_buffer_add_json_string(out, members[i].value);
        ferry_buffer_add_char(out, ',');
    }
    ferry_buffer_printf(out, "\"note\":\"data left out: %zu bytes, the most is %d\"}", bytes, FERRY_QLIK_BODY_MAX);
}
