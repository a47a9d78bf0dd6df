/* Events into Kafka: as the bridge would publish them, with the marks of a back-fill. A chunk is sent and waited for as
 * a whole, so that what the run remembers is true, and the chunk's memory can be used again. */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/kafka/producer.h"
#include "core/record.h"
#include "core/route.h"
#include "ferry/audits.h"

enum { LOOK_MS = 10000, FLUSH_MS = 100, PATIENCE_MS = 60000, TOPICS_MAX = 4096 };

struct ferry_filler {
    const struct ferry_fill *fill;
    struct ferry_topic_set *set;
    struct ferry_producer *producer; /* NULL: given up */
    struct ferry_arena names;        /* of the topics that are there */
    const char **topics;
    size_t topic_count;
    struct ferry_arena arena; /* of a chunk's records */
    /* of the reports; read when all are in */
    size_t too_large;
    struct ferry_error failed;
};

/* ---- reports; on the producer's thread ---- */

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_filler *filler = context;
    if (report->code == FERRY_RECORD_TOO_LARGE)
        filler->too_large++;
    else if (report->code != FERRY_OK && filler->failed.code == FERRY_OK)
        ferry_fail(&filler->failed, report->code, "Kafka: %s", report->reason != NULL ? report->reason : "refused");
}

/* ---- topics ---- */

static bool is_there(const struct ferry_filler *filler, struct ferry_slice topic)
{
    for (size_t i = 0; i < filler->topic_count; i++)
        if (ferry_slice_is(topic, filler->topics[i]))
            return true;
    return false;
}

/* The topics of the first events of their kind are made one by one: nobody wants the catalogue's for a week of one. */
static enum ferry_code make_topic(struct ferry_filler *filler, struct ferry_slice topic, struct ferry_error *error)
{
    const struct ferry_config *config = filler->fill->config;
    if (is_there(filler, topic))
        return FERRY_OK;
    const char *name = ferry_arena_text(&filler->names, topic);
    if (name == NULL || filler->topic_count == TOPICS_MAX)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    const struct ferry_topic_list list = {&name, 1};
    struct ferry_topic_result result = {.state = FERRY_TOPIC_MISSING};
    bool make = config->topics.create != FERRY_CREATE_NEVER;
    enum ferry_code code =
        (make ? ferry_admin_create : ferry_admin_look)(config, config->bridge.kafka, list, LOOK_MS, &result, error);
    if (code != FERRY_OK)
        return code;
    if (result.state == FERRY_TOPIC_MISSING)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "%s: the topic is missing, and topics.create is never", name);
    if (result.state == FERRY_TOPIC_DENIED || result.state == FERRY_TOPIC_FAILED)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "%s: %s", name, result.reason);
    filler->topics[filler->topic_count++] = name;
    return FERRY_OK;
}

/* ---- a chunk ---- */

static enum ferry_code give_up(struct ferry_filler *filler, struct ferry_error *error)
{
    ferry_producer_close(filler->producer); /* each that is left gets its report now */
    filler->producer = NULL;
    return ferry_fail(error, FERRY_KAFKA, "Kafka took nothing for %d s", PATIENCE_MS / 1000);
}

/* Until everything is reported. */
static enum ferry_code await_reports(struct ferry_filler *filler, struct ferry_error *error)
{
    size_t left = ferry_producer_in_flight(filler->producer);
    int64_t quiet_since_ms = ferry_clock_mono_ms();
    while (ferry_producer_flush(filler->producer, FLUSH_MS) != FERRY_OK) {
        size_t now = ferry_producer_in_flight(filler->producer);
        if (now < left)
            quiet_since_ms = ferry_clock_mono_ms();
        left = now;
        if (ferry_clock_mono_ms() - quiet_since_ms > PATIENCE_MS || ferry_producer_broken(filler->producer))
            return give_up(filler, error);
    }
    return FERRY_OK;
}

static void tell_too_large(const struct ferry_event *event, const struct ferry_error *why)
{
    fprintf(stderr, "ferry audits: %.*s of %.*s is left out: %s\n", FERRY_SLICE_ARGS(event->canonical),
            FERRY_SLICE_ARGS(event->time), why->text);
}

static enum ferry_code send(struct ferry_filler *filler, const struct ferry_event *event, bool repeats,
                            struct ferry_error *error)
{
    const struct ferry_config *config = filler->fill->config;
    const struct ferry_record_marks marks = {
        .backfill = true, .effects = filler->fill->effects, .maybe_duplicate = repeats};
    struct ferry_record record;
    enum ferry_code code =
        ferry_route_record(&config->topics, filler->set, event, &marks, &filler->arena, &record, error);
    if (code == FERRY_OK)
        code = make_topic(filler, record.topic, error);
    while (code == FERRY_OK && (code = ferry_producer_send(filler->producer, &record, NULL, error)) == FERRY_QUEUE_FULL)
        code = await_reports(filler, error);
    if (code != FERRY_RECORD_TOO_LARGE)
        return code;
    tell_too_large(event, error);
    filler->too_large++;
    return FERRY_OK;
}

enum ferry_code ferry_filler_publish(struct ferry_filler *filler, const struct ferry_audits_item *items, size_t count,
                                     size_t doubtful, int64_t *too_large, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    ferry_arena_reset(&filler->arena);
    filler->too_large = 0;
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        code = send(filler, &items[i].event, i < doubtful, error);
    struct ferry_error late; /* the values are in the producer's hands until it has said so of each */
    if (filler->producer != NULL) {
        enum ferry_code end = await_reports(filler, code == FERRY_OK ? error : &late);
        code = code == FERRY_OK ? end : code;
    }
    if (code == FERRY_OK && filler->failed.code != FERRY_OK) {
        *error = filler->failed;
        code = filler->failed.code;
    }
    if (code == FERRY_OK)
        *too_large += (int64_t)filler->too_large;
    return code;
}

/* ---- life ---- */

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

enum ferry_code ferry_filler_open(const struct ferry_fill *fill, struct ferry_filler **out, struct ferry_error *error)
{
    struct ferry_filler *filler = calloc(1, sizeof *filler);
    if (filler == NULL)
        return no_memory(error);
    filler->fill = fill;
    filler->set = ferry_topic_set_new(fill->config);
    filler->topics = calloc(TOPICS_MAX, sizeof *filler->topics);
    enum ferry_code code = filler->set != NULL && filler->topics != NULL ? FERRY_OK : no_memory(error);
    const struct ferry_producer_listener listener = {filler, take_report, NULL};
    if (code == FERRY_OK)
        code = ferry_producer_open(fill->config->kafka, fill->config->bridge.kafka, &listener, NULL, &filler->producer,
                                   error);
    if (code != FERRY_OK) {
        ferry_filler_close(filler);
        return code;
    }
    *out = filler;
    return FERRY_OK;
}

void ferry_filler_close(struct ferry_filler *filler)
{
    if (filler == NULL)
        return;
    if (filler->producer != NULL)
        ferry_producer_close(filler->producer);
    ferry_topic_set_free(filler->set);
    ferry_arena_done(&filler->arena);
    ferry_arena_done(&filler->names);
    free(filler->topics);
    free(filler);
}
