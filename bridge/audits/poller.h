/* The poller of one tenant: a thread that sweeps its audits every `interval` while the tenant is this bridge's, and
 * waits otherwise. A tenant that fails, or asks for rest, is left alone for a while; the others do not notice. */
#ifndef FERRY_BRIDGE_AUDITS_POLLER_H
#define FERRY_BRIDGE_AUDITS_POLLER_H

#include "bridge/audits/log.h"
#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"

struct ferry_audits_poller;

/* What all pollers share; borrowed until the last one is freed. */
struct ferry_audits_world {
    struct ferry_snapshot_slot *snapshots;
    struct ferry_publisher *publisher;
    struct ferry_ops *ops;
    struct ferry_audits_log *log;
};

/* The tenant's name in checkpoints, logs and metrics: its URL without a slash at the end. The caller frees it; NULL
 * when memory ran out. */
char *ferry_audits_tenant_name(const char *url);

/* Starts the thread. Fails with FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_audits_poller_start(const char *tenant, const struct ferry_audits_world *world,
                                                          struct ferry_audits_poller **out, struct ferry_error *error);
const char *ferry_audits_poller_tenant(const struct ferry_audits_poller *poller);
/* The configuration, or who owns what, is another: it looks, and polls at once if it may. Any thread. */
void ferry_audits_poller_wake(struct ferry_audits_poller *poller);
/* Brings its gauges up to date. One thread. */
void ferry_audits_poller_show(struct ferry_audits_poller *poller);
/* It is to end, and what it asks the tenant is broken off; does not wait. Any thread. */
void ferry_audits_poller_ask_to_stop(struct ferry_audits_poller *poller);
/* Waits for its end. */
void ferry_audits_poller_join(struct ferry_audits_poller *poller);
/* After the publisher is closed, whose last reports still name its outlet. */
void ferry_audits_poller_free(struct ferry_audits_poller *poller);

#endif
