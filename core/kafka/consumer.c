/* The consumer of a group.
 *
 * Assignment. librdkafka calls on_rebalance from within a poll, on the owner's thread. What is ours is kept in a table
 * of partitions, because stores may come from any thread and late: a store for a partition that is not in the table is
 * dropped. On a revocation the listener drains, what it stored is committed, and only then the partitions are given up.
 *
 * The first start of a group ("start: now"). Without a commit librdkafka would begin at the beginning of a topic. So
 * before the first partitions are taken it is asked whether the group has any commit at all, in any partition of any of
 * its topics; if not, the ends of all of them are committed. From then on the group has commits, and a partition
 * without one is a partition that appeared later: it begins at its beginning (auto.offset.reset=earliest). The answer
 * may fail to come while a broker is away. Then the assignment waits, polled meanwhile, and is tried again. */
#include "core/kafka/consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/kafka/common.h"
#include "core/kafka/consumer_private.h"
#include "core/log.h"

enum {
    LOOK_UP_MS = 5000,    /* one attempt to find out where a group stands */
    LOOK_AGAIN_MS = 2000, /* between attempts */
    COMMIT_MS = 3000,     /* the last commit of what is revoked */
    COMMIT_AGAIN_MS = 50,
    LEAVE_MS = 6000, /* leaving a group whose coordinator may be away */
    POLL_WHILE_WAITING_MS = 250,
    LEAVE_POLL_MS = 50,
};

static const struct ferry_kafka_setting defaults[] = {
    {"topic.metadata.refresh.interval.ms", "10000"}, /* an expression sees a new topic only then */
    {"allow.auto.create.topics", "false"},
    {NULL, NULL},
};

static const struct ferry_kafka_setting owned_settings[] = {
    {"enable.auto.commit", "true"}, /* of what was stored; nothing stores but ferry_consumer_store */
    {"auto.commit.interval.ms", "1000"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "earliest"},
    {"partition.assignment.strategy", "cooperative-sticky"},
    {NULL, NULL},
};

/* ---- the table of partitions ---- */

struct ferry_owned_partition *ferry_consumer_find(struct ferry_consumer *consumer, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < consumer->owned_count; i++) {
        struct ferry_owned_partition *row = &consumer->owned[i];
        if (row->partition == partition && strcmp(row->topic, topic) == 0)
            return row;
    }
    return NULL;
}

/* Room for so many rows, and for telling the listener about all of them when they go: by then nothing may fail. */
static bool reserve(struct ferry_consumer *consumer, size_t room)
{
    struct ferry_owned_partition *rows = realloc(consumer->owned, (room + 1) * sizeof *rows);
    if (rows == NULL)
        return false;
    consumer->owned = rows;
    struct ferry_partition *told = realloc(consumer->told, (room + 1) * sizeof *told);
    if (told == NULL)
        return false;
    consumer->told = told;
    return true;
}

static bool add_row(struct ferry_consumer *consumer, const rd_kafka_topic_partition_t *partition)
{
    char *topic = strdup(partition->topic);
    if (topic == NULL)
        return false;
    consumer->owned[consumer->owned_count++] =
        (struct ferry_owned_partition){.topic = topic,
                                       .partition = partition->partition,
                                       .settled = partition->offset >= 0 ? partition->offset : -1,
                                       .position = partition->offset >= 0 ? partition->offset : -1};
    return true;
}

bool ferry_consumer_own(struct ferry_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    pthread_mutex_lock(&consumer->lock);
    bool owned = reserve(consumer, consumer->owned_count + (size_t)partitions->cnt);
    for (int i = 0; owned && i < partitions->cnt; i++)
        owned = add_row(consumer, &partitions->elems[i]);
    pthread_mutex_unlock(&consumer->lock);
    return owned;
}

/* Takes partitions out of the table and writes what is settled of them into the list; RD_KAFKA_OFFSET_INVALID where
 * nothing is. */
static void disown(struct ferry_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    pthread_mutex_lock(&consumer->lock);
    for (int i = 0; i < partitions->cnt; i++) {
        rd_kafka_topic_partition_t *partition = &partitions->elems[i];
        struct ferry_owned_partition *row = ferry_consumer_find(consumer, partition->topic, partition->partition);
        partition->offset = row != NULL && row->settled >= 0 ? row->settled : RD_KAFKA_OFFSET_INVALID;
        if (row == NULL)
            continue;
        free(row->topic);
        *row = consumer->owned[--consumer->owned_count];
    }
    pthread_mutex_unlock(&consumer->lock);
}

void ferry_consumer_disown_all(struct ferry_consumer *consumer)
{
    if (consumer->uncopied != NULL)
        rd_kafka_message_destroy(consumer->uncopied);
    consumer->uncopied = NULL;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->owned_count; i++)
        free(consumer->owned[i].topic);
    consumer->owned_count = 0;
    pthread_mutex_unlock(&consumer->lock);
}

/* ---- rebalance ---- */

/* The list as the listener sees it. */
static const struct ferry_partition *told(struct ferry_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        consumer->told[i] = (struct ferry_partition){.topic = list->elems[i].topic,
                                                     .partition = list->elems[i].partition,
                                                     .offset = list->elems[i].offset >= 0 ? list->elems[i].offset : -1};
    return consumer->told;
}

/* Takes the partitions over, from where the group stands. */
static void take_assignment(struct ferry_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *standing = rd_kafka_topic_partition_list_copy(partitions);
    if (standing->cnt > 0)
        rd_kafka_committed(consumer->client, standing, LOOK_UP_MS); /* what stays unknown is -1 */
    if (ferry_consumer_own(consumer, standing) && consumer->listener.assigned != NULL && standing->cnt > 0)
        consumer->listener.assigned(consumer->listener.context, told(consumer, standing), (size_t)standing->cnt);
    rd_kafka_topic_partition_list_destroy(standing);
    rd_kafka_error_t *failed = rd_kafka_incremental_assign(consumer->client, partitions);
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    atomic_store(&consumer->ready, true);
}

/* True when the broker has taken the offsets. */
static bool commit(struct ferry_consumer *consumer, const rd_kafka_topic_partition_list_t *settled, int timeout_ms)
{
    bool taken = false;
    rd_kafka_queue_t *answers = rd_kafka_queue_new(consumer->client);
    if (!rd_kafka_commit_queue(consumer->client, settled, answers, NULL, NULL)) {
        rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, timeout_ms);
        taken = answer != NULL && !rd_kafka_event_error(answer);
        if (answer != NULL)
            rd_kafka_event_destroy(answer);
    }
    rd_kafka_queue_destroy(answers);
    return taken;
}

/* Commits these offsets; whoever gets the partitions next begins there. A coordinator that is busy with the group says
 * no for a moment: it is asked again, but not for long. */
static void commit_last(struct ferry_consumer *consumer, const rd_kafka_topic_partition_list_t *settled)
{
    const struct timespec pause = {.tv_nsec = COMMIT_AGAIN_MS * 1000000L};
    int64_t deadline = ferry_clock_mono_ms() + COMMIT_MS, left;
    while ((left = deadline - ferry_clock_mono_ms()) > 0 && !commit(consumer, settled, (int)left))
        nanosleep(&pause, NULL);
}

static void give_up_partitions(struct ferry_consumer *consumer, rd_kafka_topic_partition_list_t *partitions, bool lost)
{
    if (consumer->listener.revoked != NULL && partitions->cnt > 0)
        consumer->listener.revoked(consumer->listener.context, told(consumer, partitions), (size_t)partitions->cnt,
                                   lost);
    rd_kafka_topic_partition_list_t *settled = rd_kafka_topic_partition_list_copy(partitions);
    disown(consumer, settled);
    for (int i = settled->cnt - 1; i >= 0; i--)
        if (settled->elems[i].offset < 0)
            rd_kafka_topic_partition_list_del_by_idx(settled, i);
    if (!lost && settled->cnt > 0)
        commit_last(consumer, settled);
    rd_kafka_topic_partition_list_destroy(settled);
    rd_kafka_error_t *failed = rd_kafka_incremental_unassign(consumer->client, partitions);
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    if (consumer->lag != NULL)
        ferry_metric_clear(consumer->lag);
    if (lost)
        atomic_store(&consumer->ready, false);
}

/* Takes the waiting assignment over, as soon as the group's start is settled. */
static void try_waiting(struct ferry_consumer *consumer)
{
    if (consumer->waiting == NULL || ferry_clock_mono_ms() < consumer->look_again_ms)
        return;
    if (consumer->start_unsettled && ferry_consumer_begin_now(consumer->client, consumer->subscription,
                                                              consumer->from_beginning, LOOK_UP_MS) != FERRY_OK) {
        consumer->look_again_ms = ferry_clock_mono_ms() + LOOK_AGAIN_MS;
        return;
    }
    consumer->start_unsettled = false;
    rd_kafka_topic_partition_list_t *partitions = consumer->waiting;
    consumer->waiting = NULL;
    take_assignment(consumer, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
}

static void on_assigned(struct ferry_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    consumer->placed = true;
    consumer->waiting = rd_kafka_topic_partition_list_copy(partitions);
    consumer->look_again_ms = 0;
    try_waiting(consumer);
}

/* The assignment waited and was never taken over, so nothing else is ours; librdkafka wants both calls all the same. */
static void drop_waiting(struct ferry_consumer *consumer)
{
    rd_kafka_error_t *failed = rd_kafka_incremental_assign(consumer->client, consumer->waiting);
    if (failed == NULL)
        failed = rd_kafka_incremental_unassign(consumer->client, consumer->waiting);
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    rd_kafka_topic_partition_list_destroy(consumer->waiting);
    consumer->waiting = NULL;
}

static void on_revoked(struct ferry_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    if (consumer->waiting != NULL)
        drop_waiting(consumer);
    else
        give_up_partitions(consumer, partitions, rd_kafka_assignment_lost(consumer->client) != 0);
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *partitions,
                         void *context)
{
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assigned(context, partitions);
    else if (what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        on_revoked(context, partitions);
    else
        rd_kafka_assign(client, NULL);
}

/* ---- life ---- */

struct ferry_consumer *ferry_consumer_new(void)
{
    struct ferry_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer != NULL)
        pthread_mutex_init(&consumer->lock, NULL);
    return consumer;
}

void ferry_consumer_free(struct ferry_consumer *consumer)
{
    ferry_consumer_disown_all(consumer); /* its record goes before the client that it came from */
    if (consumer->client != NULL && !consumer->kept)
        rd_kafka_destroy_flags(consumer->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (consumer->subscription != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->subscription);
    if (consumer->waiting != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->waiting);
    free(consumer->owned);
    free(consumer->told);
    free(consumer->from_beginning);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer);
}

static struct ferry_metric *lag_family(struct ferry_metrics *metrics)
{
    static const char *const labels[] = {"topic", "partition", NULL};
    return ferry_metrics_family(metrics, FERRY_GAUGE, "ferry_consumer_lag",
                                "Records of a partition that are not settled yet", labels);
}

static enum ferry_code make_client(struct ferry_consumer *consumer, const struct ferry_consumer_options *options,
                                   struct ferry_error *error)
{
    rd_kafka_conf_t *conf;
    enum ferry_code code = ferry_kafka_conf((struct ferry_kafka_settings){defaults, owned_settings}, options->common,
                                            options->overrides, &conf, error);
    if (code != FERRY_OK)
        return code;
    char words[256] = "";
    if (rd_kafka_conf_set(conf, "group.id", options->group, words, sizeof words) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return ferry_fail(error, FERRY_CONFIG, "group: %s", words);
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, consumer);
    code = ferry_kafka_client(RD_KAFKA_CONSUMER, conf, &consumer->client, error);
    if (code == FERRY_OK)
        rd_kafka_poll_set_consumer(consumer->client);
    return code;
}

static enum ferry_code subscribe(struct ferry_consumer *consumer, struct ferry_strings topics,
                                 struct ferry_error *error)
{
    consumer->subscription = rd_kafka_topic_partition_list_new((int)topics.count);
    for (size_t i = 0; i < topics.count; i++)
        rd_kafka_topic_partition_list_add(consumer->subscription, topics.items[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t failed = rd_kafka_subscribe(consumer->client, consumer->subscription);
    if (failed)
        return ferry_fail(error, FERRY_CONFIG, "cannot subscribe: %s", rd_kafka_err2str(failed));
    return FERRY_OK;
}

enum ferry_code ferry_consumer_open(const struct ferry_consumer_options *options,
                                    const struct ferry_consumer_listener *listener, struct ferry_metrics *metrics,
                                    struct ferry_consumer **out, struct ferry_error *error)
{
    struct ferry_consumer *consumer = ferry_consumer_new();
    if (consumer == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (listener != NULL)
        consumer->listener = *listener;
    consumer->start_unsettled = options->start == FERRY_START_NOW;
    consumer->lag = lag_family(metrics);
    enum ferry_code code = FERRY_OK;
    if (options->from_beginning != NULL && (consumer->from_beginning = strdup(options->from_beginning)) == NULL)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK)
        code = make_client(consumer, options, error);
    if (code == FERRY_OK)
        code = subscribe(consumer, options->topics, error);
    if (code != FERRY_OK) {
        ferry_consumer_free(consumer);
        return code;
    }
    *out = consumer;
    return FERRY_OK;
}

/* Whether nothing is assigned any more, nor asked for. */
static bool has_given_up_all(struct ferry_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *asked = NULL, *assigned = NULL;
    bool nothing = rd_kafka_subscription(consumer->client, &asked) == RD_KAFKA_RESP_ERR_NO_ERROR && asked->cnt == 0 &&
                   rd_kafka_assignment(consumer->client, &assigned) == RD_KAFKA_RESP_ERR_NO_ERROR && assigned->cnt == 0;
    if (asked != NULL)
        rd_kafka_topic_partition_list_destroy(asked);
    if (assigned != NULL)
        rd_kafka_topic_partition_list_destroy(assigned);
    return nothing && consumer->owned_count == 0;
}

/* The last revocation, with the last commits. librdkafka can end the process (an assertion of its own) when a client
 * closes in the middle of a rebalance; without a subscription it is in none. What is fetched meanwhile nobody wants. */
static void give_up_all(struct ferry_consumer *consumer, int64_t deadline)
{
    if (rd_kafka_unsubscribe(consumer->client) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (!has_given_up_all(consumer) && ferry_clock_mono_ms() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, LEAVE_POLL_MS);
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
}

/* Whether the coordinator has known this client once. After a failed second step of joining it does no more. */
static bool was_member(struct ferry_consumer *consumer)
{
    if (consumer->member)
        return true;
    char *id = rd_kafka_memberid(consumer->client);
    consumer->member = id != NULL && *id != '\0';
    if (id != NULL)
        rd_kafka_mem_free(consumer->client, id);
    return consumer->member;
}

/* Leaves the group, yet does not wait for ever for a coordinator that is away.
 *
 * Two kinds of clients are not freed: librdkafka 2.0.2 would end or hang the process. One that has joined a group
 * (first step) and was never told its partitions (second step): it asserts that the assignor has a state, which only
 * the second step makes (rd_kafka_sticky_assignor_state_destroy). And one whose group did not come to its end in time:
 * its main thread may wait for that for ever, and freeing waits for the thread. Such a client stays, unused, with its
 * threads and connections, until the program ends, which it mostly does anyway. */
static void leave_group(struct ferry_consumer *consumer)
{
    int64_t deadline = ferry_clock_mono_ms() + LEAVE_MS;
    bool joining = !consumer->placed && was_member(consumer);
    give_up_all(consumer, deadline);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->client);
    rd_kafka_error_t *failed = rd_kafka_consumer_close_queue(consumer->client, queue);
    while (failed == NULL && !rd_kafka_consumer_closed(consumer->client) && ferry_clock_mono_ms() < deadline) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, LEAVE_POLL_MS);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            on_rebalance(consumer->client, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event),
                         consumer);
        rd_kafka_event_destroy(event);
    }
    bool ended = failed != NULL || rd_kafka_consumer_closed(consumer->client);
    consumer->kept = !ended || (joining && !consumer->placed);
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    rd_kafka_queue_destroy(queue);
}

void ferry_consumer_close(struct ferry_consumer *consumer)
{
    if (consumer == NULL)
        return;
    if (consumer->subscription != NULL)
        leave_group(consumer);
    ferry_consumer_free(consumer);
}

/* ---- reading ---- */

/* How far a reader has come in a partition; `ended`: to its end. */
static void note_position(struct ferry_consumer *reader, const rd_kafka_message_t *message, int64_t next, bool ended)
{
    pthread_mutex_lock(&reader->lock);
    struct ferry_owned_partition *row =
        ferry_consumer_find(reader, rd_kafka_topic_name(message->rkt), message->partition);
    if (row != NULL) {
        row->position = next;
        row->ended |= ended;
    }
    pthread_mutex_unlock(&reader->lock);
}

static rd_kafka_message_t *next_message(struct ferry_consumer *consumer, int timeout_ms)
{
    rd_kafka_message_t *message = consumer->uncopied;
    consumer->uncopied = NULL;
    return message != NULL ? message : rd_kafka_consumer_poll(consumer->client, timeout_ms);
}

/* A right that is missing is granted by a person, who is to read of it; librdkafka tells of it once. The rest mends
 * itself; and a reader, which joins no group, needs no right to one. */
static void tell_problem(const struct ferry_consumer *consumer, const rd_kafka_message_t *message)
{
    char group[256];
    bool no_group = message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    bool matters =
        no_group ? consumer->subscription != NULL : message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    if (!matters) {
        ferry_log(FERRY_LOG_DEBUG, rd_kafka_message_errstr(message),
                  FERRY_FIELDS(ferry_text("client", rd_kafka_name(consumer->client))));
        return;
    }
    ferry_kafka_value(consumer->client, "group.id", group, sizeof group);
    ferry_log(
        FERRY_LOG_ERROR, "Kafka refuses to be read: a right is missing",
        FERRY_FIELDS(ferry_text("right", no_group ? "Read on the group" : "Read on the topic"),
                     ferry_text(no_group ? "group" : "topic", no_group               ? group
                                                              : message->rkt != NULL ? rd_kafka_topic_name(message->rkt)
                                                                                     : ""),
                     ferry_text("reason", rd_kafka_message_errstr(message)),
                     ferry_text("cure", "grant it; `ferry topics --format acls` prints all that are needed")));
}

struct ferry_fetched *ferry_consumer_poll(struct ferry_consumer *consumer, int timeout_ms)
{
    try_waiting(consumer);
    if (consumer->subscription != NULL && !consumer->placed)
        (void)was_member(consumer);
    if (consumer->waiting != NULL && timeout_ms > POLL_WHILE_WAITING_MS)
        timeout_ms = POLL_WHILE_WAITING_MS;
    rd_kafka_message_t *message = next_message(consumer, timeout_ms);
    if (message == NULL)
        return NULL;
    struct ferry_fetched *fetched = NULL;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && (fetched = ferry_fetched_copy(message)) == NULL) {
        consumer->uncopied = message; /* to go on would be to skip it */
        return NULL;
    }
    if (fetched == NULL && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        tell_problem(consumer, message);
    if (fetched != NULL && consumer->subscription == NULL)
        note_position(consumer, message, message->offset + 1, false);
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        note_position(consumer, message, message->offset, true);
    rd_kafka_message_destroy(message);
    return fetched;
}

static rd_kafka_topic_partition_list_t *one_partition(const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    return list;
}

void ferry_consumer_pause(struct ferry_consumer *consumer, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = one_partition(topic, partition, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_pause_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void ferry_consumer_resume(struct ferry_consumer *consumer, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = one_partition(topic, partition, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_resume_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void ferry_consumer_store(struct ferry_consumer *consumer, const char *topic, int32_t partition, int64_t next_offset)
{
    /* Under the lock, so that of two stores the higher one is the last. */
    pthread_mutex_lock(&consumer->lock);
    struct ferry_owned_partition *row = ferry_consumer_find(consumer, topic, partition);
    if (row != NULL && next_offset > row->settled) {
        row->settled = next_offset;
        rd_kafka_topic_partition_list_t *list = one_partition(topic, partition, next_offset);
        rd_kafka_offsets_store(consumer->client, list);
        rd_kafka_topic_partition_list_destroy(list);
    }
    pthread_mutex_unlock(&consumer->lock);
}

bool ferry_consumer_ready(const struct ferry_consumer *consumer)
{
    return atomic_load(&consumer->ready);
}

static void set_lag(struct ferry_consumer *consumer, const struct ferry_owned_partition *row)
{
    int64_t low, high;
    if (rd_kafka_get_watermark_offsets(consumer->client, row->topic, row->partition, &low, &high) || high < 0)
        return; /* nothing was fetched yet */
    int64_t settled = row->settled >= 0 ? row->settled : low;
    char number[16];
    snprintf(number, sizeof number, "%d", row->partition);
    struct ferry_slice labels[] = {ferry_slice_from(row->topic), ferry_slice_from(number)};
    struct ferry_series *series = ferry_metric_series(consumer->lag, labels);
    ferry_series_set(series, high > settled ? (double)(high - settled) : 0);
}

void ferry_consumer_update_lag(struct ferry_consumer *consumer)
{
    if (consumer->lag == NULL)
        return;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->owned_count; i++)
        set_lag(consumer, &consumer->owned[i]);
    pthread_mutex_unlock(&consumer->lock);
}
