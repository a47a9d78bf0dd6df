/* The thread that reads `<internal>.results`: all partitions, in nobody's group, from ten minutes ago. It waits for a
 * broker and for the topic as long as it takes; a bridge without results serves its triggers all the same, and their
 * callers learn no more than that the call was taken. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bridge/triggers/results_inside.h"
#include "core/clock.h"
#include "core/kafka/scan.h"
#include "core/log.h"

enum {
    BACK_MS = 10 * 60 * 1000, /* how far it reads back at its start */
    BROKER_MS = 1500,         /* for each question to a broker: who stops waits so long at most */
    ASK_AGAIN_MS = 5000,      /* after one that was not answered */
    POLL_MS = 200,
    PAUSE_MS = 500,        /* while there is nothing to read from */
    LOOK_AGAIN_MS = 30000, /* for partitions that were added */
    PARTITIONS_MAX = 1024,
    BATCH = 64
};

struct reader {
    struct ferry_results *results;
    struct ferry_scan *scan;
    char topic[256];
    struct ferry_span spans[PARTITIONS_MAX];
    size_t count;
    int64_t look_ms;
    char told[256]; /* the last problem that was logged */
};

static bool is_stopping(const struct reader *reader)
{
    return atomic_load(&reader->results->stop);
}

static void pause_a_while(const struct reader *reader)
{
    const struct timespec step = {.tv_nsec = 50 * 1000000L};
    for (int waited = 0; waited < PAUSE_MS && !is_stopping(reader); waited += 50)
        nanosleep(&step, NULL);
}

/* Once for each new problem: while a broker is away it is asked twice a second. */
static void say(struct reader *reader, const char *problem)
{
    if (problem[0] == '\0' || strcmp(problem, reader->told) == 0)
        return;
    snprintf(reader->told, sizeof reader->told, "%s", problem);
    ferry_log(FERRY_LOG_WARN, "results of triggers cannot be read", FERRY_FIELDS(ferry_text("reason", problem)));
}

/* ---- partitions ---- */

static int count_partitions(struct reader *reader, struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t count;
    if (ferry_scan_topics(reader->scan, BROKER_MS, &topics, &count, error) != FERRY_OK)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i].name, reader->topic) == 0)
            return topics[i].partitions < PARTITIONS_MAX ? topics[i].partitions : PARTITIONS_MAX;
    (void)ferry_fail(error, FERRY_TOPIC_UNKNOWN, "there is no topic %s", reader->topic);
    return 0;
}

/* The new ones begin ten minutes ago, the others go on where they are. */
static enum ferry_code widen(struct reader *reader, size_t count, struct ferry_error *error)
{
    int64_t offsets[PARTITIONS_MAX];
    size_t added = count - reader->count;
    struct ferry_span *fresh = &reader->spans[reader->count];
    for (size_t i = 0; i < added; i++)
        fresh[i] = (struct ferry_span){reader->topic, (int32_t)(reader->count + i), 0, FERRY_SPAN_FOLLOW};
    enum ferry_code code =
        ferry_scan_offsets(reader->scan, fresh, added, ferry_clock_wall_ms() - BACK_MS, BROKER_MS, offsets, error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < added; i++)
        fresh[i].next = offsets[i];
    code = ferry_scan_begin(reader->scan, reader->spans, count, error);
    if (code == FERRY_OK)
        reader->count = count;
    return code;
}

/* Sees to it that all partitions are read. False: there is nothing to read from now. */
static bool be_assigned(struct reader *reader)
{
    struct ferry_error error = {0};
    int64_t now_ms = ferry_clock_mono_ms();
    if (now_ms < reader->look_ms)
        return true;
    int count = count_partitions(reader, &error);
    enum ferry_code code = FERRY_OK;
    if (count > 0 && (size_t)count > reader->count)
        code = widen(reader, (size_t)count, &error);
    bool good = count > 0 && code == FERRY_OK;
    if (!good)
        say(reader, error.text);
    if (good || reader->count > 0)
        reader->look_ms = now_ms + (good ? LOOK_AGAIN_MS : ASK_AGAIN_MS);
    return reader->count > 0;
}

/* ---- reading ---- */

static void take(struct reader *reader, struct ferry_fetched *fetched)
{
    struct ferry_error error = {0};
    enum ferry_code code = ferry_results_learn(reader->results, &fetched->record, ferry_clock_mono_ms(), &error);
    if (code != FERRY_OK)
        ferry_log(FERRY_LOG_DEBUG, "a result was passed over", FERRY_FIELDS(ferry_text("reason", error.text)));
    ferry_fetched_free(fetched);
}

static void read_on(struct reader *reader)
{
    struct ferry_scanned batch[BATCH];
    size_t count = ferry_scan_poll(reader->scan, POLL_MS, batch, BATCH);
    for (size_t i = 0; i < count; i++)
        take(reader, batch[i].fetched);
    say(reader, ferry_scan_problem(reader->scan));
    if (count > 0)
        reader->told[0] = '\0';
}

static bool open_scan(struct reader *reader)
{
    struct ferry_error error = {0};
    const struct ferry_config *config = reader->results->config;
    if (reader->scan == NULL && ferry_scan_open(config->kafka, config->bridge.kafka, &reader->scan, &error) != FERRY_OK)
        say(reader, error.text);
    return reader->scan != NULL;
}

static void *run(void *context)
{
    struct reader *reader = context;
    while (!is_stopping(reader)) {
        if (open_scan(reader) && be_assigned(reader))
            read_on(reader);
        else
            pause_a_while(reader);
    }
    ferry_scan_close(reader->scan);
    free(reader);
    return NULL;
}

/* ---- life ---- */

enum ferry_code ferry_results_start(struct ferry_results *results, const struct ferry_config *config,
                                    struct ferry_error *error)
{
    if (results->reading)
        return FERRY_OK;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    reader->results = results;
    results->config = config;
    snprintf(reader->topic, sizeof reader->topic, "%s.results", config->topics.internal);
    int failed = pthread_create(&results->reader, NULL, run, reader);
    if (failed) {
        free(reader);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    results->reading = true;
    return FERRY_OK;
}

void ferry_results_stop(struct ferry_results *results)
{
    if (results == NULL || !results->reading)
        return;
    atomic_store(&results->stop, true);
    pthread_join(results->reader, NULL);
    results->reading = false;
}
