#include "ferry/demo/sighting.h"

#include <stdio.h>

#include "core/record.h"

/* Cut where it is too long, controls made visible: it goes to a terminal. */
static void copy(char *out, size_t bytes, struct ferry_slice text)
{
    snprintf(out, bytes, "%.*s", FERRY_SLICE_ARGS(text));
    for (; *out != '\0'; out++)
        if ((unsigned char)*out < 0x20 || *out == 0x7f)
            *out = '?';
}

static void note_trouble(const struct ferry_record *record, enum ferry_code code, struct ferry_sighting *out)
{
    struct ferry_slice error = ferry_record_header(record, "ferry-error");
    if (error.ptr == NULL && code == FERRY_OK)
        return;
    char text[sizeof out->trouble];
    struct ferry_slice reason = ferry_record_header(record, "ferry-reason");
    struct ferry_slice route = ferry_record_header(record, "ferry-route");
    if (error.ptr != NULL)
        snprintf(text, sizeof text, "dead letter of route %.*s: %.*s: %.*s", FERRY_SLICE_ARGS(route),
                 FERRY_SLICE_ARGS(error), FERRY_SLICE_ARGS(reason));
    else
        snprintf(text, sizeof text, "kept, but not an event");
    copy(out->trouble, sizeof out->trouble, ferry_slice_from(text));
}

void ferry_sighting_of(const struct ferry_record *record, struct ferry_sighting *out)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_event event = {0};
    enum ferry_code code = ferry_record_read(record, &arena, &event, NULL);
    *out = (struct ferry_sighting){0};
    snprintf(out->record, sizeof out->record, "%.*s/%d/%lld", FERRY_SLICE_ARGS(record->topic), (int)record->partition,
             (long long)record->offset);
    if (code == FERRY_OK) {
        copy(out->event, sizeof out->event, event.canonical);
        copy(out->id, sizeof out->id, event.id);
        copy(out->format, sizeof out->format, ferry_slice_from(ferry_format_name(event.format)));
    }
    note_trouble(record, code, out);
}

bool ferry_sighting_next(struct ferry_consumer *reader, int timeout_ms, struct ferry_sighting *out)
{
    struct ferry_fetched *fetched = ferry_consumer_poll(reader, timeout_ms);
    if (fetched == NULL)
        return false;
    ferry_sighting_of(&fetched->record, out);
    ferry_fetched_free(fetched);
    return true;
}
