#include "core/net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    BODY_MAX = 1 << 20,    /* more is answered 413 … */
    SWALLOW_MAX = 4 << 20, /* … and a sender that does not stop there is cut off */
    REPLY_MAX = 16 << 20,  /* a metrics page of all catalogue events has about 1 MiB */
    HEADERS_MAX = 64,      /* what a handler sees; the rest is dropped */
    REPLY_HEADERS_MAX = 4096,
    CONNECTIONS_MAX = 64,
    IDLE_TIMEOUT_S = 10,
    BACKLOG = 64,
};

struct ferry_listener {
    struct MHD_Daemon *daemon;
    ferry_http_handler *handler;
    void *context;
    void *kept;
    uint16_t port;
};

/* A request whose body is coming in. */
struct upload {
    struct ferry_buffer body;
    size_t swallowed;
};

/* ---- the socket ---- */

static enum ferry_code bind_failure(const struct ferry_address *address, int reason, struct ferry_error *error)
{
    static const struct {
        int reason;
        const char *cure;
    } cures[] = {
        {EADDRINUSE, "the port is in use; stop the other program or choose another port"},
        {EACCES, "not allowed; choose a port above 1023 or give the program CAP_NET_BIND_SERVICE"},
        {EADDRNOTAVAIL, "this machine does not have that address"},
        {EAFNOSUPPORT, "this machine does not speak that address family; write an IPv4 address"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
        if (cures[i].reason == reason)
            return ferry_fail(error, FERRY_SYSTEM, "cannot listen on %s: %s", address->text, cures[i].cure);
    return ferry_fail(error, FERRY_SYSTEM, "cannot listen on %s: %s", address->text, strerror(reason));
}

/* A listening socket, or -1 with errno set. */
static int listen_at(const struct addrinfo *at, bool both_families)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (fd < 0)
        return -1;
    const int on = 1, v6_only = !both_families;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* "" means any address: one IPv6 socket that takes both families where there is IPv6, else IPv4. */
static int listen_anywhere(uint16_t port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    struct addrinfo any = {.ai_family = AF_INET6,
                           .ai_socktype = SOCK_STREAM,
                           .ai_addr = (struct sockaddr *)&six,
                           .ai_addrlen = sizeof six};
    int fd = listen_at(&any, true);
    if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    any = (struct addrinfo){.ai_family = AF_INET,
                            .ai_socktype = SOCK_STREAM,
                            .ai_addr = (struct sockaddr *)&four,
                            .ai_addrlen = sizeof four};
    return listen_at(&any, false);
}

static enum ferry_code open_socket(const struct ferry_address *address, int *out, struct ferry_error *error)
{
    int fd = -1;
    if (address->host[0] == '\0') {
        fd = listen_anywhere(address->port);
    } else {
        char port[8];
        snprintf(port, sizeof port, "%u", address->port);
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
        struct addrinfo *found;
        int failed = getaddrinfo(address->host, port, &hints, &found);
        if (failed != 0)
            return ferry_fail(error, FERRY_SYSTEM, "cannot listen on %s: %s", address->text, gai_strerror(failed));
        for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next)
            fd = listen_at(at, false);
        int reason = errno;
        freeaddrinfo(found);
        errno = reason;
    }
    if (fd < 0)
        return bind_failure(address, errno, error);
    *out = fd;
    return FERRY_OK;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } own = {.six = {.sin6_port = 0}};
    socklen_t len = sizeof own;
    if (getsockname(fd, &own.any, &len) != 0)
        return 0;
    return ntohs(own.any.sa_family == AF_INET6 ? own.six.sin6_port : own.four.sin_port);
}

/* ---- one request ---- */

/* Its lines are cut into texts in place. */
static void add_headers(struct MHD_Response *response, char *lines)
{
    char *rest = lines;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        MHD_add_response_header(response, line, colon + 1 + strspn(colon + 1, " "));
    }
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct ferry_http_reply *reply)
{
    size_t len = reply->body.len;
    char *bytes = ferry_buffer_take(&reply->body);
    if (bytes == NULL) {
        reply->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        len = 0;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        len, bytes != NULL ? bytes : (void *)"", bytes != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        free(bytes);
        return MHD_NO;
    }
    if (reply->content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (reply->headers.len > 0 && !reply->headers.failed)
        add_headers(response, reply->headers.ptr);
    enum MHD_Result sent = MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return sent;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, int status, const char *text)
{
    struct ferry_http_reply reply = {.status = status, .content_type = "text/plain; charset=utf-8"};
    ferry_buffer_init(&reply.body, 256);
    ferry_buffer_add_text(&reply.body, text);
    return send_reply(connection, &reply);
}

struct header_list {
    struct ferry_pair items[HEADERS_MAX];
    size_t count;
};

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct header_list *list = context;
    if (list->count < HEADERS_MAX)
        list->items[list->count++] = (struct ferry_pair){ferry_slice_from(name), ferry_slice_from(value)};
    return MHD_YES;
}

static enum MHD_Result answer(struct ferry_listener *listener, struct MHD_Connection *connection, const char *path,
                              const char *method, const struct upload *upload)
{
    if (upload->body.failed)
        return send_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n");
    struct header_list headers = {.count = 0};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, collect_header, &headers);
    struct ferry_http_call call = {.method = method,
                                   .path = path,
                                   .headers = {headers.items, headers.count},
                                   .body = ferry_buffer_slice(&upload->body)};
    struct ferry_http_reply reply = {.status = 0};
    ferry_buffer_init(&reply.body, REPLY_MAX);
    ferry_buffer_init(&reply.headers, REPLY_HEADERS_MAX);
    listener->handler(listener->context, &call, &reply);
    enum MHD_Result sent;
    if (reply.status == 0)
        sent = send_text(connection, MHD_HTTP_NOT_FOUND, "not found\n");
    else
        sent = send_reply(connection, &reply);
    ferry_buffer_done(&reply.body); /* unless it was taken */
    ferry_buffer_done(&reply.headers);
    return sent;
}

/* The first call of a request comes before its body: what declares itself too long is answered unread. */
static enum MHD_Result begin(struct MHD_Connection *connection, void **state)
{
    const char *declared = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (declared != NULL && strtoull(declared, NULL, 10) > BODY_MAX)
        return send_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n");
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL)
        return MHD_NO;
    ferry_buffer_init(&upload->body, BODY_MAX);
    *state = upload;
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **state)
{
    (void)version;
    if (*state == NULL)
        return begin(connection, state);
    struct upload *upload = *state;
    if (*data_size == 0)
        return answer(context, connection, url, method, upload);
    ferry_buffer_add(&upload->body, ferry_slice_of(data, *data_size));
    upload->swallowed += *data_size;
    *data_size = 0;
    return upload->swallowed > SWALLOW_MAX ? MHD_NO : MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    struct upload *upload = *state;
    if (upload == NULL)
        return;
    ferry_buffer_done(&upload->body);
    free(upload);
    *state = NULL;
}

/* ---- life ---- */

enum ferry_code ferry_listener_start(const struct ferry_address *address, ferry_http_handler *handler, void *context,
                                     struct ferry_listener **out, struct ferry_error *error)
{
    int fd = -1;
    enum ferry_code code = open_socket(address, &fd, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        close(fd);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    *listener = (struct ferry_listener){.handler = handler, .context = context, .port = port_of(fd)};
    /* poll, not epoll: MHD's own epoll loop hangs when exactly 128 events are ready at once. */
    listener->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL, on_request,
                         listener, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                         NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (listener->daemon == NULL) {
        close(fd);
        free(listener);
        return ferry_fail(error, FERRY_SYSTEM, "cannot serve on %s: %s", address->text, strerror(errno));
    }
    *out = listener;
    return FERRY_OK;
}

uint16_t ferry_listener_port(const struct ferry_listener *listener)
{
    return listener->port;
}

void ferry_listener_keep(struct ferry_listener *listener, void *memory)
{
    free(listener->kept);
    listener->kept = memory;
}

void ferry_listener_stop(struct ferry_listener *listener)
{
    if (listener == NULL)
        return;
    MHD_stop_daemon(listener->daemon);
    free(listener->kept);
    free(listener);
}
