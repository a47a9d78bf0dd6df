/* Families and series hang on one arena and are never freed before the whole: a series can be kept by any thread for as
 * long as the program runs, so clearing a family only hides its series until they are looked up again.
 *
 * The lock guards the lists. The numbers are atomics beside it: adding never takes the lock, and a print sees each
 * number at some moment of its own, which is all that Prometheus asks. A histogram's count is the sum of its buckets,
 * so that a print never shows a count that its buckets contradict. */
#include "core/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/utf8.h"

enum { SERIES_MAX = 10000, HASH_HEADS = 256 };

/* The upper bounds of a histogram, as compared and as printed. */
static const struct {
    uint64_t nanoseconds;
    const char *le;
} bounds[] = {
    {500000, "0.0005"},  {1000000, "0.001"},   {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},
    {25000000, "0.025"}, {50000000, "0.05"},   {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},
    {1000000000, "1"},   {2500000000, "2.5"},  {5000000000, "5"},   {10000000000, "10"}, {30000000000, "30"},
    {60000000000, "60"}, {UINT64_MAX, "+Inf"},
};
enum { BOUNDS = sizeof bounds / sizeof bounds[0] };

struct ferry_series {
    enum ferry_metric_kind kind;
    bool hidden; /* cleared, and not looked up since */
    struct ferry_slice values[FERRY_METRIC_LABELS];
    struct ferry_series *next_made;
    struct ferry_series *next_alike; /* of the same hash */
    /* A counter's count, the bits of a gauge's double, or the sum of a histogram in nanoseconds. */
    _Atomic uint64_t number;
    _Atomic uint64_t *buckets; /* BOUNDS of them, each counted alone; NULL but for histograms */
};

struct ferry_metric {
    struct ferry_metrics *owner;
    struct ferry_metric *next; /* by name */
    enum ferry_metric_kind kind;
    const char *name;
    const char *help;
    const char *label_names[FERRY_METRIC_LABELS];
    size_t label_count;
    struct ferry_series *first;
    struct ferry_series *last;
    struct ferry_series *heads[HASH_HEADS];
    size_t series_count;
};

struct ferry_metrics {
    pthread_mutex_t lock;
    struct ferry_arena arena;
    struct ferry_metric *families;
};

struct ferry_metrics *ferry_metrics_new(void)
{
    struct ferry_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return NULL;
    if (pthread_mutex_init(&metrics->lock, NULL) != 0) {
        free(metrics);
        return NULL;
    }
    ferry_arena_init(&metrics->arena);
    return metrics;
}

void ferry_metrics_free(struct ferry_metrics *metrics)
{
    if (metrics == NULL)
        return;
    ferry_arena_done(&metrics->arena);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* ---- families and series ---- */

static struct ferry_metric *make_family(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                        const char *help, const char *const *label_names)
{
    struct ferry_metric *family = ferry_arena_new(&metrics->arena, sizeof *family);
    if (family == NULL)
        return NULL;
    family->owner = metrics;
    family->kind = kind;
    family->name = name;
    family->help = help;
    for (; label_names != NULL && label_names[family->label_count] != NULL; family->label_count++) {
        assert(family->label_count < FERRY_METRIC_LABELS);
        family->label_names[family->label_count] = label_names[family->label_count];
    }
    return family;
}

struct ferry_metric *ferry_metrics_family(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                          const char *help, const char *const *label_names)
{
    if (metrics == NULL)
        return NULL;
    pthread_mutex_lock(&metrics->lock);
    struct ferry_metric **place = &metrics->families;
    while (*place != NULL && strcmp((*place)->name, name) < 0)
        place = &(*place)->next;
    struct ferry_metric *family = *place;
    if (family == NULL || strcmp(family->name, name) != 0) {
        family = make_family(metrics, kind, name, help, label_names);
        if (family != NULL) {
            family->next = *place;
            *place = family;
        }
    }
    pthread_mutex_unlock(&metrics->lock);
    assert(family == NULL || family->kind == kind);
    return family;
}

void ferry_metrics_families(struct ferry_metrics *metrics, const struct ferry_metric_row *rows, size_t count,
                            struct ferry_metric **out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = ferry_metrics_family(metrics, rows[i].kind, rows[i].name, rows[i].help, rows[i].labels);
}

/* FNV-1a over the values and the gaps between them. */
static size_t hash_values(const struct ferry_slice *values, size_t count)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < values[i].len; at++)
            hash = (hash ^ (unsigned char)values[i].ptr[at]) * 1099511628211u;
        hash = (hash ^ 0xFF) * 1099511628211u;
    }
    return (size_t)(hash % HASH_HEADS);
}

static struct ferry_series *find_series(const struct ferry_metric *family, const struct ferry_slice *values)
{
    struct ferry_series *series = family->heads[hash_values(values, family->label_count)];
    for (; series != NULL; series = series->next_alike) {
        size_t same = 0;
        while (same < family->label_count && ferry_slice_equal(series->values[same], values[same]))
            same++;
        if (same == family->label_count)
            return series;
    }
    return NULL;
}

static struct ferry_series *make_series(struct ferry_metric *family, const struct ferry_slice *values)
{
    struct ferry_arena *arena = &family->owner->arena;
    struct ferry_series *series = ferry_arena_new(arena, sizeof *series);
    if (series == NULL)
        return NULL;
    series->kind = family->kind;
    for (size_t i = 0; i < family->label_count; i++) {
        series->values[i] = ferry_arena_slice(arena, values[i]);
        if (series->values[i].ptr == NULL)
            return NULL;
    }
    if (family->kind == FERRY_HISTOGRAM) {
        series->buckets = ferry_arena_new_array(arena, BOUNDS, sizeof *series->buckets);
        if (series->buckets == NULL)
            return NULL;
    }
    return series;
}

static void link_series(struct ferry_metric *family, struct ferry_series *series)
{
    if (family->last != NULL)
        family->last->next_made = series;
    else
        family->first = series;
    family->last = series;
    struct ferry_series **head = &family->heads[hash_values(series->values, family->label_count)];
    series->next_alike = *head;
    *head = series;
    family->series_count++;
}

static void zero_series(struct ferry_series *series)
{
    atomic_store_explicit(&series->number, 0, memory_order_relaxed);
    for (size_t i = 0; series->buckets != NULL && i < BOUNDS; i++)
        atomic_store_explicit(&series->buckets[i], 0, memory_order_relaxed);
}

struct ferry_series *ferry_metric_series(struct ferry_metric *family, const struct ferry_slice *values)
{
    static const struct ferry_slice other[FERRY_METRIC_LABELS] = {
        FERRY_SLICE_LITERAL("other"), FERRY_SLICE_LITERAL("other"), FERRY_SLICE_LITERAL("other"),
        FERRY_SLICE_LITERAL("other")};
    if (family == NULL)
        return NULL;
    pthread_mutex_lock(&family->owner->lock);
    struct ferry_series *series = find_series(family, values);
    if (series == NULL && family->series_count >= SERIES_MAX) {
        values = other;
        series = find_series(family, values);
    }
    if (series == NULL) {
        series = make_series(family, values);
        if (series != NULL)
            link_series(family, series);
    } else if (series->hidden) {
        series->hidden = false;
        zero_series(series);
    }
    pthread_mutex_unlock(&family->owner->lock);
    return series;
}

void ferry_metric_clear(struct ferry_metric *family)
{
    if (family == NULL)
        return;
    pthread_mutex_lock(&family->owner->lock);
    for (struct ferry_series *series = family->first; series != NULL; series = series->next_made)
        series->hidden = true;
    pthread_mutex_unlock(&family->owner->lock);
}

/* ---- numbers ---- */

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void add_to_gauge(struct ferry_series *series, double n)
{
    uint64_t seen = atomic_load_explicit(&series->number, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&series->number, &seen, bits_of(double_of(seen) + n),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void ferry_series_add(struct ferry_series *series, uint64_t n)
{
    if (series == NULL)
        return;
    assert(series->kind != FERRY_HISTOGRAM);
    if (series->kind == FERRY_GAUGE)
        add_to_gauge(series, (double)(int64_t)n);
    else
        atomic_fetch_add_explicit(&series->number, n, memory_order_relaxed);
}

void ferry_series_set(struct ferry_series *series, double value)
{
    if (series == NULL)
        return;
    assert(series->kind == FERRY_GAUGE);
    atomic_store_explicit(&series->number, bits_of(value), memory_order_relaxed);
}

void ferry_series_observe_ms(struct ferry_series *series, double milliseconds)
{
    if (series == NULL)
        return;
    assert(series->kind == FERRY_HISTOGRAM);
    /* A clock that was set back, or one that is ahead of ours, shows as "at once"; a century is enough for a sum. */
    const double most = 3.2e12;
    double bounded = milliseconds > 0 ? (milliseconds < most ? milliseconds : most) : 0;
    uint64_t nanoseconds = (uint64_t)(bounded * 1e6 + 0.5);
    size_t i = 0;
    while (nanoseconds > bounds[i].nanoseconds)
        i++;
    atomic_fetch_add_explicit(&series->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->number, nanoseconds, memory_order_relaxed);
}

double ferry_series_value(const struct ferry_series *series)
{
    if (series == NULL)
        return 0;
    if (series->kind != FERRY_HISTOGRAM) {
        uint64_t number = atomic_load_explicit(&series->number, memory_order_relaxed);
        return series->kind == FERRY_GAUGE ? double_of(number) : (double)number;
    }
    uint64_t count = 0;
    for (size_t i = 0; i < BOUNDS; i++)
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
    return (double)count;
}

/* ---- the exposition ---- */

static void print_double(double value, struct ferry_buffer *out)
{
    if (isnan(value)) {
        ferry_buffer_add_text(out, "NaN");
    } else if (isinf(value)) {
        ferry_buffer_add_text(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        char text[32];
        snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value)
            snprintf(text, sizeof text, "%.17g", value);
        ferry_buffer_add_text(out, text);
    }
}

/* A label's value: \ " and line feeds escaped, bytes that are no UTF-8 replaced. */
static void print_label_value(struct ferry_slice value, struct ferry_buffer *out)
{
    for (size_t at = 0, len; at < value.len; at += len) {
        char c = value.ptr[at];
        len = ferry_utf8_sequence(value.ptr + at, value.len - at);
        if (len == 0) {
            ferry_buffer_add_text(out, "\xEF\xBF\xBD");
            len = 1;
        } else if (c == '\n') {
            ferry_buffer_add_text(out, "\\n");
        } else {
            if (c == '\\' || c == '"')
                ferry_buffer_add_char(out, '\\');
            ferry_buffer_add(out, ferry_slice_of(value.ptr + at, len));
        }
    }
}

/* `name_suffix{labels,le="…"} `; `le` may be NULL. */
static void print_head(const struct ferry_metric *family, const struct ferry_series *series, const char *suffix,
                       const char *le, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "%s%s", family->name, suffix);
    char before = '{';
    for (size_t i = 0; i < family->label_count; i++, before = ',') {
        ferry_buffer_printf(out, "%c%s=\"", before, family->label_names[i]);
        print_label_value(series->values[i], out);
        ferry_buffer_add_char(out, '"');
    }
    if (le != NULL) {
        ferry_buffer_printf(out, "%cle=\"%s\"", before, le);
        before = ',';
    }
    ferry_buffer_add_text(out, before == ',' ? "} " : " ");
}

static void print_histogram(const struct ferry_metric *family, const struct ferry_series *series,
                            struct ferry_buffer *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
        print_head(family, series, "_bucket", bounds[i].le, out);
        ferry_buffer_printf(out, "%" PRIu64 "\n", count);
    }
    print_head(family, series, "_sum", NULL, out);
    print_double((double)atomic_load_explicit(&series->number, memory_order_relaxed) / 1e9, out);
    ferry_buffer_add_char(out, '\n');
    print_head(family, series, "_count", NULL, out);
    ferry_buffer_printf(out, "%" PRIu64 "\n", count);
}

static void print_series(const struct ferry_metric *family, const struct ferry_series *series, struct ferry_buffer *out)
{
    if (family->kind == FERRY_HISTOGRAM) {
        print_histogram(family, series, out);
        return;
    }
    print_head(family, series, "", NULL, out);
    uint64_t number = atomic_load_explicit(&series->number, memory_order_relaxed);
    if (family->kind == FERRY_GAUGE)
        print_double(double_of(number), out);
    else
        ferry_buffer_printf(out, "%" PRIu64, number);
    ferry_buffer_add_char(out, '\n');
}

static void print_family(const struct ferry_metric *family, struct ferry_buffer *out)
{
    static const char *const types[] = {
        [FERRY_COUNTER] = "counter", [FERRY_GAUGE] = "gauge", [FERRY_HISTOGRAM] = "histogram"};
    ferry_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                        types[family->kind]);
    for (const struct ferry_series *series = family->first; series != NULL; series = series->next_made)
        if (!series->hidden)
            print_series(family, series, out);
}

void ferry_metrics_print(struct ferry_metrics *metrics, struct ferry_buffer *out)
{
    if (metrics == NULL)
        return;
    pthread_mutex_lock(&metrics->lock);
    for (const struct ferry_metric *family = metrics->families; family != NULL; family = family->next)
        print_family(family, out);
    pthread_mutex_unlock(&metrics->lock);
}
