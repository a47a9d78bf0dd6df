#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/offsets.h"

static int setup(void **state)
{
    static struct ferry_offsets offsets;
    ferry_offsets_init(&offsets);
    *state = &offsets;
    return 0;
}

static int teardown(void **state)
{
    ferry_offsets_done(*state);
    return 0;
}

static void add(struct ferry_offsets *offsets, int64_t offset, uint32_t pending)
{
    assert_int_equal(ferry_offsets_add(offsets, offset, pending), FERRY_OK);
}

static void nothing_is_stored_before_anything_was_settled(void **state)
{
    struct ferry_offsets *offsets = *state;
    assert_int_equal(offsets->next, -1);
    add(offsets, 7, 1);
    assert_int_equal(offsets->next, -1);
    assert_true(ferry_offsets_settle(offsets, 7));
    assert_int_equal(offsets->next, 8);
}

static void a_hole_holds_back_what_was_settled_behind_it(void **state)
{
    struct ferry_offsets *offsets = *state;
    add(offsets, 0, 1);
    add(offsets, 1, 1);
    add(offsets, 2, 1);
    assert_false(ferry_offsets_settle(offsets, 2));
    assert_false(ferry_offsets_settle(offsets, 1));
    assert_int_equal(offsets->next, -1);
    assert_true(ferry_offsets_settle(offsets, 0));
    assert_int_equal(offsets->next, 3);
    assert_int_equal(offsets->count, 0);
}

static void a_record_for_two_routes_counts_when_both_are_settled(void **state)
{
    struct ferry_offsets *offsets = *state;
    add(offsets, 5, 2);
    assert_false(ferry_offsets_settle(offsets, 5));
    assert_int_equal(offsets->next, -1);
    assert_true(ferry_offsets_settle(offsets, 5));
    assert_int_equal(offsets->next, 6);
}

static void what_nobody_wants_is_settled_as_it_comes(void **state)
{
    struct ferry_offsets *offsets = *state;
    add(offsets, 3, 0);
    assert_int_equal(offsets->next, 4);
    add(offsets, 4, 1);
    add(offsets, 5, 0);
    assert_int_equal(offsets->next, 4);
    ferry_offsets_settle(offsets, 4);
    assert_int_equal(offsets->next, 6);
}

static void gaps_between_offsets_are_nothing_to_wait_for(void **state)
{
    struct ferry_offsets *offsets = *state;
    add(offsets, 10, 1);
    add(offsets, 1000000000000, 1);
    ferry_offsets_settle(offsets, 10);
    assert_int_equal(offsets->next, 11);
    ferry_offsets_settle(offsets, 1000000000000);
    assert_int_equal(offsets->next, 1000000000001);
}

static void a_rewound_partition_is_noticed(void **state)
{
    struct ferry_offsets *offsets = *state;
    assert_true(ferry_offsets_follows(offsets, 0));
    add(offsets, 10, 1);
    assert_false(ferry_offsets_follows(offsets, 10));
    assert_true(ferry_offsets_follows(offsets, 11));
    ferry_offsets_settle(offsets, 10);
    assert_false(ferry_offsets_follows(offsets, 10));
    assert_false(ferry_offsets_follows(offsets, 3));
    assert_true(ferry_offsets_follows(offsets, 11));
}

/* Against the plain definition: next is the lowest offset that has something pending, or the end. */
static void any_order_gives_the_contiguous_offset(void **state)
{
    enum { RECORDS = 500 };
    struct ferry_offsets *offsets = *state;
    uint32_t pending[RECORDS];
    size_t open[RECORDS * 3], open_count = 0;
    srand(17);
    for (size_t i = 0; i < RECORDS; i++) {
        pending[i] = (uint32_t)(rand() % 4);
        add(offsets, (int64_t)i, pending[i]);
        for (uint32_t k = 0; k < pending[i]; k++)
            open[open_count++] = i;
    }
    while (open_count > 0) {
        size_t pick = (size_t)rand() % open_count;
        pending[open[pick]]--;
        ferry_offsets_settle(offsets, (int64_t)open[pick]);
        open[pick] = open[--open_count];
        size_t expected = 0;
        while (expected < RECORDS && pending[expected] == 0)
            expected++;
        assert_int_equal(offsets->next, expected > 0 ? (int64_t)expected : -1);
    }
    assert_int_equal(offsets->next, RECORDS);
}

/* The ring wraps around while it grows. */
static void a_long_life_needs_little_room(void **state)
{
    struct ferry_offsets *offsets = *state;
    for (int64_t i = 0; i < 100000; i++) {
        add(offsets, i, 1);
        if (i >= 50)
            ferry_offsets_settle(offsets, i - 50);
    }
    assert_int_equal(offsets->next, 100000 - 50);
    assert_true(offsets->capacity <= 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_stored_before_anything_was_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hole_holds_back_what_was_settled_behind_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_for_two_routes_counts_when_both_are_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_wants_is_settled_as_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(gaps_between_offsets_are_nothing_to_wait_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rewound_partition_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(any_order_gives_the_contiguous_offset, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_life_needs_little_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
