#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/http_shard.h"
#include "bridge/problem.h"
#include "core/log.h"

enum { PROBLEM_MAX_BYTES = 8192, ANSWER_MAX_BYTES = 16384, RETRY_AFTER_S = 5 };

static const char allow[] = "POST, OPTIONS";

static long retry_after_seconds(const struct ferry_request *request)
{
    if (request->verdict != FERRY_RATE)
        return RETRY_AFTER_S;
    return (long)((request->admission.retry_after_ms + 999) / 1000);
}

/* The request line's and the code's own words, at most twenty lines a second. */
static void log_refusal(const struct ferry_request *request)
{
    struct ferry_http *http = request->http;
    int64_t retry_after_ms;
    if (!ferry_bucket_take(&http->log_bucket, request->connection->shard->now_ms, &retry_after_ms)) {
        atomic_fetch_add(&http->log_suppressed, 1);
        return;
    }
    char client[FERRY_IP_TEXT] = "";
    if (request->connection->has_peer) {
        struct ferry_ip ip = ferry_proxies_client(&http->proxies, &request->connection->peer, request->in.headers);
        ferry_ip_format(&ip, client);
    }
    const struct ferry_door *door = request->admission.door;
    ferry_log(FERRY_LOG_WARN, "request refused",
              FERRY_FIELDS(ferry_text("path", door != NULL ? door->config->path : "other"),
                           ferry_number("status", request->status),
                           ferry_text("code", ferry_code_name(request->verdict)),
                           ferry_text("reason", request->error.text), ferry_text("client", client),
                           ferry_number("suppressed", (int64_t)atomic_exchange(&http->log_suppressed, 0))));
}

/* In Kafka, or on disk. */
static bool is_taken(const struct ferry_request *request)
{
    return request->verdict == FERRY_OK || request->verdict == FERRY_SPOOLED;
}

static bool is_signature_failure(enum ferry_code code)
{
    return ferry_code_status(code) == 401;
}

static void count(struct ferry_request *request)
{
    struct ferry_ops *ops = request->http->options.ops;
    const struct ferry_door *door = request->admission.door;
    request->status = ferry_code_status(request->verdict);
    ferry_ops_count_request(ops, door != NULL ? door->config->path : NULL, request->status);
    if (is_taken(request)) {
        if (request->parcel.records != NULL)
            ferry_ops_count_events(ops, &request->admission, request->in.wall_ms);
        return;
    }
    if (request->parcel.records == NULL) /* else its records are counted by what becomes of each */
        ferry_ops_count_refused_request(ops, request->verdict);
    if (door != NULL && is_signature_failure(request->verdict))
        ferry_ops_count_signature_failure(ops, door->config->path, request->verdict);
    log_refusal(request);
}

/* ---- regular answers ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

static void add_handshake(struct MHD_Response *response, const struct ferry_request *request)
{
    struct ferry_handshake handshake = ferry_admit_handshake(request->admission.door, request->in.headers);
    add_header(response, "Allow", allow);
    if (handshake.allowed_origin.ptr == NULL)
        return;
    add_header(response, "WebHook-Allowed-Origin", handshake.allowed_origin.ptr); /* a text of the configuration */
    add_header(response, "WebHook-Allowed-Rate", handshake.allowed_rate);
}

static void add_headers(struct MHD_Response *response, const struct ferry_request *request, int status)
{
    if (status == 405)
        add_header(response, "Allow", allow);
    if (status == 429 || status == 503) {
        char seconds[24];
        snprintf(seconds, sizeof seconds, "%ld", retry_after_seconds(request));
        add_header(response, "Retry-After", seconds);
    }
    if (request->verdict == FERRY_OK && ferry_slice_is(request->in.method, "OPTIONS"))
        add_handshake(response, request);
    if (request->verdict == FERRY_HTTP_MALFORMED || request->connection->shard->draining_since_ms > 0)
        add_header(response, "Connection", "close");
}

static struct MHD_Response *make_response(const struct ferry_request *request)
{
    if (is_taken(request))
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, PROBLEM_MAX_BYTES);
    ferry_problem_print(request->verdict, request->error.text, &body);
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, body.ptr, MHD_RESPMEM_MUST_COPY);
    if (response != NULL)
        add_header(response, "Content-Type", FERRY_PROBLEM_MEDIA_TYPE);
    return response;
}

enum MHD_Result ferry_reply(struct ferry_request *request)
{
    int status = ferry_code_status(request->verdict);
    struct MHD_Response *response = make_response(request);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, request, status);
    enum MHD_Result queued = MHD_queue_response(request->connection->mhd, (unsigned)status, response);
    MHD_destroy_response(response);
    if (queued == MHD_NO)
        return MHD_NO;
    request->phase = FERRY_REQUEST_ANSWERED;
    ferry_connection_enter(request->connection, FERRY_CONNECTION_ANSWERING);
    count(request);
    return MHD_YES;
}

/* ---- answers where libmicrohttpd takes none ---- */

static void send_now(const struct ferry_connection *connection, struct ferry_slice bytes)
{
    const union MHD_ConnectionInfo *info =
        connection->shard->http->tls != NULL
            ? MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
            : NULL;
    /* Nothing of this connection waits to be sent at this point, so a short answer goes out whole or not at all. */
    if (info != NULL)
        (void)gnutls_record_send(info->tls_session, bytes.ptr, bytes.len);
    else
        (void)send(connection->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ferry_reply_cut(struct ferry_connection *connection, struct ferry_request *request, enum ferry_code code)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer answer;
    ferry_buffer_init(&body, PROBLEM_MAX_BYTES);
    ferry_buffer_init(&answer, ANSWER_MAX_BYTES);
    ferry_problem_print(code, request != NULL ? request->error.text : "", &body);
    int status = ferry_code_status(code);
    ferry_buffer_printf(&answer,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                        status, ferry_problem_title(status), FERRY_PROBLEM_MEDIA_TYPE, body.len);
    ferry_buffer_add(&answer, ferry_buffer_slice(&body));
    if (!answer.failed)
        send_now(connection, ferry_buffer_slice(&answer));
    if (request != NULL) {
        request->verdict = code;
        request->phase = FERRY_REQUEST_ANSWERED;
        count(request);
    } else {
        ferry_ops_count_request(connection->shard->http->options.ops, NULL, status);
        ferry_ops_count_refused_request(connection->shard->http->options.ops, code);
    }
}
