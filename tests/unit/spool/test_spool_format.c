/* The stored format of a spool's rows: what is written today is tests/data/formats/spool-row-1.hex, to the byte, and
 * that file is read. A test that turns red here says: raise the version, add a file, and go on reading the old one
 * (docs/upgrade.md). The tables around the rows are tried by tests/integration/test_99_upgrade.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/spool/spool_row.h"
#include "tests/support/arena.h"
#include "tests/support/files.h"

#define GOLDEN FERRY_TEST_DATA "/formats/spool-row-1.hex"

static struct ferry_pair headers[] = {{FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("e-1")},
                                      {FERRY_SLICE_LITERAL("empty"), FERRY_SLICE_LITERAL("")},
                                      {FERRY_SLICE_LITERAL("absent"), {NULL, 0}}};

static const struct ferry_record record = {.topic = FERRY_SLICE_LITERAL("qlik.app.created"),
                                           .key = FERRY_SLICE_LITERAL("a-1"),
                                           .value = FERRY_SLICE_LITERAL("{\"name\":\"\xc3\x85sa\"}"),
                                           .headers = headers,
                                           .header_count = 3,
                                           .partition = -1,
                                           .offset = -1};

static struct ferry_slice golden_row(void)
{
    struct ferry_slice text = read_file(GOLDEN);
    char *bytes = ferry_arena_new(&arena, text.len / 2);
    size_t len = 0;
    for (size_t i = 0; i + 1 < text.len && text.ptr[i] != '\n'; i += 2) {
        const char pair[3] = {text.ptr[i], text.ptr[i + 1], '\0'};
        bytes[len++] = (char)strtoul(pair, NULL, 16);
    }
    free((char *)text.ptr);
    return ferry_slice_of(bytes, len);
}

static void what_is_written_is_format_1(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer row;
    ferry_buffer_init(&row, 64 * 1024);
    ferry_spool_row_write(&record, &row);
    struct ferry_slice golden = golden_row();
    assert_int_equal(row.len, golden.len);
    assert_memory_equal(row.ptr, golden.ptr, golden.len);
    assert_int_equal(ferry_spool_row_crc(7, golden), 0xcc07dce1);
}

static void what_was_written_by_version_1_is_read(void **state)
{
    (void)state;
    struct ferry_record read;
    assert_true(ferry_spool_row_read(golden_row(), &arena, &read));
    assert_true(ferry_slice_equal(read.topic, record.topic));
    assert_true(ferry_slice_equal(read.key, record.key));
    assert_true(ferry_slice_equal(read.value, record.value));
    assert_int_equal(read.header_count, record.header_count);
    for (size_t i = 0; i < record.header_count; i++) {
        assert_true(ferry_slice_equal(read.headers[i].name, headers[i].name));
        assert_true(ferry_slice_equal(read.headers[i].value, headers[i].value));
        assert_int_equal(read.headers[i].value.ptr == NULL, headers[i].value.ptr == NULL);
    }
}

static void a_row_of_another_version_is_not_read(void **state)
{
    (void)state;
    struct ferry_slice golden = golden_row();
    struct ferry_record read;
    for (int version = 0; version < 256; version++) {
        *(char *)golden.ptr = (char)version;
        assert_int_equal(ferry_spool_row_read(golden, &arena, &read), version == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_format_1, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(what_was_written_by_version_1_is_read, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(a_row_of_another_version_is_not_read, fresh_arena, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
