/* Order, and what is safe, across the producer and the spool, with a broker that goes and comes on command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../kafka/cluster.h"
#include "bridge/order_inside.h"
#include "bridge/publish.h"
#include "tests/support/spool_folder.h"

enum { ITEMS = 400, MANY_ITEMS = 2400, LIMIT = 64 << 20 };

/* ---- records and what became of them ---- */

struct item {
    struct ferry_shipment shipment;
    struct ferry_record record;
    char number[8];
    atomic_int settled;
    atomic_int released;
    enum ferry_code code; /* after `settled` */
};

struct fixture {
    char directory[SPOOL_FOLDER];
    struct cluster *cluster;
    struct ferry_config config;
    struct ferry_order *order;
    struct item items[MANY_ITEMS + 1];
};

static void take_settled(void *context, struct ferry_shipment *shipment, enum ferry_code code, bool reporting)
{
    (void)context, (void)reporting;
    struct item *item = shipment->owner;
    item->code = code;
    atomic_fetch_add(&item->settled, 1);
}

static void take_released(void *context, struct ferry_shipment *shipment)
{
    (void)context;
    atomic_fetch_add(&((struct item *)shipment->owner)->released, 1);
}

static void take_reports_end(void *context)
{
    (void)context;
}

static void open_order(struct fixture *f)
{
    const struct ferry_order_listener listener = {NULL, take_settled, take_released, take_reports_end};
    struct ferry_error error = {.text = ""};
    f->config.kafka = f->cluster->properties;
    if (ferry_order_open(&f->config, &listener, NULL, &f->order, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

static void close_order(struct fixture *f)
{
    ferry_order_close(f->order);
    f->order = NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!spool_folder_make(f->directory, "order", false))
        return -1;
    f->cluster = cluster_start();
    cluster_property(f->cluster, "message.max.bytes", "400000");
    cluster_topic(f->cluster, "a", 1);
    cluster_topic(f->cluster, "b", 1);
    f->config.bridge.spool_directory = f->directory;
    f->config.bridge.spool_named = true;
    f->config.bridge.spool_limit_bytes = LIMIT;
    f->config.bridge.ack_timeout_ms = 300;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ferry_order_close(f->order);
    cluster_stop(f->cluster);
    spool_folder_remove(f->directory);
    free(f);
    return 0;
}

static struct ferry_record record_of(const char *topic, const char *value)
{
    return (struct ferry_record){
        .topic = ferry_slice_from(topic), .key = FERRY_SLICE("k"), .value = ferry_slice_from(value)};
}

static void send_value(struct fixture *f, int i, const char *topic, const char *value)
{
    struct item *item = &f->items[i];
    item->record = record_of(topic, value);
    item->shipment = (struct ferry_shipment){.record = &item->record, .owner = item};
    ferry_order_send(f->order, &item->shipment, false);
}

/* Item i, whose value is its number. */
static void send_item(struct fixture *f, int i, const char *topic)
{
    snprintf(f->items[i].number, sizeof f->items[i].number, "%d", i);
    send_value(f, i, topic, f->items[i].number);
}

static void give_up(struct fixture *f, int i)
{
    ferry_order_give_up(f->order, &f->items[i].shipment);
}

static void assert_settled(struct fixture *f, int i, enum ferry_code code)
{
    WAIT_FOR(atomic_load(&f->items[i].settled) > 0);
    assert_int_equal(f->items[i].code, code);
}

static void assert_each_settled_and_released_once(struct fixture *f, int from, int to)
{
    for (int i = from; i <= to; i++) {
        WAIT_FOR(atomic_load(&f->items[i].released) > 0);
        assert_int_equal(atomic_load(&f->items[i].released), 1);
        assert_int_equal(atomic_load(&f->items[i].settled), 1);
    }
}

/* ---- Kafka ---- */

static void broker(struct fixture *f, bool up)
{
    if (up)
        rd_kafka_mock_broker_set_up(f->cluster->mock, 1);
    else
        rd_kafka_mock_broker_set_down(f->cluster->mock, 1);
}

static bool is_marked(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;
    return !rd_kafka_message_headers(message, &headers) &&
           !rd_kafka_header_get_last(headers, "ferry-maybe-duplicate", &value, &len);
}

/* The values of a topic in its order, a `*` behind those that may be repeats; at least `count`, and what comes within
 * half a second after them. */
static void read_topic(struct fixture *f, const char *topic, int count, char *text, size_t room)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(f->cluster->mock), NULL, 0);
    rd_kafka_conf_set(conf, "group.id", "g", NULL, 0);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(all, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, all);
    rd_kafka_topic_partition_list_destroy(all);
    text[0] = '\0';
    size_t at = 0;
    int64_t until_ms = ferry_clock_mono_ms() + 20000;
    for (int got = 0; ferry_clock_mono_ms() < until_ms;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message != NULL && !message->err) {
            at += (size_t)snprintf(text + at, room - at, "%s%.*s%s", at > 0 ? " " : "",
                                   message->len < 8 ? (int)message->len : 8, (const char *)message->payload,
                                   is_marked(message) ? "*" : "");
            if (++got == count)
                until_ms = ferry_clock_mono_ms() + 500;
        }
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy(consumer);
}

static void assert_topic(struct fixture *f, const char *topic, int count, const char *expected)
{
    char text[8192];
    read_topic(f, topic, count, text, sizeof text);
    assert_string_equal(text, expected);
}

/* ---- the spool, once nobody has it ---- */

static void execute(struct fixture *f, const char *command)
{
    char path[128];
    sqlite3 *database;
    snprintf(path, sizeof path, "%s/spool.db", f->directory);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    assert_int_equal(sqlite3_exec(database, command, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static int count_rows(struct fixture *f, const char *table)
{
    char path[128], query[64];
    sqlite3 *database;
    sqlite3_stmt *select;
    snprintf(path, sizeof path, "%s/spool.db", f->directory);
    snprintf(query, sizeof query, "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, query, -1, &select, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    int count = sqlite3_column_int(select, 0);
    sqlite3_finalize(select);
    sqlite3_close(database);
    return count;
}

/* ---- tests ---- */

static void with_kafka_nothing_touches_the_spool(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    for (int i = 0; i < 3; i++) {
        send_item(f, i, "a");
        assert_settled(f, i, FERRY_OK);
    }
    assert_each_settled_and_released_once(f, 0, 2);
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
    assert_topic(f, "a", 3, "0 1 2");
}

static void a_gate_closes_at_give_up_and_opens_when_the_last_row_is_gone(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    send_item(f, 0, "a");
    assert_settled(f, 0, FERRY_OK);
    broker(f, false);
    send_item(f, 1, "a");
    pause_ms(100);
    assert_int_equal(atomic_load(&f->items[1].settled), 0);
    give_up(f, 1);
    assert_settled(f, 1, FERRY_SPOOLED);
    send_item(f, 2, "a"); /* without being given up */
    assert_settled(f, 2, FERRY_SPOOLED);
    broker(f, true);
    assert_topic(f, "a", 3, "0 1 2"); /* once each: the report of 1 took its row away */
    int i = 3;                        /* the report of 2 comes a moment after the record */
    for (;; i++) {
        send_item(f, i, "a");
        WAIT_FOR(atomic_load(&f->items[i].settled));
        if (f->items[i].code == FERRY_OK || i == 50)
            break;
        pause_ms(50);
    }
    assert_settled(f, i, FERRY_OK);
    assert_each_settled_and_released_once(f, 0, i);
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
}

static void order_holds_across_an_outage(void **state)
{
    struct fixture *f = *state;
    char expected[8192] = "";
    open_order(f);
    for (int i = 0, at = 0; i < 300; i++) {
        if (i == 100 || i == 200)
            broker(f, i == 200);
        send_item(f, i, "a");
        if (i % 7 == 0 || i % 50 > 40)
            pause_ms(5);
        if (i >= 20)
            give_up(f, i - 20); /* nothing, where its report has come */
        at += snprintf(expected + at, sizeof expected - (size_t)at, "%s%d", i > 0 ? " " : "", i);
    }
    assert_topic(f, "a", 300, expected);
    assert_each_settled_and_released_once(f, 0, 299);
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
}

/* Items from, from + 2 and so on go to one topic, as eight digits and much behind them. */
static void assert_every_other_once(struct fixture *f, const char *topic, int from)
{
    char expected[8192] = "";
    int count = 0, at = 0;
    for (int i = from; i < ITEMS; i += 2, count++)
        at += snprintf(expected + at, sizeof expected - (size_t)at, "%s%08d", at > 0 ? " " : "", i);
    assert_topic(f, topic, count, expected);
}

static void a_report_in_the_same_moment_as_the_give_up_leaves_no_row_and_repeats_nothing(void **state)
{
    struct fixture *f = *state;
    static char values[ITEMS][10000]; /* copying one takes a moment */
    open_order(f);
    for (int i = 0; i < ITEMS; i++) {
        memset(values[i], 'x', sizeof values[i] - 1);
        char digits[16];
        snprintf(digits, sizeof digits, "%08d", i);
        memcpy(values[i], digits, 8);
        send_value(f, i, i % 2 ? "a" : "b", values[i]);
        if (i < 2)
            assert_settled(f, i, FERRY_OK); /* the topic is known */
        const struct timespec moment = {.tv_nsec = 500000 + i * 7919 % 2500 * 1000};
        nanosleep(&moment, NULL);
        give_up(f, i);
    }
    assert_each_settled_and_released_once(f, 0, ITEMS - 1);
    assert_every_other_once(f, "b", 0);
    assert_every_other_once(f, "a", 1);
    WAIT_FOR(ferry_spool_rows(f->order->spool) == 0);
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
}

/* Three rows of which the first was given to the producer, which never reached Kafka; the bridge was ended. */
static void leave_rows(struct fixture *f)
{
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    send_item(f, 2, "a");
    assert_settled(f, 1, FERRY_SPOOLED);
    assert_settled(f, 2, FERRY_SPOOLED);
    close_order(f);
    assert_each_settled_and_released_once(f, 1, 2);
    assert_int_equal(count_rows(f, "rows"), 2);
}

static void a_stop_leaves_no_mark_on_what_never_left_the_bridge(void **state)
{
    struct fixture *f = *state;
    leave_rows(f);
    open_order(f);
    broker(f, true);
    assert_topic(f, "a", 2, "1 2");
}

static void a_restart_feeds_rows_with_the_mark_only_where_they_were_handed_over(void **state)
{
    struct fixture *f = *state;
    leave_rows(f);
    execute(f, "UPDATE rows SET handed = 1 WHERE sequence = 1"); /* as a crash would have left it */
    open_order(f);
    send_item(f, 3, "a"); /* behind them, although the producer is idle */
    assert_settled(f, 3, FERRY_SPOOLED);
    broker(f, true);
    assert_topic(f, "a", 3, "1* 2 3");
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
}

static void what_is_handed_over_is_noted_on_the_disk_while_it_is_on_its_way(void **state)
{
    struct fixture *f = *state;
    leave_rows(f);
    assert_int_equal(count_rows(f, "rows WHERE handed = 1"), 0);
    rd_kafka_mock_broker_set_rtt(f->cluster->mock, 1, 1500);
    broker(f, true);
    open_order(f);
    WAIT_FOR(count_rows(f, "rows WHERE handed = 1") == 2);
}

static void a_row_too_large_for_kafka_is_set_aside_and_the_gate_opens(void **state)
{
    struct fixture *f = *state;
    static char big[500000];
    memset(big, 'x', sizeof big - 1);
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    send_value(f, 2, "a", big);
    send_item(f, 3, "a");
    assert_settled(f, 2, FERRY_SPOOLED);
    broker(f, true);
    assert_topic(f, "a", 2, "1 3");
    pause_ms(300);
    send_item(f, 4, "a");
    assert_settled(f, 4, FERRY_OK);
    assert_each_settled_and_released_once(f, 1, 4);
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
    assert_int_equal(count_rows(f, "aside"), 1);
}

/* Kafka refuses a batch as a whole. */
static void rows_that_shared_a_batch_with_one_too_large_are_not_set_aside(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    for (int i = 2; i <= 9; i++)
        send_item(f, i, "a");
    assert_settled(f, 9, FERRY_SPOOLED);
    rd_kafka_mock_push_request_errors(f->cluster->mock, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    broker(f, true);
    assert_topic(f, "a", 9, "1 2 3 4 5 6 7 8 9");
    close_order(f);
    assert_int_equal(count_rows(f, "rows"), 0);
    assert_int_equal(count_rows(f, "aside"), 0);
}

static void a_record_that_shared_a_batch_with_one_too_large_is_not_refused_for_it(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    send_item(f, 1, "a");
    assert_settled(f, 1, FERRY_OK);
    rd_kafka_mock_push_request_errors(f->cluster->mock, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    send_item(f, 2, "a");
    assert_settled(f, 2, FERRY_SPOOLED);
    assert_topic(f, "a", 2, "1 2");
}

static void rows_that_damage_hides_do_not_hold_the_gate_closed(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    send_item(f, 2, "a");
    send_item(f, 3, "a");
    assert_settled(f, 3, FERRY_SPOOLED);
    execute(f, "DELETE FROM rows WHERE sequence = 2");
    broker(f, true);
    assert_topic(f, "a", 2, "1 3");
    pause_ms(1000);
    send_item(f, 4, "a");
    assert_settled(f, 4, FERRY_OK);
}

/* Ours stands before the C library's, for SQLite too. */
static atomic_bool fsync_fails, fsync_fails_once, fsync_hangs;
static atomic_int hanging_fsyncs;

int fdatasync(int fd)
{
    atomic_fetch_add(&hanging_fsyncs, atomic_load(&fsync_hangs));
    while (atomic_load(&fsync_hangs))
        pause_ms(1);
    if (!atomic_exchange(&fsync_fails_once, false) && !atomic_load(&fsync_fails))
        return fsync(fd);
    errno = EIO;
    return -1;
}

static void a_broken_spool_with_rows_is_told_and_flows_when_it_is_sound_again(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    assert_settled(f, 1, FERRY_SPOOLED);
    atomic_store(&fsync_fails, true);
    send_item(f, 2, "a");
    WAIT_FOR(atomic_load(&f->items[2].settled) > 0);
    assert_int_not_equal(f->items[2].code, FERRY_SPOOLED);
    assert_true(ferry_order_is_blocked(f->order)); /* /readyz is red, whatever Kafka says */
    broker(f, true);
    pause_ms(1500);
    assert_true(ferry_order_is_blocked(f->order));
    atomic_store(&fsync_fails, false);
    WAIT_FOR(!ferry_order_is_blocked(f->order));
    assert_topic(f, "a", 1, "1");
    send_item(f, 3, "a");
    assert_settled(f, 3, FERRY_OK);
}

/* The feeder counts a row whose write is under way and fails then: it is not one that damage hides. */
static void a_row_that_could_not_be_written_is_not_missing(void **state)
{
    struct fixture *f = *state;
    open_order(f);
    atomic_store(&fsync_hangs, true);
    f->items[1].record = record_of("a", "1");
    f->items[1].shipment = (struct ferry_shipment){.record = &f->items[1].record, .owner = &f->items[1]};
    ferry_order_send(f->order, &f->items[1].shipment, true);
    WAIT_FOR(atomic_load(&hanging_fsyncs) > 0);
    ferry_order_wake_feeder(f->order);
    pause_ms(200);
    atomic_store(&fsync_fails_once, true);
    atomic_store(&fsync_hangs, false);
    assert_settled(f, 1, FERRY_UNAVAILABLE);
    struct ferry_gate_of_topic *gate = f->order->all;
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&gate->lock);
        size_t spooled = gate->spooled;
        pthread_mutex_unlock(&gate->lock);
        assert_int_equal(spooled, 0);
        pause_ms(1);
    }
    send_item(f, 2, "a");
    assert_settled(f, 2, FERRY_OK);
}

static void a_topic_that_is_refused_does_not_hold_up_others(void **state)
{
    struct fixture *f = *state;
    rd_kafka_mock_topic_set_error(f->cluster->mock, "late", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    open_order(f);
    broker(f, false);
    send_item(f, 1, "late");
    send_item(f, 2, "a");
    give_up(f, 1);
    give_up(f, 2);
    send_item(f, 3, "late");
    send_item(f, 4, "a");
    broker(f, true);
    assert_topic(f, "a", 2, "2 4");
    send_item(f, 5, "b");
    assert_settled(f, 5, FERRY_OK);
    assert_settled(f, 1, FERRY_SPOOLED);
    assert_settled(f, 3, FERRY_SPOOLED);
    rd_kafka_mock_topic_set_error(f->cluster->mock, "late", RD_KAFKA_RESP_ERR_NO_ERROR);
    WAIT_FOR(atomic_load(&f->items[1].released) > 0);
    close_order(f);
    assert_each_settled_and_released_once(f, 1, 5);
}

static void a_full_spool_acknowledges_nothing(void **state)
{
    struct fixture *f = *state;
    f->config.bridge.spool_limit_bytes = 1;
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    assert_settled(f, 1, FERRY_UNAVAILABLE);
    broker(f, true);
    send_item(f, 2, "a"); /* no row: the gate is open, and 1 is still on its way */
    assert_settled(f, 2, FERRY_OK);
    assert_topic(f, "a", 2, "1 2");
    assert_each_settled_and_released_once(f, 1, 2);
}

/* ---- a disk with hardly any room ---- */

enum { LOG_ROOM = 3 << 20 };

static bool is_log(int fd)
{
    char link[64], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    return strstr(path, "spool.db-wal") != NULL;
}

static ssize_t write_unless_the_log_grows(int fd, const void *bytes, size_t count, off64_t at)
{
    if (at + (off64_t)count <= LOG_ROOM || !is_log(fd))
        return pwrite64(fd, bytes, count, at);
    errno = ENOSPC;
    return -1;
}

static atomic_bool nearly_full;

/* Ours stands before the C library's. */
int fstatvfs(int fd, struct statvfs *disk)
{
    struct stat file;
    *disk = (struct statvfs){.f_frsize = 4096, .f_bavail = atomic_load(&nearly_full) ? 0 : 1 << 20};
    return fstat(fd, &file);
}

static void set_nearly_full(bool full)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    sqlite3_syscall_ptr write = full ? (sqlite3_syscall_ptr)write_unless_the_log_grows : NULL;
    atomic_store(&nearly_full, full);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", write), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", write), SQLITE_OK);
}

/* To note and to delete as many rows as are fed together takes more room than there is: fewer are. */
static void rows_leave_a_disk_that_is_nearly_full(void **state)
{
    struct fixture *f = *state;
    static char value[2500]; /* one to a page */
    memset(value, 'x', sizeof value - 1);
    open_order(f);
    broker(f, false);
    for (int i = 1; i <= MANY_ITEMS; i++) {
        send_value(f, i, i % 2 ? "a" : "b", value);
        if (i <= 2)
            give_up(f, i);
    }
    for (int i = 1; i <= MANY_ITEMS; i++)
        assert_settled(f, i, FERRY_SPOOLED);
    set_nearly_full(true);
    broker(f, true);
    WAIT_FOR(ferry_spool_rows(f->order->spool) == 0);
    set_nearly_full(false);
    assert_each_settled_and_released_once(f, 1, MANY_ITEMS);
}

/* Its rows could not be told from no rows: nobody would ever feed them. */
static void a_spool_that_cannot_be_read_is_refused_at_the_start(void **state)
{
    struct fixture *f = *state;
    char path[128], garbage[4096];
    memset(garbage, 0xFF, sizeof garbage);
    open_order(f);
    broker(f, false);
    send_item(f, 1, "a");
    give_up(f, 1);
    assert_settled(f, 1, FERRY_SPOOLED);
    close_order(f);
    snprintf(path, sizeof path, "%s/spool.db", f->directory);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long end = ftell(file);
    for (long at = (long)sizeof garbage; at < end; at += (long)sizeof garbage) { /* all pages but the first */
        fseek(file, at, SEEK_SET);
        assert_int_equal(fwrite(garbage, sizeof garbage, 1, file), 1);
    }
    fclose(file);
    const struct ferry_order_listener listener = {NULL, take_settled, take_released, take_reports_end};
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_order_open(&f->config, &listener, NULL, &f->order, &error), FERRY_SYSTEM);
    assert_non_null(strstr(error.text, "malformed"));
}

/* ---- parcels ---- */

static atomic_int parcels_released;

static void release_parcel(struct ferry_parcel *parcel)
{
    (void)parcel;
    atomic_fetch_add(&parcels_released, 1);
}

static struct ferry_parcel *collect_one(struct ferry_outlet *outlet)
{
    struct ferry_parcel *parcel = NULL;
    for (int64_t until_ms = ferry_clock_mono_ms() + 10000; parcel == NULL && ferry_clock_mono_ms() < until_ms;) {
        parcel = ferry_outlet_collect(outlet, ferry_clock_mono_ms());
        pause_ms(5);
    }
    return parcel;
}

static void a_record_too_large_beside_one_that_is_given_up_is_settled_once(void **state)
{
    struct fixture *f = *state;
    static char big[500000];
    memset(big, 'x', sizeof big - 1);
    struct ferry_record records[] = {record_of("a", big), record_of("a", "small")};
    struct ferry_parcel parcel = {.records = records, .record_count = 2, .release = release_parcel};
    struct ferry_outlet outlet;
    struct ferry_publisher *publisher;
    f->config.kafka = f->cluster->properties;
    atomic_store(&parcels_released, 0);
    broker(f, false);
    ferry_outlet_init(&outlet, -1);
    assert_int_equal(ferry_publisher_open(&f->config, NULL, &publisher, NULL), FERRY_OK);
    ferry_publish(publisher, &outlet, &parcel, ferry_clock_mono_ms());
    assert_ptr_equal(collect_one(&outlet), &parcel);
    assert_int_equal(parcel.code, FERRY_RECORD_TOO_LARGE);
    assert_int_equal(atomic_load(&parcels_released), 0); /* the producer holds the other one */
    ferry_publisher_close(publisher);
    assert_int_equal(atomic_load(&parcels_released), 1);
    assert_int_equal(count_rows(f, "rows"), 1);
    ferry_outlet_done(&outlet);
}

int main(void)
{
#define ORDER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ORDER_TEST(with_kafka_nothing_touches_the_spool),
        ORDER_TEST(a_gate_closes_at_give_up_and_opens_when_the_last_row_is_gone),
        ORDER_TEST(order_holds_across_an_outage),
        ORDER_TEST(a_report_in_the_same_moment_as_the_give_up_leaves_no_row_and_repeats_nothing),
        ORDER_TEST(a_restart_feeds_rows_with_the_mark_only_where_they_were_handed_over),
        ORDER_TEST(a_stop_leaves_no_mark_on_what_never_left_the_bridge),
        ORDER_TEST(what_is_handed_over_is_noted_on_the_disk_while_it_is_on_its_way),
        ORDER_TEST(rows_leave_a_disk_that_is_nearly_full),
        ORDER_TEST(a_row_too_large_for_kafka_is_set_aside_and_the_gate_opens),
        ORDER_TEST(rows_that_shared_a_batch_with_one_too_large_are_not_set_aside),
        ORDER_TEST(a_record_that_shared_a_batch_with_one_too_large_is_not_refused_for_it),
        ORDER_TEST(rows_that_damage_hides_do_not_hold_the_gate_closed),
        ORDER_TEST(a_broken_spool_with_rows_is_told_and_flows_when_it_is_sound_again),
        ORDER_TEST(a_row_that_could_not_be_written_is_not_missing),
        ORDER_TEST(a_topic_that_is_refused_does_not_hold_up_others),
        ORDER_TEST(a_full_spool_acknowledges_nothing),
        ORDER_TEST(a_spool_that_cannot_be_read_is_refused_at_the_start),
        ORDER_TEST(a_record_too_large_beside_one_that_is_given_up_is_settled_once),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
