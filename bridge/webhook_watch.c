/* One thread, one tenant after the other. What was found at a tenant is kept until the next look at it, to tell what is
 * new and because the gauges of all tenants are written anew together: webhooks come and go. */
#include "bridge/webhook_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/qlik/webhooks.h"
#include "core/wait.h"

enum { PAUSE_MS = 1000, FAILURES_MAX = 1000, ID_BYTES = 104, LABEL_BYTES = 160 };

/* A webhook of ours as it was at the last look. */
struct seen {
    char id[ID_BYTES];
    char label[LABEL_BYTES]; /* its name; with the id behind it where two have the same */
    bool enabled;
    size_t failed;
};

/* A tenant that was looked at. */
struct tenant {
    char *url;
    int64_t due_ms; /* monotonic */
    bool wanted;    /* the configuration names it still */
    bool away;      /* the last look failed */
    bool looked;
    struct seen *webhooks;
    size_t count;
    struct tenant *next;
};

/* What the configuration says of a tenant. */
struct target {
    const char *url;
    const struct ferry_auth *auth;
    int64_t interval_ms;
};

enum family { ENABLED, FAILED, ERRORS, LOOKED, FAMILIES };

static const struct ferry_metric_row families[] = {
    [ENABLED] = {FERRY_GAUGE,
                 "ferry_webhook_enabled",
                 "1 if Qlik sends by this webhook, 0 if it is disabled",
                 {"tenant", "webhook"}},
    [FAILED] = {FERRY_GAUGE,
                "ferry_webhook_failed_deliveries",
                "Events of the last week that no delivery of this webhook brought",
                {"tenant", "webhook"}},
    [ERRORS] = {FERRY_COUNTER,
                "ferry_webhook_look_errors_total",
                "Looks at a tenant's webhooks that failed",
                {"tenant"}},
    [LOOKED] = {FERRY_GAUGE,
                "ferry_webhook_last_look_timestamp_seconds",
                "When the webhooks of a tenant were looked at last",
                {"tenant"}},
};

struct ferry_webhook_watch {
    struct ferry_snapshot_slot *snapshots;
    struct ferry_metric *families[FAMILIES];
    struct tenant *tenants; /* the thread's own */
    pthread_t thread;
    pthread_mutex_t lock; /* of these two */
    pthread_cond_t changed;
    bool stop;
    struct ferry_tenant *session; /* of the look that is under way */
};

/* ---- what is known ---- */

static void forget_webhooks(struct tenant *tenant)
{
    free(tenant->webhooks);
    tenant->webhooks = NULL;
    tenant->count = 0;
}

static void free_tenant(struct tenant *tenant)
{
    forget_webhooks(tenant);
    free(tenant->url);
    free(tenant);
}

/* NULL when memory ran out. */
static struct tenant *find_or_add(struct ferry_webhook_watch *watch, const char *url)
{
    for (struct tenant *tenant = watch->tenants; tenant != NULL; tenant = tenant->next)
        if (strcmp(tenant->url, url) == 0)
            return tenant;
    struct tenant *tenant = calloc(1, sizeof *tenant);
    if (tenant == NULL || (tenant->url = strdup(url)) == NULL) {
        free(tenant);
        return NULL;
    }
    tenant->next = watch->tenants;
    watch->tenants = tenant;
    return tenant;
}

static struct seen *find_seen(struct seen *webhooks, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(webhooks[i].id, id) == 0)
            return &webhooks[i];
    return NULL;
}

/* ---- metrics ---- */

static struct ferry_series *series(struct ferry_webhook_watch *watch, enum family family, const char *tenant,
                                   const char *webhook)
{
    const struct ferry_slice values[] = {ferry_slice_from(tenant), ferry_slice_from(webhook)};
    return ferry_metric_series(watch->families[family], values);
}

static void show_all(struct ferry_webhook_watch *watch)
{
    ferry_metric_clear(watch->families[ENABLED]);
    ferry_metric_clear(watch->families[FAILED]);
    for (const struct tenant *tenant = watch->tenants; tenant != NULL; tenant = tenant->next)
        for (size_t i = 0; i < tenant->count; i++) {
            const struct seen *seen = &tenant->webhooks[i];
            ferry_series_set(series(watch, ENABLED, tenant->url, seen->label), seen->enabled);
            ferry_series_set(series(watch, FAILED, tenant->url, seen->label), (double)seen->failed);
        }
}

/* ---- the log: what is new ---- */

static void log_state(const struct tenant *tenant, const struct seen *seen, const char *reason)
{
    if (seen->enabled)
        ferry_log(FERRY_LOG_INFO, "webhook is enabled",
                  FERRY_FIELDS(ferry_text("tenant", tenant->url), ferry_text("webhook", seen->label)));
    else
        ferry_log(FERRY_LOG_ERROR, "webhook is disabled: Qlik sends nothing",
                  FERRY_FIELDS(ferry_text("tenant", tenant->url), ferry_text("webhook", seen->label),
                               ferry_text("reason", reason),
                               ferry_text("cure", "mend what the reason names, then `ferry setup qlik --resend-failed` "
                                                  "enables it; `ferry audits --compare` tells what is missing")));
}

static void log_failures(const struct tenant *tenant, const struct seen *seen)
{
    ferry_log(FERRY_LOG_WARN, "events of failed deliveries are missing",
              FERRY_FIELDS(ferry_text("tenant", tenant->url), ferry_text("webhook", seen->label),
                           ferry_number("events", (int64_t)seen->failed),
                           ferry_text("cure", "`ferry setup qlik --resend-failed` asks for them again")));
}

static void log_news(const struct tenant *tenant, const struct seen *before, const struct seen *now, const char *reason)
{
    if (before == NULL ? !now->enabled : before->enabled != now->enabled)
        log_state(tenant, now, reason);
    if (now->failed > 0 && (before == NULL || before->failed == 0))
        log_failures(tenant, now);
}

/* ---- a look ---- */

/* Fills `seen` but for the failures. */
static void note(struct seen *seen, const struct ferry_qlik_webhook *webhook, const struct seen *others, size_t count)
{
    *seen = (struct seen){.enabled = webhook->enabled};
    snprintf(seen->id, sizeof seen->id, "%s", webhook->id);
    snprintf(seen->label, sizeof seen->label, "%s", webhook->name);
    for (size_t i = 0; i < count; i++)
        if (strcmp(others[i].label, seen->label) == 0)
            snprintf(seen->label, sizeof seen->label, "%.100s (%.50s)", webhook->name, webhook->id);
}

static enum ferry_code look_at_webhook(struct ferry_webhook_watch *watch, struct tenant *found,
                                       const struct ferry_qlik_webhook *webhook, struct ferry_arena *arena,
                                       struct ferry_error *error)
{
    struct ferry_qlik_failures failures = {0};
    struct seen *seen = &found->webhooks[found->count];
    note(seen, webhook, found->webhooks, found->count++);
    enum ferry_code code =
        ferry_qlik_webhooks_failures(watch->session, webhook->id, FAILURES_MAX, arena, &failures, error);
    seen->failed = failures.count;
    return code;
}

/* Into `found`, whose URL is borrowed; the caller forgets its webhooks, also on failure. */
static enum ferry_code look(struct ferry_webhook_watch *watch, const char *public_url, const struct tenant *tenant,
                            struct tenant *found, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_qlik_webhooks all = {0};
    enum ferry_code code = ferry_qlik_webhooks_list(watch->session, &arena, &all, error);
    found->webhooks = calloc(all.count + 1, sizeof *found->webhooks);
    if (found->webhooks == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; code == FERRY_OK && i < all.count; i++)
        if (ferry_qlik_webhook_is_under(all.items[i].url, public_url))
            code = look_at_webhook(watch, found, &all.items[i], &arena, error);
    size_t seen = 0;
    for (size_t i = 0; code == FERRY_OK && i < all.count; i++)
        if (ferry_qlik_webhook_is_under(all.items[i].url, public_url)) {
            const struct seen *now = &found->webhooks[seen++];
            log_news(tenant, find_seen(tenant->webhooks, tenant->count, now->id), now, all.items[i].disabled_reason);
        }
    return code;
}

static void take_result(struct ferry_webhook_watch *watch, struct tenant *tenant, struct tenant *found)
{
    if (found->count == 0 && (!tenant->looked || tenant->count > 0))
        ferry_log(FERRY_LOG_WARN, "no webhook of this tenant sends to this bridge",
                  FERRY_FIELDS(ferry_text("tenant", tenant->url),
                               ferry_text("cure", "`ferry setup qlik` makes one; is bridge.public_url right?")));
    if (tenant->away)
        ferry_log(FERRY_LOG_INFO, "webhooks can be looked at again", FERRY_FIELDS(ferry_text("tenant", tenant->url)));
    forget_webhooks(tenant);
    tenant->webhooks = found->webhooks;
    tenant->count = found->count;
    tenant->looked = true;
    tenant->away = false;
    ferry_series_set(series(watch, LOOKED, tenant->url, NULL), (double)ferry_clock_wall_ms() / 1000);
    show_all(watch);
}

static void take_failure(struct ferry_webhook_watch *watch, struct tenant *tenant, struct tenant *found,
                         const struct ferry_error *error)
{
    forget_webhooks(found);
    if (error->code == FERRY_STOPPING)
        return;
    ferry_series_add(series(watch, ERRORS, tenant->url, NULL), 1);
    if (!tenant->away)
        ferry_log(FERRY_LOG_WARN, "webhooks cannot be looked at",
                  FERRY_FIELDS(ferry_text("tenant", tenant->url), ferry_text("reason", error->text)));
    tenant->away = true;
}

/* False: there is to be no more of it. */
static bool begin_session(struct ferry_webhook_watch *watch, struct ferry_tenant *session)
{
    pthread_mutex_lock(&watch->lock);
    bool go_on = !watch->stop;
    watch->session = session;
    pthread_mutex_unlock(&watch->lock);
    return go_on;
}

static void end_session(struct ferry_webhook_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    struct ferry_tenant *session = watch->session;
    watch->session = NULL;
    pthread_mutex_unlock(&watch->lock);
    ferry_tenant_close(session);
}

static void look_at(struct ferry_webhook_watch *watch, const struct ferry_config *config, const struct target *target,
                    struct tenant *tenant)
{
    struct ferry_error error = {.text = ""};
    struct ferry_tenant *session = NULL;
    struct tenant found = {.url = tenant->url};
    enum ferry_code code = ferry_tenant_open(target->url, target->auth, config->ca, &session, &error);
    if (code == FERRY_OK && begin_session(watch, session))
        code = look(watch, config->bridge.public_url, tenant, &found, &error);
    else if (code == FERRY_OK)
        code = ferry_fail(&error, FERRY_STOPPING, "stopping");
    end_session(watch);
    if (code == FERRY_OK)
        take_result(watch, tenant, &found);
    else
        take_failure(watch, tenant, &found, &error);
}

/* ---- the rounds ---- */

/* The tenants of `watch`, then those of `audits`: of a tenant that is in both the first counts. False behind the
 * last. */
static bool target_at(const struct ferry_bridge_config *bridge, size_t index, struct target *target)
{
    if (index < bridge->watch_count) {
        const struct ferry_watch_config *watch = &bridge->watch[index];
        *target = (struct target){watch->tenant, &watch->auth, watch->interval_ms};
        return true;
    }
    index -= bridge->watch_count;
    if (index >= bridge->audits_count)
        return false;
    *target = (struct target){bridge->audits[index].tenant, &bridge->audits[index].auth, FERRY_WATCH_INTERVAL_MS};
    return true;
}

static void drop_unwanted(struct ferry_webhook_watch *watch)
{
    bool dropped = false;
    for (struct tenant **link = &watch->tenants; *link != NULL;) {
        struct tenant *tenant = *link;
        if (tenant->wanted) {
            link = &tenant->next;
            continue;
        }
        *link = tenant->next;
        free_tenant(tenant);
        dropped = true;
    }
    if (dropped)
        show_all(watch);
}

/* Looks at every tenant whose time has come. */
static void make_round(struct ferry_webhook_watch *watch, const struct ferry_config *config)
{
    struct target target;
    for (struct tenant *tenant = watch->tenants; tenant != NULL; tenant = tenant->next)
        tenant->wanted = false;
    for (size_t i = 0; config->bridge.public_url != NULL && target_at(&config->bridge, i, &target); i++) {
        struct tenant *tenant = find_or_add(watch, target.url);
        if (tenant == NULL || tenant->wanted)
            continue;
        tenant->wanted = true;
        int64_t now_ms = ferry_clock_mono_ms();
        if (now_ms < tenant->due_ms)
            continue;
        tenant->due_ms = now_ms + target.interval_ms;
        look_at(watch, config, &target, tenant);
    }
    drop_unwanted(watch);
}

/* False: it is time to end. */
static bool rest(struct ferry_webhook_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    struct timespec until = ferry_deadline_in(PAUSE_MS);
    while (!watch->stop && pthread_cond_timedwait(&watch->changed, &watch->lock, &until) == 0)
        ;
    bool go_on = !watch->stop;
    pthread_mutex_unlock(&watch->lock);
    return go_on;
}

static void *run(void *context)
{
    struct ferry_webhook_watch *watch = context;
    do {
        struct ferry_snapshot *snapshot = ferry_snapshot_slot_get(watch->snapshots);
        make_round(watch, snapshot->config);
        ferry_snapshot_drop(snapshot);
    } while (rest(watch));
    return NULL;
}

/* ---- life ---- */

enum ferry_code ferry_webhook_watch_start(struct ferry_snapshot_slot *snapshots, struct ferry_metrics *metrics,
                                          struct ferry_webhook_watch **out, struct ferry_error *error)
{
    struct ferry_webhook_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    watch->snapshots = snapshots;
    ferry_metrics_families(metrics, families, FAMILIES, watch->families);
    pthread_mutex_init(&watch->lock, NULL);
    ferry_condition_init(&watch->changed);
    if (pthread_create(&watch->thread, NULL, run, watch) != 0) {
        pthread_cond_destroy(&watch->changed);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
        return ferry_fail(error, FERRY_SYSTEM, "no thread can be started");
    }
    *out = watch;
    return FERRY_OK;
}

void ferry_webhook_watch_stop(struct ferry_webhook_watch *watch)
{
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    if (watch->session != NULL)
        ferry_tenant_abort(watch->session);
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    while (watch->tenants != NULL) {
        struct tenant *tenant = watch->tenants;
        watch->tenants = tenant->next;
        free_tenant(tenant);
    }
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
