/* What the spool's writer and those who only look share. Private to core/spool. */
#ifndef FERRY_CORE_SPOOL_PRIVATE_H
#define FERRY_CORE_SPOOL_PRIVATE_H

#include <sqlite3.h>

#include "core/spool/spool_file.h"

/* `user_version` is the format of the tables, the first byte of `record` that of a row (spool_row.h). */
enum { FERRY_SPOOL_FORMAT = 1, FERRY_SPOOL_PATH = 4096 };

/* Opens `<directory>/spool.db`; `flags` are those of sqlite3_open_v2. The caller closes `*out`, also after a failure.
 * Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_spool_connect(const char *directory, int flags, sqlite3 **out,
                                                    struct ferry_error *error);
/* FERRY_SYSTEM with SQLite's words. */
enum ferry_code ferry_spool_sql_error(sqlite3 *database, const char *directory, struct ferry_error *error);
/* FERRY_SYSTEM for the file of a newer Ferry. */
FERRY_NODISCARD enum ferry_code ferry_spool_check_format(sqlite3 *database, const char *directory,
                                                         struct ferry_error *error);
/* The first column of the first row; 0 if there is none. */
int64_t ferry_spool_sql_number(sqlite3 *database, const char *query);
/* Pages that hold something: what deleting gave back is not counted. */
int64_t ferry_spool_sql_used_bytes(sqlite3 *database);
/* A copy of a column's bytes. */
struct ferry_slice ferry_spool_sql_bytes(sqlite3_stmt *select, int column, struct ferry_arena *arena);
/* A row of "sequence, handed, crc, record, …". False for one that is damaged; its number is known all the same. */
bool ferry_spool_sql_row(sqlite3_stmt *select, struct ferry_arena *arena, struct ferry_spool_row *row);

#endif
