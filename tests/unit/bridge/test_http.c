/* The ingress on real sockets, with the embedded broker behind it: what the HTTP library lets through, limits,
 * deadlines, and the end. */
#include "doors.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "bridge/http.h"
#include "core/clock.h"
#include "core/kafka/mock_broker.h"
#include "core/log.h"

struct fixture {
    struct ferry_mock_broker *broker;
    struct ferry_config *config;
    struct ferry_snapshot_slot snapshots;
    struct ferry_ops *ops;
    struct ferry_publisher *publisher;
    struct ferry_http *http;
    char directory[64];
};

static const char yaml[] = "kafka: {bootstrap.servers: '%s'}\n"
                           "bridge:\n"
                           "  listen: 127.0.0.1:0\n"
                           "  ack_timeout: 800ms\n"
                           "  spool: {directory: %s/spool}\n"
                           "  limits: {body: 64KiB, headers: 8KiB, header_timeout: 500ms, request_timeout: 2s,\n"
                           "           connections: 40, per_address: 30}\n"
                           "  webhooks:\n"
                           "    - path: /hook\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['com.acme.*']\n"
                           "    - path: /qlik\n"
                           "      secrets: [{env: FERRY_TEST_SECRET}]\n";

static void open_config(struct fixture *fixture)
{
    char text[1024];
    snprintf(text, sizeof text, yaml, ferry_mock_broker_address(fixture->broker), fixture->directory);
    fixture->config = doors_config(text);
    struct ferry_snapshot *snapshot;
    assert_int_equal(ferry_snapshot_new(fixture->config, false, NULL, &snapshot, NULL), FERRY_OK);
    ferry_snapshot_slot_init(&fixture->snapshots, snapshot);
}

static void start_http(struct fixture *fixture)
{
    const struct ferry_http_options options = {
        .config = &fixture->config->bridge,
        .snapshots = &fixture->snapshots,
        .publisher = fixture->publisher,
        .ops = fixture->ops,
        .shards = 2,
    };
    struct ferry_error error = {0};
    enum ferry_code code = ferry_http_start(&options, &fixture->http, &error);
    if (code != FERRY_OK)
        print_error("%s\n", error.text);
    assert_int_equal(code, FERRY_OK);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct ferry_error error = {0};
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/ferry-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(ferry_mock_broker_start(&fixture->broker, &error), FERRY_OK);
    const char *topics[] = {"qlik.other", "ferry.quarantine"};
    assert_int_equal(ferry_mock_broker_topics(fixture->broker, topics, 2, &error), FERRY_OK);
    open_config(fixture);
    fixture->ops = ferry_ops_new();
    assert_int_equal(
        ferry_publisher_open(fixture->config, ferry_ops_metrics(fixture->ops), &fixture->publisher, &error), FERRY_OK);
    ferry_publisher_topics_ready(fixture->publisher);
    start_http(fixture);
    *state = fixture;
    return 0;
}

static void stop_http(struct fixture *fixture, int64_t timeout_ms)
{
    if (fixture->http == NULL)
        return;
    ferry_http_drain(fixture->http, timeout_ms);
    ferry_publisher_close(fixture->publisher);
    ferry_http_stop(fixture->http);
    fixture->http = NULL;
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found, (void)kind, (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stop_http(fixture, 2000);
    ferry_snapshot_slot_done(&fixture->snapshots);
    ferry_ops_free(fixture->ops);
    ferry_config_free(fixture->config);
    ferry_mock_broker_stop(fixture->broker);
    assert_int_equal(nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    return 0;
}

/* ---- a client that may be rude ---- */

static int connect_to(const struct fixture *fixture)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(ferry_http_port(fixture->http)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, struct ferry_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the other side has had enough */
        bytes = ferry_slice_skip(bytes, (size_t)sent);
    }
}

/* What the other side said. */
struct heard {
    char text[16384];
    size_t len;
    bool closed; /* in order, not by a reset */
};

/* Until the other side closes, or `quiet_ms` pass without a byte. */
static void hear(int fd, int quiet_ms, struct heard *heard)
{
    *heard = (struct heard){0};
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    while (heard->len < sizeof heard->text - 1 && poll(&poller, 1, quiet_ms) > 0) {
        ssize_t got = recv(fd, heard->text + heard->len, sizeof heard->text - 1 - heard->len, 0);
        heard->closed = got == 0;
        if (got <= 0)
            break;
        heard->len += (size_t)got;
    }
    heard->text[heard->len] = '\0';
}

/* One answer: what comes in one piece. */
static void hear_once(int fd, struct heard *heard)
{
    *heard = (struct heard){0};
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    ssize_t got = poll(&poller, 1, 3000) > 0 ? recv(fd, heard->text, sizeof heard->text - 1, 0) : 0;
    heard->len = got > 0 ? (size_t)got : 0;
}

/* The statuses of all answers, as one text: "204 401". */
static const char *statuses(const struct heard *heard)
{
    static char text[64];
    text[0] = '\0';
    for (const char *at = heard->text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++) {
        assert_true(strlen(text) + 5 < sizeof text);
        snprintf(text + strlen(text), 5, "%s%.3s", text[0] != '\0' ? " " : "", at + 9);
    }
    return text;
}

static void exchange(const struct fixture *fixture, struct ferry_slice bytes, int quiet_ms, struct heard *heard)
{
    int fd = connect_to(fixture);
    send_all(fd, bytes);
    hear(fd, quiet_ms, heard);
    close(fd);
}

#define EVENT "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"com.acme.x\"}"
#define EVENT_BYTES 64
#define LINE "POST /hook HTTP/1.1\r\n"
#define TYPE "Content-Type: application/cloudevents+json\r\n"
#define GOOD LINE "Host: x\r\n" TYPE "Content-Length: 64\r\n\r\n" EVENT

/* ---- ordinary requests ---- */

static void an_event_is_answered_when_it_is_in_kafka_and_the_connection_goes_on(void **state)
{
    struct heard heard;
    assert_int_equal(strlen(EVENT), EVENT_BYTES);
    exchange(*state, FERRY_SLICE(GOOD GOOD GOOD), 500, &heard);
    assert_string_equal(statuses(&heard), "204 204 204");
}

static void a_refused_request_with_a_small_body_keeps_its_connection(void **state)
{
    struct heard heard;
    exchange(*state,
             FERRY_SLICE("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
                         "PUT /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
                         "POST /qlik HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" GOOD),
             500, &heard);
    assert_string_equal(statuses(&heard), "404 405 401 204");
    assert_non_null(strstr(heard.text, "Allow: POST, OPTIONS\r\n"));
    assert_non_null(strstr(heard.text, "Content-Type: application/problem+json\r\n"));
}

static void an_options_request_is_answered_with_the_handshake(void **state)
{
    struct heard heard;
    exchange(*state,
             FERRY_SLICE("OPTIONS /hook HTTP/1.1\r\nHost: x\r\nWebHook-Request-Origin: a.example\r\n\r\n"
                         "OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"),
             300, &heard);
    assert_string_equal(statuses(&heard), "204 404");
    assert_non_null(strstr(heard.text, "WebHook-Allowed-Origin: *\r\n"));
    assert_non_null(strstr(heard.text, "WebHook-Allowed-Rate: *\r\n"));
}

static void a_body_in_chunks_with_a_trailer_is_a_body(void **state)
{
    struct heard heard;
    exchange(*state,
             FERRY_SLICE(
                 LINE
                 "Host: x\r\n" TYPE "Transfer-Encoding: chunked\r\n\r\n"
                 "A;ext=1\r\n{\"specvers\r\n36\r\nion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"com.acme.x\"}"
                 "\r\n0\r\nX-Trailer: y\r\n\r\n" GOOD),
             500, &heard);
    assert_string_equal(statuses(&heard), "204 204");
}

/* ---- requests that must never be taken for two ---- */

#define SMUGGLED "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
#define ATTACK(lines) FERRY_SLICE(LINE "Host: x\r\n" lines "\r\n{}" SMUGGLED)

static void an_ambiguous_request_is_answered_400_once_and_its_connection_closed(void **state)
{
    const struct ferry_slice attacks[] = {
        ATTACK("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        ATTACK("Content-Length: 2\r\nContent-Length: 3\r\n"),
        ATTACK("Content-Length: 2\r\nContent-Length: 2\r\n"),
        ATTACK("Content-Length: +2\r\n"),
        ATTACK("Content-Length: 0x2\r\n"),
        ATTACK("Content-Length: 2,2\r\n"),
        ATTACK("Content-Length:\r\n"),
        ATTACK("Content-Length: -1\r\n"),
        ATTACK("Content-Length: 9223372036854775808\r\n"),
        ATTACK("Content-Length: 18446744073709551618\r\n"),
        ATTACK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ATTACK("Transfer-Encoding: chunked, chunked\r\n"),
        ATTACK("Transfer-Encoding: xchunked\r\n"),
        ATTACK("Transfer-Encoding: identity\r\n"),
        ATTACK("Transfer-Encoding: gzip, chunked\r\n"),
        ATTACK("Transfer-Encoding:\x0b"
               "chunked\r\n"),
        ATTACK("Content-Length: 2\r\nHost: y\r\n"),
        FERRY_SLICE(LINE "Content-Length: 2\r\n\r\n{}" SMUGGLED),
        ATTACK("Content-Length: 2\r\nX: a\0b\r\n"),
        ATTACK("Content-Length: 2\0\0\r\n"),
        ATTACK("Content-Length: 2\r\nX: a\x01"
               "b\r\n"),
        ATTACK("Content-Length: 2\r\nX\xC3\xA4: a\r\n"),
        ATTACK("Content-Length: 2\r\nX\0: a\r\n"),
        ATTACK("Content-Length : 2\r\n"),
        ATTACK("Content-Length:\r\n 2\r\n"),
        ATTACK("Content-Length: 2\r\nX: a\r\n b\r\n"),
        ATTACK("Content-Length: 2\r\nX: a\r\n\tb\r\nY: c\r\n"),
        FERRY_SLICE(LINE " Host: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED),
        ATTACK("Content-Length: 2\nX: a\r\n"),
        ATTACK("Content-Length: 2\r\nX: a\n"),
        ATTACK("Content-Length: 2\r\nX: a\rY: b\r\n"),
        FERRY_SLICE("POST /hook HTTP/1.1\nHost: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED),
        FERRY_SLICE(LINE "Host: x\r\nContent-Length: 2\r\n\n{}" SMUGGLED),
        FERRY_SLICE("POST /hook%00 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED),
        FERRY_SLICE("POST  /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED),
        FERRY_SLICE("POST /hook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
        FERRY_SLICE(LINE "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" SMUGGLED),
        FERRY_SLICE(LINE "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" SMUGGLED),
        FERRY_SLICE(LINE "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n0\r\n\r\n" SMUGGLED),
    };
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        struct heard heard;
        exchange(*state, attacks[i], 3000, &heard);
        if (strcmp(statuses(&heard), "400") != 0 || !heard.closed)
            fail_msg("attack %zu: %s, %s", i, statuses(&heard), heard.closed ? "closed" : "not closed");
    }
}

/* libmicrohttpd 1.0 knows of no request yet, and hangs up without a word. */
static void a_nul_in_the_request_line_ends_the_connection(void **state)
{
    struct heard heard;
    exchange(*state, FERRY_SLICE("POST /hook\0/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED), 3000,
             &heard);
    assert_true(strcmp(statuses(&heard), "400") == 0 || heard.len == 0);
    assert_true(heard.closed);
}

static void a_chunk_larger_than_any_integer_is_413_and_closed(void **state)
{
    struct heard heard;
    exchange(
        *state,
        FERRY_SLICE(LINE "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n" SMUGGLED),
        3000, &heard);
    assert_string_equal(statuses(&heard), "413");
    assert_true(heard.closed);
}

/* ---- limits ---- */

static void a_declared_body_that_is_too_large_is_413_before_it_is_read(void **state)
{
    struct heard heard;
    exchange(*state, FERRY_SLICE(LINE "Host: x\r\nContent-Length: 65537\r\n\r\n"), 3000, &heard);
    assert_string_equal(statuses(&heard), "413");
    assert_true(heard.closed);
}

static void the_answer_413_survives_a_sender_that_goes_on_sending(void **state)
{
    enum { BYTES = 4 << 20 };
    char *flood = calloc(1, BYTES);
    int len = snprintf(flood, BYTES, LINE "Host: x\r\nContent-Length: %d\r\n\r\n", BYTES);
    struct heard heard;
    assert_true(len > 0);
    exchange(*state, ferry_slice_of(flood, BYTES), 3000, &heard);
    free(flood);
    assert_string_equal(statuses(&heard), "413");
}

static void chunks_that_grow_too_large_are_413(void **state)
{
    enum { BYTES = 200000 };
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer flood;
    ferry_buffer_init(&flood, BYTES);
    ferry_buffer_add_text(&flood, LINE "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int chunk = 0; chunk < 9; chunk++)
        ferry_buffer_printf(&flood, "4000\r\n%*s\r\n", 0x4000, "");
    struct heard heard;
    exchange(*state, ferry_buffer_slice(&flood), 3000, &heard);
    assert_string_equal(statuses(&heard), "413");
}

static void headers_that_are_too_large_are_431(void **state)
{
    static const int sizes[] = {8200, 12000, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer head;
        ferry_buffer_init(&head, 65536);
        ferry_buffer_printf(&head, LINE "Host: x\r\nX-Big: %*s\r\n\r\n", sizes[i], "x");
        struct heard heard;
        exchange(*state, ferry_buffer_slice(&head), 1500, &heard);
        assert_string_equal(statuses(&heard), "431");
    }
}

static void headers_up_to_the_limit_pass(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer head;
    ferry_buffer_init(&head, 65536);
    ferry_buffer_add_text(&head, LINE "Host: x\r\n" TYPE);
    for (int i = 0; i < 60; i++)
        ferry_buffer_printf(&head, "X-%d: %0100d\r\n", i, i);
    ferry_buffer_printf(&head, "Content-Length: %d\r\n\r\n%s", EVENT_BYTES, EVENT);
    struct heard heard;
    exchange(*state, ferry_buffer_slice(&head), 500, &heard);
    assert_string_equal(statuses(&heard), "204");
}

static void more_connections_of_one_address_are_closed_at_once(void **state)
{
    enum { LIMIT = 30, MORE = 5 };
    int fds[LIMIT + MORE], closed = 0;
    for (int i = 0; i < LIMIT + MORE; i++) {
        fds[i] = connect_to(*state);
        struct heard heard; /* one after the other: the count is settled when the answer has come */
        if (i < LIMIT) {
            send_all(fds[i], FERRY_SLICE("GET /hook HTTP/1.1\r\nHost: x\r\n\r\n"));
            hear_once(fds[i], &heard);
            assert_string_equal(statuses(&heard), "405");
        } else {
            hear(fds[i], 500, &heard);
            closed += heard.len == 0;
        }
    }
    for (int i = 0; i < LIMIT + MORE; i++)
        close(fds[i]);
    assert_int_equal(closed, MORE);
    struct heard heard = {0};
    for (int tries = 0; tries < 50 && strcmp(statuses(&heard), "204") != 0; tries++)
        exchange(*state, FERRY_SLICE(GOOD), 100, &heard); /* whoever leaves makes room */
    assert_string_equal(statuses(&heard), "204");
}

/* ---- deadlines ---- */

static void a_head_that_does_not_come_is_408(void **state)
{
    static const char *const beginnings[] = {"", "POST /ho", LINE "Host: x\r\n"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        struct heard heard;
        exchange(*state, ferry_slice_from(beginnings[i]), 3000, &heard);
        assert_string_equal(statuses(&heard), "408");
        assert_true(heard.closed);
    }
}

static void one_byte_after_the_other_does_not_keep_a_connection(void **state)
{
    int fd = connect_to(*state);
    int64_t began = ferry_clock_mono_ms();
    const struct timespec pause = {.tv_nsec = 50000000};
    send_all(fd, FERRY_SLICE(LINE "Host: x\r\nContent-Length: 1000\r\n\r\n"));
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    while (poll(&poller, 1, 0) == 0 && ferry_clock_mono_ms() - began < 5000) {
        send_all(fd, FERRY_SLICE("x"));
        nanosleep(&pause, NULL);
    }
    struct heard heard;
    hear(fd, 1000, &heard);
    close(fd);
    assert_string_equal(statuses(&heard), "408");
    assert_true(ferry_clock_mono_ms() - began < 3000);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct heard heard;
    exchange(*state, FERRY_SLICE(GOOD), 3000, &heard);
    assert_string_equal(statuses(&heard), "204");
    assert_true(heard.closed);
}

/* ---- many at once, and the end ---- */

struct sender {
    const struct fixture *fixture;
    atomic_bool *stop;
    int answered;
    int lost; /* answers that are not 204, or that broke off */
};

/* One request after the other on a connection, until the other side says close; then a new one. */
static void *send_requests(void *context)
{
    struct sender *sender = context;
    int fd = connect_to(sender->fixture);
    while (!atomic_load(sender->stop)) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        char answer[512];
        send_all(fd, FERRY_SLICE(GOOD));
        ssize_t got = poll(&poller, 1, 5000) > 0 ? recv(fd, answer, sizeof answer - 1, 0) : -1;
        answer[got > 0 ? got : 0] = '\0';
        if (strncmp(answer, "HTTP/1.1 204", 12) != 0) {
            sender->lost++;
            break;
        }
        sender->answered++;
        if (strstr(answer, "Connection: close") != NULL)
            break;
    }
    close(fd);
    return NULL;
}

enum { SENDERS = 24 };

static void start_senders(const struct fixture *fixture, atomic_bool *stop, struct sender *senders, pthread_t *threads)
{
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.fixture = fixture, .stop = stop};
        assert_int_equal(pthread_create(&threads[i], NULL, send_requests, &senders[i]), 0);
    }
}

static int join_senders(struct sender *senders, pthread_t *threads, int *lost)
{
    int answered = 0;
    *lost = 0;
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        answered += senders[i].answered;
        *lost += senders[i].lost;
    }
    return answered;
}

static void a_reload_under_load_fails_no_request(void **state)
{
    struct fixture *fixture = *state;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    atomic_bool stop = false;
    const struct timespec pause = {.tv_nsec = 5000000};
    start_senders(fixture, &stop, senders, threads);
    for (int i = 0; i < 100; i++) {
        struct ferry_snapshot *current = ferry_snapshot_slot_get(&fixture->snapshots), *next;
        assert_int_equal(ferry_snapshot_new(fixture->config, false, current, &next, NULL), FERRY_OK);
        ferry_snapshot_drop(current);
        ferry_snapshot_slot_set(&fixture->snapshots, next);
        nanosleep(&pause, NULL);
    }
    atomic_store(&stop, true);
    int lost, answered = join_senders(senders, threads, &lost);
    assert_int_equal(lost, 0);
    assert_true(answered > SENDERS);
}

static void a_drain_under_load_answers_every_request(void **state)
{
    struct fixture *fixture = *state;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    atomic_bool stop = false;
    const struct timespec pause = {.tv_nsec = 300000000};
    start_senders(fixture, &stop, senders, threads);
    nanosleep(&pause, NULL);
    ferry_http_drain(fixture->http, 5000);
    int lost, answered = join_senders(senders, threads, &lost);
    assert_int_equal(lost, 0);
    assert_true(answered > 0);
}

static void a_drain_closes_who_is_idle_and_ends_in_time_for_who_is_slow(void **state)
{
    struct fixture *fixture = *state;
    int idle = connect_to(fixture), slow = connect_to(fixture);
    struct heard heard;
    send_all(idle, FERRY_SLICE(GOOD));
    hear(idle, 200, &heard);
    assert_string_equal(statuses(&heard), "204");
    send_all(slow, FERRY_SLICE(LINE "Host: x\r\nContent-Length: 1000\r\n\r\nabc"));
    hear(slow, 100, &heard);
    assert_string_equal(statuses(&heard), "");
    int64_t began = ferry_clock_mono_ms();
    ferry_http_drain(fixture->http, 300);
    assert_true(ferry_clock_mono_ms() - began < 2500);
    hear(idle, 500, &heard);
    assert_true(heard.closed && heard.len == 0);
    hear(slow, 500, &heard);
    assert_string_equal(statuses(&heard), "503");
    close(idle);
    close(slow);
}

/* Without a broker: whoever is parked is told before the deadline of the end, and nothing is freed too early. */
static void a_drain_without_kafka_answers_what_is_parked(void **state)
{
    struct fixture *fixture = *state;
    ferry_mock_broker_stop(fixture->broker);
    fixture->broker = NULL;
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_to(fixture);
        send_all(fds[i], FERRY_SLICE(GOOD));
    }
    const struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    stop_http(fixture, 200);
    for (int i = 0; i < 8; i++) {
        struct heard heard;
        hear(fds[i], 500, &heard);
        const char *status = statuses(&heard);
        if (strcmp(status, "202") != 0 && strcmp(status, "503") != 0)
            fail_msg("answered %s", status);
        close(fds[i]);
    }
}

static void a_port_in_use_is_said_with_its_cure(void **state)
{
    struct fixture *fixture = *state;
    char text[1024];
    snprintf(text, sizeof text,
             "bridge:\n  listen: 127.0.0.1:%u\n  webhooks:\n    - path: /qlik\n"
             "      secrets: [{env: FERRY_TEST_SECRET}]\n",
             (unsigned)ferry_http_port(fixture->http));
    struct ferry_config *config = doors_config(text);
    const struct ferry_http_options options = {
        .config = &config->bridge,
        .snapshots = &fixture->snapshots,
        .publisher = fixture->publisher,
        .ops = fixture->ops,
    };
    struct ferry_http *second = NULL;
    struct ferry_error error = {0};
    assert_int_equal(ferry_http_start(&options, &second, &error), FERRY_SYSTEM);
    assert_non_null(strstr(error.text, "in use"));
    assert_null(second);
    ferry_config_free(config);
}

#define ROW_OF(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    ferry_log_setup("test", FERRY_LOG_TEXT, FERRY_LOG_ERROR);
    const struct CMUnitTest serving[] = {
        cmocka_unit_test(an_event_is_answered_when_it_is_in_kafka_and_the_connection_goes_on),
        cmocka_unit_test(a_refused_request_with_a_small_body_keeps_its_connection),
        cmocka_unit_test(an_options_request_is_answered_with_the_handshake),
        cmocka_unit_test(a_body_in_chunks_with_a_trailer_is_a_body),
        cmocka_unit_test(an_ambiguous_request_is_answered_400_once_and_its_connection_closed),
        cmocka_unit_test(a_nul_in_the_request_line_ends_the_connection),
        cmocka_unit_test(a_chunk_larger_than_any_integer_is_413_and_closed),
        cmocka_unit_test(a_declared_body_that_is_too_large_is_413_before_it_is_read),
        cmocka_unit_test(the_answer_413_survives_a_sender_that_goes_on_sending),
        cmocka_unit_test(chunks_that_grow_too_large_are_413),
        cmocka_unit_test(headers_that_are_too_large_are_431),
        cmocka_unit_test(headers_up_to_the_limit_pass),
        cmocka_unit_test(more_connections_of_one_address_are_closed_at_once),
        cmocka_unit_test(a_head_that_does_not_come_is_408),
        cmocka_unit_test(one_byte_after_the_other_does_not_keep_a_connection),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_reload_under_load_fails_no_request),
        cmocka_unit_test(a_port_in_use_is_said_with_its_cure),
    };
    const struct CMUnitTest ending[] = {
        ROW_OF(a_drain_under_load_answers_every_request),
        ROW_OF(a_drain_closes_who_is_idle_and_ends_in_time_for_who_is_slow),
        ROW_OF(a_drain_without_kafka_answers_what_is_parked),
    };
    int failed = cmocka_run_group_tests(serving, set_up, tear_down);
    return failed + cmocka_run_group_tests(ending, NULL, NULL);
}
