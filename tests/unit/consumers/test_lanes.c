#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/lanes.h"

static int setup(void **state)
{
    static struct ferry_lanes lanes;
    *state = &lanes;
    return ferry_lanes_init(&lanes) == FERRY_OK ? 0 : -1;
}

static int teardown(void **state)
{
    ferry_lanes_done(*state); /* asserts that all are empty */
    return 0;
}

static bool join(struct ferry_lanes *lanes, uint64_t id, struct ferry_lane_place *place)
{
    bool head;
    assert_int_equal(ferry_lanes_join(lanes, id, place, &head), FERRY_OK);
    assert_int_equal(head, ferry_lane_is_head(place));
    return head;
}

static void the_first_goes_and_the_others_wait_in_order(void **state)
{
    struct ferry_lane_place places[3];
    assert_true(join(*state, 1, &places[0]));
    assert_false(join(*state, 1, &places[1]));
    assert_false(join(*state, 1, &places[2]));
    assert_ptr_equal(ferry_lanes_leave(*state, &places[0]), &places[1]);
    assert_ptr_equal(ferry_lanes_leave(*state, &places[1]), &places[2]);
    assert_null(ferry_lanes_leave(*state, &places[2]));
}

static void different_keys_run_side_by_side(void **state)
{
    struct ferry_lane_place a, b;
    assert_true(join(*state, 1, &a));
    assert_true(join(*state, 2, &b));
    assert_null(ferry_lanes_leave(*state, &a));
    assert_null(ferry_lanes_leave(*state, &b));
}

static void who_leaves_from_behind_makes_nobody_the_head(void **state)
{
    struct ferry_lane_place places[4];
    for (size_t i = 0; i < 4; i++)
        join(*state, 9, &places[i]);
    assert_null(ferry_lanes_leave(*state, &places[2]));
    assert_null(ferry_lanes_leave(*state, &places[3]));
    assert_ptr_equal(ferry_lanes_leave(*state, &places[0]), &places[1]);
    struct ferry_lane_place late;
    assert_false(join(*state, 9, &late));
    assert_ptr_equal(ferry_lanes_leave(*state, &places[1]), &late);
    ferry_lanes_leave(*state, &late);
}

static void a_lane_that_was_empty_begins_anew(void **state)
{
    struct ferry_lane_place place;
    assert_true(join(*state, 1, &place));
    ferry_lanes_leave(*state, &place);
    assert_int_equal(((struct ferry_lanes *)*state)->count, 0);
    assert_true(join(*state, 1, &place));
    ferry_lanes_leave(*state, &place);
}

static void thousands_of_lanes_keep_their_orders(void **state)
{
    enum { LANES = 3000, EACH = 3 };
    struct ferry_lane_place *places = calloc(LANES * EACH, sizeof *places);
    for (size_t i = 0; i < LANES * EACH; i++)
        assert_int_equal(join(*state, (i % LANES) * 256, &places[i]), i < LANES);
    for (size_t lane = 0; lane < LANES; lane++) {
        assert_ptr_equal(ferry_lanes_leave(*state, &places[lane]), &places[lane + LANES]);
        assert_ptr_equal(ferry_lanes_leave(*state, &places[lane + LANES]), &places[lane + 2 * LANES]);
        assert_null(ferry_lanes_leave(*state, &places[lane + 2 * LANES]));
    }
    free(places);
}

static void route_topic_partition_and_key_make_a_lane(void **state)
{
    (void)state;
    uint64_t base = ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("t"), 1, FERRY_SLICE("k"));
    assert_true(base == ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("t"), 1, FERRY_SLICE("k")));
    assert_true(base != ferry_lane_id(FERRY_SLICE("s"), FERRY_SLICE("t"), 1, FERRY_SLICE("k")));
    assert_true(base != ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("u"), 1, FERRY_SLICE("k")));
    assert_true(base != ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("t"), 2, FERRY_SLICE("k")));
    assert_true(base != ferry_lane_id(FERRY_SLICE("r"), FERRY_SLICE("t"), 1, FERRY_SLICE("l")));
    assert_true(base != ferry_lane_id(FERRY_SLICE("rt"), FERRY_SLICE(""), 1, FERRY_SLICE("k")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_goes_and_the_others_wait_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(different_keys_run_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(who_leaves_from_behind_makes_nobody_the_head, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lane_that_was_empty_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(thousands_of_lanes_keep_their_orders, setup, teardown),
        cmocka_unit_test(route_topic_partition_and_key_make_a_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
