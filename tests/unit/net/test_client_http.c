/* HTTP over the client, against a server that answers, breaks off or lies as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/tcp.h>

#include "answers.h"
#include "peer.h"

/* ---- servers ---- */

static void answer_all(struct peer *peer)
{
    while (peer_read_request(peer))
        peer_say(peer, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello");
}

static void answer_over_tls(struct peer *peer)
{
    if (peer_start_tls(peer))
        answer_all(peer);
}

static void tunnel_to_self(struct peer *peer)
{
    char connect[4096];
    if (!peer_read_until(peer, "\r\n\r\n", connect, sizeof connect) || strncmp(connect, "CONNECT ", 8) != 0)
        return;
    peer_say(peer, "HTTP/1.1 200 Connection established\r\n\r\n");
    answer_over_tls(peer);
}

/* Packets with data in them that came. */
static atomic_uint data_packets;

static void count_packets(struct peer *peer)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (peer_read_request(peer) && getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        atomic_store(&data_packets, info.tcpi_data_segs_in);
    peer_say(peer, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void leave_before_answering(struct peer *peer)
{
    peer_read_request(peer);
    peer_reset(peer);
}

static void never_answer(struct peer *peer)
{
    char byte;
    peer_read_request(peer);
    while (peer_receive(peer, &byte, 1) == 1)
        continue;
}

static void answer_once_then_die_on_the_next(struct peer *peer)
{
    if (!peer_read_request(peer))
        return;
    peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    if (peer->number == 1)
        peer_read_request(peer); /* … and no answer */
}

static void break_off_in_the_body(struct peer *peer)
{
    peer_read_request(peer);
    peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
}

static void continue_then_leave(struct peer *peer)
{
    peer_read_request(peer);
    peer_say(peer, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void answer_hugely(struct peer *peer)
{
    static char page[100000];
    memset(page, 'x', sizeof page);
    peer_read_request(peer);
    peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    peer_send(peer, page, sizeof page);
}

static void redirect_to_self(struct peer *peer)
{
    while (peer_read_request(peer))
        peer_say(peer, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
}

static char busy_header[128];

static void answer_busy(struct peer *peer)
{
    char answer[256];
    snprintf(answer, sizeof answer, "HTTP/1.1 429 Too Many Requests\r\n%sContent-Length: 0\r\n\r\n", busy_header);
    while (peer_read_request(peer))
        peer_say(peer, answer);
}

static void accept_and_leave(struct peer *peer)
{
    char hello[3]; /* of the TLS record */
    peer_receive(peer, hello, sizeof hello);
    peer_reset(peer);
}

/* ---- a client and one request ---- */

struct fixture {
    struct server *server;
    struct ferry_client *client;
    struct outcome *outcome;
    char url[128];
};

static void begin(struct fixture *fixture, peer_script *script, const char *scheme, const char *host)
{
    struct ferry_error error;
    *fixture = (struct fixture){.server = server_start(script), .outcome = outcome_new()};
    assert_int_equal(ferry_client_start(fixture->server->ca_file, &fixture->client, &error), FERRY_OK);
    snprintf(fixture->url, sizeof fixture->url, "%s://%s:%u/hook", scheme, host, fixture->server->port);
}

static void end(struct fixture *fixture)
{
    ferry_client_stop(fixture->client);
    server_stop(fixture->server);
    outcome_free(fixture->outcome);
}

static void submit(struct fixture *fixture, const char *method, const char *body, int64_t timeout_ms)
{
    struct ferry_pair headers[] = {{FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")},
                                   {FERRY_SLICE("X-Token"), FERRY_SLICE("s3cret")}};
    struct ferry_http_request request = {.method = method,
                                         .url = fixture->url,
                                         .headers = headers,
                                         .header_count = 2,
                                         .body = ferry_slice_from(body),
                                         .timeout_ms = timeout_ms};
    struct ferry_error error;
    assert_int_equal(ferry_client_http(fixture->client, &request, outcome_take, fixture->outcome, &error), FERRY_OK);
}

static void ask(struct fixture *fixture, const char *method, const char *body)
{
    int before = fixture->outcome->count;
    submit(fixture, method, body, 5000);
    assert_true(outcome_wait(fixture->outcome, before + 1));
}

/* ---- what is sent ---- */

static void a_post_carries_its_headers_and_body_and_brings_the_answer(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    ask(&f, "POST", "{\"a\":1}");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 201);
    assert_int_equal(f.outcome->body_len, 5);
    assert_memory_equal(f.outcome->body, "hello", 5);
    assert_int_equal(f.outcome->retry_after_ms, -1);
    assert_string_equal(f.outcome->reason, "");
    assert_true(f.outcome->seconds > 0);
    assert_non_null(strstr(f.server->seen, "POST /hook HTTP/1.1\r\n"));
    assert_non_null(strstr(f.server->seen, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(f.server->seen, "\r\nX-Token: s3cret\r\n"));
    assert_non_null(strstr(f.server->seen, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(f.server->seen, "\r\n\r\n{\"a\":1}"));
    assert_null(strcasestr(f.server->seen, "\r\nExpect"));
    assert_null(strcasestr(f.server->seen, "\r\nTransfer-Encoding"));
    end(&f);
}

static void a_post_without_a_body_says_so_and_claims_no_media_type(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    struct ferry_http_request request = {.method = "POST", .url = f.url, .timeout_ms = 5000};
    assert_int_equal(ferry_client_http(f.client, &request, outcome_take, f.outcome, NULL), FERRY_OK);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->status, 201);
    assert_non_null(strstr(f.server->seen, "\r\nContent-Length: 0\r\n"));
    assert_null(strcasestr(f.server->seen, "\r\nContent-Type"));
    end(&f);
}

static void every_method_arrives_as_it_was_asked(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE", "HEAD"};
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        bool bodied = strcmp(methods[i], "PUT") == 0 || strcmp(methods[i], "PATCH") == 0;
        ask(&f, methods[i], bodied ? "x" : "");
        char line[32];
        snprintf(line, sizeof line, "%s /hook HTTP/1.1\r\n", methods[i]);
        assert_int_equal(strncmp(f.server->seen, line, strlen(line)), 0);
        assert_int_equal(f.outcome->status, 201);
    }
    end(&f);
}

static void a_path_stays_as_it_is(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    size_t len = strlen(f.url);
    snprintf(f.url + len, sizeof f.url - len, "/a/../b/./c%%2F?q=%%20");
    ask(&f, "GET", "");
    assert_non_null(strstr(f.server->seen, "GET /hook/a/../b/./c%2F?q=%20 HTTP/1.1\r\n"));
    end(&f);
}

static void a_large_body_arrives_whole(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    static char body[3 << 20];
    memset(body, 'b', sizeof body - 1);
    ask(&f, "POST", body);
    assert_int_equal(f.outcome->status, 201);
    assert_non_null(strstr(f.server->seen, "\r\nContent-Length: 3145727\r\n"));
    end(&f);
}

static void a_body_comes_in_one_packet_with_its_head(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, count_packets, "http", "127.0.0.1");
    ask(&f, "POST", "{\"a\":1}");
    assert_int_equal(f.outcome->status, 204);
    assert_int_equal(atomic_load(&data_packets), 1);
    end(&f);
}

static void a_line_break_in_a_header_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    static const struct ferry_pair bad[] = {
        {FERRY_SLICE_LITERAL("X-A"), FERRY_SLICE_LITERAL("1\r\nX-B: 2")},
        {FERRY_SLICE_LITERAL("X-A"), FERRY_SLICE_LITERAL("1\n")},
        {FERRY_SLICE_LITERAL("X-A"), FERRY_SLICE_LITERAL("1\0"
                                                         "2")},
        {FERRY_SLICE_LITERAL("X\r\nA"), FERRY_SLICE_LITERAL("1")},
        {FERRY_SLICE_LITERAL(""), FERRY_SLICE_LITERAL("1")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ferry_http_request request = {
            .method = "GET", .url = f.url, .headers = &bad[i], .header_count = 1, .timeout_ms = 1000};
        struct ferry_error error;
        assert_int_equal(ferry_client_http(f.client, &request, outcome_take, f.outcome, &error), FERRY_TEMPLATE);
    }
    assert_int_equal(atomic_load(&f.server->connections), 0);
    end(&f);
}

static void a_method_that_is_no_word_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "GET /x HTTP/1.1\r\nA: b", "GET ", "G\tT"};
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ferry_http_request request = {.method = bad[i], .url = f.url};
        assert_int_equal(ferry_client_http(f.client, &request, outcome_take, f.outcome, NULL), FERRY_CONFIG);
    }
    end(&f);
}

static void a_second_request_takes_the_same_connection(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    ask(&f, "POST", "1");
    ask(&f, "POST", "2");
    assert_int_equal(atomic_load(&f.server->requests), 2);
    assert_int_equal(atomic_load(&f.server->connections), 1);
    end(&f);
}

/* ---- how far it came ---- */

static void a_refused_connection_was_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    snprintf(f.url, sizeof f.url, "http://127.0.0.1:1/");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    assert_int_equal(f.outcome->status, 0);
    assert_string_not_equal(f.outcome->reason, "");
    end(&f);
}

static void an_unknown_name_was_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    snprintf(f.url, sizeof f.url, "http://nowhere.invalid/");
    submit(&f, "POST", "x", 2000);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    end(&f);
}

static void other_schemes_and_user_names_are_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    static const char *const formats[] = {"ftp://127.0.0.1:%u/", "smtp://127.0.0.1:%u/", "file:///etc/hostname?%u",
                                          "http://user:word@127.0.0.1:%u/", "gopher://127.0.0.1:%u/"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(f.url, sizeof f.url, formats[i], f.server->port);
#pragma GCC diagnostic pop
        ask(&f, "GET", "");
        assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    }
    assert_int_equal(atomic_load(&f.server->connections), 0);
    end(&f);
}

static void a_peer_that_leaves_without_an_answer_is_in_doubt(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, leave_before_answering, "http", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_IN_DOUBT);
    assert_int_equal(f.outcome->status, 0);
    assert_int_equal(atomic_load(&f.server->requests), 1);
    end(&f);
}

static void an_interim_answer_is_no_answer(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, continue_then_leave, "http", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_IN_DOUBT);
    assert_int_equal(f.outcome->status, 0);
    end(&f);
}

static void silence_after_the_request_is_in_doubt(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, never_answer, "http", "127.0.0.1");
    submit(&f, "POST", "x", 300);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_IN_DOUBT);
    assert_true(f.outcome->seconds > 0.25 && f.outcome->seconds < 3);
    end(&f);
}

/* libcurl alone would send it a third time, on a new connection, and report success. */
static void a_post_on_a_kept_connection_that_dies_is_in_doubt_and_not_sent_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_once_then_die_on_the_next, "http", "127.0.0.1");
    ask(&f, "POST", "first");
    assert_int_equal(f.outcome->status, 200);
    ask(&f, "POST", "second");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_IN_DOUBT);
    assert_string_equal(f.outcome->reason, "the connection broke before an answer came");
    assert_int_equal(atomic_load(&f.server->requests), 2);
    end(&f);
}

static void an_empty_post_is_not_sent_again_either(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_once_then_die_on_the_next, "http", "127.0.0.1");
    ask(&f, "POST", "first");
    ask(&f, "POST", "");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED); /* a connection of its own */
    assert_int_equal(atomic_load(&f.server->connections), 2);
    assert_int_equal(atomic_load(&f.server->requests), 2);
    end(&f);
}

static void a_get_on_a_kept_connection_that_dies_is_repeated(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_once_then_die_on_the_next, "http", "127.0.0.1");
    ask(&f, "GET", "");
    ask(&f, "GET", "");
    assert_int_equal(f.outcome->status, 200);
    assert_int_equal(atomic_load(&f.server->requests), 3);
    end(&f);
}

static void a_status_is_an_answer_even_if_the_body_breaks_off(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, break_off_in_the_body, "http", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 200);
    assert_int_equal(f.outcome->body_len, 4);
    assert_string_not_equal(f.outcome->reason, "");
    end(&f);
}

static void a_huge_answer_is_cut(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_hugely, "http", "127.0.0.1");
    ask(&f, "GET", "");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_ANSWERED);
    assert_int_equal(f.outcome->status, 200);
    assert_true(f.outcome->truncated);
    assert_int_equal(f.outcome->body_len, 64 * 1024);
    end(&f);
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, redirect_to_self, "http", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->status, 307);
    assert_int_equal(atomic_load(&f.server->requests), 1);
    end(&f);
}

/* ---- Retry-After ---- */

static int64_t retry_after(const char *header)
{
    struct fixture f;
    snprintf(busy_header, sizeof busy_header, "%s", header);
    begin(&f, answer_busy, "http", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->status, 429);
    int64_t ms = f.outcome->retry_after_ms;
    end(&f);
    return ms;
}

static void retry_after_is_read_in_seconds_and_as_a_date(void **state)
{
    (void)state;
    assert_int_equal(retry_after("Retry-After: 0\r\n"), 0);
    assert_int_equal(retry_after("Retry-After: 30\r\n"), 30000);
    assert_int_equal(retry_after("Retry-After: 7200\r\n"), 7200000);
    assert_int_equal(retry_after("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 0);
    char header[128];
    time_t later = time(NULL) + 120;
    struct tm parts;
    strftime(header, sizeof header, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime_r(&later, &parts));
    int64_t ms = retry_after(header);
    assert_true(ms > 100000 && ms <= 120000);
}

static void an_absurd_retry_after_counts_as_none(void **state)
{
    (void)state;
    static const char *const absurd[] = {"",
                                         "Retry-After: -5\r\n",
                                         "Retry-After: soon\r\n",
                                         "Retry-After: 1.5\r\n",
                                         "Retry-After:\r\n",
                                         "Retry-After: 99999999999\r\n",
                                         "Retry-After: 99999999999999999999999999\r\n",
                                         "Retry-After: Sun, 06 Nov 2994 08:49:37 GMT\r\n"};
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++)
        assert_int_equal(retry_after(absurd[i]), -1);
}

/* ---- TLS ---- */

static void a_trusted_certificate_is_accepted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_over_tls, "https", "localhost");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->status, 201);
    end(&f);
}

static void an_unknown_issuer_was_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_over_tls, "https", "localhost");
    ferry_client_stop(f.client);
    assert_int_equal(ferry_client_start(NULL, &f.client, NULL), FERRY_OK);
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    assert_int_equal(atomic_load(&f.server->requests), 0);
    end(&f);
}

static void a_certificate_for_another_name_was_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_over_tls, "https", "127.0.0.1");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    end(&f);
}

static void a_handshake_that_breaks_off_was_not_sent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, accept_and_leave, "https", "localhost");
    ask(&f, "POST", "x");
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_NOT_SENT);
    end(&f);
}

/* What went to the proxy before is no part of the request. */
static void a_post_goes_through_a_proxy(void **state)
{
    (void)state;
    struct fixture f;
    char proxy[64];
    begin(&f, tunnel_to_self, "https", "localhost");
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", f.server->port);
    setenv("https_proxy", proxy, 1);
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    ask(&f, "POST", "1");
    ask(&f, "POST", "2");
    unsetenv("https_proxy");
    assert_int_equal(f.outcome->status, 201);
    assert_int_equal(atomic_load(&f.server->requests), 2);
    assert_int_equal(atomic_load(&f.server->connections), 1);
    end(&f);
}

/* ---- life ---- */

static void stopping_ends_what_runs_exactly_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, never_answer, "http", "127.0.0.1");
    for (int i = 0; i < 5; i++)
        submit(&f, "POST", "x", 60000);
    while (atomic_load(&f.server->requests) < 5)
        usleep(1000);
    ferry_client_stop(f.client);
    assert_int_equal(f.outcome->count, 5);
    assert_int_equal(f.outcome->exchange, FERRY_EXCHANGE_IN_DOUBT);
    assert_non_null(strstr(f.outcome->reason, "stopping"));
    server_stop(f.server);
    outcome_free(f.outcome);
}

struct chain {
    struct fixture *fixture;
    int left;
};

static void ask_next(void *context, const struct ferry_answer *answer)
{
    struct chain *chain = context;
    if (chain->left-- == 0) {
        outcome_take(chain->fixture->outcome, answer);
        return;
    }
    struct ferry_http_request request = {.method = "GET", .url = chain->fixture->url, .timeout_ms = 5000};
    if (ferry_client_http(chain->fixture->client, &request, ask_next, chain, NULL) != FERRY_OK)
        abort();
}

static void a_callback_may_ask_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    struct chain chain = {&f, 3};
    struct ferry_answer none = {.status = 0};
    ask_next(&chain, &none);
    assert_true(outcome_wait(f.outcome, 1));
    assert_int_equal(f.outcome->status, 201);
    assert_int_equal(atomic_load(&f.server->requests), 3);
    end(&f);
}

enum { THREADS = 8, REQUESTS_EACH = 50 };

static void *ask_many_times(void *context)
{
    const struct fixture *f = context;
    struct outcome *outcome = outcome_new();
    bool answered = true;
    for (int i = 0; i < REQUESTS_EACH && answered; i++) {
        struct ferry_http_request request = {.method = "GET", .url = f->url, .timeout_ms = 5000};
        answered = ferry_client_http(f->client, &request, outcome_take, outcome, NULL) == FERRY_OK &&
                   outcome_wait(outcome, i + 1) && outcome->status == 201;
    }
    outcome_free(outcome);
    return answered ? context : NULL;
}

/* A job that the client's thread does not hear of waits for its next look, a second later. */
static void requests_of_many_threads_wait_for_nobody(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, answer_all, "http", "127.0.0.1");
    pthread_t threads[THREADS];
    time_t began = time(NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many_times, &f), 0);
    for (int i = 0; i < THREADS; i++) {
        void *answered;
        pthread_join(threads[i], &answered);
        assert_non_null(answered);
    }
    assert_int_equal(atomic_load(&f.server->requests), THREADS * REQUESTS_EACH);
    assert_true(time(NULL) - began < 5);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_carries_its_headers_and_body_and_brings_the_answer),
        cmocka_unit_test(a_post_without_a_body_says_so_and_claims_no_media_type),
        cmocka_unit_test(every_method_arrives_as_it_was_asked),
        cmocka_unit_test(a_path_stays_as_it_is),
        cmocka_unit_test(a_large_body_arrives_whole),
        cmocka_unit_test(a_body_comes_in_one_packet_with_its_head),
        cmocka_unit_test(a_line_break_in_a_header_is_refused),
        cmocka_unit_test(a_method_that_is_no_word_is_refused),
        cmocka_unit_test(a_second_request_takes_the_same_connection),
        cmocka_unit_test(a_refused_connection_was_not_sent),
        cmocka_unit_test(an_unknown_name_was_not_sent),
        cmocka_unit_test(other_schemes_and_user_names_are_not_sent),
        cmocka_unit_test(a_peer_that_leaves_without_an_answer_is_in_doubt),
        cmocka_unit_test(an_interim_answer_is_no_answer),
        cmocka_unit_test(silence_after_the_request_is_in_doubt),
        cmocka_unit_test(a_post_on_a_kept_connection_that_dies_is_in_doubt_and_not_sent_again),
        cmocka_unit_test(an_empty_post_is_not_sent_again_either),
        cmocka_unit_test(a_get_on_a_kept_connection_that_dies_is_repeated),
        cmocka_unit_test(a_status_is_an_answer_even_if_the_body_breaks_off),
        cmocka_unit_test(a_huge_answer_is_cut),
        cmocka_unit_test(a_redirect_is_an_answer_and_not_followed),
        cmocka_unit_test(retry_after_is_read_in_seconds_and_as_a_date),
        cmocka_unit_test(an_absurd_retry_after_counts_as_none),
        cmocka_unit_test(a_trusted_certificate_is_accepted),
        cmocka_unit_test(an_unknown_issuer_was_not_sent),
        cmocka_unit_test(a_certificate_for_another_name_was_not_sent),
        cmocka_unit_test(a_handshake_that_breaks_off_was_not_sent),
        cmocka_unit_test(a_post_goes_through_a_proxy),
        cmocka_unit_test(stopping_ends_what_runs_exactly_once),
        cmocka_unit_test(a_callback_may_ask_again),
        cmocka_unit_test(requests_of_many_threads_wait_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
