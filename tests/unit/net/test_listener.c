/* The small server and the admin address on it, asked over plain sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/listener.h"

static const struct ferry_address anywhere_free = {.text = "127.0.0.1:0", .host = "127.0.0.1", .port = 0};

/* ---- asking ---- */

static int connect_to(const struct ferry_listener *listener)
{
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(ferry_listener_port(listener))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 15};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof peer), 0);
    return fd;
}

/* Sends a request, `body_len` zeros and `tail` after it; returns everything that comes back until the server closes. */
static const char *ask_long(const struct ferry_listener *listener, const char *request, size_t body_len,
                            const char *tail)
{
    static char answer[8192];
    static char zeros[65536];
    int fd = connect_to(listener);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (body_len > 0) {
        ssize_t sent = send(fd, zeros, body_len < sizeof zeros ? body_len : sizeof zeros, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        body_len -= (size_t)sent;
    }
    send(fd, tail, strlen(tail), MSG_NOSIGNAL);
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0;)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
    return answer;
}

static const char *ask(const struct ferry_listener *listener, const char *request)
{
    return ask_long(listener, request, 0, "");
}

static void assert_status(const char *answer, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(answer, line, strlen(line)) != 0)
        fail_msg("expected %d, got %.40s", status, answer);
}

/* ---- the server ---- */

static void echo(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    (void)context;
    if (strcmp(call->path, "/missing") == 0)
        return;
    reply->status = 200;
    reply->content_type = "text/plain";
    ferry_buffer_add_text(&reply->headers, "X-Extra: yes\nX-More: a: b\n");
    struct ferry_slice name = ferry_pairs_get(call->headers, "X-Name");
    ferry_buffer_printf(&reply->body, "%s %s %.*s %zu [%.*s]", call->method, call->path, FERRY_SLICE_ARGS(name),
                        call->body.len, (int)(call->body.len < 32 ? call->body.len : 0), call->body.ptr);
}

static struct ferry_listener *start_echo(void)
{
    struct ferry_listener *listener = NULL;
    struct ferry_error error;
    assert_int_equal(ferry_listener_start(&anywhere_free, echo, NULL, &listener, &error), FERRY_OK);
    assert_int_not_equal(ferry_listener_port(listener), 0);
    return listener;
}

static void a_handler_sees_the_request_and_its_reply_arrives(void **state)
{
    (void)state;
    struct ferry_listener *listener = start_echo();
    const char *answer = ask(listener, "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Name: Ada\r\nContent-Length: 5\r\n"
                                       "Connection: close\r\n\r\nhello");
    assert_status(answer, 200);
    assert_non_null(strstr(answer, "\r\nX-Extra: yes\r\n"));
    assert_non_null(strstr(answer, "\r\nX-More: a: b\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(answer, "\r\n\r\nPOST /a/b Ada 5 [hello]"));
    ferry_listener_stop(listener);
}

static void no_status_is_404(void **state)
{
    (void)state;
    struct ferry_listener *listener = start_echo();
    assert_status(ask(listener, "GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 404);
    ferry_listener_stop(listener);
}

static void a_body_over_a_mebibyte_is_413(void **state)
{
    (void)state;
    struct ferry_listener *listener = start_echo();
    assert_status(ask(listener, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"), 413);
    assert_status(ask_long(listener,
                           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\nConnection: close\r\n\r\n",
                           1048576, ""),
                  200);
    assert_status(ask_long(listener,
                           "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                           "100001\r\n",
                           1048577, "\r\n0\r\n\r\n"),
                  413);
    ferry_listener_stop(listener);
}

static void a_port_in_use_is_told_with_a_cure(void **state)
{
    (void)state;
    struct ferry_listener *first = start_echo(), *second = NULL;
    char text[32];
    snprintf(text, sizeof text, "127.0.0.1:%u", ferry_listener_port(first));
    struct ferry_address taken = {.text = text, .host = "127.0.0.1", .port = ferry_listener_port(first)};
    struct ferry_error error;
    assert_int_equal(ferry_listener_start(&taken, echo, NULL, &second, &error), FERRY_SYSTEM);
    assert_null(second);
    assert_non_null(strstr(error.text, text));
    assert_non_null(strstr(error.text, "in use"));
    ferry_listener_stop(first);
}

static void an_address_of_another_machine_is_told(void **state)
{
    (void)state;
    static const struct ferry_address wrong[] = {{.text = "192.0.2.1:0", .host = "192.0.2.1"},
                                                 {.text = "nowhere.invalid:0", .host = "nowhere.invalid"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ferry_listener *listener = NULL;
        struct ferry_error error;
        assert_int_equal(ferry_listener_start(&wrong[i], echo, NULL, &listener, &error), FERRY_SYSTEM);
        assert_non_null(strstr(error.text, wrong[i].text));
    }
}

static void an_empty_host_is_every_address(void **state)
{
    (void)state;
    struct ferry_listener *listener = NULL;
    struct ferry_address any = {.text = ":0", .host = ""};
    assert_int_equal(ferry_listener_start(&any, echo, NULL, &listener, NULL), FERRY_OK);
    assert_status(ask(listener, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 200);
    ferry_listener_stop(listener);
}

/* ---- the admin address ---- */

static bool is_ready;

static bool ready(void *context, char *why, size_t why_bytes)
{
    (void)context;
    if (!is_ready)
        snprintf(why, why_bytes, "no partitions yet");
    return is_ready;
}

static const char *get(const struct ferry_listener *listener, const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    return ask(listener, request);
}

static struct ferry_listener *start_admin(struct ferry_metrics *metrics)
{
    struct ferry_listener *listener = NULL;
    struct ferry_admin admin = {.metrics = metrics, .ready = ready};
    assert_int_equal(ferry_admin_listener_start(&anywhere_free, &admin, &listener, NULL), FERRY_OK);
    memset(&admin, 0xff, sizeof admin); /* it may live on the caller's stack */
    return listener;
}

static void readiness_is_asked_each_time_and_says_why_not(void **state)
{
    (void)state;
    struct ferry_listener *listener = start_admin(NULL);
    is_ready = false;
    const char *answer = get(listener, "/readyz");
    assert_status(answer, 503);
    assert_non_null(strstr(answer, "not ready: no partitions yet\n"));
    assert_status(get(listener, "/healthz"), 200);
    is_ready = true;
    answer = get(listener, "/readyz");
    assert_status(answer, 200);
    assert_non_null(strstr(answer, "\r\n\r\nready\n"));
    ferry_listener_stop(listener);
}

static void metrics_are_printed_in_the_text_format(void **state)
{
    (void)state;
    static const char *const no_labels[] = {NULL};
    struct ferry_metrics *metrics = ferry_metrics_new();
    struct ferry_metric *family =
        ferry_metrics_family(metrics, FERRY_GAUGE, "ferry_kafka_up", "Is Kafka there", no_labels);
    ferry_series_set(ferry_metric_series(family, NULL), 1);
    struct ferry_listener *listener = start_admin(metrics);
    const char *answer = get(listener, "/metrics");
    assert_status(answer, 200);
    assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\nferry_kafka_up 1\n"));
    ferry_listener_stop(listener);
    ferry_metrics_free(metrics);
}

static void other_pages_and_methods_are_refused(void **state)
{
    (void)state;
    struct ferry_listener *listener = start_admin(NULL);
    assert_status(get(listener, "/"), 404);
    assert_status(get(listener, "/metrics/x"), 404);
    const char *answer =
        ask(listener, "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_status(answer, 405);
    assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
    answer = ask(listener, "HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_status(answer, 200);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    ferry_listener_stop(listener);
}

static void what_is_no_page_of_every_program_goes_to_more(void **state)
{
    (void)state;
    struct ferry_listener *listener = NULL;
    struct ferry_error error;
    const struct ferry_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    const struct ferry_admin admin = {.more = echo};
    assert_int_equal(ferry_admin_listener_start(&address, &admin, &listener, &error), FERRY_OK);
    assert_non_null(strstr(get(listener, "/console/"), "GET /console/ "));
    assert_non_null(strstr(get(listener, "/healthz"), "\r\n\r\nok\n"));
    assert_status(get(listener, "/missing"), 404);
    ferry_listener_stop(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_sees_the_request_and_its_reply_arrives),
        cmocka_unit_test(no_status_is_404),
        cmocka_unit_test(a_body_over_a_mebibyte_is_413),
        cmocka_unit_test(a_port_in_use_is_told_with_a_cure),
        cmocka_unit_test(an_address_of_another_machine_is_told),
        cmocka_unit_test(an_empty_host_is_every_address),
        cmocka_unit_test(readiness_is_asked_each_time_and_says_why_not),
        cmocka_unit_test(metrics_are_printed_in_the_text_format),
        cmocka_unit_test(other_pages_and_methods_are_refused),
        cmocka_unit_test(what_is_no_page_of_every_program_goes_to_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
