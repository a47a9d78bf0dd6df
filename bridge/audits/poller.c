#include "bridge/audits/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridge/audits/sweep.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/wait.h"

enum {
    FIRST_PAUSE_MS = 5000,          /* after a failure; twice as long after each further one … */
    MAX_PAUSE_MS = 600000,          /* … up to this, or the interval if that is longer */
    KAFKA_PAUSE_MS = 2000,          /* it is not the tenant's fault */
    PATIENCE_MS = 24 * 3600 * 1000, /* with Kafka, where there is no spool */
    NOT_OURS_PAUSE_MS = 60000,      /* somebody wakes us before */
};

enum family {
    FAMILY_POLLING,
    FAMILY_LAST_POLL,
    FAMILY_LAG,
    FAMILY_PAGES,
    FAMILY_RECORDS,
    FAMILY_ERRORS,
    FAMILY_THROTTLED,
    FAMILY_COUNT
};

static const struct ferry_metric_row families[] = {
    [FAMILY_POLLING] = {FERRY_GAUGE,
                        "ferry_audits_polling",
                        "1 if this bridge polls the tenant's audits, 0 if another one does",
                        {"tenant"}},
    [FAMILY_LAST_POLL] = {FERRY_GAUGE,
                          "ferry_audits_last_poll_timestamp_seconds",
                          "When the last complete poll of the tenant ended",
                          {"tenant"}},
    [FAMILY_LAG] = {FERRY_GAUGE,
                    "ferry_audits_lag_seconds",
                    "How far what was asked for is behind the tenant's clock",
                    {"tenant"}},
    [FAMILY_PAGES] = {FERRY_COUNTER,
                      "ferry_audits_pages_total",
                      "Pages of audit records that the tenant gave",
                      {"tenant"}},
    [FAMILY_RECORDS] = {FERRY_COUNTER,
                        "ferry_audits_records_total",
                        "Audit records by what became of them",
                        {"tenant", "outcome"}},
    [FAMILY_ERRORS] = {FERRY_COUNTER, "ferry_audits_errors_total", "Polls that failed", {"tenant", "reason"}},
    [FAMILY_THROTTLED] = {FERRY_COUNTER,
                          "ferry_audits_throttled_total",
                          "Polls that the tenant put off with 429",
                          {"tenant"}},
};

struct ferry_audits_poller {
    char *tenant;
    struct ferry_audits_world world;
    struct ferry_metric *families[FAMILY_COUNT];
    pthread_t thread;
    struct ferry_outlet outlet;
    struct ferry_audits_sweep sweep; /* the thread's */
    int failures;                    /* in a row; the thread's */
    enum ferry_code complaint;       /* what was logged last; the thread's */
    int complaint_status;
    bool shown; /* whoever shows: its gauges are there */

    pthread_mutex_t lock; /* of the next four */
    pthread_cond_t changed;
    bool stop;
    bool woken;
    struct ferry_tenant *session; /* closed by the thread alone */

    /* For the gauges. */
    _Atomic int64_t skew_ms;
    _Atomic int64_t asked_ms;     /* 0: nothing yet */
    _Atomic int64_t last_poll_ms; /* 0: none yet */
};

/* ---- metrics ---- */

static struct ferry_series *series(struct ferry_audits_poller *poller, enum family family, const char *second)
{
    const struct ferry_slice values[] = {ferry_slice_from(poller->tenant), ferry_slice_from(second)};
    return ferry_metric_series(poller->families[family], values);
}

static void open_metrics(struct ferry_audits_poller *poller)
{
    static const char *const outcomes[] = {
#define OUTCOME_NAME(code, name) [FERRY_AUDITS_##code] = (name),
        FERRY_AUDITS_OUTCOMES(OUTCOME_NAME)
#undef OUTCOME_NAME
    };
    ferry_metrics_families(ferry_ops_metrics(poller->world.ops), families, FAMILY_COUNT, poller->families);
    poller->sweep.pages = series(poller, FAMILY_PAGES, NULL);
    for (size_t i = 0; i < FERRY_AUDITS_OUTCOME_COUNT; i++)
        poller->sweep.records[i] = series(poller, FAMILY_RECORDS, outcomes[i]);
    ferry_series_add(series(poller, FAMILY_THROTTLED, NULL), 0);
}

/* Only who polls tells how far it is. What is cleared with a tenant that went, the others of this bridge show again. */
void ferry_audits_poller_show(struct ferry_audits_poller *poller)
{
    bool owns = ferry_audits_log_term(poller->world.log, poller->tenant) != 0;
    int64_t asked_ms = atomic_load(&poller->asked_ms), last_ms = atomic_load(&poller->last_poll_ms);
    ferry_series_set(series(poller, FAMILY_POLLING, NULL), owns ? 1 : 0);
    if (owns && asked_ms > 0) {
        int64_t lag_ms = ferry_clock_wall_ms() + atomic_load(&poller->skew_ms) - asked_ms;
        ferry_series_set(series(poller, FAMILY_LAG, NULL), lag_ms > 0 ? (double)lag_ms / 1000 : 0);
        ferry_series_set(series(poller, FAMILY_LAST_POLL, NULL), (double)last_ms / 1000);
    } else if (poller->shown) {
        ferry_metric_clear(poller->families[FAMILY_LAG]);
        ferry_metric_clear(poller->families[FAMILY_LAST_POLL]);
    }
    poller->shown = owns && asked_ms > 0;
}

/* ---- the session ---- */

static void close_session(struct ferry_audits_poller *poller)
{
    pthread_mutex_lock(&poller->lock);
    struct ferry_tenant *session = poller->session;
    poller->session = NULL;
    pthread_mutex_unlock(&poller->lock);
    ferry_tenant_close(session);
    poller->sweep.session = NULL;
}

static void let_go(struct ferry_audits_poller *poller)
{
    close_session(poller);
    ferry_audits_sweep_forget(&poller->sweep);
    ferry_snapshot_drop(poller->sweep.snapshot);
    poller->sweep.snapshot = NULL;
    poller->sweep.config = NULL;
    poller->failures = 0;
    atomic_store(&poller->asked_ms, 0);
}

static const struct ferry_audits_config *find_config(const struct ferry_snapshot *snapshot, const char *tenant)
{
    const struct ferry_bridge_config *bridge = &snapshot->config->bridge;
    size_t len = strlen(tenant);
    for (size_t i = 0; i < bridge->audits_count; i++) {
        const char *url = bridge->audits[i].tenant;
        if (strncmp(url, tenant, len) == 0 && (url[len] == '\0' || strcmp(url + len, "/") == 0))
            return &bridge->audits[i];
    }
    return NULL;
}

static enum ferry_code open_session(struct ferry_audits_poller *poller, struct ferry_error *error)
{
    struct ferry_tenant *session;
    enum ferry_code code = ferry_tenant_open(poller->tenant, &poller->sweep.config->auth,
                                             poller->sweep.snapshot->config->ca, &session, error);
    if (code != FERRY_OK)
        return code;
    pthread_mutex_lock(&poller->lock);
    bool stop = poller->stop;
    if (!stop)
        poller->session = session;
    pthread_mutex_unlock(&poller->lock);
    if (stop) {
        ferry_tenant_close(session);
        return ferry_fail(error, FERRY_STOPPING, "the program is stopping");
    }
    poller->sweep.session = session;
    return FERRY_OK;
}

/* Takes up the current configuration, with a new session if it is another one. FERRY_STOPPING: the tenant is not
 * configured any more. */
static enum ferry_code take_up(struct ferry_audits_poller *poller, struct ferry_error *error)
{
    struct ferry_snapshot *current = ferry_snapshot_slot_get(poller->world.snapshots);
    if (current == poller->sweep.snapshot && poller->sweep.session != NULL) {
        ferry_snapshot_drop(current);
        return FERRY_OK;
    }
    close_session(poller);
    ferry_snapshot_drop(poller->sweep.snapshot);
    poller->sweep.snapshot = current;
    poller->sweep.config = find_config(current, poller->tenant);
    poller->failures = 0; /* perhaps it was mended */
    if (poller->sweep.config == NULL)
        return ferry_fail(error, FERRY_STOPPING, "the tenant is not configured any more");
    return open_session(poller, error);
}

/* ---- turns ---- */

static int64_t longest_pause_ms(const struct ferry_audits_poller *poller)
{
    int64_t interval_ms = poller->sweep.config->interval_ms;
    return interval_ms > MAX_PAUSE_MS ? interval_ms : MAX_PAUSE_MS;
}

/* How long a tenant is left alone that failed. */
static int64_t pause_after(struct ferry_audits_poller *poller, enum ferry_code code)
{
    if (code == FERRY_KAFKA || code == FERRY_KAFKA_FATAL || code == FERRY_UNAVAILABLE)
        return KAFKA_PAUSE_MS;
    if (poller->sweep.last_status == 429)
        return poller->sweep.retry_after_ms;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (int i = 0; i < poller->failures && pause_ms < longest_pause_ms(poller); i++)
        pause_ms *= 2;
    poller->failures++;
    return pause_ms < longest_pause_ms(poller) ? pause_ms : longest_pause_ms(poller);
}

/* Once for each kind of failure, and once when it is over. */
static void complain(struct ferry_audits_poller *poller, enum ferry_code code, const struct ferry_error *error,
                     int64_t pause_ms)
{
    bool same = poller->complaint == code && poller->complaint_status == poller->sweep.last_status;
    ferry_log(same ? FERRY_LOG_DEBUG : FERRY_LOG_WARN, "audits cannot be polled",
              FERRY_FIELDS(ferry_text("tenant", poller->tenant), ferry_text("reason", error->text),
                           ferry_number("again_in_seconds", (pause_ms + 999) / 1000)));
    poller->complaint = code;
    poller->complaint_status = poller->sweep.last_status;
}

static void be_content(struct ferry_audits_poller *poller)
{
    if (poller->complaint != FERRY_OK)
        ferry_log(FERRY_LOG_INFO, "audits are polled again", FERRY_FIELDS(ferry_text("tenant", poller->tenant)));
    poller->complaint = FERRY_OK;
    poller->failures = 0;
    atomic_store(&poller->asked_ms, poller->sweep.asked_ms);
    atomic_store(&poller->last_poll_ms, ferry_clock_wall_ms());
}

static int64_t fail(struct ferry_audits_poller *poller, enum ferry_code code, const struct ferry_error *error)
{
    if (code == FERRY_STOPPING)
        return 0;
    int64_t pause_ms = pause_after(poller, code);
    if (poller->sweep.last_status == 429)
        ferry_series_add(series(poller, FAMILY_THROTTLED, NULL), 1);
    else
        ferry_series_add(series(poller, FAMILY_ERRORS, ferry_code_name(code)), 1);
    complain(poller, code, error, pause_ms);
    return pause_ms;
}

/* Polls, if the tenant is ours; how long to wait then. */
static int64_t take_turn(struct ferry_audits_poller *poller)
{
    struct ferry_error error = {0};
    int64_t began_ms = ferry_clock_mono_ms();
    unsigned term = ferry_audits_log_term(poller->world.log, poller->tenant);
    enum ferry_code code = term != 0 ? take_up(poller, &error) : FERRY_STOPPING;
    if (code == FERRY_STOPPING) {
        let_go(poller);
        return NOT_OURS_PAUSE_MS;
    }
    if (poller->sweep.term != term)
        ferry_audits_sweep_forget(&poller->sweep);
    poller->sweep.term = term;
    if (code == FERRY_OK)
        code = ferry_audits_sweep(&poller->sweep, &error);
    atomic_store(&poller->skew_ms, poller->sweep.skew_ms);
    if (code != FERRY_OK)
        return fail(poller, code, &error);
    be_content(poller);
    int64_t left_ms = began_ms + poller->sweep.config->interval_ms - ferry_clock_mono_ms();
    return left_ms > 0 ? left_ms : 0;
}

/* False when it is time to stop. */
static bool pause_for(struct ferry_audits_poller *poller, int64_t pause_ms)
{
    struct timespec until = ferry_deadline_in(pause_ms);
    pthread_mutex_lock(&poller->lock);
    for (int late = 0; !poller->stop && !poller->woken && late == 0;)
        late = pthread_cond_timedwait(&poller->changed, &poller->lock, &until);
    poller->woken = false;
    bool go_on = !poller->stop;
    pthread_mutex_unlock(&poller->lock);
    return go_on;
}

static void *run(void *context)
{
    struct ferry_audits_poller *poller = context;
    while (pause_for(poller, take_turn(poller)))
        ;
    let_go(poller);
    return NULL;
}

/* ---- life ---- */

char *ferry_audits_tenant_name(const char *url)
{
    size_t len = strlen(url);
    return strndup(url, len > 0 && url[len - 1] == '/' ? len - 1 : len);
}

static enum ferry_code open_poller(struct ferry_audits_poller *poller, const char *tenant, struct ferry_error *error)
{
    poller->tenant = ferry_audits_tenant_name(tenant);
    if (poller->tenant == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (poller->outlet.wake_fd < 0)
        return ferry_fail(error, FERRY_SYSTEM, "cannot open an eventfd: %s", strerror(errno));
    poller->outlet.patience_ms = PATIENCE_MS;
    poller->sweep.tenant = poller->tenant;
    poller->sweep.log = poller->world.log;
    poller->sweep.publisher = poller->world.publisher;
    poller->sweep.outlet = &poller->outlet;
    poller->sweep.ops = poller->world.ops;
    open_metrics(poller);
    int failed = pthread_create(&poller->thread, NULL, run, poller);
    return failed == 0 ? FERRY_OK : ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
}

enum ferry_code ferry_audits_poller_start(const char *tenant, const struct ferry_audits_world *world,
                                          struct ferry_audits_poller **out, struct ferry_error *error)
{
    struct ferry_audits_poller *poller = calloc(1, sizeof *poller);
    if (poller == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    poller->world = *world;
    pthread_mutex_init(&poller->lock, NULL);
    ferry_condition_init(&poller->changed);
    ferry_outlet_init(&poller->outlet, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    enum ferry_code code = open_poller(poller, tenant, error);
    if (code != FERRY_OK) {
        ferry_audits_poller_free(poller);
        return code;
    }
    *out = poller;
    return FERRY_OK;
}

const char *ferry_audits_poller_tenant(const struct ferry_audits_poller *poller)
{
    return poller->tenant;
}

void ferry_audits_poller_wake(struct ferry_audits_poller *poller)
{
    pthread_mutex_lock(&poller->lock);
    poller->woken = true;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
}

void ferry_audits_poller_ask_to_stop(struct ferry_audits_poller *poller)
{
    pthread_mutex_lock(&poller->lock);
    poller->stop = true;
    atomic_store(&poller->sweep.stopping, true);
    const uint64_t one = 1;
    (void)!write(poller->outlet.wake_fd, &one, sizeof one);
    if (poller->session != NULL)
        ferry_tenant_abort(poller->session); /* under the lock, so that the thread does not close it meanwhile */
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->lock);
}

void ferry_audits_poller_join(struct ferry_audits_poller *poller)
{
    pthread_join(poller->thread, NULL);
}

void ferry_audits_poller_free(struct ferry_audits_poller *poller)
{
    if (poller == NULL)
        return;
    if (poller->outlet.wake_fd >= 0)
        close(poller->outlet.wake_fd);
    ferry_outlet_done(&poller->outlet);
    pthread_cond_destroy(&poller->changed);
    pthread_mutex_destroy(&poller->lock);
    free(poller->tenant);
    free(poller);
}
