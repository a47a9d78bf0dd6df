/* Who shows wrong keys waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "bridge/triggers/backoff.h"

static int set_up(void **state)
{
    *state = ferry_backoff_new();
    return *state != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    ferry_backoff_free(*state);
    return 0;
}

static struct ferry_ip ip(const char *text)
{
    struct ferry_ip parsed;
    assert_true(ferry_ip_parse(ferry_slice_from(text), &parsed));
    return parsed;
}

static void guess(struct ferry_backoff *backoff, const char *from, int times, int64_t mono_ms)
{
    struct ferry_ip caller = ip(from);
    for (int i = 0; i < times; i++)
        ferry_backoff_wrong(backoff, &caller, "nightly", mono_ms);
}

static int64_t wait_of(struct ferry_backoff *backoff, const char *from, const char *trigger, int64_t mono_ms)
{
    struct ferry_ip caller = ip(from);
    return ferry_backoff_wait(backoff, &caller, trigger, mono_ms);
}

static void four_wrong_keys_are_free(void **state)
{
    assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 1000), 0);
    guess(*state, "192.0.2.1", 4, 1000);
    assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 1000), 0);
}

static void from_the_fifth_the_wait_doubles_up_to_five_minutes(void **state)
{
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};
    guess(*state, "192.0.2.1", 4, 1000);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        guess(*state, "192.0.2.1", 1, 5000);
        assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 5000), waits[i]);
        assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 5000 + waits[i]), 0);
    }
}

static void others_and_other_triggers_do_not_wait(void **state)
{
    guess(*state, "192.0.2.1", 9, 1000);
    assert_true(wait_of(*state, "192.0.2.1", "nightly", 1000) > 0);
    assert_int_equal(wait_of(*state, "192.0.2.2", "nightly", 1000), 0);
    assert_int_equal(wait_of(*state, "192.0.2.1", "weekly", 1000), 0);
}

static void of_ipv6_the_network_waits(void **state)
{
    guess(*state, "2001:db8:1:2::1", 9, 1000);
    assert_true(wait_of(*state, "2001:db8:1:2:ffff::9", "nightly", 1000) > 0);
    assert_int_equal(wait_of(*state, "2001:db8:1:3::1", "nightly", 1000), 0);
}

static void a_right_key_clears(void **state)
{
    struct ferry_ip caller = ip("192.0.2.1");
    guess(*state, "192.0.2.1", 4, 1000);
    ferry_backoff_right(*state, &caller, "nightly");
    guess(*state, "192.0.2.1", 4, 1000);
    assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 1000), 0);
}

static void after_a_quarter_of_an_hour_it_is_forgotten(void **state)
{
    guess(*state, "192.0.2.1", 4, 1000);
    guess(*state, "192.0.2.1", 1, 1000 + 900001);
    assert_int_equal(wait_of(*state, "192.0.2.1", "nightly", 1000 + 900001), 0);
    guess(*state, "192.0.2.1", 4, 1000 + 900002);
    assert_true(wait_of(*state, "192.0.2.1", "nightly", 1000 + 900002) > 0);
}

/* Its memory has an end, and a flood of addresses does not let the one that goes on guessing go free. */
static void many_addresses_do_not_hide_the_one_that_goes_on(void **state)
{
    int64_t now_ms = 1000;
    for (int i = 0; i < 20000; i++) {
        char other[32];
        snprintf(other, sizeof other, "10.%d.%d.1", i / 250, i % 250);
        guess(*state, other, 1, ++now_ms);
        if (i % 100 == 0)
            guess(*state, "192.0.2.1", 1, ++now_ms);
    }
    assert_true(wait_of(*state, "192.0.2.1", "nightly", now_ms) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(four_wrong_keys_are_free),
        TEST(from_the_fifth_the_wait_doubles_up_to_five_minutes),
        TEST(others_and_other_triggers_do_not_wait),
        TEST(of_ipv6_the_network_waits),
        TEST(a_right_key_clears),
        TEST(after_a_quarter_of_an_hour_it_is_forgotten),
        TEST(many_addresses_do_not_hide_the_one_that_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
