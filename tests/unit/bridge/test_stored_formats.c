/* What bridges find in Kafka of bridges and workers of earlier versions: checkpoints of the Audits API, results of
 * runs. The files of tests/data/formats are as those wrote them (docs/upgrade.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/audits/checkpoint.h"
#include "bridge/triggers/results.h"
#include "tests/support/files.h"

#define FORMATS FERRY_TEST_DATA "/formats/"

static struct ferry_slice without_end(struct ferry_slice text)
{
    return text.len > 0 && text.ptr[text.len - 1] == '\n' ? ferry_slice_of(text.ptr, text.len - 1) : text;
}

static void a_checkpoint_of_version_1_is_read_and_written_the_same(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_audits_checkpoint_done) struct ferry_audits_checkpoint read = {0};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    struct ferry_slice golden = read_file(FORMATS "checkpoint-1.json"), value = without_end(golden);
    ferry_buffer_init(&text, 64 * 1024);
    assert_int_equal(ferry_audits_checkpoint_read(value, &read, NULL), FERRY_OK);
    assert_int_equal(read.epoch, 3);
    assert_int_equal(read.sequence, 17);
    assert_int_equal(read.position_ms, INT64_C(1763838687123));
    assert_int_equal(read.seen_count, 1);
    assert_true(
        ferry_audits_checkpoint_has(&read, ferry_audits_id(FERRY_SLICE("com.qlik/engine"), FERRY_SLICE("e-1"))));
    ferry_audits_checkpoint_write(&read, &text);
    assert_int_equal(text.len, value.len);
    assert_memory_equal(text.ptr, value.ptr, value.len);
    free((char *)golden.ptr);
}

static struct ferry_run_result *read_result(struct ferry_slice value, enum ferry_code expected)
{
    const struct ferry_record record = {.key = FERRY_SLICE("e-1"), .value = value};
    struct ferry_run_result *result = NULL;
    struct ferry_error error;
    assert_int_equal(ferry_run_result_read(&record, &result, &error), expected);
    return result;
}

static void results_are_read_with_a_version_and_without(void **state)
{
    (void)state;
    static const char *const files[] = {FORMATS "result-0.json", FORMATS "result-1.json"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct ferry_slice golden = read_file(files[i]);
        struct ferry_run_result *result = read_result(without_end(golden), FERRY_OK);
        assert_true(ferry_slice_is(result->id, "e-1"));
        assert_true(ferry_slice_is(result->trigger, "nightly-refresh"));
        assert_true(ferry_slice_is(result->run, "run-1"));
        assert_true(ferry_slice_is(result->output, "{\"rows\":3}"));
        assert_true(result->final);
        ferry_run_result_drop(result);
        free((char *)golden.ptr);
    }
}

/* It is feedback: what is not understood is not shown. */
static void a_result_of_a_newer_version_is_not_shown(void **state)
{
    (void)state;
    struct ferry_slice newer =
        FERRY_SLICE("{\"version\":2,\"id\":\"e-1\",\"trigger\":\"t\",\"state\":\"finished\",\"final\":true}");
    assert_null(read_result(newer, FERRY_RECORD_INVALID));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_of_version_1_is_read_and_written_the_same),
        cmocka_unit_test(results_are_read_with_a_version_and_without),
        cmocka_unit_test(a_result_of_a_newer_version_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
