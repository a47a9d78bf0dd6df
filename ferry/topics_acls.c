/* What each program may do in Kafka, and no more: one table of needs, one command for each that the configuration has.
 *
 * Event topics are named by the template's literal beginning ("qlik." of qlik.{event}), as a prefixed pattern, because
 * events come that nobody has named yet. Where the template has none, or Ferry's own topics begin so too, the topics
 * are named one by one. */
#include <stdlib.h>

#include "core/buffer.h"
#include "ferry/cli.h"
#include "ferry/topics.h"

/* Of which topics? */
enum subject {
    EVENTS,   /* the event topics, and `other` */
    OWN,      /* <internal>.<name>; of a worker <internal>.<worker>.<name> */
    INTERNAL, /* all of Ferry's own, by their prefix */
    GROUP,    /* the worker's */
    GROUPS,   /* those of all workers */
};

enum when { ALWAYS, CREATES, AUDITS, TRIGGERS, WORKERS, CONSOLE, CONSOLE_OF_WORKERS };

struct need {
    enum subject subject;
    const char *name; /* of OWN */
    const char *operations;
    enum when when;
};

static const struct need bridge_needs[] = {
    {EVENTS, NULL, "Write Describe", ALWAYS},
    {OWN, "quarantine", "Write Describe", ALWAYS},
    {OWN, "audits", "Read Write Describe", AUDITS},
    {GROUP, NULL, "Read Describe", AUDITS},
    {OWN, "results", "Read Write Describe", TRIGGERS},
    {EVENTS, NULL, "Read", CONSOLE},
    {INTERNAL, NULL, "Read Describe", CONSOLE},
    {GROUPS, NULL, "Describe", CONSOLE_OF_WORKERS},
    {INTERNAL, NULL, "Describe", CREATES},
    {EVENTS, NULL, "Create", CREATES},
    {INTERNAL, NULL, "Create", CREATES},
};

static const struct need worker_needs[] = {
    {EVENTS, NULL, "Read Describe", ALWAYS},
    {GROUP, NULL, "Read Describe", ALWAYS},
    {OWN, "retry", "Read Write Describe", ALWAYS},
    {OWN, "effects", "Read Write Describe", ALWAYS},
    {OWN, "dlq", "Write Describe", ALWAYS},
    {INTERNAL, NULL, "Describe", CREATES},
    {EVENTS, NULL, "Create", CREATES},
    {INTERNAL, NULL, "Create", CREATES},
};

/* An automation whose run is waited for tells its outcome. */
static const struct need results_need[] = {{OWN, "results", "Write Describe", TRIGGERS}};

static const struct need cli_needs[] = {
    {EVENTS, NULL, "Read Write Describe DescribeConfigs", ALWAYS}, /* Write: replay --to-topic */
    {INTERNAL, NULL, "Read Write Describe DescribeConfigs", ALWAYS},
    {GROUPS, NULL, "Describe", WORKERS},
    {EVENTS, NULL, "Create", CREATES},
    {INTERNAL, NULL, "Create", CREATES},
};

struct program {
    const char *name;
    const char *worker; /* NULL: no worker */
    const char *group;
    struct ferry_properties kafka; /* its own, which may name its user */
};

struct acls {
    const struct ferry_config *config;
    struct ferry_topic_rows rows;
    struct ferry_buffer out;
    char prefix[256]; /* of event topics; "": they are named one by one */
};

static const char *property(struct ferry_properties properties, const char *name)
{
    for (size_t i = 0; i < properties.count; i++)
        if (strcmp(properties.items[i].name, name) == 0)
            return properties.items[i].value;
    return NULL;
}

/* The user that it logs in as, where the configuration tells; else its own name. */
static const char *principal(const struct acls *acls, const struct program *program)
{
    const char *own = property(program->kafka, "sasl.username");
    const char *common = property(acls->config->kafka, "sasl.username");
    return own != NULL ? own : common != NULL ? common : program->name;
}

static void find_prefix(struct acls *acls)
{
    const struct ferry_topics_config *topics = &acls->config->topics;
    size_t len = strcspn(topics->name, "{");
    char own[256];
    snprintf(own, sizeof own, "%s.", topics->internal);
    if (len > 0 && len < sizeof acls->prefix && strncmp(own, topics->name, len < strlen(own) ? len : strlen(own)) != 0)
        snprintf(acls->prefix, sizeof acls->prefix, "%.*s", (int)len, topics->name);
}

static bool applies(const struct acls *acls, enum when when)
{
    const struct ferry_config *config = acls->config;
    bool console = config->bridge.console.present;
    bool workers = config->slack.worker.present || config->mail.worker.present || config->automation.worker.present;
    const bool answers[] = {
        [ALWAYS] = true,
        [CREATES] = config->topics.create != FERRY_CREATE_NEVER,
        [AUDITS] = config->bridge.audits_count > 0,
        [TRIGGERS] = config->bridge.trigger_count > 0,
        [WORKERS] = workers,
        [CONSOLE] = console,
        [CONSOLE_OF_WORKERS] = console && workers,
    };
    return answers[when];
}

/* One word of a shell. */
static void add_word(struct ferry_buffer *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:=,@/";
    size_t len = word != NULL ? strlen(word) : 0;
    if (len > 0 && strspn(word, plain) == len) {
        ferry_buffer_add_text(out, word);
        return;
    }
    ferry_buffer_add_char(out, '\'');
    for (size_t i = 0; i < len; i++)
        ferry_buffer_add(out, word[i] == '\'' ? FERRY_SLICE("'\\''") : ferry_slice_of(word + i, 1));
    ferry_buffer_add_char(out, '\'');
}

static void add_option(struct ferry_buffer *out, const char *option, const char *value)
{
    ferry_buffer_printf(out, " --%s ", option);
    add_word(out, value);
}

/* The command up to what it is about. */
static void begin(struct acls *acls, const struct program *program, const char *operations)
{
    char user[300];
    const char *servers = property(acls->config->kafka, "bootstrap.servers");
    snprintf(user, sizeof user, "User:%.290s", principal(acls, program));
    ferry_buffer_add_text(&acls->out, "kafka-acls.sh");
    add_option(&acls->out, "bootstrap-server", servers != NULL ? servers : "127.0.0.1:9092");
    ferry_buffer_add_text(&acls->out, " --add");
    add_option(&acls->out, "allow-principal", user);
    for (size_t len; *operations != '\0'; operations += len + (operations[len] == ' ')) {
        len = strcspn(operations, " ");
        ferry_buffer_printf(&acls->out, " --operation %.*s", (int)len, operations);
    }
}

static void end(struct acls *acls, bool prefixed)
{
    ferry_buffer_add_text(&acls->out, prefixed ? " --resource-pattern-type prefixed\n" : "\n");
}

static void add_events(struct acls *acls, const struct program *program, const char *operations)
{
    size_t len = strlen(acls->prefix);
    bool open = false;
    if (len > 0) {
        begin(acls, program, operations);
        add_option(&acls->out, "topic", acls->prefix);
        end(acls, true);
    }
    for (size_t i = 0; i < acls->rows.count; i++) {
        const struct ferry_topic_row *row = &acls->rows.items[i];
        if (strcmp(row->kind, "internal") == 0 || (len > 0 && strncmp(row->name, acls->prefix, len) == 0))
            continue;
        if (!open)
            begin(acls, program, operations);
        open = true;
        add_option(&acls->out, "topic", row->name);
    }
    if (open)
        end(acls, false);
}

static void add_groups(struct acls *acls, const struct program *program, const char *operations)
{
    const struct ferry_config *config = acls->config;
    const struct ferry_worker_config *const workers[] = {&config->slack.worker, &config->mail.worker,
                                                         &config->automation.worker};
    begin(acls, program, operations);
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
        if (workers[i]->present)
            add_option(&acls->out, "group", workers[i]->group);
    end(acls, false);
}

static void add_need(struct acls *acls, const struct program *program, const struct need *need)
{
    char name[512];
    const char *internal = acls->config->topics.internal;
    if (!applies(acls, need->when))
        return;
    switch (need->subject) {
    case EVENTS:
        add_events(acls, program, need->operations);
        return;
    case GROUPS:
        add_groups(acls, program, need->operations);
        return;
    case GROUP:
        begin(acls, program, need->operations);
        add_option(&acls->out, "group", program->group);
        break;
    case OWN:
    case INTERNAL:
        if (need->subject == INTERNAL)
            snprintf(name, sizeof name, "%s.", internal);
        else if (program->worker != NULL && strcmp(need->name, "results") != 0)
            snprintf(name, sizeof name, "%s.%s.%s", internal, program->worker, need->name);
        else
            snprintf(name, sizeof name, "%s.%s", internal, need->name);
        begin(acls, program, need->operations);
        add_option(&acls->out, "topic", name);
        break;
    }
    end(acls, need->subject == INTERNAL);
}

static void add_program(struct acls *acls, const struct program *program, const struct need *needs, size_t count)
{
    ferry_buffer_printf(&acls->out, "\n# %s\n", program->name);
    for (size_t i = 0; i < count; i++)
        add_need(acls, program, &needs[i]);
}

static void add_workers(struct acls *acls)
{
    const struct ferry_config *config = acls->config;
    const struct {
        const struct ferry_worker_config *worker;
        struct program program;
    } workers[] = {
        {&config->slack.worker, {"ferry-slack", "slack", config->slack.worker.group, config->slack.worker.kafka}},
        {&config->mail.worker, {"ferry-mail", "mail", config->mail.worker.group, config->mail.worker.kafka}},
        {&config->automation.worker,
         {"ferry-automation", "automation", config->automation.worker.group, config->automation.worker.kafka}},
    };
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        if (!workers[i].worker->present)
            continue;
        add_program(acls, &workers[i].program, worker_needs, sizeof worker_needs / sizeof worker_needs[0]);
        if (strcmp(workers[i].program.worker, "automation") == 0)
            add_need(acls, &workers[i].program, &results_need[0]);
    }
}

void ferry_topics_print_acls(const struct ferry_config *config, struct ferry_topic_rows rows, FILE *out)
{
    char members[512]; /* of those who share the tenants whose audits are polled */
    snprintf(members, sizeof members, "%s-audits", config->topics.internal);
    const struct program bridge = {.name = "ferry-bridge", .group = members, .kafka = config->bridge.kafka};
    const struct program cli = {.name = "ferry"};
    struct acls acls = {.config = config, .rows = rows};
    ferry_buffer_init(&acls.out, FERRY_CLI_FILE_BYTES);
    find_prefix(&acls);
    ferry_buffer_printf(&acls.out,
                        "# What the programs of %s need in Kafka. Add --command-config FILE with an administrator's\n"
                        "# log-in. Brokers before 2.8 want IdempotentWrite on the cluster for each of them too.\n",
                        config->file);
    if (config->bridge.present)
        add_program(&acls, &bridge, bridge_needs, sizeof bridge_needs / sizeof bridge_needs[0]);
    add_workers(&acls);
    ferry_buffer_add_text(&acls.out, "\n# The operator's commands: tail replay topics dlq lag. replay --to-topic into "
                                     "another topic needs Write there.");
    add_program(&acls, &cli, cli_needs, sizeof cli_needs / sizeof cli_needs[0]);
    fwrite(acls.out.ptr, 1, acls.out.len, out);
    ferry_buffer_done(&acls.out);
}
