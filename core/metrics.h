/* Counters, gauges and histograms, printed in Prometheus' text format 0.0.4.
 *
 * A family (`ferry_http_requests_total`) has label names; a series is one set of label values. Look a series up once
 * and keep it: adding to it is one atomic operation, from any thread. Families and series live until
 * ferry_metrics_free. */
#ifndef FERRY_CORE_METRICS_H
#define FERRY_CORE_METRICS_H

#include "core/buffer.h"

struct ferry_metrics;
struct ferry_metric; /* a family */
struct ferry_series;

enum ferry_metric_kind { FERRY_COUNTER, FERRY_GAUGE, FERRY_HISTOGRAM };

/* Up to four labels. */
enum { FERRY_METRIC_LABELS = 4 };

struct ferry_metrics *ferry_metrics_new(void);
void ferry_metrics_free(struct ferry_metrics *metrics);

/* Adds a family, or returns the one of that name (then of the same kind). `name`, `help` (one line) and the label names
 * (NULL-ended; NULL for none) are borrowed for ever. Histograms count seconds in buckets from 0.5 ms to 60 s. Any
 * thread. NULL when memory ran out. */
struct ferry_metric *ferry_metrics_family(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                          const char *help, const char *const *label_names);
/* A row of a table of families; `labels` ends in NULL. */
struct ferry_metric_row {
    enum ferry_metric_kind kind;
    const char *name;
    const char *help;
    const char *labels[FERRY_METRIC_LABELS + 1];
};
/* Adds the families of a table, as ferry_metrics_family does, into `out`. The table is borrowed for ever. */
void ferry_metrics_families(struct ferry_metrics *metrics, const struct ferry_metric_row *rows, size_t count,
                            struct ferry_metric **out);
/* The series of these label values (as many as names; copied), made at the first call. Any thread; takes a lock, so
 * keep the result on a hot path. Over 10,000 series a family everything goes to one whose values are "other". */
struct ferry_series *ferry_metric_series(struct ferry_metric *family, const struct ferry_slice *values);

/* NULL metrics, families and series are ignored, so that code under test needs none. To a gauge `n` is added as a
 * signed number: (uint64_t)-1 takes one away. A negative duration counts as 0. */
void ferry_series_add(struct ferry_series *series, uint64_t n);
void ferry_series_set(struct ferry_series *series, double value);
void ferry_series_observe_ms(struct ferry_series *series, double milliseconds);
/* Of a histogram the number of observations. */
double ferry_series_value(const struct ferry_series *series);
/* Hides every series of a family until it is looked up again, then at 0 (gauges whose label sets come and go). A series
 * that somebody kept stays valid, but is not printed. */
void ferry_metric_clear(struct ferry_metric *family);

/* Appends the whole exposition, families sorted by name. Any thread. */
void ferry_metrics_print(struct ferry_metrics *metrics, struct ferry_buffer *out);

#endif
