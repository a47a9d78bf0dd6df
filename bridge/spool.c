/* The writer collects what shards, the reporter and the feeder queue, and commits it together: it waits COLLECT_MS for
 * company after the first item, or until BATCH items are there. Deletes, for which nobody waits, are in no hurry: they
 * go with the next commit, or by themselves after DELETE_MS. One transaction inserts first and deletes last, so that a
 * row which is reported while its insert is still queued is gone after the commit.
 *
 *   append ─► queue ─► [insert … mark … set aside … delete; COMMIT (fsync)] ─► stored
 *
 * When a commit fails its rows are refused, for good: nobody is told that they are safe. What is owed, deletes and
 * settings aside of rows whose fate is decided, stays and goes with a later commit. While something is wrong the spool
 * takes no rows, and once a second the writer tries to set it right:
 *
 *   no room           the file's reserve is given away, so that rows can still be noted, fed and deleted; it is taken
 *                     back when there is room again
 *   anything else     broken, an fsync that failed above all: until the whole log has been written into the database
 *                     and synced (ferry_spool_file_mend)
 */
#include "bridge/spool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "core/spool/spool_row.h"
#include "core/wait.h"

enum {
    BATCH = 64,
    COLLECT_MS = 2,
    DELETE_BATCH = 4096,
    DELETE_MS = 100,
    REST_ROWS = 1000,  /* after so many rows the memory of an outage is worth giving back */
    FEW_DELETES = 100, /* each may change several pages; they take less than the reserve of a full disk has */
    MEND_MS = 1000,
    ROW_OVERHEAD = 64,
    RECORD_MAX_BYTES = 64 << 20,
    EVENT_BYTES = 4 << 10
};

enum work_kind { WORK_APPEND, WORK_MARK, WORK_ASIDE, WORK_DELETE, WORK_SYNC, WORK_KINDS };

/* One thing to do in the next transaction; on one of the writer's lists, by kind. */
struct work {
    struct work *next;
    enum work_kind kind;
    int64_t sequence;
    bool handed;
    struct ferry_buffer bytes; /* append: the row; aside: the reason */
    char topic[256];
    /* the last row of an append tells its tag, the last of a mark its waiter */
    bool last;
    void *tag;
    struct waiter *waiter;
};

struct list {
    struct work *first, **end;
    size_t count;
};

/* A thread that waits until its marks are on disk. */
struct waiter {
    bool over;
    enum ferry_code code;
};

struct ferry_spool {
    struct ferry_spool_listener listener;
    struct ferry_spool_file *file;
    int64_t limit_bytes;
    int64_t last_sequence;
    struct ferry_series *rows_gauge, *bytes_gauge, *oldest_gauge, *aside_counter;

    int64_t mended_ms; /* the last attempt; writer alone */
    size_t since_rest; /* rows that were stored since memory was given back; writer alone */
    pthread_t writer;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t queued;
    pthread_cond_t committed;
    struct list work[WORK_KINDS];
    bool stopping;
    bool broken;
    bool failing;  /* the last commit failed */
    bool has_room; /* the file has its reserve */
    int64_t rows;
    int64_t used_bytes;   /* pages in use, after the last commit */
    int64_t queued_bytes; /* of rows that are on their way */
};

/* ---- lists ---- */

static void list_init(struct list *list)
{
    *list = (struct list){.end = &list->first};
}

static void list_add(struct list *list, struct work *work)
{
    *list->end = work;
    list->end = &work->next;
    list->count++;
}

/* What `from` has goes behind what `list` has. */
static void list_join(struct list *list, struct list *from)
{
    if (from->first == NULL)
        return;
    *list->end = from->first;
    list->end = from->end;
    list->count += from->count;
    list_init(from);
}

/* Leaves `count` in `list`; the others go into `rest`, which is empty. */
static void list_cut(struct list *list, size_t count, struct list *rest)
{
    if (list->count <= count)
        return;
    struct work *last = list->first;
    for (size_t i = 1; i < count; i++)
        last = last->next;
    *rest = (struct list){last->next, list->end, list->count - count};
    list->end = &last->next;
    list->count = count;
    last->next = NULL;
}

static void list_free(struct list *list)
{
    for (struct work *work = list->first, *next; work != NULL; work = next) {
        next = work->next;
        ferry_buffer_done(&work->bytes);
        free(work);
    }
    list_init(list);
}

static struct work *work_new(enum work_kind kind, int64_t sequence)
{
    struct work *work = calloc(1, sizeof *work);
    if (work != NULL) {
        work->kind = kind;
        work->sequence = sequence;
        ferry_buffer_init(&work->bytes, RECORD_MAX_BYTES);
    }
    return work;
}

static size_t queued_count(const struct ferry_spool *spool)
{
    size_t count = 0;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        count += spool->work[kind].count;
    return count;
}

/* What somebody may be waiting for. */
static size_t urgent_count(const struct ferry_spool *spool)
{
    return queued_count(spool) - spool->work[WORK_DELETE].count;
}

static bool is_hurried(const struct ferry_spool *spool)
{
    return urgent_count(spool) > 0 || spool->work[WORK_DELETE].count >= (spool->has_room ? DELETE_BATCH : 1);
}

/* A delete that is not the first of them is no reason to wake the writer. With the lock held. */
static void enqueue(struct ferry_spool *spool, struct work *work)
{
    list_add(&spool->work[work->kind], work);
    if (is_hurried(spool) || queued_count(spool) == 1)
        pthread_cond_signal(&spool->queued);
}

/* ---- the writer ---- */

static bool carry_out(struct ferry_spool_file *file, const struct work *work)
{
    switch (work->kind) {
    case WORK_APPEND:
        return ferry_spool_file_insert(file, work->sequence, work->topic, work->handed,
                                       ferry_buffer_slice(&work->bytes));
    case WORK_MARK:
        return ferry_spool_file_mark(file, work->sequence, work->handed);
    case WORK_ASIDE:
        return ferry_spool_file_set_aside(file, work->sequence, work->bytes.ptr != NULL ? work->bytes.ptr : "");
    case WORK_DELETE:
        return ferry_spool_file_delete(file, work->sequence);
    case WORK_SYNC: /* its commit is what somebody waits for */
    case WORK_KINDS:
        break;
    }
    return true;
}

static enum ferry_code commit(struct ferry_spool *spool, struct list work[WORK_KINDS], int64_t *change)
{
    bool good = ferry_spool_file_begin(spool->file);
    for (int kind = 0; good && kind < WORK_KINDS; kind++)
        for (const struct work *item = work[kind].first; good && item != NULL; item = item->next)
            good = carry_out(spool->file, item);
    FERRY_CRASH_POINT("spool-before-commit");
    if (good && ferry_spool_file_commit(spool->file, change))
        return FERRY_OK;
    struct ferry_error error;
    enum ferry_code code = ferry_spool_file_roll_back(spool->file, &error);
    ferry_log(FERRY_LOG_ERROR, "spool: a commit failed, none of its events is acknowledged",
              FERRY_FIELDS(ferry_text("code", ferry_code_name(code)), ferry_text("reason", error.text)));
    return code;
}

static void end_waits(const struct list *list, enum ferry_code code)
{
    for (const struct work *item = list->first; item != NULL; item = item->next)
        if (item->waiter != NULL)
            *item->waiter = (struct waiter){.over = true, .code = code};
}

static void account(struct ferry_spool *spool, const struct list work[WORK_KINDS], enum ferry_code code, int64_t change)
{
    int64_t used_bytes = ferry_spool_file_used_bytes(spool->file);
    pthread_mutex_lock(&spool->lock);
    spool->broken |= code == FERRY_SPOOL_BROKEN;
    spool->failing = code != FERRY_OK;
    spool->has_room = ferry_spool_file_has_reserve(spool->file);
    spool->used_bytes = used_bytes;
    spool->rows += change;
    for (const struct work *item = work[WORK_APPEND].first; item != NULL; item = item->next)
        spool->queued_bytes -= (int64_t)item->bytes.len;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        end_waits(&work[kind], code);
    if (code != FERRY_OK) { /* nobody waits for deletes that were put back and may fail for long */
        end_waits(&spool->work[WORK_SYNC], code);
        list_free(&spool->work[WORK_SYNC]);
    }
    ferry_series_set(spool->rows_gauge, (double)spool->rows);
    ferry_series_set(spool->bytes_gauge, (double)spool->used_bytes);
    pthread_cond_broadcast(&spool->committed);
    pthread_mutex_unlock(&spool->lock);
    if (code == FERRY_OK)
        ferry_series_add(spool->aside_counter, work[WORK_ASIDE].count);
}

static void tell(struct ferry_spool *spool, const struct list *appends, enum ferry_code code)
{
    for (const struct work *item = appends->first; item != NULL; item = item->next)
        if (item->last)
            spool->listener.stored(spool->listener.context, item->tag, code);
}

static bool is_well(const struct ferry_spool *spool)
{
    return !spool->broken && spool->has_room;
}

/* A spool that is not well does not wait for ever. */
static void wait_for_work(struct ferry_spool *spool)
{
    const struct timespec until = ferry_deadline_in(MEND_MS);
    while (queued_count(spool) == 0 && !spool->stopping) {
        if (is_well(spool))
            pthread_cond_wait(&spool->queued, &spool->lock);
        else if (pthread_cond_timedwait(&spool->queued, &spool->lock, &until) != 0)
            return;
    }
}

static void wait_for_company(struct ferry_spool *spool)
{
    const struct timespec late = ferry_deadline_in(DELETE_MS);
    while ((!is_hurried(spool) || spool->failing) && !spool->stopping)
        if (pthread_cond_timedwait(&spool->queued, &spool->lock, &late) != 0)
            return;
    const struct timespec until = ferry_deadline_in(COLLECT_MS);
    while (urgent_count(spool) < BATCH && !spool->stopping)
        if (pthread_cond_timedwait(&spool->queued, &spool->lock, &until) != 0)
            return;
}

/* A full disk has room for few deletes at once. Whoever waits for all of them goes on waiting. At a stop that fails all
 * are tried once. */
static void put_back_deletes(struct ferry_spool *spool, struct list work[WORK_KINDS])
{
    if (spool->has_room || (spool->stopping && spool->failing))
        return;
    struct list rest;
    list_init(&rest);
    list_cut(&work[WORK_DELETE], FEW_DELETES, &rest);
    if (rest.count == 0)
        return;
    list_join(&spool->work[WORK_DELETE], &rest);
    list_join(&spool->work[WORK_SYNC], &work[WORK_SYNC]);
}

/* Adds all that is queued, possibly nothing; false when there is nothing and never will be. */
static bool take_work(struct ferry_spool *spool, struct list work[WORK_KINDS])
{
    pthread_mutex_lock(&spool->lock);
    wait_for_work(spool);
    if (queued_count(spool) > 0)
        wait_for_company(spool);
    bool any = queued_count(spool) > 0 || !spool->stopping;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_join(&work[kind], &spool->work[kind]);
    put_back_deletes(spool, work);
    pthread_mutex_unlock(&spool->lock);
    return any;
}

/* Whoever asked for a row to go counts on it: it is done with the next commit that succeeds. */
static bool is_owed(int kind, enum ferry_code code)
{
    return code != FERRY_OK && (kind == WORK_ASIDE || kind == WORK_DELETE);
}

static bool is_empty(const struct list work[WORK_KINDS])
{
    for (int kind = 0; kind < WORK_KINDS; kind++)
        if (work[kind].first != NULL)
            return false;
    return true;
}

static void set_broken(struct ferry_spool *spool, bool broken)
{
    pthread_mutex_lock(&spool->lock);
    spool->broken = broken;
    pthread_mutex_unlock(&spool->lock);
}

/* Sets right what can be set right; not more often than once in MEND_MS. */
static void mend(struct ferry_spool *spool)
{
    int64_t now_ms = ferry_clock_mono_ms();
    if (is_well(spool) || now_ms - spool->mended_ms < MEND_MS)
        return;
    spool->mended_ms = now_ms;
    if (spool->broken && ferry_spool_file_mend(spool->file)) {
        set_broken(spool, false);
        ferry_log(FERRY_LOG_INFO, "spool: its file is sound again", FERRY_NO_FIELDS);
    }
    if (!spool->broken && !spool->has_room)
        ferry_spool_file_restore_reserve(spool->file);
}

static enum ferry_code carry_out_all(struct ferry_spool *spool, struct list work[WORK_KINDS], int64_t *change)
{
    mend(spool);
    if (spool->broken)
        return FERRY_SPOOL_BROKEN;
    if (is_empty(work))
        return FERRY_OK;
    enum ferry_code code = commit(spool, work, change);
    if (code == FERRY_SPOOL_FULL)
        ferry_spool_file_make_room(spool->file);
    else if (!ferry_spool_file_has_reserve(spool->file))
        ferry_spool_file_rewind_log(spool->file);
    return code;
}

/* Gives memory back when the last row has left. */
static void rest(struct ferry_spool *spool, size_t stored)
{
    spool->since_rest += stored;
    if (spool->since_rest < REST_ROWS || ferry_spool_rows(spool) > 0)
        return;
    spool->since_rest = 0;
    ferry_spool_file_rest(spool->file);
}

static void *run_writer(void *context)
{
    struct ferry_spool *spool = context;
    struct list work[WORK_KINDS];
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_init(&work[kind]);
    while (take_work(spool, work)) {
        int64_t change = 0;
        enum ferry_code code = carry_out_all(spool, work, &change);
        FERRY_CRASH_POINT("spool-after-commit");
        account(spool, work, code, change);
        tell(spool, &work[WORK_APPEND], code);
        FERRY_CRASH_POINT("spool-after-answers");
        rest(spool, work[WORK_APPEND].count);
        for (int kind = 0; kind < WORK_KINDS; kind++)
            if (!is_owed(kind, code))
                list_free(&work[kind]);
    }
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_free(&work[kind]);
    return NULL;
}

/* ---- opening ---- */

static struct ferry_series *single(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                   const char *help)
{
    return ferry_metric_series(ferry_metrics_family(metrics, kind, name, help, NULL), NULL);
}

static void look_around(struct ferry_spool *spool, struct ferry_metrics *metrics)
{
    spool->last_sequence = ferry_spool_file_last_sequence(spool->file);
    spool->rows = ferry_spool_file_rows(spool->file);
    spool->used_bytes = ferry_spool_file_used_bytes(spool->file);
    spool->has_room = ferry_spool_file_has_reserve(spool->file);
    spool->mended_ms = ferry_clock_mono_ms(); /* opening it was an attempt */
    spool->rows_gauge = single(metrics, FERRY_GAUGE, "ferry_spool_events", "Events on disk that are not in Kafka yet");
    spool->bytes_gauge = single(metrics, FERRY_GAUGE, "ferry_spool_bytes", "Disk pages that the spool uses");
    spool->oldest_gauge = single(metrics, FERRY_GAUGE, "ferry_spool_oldest_seconds", "Age of the oldest event on disk");
    spool->aside_counter = single(metrics, FERRY_COUNTER, "ferry_spool_aside_total",
                                  "Spooled events that can never be produced, kept in the spool's table `aside`");
    ferry_series_set(single(metrics, FERRY_GAUGE, "ferry_spool_limit_bytes", "What ferry_spool_bytes may come to"),
                     (double)spool->limit_bytes);
    ferry_series_set(spool->rows_gauge, (double)spool->rows);
    ferry_series_set(spool->bytes_gauge, (double)spool->used_bytes);
}

static void free_spool(struct ferry_spool *spool)
{
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_free(&spool->work[kind]);
    ferry_spool_file_close(spool->file);
    pthread_cond_destroy(&spool->committed);
    pthread_cond_destroy(&spool->queued);
    pthread_mutex_destroy(&spool->lock);
    free(spool);
}

static struct ferry_spool *spool_new(int64_t limit_bytes, const struct ferry_spool_listener *listener)
{
    struct ferry_spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return NULL;
    spool->limit_bytes = limit_bytes;
    spool->listener = *listener;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_init(&spool->work[kind]);
    ferry_condition_init(&spool->queued);
    ferry_condition_init(&spool->committed);
    pthread_mutex_init(&spool->lock, NULL);
    return spool;
}

enum ferry_code ferry_spool_open(const char *directory, int64_t limit_bytes,
                                 const struct ferry_spool_listener *listener, struct ferry_metrics *metrics,
                                 struct ferry_spool **out, struct ferry_error *error)
{
    struct ferry_spool *spool = spool_new(limit_bytes, listener);
    if (spool == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_spool_file_open(directory, &spool->file, error);
    if (code == FERRY_OK) {
        look_around(spool, metrics);
        int failed = pthread_create(&spool->writer, NULL, run_writer, spool);
        if (failed)
            code = ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    if (code != FERRY_OK) {
        free_spool(spool);
        return code;
    }
    *out = spool;
    return FERRY_OK;
}

void ferry_spool_close(struct ferry_spool *spool)
{
    if (spool == NULL)
        return;
    pthread_mutex_lock(&spool->lock);
    spool->stopping = true;
    pthread_cond_signal(&spool->queued);
    pthread_mutex_unlock(&spool->lock);
    pthread_join(spool->writer, NULL);
    FERRY_CRASH_POINT("stop-spool-written");
    free_spool(spool);
}

/* ---- queueing; any thread ---- */

static struct work *append_work(const struct ferry_spool_row *row)
{
    struct work *work = work_new(WORK_APPEND, row->sequence);
    if (work == NULL)
        return NULL;
    work->handed = row->handed;
    snprintf(work->topic, sizeof work->topic, "%.*s", FERRY_SLICE_ARGS(row->record.topic));
    ferry_spool_row_write(&row->record, &work->bytes);
    if (!work->bytes.failed)
        return work;
    ferry_buffer_done(&work->bytes);
    free(work);
    return NULL;
}

static enum ferry_code copy_rows(const struct ferry_spool_row *rows, size_t count, void *tag, struct list *out,
                                 int64_t *bytes, struct ferry_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct work *work = append_work(&rows[i]);
        if (work == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        *bytes += (int64_t)work->bytes.len + ROW_OVERHEAD;
        work->last = i + 1 == count;
        work->tag = tag;
        list_add(out, work);
    }
    return FERRY_OK;
}

static enum ferry_code room(const struct ferry_spool *spool, int64_t bytes, struct ferry_error *error)
{
    if (spool->broken)
        return ferry_fail(error, FERRY_SPOOL_BROKEN, "the spool could not write to its disk");
    if (!spool->has_room)
        return ferry_fail(error, FERRY_SPOOL_FULL, "the spool's disk is full");
    if (spool->used_bytes + spool->queued_bytes + bytes > spool->limit_bytes)
        return ferry_fail(error, FERRY_SPOOL_FULL, "the spool is full (%lld bytes)", (long long)spool->limit_bytes);
    return FERRY_OK;
}

enum ferry_code ferry_spool_append(struct ferry_spool *spool, const struct ferry_spool_row *rows, size_t count,
                                   void *tag, struct ferry_error *error)
{
    struct list copies;
    list_init(&copies);
    int64_t bytes = 0;
    enum ferry_code code = copy_rows(rows, count, tag, &copies, &bytes, error);
    if (code == FERRY_OK) {
        pthread_mutex_lock(&spool->lock);
        code = room(spool, bytes, error);
        for (struct work *work = copies.first, *next; code == FERRY_OK && work != NULL; work = next) {
            next = work->next;
            work->next = NULL;
            spool->queued_bytes += (int64_t)work->bytes.len;
            enqueue(spool, work);
        }
        pthread_mutex_unlock(&spool->lock);
    }
    FERRY_CRASH_POINT("spool-queued");
    if (code != FERRY_OK)
        list_free(&copies);
    return code;
}

static bool enqueue_one(struct ferry_spool *spool, struct work *work)
{
    if (work == NULL)
        return false;
    pthread_mutex_lock(&spool->lock);
    enqueue(spool, work);
    pthread_mutex_unlock(&spool->lock);
    return true;
}

bool ferry_spool_delete(struct ferry_spool *spool, int64_t sequence)
{
    return enqueue_one(spool, work_new(WORK_DELETE, sequence));
}

bool ferry_spool_set_aside(struct ferry_spool *spool, int64_t sequence, const char *reason)
{
    struct work *work = work_new(WORK_ASIDE, sequence);
    if (work != NULL)
        ferry_buffer_add_text(&work->bytes, reason);
    return enqueue_one(spool, work);
}

void ferry_spool_unmark_handed(struct ferry_spool *spool, int64_t sequence)
{
    (void)enqueue_one(spool, work_new(WORK_MARK, sequence)); /* without memory a needless mark stays */
}

/* Queues them with a waiter behind, and waits for it. */
static enum ferry_code enqueue_and_wait(struct ferry_spool *spool, struct list *list)
{
    struct waiter waiter = {.over = false};
    pthread_mutex_lock(&spool->lock);
    for (struct work *work = list->first, *next; work != NULL; work = next) {
        next = work->next;
        work->next = NULL;
        work->waiter = next == NULL ? &waiter : NULL;
        enqueue(spool, work);
    }
    while (!waiter.over)
        pthread_cond_wait(&spool->committed, &spool->lock);
    pthread_mutex_unlock(&spool->lock);
    return waiter.code;
}

enum ferry_code ferry_spool_mark_handed(struct ferry_spool *spool, const int64_t *sequences, size_t count)
{
    struct list marks;
    list_init(&marks);
    if (count == 0)
        return FERRY_OK;
    for (size_t i = 0; i < count; i++) {
        struct work *work = work_new(WORK_MARK, sequences[i]);
        if (work == NULL) {
            list_free(&marks);
            return FERRY_MEMORY;
        }
        work->handed = true;
        list_add(&marks, work);
    }
    return enqueue_and_wait(spool, &marks);
}

enum ferry_code ferry_spool_sync(struct ferry_spool *spool)
{
    struct list list;
    list_init(&list);
    struct work *work = work_new(WORK_SYNC, 0);
    if (work == NULL)
        return FERRY_MEMORY;
    list_add(&list, work);
    return enqueue_and_wait(spool, &list);
}

/* ---- reading; the feeder's thread ---- */

enum ferry_code ferry_spool_read(struct ferry_spool *spool, struct ferry_slice topic, size_t limit,
                                 struct ferry_arena *arena, struct ferry_spool_row **rows, size_t *count,
                                 size_t *damaged, struct ferry_error *error)
{
    size_t bad_count = 0;
    int64_t *bad = ferry_arena_new_array(arena, limit, sizeof *bad);
    if (bad == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_spool_file_read(spool->file, topic, limit, arena, rows, count, bad, &bad_count, error);
    if (code != FERRY_OK)
        return code;
    *damaged = 0;
    for (size_t i = 0; i < bad_count; i++) {
        ferry_log(FERRY_LOG_ERROR, "spool: a row is damaged and set aside",
                  FERRY_FIELDS(ferry_field_slice("topic", topic), ferry_number("sequence", bad[i])));
        *damaged += ferry_spool_set_aside(spool, bad[i], "damaged: the checksum does not match");
    }
    return FERRY_OK;
}

enum ferry_code ferry_spool_topics(struct ferry_spool *spool, struct ferry_arena *arena,
                                   struct ferry_spool_topic **topics, size_t *count, struct ferry_error *error)
{
    return ferry_spool_file_topics(spool->file, arena, topics, count, error);
}

void ferry_spool_look(struct ferry_spool *spool)
{
    int64_t oldest_ms = ferry_spool_file_oldest_ms(spool->file);
    int64_t age_ms = oldest_ms > 0 ? ferry_clock_wall_ms() - oldest_ms : 0;
    ferry_series_set(spool->oldest_gauge, (double)(age_ms > 0 ? age_ms : 0) / 1000);
}

/* ---- what is known ---- */

int64_t ferry_spool_last_sequence(const struct ferry_spool *spool)
{
    return spool->last_sequence;
}

bool ferry_spool_is_broken(struct ferry_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    bool broken = spool->broken;
    pthread_mutex_unlock(&spool->lock);
    return broken;
}

bool ferry_spool_accepts(struct ferry_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    bool accepts = room(spool, EVENT_BYTES, NULL) == FERRY_OK;
    pthread_mutex_unlock(&spool->lock);
    return accepts;
}

int64_t ferry_spool_rows(struct ferry_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    int64_t rows = spool->rows + (int64_t)spool->work[WORK_APPEND].count;
    pthread_mutex_unlock(&spool->lock);
    return rows;
}
