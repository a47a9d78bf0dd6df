/* What a back-fill or a comparison tells the person, or the script, that ran it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "ferry/audits.h"
#include "ferry/cli.h"
#include "ferry/table.h"

enum { LINE_BYTES = 64 * 1024 };

void ferry_audits_print_how_to_go_on(const struct ferry_audits_run *run)
{
    ferry_cli_print_how_to_go_on("audits", run->request->argc, run->request->argv, run->id);
}

/* ---- an event that is missing ---- */

static void add_cell(struct ferry_buffer *line, struct ferry_slice text)
{
    ferry_buffer_add_text(line, line->len > 0 ? "  " : "");
    ferry_terminal_add(line, text, false);
}

void ferry_audits_print_missing(const struct ferry_audits_run *run, const struct ferry_audits_item *item)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    ferry_buffer_init(&line, LINE_BYTES);
    const struct ferry_event *event = &item->event;
    if (run->request->json) {
        ferry_buffer_add_text(&line, "{\"missing\":{");
        ferry_json_add_text(&line, "time", event->time);
        ferry_json_add_text(&line, "event", event->canonical);
        ferry_json_add_text(&line, "id", event->id);
        ferry_buffer_add_text(&line, "\"source\":");
        ferry_buffer_add_json_string(&line, event->source);
        ferry_buffer_add_text(&line, "}}");
    } else {
        add_cell(&line, event->time);
        add_cell(&line, event->canonical);
        add_cell(&line, event->id);
        add_cell(&line, event->source);
    }
    if (!line.failed)
        puts(line.ptr);
}

/* ---- the result ---- */

static double seconds_of(const struct ferry_audits_run *run)
{
    return (double)(ferry_clock_mono_ms() - run->began_ms) / 1000;
}

static void print_json(const struct ferry_audits_run *run, const char *state)
{
    const struct ferry_audits_request *request = run->request;
    json_t *result = json_pack("{s:s, s:s, s:I, s:I, s:{s:I, s:I}, s:f}", "tenant", run->at.url, "state", state,
                               "listed", (json_int_t)run->listed, "pages", (json_int_t)run->walk.pages, "left_out",
                               "no_events", (json_int_t)run->walk.unreadable, "too_large", (json_int_t)run->too_large,
                               "seconds", seconds_of(run));
    if (request->compare) {
        json_object_set_new(result, "missing", json_integer(run->missing));
        json_object_set_new(result, "by_audits_alone", json_integer(run->alone));
    } else if (!request->dry_run) {
        json_object_set_new(result, "run", json_string(run->id));
        json_object_set_new(result, "brought", json_integer(run->resumed + run->brought));
    }
    if (request->missing)
        json_object_set_new(result, "there_already", json_integer(run->passed_over));
    if (run->counts != NULL)
        json_object_set(result, "events", run->counts);
    json_object_set_new(result, "dry_run", json_boolean(request->dry_run));
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(result);
}

static void print_headline(const struct ferry_audits_run *run, const char *state)
{
    double seconds = seconds_of(run);
    bool brings = !run->request->compare && !run->request->dry_run;
    if (!brings && strcmp(state, "done") != 0)
        printf("%s before the end, so these are not all: ", state);
    if (run->request->compare)
        printf("%" PRId64 " events in the audits, %" PRId64 " of them not in the topics; %" PRId64
               " came through the Audits API alone\n",
               run->listed, run->missing, run->alone);
    else if (run->request->dry_run)
        printf("would bring %" PRId64 " events\n", run->listed - run->passed_over);
    else
        printf("run %s %s: %" PRId64 " events brought, %" PRId64 " in this run in %.1f s (%.0f/s, %" PRId64 " pages)\n",
               run->id, state, run->resumed + run->brought, run->brought, seconds,
               seconds > 0 ? (double)run->brought / seconds : 0, run->walk.pages);
}

static void print_left_out(const struct ferry_audits_run *run)
{
    const struct {
        int64_t count;
        const char *why;
    } left_out[] = {
        {run->passed_over, "are in the topics already"},
        {run->walk.unreadable, "are no events"},
        {run->too_large, "are larger than Kafka takes"},
    };
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (left_out[i].count > 0)
            printf("left out: %" PRId64 " %s\n", left_out[i].count, left_out[i].why);
    if (run->walk.unreadable > 0)
        printf("the first of those that are no events: %s\n", run->walk.why.text);
}

static void print_text(const struct ferry_audits_run *run, const char *state)
{
    const char *event;
    json_t *count;
    print_headline(run, state);
    json_object_foreach (run->counts, event, count)
        printf("%10lld  %s\n", json_integer_value(count), event);
    print_left_out(run);
}

void ferry_audits_print_result(const struct ferry_audits_run *run, const char *state)
{
    char day[FERRY_TIME_TEXT];
    if (run->request->json)
        print_json(run, state);
    else
        print_text(run, state);
    fflush(stdout);
    if (run->walk.unarchived_ms >= 0 && ferry_time_format(run->walk.unarchived_ms, day) > 0)
        fprintf(stderr, "ferry audits: note that the archive has nothing of %.10s, and perhaps of other days\n", day);
    if (run->missing > 0)
        fputs("ferry audits: `--missing` in the place of `--compare` brings them; `--effects` beside it lets workers "
              "act\n",
              stderr);
}
