/* The Audits API of all configured tenants, polled in the background: docs/audits.md, docs/decisions/audits.md.
 *
 *   audits      here: one thread that keeps the membership and tells the pollers
 *   poller      a thread a tenant: when to poll, what to do about failures
 *   sweep       what a poll does: pages, records, publishing, clocks
 *   checkpoint  how far it was done, as a record
 *   log         the topic of the checkpoints, and which tenant is whose */
#ifndef FERRY_BRIDGE_AUDITS_AUDITS_H
#define FERRY_BRIDGE_AUDITS_AUDITS_H

#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"

struct ferry_audits;

/* Starts nothing but itself while no tenant is configured. `config` is that of the start, whose Kafka is used;
 * everything is borrowed until ferry_audits_free. Fails with FERRY_CONFIG, FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_audits_start(const struct ferry_config *config,
                                                   struct ferry_snapshot_slot *snapshots,
                                                   struct ferry_publisher *publisher, struct ferry_ops *ops,
                                                   struct ferry_audits **out, struct ferry_error *error);
/* The configuration is another one: new tenants are polled, others no more, all with their present secrets. */
void ferry_audits_again(struct ferry_audits *audits);
/* Asks all to come to an end: pages on their way are still published. Does not wait. */
void ferry_audits_drain(struct ferry_audits *audits);
/* Waits for that; a few seconds. NULL is allowed, here and below. */
void ferry_audits_stop(struct ferry_audits *audits);
/* After the publisher is closed. */
void ferry_audits_free(struct ferry_audits *audits);

#endif
