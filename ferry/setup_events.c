/* Which of the tenant's event types were meant: names of Ferry's and of Qlik's become what Qlik can be asked for. */
#include <stdlib.h>

#include "core/catalog.h"
#include "core/words.h"
#include "ferry/setup.h"

struct choice {
    struct ferry_strings available;
    bool *taken; /* one for each of `available` */
};

static struct ferry_slice canonical_of(const char *type)
{
    return ferry_catalog_canonical(ferry_slice_from(type));
}

static bool take_type(struct choice *choice, const char *word)
{
    for (size_t i = 0; i < choice->available.count; i++)
        if (strcmp(choice->available.items[i], word) == 0)
            return choice->taken[i] = true;
    return false;
}

/* Of the types that mean one action, the catalogue's present one; else the first. `available.count` where there is
 * none. */
static size_t present_type(const struct choice *choice, struct ferry_slice canonical)
{
    const struct ferry_catalog_entry *entry = ferry_catalog_find_event(canonical);
    size_t found = choice->available.count;
    for (size_t i = 0; i < choice->available.count; i++) {
        const char *type = choice->available.items[i];
        if (!ferry_slice_equal(canonical_of(type), canonical))
            continue;
        if (found == choice->available.count || (entry != NULL && strcmp(type, entry->type) == 0))
            found = i;
    }
    return found;
}

static bool take_matches(struct choice *choice, const char *glob)
{
    bool any = false;
    for (size_t i = 0; i < choice->available.count; i++) {
        struct ferry_slice canonical = canonical_of(choice->available.items[i]);
        if (!ferry_glob_match(glob, canonical))
            continue;
        choice->taken[present_type(choice, canonical)] = true;
        any = true;
    }
    return any;
}

/* A name of Ferry's, also one of the other types that mean the same action. */
static bool take_event(struct choice *choice, const char *word)
{
    size_t found = present_type(choice, canonical_of(word));
    if (found < choice->available.count)
        choice->taken[found] = true;
    return found < choice->available.count;
}

static bool is_in_catalogue(const char *word)
{
    return ferry_catalog_find_event(canonical_of(word)) != NULL;
}

/* The canonical names that can be asked for, as texts; NULL when memory ran out. */
static const char **known_names(const struct choice *choice, struct ferry_arena *arena)
{
    const char **names = ferry_arena_new_array(arena, choice->available.count + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < choice->available.count; i++)
        if ((names[i] = ferry_arena_text(arena, canonical_of(choice->available.items[i]))) == NULL)
            return NULL;
    return names;
}

static enum ferry_code refuse(const struct choice *choice, const char *word, struct ferry_arena *arena,
                              struct ferry_error *error)
{
    if (strpbrk(word, "*?") != NULL)
        return ferry_fail(error, FERRY_USAGE, "--events: nothing that this tenant has webhooks for matches %s", word);
    if (is_in_catalogue(word))
        return ferry_fail(error, FERRY_USAGE,
                          "--events: this tenant has no webhooks for %s; the Audits API brings it (bridge.audits)",
                          word);
    const char **names = known_names(choice, arena);
    if (names == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    const char *nearest = ferry_words_nearest(word, names, choice->available.count);
    if (nearest == NULL)
        nearest = ferry_words_nearest(word, choice->available.items, choice->available.count);
    return ferry_fail(error, FERRY_USAGE, "--events: this tenant has no event %s%s%s%s", word,
                      nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                      nearest != NULL ? "?" : "; `ferry catalog` shows all events");
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum ferry_code collect(const struct choice *choice, struct ferry_arena *arena, struct ferry_strings *types,
                               struct ferry_error *error)
{
    const char **items = ferry_arena_new_array(arena, choice->available.count + 1, sizeof *items);
    size_t count = 0;
    if (items == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < choice->available.count; i++)
        if (choice->taken[i])
            items[count++] = choice->available.items[i];
    qsort(items, count, sizeof *items, compare);
    *types = (struct ferry_strings){items, count};
    return FERRY_OK;
}

enum ferry_code ferry_setup_events(const char *words, struct ferry_strings available, struct ferry_arena *arena,
                                   struct ferry_strings *types, struct ferry_error *error)
{
    struct choice choice = {available, ferry_arena_new_array(arena, available.count + 1, sizeof *choice.taken)};
    char *list = ferry_arena_text(arena, ferry_slice_from(words)), *rest = NULL;
    if (choice.taken == NULL || list == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    size_t count = 0;
    for (char *word = strtok_r(list, ", ", &rest); word != NULL; word = strtok_r(NULL, ", ", &rest), count++) {
        bool glob = strpbrk(word, "*?") != NULL;
        if (!take_type(&choice, word) && !(glob ? take_matches : take_event)(&choice, word))
            return refuse(&choice, word, arena, error);
    }
    if (count == 0)
        return ferry_fail(error, FERRY_USAGE, "--events: names no event");
    return collect(&choice, arena, types, error);
}
