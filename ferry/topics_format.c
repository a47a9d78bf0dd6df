#include "core/buffer.h"
#include "ferry/cli.h"
#include "ferry/table.h"
#include "ferry/topics.h"

static const char *state_name(const struct ferry_topic_row *row)
{
    static const char *const names[] = {[FERRY_TOPIC_CREATED] = "created",
                                        [FERRY_TOPIC_EXISTS] = "exists",
                                        [FERRY_TOPIC_MISSING] = "missing",
                                        [FERRY_TOPIC_DENIED] = "denied",
                                        [FERRY_TOPIC_FAILED] = "failed"};
    return names[row->found.state];
}

/* "6", or the broker's own choice. */
static const char *number(int value, char out[16])
{
    snprintf(out, 16, "%d", value);
    return value > 0 ? out : "default";
}

/* ---- text ---- */

static void print_summary(struct ferry_topic_rows rows, size_t differing, FILE *out)
{
    size_t counts[FERRY_TOPIC_FAILED + 1] = {0};
    for (size_t i = 0; i < rows.count; i++)
        counts[rows.items[i].found.state]++;
    fprintf(out, "%zu topics: %zu created, %zu there (%zu differ), %zu missing, %zu refused\n", rows.count,
            counts[FERRY_TOPIC_CREATED], counts[FERRY_TOPIC_EXISTS], differing, counts[FERRY_TOPIC_MISSING],
            counts[FERRY_TOPIC_DENIED] + counts[FERRY_TOPIC_FAILED]);
}

void ferry_topics_print_text(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out)
{
    static const struct ferry_column columns[] = {{"topic", false},      {"kind", false},  {"partitions", true},
                                                  {"replication", true}, {"state", false}, {"", false}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer remark;
    size_t differing = 0;
    (void)config;
    ferry_buffer_init(&remark, FERRY_CLI_FILE_BYTES);
    ferry_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < rows.count; i++) {
        const struct ferry_topic_row *row = &rows.items[i];
        char partitions[16], replication[16];
        bool there = row->found.state == FERRY_TOPIC_EXISTS;
        ferry_buffer_clear(&remark);
        ferry_topic_differs(row, &remark);
        differing += remark.len > 0;
        ferry_buffer_add_text(&remark, row->found.reason);
        const struct ferry_slice cells[] = {
            ferry_slice_from(row->name),
            ferry_slice_from(row->kind),
            ferry_slice_from(number(there ? row->found.partitions : row->partitions, partitions)),
            ferry_slice_from(number(there ? row->found.replication : row->replication, replication)),
            ferry_slice_from(state_name(row)),
            ferry_buffer_slice(&remark)};
        ferry_table_add(&table, cells);
    }
    ferry_table_print(&table, out);
    print_summary(rows, differing, out);
}

/* ---- json ---- */

static void add_json_text(struct ferry_buffer *out, const char *name, struct ferry_slice text)
{
    ferry_buffer_printf(out, ",\"%s\":", name);
    ferry_buffer_add_json_string(out, text);
}

static void add_json_row(const struct ferry_topic_row *row, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer differs;
    ferry_buffer_init(&differs, FERRY_CLI_FILE_BYTES);
    ferry_topic_differs(row, &differs);
    ferry_buffer_add_text(out, "{\"topic\":");
    ferry_buffer_add_json_string(out, ferry_slice_from(row->name));
    add_json_text(out, "kind", ferry_slice_from(row->kind));
    add_json_text(out, "state", ferry_slice_from(state_name(row)));
    ferry_buffer_printf(out, ",\"partitions\":%d,\"replication\":%d,\"config\":{", row->partitions, row->replication);
    for (size_t i = 0; i < row->setting_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? "," : "");
        ferry_buffer_add_json_string(out, ferry_slice_from(row->settings[i].name));
        ferry_buffer_add_char(out, ':');
        ferry_buffer_add_json_string(out, ferry_slice_from(row->settings[i].value));
    }
    ferry_buffer_add_char(out, '}');
    if (row->found.state == FERRY_TOPIC_EXISTS)
        ferry_buffer_printf(out, ",\"found\":{\"partitions\":%d,\"replication\":%d}", row->found.partitions,
                            row->found.replication);
    if (differs.len > 0)
        add_json_text(out, "differs", ferry_buffer_slice(&differs));
    if (row->found.reason[0] != '\0')
        add_json_text(out, "reason", ferry_slice_from(row->found.reason));
    ferry_buffer_add_char(out, '}');
}

void ferry_topics_print_json(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    (void)config;
    ferry_buffer_init(&text, FERRY_CLI_FILE_BYTES);
    ferry_buffer_add_text(&text, "[\n");
    for (size_t i = 0; i < rows.count; i++) {
        add_json_row(&rows.items[i], &text);
        ferry_buffer_add_text(&text, i + 1 < rows.count ? ",\n" : "\n");
    }
    ferry_buffer_add_text(&text, "]\n");
    fwrite(text.ptr, 1, text.len, out);
}

/* ---- strimzi ---- */

/* The name of a resource in Kubernetes: lower case, digits, '-' and '.'. */
static void add_resource_name(struct ferry_buffer *out, const char *topic)
{
    for (; *topic != '\0'; topic++) {
        char c = *topic;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
        ferry_buffer_add_char(out, good ? c : '-');
    }
}

static void add_strimzi_row(const struct ferry_topic_row *row, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "---\napiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaTopic\nmetadata:\n  name: ");
    add_resource_name(out, row->name);
    ferry_buffer_add_text(out, "\n  labels:\n    strimzi.io/cluster: my-cluster\nspec:\n");
    ferry_buffer_printf(out, "  topicName: \"%s\"\n", row->name);
    if (row->partitions > 0)
        ferry_buffer_printf(out, "  partitions: %d\n", row->partitions);
    if (row->replication > 0)
        ferry_buffer_printf(out, "  replicas: %d\n", row->replication);
    ferry_buffer_add_text(out, row->setting_count > 0 ? "  config:\n" : "");
    for (size_t i = 0; i < row->setting_count; i++) {
        ferry_buffer_printf(out, "    %s: ", row->settings[i].name);
        ferry_buffer_add_json_string(out, ferry_slice_from(row->settings[i].value));
        ferry_buffer_add_char(out, '\n');
    }
}

void ferry_topics_print_strimzi(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, FERRY_CLI_FILE_BYTES);
    ferry_buffer_printf(&text, "# The topics of %s. Name your cluster in strimzi.io/cluster.\n", config->file);
    for (size_t i = 0; i < rows.count; i++)
        add_strimzi_row(&rows.items[i], &text);
    fwrite(text.ptr, 1, text.len, out);
}

/* ---- terraform ---- */

static void add_identifier(struct ferry_buffer *out, const char *topic)
{
    ferry_buffer_add_text(out, topic[0] >= '0' && topic[0] <= '9' ? "_" : "");
    for (; *topic != '\0'; topic++) {
        bool good = (*topic >= 'a' && *topic <= 'z') || (*topic >= 'A' && *topic <= 'Z') ||
                    (*topic >= '0' && *topic <= '9') || *topic == '-';
        ferry_buffer_add_char(out, good ? *topic : '_');
    }
}

/* Where the broker's default is asked for, Terraform has to be told a number. */
static void add_count(struct ferry_buffer *out, const char *name, const char *variable, int count)
{
    if (count > 0)
        ferry_buffer_printf(out, "  %s = %d\n", name, count);
    else
        ferry_buffer_printf(out, "  %s = var.%s\n", name, variable);
}

static void add_terraform_row(const struct ferry_topic_row *row, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "\nresource \"kafka_topic\" \"");
    add_identifier(out, row->name);
    ferry_buffer_printf(out, "\" {\n  name = \"%s\"\n", row->name);
    add_count(out, "partitions", "ferry_partitions", row->partitions);
    add_count(out, "replication_factor", "ferry_replication", row->replication);
    ferry_buffer_add_text(out, row->setting_count > 0 ? "  config = {\n" : "");
    for (size_t i = 0; i < row->setting_count; i++) {
        ferry_buffer_printf(out, "    \"%s\" = ", row->settings[i].name);
        ferry_buffer_add_json_string(out, ferry_slice_from(row->settings[i].value));
        ferry_buffer_add_char(out, '\n');
    }
    ferry_buffer_add_text(out, row->setting_count > 0 ? "  }\n}\n" : "}\n");
}

void ferry_topics_print_terraform(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, FERRY_CLI_FILE_BYTES);
    ferry_buffer_printf(&text, "# The topics of %s, for the provider Mongey/kafka.\n", config->file);
    if (config->topics.partitions <= 0)
        ferry_buffer_add_text(&text, "\nvariable \"ferry_partitions\" {\n  type = number\n}\n");
    if (config->topics.replication <= 0)
        ferry_buffer_add_text(&text, "\nvariable \"ferry_replication\" {\n  type = number\n}\n");
    for (size_t i = 0; i < rows.count; i++)
        add_terraform_row(&rows.items[i], &text);
    fwrite(text.ptr, 1, text.len, out);
}
