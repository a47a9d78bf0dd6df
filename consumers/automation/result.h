/* What is told of a trigger's call: one record of `<internal>.results` (docs/protocol.md, "Results"). */
#ifndef FERRY_CONSUMERS_AUTOMATION_RESULT_H
#define FERRY_CONSUMERS_AUTOMATION_RESULT_H

#include "consumers/worker.h"

enum {
    FERRY_RESULT_OUTPUT_MAX = 256 * 1024, /* bytes of an output; what is more is cut */
    FERRY_RESULT_RECORD_MAX = 900 * 1024  /* of the whole record, which Kafka has to take */
};

enum ferry_result_state {
    FERRY_RESULT_QUEUED, /* at Qlik; or it waits for its next attempt, and `code` says why */
    FERRY_RESULT_RUNNING,
    FERRY_RESULT_FINISHED,
    FERRY_RESULT_FAILED
};

struct ferry_result {
    enum ferry_result_state state;
    bool final; /* nothing more will be told, unless somebody tries a dead letter again */
    char run[128];
    struct ferry_slice output; /* absent: none; borrowed from the news */
    bool truncated;
    const char *code; /* NULL: no error; a name of core/error.h, or `skipped`, `expired`, `duplicate` */
    const char *text; /* for people; borrowed from the news */
};

/* Is the event a trigger's call? */
bool ferry_result_wanted(const struct ferry_event *event);
/* False: it is nothing to be told. */
FERRY_NODISCARD bool ferry_result_of(const struct ferry_news *news, struct ferry_result *result);
/* Appends the record's value. Secrets of the route that the output has in it are blotted out. */
void ferry_result_print(const struct ferry_news *news, const struct ferry_result *result, int64_t wall_ms,
                        struct ferry_buffer *out);

/* Hands results to a producer of its own, so that neither an effect nor an offset ever waits for one; what cannot be
 * written is dropped and counted (ferry_results_dropped_total). */
extern const struct ferry_telling ferry_result_telling;

#endif
