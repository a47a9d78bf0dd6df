/* Reading stretches of partitions without a group: looked up by time, read in batches, nothing is joined or committed,
 * live groups do not notice. For the operator's commands. One thread makes all calls; those that say so wait. */
#ifndef FERRY_CORE_KAFKA_SCAN_H
#define FERRY_CORE_KAFKA_SCAN_H

#include "core/config.h"
#include "core/kafka/consumer.h"

struct ferry_scan;

/* What is to be read of one partition: the offsets from `next` to `end`, without `end`. */
struct ferry_span {
    const char *topic; /* lives as long as the scan */
    int32_t partition;
    int64_t next;
    int64_t end; /* FERRY_SPAN_FOLLOW: for ever */
};
#define FERRY_SPAN_FOLLOW INT64_MAX

/* `overrides` win over `common`. Does not wait for a broker. Fails with FERRY_CONFIG or FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_scan_open(struct ferry_properties common, struct ferry_properties overrides,
                                                struct ferry_scan **out, struct ferry_error *error);
void ferry_scan_close(struct ferry_scan *scan);

/* All topics that this user may see, sorted by name; borrowed from the scan until the next call. Waits; FERRY_KAFKA. */
struct ferry_scan_topic {
    const char *name;
    int partitions;
};
FERRY_NODISCARD enum ferry_code ferry_scan_topics(struct ferry_scan *scan, int timeout_ms,
                                                  const struct ferry_scan_topic **topics, size_t *count,
                                                  struct ferry_error *error);

/* The offset of the first record of that time or later, for each partition of `spans`, into `offsets`; the end where
 * there is none. FERRY_SCAN_EARLIEST, FERRY_SCAN_END: the first offset that is kept, the one after the last. Waits;
 * FERRY_KAFKA when not all partitions were answered in time. */
#define FERRY_SCAN_EARLIEST INT64_C(-2)
#define FERRY_SCAN_END INT64_C(-1)
FERRY_NODISCARD enum ferry_code ferry_scan_offsets(struct ferry_scan *scan, const struct ferry_span *spans,
                                                   size_t count, int64_t when_ms, int timeout_ms, int64_t *offsets,
                                                   struct ferry_error *error);

/* Reads these from now on, and nothing else. `spans` is the scan's until the next call or its close: `next` goes up as
 * records are handed out, or were found not to be there any more. Spans that are empty are allowed. FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_scan_begin(struct ferry_scan *scan, struct ferry_span *spans, size_t count,
                                                 struct ferry_error *error);

/* A record of a span, and which one. */
struct ferry_scanned {
    struct ferry_fetched *fetched; /* the caller frees it with ferry_fetched_free */
    size_t span;
};
/* Up to `max` records, in order within each span; 0 when none came within `timeout_ms`. */
size_t ferry_scan_poll(struct ferry_scan *scan, int timeout_ms, struct ferry_scanned *out, size_t max);
/* Every span has been handed out. Polls may give nothing before, so go on polling until this is true. */
bool ferry_scan_done(const struct ferry_scan *scan);
/* What went wrong last, in librdkafka's words; "" for nothing since the last call. */
const char *ferry_scan_problem(struct ferry_scan *scan);

#endif
