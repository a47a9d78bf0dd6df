/* ferry triggers: who calls the triggers, to find the callers that nobody remembers. */
#include <getopt.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/program.h"
#include "core/survey/selection.h"
#include "ferry/callers.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry triggers [NAME] [-c FILE] [--from TIME] [--json]\n"
    "\n"
    "Of each key of each trigger: how often it was used, when last, and from which address, by the events that Kafka\n"
    "keeps. Keys that nobody has used are listed, and keys of the kit, and those that are not configured any more.\n"
    "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "  --from TIME         only calls since then: 2026-11-22T10:00:00Z, 2026-11-22, -7d; default: all that are kept\n"
    "  --json              a JSON object a key, each on a line\n";

enum { LOOK_MS = 10000, PATIENCE_MS = 20000 };

struct request {
    const char *config;
    const char *from;
    const char *name;
    bool json;
};

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"from", .text = &request->from},
        {"json", .flag = &request->json},
        {0},
    };
    int code = ferry_options_read(argc, argv, "triggers", usage, options);
    if (code >= 0)
        return code;
    if (optind + 1 < argc)
        return ferry_cli_refuse("triggers", "one trigger can be named");
    request->name = argv[optind];
    return -1;
}

/* ---- reading ---- */

static enum ferry_code visit(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_callers *callers = context;
    struct ferry_event event;
    const struct ferry_record *record = &found->fetched->record;
    enum ferry_code code = ferry_record_read(record, &arena, &event, error);
    if (code == FERRY_OK)
        code = ferry_callers_take(callers, record, &event, error);
    ferry_fetched_free(found->fetched);
    return code == FERRY_RECORD_INVALID ? FERRY_OK : code; /* somebody else's */
}

/* From that moment to where the partitions end now. */
static enum ferry_code bound(struct ferry_scan *scan, int64_t from_ms, struct ferry_span *spans, size_t count,
                             struct ferry_arena *arena, struct ferry_error *error)
{
    int64_t *begins = ferry_arena_new_array(arena, count, sizeof *begins);
    int64_t *ends = ferry_arena_new_array(arena, count, sizeof *ends);
    if (begins == NULL || ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code =
        ferry_scan_offsets(scan, spans, count, ferry_selection_when(from_ms), LOOK_MS, begins, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(scan, spans, count, FERRY_SCAN_END, LOOK_MS, ends, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++) {
        spans[i].next = begins[i];
        spans[i].end = ends[i];
    }
    return code;
}

static enum ferry_code read_calls(const struct ferry_config *config, int64_t from_ms, struct ferry_callers *callers,
                                  struct ferry_error *error)
{
    struct ferry_scan *scan = NULL;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    FERRY_CLEANUP(ferry_selection_end) struct ferry_selection selection = {.event = "trigger.*"};
    const struct ferry_visitor visitor = {"triggers: ", PATIENCE_MS, visit, callers};
    struct ferry_span *spans;
    size_t count;
    enum ferry_code code = ferry_selection_begin(&selection, error);
    if (code == FERRY_OK)
        code = ferry_scan_open(config->kafka, (struct ferry_properties){NULL, 0}, &scan, error);
    if (code != FERRY_OK)
        return code;
    code = ferry_selection_spans(&selection, &config->topics, scan, &arena, &spans, &count, error);
    if (code == FERRY_OK)
        code = bound(scan, from_ms, spans, count, &arena, error);
    if (code == FERRY_OK)
        code = ferry_survey_read(scan, spans, count, &visitor, &ferry_console_caller, error);
    ferry_scan_close(scan);
    return code;
}

/* ---- the command ---- */

static int run(const struct request *request, const struct ferry_config *config, int64_t from_ms)
{
    FERRY_CLEANUP(ferry_callers_done) struct ferry_callers callers = {0};
    struct ferry_error error = {.text = ""};
    enum ferry_code code = ferry_callers_init(&callers, &config->bridge, request->name, &error);
    if (code == FERRY_OK)
        code = read_calls(config, from_ms, &callers, &error);
    if (code != FERRY_OK) {
        fprintf(stderr, "ferry triggers: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    ferry_callers_sort(&callers);
    if (request->json)
        ferry_callers_print_json(&callers, stdout);
    else
        ferry_callers_print_text(&callers, ferry_clock_wall_ms(), stdout);
    if (callers.count == 0)
        fprintf(stderr, "ferry triggers: %s%s\n",
                request->name != NULL ? "nobody has called this trigger, and it is not configured: "
                                      : "there are no triggers in the configuration, and no calls in Kafka",
                request->name != NULL ? request->name : "");
    return fflush(stdout) == 0 && (callers.count > 0 || request->name == NULL) ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

int ferry_command_triggers(int argc, char **argv)
{
    struct request request = {0};
    struct ferry_config *config = NULL;
    int64_t from_ms = FERRY_EARLIEST_MS;
    int code = parse(argc, argv, &request);
    if (code < 0 && request.from != NULL && !ferry_moment_parse(request.from, ferry_clock_wall_ms(), &from_ms))
        code = ferry_cli_refuse("triggers", "--from is a time such as 2026-11-22T10:00:00Z, 2026-11-22, -7d, earliest");
    if (code < 0)
        code = ferry_console_config(request.config, &config);
    if (code >= 0)
        return code;
    ferry_console_catch();
    code = run(&request, config, from_ms);
    ferry_config_free(config);
    return code;
}
