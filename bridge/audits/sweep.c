/* Time. Ranges are asked for by the tenant's clock, which its answers tell (Date), so that a wrong clock here neither
 * hides events nor makes them wait. The position is not trusted to one clock alone: it never passes the earlier of the
 * two, because a position that runs ahead skips events, and one that is behind only asks for some of them again.
 *
 * In the middle of a sweep the position follows the events, as long as they come in the order of their times, as was
 * asked for. Should they not, it stays where it was until the sweep is complete: a crash then repeats more than a page,
 * and still skips nothing.
 *
 * A page's memory belongs to its parcels as well, since Kafka's client may need a value after its parcel was given up:
 * the last one frees it. */
#include "bridge/audits/sweep.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge/admit.h"
#include "bridge/event_log.h"
#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"

enum { PARCELS = FERRY_AUDITS_PAGE, LINK_BYTES = 1024, MINUTE_MS = 60000 };

/* A page and everybody who needs it. */
struct haul {
    atomic_uint references;
    struct ferry_audits_page page;
};

/* Where a page is from. */
enum origin { PAGES, ARCHIVE };

/* A record of a page, for putting it in order. */
struct placed {
    int64_t time_ms;
    size_t index;
    struct ferry_json_member record;
};

struct batch;

/* A record on its way, in a parcel of its own, so that one that Kafka refuses holds up no other. */
struct item {
    struct ferry_parcel parcel;
    struct batch *batch;
    struct ferry_record record;
    struct ferry_event event; /* of a quarantined one: without a type */
    struct ferry_audits_seen seen;
};

/* Records of a page that go together. */
struct batch {
    atomic_uint references; /* ours, and publishing's for each item */
    struct haul *haul;
    struct ferry_snapshot *snapshot;
    struct ferry_arena arena;
    struct item items[PARCELS];
    size_t count;
};

/* ---- memory ---- */

static void drop_haul(struct haul *haul)
{
    if (atomic_fetch_sub(&haul->references, 1) != 1)
        return;
    ferry_audits_page_done(&haul->page);
    free(haul);
}

static void drop_batch(struct batch *batch)
{
    if (atomic_fetch_sub(&batch->references, 1) != 1)
        return;
    ferry_arena_done(&batch->arena);
    ferry_snapshot_drop(batch->snapshot);
    drop_haul(batch->haul);
    free(batch);
}

static void release_parcel(struct ferry_parcel *parcel)
{
    drop_batch(((struct item *)((char *)parcel - offsetof(struct item, parcel)))->batch);
}

static struct batch *new_batch(const struct ferry_audits_sweep *sweep, struct haul *haul)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    atomic_init(&batch->references, 1);
    atomic_fetch_add(&haul->references, 1);
    batch->haul = haul;
    batch->snapshot = ferry_snapshot_hold(sweep->snapshot);
    return batch;
}

static void free_haul(struct haul **haul)
{
    if (*haul != NULL)
        drop_haul(*haul);
}

static void free_batch(struct batch **batch)
{
    if (*batch != NULL)
        drop_batch(*batch);
}

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* ---- clocks and positions ---- */

int64_t ferry_audits_sweep_now(const struct ferry_audits_sweep *sweep)
{
    return ferry_clock_wall_ms() + sweep->skew_ms;
}

static void note_answer(struct ferry_audits_sweep *sweep, const struct ferry_tenant_answer *answer)
{
    sweep->last_status = answer->status;
    sweep->retry_after_ms = answer->retry_after_ms;
    if (answer->status != 0 && answer->date_ms >= 0)
        sweep->skew_ms = answer->date_ms - ferry_clock_wall_ms();
}

/* Never back, and never past a clock. */
static void advance(struct ferry_audits_sweep *sweep, int64_t to_ms)
{
    int64_t own_ms = ferry_clock_wall_ms();
    int64_t position_ms = to_ms < own_ms ? to_ms : own_ms;
    if (position_ms > sweep->checkpoint.position_ms)
        sweep->checkpoint.position_ms = position_ms;
    ferry_audits_checkpoint_prune(&sweep->checkpoint, sweep->checkpoint.position_ms - sweep->config->overlap_ms);
}

static int64_t begin_of(const struct ferry_audits_sweep *sweep)
{
    int64_t position_ms = sweep->checkpoint.position_ms; /* behind `to_ms` it can only be by a clock that was wrong */
    return (position_ms < sweep->to_ms ? position_ms : sweep->to_ms) - sweep->config->overlap_ms;
}

static enum ferry_code write_checkpoint(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    sweep->checkpoint.sequence++;
    sweep->unwritten = true;
    enum ferry_code code = ferry_audits_log_write(sweep->log, sweep->tenant, &sweep->checkpoint, error);
    sweep->unwritten = code != FERRY_OK;
    return code;
}

/* ---- records ---- */

static bool is_wanted(const struct ferry_audits_sweep *sweep, const struct ferry_event *event)
{
    for (size_t i = 0; i < sweep->config->events.count; i++)
        if (ferry_glob_match(sweep->config->events.items[i], event->canonical) ||
            ferry_glob_match(sweep->config->events.items[i], event->type))
            return true;
    return false;
}

/* A tenant speaks for Qlik, but not for Ferry's triggers. */
static enum ferry_code check_type(const struct ferry_event *event, struct ferry_error *error)
{
    if (ferry_slice_starts_nocase(event->type, "com.ferry.") || ferry_slice_starts(event->canonical, "trigger."))
        return ferry_fail(error, FERRY_TYPE_REFUSED, "a tenant may not bring events of type \"%.*s\"",
                          FERRY_SLICE_ARGS(event->type));
    return FERRY_OK;
}

static void note_time(struct ferry_audits_sweep *sweep, int64_t time_ms)
{
    if (time_ms < sweep->highest_ms)
        sweep->in_order = false;
    else
        sweep->highest_ms = time_ms;
}

/* What is no event is kept as it came, once. */
static enum ferry_code add_quarantined(struct ferry_audits_sweep *sweep, struct batch *batch, struct ferry_json record,
                                       struct ferry_error *error)
{
    struct item *item = &batch->items[batch->count];
    item->event = (struct ferry_event){0};
    item->seen = (struct ferry_audits_seen){ferry_audits_id((struct ferry_slice){NULL, 0}, record.text), sweep->to_ms};
    if (ferry_audits_checkpoint_has(&sweep->checkpoint, item->seen.id)) {
        ferry_series_add(sweep->records[FERRY_AUDITS_KNOWN], 1);
        return FERRY_OK;
    }
    const struct ferry_quarantine kept = {.why = error->code,
                                          .reason = ferry_slice_from(error->text),
                                          .path = ferry_slice_from(sweep->config->tenant),
                                          .media_type = FERRY_SLICE("application/json"),
                                          .body = record.text,
                                          .wall_ms = ferry_clock_wall_ms()};
    enum ferry_code code = ferry_admit_quarantine(sweep->snapshot, &kept, &batch->arena, &item->record, error);
    batch->count += code == FERRY_OK;
    return code;
}

static bool is_no_event(enum ferry_code code)
{
    return code == FERRY_JSON_INVALID || code == FERRY_EVENT_INVALID || code == FERRY_TYPE_REFUSED;
}

/* The event of a record and what it is known by. */
static enum ferry_code read_item(struct ferry_audits_sweep *sweep, struct ferry_json record, struct item *item,
                                 struct ferry_arena *arena, struct ferry_error *error)
{
    enum ferry_code code = ferry_audits_event(record, ferry_clock_wall_ms(), arena, &item->event, error);
    if (code == FERRY_OK)
        code = check_type(&item->event, error);
    if (code != FERRY_OK)
        return code;
    item->seen = (struct ferry_audits_seen){ferry_audits_id(item->event.source, item->event.id), sweep->to_ms};
    (void)!ferry_time_parse(item->event.time, &item->seen.time_ms);
    return FERRY_OK;
}

/* Adds the record to the batch, unless there is a reason not to. Records from before the sweep's begin come with a day
 * of the archive and were dealt with before. */
static enum ferry_code add_record(struct ferry_audits_sweep *sweep, struct batch *batch, struct ferry_json record,
                                  int64_t from_ms, struct ferry_error *error)
{
    struct item *item = &batch->items[batch->count];
    struct ferry_error why = {0};
    enum ferry_code code = read_item(sweep, record, item, &batch->arena, &why);
    if (code == FERRY_OK) {
        note_time(sweep, item->seen.time_ms);
        bool known = item->seen.time_ms < from_ms || ferry_audits_checkpoint_has(&sweep->checkpoint, item->seen.id);
        if (known || !is_wanted(sweep, &item->event)) {
            ferry_series_add(sweep->records[known ? FERRY_AUDITS_KNOWN : FERRY_AUDITS_FILTERED], 1);
            return FERRY_OK;
        }
        code = ferry_admit_record(sweep->snapshot, &item->event, NULL, &batch->arena, &item->record, &why);
        batch->count += code == FERRY_OK;
    }
    if (is_no_event(code)) {
        *error = why;
        return add_quarantined(sweep, batch, record, error);
    }
    return code == FERRY_OK ? FERRY_OK : ferry_fail(error, code, "%s", why.text);
}

/* ---- publishing ---- */

/* Waits until the outlet has something, or its next deadline. */
static void await_outlet(const struct ferry_outlet *outlet)
{
    int64_t left_ms = ferry_outlet_deadline(outlet) - ferry_clock_mono_ms();
    struct pollfd wake = {.fd = outlet->wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, left_ms > 0 ? (int)(left_ms < MINUTE_MS ? left_ms : MINUTE_MS) : 0) > 0)
        (void)!read(outlet->wake_fd, &ignored, sizeof ignored);
}

/* Hands all over, in order, and waits until each is safe or given up. */
static void publish(struct ferry_audits_sweep *sweep, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        atomic_fetch_add(&batch->references, 1);
        item->batch = batch;
        item->parcel.records = &item->record;
        item->parcel.record_count = 1;
        item->parcel.release = release_parcel;
        ferry_publish(sweep->publisher, sweep->outlet, &item->parcel, ferry_clock_mono_ms());
    }
    for (size_t back = 0; back < batch->count;) {
        int64_t now_ms = ferry_clock_mono_ms();
        if (atomic_load(&sweep->stopping))
            ferry_outlet_hurry(sweep->outlet, now_ms);
        const struct ferry_parcel *parcel = ferry_outlet_collect(sweep->outlet, now_ms);
        if (parcel == NULL)
            await_outlet(sweep->outlet);
        for (; parcel != NULL; parcel = parcel->next)
            back++;
    }
}

static void count_published(struct ferry_audits_sweep *sweep, const struct item *item)
{
    bool quarantined = item->event.type.ptr == NULL;
    ferry_series_add(sweep->records[quarantined ? FERRY_AUDITS_QUARANTINED : FERRY_AUDITS_NEW], 1);
    if (quarantined)
        return;
    ferry_ops_count_event(sweep->ops, &item->event);
    ferry_event_log_taken(&item->event, item->record.topic, sweep->tenant, item->parcel.code);
}

static void tell_too_large(const struct ferry_audits_sweep *sweep, const struct item *item)
{
    ferry_series_add(sweep->records[FERRY_AUDITS_TOO_LARGE], 1);
    ferry_log(
        FERRY_LOG_ERROR, "an audit record is larger than Kafka takes, and is left out",
        FERRY_FIELDS(ferry_text("tenant", sweep->tenant), ferry_field_slice("id", item->event.id),
                     ferry_field_slice("type", item->event.type),
                     ferry_text("cure", "raise message.max.bytes of the topic and of kafka:, then back-fill it")));
}

/* Takes note of what is safe; the others are asked for again. */
static enum ferry_code settle(struct ferry_audits_sweep *sweep, const struct batch *batch, struct ferry_error *error)
{
    size_t unsafe = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct item *item = &batch->items[i];
        enum ferry_code code = item->parcel.code;
        if (code == FERRY_RECORD_TOO_LARGE)
            tell_too_large(sweep, item);
        else if (code == FERRY_OK || code == FERRY_SPOOLED)
            count_published(sweep, item);
        else
            unsafe++;
        if ((code == FERRY_OK || code == FERRY_SPOOLED || code == FERRY_RECORD_TOO_LARGE) &&
            !ferry_audits_checkpoint_add(&sweep->checkpoint, item->seen.id, item->seen.time_ms))
            return no_memory(error);
    }
    if (unsafe > 0)
        return ferry_fail(error, FERRY_UNAVAILABLE, "%zu of %zu events are neither in Kafka nor in the spool", unsafe,
                          batch->count);
    return FERRY_OK;
}

/* ---- a page ---- */

/* Publishes up to a hundred records of the page and writes the checkpoint. */
static enum ferry_code take_records(struct ferry_audits_sweep *sweep, struct haul *haul, size_t first, size_t count,
                                    int64_t from_ms, struct ferry_error *error)
{
    FERRY_CLEANUP(free_batch) struct batch *batch = new_batch(sweep, haul);
    if (batch == NULL)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        enum ferry_code code = add_record(sweep, batch, haul->page.records.items[first + i].value, from_ms, error);
        if (code != FERRY_OK)
            return code;
    }
    if (batch->count == 0)
        return FERRY_OK;
    publish(sweep, batch);
    FERRY_CRASH_POINT("audits-published");
    enum ferry_code code = settle(sweep, batch, error);
    if (code != FERRY_OK)
        return code;
    if (sweep->in_order)
        advance(sweep, sweep->highest_ms);
    code = write_checkpoint(sweep, error);
    FERRY_CRASH_POINT("audits-checkpointed");
    return code;
}

static enum ferry_code take_page(struct ferry_audits_sweep *sweep, struct haul *haul, int64_t from_ms,
                                 struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    size_t total = haul->page.records.count;
    for (size_t first = 0; code == FERRY_OK && first < total; first += PARCELS) {
        int turn = ferry_audits_log_work(sweep->log, sweep->tenant);
        if (turn < 0)
            return ferry_fail(error, FERRY_STOPPING, "the tenant is another bridge's now");
        code = take_records(sweep, haul, first, total - first < PARCELS ? total - first : PARCELS, from_ms, error);
        ferry_audits_log_rest(sweep->log, turn);
    }
    return code;
}

static enum ferry_code fetch(struct ferry_audits_sweep *sweep, const char *link, struct haul **out,
                             struct ferry_error *error)
{
    struct haul *haul = calloc(1, sizeof *haul);
    if (haul == NULL)
        return no_memory(error);
    atomic_init(&haul->references, 1);
    enum ferry_code code = ferry_audits_fetch(sweep->session, link, &haul->page, error);
    note_answer(sweep, &haul->page.answer);
    if (code != FERRY_OK) {
        drop_haul(haul);
        return code;
    }
    ferry_series_add(sweep->pages, 1);
    FERRY_CRASH_POINT("audits-fetched");
    *out = haul;
    return FERRY_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* In which order the archive lists a day nobody has asked for, and a position that followed another one would leave
 * out what a crash has cut off. A day that comes in several answers is in no order that can be known. */
static enum ferry_code put_in_order(struct ferry_audits_sweep *sweep, struct haul *haul, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena scratch = {0};
    struct ferry_json_parts *records = &haul->page.records;
    struct placed *placed = calloc(records->count + 1, sizeof *placed);
    if (placed == NULL)
        return no_memory(error);
    for (size_t i = 0; i < records->count; i++) {
        struct item item = {0};
        struct ferry_error why;
        if (i % PARCELS == 0)
            ferry_arena_reset(&scratch);
        (void)!read_item(sweep, records->items[i].value, &item, &scratch, &why); /* no event: among the first */
        placed[i] = (struct placed){item.seen.time_ms, i, records->items[i]};
    }
    qsort(placed, records->count, sizeof *placed, by_time);
    for (size_t i = 0; i < records->count; i++)
        records->items[i] = placed[i].record;
    free(placed);
    if (haul->page.next.ptr != NULL)
        sweep->in_order = false;
    return FERRY_OK;
}

/* The page behind `link`, and all that follow. */
static enum ferry_code take_pages(struct ferry_audits_sweep *sweep, const char *link, enum origin origin,
                                  int64_t from_ms, struct ferry_error *error)
{
    FERRY_CLEANUP(free_haul) struct haul *haul = NULL;
    enum ferry_code code = fetch(sweep, link, &haul, error);
    while (haul != NULL) {
        code = origin == ARCHIVE ? put_in_order(sweep, haul, error) : FERRY_OK;
        if (code == FERRY_OK)
            code = take_page(sweep, haul, from_ms, error);
        if (code != FERRY_OK || haul->page.next.ptr == NULL)
            break;
        struct haul *next = NULL;
        code = fetch(sweep, haul->page.next.ptr, &next, error);
        drop_haul(haul);
        haul = next;
    }
    return code;
}

/* ---- a sweep ---- */

static void begin_range(struct ferry_audits_sweep *sweep)
{
    sweep->highest_ms = INT64_MIN;
    sweep->in_order = true;
}

/* One day of the archive. Which days it has Qlik does not say: one that is not there (404) is passed over. */
static enum ferry_code take_day(struct ferry_audits_sweep *sweep, int64_t day_ms, int64_t from_ms,
                                struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    ferry_buffer_init(&link, LINK_BYTES);
    ferry_audits_archive_link(day_ms, &link);
    begin_range(sweep);
    enum ferry_code code = take_pages(sweep, link.ptr, ARCHIVE, from_ms, error);
    return code == FERRY_HTTP_REFUSED && sweep->last_status == 404 ? FERRY_OK : code;
}

/* The days that have left the pages, or have begun to. */
static enum ferry_code sweep_archive(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    int64_t kept_ms = sweep->to_ms - FERRY_AUDITS_KEPT_MS;
    int64_t from_ms = begin_of(sweep);
    if (from_ms >= kept_ms)
        return FERRY_OK;
    for (int64_t day_ms = from_ms - from_ms % FERRY_AUDITS_DAY_MS; day_ms < kept_ms; day_ms += FERRY_AUDITS_DAY_MS) {
        enum ferry_code code = take_day(sweep, day_ms, from_ms, error);
        if (code != FERRY_OK)
            return code;
        int64_t end_ms = day_ms + FERRY_AUDITS_DAY_MS;
        advance(sweep, end_ms < kept_ms ? end_ms : kept_ms);
        code = write_checkpoint(sweep, error);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

static enum ferry_code sweep_pages(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    int64_t from_ms = begin_of(sweep);
    ferry_buffer_init(&link, LINK_BYTES);
    ferry_audits_link(from_ms, sweep->to_ms, &link);
    begin_range(sweep);
    return take_pages(sweep, link.ptr, PAGES, from_ms, error);
}

/* Everything up to `to_ms` is safe: the next sweep begins one overlap before. */
static enum ferry_code complete(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    int turn = ferry_audits_log_work(sweep->log, sweep->tenant);
    if (turn < 0)
        return ferry_fail(error, FERRY_STOPPING, "the tenant is another bridge's now");
    advance(sweep, sweep->to_ms);
    enum ferry_code code = write_checkpoint(sweep, error);
    ferry_audits_log_rest(sweep->log, turn);
    if (code == FERRY_OK)
        sweep->asked_ms = sweep->to_ms;
    return code;
}

/* ---- taking a tenant over ---- */

/* An empty range is asked for, for the tenant's clock, and to see whether it lets us in, before anything is claimed. */
static enum ferry_code greet(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    FERRY_CLEANUP(ferry_audits_page_done) struct ferry_audits_page page = {0};
    int64_t now_ms = ferry_clock_wall_ms();
    ferry_buffer_init(&link, LINK_BYTES);
    ferry_audits_link(now_ms, now_ms, &link);
    enum ferry_code code = ferry_audits_fetch(sweep->session, link.ptr, &page, error);
    note_answer(sweep, &page.answer);
    return code;
}

/* Reads how far the tenant was polled, and writes that it is ours from now on. This also fixes where a first sweep
 * begins, so that a crash in it does not begin later. */
static enum ferry_code begin(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    bool found = false;
    enum ferry_code code = greet(sweep, error);
    if (code == FERRY_OK) {
        ferry_audits_sweep_forget(sweep);
        code = ferry_audits_log_read(sweep->log, sweep->tenant, &sweep->checkpoint, &found, error);
    }
    if (code != FERRY_OK)
        return code;
    if (!found)
        advance(sweep, ferry_audits_sweep_now(sweep));
    sweep->checkpoint.epoch++;
    sweep->checkpoint.sequence = 0;
    code = write_checkpoint(sweep, error);
    sweep->begun = code == FERRY_OK;
    if (code == FERRY_OK)
        FERRY_CRASH_POINT("audits-claimed");
    return code;
}

void ferry_audits_sweep_forget(struct ferry_audits_sweep *sweep)
{
    ferry_audits_checkpoint_done(&sweep->checkpoint);
    sweep->begun = sweep->unwritten = false;
    sweep->asked_ms = 0;
}

enum ferry_code ferry_audits_sweep(struct ferry_audits_sweep *sweep, struct ferry_error *error)
{
    enum ferry_code code = FERRY_OK;
    sweep->last_status = 0;
    if (!sweep->begun)
        code = begin(sweep, error);
    else if (sweep->unwritten) /* no page before the last one's checkpoint */
        code = write_checkpoint(sweep, error);
    if (code != FERRY_OK)
        return code;
    sweep->to_ms = ferry_audits_sweep_now(sweep);
    code = sweep_archive(sweep, error);
    if (code == FERRY_OK)
        code = sweep_pages(sweep, error);
    if (code == FERRY_OK)
        code = complete(sweep, error);
    return code;
}
