#include "consumers/subscribe.h"

#include "consumers/dead_letter.h"

#include <stdlib.h>

#include "core/catalog.h"
#include "core/route.h"

struct collection {
    const struct ferry_topics_config *topics;
    struct ferry_arena *arena;
    const char **items;
    size_t count;
    size_t capacity;
};

static enum ferry_code add(struct collection *found, const char *topic)
{
    if (topic == NULL)
        return FERRY_MEMORY;
    if (found->count == found->capacity) {
        size_t capacity = found->capacity > 0 ? found->capacity * 2 : 64;
        const char **items = ferry_arena_new_array(found->arena, capacity, sizeof *items);
        if (items == NULL)
            return FERRY_MEMORY;
        if (found->count > 0)
            memcpy(items, found->items, found->count * sizeof *items);
        found->items = items;
        found->capacity = capacity;
    }
    found->items[found->count++] = topic;
    return FERRY_OK;
}

/* A name whose topic would be impossible has no topic: nothing to read. */
static enum ferry_code add_event(struct collection *found, struct ferry_slice canonical, struct ferry_slice type)
{
    struct ferry_slice topic;
    enum ferry_code code = ferry_route_topic_of(found->topics, canonical, type, found->arena, &topic, NULL);
    if (code != FERRY_OK)
        return code == FERRY_MEMORY ? code : FERRY_OK;
    return add(found, ferry_arena_text(found->arena, topic));
}

static enum ferry_code add_catalogue(struct collection *found, const char *glob)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < count && code == FERRY_OK; i++)
        if (ferry_glob_match(glob, ferry_slice_from(entries[i].canonical)))
            code = add_event(found, ferry_slice_from(entries[i].canonical), ferry_slice_from(entries[i].type));
    return code;
}

/* A name without wildcards that another sender brings: its type is its name, but a trigger's. */
static enum ferry_code add_name(struct collection *found, const char *name)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer type;
    ferry_buffer_init(&type, FERRY_EVENT_NAME + 16);
    ferry_buffer_printf(&type, "%s%s", strncmp(name, "trigger.", 8) == 0 ? "com.ferry." : "", name);
    if (type.failed)
        return FERRY_OK; /* longer than any event's name: no event can match */
    return add_event(found, ferry_slice_from(name), ferry_buffer_slice(&type));
}

/* A byte of a topic's literal part. */
static void add_literal(struct ferry_buffer *regex, char c)
{
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    bool continuation = ((unsigned char)c & 0xC0) == 0x80; /* of a character that has its '-' */
    if (c == '.')
        ferry_buffer_add_text(regex, "\\.");
    else if (!continuation)
        ferry_buffer_add_char(regex, plain ? c : '-'); /* as in ferry_route_topic */
}

/* The glob as a regular expression; only its first word if `family`. */
static void add_glob(struct ferry_buffer *regex, const char *glob, bool family)
{
    const char *end = family ? strchr(glob, '.') : NULL;
    size_t len = end != NULL ? (size_t)(end - glob) : strlen(glob);
    for (size_t i = 0; i < len; i++) {
        if (glob[i] == '*')
            ferry_buffer_add_text(regex, ".*");
        else if (glob[i] == '?')
            ferry_buffer_add_char(regex, '.');
        else
            add_literal(regex, glob[i]);
    }
}

/* The template with the glob in the place of {event} or {family}; {type} is open: names do not tell their types. */
static enum ferry_code add_regex(struct collection *found, const char *glob)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer regex;
    ferry_buffer_init(&regex, 4096);
    ferry_buffer_add_char(&regex, '^');
    for (const char *at = found->topics->name; *at != '\0';) {
        if (strncmp(at, "{event}", 7) == 0) {
            add_glob(&regex, glob, false);
            at += 7;
        } else if (strncmp(at, "{family}", 8) == 0) {
            add_glob(&regex, glob, true);
            at += 8;
        } else if (strncmp(at, "{type}", 6) == 0) {
            ferry_buffer_add_text(&regex, ".*");
            at += 6;
        } else {
            add_literal(&regex, *at++);
        }
    }
    ferry_buffer_add_char(&regex, '$');
    return regex.failed ? FERRY_MEMORY : add(found, ferry_arena_text(found->arena, ferry_buffer_slice(&regex)));
}

static enum ferry_code add_globs(struct collection *found, const char *glob)
{
    enum ferry_code code = add_catalogue(found, glob);
    if (code != FERRY_OK)
        return code;
    if (strpbrk(glob, "*?") != NULL)
        return add_regex(found, glob);
    return ferry_catalog_find_event(ferry_slice_from(glob)) == NULL ? add_name(found, glob) : FERRY_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_and_thin(struct collection *found)
{
    qsort(found->items, found->count, sizeof *found->items, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++)
        if (kept == 0 || strcmp(found->items[kept - 1], found->items[i]) != 0)
            found->items[kept++] = found->items[i];
    found->count = kept;
}

enum ferry_code ferry_subscription(const struct ferry_channel *channel, const struct ferry_config *config,
                                   struct ferry_arena *arena, struct ferry_strings *topics)
{
    struct collection found = {.topics = &config->topics, .arena = arena};
    enum ferry_code code = add(&found, config->topics.other);
    if (code == FERRY_OK)
        code = add(&found, ferry_internal_topic(&config->topics, channel->name, "retry", arena));
    for (size_t r = 0; r < channel->route_count(config) && code == FERRY_OK; r++) {
        const struct ferry_strings events = channel->route(config, r)->events;
        for (size_t i = 0; i < events.count && code == FERRY_OK; i++)
            code = add_globs(&found, events.items[i]);
    }
    if (code != FERRY_OK)
        return code;
    sort_and_thin(&found);
    *topics = (struct ferry_strings){found.items, found.count};
    return FERRY_OK;
}

/* By their whole names: events may lie under the same prefix. */
static const char *const internal_topics[] = {
    "slack.dlq",    "slack.retry",    "slack.effects",    "mail.dlq",           "mail.retry",
    "mail.effects", "automation.dlq", "automation.retry", "automation.effects", "audits",
    "results",      "quarantine",     "operations"};

bool ferry_topic_has_no_events(const struct ferry_topics_config *topics, struct ferry_slice topic)
{
    size_t len = strlen(topics->internal);
    if (ferry_slice_starts(topic, "__"))
        return true;
    if (!ferry_slice_starts(topic, topics->internal) || topic.len <= len || topic.ptr[len] != '.')
        return false;
    struct ferry_slice name = ferry_slice_skip(topic, len + 1);
    for (size_t i = 0; i < sizeof internal_topics / sizeof internal_topics[0]; i++)
        if (ferry_slice_is(name, internal_topics[i]))
            return true;
    return false;
}

bool ferry_route_wants(const struct ferry_route_config *route, struct ferry_slice canonical)
{
    for (size_t i = 0; i < route->events.count; i++)
        if (ferry_glob_match(route->events.items[i], canonical))
            return true;
    return false;
}
