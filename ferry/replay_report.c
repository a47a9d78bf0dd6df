/* What a replay tells the person, or the script, that ran it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "core/clock.h"
#include "ferry/cli.h"
#include "ferry/replay.h"

void ferry_replay_print_how_to_go_on(const struct ferry_replay_run *run)
{
    ferry_cli_print_how_to_go_on("replay", run->request->argc, run->request->argv, run->replay->run);
}

static void print_json_result(const struct ferry_replay_run *run, const char *state)
{
    const struct ferry_selection *selection = &run->replay->selection;
    double seconds = (double)(ferry_clock_mono_ms() - run->began_ms) / 1000;
    json_t *result = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:f, s:b}", "run", run->replay->run, "state", state, "read",
        (json_int_t)run->read, "replayed", (json_int_t)(run->request->dry_run ? run->taken : ferry_replay_brought(run)),
        "replayed_before", (json_int_t)run->replay->resumed, "left_out", "replays", (json_int_t)run->left_out_replays,
        "unwanted", (json_int_t)run->left_out_unwanted, "no_events", (json_int_t)selection->no_events, "where_failed",
        (json_int_t)selection->where_failed, "seconds", seconds, "dry_run", run->request->dry_run);
    if (run->events != NULL)
        json_object_set(result, "events", run->events);
    json_dumpf(result, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(result);
}

static void print_left_out(const struct ferry_replay_run *run)
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

static void print_result(const struct ferry_replay_run *run, const char *state)
{
    double seconds = (double)(ferry_clock_mono_ms() - run->began_ms) / 1000;
    const char *key;
    json_t *count;
    if (run->request->dry_run)
        printf("would replay %" PRId64 " of %" PRId64 " records\n", run->taken, run->read);
    else
        printf("run %s %s: %" PRId64 " records replayed, %" PRId64 " read in %.1f s (%.0f/s)\n", run->replay->run,
               state, ferry_replay_brought(run), run->read, seconds, seconds > 0 ? (double)run->read / seconds : 0);
    json_object_foreach (run->events, key, count)
        printf("%10lld  %s\n", json_integer_value(count), key);
    print_left_out(run);
}

void ferry_replay_print_result(const struct ferry_replay_run *run, const char *state)
{
    if (run->request->json)
        print_json_result(run, state);
    else
        print_result(run, state);
    fflush(stdout);
}
