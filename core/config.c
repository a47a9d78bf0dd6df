#include "core/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/config_reader.h"

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* ---- properties of librdkafka ---- */

/* What Ferry's promises rest on. */
static const struct {
    const char *name;
    const char *reason;
} owned[] = {
    {"acks", "an event counts as taken only when all in-sync replicas have it"},
    {"request.required.acks", "an event counts as taken only when all in-sync replicas have it"},
    {"enable.idempotence", "without it a retry could double or reorder records"},
    {"enable.gapless.guarantee", "Ferry handles gaps with its spool"},
    {"max.in.flight", "more than five requests would break the order"},
    {"max.in.flight.requests.per.connection", "more than five requests would break the order"},
    {"retries", "the producer retries until the bridge gives up by itself"},
    {"message.send.max.retries", "the producer retries until the bridge gives up by itself"},
    {"message.timeout.ms", "a time-out inside librdkafka breaks the order, see bridge.ack_timeout"},
    {"delivery.timeout.ms", "a time-out inside librdkafka breaks the order, see bridge.ack_timeout"},
    {"partitioner", "all clients must put a key into the same partition, Java's clients included"},
    {"transactional.id", "Ferry does not use transactions"},
    {"delivery.report.only.error", "the bridge answers when the report of success comes"},
    {"enable.auto.commit", "offsets are committed when their effects are settled"},
    {"auto.commit.enable", "offsets are committed when their effects are settled"},
    {"auto.commit.interval.ms", "offsets are committed when their effects are settled"},
    {"enable.auto.offset.store", "offsets are stored when their effects are settled"},
    {"offset.store.method", "offsets are stored in Kafka, when their effects are settled"},
    {"auto.offset.reset", "where a group begins is said by worker.start"},
    {"group.id", "it is said by `group` of the worker"},
    {"partition.assignment.strategy", "workers rely on cooperative-sticky"},
    {"enable.partition.eof", "Ferry decides where it wants to know of a partition's end"},
    {"allow.auto.create.topics", "topics are created with the settings of `topics`, or not at all"},
    {"plugin.library.paths", "Ferry loads no plugins"},
};

const char *ferry_kafka_property_owned(const char *name)
{
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (strcmp(name, owned[i].name) == 0)
            return owned[i].reason;
    return NULL;
}

static bool names_brokers(const struct ferry_properties *properties)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->items[i].name, "bootstrap.servers") == 0 ||
            strcmp(properties->items[i].name, "metadata.broker.list") == 0)
            return true;
    return false;
}

static void add_default_broker(struct ferry_config_reader *reader)
{
    struct ferry_properties *kafka = &reader->config->kafka;
    if (names_brokers(kafka))
        return;
    struct ferry_property *items = ferry_config_new(reader, kafka->count + 1, sizeof *items);
    if (items == NULL)
        return;
    items[0] = (struct ferry_property){"bootstrap.servers", "127.0.0.1:9092", {reader->config->file, 1}};
    if (kafka->count > 0)
        memcpy(items + 1, kafka->items, kafka->count * sizeof *items);
    *kafka = (struct ferry_properties){items, kafka->count + 1};
}

/* ---- loading ---- */

static void on_yaml_problem(void *context, int line, const char *text)
{
    struct ferry_config_reader *reader = context;
    ferry_config_error(reader, (struct ferry_place){reader->config->file, line}, "%s", text);
}

/* The folder that relative paths start from: as it was written for messages, and absolute for files that are opened
 * again later. */
static void set_directory(struct ferry_config_reader *reader, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    const char *directory = ferry_arena_text(&reader->memory->arena, ferry_slice_of(path, len));
    char *absolute = directory != NULL ? realpath(len > 0 ? directory : ".", NULL) : NULL;
    size_t bytes = absolute != NULL ? strlen(absolute) + 2 : 0;
    char *with_slash = absolute != NULL ? ferry_config_new(reader, bytes, 1) : NULL;
    if (with_slash != NULL)
        snprintf(with_slash, bytes, "%s/", absolute);
    free(absolute);
    reader->failed |= directory == NULL;
    reader->directory = directory != NULL ? directory : "";
    reader->absolute = with_slash != NULL ? with_slash : reader->directory;
}

static int compare_findings(const void *a, const void *b)
{
    const struct ferry_finding *x = a, *y = b;
    int by_file = strcmp(x->place.file, y->place.file);
    return by_file != 0 ? by_file : x->place.line - y->place.line;
}

/* The main file's findings before those of the files that it names; by line, and in the order of finding. */
static void sort_findings(struct ferry_config_memory *memory, const char *file)
{
    size_t own = 0;
    if (memory->finding_count == 0)
        return;
    for (size_t i = 0; i < memory->finding_count; i++) {
        struct ferry_finding finding = memory->findings[i];
        if (strcmp(finding.place.file, file) != 0)
            continue;
        memmove(&memory->findings[own + 1], &memory->findings[own], (i - own) * sizeof finding);
        memory->findings[own++] = finding;
    }
    struct ferry_finding *parts[] = {memory->findings, memory->findings + own};
    size_t counts[] = {own, memory->finding_count - own};
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 1; i < counts[part]; i++) /* insertion: few, nearly sorted, and stable */
            for (size_t k = i; k > 0 && compare_findings(&parts[part][k - 1], &parts[part][k]) > 0; k--) {
                struct ferry_finding swapped = parts[part][k];
                parts[part][k] = parts[part][k - 1];
                parts[part][k - 1] = swapped;
            }
}

static void hand_out_findings(const struct ferry_config_memory *memory, struct ferry_findings *findings)
{
    *findings = (struct ferry_findings){.items = memory->findings, .count = memory->finding_count};
    for (size_t i = 0; i < findings->count; i++)
        findings->errors += !findings->items[i].warning;
}

static void read_all(struct ferry_config_reader *reader, struct ferry_slice text)
{
    const struct ferry_yaml_listener listener = {reader, on_yaml_problem};
    const struct ferry_yaml_node *root = NULL;
    enum ferry_code code = ferry_yaml_parse(text, &reader->memory->arena, &listener, &root);
    reader->failed |= code == FERRY_MEMORY;
    if (code == FERRY_CONFIG && root == NULL)
        return; /* not YAML: that is all there is to say */
    if (root == NULL || ferry_yaml_is_null(root))
        ferry_config_error(reader, ferry_config_place(reader, NULL), "the file is empty, see ferry.yaml.example");
    else
        ferry_config_read_table(reader, &ferry_config_root, root, reader->config);
    add_default_broker(reader);
}

static struct ferry_config *new_config(const char *path)
{
    struct ferry_config *config = calloc(1, sizeof *config);
    struct ferry_config_memory *memory = calloc(1, sizeof *memory);
    if (config == NULL || memory == NULL) {
        free(config);
        free(memory);
        return NULL;
    }
    config->memory = memory;
    config->file = ferry_arena_text(&memory->arena, ferry_slice_from(path));
    if (config->file != NULL)
        return config;
    ferry_config_free(config);
    return NULL;
}

enum ferry_code ferry_config_parse(const char *path, struct ferry_slice text, unsigned sections,
                                   struct ferry_config **out, struct ferry_findings *findings,
                                   struct ferry_error *error)
{
    struct ferry_config *config = new_config(path);
    if (config == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for the configuration");
    struct ferry_config_reader reader = {.config = config, .memory = config->memory, .sections = sections, .own = true};
    set_directory(&reader, path);
    read_all(&reader, text);
    if (reader.failed) {
        ferry_config_free(config);
        return ferry_fail(error, FERRY_MEMORY, "no memory for the configuration");
    }
    sort_findings(config->memory, config->file);
    hand_out_findings(config->memory, findings);
    *out = config;
    if (findings->errors == 0)
        return FERRY_OK;
    return ferry_fail(error, FERRY_CONFIG, "%s: %zu mistake%s", path, findings->errors,
                      findings->errors == 1 ? "" : "s");
}

enum ferry_code ferry_config_load(const char *path, unsigned sections, struct ferry_config **out,
                                  struct ferry_findings *findings, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, FILE_MAX_BYTES);
    struct ferry_error reason;
    if (ferry_config_read_file(path, &text, &reason) == FERRY_OK)
        return ferry_config_parse(path, ferry_buffer_slice(&text), sections, out, findings, error);
    struct ferry_config *config = new_config(path);
    if (config == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory for the configuration");
    struct ferry_config_reader reader = {.config = config, .memory = config->memory};
    ferry_config_error(&reader, ferry_config_place(&reader, NULL), "%s%s", reason.text,
                       access(path, F_OK) == 0 ? "" : "; `ferry init` writes one, -c FILE names another");
    hand_out_findings(config->memory, findings);
    *out = config;
    return ferry_fail(error, FERRY_CONFIG, "%s: 1 mistake", path);
}

void ferry_config_free(struct ferry_config *config)
{
    if (config == NULL)
        return;
    struct ferry_config_memory *memory = config->memory;
    for (size_t i = 0; i < memory->secret_count; i++)
        ferry_secret_done(&memory->secrets[i]);
    free(memory->secrets);
    free(memory->findings);
    ferry_arena_done(&memory->arena);
    free(memory);
    free(config);
}

const struct ferry_worker_config *ferry_config_worker(const struct ferry_config *config, const char *worker)
{
    if (strcmp(worker, "slack") == 0)
        return &config->slack.worker;
    if (strcmp(worker, "mail") == 0)
        return &config->mail.worker;
    return strcmp(worker, "automation") == 0 ? &config->automation.worker : NULL;
}

const struct ferry_route_config *ferry_config_route(const struct ferry_config *config, const char *worker, size_t index)
{
    if (strcmp(worker, "slack") == 0)
        return index < config->slack.route_count ? &config->slack.routes[index].common : NULL;
    if (strcmp(worker, "mail") == 0)
        return index < config->mail.route_count ? &config->mail.routes[index].common : NULL;
    if (strcmp(worker, "automation") == 0)
        return index < config->automation.route_count ? &config->automation.routes[index].common : NULL;
    return NULL;
}

void ferry_findings_print(const struct ferry_findings *findings, struct ferry_buffer *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct ferry_finding *finding = &findings->items[i];
        ferry_buffer_printf(out, "%s:%d: %s%s\n", finding->place.file, finding->place.line,
                            finding->warning ? "warning: " : "", finding->text);
    }
}
