/* One thread and one daemon a shard, the daemon in external epoll mode. (Its internal epoll mode hangs when exactly
 * 128 events are ready, in 0.9.75 and 1.0.10 alike.) A round of the loop:
 *
 *   wait for the daemon's epoll or for the eventfd → resume what has been settled → MHD_run → deadlines → lingering
 *
 * It waits with poll(2): an epoll that held the daemon's would be told of each event of each connection as it happens,
 * and not just once, when somebody waits.
 *
 * Connections are resumed here, just before MHD_run: 0.9.75 loses a resume that comes from another thread.
 * libmicrohttpd's own timeout watches inactivity alone, so that one byte a second lives for ever, and suspended
 * connections have none. So it is off, and every connection is on the list of its state with a deadline of ours. A
 * connection is ended from outside by shutting its socket down for reading; libmicrohttpd then sees the end. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/http_shard.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    ROUND_MS = 100,
    GRACE_MS = 500,            /* while draining: for kept-alive connections to be told "Connection: close" */
    FORCED_AHEAD_MS = 3600000, /* when time is up: so far ahead are the deadlines of what is published */
    LAST_WORDS_MS = 300,       /* when time is up: for the last answers to leave */
    LINGER_MS = 1000,
    POOL_EXTRA_BYTES = 8 << 10, /* beside the largest head: header records and the answer's head */
    POOL_STEP_BYTES = 4 << 10,
    CLOSING = 1024, /* beside the limit: evicted, not closed yet */
};

/* ---- connections ---- */

static void unlink_connection(struct ferry_connection *connection)
{
    struct ferry_connection_list *list = &connection->shard->lists[connection->state];
    *(connection->previous != NULL ? &connection->previous->next : &list->first) = connection->next;
    *(connection->next != NULL ? &connection->next->previous : &list->last) = connection->previous;
}

static void link_connection(struct ferry_connection *connection)
{
    struct ferry_connection_list *list = &connection->shard->lists[connection->state];
    connection->previous = list->last;
    connection->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = connection;
    list->last = connection;
}

static int64_t time_for(const struct ferry_shard *shard, enum ferry_connection_state state)
{
    const struct ferry_limits_config *limits = &shard->http->options.config->limits;
    return state == FERRY_CONNECTION_HEADERS ? limits->header_timeout_ms : limits->request_timeout_ms;
}

void ferry_connection_enter(struct ferry_connection *connection, enum ferry_connection_state state)
{
    unlink_connection(connection);
    connection->state = state;
    connection->deadline_ms = connection->shard->now_ms + time_for(connection->shard, state);
    link_connection(connection);
}

/* libmicrohttpd sees the end of the stream, and closes. Should it not: ANSWERING has a deadline as well. */
static void end_connection(struct ferry_connection *connection)
{
    (void)shutdown(connection->fd, SHUT_RD);
    ferry_connection_enter(connection, FERRY_CONNECTION_ANSWERING);
}

/* ---- when all connections are taken ---- */

/* Whoever sends at once is served at once, so that at the limit the ones that have kept us waiting longest are most
 * likely to be of those who only hold connections. A new one takes the place of the oldest of the first list that has
 * one as old as this. Nobody is ended who has sent all of a request. */
static const struct {
    enum ferry_connection_state state;
    int64_t waited_ms;
} evictions[] = {
    {FERRY_CONNECTION_HEADERS, 100},
    {FERRY_CONNECTION_IDLE, 1000},
    {FERRY_CONNECTION_BODY, 5000},
};

static void evict(struct ferry_connection *connection)
{
    struct ferry_shard *shard = connection->shard;
    ferry_ops_count_refused_connection(shard->http->options.ops, "evicted");
    if (connection->state == FERRY_CONNECTION_BODY) {
        (void)ferry_fail(&connection->request->error, FERRY_UNAVAILABLE, "too slow while all connections are in use");
        ferry_reply_cut(connection, connection->request, FERRY_UNAVAILABLE);
    }
    end_connection(connection);
}

/* One of this shard's goes; it is counted until libmicrohttpd has closed it, a round later. */
static bool evict_oldest(struct ferry_shard *shard)
{
    for (size_t i = 0; i < sizeof evictions / sizeof evictions[0]; i++) {
        struct ferry_connection *oldest = shard->lists[evictions[i].state].first;
        if (oldest == NULL)
            continue;
        int64_t since_ms = oldest->deadline_ms - time_for(shard, oldest->state);
        if (shard->now_ms - since_ms < evictions[i].waited_ms)
            continue;
        evict(oldest);
        return true;
    }
    return false;
}

static struct ferry_shard *fullest(const struct ferry_http *http)
{
    struct ferry_shard *most = &http->shards[0];
    for (unsigned i = 1; i < http->shards_wanted; i++)
        if (atomic_load(&http->shards[i].connections) > atomic_load(&most->connections))
            most = &http->shards[i];
    return most;
}

/* A shard that has less than its share takes from the fullest one. It would be left with ever fewer otherwise, each
 * ended by the next. */
static bool make_room(struct ferry_shard *shard)
{
    const struct ferry_http *http = shard->http;
    struct ferry_shard *giver =
        atomic_load(&shard->connections) * http->shards_wanted < http->connections_max ? fullest(http) : shard;
    if (giver == shard)
        return evict_oldest(shard);
    atomic_fetch_add(&giver->room_wanted, 1);
    ferry_shard_wake(giver);
    return true;
}

static void give_room(struct ferry_shard *shard)
{
    for (unsigned wanted = atomic_exchange(&shard->room_wanted, 0); wanted > 0 && evict_oldest(shard); wanted--)
        ;
}

/* May this address open one more connection? */
static enum MHD_Result accept_from(void *context, const struct sockaddr *address, socklen_t address_bytes)
{
    (void)address_bytes;
    struct ferry_shard *shard = context;
    struct ferry_http *http = shard->http;
    const struct ferry_limits_config *limits = &http->options.config->limits;
    struct ferry_ip ip;
    if (ferry_ip_from_sockaddr(address, &ip) && !ferry_proxies_trust(&http->proxies, &ip) &&
        ferry_address_counts_get(http->addresses, &ip) >= (size_t)limits->per_address) {
        ferry_ops_count_refused_connection(http->options.ops, "per_address");
        return MHD_NO;
    }
    if (atomic_load(&http->connections) >= http->connections_max && !make_room(shard)) {
        ferry_ops_count_refused_connection(http->options.ops, "connections");
        return MHD_NO;
    }
    return MHD_YES;
}

static void find_peer(struct ferry_connection *connection)
{
    struct ferry_http *http = connection->shard->http;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    connection->has_peer = info != NULL && ferry_ip_from_sockaddr(info->client_addr, &connection->peer);
    connection->trusted = connection->has_peer && ferry_proxies_trust(&http->proxies, &connection->peer);
    if (connection->has_peer && !connection->trusted && !ferry_address_counts_add(http->addresses, &connection->peer))
        connection->has_peer = false; /* memory ran out: not counted, so nothing to take away later */
}

static void open_connection(struct ferry_shard *shard, struct MHD_Connection *mhd, void **socket_context)
{
    struct ferry_connection *connection = calloc(1, sizeof *connection);
    *socket_context = connection;
    if (connection == NULL)
        return; /* its first request is refused */
    connection->shard = shard;
    connection->mhd = mhd;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    find_peer(connection);
    if (shard->http->tls != NULL)
        connection->certificate = ferry_tls_hold(shard->http->tls);
    connection->state = FERRY_CONNECTION_HEADERS;
    connection->deadline_ms = shard->now_ms + time_for(shard, FERRY_CONNECTION_HEADERS);
    link_connection(connection);
    atomic_fetch_add(&shard->connections, 1);
    atomic_fetch_add(&shard->http->connections, 1);
}

/* A socket that is closed with bytes unread sends a reset, which can overtake the answer: keep it open a while, and
 * read what still comes. */
static void linger(struct ferry_shard *shard, int fd)
{
    if (shard->linger_count == FERRY_LINGER_MAX)
        return;
    int kept = dup(fd);
    if (kept >= 0)
        shard->lingering[shard->linger_count++] = (struct ferry_linger){kept, shard->now_ms + LINGER_MS};
}

static void close_connection(struct ferry_shard *shard, struct ferry_connection *connection)
{
    if (connection->linger)
        linger(shard, connection->fd);
    if (connection->has_peer && !connection->trusted)
        ferry_address_counts_remove(shard->http->addresses, &connection->peer);
    ferry_tls_drop(connection->certificate);
    unlink_connection(connection);
    free(connection);
    atomic_fetch_sub(&shard->connections, 1);
    atomic_fetch_sub(&shard->http->connections, 1);
}

static void notify_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                              enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(context, mhd, socket_context);
    else if (*socket_context != NULL)
        close_connection(context, *socket_context);
}

/* ---- deadlines ---- */

static void time_out(struct ferry_connection *connection)
{
    switch (connection->state) {
    case FERRY_CONNECTION_HEADERS:
        ferry_reply_cut(connection, NULL, FERRY_REQUEST_TIMEOUT);
        end_connection(connection);
        break;
    case FERRY_CONNECTION_BODY:
        ferry_reply_cut(connection, connection->request, FERRY_REQUEST_TIMEOUT);
        end_connection(connection);
        break;
    case FERRY_CONNECTION_IDLE:
        end_connection(connection);
        break;
    default:
        (void)shutdown(connection->fd, SHUT_RDWR);
        ferry_connection_enter(connection, FERRY_CONNECTION_ANSWERING);
    }
}

static bool has_deadline(enum ferry_connection_state state)
{
    return state != FERRY_CONNECTION_PARKED && state != FERRY_CONNECTION_LONG;
}

static void expire(struct ferry_shard *shard)
{
    for (int state = 0; state < FERRY_CONNECTION_STATES; state++) {
        struct ferry_connection_list *list = &shard->lists[state];
        while (has_deadline((enum ferry_connection_state)state) && list->first != NULL &&
               list->first->deadline_ms <= shard->now_ms)
            time_out(list->first);
    }
}

static void read_lingering(struct ferry_shard *shard)
{
    char bytes[16384];
    for (size_t i = 0; i < shard->linger_count;) {
        struct ferry_linger *entry = &shard->lingering[i];
        ssize_t got;
        int budget = 64; /* a sender that never stops must not hold the loop */
        do
            got = recv(entry->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        while (got > 0 && --budget > 0);
        bool over = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || entry->until_ms <= shard->now_ms;
        if (!over) {
            i++;
            continue;
        }
        (void)close(entry->fd);
        *entry = shard->lingering[--shard->linger_count];
    }
}

/* ---- drain ---- */

static void begin_drain(struct ferry_shard *shard)
{
    /* Whoever has connected already is served: closing the listener would reset those that wait to be accepted. */
    struct pollfd listener = {.fd = shard->listen_fd, .events = POLLIN};
    for (int rounds = 0; rounds < 1000 && poll(&listener, 1, 0) > 0; rounds++)
        (void)MHD_run(shard->daemon);
    (void)MHD_quiesce_daemon(shard->daemon);
    (void)close(shard->listen_fd);
    shard->listen_fd = -1;
    shard->draining_since_ms = shard->now_ms;
}

static void end_all(struct ferry_shard *shard, enum ferry_connection_state state)
{
    while (shard->lists[state].first != NULL)
        end_connection(shard->lists[state].first);
}

/* Time is up: 503 for what is published, nothing more is read. */
static void force_drain(struct ferry_shard *shard)
{
    shard->forced_since_ms = shard->now_ms;
    struct ferry_connection_list *bodies = &shard->lists[FERRY_CONNECTION_BODY];
    while (bodies->first != NULL) {
        ferry_reply_cut(bodies->first, bodies->first->request, FERRY_STOPPING);
        end_connection(bodies->first);
    }
}

static void drain(struct ferry_shard *shard)
{
    if (shard->draining_since_ms == 0)
        begin_drain(shard);
    if (shard->now_ms - shard->draining_since_ms >= GRACE_MS) {
        end_all(shard, FERRY_CONNECTION_IDLE);
        end_all(shard, FERRY_CONNECTION_HEADERS);
    }
    if (shard->forced_since_ms == 0 && atomic_load(&shard->http->force))
        force_drain(shard);
}

/* Nothing is suspended, and whoever could be answered has been: MHD_stop_daemon aborts the process otherwise. */
static bool is_drained(const struct ferry_shard *shard)
{
    if (shard->draining_since_ms == 0 || shard->lists[FERRY_CONNECTION_PARKED].first != NULL ||
        ferry_long_suspends(shard))
        return false;
    return atomic_load(&shard->connections) == 0 ||
           (shard->forced_since_ms > 0 && shard->now_ms - shard->forced_since_ms >= LAST_WORDS_MS);
}

/* ---- the loop ---- */

static int round_timeout(struct ferry_shard *shard)
{
    int64_t wait_ms = ROUND_MS;
    MHD_UNSIGNED_LONG_LONG wanted_ms;
    if (MHD_get_timeout(shard->daemon, &wanted_ms) == MHD_YES && (int64_t)wanted_ms < wait_ms)
        wait_ms = (int64_t)wanted_ms;
    int64_t deadline = ferry_outlet_deadline(&shard->outlet);
    if (deadline - shard->now_ms < wait_ms)
        wait_ms = deadline > shard->now_ms ? deadline - shard->now_ms : 0;
    return (int)wait_ms;
}

static void wait_for_work(struct ferry_shard *shard)
{
    struct pollfd sources[] = {{.fd = shard->wake_fd, .events = POLLIN}, {.fd = shard->epoll_fd, .events = POLLIN}};
    uint64_t wakes;
    (void)poll(sources, 2, round_timeout(shard));
    if (sources[0].revents != 0)
        (void)!read(shard->wake_fd, &wakes, sizeof wakes);
    shard->now_ms = ferry_clock_mono_ms();
}

static void resume_settled(struct ferry_shard *shard)
{
    int64_t until_ms = shard->forced_since_ms > 0 ? shard->now_ms + FORCED_AHEAD_MS : shard->now_ms;
    struct ferry_parcel *parcel = ferry_outlet_collect(&shard->outlet, until_ms);
    for (struct ferry_parcel *next; parcel != NULL; parcel = next) {
        next = parcel->next;
        ferry_request_resume(parcel);
    }
}

static void *run(void *context)
{
    struct ferry_shard *shard = context;
    while (!is_drained(shard)) {
        wait_for_work(shard);
        ferry_log_gather();
        resume_settled(shard);
        ferry_long_tend(shard);
        ferry_request_tend_twins(shard);
        give_room(shard);
        (void)MHD_run(shard->daemon);
        expire(shard);
        read_lingering(shard);
        if (atomic_load(&shard->http->draining))
            drain(shard);
        ferry_log_write_gathered();
    }
    MHD_stop_daemon(shard->daemon);
    shard->daemon = NULL;
    atomic_fetch_sub(&shard->http->running, 1);
    return NULL;
}

/* ---- start and end ---- */

/* 0.9.75 answers twice, head after head, when it refuses a complete head by itself (a Content-Length that is none). It
 * logs before it does, and that is the one moment in which such a connection can be told: it is still on our list
 * HEADERS, although its head has been read. Answer in its stead, and shut the socket for its own words. */
static void answer_instead(struct ferry_shard *shard)
{
    for (struct ferry_connection *connection = shard->lists[FERRY_CONNECTION_HEADERS].first; connection != NULL;
         connection = connection->next) {
        if (connection->request == NULL ||
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) == NULL)
            continue;
        (void)ferry_fail(&connection->request->error, FERRY_HTTP_MALFORMED, "Content-Length is no length");
        ferry_reply_cut(connection, connection->request, FERRY_HTTP_MALFORMED);
        connection->linger = true;
        (void)shutdown(connection->fd, SHUT_WR);
        ferry_connection_enter(connection, FERRY_CONNECTION_ANSWERING);
        return;
    }
}

static FERRY_PRINTF(2, 0) void log_library(void *context, const char *format, va_list args)
{
    answer_instead(context);
    char text[512];
    int len = vsnprintf(text, sizeof text, format, args);
    while (len > 0 && (size_t)len < sizeof text && text[len - 1] == '\n')
        text[--len] = '\0';
    ferry_log(FERRY_LOG_DEBUG, "libmicrohttpd", FERRY_FIELDS(ferry_text("text", text)));
}

/* Paths are compared as they came: nothing is decoded, so nothing can be decoded twice. */
static size_t keep_escaped(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context, (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct ferry_shard *shard)
{
    const struct ferry_limits_config *limits = &shard->http->options.config->limits;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(intptr_t)ferry_tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem strict[] = {
#if MHD_VERSION >= 0x01000000
        /* Folded lines and bare line feeds are refused by itself; before 1.0 our gate reads the layout of the head. */
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
#endif
        {MHD_OPTION_END, 0, NULL},
    };
    if (shard->http->tls != NULL)
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(flags, 0, accept_from, shard, ferry_request_handle, shard, /* options: */
                            MHD_OPTION_EXTERNAL_LOGGER, log_library, shard,            /* first */
                            MHD_OPTION_LISTEN_SOCKET, shard->listen_fd,                /* */
                            MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)shard->http->connections_max + CLOSING, /* counted by us */
                            MHD_OPTION_CONNECTION_TIMEOUT, 0u,                /* ours instead */
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)limits->headers_bytes + POOL_EXTRA_BYTES,
                            MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)POOL_STEP_BYTES,
                            MHD_OPTION_URI_LOG_CALLBACK, ferry_request_begin, shard,     /* */
                            MHD_OPTION_NOTIFY_COMPLETED, ferry_request_completed, shard, /* */
                            MHD_OPTION_NOTIFY_CONNECTION, notify_connection, shard,      /* */
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL,            /* */
                            MHD_OPTION_ARRAY, strict,                                    /* */
                            MHD_OPTION_ARRAY, shard->http->tls != NULL ? secure : plain, MHD_OPTION_END);
}

static enum ferry_code fail(struct ferry_error *error, const char *what)
{
    return ferry_fail(error, FERRY_SYSTEM, "the ingress cannot start: %s: %s", what, strerror(errno));
}

static enum ferry_code start_parts(struct ferry_shard *shard, struct ferry_error *error)
{
    shard->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ferry_outlet_init(&shard->outlet, shard->wake_fd);
    if (shard->wake_fd < 0)
        return fail(error, "eventfd");
    shard->admit = ferry_admit_thread_new();
    if (shard->admit == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    shard->daemon = start_daemon(shard);
    if (shard->daemon == NULL)
        return fail(error, "libmicrohttpd");
    shard->epoll_fd = MHD_get_daemon_info(shard->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    atomic_fetch_add(&shard->http->running, 1);
    int failed = pthread_create(&shard->thread, NULL, run, shard);
    if (failed) {
        atomic_fetch_sub(&shard->http->running, 1);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    shard->started = true;
    return FERRY_OK;
}

enum ferry_code ferry_shard_start(struct ferry_shard *shard, struct ferry_http *http, int listen_fd,
                                  struct ferry_error *error)
{
    *shard = (struct ferry_shard){
        .http = http,
        .listen_fd = listen_fd,
        .epoll_fd = -1,
        .wake_fd = -1,
        .now_ms = ferry_clock_mono_ms(),
    };
    return start_parts(shard, error);
}

void ferry_shard_wake(struct ferry_shard *shard)
{
    const uint64_t one = 1;
    (void)!write(shard->wake_fd, &one, sizeof one);
}

void ferry_shard_done(struct ferry_shard *shard)
{
    if (shard->daemon != NULL) {
        MHD_stop_daemon(shard->daemon);
        shard->listen_fd = -1; /* closed with the daemon */
    }
    for (size_t i = 0; i < shard->linger_count; i++)
        (void)close(shard->lingering[i].fd);
    ferry_admit_thread_free(shard->admit);
    ferry_outlet_done(&shard->outlet);
    const int fds[] = {shard->listen_fd, shard->wake_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
}
