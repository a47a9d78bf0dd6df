/* Long answers: they keep a connection, and no thread.
 *
 *   WAIT     suspended, nothing is sent ──run at its end, time is up, drain──▶ resumed, answered like any other
 *   EVENTS   begun at once; suspended whenever nothing is to be sent
 *               │ ▲ news, or 15 s without any: what is to be sent is put in `out`, resumed
 *               ▼ │
 *            MHD asks for bytes: some of `out`; none are left: suspended, or the end
 *
 * The reader of results only says that there is news (a flag here, one in the shard, and a wake-up); everything else is
 * done by the shard, once a round, before MHD_run: resuming from another thread is what libmicrohttpd loses.
 *
 * A suspended connection does not notice that its peer has gone: so that is looked at once a second. A stream ends
 * after ten minutes, and browsers open the next one by themselves: so nobody looks on with a key that was taken away
 * since, and no old configuration is kept for ever. At most a quarter of all connections may be held so: whoever wants
 * to wait beyond that is answered at once, streams are refused. */
#include "bridge/http_long.h"

#include <poll.h>
#include <sys/socket.h>

#include "bridge/http_shard.h"
#include "bridge/triggers/feedback.h"
#include "bridge/triggers/form.h"

enum {
    BEAT_MS = 15000,
    LOOK_MS = 1000, /* between two looks whether the peer is still there */
    STREAM_MS = 10 * 60 * 1000,
    PART_OF_CONNECTIONS = 4,
    BLOCK_BYTES = 4096,
    OUT_MAX_BYTES = 4 << 20
};

/* ---- how many ---- */

void ferry_long_setup(struct ferry_http *http)
{
    static const char *const by_kind[] = {"kind", NULL};
    struct ferry_metric *family =
        ferry_metrics_family(ferry_ops_metrics(http->options.ops), FERRY_GAUGE, "ferry_long_answers",
                             "Answers that are held back for a run's end, or stay open for its news", by_kind);
    const struct ferry_slice kinds[] = {
        [FERRY_LONG_WAIT] = FERRY_SLICE_LITERAL("wait"), [FERRY_LONG_EVENTS] = FERRY_SLICE_LITERAL("events")};
    http->longs_max = http->connections_max / PART_OF_CONNECTIONS;
    for (int kind = FERRY_LONG_WAIT; kind <= FERRY_LONG_EVENTS; kind++) {
        http->long_gauges[kind] = ferry_metric_series(family, &kinds[kind]);
        ferry_series_set(http->long_gauges[kind], 0);
    }
}

static bool count_in(struct ferry_http *http, enum ferry_long_kind kind)
{
    if (atomic_fetch_add(&http->longs, 1) >= http->longs_max) {
        atomic_fetch_sub(&http->longs, 1);
        return false;
    }
    ferry_series_add(http->long_gauges[kind], 1);
    return true;
}

/* ---- begin and end ---- */

static struct ferry_request *request_of(struct ferry_watch *watch)
{
    return (struct ferry_request *)((char *)watch - offsetof(struct ferry_request, longer) -
                                    offsetof(struct ferry_long, watch));
}

static void note_news(struct ferry_watch *watch)
{
    struct ferry_request *request = request_of(watch);
    struct ferry_shard *shard = request->connection->shard;
    atomic_store(&request->longer.news, true);
    atomic_store(&shard->long_news, true);
    ferry_shard_wake(shard);
}

/* From here on there is news of the run. False: there are too many already. */
static bool begin(struct ferry_request *request, enum ferry_long_kind kind, int64_t for_ms)
{
    struct ferry_long *longer = &request->longer;
    struct ferry_shard *shard = request->connection->shard;
    if (request->http->options.results == NULL || shard->draining_since_ms > 0 || !count_in(request->http, kind))
        return false;
    longer->kind = kind;
    longer->until_ms = shard->now_ms + for_ms;
    longer->watch = (struct ferry_watch){.id = ferry_slice_from(request->call.id), .changed = note_news};
    atomic_store(&longer->news, true); /* what is known already is news to the peer */
    shard->long_due_ms = 0;
    ferry_results_watch(request->http->options.results, &longer->watch);
    return true;
}

void ferry_long_done(struct ferry_request *request)
{
    struct ferry_long *longer = &request->longer;
    if (longer->kind == FERRY_LONG_NONE)
        return;
    ferry_results_unwatch(request->http->options.results, &longer->watch);
    atomic_fetch_sub(&request->http->longs, 1);
    ferry_series_add(request->http->long_gauges[longer->kind], (uint64_t)-1);
    if (longer->kind == FERRY_LONG_EVENTS)
        ferry_buffer_done(&longer->out);
    longer->kind = FERRY_LONG_NONE;
}

/* A key opens one trigger: a token that its holder made for the id of another trigger's run shows nothing. */
static struct ferry_run *run_of(const struct ferry_request *request)
{
    struct ferry_results *results = request->http->options.results;
    struct ferry_run *run = results != NULL ? ferry_results_get(results, ferry_slice_from(request->call.id)) : NULL;
    if (run == NULL || ferry_slice_is(run->results[0]->trigger, request->call.trigger->config->name))
        return run;
    ferry_run_drop(run);
    return NULL;
}

static void make_answer(struct ferry_request *request, const struct ferry_run *run, bool waited)
{
    ferry_response_done(&request->answer);
    ferry_response_init(&request->answer);
    ferry_feedback_answer(&request->call, run, waited, &request->answer);
}

/* ---- waiting ---- */

static int64_t earliest(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

bool ferry_long_hold(struct ferry_request *request)
{
    struct ferry_connection *connection = request->connection;
    int64_t wait_ms;
    bool taken = request->is_trigger && request->call.id[0] != '\0' &&
                 (request->verdict == FERRY_OK || request->verdict == FERRY_SPOOLED);
    if (!taken || !ferry_feedback_wait(&request->call, &wait_ms, NULL) || wait_ms == 0 ||
        !begin(request, FERRY_LONG_WAIT, wait_ms))
        return false;
    if (connection->state != FERRY_CONNECTION_PARKED)
        MHD_suspend_connection(connection->mhd);
    ferry_connection_enter(connection, FERRY_CONNECTION_LONG);
    return true;
}

/* Answered in the handler, which resuming calls. */
static void end_wait(struct ferry_request *request, const struct ferry_run *run)
{
    make_answer(request, run, true);
    ferry_long_done(request);
    request->phase = FERRY_REQUEST_SETTLED;
    ferry_connection_enter(request->connection, FERRY_CONNECTION_ANSWERING);
    MHD_resume_connection(request->connection->mhd);
}

static void tend_wait(struct ferry_request *request, bool draining)
{
    struct ferry_shard *shard = request->connection->shard;
    struct ferry_long *longer = &request->longer;
    bool over = draining || shard->now_ms >= longer->until_ms;
    if (atomic_exchange(&longer->news, false) || over) {
        struct ferry_run *run = run_of(request);
        over = over || (run != NULL && run->final);
        if (over)
            end_wait(request, run);
        ferry_run_drop(run);
    }
    if (!over)
        shard->long_due_ms = earliest(shard->long_due_ms, longer->until_ms);
}

/* ---- events ---- */

/* For libmicrohttpd: the next bytes. Nothing to send: suspended, and nothing more is asked until it is resumed. */
static ssize_t give_bytes(void *context, uint64_t position, char *bytes, size_t room)
{
    (void)position;
    struct ferry_request *request = context;
    struct ferry_long *longer = &request->longer;
    size_t left = longer->out.len - longer->sent;
    if (left > 0) {
        size_t count = left < room ? left : room;
        memcpy(bytes, longer->out.ptr + longer->sent, count);
        longer->sent += count;
        return (ssize_t)count;
    }
    longer->stuck_ms = 0;
    if (longer->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    longer->suspended = true;
    MHD_suspend_connection(request->connection->mhd);
    if (atomic_load(&longer->news)) /* that came while something waited to be sent */
        note_news(&longer->watch);
    return 0;
}

struct MHD_Response *ferry_long_response(struct ferry_request *request)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, give_bytes, request, NULL);
    if (response == NULL)
        return NULL;
    (void)MHD_add_response_header(response, "Content-Type", "text/event-stream");
    (void)MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx would keep it back */
    return response;
}

/* Room for what is sent next: what was sent is forgotten. */
static void clear_sent(struct ferry_long *longer)
{
    if (longer->sent < longer->out.len)
        return;
    ferry_buffer_clear(&longer->out);
    longer->sent = 0;
}

static void add_news(struct ferry_request *request)
{
    struct ferry_long *longer = &request->longer;
    struct ferry_run *run = run_of(request);
    uint64_t version = run != NULL ? run->version : 0;
    if (version != longer->shown) {
        ferry_feedback_event(&request->call, run, longer->as_page, &longer->out);
        longer->shown = version;
        longer->ended |= run != NULL && run->final;
    }
    ferry_run_drop(run);
}

/* The last words to somebody who will come back: browsers wait as long as we say, and then do. */
static void say_goodbye(struct ferry_long *longer)
{
    ferry_buffer_add_text(&longer->out, "retry: 1000\n: this stream ends, open the next one\n\n");
    longer->ended = true;
}

static void go_on(struct ferry_request *request)
{
    struct ferry_connection *connection = request->connection;
    struct ferry_long *longer = &request->longer;
    if (longer->out.failed)
        longer->ended = true; /* too large, or no memory: what is there is sent, then it ends */
    if (longer->stuck_ms == 0)
        longer->stuck_ms = connection->shard->now_ms;
    longer->beat_ms = connection->shard->now_ms + BEAT_MS;
    if (longer->ended)
        ferry_connection_enter(connection, FERRY_CONNECTION_ANSWERING); /* has a deadline */
    if (!longer->suspended)
        return;
    longer->suspended = false;
    MHD_resume_connection(connection->mhd);
}

/* Browsers that leave close both ways; a script that waits may have closed its own, and is left alone. */
static bool has_gone(const struct ferry_connection *connection)
{
    struct pollfd peer = {.fd = connection->fd, .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void look_at_peer(struct ferry_request *request)
{
    struct ferry_long *longer = &request->longer;
    int64_t now_ms = request->connection->shard->now_ms;
    if (now_ms < longer->look_ms)
        return;
    longer->look_ms = now_ms + LOOK_MS;
    longer->ended |= has_gone(request->connection);
}

static void tend_events(struct ferry_request *request, bool draining)
{
    struct ferry_long *longer = &request->longer;
    struct ferry_shard *shard = request->connection->shard;
    size_t before = longer->out.len - longer->sent;
    clear_sent(longer);
    look_at_peer(request);
    if (before == 0 && atomic_exchange(&longer->news, false)) /* one state at a time, however slowly it is read */
        add_news(request);
    if (!longer->ended && (draining || shard->now_ms >= longer->until_ms))
        say_goodbye(longer);
    if (before == 0 && longer->out.len == 0 && shard->now_ms >= longer->beat_ms)
        ferry_buffer_add_text(&longer->out, ": still here\n\n");
    if (longer->out.len - longer->sent > before || longer->ended)
        go_on(request);
    if (longer->stuck_ms > 0 &&
        shard->now_ms - longer->stuck_ms > request->http->options.config->limits.request_timeout_ms)
        (void)shutdown(request->connection->fd, SHUT_RDWR); /* it does not read */
    int64_t due_ms = earliest(longer->look_ms, earliest(longer->beat_ms, longer->until_ms));
    shard->long_due_ms = earliest(shard->long_due_ms, due_ms);
}

static enum MHD_Result begin_events(struct ferry_request *request)
{
    struct ferry_long *longer = &request->longer;
    if (!begin(request, FERRY_LONG_EVENTS, STREAM_MS)) {
        request->verdict = ferry_fail(&request->error, FERRY_UNAVAILABLE, "too many look at runs already");
        return ferry_reply(request);
    }
    request->answer.status = 200;
    ferry_buffer_init(&longer->out, OUT_MAX_BYTES);
    longer->shown = UINT64_MAX; /* nothing, not even that nothing is known */
    longer->beat_ms = request->connection->shard->now_ms + BEAT_MS;
    enum MHD_Result queued = ferry_reply(request);
    if (queued == MHD_YES)
        ferry_connection_enter(request->connection, FERRY_CONNECTION_LONG);
    return queued;
}

/* ---- looking ---- */

bool ferry_long_is_look(const struct ferry_request *request)
{
    enum ferry_trigger_place place = request->call.path.place;
    return request->is_trigger && !ferry_slice_is(request->in.method, "OPTIONS") &&
           (place == FERRY_TRIGGER_RUN || place == FERRY_TRIGGER_EVENTS);
}

/* `wait` and `view` of the query; of a run nothing else is asked. */
static enum ferry_code read_query(struct ferry_request *request)
{
    struct ferry_trigger_call *call = &request->call;
    struct ferry_pairs fields;
    enum ferry_code code = ferry_form_read(call->request.query, &request->arena, &fields, &request->error);
    if (code != FERRY_OK)
        return code;
    call->wait = ferry_pairs_get(fields, "wait");
    request->longer.as_page = ferry_slice_is(ferry_pairs_get(fields, "view"), "page");
    return ferry_trigger_name_run(call) ? FERRY_OK : ferry_fail(&request->error, FERRY_MEMORY, "out of memory");
}

static bool is_over(const struct ferry_request *request)
{
    struct ferry_run *run = run_of(request);
    bool over = run != NULL && run->final;
    ferry_run_drop(run);
    return over;
}

static enum MHD_Result answer_now(struct ferry_request *request, bool waited)
{
    struct ferry_run *run = run_of(request);
    make_answer(request, run, waited);
    ferry_run_drop(run);
    return ferry_reply(request);
}

enum MHD_Result ferry_long_look(struct ferry_request *request)
{
    int64_t wait_ms = 0;
    request->phase = FERRY_REQUEST_SETTLED;
    request->verdict = read_query(request);
    if (request->verdict == FERRY_OK && !ferry_feedback_wait(&request->call, &wait_ms, &request->error))
        request->verdict = FERRY_INPUT_REFUSED;
    if (request->verdict != FERRY_OK)
        return ferry_reply(request);
    if (request->call.path.place == FERRY_TRIGGER_EVENTS)
        return begin_events(request);
    if (wait_ms > 0 && !is_over(request) && ferry_long_hold(request))
        return MHD_YES;
    return answer_now(request, wait_ms > 0);
}

/* ---- once a round ---- */

bool ferry_long_suspends(const struct ferry_shard *shard)
{
    return shard->lists[FERRY_CONNECTION_LONG].first != NULL;
}

void ferry_long_tend(struct ferry_shard *shard)
{
    bool draining = atomic_load(&shard->http->draining);
    if (!atomic_exchange(&shard->long_news, false) && shard->now_ms < shard->long_due_ms && !draining)
        return;
    shard->long_due_ms = INT64_MAX;
    for (struct ferry_connection *connection = shard->lists[FERRY_CONNECTION_LONG].first, *next; connection != NULL;
         connection = next) {
        next = connection->next;
        (connection->request->longer.kind == FERRY_LONG_WAIT ? tend_wait : tend_events)(connection->request, draining);
    }
}
