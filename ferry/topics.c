/* ferry topics: every topic that this configuration uses; makes the missing ones, or shows them for others to make. */
#include "ferry/topics.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/kafka/topic_plan.h"
#include "core/program.h"
#include "core/words.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/operations.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry topics [-c FILE] [--dry-run] [--json] [--format text|json|strimzi|terraform|acls]\n"
    "\n"
    "Every topic that the configuration uses: whether it is there, and how it differs from what is configured. Makes\n"
    "the missing ones, with their settings; those that differ are told and left alone.\n"
    "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "      --dry-run       make nothing\n"
    "      --json          the result as JSON\n"
    "      --format FORMAT print only, make nothing: text and json look at Kafka first; strimzi (KafkaTopic),\n"
    "                      terraform (kafka_topic of Mongey/kafka) and acls (kafka-acls.sh, each program apart) need\n"
    "                      no Kafka\n"
    "Exit codes: 0 all are there now (or it was only to be printed), 1 some are not, 2 wrong usage, 78 "
    "configuration.\n";

enum { LOOK_MS = 10000, TEXT_MAX_BYTES = 4096 };

struct format {
    const char *name;
    bool looks;
    void (*print)(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out);
};

static const struct format formats[] = {
    {"text", true, ferry_topics_print_text},        {"json", true, ferry_topics_print_json},
    {"strimzi", false, ferry_topics_print_strimzi}, {"terraform", false, ferry_topics_print_terraform},
    {"acls", false, ferry_topics_print_acls},
};
enum { TEXT, JSON, FORMATS = sizeof formats / sizeof formats[0] };

struct request {
    const char *config;
    const struct format *format;
    bool dry_run;
    int argc;
    char **argv;
};

static int refuse_format(const char *name)
{
    const char *names[FORMATS];
    char complaint[160];
    for (size_t i = 0; i < FORMATS; i++)
        names[i] = formats[i].name;
    const char *nearest = ferry_words_nearest(name, names, FORMATS);
    snprintf(complaint, sizeof complaint, "--format is one of text, json, strimzi, terraform, acls%s%s%s",
             nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return ferry_cli_refuse("topics", complaint);
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const char *format = NULL;
    bool json = false;
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"dry-run", .flag = &request->dry_run},
        {"format", .text = &format},
        {"json", .flag = &json},
        {0},
    };
    request->argc = argc;
    request->argv = argv;
    int code = ferry_options_read(argc, argv, "topics", usage, options);
    if (code >= 0)
        return code;
    if (optind < argc)
        return ferry_cli_refuse("topics", "takes flags only");
    if (json && format != NULL)
        return ferry_cli_refuse("topics", "name one: --json or --format");
    request->format = json ? &formats[JSON] : &formats[TEXT];
    request->dry_run |= format != NULL;
    for (size_t i = 0; format != NULL && i < FORMATS; i++)
        if (strcmp(formats[i].name, format) == 0)
            request->format = &formats[i];
    return format != NULL && strcmp(request->format->name, format) != 0 ? refuse_format(format) : -1;
}

/* ---- the plan ---- */

static const char *kind_of(const struct ferry_config *config, const char *topic)
{
    if (ferry_route_topic_is_internal(&config->topics, ferry_slice_from(topic)))
        return "internal";
    return strcmp(topic, config->topics.other) == 0 ? "other" : "event";
}

static bool plan_row(const struct ferry_config *config, const char *name, int widest, struct ferry_arena *arena,
                     struct ferry_topic_row *row)
{
    struct ferry_topic_plan plan;
    ferry_topic_plan(config, name, widest, &plan);
    size_t room = plan.setting_count + config->topics.settings.count;
    *row = (struct ferry_topic_row){.name = name,
                                    .kind = kind_of(config, name),
                                    .partitions = plan.partitions,
                                    .replication = plan.replication,
                                    .settings = ferry_arena_new_array(arena, room + 1, sizeof *row->settings)};
    if (row->settings == NULL)
        return false;
    for (size_t i = 0; i < plan.setting_count; i++)
        row->settings[row->setting_count++] = (struct ferry_topic_setting){
            plan.settings[i].name, ferry_arena_text(arena, ferry_slice_from(plan.settings[i].value)), NULL};
    for (size_t i = 0; i < config->topics.settings.count; i++) {
        const struct ferry_property *setting = &config->topics.settings.items[i];
        if (!ferry_topic_plan_sets(&plan, setting->name))
            row->settings[row->setting_count++] = (struct ferry_topic_setting){setting->name, setting->value, NULL};
    }
    return true;
}

bool ferry_topics_plan(const struct ferry_config *config, struct ferry_topic_list topics, int widest,
                       struct ferry_arena *arena, struct ferry_topic_rows *rows)
{
    struct ferry_topic_row *items = ferry_arena_new_array(arena, topics.count + 1, sizeof *items);
    bool planned = items != NULL;
    for (size_t i = 0; planned && i < topics.count; i++)
        planned = plan_row(config, topics.names[i], widest, arena, &items[i]);
    if (planned)
        *rows = (struct ferry_topic_rows){items, topics.count};
    return planned;
}

/* ---- what there is ---- */

struct look {
    struct ferry_topic_rows rows;
    struct ferry_arena *arena;
};

static void note_setting(void *context, const char *topic, const char *name, const char *value)
{
    struct look *look = context;
    for (size_t i = 0; i < look->rows.count; i++) {
        struct ferry_topic_row *row = &look->rows.items[i];
        for (size_t s = 0; strcmp(row->name, topic) == 0 && s < row->setting_count; s++)
            if (strcmp(row->settings[s].name, name) == 0)
                row->settings[s].actual = ferry_arena_text(look->arena, ferry_slice_from(value));
    }
}

/* The settings of those that were there before. */
static enum ferry_code look_at_settings(const struct ferry_config *config, struct ferry_topic_rows rows,
                                        struct ferry_arena *arena, struct ferry_error *error)
{
    const char **names = ferry_arena_new_array(arena, rows.count + 1, sizeof *names);
    size_t count = 0;
    if (names == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < rows.count; i++)
        if (rows.items[i].found.state == FERRY_TOPIC_EXISTS)
            names[count++] = rows.items[i].name;
    struct look look = {rows, arena};
    return ferry_admin_settings(config, (struct ferry_topic_list){names, count}, LOOK_MS, note_setting, &look, error);
}

static int widest_of(const struct ferry_config *config, const struct ferry_topic_result *results, size_t count)
{
    int widest = 0;
    for (size_t i = 0; i < count; i++)
        if (results[i].partitions > widest &&
            !ferry_route_topic_is_internal(&config->topics, ferry_slice_from(results[i].name)))
            widest = results[i].partitions;
    return widest;
}

static enum ferry_code visit_kafka(const struct ferry_config *config, struct ferry_topic_list topics, bool create,
                                   struct ferry_arena *arena, struct ferry_topic_rows *rows, struct ferry_error *error)
{
    const struct ferry_properties none = {NULL, 0};
    struct ferry_topic_result *results = ferry_arena_new_array(arena, topics.count + 1, sizeof *results);
    if (results == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = create ? ferry_admin_create(config, none, topics, LOOK_MS, results, error)
                                  : ferry_admin_look(config, none, topics, LOOK_MS, results, error);
    if (code != FERRY_OK)
        return code;
    if (!ferry_topics_plan(config, topics, widest_of(config, results, topics.count), arena, rows))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < topics.count; i++) {
        rows->items[i].looked = true;
        rows->items[i].found = results[i];
    }
    struct ferry_error why = {.text = ""};
    if (look_at_settings(config, *rows, arena, &why) != FERRY_OK) /* the topics are known all the same */
        fprintf(stderr, "ferry topics: the settings could not be compared: %s\n", why.text);
    return FERRY_OK;
}

void ferry_topic_differs(const struct ferry_topic_row *row, struct ferry_buffer *out)
{
    size_t before = out->len;
    if (!row->looked || row->found.state != FERRY_TOPIC_EXISTS)
        return;
    if (row->partitions > 0 && row->found.partitions > 0 && row->found.partitions < row->partitions)
        ferry_buffer_printf(out, "%d partitions, not %d", row->found.partitions, row->partitions);
    if (row->replication > 0 && row->found.replication > 0 && row->found.replication != row->replication)
        ferry_buffer_printf(out, "%sreplication %d, not %d", out->len > before ? "; " : "", row->found.replication,
                            row->replication);
    for (size_t i = 0; i < row->setting_count; i++) {
        const struct ferry_topic_setting *setting = &row->settings[i];
        if (setting->actual != NULL && strcmp(setting->actual, setting->value) != 0)
            ferry_buffer_printf(out, "%s%s is %s, not %s", out->len > before ? "; " : "", setting->name,
                                setting->actual, setting->value);
    }
}

/* ---- the command ---- */

static size_t count_state(struct ferry_topic_rows rows, enum ferry_topic_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < rows.count; i++)
        count += rows.items[i].found.state == state;
    return count;
}

/* What was made is written down. */
static bool keep_journal(const struct request *request, const struct ferry_config *config, struct ferry_topic_rows rows)
{
    char run[FERRY_RUN_ID];
    ferry_run_id_new(run);
    const struct ferry_operation operation = {.command = "topics",
                                              .arguments = (const char *const *)(request->argv + 1),
                                              .argument_count = (size_t)request->argc - 1,
                                              .run = run};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer made;
    struct ferry_operations *journal = NULL;
    struct ferry_error error = {.text = ""};
    ferry_buffer_init(&made, FERRY_CLI_FILE_BYTES);
    for (size_t i = 0; i < rows.count; i++) {
        if (rows.items[i].found.state != FERRY_TOPIC_CREATED)
            continue;
        ferry_buffer_add_char(&made, made.len == 0 ? '[' : ',');
        ferry_buffer_add_json_string(&made, ferry_slice_from(rows.items[i].name));
    }
    ferry_buffer_add_char(&made, ']');
    enum ferry_code code = ferry_operations_open(config, &operation, &journal, &error);
    if (code == FERRY_OK)
        code = ferry_operations_note(journal, "done", (int64_t)count_state(rows, FERRY_TOPIC_CREATED),
                                     ferry_buffer_slice(&made), &error);
    ferry_operations_close(journal);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry topics: the journal could not be written: %s\n", error.text);
    return code == FERRY_OK;
}

static int run(const struct request *request, const struct ferry_config *config, const struct ferry_topic_set *set,
               struct ferry_arena *arena)
{
    struct ferry_topic_list topics = ferry_topic_set_list(set);
    struct ferry_topic_rows rows = {NULL, 0};
    struct ferry_error error = {.text = "out of memory"};
    bool create = !request->dry_run && config->topics.create != FERRY_CREATE_NEVER;
    enum ferry_code code = FERRY_OK;
    if (request->format->looks)
        code = visit_kafka(config, topics, create, arena, &rows, &error);
    else if (!ferry_topics_plan(config, topics, 0, arena, &rows))
        code = FERRY_MEMORY;
    if (code != FERRY_OK) {
        fprintf(stderr, "ferry topics: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    request->format->print(config, rows, stdout);
    bool good = true;
    if (create && count_state(rows, FERRY_TOPIC_CREATED) > 0)
        good = keep_journal(request, config, rows);
    if (request->dry_run)
        return FERRY_EXIT_DONE;
    size_t missing = count_state(rows, FERRY_TOPIC_MISSING);
    if (missing > 0)
        fprintf(stderr, "ferry topics: %zu are missing, and topics.create is never: make them by --format %s\n",
                missing, "strimzi, terraform or json");
    good &= missing + count_state(rows, FERRY_TOPIC_DENIED) + count_state(rows, FERRY_TOPIC_FAILED) == 0;
    return good ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

int ferry_command_topics(int argc, char **argv)
{
    struct request request = {0};
    struct ferry_config *config = NULL;
    int code = parse(argc, argv, &request);
    if (code < 0)
        code = ferry_console_config(request.config, &config);
    if (code >= 0)
        return code;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_topic_set *set = ferry_topic_set_new(config);
    if (set != NULL)
        code = run(&request, config, set, &arena);
    else
        code = FERRY_EXIT_FAILED;
    ferry_topic_set_free(set);
    ferry_config_free(config);
    return code;
}
