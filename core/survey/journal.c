#include "core/survey/journal.h"

#include <jansson.h>
#include <stdio.h>

#include "core/arena.h"

enum { QUIET_MS = 8000 };

void ferry_journal_topic(const struct ferry_topics_config *topics, char out[FERRY_JOURNAL_TOPIC])
{
    snprintf(out, FERRY_JOURNAL_TOPIC, "%s.operations", topics->internal);
}

/* ---- one record ---- */

struct reading {
    const char *run;
    ferry_journal_fn *visit;
    void *context;
};

static enum ferry_code take(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    (void)error;
    const struct reading *reading = context;
    const struct ferry_record *record = &found->fetched->record;
    if (reading->run == NULL || ferry_slice_is(record->key, reading->run)) {
        json_t *root = json_loadb(record->value.ptr != NULL ? record->value.ptr : "", record->value.len, 0, NULL);
        if (json_is_object(root))
            reading->visit(reading->context, root);
        json_decref(root);
    }
    ferry_fetched_free(found->fetched);
    return FERRY_OK;
}

/* ---- the topic ---- */

static enum ferry_code find_width(struct ferry_scan *scan, const char *topic, int look_ms, size_t *width,
                                  struct ferry_error *error)
{
    const struct ferry_scan_topic *topics;
    size_t count;
    enum ferry_code code = ferry_scan_topics(scan, look_ms, &topics, &count, error);
    *width = 0;
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        if (strcmp(topics[i].name, topic) == 0 && topics[i].partitions > 0)
            *width = (size_t)topics[i].partitions;
    return code;
}

static enum ferry_code bound(struct ferry_scan *scan, struct ferry_span *spans, size_t count, int64_t *offsets,
                             int look_ms, struct ferry_error *error)
{
    enum ferry_code code = ferry_scan_offsets(scan, spans, count, FERRY_SCAN_EARLIEST, look_ms, offsets, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        spans[i].next = offsets[i];
    if (code == FERRY_OK)
        code = ferry_scan_offsets(scan, spans, count, FERRY_SCAN_END, look_ms, offsets, error);
    for (size_t i = 0; code == FERRY_OK && i < count; i++)
        spans[i].end = offsets[i];
    return code;
}

enum ferry_code ferry_journal_read(struct ferry_scan *scan, const struct ferry_topics_config *topics, const char *run,
                                   const struct ferry_survey_caller *caller, ferry_journal_fn *visit, void *context,
                                   struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    char topic[FERRY_JOURNAL_TOPIC], what[FERRY_JOURNAL_TOPIC + 2];
    size_t width;
    ferry_journal_topic(topics, topic);
    snprintf(what, sizeof what, "%s: ", topic);
    enum ferry_code code = find_width(scan, topic, caller->look_ms, &width, error);
    if (code != FERRY_OK || width == 0)
        return code;
    struct ferry_span *spans = ferry_arena_new_array(&arena, width, sizeof *spans);
    int64_t *offsets = ferry_arena_new_array(&arena, width, sizeof *offsets);
    if (spans == NULL || offsets == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < width; i++)
        spans[i] = (struct ferry_span){.topic = topic, .partition = (int32_t)i};
    code = bound(scan, spans, width, offsets, caller->look_ms, error);
    struct reading reading = {run, visit, context};
    const struct ferry_visitor visitor = {what, QUIET_MS, take, &reading};
    if (code == FERRY_OK)
        code = ferry_survey_read(scan, spans, width, &visitor, caller, error);
    struct ferry_error unheard;
    enum ferry_code rests =
        ferry_scan_begin(scan, NULL, 0, code == FERRY_OK ? error : &unheard); /* forgets the spans */
    return code == FERRY_OK ? rests : code;
}
