/* Reading along the retry topic: every process follows all partitions of it, from where the group stands, so that it
 * knows of each lane whether something of it waits, whoever put it there, and of each effect that another process had
 * for an entry. Which partitions a process owns matters only for who tries what is due. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    ENDS_MS = 5000,
    POLL_MS = 100,
    LOOK_AGAIN_MS = 30000, /* for a topic that was not there */
    TELL_AGAIN_MS = 30000
};

/* Where to begin: where we were, else where the group stands. */
static struct ferry_partition *places_of(struct ferry_engine *engine, int32_t width, struct ferry_arena *arena)
{
    struct ferry_partition *places = ferry_arena_new_array(arena, (size_t)width + 1, sizeof *places);
    if (places == NULL)
        return NULL;
    ferry_engine_lock(engine);
    for (int32_t i = 0; i < width; i++) {
        int64_t position = ferry_retry_index_position(engine->retries, i);
        places[i] = (struct ferry_partition){engine->retry_topic, i, position >= 0 ? position : FERRY_OFFSET_COMMITTED};
    }
    ferry_engine_unlock(engine);
    return places;
}

void ferry_follower_close(struct ferry_follower *follower)
{
    ferry_consumer_close(follower->reader);
    follower->reader = NULL;
    follower->width = 0;
}

static enum ferry_code open_at(struct ferry_follower *follower, const struct ferry_config *config, int32_t width,
                               struct ferry_error *error)
{
    struct ferry_engine *engine = follower->engine;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    const struct ferry_property more[] = {{.name = "group.id", .value = engine->channel->worker(config)->group}, {0}};
    ferry_engine_lock(engine);
    enum ferry_code code = ferry_retry_index_widen(engine->retries, width);
    ferry_engine_unlock(engine);
    const struct ferry_partition *places = places_of(engine, width, &arena);
    if (code != FERRY_OK || places == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    code = ferry_reader_open_at(ferry_engine_properties(engine, config, more, &arena), places, (size_t)width,
                                &follower->reader, error);
    if (code == FERRY_OK)
        follower->width = width;
    return code;
}

static void without_topic(struct ferry_follower *follower)
{
    if (!follower->warned)
        ferry_log(FERRY_LOG_WARN, "without the retry topic what fails for long waits in its lane, in memory",
                  FERRY_FIELDS(ferry_text("topic", follower->engine->retry_topic)));
    follower->warned = true;
    follower->look_ms = ferry_clock_mono_ms() + LOOK_AGAIN_MS;
}

/* Opens the reader where the topic is as wide as it was last seen, or anew. False: not possible now. */
static bool be_open(struct ferry_follower *follower, const struct ferry_config *config)
{
    struct ferry_error error = {0};
    int32_t width = ferry_engine_look_at_width(follower->engine, config, follower->engine->retry_topic);
    if (width < 0)
        return false;
    if (width == 0 && follower->width == 0)
        without_topic(follower);
    if (width <= follower->width)
        return true;
    if (follower->reader != NULL)
        ferry_follower_close(follower);
    enum ferry_code code = open_at(follower, config, width, &error);
    if (code != FERRY_OK)
        ferry_log(FERRY_LOG_WARN, "the retry topic cannot be read", FERRY_FIELDS(ferry_text("reason", error.text)));
    return code == FERRY_OK;
}

/* ---- reading ---- */

/* The owner of the record's partition may be somebody else, and the effect's mark is not in the partitions that he
 * reads. */
static void restore_effect(struct ferry_engine *engine, const struct ferry_retry_note *note, int64_t when_ms)
{
    char hex[33];
    if (note->effect.len != sizeof hex - 1)
        return;
    memcpy(hex, note->effect.ptr, sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    const struct ferry_once_key key = ferry_once_key_parse(hex);
    bool doubtful = ferry_slice_is(note->outcome, ferry_outcome_name(FERRY_OUTCOME_DOUBTFUL));
    ferry_engine_learn_mark(engine, &key, when_ms, doubtful);
}

/* What a newer Ferry has put there may wait in any lane. To pass it over would be to lose it, so this worker stops
 * here: whoever went back to this version goes on with the newer one, or empties the topic with it first
 * (docs/upgrade.md). */
static void refuse_newer(struct ferry_follower *follower, const struct ferry_record *record)
{
    if (ferry_clock_mono_ms() < follower->tell_ms)
        return;
    follower->tell_ms = ferry_clock_mono_ms() + TELL_AGAIN_MS;
    ferry_log(FERRY_LOG_ERROR, "the retry topic holds what a newer version has written; go on with that version",
              FERRY_FIELDS(ferry_text("topic", follower->engine->retry_topic),
                           ferry_number("partition", record->partition), ferry_number("offset", record->offset)));
}

/* False: it is read again, since memory ran out, or this version does not know it. */
static bool take(struct ferry_follower *follower, const struct ferry_record *record)
{
    struct ferry_engine *engine = follower->engine;
    struct ferry_retry_note note;
    if (ferry_retry_is_newer(record)) {
        refuse_newer(follower, record);
        return false;
    }
    if (ferry_retry_read(record, &note, NULL) != FERRY_OK)
        return true; /* not ours; nobody can say which lane it means */
    int64_t when_ms = record->timestamp_ms > 0 ? record->timestamp_ms : ferry_clock_wall_ms();
    ferry_engine_lock(engine);
    enum ferry_code code =
        ferry_retry_index_read(engine->retries, &note, record->key, record->partition, record->offset);
    if (note.kind == FERRY_RETRY_DONE)
        restore_effect(engine, &note, when_ms);
    pthread_cond_signal(&engine->retrieve);
    ferry_engine_unlock(engine);
    return code == FERRY_OK;
}

/* Ends that were reached count too: what lies before them may be gone from the topic, or none of ours. */
static void pass(struct ferry_follower *follower)
{
    struct ferry_engine *engine = follower->engine;
    ferry_engine_lock(engine);
    for (int32_t i = 0; i < follower->width; i++)
        ferry_retry_index_pass(engine->retries, i, ferry_reader_position(follower->reader, engine->retry_topic, i));
    ferry_engine_unlock(engine);
}

void ferry_follower_poll(struct ferry_follower *follower, int timeout_ms)
{
    struct ferry_fetched *fetched = ferry_consumer_poll(follower->reader, timeout_ms);
    if (fetched == NULL) {
        pass(follower);
        return;
    }
    bool taken = take(follower, &fetched->record);
    ferry_fetched_free(fetched);
    if (!taken)
        ferry_follower_close(follower); /* to be opened anew where the index stands */
}

/* ---- the barrier ---- */

static bool has_reached(struct ferry_follower *follower, const struct ferry_partition *ends)
{
    for (int32_t i = 0; i < follower->width; i++)
        if (ferry_reader_position(follower->reader, ends[i].topic, i) < ends[i].offset)
            return false;
    pass(follower);
    return true;
}

static bool read_to_ends(struct ferry_follower *follower)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_engine *engine = follower->engine;
    struct ferry_partition *ends = places_of(engine, follower->width, &arena);
    struct ferry_error error = {0};
    if (ends == NULL)
        return false;
    if (ferry_reader_ends(follower->reader, ends, (size_t)follower->width, ENDS_MS, &error) != FERRY_OK) {
        ferry_log(FERRY_LOG_WARN, "the retry topic cannot be read", FERRY_FIELDS(ferry_text("reason", error.text)));
        return false;
    }
    while (follower->reader != NULL && !has_reached(follower, ends) && !ferry_engine_is_stopping(engine))
        ferry_follower_poll(follower, POLL_MS);
    return follower->reader != NULL && !ferry_engine_is_stopping(engine);
}

bool ferry_follower_catch_up(struct ferry_follower *follower, const struct ferry_config *config)
{
    struct ferry_engine *engine = follower->engine;
    if (!be_open(follower, config))
        return false;
    if (follower->width > 0 && !read_to_ends(follower))
        return false;
    ferry_engine_lock(engine);
    engine->retry_width = follower->width;
    ferry_engine_unlock(engine);
    return true;
}
