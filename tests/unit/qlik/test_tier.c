#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/qlik/tier.h"

enum { MINUTE_MS = 60000 };

static void a_thousand_turns_take_a_minute(void **state)
{
    (void)state;
    int64_t now_ms = 5000, began_ms = now_ms;
    for (int i = 0; i < 1000; i++)
        now_ms += ferry_tier_turn_ms("https://busy.example.com", now_ms);
    now_ms += ferry_tier_turn_ms("https://busy.example.com", now_ms);
    assert_in_range(now_ms - began_ms, MINUTE_MS, 2 * MINUTE_MS);
}

static void who_asks_rarely_does_not_wait(void **state)
{
    (void)state;
    assert_int_equal(ferry_tier_turn_ms("https://calm.example.com", 1000), 0);
    assert_int_equal(ferry_tier_turn_ms("https://calm.example.com", 2000), 0);
    assert_int_equal(ferry_tier_turn_ms("https://other.example.com", 2000), 0);
}

static void callers_at_the_same_moment_get_one_turn_each(void **state)
{
    (void)state;
    int64_t first = ferry_tier_turn_ms("https://queue.example.com", 1000);
    int64_t second = ferry_tier_turn_ms("https://queue.example.com", 1000);
    int64_t third = ferry_tier_turn_ms("https://queue.example.com", 1000);
    assert_int_equal(first, 0);
    assert_true(second > 0);
    assert_int_equal(third, 2 * second);
}

static void a_block_is_the_tenants_own_and_ends(void **state)
{
    (void)state;
    ferry_tier_block("https://blocked.example.com", 1000, 5000);
    ferry_tier_block("https://blocked.example.com", 1000, 2000); /* a shorter one changes nothing */
    assert_int_equal(ferry_tier_blocked_ms("https://blocked.example.com", 2000), 4000);
    assert_int_equal(ferry_tier_blocked_ms("https://free.example.com", 2000), 0);
    assert_int_equal(ferry_tier_blocked_ms("https://blocked.example.com", 6000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_turns_take_a_minute),
        cmocka_unit_test(who_asks_rarely_does_not_wait),
        cmocka_unit_test(callers_at_the_same_moment_get_one_turn_each),
        cmocka_unit_test(a_block_is_the_tenants_own_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
