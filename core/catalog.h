/* The catalogue: Qlik's event types, and the canonical name that every name of one action maps to.
 * Source: Qlik's published event catalogue, November 2026; one table in catalog_table.h. */
#ifndef FERRY_CORE_CATALOG_H
#define FERRY_CORE_CATALOG_H

#include "core/arena.h"
#include "core/slice.h"

struct ferry_catalog_entry {
    const char *family;    /* "Apps" */
    const char *canonical; /* "app.created" */
    const char *type;      /* "com.qlik.app.created" */
    const char *source;    /* "com.qlik/engine", or "" where the documentation names none */
    const char *note;      /* "", "older name", "namespaced name", … */
};

/* The whole table: current types first, then the other known names. Static. */
const struct ferry_catalog_entry *ferry_catalog_entries(size_t *count);
/* The row of that exact type, or NULL. */
const struct ferry_catalog_entry *ferry_catalog_find_type(struct ferry_slice type);
/* The first row of that canonical name, or NULL. */
const struct ferry_catalog_entry *ferry_catalog_find_event(struct ferry_slice canonical);

/* The canonical name of a type (docs/contract.md, "Records in Kafka"): the catalogue's alias if there is one; else, for
 * com.qlik.*, the type without `com.qlik.`, without `v1.` (any number), without one of core. analytics. ai.
 * scheduling.; `com.ferry.trigger.NAME` is `trigger.NAME`; any other type is its own canonical name.
 * A slice of `type` or of the static table. */
struct ferry_slice ferry_catalog_canonical(struct ferry_slice type);

/* The known canonical event that is nearest to a misspelt one or to a glob that matches nothing; NULL if none is
 * near. */
const char *ferry_catalog_nearest(const char *name);
/* How many distinct canonical events a glob matches. */
size_t ferry_catalog_match_count(const char *glob);

#endif
