/* The other end of an effect, for benchmarks: an HTTP/1.1 server on loopback that answers every request with 204 after
 * a fixed delay, and looks whether the effects of a key come in order.
 *
 *     sink PORT DELAY_MS          requests: any method, path /KEY/NUMBER; the numbers of a key have to rise
 *
 * On SIGUSR1 it prints one line of JSON: requests, keys, distinct numbers, breaks of order, requests under way at most.
 * One thread, epoll, connections kept alive, requests not pipelined; what is not such a request ends the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/hash.h"

enum { CONNECTIONS = 4096, REQUEST_MAX = 256 * 1024, KEYS = 1 << 20, NUMBERS = 1 << 20, EVENTS = 256 };

struct connection {
    char *bytes; /* of a request that has not come whole yet */
    size_t len;
    int64_t due_us; /* of the answer; 0: nothing to answer */
    int next;       /* of those that wait for their answer */
};

static struct connection connections[CONNECTIONS];
static int epoll;
static int waiting_first = -1, waiting_last = -1; /* the delay is the same for all: first come, first answered */
static int64_t delay_us;

static struct {
    uint64_t key; /* hash; 0: free */
    int64_t last;
} keys[KEYS];
static bool seen[NUMBERS];
static uint64_t requests, key_count, distinct, breaks, under_way, most_under_way;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- order ---- */

static void note(struct ferry_slice key, int64_t number)
{
    uint64_t hash = ferry_hash(FERRY_HASH_EMPTY, key) | 1;
    size_t at = hash >> 20 & (KEYS - 1);
    while (keys[at].key != 0 && keys[at].key != hash)
        at = (at + 1) & (KEYS - 1);
    if (keys[at].key == 0 && ++key_count >= KEYS / 2)
        die("too many keys");
    else if (keys[at].key == hash && number <= keys[at].last)
        breaks++;
    keys[at].key = hash;
    keys[at].last = number;
    requests++;
    if (number < 0 || number >= NUMBERS)
        die("a number that is too large");
    distinct += !seen[number];
    seen[number] = true;
}

/* "POST /KEY/NUMBER HTTP/1.1" */
static void note_request(const char *head)
{
    const char *key = strchr(head, '/');
    const char *slash = key != NULL ? strchr(key + 1, '/') : NULL;
    if (slash == NULL)
        die("not a request of a benchmark");
    note(ferry_slice_of(key + 1, (size_t)(slash - key - 1)), strtoll(slash + 1, NULL, 10));
}

/* ---- connections ---- */

static void answer(int fd)
{
    static const char text[] = "HTTP/1.1 204 No Content\r\n\r\n";
    connections[fd].due_us = 0;
    under_way--;
    if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1)
        shutdown(fd, SHUT_RDWR);
}

static void answer_later(int fd)
{
    connections[fd].due_us = now_us() + delay_us;
    connections[fd].next = -1;
    if (waiting_last >= 0)
        connections[waiting_last].next = fd;
    else
        waiting_first = fd;
    waiting_last = fd;
}

static void answer_due(void)
{
    int64_t now = now_us();
    while (waiting_first >= 0 && connections[waiting_first].due_us <= now) {
        int fd = waiting_first;
        waiting_first = connections[fd].next;
        if (waiting_first < 0)
            waiting_last = -1;
        answer(fd);
    }
}

static size_t declared_length(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "content-length:", 15) == 0)
            return (size_t)strtoull(line + 17, NULL, 10);
    return 0;
}

/* True if a whole request is there; it is taken away. */
static bool take_request(struct connection *c)
{
    c->bytes[c->len] = '\0';
    char *end = strstr(c->bytes, "\r\n\r\n");
    if (end == NULL)
        return false;
    size_t head = (size_t)(end + 4 - c->bytes);
    *end = '\0';
    size_t whole = head + declared_length(c->bytes);
    *end = '\r';
    if (c->len < whole)
        return false;
    note_request(c->bytes);
    memmove(c->bytes, c->bytes + whole, c->len - whole);
    c->len -= whole;
    return true;
}

static void end_connection(int fd)
{
    if (connections[fd].due_us != 0)
        die("a connection was closed before its answer");
    connections[fd].len = 0;
    close(fd);
}

static void read_from(int fd)
{
    struct connection *c = &connections[fd];
    if (c->bytes == NULL && (c->bytes = malloc(REQUEST_MAX + 1)) == NULL)
        die("memory");
    ssize_t got = recv(fd, c->bytes + c->len, REQUEST_MAX - c->len, 0);
    if (got <= 0) {
        end_connection(fd);
        return;
    }
    c->len += (size_t)got;
    if (!take_request(c))
        return;
    if (++under_way > most_under_way)
        most_under_way = under_way;
    if (delay_us == 0)
        answer(fd);
    else
        answer_later(fd);
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= CONNECTIONS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("too many connections");
}

/* ---- the program ---- */

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
        die("cannot listen");
    return fd;
}

static int watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, 0);
}

static void print_figures(int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != sizeof info)
        die("signal");
    printf("{\"requests\": %" PRIu64 ", \"keys\": %" PRIu64 ", \"distinct\": %" PRIu64 ", \"breaks\": %" PRIu64
           ", \"most_under_way\": %" PRIu64 "}\n",
           requests, key_count, distinct, breaks, most_under_way);
    fflush(stdout);
}

static int patience_ms(void)
{
    if (waiting_first < 0)
        return -1;
    int64_t left = connections[waiting_first].due_us - now_us();
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: sink PORT DELAY_MS\n");
        return 2;
    }
    delay_us = strtoll(argv[2], NULL, 10) * 1000;
    epoll = epoll_create1(0);
    int listener = listen_on((int)strtol(argv[1], NULL, 10)), signals = watch_signals();
    watch(listener);
    watch(signals);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, patience_ms());
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listener)
                watch(accept(listener, NULL, NULL));
            else if (events[i].data.fd == signals)
                print_figures(signals);
            else
                read_from(events[i].data.fd);
        answer_due();
    }
}
