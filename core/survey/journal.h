/* Reading the operators' journal, `<internal>.operations`: what commands of the CLI changed (ferry/operations.h writes
 * it and says what stands in a record). */
#ifndef FERRY_CORE_SURVEY_JOURNAL_H
#define FERRY_CORE_SURVEY_JOURNAL_H

#include "core/config.h"
#include "core/survey/read.h"

struct json_t;

enum { FERRY_JOURNAL_TOPIC = 256 };
void ferry_journal_topic(const struct ferry_topics_config *topics, char out[FERRY_JOURNAL_TOPIC]);

/* Hands out the records of one run in their order, or of all runs (`run` NULL; in order within each), to the present
 * end of the topic. A value that is no JSON object is left out. A topic that is missing has no records. What was
 * borrowed from ferry_scan_topics is gone afterwards. Waits; FERRY_KAFKA, FERRY_STOPPING. */
typedef void ferry_journal_fn(void *context, const struct json_t *record);
FERRY_NODISCARD enum ferry_code ferry_journal_read(struct ferry_scan *scan, const struct ferry_topics_config *topics,
                                                   const char *run, const struct ferry_survey_caller *caller,
                                                   ferry_journal_fn *visit, void *context, struct ferry_error *error);

#endif
