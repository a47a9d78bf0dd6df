/* docs/configuration.md, printed from the option tables. */
#include "core/buffer.h"
#include "core/config_reader.h"

static const char intro[] =
    "# Every key of ferry.yaml\n\n"
    "This page is printed by `ferry check --reference` from the tables that also read the file "
    "(`core/config_table.c`).\n\n"
    "One YAML file serves all programs; `ferry.yaml.example` is a whole one. Unknown keys are errors. Durations are "
    "written `250ms 10s 5m 1h 7d`, sizes `512B 64KiB 10MiB 1GiB`, rates `10/1m`. Relative paths are relative to the "
    "file. Any single value may be `{env: NAME}`, `{env: NAME, default: X}` or `{file: PATH}` (one trailing newline is "
    "dropped); a secret must be one of them, without a default. So must the value of a header whose name tells of a "
    "credential (`authorization`, `token`, `secret`, `password`, `api-key`, `cookie`), and of librdkafka's properties "
    "`sasl.password`, `ssl.key.password`, `ssl.keystore.password`, `ssl.key.pem` and "
    "`sasl.oauthbearer.client.secret`. A program resolves only its own section, and `kafka`, `topics`, `worker`, `log`."
    " YAML anchors and aliases work, merge keys and tags do not.\n\n"
    "Additions to the contract: `secrets`, `ca_file`, `mail.smtp.ca`, `slack.routes[].api`, and the word `off` for "
    "`bridge.spool`.\n";

/* How people call what a key takes. */
static const char *kind_text(const struct ferry_config_option *option)
{
    static const char *const texts[] = {
        [FERRY_KIND_TEXT] = "text",
        [FERRY_KIND_FLAG] = "true or false",
        [FERRY_KIND_INTEGER] = "number",
        [FERRY_KIND_COUNT] = "number",
        [FERRY_KIND_DURATION] = "duration",
        [FERRY_KIND_SIZE] = "size",
        [FERRY_KIND_WORD] = "word",
        [FERRY_KIND_SWITCH] = "word",
        [FERRY_KIND_RATE] = "rate",
        [FERRY_KIND_ADDRESS] = "address",
        [FERRY_KIND_PATH] = "path",
        [FERRY_KIND_SECRET] = "secret",
        [FERRY_KIND_EXPRESSION] = "jq expression",
        [FERRY_KIND_TEMPLATE] = "template",
        [FERRY_KIND_ENV_FILE] = "path",
        [FERRY_KIND_TEXTS] = "list of texts",
        [FERRY_KIND_SECRETS] = "list of secrets",
        [FERRY_KIND_EXPRESSIONS] = "list of jq expressions",
        [FERRY_KIND_MAPPING] = "jq expression, or map of them",
        [FERRY_KIND_HEADERS] = "map of header names and values",
        [FERRY_KIND_PROPERTIES] = "map of properties",
        [FERRY_KIND_ACCEPT] = "list of statuses",
        [FERRY_KIND_TABLE] = "map, see below",
        [FERRY_KIND_TABLES] = "list of maps, see below",
    };
    return texts[option->kind];
}

static bool has_words(enum ferry_config_kind kind)
{
    return kind == FERRY_KIND_WORD || kind == FERRY_KIND_SWITCH;
}

static bool has_range(enum ferry_config_kind kind)
{
    return kind == FERRY_KIND_INTEGER || kind == FERRY_KIND_COUNT || kind == FERRY_KIND_DURATION ||
           kind == FERRY_KIND_SIZE;
}

/* What is allowed, beyond the kind. */
static void add_allowed(struct ferry_buffer *out, const struct ferry_config_option *option)
{
    ferry_buffer_add_text(out, kind_text(option));
    if (has_words(option->kind)) {
        const struct ferry_config_word *words = option->about;
        for (size_t i = 0; words[i].word != NULL; i++)
            ferry_buffer_printf(out, "%s`%s`", i > 0 ? ", " : ": ", words[i].word);
    } else if (has_range(option->kind) && option->about != NULL) {
        ferry_buffer_printf(out, ", %s", ((const struct ferry_config_range *)option->about)->text);
    }
    if ((option->flags & FERRY_OPTION_OFF) != 0)
        ferry_buffer_add_text(out, ", or `off`");
}

static void add_preset(struct ferry_buffer *out, const struct ferry_config_option *option)
{
    if ((option->flags & FERRY_OPTION_REQUIRED) != 0)
        ferry_buffer_add_text(out, "**required**");
    else if (option->preset != NULL)
        ferry_buffer_printf(out, "`%s`", option->preset);
}

/* Inside a table of Markdown a bar would end the cell. */
static void add_cell(struct ferry_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            ferry_buffer_add_char(out, '\\');
        ferry_buffer_add_char(out, *text);
    }
}

static void add_table(struct ferry_buffer *out, const struct ferry_config_table *table)
{
    ferry_buffer_printf(out, "\n## %s\n\n%s\n\n| key | value | default | it is |\n|---|---|---|---|\n", table->title,
                        table->help);
    for (size_t i = 0; i < table->option_count; i++) {
        const struct ferry_config_option *option = &table->options[i];
        if (option->key == NULL)
            continue;
        ferry_buffer_printf(out, "| `%s` | ", option->key);
        add_allowed(out, option);
        ferry_buffer_add_text(out, " | ");
        add_preset(out, option);
        ferry_buffer_add_text(out, " | ");
        add_cell(out, option->help);
        ferry_buffer_add_text(out, " |\n");
    }
}

enum { TABLES_MAX = 64 };

struct printed {
    const struct ferry_config_table *tables[TABLES_MAX];
    size_t count;
};

/* A table, then the tables of its rows; each once, also where two keys share one. */
static void add_tables(struct ferry_buffer *out, const struct ferry_config_table *table, struct printed *printed)
{
    for (size_t i = 0; i < printed->count; i++)
        if (printed->tables[i] == table)
            return;
    if (printed->count == TABLES_MAX)
        return;
    printed->tables[printed->count++] = table;
    add_table(out, table);
    for (size_t i = 0; i < table->option_count; i++)
        if (table->options[i].kind == FERRY_KIND_TABLE || table->options[i].kind == FERRY_KIND_TABLES)
            add_tables(out, table->options[i].about, printed);
}

void ferry_config_print_reference(struct ferry_buffer *out)
{
    struct printed printed = {.count = 0};
    ferry_buffer_add_text(out, intro);
    add_tables(out, &ferry_config_root, &printed);
}
