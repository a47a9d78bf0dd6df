/* What the files bridge/http* share: shards, connections, requests. Everything here belongs to the shard's thread
 * unless it says otherwise. */
#ifndef FERRY_BRIDGE_HTTP_SHARD_H
#define FERRY_BRIDGE_HTTP_SHARD_H

#include <microhttpd.h>

#include "bridge/admit.h"
#include "bridge/body_pool.h"
#include "bridge/gate.h"
#include "bridge/http.h"
#include "bridge/http_long.h"
#include "bridge/http_tls.h"
#include "bridge/triggers/trigger.h"

/* The state of a connection names the list of its shard that it is on. Within a list every connection got the same
 * time, so that a list is in the order of its deadlines. */
enum ferry_connection_state {
    FERRY_CONNECTION_HEADERS,   /* a head is to come: header_timeout, then 408 */
    FERRY_CONNECTION_BODY,      /* a body is to come: request_timeout, then 408 */
    FERRY_CONNECTION_PARKED,    /* suspended; the parcel has the deadline */
    FERRY_CONNECTION_LONG,      /* a long answer, which has its own deadlines (http_long) */
    FERRY_CONNECTION_ANSWERING, /* the answer is on its way: request_timeout, then cut */
    FERRY_CONNECTION_IDLE,      /* kept alive: request_timeout, then closed */
    FERRY_CONNECTION_STATES
};

struct ferry_connection {
    struct ferry_shard *shard;
    struct MHD_Connection *mhd;
    int fd;
    bool has_peer;
    bool trusted; /* a proxy: not counted by address */
    bool linger;  /* read on for a moment after the end, so that the answer is not lost to a reset */
    struct ferry_ip peer;
    struct ferry_certificate *certificate; /* until the first request; NULL without TLS */
    struct ferry_request *request;         /* the one at hand, or NULL */
    enum ferry_connection_state state;
    int64_t deadline_ms;
    struct ferry_connection *previous;
    struct ferry_connection *next;
};

struct ferry_connection_list {
    struct ferry_connection *first;
    struct ferry_connection *last;
};

/* How far a request is: which branch the handler takes. */
enum ferry_request_phase {
    FERRY_REQUEST_HEAD,    /* nothing looked at */
    FERRY_REQUEST_BODY,    /* the head is fine: collecting the body */
    FERRY_REQUEST_SETTLED, /* `verdict` is final: answer at the next call */
    FERRY_REQUEST_ANSWERED
};

/* Held by its connection, and by publishing until the last report has come. */
struct ferry_request {
    atomic_uint references;
    enum ferry_request_phase phase;
    struct ferry_connection *connection; /* while the connection holds it */
    struct ferry_http *http;
    struct ferry_snapshot *snapshot;
    struct ferry_arena arena;
    struct ferry_slice target; /* in the arena */
    struct ferry_gate_body framing;
    struct ferry_admit_request in; /* headers borrow from libmicrohttpd until the answer */
    struct ferry_buffer body;
    uint64_t body_seen; /* bytes that came, kept or not */
    bool discard;       /* `verdict` stands already: the body is read and thrown away */
    bool counted;       /* in ferry_requests_in_flight */
    int status;         /* that was answered; 0: not yet */
    struct ferry_admission admission;
    bool is_trigger;                /* the path is one of triggers: */
    struct ferry_trigger_call call; /* what it asks for … */
    struct ferry_response answer;   /* … and what it gets; of other paths empty */
    struct ferry_long longer;
    enum ferry_code verdict;
    struct ferry_error error;
    struct ferry_parcel parcel;
};

/* Sockets that are read on after their connection has ended, at most so many a shard. */
enum { FERRY_LINGER_MAX = 64 };
struct ferry_linger {
    int fd;
    int64_t until_ms;
};

struct ferry_shard {
    struct ferry_http *http;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool started;
    int listen_fd;
    int epoll_fd; /* the daemon's */
    int wake_fd;
    struct ferry_outlet outlet;
    struct ferry_admit_thread *admit;
    struct ferry_connection_list lists[FERRY_CONNECTION_STATES];
    atomic_size_t connections;
    size_t twins;            /* parked requests that wait for what becomes of the same call */
    int64_t twins_look_ms;   /* when they may be looked at */
    atomic_bool long_news;   /* for one of the long answers */
    int64_t long_due_ms;     /* when one of them is to be looked at without news */
    atomic_uint room_wanted; /* connections that other shards ask this one to end */
    struct ferry_linger lingering[FERRY_LINGER_MAX];
    size_t linger_count;
    int64_t now_ms;            /* monotonic, once a round */
    int64_t draining_since_ms; /* 0: not */
    int64_t forced_since_ms;   /* 0: not */
};

struct ferry_http {
    struct ferry_http_options options;
    struct ferry_proxies proxies;
    struct ferry_address_counts *addresses; /* any thread */
    size_t connections_max;                 /* the limit, or what the system's limit of open files allows */
    atomic_size_t connections;              /* of all shards */
    struct ferry_body_pool bodies;
    atomic_size_t body_bytes; /* of all bodies in memory */
    atomic_size_t longs;      /* long answers of all shards */
    size_t longs_max;
    struct ferry_series *long_gauges[FERRY_LONG_EVENTS + 1]; /* by enum ferry_long_kind */
    struct ferry_bucket log_bucket;                          /* lines about refused requests */
    atomic_size_t log_suppressed;
    struct ferry_tls *tls; /* NULL: plain */
    uint16_t port;
    atomic_uint running; /* threads of shards */
    atomic_bool draining;
    atomic_bool force; /* time is up: answer 503, cut the rest */
    struct ferry_shard *shards;
    unsigned shard_count;   /* started */
    unsigned shards_wanted; /* as many are in `shards` */
};

/* ---- http_shard ---- */

/* The daemon, its epoll and its thread. `listen_fd` is taken. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_shard_start(struct ferry_shard *shard, struct ferry_http *http, int listen_fd,
                                                  struct ferry_error *error);
/* Any thread: a round of the loop at once. */
void ferry_shard_wake(struct ferry_shard *shard);
/* After the thread has been joined, or was never started. */
void ferry_shard_done(struct ferry_shard *shard);
/* Puts the connection on the list of that state, with that state's deadline. */
void ferry_connection_enter(struct ferry_connection *connection, enum ferry_connection_state state);

/* ---- http_request ---- */

/* For MHD_OPTION_URI_LOG_CALLBACK: a request line has come; makes the request. */
void *ferry_request_begin(void *shard, const char *target, struct MHD_Connection *mhd);
/* For MHD_start_daemon. */
enum MHD_Result ferry_request_handle(void *shard, struct MHD_Connection *mhd, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_bytes, void **context);
/* For MHD_OPTION_NOTIFY_COMPLETED. */
void ferry_request_completed(void *shard, struct MHD_Connection *mhd, void **context,
                             enum MHD_RequestTerminationCode how);
/* A parcel has come back: the connection is resumed, the handler will answer. */
void ferry_request_resume(struct ferry_parcel *parcel);
/* Once a round, before MHD_run: twins are resumed, the handler will look what has become of the same call. */
void ferry_request_tend_twins(struct ferry_shard *shard);

/* ---- http_reply ---- */

/* Queues the answer of `request->verdict`; in the handler only. */
enum MHD_Result ferry_reply(struct ferry_request *request);
/* Writes an answer where libmicrohttpd takes none (in the middle of a body or head); the connection must end then.
 * `request` may be NULL. */
void ferry_reply_cut(struct ferry_connection *connection, struct ferry_request *request, enum ferry_code code);

#endif
