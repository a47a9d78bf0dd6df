#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/audits/checkpoint.h"

#define NOW_MS INT64_C(1763849485123)

static void write_and_read(const struct ferry_audits_checkpoint *checkpoint, struct ferry_audits_checkpoint *read)
{
    struct ferry_buffer text;
    ferry_buffer_init(&text, 1 << 20);
    ferry_audits_checkpoint_write(checkpoint, &text);
    assert_false(text.failed);
    struct ferry_error error = {0};
    assert_int_equal(ferry_audits_checkpoint_read(ferry_buffer_slice(&text), read, &error), FERRY_OK);
    ferry_buffer_done(&text);
}

static void a_checkpoint_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {.epoch = 3, .sequence = 912, .position_ms = NOW_MS}, read = {0};
    for (uint64_t i = 1; i <= 1000; i++)
        assert_true(ferry_audits_checkpoint_add(&checkpoint, i * UINT64_C(0x9E3779B97F4A7C15), NOW_MS - (int64_t)i));
    write_and_read(&checkpoint, &read);
    assert_int_equal(read.epoch, 3);
    assert_int_equal(read.sequence, 912);
    assert_int_equal(read.position_ms, NOW_MS);
    assert_int_equal(read.seen_count, 1000);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_true(ferry_audits_checkpoint_has(&read, i * UINT64_C(0x9E3779B97F4A7C15)));
    assert_false(ferry_audits_checkpoint_has(&read, 42));
    ferry_audits_checkpoint_done(&checkpoint);
    ferry_audits_checkpoint_done(&read);
}

static void an_id_is_the_source_and_the_id_together(void **state)
{
    (void)state;
    uint64_t id = ferry_audits_id(FERRY_SLICE("com.qlik/app"), FERRY_SLICE("1"));
    assert_true(id == ferry_audits_id(FERRY_SLICE("com.qlik/app"), FERRY_SLICE("1")));
    assert_true(id != ferry_audits_id(FERRY_SLICE("com.qlik/app"), FERRY_SLICE("2")));
    assert_true(id != ferry_audits_id(FERRY_SLICE("com.qlik/app1"), FERRY_SLICE("")));
}

static void what_is_added_twice_is_there_once(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {0};
    assert_true(ferry_audits_checkpoint_add(&checkpoint, 7, NOW_MS));
    assert_true(ferry_audits_checkpoint_add(&checkpoint, 7, NOW_MS + 1));
    assert_int_equal(checkpoint.seen_count, 1);
    ferry_audits_checkpoint_done(&checkpoint);
}

static void what_happened_before_the_overlap_is_forgotten(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {0};
    assert_true(ferry_audits_checkpoint_add(&checkpoint, 1, NOW_MS - 1));
    assert_true(ferry_audits_checkpoint_add(&checkpoint, 2, NOW_MS));
    ferry_audits_checkpoint_prune(&checkpoint, NOW_MS);
    assert_false(ferry_audits_checkpoint_has(&checkpoint, 1));
    assert_true(ferry_audits_checkpoint_has(&checkpoint, 2));
    ferry_audits_checkpoint_done(&checkpoint);
}

/* The times of a record are whole seconds: a restart may remember an id a second longer, never shorter. */
static void a_restart_forgets_no_id_too_early(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {.position_ms = NOW_MS}, read = {0};
    assert_true(ferry_audits_checkpoint_add(&checkpoint, 1, NOW_MS));
    write_and_read(&checkpoint, &read);
    ferry_audits_checkpoint_prune(&read, NOW_MS);
    assert_true(ferry_audits_checkpoint_has(&read, 1));
    ferry_audits_checkpoint_done(&checkpoint);
    ferry_audits_checkpoint_done(&read);
}

static void the_oldest_are_forgotten_when_there_are_too_many(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {.position_ms = NOW_MS}, read = {0};
    for (uint64_t i = 0; i < FERRY_AUDITS_SEEN_MAX + 1; i++)
        assert_true(ferry_audits_checkpoint_add(&checkpoint, i * UINT64_C(0x9E3779B97F4A7C15), NOW_MS + (int64_t)i));
    assert_true(checkpoint.seen_count <= FERRY_AUDITS_SEEN_MAX);
    assert_true(checkpoint.seen_count > FERRY_AUDITS_SEEN_MAX * 8 / 10);
    assert_false(ferry_audits_checkpoint_has(&checkpoint, 0));
    assert_true(ferry_audits_checkpoint_has(&checkpoint, FERRY_AUDITS_SEEN_MAX * UINT64_C(0x9E3779B97F4A7C15)));
    write_and_read(&checkpoint, &read); /* and the record is no larger than Kafka takes: 1 MB */
    assert_int_equal(read.seen_count, checkpoint.seen_count);
    ferry_audits_checkpoint_done(&checkpoint);
    ferry_audits_checkpoint_done(&read);
}

static void a_full_checkpoint_of_one_moment_still_takes_ids(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint checkpoint = {0};
    for (uint64_t i = 0; i < FERRY_AUDITS_SEEN_MAX + 10; i++)
        assert_true(ferry_audits_checkpoint_add(&checkpoint, i, NOW_MS));
    assert_true(ferry_audits_checkpoint_has(&checkpoint, FERRY_AUDITS_SEEN_MAX + 9));
    ferry_audits_checkpoint_done(&checkpoint);
}

static void the_later_epoch_counts_whatever_the_sequence(void **state)
{
    (void)state;
    struct ferry_audits_checkpoint late = {.epoch = 2, .sequence = 1}, zombie = {.epoch = 1, .sequence = 900};
    assert_true(ferry_audits_checkpoint_newer(&late, &zombie));
    assert_false(ferry_audits_checkpoint_newer(&zombie, &late));
    struct ferry_audits_checkpoint later = {.epoch = 2, .sequence = 2};
    assert_true(ferry_audits_checkpoint_newer(&later, &late));
    assert_false(ferry_audits_checkpoint_newer(&late, &late));
}

static void what_is_no_checkpoint_is_refused_and_not_guessed_at(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"version\":2,\"epoch\":1,\"sequence\":1,\"position\":\"2026-11-22T10:00:00Z\",\"seen\":\"\"}",
        "{\"version\":1,\"epoch\":1,\"sequence\":1,\"position\":\"yesterday\",\"seen\":\"\"}",
        "{\"version\":1,\"epoch\":\"1\",\"sequence\":1,\"position\":\"2026-11-22T10:00:00Z\",\"seen\":\"\"}",
        "{\"version\":1,\"epoch\":1,\"sequence\":1,\"position\":\"2026-11-22T10:00:00Z\"}",
        "{\"version\":1,\"epoch\":1,\"sequence\":1,\"position\":\"2026-11-22T10:00:00Z\",\"seen\":\"AAAA\"}",
        "{\"version\":1,\"epoch\":1,\"sequence\":1,\"position\":\"2026-11-22T10:00:00Z\",\"seen\":\"!\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ferry_audits_checkpoint checkpoint = {.epoch = 77};
        struct ferry_error error = {0};
        assert_int_equal(ferry_audits_checkpoint_read(ferry_slice_from(bad[i]), &checkpoint, &error),
                         FERRY_RECORD_INVALID);
        assert_int_equal(checkpoint.epoch, 77);
        assert_string_not_equal(error.text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_comes_back_as_it_was_written),
        cmocka_unit_test(an_id_is_the_source_and_the_id_together),
        cmocka_unit_test(what_is_added_twice_is_there_once),
        cmocka_unit_test(what_happened_before_the_overlap_is_forgotten),
        cmocka_unit_test(a_restart_forgets_no_id_too_early),
        cmocka_unit_test(the_oldest_are_forgotten_when_there_are_too_many),
        cmocka_unit_test(a_full_checkpoint_of_one_moment_still_takes_ids),
        cmocka_unit_test(the_later_epoch_counts_whatever_the_sequence),
        cmocka_unit_test(what_is_no_checkpoint_is_refused_and_not_guessed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
