/* ferry replay: old events once more, to another topic, to a worker, or to an URL.
 *
 * The stretches to read are fixed before the first record is read: of each partition, from the first record of --from
 * to before the first of --to (or the end at that moment). They are the plan, written into the operators' journal; so
 * a replay into a topic that it reads ends, and a run that is asked for again by its id is the same run. Then records
 * flow: read in batches, chosen, handed to the sink, settled by its reports. Every second the position of each
 * partition, before which all is settled, goes to the journal. What was under way when a run was killed is repeated
 * when it goes on (under the same run id: a worker then knows what took effect); nothing is left out. */
#include "ferry/replay.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/net/client.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry replay [-c FILE] --event GLOB --from TIME [--to TIME] DESTINATION [OPTION]...\n"
    "\n"
    "Reads old events again, beside everybody else, and brings them to one DESTINATION, in order by key:\n"
    "  --to-topic TOPIC     the same record to another topic, with the header ferry-replay: RUN\n"
    "  --to-worker NAME     slack, mail or automation alone: each of its routes that takes the event tries it\n"
    "  --to-url URL         POST as a CloudEvent in binary mode (--structured: as application/cloudevents+json)\n"
    "Which:\n"
    "  --event GLOB         by canonical name: 'app.*', user.created, '*'\n"
    "  --from, --to TIME    of the record: 2026-11-22T10:00:00Z, 2026-11-22, -1h, earliest; --to is now by default\n"
    "  --id ID              only the event of this id\n"
    "  --tenant ID          only events of this tenant\n"
    "  --where JQ           only events for which this expression is true: '.data.name == \"Sales\"'\n"
    "  --replays-too        also records that came from a replay themselves\n"
    "How:\n"
    "  --effects            workers let them take effect, once: what took effect before does not again\n"
    "  --again              workers let them take effect, even again; without these two they only count them\n"
    "  --rate N             at most N records a second\n"
    "  --run-id ID          go on with the run of this id, or name a new one\n"
    "  --dry-run            read and count only\n"
    "  --json               the result as a JSON object\n"
    "  -c, --config FILE    the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "Ctrl-C stops when what is under way has arrived, and says how to go on.\n";

enum { FILTER_MAX_BYTES = 64 * 1024 };

/* ---- the flags ---- */

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct ferry_replay_request *request, struct ferry_replay *replay)
{
    const struct ferry_option options[] = {
        {"effects", .flag = &replay->effects},
        {"again", .flag = &replay->again},
        {"structured", .flag = &replay->structured},
        {"replays-too", .flag = &request->replays_too},
        {"dry-run", .flag = &request->dry_run},
        {"json", .flag = &request->json},
        {"config", 'c', .text = &request->config},
        {"event", .text = &replay->selection.event},
        {"from", .text = &request->from},
        {"to", .text = &request->to},
        {"id", .text = &replay->selection.id},
        {"tenant", .text = &replay->selection.tenant},
        {"where", .text = &replay->selection.where},
        {"to-topic", .text = &replay->to_topic},
        {"to-worker", .text = &replay->to_worker},
        {"to-url", .text = &replay->to_url},
        {"rate", .text = &request->rate},
        {"run-id", .text = &replay->run},
        {0},
    };
    request->argc = argc;
    request->argv = argv;
    int code = ferry_options_read(argc, argv, "replay", usage, options);
    return code >= 0 || optind == argc ? code : ferry_cli_refuse("replay", "takes flags only");
}

/* "500" or "500/s"; 0 for anything else. */
static int64_t parse_rate(const char *text)
{
    char *end;
    long long rate = strtoll(text, &end, 10);
    bool good = rate > 0 && text[0] >= '0' && text[0] <= '9' && (*end == '\0' || strcmp(end, "/s") == 0);
    return good ? rate : 0;
}

static const char *complaint_about(const struct ferry_replay_request *request, const struct ferry_replay *replay)
{
    int destinations = (replay->to_topic != NULL) + (replay->to_worker != NULL) + (replay->to_url != NULL);
    if (replay->selection.event == NULL)
        return "--event is missing: which events? '*' for all";
    if (request->from == NULL)
        return "--from is missing: since when? -1h, 2026-11-22T10:00:00Z, earliest";
    if (destinations != 1)
        return "name one destination: --to-topic, --to-worker or --to-url";
    if (replay->to_url != NULL && (replay->effects || replay->again))
        return "--effects and --again are told to workers: with --to-topic and --to-worker";
    if (replay->structured && replay->to_url == NULL)
        return "--structured belongs to --to-url";
    if (replay->run != NULL && !ferry_run_id_valid(replay->run))
        return "--run-id has 1 to 64 letters, digits and . _ -";
    if (request->rate != NULL && parse_rate(request->rate) == 0)
        return "--rate is a number of records a second, from 1";
    return NULL;
}

static int check_request(const struct ferry_replay_request *request, struct ferry_replay *replay)
{
    static const char times[] =
        "--from and --to are times such as 2026-11-22T10:00:00Z, 2026-11-22, -1h, earliest, now";
    int64_t now_ms = ferry_clock_wall_ms();
    const char *complaint = complaint_about(request, replay);
    if (complaint != NULL)
        return ferry_cli_refuse("replay", complaint);
    replay->to_ms = INT64_MAX;
    if (!ferry_moment_parse(request->from, now_ms, &replay->from_ms) ||
        (request->to != NULL && !ferry_moment_parse(request->to, now_ms, &replay->to_ms)))
        return ferry_cli_refuse("replay", times);
    if (replay->from_ms >= replay->to_ms)
        return ferry_cli_refuse("replay", "--from is not before --to");
    struct ferry_error error = {.text = ""};
    enum ferry_code code = FERRY_OK;
    if (replay->to_url != NULL)
        code = ferry_url_check(replay->to_url, false, &error);
    if (code != FERRY_OK && ferry_url_check(replay->to_url, true, &(struct ferry_error){0}) == FERRY_OK)
        return ferry_cli_refuse("replay", "--to-url is not encrypted: https://, or http:// to this machine alone");
    if (code == FERRY_OK)
        code = ferry_selection_begin(&replay->selection, &error);
    if (code == FERRY_OK)
        return -1;
    fprintf(stderr, "ferry replay: %s\n", error.text);
    return code == FERRY_MEMORY ? FERRY_EXIT_FAILED : FERRY_EXIT_USAGE;
}

/* ---- the run ---- */

static enum ferry_code open_sink(struct ferry_replay_run *run)
{
    struct ferry_replay *replay = run->replay;
    if (replay->to_topic != NULL)
        return ferry_replay_open_topic(replay, &run->sink, &run->error);
    if (replay->to_worker != NULL)
        return ferry_replay_open_worker(replay, &run->sink, &run->error);
    return ferry_replay_open_url(replay, &run->sink, &run->error);
}

static void warn(const struct ferry_replay_run *run)
{
    const struct ferry_replay *replay = run->replay;
    if (replay->to_worker != NULL && !replay->effects && !replay->again)
        fputs("ferry replay: note that without --effects or --again the worker only counts these events\n", stderr);
}

/* Plan, sink and track; the journal says "begun" (or, of a run that goes on, "progress"). */
static enum ferry_code prepare_run(struct ferry_replay_run *run, bool goes_on)
{
    struct ferry_replay *replay = run->replay;
    enum ferry_code code = goes_on ? FERRY_OK : ferry_replay_plan(replay, &run->error);
    if (code == FERRY_OK && (replay->track = ferry_track_new(replay->spans, replay->span_count)) == NULL)
        code = ferry_fail(&run->error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK && !run->request->dry_run)
        code = open_sink(run);
    if (code == FERRY_OK)
        code = goes_on ? ferry_replay_note(run, "progress", ferry_replay_print_positions, &run->error)
                       : ferry_replay_note(run, "begun", ferry_replay_print_plan, &run->error);
    if (code == FERRY_OK)
        code = ferry_scan_begin(replay->scan, replay->spans, replay->span_count, &run->error);
    return code;
}

/* Says what came of it, in the journal and to the person. An exit code. */
static int finish(struct ferry_replay_run *run, bool good)
{
    bool stopped = good && (!ferry_scan_done(run->replay->scan) || ferry_track_look(run->replay->track).in_flight > 0);
    const char *state = !good ? "failed" : stopped ? "stopped" : "done";
    struct ferry_error error = {.text = ""};
    ferry_progress_end(&run->progress);
    if (ferry_replay_note(run, state, ferry_replay_print_positions, &error) != FERRY_OK) {
        fprintf(stderr, "ferry replay: the journal could not be written: %s\n", error.text);
        good = false;
    }
    ferry_replay_print_result(run, state);
    if (run->error.text[0] != '\0')
        fprintf(stderr, "ferry replay: %s\n", run->error.text);
    if (!run->request->dry_run && (stopped || !good))
        ferry_replay_print_how_to_go_on(run);
    return good ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static int exit_of(enum ferry_code code)
{
    return code == FERRY_USAGE ? FERRY_EXIT_USAGE : code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

static int carry_out(struct ferry_replay_run *run, bool goes_on)
{
    enum ferry_code code = prepare_run(run, goes_on);
    int exit_code;
    if (code == FERRY_OK) {
        warn(run);
        run->progress = (struct ferry_progress){.what = run->request->dry_run ? "counting" : "replaying",
                                                .total = ferry_replay_planned(run->replay)};
        exit_code = finish(run, ferry_replay_flow(run) && ferry_replay_drain(run));
    } else {
        fprintf(stderr, "ferry replay: %s\n", run->error.text);
        exit_code = exit_of(code);
    }
    if (run->sink.close != NULL)
        run->sink.close(run->sink.context);
    return exit_code;
}

/* What the journal knows of a run id that was given: -1 to go on, or the exit code. */
static int recall(struct ferry_replay_run *run, bool *goes_on)
{
    enum ferry_replay_past past = FERRY_REPLAY_NEW;
    enum ferry_code code = ferry_replay_recall(run->replay, &past, &run->error);
    if (code != FERRY_OK) {
        fprintf(stderr, "ferry replay: %s\n", run->error.text);
        return exit_of(code);
    }
    *goes_on = past == FERRY_REPLAY_UNFINISHED;
    if (past != FERRY_REPLAY_FINISHED)
        return -1;
    if (run->request->json)
        ferry_replay_print_result(run, "done");
    else
        printf("run %s is done: %" PRId64 " records were replayed\n", run->replay->run, run->replay->resumed);
    return FERRY_EXIT_DONE;
}

/* With a configuration; opens what the run needs in Kafka. */
static int run_replay(const struct ferry_replay_request *request, struct ferry_replay *replay)
{
    char new_run[FERRY_RUN_ID];
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer filter;
    struct ferry_replay_run run = {.request = request, .replay = replay, .sink.in_flight_max = SIZE_MAX};
    bool goes_on = false, named = replay->run != NULL;
    run.rate = request->rate != NULL ? parse_rate(request->rate) : 0;
    run.began_ms = ferry_clock_mono_ms();
    run.events = request->dry_run ? json_object() : NULL;
    ferry_run_id_new(new_run);
    replay->run = named ? replay->run : new_run;
    ferry_buffer_init(&filter, FILTER_MAX_BYTES);
    ferry_replay_print_filter(replay, &filter);
    const struct ferry_operation operation = {.command = "replay",
                                              .arguments = (const char *const *)(request->argv + 1),
                                              .argument_count = (size_t)request->argc - 1,
                                              .run = replay->run,
                                              .filter = ferry_buffer_slice(&filter)};
    enum ferry_code code =
        ferry_scan_open(replay->config->kafka, (struct ferry_properties){NULL, 0}, &replay->scan, &run.error);
    if (code == FERRY_OK && !request->dry_run)
        code = ferry_operations_open(replay->config, &operation, &run.journal, &run.error);
    int exit_code = code == FERRY_OK ? -1 : exit_of(code);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry replay: %s\n", run.error.text);
    if (exit_code < 0 && named && !request->dry_run)
        exit_code = recall(&run, &goes_on);
    if (exit_code < 0)
        exit_code = carry_out(&run, goes_on);
    ferry_operations_close(run.journal);
    ferry_track_free(replay->track);
    ferry_scan_close(replay->scan);
    json_decref(run.events);
    return exit_code;
}

int ferry_command_replay(int argc, char **argv)
{
    struct ferry_replay_request request = {0};
    struct ferry_replay replay = {0};
    int code = parse(argc, argv, &request, &replay);
    if (code >= 0)
        return code;
    code = check_request(&request, &replay);
    if (code < 0)
        code = ferry_console_config(request.config, &replay.config);
    if (code < 0) {
        ferry_console_catch();
        code = run_replay(&request, &replay);
    }
    ferry_selection_end(&replay.selection);
    ferry_arena_done(&replay.arena);
    ferry_config_free(replay.config);
    return code;
}
