/* One request, call by call.
 *
 * libmicrohttpd calls the handler once with the head, then for pieces of the body, then once more when all has come;
 * an answer may be queued in the first and the last of these calls only. `phase` says where a request is:
 *
 *   HEAD --gate, limits, admit_head--> BODY --admit_body, park, publish--> SETTLED --resume--> ANSWERED
 *
 * Whatever is refused before the body is read is answered at once when the body is large or still waits for a
 * "100 Continue" (the connection then ends, and lingers); a small body is read and thrown away, so that a sender's
 * connection outlives a refused request. */
#include <stdlib.h>

#include "bridge/http_shard.h"
#include "core/clock.h"

enum {
    SWALLOW_BYTES = 64 << 10, /* bodies up to here are read although the verdict stands */
    BODIES_BYTES = 256 << 20, /* of all bodies in memory: beyond it 503 */
    TWIN_MS = 20,             /* between two looks at what has become of the same call */
};

/* ---- life ---- */

static void drop(struct ferry_request *request)
{
    if (atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub(&request->http->body_bytes, request->body.len);
    ferry_body_pool_give(&request->http->bodies, &request->body);
    ferry_response_done(&request->answer);
    ferry_arena_done(&request->arena);
    ferry_snapshot_drop(request->snapshot);
    free(request);
}

static void release_parcel(struct ferry_parcel *parcel)
{
    drop((struct ferry_request *)((char *)parcel - offsetof(struct ferry_request, parcel)));
}

static struct ferry_connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void *ferry_request_begin(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct ferry_shard *shard = context;
    struct ferry_connection *connection = connection_of(mhd);
    if (connection == NULL)
        return NULL;
    ferry_tls_drop(connection->certificate); /* the handshake is over */
    connection->certificate = NULL;
    if (connection->state == FERRY_CONNECTION_IDLE)
        ferry_connection_enter(connection, FERRY_CONNECTION_HEADERS);
    struct ferry_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    atomic_init(&request->references, 1);
    request->connection = connection;
    request->http = shard->http;
    request->snapshot = ferry_snapshot_slot_get(shard->http->options.snapshots);
    ferry_arena_init(&request->arena);
    ferry_response_init(&request->answer);
    ferry_buffer_init(&request->body, (size_t)shard->http->options.config->limits.body_bytes);
    request->target = ferry_arena_slice(&request->arena, ferry_slice_from(target != NULL ? target : ""));
    connection->request = request;
    return request;
}

void ferry_request_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                             enum MHD_RequestTerminationCode how)
{
    (void)context;
    struct ferry_request *request = *request_context;
    *request_context = NULL;
    struct ferry_connection *connection = connection_of(mhd);
    if (connection != NULL) {
        connection->linger |= how == MHD_REQUEST_TERMINATED_WITH_ERROR;
        connection->request = NULL;
        ferry_connection_enter(connection, FERRY_CONNECTION_IDLE);
    }
    if (request == NULL)
        return;
    ferry_long_done(request);
    const union MHD_ConnectionInfo *status = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
    if (request->status == 0 && status != NULL) { /* libmicrohttpd refused it by itself */
        ferry_ops_count_request(request->http->options.ops, NULL, (int)status->http_status);
        ferry_ops_count_refused_request(request->http->options.ops, FERRY_HTTP_MALFORMED);
    }
    if (request->counted)
        ferry_ops_end_request(request->http->options.ops);
    request->connection = NULL;
    drop(request);
}

/* ---- the head ---- */

struct fields {
    struct ferry_pair *items;
    size_t count;
    size_t room;
};

static enum MHD_Result count_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    (void)kind, (void)name, (void)name_len, (void)value, (void)value_len;
    ++*(size_t *)context;
    return MHD_YES;
}

static enum MHD_Result add_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    struct fields *fields = context;
    if (fields->count == fields->room)
        return MHD_NO;
    fields->items[fields->count++] = (struct ferry_pair){
        ferry_slice_of(name, name_len),
        ferry_slice_of(value != NULL ? value : "", value_len),
    };
    return MHD_YES;
}

static bool gather_fields(struct ferry_request *request, struct fields *fields)
{
    struct MHD_Connection *mhd = request->connection->mhd;
    size_t count = 0;
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, count_field, &count);
    struct ferry_pair *items = ferry_arena_new_array(&request->arena, count + 1, sizeof *items);
    if (items == NULL)
        return false;
    *fields = (struct fields){.items = items, .room = count};
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, add_field, fields);
    return true;
}

static size_t head_bytes(struct ferry_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info != NULL ? info->header_size : 0;
}

/* Versions before 1.0 parse the head in place and keep it, from the method to the blank line; newer ones refuse by
 * themselves what its layout would show. */
static void add_layout(struct ferry_request *request, const char *method, const char *version,
                       struct ferry_gate_head *head)
{
#if MHD_VERSION < 0x01000000
    size_t bytes = head_bytes(request), before_target = strlen(method) + 1;
    if (version <= method + before_target)
        return;
    size_t before_section = (size_t)(version - method) + strlen(version) + 2;
    head->target_bytes = (size_t)(version - method) - before_target - 1;
    if (bytes > before_section)
        head->section = ferry_slice_of(method + before_section, bytes - before_section);
#else
    (void)request, (void)method, (void)version, (void)head;
#endif
}

static enum ferry_code check_limits(struct ferry_request *request)
{
    const struct ferry_limits_config *limits = &request->http->options.config->limits;
    if (head_bytes(request) > (size_t)limits->headers_bytes)
        return ferry_fail(&request->error, FERRY_HEADERS_TOO_LARGE, "the head is larger than %lld bytes",
                          (long long)limits->headers_bytes);
    return FERRY_OK;
}

static enum ferry_code too_large(struct ferry_request *request)
{
    return ferry_fail(&request->error, FERRY_TOO_LARGE, "The body is larger than the %lld bytes that are taken here.",
                      (long long)request->http->options.config->limits.body_bytes);
}

static enum ferry_code judge_trigger(struct ferry_request *request)
{
    const char *mark = memchr(request->target.ptr, '?', request->target.len);
    size_t before = mark != NULL ? (size_t)(mark + 1 - request->target.ptr) : request->target.len;
    const struct ferry_connection *connection = request->connection;
    struct ferry_trigger_request asked = {
        .in = &request->in,
        .query = ferry_slice_skip(request->target, before),
        .has_client = connection->has_peer,
        .snapshot = request->snapshot,
        .arena = &request->arena,
    };
    if (connection->has_peer)
        asked.client = ferry_proxies_client(&request->http->proxies, &connection->peer, request->in.headers);
    return ferry_trigger_head(request->http->options.triggers, &asked, &request->call, &request->error);
}

static enum ferry_code judge_webhook(struct ferry_request *request)
{
    enum ferry_code code = ferry_admit_head(request->snapshot, &request->in, &request->admission, &request->error);
    return code == FERRY_METHOD && ferry_slice_is(request->in.method, "OPTIONS") ? FERRY_OK : code;
}

/* Everything that can be said before the body is read. */
static enum ferry_code judge_head(struct ferry_request *request, const char *method, const char *version)
{
    struct fields fields;
    if (request->target.ptr == NULL || !gather_fields(request, &fields))
        return ferry_fail(&request->error, FERRY_MEMORY, "out of memory");
    struct ferry_gate_head head = {
        .method = request->in.method,
        .target = request->target,
        .version = ferry_slice_from(version),
        .fields = {fields.items, fields.count},
    };
    add_layout(request, method, version, &head);
    enum ferry_code code = ferry_gate_check(&head, &request->framing, &request->error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < fields.count; i++)
        fields.items[i].value = ferry_slice_trim(fields.items[i].value);
    request->in.headers = head.fields;
    code = check_limits(request);
    if (code != FERRY_OK)
        return code;
    code = request->is_trigger ? judge_trigger(request) : judge_webhook(request);
    if (code == FERRY_OK && request->framing.length > (uint64_t)request->http->options.config->limits.body_bytes)
        code = too_large(request);
    return code;
}

/* Is the body so small, and already on its way, that reading it is cheaper than a new connection? */
static bool may_swallow(const struct ferry_request *request)
{
    return request->verdict != FERRY_HTTP_MALFORMED && !request->framing.chunked &&
           request->framing.length <= SWALLOW_BYTES && ferry_pairs_count(request->in.headers, "Expect") == 0;
}

static enum MHD_Result take_head(struct ferry_request *request, const char *url, const char *method,
                                 const char *version)
{
    struct ferry_shard *shard = request->connection->shard;
    request->in.method = ferry_slice_from(method);
    request->in.path = ferry_slice_from(url);
    request->in.wall_ms = ferry_clock_wall_ms();
    request->in.mono_ms = shard->now_ms;
    request->is_trigger = shard->http->options.triggers != NULL && ferry_trigger_owns(request->in.path);
    request->counted = true;
    ferry_ops_begin_request(request->http->options.ops);
    request->verdict = judge_head(request, method, version);
    request->phase = FERRY_REQUEST_BODY;
    request->discard = request->verdict != FERRY_OK;
    ferry_connection_enter(request->connection, FERRY_CONNECTION_BODY);
    if (!request->discard || may_swallow(request))
        return MHD_YES;
    request->connection->linger = true;
    return ferry_reply(request);
}

/* ---- the body ---- */

/* Nothing more is read: answers past libmicrohttpd, then the connection ends. */
static enum MHD_Result cut(struct ferry_request *request, enum ferry_code code)
{
    request->connection->linger = true;
    ferry_reply_cut(request->connection, request, code);
    return MHD_NO;
}

static enum MHD_Result take_body(struct ferry_request *request, const char *bytes, size_t *count)
{
    size_t more = *count;
    *count = 0;
    request->body_seen += more;
    if (request->body_seen > (uint64_t)request->http->options.config->limits.body_bytes)
        return cut(request, too_large(request));
    if (request->discard)
        return MHD_YES;
    if (request->body.capacity == 0 && request->framing.length > more)
        ferry_body_pool_take(&request->http->bodies, &request->body, (size_t)request->framing.length);
    if (atomic_fetch_add(&request->http->body_bytes, more) > BODIES_BYTES) {
        atomic_fetch_sub(&request->http->body_bytes, more);
        return cut(request, ferry_fail(&request->error, FERRY_UNAVAILABLE, "too many bodies in memory"));
    }
    ferry_buffer_add(&request->body, ferry_slice_of(bytes, more));
    if (!request->body.failed)
        return MHD_YES;
    atomic_fetch_sub(&request->http->body_bytes, more);
    return cut(request, ferry_fail(&request->error, FERRY_MEMORY, "out of memory"));
}

/* ---- the end ---- */

/* Parked before a record is produced: the last report may come before ferry_publish returns. */
static enum MHD_Result publish(struct ferry_request *request)
{
    struct ferry_connection *connection = request->connection;
    request->parcel.records = request->admission.records;
    request->parcel.record_count = request->admission.record_count;
    request->parcel.release = release_parcel;
    atomic_fetch_add(&request->references, 1);
    MHD_suspend_connection(connection->mhd);
    ferry_connection_enter(connection, FERRY_CONNECTION_PARKED);
    ferry_publish(request->http->options.publisher, &connection->shard->outlet, &request->parcel,
                  ferry_clock_mono_ms());
    return MHD_YES;
}

/* The same call is on its way to Kafka, or to the spool, and both are to be told the same. */
static enum MHD_Result wait_for_twin(struct ferry_request *request)
{
    MHD_suspend_connection(request->connection->mhd);
    ferry_connection_enter(request->connection, FERRY_CONNECTION_PARKED);
    request->connection->shard->twins++;
    return MHD_YES;
}

void ferry_request_tend_twins(struct ferry_shard *shard)
{
    if (shard->twins == 0 || shard->now_ms < shard->twins_look_ms)
        return;
    shard->twins = 0; /* they count themselves in again */
    shard->twins_look_ms = shard->now_ms + TWIN_MS;
    struct ferry_connection *connection = shard->lists[FERRY_CONNECTION_PARKED].first;
    for (struct ferry_connection *next; connection != NULL; connection = next) {
        next = connection->next;
        if (connection->request == NULL || !connection->request->call.twin)
            continue;
        ferry_connection_enter(connection, FERRY_CONNECTION_BODY);
        MHD_resume_connection(connection->mhd);
    }
}

/* Everything else: an answer is due now, or there are records to publish. */
static enum ferry_code judge_body(struct ferry_request *request)
{
    request->in.body = ferry_buffer_slice(&request->body);
    if (request->is_trigger)
        return ferry_trigger_end(&request->call, &request->admission, &request->answer, &request->error);
    if (ferry_slice_is(request->in.method, "OPTIONS"))
        return FERRY_OK;
    return ferry_admit_body(request->snapshot, &request->in, request->connection->shard->admit, &request->arena,
                            &request->admission, &request->error);
}

static enum MHD_Result take_end(struct ferry_request *request)
{
    if (request->verdict == FERRY_OK && ferry_long_is_look(request))
        return ferry_long_look(request);
    if (request->verdict == FERRY_OK)
        request->verdict = judge_body(request);
    if (request->verdict == FERRY_OK && request->admission.record_count > 0)
        return publish(request);
    if (request->verdict == FERRY_OK && request->call.twin)
        return wait_for_twin(request);
    if (ferry_long_hold(request)) /* the call came already, and its run may still be under way */
        return MHD_YES;
    request->phase = FERRY_REQUEST_SETTLED;
    return ferry_reply(request);
}

void ferry_request_resume(struct ferry_parcel *parcel)
{
    struct ferry_request *request = (struct ferry_request *)((char *)parcel - offsetof(struct ferry_request, parcel));
    request->verdict = parcel->code;
    if (parcel->code == FERRY_RECORD_TOO_LARGE)
        (void)ferry_fail(&request->error, parcel->code, "The event is larger than Kafka takes.");
    else if (parcel->code != FERRY_OK)
        (void)ferry_fail(&request->error, parcel->code, "Kafka did not acknowledge every record in time");
    if (request->is_trigger)
        ferry_trigger_published(&request->call, parcel->code, &request->answer);
    if (ferry_long_hold(request))
        return;
    request->phase = FERRY_REQUEST_SETTLED;
    MHD_resume_connection(request->connection->mhd);
}

enum MHD_Result ferry_request_handle(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_bytes,
                                     void **request_context)
{
    (void)context, (void)mhd;
    struct ferry_request *request = *request_context;
    if (request == NULL)
        return MHD_NO; /* memory ran out at its begin */
    switch (request->phase) {
    case FERRY_REQUEST_HEAD:
        return take_head(request, url, method, version);
    case FERRY_REQUEST_BODY:
        return *upload_bytes > 0 ? take_body(request, upload, upload_bytes) : take_end(request);
    case FERRY_REQUEST_SETTLED:
        return ferry_reply(request);
    case FERRY_REQUEST_ANSWERED:
        break;
    }
    /* Answered past libmicrohttpd, and the rest of the body has come all the same. It would wait for an answer that
     * never comes, at full speed. */
    return MHD_NO;
}
