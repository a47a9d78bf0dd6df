/* The retriever: what is due in the retry topic becomes tasks again.
 *
 * Of the partitions that are ours it takes the heads that are due, up to a round of them; reads the marks that their
 * effects may have got meanwhile; fetches their records, each partition in the order of its offsets; and gives them to
 * the evaluators as tasks. From there on an entry is like any record, but for how it ends (requeue.c). Only
 * FERRY_RETRIEVED are in hand at the same time: those that wait are rows of the index, not records. */
#include <stdlib.h>
#include <unistd.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    ROUND = 64,
    LONGEST_SLEEP_MS = 1000,
    AGAIN_MS = 1000, /* after a broker that did not answer */
    POLL_MS = 100,
    PATIENCE_MS = 10000, /* for one record … */
    REST_MS = 10000,     /* … then its partition is left alone for so long */
    FAR = 1000           /* records that are read over rather than jumped over */
};

struct retriever {
    struct ferry_engine *engine;
    struct ferry_consumer *reader; /* NULL: not open */
    uint64_t serial;               /* of deliveries; apart from the poller's */
    struct ferry_retry_row *rows[ROUND];
    size_t count;
};

/* ---- what is due ---- */

/* The lock is held. Returns when the next one is due (wall clock). */
static int64_t pick_from(struct retriever *retriever, const struct ferry_held_partition *partition, int64_t now_ms)
{
    struct ferry_engine *engine = retriever->engine;
    while (retriever->count < ROUND && engine->retrieved + retriever->count < FERRY_RETRIEVED) {
        struct ferry_retry_row *row = ferry_retry_index_take(engine->retries, partition->number, now_ms);
        if (row == NULL)
            return ferry_retry_index_next_due(engine->retries, partition->number);
        retriever->rows[retriever->count++] = row;
    }
    return INT64_MAX; /* whatever ends wakes us */
}

static int64_t pick(struct retriever *retriever)
{
    struct ferry_engine *engine = retriever->engine;
    int64_t now_ms = ferry_clock_wall_ms(), next_ms = INT64_MAX;
    for (size_t i = 0; i < engine->partition_count; i++) {
        const struct ferry_held_partition *partition = engine->partitions[i];
        if (!partition->retry || !ferry_partition_may_begin(partition))
            continue;
        int64_t due_ms = partition->rests_until_ms > ferry_clock_mono_ms() ? now_ms + LONGEST_SLEEP_MS
                                                                           : pick_from(retriever, partition, now_ms);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    return next_ms;
}

static void sleep_until(struct ferry_engine *engine, int64_t wall_ms)
{
    int64_t delay_ms = wall_ms - ferry_clock_wall_ms();
    delay_ms = delay_ms > LONGEST_SLEEP_MS ? LONGEST_SLEEP_MS : delay_ms > 1 ? delay_ms : 1;
    ferry_engine_sleep(engine, &engine->retrieve, ferry_clock_mono_ms() + delay_ms);
}

static int by_place(const void *a, const void *b)
{
    const struct ferry_retry_row *first = *(struct ferry_retry_row *const *)a;
    const struct ferry_retry_row *second = *(struct ferry_retry_row *const *)b;
    if (first->partition != second->partition)
        return first->partition < second->partition ? -1 : 1;
    return (first->offset > second->offset) - (first->offset < second->offset);
}

/* Waits for a round; false when the worker ends. */
static bool next_round(struct retriever *retriever)
{
    struct ferry_engine *engine = retriever->engine;
    retriever->count = 0;
    ferry_engine_lock(engine);
    for (int64_t next_ms; !engine->stopping && (next_ms = pick(retriever), retriever->count == 0);)
        sleep_until(engine, next_ms);
    bool stopping = engine->stopping;
    ferry_engine_unlock(engine);
    qsort(retriever->rows, retriever->count, sizeof(struct ferry_retry_row *), by_place);
    return !stopping;
}

/* ---- what is known of their effects ---- */

static bool learn_effects(struct retriever *retriever, const struct ferry_config *config)
{
    struct ferry_engine *engine = retriever->engine;
    ferry_engine_lock(engine);
    int32_t width = engine->effects_width;
    ferry_engine_unlock(engine);
    if (width == 0)
        return true;
    bool *wanted = calloc((size_t)width, sizeof *wanted);
    if (wanted == NULL)
        return false;
    for (size_t i = 0; i < retriever->count; i++)
        wanted[retriever->rows[i]->origin_partition % width] = true;
    bool good = ferry_marks_catch_up(engine, config, wanted, width);
    free(wanted);
    return good && !ferry_engine_is_stopping(engine); /* then they were perhaps not read to the end */
}

/* ---- their records ---- */

/* Small fetches that do not wait: most of what lies behind the record is not wanted. */
static bool go_to(struct retriever *retriever, const struct ferry_config *config, const struct ferry_retry_row *row)
{
    static const struct ferry_property more[] = {{.name = "fetch.wait.max.ms", .value = "10"},
                                                 {.name = "queued.max.messages.kbytes", .value = "2048"},
                                                 {.name = "fetch.message.max.bytes", .value = "262144"},
                                                 {0}};
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_engine *engine = retriever->engine;
    const struct ferry_partition place = {engine->retry_topic, row->partition, row->offset};
    struct ferry_error error = {0};
    enum ferry_code code = retriever->reader != NULL
                               ? ferry_reader_move(retriever->reader, &place, 1, &error)
                               : ferry_reader_open_at(ferry_engine_properties(engine, config, more, &arena), &place, 1,
                                                      &retriever->reader, &error);
    if (code != FERRY_OK)
        ferry_log(FERRY_LOG_WARN, "the retry topic cannot be read", FERRY_FIELDS(ferry_text("reason", error.text)));
    return code == FERRY_OK;
}

/* FERRY_OK: `*out` is the record at the row's place, or NULL: it is not there any more. FERRY_KAFKA: not known. */
static enum ferry_code fetch(struct retriever *retriever, const struct ferry_retry_row *row, struct ferry_fetched **out)
{
    const char *topic = retriever->engine->retry_topic;
    int64_t until_ms = ferry_clock_mono_ms() + PATIENCE_MS;
    *out = NULL;
    while (ferry_reader_position(retriever->reader, topic, row->partition) <= row->offset) {
        struct ferry_fetched *fetched = ferry_consumer_poll(retriever->reader, POLL_MS);
        if (fetched != NULL && fetched->record.partition == row->partition && fetched->record.offset == row->offset) {
            *out = fetched;
            return FERRY_OK;
        }
        ferry_fetched_free(fetched);
        if (ferry_engine_is_stopping(retriever->engine))
            return FERRY_KAFKA;
        if (ferry_clock_mono_ms() > until_ms) {
            ferry_log(FERRY_LOG_WARN, "a record of the retry topic does not come",
                      FERRY_FIELDS(ferry_number("partition", row->partition), ferry_number("offset", row->offset)));
            return FERRY_KAFKA;
        }
    }
    return FERRY_OK;
}

/* ---- tasks ---- */

/* The record becomes its original again, at its original place. Its own headers stay where they were, behind. */
static bool unwrap(struct ferry_fetched *fetched, const struct ferry_retry_row *row, struct ferry_retry_note *note)
{
    struct ferry_record *record = &fetched->record;
    if (ferry_retry_read(record, note, NULL) != FERRY_OK || note->kind != FERRY_RETRY_ENTRY ||
        note->origin.offset != row->origin_offset || !ferry_slice_is(note->route, row->route))
        return false;
    *record = ferry_retry_original(record);
    record->topic = note->origin.topic;
    record->partition = note->origin.partition;
    record->offset = note->origin.offset;
    return true;
}

static bool add_task(struct ferry_engine *engine, struct ferry_delivery *delivery, struct ferry_retry_row *row)
{
    struct ferry_held_partition *partition =
        ferry_partition_find(engine, ferry_slice_from(engine->retry_topic), row->partition);
    struct ferry_slot *slot = ferry_engine_slot(engine, row->route);
    if (partition == NULL || !ferry_partition_may_begin(partition) || slot == NULL)
        return false;
    partition->bytes += delivery->bytes;
    partition->records++;
    if (ferry_task_add(engine, partition, delivery, slot, row) == FERRY_OK)
        return true;
    partition->bytes -= delivery->bytes;
    partition->records--;
    return false;
}

/* The record is not in the topic: deleted by its age, or the topic was made anew. Nothing can be done for it. */
static void lose(struct ferry_engine *engine, struct ferry_retry_row *row)
{
    ferry_log(FERRY_LOG_ERROR, "a record that waited is not in the retry topic any more",
              FERRY_FIELDS(ferry_text("route", row->route), ferry_text("origin", row->topic),
                           ferry_number("partition", row->origin_partition),
                           ferry_number("offset", row->origin_offset)));
    ferry_engine_lock(engine);
    ferry_retry_index_lose(engine->retries, row);
    ferry_engine_unlock(engine);
}

/* Takes the record. Fails with FERRY_MEMORY: the row is still the caller's. */
static enum ferry_code begin(struct retriever *retriever, struct ferry_fetched *fetched, struct ferry_retry_row *row)
{
    struct ferry_engine *engine = retriever->engine;
    struct ferry_retry_note note;
    struct ferry_delivery *delivery = NULL;
    bool ours = unwrap(fetched, row, &note);
    if (ours)
        delivery = ferry_delivery_new(fetched, ++retriever->serial);
    if (delivery == NULL) {
        ferry_fetched_free(fetched);
        if (!ours)
            lose(engine, row);
        return ours ? FERRY_MEMORY : FERRY_OK;
    }
    delivery->note = note;
    ferry_engine_lock(engine);
    if (row->settled >= 0 || !add_task(engine, delivery, row)) {
        ferry_delivery_free(delivery);
        ferry_retry_index_put_back(engine->retries, row); /* not ours any more, or done by somebody */
    }
    ferry_engine_unlock(engine);
    return FERRY_OK;
}

/* ---- rounds ---- */

static bool is_near(struct retriever *retriever, const struct ferry_retry_row *row)
{
    if (retriever->reader == NULL)
        return false;
    int64_t position = ferry_reader_position(retriever->reader, retriever->engine->retry_topic, row->partition);
    return position >= 0 && position <= row->offset && row->offset - position < FAR;
}

/* FERRY_KAFKA, FERRY_MEMORY: it cannot be had now. */
static enum ferry_code retrieve_row(struct retriever *retriever, const struct ferry_config *config,
                                    struct ferry_retry_row *row)
{
    struct ferry_fetched *fetched;
    if (!is_near(retriever, row) && !go_to(retriever, config, row))
        return FERRY_KAFKA;
    if (fetch(retriever, row, &fetched) != FERRY_OK)
        return FERRY_KAFKA;
    if (fetched != NULL)
        return begin(retriever, fetched, row);
    lose(retriever->engine, row);
    return FERRY_OK;
}

static void put_back(struct ferry_engine *engine, struct ferry_retry_row *row)
{
    ferry_engine_lock(engine);
    ferry_retry_index_put_back(engine->retries, row);
    ferry_engine_unlock(engine);
}

/* A partition that cannot be read at the moment (it has no leader, or its log was cut) is no matter for the others. */
static void let_rest(struct ferry_engine *engine, int32_t number)
{
    ferry_engine_lock(engine);
    struct ferry_held_partition *partition =
        ferry_partition_find(engine, ferry_slice_from(engine->retry_topic), number);
    if (partition != NULL)
        partition->rests_until_ms = ferry_clock_mono_ms() + REST_MS;
    ferry_engine_unlock(engine);
}

/* The rows stand partition by partition. False: some were put back. */
static bool retrieve_round(struct retriever *retriever, const struct ferry_config *config)
{
    struct ferry_engine *engine = retriever->engine;
    bool learned = learn_effects(retriever, config), all = true;
    int32_t unreadable = -1;
    for (size_t i = 0; i < retriever->count; i++) {
        struct ferry_retry_row *row = retriever->rows[i];
        int32_t number = row->partition;
        enum ferry_code code = FERRY_KAFKA;
        if (learned && number != unreadable && !ferry_engine_is_stopping(engine)) {
            code = retrieve_row(retriever, config, row);
            unreadable = code == FERRY_KAFKA ? number : -1;
        }
        if (code == FERRY_OK)
            continue;
        if (number == unreadable)
            let_rest(engine, number);
        put_back(engine, row);
        all = false;
    }
    return all;
}

static void rest(struct retriever *retriever)
{
    if (retriever->reader != NULL && ferry_reader_move(retriever->reader, NULL, 0, NULL) == FERRY_OK)
        return;
    ferry_consumer_close(retriever->reader);
    retriever->reader = NULL;
}

void *ferry_retriever_run(void *context)
{
    struct ferry_engine *engine = context;
    struct retriever retriever = {.engine = engine, .serial = UINT64_C(1) << 63};
    while (next_round(&retriever)) {
        struct ferry_generation *generation = ferry_engine_take_generation(engine);
        bool all = retrieve_round(&retriever, generation->config);
        ferry_engine_drop_generation(engine, generation);
        rest(&retriever);
        if (!all && !ferry_engine_is_stopping(engine))
            usleep(AGAIN_MS * 1000);
    }
    for (size_t i = 0; i < retriever.count; i++)
        put_back(engine, retriever.rows[i]);
    ferry_consumer_close(retriever.reader);
    return NULL;
}
