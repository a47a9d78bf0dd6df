/* The log of a retry topic, folded: what waits, what blocks, what is due, what may be stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "consumers/lanes.h"
#include "consumers/retry_index.h"

static struct ferry_retry_index *waiting;

static int setup(void **state)
{
    (void)state;
    waiting = ferry_retry_index_new();
    assert_non_null(waiting);
    return ferry_retry_index_widen(waiting, 3);
}

static int teardown(void **state)
{
    (void)state;
    ferry_retry_index_free(waiting);
    return 0;
}

/* ---- a log of one partition, whose offsets go up by themselves ---- */

static struct ferry_retry_note note_of(enum ferry_retry_kind kind, int64_t origin, int64_t due_ms)
{
    return (struct ferry_retry_note){.kind = kind,
                                     .route = FERRY_SLICE("r"),
                                     .origin = {FERRY_SLICE("t"), 1, origin},
                                     .attempts = 2,
                                     .first_failure_ms = 1000,
                                     .due_ms = due_ms};
}

static void read_fact(int64_t offset, enum ferry_retry_kind kind, int64_t origin, const char *key, int64_t due_ms)
{
    struct ferry_retry_note note = note_of(kind, origin, due_ms);
    assert_int_equal(ferry_retry_index_read(waiting, &note, ferry_slice_from(key), 1, offset), FERRY_OK);
}

static void learn_fact(int64_t offset, enum ferry_retry_kind kind, int64_t origin, const char *key, int64_t due_ms)
{
    struct ferry_retry_note note = note_of(kind, origin, due_ms);
    assert_int_equal(ferry_retry_index_learn(waiting, &note, ferry_slice_from(key), 1, offset), FERRY_OK);
}

static bool is_blocked(const char *key)
{
    return ferry_retry_index_blocks(waiting,
                                    ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("t"), 1, ferry_slice_from(key)));
}

static struct ferry_retry_row *find(int64_t origin)
{
    const struct ferry_retry_note note = note_of(FERRY_RETRY_ENTRY, origin, 0);
    return ferry_retry_index_find(waiting, &note);
}

/* The origin of what is due at that moment, taken; -1: nothing. */
static struct ferry_retry_row *taken;
static int64_t take(int64_t now_ms)
{
    taken = ferry_retry_index_take(waiting, 1, now_ms);
    return taken != NULL ? taken->origin_offset : -1;
}

/* ---- tests ---- */

static void blocked_is_entries_without_their_ends(void **state)
{
    (void)state;
    assert_false(is_blocked("k"));
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(1, FERRY_RETRY_ENTRY, 11, "k", 5);
    assert_true(is_blocked("k"));
    assert_false(is_blocked("other"));
    read_fact(2, FERRY_RETRY_DONE, 10, "k", 0);
    assert_true(is_blocked("k"));
    read_fact(3, FERRY_RETRY_DONE, 11, "k", 0);
    assert_false(is_blocked("k"));
    assert_null(find(10));
}

static void read_replay(int64_t offset, enum ferry_retry_kind kind, const char *run)
{
    struct ferry_retry_note note = note_of(kind, 10, 5);
    note.replay = ferry_slice_from(run);
    assert_int_equal(ferry_retry_index_read(waiting, &note, FERRY_SLICE("k"), 1, offset), FERRY_OK);
}

/* A second run is asked for before the first has been settled; the same run twice is once. */
static void what_two_runs_ask_for_of_one_origin_is_done_for_each(void **state)
{
    (void)state;
    read_replay(0, FERRY_RETRY_ENTRY, "first");
    read_replay(1, FERRY_RETRY_ENTRY, "second");
    read_replay(2, FERRY_RETRY_ENTRY, "second");
    read_replay(3, FERRY_RETRY_DONE, "first");
    assert_true(is_blocked("k"));
    assert_int_equal(take(5), 10);
    assert_string_equal(taken->run, "second");
    ferry_retry_index_put_back(waiting, taken);
    read_replay(4, FERRY_RETRY_DONE, "second");
    assert_false(is_blocked("k"));
}

static void a_lane_is_tried_in_the_order_of_its_origins(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 12, "k", 5);
    read_fact(1, FERRY_RETRY_ENTRY, 10, "k", 50); /* redriven: the oldest, though it came later */
    read_fact(2, FERRY_RETRY_ENTRY, 11, "k", 5);
    assert_int_equal(take(49), -1);
    assert_int_equal(take(50), 10);
    struct ferry_retry_row *held = taken;
    assert_int_equal(take(99), -1); /* one at a time */
    ferry_retry_index_put_back(waiting, held);
    read_fact(3, FERRY_RETRY_DONE, 10, "k", 0);
    assert_int_equal(take(50), 11);
}

static void a_head_that_waits_long_does_not_delay_other_lanes(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 1, "hour", 3600000);
    for (int64_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", (int)i);
        read_fact(1 + i, FERRY_RETRY_ENTRY, 10 + i, key, 1000 - i);
    }
    assert_int_equal(ferry_retry_index_next_due(waiting, 1), 901);
    assert_int_equal(ferry_retry_index_next_due(waiting, 0), INT64_MAX);
    for (int64_t i = 99; i >= 0; i--)
        assert_int_equal(take(1000), 10 + i);
    assert_int_equal(take(1000), -1);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "r"), 101);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "q"), 0);
}

static void the_same_entry_twice_counts_once(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(1, FERRY_RETRY_ENTRY, 10, "k", 7);
    assert_int_equal(ferry_retry_index_count(waiting, 1, NULL), 1);
    assert_int_equal(find(10)->due_ms, 5);
    read_fact(2, FERRY_RETRY_DONE, 10, "k", 0);
    assert_false(is_blocked("k"));
    read_fact(3, FERRY_RETRY_ENTRY, 10, "k", 9); /* after its end it is a new one */
    assert_int_equal(find(10)->due_ms, 9);
}

static void a_failed_attempt_moves_the_time(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_int_equal(take(5), 10);
    struct ferry_retry_note note = note_of(FERRY_RETRY_AGAIN, 10, 70);
    note.attempts = 3;
    assert_int_equal(ferry_retry_index_learn(waiting, &note, FERRY_SLICE("k"), 1, 4), FERRY_OK);
    ferry_retry_index_put_back(waiting, taken);
    assert_int_equal(take(69), -1);
    assert_int_equal(find(10)->attempts, 3);
    read_fact(3, FERRY_RETRY_AGAIN, 10, "k", 8); /* the reader comes to an older one */
    assert_int_equal(take(69), -1);
    assert_int_equal(take(70), 10);
}

static void what_may_be_stored_is_the_lowest_that_waits(void **state)
{
    (void)state;
    assert_int_equal(ferry_retry_index_settled(waiting, 1), -1);
    ferry_retry_index_pass(waiting, 1, 7);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 7);
    read_fact(7, FERRY_RETRY_ENTRY, 10, "a", 5);
    read_fact(8, FERRY_RETRY_ENTRY, 11, "b", 5);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 7);
    read_fact(9, FERRY_RETRY_DONE, 10, "a", 0);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 8);
    read_fact(10, FERRY_RETRY_DONE, 11, "b", 0);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 11);
}

static void an_own_entry_is_known_before_the_reader_comes(void **state)
{
    (void)state;
    ferry_retry_index_pass(waiting, 1, 0);
    learn_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_true(is_blocked("k"));
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 0); /* what lies before it is not known yet */
    read_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_int_equal(ferry_retry_index_count(waiting, 1, NULL), 1);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 5);
}

static void what_was_settled_ahead_of_the_reader_does_not_rise_again(void **state)
{
    (void)state;
    ferry_retry_index_pass(waiting, 1, 0);
    learn_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_int_equal(take(5), 10);
    learn_fact(6, FERRY_RETRY_DONE, 10, "k", 0);
    assert_false(is_blocked("k"));
    ferry_retry_index_put_back(waiting, taken);
    read_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_false(is_blocked("k"));
    assert_null(find(10));
    assert_int_equal(take(99), -1);
    read_fact(6, FERRY_RETRY_DONE, 10, "k", 0);
    read_fact(7, FERRY_RETRY_ENTRY, 10, "k", 5); /* a redrive */
    assert_true(is_blocked("k"));
}

static void a_report_that_comes_after_the_reader_is_old_news(void **state)
{
    (void)state;
    read_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(6, FERRY_RETRY_DONE, 10, "k", 0);
    learn_fact(5, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_false(is_blocked("k"));
}

static void an_end_from_elsewhere_leaves_a_taken_row_to_its_holder(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(1, FERRY_RETRY_ENTRY, 11, "k", 5);
    assert_int_equal(take(5), 10);
    struct ferry_retry_row *held = taken;
    read_fact(2, FERRY_RETRY_DONE, 10, "k", 0);
    assert_int_equal(held->origin_offset, 10);
    assert_int_equal(take(5), -1); /* somebody is at work in the lane */
    ferry_retry_index_put_back(waiting, held);
    assert_int_equal(take(5), 11);
    read_fact(3, FERRY_RETRY_DONE, 11, "k", 0);
    assert_false(is_blocked("k"));
    ferry_retry_index_put_back(waiting, taken);
}

static void a_postponed_head_keeps_its_token(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    assert_int_equal(take(5), 10);
    ferry_retry_index_postpone(taken, 900, 4711);
    ferry_retry_index_put_back(waiting, taken);
    assert_int_equal(take(899), -1);
    assert_int_equal(take(900), 10);
    assert_int_equal(taken->token_ms, 4711);
}

static void an_entry_whose_record_is_gone_lets_the_lane_go_on(void **state)
{
    (void)state;
    read_fact(0, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(1, FERRY_RETRY_ENTRY, 11, "k", 5);
    assert_int_equal(take(5), 10);
    ferry_retry_index_lose(waiting, taken);
    assert_int_equal(take(5), 11);
    ferry_retry_index_lose(waiting, taken);
    assert_false(is_blocked("k"));
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 2);
}

static void a_topic_that_was_made_anew_begins_anew(void **state)
{
    (void)state;
    read_fact(100, FERRY_RETRY_ENTRY, 10, "k", 5);
    read_fact(101, FERRY_RETRY_ENTRY, 11, "other", 5);
    assert_int_equal(take(5), 10);
    read_fact(0, FERRY_RETRY_ENTRY, 12, "third", 5);
    assert_false(is_blocked("k"));
    assert_false(is_blocked("other"));
    assert_true(is_blocked("third"));
    ferry_retry_index_put_back(waiting, taken);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), 0);
}

static void each_route_is_counted_for_itself_whatever_becomes_of_its_entries(void **state)
{
    (void)state;
    struct ferry_retry_note other = note_of(FERRY_RETRY_ENTRY, 20, 50);
    other.route = FERRY_SLICE("q");
    for (int64_t i = 0; i < 4; i++)
        read_fact(i, FERRY_RETRY_ENTRY, 10 + i, "k", 5);
    assert_int_equal(ferry_retry_index_read(waiting, &other, FERRY_SLICE("k"), 1, 4), FERRY_OK);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "r"), 4);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "q"), 1);
    assert_int_equal(ferry_retry_index_count(waiting, 1, NULL), 5);
    assert_int_equal(ferry_retry_index_count(waiting, 0, NULL), 0);
    learn_fact(5, FERRY_RETRY_DONE, 10, "k", 0); /* ahead of the reader */
    read_fact(5, FERRY_RETRY_DONE, 10, "k", 0);
    read_fact(6, FERRY_RETRY_DONE, 10, "k", 0);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "r"), 3);
    assert_int_equal(take(5), 11);
    ferry_retry_index_lose(waiting, taken);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "r"), 2);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "q"), 1);
    read_fact(0, FERRY_RETRY_ENTRY, 30, "k", 5); /* the topic was made anew */
    assert_int_equal(ferry_retry_index_count(waiting, 1, "r"), 1);
    assert_int_equal(ferry_retry_index_count(waiting, 1, "q"), 0);
}

static void the_oldest_of_a_route_is_told_until_it_is_settled(void **state)
{
    struct ferry_retry_note note = note_of(FERRY_RETRY_ENTRY, 10, 5);
    (void)state;
    assert_int_equal(ferry_retry_index_oldest(waiting, 1, "r"), INT64_MAX);
    note.route = FERRY_SLICE("another");
    note.first_failure_ms = 500;
    assert_int_equal(ferry_retry_index_read(waiting, &note, FERRY_SLICE("k"), 1, 0), FERRY_OK);
    read_fact(1, FERRY_RETRY_ENTRY, 11, "k", 5);
    note = note_of(FERRY_RETRY_ENTRY, 12, 5);
    note.first_failure_ms = 3000;
    assert_int_equal(ferry_retry_index_read(waiting, &note, FERRY_SLICE("k"), 1, 2), FERRY_OK);
    assert_int_equal(ferry_retry_index_oldest(waiting, 1, "r"), 1000);
    assert_int_equal(ferry_retry_index_oldest(waiting, 2, "r"), INT64_MAX);
    read_fact(3, FERRY_RETRY_DONE, 11, "k", 0);
    assert_int_equal(ferry_retry_index_oldest(waiting, 1, "r"), 3000);
    assert_int_equal(ferry_retry_index_oldest(waiting, 1, "another"), 500);
}

static void thousands_of_lanes_and_entries_are_held(void **state)
{
    (void)state;
    enum { LANES = 2000, DEPTH = 5 };
    int64_t offset = 0;
    for (int64_t i = 0; i < LANES * DEPTH; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", (int)(i % LANES));
        read_fact(offset++, FERRY_RETRY_ENTRY, i, key, i);
    }
    for (int64_t round = 0; round < DEPTH; round++)
        for (int64_t i = 0; i < LANES; i++) {
            assert_int_equal(take(INT64_MAX - 1), round * LANES + i);
            char key[16];
            snprintf(key, sizeof key, "k%d", (int)i);
            read_fact(offset++, FERRY_RETRY_DONE, round * LANES + i, key, 0);
            ferry_retry_index_put_back(waiting, taken);
        }
    assert_int_equal(ferry_retry_index_count(waiting, 1, NULL), 0);
    assert_int_equal(ferry_retry_index_settled(waiting, 1), offset);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(blocked_is_entries_without_their_ends),
        TEST(what_two_runs_ask_for_of_one_origin_is_done_for_each),
        TEST(a_lane_is_tried_in_the_order_of_its_origins),
        TEST(a_head_that_waits_long_does_not_delay_other_lanes),
        TEST(the_same_entry_twice_counts_once),
        TEST(a_failed_attempt_moves_the_time),
        TEST(what_may_be_stored_is_the_lowest_that_waits),
        TEST(an_own_entry_is_known_before_the_reader_comes),
        TEST(what_was_settled_ahead_of_the_reader_does_not_rise_again),
        TEST(a_report_that_comes_after_the_reader_is_old_news),
        TEST(an_end_from_elsewhere_leaves_a_taken_row_to_its_holder),
        TEST(a_postponed_head_keeps_its_token),
        TEST(an_entry_whose_record_is_gone_lets_the_lane_go_on),
        TEST(a_topic_that_was_made_anew_begins_anew),
        TEST(each_route_is_counted_for_itself_whatever_becomes_of_its_entries),
        TEST(the_oldest_of_a_route_is_told_until_it_is_settled),
        TEST(thousands_of_lanes_and_entries_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
