/* ferry spool: what a bridge holds on disk because Kafka did not take it in time. */
#include "ferry/spool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/program.h"
#include "core/words.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry spool status [-c FILE | --directory DIR] [--json]\n"
    "       ferry spool export [-c FILE | --directory DIR] [--set-aside] FILE\n"
    "       ferry spool drain [-c FILE] [--timeout DURATION] [--dry-run] [--json]\n"
    "\n"
    "status  how much a bridge holds on disk that is not in Kafka yet, and what it set aside because Kafka can never\n"
    "        take it; also while the bridge runs\n"
    "export  the same as JSON lines into a new file (- for standard output), all of one moment; rows whose checksum\n"
    "        does not match are named; also while the bridge runs\n"
    "drain   with the bridge stopped: bring everything to Kafka, in order, and take it off the disk\n"
    "\n"
    "  -c, --config FILE    the configuration of the bridge\n"
    "      --directory DIR  look into this spool directory, without a configuration\n"
    "      --set-aside      export what was set aside\n"
    "      --timeout TIME   drain: give up when Kafka has taken nothing for this long (default 60s)\n"
    "      --dry-run        drain: only say what would be done\n"
    "      --json           as one JSON object\n";

enum { DEFAULT_TIMEOUT_MS = 60000 };

static const struct action {
    const char *name;
    int (*run)(const struct ferry_spool_request *request, const struct ferry_config *config);
} actions[] = {
    {"status", ferry_spool_status},
    {"export", ferry_spool_export},
    {"drain", ferry_spool_drain},
};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static int wrong_usage(const char *complaint)
{
    return ferry_cli_refuse("spool", complaint);
}

/* A duration is a moment's distance from now without its sign. */
static const char *take_duration(const char *text, void *target)
{
    char age[32];
    int64_t moment_ms;
    snprintf(age, sizeof age, "-%.30s", text);
    if (!ferry_moment_parse(age, 0, &moment_ms))
        return "--timeout is a duration like 30s 5m 1h";
    *(int64_t *)target = -moment_ms;
    return NULL;
}

/* -1 to go on, or the exit code. */
static int parse_options(int argc, char **argv, struct ferry_spool_request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"directory", .text = &request->directory},
        {"timeout", .take = take_duration, .target = &request->timeout_ms},
        {"set-aside", .flag = &request->set_aside},
        {"dry-run", .flag = &request->dry_run},
        {"json", .flag = &request->json},
        {0},
    };
    return ferry_options_read(argc, argv, "spool", usage, options);
}

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < ACTIONS; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

/* -1 to go on, or the exit code. `argc`: how many words there are, the action's the first of them. */
static int check_words(const struct action *action, int argc, const struct ferry_spool_request *request)
{
    bool exports = action->run == ferry_spool_export, drains = action->run == ferry_spool_drain;
    if (exports != (argc == 2) || argc > 2)
        return wrong_usage(exports ? "export needs one file, - for standard output" : "no arguments behind this");
    if (drains && request->directory != NULL)
        return wrong_usage("drain needs the bridge's configuration, not a directory");
    if (request->set_aside && !exports)
        return wrong_usage("--set-aside belongs to export");
    if (request->dry_run && !drains)
        return wrong_usage("--dry-run belongs to drain");
    return -1;
}

/* Draining is the bridge's work: where it logs in at Kafka in a way of its own, so does this. */
static int load(const struct ferry_spool_request *request, struct ferry_config **config)
{
    int code = ferry_console_config(request->config, config);
    if (code >= 0 || (*config)->bridge.kafka.count == 0)
        return code;
    ferry_config_free(*config);
    *config = NULL;
    return ferry_console_config_for(request->config, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE, config);
}

int ferry_command_spool(int argc, char **argv)
{
    struct ferry_spool_request request = {.arguments = (const char *const *)argv + 1,
                                          .argument_count = (size_t)argc - 1,
                                          .timeout_ms = DEFAULT_TIMEOUT_MS};
    int code = parse_options(argc, argv, &request);
    if (code >= 0)
        return code;
    const struct action *action = optind < argc ? find_action(argv[optind]) : NULL;
    if (action == NULL)
        return wrong_usage("say what to do: status, export or drain");
    struct ferry_config *config = NULL;
    request.file = argv[optind + 1];
    code = check_words(action, argc - optind, &request);
    if (code < 0 && request.directory == NULL)
        code = load(&request, &config);
    if (code < 0 && config != NULL)
        request.directory = config->bridge.spool_directory;
    if (code < 0 && request.directory == NULL) {
        fputs("ferry: this configuration has no spool (bridge.spool.directory)\n", stderr);
        code = FERRY_EXIT_FAILED;
    }
    if (code < 0)
        code = action->run(&request, config);
    ferry_config_free(config);
    return code;
}
