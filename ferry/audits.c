/* ferry audits: what a tenant's Audits API lists of a time, brought into Kafka, or compared with what is there.
 *
 *   the tenant ──▶ walk: the archive, then pages, the oldest first ──▶ chunk ──▶ Kafka, all acknowledged
 *                                                                                   │
 *                                                    the journal: up to here ◀──────┘
 *
 * One chunk is in memory at a time. A run that ends early goes on by its id where the journal says. */
#include "ferry/audits.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/catalog.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/program.h"
#include "core/qlik/webhooks.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry audits [-c FILE] --from TIME [--to TIME] [--tenant URL] [OPTION]...\n"
    "\n"
    "Brings what a tenant's Audits API lists of a time into the topics, as the bridge would, marked ferry-backfill:\n"
    "workers only count these events, unless --effects.\n"
    "  --from, --to TIME         of the event: 2026-11-22T10:00:00Z, 2026-11-22, -7d; --to is now by default. What is\n"
    "                            older than 90 days comes from the archive, day by day\n"
    "  --events LIST             only these: names or types of `ferry catalog`, globs: 'app.*,user.created'\n"
    "  --missing                 only those that are not in the topics\n"
    "  --effects                 workers let them take effect, once: what took effect before does not again\n"
    "  --compare                 bring nothing; list the events that are not in the topics. Without --events: those "
    "that\n"
    "                            the tenant's webhooks send here. Exit code 1 when something is missing\n"
    "  --dry-run                 bring nothing; count\n"
    "  --run-id ID               go on with the run of this id, or name a new one\n"
    "  --json                    the result as a JSON object\n" FERRY_AT_TENANT_USAGE
    "  -c, --config FILE         the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "Ctrl-C stops when what is under way has arrived, and says how to go on.\n";

enum { CHUNK = 1000, FILTER_MAX_BYTES = 64 * 1024 };

/* ---- the flags ---- */

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct ferry_audits_request *request, struct ferry_at_tenant *at)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"from", .text = &request->from},
        {"to", .text = &request->to},
        {"events", .text = &request->events},
        {"missing", .flag = &request->missing},
        {"effects", .flag = &request->effects},
        {"compare", .flag = &request->compare},
        {"dry-run", .flag = &request->dry_run},
        {"run-id", .text = &request->run_id},
        {"json", .flag = &request->json},
        FERRY_AT_TENANT_OPTIONS(at),
        {0},
    };
    request->argc = argc;
    request->argv = argv;
    int code = ferry_options_read(argc, argv, "audits", usage, options);
    return code >= 0 || optind == argc ? code : ferry_cli_refuse("audits", "takes flags only");
}

static const char *complaint_about(const struct ferry_audits_request *request)
{
    if (request->from == NULL)
        return "--from is missing: since when? -7d, 2026-11-22T10:00:00Z, 2026-11-22";
    if (request->compare && (request->effects || request->missing || request->run_id != NULL))
        return "--compare brings nothing: without --effects, --missing and --run-id";
    if (request->run_id != NULL && !ferry_run_id_valid(request->run_id))
        return "--run-id has 1 to 64 letters, digits and . _ -";
    return NULL;
}

/* -1 to go on, or the exit code. */
static int check_request(struct ferry_audits_run *run)
{
    int64_t now_ms = ferry_clock_wall_ms();
    const struct ferry_audits_request *request = run->request;
    const char *complaint = complaint_about(request);
    if (complaint != NULL)
        return ferry_cli_refuse("audits", complaint);
    run->to_ms = now_ms;
    if (!ferry_moment_parse(request->from, now_ms, &run->from_ms) || run->from_ms < 0 ||
        (request->to != NULL && (!ferry_moment_parse(request->to, now_ms, &run->to_ms) || run->to_ms < 0)))
        return ferry_cli_refuse("audits", "--from and --to are times such as 2026-11-22T10:00:00Z, 2026-11-22, -7d");
    if (run->from_ms >= run->to_ms)
        return ferry_cli_refuse("audits", "--from is not before --to");
    return -1;
}

/* ---- which events ---- */

/* Known, or a whole type (or a glob of such) that is newer than the catalogue. */
static enum ferry_code check_event(const char *glob, struct ferry_error *error)
{
    if (ferry_catalog_match_count(glob) > 0 || strncmp(glob, "com.", strlen("com.")) == 0)
        return FERRY_OK;
    const char *nearest = ferry_catalog_nearest(glob);
    return ferry_fail(error, FERRY_USAGE, "--events: the catalogue has no event %s%s%s%s", glob,
                      nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                      nearest != NULL ? "?" : "; `ferry catalog` shows all, a newer one goes by its type, com.…");
}

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* The words of --events; "*" without any. */
static enum ferry_code list_events(struct ferry_audits_run *run, const char *words, struct ferry_error *error)
{
    const char **items = ferry_arena_new_array(&run->arena, strlen(words) / 2 + 1, sizeof *items);
    char *list = ferry_arena_text(&run->arena, ferry_slice_from(words)), *rest = NULL;
    size_t count = 0;
    if (items == NULL || list == NULL)
        return no_memory(error);
    for (char *word = strtok_r(list, ", ", &rest); word != NULL; word = strtok_r(NULL, ", ", &rest)) {
        enum ferry_code code = check_event(word, error);
        if (code != FERRY_OK)
            return code;
        items[count++] = word;
    }
    if (count == 0)
        return ferry_fail(error, FERRY_USAGE, "--events names no event");
    run->events = (struct ferry_strings){items, count};
    return FERRY_OK;
}

/* The types that the tenant's webhooks send to this bridge; none where it has no such webhook. */
static enum ferry_code list_subscribed(struct ferry_audits_run *run, struct ferry_error *error)
{
    struct ferry_qlik_webhooks all = {0};
    int attempt = 0;
    size_t room = 0, count = 0;
    const char *public_url = run->config->bridge.public_url;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_list(run->at.session, &run->arena, &all, error);
    } while (ferry_at_tenant_again(&run->at, code, &attempt));
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < all.count; i++)
        room += all.items[i].events.count;
    const char **items = ferry_arena_new_array(&run->arena, room + 1, sizeof *items);
    if (items == NULL)
        return no_memory(error);
    for (size_t i = 0; i < all.count; i++)
        if (public_url != NULL && ferry_qlik_webhook_is_under(all.items[i].url, public_url))
            for (size_t j = 0; j < all.items[i].events.count; j++)
                items[count++] = all.items[i].events.items[j];
    run->events = (struct ferry_strings){items, count};
    return FERRY_OK;
}

static enum ferry_code choose_events(struct ferry_audits_run *run, struct ferry_error *error)
{
    const struct ferry_audits_request *request = run->request;
    if (request->events != NULL || !request->compare)
        return list_events(run, request->events != NULL ? request->events : "*", error);
    enum ferry_code code = list_subscribed(run, error);
    if (code == FERRY_OK && run->events.count == 0)
        return ferry_fail(
            error, FERRY_USAGE,
            "no webhook of this tenant sends to bridge.public_url: name what is to be compared, --events");
    return code;
}

/* ---- one chunk ---- */

static void count_event(struct ferry_audits_run *run, const struct ferry_event *event)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", FERRY_SLICE_ARGS(event->canonical));
    json_int_t before = json_integer_value(json_object_get(run->counts, name));
    json_object_set_new(run->counts, name, json_integer(before + 1));
}

static void compare_chunk(struct ferry_audits_run *run, const struct ferry_audits_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool there = ferry_id_set_has(&run->known, items[i].hash);
        run->alone += there && !ferry_id_set_marked(&run->known, items[i].hash);
        if (there)
            continue;
        run->missing++;
        ferry_progress_end(&run->progress);
        ferry_audits_print_missing(run, &items[i]);
        count_event(run, &items[i].event);
    }
}

/* Drops what is settled by an earlier run, and with --missing what is there; how many are left, in their order. */
static size_t leave_out(struct ferry_audits_run *run, struct ferry_audits_item *items, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].time_ms == run->position.ms && ferry_id_set_has(&run->position.seen, items[i].hash))
            continue;
        run->listed++;
        if (run->request->missing && ferry_id_set_has(&run->known, items[i].hash)) {
            run->passed_over++;
            continue;
        }
        items[left++] = items[i];
    }
    return left;
}

/* How many of the first of a chunk a run that was killed may have brought: it had a page under way, or a chunk of a
 * day, which is out of order where the archive ends, so that the position is before all of that. */
static size_t take_doubtful(struct ferry_audits_run *run, size_t count, bool ordered)
{
    if (!run->killed || !ordered)
        return run->killed ? count : 0;
    size_t doubtful = run->doubtful < count ? run->doubtful : count;
    run->doubtful -= doubtful;
    return doubtful;
}

static enum ferry_code bring_chunk(struct ferry_audits_run *run, struct ferry_audits_item *items, size_t count,
                                   struct ferry_error *error)
{
    int64_t too_large = 0;
    bool ordered = ferry_walk_is_ordered(&run->walk);
    size_t doubtful = take_doubtful(run, count, ordered);
    enum ferry_code code = ferry_filler_publish(run->filler, items, count, doubtful, &too_large, error);
    FERRY_CRASH_POINT("backfill-published");
    if (code != FERRY_OK)
        return code;
    run->too_large += too_large;
    run->brought += (int64_t)count - too_large;
    run->ahead |= !ordered;
    if (ordered && !ferry_audits_settle(&run->position, items, count))
        return no_memory(error);
    code = ferry_audits_note(run, "progress", error);
    FERRY_CRASH_POINT("backfill-noted");
    return code;
}

static enum ferry_code take_chunk(struct ferry_audits_run *run, struct ferry_audits_item *items, size_t count,
                                  struct ferry_error *error)
{
    size_t left = leave_out(run, items, count);
    if (run->request->compare)
        compare_chunk(run, items, left);
    else if (run->request->dry_run)
        for (size_t i = 0; i < left; i++)
            count_event(run, &items[i].event);
    else if (left > 0)
        return bring_chunk(run, items, left, error);
    return FERRY_OK;
}

/* ---- the flow ---- */

static void show_progress(struct ferry_audits_run *run, int64_t reached_ms)
{
    int64_t share = (reached_ms - run->from_ms) * 100 / (run->to_ms - run->from_ms);
    run->progress.percent = share > 99 ? 99 : (int)share;
    ferry_progress_show(&run->progress, run->listed);
}

static enum ferry_code take_page(struct ferry_audits_run *run, struct ferry_audits_item *items,
                                 struct ferry_error *error)
{
    size_t count = 1;
    enum ferry_code code = FERRY_OK;
    while (code == FERRY_OK && count > 0 && !ferry_console_interrupted()) {
        code = ferry_walk_chunk(&run->walk, items, CHUNK, &count, error);
        if (code != FERRY_OK || count == 0)
            break;
        int64_t reached_ms = items[count - 1].time_ms;
        code = take_chunk(run, items, count, error);
        show_progress(run, reached_ms);
    }
    return code;
}

/* Everything there is to take; `*whole` false: Ctrl-C came before. */
static enum ferry_code flow(struct ferry_audits_run *run, bool *whole, struct ferry_error *error)
{
    struct ferry_audits_item *items = calloc(CHUNK, sizeof *items);
    bool more = true;
    enum ferry_code code = FERRY_OK;
    if (items == NULL)
        return no_memory(error);
    run->walk.from_ms = run->position.ms;
    run->walk.to_ms = run->to_ms;
    run->walk.at = &run->at;
    run->walk.events = &run->events;
    ferry_walk_begin(&run->walk, ferry_clock_wall_ms());
    run->doubtful = run->walk.day_ms <= run->walk.last_day_ms ? CHUNK : FERRY_AUDITS_PAGE;
    while (code == FERRY_OK && more && !ferry_console_interrupted()) {
        code = ferry_walk_fetch(&run->walk, &more, error);
        if (code == FERRY_OK && more)
            code = take_page(run, items, error);
        else if (code != FERRY_OK && ferry_console_interrupted())
            code = FERRY_OK; /* it was not waited for any longer */
    }
    *whole = code == FERRY_OK && !more;
    free(items);
    return code;
}

/* ---- the run ---- */

static int exit_of(enum ferry_code code)
{
    return code == FERRY_USAGE ? FERRY_EXIT_USAGE : code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

static int complain(const struct ferry_error *error)
{
    if (error->code == FERRY_USAGE)
        return ferry_cli_refuse("audits", error->text);
    fprintf(stderr, "ferry audits: %s\n", error->text);
    return exit_of(error->code);
}

/* Says what came of it, in the journal and to the person. An exit code. */
static int finish(struct ferry_audits_run *run, bool good, bool whole, const struct ferry_error *why)
{
    const char *state = !good ? "failed" : whole ? "done" : "stopped";
    struct ferry_error error = {.text = ""};
    ferry_progress_end(&run->progress);
    if (ferry_audits_note(run, state, &error) != FERRY_OK) {
        fprintf(stderr, "ferry audits: the journal could not be written: %s\n", error.text);
        good = false;
    }
    ferry_audits_print_result(run, state);
    if (why->text[0] != '\0')
        fprintf(stderr, "ferry audits: %s\n", why->text);
    if (run->journal != NULL && (!good || !whole))
        ferry_audits_print_how_to_go_on(run);
    if (run->request->compare)
        return good && whole && run->missing == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
    return good ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

/* What is needed beside the tenant. */
static enum ferry_code prepare(struct ferry_audits_run *run, bool goes_on, struct ferry_error *error)
{
    const struct ferry_audits_request *request = run->request;
    enum ferry_code code = choose_events(run, error);
    if (code == FERRY_OK && (request->compare || request->missing))
        code = ferry_audits_known(run->config, run->from_ms, &run->known, error);
    if (code == FERRY_OK && run->journal != NULL)
        code = ferry_filler_open(&run->fill, &run->filler, error);
    if (code == FERRY_OK)
        code = ferry_audits_note(run, goes_on ? "progress" : "begun", error);
    return code;
}

static int carry_out(struct ferry_audits_run *run, bool goes_on)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code = prepare(run, goes_on, &error);
    if (code != FERRY_OK)
        return complain(&error);
    if (run->journal != NULL && !run->request->effects)
        fputs("ferry audits: note that without --effects workers only count these events\n", stderr);
    run->progress = (struct ferry_progress){.what = run->request->compare   ? "comparing"
                                                    : run->request->dry_run ? "counting"
                                                                            : "back-filling"};
    bool whole = false;
    code = flow(run, &whole, &error);
    return finish(run, code == FERRY_OK, whole, &error);
}

/* What the journal knows of a run id that was given: -1 to go on, or the exit code. */
static int recall(struct ferry_audits_run *run, bool *goes_on)
{
    enum ferry_audits_past past = FERRY_AUDITS_FRESH;
    struct ferry_error error = {.text = ""};
    if (ferry_audits_recall(run, &past, &error) != FERRY_OK)
        return complain(&error);
    *goes_on = past == FERRY_AUDITS_UNFINISHED;
    if (past != FERRY_AUDITS_FINISHED)
        return -1;
    ferry_audits_print_result(run, "done");
    return FERRY_EXIT_DONE;
}

/* With a tenant: opens what the run needs in Kafka. */
static int run_audits(struct ferry_audits_run *run)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer filter;
    struct ferry_error error = {.text = ""};
    const struct ferry_audits_request *request = run->request;
    char new_id[FERRY_RUN_ID];
    bool goes_on = false, brings = !request->dry_run && !request->compare;
    ferry_run_id_new(new_id);
    run->id = request->run_id != NULL ? request->run_id : new_id;
    run->position.ms = run->from_ms;
    run->fill = (struct ferry_fill){run->config, request->effects};
    run->counts = brings ? NULL : json_object();
    run->began_ms = ferry_clock_mono_ms();
    ferry_buffer_init(&filter, FILTER_MAX_BYTES);
    ferry_audits_print_filter(run, &filter);
    const struct ferry_operation operation = {.command = "audits",
                                              .arguments = (const char *const *)(request->argv + 1),
                                              .argument_count = (size_t)request->argc - 1,
                                              .run = run->id,
                                              .filter = ferry_buffer_slice(&filter)};
    int exit_code = -1;
    if (brings && ferry_operations_open(run->config, &operation, &run->journal, &error) != FERRY_OK)
        exit_code = complain(&error);
    if (exit_code < 0 && brings && request->run_id != NULL)
        exit_code = recall(run, &goes_on);
    if (exit_code < 0)
        exit_code = carry_out(run, goes_on);
    ferry_filler_close(run->filler);
    ferry_operations_close(run->journal);
    return exit_code;
}

static void end(struct ferry_audits_run *run)
{
    ferry_walk_end(&run->walk);
    ferry_at_tenant_done(&run->at);
    ferry_id_set_done(&run->known);
    ferry_id_set_done(&run->position.seen);
    ferry_arena_done(&run->arena);
    ferry_config_free(run->config);
    json_decref(run->counts);
}

int ferry_command_audits(int argc, char **argv)
{
    struct ferry_audits_request request = {0};
    struct ferry_audits_run run = {.request = &request, .walk = {.unarchived_ms = -1}};
    int code = parse(argc, argv, &request, &run.at);
    if (code < 0)
        code = check_request(&run);
    if (code < 0)
        code = ferry_console_config_for(request.config, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE, &run.config);
    if (code < 0) {
        ferry_console_catch();
        code = ferry_at_tenant_begin(&run.at, "audits", run.config);
    }
    if (code < 0)
        code = run_audits(&run);
    end(&run);
    return code;
}
