/* Which topics there are to be, by the configuration alone: a sorted list, made once. */
#include <stdlib.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/catalog.h"
#include "core/route.h"

const char *const ferry_worker_names[] = {"slack", "mail", "automation", NULL};
const char *const ferry_worker_topics[] = {"retry", "dlq", "effects", NULL};
const char *const ferry_internal_topics[] = {"audits", "results", "quarantine", "operations", NULL};

struct ferry_topic_set {
    const struct ferry_topics_config *topics; /* while it is made */
    struct ferry_arena arena;
    const char **names;
    size_t count;
    size_t capacity;
    bool failed; /* memory ran out */
};

void ferry_topic_set_free(struct ferry_topic_set *set)
{
    if (set == NULL)
        return;
    free(set->names);
    ferry_arena_done(&set->arena);
    free(set);
}

/* ---- collecting ---- */

static void add(struct ferry_topic_set *set, struct ferry_slice topic)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity > 0 ? set->capacity * 2 : 256;
        const char **grown = realloc(set->names, capacity * sizeof *grown);
        if (grown == NULL) {
            set->failed = true;
            return;
        }
        set->names = grown;
        set->capacity = capacity;
    }
    char *name = ferry_arena_text(&set->arena, topic);
    if (name == NULL)
        set->failed = true;
    else
        set->names[set->count++] = name;
}

/* A name that makes no topic has none. */
static void add_event(struct ferry_topic_set *set, struct ferry_slice canonical, struct ferry_slice type)
{
    struct ferry_slice topic;
    enum ferry_code code = ferry_route_topic_of(set->topics, canonical, type, &set->arena, &topic, NULL);
    if (code == FERRY_OK)
        add(set, topic);
    else if (code == FERRY_MEMORY)
        set->failed = true;
}

/* The events of the catalogue that the glob matches, under each of their types. */
static void add_catalogue(struct ferry_topic_set *set, const char *glob)
{
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < count; i++)
        if (ferry_glob_match(glob, ferry_slice_from(entries[i].canonical)))
            add_event(set, ferry_slice_from(entries[i].canonical), ferry_slice_from(entries[i].type));
}

static bool is_glob(const char *name)
{
    return strpbrk(name, "*?") != NULL;
}

/* Another sender's type is its own canonical name; only a trigger's name tells nothing but the trigger. */
static void add_unknown(struct ferry_topic_set *set, const char *canonical)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer type;
    ferry_buffer_init(&type, 1024);
    ferry_buffer_printf(&type, "%s%s", strncmp(canonical, "trigger.", 8) == 0 ? "com.ferry." : "", canonical);
    if (!type.failed)
        add_event(set, ferry_slice_from(canonical), ferry_buffer_slice(&type));
}

static void add_route(struct ferry_topic_set *set, const struct ferry_route_config *route)
{
    for (size_t i = 0; i < route->events.count; i++) {
        const char *name = route->events.items[i];
        add_catalogue(set, name);
        if (!is_glob(name) && ferry_catalog_find_event(ferry_slice_from(name)) == NULL)
            add_unknown(set, name);
    }
}

static void add_routes(struct ferry_topic_set *set, const struct ferry_config *config)
{
    for (size_t i = 0; i < config->slack.route_count; i++)
        add_route(set, &config->slack.routes[i].common);
    for (size_t i = 0; i < config->mail.route_count; i++)
        add_route(set, &config->mail.routes[i].common);
    for (size_t i = 0; i < config->automation.route_count; i++)
        add_route(set, &config->automation.routes[i].common);
}

/* Types that a door of another sender names; its globs cannot be expanded, what they let in goes to `other`. */
static void add_doors(struct ferry_topic_set *set, const struct ferry_bridge_config *bridge)
{
    for (size_t i = 0; i < bridge->webhook_count; i++) {
        const struct ferry_webhook_config *door = &bridge->webhooks[i];
        for (size_t j = 0; j < door->events.count && door->format != FERRY_DOOR_QLIK; j++) {
            struct ferry_slice type = ferry_slice_from(door->events.items[j]);
            if (!is_glob(door->events.items[j]))
                add_event(set, ferry_catalog_canonical(type), type);
        }
    }
}

/* first.second, or first.second.third. */
static void add_name(struct ferry_topic_set *set, const char *first, const char *second, const char *third)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer name;
    ferry_buffer_init(&name, FERRY_TOPIC_NAME);
    ferry_buffer_printf(&name, "%s.%s%s%s", first, second, third != NULL ? "." : "", third != NULL ? third : "");
    if (!name.failed)
        add(set, ferry_buffer_slice(&name));
}

static void add_triggers(struct ferry_topic_set *set, const struct ferry_bridge_config *bridge)
{
    for (size_t i = 0; i < bridge->trigger_count; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer name;
        ferry_buffer_init(&name, FERRY_EVENT_NAME);
        ferry_buffer_printf(&name, "trigger.%s", bridge->triggers[i].name);
        if (!name.failed)
            add_unknown(set, name.ptr);
    }
}

static void add_internal(struct ferry_topic_set *set, const struct ferry_config *config)
{
    const bool present[] = {config->slack.worker.present, config->mail.worker.present,
                            config->automation.worker.present};
    for (size_t i = 0; ferry_internal_topics[i] != NULL; i++)
        add_name(set, set->topics->internal, ferry_internal_topics[i], NULL);
    for (size_t i = 0; ferry_worker_names[i] != NULL; i++)
        for (size_t j = 0; present[i] && ferry_worker_topics[j] != NULL; j++)
            add_name(set, set->topics->internal, ferry_worker_names[i], ferry_worker_topics[j]);
}

/* ---- the set ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(struct ferry_topic_set *set)
{
    qsort(set->names, set->count, sizeof *set->names, compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++)
        if (kept == 0 || strcmp(set->names[kept - 1], set->names[i]) != 0)
            set->names[kept++] = set->names[i];
    set->count = kept;
}

struct ferry_topic_set *ferry_topic_set_new(const struct ferry_config *config)
{
    struct ferry_topic_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->topics = &config->topics;
    if (config->topics.create == FERRY_CREATE_KNOWN)
        add_catalogue(set, "*");
    add_routes(set, config);
    add_doors(set, &config->bridge);
    add_triggers(set, &config->bridge);
    add(set, ferry_slice_from(config->topics.other));
    add_internal(set, config);
    set->topics = NULL; /* the configuration may go */
    if (set->failed) {
        ferry_topic_set_free(set);
        return NULL;
    }
    sort(set);
    return set;
}

static int compare_with_slice(const void *key, const void *item)
{
    const struct ferry_slice *text = key;
    const char *name = *(const char *const *)item;
    size_t len = strlen(name), shorter = text->len < len ? text->len : len;
    int order = shorter > 0 ? memcmp(text->ptr, name, shorter) : 0;
    return order != 0 ? order : (text->len > len) - (text->len < len);
}

bool ferry_topic_set_has(const struct ferry_topic_set *set, struct ferry_slice topic)
{
    return bsearch(&topic, set->names, set->count, sizeof *set->names, compare_with_slice) != NULL;
}

struct ferry_topic_list ferry_topic_set_list(const struct ferry_topic_set *set)
{
    return (struct ferry_topic_list){set->names, set->count};
}
