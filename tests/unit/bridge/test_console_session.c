/* Who is let in at the console. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/console/session.h"

static struct ferry_console_sessions sessions;
static char one_key[] = "the-key-of-the-console", other_key[] = "another-key-of-the-console";

static void use(char *key)
{
    ferry_console_sessions_use(&sessions, (struct ferry_secret){key, strlen(key)});
}

static int set_up(void **state)
{
    (void)state;
    use(one_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ferry_console_sessions_done(&sessions);
    sessions = (struct ferry_console_sessions){.failures = 0};
    return 0;
}

static enum ferry_console_login log_in(const char *key, int64_t now_ms, char token[FERRY_CONSOLE_TOKEN])
{
    return ferry_console_log_in(&sessions, ferry_slice_from(key), now_ms, token);
}

static bool is_in(const char *token, int64_t now_ms)
{
    return ferry_console_is_in(&sessions, ferry_slice_from(token), now_ms);
}

static void the_key_opens_a_session_that_ends(void **state)
{
    (void)state;
    char token[FERRY_CONSOLE_TOKEN], second[FERRY_CONSOLE_TOKEN];
    int64_t hours_ms = FERRY_CONSOLE_HOURS * INT64_C(3600000);
    assert_int_equal(log_in(one_key, 1000, token), FERRY_LOGIN_ACCEPTED);
    assert_int_equal(log_in(one_key, 1000, second), FERRY_LOGIN_ACCEPTED);
    assert_string_not_equal(token, second);
    assert_true(is_in(token, 1000 + hours_ms - 1));
    assert_false(is_in(token, 1000 + hours_ms));
    ferry_console_log_out(&sessions, ferry_slice_from(token));
    assert_false(is_in(token, 1001));
    assert_true(is_in(second, 1001));
}

static void nothing_else_is_a_session(void **state)
{
    (void)state;
    char token[FERRY_CONSOLE_TOKEN], empty[FERRY_CONSOLE_TOKEN] = {0};
    assert_false(is_in("", 1));
    assert_false(ferry_console_is_in(&sessions, (struct ferry_slice){NULL, 0}, 1));
    assert_false(ferry_console_is_in(&sessions, ferry_slice_of(empty, sizeof empty - 1), -1));
    assert_int_equal(log_in(one_key, 1, token), FERRY_LOGIN_ACCEPTED);
    token[5] ^= 1;
    assert_false(is_in(token, 2));
    token[5] ^= 1;
    assert_true(is_in(token, 2));
}

static void wrong_keys_close_the_door_for_longer_and_longer(void **state)
{
    (void)state;
    char token[FERRY_CONSOLE_TOKEN], inside[FERRY_CONSOLE_TOKEN];
    int64_t now_ms = 1000;
    assert_int_equal(log_in(one_key, now_ms, inside), FERRY_LOGIN_ACCEPTED);
    assert_int_equal(log_in("", now_ms, token), FERRY_LOGIN_REFUSED);
    assert_int_equal(log_in("the-key-of-the-consolE", now_ms, token), FERRY_LOGIN_REFUSED);
    assert_int_equal(ferry_console_held_seconds(&sessions, now_ms), 0);
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        assert_int_equal(log_in("guess", now_ms, token), FERRY_LOGIN_REFUSED);
        assert_int_equal(ferry_console_held_seconds(&sessions, now_ms), seconds[i]);
        assert_int_equal(log_in(one_key, now_ms + seconds[i] * 1000 - 1, token), FERRY_LOGIN_HELD);
        now_ms += seconds[i] * 1000;
        assert_true(is_in(inside, now_ms));
    }
    assert_int_equal(log_in(one_key, now_ms, token), FERRY_LOGIN_ACCEPTED);
    assert_int_equal(log_in("guess", now_ms, token), FERRY_LOGIN_REFUSED);
    assert_int_equal(ferry_console_held_seconds(&sessions, now_ms), 0);
}

static void another_key_ends_all_sessions_the_same_none(void **state)
{
    (void)state;
    char token[FERRY_CONSOLE_TOKEN];
    assert_int_equal(log_in(one_key, 1, token), FERRY_LOGIN_ACCEPTED);
    use(one_key);
    assert_true(is_in(token, 2));
    use(other_key);
    assert_false(is_in(token, 2));
    assert_int_equal(log_in(one_key, 2, token), FERRY_LOGIN_REFUSED);
    assert_int_equal(log_in(other_key, 2, token), FERRY_LOGIN_ACCEPTED);
}

static void the_oldest_session_makes_room(void **state)
{
    (void)state;
    char tokens[FERRY_CONSOLE_SESSIONS + 1][FERRY_CONSOLE_TOKEN];
    for (int i = 0; i <= FERRY_CONSOLE_SESSIONS; i++)
        assert_int_equal(log_in(one_key, 1000 + i, tokens[i]), FERRY_LOGIN_ACCEPTED);
    assert_false(is_in(tokens[0], 2000));
    for (int i = 1; i <= FERRY_CONSOLE_SESSIONS; i++)
        assert_true(is_in(tokens[i], 2000));
}

static void without_a_key_nobody_comes_in(void **state)
{
    (void)state;
    char token[FERRY_CONSOLE_TOKEN], none[] = "";
    use(none);
    assert_int_equal(log_in("", 1, token), FERRY_LOGIN_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_key_opens_a_session_that_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_else_is_a_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_keys_close_the_door_for_longer_and_longer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_ends_all_sessions_the_same_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_session_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_key_nobody_comes_in, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
