#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/spool/spool_reader.h"
#include "core/spool/spool_row.h"
#include "tests/support/spool_folder.h"

struct fixture {
    char directory[SPOOL_FOLDER];
    struct ferry_spool_file *file;
    struct ferry_spool_reader *reader;
    struct ferry_arena arena;
};

static void open_file(struct fixture *fixture)
{
    struct ferry_error error = {.text = ""};
    if (ferry_spool_file_open(fixture->directory, &fixture->file, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!spool_folder_make(fixture->directory, "reader", false))
        return -1;
    open_file(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ferry_spool_reader_close(fixture->reader);
    ferry_spool_file_close(fixture->file);
    ferry_arena_done(&fixture->arena);
    spool_folder_remove(fixture->directory);
    free(fixture);
    return 0;
}

static void commit(struct fixture *fixture)
{
    int64_t change;
    assert_true(ferry_spool_file_commit(fixture->file, &change));
}

static void store(struct fixture *fixture, int64_t sequence, const char *topic, const char *value)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer bytes;
    ferry_buffer_init(&bytes, 1 << 20);
    const struct ferry_record record = {.topic = ferry_slice_from(topic), .value = ferry_slice_from(value)};
    ferry_spool_row_write(&record, &bytes);
    assert_true(ferry_spool_file_begin(fixture->file));
    assert_true(ferry_spool_file_insert(fixture->file, sequence, topic, sequence == 1, ferry_buffer_slice(&bytes)));
    commit(fixture);
}

/* By a connection of its own, as a failing disk would. */
static void spoil(struct fixture *fixture, int64_t sequence)
{
    char path[128], command[128];
    sqlite3 *database;
    snprintf(path, sizeof path, "%s/spool.db", fixture->directory);
    snprintf(command, sizeof command, "UPDATE rows SET crc = crc + 1 WHERE sequence = %d", (int)sequence);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, command, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void look(struct fixture *fixture)
{
    struct ferry_error error = {.text = ""};
    if (ferry_spool_reader_open(fixture->directory, &fixture->reader, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

/* "1:a* 3:!" with `*` behind what was handed over and `!` for what is damaged. */
static void assert_table(struct fixture *fixture, enum ferry_spool_table table, const char *expected)
{
    struct ferry_spool_stored stored;
    char text[256] = "";
    size_t at = 0;
    bool more;
    assert_int_equal(ferry_spool_reader_select(fixture->reader, table, NULL), FERRY_OK);
    while (ferry_spool_reader_next(fixture->reader, &fixture->arena, &stored, &more, NULL) == FERRY_OK && more)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d:%.*s%s", at > 0 ? " " : "", (int)stored.row.sequence,
                               stored.damaged ? 1 : (int)stored.row.record.value.len,
                               stored.damaged ? "!" : stored.row.record.value.ptr, stored.row.handed ? "*" : "");
    assert_string_equal(text, expected);
}

static void rows_are_read_beside_the_writer_by_sequence(void **state)
{
    struct fixture *fixture = *state;
    store(fixture, 2, "b", "second");
    store(fixture, 1, "a", "first");
    look(fixture);
    assert_table(fixture, FERRY_SPOOL_WAITING, "1:first* 2:second");
    assert_table(fixture, FERRY_SPOOL_ASIDE, "");
}

static void what_comes_later_is_not_in_the_snapshot(void **state)
{
    struct fixture *fixture = *state;
    store(fixture, 1, "a", "x");
    look(fixture);
    store(fixture, 2, "a", "y");
    assert_true(ferry_spool_file_begin(fixture->file));
    assert_true(ferry_spool_file_delete(fixture->file, 1));
    commit(fixture);
    assert_table(fixture, FERRY_SPOOL_WAITING, "1:x*");
    assert_int_equal(ferry_spool_reader_count(fixture->reader, FERRY_SPOOL_WAITING), 1);
    ferry_spool_reader_close(fixture->reader);
    look(fixture);
    assert_table(fixture, FERRY_SPOOL_WAITING, "2:y");
}

static void a_damaged_row_is_named_with_its_topic_and_has_no_record(void **state)
{
    struct fixture *fixture = *state;
    store(fixture, 1, "a", "x");
    store(fixture, 2, "b", "y");
    spoil(fixture, 2);
    look(fixture);
    assert_table(fixture, FERRY_SPOOL_WAITING, "1:x* 2:!");
    struct ferry_spool_stored stored;
    bool more;
    assert_int_equal(ferry_spool_reader_select(fixture->reader, FERRY_SPOOL_WAITING, NULL), FERRY_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ferry_spool_reader_next(fixture->reader, &fixture->arena, &stored, &more, NULL), FERRY_OK);
    assert_true(stored.damaged);
    assert_true(ferry_slice_is(stored.topic, "b"));
    assert_null(stored.row.record.value.ptr);
}

static void what_was_set_aside_comes_with_its_reason_and_topic(void **state)
{
    struct fixture *fixture = *state;
    store(fixture, 5, "a", "x");
    assert_true(ferry_spool_file_begin(fixture->file));
    assert_true(ferry_spool_file_set_aside(fixture->file, 5, "too large for Kafka"));
    commit(fixture);
    look(fixture);
    assert_table(fixture, FERRY_SPOOL_ASIDE, "5:x");
    struct ferry_spool_stored stored;
    bool more;
    assert_int_equal(ferry_spool_reader_select(fixture->reader, FERRY_SPOOL_ASIDE, NULL), FERRY_OK);
    assert_int_equal(ferry_spool_reader_next(fixture->reader, &fixture->arena, &stored, &more, NULL), FERRY_OK);
    assert_true(ferry_slice_is(stored.reason, "too large for Kafka"));
    assert_true(ferry_slice_is(stored.topic, "a"));
    assert_true(stored.since_ms > 0);
}

static void topics_are_summed_up(void **state)
{
    struct fixture *fixture = *state;
    struct ferry_spool_summary *topics;
    size_t count;
    store(fixture, 1, "b", "x");
    store(fixture, 2, "a", "y");
    store(fixture, 3, "b", "z");
    look(fixture);
    assert_int_equal(ferry_spool_reader_topics(fixture->reader, &fixture->arena, &topics, &count, NULL), FERRY_OK);
    assert_int_equal(count, 2);
    assert_true(ferry_slice_is(topics[0].topic, "a"));
    assert_int_equal(topics[1].rows, 2);
    assert_int_equal(topics[1].bytes, 2 * topics[0].bytes);
    assert_true(topics[1].oldest_ms > 0 && topics[1].oldest_ms <= topics[0].oldest_ms);
    assert_true(ferry_spool_reader_used_bytes(fixture->reader) > 0);
}

static void a_directory_without_a_spool_is_not_made_into_one(void **state)
{
    (void)state;
    struct ferry_spool_reader *reader = NULL;
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_spool_reader_open("/tmp/ferry-no-such-directory", &reader, &error), FERRY_NOT_FOUND);
    assert_non_null(strstr(error.text, "/tmp/ferry-no-such-directory"));
    assert_null(reader);
}

static void the_one_who_holds_the_lock_is_named(void **state)
{
    struct fixture *fixture = *state;
    char holder[FERRY_SPOOL_HOLDER] = "", process[32];
    struct ferry_spool_file *second = NULL;
    struct ferry_error error = {.text = ""};
    snprintf(process, sizeof process, "process %d on ", (int)getpid());
    assert_true(ferry_spool_holder(fixture->directory, holder));
    assert_non_null(strstr(holder, process));
    assert_int_equal(ferry_spool_file_open(fixture->directory, &second, &error), FERRY_SYSTEM);
    assert_non_null(strstr(error.text, process));
    ferry_spool_file_close(fixture->file);
    fixture->file = NULL;
    assert_false(ferry_spool_holder(fixture->directory, holder));
    open_file(fixture); /* looking has not taken it */
}

static void rows_of_all_topics_are_read_behind_a_number(void **state)
{
    struct fixture *fixture = *state;
    struct ferry_spool_row *rows;
    size_t count, damaged_count;
    int64_t damaged[2];
    for (int i = 1; i <= 5; i++)
        store(fixture, i, i % 2 == 1 ? "a" : "b", "x");
    spoil(fixture, 3);
    assert_int_equal(ferry_spool_file_read_behind(fixture->file, 1, 3, &fixture->arena, &rows, &count, damaged,
                                                  &damaged_count, NULL),
                     FERRY_OK);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0].sequence, 2);
    assert_int_equal(rows[1].sequence, 4);
    assert_int_equal(damaged_count, 1);
    assert_int_equal(damaged[0], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_read_beside_the_writer_by_sequence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_later_is_not_in_the_snapshot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_row_is_named_with_its_topic_and_has_no_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_set_aside_comes_with_its_reason_and_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(topics_are_summed_up, set_up, tear_down),
        cmocka_unit_test(a_directory_without_a_spool_is_not_made_into_one),
        cmocka_unit_test_setup_teardown(the_one_who_holds_the_lock_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_of_all_topics_are_read_behind_a_number, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
