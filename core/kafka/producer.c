/* Two threads of our own beside librdkafka's.
 *
 * The reporter waits on librdkafka's main queue. One event there carries the delivery reports of a produce response,
 * which is one partition's. It takes all that have come by then, and says `reports_end` once for all of them.
 *
 * The prober asks for the metadata of the topics we know every two seconds. librdkafka tells when the last broker went
 * away, yet not when one came back or when a connected one has frozen; it also notices a topic that was created, or a
 * leader that moved, only when it produces. One small request answers all of these.
 *
 * A topic becomes known with its first record: that one waits for one answer of a broker. Topics that are known without
 * being used are dear: librdkafka looks through all partitions that it knows whenever it wakes to send something. With
 * the hundred topics of the catalogue that was 40 % of all CPU.
 *
 * A producer can break for good: a fatal error, or a run of reports that say the sequence numbers do not fit. Then
 * every send fails with FERRY_KAFKA_FATAL; whoever owns it closes it (each record gets its report) and opens another.
 */
#include "core/kafka/producer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/kafka/common.h"
#include "core/kafka/topic_handles.h"
#include "core/wait.h"

enum {
    PROBE_EVERY_MS = 2000,
    PROBE_TIMEOUT_MS = 2000,
    SILENCE_MS = 5000, /* without an answer for so long Kafka counts as away */
    BROKEN_RUN = 3,    /* so many sequence errors without a success in between break the producer */
    REPORTER_WAIT_MS = 1000,
    EVENTS_AT_ONCE = 100, /* then whoever waits for the reports is told, more or no more */
};

struct ferry_producer {
    rd_kafka_t *client;
    rd_kafka_queue_t *reports;
    struct ferry_topic_handles topics;
    struct ferry_producer_listener listener;
    struct ferry_series *up_gauge;
    struct ferry_series *produce_seconds;
    atomic_bool up;
    atomic_bool broken;
    atomic_size_t in_flight;
    int sequence_errors; /* reporter thread alone */
    _Atomic int64_t last_answer_ms;

    pthread_t reporter;
    atomic_bool reporter_stop;
    pthread_t prober;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t changed;
    bool prober_stop;
};

static const struct ferry_kafka_setting defaults[] = {
    {"linger.ms", "1"}, /* with 0 rows of the spool are spread over batches, and one that is refused is overtaken */
    {"socket.nagle.disable", "true"},
    {"socket.timeout.ms", "6000"},         /* a broker that froze is given up before senders time out */
    {"allow.auto.create.topics", "false"}, /* a topic is created with its settings or not at all */
    {NULL, NULL},
};

static const struct ferry_kafka_setting owned[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},       /* a time-out inside librdkafka breaks the order; deadlines are the caller's */
    {"partitioner", "murmur2_random"}, /* the one of Java's clients */
    {NULL, NULL},
};

/* ---- is Kafka there? ---- */

static void set_up(struct ferry_producer *producer, bool up)
{
    atomic_store(&producer->up, up);
    ferry_series_set(producer->up_gauge, up ? 1 : 0);
}

static void note_answer(struct ferry_producer *producer)
{
    atomic_store(&producer->last_answer_ms, ferry_clock_mono_ms());
    if (!atomic_load(&producer->up))
        set_up(producer, true);
}

static void probe(struct ferry_producer *producer)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t failed = rd_kafka_metadata(producer->client, 0, NULL, &metadata, PROBE_TIMEOUT_MS);
    if (!failed) {
        rd_kafka_metadata_destroy(metadata);
        note_answer(producer);
    } else if (ferry_clock_mono_ms() - atomic_load(&producer->last_answer_ms) > SILENCE_MS) {
        set_up(producer, false);
    }
}

/* Until the next probe is due; false when it is time to stop. */
static bool wait_for_probe(struct ferry_producer *producer)
{
    const struct timespec until = ferry_deadline_in(PROBE_EVERY_MS);
    pthread_mutex_lock(&producer->lock);
    while (!producer->prober_stop)
        if (pthread_cond_timedwait(&producer->changed, &producer->lock, &until) != 0)
            break;
    bool go_on = !producer->prober_stop;
    pthread_mutex_unlock(&producer->lock);
    return go_on;
}

static void *run_prober(void *context)
{
    struct ferry_producer *producer = context;
    do
        probe(producer);
    while (wait_for_probe(producer));
    return NULL;
}

/* ---- reports ---- */

static bool is_sequence_error(rd_kafka_resp_err_t failure)
{
    return failure == RD_KAFKA_RESP_ERR__INCONSISTENT || failure == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER ||
           failure == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH || failure == RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID;
}

static void watch_sequence(struct ferry_producer *producer, rd_kafka_resp_err_t failure)
{
    if (failure == RD_KAFKA_RESP_ERR_NO_ERROR)
        producer->sequence_errors = 0;
    else if (is_sequence_error(failure) && ++producer->sequence_errors >= BROKEN_RUN)
        atomic_store(&producer->broken, true);
}

/* librdkafka takes a batch that failed for acknowledged when a later batch of its partition succeeded ("implicitly
 * acked"), since a broker takes batches in sequence only. Yet a broker that knows nothing of the producer so far, for
 * instance because the partition is new, takes a later batch as the first, and the failed one is lost. Such a report
 * has no offset: Kafka never said where the record is, so it is no acknowledgement. */
static bool is_assumed(const rd_kafka_message_t *message)
{
    return message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < 0;
}

static void report(struct ferry_producer *producer, const rd_kafka_message_t *message)
{
    watch_sequence(producer, message->err);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        ferry_series_observe_ms(producer->produce_seconds, (double)rd_kafka_message_latency(message) / 1000);
    struct ferry_report out = {
        .tag = message->_private,
        .code = is_assumed(message) ? FERRY_UNAVAILABLE : ferry_kafka_code(message->err),
        .possibly_persisted =
            is_assumed(message) || (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
                                    rd_kafka_message_status(message) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED),
        .reason = is_assumed(message) ? "Kafka did not say where the record is" : rd_kafka_err2str(message->err),
        .partition = message->partition,
        .offset = message->offset,
    };
    producer->listener.report(producer->listener.context, &out);
}

/* How many. */
static size_t take_reports(struct ferry_producer *producer, rd_kafka_event_t *event)
{
    size_t count = 0;
    bool acknowledged = false;
    for (const rd_kafka_message_t *message; (message = rd_kafka_event_message_next(event)) != NULL; count++) {
        acknowledged |= message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        report(producer, message);
    }
    if (acknowledged)
        note_answer(producer);
    return count;
}

static void take_error(struct ferry_producer *producer, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t failure = rd_kafka_event_error(event);
    if (rd_kafka_event_error_is_fatal(event) || failure == RD_KAFKA_RESP_ERR__FATAL)
        atomic_store(&producer->broken, true);
    else if (failure == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        set_up(producer, false);
}

/* How many reports it carried. */
static size_t take_event(struct ferry_producer *producer, rd_kafka_event_t *event)
{
    size_t count = 0;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
        count = take_reports(producer, event);
    else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
        take_error(producer, event);
    rd_kafka_event_destroy(event);
    return count;
}

/* This one, and what has come since; how many reports. */
static size_t take_events(struct ferry_producer *producer, rd_kafka_event_t *event)
{
    size_t count = 0;
    for (int events = 1; event != NULL; events++) {
        count += take_event(producer, event);
        event = events < EVENTS_AT_ONCE ? rd_kafka_queue_poll(producer->reports, 0) : NULL;
    }
    return count;
}

static void end_reports(struct ferry_producer *producer, size_t count)
{
    if (count > 0 && producer->listener.reports_end != NULL)
        producer->listener.reports_end(producer->listener.context);
    /* Last of all: in_flight() == 0 means that every callback has returned. */
    atomic_fetch_sub(&producer->in_flight, count);
}

static void *run_reporter(void *context)
{
    struct ferry_producer *producer = context;
    while (!atomic_load(&producer->reporter_stop)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(producer->reports, REPORTER_WAIT_MS);
        end_reports(producer, take_events(producer, event));
    }
    return NULL;
}

/* ---- sending ---- */

/* NULL when there are none, or (`*failed`) when memory ran out. */
static rd_kafka_headers_t *make_headers(const struct ferry_record *record, bool *failed)
{
    *failed = false;
    if (record->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; headers != NULL && i < record->header_count; i++) {
        const struct ferry_pair *header = &record->headers[i];
        if (rd_kafka_header_add(headers, header->name.ptr, (ssize_t)header->name.len, header->value.ptr,
                                (ssize_t)header->value.len)) {
            rd_kafka_headers_destroy(headers);
            headers = NULL;
        }
    }
    *failed = headers == NULL;
    return headers;
}

/* The slice's bytes for librdkafka, which tells "absent" from "empty" by the pointer, as slices do; it does not write
 * to them. */
static void *bytes_of(struct ferry_slice slice)
{
    return (void *)(uintptr_t)slice.ptr;
}

static enum ferry_code refuse(const struct ferry_record *record, rd_kafka_resp_err_t why, struct ferry_error *error)
{
    return ferry_fail(error, ferry_kafka_code(why), "%.*s: %s", FERRY_SLICE_ARGS(record->topic), rd_kafka_err2str(why));
}

static enum ferry_code produce(struct ferry_producer *producer, const struct ferry_record *record, int32_t partition,
                               void *tag, struct ferry_error *error)
{
    rd_kafka_resp_err_t refused;
    rd_kafka_topic_t *topic = ferry_topic_handle(&producer->topics, record->topic, &refused);
    if (topic == NULL)
        return refuse(record, refused, error);
    bool failed;
    rd_kafka_headers_t *headers = make_headers(record, &failed);
    if (failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    atomic_fetch_add(&producer->in_flight, 1);
    /* Not rd_kafka_produceva: in 2.0.2 it frees the headers twice when the partition does not exist. And not with
     * rd_kafka_producev's macros, which are GNU statement expressions. */
    refused = rd_kafka_producev(producer->client, RD_KAFKA_VTYPE_RKT, topic, RD_KAFKA_VTYPE_PARTITION, partition,
                                RD_KAFKA_VTYPE_MSGFLAGS, 0, RD_KAFKA_VTYPE_KEY, bytes_of(record->key), record->key.len,
                                RD_KAFKA_VTYPE_VALUE, bytes_of(record->value), record->value.len,
                                RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_OPAQUE, tag, RD_KAFKA_VTYPE_END);
    if (!refused)
        return FERRY_OK;
    atomic_fetch_sub(&producer->in_flight, 1);
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    return refuse(record, refused, error);
}

enum ferry_code ferry_producer_send_to(struct ferry_producer *producer, const struct ferry_record *record,
                                       int32_t partition, void *tag, struct ferry_error *error)
{
    enum { NAME_MAX_BYTES = 255 };
    if (record->topic.len == 0 || record->topic.len > NAME_MAX_BYTES)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "a topic's name has 1 to 249 characters");
    if (atomic_load(&producer->broken))
        return ferry_fail(error, FERRY_KAFKA_FATAL, "the producer is broken and has to be replaced");
    return produce(producer, record, partition, tag, error);
}

enum ferry_code ferry_producer_send(struct ferry_producer *producer, const struct ferry_record *record, void *tag,
                                    struct ferry_error *error)
{
    return ferry_producer_send_to(producer, record, RD_KAFKA_PARTITION_UA, tag, error);
}

/* ---- life ---- */

static void add_metrics(struct ferry_producer *producer, struct ferry_metrics *metrics)
{
    struct ferry_metric *up =
        ferry_metrics_family(metrics, FERRY_GAUGE, "ferry_kafka_up", "1 while a Kafka broker answers", NULL);
    struct ferry_metric *seconds =
        ferry_metrics_family(metrics, FERRY_HISTOGRAM, "ferry_produce_seconds",
                             "From handing a record to the Kafka client to its acknowledgement", NULL);
    producer->up_gauge = ferry_metric_series(up, NULL);
    producer->produce_seconds = ferry_metric_series(seconds, NULL);
    ferry_series_set(producer->up_gauge, 0);
}

static enum ferry_code make_client(struct ferry_properties common, struct ferry_properties overrides, rd_kafka_t **out,
                                   struct ferry_error *error)
{
    rd_kafka_conf_t *conf;
    enum ferry_code code =
        ferry_kafka_conf((struct ferry_kafka_settings){defaults, owned}, common, overrides, &conf, error);
    if (code != FERRY_OK)
        return code;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return ferry_kafka_client(RD_KAFKA_PRODUCER, conf, out, error);
}

static void free_parts(struct ferry_producer *producer)
{
    rd_kafka_queue_destroy(producer->reports);
    ferry_topic_handles_done(&producer->topics);
    rd_kafka_destroy(producer->client);
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->lock);
    free(producer);
}

static void stop_reporter(struct ferry_producer *producer)
{
    atomic_store(&producer->reporter_stop, true);
    rd_kafka_queue_yield(producer->reports);
    pthread_join(producer->reporter, NULL);
}

static void stop_prober(struct ferry_producer *producer)
{
    pthread_mutex_lock(&producer->lock);
    producer->prober_stop = true;
    pthread_cond_signal(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
    pthread_join(producer->prober, NULL);
}

static enum ferry_code start_threads(struct ferry_producer *producer, struct ferry_error *error)
{
    int failed = pthread_create(&producer->reporter, NULL, run_reporter, producer);
    if (failed)
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    failed = pthread_create(&producer->prober, NULL, run_prober, producer);
    if (failed) {
        stop_reporter(producer);
        return ferry_fail(error, FERRY_SYSTEM, "cannot start a thread: %s", strerror(failed));
    }
    return FERRY_OK;
}

enum ferry_code ferry_producer_open(struct ferry_properties common, struct ferry_properties overrides,
                                    const struct ferry_producer_listener *listener, struct ferry_metrics *metrics,
                                    struct ferry_producer **out, struct ferry_error *error)
{
    rd_kafka_t *client;
    enum ferry_code code = make_client(common, overrides, &client, error);
    if (code != FERRY_OK)
        return code;
    struct ferry_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL) {
        rd_kafka_destroy(client);
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    producer->client = client;
    producer->reports = rd_kafka_queue_get_main(client);
    ferry_topic_handles_init(&producer->topics, client);
    producer->listener = *listener;
    pthread_mutex_init(&producer->lock, NULL);
    ferry_condition_init(&producer->changed);
    add_metrics(producer, metrics);
    code = start_threads(producer, error);
    if (code != FERRY_OK) {
        free_parts(producer);
        return code;
    }
    *out = producer;
    return FERRY_OK;
}

bool ferry_producer_up(const struct ferry_producer *producer)
{
    return atomic_load(&producer->up);
}

bool ferry_producer_broken(const struct ferry_producer *producer)
{
    return atomic_load(&producer->broken);
}

size_t ferry_producer_in_flight(const struct ferry_producer *producer)
{
    return atomic_load(&producer->in_flight);
}

enum ferry_code ferry_producer_flush(struct ferry_producer *producer, int64_t timeout_ms)
{
    /* Not rd_kafka_flush: it serves the queue itself where the events are not taken, and counts what the reporter has
     * in hand as done. */
    int64_t deadline = ferry_clock_mono_ms() + timeout_ms;
    const struct timespec pause = {.tv_nsec = 2000000};
    while (ferry_producer_in_flight(producer) > 0) {
        if (ferry_clock_mono_ms() >= deadline)
            return FERRY_UNAVAILABLE;
        nanosleep(&pause, NULL);
    }
    return FERRY_OK;
}

void ferry_producer_close(struct ferry_producer *producer)
{
    enum { LAST_REPORTS_MS = 5000 };
    if (producer == NULL)
        return;
    rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)!ferry_producer_flush(producer, LAST_REPORTS_MS);
    stop_prober(producer);
    stop_reporter(producer);
    set_up(producer, false);
    free_parts(producer);
}
