#include "ferry/callers.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/derived_key.h"
#include "ferry/table.h"

enum { LINE_BYTES = 64 << 10 };

static const char prefix[] = "trigger.";

/* ---- the list ---- */

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* The key of that name, or a new one; NULL when memory ran out. */
static struct ferry_caller *find_or_add(struct ferry_callers *callers, struct ferry_slice trigger,
                                        struct ferry_slice key)
{
    for (size_t i = 0; i < callers->count; i++) {
        if (ferry_slice_equal(callers->items[i].trigger, trigger) && ferry_slice_equal(callers->items[i].key, key))
            return &callers->items[i];
    }
    if (callers->count == callers->room) {
        size_t room = callers->room * 2 + 16;
        struct ferry_caller *grown = reallocarray(callers->items, room, sizeof *grown);
        if (grown == NULL)
            return NULL;
        callers->items = grown;
        callers->room = room;
    }
    struct ferry_caller made = {
        .trigger = ferry_arena_slice(&callers->arena, trigger),
        .key = ferry_arena_slice(&callers->arena, key),
    };
    if (made.trigger.ptr == NULL || made.key.ptr == NULL)
        return NULL;
    callers->items[callers->count] = made;
    return &callers->items[callers->count++];
}

static bool is_wanted(const struct ferry_callers *callers, struct ferry_slice trigger)
{
    return callers->only == NULL || ferry_slice_is(trigger, callers->only);
}

enum ferry_code ferry_callers_init(struct ferry_callers *callers, const struct ferry_bridge_config *bridge,
                                   const char *only, struct ferry_error *error)
{
    *callers = (struct ferry_callers){.bridge = bridge, .only = only};
    ferry_arena_init(&callers->arena);
    for (size_t t = 0; t < bridge->trigger_count; t++) {
        const struct ferry_trigger_config *trigger = &bridge->triggers[t];
        struct ferry_slice name = ferry_slice_from(trigger->name);
        for (size_t k = 0; is_wanted(callers, name) && k < trigger->key_count; k++) {
            struct ferry_caller *caller = find_or_add(callers, name, ferry_slice_from(trigger->keys[k].name));
            if (caller == NULL)
                return no_memory(error);
        }
    }
    return FERRY_OK;
}

void ferry_callers_done(struct ferry_callers *callers)
{
    ferry_arena_done(&callers->arena);
    free(callers->items);
    *callers = (struct ferry_callers){0};
}

/* ---- what a key is today ---- */

static const struct ferry_trigger_config *find_trigger(const struct ferry_bridge_config *bridge,
                                                       struct ferry_slice name)
{
    for (size_t i = 0; i < bridge->trigger_count; i++) {
        if (ferry_slice_is(name, bridge->triggers[i].name))
            return &bridge->triggers[i];
    }
    return NULL;
}

static bool has_key(const struct ferry_trigger_config *trigger, struct ferry_slice name)
{
    for (size_t i = 0; i < trigger->key_count; i++) {
        if (ferry_slice_is(name, trigger->keys[i].name))
            return true;
    }
    return false;
}

static enum ferry_caller_standing standing_of(const struct ferry_bridge_config *bridge,
                                              const struct ferry_caller *caller)
{
    const struct ferry_trigger_config *trigger = find_trigger(bridge, caller->trigger);
    const char *slash = caller->key.len > 0 ? memchr(caller->key.ptr, '/', caller->key.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - caller->key.ptr) : caller->key.len;
    if (trigger == NULL)
        return FERRY_CALLER_NO_TRIGGER;
    if (!has_key(trigger, ferry_slice_of(caller->key.ptr, len)))
        return FERRY_CALLER_UNCONFIGURED;
    if (slash == NULL)
        return FERRY_CALLER_CONFIGURED;
    struct ferry_slice label = ferry_slice_skip(caller->key, len + 1);
    return ferry_derived_label_is_revoked(&trigger->revoked, label) ? FERRY_CALLER_REVOKED : FERRY_CALLER_OF_KIT;
}

/* ---- counting ---- */

static bool is_call(const struct ferry_record *record, const struct ferry_event *event)
{
    return event->format == FERRY_FORMAT_TRIGGER && ferry_slice_starts(event->canonical, prefix) &&
           ferry_record_header(record, "ferry-replay").ptr == NULL;
}

enum ferry_code ferry_callers_take(struct ferry_callers *callers, const struct ferry_record *record,
                                   const struct ferry_event *event, struct ferry_error *error)
{
    if (!is_call(record, event))
        return FERRY_OK;
    struct ferry_slice name = ferry_slice_skip(event->canonical, strlen(prefix));
    if (!is_wanted(callers, name))
        return FERRY_OK;
    struct ferry_caller *caller =
        find_or_add(callers, name, event->subject.ptr != NULL ? event->subject : FERRY_SLICE(""));
    if (caller == NULL)
        return no_memory(error);
    caller->standing = standing_of(callers->bridge, caller);
    caller->calls++;
    if (event->received_ms < caller->last_ms)
        return FERRY_OK;
    struct ferry_slice address = ferry_record_header(record, "ferry-caller");
    caller->last_ms = event->received_ms;
    caller->address = address.ptr != NULL ? ferry_arena_slice(&callers->arena, address) : address;
    return address.ptr == NULL || caller->address.ptr != NULL ? FERRY_OK : no_memory(error);
}

/* ---- printing ---- */

static int compare_text(struct ferry_slice a, struct ferry_slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *left, const void *right)
{
    const struct ferry_caller *a = left, *b = right;
    int order = compare_text(a->trigger, b->trigger);
    if (order == 0)
        order = (a->last_ms < b->last_ms) - (a->last_ms > b->last_ms);
    return order != 0 ? order : compare_text(a->key, b->key);
}

void ferry_callers_sort(struct ferry_callers *callers)
{
    if (callers->count > 0)
        qsort(callers->items, callers->count, sizeof *callers->items, compare);
}

/* For programs, and in words. */
static const struct {
    const char *name;
    const char *words;
} standings[] = {
    [FERRY_CALLER_CONFIGURED] = {"configured", "configured"},
    [FERRY_CALLER_OF_KIT] = {"kit", "of the kit"},
    [FERRY_CALLER_REVOKED] = {"revoked", "revoked"},
    [FERRY_CALLER_UNCONFIGURED] = {"unconfigured", "not configured any more"},
    [FERRY_CALLER_NO_TRIGGER] = {"no-trigger", "its trigger is not configured any more"},
};

void ferry_callers_print_text(const struct ferry_callers *callers, int64_t now_ms, FILE *out)
{
    static const struct ferry_column columns[] = {{"trigger", false},   {"key", false}, {"calls", true},
                                                  {"last use", false},  {"ago", true},  {"last address", false},
                                                  {"the key is", false}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    ferry_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < callers->count; i++) {
        const struct ferry_caller *caller = &callers->items[i];
        char calls[FERRY_AMOUNT_TEXT], ago[FERRY_AMOUNT_TEXT] = "", last[FERRY_TIME_TEXT] = "never";
        snprintf(calls, sizeof calls, "%" PRId64, caller->calls);
        if (caller->last_ms > 0) {
            ferry_time_format(caller->last_ms, last);
            ferry_amount_time(now_ms - caller->last_ms, ago);
        }
        const struct ferry_slice cells[] = {caller->trigger,
                                            caller->key,
                                            ferry_slice_from(calls),
                                            ferry_slice_from(last),
                                            ferry_slice_from(ago),
                                            caller->address,
                                            ferry_slice_from(standings[caller->standing].words)};
        ferry_table_add(&table, cells);
    }
    ferry_table_print(&table, out);
}

void ferry_callers_print_json(const struct ferry_callers *callers, FILE *out)
{
    for (size_t i = 0; i < callers->count; i++) {
        const struct ferry_caller *caller = &callers->items[i];
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
        ferry_buffer_init(&line, LINE_BYTES);
        char last[FERRY_TIME_TEXT];
        size_t len = ferry_time_format(caller->last_ms, last);
        ferry_buffer_add_char(&line, '{');
        ferry_json_add_text(&line, "trigger", caller->trigger);
        ferry_json_add_text(&line, "key", caller->key);
        ferry_json_add_text(&line, "standing", ferry_slice_from(standings[caller->standing].name));
        ferry_json_add_text(&line, "last",
                            caller->last_ms > 0 ? ferry_slice_of(last, len) : (struct ferry_slice){NULL, 0});
        ferry_json_add_text(&line, "address", caller->address);
        ferry_buffer_printf(&line, "\"calls\": %" PRId64 "}\n", caller->calls);
        if (!line.failed)
            fwrite(line.ptr, 1, line.len, out);
    }
}
