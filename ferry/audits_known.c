/* Which events the topics have. An event lies behind the moment it happened: it was received later. How much later
 * nobody knows (Qlik resends for a week), so the topics are read to their ends. */
#include "core/record.h"
#include "core/survey/read.h"
#include "core/survey/selection.h"
#include "ferry/audits.h"

enum { LOOK_MS = 10000, PATIENCE_MS = 30000, EARLIER_MS = 10 * 60000 /* a clock of the bridge's that is behind */ };

struct reading {
    struct ferry_id_set *known;
    struct ferry_arena arena;
    struct ferry_progress progress;
    int64_t read;
};

/* Of a binary record from its headers, else from the record as a whole. False: it is no event. */
static bool identify(struct reading *reading, const struct ferry_record *record, uint64_t *hash, bool *by_audits)
{
    struct ferry_slice id = ferry_record_header(record, "ce_id"), source = ferry_record_header(record, "ce_source");
    struct ferry_event event;
    if (id.ptr == NULL || source.ptr == NULL) {
        ferry_arena_reset(&reading->arena);
        if (ferry_record_read(record, &reading->arena, &event, NULL) != FERRY_OK)
            return false;
        id = event.id;
        source = event.source;
    }
    *hash = ferry_id_hash(source, id);
    *by_audits = ferry_slice_is(ferry_record_header(record, "ferry-format"), "audit");
    return true;
}

static enum ferry_code visit(void *context, const struct ferry_scanned *found, struct ferry_error *error)
{
    struct reading *reading = context;
    uint64_t hash;
    bool by_audits;
    enum ferry_code code = FERRY_OK;
    if (identify(reading, &found->fetched->record, &hash, &by_audits) &&
        !ferry_id_set_add(reading->known, hash, !by_audits))
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    ferry_fetched_free(found->fetched);
    ferry_progress_show(&reading->progress, ++reading->read);
    return code;
}

static enum ferry_code plan(struct ferry_scan *scan, const struct ferry_topics_config *topics, int64_t from_ms,
                            struct ferry_arena *arena, struct ferry_span **spans, size_t *count,
                            struct ferry_error *error)
{
    const struct ferry_selection all = {0};
    enum ferry_code code = ferry_selection_spans(&all, topics, scan, arena, spans, count, error);
    if (code != FERRY_OK)
        return code;
    int64_t *from = ferry_arena_new_array(arena, *count, 2 * sizeof *from);
    if (from == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    int64_t *to = from + *count;
    code = ferry_scan_offsets(scan, *spans, *count, from_ms - EARLIER_MS, LOOK_MS, from, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(scan, *spans, *count, FERRY_SCAN_END, LOOK_MS, to, error);
    for (size_t i = 0; code == FERRY_OK && i < *count; i++) {
        (*spans)[i].next = from[i];
        (*spans)[i].end = to[i];
    }
    return code;
}

enum ferry_code ferry_audits_known(const struct ferry_config *config, int64_t from_ms, struct ferry_id_set *known,
                                   struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct reading reading = {.known = known, .progress = {.what = "reading the topics"}};
    const struct ferry_visitor visitor = {"", PATIENCE_MS, visit, &reading};
    struct ferry_scan *scan = NULL;
    struct ferry_span *spans = NULL;
    size_t count = 0;
    enum ferry_code code = ferry_scan_open(config->kafka, config->bridge.kafka, &scan, error);
    if (code != FERRY_OK)
        return code;
    code = plan(scan, &config->topics, from_ms, &arena, &spans, &count, error);
    if (code == FERRY_OK)
        for (size_t i = 0; i < count; i++)
            reading.progress.total += spans[i].end - spans[i].next;
    if (code == FERRY_OK)
        code = ferry_survey_read(scan, spans, count, &visitor, &ferry_console_caller, error);
    else if (code == FERRY_TOPIC_UNKNOWN)
        code = FERRY_OK; /* no topic, no event */
    ferry_progress_end(&reading.progress);
    ferry_scan_close(scan);
    ferry_arena_done(&reading.arena);
    return code;
}
