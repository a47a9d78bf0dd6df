/* What a back-fill remembers of itself, in the operators' journal:
 *
 *   begun      {"from_ms": …, "to_ms": …, "from": "-7d", "to": null}   as moments, and in the words of the flags
 *   progress   {"position_ms": …, "seen": ["9f86d081884c7d64", …]}     after each page; so do the last words
 *              {…, "ahead": true}                                    events behind the position were brought, too
 *   done, stopped, failed
 *
 * Everything before the position is in Kafka, and of the position's own millisecond the events in `seen`. A run that
 * was killed has brought at most one page more than that, which the next one marks as possible repeats; so are the
 * events of what came in no order (the day in which the archive ends), which the position does not follow. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "ferry/audits.h"

enum { DETAILS_MAX_BYTES = 800 * 1024, SEEN_MAX = 20000 /* of one millisecond; the others would come once more */ };

/* ---- writing ---- */

static void add_member(struct ferry_buffer *out, const char *name, const char *value)
{
    ferry_buffer_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    ferry_buffer_add_json_string(out, ferry_slice_from(value));
}

void ferry_audits_print_filter(const struct ferry_audits_run *run, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '{');
    add_member(out, "tenant", run->at.url);
    add_member(out, "events", run->request->events != NULL ? run->request->events : "*");
    if (run->request->effects)
        ferry_buffer_add_text(out, ",\"effects\":true");
    if (run->request->missing)
        ferry_buffer_add_text(out, ",\"missing\":true");
    ferry_buffer_add_char(out, '}');
}

static void print_position(const struct ferry_audits_position *position, bool ahead, struct ferry_buffer *out)
{
    size_t printed = 0;
    ferry_buffer_printf(out, "{\"position_ms\":%" PRId64 ",\"seen\":[", position->ms);
    for (size_t i = 0; i < position->seen.room && printed < SEEN_MAX; i++)
        if (position->seen.slots[i] != 0)
            ferry_buffer_printf(out, "%s\"%016" PRIx64 "\"", printed++ > 0 ? "," : "", position->seen.slots[i]);
    ferry_buffer_add_text(out, ahead ? "],\"ahead\":true}" : "]}");
}

static void print_times(const struct ferry_audits_run *run, struct ferry_buffer *out)
{
    const char *to = run->request->to;
    ferry_buffer_printf(out, "{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64, run->from_ms, run->to_ms);
    add_member(out, "from", run->request->from);
    if (to != NULL)
        add_member(out, "to", to);
    ferry_buffer_add_text(out, to != NULL ? "}" : ",\"to\":null}");
}

enum ferry_code ferry_audits_note(struct ferry_audits_run *run, const char *state, struct ferry_error *error)
{
    if (run->journal == NULL)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer details;
    ferry_buffer_init(&details, DETAILS_MAX_BYTES);
    if (strcmp(state, "begun") == 0)
        print_times(run, &details);
    else
        print_position(&run->position, run->ahead, &details);
    if (details.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return ferry_operations_note(run->journal, state, run->resumed + run->brought, ferry_buffer_slice(&details), error);
}

bool ferry_audits_settle(struct ferry_audits_position *position, const struct ferry_audits_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].time_ms < position->ms)
            continue;
        if (items[i].time_ms > position->ms)
            ferry_id_set_clear(&position->seen);
        position->ms = items[i].time_ms;
        if (!ferry_id_set_add(&position->seen, items[i].hash, false))
            return false;
    }
    return true;
}

/* ---- reading ---- */

static void keep(json_t **kept, json_t *value)
{
    json_decref(*kept);
    *kept = json_incref(value);
}

void ferry_audits_remember(void *context, const struct json_t *record)
{
    struct ferry_audits_memory *memory = context;
    const char *state = json_string_value(json_object_get(record, "state"));
    const char *command = json_string_value(json_object_get(record, "command"));
    json_t *details = json_object_get(record, "details");
    if (state == NULL || command == NULL || strcmp(command, "audits") != 0)
        return;
    memory->count = json_integer_value(json_object_get(record, "count"));
    memory->done |= strcmp(state, "done") == 0;
    memory->orderly = strcmp(state, "stopped") == 0;
    memory->ahead |= json_is_true(json_object_get(details, "ahead"));
    if (memory->begun == NULL && json_object_get(details, "from_ms") != NULL) {
        keep(&memory->begun, details);
        keep(&memory->filter, json_object_get(record, "filter"));
    }
    if (json_object_get(details, "position_ms") != NULL)
        keep(&memory->position, details);
}

void ferry_audits_forget(struct ferry_audits_memory *memory)
{
    json_decref(memory->filter);
    json_decref(memory->begun);
    json_decref(memory->position);
    *memory = (struct ferry_audits_memory){0};
}

static int64_t number(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static bool recall_position(struct ferry_audits_position *position, const json_t *details)
{
    const json_t *seen = json_object_get(details, "seen"), *hash;
    size_t i;
    position->ms = number(details, "position_ms");
    json_array_foreach (seen, i, hash)
        if (json_is_string(hash) &&
            !ferry_id_set_add(&position->seen, strtoull(json_string_value(hash), NULL, 16) & ~UINT64_C(1), false))
            return false;
    return true;
}

static bool same_filter(const struct ferry_audits_run *run, const struct ferry_audits_memory *memory)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, DETAILS_MAX_BYTES);
    ferry_audits_print_filter(run, &text);
    json_t *filter = text.failed ? NULL : json_loadb(text.ptr, text.len, 0, NULL);
    bool same = filter != NULL && json_equal(filter, memory->filter) != 0;
    json_decref(filter);
    return same;
}

/* One time of the run, in the words of its flag or as a moment. A run of before the words were noted has any. */
static bool same_time(const json_t *begun, const char *word, const char *text, const char *moment, int64_t ms)
{
    const json_t *noted = json_object_get(begun, word);
    const char *before = json_string_value(noted);
    bool same_words = before == NULL || text == NULL ? before == text : strcmp(before, text) == 0;
    return noted == NULL || same_words || (text != NULL && number(begun, moment) == ms);
}

bool ferry_audits_is_same(const struct ferry_audits_run *run, const struct ferry_audits_memory *memory)
{
    return same_filter(run, memory) && same_time(memory->begun, "from", run->request->from, "from_ms", run->from_ms) &&
           same_time(memory->begun, "to", run->request->to, "to_ms", run->to_ms);
}

static enum ferry_code refuse_other(const struct ferry_audits_run *run, const struct ferry_audits_memory *memory,
                                    struct ferry_error *error)
{
    const char *from = json_string_value(json_object_get(memory->begun, "from"));
    const char *to = json_string_value(json_object_get(memory->begun, "to"));
    bool told = from != NULL && same_filter(run, memory);
    return ferry_fail(error, FERRY_USAGE,
                      "run %s was begun with other flags%s%s%s%s%s: repeat it with the ones it had, or without "
                      "--run-id",
                      run->id, told ? " (--from " : "", told ? from : "", told && to != NULL ? " --to " : "",
                      told && to != NULL ? to : "", told ? ")" : "");
}

enum ferry_code ferry_audits_recall(struct ferry_audits_run *run, enum ferry_audits_past *past,
                                    struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_audits_forget) struct ferry_audits_memory memory = {0};
    enum ferry_code code = ferry_operations_read(run->config, run->id, ferry_audits_remember, &memory, error);
    if (code != FERRY_OK)
        return code;
    *past = memory.begun == NULL ? FERRY_AUDITS_FRESH : memory.done ? FERRY_AUDITS_FINISHED : FERRY_AUDITS_UNFINISHED;
    if (memory.begun == NULL)
        return FERRY_OK;
    if (!ferry_audits_is_same(run, &memory))
        return refuse_other(run, &memory, error);
    run->from_ms = number(memory.begun, "from_ms");
    run->to_ms = number(memory.begun, "to_ms");
    run->resumed = memory.count;
    run->ahead = memory.ahead;
    run->killed = !memory.orderly || memory.ahead;
    run->position.ms = run->from_ms;
    if (memory.position != NULL && !recall_position(&run->position, memory.position))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return FERRY_OK;
}
