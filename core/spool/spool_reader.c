/* A transaction that only reads is a snapshot in SQLite's WAL mode: writers go on beside it. */
#include "core/spool/spool_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/spool/spool_private.h"

struct ferry_spool_reader {
    sqlite3 *database;
    const char *directory;
    sqlite3_stmt *select; /* the rows that are being read, or NULL */
};

static const char *const select_rows[FERRY_SPOOL_TABLES] = {
    [FERRY_SPOOL_WAITING] = "SELECT sequence, handed, crc, record, stored_ms, topic, NULL FROM rows ORDER BY sequence",
    [FERRY_SPOOL_ASIDE] = "SELECT sequence, 0, crc, record, aside_ms, NULL, reason FROM aside ORDER BY sequence",
};

static const char *const count_rows[FERRY_SPOOL_TABLES] = {
    [FERRY_SPOOL_WAITING] = "SELECT count(*) FROM rows",
    [FERRY_SPOOL_ASIDE] = "SELECT count(*) FROM aside",
};

static enum ferry_code sql_error(struct ferry_spool_reader *reader, struct ferry_error *error)
{
    return ferry_spool_sql_error(reader->database, reader->directory, error);
}

/* The first look is what begins a snapshot. */
static enum ferry_code begin(struct ferry_spool_reader *reader, struct ferry_error *error)
{
    if (sqlite3_exec(reader->database, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) == SQLITE_OK)
        return ferry_spool_check_format(reader->database, reader->directory, error);
    int failed = sqlite3_errcode(reader->database);
    if (failed == SQLITE_CANTOPEN || failed == SQLITE_READONLY) /* WAL needs a file of shared memory beside */
        return ferry_fail(error, FERRY_SYSTEM,
                          "spool: %s/spool.db: even to look one must be able to write in this directory; "
                          "be the user that the bridge runs as",
                          reader->directory);
    return sql_error(reader, error);
}

enum ferry_code ferry_spool_reader_open(const char *directory, struct ferry_spool_reader **out,
                                        struct ferry_error *error)
{
    char path[FERRY_SPOOL_PATH];
    snprintf(path, sizeof path, "%s/spool.db", directory);
    if (access(path, F_OK) != 0)
        return ferry_fail(error, FERRY_NOT_FOUND, "spool: there is no %s", path);
    struct ferry_spool_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    reader->directory = directory;
    enum ferry_code code = ferry_spool_connect(directory, SQLITE_OPEN_READONLY, &reader->database, error);
    if (code == FERRY_OK)
        code = begin(reader, error);
    if (code != FERRY_OK) {
        ferry_spool_reader_close(reader);
        return code;
    }
    *out = reader;
    return FERRY_OK;
}

void ferry_spool_reader_close(struct ferry_spool_reader *reader)
{
    if (reader == NULL)
        return;
    sqlite3_finalize(reader->select);
    sqlite3_close(reader->database);
    free(reader);
}

int64_t ferry_spool_reader_used_bytes(struct ferry_spool_reader *reader)
{
    return ferry_spool_sql_used_bytes(reader->database);
}

int64_t ferry_spool_reader_count(struct ferry_spool_reader *reader, enum ferry_spool_table table)
{
    return ferry_spool_sql_number(reader->database, count_rows[table]);
}

enum ferry_code ferry_spool_reader_topics(struct ferry_spool_reader *reader, struct ferry_arena *arena,
                                          struct ferry_spool_summary **topics, size_t *count, struct ferry_error *error)
{
    static const char query[] = "SELECT topic, count(*), sum(length(record)), min(stored_ms) FROM rows"
                                " GROUP BY topic ORDER BY topic";
    size_t room = (size_t)ferry_spool_sql_number(reader->database, "SELECT count(DISTINCT topic) FROM rows");
    struct ferry_spool_summary *list = ferry_arena_new_array(arena, room, sizeof *list);
    sqlite3_stmt *select;
    size_t found = 0;
    if (list == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (sqlite3_prepare_v2(reader->database, query, -1, &select, NULL) != SQLITE_OK)
        return sql_error(reader, error);
    int step;
    while ((step = sqlite3_step(select)) == SQLITE_ROW && found < room)
        list[found++] =
            (struct ferry_spool_summary){ferry_spool_sql_bytes(select, 0, arena), sqlite3_column_int64(select, 1),
                                         sqlite3_column_int64(select, 2), sqlite3_column_int64(select, 3)};
    sqlite3_finalize(select);
    if (step != SQLITE_DONE)
        return sql_error(reader, error);
    *topics = list;
    *count = found;
    return FERRY_OK;
}

enum ferry_code ferry_spool_reader_select(struct ferry_spool_reader *reader, enum ferry_spool_table table,
                                          struct ferry_error *error)
{
    sqlite3_finalize(reader->select);
    reader->select = NULL;
    if (sqlite3_prepare_v2(reader->database, select_rows[table], -1, &reader->select, NULL) != SQLITE_OK)
        return sql_error(reader, error);
    return FERRY_OK;
}

enum ferry_code ferry_spool_reader_next(struct ferry_spool_reader *reader, struct ferry_arena *arena,
                                        struct ferry_spool_stored *stored, bool *more, struct ferry_error *error)
{
    int step = sqlite3_step(reader->select);
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        return sql_error(reader, error);
    *more = step == SQLITE_ROW;
    if (!*more)
        return FERRY_OK;
    struct ferry_spool_stored read = {.since_ms = sqlite3_column_int64(reader->select, 4)};
    read.damaged = !ferry_spool_sql_row(reader->select, arena, &read.row);
    if (sqlite3_column_type(reader->select, 5) != SQLITE_NULL)
        read.topic = ferry_spool_sql_bytes(reader->select, 5, arena);
    else if (!read.damaged)
        read.topic = read.row.record.topic;
    if (sqlite3_column_type(reader->select, 6) != SQLITE_NULL)
        read.reason = ferry_spool_sql_bytes(reader->select, 6, arena);
    *stored = read;
    return FERRY_OK;
}
