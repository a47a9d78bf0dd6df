/* Answers that are held back or stay open: `?wait=` and server-sent events of triggers' runs. Part of bridge/http*; see
 * http_long.c. */
#ifndef FERRY_BRIDGE_HTTP_LONG_H
#define FERRY_BRIDGE_HTTP_LONG_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "bridge/triggers/results.h"

struct ferry_http;
struct ferry_request;
struct ferry_shard;

enum ferry_long_kind { FERRY_LONG_NONE, FERRY_LONG_WAIT, FERRY_LONG_EVENTS };

/* In struct ferry_request. All of it belongs to the shard's thread, but `news`. */
struct ferry_long {
    enum ferry_long_kind kind; /* NONE: an answer like any other */
    struct ferry_watch watch;
    atomic_bool news; /* set by the reader of results */
    int64_t until_ms; /* the wait's, or the stream's, end */
    /* events */
    bool as_page;
    bool suspended;   /* nothing is to be sent */
    bool ended;       /* nothing comes after what is in `out` */
    uint64_t shown;   /* the version that was sent last; 0: the run was not known */
    int64_t look_ms;  /* when to look whether the peer is still there */
    int64_t beat_ms;  /* when a sign of life is due */
    int64_t stuck_ms; /* since when something waits to be sent; 0: nothing does */
    size_t sent;      /* bytes of `out` */
    struct ferry_buffer out;
};

/* The metrics, and how many there may be. */
void ferry_long_setup(struct ferry_http *http);

/* Does this request, whose head and body are fine, look at a run? */
bool ferry_long_is_look(const struct ferry_request *request);
/* Answers it, at once or later; in the handler. */
enum MHD_Result ferry_long_look(struct ferry_request *request);
/* A call was taken; `request->answer` says so. True: its connection is suspended, or stays so, until its run has ended
 * or the time is up that it wants to wait, and only then is it answered. */
FERRY_NODISCARD bool ferry_long_hold(struct ferry_request *request);

/* The body of an open answer, for ferry_reply; NULL when memory ran out. */
struct MHD_Response *ferry_long_response(struct ferry_request *request);
/* Once a round, before MHD_run: news, deadlines, signs of life, and the end of all when the shard drains. */
void ferry_long_tend(struct ferry_shard *shard);
/* Is a connection suspended for one of them? */
bool ferry_long_suspends(const struct ferry_shard *shard);
/* The request is over. */
void ferry_long_done(struct ferry_request *request);

#endif
