/* Looking into a spool without changing it, also beside the bridge that writes it: everything that one reader says is
 * of one moment, that of its opening. One thread. */
#ifndef FERRY_CORE_SPOOL_READER_H
#define FERRY_CORE_SPOOL_READER_H

#include "core/spool/spool_file.h"

struct ferry_spool_reader;

/* Fails with FERRY_NOT_FOUND (there is no spool in the directory) or FERRY_SYSTEM; the text names the cure. */
FERRY_NODISCARD enum ferry_code ferry_spool_reader_open(const char *directory, struct ferry_spool_reader **out,
                                                        struct ferry_error *error);
/* NULL is allowed. */
void ferry_spool_reader_close(struct ferry_spool_reader *reader);

/* Pages of the file that hold something. */
int64_t ferry_spool_reader_used_bytes(struct ferry_spool_reader *reader);

struct ferry_spool_summary {
    struct ferry_slice topic;
    int64_t rows;
    int64_t bytes; /* of their records */
    int64_t oldest_ms;
};
/* By topic, sorted; in `arena`. */
FERRY_NODISCARD enum ferry_code ferry_spool_reader_topics(struct ferry_spool_reader *reader, struct ferry_arena *arena,
                                                          struct ferry_spool_summary **topics, size_t *count,
                                                          struct ferry_error *error);

/* What waits for Kafka, and what never will be produced. */
enum ferry_spool_table { FERRY_SPOOL_WAITING, FERRY_SPOOL_ASIDE, FERRY_SPOOL_TABLES };
int64_t ferry_spool_reader_count(struct ferry_spool_reader *reader, enum ferry_spool_table table);

struct ferry_spool_stored {
    struct ferry_spool_row row;
    struct ferry_slice topic;  /* known of a damaged row that waits, too */
    bool damaged;              /* the checksum does not match: there is no record */
    int64_t since_ms;          /* wall clock: stored, or set aside */
    struct ferry_slice reason; /* why it was set aside */
};
/* Begins with the first row of a table. */
FERRY_NODISCARD enum ferry_code ferry_spool_reader_select(struct ferry_spool_reader *reader,
                                                          enum ferry_spool_table table, struct ferry_error *error);
/* The next one, by sequence, in `arena`; `*more` false: there was none. */
FERRY_NODISCARD enum ferry_code ferry_spool_reader_next(struct ferry_spool_reader *reader, struct ferry_arena *arena,
                                                        struct ferry_spool_stored *stored, bool *more,
                                                        struct ferry_error *error);

#endif
