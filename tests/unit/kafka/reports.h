/* A producer and its cluster, and what was reported of each record. */
#ifndef FERRY_TESTS_UNIT_KAFKA_REPORTS_H
#define FERRY_TESTS_UNIT_KAFKA_REPORTS_H

#include <stdatomic.h>
#include <string.h>

#include "cluster.h"
#include "core/kafka/producer.h"

/* ---- what was reported ---- */

enum { TAGS = 2000 };

static struct {
    atomic_int reports;
    atomic_int ends;
    atomic_int acknowledged;
    struct {
        atomic_int count;
        enum ferry_code code;
        bool possibly_persisted;
        int32_t partition;
        int64_t offset;
    } tags[TAGS + 1]; /* tag n is at n; 0 is nobody's */
} seen;

static inline void on_report(void *context, const struct ferry_report *report)
{
    (void)context;
    size_t tag = (size_t)(uintptr_t)report->tag;
    seen.tags[tag].code = report->code;
    seen.tags[tag].possibly_persisted = report->possibly_persisted;
    seen.tags[tag].partition = report->partition;
    seen.tags[tag].offset = report->offset;
    atomic_fetch_add(&seen.tags[tag].count, 1);
    if (report->code == FERRY_OK)
        atomic_fetch_add(&seen.acknowledged, 1);
    atomic_fetch_add(&seen.reports, 1);
}

static inline void on_reports_end(void *context)
{
    (void)context;
    atomic_fetch_add(&seen.ends, 1);
}

/* ---- a producer and its cluster ---- */

struct fixture {
    struct cluster *cluster;
    struct ferry_producer *producer;
};

static inline void begin_with(struct fixture *f, struct ferry_properties overrides, struct ferry_metrics *metrics)
{
    static const struct ferry_producer_listener listener = {NULL, on_report, on_reports_end};
    struct ferry_error error = {.text = ""};
    memset(&seen, 0, sizeof seen);
    f->cluster = cluster_start();
    cluster_topic(f->cluster, "events", 4);
    if (ferry_producer_open(f->cluster->properties, overrides, &listener, metrics, &f->producer, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

static inline void begin(struct fixture *f)
{
    begin_with(f, (struct ferry_properties){NULL, 0}, NULL);
}

static inline void end(struct fixture *f)
{
    ferry_producer_close(f->producer);
    cluster_stop(f->cluster);
}

static inline enum ferry_code hand_over(struct fixture *f, const char *topic, int tag)
{
    static const char value[] = "{}";
    struct ferry_record record = {.topic = ferry_slice_from(topic), .key = FERRY_SLICE("k"), .value = {value, 2}};
    return ferry_producer_send(f->producer, &record, (void *)(uintptr_t)tag, NULL);
}

static inline void assert_reported_once(int from, int to)
{
    for (int tag = from; tag <= to; tag++)
        assert_int_equal(atomic_load(&seen.tags[tag].count), 1);
}

#endif
