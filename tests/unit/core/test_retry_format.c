/* The stored format of the retry topics: what is written today is what tests/data/formats has of this version, to the
 * byte, and what earlier versions wrote is still read. A test that turns red here says: raise the version, add a file,
 * and go on reading the old one (docs/upgrade.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "core/buffer.h"
#include "core/retry_record.h"
#include "tests/support/arena.h"
#include "tests/support/files.h"

#define FORMATS FERRY_TEST_DATA "/formats/"

static struct ferry_pair sent[] = {{FERRY_SLICE_LITERAL("ce_id"), FERRY_SLICE_LITERAL("e-1")},
                                   {FERRY_SLICE_LITERAL("ferry-event"), FERRY_SLICE_LITERAL("app.created")}};

static const struct ferry_record original = {.topic = FERRY_SLICE_LITERAL("qlik.app.created"),
                                             .key = FERRY_SLICE_LITERAL("a-1"),
                                             .value = FERRY_SLICE_LITERAL("{\"id\":\"a-1\"}"),
                                             .headers = sent,
                                             .header_count = sizeof sent / sizeof sent[0],
                                             .partition = 2,
                                             .offset = 41};

static const struct ferry_retry_note note = {
    .route = FERRY_SLICE_LITERAL("new-app"),
    .origin = {FERRY_SLICE_LITERAL("qlik.app.created"), 2, 41},
    .attempts = 3,
    .first_failure_ms = INT64_C(1763838687123),
    .due_ms = INT64_C(1763838697456),
    .error = FERRY_SLICE_LITERAL("http-busy"),
    .reason = FERRY_SLICE_LITERAL("status 503"),
    .redrive = FERRY_SLICE_LITERAL("20261122T100000-1f0c9a"),
    .outcome = FERRY_SLICE_LITERAL("done"),
    .effect = FERRY_SLICE_LITERAL("0123456789abcdef0123456789abcdef"),
};

/* {"key": …, "value": …, "headers": [[name, value], …]}, on a line. */
static void print(const struct ferry_record *record, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "{\"key\":");
    ferry_buffer_add_json_string(out, record->key);
    ferry_buffer_add_text(out, ",\"value\":");
    ferry_buffer_add_json_string(out, record->value);
    ferry_buffer_add_text(out, ",\"headers\":[");
    for (size_t i = 0; i < record->header_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? ",[" : "[");
        ferry_buffer_add_json_string(out, record->headers[i].name);
        ferry_buffer_add_char(out, ',');
        ferry_buffer_add_json_string(out, record->headers[i].value);
        ferry_buffer_add_char(out, ']');
    }
    ferry_buffer_add_text(out, "]}\n");
}

static struct ferry_slice text_in(json_t *json)
{
    const char *text = json_string_value(json);
    assert_non_null(text);
    return ferry_arena_slice(&arena, ferry_slice_from(text));
}

static struct ferry_record parse(const char *line)
{
    json_t *json = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL), *pair;
    assert_non_null(json);
    json_t *headers = json_object_get(json, "headers");
    struct ferry_pair *pairs = ferry_arena_new_array(&arena, json_array_size(headers), sizeof *pairs);
    size_t i;
    json_array_foreach (headers, i, pair) {
        pairs[i] = (struct ferry_pair){text_in(json_array_get(pair, 0)), text_in(json_array_get(pair, 1))};
    }
    const struct ferry_record record = {.key = text_in(json_object_get(json, "key")),
                                        .value = text_in(json_object_get(json, "value")),
                                        .headers = pairs,
                                        .header_count = json_array_size(headers)};
    json_decref(json);
    return record;
}

static void what_is_written_is_format_1(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    struct ferry_record entry, again, done;
    ferry_buffer_init(&text, 64 * 1024);
    assert_int_equal(ferry_retry_entry_make(&note, &original, "t", &arena, &entry), FERRY_OK);
    assert_int_equal(ferry_retry_again_make(&note, original.key, "t", &arena, &again), FERRY_OK);
    assert_int_equal(ferry_retry_done_make(&note, original.key, "t", &arena, &done), FERRY_OK);
    print(&entry, &text);
    print(&again, &text);
    print(&done, &text);
    struct ferry_slice golden = read_file(FORMATS "retry-1.jsonl");
    assert_int_equal(text.len, golden.len);
    assert_memory_equal(text.ptr, golden.ptr, golden.len);
    free((char *)golden.ptr);
}

static void assert_is_the_note(const struct ferry_retry_note *read)
{
    assert_true(ferry_slice_equal(read->route, note.route));
    assert_true(ferry_slice_equal(read->origin.topic, note.origin.topic));
    assert_int_equal(read->origin.partition, note.origin.partition);
    assert_int_equal(read->origin.offset, note.origin.offset);
    assert_int_equal(read->attempts, note.attempts);
    assert_true(ferry_slice_equal(read->redrive, note.redrive));
    if (read->kind != FERRY_RETRY_DONE) {
        assert_int_equal(read->first_failure_ms, note.first_failure_ms);
        assert_int_equal(read->due_ms, note.due_ms);
        assert_true(ferry_slice_equal(read->error, note.error));
    } else {
        assert_true(ferry_slice_equal(read->outcome, note.outcome));
        assert_true(ferry_slice_equal(read->effect, note.effect));
    }
}

static void assert_is_read(const char *path)
{
    struct ferry_slice text = read_file(path);
    char *lines = ferry_arena_text(&arena, text), *line = strtok(lines, "\n");
    for (int kind = FERRY_RETRY_ENTRY; kind <= FERRY_RETRY_DONE; kind++, line = strtok(NULL, "\n")) {
        assert_non_null(line);
        struct ferry_record record = parse(line);
        struct ferry_retry_note read;
        assert_int_equal(ferry_retry_read(&record, &read, NULL), FERRY_OK);
        assert_int_equal(read.kind, kind);
        assert_false(ferry_retry_is_newer(&record));
        assert_is_the_note(&read);
        struct ferry_record back = ferry_retry_original(&record);
        assert_int_equal(back.header_count, kind == FERRY_RETRY_ENTRY ? original.header_count : 0);
    }
    free((char *)text.ptr);
}

static void what_was_written_before_there_were_versions_is_read(void **state)
{
    (void)state;
    assert_is_read(FORMATS "retry-0.jsonl");
}

static void what_was_written_by_version_1_is_read(void **state)
{
    (void)state;
    assert_is_read(FORMATS "retry-1.jsonl");
}

/* Not passed over, and not read as if it were known. */
static void what_a_newer_version_wrote_is_refused(void **state)
{
    (void)state;
    static const char *const newer[] = {"2", "17", "1.5", ""};
    struct ferry_record record;
    assert_int_equal(ferry_retry_entry_make(&note, &original, "t", &arena, &record), FERRY_OK);
    struct ferry_pair *last = (struct ferry_pair *)&record.headers[record.header_count - 1];
    assert_true(ferry_slice_is(last->name, "ferry-version"));
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++) {
        struct ferry_retry_note read;
        struct ferry_error error;
        last->value = ferry_slice_from(newer[i]);
        assert_true(ferry_retry_is_newer(&record));
        assert_int_equal(ferry_retry_read(&record, &read, &error), FERRY_RECORD_INVALID);
        assert_non_null(strstr(error.text, "newer"));
    }
}

/* A sender's own header of that name stands before the block. */
static void a_senders_header_is_no_version(void **state)
{
    (void)state;
    struct ferry_pair own[] = {{FERRY_SLICE_LITERAL("ferry-version"), FERRY_SLICE_LITERAL("99")}};
    const struct ferry_record odd = {.key = original.key, .value = original.value, .headers = own, .header_count = 1};
    struct ferry_record record;
    assert_int_equal(ferry_retry_entry_make(&note, &odd, "t", &arena, &record), FERRY_OK);
    assert_false(ferry_retry_is_newer(&record));
    assert_false(ferry_retry_is_newer(&odd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_format_1, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(what_was_written_before_there_were_versions_is_read, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(what_was_written_by_version_1_is_read, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(what_a_newer_version_wrote_is_refused, fresh_arena, free_arena),
        cmocka_unit_test_setup_teardown(a_senders_header_is_no_version, fresh_arena, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
