/* A small HTTP server on a thread of its own (libmicrohttpd): the admin address of every program, the demo's
 * stand-ins. Not the ingress: that is bridge/http. */
#ifndef FERRY_CORE_NET_LISTENER_H
#define FERRY_CORE_NET_LISTENER_H

#include "core/buffer.h"
#include "core/config.h"
#include "core/error.h"
#include "core/metrics.h"

struct ferry_listener;

struct ferry_http_call {
    const char *method;
    const char *path; /* without the query */
    struct ferry_pairs headers;
    struct ferry_slice body; /* at most 1 MiB; longer is answered 413 */
};

/* What the handler fills; status 0 is 404. The buffers are initialized. */
struct ferry_http_reply {
    int status;
    const char *content_type;
    struct ferry_buffer body;
    struct ferry_buffer headers; /* more of them, "Name: value" lines; initialized */
};

/* On the listener's thread, one call at a time. */
typedef void ferry_http_handler(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply);

/* Fails with FERRY_SYSTEM: address and cure ("port 8081 is in use; …"). */
FERRY_NODISCARD enum ferry_code ferry_listener_start(const struct ferry_address *address, ferry_http_handler *handler,
                                                     void *context, struct ferry_listener **out,
                                                     struct ferry_error *error);
uint16_t ferry_listener_port(const struct ferry_listener *listener);
/* Takes malloc'ed memory (a handler's context) that is freed when the listener has stopped. */
void ferry_listener_keep(struct ferry_listener *listener, void *memory);
void ferry_listener_stop(struct ferry_listener *listener);

/* The admin listener: /healthz (alive), /readyz (`ready` asked at each call; its text says what is missing),
 * /metrics; whatever else is asked for goes to `more`. */
struct ferry_admin {
    struct ferry_metrics *metrics;
    bool (*ready)(void *context, char *why, size_t why_bytes);
    void *context;
    ferry_http_handler *more; /* NULL: there is no more */
    void *more_context;
};
FERRY_NODISCARD enum ferry_code ferry_admin_listener_start(const struct ferry_address *address,
                                                           const struct ferry_admin *admin, struct ferry_listener **out,
                                                           struct ferry_error *error);

#endif
