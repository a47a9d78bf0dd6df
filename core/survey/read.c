#include "core/survey/read.h"

#include "core/clock.h"

enum { POLL_MS = 200, BATCH = 500 };

bool ferry_survey_stopped(const struct ferry_survey_caller *caller)
{
    return caller->stopped != NULL && caller->stopped(caller->context);
}

void ferry_survey_progress(const struct ferry_survey_caller *caller, int64_t done, int64_t total)
{
    if (caller->progress != NULL)
        caller->progress(caller->context, done, total);
}

enum ferry_code ferry_survey_read(struct ferry_scan *scan, struct ferry_span *spans, size_t count,
                                  const struct ferry_visitor *visitor, const struct ferry_survey_caller *caller,
                                  struct ferry_error *error)
{
    struct ferry_scanned batch[BATCH];
    enum ferry_code code = ferry_scan_begin(scan, spans, count, error);
    int64_t quiet_since_ms = ferry_clock_mono_ms();
    while (code == FERRY_OK && !ferry_scan_done(scan)) {
        size_t taken = ferry_scan_poll(scan, POLL_MS, batch, BATCH);
        for (size_t i = 0; i < taken; i++) {
            if (code == FERRY_OK)
                code = visitor->visit(visitor->context, &batch[i], error);
            else
                ferry_fetched_free(batch[i].fetched);
        }
        if (taken > 0)
            quiet_since_ms = ferry_clock_mono_ms();
        if (code == FERRY_OK && ferry_survey_stopped(caller))
            code = ferry_fail(error, FERRY_STOPPING, "stopped");
        else if (code == FERRY_OK && ferry_clock_mono_ms() - quiet_since_ms > visitor->patience_ms)
            code = ferry_fail(error, FERRY_KAFKA, "%snothing came for %d s; may this user read them? %s", visitor->what,
                              visitor->patience_ms / 1000, ferry_scan_problem(scan));
    }
    return code;
}
