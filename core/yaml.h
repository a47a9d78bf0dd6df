/* YAML as a tree of nodes that know their lines; the only file that names libyaml.
 *
 * One document of maps, lists and scalars. An alias shares its anchor's node (so that a document cannot blow up), tags
 * and merge keys have no meaning here, a key may stand once. What is wrong is reported with its line; everything that
 * does not break the syntax is reported in one run. */
#ifndef FERRY_CORE_YAML_H
#define FERRY_CORE_YAML_H

#include "core/arena.h"
#include "core/error.h"
#include "core/slice.h"

enum ferry_yaml_kind { FERRY_YAML_SCALAR, FERRY_YAML_LIST, FERRY_YAML_MAP };

struct ferry_yaml_member;

struct ferry_yaml_node {
    enum ferry_yaml_kind kind;
    int line;                /* from 1: where it begins */
    int text_line;           /* of a scalar: where its first character stands; for a block one line below its `|` */
    bool plain;              /* a scalar without quotes or bar, so that `null`, `~` and nothing at all mean "not set" */
    struct ferry_slice text; /* of a scalar; ends in NUL (not counted) and holds none */
    const struct ferry_yaml_node *const *items;
    const struct ferry_yaml_member *members;
    size_t count; /* of items or members */
};

struct ferry_yaml_member {
    const char *key;
    int line;
    const struct ferry_yaml_node *value;
};

/* Is told what is wrong, as it is found. `text` lives during the call. */
struct ferry_yaml_listener {
    void *context;
    void (*problem)(void *context, int line, const char *text);
};

/* Reads one document into the arena. FERRY_CONFIG when anything was reported (`*root` is set if there is a tree all
 * the same, NULL for an empty document), FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_yaml_parse(struct ferry_slice text, struct ferry_arena *arena,
                                                 const struct ferry_yaml_listener *listener,
                                                 const struct ferry_yaml_node **root);

/* The member of that key, or NULL; also NULL for what is no map. */
const struct ferry_yaml_member *ferry_yaml_get(const struct ferry_yaml_node *node, const char *key);
/* A plain `null`, `~` or nothing. */
bool ferry_yaml_is_null(const struct ferry_yaml_node *node);

#endif
