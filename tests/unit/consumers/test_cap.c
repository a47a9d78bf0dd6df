/* Caps: how many effects go through in a time, and how what is over that waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/engine.h"

enum { HOUR_MS = 3600000 };

static const struct ferry_rate three_an_hour = {3, HOUR_MS};

/* Takes at the first moment at which there is room, from `now_ms` on. */
static int64_t take_from(struct ferry_cap *cap, struct ferry_rate rate, int64_t now_ms)
{
    for (int64_t room_ms; (room_ms = ferry_cap_room(cap, rate, now_ms)) > now_ms; now_ms = room_ms)
        ;
    assert_int_equal(ferry_cap_take(cap, now_ms), FERRY_OK);
    return now_ms;
}

/* ---- one cap ---- */

static void no_window_wherever_it_begins_has_more_than_the_cap(void **state)
{
    (void)state;
    enum { EFFECTS = 400, MOST = 50, WINDOW_MS = 10000 };
    struct ferry_caps caps = {0};
    struct ferry_cap *cap = ferry_caps_get(&caps, 1);
    int64_t taken[EFFECTS], now_ms = 1;
    srand(7);
    for (int i = 0; i < EFFECTS; i++) {
        now_ms = take_from(cap, (struct ferry_rate){MOST, WINDOW_MS}, now_ms + rand() % 300);
        taken[i] = now_ms;
        assert_true(i < MOST || taken[i] - taken[i - MOST] >= WINDOW_MS);
    }
    assert_true(taken[EFFECTS - 1] <= EFFECTS / MOST * (WINDOW_MS + 1000)); /* and nobody waits for nothing */
    ferry_caps_done(&caps);
}

static void a_cap_lets_its_number_through_at_once(void **state)
{
    (void)state;
    struct ferry_caps caps = {0};
    struct ferry_cap *cap = ferry_caps_get(&caps, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(take_from(cap, three_an_hour, 1000 + i), 1000 + i);
    assert_int_equal(ferry_cap_room(cap, three_an_hour, 2000), 1000 + HOUR_MS);
    assert_int_equal(ferry_cap_room(cap, three_an_hour, 1000 + HOUR_MS), 1000 + HOUR_MS);
    ferry_caps_done(&caps);
}

static void who_waits_is_told_about_his_own_turn(void **state)
{
    (void)state;
    struct ferry_caps caps = {0};
    struct ferry_cap *cap = ferry_caps_get(&caps, 1);
    for (int i = 0; i < 3; i++)
        take_from(cap, three_an_hour, 1000 * i);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ferry_cap_room(cap, three_an_hour, 5000), 1000 * i + HOUR_MS);
        cap->waiting++;
    }
    assert_int_equal(ferry_cap_room(cap, three_an_hour, 5000), 2000 + HOUR_MS); /* asks again then */
    ferry_caps_done(&caps);
}

static void who_waits_elsewhere_gets_a_moment_of_his_own_within_a_window(void **state)
{
    (void)state;
    struct ferry_caps caps = {0};
    struct ferry_cap *cap = ferry_caps_get(&caps, 1);
    for (int i = 0; i < 3; i++)
        take_from(cap, three_an_hour, 1000 * i);
    assert_int_equal(ferry_cap_promise(cap, three_an_hour, 5000 + HOUR_MS / 2), HOUR_MS);
    assert_int_equal(ferry_cap_promise(cap, three_an_hour, 5000 + HOUR_MS / 2), HOUR_MS + HOUR_MS / 3);
    assert_int_equal(ferry_cap_promise(cap, three_an_hour, 5000 + HOUR_MS / 2), 5000 + HOUR_MS / 2 + HOUR_MS);
    ferry_caps_done(&caps);
}

static void a_cap_that_is_lowered_holds_at_once(void **state)
{
    (void)state;
    struct ferry_caps caps = {0};
    struct ferry_cap *cap = ferry_caps_get(&caps, 1);
    for (int i = 0; i < 3; i++)
        take_from(cap, three_an_hour, 1000 * i);
    const struct ferry_rate one = {1, HOUR_MS};
    assert_int_equal(ferry_cap_room(cap, one, 5000), 2000 + HOUR_MS);
    assert_int_equal(ferry_cap_room(cap, (struct ferry_rate){4, HOUR_MS}, 5000), 5000);
    ferry_caps_done(&caps);
}

static void idle_caps_go_and_used_ones_stay(void **state)
{
    (void)state;
    struct ferry_caps caps = {0};
    for (uint64_t id = 1; id <= FERRY_CAPS_SWEEP; id++)
        assert_int_equal(ferry_cap_take(ferry_caps_get(&caps, id), 1000), FERRY_OK);
    ferry_caps_get(&caps, 7)->window_ms = HOUR_MS;
    ferry_caps_get(&caps, 8)->waiting = 1;
    ferry_caps_tidy(&caps, 2000);
    assert_non_null(ferry_caps_find(&caps, 7));
    assert_non_null(ferry_caps_find(&caps, 8));
    assert_null(ferry_caps_find(&caps, 9));
    ferry_caps_done(&caps);
}

/* ---- caps of tasks ---- */

static struct ferry_limit limit_of(const char *name, const char *key, int64_t events)
{
    struct ferry_limit limit = {.name = name, .rate = {events, HOUR_MS}};
    snprintf(limit.key, sizeof limit.key, "%s", key);
    return limit;
}

/* Asks for room; the time that the task has to wait. */
static int64_t ask(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_limit *limits, size_t count,
                   int64_t now_ms)
{
    int64_t until_ms = now_ms;
    assert_int_equal(ferry_task_take_room(engine, task, limits, count, now_ms, &until_ms), FERRY_OK);
    return until_ms - now_ms;
}

static const struct ferry_channel channel = {.name = "mail"};

static void a_task_is_counted_in_all_its_caps_or_in_none(void **state)
{
    (void)state;
    struct ferry_engine engine = {.channel = &channel};
    struct ferry_task tasks[4] = {0};
    const struct ferry_limit here[] = {limit_of("domain", "example.com", 1), limit_of("tenant", "t", 2)};
    const struct ferry_limit there[] = {limit_of("domain", "example.org", 5), limit_of("tenant", "t", 2)};
    assert_int_equal(ask(&engine, &tasks[0], here, 2, 1000), 0);
    assert_true(ask(&engine, &tasks[1], here, 2, 1000) > 0); /* the domain is full: nothing is taken of the tenant */
    assert_int_equal(ask(&engine, &tasks[2], there, 2, 1000), 0); /* … which has this one left */
    assert_true(ask(&engine, &tasks[3], there, 2, 1000) > 0);
    for (int i = 0; i < 4; i++)
        ferry_task_forgo_room(&tasks[i]);
    ferry_caps_done(&engine.caps);
}

static void who_gives_up_waiting_holds_nobody_back(void **state)
{
    (void)state;
    struct ferry_engine engine = {.channel = &channel};
    struct ferry_task tasks[3] = {0};
    const struct ferry_limit limit = limit_of("domain", "example.com", 1);
    assert_int_equal(ask(&engine, &tasks[0], &limit, 1, 1000), 0);
    assert_int_equal(ask(&engine, &tasks[1], &limit, 1, 1000), 60000); /* asks again every minute */
    struct ferry_cap *cap = ferry_caps_find(&engine.caps, tasks[1].caps[0]);
    assert_int_equal(cap->waiting, 1);
    ferry_task_forgo_room(&tasks[1]);
    ferry_task_forgo_room(&tasks[1]);
    assert_int_equal(cap->waiting, 0);
    assert_int_equal(ask(&engine, &tasks[2], &limit, 1, 1000 + HOUR_MS), 0);
    ferry_caps_done(&engine.caps);
}

static void too_many_requests_close_the_cap_for_all_that_share_it(void **state)
{
    (void)state;
    struct ferry_engine engine = {.channel = &channel};
    struct ferry_task tasks[3] = {0};
    const struct ferry_limit ours = limit_of("tenant", "https://acme.eu.qlikcloud.com", 300);
    const struct ferry_limit other = limit_of("tenant", "https://other.eu.qlikcloud.com", 300);
    assert_int_equal(ask(&engine, &tasks[0], &ours, 1, 1000), 0);
    ferry_task_close_caps(&engine, &tasks[0], 20000);
    assert_true(ask(&engine, &tasks[1], &ours, 1, 1000) > 0);
    assert_int_equal(ask(&engine, &tasks[2], &other, 1, 1000), 0);
    ferry_task_forgo_room(&tasks[1]);
    ferry_caps_done(&engine.caps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_window_wherever_it_begins_has_more_than_the_cap),
        cmocka_unit_test(a_cap_lets_its_number_through_at_once),
        cmocka_unit_test(who_waits_is_told_about_his_own_turn),
        cmocka_unit_test(who_waits_elsewhere_gets_a_moment_of_his_own_within_a_window),
        cmocka_unit_test(a_cap_that_is_lowered_holds_at_once),
        cmocka_unit_test(idle_caps_go_and_used_ones_stay),
        cmocka_unit_test(a_task_is_counted_in_all_its_caps_or_in_none),
        cmocka_unit_test(who_gives_up_waiting_holds_nobody_back),
        cmocka_unit_test(too_many_requests_close_the_cap_for_all_that_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
