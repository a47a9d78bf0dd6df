#include "core/spool/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/spool/spool_private.h"
#include "core/spool/spool_row.h"

enum {
    BUSY_MS = 5000,
    READ_MAX_BYTES = 4 << 20,
    LOCK_TRIES = 10,
    LOCK_PAUSE_MS = 20,
    RESERVE_BYTES = 4 << 20, /* as much as the log takes in before SQLite moves it into the database */
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS rows (sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
    " handed INTEGER NOT NULL, stored_ms INTEGER NOT NULL, crc INTEGER NOT NULL, record BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS rows_by_topic ON rows (topic, sequence);"
    "CREATE TABLE IF NOT EXISTS aside (sequence INTEGER PRIMARY KEY, reason TEXT NOT NULL, aside_ms INTEGER NOT NULL,"
    " crc INTEGER NOT NULL, record BLOB NOT NULL);"
    "PRAGMA user_version = 1;";

enum statement { INSERT, MARK, ASIDE, DELETE, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [INSERT] = "INSERT INTO rows (sequence, topic, handed, stored_ms, crc, record) VALUES (?, ?, ?, ?, ?, ?)",
    [MARK] = "UPDATE rows SET handed = ? WHERE sequence = ?",
    [ASIDE] = "INSERT OR REPLACE INTO aside SELECT sequence, ?, ?, crc, record FROM rows WHERE sequence = ?",
    [DELETE] = "DELETE FROM rows WHERE sequence = ?",
};

struct ferry_spool_file {
    int lock_fd;
    int reserve_fd;
    bool has_reserve;
    sqlite3 *writing; /* the writer's connection */
    sqlite3_stmt *statements[STATEMENTS];
    int64_t change;   /* of the transaction at hand */
    sqlite3 *reading; /* the feeder's connection */
};

int64_t ferry_spool_sql_number(sqlite3 *database, const char *query)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, query, -1, &statement, NULL) != SQLITE_OK)
        return 0;
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return value;
}

int64_t ferry_spool_sql_used_bytes(sqlite3 *database)
{
    int64_t pages = ferry_spool_sql_number(database, "PRAGMA page_count");
    int64_t unused = ferry_spool_sql_number(database, "PRAGMA freelist_count");
    return (pages - unused) * ferry_spool_sql_number(database, "PRAGMA page_size");
}

/* ---- opening ---- */

enum ferry_code ferry_spool_sql_error(sqlite3 *database, const char *directory, struct ferry_error *error)
{
    return ferry_fail(error, FERRY_SYSTEM, "spool: %s/spool.db: %s", directory, sqlite3_errmsg(database));
}

/* Whoever looks who holds the lock holds it for an instant himself, hence several tries. */
static bool lock(int fd)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* "ferry-bridge, process 12 on ferry-bridge-0". */
static void sign_lock(int fd)
{
    char host[128] = "", text[FERRY_SPOOL_HOLDER];
    gethostname(host, sizeof host - 1);
    int len =
        snprintf(text, sizeof text, "%.100s, process %d on %.100s", program_invocation_short_name, (int)getpid(), host);
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0)
        return; /* then nobody is told who it is */
}

static void read_signature(int fd, char holder[FERRY_SPOOL_HOLDER])
{
    ssize_t len = pread(fd, holder, FERRY_SPOOL_HOLDER - 1, 0);
    snprintf(holder + (len > 0 ? len : 0), FERRY_SPOOL_HOLDER - (len > 0 ? (size_t)len : 0), "%s",
             len > 0 ? "" : "another process");
}

bool ferry_spool_holder(const char *directory, char holder[FERRY_SPOOL_HOLDER])
{
    char path[FERRY_SPOOL_PATH];
    snprintf(path, sizeof path, "%s/lock", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    if (held)
        read_signature(fd, holder);
    close(fd);
    return held;
}

static enum ferry_code lock_directory(const char *directory, int *fd, struct ferry_error *error)
{
    char path[FERRY_SPOOL_PATH], holder[FERRY_SPOOL_HOLDER];
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return ferry_fail(error, FERRY_SYSTEM, "spool: cannot make the directory %s: %s; make it for this user",
                          directory, strerror(errno));
    snprintf(path, sizeof path, "%s/lock", directory);
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return ferry_fail(error, FERRY_SYSTEM, "spool: cannot write in %s: %s; give it to this user", directory,
                          strerror(errno));
    if (!lock(opened)) {
        read_signature(opened, holder);
        close(opened);
        return ferry_fail(error, FERRY_SYSTEM,
                          "spool: %s is in use by %s; each bridge has a spool directory of its own", directory, holder);
    }
    sign_lock(opened);
    *fd = opened;
    return FERRY_OK;
}

enum ferry_code ferry_spool_connect(const char *directory, int flags, sqlite3 **out, struct ferry_error *error)
{
    char path[FERRY_SPOOL_PATH];
    snprintf(path, sizeof path, "%s/spool.db", directory);
    if (sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return ferry_spool_sql_error(*out, directory, error);
    sqlite3_busy_timeout(*out, BUSY_MS);
    return FERRY_OK;
}

static bool execute(sqlite3 *database, const char *commands)
{
    return sqlite3_exec(database, commands, NULL, NULL, NULL) == SQLITE_OK;
}

enum ferry_code ferry_spool_check_format(sqlite3 *database, const char *directory, struct ferry_error *error)
{
    int64_t format = ferry_spool_sql_number(database, "PRAGMA user_version");
    if (format > FERRY_SPOOL_FORMAT)
        return ferry_fail(error, FERRY_SYSTEM, "spool: %s/spool.db was written by a newer Ferry (format %d); use that",
                          directory, (int)format);
    return FERRY_OK;
}

static enum ferry_code open_tables(struct ferry_spool_file *file, const char *directory, struct ferry_error *error)
{
    /* 16 MiB of pages may be kept, as many as the rows are in that are fed together: what does not fit is written
     * twice. */
    if (!execute(file->writing, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;"))
        return ferry_spool_sql_error(file->writing, directory, error);
    enum ferry_code code = ferry_spool_check_format(file->writing, directory, error);
    if (code != FERRY_OK)
        return code;
    bool good = execute(file->writing, schema);
    for (int i = 0; good && i < STATEMENTS; i++)
        good = sqlite3_prepare_v3(file->writing, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &file->statements[i], NULL) ==
               SQLITE_OK;
    return good ? FERRY_OK : ferry_spool_sql_error(file->writing, directory, error);
}

static enum ferry_code open_reserve(struct ferry_spool_file *file, const char *directory, struct ferry_error *error)
{
    char path[FERRY_SPOOL_PATH];
    snprintf(path, sizeof path, "%s/reserve", directory);
    file->reserve_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->reserve_fd < 0)
        return ferry_fail(error, FERRY_SYSTEM, "spool: cannot write %s: %s; give it to this user", path,
                          strerror(errno));
    return FERRY_OK;
}

static void close_database(struct ferry_spool_file *file)
{
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    sqlite3_close(file->writing);
    file->writing = NULL;
}

static enum ferry_code try_database(struct ferry_spool_file *file, const char *directory, struct ferry_error *error)
{
    enum ferry_code code =
        ferry_spool_connect(directory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &file->writing, error);
    return code == FERRY_OK ? open_tables(file, directory, error) : code;
}

/* SQLite needs some room to open a file at all, if only for the shared memory beside it. On a full disk that is what
 * the reserve has: a disk that others have filled is no reason not to start. */
static enum ferry_code open_database(struct ferry_spool_file *file, const char *directory, struct ferry_error *error)
{
    enum ferry_code code = try_database(file, directory, error);
    int failure = sqlite3_errcode(file->writing);
    if (code == FERRY_OK)
        file->has_reserve = posix_fallocate(file->reserve_fd, 0, RESERVE_BYTES) == 0;
    if (code == FERRY_OK || (failure != SQLITE_FULL && failure != SQLITE_IOERR))
        return code;
    close_database(file);
    if (ftruncate(file->reserve_fd, 0) != 0)
        return code;
    return try_database(file, directory, error);
}

/* What a crash after a failed fsync left in the log is settled before anything is added to it. A full disk is no reason
 * not to start: the rows have to get out. */
static enum ferry_code settle_log(struct ferry_spool_file *file, const char *directory, struct ferry_error *error)
{
    if (ferry_spool_file_mend(file))
        return FERRY_OK;
    ferry_spool_file_make_room(file);
    int failure = sqlite3_errcode(file->writing);
    bool bearable = failure == SQLITE_OK || failure == SQLITE_FULL || failure == SQLITE_BUSY;
    return bearable ? FERRY_OK : ferry_spool_sql_error(file->writing, directory, error);
}

enum ferry_code ferry_spool_file_open(const char *directory, struct ferry_spool_file **out, struct ferry_error *error)
{
    struct ferry_spool_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    file->lock_fd = file->reserve_fd = -1;
    enum ferry_code code = lock_directory(directory, &file->lock_fd, error);
    if (code == FERRY_OK)
        code = open_reserve(file, directory, error);
    if (code == FERRY_OK)
        code = open_database(file, directory, error);
    if (code == FERRY_OK)
        code = settle_log(file, directory, error);
    if (code == FERRY_OK)
        code = ferry_spool_connect(directory, SQLITE_OPEN_READONLY, &file->reading, error);
    if (code != FERRY_OK) {
        ferry_spool_file_close(file);
        return code;
    }
    *out = file;
    return FERRY_OK;
}

void ferry_spool_file_close(struct ferry_spool_file *file)
{
    if (file == NULL)
        return;
    sqlite3_close(file->reading);
    close_database(file);
    if (file->reserve_fd >= 0)
        close(file->reserve_fd);
    if (file->lock_fd >= 0)
        close(file->lock_fd);
    free(file);
}

/* ---- the writer's ---- */

static bool run(sqlite3_stmt *statement)
{
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    return sqlite3_reset(statement) == SQLITE_OK && good;
}

bool ferry_spool_file_begin(struct ferry_spool_file *file)
{
    file->change = 0;
    return execute(file->writing, "BEGIN IMMEDIATE");
}

bool ferry_spool_file_insert(struct ferry_spool_file *file, int64_t sequence, const char *topic, bool handed,
                             struct ferry_slice record)
{
    sqlite3_stmt *insert = file->statements[INSERT];
    sqlite3_bind_int64(insert, 1, sequence);
    sqlite3_bind_text(insert, 2, topic, -1, SQLITE_STATIC);
    sqlite3_bind_int(insert, 3, handed);
    sqlite3_bind_int64(insert, 4, ferry_clock_wall_ms());
    sqlite3_bind_int64(insert, 5, ferry_spool_row_crc(sequence, record));
    sqlite3_bind_blob64(insert, 6, record.ptr, record.len, SQLITE_STATIC);
    file->change++;
    return run(insert);
}

bool ferry_spool_file_mark(struct ferry_spool_file *file, int64_t sequence, bool handed)
{
    sqlite3_bind_int(file->statements[MARK], 1, handed);
    sqlite3_bind_int64(file->statements[MARK], 2, sequence);
    return run(file->statements[MARK]);
}

bool ferry_spool_file_set_aside(struct ferry_spool_file *file, int64_t sequence, const char *reason)
{
    sqlite3_stmt *copy = file->statements[ASIDE];
    sqlite3_bind_text(copy, 1, reason, -1, SQLITE_STATIC);
    sqlite3_bind_int64(copy, 2, ferry_clock_wall_ms());
    sqlite3_bind_int64(copy, 3, sequence);
    return run(copy) && ferry_spool_file_delete(file, sequence);
}

bool ferry_spool_file_delete(struct ferry_spool_file *file, int64_t sequence)
{
    sqlite3_bind_int64(file->statements[DELETE], 1, sequence);
    if (!run(file->statements[DELETE]))
        return false;
    file->change -= sqlite3_changes(file->writing);
    return true;
}

bool ferry_spool_file_commit(struct ferry_spool_file *file, int64_t *change)
{
    if (!execute(file->writing, "COMMIT"))
        return false;
    *change = file->change;
    return true;
}

enum ferry_code ferry_spool_file_roll_back(struct ferry_spool_file *file, struct ferry_error *error)
{
    int failure = sqlite3_errcode(file->writing);
    /* Busy: somebody looks at the file and holds it for too long. */
    enum ferry_code code = failure == SQLITE_FULL || failure == SQLITE_BUSY ? FERRY_SPOOL_FULL
                           : failure == SQLITE_NOMEM                        ? FERRY_MEMORY
                                                                            : FERRY_SPOOL_BROKEN;
    ferry_fail(error, code, "%s", sqlite3_errmsg(file->writing));
    (void)execute(file->writing, "ROLLBACK");
    return code;
}

bool ferry_spool_file_mend(struct ferry_spool_file *file)
{
    return sqlite3_wal_checkpoint_v2(file->writing, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
}

bool ferry_spool_file_has_reserve(const struct ferry_spool_file *file)
{
    return file->has_reserve;
}

void ferry_spool_file_rewind_log(struct ferry_spool_file *file)
{
    (void)sqlite3_wal_checkpoint_v2(file->writing, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

void ferry_spool_file_make_room(struct ferry_spool_file *file)
{
    file->has_reserve = ftruncate(file->reserve_fd, 0) != 0;
    (void)ferry_spool_file_mend(file);
}

static bool has_room(struct ferry_spool_file *file)
{
    struct statvfs disk;
    return fstatvfs(file->reserve_fd, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize >= 2 * (uint64_t)RESERVE_BYTES;
}

void ferry_spool_file_restore_reserve(struct ferry_spool_file *file)
{
    bool empty = ferry_spool_file_rows(file) == 0;
    if (empty)
        (void)(execute(file->writing, "VACUUM") && ferry_spool_file_mend(file)); /* the file shrinks to nothing */
    if (!empty && !has_room(file))
        return;
    /* Half of one is no reserve and is given back; what cannot be given back now may be when room is needed. */
    file->has_reserve = posix_fallocate(file->reserve_fd, 0, RESERVE_BYTES) == 0 || ftruncate(file->reserve_fd, 0) != 0;
}

void ferry_spool_file_rest(struct ferry_spool_file *file)
{
    (void)sqlite3_db_release_memory(file->writing);
    (void)malloc_trim(0);
}

int64_t ferry_spool_file_used_bytes(struct ferry_spool_file *file)
{
    return ferry_spool_sql_used_bytes(file->writing);
}

int64_t ferry_spool_file_rows(struct ferry_spool_file *file)
{
    return ferry_spool_sql_number(file->writing, "SELECT count(*) FROM rows");
}

int64_t ferry_spool_file_last_sequence(struct ferry_spool_file *file)
{
    return ferry_spool_sql_number(file->writing, "SELECT max(seq) FROM sqlite_sequence WHERE name = 'rows'");
}

/* ---- the feeder's ---- */

static enum ferry_code reading_error(struct ferry_spool_file *file, struct ferry_error *error)
{
    return ferry_fail(error, FERRY_SYSTEM, "spool: %s", sqlite3_errmsg(file->reading));
}

struct ferry_slice ferry_spool_sql_bytes(sqlite3_stmt *select, int column, struct ferry_arena *arena)
{
    const char *bytes = sqlite3_column_blob(select, column);
    return ferry_arena_slice(arena, ferry_slice_of(bytes, (size_t)sqlite3_column_bytes(select, column)));
}

static bool is_sound(sqlite3_stmt *select)
{
    const char *bytes = sqlite3_column_blob(select, 3);
    struct ferry_slice record = ferry_slice_of(bytes, (size_t)sqlite3_column_bytes(select, 3));
    return ferry_spool_row_crc(sqlite3_column_int64(select, 0), record) == (uint32_t)sqlite3_column_int64(select, 2);
}

bool ferry_spool_sql_row(sqlite3_stmt *select, struct ferry_arena *arena, struct ferry_spool_row *row)
{
    row->sequence = sqlite3_column_int64(select, 0);
    row->handed = sqlite3_column_int(select, 1) != 0;
    return is_sound(select) && ferry_spool_row_read(ferry_spool_sql_bytes(select, 3, arena), arena, &row->record);
}

/* A query of rows, the second parameter of which limits their number. The caller binds the first. NULL: SQLite refuses
 * it. */
static sqlite3_stmt *select_rows(struct ferry_spool_file *file, const char *query, size_t limit)
{
    sqlite3_stmt *select = NULL;
    if (sqlite3_prepare_v2(file->reading, query, -1, &select, NULL) != SQLITE_OK)
        return NULL;
    sqlite3_bind_int64(select, 2, (int64_t)limit);
    return select;
}

/* What the query yields, which is finalized. A row that is sound and yet cannot be read tells that memory ran out. */
static enum ferry_code read_rows(struct ferry_spool_file *file, sqlite3_stmt *select, size_t limit,
                                 struct ferry_arena *arena, struct ferry_spool_row **rows, size_t *count,
                                 int64_t *damaged, size_t *damaged_count, struct ferry_error *error)
{
    struct ferry_spool_row *read = ferry_arena_new_array(arena, limit, sizeof *read);
    size_t good = 0, bad = 0, bytes = 0;
    int step = SQLITE_DONE;
    bool starved = read == NULL;
    while (!starved && bytes < READ_MAX_BYTES && (step = sqlite3_step(select)) == SQLITE_ROW) {
        bytes += (size_t)sqlite3_column_bytes(select, 3);
        if (ferry_spool_sql_row(select, arena, &read[good]))
            good++;
        else if (is_sound(select))
            starved = true;
        else
            damaged[bad++] = read[good].sequence;
    }
    sqlite3_finalize(select);
    if (starved)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (step != SQLITE_DONE && step != SQLITE_ROW)
        return reading_error(file, error);
    *rows = read;
    *count = good;
    *damaged_count = bad;
    return FERRY_OK;
}

enum ferry_code ferry_spool_file_read(struct ferry_spool_file *file, struct ferry_slice topic, size_t limit,
                                      struct ferry_arena *arena, struct ferry_spool_row **rows, size_t *count,
                                      int64_t *damaged, size_t *damaged_count, struct ferry_error *error)
{
    static const char query[] = "SELECT sequence, handed, crc, record FROM rows WHERE topic = ?"
                                " ORDER BY sequence LIMIT ?";
    sqlite3_stmt *select = select_rows(file, query, limit);
    if (select == NULL)
        return reading_error(file, error);
    sqlite3_bind_text(select, 1, topic.ptr, (int)topic.len, SQLITE_STATIC);
    return read_rows(file, select, limit, arena, rows, count, damaged, damaged_count, error);
}

enum ferry_code ferry_spool_file_read_behind(struct ferry_spool_file *file, int64_t sequence, size_t limit,
                                             struct ferry_arena *arena, struct ferry_spool_row **rows, size_t *count,
                                             int64_t *damaged, size_t *damaged_count, struct ferry_error *error)
{
    static const char query[] = "SELECT sequence, handed, crc, record FROM rows WHERE sequence > ?"
                                " ORDER BY sequence LIMIT ?";
    sqlite3_stmt *select = select_rows(file, query, limit);
    if (select == NULL)
        return reading_error(file, error);
    sqlite3_bind_int64(select, 1, sequence);
    return read_rows(file, select, limit, arena, rows, count, damaged, damaged_count, error);
}

enum ferry_code ferry_spool_file_topics(struct ferry_spool_file *file, struct ferry_arena *arena,
                                        struct ferry_spool_topic **topics, size_t *count, struct ferry_error *error)
{
    size_t room = (size_t)ferry_spool_sql_number(file->reading, "SELECT count(DISTINCT topic) FROM rows"), found = 0;
    struct ferry_spool_topic *list = ferry_arena_new_array(arena, room, sizeof *list);
    sqlite3_stmt *select = NULL;
    if (list == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (sqlite3_prepare_v2(file->reading, "SELECT topic, count(*) FROM rows GROUP BY topic", -1, &select, NULL) !=
        SQLITE_OK)
        return reading_error(file, error);
    int step;
    while ((step = sqlite3_step(select)) == SQLITE_ROW && found < room)
        list[found++] = (struct ferry_spool_topic){ferry_spool_sql_bytes(select, 0, arena),
                                                   (size_t)sqlite3_column_int64(select, 1)};
    sqlite3_finalize(select);
    if (step != SQLITE_DONE)
        return reading_error(file, error);
    *topics = list;
    *count = found;
    return FERRY_OK;
}

int64_t ferry_spool_file_oldest_ms(struct ferry_spool_file *file)
{
    /* By number, which the table is sorted by: looking for the smallest time would read all of it. */
    return ferry_spool_sql_number(file->reading, "SELECT stored_ms FROM rows ORDER BY sequence LIMIT 1");
}
