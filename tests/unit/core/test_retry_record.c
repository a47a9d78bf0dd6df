#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/retry_record.h"
#include "tests/support/arena.h"

#define PAIR(name, value)                                     \
    {                                                         \
        FERRY_SLICE_LITERAL(name), FERRY_SLICE_LITERAL(value) \
    }

/* Headers that look like Ferry's own, and a value that is no text: all of it is the sender's. */
static struct ferry_pair headers[] = {PAIR("ce_id", "1"),          PAIR("ferry-retry", "entry"),
                                      PAIR("ferry-due", "never"),  PAIR("odd", "\xff\x00\x01"),
                                      PAIR("ferry-replay", "old"), {FERRY_SLICE_LITERAL("null"), {NULL, 0}},
                                      PAIR("ferry-error", "mine")};
enum { HEADERS = sizeof headers / sizeof headers[0] };

static const struct ferry_record original = {.topic = FERRY_SLICE_LITERAL("qlik.app.created"),
                                             .key = FERRY_SLICE_LITERAL("k\0y"),
                                             .value = FERRY_SLICE_LITERAL("\x00\xff{"),
                                             .headers = headers,
                                             .header_count = HEADERS,
                                             .partition = 7,
                                             .offset = INT64_C(12345678901)};

static const struct ferry_retry_note note = {
    .route = FERRY_SLICE_LITERAL("new-app"),
    .origin = {FERRY_SLICE_LITERAL("qlik.app.created"), 7, INT64_C(12345678901)},
    .attempts = 3,
    .first_failure_ms = INT64_C(1763838687123),
    .due_ms = INT64_C(1763838697456),
    .error = FERRY_SLICE_LITERAL("http-busy"),
    .reason = FERRY_SLICE_LITERAL("status 503"),
};

static struct ferry_record entry_of(const struct ferry_retry_note *what)
{
    struct ferry_record record;
    assert_int_equal(ferry_retry_entry_make(what, &original, "ferry.slack.retry", &arena, &record), FERRY_OK);
    return record;
}

static struct ferry_retry_note read_back(const struct ferry_record *record)
{
    struct ferry_retry_note read;
    assert_int_equal(ferry_retry_read(record, &read, NULL), FERRY_OK);
    return read;
}

static void assert_same_place(const struct ferry_retry_note *a, const struct ferry_retry_note *b)
{
    assert_true(ferry_slice_equal(a->route, b->route));
    assert_true(ferry_slice_equal(a->origin.topic, b->origin.topic));
    assert_int_equal(a->origin.partition, b->origin.partition);
    assert_int_equal(a->origin.offset, b->origin.offset);
    assert_int_equal(a->attempts, b->attempts);
    assert_true(ferry_slice_equal(ferry_retry_run(a), ferry_retry_run(b)));
}

static void assert_is_original(const struct ferry_record *record)
{
    assert_true(ferry_slice_equal(record->key, original.key));
    assert_true(ferry_slice_equal(record->value, original.value));
    assert_int_equal(record->header_count, HEADERS);
    for (size_t i = 0; i < HEADERS; i++) {
        assert_true(ferry_slice_equal(record->headers[i].name, headers[i].name));
        assert_true(ferry_slice_equal(record->headers[i].value, headers[i].value));
        assert_int_equal(record->headers[i].value.ptr == NULL, headers[i].value.ptr == NULL);
    }
}

/* ---- entries ---- */

static void an_entry_holds_the_original_whole_and_in_order(void **state)
{
    (void)state;
    struct ferry_record record = entry_of(&note);
    assert_true(ferry_slice_is(record.topic, "ferry.slack.retry"));
    assert_int_equal(record.header_count, HEADERS + 9);
    assert_true(ferry_slice_is(record.headers[HEADERS].name, "ferry-retry"));
    struct ferry_record back = ferry_retry_original(&record);
    assert_is_original(&back);
}

static void an_entry_is_read_back_as_it_was_written(void **state)
{
    (void)state;
    struct ferry_record record = entry_of(&note);
    struct ferry_retry_note read = read_back(&record);
    assert_int_equal(read.kind, FERRY_RETRY_ENTRY);
    assert_same_place(&read, &note);
    assert_int_equal(read.first_failure_ms, note.first_failure_ms);
    assert_int_equal(read.due_ms, note.due_ms);
    assert_true(ferry_slice_is(read.error, "http-busy"));
    assert_true(ferry_slice_is(read.reason, "status 503"));
    assert_null(read.redrive.ptr);
    assert_null(read.replay.ptr); /* the original's own header is not the command's */
    assert_false(read.effects);
    assert_false(read.again);
}

static void what_an_operator_asked_for_is_read_back(void **state)
{
    (void)state;
    struct ferry_retry_note asked = note;
    asked.error = asked.reason = (struct ferry_slice){NULL, 0};
    asked.replay = FERRY_SLICE("run-1");
    asked.effects = asked.again = true;
    struct ferry_record record = entry_of(&asked);
    struct ferry_retry_note read = read_back(&record);
    assert_true(ferry_slice_is(read.replay, "run-1"));
    assert_true(read.effects);
    assert_true(read.again);
    assert_null(read.error.ptr);
    asked = note;
    asked.redrive = FERRY_SLICE("run-2");
    record = entry_of(&asked);
    assert_true(ferry_slice_is(read_back(&record).redrive, "run-2"));
}

static void an_entry_of_an_entry_gives_up_one_layer_at_a_time(void **state)
{
    (void)state;
    struct ferry_record first = entry_of(&note), second;
    assert_int_equal(ferry_retry_entry_make(&note, &first, "t", &arena, &second), FERRY_OK);
    second = ferry_retry_original(&second);
    assert_int_equal(second.header_count, first.header_count);
    second = ferry_retry_original(&second);
    assert_is_original(&second);
}

/* ---- what follows ---- */

static void a_failed_attempt_says_when_the_next_is_due(void **state)
{
    (void)state;
    struct ferry_record record;
    assert_int_equal(ferry_retry_again_make(&note, original.key, "t", &arena, &record), FERRY_OK);
    struct ferry_retry_note read = read_back(&record);
    assert_int_equal(read.kind, FERRY_RETRY_AGAIN);
    assert_same_place(&read, &note);
    assert_int_equal(read.due_ms, note.due_ms);
    assert_true(ferry_slice_equal(record.key, original.key));
    assert_int_equal(record.value.len, 0);
    assert_non_null(record.value.ptr); /* empty, no tombstone */
}

static void the_end_says_what_became_of_it(void **state)
{
    (void)state;
    struct ferry_retry_note done = note;
    done.outcome = FERRY_SLICE("done");
    done.effect = FERRY_SLICE("0123456789abcdef0123456789abcdef");
    struct ferry_record record;
    assert_int_equal(ferry_retry_done_make(&done, original.key, "t", &arena, &record), FERRY_OK);
    struct ferry_retry_note read = read_back(&record);
    assert_int_equal(read.kind, FERRY_RETRY_DONE);
    assert_same_place(&read, &note);
    assert_true(ferry_slice_is(read.outcome, "done"));
    assert_true(ferry_slice_equal(read.effect, done.effect));
}

/* ---- what is none of ours ---- */

static void assert_refused(struct ferry_pair *block, size_t count, const char *name)
{
    const struct ferry_record record = {.headers = block, .header_count = count};
    struct ferry_retry_note read = {.attempts = 77};
    struct ferry_error error;
    assert_int_equal(ferry_retry_read(&record, &read, &error), FERRY_RECORD_INVALID);
    assert_non_null(strstr(error.text, name));
    assert_int_equal(read.attempts, 77); /* untouched */
}

static void a_header_that_is_missing_or_wrong_is_named(void **state)
{
    (void)state;
    struct ferry_record record = entry_of(&note);
    struct ferry_pair *block = record.headers + HEADERS;
    static const struct {
        size_t at;
        const char *value;
        const char *name;
    } wrong[] = {{0, "later", "ferry-retry"},
                 {2, "qlik.app.created", "ferry-origin"},
                 {2, "/7/1", "ferry-origin"},
                 {2, "t/7/", "ferry-origin"},
                 {2, "t/-7/1", "ferry-origin"},
                 {2, "t/99999999999/1", "ferry-origin"},
                 {2, "t/7/9999999999999999999999", "ferry-origin"},
                 {3, "-1", "ferry-attempts"},
                 {3, "", "ferry-attempts"},
                 {3, "99999999999", "ferry-attempts"},
                 {4, "yesterday", "ferry-first-failure"},
                 {5, "2026-11-22", "ferry-due"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ferry_slice kept = block[wrong[i].at].value;
        block[wrong[i].at].value = ferry_slice_from(wrong[i].value);
        assert_refused(block, 8, wrong[i].name);
        block[wrong[i].at].value = kept;
    }
    assert_refused(block, 1, "ferry-route");
    assert_refused(block, 5, "ferry-due");
    assert_refused(NULL, 0, "ferry-retry");
    assert_int_equal(ferry_retry_read(&record, &(struct ferry_retry_note){0}, NULL), FERRY_OK);
}

/* ---- dead letters ---- */

static struct ferry_record letter_of(struct ferry_pair *room)
{
    static const struct ferry_pair block[] = {PAIR("ferry-error", "retries-exhausted"),
                                              PAIR("ferry-reason", "given up"),
                                              PAIR("ferry-attempts", "9"),
                                              PAIR("ferry-origin", "qlik.app.created/7/12345678901"),
                                              PAIR("ferry-route", "new-app"),
                                              PAIR("ferry-failed-at", "1970-01-01T00:00:01.000Z")};
    memcpy(room, headers, sizeof headers);
    memcpy(room + HEADERS, block, sizeof block);
    struct ferry_record letter = original;
    letter.headers = room;
    letter.header_count = HEADERS + 6;
    return letter;
}

static void a_dead_letter_is_read_and_gives_its_original_back(void **state)
{
    (void)state;
    struct ferry_pair room[HEADERS + 6];
    struct ferry_record letter = letter_of(room), back = ferry_retry_original(&letter);
    struct ferry_retry_note read;
    assert_is_original(&back);
    assert_int_equal(ferry_retry_read_letter(&letter, &read, NULL), FERRY_OK);
    assert_true(ferry_slice_is(read.error, "retries-exhausted"));
    assert_true(ferry_slice_is(read.route, "new-app"));
    assert_int_equal(read.origin.offset, INT64_C(12345678901));
    assert_int_equal(read.attempts, 9);
    assert_int_equal(read.failed_at_ms, 1000);
}

static void a_record_without_the_letters_block_is_no_letter(void **state)
{
    (void)state;
    struct ferry_pair room[HEADERS + 6];
    struct ferry_record letter = letter_of(room);
    struct ferry_retry_note read;
    letter.header_count--;
    assert_int_equal(ferry_retry_read_letter(&letter, &read, NULL), FERRY_RECORD_INVALID);
    letter.header_count = 3;
    assert_int_equal(ferry_retry_read_letter(&letter, &read, NULL), FERRY_RECORD_INVALID);
}

static void a_narrower_topic_takes_the_origins_number_modulo_its_width(void **state)
{
    (void)state;
    assert_int_equal(ferry_retry_partition(7, 12), 7);
    assert_int_equal(ferry_retry_partition(7, 6), 1);
    assert_int_equal(ferry_retry_partition(7, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_arena, free_arena)
    const struct CMUnitTest tests[] = {
        TEST(an_entry_holds_the_original_whole_and_in_order),
        TEST(an_entry_is_read_back_as_it_was_written),
        TEST(what_an_operator_asked_for_is_read_back),
        TEST(an_entry_of_an_entry_gives_up_one_layer_at_a_time),
        TEST(a_failed_attempt_says_when_the_next_is_due),
        TEST(the_end_says_what_became_of_it),
        TEST(a_header_that_is_missing_or_wrong_is_named),
        TEST(a_dead_letter_is_read_and_gives_its_original_back),
        TEST(a_record_without_the_letters_block_is_no_letter),
        TEST(a_narrower_topic_takes_the_origins_number_modulo_its_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
