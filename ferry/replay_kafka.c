/* Replaying into Kafka: the same record to another topic, or an entry of a worker's retry topic for each route that
 * wants the event. One report a record; with several entries the last one settles it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/catalog.h"
#include "core/clock.h"
#include "core/kafka/producer.h"
#include "core/retry_record.h"
#include "core/route.h"
#include "ferry/cli.h"
#include "ferry/replay.h"

enum { LOOK_MS = 10000, STALL_MS = 30000, OWN_HEADERS = 3, IN_FLIGHT_MAX = 300000 };

/* Whole batches are worth more here than a short way. */
static const struct ferry_property throughput[] = {
    {.name = "linger.ms", .value = "20"},
    {.name = "batch.num.messages", .value = "50000"},
    {.name = "queue.buffering.max.messages", .value = "500000"},
};

struct route {
    const char *name;
    struct ferry_strings events;
};

struct outlet {
    struct ferry_replay *replay;
    struct ferry_producer *producer;
    char topic[256];
    int32_t width; /* of a retry topic */
    struct route *routes;
    size_t route_count;
    struct ferry_arena arena; /* of the record that is sent */
};

/* ---- headers ---- */

static bool is_mark(struct ferry_slice name)
{
    return ferry_slice_is(name, "ferry-replay") || ferry_slice_is(name, "ferry-effects") ||
           ferry_slice_is(name, "ferry-again");
}

bool ferry_replay_headers(const struct ferry_replay *replay, const struct ferry_record *original,
                          struct ferry_arena *arena, struct ferry_record *record)
{
    struct ferry_pair *headers = ferry_arena_new_array(arena, original->header_count + OWN_HEADERS, sizeof *headers);
    size_t count = 0;
    if (headers == NULL)
        return false;
    for (size_t i = 0; i < original->header_count; i++)
        if (!is_mark(original->headers[i].name))
            headers[count++] = original->headers[i];
    headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-replay"), ferry_slice_from(replay->run)};
    if (replay->effects)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-effects"), FERRY_SLICE("yes")};
    if (replay->again)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-again"), FERRY_SLICE("yes")};
    *record = *original;
    record->headers = headers;
    record->header_count = count;
    return true;
}

/* ---- sending ---- */

static void take_report(void *context, const struct ferry_report *report)
{
    struct outlet *outlet = context;
    if (report->code == FERRY_OK)
        ferry_track_settle(outlet->replay->track, report->tag);
    else
        ferry_track_fail(outlet->replay->track, report->code, report->reason != NULL ? report->reason : "");
}

/* Waits while librdkafka has no room, as long as there is hope that it will. */
static enum ferry_code send_patiently(struct outlet *outlet, const struct ferry_record *record, int32_t partition,
                                      struct ferry_track_item *item, struct ferry_error *error)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t deadline_ms = ferry_clock_mono_ms() + STALL_MS;
    enum ferry_code code;
    while ((code = partition < 0 ? ferry_producer_send(outlet->producer, record, item, error)
                                 : ferry_producer_send_to(outlet->producer, record, partition, item, error)) ==
               FERRY_QUEUE_FULL &&
           ferry_clock_mono_ms() < deadline_ms)
        nanosleep(&pause, NULL);
    return code;
}

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code copy_to_topic(void *context, struct ferry_fetched *fetched, size_t span, bool *wanted,
                                     struct ferry_error *error)
{
    struct outlet *outlet = context;
    struct ferry_record record;
    ferry_arena_reset(&outlet->arena);
    if (!ferry_replay_headers(outlet->replay, &fetched->record, &outlet->arena, &record))
        return no_memory(error);
    record.topic = ferry_slice_from(outlet->topic);
    struct ferry_track_item *item = ferry_track_add(outlet->replay->track, span, fetched, 1);
    if (item == NULL)
        return no_memory(error);
    *wanted = true;
    return send_patiently(outlet, &record, -1, item, error);
}

static bool route_wants(const struct route *route, struct ferry_slice event)
{
    for (size_t i = 0; i < route->events.count; i++)
        if (ferry_glob_match(route->events.items[i], event))
            return true;
    return false;
}

/* The canonical name; records of other producers have it in their type alone. */
static struct ferry_slice event_of(struct outlet *outlet, const struct ferry_record *record)
{
    struct ferry_slice name = ferry_record_header(record, "ferry-event");
    struct ferry_slice type = ferry_record_header(record, "ce_type");
    struct ferry_event event;
    if (name.len == 0 && type.len > 0)
        name = ferry_catalog_canonical(type);
    if (name.len == 0 && ferry_record_read(record, &outlet->arena, &event, NULL) == FERRY_OK)
        name = event.canonical;
    return name;
}

static enum ferry_code add_entry(struct outlet *outlet, const struct route *route, const struct ferry_record *original,
                                 struct ferry_track_item *item, struct ferry_error *error)
{
    int64_t now_ms = ferry_clock_wall_ms();
    const struct ferry_retry_note note = {.route = ferry_slice_from(route->name),
                                          .origin = {original->topic, original->partition, original->offset},
                                          .first_failure_ms = now_ms,
                                          .due_ms = now_ms,
                                          .replay = ferry_slice_from(outlet->replay->run),
                                          .effects = outlet->replay->effects,
                                          .again = outlet->replay->again};
    struct ferry_record entry;
    enum ferry_code code = ferry_retry_entry_make(&note, original, outlet->topic, &outlet->arena, &entry);
    if (code != FERRY_OK)
        return no_memory(error);
    return send_patiently(outlet, &entry, ferry_retry_partition(original->partition, outlet->width), item, error);
}

static enum ferry_code enter_for_worker(void *context, struct ferry_fetched *fetched, size_t span, bool *wanted,
                                        struct ferry_error *error)
{
    struct outlet *outlet = context;
    const struct ferry_record original = fetched->record; /* its bytes live until the last report */
    ferry_arena_reset(&outlet->arena);
    struct ferry_slice event = event_of(outlet, &original);
    size_t wants = 0;
    for (size_t i = 0; i < outlet->route_count; i++)
        wants += route_wants(&outlet->routes[i], event);
    if (wants == 0) {
        *wanted = false;
        return FERRY_OK;
    }
    struct ferry_track_item *item = ferry_track_add(outlet->replay->track, span, fetched, wants);
    if (item == NULL)
        return no_memory(error);
    *wanted = true;
    enum ferry_code code = FERRY_OK;
    /* `wants` is counted down, so that nothing of the record is looked at after its last entry was handed over. */
    for (size_t i = 0; wants > 0 && code == FERRY_OK; i++) {
        if (!route_wants(&outlet->routes[i], event))
            continue;
        wants--;
        code = add_entry(outlet, &outlet->routes[i], &original, item, error);
    }
    return code;
}

/* ---- life ---- */

static void do_nothing(void *context)
{
    (void)context; /* reports come by themselves */
}

static void close_outlet(void *context)
{
    struct outlet *outlet = context;
    ferry_producer_close(outlet->producer);
    ferry_arena_done(&outlet->arena);
    free(outlet->routes);
    free(outlet);
}

/* How wide the topic is. */
static enum ferry_code find_topic(struct outlet *outlet, const char *cure, struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t count;
    enum ferry_code code = ferry_scan_topics(outlet->replay->scan, LOOK_MS, &topics, &count, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        if (strcmp(topics[i].name, outlet->topic) == 0 && topics[i].partitions > 0)
            outlet->width = topics[i].partitions;
    if (code == FERRY_OK && outlet->width == 0)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "there is no topic %s, or this user may not see it; %s",
                          outlet->topic, cure);
    return code;
}

static enum ferry_code open_outlet(struct ferry_replay *replay, const char *topic, const char *cure,
                                   struct outlet **out, struct ferry_error *error)
{
    struct outlet *outlet = calloc(1, sizeof *outlet);
    if (outlet == NULL)
        return no_memory(error);
    outlet->replay = replay;
    snprintf(outlet->topic, sizeof outlet->topic, "%s", topic);
    enum ferry_code code = find_topic(outlet, cure, error);
    const struct ferry_producer_listener listener = {outlet, take_report, NULL};
    const struct ferry_properties overrides = {throughput, sizeof throughput / sizeof throughput[0]};
    if (code == FERRY_OK)
        code = ferry_producer_open(replay->config->kafka, overrides, &listener, NULL, &outlet->producer, error);
    if (code != FERRY_OK) {
        free(outlet);
        return code;
    }
    *out = outlet;
    return FERRY_OK;
}

enum ferry_code ferry_replay_open_topic(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                        struct ferry_error *error)
{
    if (ferry_route_topic_is_internal(&replay->config->topics, ferry_slice_from(replay->to_topic)))
        return ferry_fail(error, FERRY_USAGE, "%s is one of Ferry's own topics: events do not belong there",
                          replay->to_topic);
    struct outlet *outlet = NULL;
    enum ferry_code code = open_outlet(replay, replay->to_topic, "create it first", &outlet, error);
    if (code != FERRY_OK || outlet == NULL)
        return code;
    *sink = (struct ferry_replay_sink){outlet, IN_FLIGHT_MAX, copy_to_topic, do_nothing, close_outlet};
    return FERRY_OK;
}

/* ---- the routes of a worker ---- */

static enum ferry_code take_routes(struct outlet *outlet, struct ferry_error *error)
{
    const struct ferry_replay *replay = outlet->replay;
    const struct ferry_route_config *route;
    size_t count = 0;
    while (ferry_config_route(replay->config, replay->to_worker, count) != NULL)
        count++;
    outlet->routes = calloc(count + 1, sizeof *outlet->routes);
    if (outlet->routes == NULL)
        return no_memory(error);
    while ((route = ferry_config_route(replay->config, replay->to_worker, outlet->route_count)) != NULL)
        outlet->routes[outlet->route_count++] = (struct route){route->name, route->events};
    return FERRY_OK;
}

enum ferry_code ferry_replay_open_worker(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                         struct ferry_error *error)
{
    if (!ferry_cli_is_worker(replay->to_worker))
        return ferry_fail(error, FERRY_USAGE, "--to-worker is one of slack, mail, automation");
    if (ferry_config_route(replay->config, replay->to_worker, 0) == NULL)
        return ferry_fail(error, FERRY_CONFIG, "%s: %s has no routes", replay->config->file, replay->to_worker);
    char topic[256];
    snprintf(topic, sizeof topic, "%s.%s.retry", replay->config->topics.internal, replay->to_worker);
    struct outlet *outlet = NULL;
    enum ferry_code code = open_outlet(replay, topic, "`ferry topics` makes it", &outlet, error);
    if (code != FERRY_OK || outlet == NULL)
        return code;
    code = take_routes(outlet, error);
    if (code != FERRY_OK) {
        close_outlet(outlet);
        return code;
    }
    *sink = (struct ferry_replay_sink){outlet, IN_FLIGHT_MAX, enter_for_worker, do_nothing, close_outlet};
    return FERRY_OK;
}
