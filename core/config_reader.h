/* Inside the configuration: how a section is described (tables), and what reads it. Private to core/config*.c.
 *
 * One `struct ferry_config_table` describes one kind of map in the file: a row for each key, with the kind of its
 * value, the place in the C struct, the default as YAML text and a sentence for people. The same rows read the file,
 * find misspelt keys and print docs/configuration.md. What no single row can know (two keys that exclude each other)
 * is said by the table's `check`. */
#ifndef FERRY_CORE_CONFIG_READER_H
#define FERRY_CORE_CONFIG_READER_H

#include "core/arena.h"
#include "core/config.h"
#include "core/yaml.h"

/* ---- tables ---- */

/* What a value is; beside it the type of the member that takes it. */
enum ferry_config_kind {
    FERRY_KIND_TEXT,        /* const char *; `about`: NULL or a struct ferry_config_shape */
    FERRY_KIND_FLAG,        /* bool */
    FERRY_KIND_INTEGER,     /* int; `about`: a struct ferry_config_range */
    FERRY_KIND_COUNT,       /* int64_t; the same */
    FERRY_KIND_DURATION,    /* int64_t, milliseconds; `about`: NULL or a range */
    FERRY_KIND_SIZE,        /* int64_t, bytes; `about`: NULL or a range */
    FERRY_KIND_WORD,        /* an enum; `about`: struct ferry_config_word[] that ends in {NULL} */
    FERRY_KIND_SWITCH,      /* bool; `about` as WORD */
    FERRY_KIND_RATE,        /* struct ferry_rate */
    FERRY_KIND_ADDRESS,     /* struct ferry_address */
    FERRY_KIND_PATH,        /* const char *, absolute */
    FERRY_KIND_SECRET,      /* struct ferry_secret */
    FERRY_KIND_EXPRESSION,  /* struct ferry_source */
    FERRY_KIND_TEMPLATE,    /* struct ferry_source; `about`: a struct ferry_config_escape */
    FERRY_KIND_ENV_FILE,    /* const char *: the file of NAME=value lines, which is read at once */
    FERRY_KIND_SCALARS,     /* how many are scalars; from here on others */
    FERRY_KIND_TEXTS,       /* struct ferry_strings; `about` as TEXT */
    FERRY_KIND_SECRETS,     /* const struct ferry_secret *, and the count */
    FERRY_KIND_EXPRESSIONS, /* const struct ferry_source *, and the count */
    FERRY_KIND_MAPPING,     /* struct ferry_mapping */
    FERRY_KIND_HEADERS,     /* const struct ferry_secret_header *, and the count */
    FERRY_KIND_PROPERTIES,  /* struct ferry_properties; `about`: NULL, or a struct ferry_config_owned */
    FERRY_KIND_ACCEPT,      /* const struct ferry_status_range *, and the count */
    FERRY_KIND_TABLE,       /* a struct; `about`: its struct ferry_config_table */
    FERRY_KIND_TABLES,      /* a list of maps: const pointer and the count; `about` as TABLE */
    FERRY_KIND_PRESENT,     /* bool: the map stands in the file; no key */
    FERRY_KIND_PLACE        /* struct ferry_place: where it stands; no key */
};

enum ferry_config_flag {
    FERRY_OPTION_REQUIRED = 1,
    FERRY_OPTION_OFF = 2 /* the word `off` is allowed: 0, or nothing */
};

struct ferry_config_option {
    const char *key;
    const char *preset; /* the default, as YAML; NULL: none */
    const char *help;
    const void *about;
    size_t offset;
    size_t count_offset; /* of lists */
    enum ferry_config_kind kind;
    unsigned flags;
    unsigned sections; /* of a section: the programs that resolve its values; 0: all */
};

struct ferry_config_reader;

struct ferry_config_table {
    const char *title; /* in the reference */
    const char *help;
    size_t size; /* of one struct */
    const struct ferry_config_option *options;
    size_t option_count;
    /* A second table over the same struct whose defaults were set by `prepare`; or NULL. */
    const struct ferry_config_table *merged;
    void (*prepare)(struct ferry_config_reader *reader, void *target);
    void (*check)(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target);
};

struct ferry_config_word {
    const char *word;
    int value;
};
struct ferry_config_range {
    int64_t least;
    int64_t most;
    const char *text; /* "from 1 to 10000" */
};
/* A test that a text has to pass, and how people call what passes. */
struct ferry_config_shape {
    bool (*good)(struct ferry_slice text);
    const char *expected;
};
/* Which properties are refused, and why. */
struct ferry_config_owned {
    const char *(*reason)(const char *name);
};
struct ferry_config_escape {
    int escape; /* enum ferry_escape */
};

extern const struct ferry_config_table ferry_config_root;

/* ---- reading ---- */

/* Lives as long as the configuration. */
struct ferry_config_memory {
    struct ferry_arena arena;
    struct ferry_secret *secrets; /* every resolved one, wiped at the end */
    size_t secret_count;
    size_t secret_capacity;
    struct ferry_finding *findings;
    size_t finding_count;
    size_t finding_capacity;
};

/* NAME=value lines of the `secrets` file. */
struct ferry_config_variable {
    const char *name;
    struct ferry_secret value;
    struct ferry_config_variable *next;
};

struct ferry_config_reader {
    struct ferry_config *config;
    struct ferry_config_memory *memory;
    const char *directory; /* of the file, ends in '/'; "" for the working directory */
    const char *absolute;  /* the same as an absolute path */
    unsigned sections;     /* whose values are resolved */
    bool own;              /* the section being read is one of them */
    bool no_presets;       /* reading rows whose defaults are there already */
    bool failed;           /* memory ran out */
    struct ferry_config_variable *variables;
    unsigned names; /* mentioned since the route began */
    char path[256]; /* "slack.routes[0].when" */
    size_t path_len;
};

/* A scalar, resolved. */
struct ferry_config_value {
    struct ferry_slice text; /* ends in NUL */
    struct ferry_place place;
    const char *origin; /* "{env: NAME}", or NULL for a literal */
};

/* What is wrong with the value at the reader's path, at that place. */
void ferry_config_error(struct ferry_config_reader *reader, struct ferry_place place, const char *format, ...)
    FERRY_PRINTF(3, 4);
void ferry_config_warning(struct ferry_config_reader *reader, struct ferry_place place, const char *format, ...)
    FERRY_PRINTF(3, 4);
/* The value as messages may show it: in quotes and cut, or its origin if it is not in the file. In the arena. */
const char *ferry_config_show(struct ferry_config_reader *reader, const struct ferry_config_value *value);

/* Extends the path by ".key" (or "[index]" for a NULL key); returns what ferry_config_leave takes. */
size_t ferry_config_enter(struct ferry_config_reader *reader, const char *key, size_t index);
void ferry_config_leave(struct ferry_config_reader *reader, size_t path_len);

struct ferry_place ferry_config_place(const struct ferry_config_reader *reader, const struct ferry_yaml_node *node);
/* Where that key of the map stands; the map itself if the key does not. */
struct ferry_place ferry_config_place_of(const struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                         const char *key);

/* From the arena; NULL and `failed` when memory ran out. */
void *ferry_config_new(struct ferry_config_reader *reader, size_t count, size_t item_bytes);

/* Reads a map by its table; `node` NULL: the defaults alone. */
void ferry_config_read_table(struct ferry_config_reader *reader, const struct ferry_config_table *table,
                             const struct ferry_yaml_node *node, void *target);

/* ---- resolving (config_resolve.c) ---- */

enum ferry_config_got { FERRY_GOT_VALUE, FERRY_GOT_NOTHING, FERRY_GOT_ERROR };

/* {env: NAME}, {env: NAME, default: X} or {file: PATH}? */
bool ferry_config_is_reference(const struct ferry_yaml_node *node);
/* A literal, or what a reference gives. NOTHING: a reference in a section of another program. ERROR: reported. */
enum ferry_config_got ferry_config_resolve(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                           bool is_secret, struct ferry_config_value *value);
/* A copy that is wiped with the configuration. */
struct ferry_secret ferry_config_keep_secret(struct ferry_config_reader *reader, struct ferry_slice text);
/* Reads the file of NAME=value lines; refused when others may read it. */
void ferry_config_read_env_file(struct ferry_config_reader *reader, const char *path, struct ferry_place place);
/* "directory/path", or an absolute path as it is. In the arena. */
const char *ferry_config_join(struct ferry_config_reader *reader, const char *directory, const char *path);
/* Appends a whole file to `out`; what failed in `error`. */
struct ferry_buffer;
FERRY_NODISCARD enum ferry_code ferry_config_read_file(const char *path, struct ferry_buffer *out,
                                                       struct ferry_error *error);

/* ---- values (config_value.c) ---- */

/* Reads one scalar into `out` by the option's kind; reports, and leaves `out` alone, when it does not fit. */
void ferry_config_read_value(struct ferry_config_reader *reader, const struct ferry_config_option *option,
                             const struct ferry_config_value *value, void *out);
/* "2xx" or "404" as a range. */
bool ferry_config_parse_status(struct ferry_slice text, struct ferry_status_range *out);

#endif
