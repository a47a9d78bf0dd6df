/* Replaying to an URL: CloudEvents over HTTP, in order by key.
 *
 * Records are dealt to lanes by their key (without one: by their partition), and a lane has one request on its way, so
 * that events of a key arrive in order while other keys run beside them. What the destination asks to be sent later
 * (408 425 429 5xx), and what did not reach it, is sent again with growing pauses; 429 and 503 hold all lanes for as
 * long as Retry-After says. Any other answer means that the events, or the address, are wrong: then the run stops, and
 * can go on when that is mended. A repeat is possible where a request was sent and no answer came. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/net/client.h"
#include "core/utf8.h"
#include "ferry/replay.h"

enum {
    LANES = 64,
    IN_FLIGHT_MAX = 5000, /* on their way, and waiting in lanes */
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 30000,
    ATTEMPTS = 10, /* about two minutes and a half */
    TIMEOUT_MS = 30000,
    HEADERS = FERRY_EVENT_MEMBERS + 4,
    BODY_MAX_BYTES = 16 * 1024 * 1024,
};

struct waiting {
    struct ferry_track_item *item;
    struct waiting *next;
};

struct lane {
    struct outlet *outlet;
    struct waiting *head; /* its request is the one that is on its way */
    struct waiting *tail;
    bool on_its_way;
    int attempts; /* of the head */
    int64_t due_ms;
};

struct outlet {
    struct ferry_replay *replay;
    struct ferry_client *client;
    pthread_mutex_t lock; /* of everything below */
    struct lane lanes[LANES];
    int64_t hold_until_ms; /* what the destination asked of all */
};

/* ---- the request ---- */

/* HTTP protocol binding 1.0.2, 3.1.3.2: what is no visible ASCII, and " and %, is percent-encoded. */
static void add_header_value(struct ferry_buffer *out, struct ferry_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= 0x20 || c >= 0x7F || c == '"' || c == '%')
            ferry_buffer_printf(out, "%%%02X", c);
        else
            ferry_buffer_add_char(out, (char)c);
    }
}

struct request {
    struct ferry_arena arena;
    struct ferry_buffer body;
    struct ferry_pair headers[HEADERS];
    size_t header_count;
    bool failed;
};

static void request_done(struct request *request)
{
    ferry_arena_done(&request->arena);
    ferry_buffer_done(&request->body);
}

static void add_header(struct request *request, const char *name, struct ferry_slice value)
{
    if (value.ptr == NULL || request->header_count == HEADERS)
        return;
    struct ferry_slice kept = ferry_arena_slice(&request->arena, value);
    struct ferry_slice kept_name = ferry_arena_slice(&request->arena, ferry_slice_from(name));
    request->failed |= kept.ptr == NULL || kept_name.ptr == NULL;
    request->headers[request->header_count++] = (struct ferry_pair){kept_name, kept};
}

static void add_attribute(struct request *request, struct ferry_slice name, struct ferry_slice value)
{
    if (value.ptr == NULL)
        return;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer header;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer encoded;
    ferry_buffer_init(&header, 256);
    ferry_buffer_init(&encoded, BODY_MAX_BYTES);
    ferry_buffer_printf(&header, "ce-%.*s", FERRY_SLICE_ARGS(name));
    ferry_buffer_add_text(&encoded, "");
    add_header_value(&encoded, value);
    request->failed |= header.failed || encoded.failed;
    if (!request->failed)
        add_header(request, header.ptr, ferry_slice_of(encoded.ptr != NULL ? encoded.ptr : "", encoded.len));
}

static void make_binary(struct request *request, const struct ferry_event *event)
{
    const struct ferry_pair attributes[] = {
        {FERRY_SLICE("specversion"), FERRY_SLICE("1.0")},
        {FERRY_SLICE("id"), event->id},
        {FERRY_SLICE("source"), event->source},
        {FERRY_SLICE("type"), event->type},
        {FERRY_SLICE("time"), event->time},
        {FERRY_SLICE("subject"), event->subject},
        {FERRY_SLICE("dataschema"), event->dataschema},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        add_attribute(request, attributes[i].name, attributes[i].value);
    for (size_t i = 0; i < event->extension_count; i++)
        add_attribute(request, event->extensions[i].name, event->extensions[i].value);
    add_header(request, "Content-Type", event->datacontenttype);
    ferry_buffer_add(&request->body, event->data_kind != FERRY_DATA_NONE ? event->data : FERRY_SLICE(""));
}

static void make_structured(struct request *request, const struct ferry_event *event)
{
    add_header(request, "Content-Type", FERRY_SLICE("application/cloudevents+json; charset=UTF-8"));
    ferry_event_print_json(event, &request->body);
}

static enum ferry_code make_request(const struct outlet *outlet, const struct ferry_record *record,
                                    struct request *request, struct ferry_error *error)
{
    struct ferry_event event;
    ferry_buffer_init(&request->body, BODY_MAX_BYTES);
    enum ferry_code code = ferry_record_read(record, &request->arena, &event, error);
    if (code != FERRY_OK)
        return code;
    if (outlet->replay->structured)
        make_structured(request, &event);
    else
        make_binary(request, &event);
    add_header(request, "Ferry-Replay", ferry_slice_from(outlet->replay->run));
    return request->failed || request->body.failed ? ferry_fail(error, FERRY_MEMORY, "out of memory") : FERRY_OK;
}

/* ---- answers; on the client's thread ---- */

static bool is_temporary(const struct ferry_answer *answer)
{
    int status = answer->status;
    return answer->exchange != FERRY_EXCHANGE_ANSWERED || status == 408 || status == 425 || status == 429 ||
           status >= 500;
}

static int64_t pause_after(int attempts)
{
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (int i = 1; i < attempts && pause_ms < LONGEST_PAUSE_MS; i++)
        pause_ms *= 2;
    return pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
}

static void describe(const struct ferry_answer *answer, const struct ferry_record *record, char *out, size_t bytes)
{
    struct ferry_slice id = ferry_record_header(record, "ce_id");
    if (answer->exchange == FERRY_EXCHANGE_ANSWERED)
        snprintf(out, bytes, "the destination answered %d to the event %.*s (%s/%d/%lld)", answer->status,
                 (int)(id.len < 80 ? id.len : 80), id.ptr != NULL ? id.ptr : "", record->topic.ptr, record->partition,
                 (long long)record->offset);
    else
        snprintf(out, bytes, "the destination does not answer: %.150s",
                 answer->reason != NULL ? answer->reason : "no connection");
}

/* The head is through: the next may go. */
static struct ferry_track_item *pop(struct lane *lane)
{
    struct waiting *done = lane->head;
    struct ferry_track_item *item = done->item;
    lane->head = done->next;
    lane->attempts = 0;
    free(done);
    return item;
}

static void put_off(struct outlet *outlet, struct lane *lane, const struct ferry_answer *answer)
{
    int64_t now_ms = ferry_clock_mono_ms();
    int64_t pause_ms = pause_after(++lane->attempts);
    if (answer->retry_after_ms > pause_ms)
        pause_ms = answer->retry_after_ms;
    lane->due_ms = now_ms + pause_ms;
    bool asked_of_all = answer->status == 429 || answer->status == 503;
    if (asked_of_all && lane->due_ms > outlet->hold_until_ms)
        outlet->hold_until_ms = lane->due_ms;
}

static void take_answer(void *context, const struct ferry_answer *answer)
{
    struct lane *lane = context;
    struct outlet *outlet = lane->outlet;
    struct ferry_track_item *settled = NULL;
    char why[256] = "";
    pthread_mutex_lock(&outlet->lock);
    bool good = answer->exchange == FERRY_EXCHANGE_ANSWERED && answer->status >= 200 && answer->status < 300;
    lane->on_its_way = false;
    if (good)
        settled = pop(lane);
    else if (is_temporary(answer) && lane->attempts + 1 < ATTEMPTS)
        put_off(outlet, lane, answer);
    else
        describe(answer, &lane->head->item->fetched->record, why, sizeof why);
    pthread_mutex_unlock(&outlet->lock);
    if (settled != NULL)
        ferry_track_settle(outlet->replay->track, settled);
    if (why[0] != '\0')
        ferry_track_fail(outlet->replay->track, FERRY_HTTP_REFUSED, why);
}

/* ---- sending; on the command's thread ---- */

static void submit(struct outlet *outlet, struct lane *lane, const struct ferry_record *record)
{
    FERRY_CLEANUP(request_done) struct request request = {.header_count = 0};
    struct ferry_error error = {.text = ""};
    enum ferry_code code = make_request(outlet, record, &request, &error);
    const struct ferry_http_request http = {
        .method = "POST",
        .url = outlet->replay->to_url,
        .headers = request.headers,
        .header_count = request.header_count,
        .body = ferry_slice_of(request.body.ptr != NULL ? request.body.ptr : "", request.body.len),
        .timeout_ms = TIMEOUT_MS,
    };
    if (code == FERRY_OK)
        code = ferry_client_http(outlet->client, &http, take_answer, lane, &error);
    if (code != FERRY_OK)
        ferry_track_fail(outlet->replay->track, code, error.text);
}

/* The record that this lane may send now, or NULL. */
static const struct ferry_record *next_of(struct outlet *outlet, struct lane *lane)
{
    const struct ferry_record *record = NULL;
    pthread_mutex_lock(&outlet->lock);
    int64_t now_ms = ferry_clock_mono_ms();
    if (lane->head != NULL && !lane->on_its_way && now_ms >= lane->due_ms && now_ms >= outlet->hold_until_ms) {
        lane->on_its_way = true;
        record = &lane->head->item->fetched->record;
    }
    pthread_mutex_unlock(&outlet->lock);
    return record;
}

static void work(void *context)
{
    struct outlet *outlet = context;
    if (ferry_track_look(outlet->replay->track).code != FERRY_OK)
        return; /* nothing more is sent after a refusal */
    for (size_t i = 0; i < LANES; i++) {
        const struct ferry_record *record = next_of(outlet, &outlet->lanes[i]);
        if (record != NULL)
            submit(outlet, &outlet->lanes[i], record);
    }
}

static void append(struct lane *lane, struct waiting *waiting)
{
    if (lane->head == NULL)
        lane->head = waiting;
    else
        lane->tail->next = waiting;
    lane->tail = waiting;
}

static size_t lane_of(const struct ferry_record *record)
{
    uint64_t hash = record->key.len > 0 ? ferry_hash(FERRY_HASH_EMPTY, record->key)
                                        : ferry_hash_byte(FERRY_HASH_EMPTY, (unsigned char)record->partition);
    return hash % LANES;
}

static enum ferry_code post(void *context, struct ferry_fetched *fetched, size_t span, bool *wanted,
                            struct ferry_error *error)
{
    struct outlet *outlet = context;
    struct lane *lane = &outlet->lanes[lane_of(&fetched->record)];
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting != NULL)
        waiting->item = ferry_track_add(outlet->replay->track, span, fetched, 1);
    if (waiting == NULL || waiting->item == NULL) {
        free(waiting);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    *wanted = true;
    pthread_mutex_lock(&outlet->lock);
    append(lane, waiting);
    pthread_mutex_unlock(&outlet->lock);
    return FERRY_OK;
}

/* ---- life ---- */

static void close_outlet(void *context)
{
    struct outlet *outlet = context;
    ferry_client_stop(outlet->client);
    for (size_t i = 0; i < LANES; i++)
        while (outlet->lanes[i].head != NULL)
            pop(&outlet->lanes[i]); /* the track frees their records */
    pthread_mutex_destroy(&outlet->lock);
    free(outlet);
}

enum ferry_code ferry_replay_open_url(struct ferry_replay *replay, struct ferry_replay_sink *sink,
                                      struct ferry_error *error)
{
    struct outlet *outlet = calloc(1, sizeof *outlet);
    if (outlet == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    outlet->replay = replay;
    pthread_mutex_init(&outlet->lock, NULL);
    for (size_t i = 0; i < LANES; i++)
        outlet->lanes[i].outlet = outlet;
    enum ferry_code code = ferry_client_start(replay->config->ca, &outlet->client, error);
    if (code != FERRY_OK) {
        pthread_mutex_destroy(&outlet->lock);
        free(outlet);
        return code;
    }
    *sink = (struct ferry_replay_sink){outlet, IN_FLIGHT_MAX, post, work, close_outlet};
    return FERRY_OK;
}
