/* The plan of a replay, and its flow. One thread reads, chooses and hands over; reports settle on others. */
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "ferry/replay.h"

enum {
    LOOK_MS = 10000,
    BATCH = 1000,
    POLL_MS = 100,
    POLL_BUSY_MS = 5,
    NOTE_EVERY_MS = 1000,
    STALL_MS = 30000,
    DRAIN_MS = 15000,
    LATE_MS = 60000, /* clocks of bridges differ: so far behind --to records are still looked at */
    DETAILS_MAX_BYTES = 800 * 1024,
    IN_FLIGHT_BYTES = 256 * 1024 * 1024,
};

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

enum ferry_code ferry_replay_plan(struct ferry_replay *replay, struct ferry_error *error)
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

int64_t ferry_replay_planned(const struct ferry_replay *replay)
{
    int64_t records = 0;
    for (size_t i = 0; i < replay->span_count; i++)
        records += replay->spans[i].end - replay->spans[i].next;
    return records;
}

/* ---- the journal ---- */

/* How much the run has brought there, over all its parts. */
int64_t ferry_replay_brought(const struct ferry_replay_run *run)
{
    return run->replay->resumed + (run->replay->track != NULL ? ferry_track_look(run->replay->track).settled : 0);
}

enum ferry_code ferry_replay_note(struct ferry_replay_run *run, const char *state,
                                  void (*print)(const struct ferry_replay *replay, struct ferry_buffer *out),
                                  struct ferry_error *error)
{
    if (run->journal == NULL)
        return FERRY_OK;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer details;
    ferry_buffer_init(&details, DETAILS_MAX_BYTES);
    /* The count first: a position is never told without what lies before it. */
    int64_t count = ferry_replay_brought(run);
    print(run->replay, &details);
    if (details.failed)
        return ferry_fail(error, FERRY_RECORD_TOO_LARGE,
                          "too many partitions for one run: choose events by a narrower --event");
    run->noted_ms = ferry_clock_mono_ms();
    return ferry_operations_note(run->journal, state, count, ferry_buffer_slice(&details), error);
}

/* ---- the loop ---- */

static void count_event(struct ferry_replay_run *run, struct ferry_slice name)
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
static bool chosen(struct ferry_replay_run *run, const struct ferry_record *record)
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
static bool take(struct ferry_replay_run *run, struct ferry_scanned scanned)
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
static bool has_room(struct ferry_replay_run *run, struct ferry_track_load load)
{
    int64_t elapsed_ms = ferry_clock_mono_ms() - run->began_ms;
    bool in_rate = run->rate == 0 || run->taken * 1000 < run->rate * (elapsed_ms + 1);
    return in_rate && load.in_flight < run->sink.in_flight_max && load.bytes < IN_FLIGHT_BYTES;
}

/* How many records to ask for: at a low rate, no more than are due. */
static size_t batch_size(const struct ferry_replay_run *run)
{
    if (run->rate == 0)
        return BATCH;
    int64_t due = run->rate * (ferry_clock_mono_ms() - run->began_ms + 1) / 1000 - run->taken;
    return due < 1 ? 1 : due > BATCH ? BATCH : (size_t)due;
}

static bool read_some(struct ferry_replay_run *run, bool busy)
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
static bool is_stalled(struct ferry_replay_run *run, int64_t settled, int64_t *settled_before)
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
static bool keep_up(struct ferry_replay_run *run, struct ferry_track_load load, int64_t *settled_before)
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
    return ferry_replay_note(run, "progress", ferry_replay_print_positions, &run->error) == FERRY_OK;
}

/* Reads everything there is to read. False: the run has failed. */
bool ferry_replay_flow(struct ferry_replay_run *run)
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
bool ferry_replay_drain(struct ferry_replay_run *run)
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
