/* The topic <internal>.audits: who polls which tenant, and how far it was polled (docs/decisions/audits.md).
 *
 * Bridges are members of one consumer group on that topic. A tenant belongs to the partition that its name hashes to,
 * and to the bridge that this partition is assigned to; its checkpoints are written there, keyed by the tenant. */
#ifndef FERRY_BRIDGE_AUDITS_LOG_H
#define FERRY_BRIDGE_AUDITS_LOG_H

#include "bridge/audits/checkpoint.h"
#include "core/config.h"

struct ferry_audits_log;

/* Joins nothing yet. `changed` is called, on the thread of ferry_audits_log_tend, when tenants may have come or gone.
 * The configuration is borrowed until ferry_audits_log_close. Fails with FERRY_CONFIG or FERRY_SYSTEM. */
struct ferry_audits_log_listener {
    void *context;
    void (*changed)(void *context);
};
FERRY_NODISCARD enum ferry_code ferry_audits_log_open(const struct ferry_config *config,
                                                      const struct ferry_audits_log_listener *listener,
                                                      struct ferry_audits_log **out, struct ferry_error *error);
/* Keeps the membership: to be called all the time, by one thread. Waits at most `timeout_ms`. */
void ferry_audits_log_tend(struct ferry_audits_log *log, int timeout_ms);
/* From now on nobody waits for Kafka any more: waiting writes end within `grace_ms`. Any thread. */
void ferry_audits_log_hurry(struct ferry_audits_log *log, int64_t grace_ms);
/* Leaves the group. The thread that tends. */
void ferry_audits_log_leave(struct ferry_audits_log *log);
/* When nobody uses it any more, with what is left to be written. */
void ferry_audits_log_close(struct ferry_audits_log *log);

/* Is the tenant this bridge's? The number of the term in office, or 0. A term that is not the one of before is a reason
 * to read the checkpoint again: another bridge may have been in between. Any thread. */
unsigned ferry_audits_log_term(struct ferry_audits_log *log, const char *tenant);
/* The same, and if it is, it is not handed to another bridge, unless this one is thrown out of the group or five
 * seconds have passed, before ferry_audits_log_rest. Around each page. The turn to hand back, or -1: it is another
 * bridge's. */
int ferry_audits_log_work(struct ferry_audits_log *log, const char *tenant);
void ferry_audits_log_rest(struct ferry_audits_log *log, int turn);

/* Reads the tenant's checkpoint from the whole topic, wherever an earlier number of partitions has put it. `*found`
 * false: there is none. The caller is done with `checkpoint` later. Waits. FERRY_KAFKA, or FERRY_RECORD_INVALID: there
 * is one that this program cannot read, which is no reason to begin anew. */
FERRY_NODISCARD enum ferry_code ferry_audits_log_read(struct ferry_audits_log *log, const char *tenant,
                                                      struct ferry_audits_checkpoint *checkpoint, bool *found,
                                                      struct ferry_error *error);
/* Writes it and waits for the delivery report, while the tenant is this bridge's: FERRY_KAFKA when that does not come
 * within half a minute, FERRY_STOPPING when it is waited for no longer. Then it may be there or not, or come later. */
FERRY_NODISCARD enum ferry_code ferry_audits_log_write(struct ferry_audits_log *log, const char *tenant,
                                                       const struct ferry_audits_checkpoint *checkpoint,
                                                       struct ferry_error *error);

#endif
