/* ferry try: what a route makes of an event, without Kafka.
 *
 * The rendering is the worker's own: its program, which lies beside this one, is run with `--render ROUTE` and the
 * event as its input, once for each form. Forms with the same result are shown together. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/examples.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry try WORKER/ROUTE [-c FILE] [--event FILE|EVENT] [--send]\n"
    "\n"
    "Shows what a route would send, for instance `ferry try slack/new-app`: the request or the whole mail, secrets\n"
    "left out, for examples of its events in all three forms.\n"
    "  -c, --config FILE  the configuration\n"
    "  --event FILE       for the event in this file (- for standard input)\n"
    "  --event EVENT      for an example of this event alone, a name or a type of `ferry catalog`\n"
    "  --send             send it too, once: the file's, or the first example's CloudEvents form\n";

enum { FORMS = 3, EXAMPLES = 3, NAME_BYTES = 256 };

static const enum ferry_format forms[FORMS] = {FERRY_FORMAT_LEGACY, FERRY_FORMAT_HYBRID, FERRY_FORMAT_CLOUDEVENTS};

struct attempt {
    const char *config;
    const char *event;
    const char *file;
    bool send;

    char worker[NAME_BYTES]; /* "slack" */
    const char *route;
    char program[FERRY_CLI_PATH];
    struct ferry_config *loaded;
    const struct ferry_route_config *found;
    int worst; /* exit code so far */
};

static int wrong_usage(const char *complaint)
{
    return ferry_cli_refuse("try", complaint);
}

/* Names of events have no slash, and nobody calls a file like one; a path that is wrong is a file as well. */
static bool is_file(const char *text)
{
    return strcmp(text, "-") == 0 || strchr(text, '/') != NULL || access(text, F_OK) == 0;
}

static const char *take_event(const char *argument, void *target)
{
    struct attempt *attempt = target;
    *(is_file(argument) ? &attempt->file : &attempt->event) = argument;
    return NULL;
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct attempt *attempt)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &attempt->config},
        {"event", .take = take_event, .target = attempt},
        {"send", .flag = &attempt->send},
        {0},
    };
    int code = ferry_options_read(argc, argv, "try", usage, options);
    if (code >= 0)
        return code;
    const char *name = argc - optind == 1 ? argv[optind] : "";
    const char *slash = strchr(name, '/');
    if (slash == NULL || slash == name || slash - name >= NAME_BYTES || slash[1] == '\0')
        return wrong_usage("name one route: WORKER/ROUTE");
    if (attempt->event != NULL && attempt->file != NULL)
        return wrong_usage("--event once: a file or an event");
    snprintf(attempt->worker, sizeof attempt->worker, "%.*s", (int)(slash - name), name);
    attempt->route = slash + 1;
    return -1;
}

/* ---- the route ---- */

static const struct worker {
    const char *name;
    const char *program;
} workers[] = {
    {"slack", "ferry-slack"},
    {"mail", "ferry-mail"},
    {"automation", "ferry-automation"},
};
enum { WORKERS = sizeof workers / sizeof workers[0] };

static int load(struct attempt *attempt)
{
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    if (attempt->config == NULL)
        attempt->config = ferry_program_config_path();
    if (ferry_config_load(attempt->config, 0, &attempt->loaded, &findings, &error) == FERRY_OK)
        return -1;
    if (attempt->loaded != NULL && findings.count > 0)
        ferry_program_print_findings(&findings);
    else
        fprintf(stderr, "%s\n", error.text);
    return FERRY_EXIT_CONFIG;
}

static int no_such_route(const struct attempt *attempt)
{
    fprintf(stderr, "ferry: there is no route %s/%s; ", attempt->worker, attempt->route);
    const struct ferry_route_config *route;
    size_t count = 0;
    for (size_t w = 0; w < WORKERS; w++)
        for (size_t i = 0; (route = ferry_config_route(attempt->loaded, workers[w].name, i)) != NULL; i++)
            fprintf(stderr, "%s  %s/%s\n", count++ == 0 ? "there are:\n" : "", workers[w].name, route->name);
    if (count == 0)
        fprintf(stderr, "%s has none\n", attempt->config);
    return FERRY_EXIT_USAGE;
}

static int find_route(struct attempt *attempt)
{
    const struct ferry_route_config *route;
    for (size_t w = 0; w < WORKERS; w++) {
        if (strcmp(workers[w].name, attempt->worker) != 0)
            continue;
        for (size_t i = 0; (route = ferry_config_route(attempt->loaded, workers[w].name, i)) != NULL; i++)
            if (strcmp(route->name, attempt->route) == 0)
                attempt->found = route;
        if (attempt->found != NULL)
            return ferry_cli_sibling(workers[w].program, attempt->program) ? -1 : FERRY_EXIT_FAILED;
    }
    return no_such_route(attempt);
}

/* ---- running the worker's program ---- */

static void become(const struct attempt *attempt, bool send, int input, int output)
{
    const char *argv[] = {attempt->program,       "--render", attempt->route, "--config", attempt->config,
                          send ? "--send" : NULL, NULL};
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execv(attempt->program, (char *const *)argv);
    dprintf(STDERR_FILENO, "ferry: cannot run %s: %s\n", attempt->program, strerror(errno));
    _exit(FERRY_EXIT_FAILED);
}

/* Its output, appended; an exit code. Files in memory instead of pipes, so that neither side waits for the other. */
static int run(const struct attempt *attempt, bool send, struct ferry_slice event, struct ferry_buffer *out)
{
    int input = memfd_create("event", MFD_CLOEXEC), output = memfd_create("output", MFD_CLOEXEC), status = 0;
    bool ready = input >= 0 && output >= 0 && write(input, event.ptr, event.len) == (ssize_t)event.len &&
                 lseek(input, 0, SEEK_SET) == 0;
    pid_t child = ready ? fork() : -1;
    if (child == 0)
        become(attempt, send, input, output);
    bool done = child > 0 && waitpid(child, &status, 0) == child && lseek(output, 0, SEEK_SET) == 0;
    char bytes[4096];
    ssize_t len;
    while (done && (len = read(output, bytes, sizeof bytes)) > 0)
        ferry_buffer_add(out, ferry_slice_of(bytes, (size_t)len));
    close(input);
    close(output);
    return done && WIFEXITED(status) ? WEXITSTATUS(status) : FERRY_EXIT_FAILED;
}

static void note(struct attempt *attempt, int code)
{
    if (code > attempt->worst)
        attempt->worst = code;
}

static void print(const char *heading, struct ferry_slice text)
{
    printf("-- %s\n%.*s%s", heading, FERRY_SLICE_ARGS(text),
           text.len > 0 && text.ptr[text.len - 1] == '\n' ? "" : "\n");
    fflush(stdout);
}

static void run_and_print(struct attempt *attempt, const char *heading, bool send, struct ferry_slice event)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, FERRY_CLI_FILE_BYTES);
    note(attempt, run(attempt, send, event, &out));
    print(heading, ferry_buffer_slice(&out));
}

/* ---- events ---- */

static void try_file(struct attempt *attempt)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer event;
    ferry_buffer_init(&event, FERRY_CLI_FILE_BYTES);
    if (!ferry_cli_read(attempt->file, &event)) {
        note(attempt, FERRY_EXIT_FAILED);
        return;
    }
    run_and_print(attempt, attempt->file, false, ferry_buffer_slice(&event));
    if (attempt->send && attempt->worst == FERRY_EXIT_DONE)
        run_and_print(attempt, "sending", true, ferry_buffer_slice(&event));
}

/* The next line but a mail's date, which may be a second later from one form to the next. */
static struct ferry_slice next_line(struct ferry_slice *rest)
{
    struct ferry_slice line;
    do {
        const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
        line = ferry_slice_of(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) + 1 : rest->len);
        *rest = ferry_slice_skip(*rest, line.len);
    } while (ferry_slice_starts(line, "Date: "));
    return line;
}

static bool same(struct ferry_slice a, struct ferry_slice b)
{
    bool equal = true;
    while (equal && (a.len > 0 || b.len > 0))
        equal = ferry_slice_equal(next_line(&a), next_line(&b));
    return equal;
}

/* One group of forms with the same output: "legacy, hybrid". Marks them as shown. */
static void print_group(const struct ferry_buffer *outputs, bool *shown, size_t first)
{
    char heading[64] = "";
    for (size_t f = first; f < FORMS; f++) {
        if (shown[f] || !same(ferry_buffer_slice(&outputs[f]), ferry_buffer_slice(&outputs[first])))
            continue;
        shown[f] = true;
        size_t len = strlen(heading);
        snprintf(heading + len, sizeof heading - len, "%s%s", len > 0 ? ", " : "", ferry_format_name(forms[f]));
    }
    print(heading, ferry_buffer_slice(&outputs[first]));
}

/* The same event in all forms: same id, same resource, same moment. */
static void try_example(struct attempt *attempt, const struct ferry_catalog_entry *entry, bool send)
{
    struct ferry_buffer bodies[FORMS], outputs[FORMS];
    struct ferry_error error;
    bool shown[FORMS] = {false};
    int64_t now_ms = ferry_clock_wall_ms();
    printf("== %s\n", entry->canonical);
    fflush(stdout);
    for (size_t f = 0; f < FORMS; f++) {
        struct ferry_example example = {
            .type = entry->type, .format = forms[f], .now_ms = now_ms, .id = "example", .resource = "resource-id"};
        ferry_buffer_init(&bodies[f], FERRY_CLI_FILE_BYTES);
        ferry_buffer_init(&outputs[f], FERRY_CLI_FILE_BYTES);
        if (ferry_example_make(&example, &bodies[f], &error) == FERRY_OK)
            note(attempt, run(attempt, false, ferry_buffer_slice(&bodies[f]), &outputs[f]));
        else
            note(attempt, FERRY_EXIT_FAILED);
    }
    for (size_t f = 0; f < FORMS; f++)
        if (!shown[f])
            print_group(outputs, shown, f);
    if (send && attempt->worst == FERRY_EXIT_DONE)
        run_and_print(attempt, "sending", true, ferry_buffer_slice(&bodies[FORMS - 1]));
    for (size_t f = 0; f < FORMS; f++) {
        ferry_buffer_done(&bodies[f]);
        ferry_buffer_done(&outputs[f]);
    }
}

/* The first glob of the route that an event matches, or the number of globs. */
static size_t glob_of(const struct ferry_route_config *route, const char *event)
{
    size_t i = 0;
    while (i < route->events.count && !ferry_glob_match(route->events.items[i], ferry_slice_from(event)))
        i++;
    return i;
}

static void try_named(struct attempt *attempt)
{
    const struct ferry_catalog_entry *entry = ferry_cli_event(attempt->event);
    if (entry == NULL) {
        note(attempt, FERRY_EXIT_USAGE);
        return;
    }
    if (glob_of(attempt->found, entry->canonical) == attempt->found->events.count)
        fprintf(stderr, "ferry: note that %s/%s does not take %s\n", attempt->worker, attempt->route, entry->canonical);
    try_example(attempt, entry, attempt->send);
}

/* Examples of the first few events that the route takes, in the order of its globs. */
static void try_some(struct attempt *attempt)
{
    size_t count, matches = 0;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t glob = 0; glob < attempt->found->events.count; glob++) {
        for (size_t i = 0; i < count; i++) {
            const char *event = entries[i].canonical;
            bool first = ferry_catalog_find_event(ferry_slice_from(event)) == &entries[i];
            if (first && glob_of(attempt->found, event) == glob && ++matches <= EXAMPLES)
                try_example(attempt, &entries[i], attempt->send && matches == 1);
        }
    }
    if (matches > EXAMPLES)
        printf("and %zu more events; --event NAME shows one\n", matches - EXAMPLES);
    if (matches == 0) {
        fprintf(stderr, "ferry: the catalogue has no event that %s/%s takes; bring one with --event FILE\n",
                attempt->worker, attempt->route);
        note(attempt, FERRY_EXIT_USAGE);
    }
}

int ferry_command_try(int argc, char **argv)
{
    struct attempt attempt = {0};
    int code = parse(argc, argv, &attempt);
    if (code < 0)
        code = load(&attempt);
    if (code < 0)
        code = find_route(&attempt);
    if (code < 0) {
        if (attempt.file != NULL)
            try_file(&attempt);
        else if (attempt.event != NULL)
            try_named(&attempt);
        else
            try_some(&attempt);
        code = attempt.worst;
    }
    ferry_config_free(attempt.loaded);
    return code;
}
