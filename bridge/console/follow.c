#include "bridge/console/follow.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/route.h"

enum {
    EVENTS_IN_ALL = 20000, /* of the window, over all partitions … */
    EVENTS_LEAST = 20,     /* … but so many of each, if there are */
    EFFECTS = 200,         /* of each partition of an effects topic */
    BATCH = 500,
    BATCHES = 20, /* in a row: then others have their turn */
};

/* ---- which spans ---- */

/* Whose effects topic is it? NULL: nobody's. */
static const char *worker_of(const struct ferry_config *config, const char *topic)
{
    char name[512];
    for (const char *const *worker = ferry_worker_names; *worker != NULL; worker++) {
        snprintf(name, sizeof name, "%s.%s.effects", config->topics.internal, *worker);
        if (strcmp(name, topic) == 0)
            return *worker;
    }
    return NULL;
}

struct plan {
    struct ferry_arena arena;
    struct ferry_span *spans;
    const char **workers;
    size_t count;
};

static enum ferry_code plan_spans(const struct ferry_console_look *look, struct plan *plan, struct ferry_error *error)
{
    size_t room = 0;
    for (size_t i = 0; i < look->topic_count; i++)
        room += (size_t)look->topics[i].partitions;
    plan->spans = ferry_arena_new_array(&plan->arena, room, sizeof *plan->spans);
    plan->workers = ferry_arena_new_array(&plan->arena, room, sizeof *plan->workers);
    if (plan->spans == NULL || plan->workers == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < look->topic_count; i++) {
        const struct ferry_console_topic *topic = &look->topics[i];
        const char *worker = worker_of(look->dlq.config, topic->name);
        if (topic->internal && worker == NULL)
            continue;
        const char *name = ferry_arena_text(&plan->arena, ferry_slice_from(topic->name));
        if (name == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        for (int p = 0; p < topic->partitions; p++, plan->count++) {
            plan->spans[plan->count] =
                (struct ferry_span){.topic = name, .partition = p, .next = -1, .end = FERRY_SPAN_FOLLOW};
            plan->workers[plan->count] = worker;
        }
    }
    return FERRY_OK;
}

/* Both lists are in the order of the names. True: the plan is what is read already. */
static bool take_over(const struct ferry_console_follow *follow, struct plan *plan)
{
    size_t old = 0, same = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct ferry_span *span = &plan->spans[i];
        while (old < follow->count && strcmp(follow->spans[old].topic, span->topic) < 0)
            old++;
        for (size_t j = old; j < follow->count && strcmp(follow->spans[j].topic, span->topic) == 0; j++)
            if (follow->spans[j].partition == span->partition) {
                span->next = follow->spans[j].next;
                same++;
            }
    }
    return same == plan->count && same == follow->count;
}

/* Where those begin that are new. */
static enum ferry_code begin_new(struct ferry_console_look *look, struct plan *plan, bool *cut,
                                 struct ferry_error *error)
{
    struct ferry_scan *scan = look->dlq.scan;
    int look_ms = look->dlq.caller->look_ms;
    int64_t *begins = ferry_arena_new_array(&plan->arena, plan->count, sizeof *begins);
    int64_t *ends = ferry_arena_new_array(&plan->arena, plan->count, sizeof *ends);
    if (begins == NULL || ends == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    int64_t since_ms = ferry_clock_wall_ms() - FERRY_FLOW_WINDOW_MS;
    enum ferry_code code = ferry_scan_offsets(scan, plan->spans, plan->count, since_ms, look_ms, begins, error);
    if (code == FERRY_OK)
        code = ferry_scan_offsets(scan, plan->spans, plan->count, FERRY_SCAN_END, look_ms, ends, error);
    if (code != FERRY_OK || plan->count == 0)
        return code;
    int64_t share = EVENTS_IN_ALL / (int64_t)plan->count;
    share = share > EVENTS_LEAST ? share : EVENTS_LEAST;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->spans[i].next >= 0)
            continue;
        bool effects = plan->workers[i] != NULL; /* the last one of a route may be old */
        int64_t least = ends[i] - (effects ? EFFECTS : share);
        bool clipped = effects || begins[i] < least;
        *cut |= clipped && !effects;
        plan->spans[i].next = !clipped ? begins[i] : least > 0 ? least : 0;
    }
    return FERRY_OK;
}

enum ferry_code ferry_console_follow_topics(struct ferry_console_follow *follow, struct ferry_console_look *look,
                                            struct ferry_error *error)
{
    struct plan plan = {.count = 0};
    enum ferry_code code = plan_spans(look, &plan, error);
    bool same = code == FERRY_OK && take_over(follow, &plan);
    if (code == FERRY_OK && !same)
        code = begin_new(look, &plan, &follow->flow.cut, error);
    if (code == FERRY_OK && !same && follow->scan == NULL)
        code = ferry_scan_open(look->dlq.config->kafka, look->dlq.overrides, &follow->scan, error);
    if (code == FERRY_OK && !same)
        code = ferry_scan_begin(follow->scan, plan.spans, plan.count, error);
    if (code != FERRY_OK || same) {
        ferry_arena_done(&plan.arena);
        return code;
    }
    ferry_arena_done(&follow->arena);
    follow->arena = plan.arena;
    follow->spans = plan.spans;
    follow->workers = plan.workers;
    follow->count = plan.count;
    return FERRY_OK;
}

/* ---- reading ---- */

void ferry_console_follow_poll(struct ferry_console_follow *follow, int timeout_ms)
{
    struct ferry_scanned batch[BATCH];
    for (int turn = 0; turn < BATCHES && follow->scan != NULL; turn++) {
        size_t count = ferry_scan_poll(follow->scan, turn == 0 ? timeout_ms : 0, batch, BATCH);
        for (size_t i = 0; i < count; i++) {
            const struct ferry_record *record = &batch[i].fetched->record;
            const char *worker = follow->workers[batch[i].span];
            if (worker != NULL)
                ferry_flow_add_effect(&follow->flow, worker, record);
            else
                ferry_flow_add(&follow->flow, record, ferry_clock_wall_ms());
            ferry_fetched_free(batch[i].fetched);
        }
        if (count == 0)
            return;
    }
}

void ferry_console_follow_done(struct ferry_console_follow *follow)
{
    ferry_scan_close(follow->scan);
    ferry_arena_done(&follow->arena);
    *follow = (struct ferry_console_follow){.count = 0};
}
