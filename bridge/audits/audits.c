/* A poller lives until the program ends, once its tenant was configured: one whose tenant was taken out of the
 * configuration holds nothing and sleeps, and goes on when the tenant comes back. So nobody waits for a thread during a
 * reload, and the outlets outlive the publisher's last reports. */
#include "bridge/audits/audits.h"

#include <stdlib.h>

#include "bridge/audits/poller.h"
#include "core/log.h"
#include "core/wait.h"

enum {
    TEND_MS = 500,
    GRACE_MS = 3000, /* for the checkpoints of the pages at hand, when the program ends */
};

struct ferry_audits {
    struct ferry_audits_world world;
    const struct ferry_config *config;
    pthread_t thread;
    struct ferry_audits_poller **pollers; /* the thread's, and ferry_audits_drain's: under the lock when it grows */
    size_t poller_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    bool again;
};

/* ---- pollers ---- */

static struct ferry_audits_poller *find_poller(const struct ferry_audits *audits, const char *tenant)
{
    for (size_t i = 0; i < audits->poller_count; i++)
        if (strcmp(ferry_audits_poller_tenant(audits->pollers[i]), tenant) == 0)
            return audits->pollers[i];
    return NULL;
}

static enum ferry_code add_poller(struct ferry_audits *audits, const char *url, struct ferry_error *error)
{
    char *tenant = ferry_audits_tenant_name(url);
    bool known = tenant != NULL && find_poller(audits, tenant) != NULL;
    free(tenant);
    if (known)
        return FERRY_OK;
    struct ferry_audits_poller *poller;
    enum ferry_code code = ferry_audits_poller_start(url, &audits->world, &poller, error);
    if (code != FERRY_OK)
        return code;
    pthread_mutex_lock(&audits->lock);
    struct ferry_audits_poller **more = realloc(audits->pollers, (audits->poller_count + 1) * sizeof *more);
    if (more != NULL) {
        audits->pollers = more;
        audits->pollers[audits->poller_count++] = poller;
    }
    pthread_mutex_unlock(&audits->lock);
    if (more != NULL)
        return FERRY_OK;
    ferry_audits_poller_ask_to_stop(poller); /* it has published nothing yet: nobody names its outlet */
    ferry_audits_poller_join(poller);
    ferry_audits_poller_free(poller);
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static void wake_all(void *context)
{
    struct ferry_audits *audits = context;
    for (size_t i = 0; i < audits->poller_count; i++)
        ferry_audits_poller_wake(audits->pollers[i]);
}

/* A poller for each configured tenant. */
static void take_up(struct ferry_audits *audits)
{
    struct ferry_snapshot *snapshot = ferry_snapshot_slot_get(audits->world.snapshots);
    const struct ferry_bridge_config *bridge = &snapshot->config->bridge;
    struct ferry_error error = {0};
    for (size_t i = 0; i < bridge->audits_count; i++)
        if (add_poller(audits, bridge->audits[i].tenant, &error) != FERRY_OK)
            ferry_log(FERRY_LOG_ERROR, "audits cannot be polled",
                      FERRY_FIELDS(ferry_text("tenant", bridge->audits[i].tenant), ferry_text("reason", error.text)));
    ferry_snapshot_drop(snapshot);
}

/* ---- the thread ---- */

/* Joins the group as soon as there is a tenant; a bridge without one is no member. */
static bool join_group(struct ferry_audits *audits)
{
    if (audits->world.log != NULL)
        return true;
    struct ferry_snapshot *snapshot = ferry_snapshot_slot_get(audits->world.snapshots);
    bool wanted = snapshot->config->bridge.audits_count > 0;
    ferry_snapshot_drop(snapshot);
    const struct ferry_audits_log_listener listener = {audits, wake_all};
    struct ferry_error error = {0};
    if (wanted && ferry_audits_log_open(audits->config, &listener, &audits->world.log, &error) != FERRY_OK)
        ferry_log(FERRY_LOG_ERROR, "audits cannot be polled", FERRY_FIELDS(ferry_text("reason", error.text)));
    return audits->world.log != NULL;
}

static bool take_again(struct ferry_audits *audits)
{
    pthread_mutex_lock(&audits->lock);
    bool again = audits->again;
    audits->again = false;
    pthread_mutex_unlock(&audits->lock);
    return again;
}

/* Waits for a first tenant; false when it is time to stop. */
static bool rest(struct ferry_audits *audits)
{
    pthread_mutex_lock(&audits->lock);
    while (!audits->stop && !audits->again)
        pthread_cond_wait(&audits->changed, &audits->lock);
    bool go_on = !audits->stop;
    pthread_mutex_unlock(&audits->lock);
    return go_on;
}

static bool is_stopping(struct ferry_audits *audits)
{
    pthread_mutex_lock(&audits->lock);
    bool stop = audits->stop;
    pthread_mutex_unlock(&audits->lock);
    return stop;
}

static void tend(struct ferry_audits *audits)
{
    while (!is_stopping(audits)) {
        if (take_again(audits)) {
            take_up(audits);
            wake_all(audits);
        }
        ferry_audits_log_tend(audits->world.log, TEND_MS);
        for (size_t i = 0; i < audits->poller_count; i++)
            ferry_audits_poller_show(audits->pollers[i]);
    }
}

static void *run(void *context)
{
    struct ferry_audits *audits = context;
    while (!join_group(audits)) {
        (void)take_again(audits);
        if (!rest(audits))
            return NULL;
    }
    take_up(audits);
    tend(audits);
    ferry_audits_log_leave(audits->world.log); /* waits for the pages at hand */
    return NULL;
}

/* ---- life ---- */

enum ferry_code ferry_audits_start(const struct ferry_config *config, struct ferry_snapshot_slot *snapshots,
                                   struct ferry_publisher *publisher, struct ferry_ops *ops, struct ferry_audits **out,
                                   struct ferry_error *error)
{
    struct ferry_audits *audits = calloc(1, sizeof *audits);
    if (audits == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    audits->config = config;
    audits->world = (struct ferry_audits_world){.snapshots = snapshots, .publisher = publisher, .ops = ops};
    pthread_mutex_init(&audits->lock, NULL);
    ferry_condition_init(&audits->changed);
    int failed = pthread_create(&audits->thread, NULL, run, audits);
    if (failed) {
        free(audits);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    *out = audits;
    return FERRY_OK;
}

void ferry_audits_again(struct ferry_audits *audits)
{
    pthread_mutex_lock(&audits->lock);
    audits->again = true;
    pthread_cond_signal(&audits->changed);
    pthread_mutex_unlock(&audits->lock);
}

void ferry_audits_drain(struct ferry_audits *audits)
{
    if (audits == NULL)
        return;
    pthread_mutex_lock(&audits->lock);
    audits->stop = true;
    pthread_cond_signal(&audits->changed);
    for (size_t i = 0; i < audits->poller_count; i++)
        ferry_audits_poller_ask_to_stop(audits->pollers[i]);
    if (audits->poller_count > 0)
        ferry_audits_log_hurry(audits->world.log, GRACE_MS);
    pthread_mutex_unlock(&audits->lock);
}

void ferry_audits_stop(struct ferry_audits *audits)
{
    if (audits == NULL)
        return;
    ferry_audits_drain(audits);
    pthread_join(audits->thread, NULL);
    for (size_t i = 0; i < audits->poller_count; i++) {
        ferry_audits_poller_ask_to_stop(audits->pollers[i]); /* also one that came a moment after the drain */
        ferry_audits_poller_join(audits->pollers[i]);
    }
    ferry_audits_log_close(audits->world.log);
    audits->world.log = NULL;
}

void ferry_audits_free(struct ferry_audits *audits)
{
    if (audits == NULL)
        return;
    for (size_t i = 0; i < audits->poller_count; i++)
        ferry_audits_poller_free(audits->pollers[i]);
    free(audits->pollers);
    pthread_cond_destroy(&audits->changed);
    pthread_mutex_destroy(&audits->lock);
    free(audits);
}
