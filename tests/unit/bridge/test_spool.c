#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bridge/spool.h"
#include "core/crc32c.h"
#include "core/spool/spool_row.h"
#include "tests/support/spool_folder.h"

/* What the listener has heard. */
struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;
    size_t refused;
};

struct fixture {
    char directory[SPOOL_FOLDER];
    struct heard heard;
    struct ferry_spool *spool;
};

static void stored(void *context, void *tag, enum ferry_code code)
{
    struct heard *heard = context;
    (void)tag;
    pthread_mutex_lock(&heard->lock);
    heard->count++;
    heard->refused += code != FERRY_OK;
    pthread_cond_broadcast(&heard->changed);
    pthread_mutex_unlock(&heard->lock);
}

static void wait_heard(struct heard *heard, size_t count)
{
    pthread_mutex_lock(&heard->lock);
    while (heard->count < count)
        pthread_cond_wait(&heard->changed, &heard->lock);
    pthread_mutex_unlock(&heard->lock);
}

static void open_spool(struct fixture *fixture, int64_t limit)
{
    const struct ferry_spool_listener listener = {&fixture->heard, stored};
    struct ferry_error error = {0};
    if (ferry_spool_open(fixture->directory, limit, &listener, NULL, &fixture->spool, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!spool_folder_make(fixture->directory, "spool", false))
        return -1;
    pthread_mutex_init(&fixture->heard.lock, NULL);
    pthread_cond_init(&fixture->heard.changed, NULL);
    open_spool(fixture, 1 << 24);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ferry_spool_close(fixture->spool);
    spool_folder_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture, int64_t limit)
{
    ferry_spool_close(fixture->spool);
    fixture->spool = NULL;
    open_spool(fixture, limit);
}

static void append(struct fixture *fixture, int64_t sequence, const char *topic, const char *value)
{
    struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("1")},
                                   {FERRY_SLICE_LITERAL("empty"), {"", 0}}};
    struct ferry_spool_row row = {.sequence = sequence,
                                  .record = {.topic = ferry_slice_from(topic),
                                             .key = FERRY_SLICE("key"),
                                             .value = ferry_slice_from(value),
                                             .headers = headers,
                                             .header_count = 2}};
    size_t before = fixture->heard.count;
    assert_int_equal(ferry_spool_append(fixture->spool, &row, 1, NULL, NULL), FERRY_OK);
    wait_heard(&fixture->heard, before + 1);
}

/* "1:a 3:c", with a `*` behind what was handed over. */
static void assert_rows(struct fixture *fixture, const char *topic, const char *expected)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_row *rows;
    size_t count, damaged;
    char text[256] = "";
    assert_int_equal(
        ferry_spool_read(fixture->spool, ferry_slice_from(topic), 10, &arena, &rows, &count, &damaged, NULL), FERRY_OK);
    for (size_t i = 0, at = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d:%.*s%s", i > 0 ? " " : "", (int)rows[i].sequence,
                               FERRY_SLICE_ARGS(rows[i].record.value), rows[i].handed ? "*" : "");
    assert_string_equal(text, expected);
}

static void settle(struct fixture *fixture)
{
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_OK);
}

static void rows_come_back_by_topic_and_sequence(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 2, "a", "second");
    append(fixture, 1, "a", "first");
    append(fixture, 3, "b", "other");
    assert_rows(fixture, "a", "1:first 2:second");
    assert_rows(fixture, "b", "3:other");
    assert_rows(fixture, "c", "");
    assert_int_equal(ferry_spool_rows(fixture->spool), 3);
}

static void a_record_survives_with_key_headers_and_empty_values(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "");
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_row *rows;
    size_t count, damaged;
    assert_int_equal(ferry_spool_read(fixture->spool, FERRY_SLICE("a"), 10, &arena, &rows, &count, &damaged, NULL),
                     FERRY_OK);
    assert_int_equal(count, 1);
    assert_true(ferry_slice_is(rows[0].record.key, "key"));
    assert_non_null(rows[0].record.value.ptr); /* empty, not absent: no tombstone */
    assert_int_equal(rows[0].record.header_count, 2);
    assert_true(ferry_slice_is(ferry_record_header(&rows[0].record, "ce_id"), "1"));
}

static void rows_and_their_number_survive_a_restart(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 41, "a", "x");
    append(fixture, 42, "a", "y");
    ferry_spool_delete(fixture->spool, 42);
    reopen(fixture, 1 << 24);
    assert_rows(fixture, "a", "41:x");
    assert_int_equal(ferry_spool_last_sequence(fixture->spool), 42);
    assert_int_equal(ferry_spool_rows(fixture->spool), 1);
}

static void a_handed_row_says_so(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    append(fixture, 2, "a", "y");
    assert_int_equal(ferry_spool_mark_handed(fixture->spool, (const int64_t[]){1}, 1), FERRY_OK);
    reopen(fixture, 1 << 24);
    assert_rows(fixture, "a", "1:x* 2:y");
}

static void a_deleted_row_is_gone_even_when_its_append_was_still_queued(void **state)
{
    struct fixture *fixture = *state;
    struct ferry_spool_row row = {.sequence = 7, .record = {.topic = FERRY_SLICE("a"), .value = FERRY_SLICE("x")}};
    assert_int_equal(ferry_spool_append(fixture->spool, &row, 1, NULL, NULL), FERRY_OK);
    ferry_spool_delete(fixture->spool, 7);
    settle(fixture);
    assert_rows(fixture, "a", "");
    assert_int_equal(ferry_spool_rows(fixture->spool), 0);
}

static void a_full_spool_refuses_and_takes_again_when_rows_are_gone(void **state)
{
    struct fixture *fixture = *state;
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    reopen(fixture, 400000);
    struct ferry_spool_row row = {.record = {.topic = FERRY_SLICE("a"), .value = ferry_slice_from(big)}};
    enum ferry_code code = FERRY_OK;
    int64_t taken = 0;
    for (; code == FERRY_OK && taken < 100; taken++) {
        row.sequence = taken + 1;
        code = ferry_spool_append(fixture->spool, &row, 1, NULL, NULL);
    }
    assert_int_equal(code, FERRY_SPOOL_FULL);
    assert_in_range(taken, 2, 4);
    assert_false(ferry_spool_accepts(fixture->spool) &&
                 ferry_spool_append(fixture->spool, &row, 1, NULL, NULL) == FERRY_OK);
    for (int64_t i = 1; i < taken; i++)
        ferry_spool_delete(fixture->spool, i);
    settle(fixture);
    assert_true(ferry_spool_accepts(fixture->spool));
    row.sequence = 1000;
    assert_int_equal(ferry_spool_append(fixture->spool, &row, 1, NULL, NULL), FERRY_OK);
}

/* A disk of which the test says when it is full. */
static atomic_bool disk_is_full, no_room;
static atomic_int refused_writes;

static ssize_t write_unless_full(int fd, const void *bytes, size_t count, off64_t at)
{
    if (!atomic_load(&disk_is_full))
        return pwrite64(fd, bytes, count, at);
    atomic_fetch_add(&refused_writes, 1);
    errno = ENOSPC;
    return -1;
}

static void set_write(sqlite3_syscall_ptr call)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite", call), SQLITE_OK);
    assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", call), SQLITE_OK);
}

/* What an append is refused with, at once. */
static enum ferry_code refusal(struct fixture *fixture, int64_t sequence)
{
    struct ferry_spool_row row = {.sequence = sequence,
                                  .record = {.topic = FERRY_SLICE("a"), .value = FERRY_SLICE("refused")}};
    return ferry_spool_append(fixture->spool, &row, 1, NULL, NULL);
}

static void wait_until_it_accepts(struct fixture *fixture)
{
    for (int i = 0; i < 500 && !ferry_spool_accepts(fixture->spool); i++)
        usleep(20000);
    assert_true(ferry_spool_accepts(fixture->spool));
}

static void a_row_that_could_not_be_deleted_on_a_full_disk_goes_when_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    set_write((sqlite3_syscall_ptr)write_unless_full);
    atomic_store(&disk_is_full, true);
    assert_true(ferry_spool_delete(fixture->spool, 1));
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL);
    assert_int_equal(refusal(fixture, 2), FERRY_SPOOL_FULL);
    atomic_store(&disk_is_full, false);
    wait_until_it_accepts(fixture);
    append(fixture, 3, "a", "z");
    assert_int_equal(fixture->heard.refused, 0);
    assert_rows(fixture, "a", "3:z");
    assert_int_equal(ferry_spool_rows(fixture->spool), 1);
    set_write(NULL);
}

/* More than are tried at once on a full disk. */
enum { MANY_DELETES = 250 };

static void append_many(struct fixture *fixture)
{
    for (int i = 1; i <= MANY_DELETES; i++)
        append(fixture, i, "a", "x");
    set_write((sqlite3_syscall_ptr)write_unless_full);
}

static void delete_many(struct fixture *fixture)
{
    for (int i = 1; i <= MANY_DELETES; i++)
        assert_true(ferry_spool_delete(fixture->spool, i));
}

static void who_waits_for_deletes_on_a_full_disk_is_told_and_nothing_spins(void **state)
{
    struct fixture *fixture = *state;
    append_many(fixture);
    atomic_store(&disk_is_full, true);
    delete_many(fixture);
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL);
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL);
    atomic_store(&refused_writes, 0);
    usleep(1000000);
    assert_in_range(atomic_load(&refused_writes), 1, 50);
    atomic_store(&disk_is_full, false);
    wait_until_it_accepts(fixture);
    settle(fixture);
    assert_rows(fixture, "a", "");
    set_write(NULL);
}

static void closing_on_a_full_disk_ends_and_the_rows_are_there_afterwards(void **state)
{
    struct fixture *fixture = *state;
    append_many(fixture);
    atomic_store(&no_room, true);
    atomic_store(&disk_is_full, true);
    delete_many(fixture);
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL);
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL); /* some are put back from now on */
    ferry_spool_close(fixture->spool);
    fixture->spool = NULL;
    atomic_store(&disk_is_full, false);
    atomic_store(&no_room, false);
    open_spool(fixture, 1 << 24);
    assert_int_equal(ferry_spool_rows(fixture->spool), MANY_DELETES);
    set_write(NULL);
}

static void a_disk_that_has_room_again_takes_rows_while_others_leave(void **state)
{
    struct fixture *fixture = *state;
    append_many(fixture);
    atomic_store(&disk_is_full, true);
    assert_true(ferry_spool_delete(fixture->spool, 1));
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_FULL);
    atomic_store(&disk_is_full, false);
    int i = 2;
    for (; i <= MANY_DELETES && !ferry_spool_accepts(fixture->spool); i++) {
        assert_true(ferry_spool_delete(fixture->spool, i));
        assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_OK);
        usleep(10000);
    }
    assert_true(ferry_spool_accepts(fixture->spool));
    assert_in_range(i, 3, MANY_DELETES);
    set_write(NULL);
}

static void while_the_disk_is_full_the_reserve_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct stat reserve;
    snprintf(path, sizeof path, "%s/reserve", fixture->directory);
    set_write((sqlite3_syscall_ptr)write_unless_full);
    atomic_store(&disk_is_full, true);
    append(fixture, 1, "a", "x");
    assert_int_equal(fixture->heard.refused, 1);
    assert_false(ferry_spool_accepts(fixture->spool));
    assert_int_equal(stat(path, &reserve), 0);
    assert_int_equal(reserve.st_size, 0);
    atomic_store(&disk_is_full, false);
    wait_until_it_accepts(fixture);
    assert_int_equal(stat(path, &reserve), 0);
    assert_int_equal(reserve.st_size, 4 << 20);
    set_write(NULL);
}

/* A disk that others have filled: there is no room but for what the reserve gives away. */
static char reserve_path[128];

static ssize_t write_in_place_of_the_reserve(int fd, const void *bytes, size_t count, off64_t at)
{
    struct stat reserve;
    if (stat(reserve_path, &reserve) == 0 && reserve.st_size == 0)
        return pwrite64(fd, bytes, count, at);
    errno = ENOSPC;
    return -1;
}

/* Ours stands before the C library's. */
int fstatvfs(int fd, struct statvfs *disk)
{
    struct stat file;
    *disk = (struct statvfs){.f_frsize = 4096, .f_bavail = atomic_load(&no_room) ? 0 : 1 << 20};
    return fstat(fd, &file);
}

static void a_full_disk_is_no_reason_not_to_start(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    ferry_spool_close(fixture->spool);
    fixture->spool = NULL;
    snprintf(reserve_path, sizeof reserve_path, "%s/reserve", fixture->directory);
    atomic_store(&no_room, true);
    set_write((sqlite3_syscall_ptr)write_in_place_of_the_reserve);
    open_spool(fixture, 1 << 24);
    assert_int_equal(refusal(fixture, 2), FERRY_SPOOL_FULL);
    assert_rows(fixture, "a", "1:x");
    assert_true(ferry_spool_delete(fixture->spool, 1));
    settle(fixture);
    assert_rows(fixture, "a", "");
    set_write(NULL);
    atomic_store(&no_room, false);
    wait_until_it_accepts(fixture);
}

/* ---- a disk whose fsync fails ---- */

static atomic_int failing_fsyncs;

/* Ours stands before the C library's, for SQLite too. */
int fdatasync(int fd)
{
    if (atomic_load(&failing_fsyncs) == 0)
        return fsync(fd);
    atomic_fetch_sub(&failing_fsyncs, 1);
    errno = EIO;
    return -1;
}

static void a_failed_fsync_refuses_its_batch_for_good_and_the_spool_mends_itself(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    append(fixture, 2, "a", "y");
    atomic_store(&failing_fsyncs, 1);
    assert_true(ferry_spool_delete(fixture->spool, 1));
    assert_int_equal(ferry_spool_sync(fixture->spool), FERRY_SPOOL_BROKEN);
    assert_int_equal(refusal(fixture, 3), FERRY_SPOOL_BROKEN);
    wait_until_it_accepts(fixture);
    append(fixture, 4, "a", "z");
    assert_int_equal(fixture->heard.refused, 0);
    assert_rows(fixture, "a", "2:y 4:z");
}

static void while_every_fsync_fails_nothing_is_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    atomic_store(&failing_fsyncs, 1000000);
    append(fixture, 2, "a", "y");
    assert_int_equal(fixture->heard.refused, 1);
    usleep(2500000); /* two attempts to mend it */
    assert_false(ferry_spool_accepts(fixture->spool));
    assert_int_equal(refusal(fixture, 3), FERRY_SPOOL_BROKEN);
    atomic_store(&failing_fsyncs, 0);
    wait_until_it_accepts(fixture);
    assert_rows(fixture, "a", "1:x");
}

static void a_read_takes_a_few_mebibytes_at_most(void **state)
{
    struct fixture *fixture = *state;
    static char big[1 << 20];
    memset(big, 'x', sizeof big - 1);
    for (int64_t i = 1; i <= 8; i++)
        append(fixture, i, "a", big);
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_row *rows;
    size_t count, damaged;
    assert_int_equal(ferry_spool_read(fixture->spool, FERRY_SLICE("a"), 1000, &arena, &rows, &count, &damaged, NULL),
                     FERRY_OK);
    assert_in_range(count, 1, 5);
    assert_int_equal(rows[0].sequence, 1);
}

static void a_row_that_was_not_handed_over_after_all_says_so(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "a", "x");
    append(fixture, 2, "a", "y");
    assert_int_equal(ferry_spool_mark_handed(fixture->spool, (const int64_t[]){1, 2}, 2), FERRY_OK);
    ferry_spool_unmark_handed(fixture->spool, 2);
    settle(fixture);
    assert_rows(fixture, "a", "1:x* 2:y");
}

static void a_second_process_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct ferry_spool_listener listener = {&fixture->heard, stored};
    struct ferry_error error = {0};
    struct ferry_spool *second = NULL;
    assert_int_equal(ferry_spool_open(fixture->directory, 1 << 20, &listener, NULL, &second, &error), FERRY_SYSTEM);
    assert_non_null(strstr(error.text, "in use by test_spool, process "));
}

static void a_spool_of_a_newer_version_is_refused(void **state)
{
    struct fixture *fixture = *state;
    ferry_spool_close(fixture->spool);
    fixture->spool = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/spool.db", fixture->directory);
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    const struct ferry_spool_listener listener = {&fixture->heard, stored};
    struct ferry_error error = {0};
    struct ferry_spool *newer = NULL;
    assert_int_equal(ferry_spool_open(fixture->directory, 1 << 20, &listener, NULL, &newer, &error), FERRY_SYSTEM);
    assert_non_null(strstr(error.text, "newer Ferry"));
}

/* Changes one byte of the stored record behind the spool's back. */
static void damage(struct fixture *fixture, int64_t sequence)
{
    char path[128], sql[128];
    snprintf(path, sizeof path, "%s/spool.db", fixture->directory);
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_busy_timeout(database, 5000);
    snprintf(sql, sizeof sql, "UPDATE rows SET record = CAST(replace(record, 'b', 'c') AS BLOB) WHERE sequence = %d",
             (int)sequence);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(database), 1);
    sqlite3_close(database);
}

static void a_damaged_row_is_set_aside_and_the_others_flow(void **state)
{
    struct fixture *fixture = *state;
    append(fixture, 1, "t", "a");
    append(fixture, 2, "t", "b");
    append(fixture, 3, "t", "x");
    damage(fixture, 2);
    assert_rows(fixture, "t", "1:a 3:x");
    settle(fixture);
    assert_int_equal(ferry_spool_rows(fixture->spool), 2);
}

static void every_bit_flip_of_a_row_is_noticed(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer bytes;
    ferry_buffer_init(&bytes, 1000);
    struct ferry_pair header = {FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("4711")};
    struct ferry_record record = {.topic = FERRY_SLICE("qlik.app.created"),
                                  .key = FERRY_SLICE("k"),
                                  .value = FERRY_SLICE("{\"id\":1}"),
                                  .headers = &header,
                                  .header_count = 1};
    ferry_spool_row_write(&record, &bytes);
    uint32_t crc = ferry_spool_row_crc(5, ferry_buffer_slice(&bytes));
    assert_int_not_equal(crc, ferry_spool_row_crc(6, ferry_buffer_slice(&bytes)));
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(ferry_spool_row_crc(5, ferry_buffer_slice(&bytes)), crc);
        FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
        struct ferry_record read;
        (void)ferry_spool_row_read(ferry_buffer_slice(&bytes), &arena, &read); /* must not crash */
        bytes.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void the_checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(ferry_crc32c(0, FERRY_SLICE("123456789")), 0xE3069283);
    char zeros[32] = {0}; /* RFC 3720, B.4 */
    assert_int_equal(ferry_crc32c(0, ferry_slice_of(zeros, sizeof zeros)), 0x8A9136AA);
}

int main(void)
{
#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(every_bit_flip_of_a_row_is_noticed),
        SPOOL_TEST(rows_come_back_by_topic_and_sequence),
        SPOOL_TEST(a_record_survives_with_key_headers_and_empty_values),
        SPOOL_TEST(rows_and_their_number_survive_a_restart),
        SPOOL_TEST(a_handed_row_says_so),
        SPOOL_TEST(a_deleted_row_is_gone_even_when_its_append_was_still_queued),
        SPOOL_TEST(a_full_spool_refuses_and_takes_again_when_rows_are_gone),
        SPOOL_TEST(a_row_that_could_not_be_deleted_on_a_full_disk_goes_when_there_is_room),
        SPOOL_TEST(who_waits_for_deletes_on_a_full_disk_is_told_and_nothing_spins),
        SPOOL_TEST(closing_on_a_full_disk_ends_and_the_rows_are_there_afterwards),
        SPOOL_TEST(a_disk_that_has_room_again_takes_rows_while_others_leave),
        SPOOL_TEST(while_the_disk_is_full_the_reserve_is_not_there),
        SPOOL_TEST(a_full_disk_is_no_reason_not_to_start),
        SPOOL_TEST(a_failed_fsync_refuses_its_batch_for_good_and_the_spool_mends_itself),
        SPOOL_TEST(while_every_fsync_fails_nothing_is_acknowledged),
        SPOOL_TEST(a_read_takes_a_few_mebibytes_at_most),
        SPOOL_TEST(a_row_that_was_not_handed_over_after_all_says_so),
        SPOOL_TEST(a_second_process_is_refused),
        SPOOL_TEST(a_spool_of_a_newer_version_is_refused),
        SPOOL_TEST(a_damaged_row_is_set_aside_and_the_others_flow),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
