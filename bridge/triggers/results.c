/* The memory of runs: a table by id, and one list in the order of the last news, whose old end goes when there are too
 * many, too large, or too old ones. */
#include "bridge/triggers/results.h"

#include <stdlib.h>

#include "bridge/triggers/results_inside.h"
#include "core/hash.h"

enum {
    RUNS_MAX = 20000,
    BYTES_MAX = 64 << 20,
    AGE_MS = 3600 * 1000, /* as long as the topic keeps them */
    RUN_OVERHEAD = 1024   /* of one, beside what it holds */
};

/* ---- runs ---- */

void ferry_run_drop(struct ferry_run *run)
{
    if (run == NULL || atomic_fetch_sub_explicit(&run->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < run->result_count; i++)
        ferry_run_result_drop(run->results[i]);
    free(run);
}

static size_t bytes_of(const struct ferry_run *run)
{
    size_t bytes = RUN_OVERHEAD;
    for (size_t i = 0; i < run->result_count; i++)
        bytes += RUN_OVERHEAD + run->results[i]->bytes;
    return bytes;
}

static ptrdiff_t index_of(const struct ferry_run *run, struct ferry_slice route)
{
    for (size_t i = 0; run != NULL && i < run->result_count; i++)
        if (ferry_slice_equal(run->results[i]->route, route))
            return (ptrdiff_t)i;
    return -1;
}

/* How many routes there are to hear of: as the last news had it, which counted them in the newest configuration. */
static size_t routes_of(const struct ferry_run *run, const struct ferry_run_result *news)
{
    return run->result_count > news->routes ? run->result_count : news->routes;
}

/* Of all routes together. While one of them is not at its end: running, if any is or has an end already. At the end:
 * failed if one failed, else finished; and failed as well if there was nothing to do for any. */
static void sum_up(struct ferry_run *run, const struct ferry_run_result *news)
{
    size_t counts[FERRY_RUN_HAS_FAILED + 1] = {0}, ends = 0, voids = 0;
    for (size_t i = 0; i < run->result_count; i++) {
        const struct ferry_run_result *result = run->results[i];
        bool is_void = result->final && ferry_run_result_is_void(result);
        counts[result->state] += !is_void;
        ends += result->final;
        voids += is_void;
    }
    run->final = ends >= routes_of(run, news);
    if (!run->final)
        run->state = counts[FERRY_RUN_IS_RUNNING] > 0 || ends > 0 ? FERRY_RUN_IS_RUNNING : FERRY_RUN_IS_QUEUED;
    else if (counts[FERRY_RUN_HAS_FAILED] > 0 || voids == run->result_count)
        run->state = FERRY_RUN_HAS_FAILED;
    else
        run->state = counts[FERRY_RUN_HAS_FINISHED] > 0 ? FERRY_RUN_HAS_FINISHED : FERRY_RUN_IS_QUEUED;
    if (!run->final && run->result_count == 1 && !run->results[0]->final)
        run->state = run->results[0]->state; /* of a failure the letter is still to come */
}

/* What a run is after the news: `before` with that route's result put in its place. Takes `news`. NULL: no memory. */
static struct ferry_run *run_after(const struct ferry_run *before, struct ferry_run_result *news, uint64_t version)
{
    size_t count = before != NULL ? before->result_count : 0;
    ptrdiff_t at = index_of(before, news->route);
    size_t place = at >= 0 ? (size_t)at : count;
    struct ferry_run *run = calloc(1, sizeof *run + (count + 1) * sizeof(struct ferry_run_result *));
    if (run == NULL)
        return NULL;
    atomic_init(&run->references, 1);
    run->version = version;
    run->result_count = at >= 0 ? count : count + 1;
    for (size_t i = 0; i < run->result_count; i++) {
        run->results[i] = i == place ? news : before->results[i];
        if (i != place)
            atomic_fetch_add(&run->results[i]->references, 1);
    }
    sum_up(run, news);
    return run;
}

/* ---- entries ---- */

static struct ferry_results_entry **bucket_of(struct ferry_results *results, struct ferry_slice id)
{
    return &results->buckets[ferry_hash(FERRY_HASH_EMPTY, id) % FERRY_RESULTS_BUCKETS];
}

static struct ferry_slice id_of(const struct ferry_results_entry *entry)
{
    return entry->run->results[0]->id;
}

static struct ferry_results_entry *find(struct ferry_results *results, struct ferry_slice id)
{
    struct ferry_results_entry *entry = *bucket_of(results, id);
    while (entry != NULL && !ferry_slice_equal(id_of(entry), id))
        entry = entry->next_in_bucket;
    return entry;
}

static void unlink_age(struct ferry_results *results, struct ferry_results_entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &results->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &results->newest) = entry->older;
}

static void link_newest(struct ferry_results *results, struct ferry_results_entry *entry, int64_t mono_ms)
{
    entry->changed_ms = mono_ms;
    entry->older = results->newest;
    entry->newer = NULL;
    *(results->newest != NULL ? &results->newest->newer : &results->oldest) = entry;
    results->newest = entry;
}

static void forget(struct ferry_results *results, struct ferry_results_entry *entry)
{
    struct ferry_results_entry **place = bucket_of(results, id_of(entry));
    while (*place != entry)
        place = &(*place)->next_in_bucket;
    *place = entry->next_in_bucket;
    unlink_age(results, entry);
    results->count--;
    results->bytes -= bytes_of(entry->run);
    ferry_run_drop(entry->run);
    free(entry);
}

static bool has_to_go(const struct ferry_results *results, const struct ferry_results_entry *entry, int64_t mono_ms)
{
    return results->count > RUNS_MAX || results->bytes > BYTES_MAX || mono_ms - entry->changed_ms > AGE_MS;
}

/* The newest one stays in any case. */
static void make_room(struct ferry_results *results, int64_t mono_ms)
{
    struct ferry_results_entry *entry = results->oldest;
    for (struct ferry_results_entry *newer; entry != results->newest && has_to_go(results, entry, mono_ms);
         entry = newer) {
        newer = entry->newer;
        forget(results, entry);
    }
    ferry_series_set(results->known, (double)results->count);
}

/* ---- news ---- */

/* Nothing was done because it had been done before, or was not to be: that changes nothing about an end that is known.
 */
static bool is_stale(const struct ferry_run *before, const struct ferry_run_result *news)
{
    ptrdiff_t at = index_of(before, news->route);
    return at >= 0 && before->results[at]->final && ferry_run_result_is_void(news);
}

/* What a failed run gave came before its letter, which has none. */
static bool keep_output(const struct ferry_run *before, struct ferry_run_result *news)
{
    ptrdiff_t at = index_of(before, news->route);
    if (at < 0 || news->output.ptr != NULL || news->state != FERRY_RUN_HAS_FAILED ||
        before->results[at]->state != FERRY_RUN_HAS_FAILED || before->results[at]->output.ptr == NULL)
        return true;
    const struct ferry_run_result *old = before->results[at];
    news->output = ferry_arena_slice(&news->arena, old->output);
    news->output_type = ferry_arena_slice(&news->arena, old->output_type);
    news->bytes += old->output.len;
    news->truncated = old->truncated;
    return news->output.ptr != NULL && news->output_type.ptr != NULL;
}

/* One more route than any configuration has. */
static bool is_too_much(const struct ferry_run *before, const struct ferry_run_result *news)
{
    return before != NULL && before->result_count >= FERRY_RUN_ROUTES_MAX && index_of(before, news->route) < 0;
}

static struct ferry_results_entry *entry_new(struct ferry_results *results, struct ferry_run *run)
{
    struct ferry_results_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    struct ferry_results_entry **bucket = bucket_of(results, run->results[0]->id);
    *entry = (struct ferry_results_entry){.run = run, .next_in_bucket = *bucket};
    *bucket = entry;
    results->count++;
    return entry;
}

static void wake_watches(struct ferry_results *results, struct ferry_slice id)
{
    for (struct ferry_watch *watch = results->watches; watch != NULL; watch = watch->next)
        if (ferry_slice_equal(watch->id, id))
            watch->changed(watch);
}

/* Takes `news` in any case; the lock is held. */
static enum ferry_code take(struct ferry_results *results, struct ferry_run_result *news, int64_t mono_ms)
{
    struct ferry_results_entry *entry = find(results, news->id);
    const struct ferry_run *before = entry != NULL ? entry->run : NULL;
    struct ferry_run *run = NULL;
    bool stale = is_stale(before, news) || is_too_much(before, news);
    if (!stale && keep_output(before, news))
        run = run_after(before, news, results->version + 1);
    if (run == NULL) {
        ferry_run_result_drop(news);
        return stale ? FERRY_OK : FERRY_MEMORY;
    }
    if (entry == NULL && (entry = entry_new(results, run)) == NULL) {
        ferry_run_drop(run);
        return FERRY_MEMORY;
    }
    if (before != NULL) {
        unlink_age(results, entry);
        results->bytes -= bytes_of(before);
        ferry_run_drop(entry->run);
    }
    entry->run = run;
    results->version++;
    results->bytes += bytes_of(run);
    link_newest(results, entry, mono_ms);
    wake_watches(results, id_of(entry));
    make_room(results, mono_ms);
    return FERRY_OK;
}

enum ferry_code ferry_results_learn(struct ferry_results *results, const struct ferry_record *record, int64_t mono_ms,
                                    struct ferry_error *error)
{
    struct ferry_run_result *news;
    enum ferry_code code = ferry_run_result_read(record, &news, error);
    ferry_series_add(code == FERRY_RECORD_INVALID ? results->invalid : results->read, 1);
    if (code != FERRY_OK)
        return code;
    pthread_mutex_lock(&results->lock);
    code = take(results, news, mono_ms);
    pthread_mutex_unlock(&results->lock);
    return code == FERRY_OK ? code : ferry_fail(error, code, "out of memory");
}

/* ---- for those who look ---- */

struct ferry_run *ferry_results_get(struct ferry_results *results, struct ferry_slice id)
{
    pthread_mutex_lock(&results->lock);
    const struct ferry_results_entry *entry = find(results, id);
    struct ferry_run *run = entry != NULL ? entry->run : NULL;
    if (run != NULL)
        atomic_fetch_add(&run->references, 1);
    pthread_mutex_unlock(&results->lock);
    return run;
}

void ferry_results_watch(struct ferry_results *results, struct ferry_watch *watch)
{
    pthread_mutex_lock(&results->lock);
    watch->previous = NULL;
    watch->next = results->watches;
    if (results->watches != NULL)
        results->watches->previous = watch;
    results->watches = watch;
    pthread_mutex_unlock(&results->lock);
}

void ferry_results_unwatch(struct ferry_results *results, struct ferry_watch *watch)
{
    pthread_mutex_lock(&results->lock);
    *(watch->previous != NULL ? &watch->previous->next : &results->watches) = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
    pthread_mutex_unlock(&results->lock);
}

/* ---- life ---- */

static struct ferry_series *series(struct ferry_metrics *metrics, enum ferry_metric_kind kind, const char *name,
                                   const char *help)
{
    return ferry_metric_series(ferry_metrics_family(metrics, kind, name, help, NULL), NULL);
}

struct ferry_results *ferry_results_new(struct ferry_metrics *metrics)
{
    struct ferry_results *results = calloc(1, sizeof *results);
    if (results == NULL)
        return NULL;
    pthread_mutex_init(&results->lock, NULL);
    results->known = series(metrics, FERRY_GAUGE, "ferry_results_known", "Runs of triggers that can be looked at here");
    results->read =
        series(metrics, FERRY_COUNTER, "ferry_results_read_total", "Results of triggers' calls that were read");
    results->invalid = series(metrics, FERRY_COUNTER, "ferry_results_invalid_total",
                              "Records of the results topic that are no results");
    return results;
}

void ferry_results_free(struct ferry_results *results)
{
    if (results == NULL)
        return;
    for (struct ferry_results_entry *entry = results->oldest, *newer; entry != NULL; entry = newer) {
        newer = entry->newer;
        ferry_run_drop(entry->run);
        free(entry);
    }
    pthread_mutex_destroy(&results->lock);
    free(results);
}
