/* Looking at Kafka from outside, for people: the operator's commands and the bridge's console. Nothing is joined,
 * committed or written. What all of core/survey has in common: who asks, and reading stretches to their end. */
#ifndef FERRY_CORE_SURVEY_READ_H
#define FERRY_CORE_SURVEY_READ_H

#include "core/kafka/scan.h"

/* Whoever asks. Called on the thread that reads. */
struct ferry_survey_caller {
    void *context;
    int look_ms;                                                  /* how long one question may wait for a broker */
    bool (*stopped)(void *context);                               /* NULL: never */
    void (*progress)(void *context, int64_t done, int64_t total); /* NULL: not told; at the end they are equal */
};
bool ferry_survey_stopped(const struct ferry_survey_caller *caller);
void ferry_survey_progress(const struct ferry_survey_caller *caller, int64_t done, int64_t total);

/* What becomes of the records that are read. */
struct ferry_visitor {
    const char *what; /* stands before the complaint that nothing came: "dead letters: " */
    int patience_ms;  /* how long nothing may come */
    enum ferry_code (*visit)(void *context, const struct ferry_scanned *found, struct ferry_error *error);
    void *context;
};
/* Hands out all records of the spans; `visit` frees them. Fails as `visit` does, which then sees no more of them, with
 * FERRY_STOPPING when the caller stops it, and with FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_survey_read(struct ferry_scan *scan, struct ferry_span *spans, size_t count,
                                                  const struct ferry_visitor *visitor,
                                                  const struct ferry_survey_caller *caller, struct ferry_error *error);

#endif
