#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/event_log.h"
#include "bridge/http_shard.h"
#include "bridge/problem.h"
#include "core/log.h"

enum { PROBLEM_MAX_BYTES = 8192, ANSWER_MAX_BYTES = 16384, RETRY_AFTER_S = 5 };

static const char allow[] = "POST, OPTIONS";
static const char private_fields[] = "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n";

static long retry_after_seconds(const struct ferry_request *request)
{
    if (ferry_code_status(request->verdict) != 429)
        return RETRY_AFTER_S;
    int64_t ms = request->is_trigger ? request->call.retry_after_ms : request->admission.retry_after_ms;
    return (long)((ms + 999) / 1000);
}

/* As it is configured: the path of a request may hold a key. NULL: there is no such path. */
static const char *configured_path(const struct ferry_request *request)
{
    if (request->is_trigger)
        return request->call.trigger != NULL ? request->call.trigger->path : NULL;
    return request->admission.door != NULL ? request->admission.door->config->path : NULL;
}

static void log_taken(const struct ferry_request *request, const char *path)
{
    const struct ferry_admission *admission = &request->admission;
    for (size_t i = 0; i < admission->events.count; i++)
        ferry_event_log_taken(&admission->events.items[i], admission->records[i].topic, path, request->verdict);
}

/* The code's own words, at most twenty lines a second. */
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
    const char *path = configured_path(request);
    const struct ferry_events *events = &request->admission.events;
    /* What a caller of a trigger named is told to the caller alone: it may be a key in the wrong place. */
    const char *reason = request->verdict != FERRY_INPUT_REFUSED ? request->error.text : "";
    const struct ferry_slice first = events->count > 0 ? events->items[0].id : (struct ferry_slice){NULL, 0};
    ferry_log(FERRY_LOG_WARN, "request refused",
              FERRY_FIELDS(ferry_text("path", path != NULL ? path : "other"), ferry_number("status", request->status),
                           ferry_text("code", ferry_code_name(request->verdict)), ferry_text("reason", reason),
                           ferry_text("client", client),
                           ferry_number("suppressed", (int64_t)atomic_exchange(&http->log_suppressed, 0)),
                           ferry_field_if("id", first)));
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

static int status_of(const struct ferry_request *request)
{
    return request->answer.status != 0 ? request->answer.status : ferry_code_status(request->verdict);
}

static void count(struct ferry_request *request)
{
    struct ferry_ops *ops = request->http->options.ops;
    const char *path = configured_path(request);
    request->status = status_of(request);
    ferry_ops_count_request(ops, path, request->status);
    if (request->is_trigger)
        ferry_trigger_count(&request->call, request->verdict);
    if (is_taken(request)) {
        if (request->parcel.records != NULL) {
            ferry_ops_count_events(ops, path, &request->admission, request->in.wall_ms);
            log_taken(request, path);
        }
        return;
    }
    if (request->parcel.records == NULL) /* else its records are counted by what becomes of each */
        ferry_ops_count_refused_request(ops, request->verdict);
    if (path != NULL && is_signature_failure(request->verdict))
        ferry_ops_count_signature_failure(ops, path, request->verdict);
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

static void add_headers(struct MHD_Response *response, const struct ferry_request *request)
{
    int status = status_of(request);
    if (status == 405 && !request->is_trigger)
        add_header(response, "Allow", allow);
    if (status == 429 || status == 503) {
        char seconds[24];
        snprintf(seconds, sizeof seconds, "%ld", retry_after_seconds(request));
        add_header(response, "Retry-After", seconds);
    }
    for (size_t i = 0; i < request->answer.field_count; i++)
        add_header(response, request->answer.fields[i].name, request->answer.fields[i].value);
    if (request->verdict == FERRY_OK && !request->is_trigger && ferry_slice_is(request->in.method, "OPTIONS"))
        add_handshake(response, request);
    if (request->verdict == FERRY_HTTP_MALFORMED || request->connection->shard->draining_since_ms > 0)
        add_header(response, "Connection", "close");
}

static struct MHD_Response *respond_with(struct ferry_slice body, const char *media_type)
{
    char *bytes = (char *)(uintptr_t)body.ptr; /* copied, whatever the type says */
    struct MHD_Response *response = MHD_create_response_from_buffer(body.len, bytes, MHD_RESPMEM_MUST_COPY);
    if (response != NULL)
        add_header(response, "Content-Type", media_type);
    return response;
}

static struct MHD_Response *make_response(struct ferry_request *request)
{
    if (request->longer.kind == FERRY_LONG_EVENTS)
        return ferry_long_response(request);
    if (request->answer.body.failed)
        return NULL; /* no half of a page, nor one without its policy */
    if (request->answer.media_type != NULL)
        return respond_with(ferry_buffer_slice(&request->answer.body), request->answer.media_type);
    if (is_taken(request))
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, PROBLEM_MAX_BYTES);
    ferry_problem_print(request->verdict, request->error.text, &body);
    return respond_with(ferry_buffer_slice(&body), FERRY_PROBLEM_MEDIA_TYPE);
}

enum MHD_Result ferry_reply(struct ferry_request *request)
{
    if (request->is_trigger)
        ferry_trigger_add_fields(&request->call, request->verdict, &request->answer);
    struct MHD_Response *response = make_response(request);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, request);
    enum MHD_Result queued = MHD_queue_response(request->connection->mhd, (unsigned)status_of(request), response);
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
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
                        status, ferry_problem_title(status), FERRY_PROBLEM_MEDIA_TYPE, body.len,
                        request != NULL && request->is_trigger ? private_fields : "");
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
