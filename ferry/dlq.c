/* ferry dlq: what a worker gave up, and what becomes of it. */
#include "ferry/dlq.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/program.h"
#include "core/words.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry dlq list [-c FILE] [FILTER]... [--all] [--json] [LETTER]...\n"
    "       ferry dlq show [-c FILE] [--unmasked] [--json] LETTER\n"
    "       ferry dlq redrive [-c FILE] [FILTER]... [--dry-run] [--yes] [--json] [LETTER]...\n"
    "       ferry dlq drop [-c FILE] [FILTER]... [--dry-run] [--yes] [--json] [LETTER]...\n"
    "\n"
    "list     the dead letters of the workers, but those that were redriven or dropped\n"
    "show     one of them with its headers and its value\n"
    "redrive  try them again: each goes to the retry topic of its worker, for its route alone\n"
    "drop     done with: they are left out from now on; nothing is deleted\n"
    "\n"
    "A LETTER is a place, mail/0/12 or ferry.mail.dlq/0/12. Filters:\n"
    "      --worker NAME   slack, mail or automation\n"
    "      --reason CODE   what went wrong: http-refused, template_null …\n"
    "      --route NAME    of this route\n"
    "      --event GLOB    events of this canonical name: 'app.*'\n"
    "      --from TIME     that failed at this time or later: 2026-11-22T10:00:00Z, 2026-11-22, -1h\n"
    "      --to TIME       that failed before\n"
    "Without any, all of them are meant; where nobody can be asked, drop then wants --yes.\n"
    "\n"
    "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "      --all           also those that were redriven or dropped\n"
    "      --unmasked      show e-mail addresses\n"
    "      --dry-run       only say what would be done\n"
    "      --yes           do not ask\n"
    "      --json          as JSON\n";

static const struct action {
    const char *name;
    int (*run)(struct ferry_dlq *dlq, const struct ferry_dlq_request *request);
} actions[] = {
    {"list", ferry_dlq_list},
    {"show", ferry_dlq_show},
    {"redrive", ferry_dlq_redrive},
    {"drop", ferry_dlq_drop},
};

static int wrong_usage(const char *complaint)
{
    return ferry_cli_refuse("dlq", complaint);
}

/* ---- flags ---- */

/* What the flags say, as text. */
struct texts {
    const char *from, *to;
};

/* -1 to go on, or the exit code. */
static int parse_options(int argc, char **argv, struct ferry_dlq_request *request, struct texts *texts)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"worker", .text = &request->filter.worker},
        {"reason", .text = &request->filter.reason},
        {"route", .text = &request->filter.route},
        {"event", .text = &request->filter.event},
        {"from", .text = &texts->from},
        {"to", .text = &texts->to},
        {"all", .flag = &request->filter.all},
        {"unmasked", .flag = &request->unmasked},
        {"dry-run", .flag = &request->dry_run},
        {"yes", .flag = &request->yes},
        {"json", .flag = &request->json},
        {0},
    };
    return ferry_options_read(argc, argv, "dlq", usage, options);
}

static int check_reason(const char *reason)
{
    const char *names[FERRY_CODE_COUNT];
    char complaint[128];
    for (int code = 0; code < FERRY_CODE_COUNT; code++) {
        names[code] = ferry_code_name((enum ferry_code)code);
        if (reason == NULL || strcmp(names[code], reason) == 0)
            return -1;
    }
    const char *nearest = ferry_words_nearest(reason, names, FERRY_CODE_COUNT);
    snprintf(complaint, sizeof complaint, "there is no reason \"%.40s\"%s%s%s", reason,
             nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return wrong_usage(complaint);
}

static int check_times(const struct texts *texts, struct ferry_dlq_filter *filter)
{
    static const char how[] = "--from and --to are moments: 2026-11-22T10:00:00Z, 2026-11-22, -1h";
    int64_t now_ms = ferry_clock_wall_ms();
    filter->from_ms = FERRY_EARLIEST_MS;
    filter->to_ms = INT64_MAX;
    if ((texts->from != NULL && !ferry_moment_parse(texts->from, now_ms, &filter->from_ms)) ||
        (texts->to != NULL && !ferry_moment_parse(texts->to, now_ms, &filter->to_ms)))
        return wrong_usage(how);
    return -1;
}

static int check_flags(const struct action *action, const struct ferry_dlq_request *request)
{
    bool writes = action->run == ferry_dlq_redrive || action->run == ferry_dlq_drop;
    if ((request->dry_run || request->yes) && !writes)
        return wrong_usage("--dry-run and --yes belong to redrive and drop");
    if (request->unmasked && action->run != ferry_dlq_show)
        return wrong_usage("--unmasked belongs to show");
    if (request->filter.all && action->run != ferry_dlq_list)
        return wrong_usage("--all belongs to list");
    return -1;
}

/* A bare `drop` means every letter there is. In a script, where nobody is asked, that is rather a filter forgotten. */
static int check_selection(const struct action *action, const struct ferry_dlq_request *request,
                           const struct texts *texts, size_t names)
{
    const struct ferry_dlq_filter *filter = &request->filter;
    bool selects = names > 0 || filter->worker != NULL || filter->reason != NULL || filter->route != NULL ||
                   filter->event != NULL || texts->from != NULL || texts->to != NULL;
    if (action->run == ferry_dlq_drop && !selects && !request->yes && !request->dry_run && isatty(STDIN_FILENO) == 0)
        return wrong_usage("drop which? name letters or a filter, or say --yes for all");
    return -1;
}

/* ---- the whole ---- */

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int name_letters(struct ferry_dlq *dlq, char **names, size_t count, struct ferry_dlq_filter *filter)
{
    for (size_t i = 0; i < count; i++)
        if (!ferry_letter_parse(dlq, names[i], &filter->named)) {
            char complaint[128];
            snprintf(complaint, sizeof complaint, "\"%.60s\" is no letter: they look like mail/0/12", names[i]);
            return wrong_usage(complaint);
        }
    ferry_letters_sort(&filter->named);
    return -1;
}

static int act(const struct action *action, struct ferry_dlq_request *request, const struct ferry_config *config,
               char **names, size_t count)
{
    FERRY_CLEANUP(ferry_dlq_done) struct ferry_dlq dlq = {0};
    struct ferry_error error;
    ferry_console_catch();
    if (ferry_dlq_open(config, (struct ferry_properties){NULL, 0}, &ferry_console_caller, &dlq, &error) != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    int code = name_letters(&dlq, names, count, &request->filter);
    return code < 0 ? action->run(&dlq, request) : code;
}

int ferry_command_dlq(int argc, char **argv)
{
    struct ferry_dlq_request request = {.arguments = (const char *const *)argv + 1, .argument_count = (size_t)argc - 1};
    struct texts texts = {0};
    int code = parse_options(argc, argv, &request, &texts);
    if (code >= 0)
        return code;
    const struct action *action = find_action(argv[optind]);
    if (action == NULL)
        return wrong_usage("say what to do: list, show, redrive or drop");
    size_t names = (size_t)(argc - optind) - 1;
    code = check_flags(action, &request);
    if (code < 0)
        code = ferry_cli_check_worker("dlq", request.filter.worker);
    if (code < 0)
        code = check_reason(request.filter.reason);
    if (code < 0)
        code = check_times(&texts, &request.filter);
    if (code < 0 && action->run == ferry_dlq_show && names != 1)
        code = wrong_usage("show needs one letter, like mail/0/12");
    if (code < 0)
        code = check_selection(action, &request, &texts, names);
    struct ferry_config *config = NULL;
    if (code < 0)
        code = ferry_console_config(request.config, &config);
    if (code < 0)
        code = act(action, &request, config, argv + optind + 1, names);
    ferry_config_free(config);
    return code;
}
