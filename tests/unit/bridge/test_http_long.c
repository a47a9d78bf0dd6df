/* Answers that are held back or stay open, on real sockets; the news come from this thread, as from the reader's. */
#include "doors.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bridge/http.h"
#include "core/clock.h"

#define ID "0123456789abcdef0123456789abcdef"

struct fixture {
    struct ferry_config *config;
    struct ferry_snapshot_slot snapshots;
    struct ferry_ops *ops;
    struct ferry_triggers *triggers;
    struct ferry_results *results;
    struct ferry_http *http;
    char path[128]; /* of the run */
};

static const char yaml[] = "kafka: {bootstrap.servers: '127.0.0.1:1'}\n"
                           "bridge:\n"
                           "  listen: 127.0.0.1:0\n"
                           "  ack_timeout: 500ms\n"
                           "  limits: {header_timeout: 500ms, request_timeout: 1s, connections: 64, per_address: 60}\n"
                           "  triggers:\n"
                           "    - {name: nightly, keys: [{name: tests, secret: {env: FERRY_TEST_SECRET}}]}\n";

static void name_run(struct fixture *fixture)
{
    char token[FERRY_TRIGGER_TOKEN + 1];
    const struct ferry_trigger_config *trigger = &fixture->config->bridge.triggers[0];
    assert_true(ferry_trigger_run_token(trigger, &trigger->keys[0], FERRY_SLICE(ID), token));
    snprintf(fixture->path, sizeof fixture->path, "/triggers/nightly/runs/%s/%s", ID, token);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct ferry_snapshot *snapshot;
    fixture->config = doors_config(yaml);
    assert_int_equal(ferry_snapshot_new(fixture->config, false, NULL, &snapshot, NULL), FERRY_OK);
    ferry_snapshot_slot_init(&fixture->snapshots, snapshot);
    fixture->ops = ferry_ops_new();
    fixture->triggers = ferry_triggers_new(NULL);
    fixture->results = ferry_results_new(NULL);
    name_run(fixture);
    const struct ferry_http_options options = {
        .config = &fixture->config->bridge,
        .snapshots = &fixture->snapshots,
        .ops = fixture->ops,
        .triggers = fixture->triggers,
        .results = fixture->results,
        .shards = 2,
    };
    assert_int_equal(ferry_http_start(&options, &fixture->http, NULL), FERRY_OK);
    *state = fixture;
    return 0;
}

static void stop_http(struct fixture *fixture)
{
    if (fixture->http == NULL)
        return;
    ferry_http_drain(fixture->http, 5000);
    ferry_http_stop(fixture->http);
    fixture->http = NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stop_http(fixture);
    ferry_results_free(fixture->results);
    ferry_triggers_free(fixture->triggers);
    ferry_snapshot_slot_done(&fixture->snapshots);
    ferry_ops_free(fixture->ops);
    ferry_config_free(fixture->config);
    free(fixture);
    return 0;
}

/* ---- both sides ---- */

/* What the worker tells of the run. */
static void tell_of(struct fixture *fixture, const char *trigger, const char *state, bool final, size_t output_bytes)
{
    char *value = malloc(output_bytes + 256);
    int len = snprintf(value, 256,
                       "{\"id\":\"" ID "\",\"trigger\":\"%s\",\"route\":\"r\",\"state\":\"%s\",\"final\":%s,"
                       "\"output\":{\"type\":\"text/plain\",\"text\":\"",
                       trigger, state, final ? "true" : "false");
    memset(value + len, 'x', output_bytes);
    memcpy(value + (size_t)len + output_bytes, "\"}}", sizeof "\"}}");
    const struct ferry_record record = {.value = ferry_slice_from(value)};
    assert_int_equal(ferry_results_learn(fixture->results, &record, ferry_clock_mono_ms(), NULL), FERRY_OK);
    free(value);
}

static void tell(struct fixture *fixture, const char *state, bool final, size_t output_bytes)
{
    tell_of(fixture, "nightly", state, final, output_bytes);
}

static int ask(const struct fixture *fixture, const char *behind)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(ferry_http_port(fixture->http)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char request[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(request, sizeof request, "GET %s%s HTTP/1.1\r\nHost: localhost\r\n\r\n", fixture->path, behind);
    const int little = 8192; /* who does not read is soon noticed */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    return fd;
}

/* Reads until that text has come (NULL: until the peer closes), at most half a minute; what was read, NUL behind it. */
static bool hear(int fd, const char *text, struct ferry_buffer *heard)
{
    char bytes[65536];
    int64_t until_ms = ferry_clock_mono_ms() + 30000;
    while (text == NULL || heard->ptr == NULL || strstr(heard->ptr, text) == NULL) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (ferry_clock_mono_ms() > until_ms)
            return false;
        if (poll(&readable, 1, 200) <= 0)
            continue;
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            return text == NULL;
        ferry_buffer_add(heard, ferry_slice_of(bytes, (size_t)got));
    }
    return true;
}

static double count_long(const struct fixture *fixture, const char *kind)
{
    struct ferry_metric *family =
        ferry_metrics_family(ferry_ops_metrics(fixture->ops), FERRY_GAUGE, "ferry_long_answers", NULL, NULL);
    const struct ferry_slice value = ferry_slice_from(kind);
    return ferry_series_value(ferry_metric_series(family, &value));
}

static bool comes_to(const struct fixture *fixture, const char *kind, double count)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000000L};
    for (int64_t until_ms = ferry_clock_mono_ms() + 30000; ferry_clock_mono_ms() < until_ms;) {
        if (count_long(fixture, kind) == count)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static struct ferry_buffer nothing(void)
{
    struct ferry_buffer heard;
    ferry_buffer_init(&heard, 64 << 20);
    return heard;
}

/* ---- the tests ---- */

static void who_waits_is_answered_when_the_run_ends(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
    int fd = ask(*state, "?wait=60s");
    assert_true(comes_to(*state, "wait", 1));
    tell(*state, "running", false, 0);
    tell(*state, "finished", true, 5);
    assert_true(hear(fd, "\r\n\r\nxxxxx", &heard));
    assert_memory_equal(heard.ptr, "HTTP/1.1 200 ", 13);
    assert_true(comes_to(*state, "wait", 0));
    close(fd);
}

static void who_has_waited_long_enough_is_told_the_state(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
    int64_t began_ms = ferry_clock_mono_ms();
    int fd = ask(*state, "?wait=1500ms"); /* longer than request_timeout */
    assert_true(hear(fd, "\"results\":[]}", &heard));
    assert_memory_equal(heard.ptr, "HTTP/1.1 202 ", 13);
    assert_true(ferry_clock_mono_ms() - began_ms >= 1400);
    close(fd);
}

static void a_run_of_another_trigger_is_not_shown(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
    tell_of(*state, "secret", "finished", true, 5);
    int fd = ask(*state, "?wait=300ms");
    assert_true(hear(fd, "\"known\":false", &heard));
    assert_null(strstr(heard.ptr, "xxxxx"));
    close(fd);
}

static void news_come_one_after_the_other_and_then_the_end(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
    int fd = ask(*state, "/events");
    assert_true(hear(fd, "\"known\":false", &heard));
    tell(*state, "running", false, 0);
    assert_true(hear(fd, "\"state\":\"running\"", &heard));
    tell(*state, "finished", true, 100000);
    assert_true(hear(fd, "event: end\ndata: final\n\n\r\n0\r\n\r\n", &heard));
    assert_true(comes_to(*state, "events", 0));
    close(fd);
}

static void a_peer_that_leaves_makes_room(void **state)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
    int fd = ask(*state, "/events");
    assert_true(hear(fd, "\"known\":false", &heard));
    assert_true(comes_to(*state, "events", 1));
    close(fd);
    assert_true(comes_to(*state, "events", 0));
}

static void a_peer_that_does_not_read_is_cut(void **state)
{
    int fd = ask(*state, "/events");
    assert_true(comes_to(*state, "events", 1));
    for (int i = 0; i < 100 && count_long(*state, "events") > 0; i++) {
        const struct timespec pause = {.tv_nsec = 30 * 1000000L};
        tell(*state, "running", false, 220 * 1024); /* after a while more than the sockets hold */
        nanosleep(&pause, NULL);
    }
    assert_true(comes_to(*state, "events", 0));
    close(fd);
}

static void many_hear_of_many_changes(void **state)
{
    enum { STREAMS = 12, CHANGES = 300 };
    int fds[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        fds[i] = ask(*state, i % 3 == 0 ? "/events?view=page" : "/events");
    for (int i = 0; i < CHANGES; i++)
        tell(*state, i % 2 == 0 ? "running" : "queued", false, 10);
    tell(*state, "finished", true, 10);
    for (int i = 0; i < STREAMS; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer heard = nothing();
        assert_true(hear(fds[i], "event: end\ndata: final\n\n", &heard));
        close(fds[i]);
    }
    assert_true(comes_to(*state, "events", 0));
}

static void all_are_let_go_when_the_bridge_stops(void **state)
{
    struct fixture *fixture = *state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer waited = nothing();
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer streamed = nothing();
    int waiting = ask(*state, "?wait=100s"), streaming = ask(*state, "/events");
    assert_true(comes_to(*state, "wait", 1) && comes_to(*state, "events", 1));
    int64_t began_ms = ferry_clock_mono_ms();
    stop_http(fixture);
    assert_true(ferry_clock_mono_ms() - began_ms < 4500);
    assert_true(hear(waiting, NULL, &waited) && hear(streaming, NULL, &streamed));
    assert_memory_equal(waited.ptr, "HTTP/1.1 202 ", 13);
    assert_non_null(strstr(streamed.ptr, ": this stream ends"));
    close(waiting);
    close(streaming);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(who_waits_is_answered_when_the_run_ends),
        WITH(who_has_waited_long_enough_is_told_the_state),
        WITH(a_run_of_another_trigger_is_not_shown),
        WITH(news_come_one_after_the_other_and_then_the_end),
        WITH(a_peer_that_leaves_makes_room),
        WITH(a_peer_that_does_not_read_is_cut),
        WITH(many_hear_of_many_changes),
        WITH(all_are_let_go_when_the_bridge_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
