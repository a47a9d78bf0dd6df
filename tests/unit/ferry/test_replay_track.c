/* How far a replay is: what a kill would have to repeat, and never skip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "ferry/replay_track.h"

static const struct ferry_span spans[] = {{"a", 0, 100, 200}, {"a", 1, 7, 9}};

static struct ferry_track_item *add(struct ferry_track *track, size_t span, int64_t offset, size_t reports)
{
    struct ferry_fetched *fetched = calloc(1, sizeof *fetched);
    fetched->record.offset = offset;
    fetched->record.value = FERRY_SLICE("four");
    struct ferry_track_item *item = ferry_track_add(track, span, fetched, reports);
    assert_non_null(item);
    return item;
}

static void a_position_waits_for_the_oldest_record(void **state)
{
    (void)state;
    struct ferry_track *track = ferry_track_new(spans, 2);
    struct ferry_track_item *first = add(track, 0, 100, 1), *second = add(track, 0, 101, 1);
    ferry_track_settle(track, second);
    assert_int_equal(ferry_track_position(track, 0), 100);
    assert_int_equal(ferry_track_look(track).in_flight, 1);
    ferry_track_settle(track, first);
    assert_int_equal(ferry_track_position(track, 0), 102);
    assert_int_equal(ferry_track_position(track, 1), 7);
    assert_int_equal(ferry_track_look(track).settled, 2);
    assert_int_equal(ferry_track_look(track).bytes, 0);
    ferry_track_free(track);
}

static void what_is_left_out_is_passed_with_the_record_before_it(void **state)
{
    (void)state;
    struct ferry_track *track = ferry_track_new(spans, 2);
    ferry_track_pass(track, 0, 104);
    assert_int_equal(ferry_track_position(track, 0), 105);
    struct ferry_track_item *item = add(track, 0, 110, 1);
    ferry_track_pass(track, 0, 111);
    ferry_track_pass(track, 0, 120);
    assert_int_equal(ferry_track_position(track, 0), 105);
    ferry_track_settle(track, item);
    assert_int_equal(ferry_track_position(track, 0), 121);
    ferry_track_free(track);
}

static void a_record_of_several_reports_waits_for_all(void **state)
{
    (void)state;
    struct ferry_track *track = ferry_track_new(spans, 2);
    struct ferry_track_item *item = add(track, 1, 7, 2);
    ferry_track_settle(track, item);
    assert_int_equal(ferry_track_position(track, 1), 7);
    assert_int_equal(ferry_track_look(track).bytes, 4);
    ferry_track_settle(track, item);
    assert_int_equal(ferry_track_position(track, 1), 8);
    ferry_track_free(track);
}

static void the_first_failure_is_kept_and_the_rest_is_freed(void **state)
{
    (void)state;
    struct ferry_track *track = ferry_track_new(spans, 2);
    add(track, 0, 100, 1);
    add(track, 0, 101, 1);
    ferry_track_fail(track, FERRY_RECORD_TOO_LARGE, "too large");
    ferry_track_fail(track, FERRY_STOPPING, "purged");
    assert_int_equal(ferry_track_look(track).code, FERRY_RECORD_TOO_LARGE);
    assert_string_equal(ferry_track_look(track).reason, "too large");
    assert_int_equal(ferry_track_position(track, 0), 100);
    ferry_track_free(track);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_waits_for_the_oldest_record),
        cmocka_unit_test(what_is_left_out_is_passed_with_the_record_before_it),
        cmocka_unit_test(a_record_of_several_reports_waits_for_all),
        cmocka_unit_test(the_first_failure_is_kept_and_the_rest_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
