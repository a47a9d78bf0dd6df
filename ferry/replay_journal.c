/* A run is remembered by its records in the journal. "begun" holds the plan, which never changes: the stretches that
 * were fixed at the start. Later records hold positions; the last word on each partition counts. So a run of the same
 * id reads the same stretches to the same ends, from where it is known to be. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "ferry/replay.h"

/* ---- writing ---- */

static void add_member(struct ferry_buffer *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    ferry_buffer_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    ferry_buffer_add_json_string(out, ferry_slice_from(text));
}

/* Of an URL the host alone: a path may be a secret. */
static void add_url(struct ferry_buffer *out, const char *url)
{
    if (url == NULL)
        return;
    char host[300];
    const char *at = strstr(url, "://");
    size_t len = at != NULL ? (size_t)(at + 3 - url) + strcspn(at + 3, "/?#") : 0;
    snprintf(host, sizeof host, "%.*s", (int)(len < sizeof host ? len : sizeof host - 1), url);
    add_member(out, "to_url", host);
}

static void add_flag(struct ferry_buffer *out, const char *name, bool set)
{
    if (set)
        ferry_buffer_printf(out, ",\"%s\":true", name);
}

void ferry_replay_print_filter(const struct ferry_replay *replay, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '{');
    add_member(out, "event", replay->selection.event);
    add_member(out, "id", replay->selection.id);
    add_member(out, "tenant", replay->selection.tenant);
    add_member(out, "where", replay->selection.where);
    add_member(out, "to_topic", replay->to_topic);
    add_member(out, "to_worker", replay->to_worker);
    add_url(out, replay->to_url);
    add_flag(out, "structured", replay->structured);
    add_flag(out, "effects", replay->effects);
    add_flag(out, "again", replay->again);
    ferry_buffer_add_char(out, '}');
}

/* {"topic":{"0":…,"1":…},…}; spans of a topic stand together. */
static void add_spans(const struct ferry_replay *replay, struct ferry_buffer *out,
                      void (*add)(const struct ferry_replay *replay, size_t span, struct ferry_buffer *out))
{
    ferry_buffer_add_char(out, '{');
    for (size_t i = 0; i < replay->span_count; i++) {
        const struct ferry_span *span = &replay->spans[i];
        if (i == 0 || strcmp(replay->spans[i - 1].topic, span->topic) != 0)
            ferry_buffer_printf(out, "%s\"%s\":{", i > 0 ? "}," : "", span->topic);
        else
            ferry_buffer_add_char(out, ',');
        ferry_buffer_printf(out, "\"%" PRId32 "\":", span->partition);
        add(replay, i, out);
    }
    ferry_buffer_add_text(out, replay->span_count > 0 ? "}}" : "}");
}

static void add_stretch(const struct ferry_replay *replay, size_t span, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "[%" PRId64 ",%" PRId64 "]", replay->spans[span].next, replay->spans[span].end);
}

static void add_position(const struct ferry_replay *replay, size_t span, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "%" PRId64, ferry_track_position(replay->track, span));
}

void ferry_replay_print_plan(const struct ferry_replay *replay, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",\"spans\":", replay->from_ms,
                        replay->to_ms);
    add_spans(replay, out, add_stretch);
    ferry_buffer_add_char(out, '}');
}

void ferry_replay_print_positions(const struct ferry_replay *replay, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "{\"positions\":");
    add_spans(replay, out, add_position);
    ferry_buffer_add_char(out, '}');
}

/* ---- reading ---- */

static void keep(json_t **kept, json_t *value)
{
    json_decref(*kept);
    *kept = json_incref(value);
}

void ferry_replay_remember(void *context, const struct json_t *record)
{
    struct ferry_replay_memory *memory = context;
    const char *state = json_string_value(json_object_get(record, "state"));
    const char *command = json_string_value(json_object_get(record, "command"));
    const json_t *details = json_object_get(record, "details");
    if (state == NULL || command == NULL || strcmp(command, "replay") != 0)
        return;
    memory->count = json_integer_value(json_object_get(record, "count"));
    memory->done |= strcmp(state, "done") == 0;
    json_t *spans = json_object_get(details, "spans");
    if (spans != NULL && memory->spans == NULL) {
        keep(&memory->spans, spans);
        keep(&memory->filter, json_object_get(record, "filter"));
        memory->from_ms = json_integer_value(json_object_get(details, "from_ms"));
        memory->to_ms = json_integer_value(json_object_get(details, "to_ms"));
    }
    json_t *positions = json_object_get(details, "positions");
    if (memory->positions == NULL)
        memory->positions = json_object();
    if (positions != NULL) /* a later run tells of what was left for it alone */
        json_object_update_recursive(memory->positions, positions);
}

void ferry_replay_forget(struct ferry_replay_memory *memory)
{
    json_decref(memory->filter);
    json_decref(memory->spans);
    json_decref(memory->positions);
    *memory = (struct ferry_replay_memory){0};
}

/* One stretch as it is now; one that is through is left out. */
static void recall_span(struct ferry_replay *replay, const struct ferry_replay_memory *memory, const char *topic,
                        const char *partition, const json_t *stretch)
{
    const json_t *position = json_object_get(json_object_get(memory->positions, topic), partition);
    struct ferry_span span = {.topic = topic,
                              .partition = (int32_t)strtol(partition, NULL, 10),
                              .next = json_integer_value(json_array_get(stretch, 0)),
                              .end = json_integer_value(json_array_get(stretch, 1))};
    if (json_is_integer(position))
        span.next = json_integer_value(position);
    if (span.next < span.end)
        replay->spans[replay->span_count++] = span;
}

static enum ferry_code recall_spans(struct ferry_replay *replay, const struct ferry_replay_memory *memory,
                                    struct ferry_error *error)
{
    const char *topic, *partition;
    json_t *partitions, *stretch;
    size_t room = 0;
    json_object_foreach (memory->spans, topic, partitions)
        room += json_object_size(partitions);
    replay->spans = ferry_arena_new_array(&replay->arena, room + 1, sizeof *replay->spans);
    if (replay->spans == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    json_object_foreach (memory->spans, topic, partitions) {
        const char *name = ferry_arena_text(&replay->arena, ferry_slice_from(topic));
        if (name == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        json_object_foreach (partitions, partition, stretch)
            recall_span(replay, memory, name, partition, stretch);
    }
    replay->from_ms = memory->from_ms;
    replay->to_ms = memory->to_ms;
    replay->resumed = memory->count;
    return FERRY_OK;
}

static bool same_filter(const struct ferry_replay *replay, const struct ferry_replay_memory *memory)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 64 * 1024);
    ferry_replay_print_filter(replay, &text);
    json_t *filter = text.failed ? NULL : json_loadb(text.ptr, text.len, 0, NULL);
    bool same = filter != NULL && json_equal(filter, memory->filter) != 0;
    json_decref(filter);
    return same;
}

enum ferry_code ferry_replay_recall(struct ferry_replay *replay, enum ferry_replay_past *past,
                                    struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_replay_forget) struct ferry_replay_memory memory = {0};
    enum ferry_code code = ferry_operations_read(replay->config, replay->run, ferry_replay_remember, &memory, error);
    if (code != FERRY_OK)
        return code;
    *past = memory.spans == NULL ? FERRY_REPLAY_NEW : memory.done ? FERRY_REPLAY_FINISHED : FERRY_REPLAY_UNFINISHED;
    if (memory.spans == NULL)
        return FERRY_OK;
    if (!same_filter(replay, &memory))
        return ferry_fail(error, FERRY_USAGE,
                          "run %s was begun with other flags: repeat it with the ones it had, or without --run-id",
                          replay->run);
    if (memory.done)
        replay->resumed = memory.count;
    return memory.done ? FERRY_OK : recall_spans(replay, &memory, error);
}
