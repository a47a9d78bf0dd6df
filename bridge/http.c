#include "bridge/http.h"

#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/http_shard.h"
#include "core/clock.h"

enum { SHARDS_MAX = 4, BACKLOG = 4096, LOG_LINES_A_SECOND = 20, MAPPED_BYTES = 16 << 10 };

/* ---- listening ---- */

static enum ferry_code fail_to_listen(const struct ferry_address *address, int number, struct ferry_error *error)
{
    static const struct {
        int number;
        const char *cure;
    } cures[] = {
        {EADDRINUSE, "the port is in use; stop the program that has it, or choose another port"},
        {EACCES, "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port"},
        {EADDRNOTAVAIL, "no interface of this machine has that address"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++) {
        if (cures[i].number == number)
            return ferry_fail(error, FERRY_SYSTEM, "bridge.listen: %s: %s", address->text, cures[i].cure);
    }
    return ferry_fail(error, FERRY_SYSTEM, "bridge.listen: %s: %s", address->text, strerror(number));
}

/* The socket address of host and port; any address means IPv6 and IPv4. */
static bool resolve(const struct ferry_address *address, struct sockaddr_storage *out, socklen_t *out_bytes)
{
    if (address->host[0] == '\0') {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
        memcpy(out, &any, sizeof any);
        *out_bytes = sizeof any;
        return true;
    }
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    if (getaddrinfo(address->host, port, &hints, &found) != 0)
        return false;
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *out_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* A bound socket, or -1 with errno. Shards share one port: `shared` is SO_REUSEPORT. */
static int bind_to(const struct sockaddr_storage *address, socklen_t address_bytes, bool shared)
{
    const int on = 1, off = 0;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (shared)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, address_bytes) == 0)
        return fd;
    int number = errno;
    (void)close(fd);
    errno = number;
    return -1;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t bytes = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0)
        return 0;
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    memcpy(&v6, &bound, sizeof v6);
    memcpy(&v4, &bound, sizeof v4);
    return ntohs(bound.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    /* sin_port and sin6_port stand at the same place. */
    memcpy((char *)address + offsetof(struct sockaddr_in, sin_port), &(uint16_t){htons(port)}, sizeof port);
}

/* SO_REUSEPORT would let a second bridge of the same user share the port without a word: look first, without it. */
static bool is_free(const struct sockaddr_storage *address, socklen_t address_bytes)
{
    int probe = bind_to(address, address_bytes, false);
    if (probe < 0)
        return false;
    (void)close(probe);
    return true;
}

static enum ferry_code listen_on(struct ferry_http *http, const struct sockaddr_storage *wanted, socklen_t wanted_bytes,
                                 int *out, struct ferry_error *error)
{
    struct sockaddr_storage address = *wanted;
    if (http->port != 0)
        set_port(&address, http->port); /* the one that the first shard was given */
    int fd = bind_to(&address, wanted_bytes, true);
    if (fd < 0 || listen(fd, BACKLOG) != 0) {
        int number = errno;
        if (fd >= 0)
            (void)close(fd);
        return fail_to_listen(&http->options.config->listen, number, error);
    }
    http->port = port_of(fd);
    *out = fd;
    return FERRY_OK;
}

/* ---- start and stop ---- */

static unsigned count_shards(unsigned wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = wanted > 0 ? wanted : cores > 0 ? (unsigned)cores : 1;
    return count < SHARDS_MAX ? count : SHARDS_MAX;
}

static enum ferry_code start_shards(struct ferry_http *http, struct ferry_error *error)
{
    const struct ferry_address *listen_address = &http->options.config->listen;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    if (!resolve(listen_address, &address, &address_bytes))
        return ferry_fail(error, FERRY_SYSTEM, "bridge.listen: %s: the host is not known", listen_address->text);
    if (!is_free(&address, address_bytes))
        return fail_to_listen(listen_address, errno, error);
    unsigned wanted = http->shards_wanted = count_shards(http->options.shards);
    http->shards = calloc(wanted, sizeof *http->shards);
    if (http->shards == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (unsigned i = 0; i < wanted; i++) {
        int listen_fd = -1;
        enum ferry_code code = listen_on(http, &address, address_bytes, &listen_fd, error);
        if (code != FERRY_OK)
            return code;
        http->shard_count++;
        code = ferry_shard_start(&http->shards[i], http, listen_fd, error);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

static enum ferry_code open_tls(struct ferry_http *http, struct ferry_error *error)
{
    const struct ferry_tls_files *files = &http->options.config->tls;
    if (files->certificate == NULL)
        return FERRY_OK;
    enum ferry_code code = ferry_tls_open(files, &http->tls, error);
    if (code == FERRY_OK)
        ferry_ops_set_certificate_expiry(http->options.ops, ferry_tls_expiry(http->tls));
    return code;
}

/* Beyond what may be open the system would refuse a connection when it is accepted, and nobody would make room. */
static size_t most_connections(const struct ferry_limits_config *limits)
{
    struct rlimit files;
    size_t wanted = (size_t)limits->connections;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > wanted + FERRY_HTTP_FILES_BESIDE)
        return wanted;
    return files.rlim_cur > 2 * FERRY_HTTP_FILES_BESIDE ? files.rlim_cur - FERRY_HTTP_FILES_BESIDE : files.rlim_cur / 2;
}

static enum ferry_code start_parts(struct ferry_http *http, struct ferry_error *error)
{
    http->connections_max = most_connections(&http->options.config->limits);
    ferry_long_setup(http);
    /* A connection's pool is mostly room for a large head. On the heap all of it would be resident after a while, as
     * pieces of others' pools; in a mapping of its own only the pages that were written are, and they are given back.
     */
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    ferry_bucket_init(&http->log_bucket, (struct ferry_rate){LOG_LINES_A_SECOND, 1000});
    enum ferry_code code = ferry_proxies_init(&http->proxies, http->options.config->trusted_proxies, error);
    if (code == FERRY_OK && (http->addresses = ferry_address_counts_new()) == NULL)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK)
        code = open_tls(http, error);
    if (code == FERRY_OK)
        code = start_shards(http, error);
    return code;
}

enum ferry_code ferry_http_start(const struct ferry_http_options *options, struct ferry_http **out,
                                 struct ferry_error *error)
{
    struct ferry_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    http->options = *options;
    ferry_body_pool_init(&http->bodies);
    enum ferry_code code = start_parts(http, error);
    if (code != FERRY_OK) {
        ferry_http_drain(http, 0);
        ferry_http_stop(http);
        return code;
    }
    *out = http;
    return FERRY_OK;
}

uint16_t ferry_http_port(const struct ferry_http *http)
{
    return http->port;
}

enum ferry_code ferry_http_reload_certificate(struct ferry_http *http, bool only_if_changed, bool *read,
                                              struct ferry_error *error)
{
    *read = http->tls != NULL && (!only_if_changed || ferry_tls_changed(http->tls));
    if (!*read)
        return FERRY_OK;
    enum ferry_code code = ferry_tls_reload(http->tls, error);
    if (code == FERRY_OK)
        ferry_ops_set_certificate_expiry(http->options.ops, ferry_tls_expiry(http->tls));
    return code;
}

static void wake_all(struct ferry_http *http)
{
    for (unsigned i = 0; i < http->shard_count; i++)
        ferry_shard_wake(&http->shards[i]);
}

void ferry_http_drain(struct ferry_http *http, int64_t timeout_ms)
{
    int64_t deadline = ferry_clock_mono_ms() + timeout_ms;
    const struct timespec pause = {.tv_nsec = 10000000};
    atomic_store(&http->draining, true);
    wake_all(http);
    while (atomic_load(&http->running) > 0 && ferry_clock_mono_ms() < deadline)
        nanosleep(&pause, NULL);
    atomic_store(&http->force, true);
    wake_all(http);
    for (unsigned i = 0; i < http->shard_count; i++) {
        if (http->shards[i].started)
            pthread_join(http->shards[i].thread, NULL);
        http->shards[i].started = false;
    }
}

void ferry_http_stop(struct ferry_http *http)
{
    if (http == NULL)
        return;
    for (unsigned i = 0; i < http->shard_count; i++)
        ferry_shard_done(&http->shards[i]);
    free(http->shards);
    ferry_tls_close(http->tls);
    ferry_address_counts_free(http->addresses);
    ferry_proxies_done(&http->proxies);
    ferry_body_pool_done(&http->bodies);
    free(http);
}
