/* The ingress: HTTP(S) on libmicrohttpd. Only files named bridge/http* know that library.
 *
 *   http         sockets, shards, drain                     http_request  one request, from its head to its answer
 *   http_shard   one thread: loop, connections, deadlines   http_reply    answers, regular ones and cut-off ones
 *   http_tls     certificates                               http_long     answers that are held back or stay open
 *
 * What a request under /triggers/ asks for is decided in bridge/triggers/trigger; all others are webhooks
 * (bridge/admit). */
#ifndef FERRY_BRIDGE_HTTP_H
#define FERRY_BRIDGE_HTTP_H

#include "bridge/address.h"
#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"
#include "bridge/triggers/results.h"
#include "bridge/triggers/trigger.h"

struct ferry_http;

/* Files that the bridge needs beside its connections: brokers, the spool, lingering sockets, the admin address. */
enum { FERRY_HTTP_FILES_BESIDE = 512 };

/* Borrowed until ferry_http_stop. Limits and addresses are those of the start; doors follow the snapshots. */
struct ferry_http_options {
    const struct ferry_bridge_config *config;
    struct ferry_snapshot_slot *snapshots;
    struct ferry_publisher *publisher;
    struct ferry_ops *ops;
    struct ferry_triggers *triggers; /* NULL: there are none */
    struct ferry_results *results;   /* what becomes of their calls; NULL: nobody is told */
    unsigned shards;                 /* 0: one a core, at most 4 */
};

/* Listens and serves. Fails with FERRY_SYSTEM (the address and the cure) or FERRY_CONFIG (the certificate). */
FERRY_NODISCARD enum ferry_code ferry_http_start(const struct ferry_http_options *options, struct ferry_http **out,
                                                 struct ferry_error *error);
uint16_t ferry_http_port(const struct ferry_http *http);

/* Reads the certificate again: always, or only if its files have changed; `*read` says whether it was. The old one
 * stays when the new one is wrong (FERRY_CONFIG). Without TLS nothing is read. */
FERRY_NODISCARD enum ferry_code ferry_http_reload_certificate(struct ferry_http *http, bool only_if_changed, bool *read,
                                                              struct ferry_error *error);

/* Stops listening, answers what is in flight with `Connection: close`, waits at most `timeout_ms` for that; what is
 * left then is answered 503 or cut. No connection is left afterwards. */
void ferry_http_drain(struct ferry_http *http, int64_t timeout_ms);
/* After ferry_http_drain, and after the publisher has been closed: late reports still name the shards. */
void ferry_http_stop(struct ferry_http *http);

#endif
