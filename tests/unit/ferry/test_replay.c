/* What a replayed record carries, what a run remembers of itself, and the flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/buffer.h"
#include "core/program.h"
#include "ferry/command.h"
#include "ferry/replay.h"
#include "tests/unit/ferry/capture.h"

#define HEADER(header, text)                                   \
    {                                                          \
        FERRY_SLICE_LITERAL(header), FERRY_SLICE_LITERAL(text) \
    }

static void headers_stay_and_the_run_is_added_behind(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_pair headers[] = {HEADER("ce_id", "1"), HEADER("ferry-replay", "old"), HEADER("ferry-effects", "yes"),
                                   HEADER("x", ""),      HEADER("ferry-again", "yes"),  HEADER("x", "twice")};
    const struct ferry_record original = {.key = FERRY_SLICE("k"), .headers = headers, .header_count = 6};
    struct ferry_replay replay = {.run = "new"};
    struct ferry_record record;
    assert_true(ferry_replay_headers(&replay, &original, &arena, &record));
    assert_int_equal(record.header_count, 4); /* a mark of an earlier replay must not work on */
    assert_true(ferry_slice_is(record.headers[1].name, "x") && ferry_slice_is(record.headers[2].value, "twice"));
    assert_true(ferry_slice_is(record.headers[3].name, "ferry-replay"));
    assert_true(ferry_slice_is(record.headers[3].value, "new"));
    assert_true(ferry_slice_is(record.key, "k"));
    replay.effects = replay.again = true;
    assert_true(ferry_replay_headers(&replay, &original, &arena, &record));
    assert_int_equal(record.header_count, 6);
    assert_true(ferry_slice_is(ferry_record_header(&record, "ferry-effects"), "yes"));
    assert_true(ferry_slice_is(ferry_record_header(&record, "ferry-again"), "yes"));
}

static void remember(struct ferry_replay_memory *memory, const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    ferry_replay_remember(memory, record);
    json_decref(record);
}

static json_int_t position(const struct ferry_replay_memory *memory, const char *topic, const char *partition)
{
    json_t *value = json_object_get(json_object_get(memory->positions, topic), partition);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static void the_last_word_on_each_partition_counts(void **state)
{
    (void)state;
    struct ferry_replay_memory memory = {0};
    remember(&memory,
             "{\"command\":\"replay\",\"state\":\"begun\",\"count\":0,\"filter\":{\"event\":\"*\"},\"details\":"
             "{\"from_ms\":1,\"to_ms\":2,\"spans\":{\"a\":{\"0\":[5,9],\"1\":[0,3]}}}}");
    remember(&memory, "{\"command\":\"replay\",\"state\":\"progress\",\"count\":4,\"details\":{\"positions\":{\"a\":"
                      "{\"0\":9,\"1\":0}}}}");
    /* The run went on: partition 0 was through, it tells of partition 1 alone. */
    remember(&memory, "{\"command\":\"replay\",\"state\":\"stopped\",\"count\":5,\"details\":{\"positions\":{\"a\":"
                      "{\"1\":1}}}}");
    remember(&memory, "{\"command\":\"dlq drop\",\"state\":\"done\",\"count\":99}");
    assert_int_equal(position(&memory, "a", "0"), 9);
    assert_int_equal(position(&memory, "a", "1"), 1);
    assert_int_equal(memory.count, 5);
    assert_int_equal(memory.to_ms, 2);
    assert_false(memory.done);
    remember(&memory, "{\"command\":\"replay\",\"state\":\"done\",\"count\":7}");
    assert_true(memory.done);
    ferry_replay_forget(&memory);
}

static void the_plan_and_the_positions_are_json_by_topic(void **state)
{
    (void)state;
    struct ferry_span spans[] = {{"a", 0, 5, 9}, {"a", 3, 1, 2}, {"b", 0, 0, 1}};
    struct ferry_replay replay = {.spans = spans, .span_count = 3, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    replay.track = ferry_track_new(spans, 3);
    ferry_replay_print_plan(&replay, &out);
    assert_string_equal(out.ptr, "{\"from_ms\":-9223372036854775808,\"to_ms\":9223372036854775807,\"spans\":"
                                 "{\"a\":{\"0\":[5,9],\"3\":[1,2]},\"b\":{\"0\":[0,1]}}}");
    ferry_buffer_clear(&out);
    ferry_track_pass(replay.track, 1, 1);
    ferry_replay_print_positions(&replay, &out);
    assert_string_equal(out.ptr, "{\"positions\":{\"a\":{\"0\":5,\"3\":2},\"b\":{\"0\":0}}}");
    ferry_buffer_clear(&out);
    replay.span_count = 0;
    ferry_replay_print_positions(&replay, &out);
    assert_string_equal(out.ptr, "{\"positions\":{}}");
    ferry_track_free(replay.track);
}

static void a_filter_tells_the_host_of_an_url_alone(void **state)
{
    (void)state;
    struct ferry_replay replay = {.selection.event = "app.\"", .to_url = "https://example.com/hook/secret"};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_replay_print_filter(&replay, &out);
    assert_string_equal(out.ptr, "{\"event\":\"app.\\\"\",\"to_url\":\"https://example.com\"}");
}

static void wrong_flags_are_refused_before_anything_is_opened(void **state)
{
    (void)state;
    assert_int_equal(CAPTURE(replay, "--event", "*", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(
        CAPTURE(replay, "--event", "*", "--from", "-1h", "--to", "-2h", "--to-topic", "t", NULL)->exit_code,
        FERRY_EXIT_USAGE);
    const struct capture *run =
        CAPTURE(replay, "--event", "*", "--from", "-1h", "--to-url", "https://example.com/", "--effects", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_USAGE);
    assert_non_null(strstr(run->err, "--to-worker"));
    run = CAPTURE(replay, "--event", "*", "--from", "-1h", "--to-topic", "t", "--run-id", "a b", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(replay, "--help", NULL)->exit_code, FERRY_EXIT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_stay_and_the_run_is_added_behind),
        cmocka_unit_test(the_last_word_on_each_partition_counts),
        cmocka_unit_test(the_plan_and_the_positions_are_json_by_topic),
        cmocka_unit_test(a_filter_tells_the_host_of_an_url_alone),
        cmocka_unit_test(wrong_flags_are_refused_before_anything_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
