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
#include <time.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/net/client.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"

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

enum {
    LOOK_MS = 10000,
    BATCH = 1000,
    POLL_MS = 100,
    POLL_BUSY_MS = 5,
    NOTE_EVERY_MS = 1000,
    STALL_MS = 30000,
    DRAIN_MS = 15000,
    LATE_MS = 60000, /* clocks of bridges differ: so far behind --to records are still looked at */
    FILTER_MAX_BYTES = 64 * 1024,
    DETAILS_MAX_BYTES = 800 * 1024,
    IN_FLIGHT_BYTES = 256 * 1024 * 1024,
};

struct request {
    const char *config;
    const char *from;
    const char *to;
    const char *rate;
    bool replays_too;
    bool dry_run;
    bool json;
    int argc; /* as getopt left them */
    char **argv;
};

/* A run while it runs. */
struct run {
    const struct request *request;
    struct ferry_replay *replay;
    struct ferry_replay_sink sink; /* take NULL: a dry run */
    struct ferry_operations *journal;
    struct ferry_progress progress;
    json_t *events; /* of a dry run: event → count */
    int64_t rate;   /* records a second; 0: as fast as they go */
    int64_t began_ms;
    int64_t noted_ms;
    int64_t moved_ms; /* when something was read or settled last */
    int64_t read;
    int64_t taken;
    int64_t left_out_replays;
    int64_t left_out_unwanted;
    struct ferry_error error;
};

/* ---- the flags ---- */

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request, struct ferry_replay *replay)
{
    enum { HELP = 'h', FLAG = 1, TEXT = 20 }; /* + index into these tables */
    bool *const flags[] = {&replay->effects,      &replay->again,    &replay->structured,
                           &request->replays_too, &request->dry_run, &request->json};
    const char **const texts[] = {
        &request->config,      &replay->selection.event,  &request->from,           &request->to,
        &replay->selection.id, &replay->selection.tenant, &replay->selection.where, &replay->to_topic,
        &replay->to_worker,    &replay->to_url,           &request->rate,           &replay->run};
    static const struct option options[] = {
        {"effects", no_argument, NULL, FLAG},
        {"again", no_argument, NULL, FLAG + 1},
        {"structured", no_argument, NULL, FLAG + 2},
        {"replays-too", no_argument, NULL, FLAG + 3},
        {"dry-run", no_argument, NULL, FLAG + 4},
        {"json", no_argument, NULL, FLAG + 5},
        {"config", required_argument, NULL, TEXT},
        {"event", required_argument, NULL, TEXT + 1},
        {"from", required_argument, NULL, TEXT + 2},
        {"to", required_argument, NULL, TEXT + 3},
        {"id", required_argument, NULL, TEXT + 4},
        {"tenant", required_argument, NULL, TEXT + 5},
        {"where", required_argument, NULL, TEXT + 6},
        {"to-topic", required_argument, NULL, TEXT + 7},
        {"to-worker", required_argument, NULL, TEXT + 8},
        {"to-url", required_argument, NULL, TEXT + 9},
        {"rate", required_argument, NULL, TEXT + 10},
        {"run-id", required_argument, NULL, TEXT + 11},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    request->argc = argc;
    request->argv = argv;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == HELP) {
            fputs(usage, stdout);
            return FERRY_EXIT_DONE;
        }
        if (option == '?')
            return ferry_cli_refuse("replay", NULL);
        if (option == 'c' || (option >= TEXT && option < HELP))
            *texts[option == 'c' ? 0 : option - TEXT] = optarg;
        else
            *flags[option - FLAG] = true;
    }
    return optind == argc ? -1 : ferry_cli_refuse("replay", "takes flags only");
}

/* "500" or "500/s"; 0 for anything else. */
static int64_t parse_rate(const char *text)
{
    char *end;
    long long rate = strtoll(text, &end, 10);
    bool good = rate > 0 && text[0] >= '0' && text[0] <= '9' && (*end == '\0' || strcmp(end, "/s") == 0);
    return good ? rate : 0;
}

static const char *complaint_about(const struct request *request, const struct ferry_replay *replay)
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

static int check_request(const struct request *request, struct ferry_replay *replay)
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
    if (code == FERRY_OK)
        code = ferry_selection_begin(&replay->selection, &error);
    if (code == FERRY_OK)
        return -1;
    fprintf(stderr, "ferry replay: %s\n", error.text);
    return code == FERRY_MEMORY ? FERRY_EXIT_FAILED : FERRY_EXIT_USAGE;
}

/* ---- the plan ---- */

/* Keeps the spans that hold something. */
static void drop_empty(struct ferry_replay *replay)
{
    size_t kept = 0;
    for (size_t i = 0; i < replay->span_count; i++)
        if (replay->spans[i].next < replay->spans[i].end)
            replay->spans[kept++] = replay->spans[i];
    replay->span_count = kept;
}

static enum ferry_code make_plan(struct ferry_replay *replay, struct ferry_error *error)
{
    enum ferry_code code = ferry_selection_spans(&replay->selection, &replay->config->topics, replay->scan,
                                                 &replay->arena, &replay->spans, &replay->span_count, error);
    if (code != FERRY_OK)
        return code;
    size_t count = replay->span_count;
    int64_t *from = ferry_arena_new_array(&replay->arena, count, 2 * sizeof *from);
    if (from == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    int64_t *to = from + count;
    int64_t until_ms = replay->to_ms == INT64_MAX ? FERRY_SCAN_END : ferry_selection_when(replay->to_ms + LATE_MS);
    code = ferry_scan_offsets(replay->scan, replay->spans, count, until_ms, LOOK_MS, to, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(replay->scan, replay->spans, count, ferry_selection_when(replay->from_ms), LOOK_MS,
                                  from, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++) {
        replay->spans[i].next = from[i];
        replay->spans[i].end = to[i];
    }
    if (code == FERRY_OK)
        drop_empty(replay);
    return code;
}

static int64_t planned(const struct ferry_replay *replay)
{
    int64_t records = 0;
    for (size_t i = 0; i < replay->span_count; i++)
        records += replay->spans[i].end - replay->spans[i].next;
    return records;
}

/* ---- the journal ---- */

/* How much the run has brought there, over all its parts. */
static int64_t brought(const struct run *run)
{
    return run->replay->resumed + (run->replay->track != NULL ? ferry_track_look(run->replay->track).settled : 0);
}

static enum ferry_code note(struct run *run, const char *state,
                            void (*print)(const struct ferry_replay *replay, struct ferry_buffer *out),
                            struct ferry_error *error)
{
    if (run->journal == NULL)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer details;
    ferry_buffer_init(&details, DETAILS_MAX_BYTES);
    /* The count first: a position is never told without what lies before it. */
    int64_t count = brought(run);
    print(run->replay, &details);
    if (details.failed)
        return ferry_fail(error, FERRY_RECORD_TOO_LARGE,
                          "too many partitions for one run: choose events by a narrower --event");
    run->noted_ms = ferry_clock_mono_ms();
    return ferry_operations_note(run->journal, state, count, ferry_buffer_slice(&details), error);
}

/* ---- the loop ---- */

static void count_event(struct run *run, struct ferry_slice name)
{
    json_t *count = json_object_getn(run->events, name.ptr, name.len);
    if (count != NULL)
        json_integer_set(count, json_integer_value(count) + 1);
    else
        json_object_setn_new(run->events, name.ptr, name.len, json_integer(1));
}

static bool is_in_time(const struct ferry_replay *replay, const struct ferry_record *record)
{
    return record->timestamp_ms < 0 ||
           (record->timestamp_ms >= replay->from_ms && record->timestamp_ms < replay->to_ms);
}

/* Is this record to be replayed? Counts why not. */
static bool chosen(struct run *run, const struct ferry_record *record)
{
    struct ferry_event event;
    bool needs_event = run->events != NULL || run->replay->to_url != NULL;
    if (!is_in_time(run->replay, record) ||
        !ferry_selection_takes(&run->replay->selection, record, needs_event ? &event : NULL))
        return false;
    if (!run->request->replays_too && ferry_record_header(record, "ferry-replay").ptr != NULL) {
        run->left_out_replays++;
        return false;
    }
    if (run->events != NULL)
        count_event(run, event.canonical);
    return true;
}

/* False: the run has failed. */
static bool take(struct run *run, struct ferry_scanned scanned)
{
    struct ferry_fetched *fetched = scanned.fetched;
    int64_t offset = fetched->record.offset;
    bool wanted = false;
    enum ferry_code code = FERRY_OK;
    run->read++;
    if (chosen(run, &fetched->record)) {
        if (run->sink.take != NULL)
            code = run->sink.take(run->sink.context, fetched, scanned.span, &wanted, &run->error);
        run->taken += run->sink.take == NULL || wanted;
        run->left_out_unwanted += run->sink.take != NULL && !wanted;
    }
    if (!wanted) {
        ferry_fetched_free(fetched);
        if (code == FERRY_OK)
            ferry_track_pass(run->replay->track, scanned.span, offset);
    }
    return code == FERRY_OK;
}

static void nap(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

/* May another batch be read now? */
static bool has_room(struct run *run, struct ferry_track_load load)
{
    int64_t elapsed_ms = ferry_clock_mono_ms() - run->began_ms;
    bool in_rate = run->rate == 0 || run->taken * 1000 < run->rate * (elapsed_ms + 1);
    return in_rate && load.in_flight < run->sink.in_flight_max && load.bytes < IN_FLIGHT_BYTES;
}

/* How many records to ask for: at a low rate, no more than are due. */
static size_t batch_size(const struct run *run)
{
    if (run->rate == 0)
        return BATCH;
    int64_t due = run->rate * (ferry_clock_mono_ms() - run->began_ms + 1) / 1000 - run->taken;
    return due < 1 ? 1 : due > BATCH ? BATCH : (size_t)due;
}

static bool read_some(struct run *run, bool busy)
{
    static struct ferry_scanned batch[BATCH];
    size_t count = ferry_scan_poll(run->replay->scan, busy ? POLL_BUSY_MS : POLL_MS, batch, batch_size(run));
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        if (good)
            good = take(run, batch[i]);
        else
            ferry_fetched_free(batch[i].fetched);
    }
    if (count > 0)
        run->moved_ms = ferry_clock_mono_ms();
    return good;
}

/* Nothing was read and nothing settled for long, though there is something to do. */
static bool is_stalled(struct run *run, int64_t settled, int64_t *settled_before)
{
    if (settled != *settled_before || run->replay->to_url != NULL) {
        *settled_before = settled;
        run->moved_ms = ferry_clock_mono_ms(); /* an URL has a patience of its own */
    }
    if (ferry_clock_mono_ms() - run->moved_ms < STALL_MS)
        return false;
    const char *problem = ferry_scan_problem(run->replay->scan);
    ferry_fail(&run->error, FERRY_KAFKA, "nothing moved for %d s%s%s", STALL_MS / 1000,
               problem[0] != '\0' ? ": " : "; does Kafka answer, and may this user read these topics?", problem);
    return true;
}

/* Everything that goes on beside the reading. False: the run has failed. */
static bool keep_up(struct run *run, struct ferry_track_load load, int64_t *settled_before)
{
    if (run->sink.work != NULL)
        run->sink.work(run->sink.context);
    ferry_progress_show(&run->progress, run->read);
    if (load.code != FERRY_OK) {
        ferry_fail(&run->error, load.code, "%s", load.reason);
        return false;
    }
    if (is_stalled(run, load.settled, settled_before))
        return false;
    if (ferry_clock_mono_ms() - run->noted_ms < NOTE_EVERY_MS)
        return true;
    return note(run, "progress", ferry_replay_print_positions, &run->error) == FERRY_OK;
}

/* Reads everything there is to read. False: the run has failed. */
static bool flow(struct run *run)
{
    int64_t settled_before = 0;
    run->began_ms = run->noted_ms = run->moved_ms = ferry_clock_mono_ms();
    while (!ferry_scan_done(run->replay->scan) && !ferry_console_interrupted()) {
        struct ferry_track_load load = ferry_track_look(run->replay->track);
        if (!keep_up(run, load, &settled_before))
            return false;
        if (!has_room(run, load))
            nap();
        else if (!read_some(run, load.in_flight > 0))
            return false;
    }
    return true;
}

/* Waits until what is under way has arrived; when the run is to stop, not for long. False: the run has failed. */
static bool drain(struct run *run)
{
    int64_t settled_before = 0, deadline_ms = 0;
    run->moved_ms = ferry_clock_mono_ms();
    for (;;) {
        struct ferry_track_load load = ferry_track_look(run->replay->track);
        if (load.in_flight == 0 && load.code == FERRY_OK)
            return true;
        if (!keep_up(run, load, &settled_before))
            return false;
        if (deadline_ms == 0 && ferry_console_interrupted())
            deadline_ms = ferry_clock_mono_ms() + DRAIN_MS;
        if (deadline_ms != 0 && ferry_clock_mono_ms() > deadline_ms)
            return true; /* the positions tell what is left */
        nap();
    }
}

/* ---- the report ---- */

static void print_quoted(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=,@%+";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    putc('\'', out);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            putc(*word, out);
    }
    putc('\'', out);
}

/* The command that goes on: the same one, with the run's id. */
static void print_how_to_go_on(const struct run *run)
{
    fputs("to go on: ferry replay", stderr);
    for (int i = 1; i < run->request->argc; i++) {
        const char *word = run->request->argv[i];
        if (strcmp(word, "--run-id") == 0)
            i++;
        if (strncmp(word, "--run-id", strlen("--run-id")) == 0)
            continue;
        putc(' ', stderr);
        print_quoted(stderr, word);
    }
    fprintf(stderr, " --run-id %s\n", run->replay->run);
}

static void print_json_result(const struct run *run, const char *state)
{
    const struct ferry_selection *selection = &run->replay->selection;
    double seconds = (double)(ferry_clock_mono_ms() - run->began_ms) / 1000;
    json_t *result = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:f, s:b}", "run", run->replay->run, "state", state, "read",
        (json_int_t)run->read, "replayed", (json_int_t)(run->request->dry_run ? run->taken : brought(run)),
        "replayed_before", (json_int_t)run->replay->resumed, "left_out", "replays", (json_int_t)run->left_out_replays,
        "unwanted", (json_int_t)run->left_out_unwanted, "no_events", (json_int_t)selection->no_events, "where_failed",
        (json_int_t)selection->where_failed, "seconds", seconds, "dry_run", run->request->dry_run);
    if (run->events != NULL)
        json_object_set(result, "events", run->events);
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(result);
}

static void print_left_out(const struct run *run)
{
    const struct ferry_selection *selection = &run->replay->selection;
    const struct {
        int64_t count;
        const char *why;
    } left_out[] = {
        {run->left_out_replays, "came from a replay themselves (--replays-too takes them)"},
        {run->left_out_unwanted, "are taken by no route of this worker"},
        {selection->no_events, "are no CloudEvents"},
        {selection->where_failed, "made --where fail"},
    };
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (left_out[i].count > 0)
            printf("left out: %" PRId64 " %s\n", left_out[i].count, left_out[i].why);
    if (selection->where_failed > 0)
        printf("--where, at the first of them: %s\n", selection->why.text);
}

static void print_result(const struct run *run, const char *state)
{
    double seconds = (double)(ferry_clock_mono_ms() - run->began_ms) / 1000;
    const char *key;
    json_t *count;
    if (run->request->dry_run)
        printf("would replay %" PRId64 " of %" PRId64 " records\n", run->taken, run->read);
    else
        printf("run %s %s: %" PRId64 " records replayed, %" PRId64 " read in %.1f s (%.0f/s)\n", run->replay->run,
               state, brought(run), run->read, seconds, seconds > 0 ? (double)run->read / seconds : 0);
    json_object_foreach (run->events, key, count)
        printf("%10lld  %s\n", json_integer_value(count), key);
    print_left_out(run);
}

/* ---- the run ---- */

static enum ferry_code open_sink(struct run *run)
{
    struct ferry_replay *replay = run->replay;
    if (replay->to_topic != NULL)
        return ferry_replay_open_topic(replay, &run->sink, &run->error);
    if (replay->to_worker != NULL)
        return ferry_replay_open_worker(replay, &run->sink, &run->error);
    return ferry_replay_open_url(replay, &run->sink, &run->error);
}

static void warn(const struct run *run)
{
    const struct ferry_replay *replay = run->replay;
    if (replay->to_worker != NULL && !replay->effects && !replay->again)
        fputs("ferry replay: note that without --effects or --again the worker only counts these events\n", stderr);
}

/* Plan, sink and track; the journal says "begun" (or, of a run that goes on, "progress"). */
static enum ferry_code prepare_run(struct run *run, bool goes_on)
{
    struct ferry_replay *replay = run->replay;
    enum ferry_code code = goes_on ? FERRY_OK : make_plan(replay, &run->error);
    if (code == FERRY_OK && (replay->track = ferry_track_new(replay->spans, replay->span_count)) == NULL)
        code = ferry_fail(&run->error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK && !run->request->dry_run)
        code = open_sink(run);
    if (code == FERRY_OK)
        code = goes_on ? note(run, "progress", ferry_replay_print_positions, &run->error)
                       : note(run, "begun", ferry_replay_print_plan, &run->error);
    if (code == FERRY_OK)
        code = ferry_scan_begin(replay->scan, replay->spans, replay->span_count, &run->error);
    return code;
}

/* Says what came of it, in the journal and to the person. An exit code. */
static int finish(struct run *run, bool good)
{
    bool stopped = good && (!ferry_scan_done(run->replay->scan) || ferry_track_look(run->replay->track).in_flight > 0);
    const char *state = !good ? "failed" : stopped ? "stopped" : "done";
    struct ferry_error error = {.text = ""};
    ferry_progress_end(&run->progress);
    if (note(run, state, ferry_replay_print_positions, &error) != FERRY_OK) {
        fprintf(stderr, "ferry replay: the journal could not be written: %s\n", error.text);
        good = false;
    }
    if (run->request->json)
        print_json_result(run, state);
    else
        print_result(run, state);
    fflush(stdout);
    if (run->error.text[0] != '\0')
        fprintf(stderr, "ferry replay: %s\n", run->error.text);
    if (!run->request->dry_run && (stopped || !good))
        print_how_to_go_on(run);
    return good ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static int exit_of(enum ferry_code code)
{
    return code == FERRY_USAGE ? FERRY_EXIT_USAGE : code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

static int carry_out(struct run *run, bool goes_on)
{
    enum ferry_code code = prepare_run(run, goes_on);
    int exit_code;
    if (code == FERRY_OK) {
        warn(run);
        run->progress = (struct ferry_progress){.what = run->request->dry_run ? "counting" : "replaying",
                                                .total = planned(run->replay)};
        exit_code = finish(run, flow(run) && drain(run));
    } else {
        fprintf(stderr, "ferry replay: %s\n", run->error.text);
        exit_code = exit_of(code);
    }
    if (run->sink.close != NULL)
        run->sink.close(run->sink.context);
    return exit_code;
}

/* What the journal knows of a run id that was given: -1 to go on, or the exit code. */
static int recall(struct run *run, bool *goes_on)
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
        print_json_result(run, "done");
    else
        printf("run %s is done: %" PRId64 " records were replayed\n", run->replay->run, run->replay->resumed);
    return FERRY_EXIT_DONE;
}

/* With a configuration; opens what the run needs in Kafka. */
static int run_replay(const struct request *request, struct ferry_replay *replay)
{
    char new_run[FERRY_RUN_ID];
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer filter;
    struct run run = {.request = request, .replay = replay, .sink.in_flight_max = SIZE_MAX};
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
    struct request request = {0};
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
