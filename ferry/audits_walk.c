/* What a tenant lists of a time, the oldest first.
 *
 *        the archive, day by day                  the pages
 *   ├───────────┼───────────┼───────────┤
 *                           ├────────────────────────────────────────▶
 *   from                    last day    90 days back               to
 *
 * Pages reach back 90 days, and what is older is in the archive alone. Qlik does not say whether the archive has the
 * day in which the pages begin, nor whether it is whole; and while a run goes on that moment moves. So that day is
 * asked of both, and what the archive had of it is passed over in the pages. */
#include <stdlib.h>

#include "core/clock.h"
#include "ferry/audits.h"

enum { LINK_BYTES = 1024, MARGIN_MS = 3600 * 1000, SCRATCH_RECORDS = 1000 };

/* ---- order ---- */

static int compare(const void *a, const void *b)
{
    const struct ferry_walk_record *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Of the beginning of the day, UTC. */
static int64_t day_of(int64_t ms)
{
    return ms - ms % FERRY_AUDITS_DAY_MS;
}

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* FERRY_OK with `item` filled; another code: the record is no event. A tenant speaks for Qlik, not for Ferry's
 * triggers. */
static enum ferry_code read_record(struct ferry_walk *walk, size_t index, struct ferry_audits_item *item,
                                   struct ferry_error *error)
{
    enum ferry_code code = ferry_audits_event(walk->page.records.items[index].value, ferry_clock_wall_ms(),
                                              &walk->arena, &item->event, error);
    if (code != FERRY_OK)
        return code;
    if (ferry_slice_starts_nocase(item->event.type, "com.ferry.") ||
        ferry_slice_starts(item->event.canonical, "trigger."))
        return ferry_fail(error, FERRY_TYPE_REFUSED, "a tenant may not bring events of type \"%.*s\"",
                          FERRY_SLICE_ARGS(item->event.type));
    if (!ferry_time_parse(item->event.time, &item->time_ms))
        return ferry_fail(error, FERRY_EVENT_INVALID, "time: is none");
    item->hash = ferry_id_hash(item->event.source, item->event.id);
    return FERRY_OK;
}

static bool is_wanted(const struct ferry_walk *walk, const struct ferry_event *event)
{
    for (size_t i = 0; i < walk->events->count; i++)
        if (ferry_glob_match(walk->events->items[i], event->canonical) ||
            ferry_glob_match(walk->events->items[i], event->type))
            return true;
    return false;
}

/* Was it listed before, by the archive? Takes note of it where the pages will list it once more. */
static bool was_listed(struct ferry_walk *walk, const struct ferry_audits_item *item, bool *starved)
{
    if (!walk->in_archive)
        return ferry_id_set_has(&walk->last_day, item->hash);
    if (item->time_ms >= walk->last_day_ms && !ferry_id_set_add(&walk->last_day, item->hash, false))
        *starved = true;
    return false;
}

static void count_unreadable(struct ferry_walk *walk, const struct ferry_error *why)
{
    if (walk->unreadable++ == 0)
        walk->why = *why;
}

/* Sorts the page's wanted records by time; their events are read once more, chunk by chunk, when they are handed out:
 * a day of the archive can hold a great many. */
static enum ferry_code put_in_order(struct ferry_walk *walk, struct ferry_error *error)
{
    free(walk->records);
    walk->count = walk->next = 0;
    walk->records = calloc(walk->page.records.count + 1, sizeof *walk->records);
    if (walk->records == NULL)
        return no_memory(error);
    bool starved = false;
    for (size_t i = 0; i < walk->page.records.count && !starved; i++) {
        struct ferry_audits_item item;
        struct ferry_error why;
        if (i % SCRATCH_RECORDS == 0)
            ferry_arena_reset(&walk->arena);
        enum ferry_code code = read_record(walk, i, &item, &why);
        starved = code == FERRY_MEMORY;
        if (code != FERRY_OK)
            count_unreadable(walk, &why);
        else if (item.time_ms >= walk->from_ms && item.time_ms < walk->to_ms && !was_listed(walk, &item, &starved)) {
            if (is_wanted(walk, &item.event))
                walk->records[walk->count++] = (struct ferry_walk_record){item.time_ms, i};
            else
                walk->unwanted++;
        }
    }
    qsort(walk->records, walk->count, sizeof *walk->records, compare);
    return starved ? no_memory(error) : FERRY_OK;
}

/* ---- asking ---- */

static enum ferry_code fetch(struct ferry_walk *walk, const char *link, struct ferry_error *error)
{
    int attempt = 0;
    enum ferry_code code;
    struct ferry_audits_page fresh = {0};
    do { /* into another page: `link` may lie in the one before */
        code = ferry_audits_fetch(walk->at->session, link, &fresh, error);
    } while (ferry_at_tenant_again(walk->at, code, &attempt));
    ferry_audits_page_done(&walk->page);
    walk->page = fresh;
    walk->pages += code == FERRY_OK;
    return code;
}

static enum ferry_code fetch_day(struct ferry_walk *walk, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    ferry_buffer_init(&link, LINK_BYTES);
    ferry_audits_archive_link(walk->day_ms, &link);
    if (link.failed)
        return no_memory(error);
    enum ferry_code code = fetch(walk, link.ptr, error);
    walk->in_archive = true;
    if (code == FERRY_HTTP_REFUSED && walk->page.answer.status == 404) { /* there is no such day */
        if (walk->day_ms < walk->last_day_ms && walk->unarchived_ms < 0)
            walk->unarchived_ms = walk->day_ms;
        code = FERRY_OK;
    }
    if (code == FERRY_OK)
        walk->day_ms += FERRY_AUDITS_DAY_MS;
    return code;
}

static enum ferry_code fetch_first_page(struct ferry_walk *walk, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    ferry_buffer_init(&link, LINK_BYTES);
    ferry_audits_link(walk->from_ms > walk->last_day_ms ? walk->from_ms : walk->last_day_ms, walk->to_ms, &link);
    if (link.failed)
        return no_memory(error);
    enum ferry_code code = fetch(walk, link.ptr, error);
    if (code == FERRY_OK)
        walk->in_archive = false;
    return code;
}

void ferry_walk_begin(struct ferry_walk *walk, int64_t now_ms)
{
    walk->unarchived_ms = -1;
    walk->day_ms = day_of(walk->from_ms);
    walk->last_day_ms = day_of(now_ms - FERRY_AUDITS_KEPT_MS + MARGIN_MS);
    walk->in_archive = true; /* also where there is nothing to ask of it: then come the pages */
}

enum ferry_code ferry_walk_fetch(struct ferry_walk *walk, bool *more, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    *more = true;
    if (walk->in_archive && walk->day_ms <= walk->last_day_ms && walk->day_ms < walk->to_ms)
        code = fetch_day(walk, error);
    else if (walk->in_archive && walk->last_day_ms < walk->to_ms)
        code = fetch_first_page(walk, error);
    else if (!walk->in_archive && walk->page.next.ptr != NULL)
        code = fetch(walk, walk->page.next.ptr, error);
    else
        *more = false;
    return code == FERRY_OK && *more ? put_in_order(walk, error) : code;
}

enum ferry_code ferry_walk_chunk(struct ferry_walk *walk, struct ferry_audits_item *items, size_t max, size_t *count,
                                 struct ferry_error *error)
{
    ferry_arena_reset(&walk->arena);
    size_t taken = 0;
    for (; taken < max && walk->next < walk->count; taken++) {
        enum ferry_code code = read_record(walk, walk->records[walk->next].index, &items[taken], error);
        if (code != FERRY_OK)
            return code;
        walk->next++;
        if (items[taken].time_ms < walk->highest_ms)
            walk->disorder |= ferry_walk_is_ordered(walk);
        else if (ferry_walk_is_ordered(walk))
            walk->highest_ms = items[taken].time_ms;
    }
    *count = taken;
    return FERRY_OK;
}

bool ferry_walk_is_ordered(const struct ferry_walk *walk)
{
    return !walk->disorder && (!walk->in_archive || walk->day_ms <= walk->last_day_ms);
}

void ferry_walk_end(struct ferry_walk *walk)
{
    ferry_audits_page_done(&walk->page);
    ferry_arena_done(&walk->arena);
    ferry_id_set_done(&walk->last_day);
    free(walk->records);
}
