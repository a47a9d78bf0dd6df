/* A record of `<internal>.results`, read (docs/protocol.md, "Results"). What it says is told by a worker, but whoever
 * may write the topic can say anything: everything is checked here, and escaped where it is shown. */
#include <stdlib.h>

#include "bridge/triggers/results.h"
#include "core/json.h"

static const char *const states[] = {"queued", "running", "finished", "failed"};

const char *ferry_run_state_name(enum ferry_run_state state)
{
    return states[state];
}

bool ferry_run_result_is_void(const struct ferry_run_result *result)
{
    return ferry_slice_is(result->error_code, "skipped") || ferry_slice_is(result->error_code, "expired") ||
           ferry_slice_is(result->error_code, "duplicate");
}

void ferry_run_result_drop(struct ferry_run_result *result)
{
    if (result == NULL || atomic_fetch_sub_explicit(&result->references, 1, memory_order_acq_rel) != 1)
        return;
    ferry_arena_done(&result->arena);
    free(result);
}

/* ---- members ---- */

/* An object that is being read; the first thing that is wrong with it is kept. */
struct reading {
    struct ferry_arena *arena;
    struct ferry_json_parts parts;
    enum ferry_code code;
    struct ferry_error *error;
};

static void is_wrong(struct reading *reading, const char *name, const char *allowed)
{
    if (reading->code == FERRY_OK)
        reading->code = ferry_fail(reading->error, FERRY_RECORD_INVALID, "%s is no %s", name, allowed);
}

static const struct ferry_json *member(const struct reading *reading, const char *name)
{
    const struct ferry_json_member *found = ferry_json_find(&reading->parts, name);
    return found != NULL ? &found->value : NULL;
}

static struct ferry_slice text_of(struct reading *reading, const char *name)
{
    struct ferry_slice text = {0};
    const struct ferry_json *value = member(reading, name);
    if (value != NULL &&
        (value->type != FERRY_JSON_STRING || ferry_json_unescape(*value, reading->arena, &text, NULL) != FERRY_OK))
        is_wrong(reading, name, "text");
    return text;
}

static bool truth_of(struct reading *reading, const char *name)
{
    const struct ferry_json *value = member(reading, name);
    if (value != NULL && value->type != FERRY_JSON_TRUE && value->type != FERRY_JSON_FALSE)
        is_wrong(reading, name, "boolean");
    return value != NULL && value->type == FERRY_JSON_TRUE;
}

static int64_t number_of(struct reading *reading, const char *name, int64_t least, int64_t most)
{
    const struct ferry_json *value = member(reading, name);
    if (value == NULL)
        return least;
    long long number = value->type == FERRY_JSON_NUMBER ? strtoll(value->text.ptr, NULL, 10) : least - 1;
    if (number < least || number > most)
        is_wrong(reading, name, "number that can be");
    return number;
}

static enum ferry_run_state state_of(struct reading *reading)
{
    struct ferry_slice word = text_of(reading, "state");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (ferry_slice_is(word, states[i]))
            return (enum ferry_run_state)i;
    is_wrong(reading, "state", "state of a run");
    return FERRY_RUN_IS_QUEUED;
}

/* The members of a member; none if it is not there. */
static struct reading inside(struct reading *reading, const char *name)
{
    struct reading inner = {.arena = reading->arena, .error = reading->error};
    const struct ferry_json *value = member(reading, name);
    if (value == NULL || value->type == FERRY_JSON_NULL)
        return inner;
    if (value->type != FERRY_JSON_OBJECT || ferry_json_open(*value, reading->arena, &inner.parts, NULL) != FERRY_OK)
        is_wrong(reading, name, "object");
    return inner;
}

static void read_output(struct reading *reading, struct ferry_run_result *result)
{
    struct reading output = inside(reading, "output");
    result->output_type = text_of(&output, "type");
    result->output = text_of(&output, "text");
    result->truncated = truth_of(&output, "truncated");
    struct ferry_json value;
    if (ferry_slice_is(result->output_type, "application/json") &&
        ferry_json_scan(result->output, reading->arena, &value, NULL, NULL) != FERRY_OK)
        result->output_type = FERRY_SLICE("text/plain");
    if (output.code != FERRY_OK)
        reading->code = output.code;
}

static void read_error(struct reading *reading, struct ferry_run_result *result)
{
    struct reading error = inside(reading, "error");
    result->error_code = text_of(&error, "code");
    result->error_text = text_of(&error, "text");
    if (error.code != FERRY_OK)
        reading->code = error.code;
}

static void read_members(struct reading *reading, struct ferry_run_result *result)
{
    enum { VERSION = 1, ATTEMPTS_MAX = 1000000000 };
    (void)number_of(reading, "version", VERSION, VERSION); /* absent: from before there were versions */
    result->id = text_of(reading, "id");
    result->trigger = text_of(reading, "trigger");
    result->route = text_of(reading, "route");
    result->routes = (size_t)number_of(reading, "routes", 1, FERRY_RUN_ROUTES_MAX);
    result->state = state_of(reading);
    result->final = truth_of(reading, "final");
    result->at = text_of(reading, "at");
    result->run = text_of(reading, "run");
    result->attempts = number_of(reading, "attempts", 0, ATTEMPTS_MAX);
    read_output(reading, result);
    read_error(reading, result);
    if (result->route.ptr == NULL)
        result->route = FERRY_SLICE("");
    if (result->id.len == 0)
        is_wrong(reading, "id", "text");
    if (result->trigger.ptr == NULL)
        is_wrong(reading, "trigger", "text");
}

static enum ferry_code read_into(const struct ferry_record *record, struct ferry_run_result *result,
                                 struct ferry_error *error)
{
    struct reading reading = {.arena = &result->arena, .error = error};
    struct ferry_slice text = ferry_arena_slice(&result->arena, record->value);
    struct ferry_json value;
    if (text.ptr == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    result->bytes = 2 * text.len; /* as it came, and as it is read */
    enum ferry_code code = ferry_json_scan(text, &result->arena, &value, &reading.parts, error);
    if (code == FERRY_MEMORY)
        return code;
    if (code != FERRY_OK || value.type != FERRY_JSON_OBJECT)
        return ferry_fail(error, FERRY_RECORD_INVALID, "the value is no JSON object");
    read_members(&reading, result);
    return reading.code;
}

enum ferry_code ferry_run_result_read(const struct ferry_record *record, struct ferry_run_result **out,
                                      struct ferry_error *error)
{
    struct ferry_run_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    atomic_init(&result->references, 1);
    enum ferry_code code = read_into(record, result, error);
    if (code == FERRY_OK)
        *out = result;
    else
        ferry_run_result_drop(result);
    return code;
}
