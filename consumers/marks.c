/* The marks of "once", across restarts and rebalances (docs/decisions/once.md).
 *
 * An effect's mark is written to `<internal>.<worker>.effects`, at the number of the input's partition, and its record
 * is settled after the report. Whoever is assigned a partition therefore finds, in the effects partition of that
 * number, the mark of every effect that a former owner had. They are read from the beginning, or from where this
 * process has read them before, to their present end while the records of the partition are taken in already, and
 * nothing of it begins before that. Nor before everything is known that stands in the retry topic (follow.c). The same
 * is done for the entries of the retry topic, whose marks lie at their origin's number, each time that some are due:
 * meanwhile the owner of the origin's partition may have had the effect.
 *
 * Mail and automation write an intent before the call. An intent without a mark behind it is a call that a worker died
 * in: in doubt. What is known not to have taken effect is taken back by a record without a value.
 *
 * Keys that cross partitions (`once_per`, `topics.key` other than resource) have their marks at a number that follows
 * from the key, beside the claims of the processes that are at them; prove.c. */
#include <stdlib.h>
#include <unistd.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/log.h"

enum {
    LOOK_MS = 5000,
    AGAIN_MS = 1000, /* after a broker that did not answer */
    POLL_MS = 200,
    FOLLOW_MS = 50
};

/* Of the effects topic, kept between the batches; one thread at a time uses it. */
struct ferry_marks_reader {
    pthread_mutex_t lock; /* taken before the engine's */
    struct ferry_consumer *reader;
    int64_t *positions; /* by partition: where to go on; -1: at the beginning */
    int32_t width;
    size_t marks; /* read so far */
};

/* The partitions that were assigned since the last batch. */
struct batch {
    unsigned number;
    bool *wanted; /* by effects partition */
    int32_t width;
};

/* ---- how wide the topic is ---- */

int32_t ferry_engine_look_at_width(struct ferry_engine *engine, const struct ferry_config *config, const char *topic)
{
    struct ferry_topic_result result = {0};
    struct ferry_error error = {0};
    enum ferry_code code = ferry_admin_look(config, engine->channel->worker(config)->kafka,
                                            (struct ferry_topic_list){&topic, 1}, LOOK_MS, &result, &error);
    if (code != FERRY_OK)
        return -1;
    if (result.state == FERRY_TOPIC_MISSING || result.state == FERRY_TOPIC_DENIED)
        return 0;
    return result.state == FERRY_TOPIC_EXISTS && result.partitions > 0 ? result.partitions : -1; /* it is being made */
}

/* The width, or 0 without the topic; waits for a broker. */
static int32_t find_width(struct ferry_engine *engine, const struct ferry_config *config)
{
    int32_t width;
    while ((width = ferry_engine_look_at_width(engine, config, engine->effects_topic)) < 0 &&
           !ferry_engine_is_stopping(engine))
        usleep(AGAIN_MS * 1000);
    ferry_engine_lock(engine);
    bool lost = width <= 0 && (engine->effects_width > 0 || engine->restore_batch == 1);
    engine->effects_width = width > 0 ? width : 0;
    ferry_engine_unlock(engine);
    if (lost && width == 0)
        ferry_log(FERRY_LOG_WARN, "without the effects topic what took effect is known only while this process lives",
                  FERRY_FIELDS(ferry_text("topic", engine->effects_topic)));
    return width > 0 ? width : 0;
}

/* ---- reading ---- */

enum ferry_code ferry_marks_open(struct ferry_engine *engine)
{
    engine->marks = calloc(1, sizeof *engine->marks);
    if (engine->marks == NULL)
        return FERRY_MEMORY;
    pthread_mutex_init(&engine->marks->lock, NULL);
    return FERRY_OK;
}

void ferry_marks_close(struct ferry_engine *engine)
{
    if (engine->marks == NULL)
        return;
    ferry_consumer_close(engine->marks->reader);
    pthread_mutex_destroy(&engine->marks->lock);
    free(engine->marks->positions);
    free(engine->marks);
    engine->marks = NULL;
}

void ferry_engine_learn_mark(struct ferry_engine *engine, const struct ferry_once_key *key, int64_t when_ms,
                             bool doubtful)
{
    ferry_claims_read_mark(engine->claims, key, when_ms, doubtful);
    if (doubtful)
        ferry_once_restore_doubt(engine->once, key, when_ms);
    else
        ferry_once_restore(engine->once, key, when_ms);
}

/* What another version says of an effect is as good as an intent: the effect may have been had, and it may not. */
static bool is_understood(const struct ferry_record *record)
{
    struct ferry_slice version = ferry_record_header(record, "ferry-version");
    return (version.ptr == NULL || ferry_slice_is(version, FERRY_MARK_VERSION)) &&
           (ferry_slice_is(record->value, FERRY_MARK_DONE) || ferry_slice_is(record->value, FERRY_MARK_DOUBT));
}

static void restore_mark(struct ferry_engine *engine, const struct ferry_record *record)
{
    struct ferry_once_key key;
    int64_t when_ms = record->timestamp_ms > 0 ? record->timestamp_ms : ferry_clock_wall_ms();
    memcpy(key.bytes, record->key.ptr, sizeof key.bytes);
    if (record->value.ptr == NULL)
        ferry_once_restore_void(engine->once, &key);
    else if (is_understood(record))
        ferry_engine_learn_mark(engine, &key, when_ms, ferry_slice_is(record->value, FERRY_MARK_DOUBT));
    else
        ferry_once_restore_intent(engine->once, &key, when_ms);
}

/* Claims have longer keys, which ferry_claim_read looks at. */
static void restore(struct ferry_engine *engine, const struct ferry_record *record)
{
    ferry_engine_lock(engine);
    if (record->key.len == sizeof(struct ferry_once_key))
        restore_mark(engine, record);
    else
        ferry_claim_read(engine, record);
    ferry_engine_unlock(engine);
}

static bool widen(struct ferry_marks_reader *marks, int32_t width)
{
    if (width <= marks->width)
        return true;
    int64_t *positions = realloc(marks->positions, (size_t)width * sizeof *positions);
    if (positions == NULL)
        return false;
    for (int32_t i = marks->width; i < width; i++)
        positions[i] = -1;
    marks->positions = positions;
    marks->width = width;
    return true;
}

/* Opens the reader, or moves it, to where the wanted partitions were left. */
static enum ferry_code begin(struct ferry_engine *engine, const struct ferry_config *config, const bool *wanted,
                             int32_t width, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_marks_reader *marks = engine->marks;
    struct ferry_partition *places = ferry_arena_new_array(&arena, (size_t)width, sizeof *places);
    size_t count = 0;
    if (places == NULL || !widen(marks, width))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (int32_t i = 0; i < width; i++)
        if (wanted == NULL || wanted[i])
            places[count++] = (struct ferry_partition){engine->effects_topic, i, marks->positions[i]};
    if (marks->reader != NULL)
        return ferry_reader_move(marks->reader, places, count, error);
    const struct ferry_property more[] = {{.name = "fetch.wait.max.ms", .value = "10"}, {0}}; /* short visits */
    return ferry_reader_open_at(ferry_engine_properties(engine, config, more, &arena), places, count, &marks->reader,
                                error);
}

static void read_to_end(struct ferry_engine *engine)
{
    struct ferry_marks_reader *marks = engine->marks;
    while (!ferry_reader_ended(marks->reader) && !ferry_engine_is_stopping(engine)) {
        struct ferry_fetched *fetched = ferry_consumer_poll(marks->reader, POLL_MS);
        if (fetched == NULL)
            continue;
        restore(engine, &fetched->record);
        ferry_fetched_free(fetched);
        marks->marks++;
    }
    for (int32_t i = 0; i < marks->width; i++) {
        int64_t position = ferry_reader_position(marks->reader, engine->effects_topic, i);
        if (position >= 0)
            marks->positions[i] = position;
    }
}

bool ferry_marks_catch_up(struct ferry_engine *engine, const struct ferry_config *config, const bool *wanted,
                          int32_t width)
{
    struct ferry_error error = {0};
    pthread_mutex_lock(&engine->marks->lock);
    enum ferry_code code = begin(engine, config, wanted, width, &error);
    if (code == FERRY_OK) {
        read_to_end(engine);
        code = ferry_reader_move(engine->marks->reader, NULL, 0, &error); /* rests */
    }
    pthread_mutex_unlock(&engine->marks->lock);
    if (code != FERRY_OK)
        ferry_log(FERRY_LOG_WARN, "the marks cannot be read", FERRY_FIELDS(ferry_text("reason", error.text)));
    return code == FERRY_OK;
}

/* ---- batches ---- */

/* What has to be restored becomes a batch; false when there is nothing. The lock is held. */
static bool collect(struct ferry_engine *engine, struct batch *batch)
{
    bool any = false;
    for (size_t i = 0; i < engine->partition_count; i++)
        any |= engine->partitions[i]->restoring && !engine->partitions[i]->gone;
    if (!any)
        return false;
    *batch = (struct batch){.number = ++engine->restore_batch};
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restoring)
            engine->partitions[i]->restore_batch = batch->number;
    return true;
}

/* The marks of a retry partition's entries lie at their origins' numbers: at its own, where both topics are equally
 * wide, else anywhere. */
static void want(const struct ferry_engine *engine, const struct ferry_held_partition *partition, struct batch *batch)
{
    if (!partition->retry || engine->retry_width == batch->width)
        batch->wanted[partition->number % batch->width] = true;
    else
        memset(batch->wanted, true, (size_t)batch->width);
}

static bool want_partitions(struct ferry_engine *engine, struct batch *batch)
{
    batch->wanted = calloc((size_t)batch->width, sizeof *batch->wanted);
    if (batch->wanted == NULL)
        return false;
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restore_batch == batch->number)
            want(engine, engine->partitions[i], batch);
    ferry_engine_unlock(engine);
    return true;
}

static void release(struct ferry_engine *engine, const struct batch *batch)
{
    ferry_engine_lock(engine);
    for (size_t i = 0; i < engine->partition_count; i++)
        if (engine->partitions[i]->restoring && engine->partitions[i]->restore_batch == batch->number)
            ferry_tasks_release(engine, engine->partitions[i]);
    ferry_engine_unlock(engine);
}

/* First the retry topic: the marks of what it calls done are written by then. False: try again. */
static bool read_batch(struct ferry_engine *engine, struct ferry_follower *follower, const struct ferry_config *config,
                       struct batch *batch)
{
    if (!ferry_follower_catch_up(follower, config))
        return false;
    batch->width = find_width(engine, config);
    if (batch->width == 0)
        return true;
    return want_partitions(engine, batch) && ferry_marks_catch_up(engine, config, batch->wanted, batch->width);
}

static void restore_batch(struct ferry_engine *engine, struct ferry_follower *follower, struct batch *batch)
{
    int64_t began_ms = ferry_clock_mono_ms();
    size_t marks_before = engine->marks->marks;
    struct ferry_generation *generation = ferry_engine_take_generation(engine);
    bool good = read_batch(engine, follower, generation->config, batch);
    ferry_engine_drop_generation(engine, generation);
    free(batch->wanted);
    if (!good) {
        usleep(AGAIN_MS * 1000);
        return; /* they are collected again */
    }
    if (!ferry_engine_is_stopping(engine))
        release(engine, batch);
    ferry_log(FERRY_LOG_INFO, "marks read back",
              FERRY_FIELDS(ferry_number("marks", (int64_t)(engine->marks->marks - marks_before)),
                           ferry_number("ms", ferry_clock_mono_ms() - began_ms)));
}

/* ---- the thread ---- */

/* Without a retry topic it is looked for now and then: somebody may have made it. */
static void look_again(struct ferry_engine *engine, struct ferry_follower *follower)
{
    if (engine->restore_batch == 0 || ferry_clock_mono_ms() < follower->look_ms)
        return;
    struct ferry_generation *generation = ferry_engine_take_generation(engine);
    if (!ferry_follower_catch_up(follower, generation->config))
        follower->look_ms = ferry_clock_mono_ms() + AGAIN_MS;
    ferry_engine_drop_generation(engine, generation);
}

/* Waits for partitions that have to be restored, and follows the retry topic meanwhile. */
static bool next_batch(struct ferry_engine *engine, struct ferry_follower *follower, struct batch *batch)
{
    if (follower->reader != NULL)
        ferry_follower_poll(follower, FOLLOW_MS);
    else
        look_again(engine, follower);
    ferry_engine_lock(engine);
    bool found = collect(engine, batch);
    if (!found && follower->reader == NULL && !engine->stopping)
        ferry_engine_sleep(engine, &engine->restore, ferry_clock_mono_ms() + AGAIN_MS);
    ferry_engine_unlock(engine);
    return found;
}

void *ferry_restorer_run(void *context)
{
    struct ferry_engine *engine = context;
    struct ferry_follower follower = {.engine = engine};
    struct batch batch;
    while (!ferry_engine_is_stopping(engine))
        if (next_batch(engine, &follower, &batch))
            restore_batch(engine, &follower, &batch);
    ferry_follower_close(&follower);
    return NULL;
}
