/* ferry lag: how far the workers are behind. */
#include "ferry/lag.h"

#include <getopt.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry lag [-c FILE] [--worker NAME] [--all] [--watch] [--json]\n"
    "\n"
    "Of each worker: its group and the members, how many records wait for it and how old the oldest of them is, what\n"
    "waits in its retry topic, and how many dead letters nobody has redriven or dropped; then the partitions that are\n"
    "behind. The groups do not notice.\n"
    "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "      --worker NAME   slack, mail or automation alone\n"
    "      --all           every partition, also those that are not behind\n"
    "      --watch         again every two seconds, until Ctrl-C\n"
    "      --json          as a JSON object on a line, every partition\n";

enum { EVERY_MS = 2000, STEP_MS = 50 };

struct request {
    const char *config;
    const char *worker;
    bool all;
    bool watch;
    bool json;
};

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config}, {"worker", .text = &request->worker}, {"all", .flag = &request->all},
        {"watch", .flag = &request->watch},        {"json", .flag = &request->json},     {0},
    };
    int code = ferry_options_read(argc, argv, "lag", usage, options);
    if (code >= 0)
        return code;
    if (optind < argc)
        return ferry_cli_refuse("lag", "arguments are not taken, only options");
    return ferry_cli_check_worker("lag", request->worker);
}

/* One look, with clients and memory of its own: what was found may be gone the next time. */
static enum ferry_code look_once(const struct request *request, const struct ferry_config *config,
                                 struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_dlq_done) struct ferry_dlq dlq = {0};
    struct ferry_lag lag;
    enum ferry_code code =
        ferry_dlq_open(config, (struct ferry_properties){NULL, 0}, &ferry_console_caller, &dlq, error);
    if (code == FERRY_OK)
        code = ferry_lag_look(&dlq, request->worker, &lag, error);
    if (code != FERRY_OK)
        return code;
    if (request->watch && isatty(STDOUT_FILENO) == 1 && !request->json)
        fputs("\033[H\033[2J", stdout);
    if (request->json)
        ferry_lag_print_json(&lag, ferry_clock_wall_ms(), stdout);
    else
        ferry_lag_print_text(&lag, ferry_clock_wall_ms(), request->all, stdout);
    fflush(stdout);
    return FERRY_OK;
}

static void rest(void)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    for (int slept = 0; slept < EVERY_MS && !ferry_console_interrupted(); slept += STEP_MS)
        nanosleep(&step, NULL);
}

int ferry_command_lag(int argc, char **argv)
{
    struct request request = {0};
    struct ferry_config *config = NULL;
    struct ferry_error error;
    int exit_code = parse(argc, argv, &request);
    if (exit_code < 0)
        exit_code = ferry_console_config(request.config, &config);
    if (exit_code >= 0)
        return exit_code;
    ferry_console_catch();
    enum ferry_code code = look_once(&request, config, &error);
    while (request.watch && code == FERRY_OK && !ferry_console_interrupted()) {
        rest();
        if (!ferry_console_interrupted())
            code = look_once(&request, config, &error);
    }
    bool stopped = ferry_console_interrupted();
    if (code != FERRY_OK && !stopped)
        fprintf(stderr, "ferry: %s\n", error.text);
    ferry_config_free(config);
    return code == FERRY_OK || (stopped && request.watch) ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}
