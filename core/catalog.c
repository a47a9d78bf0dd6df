#include "core/catalog.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>

static const struct ferry_catalog_entry entries[] = {
#define ROW(family, canonical, type, source, note) {family, canonical, type, source, note},
#include "core/catalog_table.h"
#undef ROW
};

enum {
    ENTRY_COUNT = sizeof entries / sizeof entries[0],
    SLOT_COUNT = 512, /* a power of two, at least twice the rows */
    LONGEST_NAME = 255
};
static_assert(ENTRY_COUNT * 2 <= SLOT_COUNT && ENTRY_COUNT < UINT8_MAX, "the catalogue has outgrown its indexes");

/* Each event that comes in is looked up by type and by canonical name: two open-addressed hash tables over the rows,
 * made at the first look-up and only read after. A slot holds a row's number plus one, 0 is a free one. */
struct index {
    uint8_t slots[SLOT_COUNT];
};
static struct index by_type, by_canonical;
static pthread_once_t indexed = PTHREAD_ONCE_INIT;

/* FNV-1a. */
static uint32_t hash_of(struct ferry_slice text)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static const char *type_of(const struct ferry_catalog_entry *entry)
{
    return entry->type;
}

static const char *canonical_of(const struct ferry_catalog_entry *entry)
{
    return entry->canonical;
}

/* The slot of the row whose column is `text`, or the free slot where it would stand. */
static uint8_t *slot_of(struct index *index, const char *(*column)(const struct ferry_catalog_entry *),
                        struct ferry_slice text)
{
    uint32_t at = hash_of(text) % SLOT_COUNT;
    while (index->slots[at] != 0 && !ferry_slice_is(text, column(&entries[index->slots[at] - 1])))
        at = (at + 1) % SLOT_COUNT;
    return &index->slots[at];
}

static void make_indexes(void)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        uint8_t *type = slot_of(&by_type, type_of, ferry_slice_from(entries[i].type));
        uint8_t *canonical = slot_of(&by_canonical, canonical_of, ferry_slice_from(entries[i].canonical));
        *type = *type != 0 ? *type : (uint8_t)(i + 1);
        *canonical = *canonical != 0 ? *canonical : (uint8_t)(i + 1);
    }
}

static const struct ferry_catalog_entry *find(struct index *index,
                                              const char *(*column)(const struct ferry_catalog_entry *),
                                              struct ferry_slice text)
{
    pthread_once(&indexed, make_indexes);
    uint8_t row = *slot_of(index, column, text);
    return row != 0 ? &entries[row - 1] : NULL;
}

const struct ferry_catalog_entry *ferry_catalog_entries(size_t *count)
{
    *count = ENTRY_COUNT;
    return entries;
}

const struct ferry_catalog_entry *ferry_catalog_find_type(struct ferry_slice type)
{
    return find(&by_type, type_of, type);
}

const struct ferry_catalog_entry *ferry_catalog_find_event(struct ferry_slice canonical)
{
    return find(&by_canonical, canonical_of, canonical);
}

/* Length of a leading "v1.", "v2.", "v17."; 0 if there is none. */
static size_t version_prefix(struct ferry_slice text)
{
    size_t at = 1;
    if (text.len == 0 || text.ptr[0] != 'v')
        return 0;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        at++;
    return at > 1 && at < text.len && text.ptr[at] == '.' ? at + 1 : 0;
}

static struct ferry_slice without_versions(struct ferry_slice text)
{
    for (size_t len; (len = version_prefix(text)) > 0;)
        text = ferry_slice_skip(text, len);
    return text;
}

static struct ferry_slice without_namespace(struct ferry_slice text)
{
    /* This list changes only with a release note: it names topics. */
    static const char *const namespaces[] = {"core.", "analytics.", "ai.", "scheduling."};
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
        if (ferry_slice_starts(text, namespaces[i]))
            return ferry_slice_skip(text, strlen(namespaces[i]));
    return text;
}

struct ferry_slice ferry_catalog_canonical(struct ferry_slice type)
{
    static const char qlik[] = "com.qlik.", ferry[] = "com.ferry.", trigger[] = "com.ferry.trigger.";
    const struct ferry_catalog_entry *entry = ferry_catalog_find_type(type);
    if (entry != NULL)
        return ferry_slice_from(entry->canonical);
    struct ferry_slice name = type;
    if (ferry_slice_starts(type, qlik)) {
        name = without_versions(ferry_slice_skip(type, strlen(qlik)));
        name = without_versions(without_namespace(name));
    } else if (ferry_slice_starts(type, trigger) && type.len > strlen(trigger)) {
        name = ferry_slice_skip(type, strlen(ferry));
    }
    return name.len > 0 ? name : type;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance, in which a `*` of the glob stands for any bytes at no cost. */
static size_t distance(const char *glob, const char *name)
{
    size_t row[LONGEST_NAME + 1]; /* row[j]: from what was read of the glob to the first j bytes of name */
    size_t len = strlen(name);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (; *glob != '\0'; glob++) {
        bool star = *glob == '*';
        size_t diagonal = row[0];
        row[0] += !star;
        for (size_t j = 1; j <= len; j++) {
            size_t above = row[j];
            row[j] = star ? smallest(above, row[j - 1], diagonal)
                          : smallest(above + 1, row[j - 1] + 1, diagonal + (*glob != name[j - 1]));
            diagonal = above;
        }
    }
    return row[len];
}

const char *ferry_catalog_nearest(const char *name)
{
    size_t letters = 0;
    for (const char *at = name; *at != '\0'; at++)
        letters += *at != '*';
    if (letters > LONGEST_NAME)
        return NULL;
    const char *nearest = NULL;
    size_t least = letters / 4 + 2; /* what is further away is another word */
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        size_t apart = distance(name, entries[i].canonical);
        if (apart < least) {
            least = apart;
            nearest = entries[i].canonical;
        }
    }
    return nearest;
}

size_t ferry_catalog_match_count(const char *glob)
{
    size_t count = 0;
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        struct ferry_slice canonical = ferry_slice_from(entries[i].canonical);
        count += ferry_catalog_find_event(canonical) == &entries[i] && ferry_glob_match(glob, canonical);
    }
    return count;
}
