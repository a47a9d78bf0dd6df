#include "bridge/console/flow.h"

#include "bridge/console/print.h"
#include "core/clock.h"

static void copy_text(char out[FERRY_FLOW_NAME], struct ferry_slice text)
{
    size_t len = text.len < FERRY_FLOW_NAME - 1 ? text.len : FERRY_FLOW_NAME - 1;
    while (len < text.len && len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--; /* no half characters */
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

/* From the time that the event's header tells to when Kafka got the record. */
static int64_t delay_of(const struct ferry_record *record)
{
    int64_t event_ms;
    if (record->timestamp_ms <= 0 || !ferry_time_parse(ferry_record_header(record, "ce_time"), &event_ms))
        return -1;
    return record->timestamp_ms > event_ms ? record->timestamp_ms - event_ms : 0;
}

/* ---- buckets ---- */

/* Empties what comes again in the ring. */
static void advance(struct ferry_flow *flow, int64_t at_ms)
{
    int64_t bucket = at_ms / FERRY_FLOW_BUCKET_MS;
    if (bucket <= flow->newest)
        return;
    int64_t from = flow->newest + 1 > bucket - FERRY_FLOW_BUCKETS ? flow->newest + 1 : bucket - FERRY_FLOW_BUCKETS + 1;
    for (; from <= bucket; from++)
        for (size_t i = 0; i < flow->event_count; i++)
            flow->events[i].counts[from % FERRY_FLOW_BUCKETS] = 0;
    flow->newest = bucket;
}

static void count(struct ferry_flow *flow, struct ferry_flow_event *event, int64_t at_ms)
{
    int64_t bucket = at_ms / FERRY_FLOW_BUCKET_MS;
    if (at_ms >= 0 && bucket > flow->newest - FERRY_FLOW_BUCKETS && bucket <= flow->newest)
        event->counts[bucket % FERRY_FLOW_BUCKETS]++;
    event->last_ms = at_ms > event->last_ms ? at_ms : event->last_ms;
}

/* ---- delays ---- */

/* Four steps to a doubling: the roots of two, in thousandths. */
static int64_t edge_ms(size_t index)
{
    static const int64_t roots[] = {1000, 1189, 1414, 1682};
    return (INT64_C(1) << index / 4) * roots[index % 4] / 1000;
}

static size_t delay_index(int64_t delay_ms)
{
    size_t index = 0;
    while (edge_ms(index) < delay_ms && index + 1 < FERRY_FLOW_DELAYS)
        index++;
    return index;
}

int64_t ferry_flow_delay(const struct ferry_flow_event *event, double part)
{
    double total = 0, seen = 0;
    for (size_t i = 0; i < FERRY_FLOW_DELAYS; i++)
        total += event->delays[i];
    for (size_t i = 0; i < FERRY_FLOW_DELAYS && total > 0; i++) {
        seen += event->delays[i];
        if (seen >= total * part)
            return edge_ms(i);
    }
    return -1;
}

/* ---- records ---- */

/* The row of that name, made where there is room. */
static struct ferry_flow_event *find_event(struct ferry_flow *flow, const char *name)
{
    size_t i = 0;
    while (i < flow->event_count && strcmp(flow->events[i].name, name) != 0)
        i++;
    if (i == FERRY_FLOW_NAMES)
        return &flow->events[FERRY_FLOW_NAMES - 1];
    if (i == flow->event_count) {
        flow->event_count++;
        flow->events[i] = (struct ferry_flow_event){.last_ms = 0};
        copy_text(flow->events[i].name, ferry_slice_from(i + 1 < FERRY_FLOW_NAMES ? name : "other"));
    }
    return &flow->events[i];
}

/* The newest by their own time: partitions come one after the other when the window is read. */
static void note_recent(struct ferry_flow *flow, const struct ferry_flow_record *record)
{
    size_t place = flow->recent_count;
    if (place == FERRY_FLOW_RECENT) {
        place = 0;
        for (size_t i = 1; i < FERRY_FLOW_RECENT; i++)
            if (flow->recent[i].at_ms < flow->recent[place].at_ms)
                place = i;
        if (record->at_ms < flow->recent[place].at_ms)
            return;
    } else {
        flow->recent_count++;
    }
    flow->recent[place] = *record;
}

void ferry_flow_add(struct ferry_flow *flow, const struct ferry_record *record, int64_t now_ms)
{
    struct ferry_slice name = ferry_record_header(record, "ferry-event");
    struct ferry_flow_record found = {.partition = record->partition,
                                      .offset = record->offset,
                                      .at_ms = record->timestamp_ms,
                                      .delay_ms = delay_of(record)};
    copy_text(found.event, name.len > 0 ? name : ferry_record_header(record, "ce_type"));
    if (found.event[0] == '\0')
        return; /* somebody else's topic, where topics.name does not tell ours apart */
    copy_text(found.id, ferry_record_header(record, "ce_id"));
    copy_text(found.source, ferry_record_header(record, "ce_source"));
    copy_text(found.topic, record->topic);
    note_recent(flow, &found);
    advance(flow, now_ms); /* a record may say that it is of the future */
    struct ferry_flow_event *event = find_event(flow, found.event);
    count(flow, event, record->timestamp_ms);
    if (found.delay_ms >= 0)
        event->delays[delay_index(found.delay_ms)]++;
}

static struct ferry_flow_route *find_route(struct ferry_flow *flow, const char *worker, const char *route)
{
    for (size_t i = 0; i < flow->route_count; i++)
        if (strcmp(flow->routes[i].worker, worker) == 0 && strcmp(flow->routes[i].route, route) == 0)
            return &flow->routes[i];
    return NULL;
}

const struct ferry_flow_route *ferry_flow_route(const struct ferry_flow *flow, const char *worker, const char *route)
{
    return find_route((struct ferry_flow *)flow, worker, route);
}

void ferry_flow_add_effect(struct ferry_flow *flow, const char *worker, const struct ferry_record *record)
{
    char name[FERRY_FLOW_NAME];
    bool doubtful = ferry_slice_is(record->value, "doubt");
    struct ferry_slice header = ferry_record_header(record, "ferry-route");
    if (header.len == 0 || (!doubtful && !ferry_slice_is(record->value, "done")))
        return; /* a claim, an intent, or the mark of an older version */
    copy_text(name, header);
    struct ferry_flow_route *route = find_route(flow, worker, name);
    if (route == NULL && flow->route_count < FERRY_FLOW_ROUTES) {
        route = &flow->routes[flow->route_count++];
        *route = (struct ferry_flow_route){.worker = worker};
        copy_text(route->route, header);
    }
    if (route == NULL)
        return;
    route->count++;
    if (record->timestamp_ms < route->at_ms)
        return;
    route->at_ms = record->timestamp_ms;
    route->delay_ms = delay_of(record);
    route->doubtful = doubtful;
    copy_text(route->event, ferry_record_header(record, "ferry-event"));
}

/* ---- as JSON ---- */

static void print_event(const struct ferry_flow *flow, const struct ferry_flow_event *event, struct ferry_buffer *out)
{
    int64_t total = 0;
    for (size_t i = 0; i < FERRY_FLOW_BUCKETS; i++)
        total += event->counts[i];
    ferry_console_open(out, NULL, '{');
    ferry_console_add_text(out, "event", ferry_slice_from(event->name));
    ferry_console_add_number(out, "total", total);
    ferry_console_add_moment(out, "last", event->last_ms);
    ferry_console_add_number(out, "p50", ferry_flow_delay(event, 0.5));
    ferry_console_add_number(out, "p95", ferry_flow_delay(event, 0.95));
    ferry_console_open(out, "counts", '[');
    for (int64_t bucket = flow->newest - FERRY_FLOW_BUCKETS + 1; bucket <= flow->newest; bucket++)
        ferry_console_add_number(out, NULL, event->counts[bucket % FERRY_FLOW_BUCKETS]);
    ferry_console_close(out, ']');
    ferry_console_close(out, '}');
}

static void print_recent(const struct ferry_flow_record *record, struct ferry_buffer *out)
{
    ferry_console_open(out, NULL, '{');
    ferry_console_add_moment(out, "at", record->at_ms);
    ferry_console_add_text(out, "event", ferry_slice_from(record->event));
    ferry_console_add_text(out, "id", ferry_slice_from(record->id));
    ferry_console_add_text(out, "source", ferry_slice_from(record->source));
    ferry_console_add_text(out, "topic", ferry_slice_from(record->topic));
    ferry_console_add_number(out, "partition", record->partition);
    ferry_console_add_number(out, "offset", record->offset);
    ferry_console_add_number(out, "delay", record->delay_ms);
    ferry_console_close(out, '}');
}

void ferry_flow_print(struct ferry_flow *flow, int64_t now_ms, struct ferry_buffer *out)
{
    advance(flow, now_ms);
    ferry_console_open(out, "flow", '{');
    ferry_console_add_number(out, "bucket_ms", FERRY_FLOW_BUCKET_MS);
    ferry_console_add_moment(out, "until", (flow->newest + 1) * FERRY_FLOW_BUCKET_MS);
    ferry_console_add_flag(out, "cut", flow->cut);
    ferry_console_open(out, "events", '[');
    for (size_t i = 0; i < flow->event_count; i++)
        print_event(flow, &flow->events[i], out);
    ferry_console_close(out, ']');
    ferry_console_open(out, "recent", '[');
    for (size_t i = 0; i < flow->recent_count; i++)
        print_recent(&flow->recent[i], out);
    ferry_console_close(out, ']');
    ferry_console_close(out, '}');
}
