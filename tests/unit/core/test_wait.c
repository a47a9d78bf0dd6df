/* Deadlines of conditions, on the monotonic clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "core/clock.h"
#include "core/wait.h"

static void a_deadline_lies_so_far_ahead(void **state)
{
    (void)state;
    static const int64_t cases[] = {0, 1, 999, 1000, 1999, 60000, 86400001};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t before = ferry_clock_mono_ms();
        const struct timespec until = ferry_deadline_in(cases[i]);
        int64_t until_ms = (int64_t)until.tv_sec * 1000 + until.tv_nsec / 1000000;
        assert_in_range(until.tv_nsec, 0, 999999999);
        assert_in_range(until_ms, before + cases[i], ferry_clock_mono_ms() + cases[i]);
    }
}

static void a_wait_ends_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    ferry_condition_init(&condition);
    int64_t before = ferry_clock_mono_ms();
    const struct timespec until = ferry_deadline_in(30);
    pthread_mutex_lock(&lock);
    int ended;
    do
        ended = pthread_cond_timedwait(&condition, &lock, &until);
    while (ended == 0);
    pthread_mutex_unlock(&lock);
    assert_int_equal(ended, ETIMEDOUT);
    assert_true(ferry_clock_mono_ms() >= before + 30);
    pthread_cond_destroy(&condition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_lies_so_far_ahead),
        cmocka_unit_test(a_wait_ends_at_its_deadline_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
