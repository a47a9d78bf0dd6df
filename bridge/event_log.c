#include "bridge/event_log.h"

#include "core/arena.h"
#include "core/envelope.h"
#include "core/log.h"

void ferry_event_log_taken(const struct ferry_event *event, struct ferry_slice topic, const char *from,
                           enum ferry_code code)
{
    if (!ferry_log_wants_events())
        return;
    ferry_log(FERRY_LOG_INFO, "event taken",
              FERRY_FIELDS(ferry_field_slice("id", event->id), ferry_field_slice("source", event->source),
                           ferry_field_slice("event", event->canonical), ferry_field_slice("topic", topic),
                           ferry_text("from", from), ferry_text("safe", code == FERRY_OK ? "kafka" : "spool"),
                           ferry_field_if("trace", ferry_traceparent_trace(event->traceparent))));
}

void ferry_event_log_arrived(const char *what, const struct ferry_record *record)
{
    if (!ferry_log_wants_events())
        return;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena;
    struct ferry_event event;
    struct ferry_error error;
    ferry_arena_init(&arena);
    if (ferry_record_read(record, &arena, &event, &error) != FERRY_OK)
        return; /* what was kept in quarantine is no event */
    ferry_log(FERRY_LOG_INFO, what,
              FERRY_FIELDS(ferry_field_slice("id", event.id), ferry_field_slice("source", event.source),
                           ferry_field_slice("event", event.canonical), ferry_field_slice("topic", record->topic),
                           ferry_field_if("trace", ferry_traceparent_trace(event.traceparent))));
}
