/* Looks every few minutes whether the webhooks that send to this bridge are still enabled at their tenants, and which
 * of their events are missing because deliveries failed. Qlik disables a webhook that keeps failing, and tells nobody.
 *
 * The tenants are those of `bridge.watch` and `bridge.audits`; the webhooks those whose URL lies under
 * `bridge.public_url`. What is found is logged when it changes, and shown:
 *   ferry_webhook_enabled{tenant,webhook}                 1, or 0
 *   ferry_webhook_failed_deliveries{tenant,webhook}       events of the last week that no delivery brought
 *   ferry_webhook_look_errors_total{tenant}               looks that failed
 *   ferry_webhook_last_look_timestamp_seconds{tenant}     when the last good one was */
#ifndef FERRY_BRIDGE_WEBHOOK_WATCH_H
#define FERRY_BRIDGE_WEBHOOK_WATCH_H

#include "bridge/snapshot.h"
#include "core/metrics.h"

struct ferry_webhook_watch;

/* Starts the thread. It takes each configuration from `snapshots`, so that a reload needs no word. Everything is
 * borrowed until ferry_webhook_watch_stop. Fails with FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_webhook_watch_start(struct ferry_snapshot_slot *snapshots,
                                                          struct ferry_metrics *metrics,
                                                          struct ferry_webhook_watch **out, struct ferry_error *error);
/* Ends a look that is under way. NULL is allowed. */
void ferry_webhook_watch_stop(struct ferry_webhook_watch *watch);

#endif
