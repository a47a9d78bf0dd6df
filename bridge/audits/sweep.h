/* One tenant's audits, asked for and published: the part that a poller's thread does between two pauses.
 *
 * A sweep goes from one overlap before the checkpoint to the tenant's present moment: by pages, or, for what is older
 * than the 90 days that pages reach back, day by day through the archive. The records of a page that were not seen
 * before are published like those of a webhook; when they are safe, the checkpoint is written; then comes the next
 * page. */
#ifndef FERRY_BRIDGE_AUDITS_SWEEP_H
#define FERRY_BRIDGE_AUDITS_SWEEP_H

#include "bridge/audits/checkpoint.h"
#include "bridge/audits/log.h"
#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"
#include "core/qlik/audits.h"

/* What became of a record: label `outcome` of ferry_audits_records_total. */
#define FERRY_AUDITS_OUTCOMES(X)                                                \
    X(NEW, "new")                 /* published */                               \
    X(KNOWN, "known")             /* seen before */                             \
    X(FILTERED, "filtered")       /* not among `events` */                      \
    X(QUARANTINED, "quarantined") /* no event: kept in <internal>.quarantine */ \
    X(TOO_LARGE, "too-large")     /* Kafka can never take it */

enum ferry_audits_outcome {
#define FERRY_AUDITS_OUTCOME_ENUM(code, name) FERRY_AUDITS_##code,
    FERRY_AUDITS_OUTCOMES(FERRY_AUDITS_OUTCOME_ENUM)
#undef FERRY_AUDITS_OUTCOME_ENUM
        FERRY_AUDITS_OUTCOME_COUNT
};

struct ferry_audits_sweep {
    /* the poller's; borrowed for each call */
    const char *tenant; /* as the checkpoint is keyed */
    const struct ferry_audits_config *config;
    struct ferry_snapshot *snapshot;
    struct ferry_tenant *session;
    struct ferry_audits_log *log;
    struct ferry_publisher *publisher;
    struct ferry_outlet *outlet; /* nobody else's */
    struct ferry_ops *ops;
    atomic_bool stopping; /* set by any thread, which then writes to the outlet's wake_fd: nothing is waited for */
    struct ferry_series *pages;
    struct ferry_series *records[FERRY_AUDITS_OUTCOME_COUNT];

    /* the sweep's own; {0} at first */
    struct ferry_audits_checkpoint checkpoint;
    unsigned term;      /* in which it was begun */
    bool begun;         /* `checkpoint` is the tenant's, and this bridge's */
    bool unwritten;     /* … and the topic does not have its latest */
    int64_t skew_ms;    /* the tenant's clock minus ours */
    int64_t asked_ms;   /* up to which moment, by the tenant's clock, the last complete sweep has asked */
    int64_t to_ms;      /* the end of the sweep at hand */
    int64_t highest_ms; /* the latest time that it has come across … */
    bool in_order;      /* … and no record was earlier than one before it */
    int last_status;    /* of the last answer; 0: there was none */
    int64_t retry_after_ms;
};

/* Sweeps once; reads and claims the tenant's checkpoint before, if that was not done yet. Waits for the tenant and for
 * Kafka. FERRY_OK when everything up to `asked_ms` is safe. Fails as ferry_audits_fetch and ferry_audits_log_write do,
 * with FERRY_UNAVAILABLE when events could not be made safe, and with FERRY_STOPPING when the tenant is another
 * bridge's now. A later call goes on where this one ended. */
FERRY_NODISCARD enum ferry_code ferry_audits_sweep(struct ferry_audits_sweep *sweep, struct ferry_error *error);
/* Forgets the checkpoint: the tenant is another bridge's. */
void ferry_audits_sweep_forget(struct ferry_audits_sweep *sweep);
/* The present moment by the tenant's clock, as far as is known. */
int64_t ferry_audits_sweep_now(const struct ferry_audits_sweep *sweep);

#endif
