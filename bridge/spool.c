/* The writer collects what shards, the reporter and the feeder queue, and commits it together: it waits COLLECT_MS for
 * company after the first item, or until BATCH records are there. One transaction inserts first and deletes last, so
 * that a row which is reported while its insert is still queued is gone after the commit.
 *
 *   append ─► queue ─► [insert … mark … set aside … delete; COMMIT (fsync)] ─► stored
 */
#include "bridge/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bridge/spool_row.h"
#include "core/clock.h"
#include "core/log.h"

enum { FORMAT = 1, BATCH = 64, COLLECT_MS = 2, ROW_OVERHEAD = 64, RECORD_MAX_BYTES = 64 << 20 };

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
    int lock_fd;
    int64_t limit_bytes;
    int64_t last_sequence;
    sqlite3 *writing; /* the writer's connection */
    sqlite3 *reading; /* the feeder's */
    sqlite3_stmt *statements[WORK_KINDS];
    sqlite3_stmt *aside_delete;
    int64_t change; /* rows that the transaction adds; the writer's own */

    pthread_t writer;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t queued;
    pthread_cond_t committed;
    struct list work[WORK_KINDS];
    bool stopping;
    bool broken;
    int64_t rows;
    int64_t used_bytes;   /* pages in use, after the last commit */
    int64_t queued_bytes; /* of rows that are on their way */
    struct ferry_series *rows_gauge, *bytes_gauge, *oldest_gauge, *aside_counter;
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

/* With the lock held. */
static void enqueue(struct ferry_spool *spool, struct work *work)
{
    list_add(&spool->work[work->kind], work);
    pthread_cond_signal(&spool->queued);
}

/* ---- the transaction; the writer's thread ---- */

static bool run(sqlite3_stmt *statement)
{
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    return sqlite3_reset(statement) == SQLITE_OK && good;
}

static bool insert_row(struct ferry_spool *spool, const struct work *work)
{
    sqlite3_stmt *insert = spool->statements[WORK_APPEND];
    struct ferry_slice bytes = ferry_buffer_slice(&work->bytes);
    sqlite3_bind_int64(insert, 1, work->sequence);
    sqlite3_bind_text(insert, 2, work->topic, -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 3, work->handed);
    sqlite3_bind_int64(insert, 4, ferry_clock_wall_ms());
    sqlite3_bind_int64(insert, 5, ferry_spool_row_crc(work->sequence, bytes));
    sqlite3_bind_blob64(insert, 6, bytes.ptr, bytes.len, SQLITE_STATIC);
    if (!run(insert))
        return false;
    spool->change++;
    return true;
}

static bool set_row_aside(struct ferry_spool *spool, const struct work *work)
{
    sqlite3_stmt *copy = spool->statements[WORK_ASIDE];
    sqlite3_bind_text(copy, 1, work->bytes.ptr != NULL ? work->bytes.ptr : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(copy, 2, ferry_clock_wall_ms());
    sqlite3_bind_int64(copy, 3, work->sequence);
    sqlite3_bind_int64(spool->aside_delete, 1, work->sequence);
    if (!run(copy) || !run(spool->aside_delete))
        return false;
    spool->change -= sqlite3_changes(spool->writing);
    return true;
}

static bool carry_out(struct ferry_spool *spool, const struct work *work)
{
    if (work->kind == WORK_APPEND)
        return insert_row(spool, work);
    if (work->kind == WORK_ASIDE)
        return set_row_aside(spool, work);
    sqlite3_bind_int64(spool->statements[work->kind], 1, work->sequence);
    if (!run(spool->statements[work->kind]))
        return false;
    if (work->kind == WORK_DELETE)
        spool->change -= sqlite3_changes(spool->writing);
    return true;
}

static bool transact(struct ferry_spool *spool, struct list work[WORK_KINDS])
{
    spool->change = 0;
    bool good = sqlite3_exec(spool->writing, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (int kind = 0; good && kind < WORK_KINDS; kind++)
        for (const struct work *item = work[kind].first; good && item != NULL; item = item->next)
            good = carry_out(spool, item);
    return good && sqlite3_exec(spool->writing, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

/* A full disk is no broken one: what it holds is sound, and deleting may make room. Anything else, a failed fsync above
 * all, leaves unknown what is on the disk. */
static enum ferry_code failure_of(sqlite3 *database)
{
    return sqlite3_errcode(database) == SQLITE_FULL ? FERRY_SPOOL_FULL : FERRY_SPOOL_BROKEN;
}

static enum ferry_code commit(struct ferry_spool *spool, struct list work[WORK_KINDS])
{
    if (transact(spool, work))
        return FERRY_OK;
    enum ferry_code code = failure_of(spool->writing);
    ferry_log(FERRY_LOG_ERROR, "spool: a commit failed, none of its events is acknowledged",
              FERRY_FIELDS(ferry_text("code", ferry_code_name(code)),
                           ferry_text("reason", sqlite3_errmsg(spool->writing))));
    sqlite3_exec(spool->writing, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

static int64_t one_number(sqlite3 *database, const char *query)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, query, -1, &statement, NULL) != SQLITE_OK)
        return 0;
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return value;
}

/* Bytes of pages that hold something: what deleting gave back is not counted, though the file keeps it. */
static int64_t used_bytes(sqlite3 *database)
{
    return (one_number(database, "PRAGMA page_count") - one_number(database, "PRAGMA freelist_count")) *
           one_number(database, "PRAGMA page_size");
}

static void account(struct ferry_spool *spool, const struct list work[WORK_KINDS], enum ferry_code code)
{
    int64_t used = used_bytes(spool->writing);
    pthread_mutex_lock(&spool->lock);
    spool->broken |= code == FERRY_SPOOL_BROKEN;
    spool->used_bytes = used;
    if (code == FERRY_OK)
        spool->rows += spool->change;
    for (const struct work *item = work[WORK_APPEND].first; item != NULL; item = item->next)
        spool->queued_bytes -= (int64_t)item->bytes.len;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        for (const struct work *item = work[kind].first; item != NULL; item = item->next)
            if (item->waiter != NULL)
                *item->waiter = (struct waiter){.over = true, .code = code};
    ferry_series_set(spool->rows_gauge, (double)spool->rows);
    ferry_series_set(spool->bytes_gauge, (double)spool->used_bytes);
    pthread_cond_broadcast(&spool->committed);
    pthread_mutex_unlock(&spool->lock);
}

static void tell(struct ferry_spool *spool, const struct list *appends, enum ferry_code code)
{
    for (const struct work *item = appends->first; item != NULL; item = item->next)
        if (item->last)
            spool->listener.stored(spool->listener.context, item->tag, code);
}

/* ---- the writer ---- */

static size_t queued_count(const struct ferry_spool *spool)
{
    size_t count = 0;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        count += spool->work[kind].count;
    return count;
}

static void wait_for_company(struct ferry_spool *spool)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += COLLECT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (queued_count(spool) < BATCH && !spool->stopping)
        if (pthread_cond_timedwait(&spool->queued, &spool->lock, &until) != 0)
            return;
}

/* Takes all that is queued; false when there is nothing and never will be. */
static bool take_work(struct ferry_spool *spool, struct list work[WORK_KINDS])
{
    pthread_mutex_lock(&spool->lock);
    while (queued_count(spool) == 0 && !spool->stopping)
        pthread_cond_wait(&spool->queued, &spool->lock);
    wait_for_company(spool);
    bool any = queued_count(spool) > 0;
    for (int kind = 0; kind < WORK_KINDS; kind++) {
        work[kind] = spool->work[kind];
        if (work[kind].first == NULL)
            work[kind].end = &work[kind].first;
        list_init(&spool->work[kind]);
    }
    pthread_mutex_unlock(&spool->lock);
    return any;
}

static void *run_writer(void *context)
{
    struct ferry_spool *spool = context;
    struct list work[WORK_KINDS];
    while (take_work(spool, work)) {
        enum ferry_code code = spool->broken ? FERRY_SPOOL_BROKEN : commit(spool, work);
        account(spool, work, code);
        tell(spool, &work[WORK_APPEND], code);
        for (int kind = 0; kind < WORK_KINDS; kind++)
            list_free(&work[kind]);
    }
    return NULL;
}

/* ---- opening ---- */

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS rows (sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
    " handed INTEGER NOT NULL, stored_ms INTEGER NOT NULL, crc INTEGER NOT NULL, record BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS rows_by_topic ON rows (topic, sequence);"
    "CREATE TABLE IF NOT EXISTS aside (sequence INTEGER PRIMARY KEY, reason TEXT NOT NULL, aside_ms INTEGER NOT NULL,"
    " crc INTEGER NOT NULL, record BLOB NOT NULL);";

static const char *const sql[WORK_KINDS] = {
    [WORK_APPEND] = "INSERT INTO rows (sequence, topic, handed, stored_ms, crc, record) VALUES (?, ?, ?, ?, ?, ?)",
    [WORK_MARK] = "UPDATE rows SET handed = 1 WHERE sequence = ?",
    [WORK_ASIDE] = "INSERT OR REPLACE INTO aside SELECT sequence, ?, ?, crc, record FROM rows WHERE sequence = ?",
    [WORK_DELETE] = "DELETE FROM rows WHERE sequence = ?",
    [WORK_SYNC] = "SELECT 1 WHERE 0 AND ?", /* nothing: its commit is what somebody waits for */
};

static enum ferry_code database_error(sqlite3 *database, const char *directory, struct ferry_error *error)
{
    return ferry_fail(error, FERRY_SYSTEM, "spool: %s/spool.db: %s", directory, sqlite3_errmsg(database));
}

static enum ferry_code lock_directory(const char *directory, int *fd, struct ferry_error *error)
{
    char path[4096];
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return ferry_fail(error, FERRY_SYSTEM, "spool: cannot make the directory %s: %s; make it for this user",
                          directory, strerror(errno));
    snprintf(path, sizeof path, "%s/lock", directory);
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return ferry_fail(error, FERRY_SYSTEM, "spool: cannot write in %s: %s; give it to this user", directory,
                          strerror(errno));
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
        close(opened);
        return ferry_fail(error, FERRY_SYSTEM,
                          "spool: %s is in use by another process; each bridge has a spool directory of its own",
                          directory);
    }
    *fd = opened;
    return FERRY_OK;
}

static enum ferry_code open_database(const char *directory, int flags, sqlite3 **out, struct ferry_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/spool.db", directory);
    enum ferry_code code = FERRY_OK;
    if (sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        code = database_error(*out, directory, error);
    sqlite3_busy_timeout(*out, 5000);
    return code;
}

static enum ferry_code prepare(struct ferry_spool *spool, const char *directory, struct ferry_error *error)
{
    bool good = true;
    for (int kind = 0; good && kind < WORK_KINDS; kind++)
        good = sqlite3_prepare_v3(spool->writing, sql[kind], -1, SQLITE_PREPARE_PERSISTENT, &spool->statements[kind],
                                  NULL) == SQLITE_OK;
    good = good && sqlite3_prepare_v2(spool->writing, sql[WORK_DELETE], -1, &spool->aside_delete, NULL) == SQLITE_OK;
    return good ? FERRY_OK : database_error(spool->writing, directory, error);
}

static enum ferry_code open_tables(struct ferry_spool *spool, const char *directory, struct ferry_error *error)
{
    if (sqlite3_exec(spool->writing, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL, NULL))
        return database_error(spool->writing, directory, error);
    int64_t format = one_number(spool->writing, "PRAGMA user_version");
    if (format > FORMAT)
        return ferry_fail(error, FERRY_SYSTEM, "spool: %s/spool.db was written by a newer Ferry (format %d); use that",
                          directory, (int)format);
    if (sqlite3_exec(spool->writing, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(spool->writing, "PRAGMA user_version=1", NULL, NULL, NULL) != SQLITE_OK)
        return database_error(spool->writing, directory, error);
    return prepare(spool, directory, error);
}

static struct ferry_series *single(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                   const char *help)
{
    static const char *const no_labels[] = {NULL};
    struct ferry_metric *family = metrics != NULL ? ferry_metrics_family(metrics, kind, name, help, no_labels) : NULL;
    return family != NULL ? ferry_metric_series(family, NULL) : NULL;
}

static void look_around(struct ferry_spool *spool, struct ferry_metrics *metrics)
{
    spool->last_sequence = one_number(spool->writing, "SELECT max(seq) FROM sqlite_sequence WHERE name = 'rows'");
    spool->rows = one_number(spool->writing, "SELECT count(*) FROM rows");
    spool->used_bytes = used_bytes(spool->writing);
    spool->rows_gauge =
        single(metrics, FERRY_GAUGE, "ferry_spool_events", "Events on disk that are not in Kafka yet");
    spool->bytes_gauge = single(metrics, FERRY_GAUGE, "ferry_spool_bytes", "Disk pages that the spool uses");
    spool->oldest_gauge =
        single(metrics, FERRY_GAUGE, "ferry_spool_oldest_seconds", "Age of the oldest event on disk");
    spool->aside_counter = single(metrics, FERRY_COUNTER, "ferry_spool_aside_total",
                                  "Spooled events that can never be produced, kept in the spool's table `aside`");
    ferry_series_set(spool->rows_gauge, (double)spool->rows);
    ferry_series_set(spool->bytes_gauge, (double)spool->used_bytes);
}

static void free_spool(struct ferry_spool *spool)
{
    for (int kind = 0; kind < WORK_KINDS; kind++) {
        sqlite3_finalize(spool->statements[kind]);
        list_free(&spool->work[kind]);
    }
    sqlite3_finalize(spool->aside_delete);
    sqlite3_close(spool->reading);
    sqlite3_close(spool->writing);
    if (spool->lock_fd >= 0)
        close(spool->lock_fd);
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
    spool->lock_fd = -1;
    spool->limit_bytes = limit_bytes;
    spool->listener = *listener;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        list_init(&spool->work[kind]);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&spool->queued, &monotonic);
    pthread_cond_init(&spool->committed, &monotonic);
    pthread_condattr_destroy(&monotonic);
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
    enum ferry_code code = lock_directory(directory, &spool->lock_fd, error);
    if (code == FERRY_OK)
        code = open_database(directory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &spool->writing, error);
    if (code == FERRY_OK)
        code = open_tables(spool, directory, error);
    if (code == FERRY_OK)
        code = open_database(directory, SQLITE_OPEN_READONLY, &spool->reading, error);
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
        return ferry_fail(error, FERRY_SPOOL_BROKEN, "the spool could not write to its disk; restart on a sound one");
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
    if (code != FERRY_OK)
        list_free(&copies);
    return code;
}

static void enqueue_one(struct ferry_spool *spool, struct work *work)
{
    if (work == NULL)
        return; /* the row stays and is produced once more: no harm but a repeat */
    pthread_mutex_lock(&spool->lock);
    enqueue(spool, work);
    pthread_mutex_unlock(&spool->lock);
}

void ferry_spool_delete(struct ferry_spool *spool, int64_t sequence)
{
    enqueue_one(spool, work_new(WORK_DELETE, sequence));
}

void ferry_spool_set_aside(struct ferry_spool *spool, int64_t sequence, const char *reason)
{
    struct work *work = work_new(WORK_ASIDE, sequence);
    if (work != NULL)
        ferry_buffer_add_text(&work->bytes, reason);
    enqueue_one(spool, work);
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

static struct ferry_slice column(sqlite3_stmt *select, int index, struct ferry_arena *arena)
{
    const char *bytes = sqlite3_column_blob(select, index);
    return ferry_arena_slice(arena, ferry_slice_of(bytes, (size_t)sqlite3_column_bytes(select, index)));
}

/* False for a row that is damaged. */
static bool read_row(sqlite3_stmt *select, struct ferry_arena *arena, struct ferry_spool_row *row)
{
    row->sequence = sqlite3_column_int64(select, 0);
    row->handed = sqlite3_column_int(select, 1) != 0;
    struct ferry_slice bytes = column(select, 3, arena);
    return ferry_spool_row_crc(row->sequence, bytes) == (uint32_t)sqlite3_column_int64(select, 2) &&
           ferry_spool_row_read(bytes, arena, &row->record);
}

enum ferry_code ferry_spool_read(struct ferry_spool *spool, struct ferry_slice topic, int64_t after, size_t limit,
                                 struct ferry_arena *arena, struct ferry_spool_row **rows, size_t *count,
                                 size_t *damaged, struct ferry_error *error)
{
    static const char query[] = "SELECT sequence, handed, crc, record FROM rows WHERE topic = ? AND sequence > ?"
                                " ORDER BY sequence LIMIT ?";
    struct ferry_spool_row *read = ferry_arena_new_array(arena, limit, sizeof *read);
    sqlite3_stmt *select = NULL;
    if (read == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (sqlite3_prepare_v2(spool->reading, query, -1, &select, NULL) != SQLITE_OK)
        return ferry_fail(error, FERRY_SYSTEM, "spool: %s", sqlite3_errmsg(spool->reading));
    sqlite3_bind_text(select, 1, topic.ptr, (int)topic.len, SQLITE_STATIC);
    sqlite3_bind_int64(select, 2, after);
    sqlite3_bind_int64(select, 3, (int64_t)limit);
    size_t found = 0, bad = 0;
    int step;
    while ((step = sqlite3_step(select)) == SQLITE_ROW) {
        if (read_row(select, arena, &read[found])) {
            found++;
            continue;
        }
        ferry_log(FERRY_LOG_ERROR, "spool: a row is damaged and set aside",
                  FERRY_FIELDS(ferry_field_slice("topic", topic), ferry_number("sequence", read[found].sequence)));
        ferry_spool_set_aside(spool, read[found].sequence, "damaged: the checksum does not match");
        bad++;
    }
    sqlite3_finalize(select);
    if (step != SQLITE_DONE)
        return ferry_fail(error, FERRY_SYSTEM, "spool: %s", sqlite3_errmsg(spool->reading));
    *rows = read;
    *count = found;
    *damaged = bad;
    return FERRY_OK;
}

enum ferry_code ferry_spool_topics(struct ferry_spool *spool, struct ferry_arena *arena,
                                   struct ferry_spool_topic **topics, size_t *count, struct ferry_error *error)
{
    size_t room = (size_t)one_number(spool->reading, "SELECT count(DISTINCT topic) FROM rows"), found = 0;
    struct ferry_spool_topic *list = ferry_arena_new_array(arena, room, sizeof *list);
    sqlite3_stmt *select = NULL;
    if (list == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (sqlite3_prepare_v2(spool->reading, "SELECT topic, count(*) FROM rows GROUP BY topic", -1, &select, NULL) !=
        SQLITE_OK)
        return ferry_fail(error, FERRY_SYSTEM, "spool: %s", sqlite3_errmsg(spool->reading));
    for (; found < room && sqlite3_step(select) == SQLITE_ROW; found++)
        list[found] = (struct ferry_spool_topic){column(select, 0, arena), (size_t)sqlite3_column_int64(select, 1)};
    sqlite3_finalize(select);
    *topics = list;
    *count = found;
    return FERRY_OK;
}

void ferry_spool_look(struct ferry_spool *spool)
{
    int64_t oldest_ms = one_number(spool->reading, "SELECT min(stored_ms) FROM rows");
    int64_t age_ms = oldest_ms > 0 ? ferry_clock_wall_ms() - oldest_ms : 0;
    ferry_series_set(spool->oldest_gauge, (double)(age_ms > 0 ? age_ms : 0) / 1000);
}

int64_t ferry_spool_last_sequence(const struct ferry_spool *spool)
{
    return spool->last_sequence;
}

bool ferry_spool_accepts(struct ferry_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    bool accepts = room(spool, 0, NULL) == FERRY_OK;
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
