/* ferry spool drain: what the bridge's feeder does, without the bridge.
 *
 * Rows go in chunks, by sequence, all topics together. A chunk is begun when the one before is settled on disk:
 *
 *   read ─► mark "handed over" (fsync) ─► produce ─► all reported ─► delete what is in Kafka (fsync)
 *
 * so a crash at any point leaves each row on disk until its report, and says of those that may be in Kafka already that
 * they may; they are produced again with `ferry-maybe-duplicate`. A row that stays keeps the later rows of its topic
 * back: order by topic holds. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/kafka/producer.h"
#include "core/program.h"
#include "ferry/console.h"
#include "ferry/operations.h"
#include "ferry/spool.h"

enum { CHUNK = 1000, LOOK_MS = 5000, FLUSH_MS = 100, REASON_BYTES = 512, SUMMARY_BYTES = 1 << 20 };

/* A row that is in the producer's hands, and its report. */
struct slot {
    struct ferry_spool_row *row;
    size_t topic; /* index into drain.topics */
    enum ferry_code code;
    bool possibly_persisted;
    char reason[REASON_BYTES];
};

/* A topic that has rows. */
struct topic {
    const char *name;
    bool stopped; /* no more of it in this run */
    char reason[REASON_BYTES];
};

struct drain {
    const struct ferry_config *config;
    struct ferry_spool_file *file;
    struct ferry_producer *producer; /* NULL: given up */
    struct ferry_arena arena;        /* lives as long as the drain */
    struct topic *topics;
    size_t topic_count;
    int64_t timeout_ms;
    int64_t total;
    int64_t drained;
    int64_t set_aside;
    int64_t behind; /* the sequence number that was looked at last */
    bool gave_up;
    struct ferry_progress progress;
    atomic_llong reported; /* on the producer's thread */
    struct slot slots[CHUNK];
};

/* ---- reports; on the producer's thread ---- */

static void take_report(void *context, const struct ferry_report *report)
{
    struct drain *drain = context;
    struct slot *slot = report->tag;
    slot->code = report->code;
    slot->possibly_persisted = report->possibly_persisted;
    snprintf(slot->reason, sizeof slot->reason, "%s", report->reason != NULL ? report->reason : "");
    atomic_fetch_add(&drain->reported, 1);
}

/* ---- topics ---- */

static void stop_topic(struct topic *topic, const char *reason)
{
    if (topic->stopped)
        return;
    topic->stopped = true;
    snprintf(topic->reason, sizeof topic->reason, "%s", reason);
}

static size_t find_topic(const struct drain *drain, struct ferry_slice name)
{
    size_t i = 0;
    while (i + 1 < drain->topic_count && !ferry_slice_is(name, drain->topics[i].name))
        i++;
    return i;
}

static enum ferry_code list_topics(struct drain *drain, struct ferry_error *error)
{
    struct ferry_spool_topic *found;
    size_t count;
    enum ferry_code code = ferry_spool_file_topics(drain->file, &drain->arena, &found, &count, error);
    if (code != FERRY_OK)
        return code;
    drain->topics = ferry_arena_new_array(&drain->arena, count, sizeof *drain->topics);
    if (drain->topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        drain->topics[i].name = found[i].topic.ptr; /* ends in NUL, as all that is copied into an arena */
        drain->total += (int64_t)found[i].rows;
    }
    drain->topic_count = count;
    return FERRY_OK;
}

static void judge_topics(struct drain *drain, const struct ferry_topic_result *results)
{
    for (size_t i = 0; i < drain->topic_count; i++)
        if (results[i].state == FERRY_TOPIC_MISSING)
            stop_topic(&drain->topics[i], "the topic is missing, and topics.create is never");
        else if (results[i].state == FERRY_TOPIC_DENIED || results[i].state == FERRY_TOPIC_FAILED)
            stop_topic(&drain->topics[i], results[i].reason);
}

/* Makes those that are missing, as the bridge would; waits for a broker until the time is over. */
static enum ferry_code make_topics(struct drain *drain, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    const char **names = ferry_arena_new_array(&arena, drain->topic_count, sizeof *names);
    struct ferry_topic_result *results = ferry_arena_new_array(&arena, drain->topic_count, sizeof *results);
    if (names == NULL || results == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < drain->topic_count; i++)
        names[i] = drain->topics[i].name;
    const struct ferry_topic_list list = {names, drain->topic_count};
    bool make = drain->config->topics.create != FERRY_CREATE_NEVER;
    int64_t until_ms = ferry_clock_mono_ms() + drain->timeout_ms;
    enum ferry_code code;
    do {
        code = (make ? ferry_admin_create : ferry_admin_look)(drain->config, drain->config->bridge.kafka, list, LOOK_MS,
                                                              results, error);
    } while (code == FERRY_KAFKA && ferry_clock_mono_ms() < until_ms && !ferry_console_interrupted());
    if (code == FERRY_OK)
        judge_topics(drain, results);
    return code;
}

/* ---- what is on disk ---- */

static enum ferry_code commit(struct drain *drain, bool good, struct ferry_error *error)
{
    int64_t change;
    if (good && ferry_spool_file_commit(drain->file, &change))
        return FERRY_OK;
    struct ferry_error words;
    ferry_spool_file_roll_back(drain->file, &words);
    return ferry_fail(error, FERRY_SYSTEM, "the spool cannot be written: %s", words.text);
}

static enum ferry_code set_damaged_aside(struct drain *drain, const int64_t *damaged, size_t count,
                                         struct ferry_error *error)
{
    if (count == 0)
        return FERRY_OK;
    bool good = ferry_spool_file_begin(drain->file);
    for (size_t i = 0; good && i < count; i++) {
        ferry_progress_end(&drain->progress);
        fprintf(stderr, "ferry: row %" PRId64 " is damaged and set aside: its checksum does not match\n", damaged[i]);
        good = ferry_spool_file_set_aside(drain->file, damaged[i], "damaged: the checksum does not match");
    }
    enum ferry_code code = commit(drain, good, error);
    if (code == FERRY_OK)
        drain->set_aside += (int64_t)count;
    return code;
}

static enum ferry_code mark_handed(struct drain *drain, size_t count, struct ferry_error *error)
{
    bool good = ferry_spool_file_begin(drain->file);
    for (size_t i = 0; good && i < count; i++)
        if (!drain->slots[i].row->handed)
            good = ferry_spool_file_mark(drain->file, drain->slots[i].row->sequence, true);
    return commit(drain, good, error);
}

static bool settle_slot(struct drain *drain, struct slot *slot)
{
    int64_t sequence = slot->row->sequence;
    if (slot->code == FERRY_OK) {
        drain->drained++;
        return ferry_spool_file_delete(drain->file, sequence);
    }
    if (slot->code == FERRY_RECORD_TOO_LARGE) {
        drain->set_aside++;
        ferry_progress_end(&drain->progress);
        fprintf(stderr, "ferry: row %" PRId64 " is set aside: %s\n", sequence, slot->reason);
        return ferry_spool_file_set_aside(drain->file, sequence, slot->reason);
    }
    stop_topic(&drain->topics[slot->topic], drain->gave_up ? "Kafka did not take it" : slot->reason);
    return slot->possibly_persisted || slot->row->handed || ferry_spool_file_mark(drain->file, sequence, false);
}

static enum ferry_code settle(struct drain *drain, size_t count, struct ferry_error *error)
{
    bool good = ferry_spool_file_begin(drain->file);
    for (size_t i = 0; good && i < count; i++)
        good = settle_slot(drain, &drain->slots[i]);
    return commit(drain, good, error);
}

/* ---- producing ---- */

static bool must_stop(const struct drain *drain, int64_t quiet_since_ms)
{
    return ferry_console_interrupted() || ferry_clock_mono_ms() - quiet_since_ms > drain->timeout_ms ||
           ferry_producer_broken(drain->producer);
}

/* Until everything that was handed over is reported; what Kafka does not take in time is taken back. */
static void wait_for_reports(struct drain *drain)
{
    long long reported = atomic_load(&drain->reported);
    int64_t quiet_since_ms = ferry_clock_mono_ms();
    while (ferry_producer_flush(drain->producer, FLUSH_MS) != FERRY_OK && !must_stop(drain, quiet_since_ms)) {
        long long now = atomic_load(&drain->reported);
        if (now > reported)
            quiet_since_ms = ferry_clock_mono_ms();
        reported = now;
        ferry_progress_show(&drain->progress, now);
    }
    drain->gave_up |= ferry_producer_in_flight(drain->producer) > 0;
    if (drain->gave_up) {
        ferry_producer_close(drain->producer); /* each that is left gets its report now */
        drain->producer = NULL;
    }
    ferry_progress_show(&drain->progress, atomic_load(&drain->reported));
}

static void send_slot(struct drain *drain, struct slot *slot)
{
    struct ferry_error error = {.text = ""};
    int64_t began_ms = ferry_clock_mono_ms();
    while ((slot->code = ferry_producer_send(drain->producer, &slot->row->record, slot, &error)) == FERRY_QUEUE_FULL)
        if (ferry_producer_flush(drain->producer, FLUSH_MS) != FERRY_OK && must_stop(drain, began_ms))
            break;
    if (slot->code == FERRY_OK)
        return;
    snprintf(slot->reason, sizeof slot->reason, "%s", error.text);
    if (slot->code != FERRY_RECORD_TOO_LARGE)
        stop_topic(&drain->topics[slot->topic], error.text);
}

/* What stands behind a row that was refused is not sent: it keeps its place. */
static void send_all(struct drain *drain, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &drain->slots[i];
        if (!drain->topics[slot->topic].stopped)
            send_slot(drain, slot);
        else
            slot->code = FERRY_STOPPING;
    }
    wait_for_reports(drain);
}

/* Kafka says "too large" of a whole batch, which one large row spoils for the others: of which it is true shows when
 * each is sent alone. */
static void send_refused_alone(struct drain *drain, size_t count)
{
    for (size_t i = 0; count > 1 && i < count; i++) {
        struct slot *slot = &drain->slots[i];
        if (slot->code != FERRY_RECORD_TOO_LARGE)
            continue;
        slot->code = FERRY_STOPPING;
        snprintf(slot->reason, sizeof slot->reason, "interrupted");
        if (drain->gave_up || ferry_console_interrupted() || drain->topics[slot->topic].stopped)
            continue;
        send_slot(drain, slot);
        wait_for_reports(drain);
    }
}

/* ---- a chunk ---- */

/* The rows of topics that go on, each in a slot. */
static size_t fill_slots(struct drain *drain, struct ferry_spool_row *rows, size_t count, struct ferry_arena *arena)
{
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        size_t topic = find_topic(drain, rows[i].record.topic);
        if (drain->topics[topic].stopped)
            continue;
        if (rows[i].handed && !ferry_record_mark_maybe_duplicate(&rows[i].record, arena)) {
            stop_topic(&drain->topics[topic], "out of memory");
            continue;
        }
        drain->slots[filled++] = (struct slot){.row = &rows[i], .topic = topic};
    }
    return filled;
}

/* `*more` false: there was nothing behind. */
static enum ferry_code drain_chunk(struct drain *drain, bool *more, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_row *rows;
    size_t count, damaged_count;
    int64_t damaged[CHUNK];
    enum ferry_code code = ferry_spool_file_read_behind(drain->file, drain->behind, CHUNK, &arena, &rows, &count,
                                                        damaged, &damaged_count, error);
    if (code != FERRY_OK)
        return code;
    *more = count + damaged_count > 0;
    if (count > 0)
        drain->behind = rows[count - 1].sequence;
    if (damaged_count > 0 && damaged[damaged_count - 1] > drain->behind)
        drain->behind = damaged[damaged_count - 1];
    code = set_damaged_aside(drain, damaged, damaged_count, error);
    size_t filled = fill_slots(drain, rows, count, &arena);
    if (code != FERRY_OK || filled == 0)
        return code;
    code = mark_handed(drain, filled, error);
    if (code != FERRY_OK)
        return code;
    send_all(drain, filled);
    send_refused_alone(drain, filled);
    return settle(drain, filled, error);
}

static enum ferry_code drain_all(struct drain *drain, struct ferry_error *error)
{
    const struct ferry_producer_listener listener = {drain, take_report, NULL};
    enum ferry_code code = make_topics(drain, error);
    if (code == FERRY_OK)
        code = ferry_producer_open(drain->config->kafka, drain->config->bridge.kafka, &listener, NULL, &drain->producer,
                                   error);
    for (bool more = true; code == FERRY_OK && more && !drain->gave_up && !ferry_console_interrupted();)
        code = drain_chunk(drain, &more, error);
    if (drain->producer != NULL)
        ferry_producer_close(drain->producer);
    ferry_progress_end(&drain->progress);
    return code;
}

/* ---- what is told ---- */

static void print_summary(const struct drain *drain, int64_t left, bool json)
{
    if (json)
        printf("{\"drained\": %" PRId64 ", \"set_aside\": %" PRId64 ", \"left\": %" PRId64 "}\n", drain->drained,
               drain->set_aside, left);
    else
        printf("%" PRId64 " events brought to Kafka, %" PRId64 " set aside, %" PRId64 " left in the spool\n",
               drain->drained, drain->set_aside, left);
    for (size_t i = 0; i < drain->topic_count; i++)
        if (drain->topics[i].stopped)
            fprintf(stderr, "ferry: %s: %s\n", drain->topics[i].name, drain->topics[i].reason);
}

/* What was drained is in Kafka whether or not the journal can be written. */
static void note(const struct ferry_spool_request *request, const struct drain *drain)
{
    char run[FERRY_RUN_ID];
    struct ferry_operations *journal = NULL;
    struct ferry_error error;
    if (drain->drained + drain->set_aside == 0)
        return;
    ferry_run_id_new(run);
    const struct ferry_operation operation = {.command = "spool drain",
                                              .arguments = request->arguments,
                                              .argument_count = request->argument_count,
                                              .run = run};
    enum ferry_code code = ferry_operations_open(drain->config, &operation, &journal, &error);
    if (code == FERRY_OK)
        code = ferry_operations_note(journal, ferry_console_interrupted() ? "stopped" : "done", drain->drained,
                                     (struct ferry_slice){NULL, 0}, &error);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry: drained, but this is not in the journal: %s\n", error.text);
    ferry_operations_close(journal);
}

static int run(const struct ferry_spool_request *request, struct drain *drain)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code = list_topics(drain, &error);
    drain->progress = (struct ferry_progress){.what = "draining", .total = drain->total};
    if (code == FERRY_OK && drain->total > 0 && !request->dry_run)
        code = drain_all(drain, &error);
    int64_t left = ferry_spool_file_rows(drain->file);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry: %s\n", error.text);
    if (request->dry_run && code == FERRY_OK) {
        printf(request->json ? "{\"would_drain\": %" PRId64 "}\n" : "%" PRId64 " events would be brought to Kafka\n",
               left);
        return FERRY_EXIT_DONE;
    }
    print_summary(drain, left, request->json);
    if (ferry_console_interrupted())
        fputs("ferry: stopped; run it again to go on\n", stderr);
    else if (drain->gave_up || code == FERRY_KAFKA)
        fprintf(stderr, "ferry: Kafka took nothing for %" PRId64 " s; nothing is lost, run it again\n",
                drain->timeout_ms / 1000);
    if (ferry_console_interrupted() || !drain->gave_up)
        note(request, drain);
    return code == FERRY_OK && left == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static bool has_spool(const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/spool.db", directory);
    return access(path, F_OK) == 0;
}

int ferry_spool_drain(const struct ferry_spool_request *request, const struct ferry_config *config)
{
    struct ferry_error error;
    if (!has_spool(request->directory)) {
        fprintf(stderr, "ferry: there is no spool in %s: nothing to drain\n", request->directory);
        return FERRY_EXIT_DONE;
    }
    struct drain *drain = calloc(1, sizeof *drain);
    if (drain == NULL) {
        fputs("ferry: out of memory\n", stderr);
        return FERRY_EXIT_FAILED;
    }
    drain->config = config;
    drain->timeout_ms = request->timeout_ms;
    ferry_console_catch();
    int code = FERRY_EXIT_FAILED;
    if (ferry_spool_file_open(request->directory, &drain->file, &error) == FERRY_OK)
        code = run(request, drain);
    else
        fprintf(stderr, "ferry: %s\n", error.text);
    ferry_spool_file_close(drain->file);
    ferry_arena_done(&drain->arena);
    free(drain);
    return code;
}
