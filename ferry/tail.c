/* ferry tail: watch events as they come, or came. Reads the event topics beside everybody else, joins no group. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/program.h"
#include "core/survey/selection.h"
#include "core/utf8.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry tail [-c FILE] [--event GLOB] [--from TIME] [--where JQ] [OPTION]...\n"
    "\n"
    "Follows the events of all topics, a line each: time, event, key, source, id, topic/partition/offset. Workers do\n"
    "not notice: it is in nobody's group and commits nothing.\n"
    "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
    "  --event GLOB        only these events, by canonical name: 'app.*', user.created\n"
    "  --from TIME         begin there: 2026-11-22T10:00:00Z, 2026-11-22, -1h, earliest; default now\n"
    "  --where JQ          only events for which this expression is true: '.data.name == \"Sales\"'\n"
    "  --id ID             only the event of this id\n"
    "  --tenant ID         only events of this tenant\n"
    "  --no-follow         stop where the topics end now\n"
    "  -n, --count N       stop after N events\n"
    "  --json              each event as CloudEvents JSON on a line of its own\n"
    "Ctrl-C ends it.\n";

enum { WAIT_MS = 250, LOOK_MS = 10000, NEW_TOPICS_MS = 10000, BATCH = 500, LINE_MAX_BYTES = 16 * 1024 * 1024 };

struct request {
    const char *config;
    const char *from;
    const char *count;
    struct ferry_selection selection;
    bool json;
    bool no_follow;
};

struct tail {
    struct ferry_selection *selection;
    struct ferry_config *config;
    struct ferry_scan *scan;
    struct ferry_arena arenas[2]; /* of the spans that are read, and of those that were */
    size_t arena;
    struct ferry_span *spans;
    size_t span_count;
    int64_t left; /* how many events to print; -1: all */
    bool json;
    bool follow;
    int64_t looked_ms; /* when topics were looked for last */
};

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},  {"event", .text = &request->selection.event},
        {"from", .text = &request->from},           {"where", .text = &request->selection.where},
        {"id", .text = &request->selection.id},     {"tenant", .text = &request->selection.tenant},
        {"count", 'n', .text = &request->count},    {"json", .flag = &request->json},
        {"no-follow", .flag = &request->no_follow}, {0},
    };
    int code = ferry_options_read(argc, argv, "tail", usage, options);
    return code >= 0 || optind == argc ? code : ferry_cli_refuse("tail", "takes flags only");
}

/* ---- printing ---- */

/* What senders wrote must not move the cursor: a control character becomes a blank, and so does all that is no UTF-8.
 */
static void add_plain(struct ferry_buffer *line, struct ferry_slice text)
{
    bool valid = ferry_utf8_valid(text);
    if (text.len == 0)
        ferry_buffer_add_char(line, '-');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool c1 = c == 0xC2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xA0;
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !valid) || c1)
            ferry_buffer_add_char(line, ' ');
        else
            ferry_buffer_add_char(line, (char)c);
        i += c1;
    }
}

static void add_line(struct ferry_buffer *line, const struct ferry_record *record, const struct ferry_event *event)
{
    const struct ferry_slice fields[] = {event->time, event->canonical, record->key, event->source, event->id};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        add_plain(line, fields[i]);
        ferry_buffer_add_text(line, "  ");
    }
    ferry_buffer_printf(line, "%.*s/%" PRId32 "/%" PRId64, FERRY_SLICE_ARGS(record->topic), record->partition,
                        record->offset);
}

/* `data` stands in it as it came, and may be spread over lines: JSON has raw line ends only between its tokens. */
static void add_json_line(struct ferry_buffer *line, const struct ferry_event *event)
{
    ferry_event_print_json(event, line);
    for (size_t i = 0; i < line->len; i++)
        if (line->ptr[i] == '\n' || line->ptr[i] == '\r')
            line->ptr[i] = ' ';
}

static void print_event(struct tail *tail, const struct ferry_record *record, const struct ferry_event *event)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, LINE_MAX_BYTES);
    if (tail->json)
        add_json_line(&line, event);
    else
        add_line(&line, record, event);
    ferry_buffer_add_char(&line, '\n');
    if (!line.failed)
        fwrite(line.ptr, 1, line.len, stdout);
}

/* ---- topics ---- */

static bool same_place(const struct ferry_span *a, const struct ferry_span *b)
{
    return strcmp(a->topic, b->topic) == 0 && a->partition == b->partition;
}

/* New ones begin at their beginning, those that were read go on: both lists are sorted. Is one of them new? */
static bool take_over(struct ferry_span *spans, size_t count, const struct ferry_span *old, size_t old_count)
{
    size_t o = 0, known = 0;
    for (size_t i = 0; i < count; i++) {
        spans[i].end = FERRY_SPAN_FOLLOW;
        while (o < old_count && (strcmp(old[o].topic, spans[i].topic) < 0 ||
                                 (strcmp(old[o].topic, spans[i].topic) == 0 && old[o].partition < spans[i].partition)))
            o++;
        if (o < old_count && same_place(&old[o], &spans[i])) {
            spans[i].next = old[o].next;
            known++;
        }
    }
    return known < count;
}

/* Topics that were made meanwhile. That Kafka does not answer now is no reason to stop. */
static void look_for_new_topics(struct tail *tail)
{
    if (!tail->follow || ferry_clock_mono_ms() - tail->looked_ms < NEW_TOPICS_MS)
        return;
    struct ferry_span *spans;
    size_t count, other = 1 - tail->arena;
    ferry_arena_reset(&tail->arenas[other]);
    enum ferry_code code = ferry_selection_spans(tail->selection, &tail->config->topics, tail->scan,
                                                 &tail->arenas[other], &spans, &count, NULL);
    tail->looked_ms = ferry_clock_mono_ms();
    if (code != FERRY_OK || !take_over(spans, count, tail->spans, tail->span_count) ||
        ferry_scan_begin(tail->scan, spans, count, NULL) != FERRY_OK)
        return;
    tail->arena = other;
    tail->spans = spans;
    tail->span_count = count;
}

/* Where to begin, and where to end. */
static enum ferry_code begin(struct tail *tail, int64_t from_ms, struct ferry_error *error)
{
    struct ferry_arena *arena = &tail->arenas[tail->arena];
    enum ferry_code code = ferry_selection_spans(tail->selection, &tail->config->topics, tail->scan, arena,
                                                 &tail->spans, &tail->span_count, error);
    if (code != FERRY_OK)
        return code;
    int64_t *offsets = ferry_arena_new_array(arena, tail->span_count, 2 * sizeof *offsets);
    if (offsets == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    int64_t *ends = offsets + tail->span_count;
    if (!tail->follow)
        code = ferry_scan_offsets(tail->scan, tail->spans, tail->span_count, FERRY_SCAN_END, LOOK_MS, ends, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(tail->scan, tail->spans, tail->span_count, from_ms, LOOK_MS, offsets, error);
    for (size_t i = 0; code == FERRY_OK && i < tail->span_count; i++) {
        tail->spans[i].next = offsets[i];
        tail->spans[i].end = tail->follow ? FERRY_SPAN_FOLLOW : ends[i];
    }
    tail->looked_ms = ferry_clock_mono_ms();
    return code == FERRY_OK ? ferry_scan_begin(tail->scan, tail->spans, tail->span_count, error) : code;
}

/* ---- following ---- */

static void take(struct tail *tail, const struct ferry_record *record)
{
    struct ferry_event event;
    if (tail->left == 0 || !ferry_selection_takes(tail->selection, record, &event))
        return;
    print_event(tail, record, &event);
    if (tail->left > 0)
        tail->left--;
}

static void follow(struct tail *tail)
{
    static struct ferry_scanned batch[BATCH];
    while (tail->left != 0 && !ferry_scan_done(tail->scan) && !ferry_console_interrupted()) {
        size_t count = ferry_scan_poll(tail->scan, WAIT_MS, batch, BATCH);
        for (size_t i = 0; i < count; i++) {
            take(tail, &batch[i].fetched->record);
            ferry_fetched_free(batch[i].fetched);
        }
        if (count > 0)
            fflush(stdout);
        const char *problem = ferry_scan_problem(tail->scan);
        if (problem[0] != '\0')
            fprintf(stderr, "ferry tail: %s\n", problem);
        look_for_new_topics(tail);
    }
}

static void say_what_was_left_out(const struct ferry_selection *selection)
{
    if (selection->no_events > 0)
        fprintf(stderr, "ferry tail: %" PRId64 " records are no CloudEvents\n", selection->no_events);
    if (selection->where_failed > 0)
        fprintf(stderr, "ferry tail: --where failed at %" PRId64 " events, which are left out; at the first: %s\n",
                selection->where_failed, selection->why.text);
}

static int run(struct tail *tail, int64_t from_ms)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code =
        ferry_scan_open(tail->config->kafka, (struct ferry_properties){NULL, 0}, &tail->scan, &error);
    if (code == FERRY_OK)
        code = begin(tail, from_ms, &error);
    if (code == FERRY_OK)
        follow(tail);
    else
        fprintf(stderr, "ferry tail: %s\n", error.text);
    say_what_was_left_out(tail->selection);
    ferry_scan_close(tail->scan);
    return code == FERRY_OK && fflush(stdout) == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static int prepare(const struct request *request, struct tail *tail, int64_t *from_ms)
{
    struct ferry_error error = {.text = ""};
    int64_t moment_ms = 0;
    if (request->from != NULL && !ferry_moment_parse(request->from, ferry_clock_wall_ms(), &moment_ms))
        return ferry_cli_refuse("tail",
                                "--from is a time such as 2026-11-22T10:00:00Z, 2026-11-22, -1h, earliest, now");
    bool now = request->from == NULL || strcmp(request->from, "now") == 0;
    *from_ms = now ? FERRY_SCAN_END : ferry_selection_when(moment_ms);
    tail->left = request->count != NULL ? strtoll(request->count, NULL, 10) : -1;
    if (request->count != NULL && tail->left < 1)
        return ferry_cli_refuse("tail", "--count is a number from 1");
    if (ferry_selection_begin(tail->selection, &error) == FERRY_OK)
        return -1;
    fprintf(stderr, "ferry tail: %s\n", error.text);
    return error.code == FERRY_CONFIG ? FERRY_EXIT_USAGE : FERRY_EXIT_FAILED;
}

int ferry_command_tail(int argc, char **argv)
{
    struct request request = {0};
    struct tail tail = {.selection = &request.selection};
    int64_t from_ms = FERRY_SCAN_END;
    int code = parse(argc, argv, &request);
    if (code >= 0)
        return code;
    tail.json = request.json;
    tail.follow = !request.no_follow;
    code = prepare(&request, &tail, &from_ms);
    if (code < 0)
        code = ferry_console_config(request.config, &tail.config);
    if (code < 0) {
        ferry_console_catch();
        code = run(&tail, from_ms);
    }
    ferry_arena_done(&tail.arenas[0]);
    ferry_arena_done(&tail.arenas[1]);
    ferry_selection_end(&request.selection);
    ferry_config_free(tail.config);
    return code;
}
