/* What the bridge tells its operators: metrics, readiness, the admin address. All functions from any thread. */
#ifndef FERRY_BRIDGE_OPS_H
#define FERRY_BRIDGE_OPS_H

#include "bridge/admit.h"
#include "bridge/console/site.h"
#include "bridge/publish.h"
#include "core/metrics.h"

struct ferry_ops;

/* NULL when memory ran out. */
struct ferry_ops *ferry_ops_new(void);
void ferry_ops_free(struct ferry_ops *ops);
struct ferry_metrics *ferry_ops_metrics(struct ferry_ops *ops);

/* /healthz, /readyz and /metrics, and the console. Fails with FERRY_SYSTEM: address and cure. Both are borrowed. */
FERRY_NODISCARD enum ferry_code ferry_ops_listen(struct ferry_ops *ops, const struct ferry_address *address,
                                                 struct ferry_publisher *publisher, struct ferry_console_site *console,
                                                 struct ferry_error *error);
/* Ends the admin address; before the publisher and the console go. */
void ferry_ops_close(struct ferry_ops *ops);

/* The doors are open: from now on it may be ready. */
void ferry_ops_serve(struct ferry_ops *ops);
/* From now on not ready: no new work is wanted. */
void ferry_ops_drain(struct ferry_ops *ops);

/* `path` is that of a configured door or trigger, or NULL. */
void ferry_ops_count_request(struct ferry_ops *ops, const char *path, int status);
/* A request whose events never became records was refused, or given up, because of `why` (bridge/tally.h). */
void ferry_ops_count_refused_request(struct ferry_ops *ops, enum ferry_code why);
void ferry_ops_count_signature_failure(struct ferry_ops *ops, const char *path, enum ferry_code code);
/* The events of a request to that path are in Kafka. */
void ferry_ops_count_events(struct ferry_ops *ops, const char *path, const struct ferry_admission *admission,
                            int64_t wall_ms);
/* One event, whatever brought it, is in Kafka. */
void ferry_ops_count_event(struct ferry_ops *ops, const struct ferry_event *event);
void ferry_ops_count_refused_connection(struct ferry_ops *ops, const char *reason);
void ferry_ops_begin_request(struct ferry_ops *ops);
void ferry_ops_end_request(struct ferry_ops *ops);
void ferry_ops_set_reload(struct ferry_ops *ops, bool success);
void ferry_ops_set_certificate_expiry(struct ferry_ops *ops, int64_t seconds);
void ferry_ops_set_topics_missing(struct ferry_ops *ops, size_t count);

#endif
