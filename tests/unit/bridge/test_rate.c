#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "bridge/rate.h"

static struct ferry_bucket bucket_of(int64_t events, int64_t window_ms)
{
    struct ferry_bucket bucket;
    ferry_bucket_init(&bucket, (struct ferry_rate){events, window_ms});
    return bucket;
}

static int take_many(struct ferry_bucket *bucket, int64_t now_ms, int times)
{
    int taken = 0;
    int64_t retry_after_ms;
    for (int i = 0; i < times; i++)
        taken += ferry_bucket_take(bucket, now_ms, &retry_after_ms);
    return taken;
}

static void a_full_bucket_gives_its_events_at_once(void **state)
{
    (void)state;
    struct ferry_bucket bucket = bucket_of(5, 60000);
    assert_int_equal(take_many(&bucket, 123456, 7), 5);
}

static void tokens_come_back_one_by_one(void **state)
{
    (void)state;
    struct ferry_bucket bucket = bucket_of(5, 1000);
    assert_int_equal(take_many(&bucket, 1000, 9), 5);
    assert_int_equal(take_many(&bucket, 1199, 9), 0);
    assert_int_equal(take_many(&bucket, 1200, 9), 1);
    assert_int_equal(take_many(&bucket, 1600, 9), 2);
    assert_int_equal(take_many(&bucket, 99999, 9), 5);
}

static void who_is_refused_learns_when_to_come_back(void **state)
{
    (void)state;
    struct ferry_bucket bucket = bucket_of(2, 60000);
    int64_t retry_after_ms = -1;
    assert_int_equal(take_many(&bucket, 1000, 2), 2);
    assert_false(ferry_bucket_take(&bucket, 1000, &retry_after_ms));
    assert_int_equal(retry_after_ms, 30000);
    assert_false(ferry_bucket_take(&bucket, 11000, &retry_after_ms));
    assert_int_equal(retry_after_ms, 20000);
    assert_true(ferry_bucket_take(&bucket, 31000, &retry_after_ms));
}

static void no_rate_refuses_nobody(void **state)
{
    (void)state;
    struct ferry_bucket bucket = bucket_of(0, 0);
    assert_int_equal(take_many(&bucket, 0, 100000), 100000);
}

static void a_bucket_of_the_same_rate_goes_on_where_the_older_stands(void **state)
{
    (void)state;
    struct ferry_bucket older = bucket_of(5, 1000), same = bucket_of(5, 1000), other = bucket_of(6, 1000);
    assert_int_equal(take_many(&older, 1000, 5), 5);
    ferry_bucket_inherit(&same, &older);
    ferry_bucket_inherit(&other, &older);
    assert_int_equal(take_many(&same, 1000, 9), 0);
    assert_int_equal(take_many(&other, 1000, 9), 6);
}

static void *take_in_thread(void *bucket)
{
    return (void *)(intptr_t)take_many(bucket, 5000, 20000);
}

static void threads_share_one_rate(void **state)
{
    (void)state;
    struct ferry_bucket bucket = bucket_of(30000, 60000);
    pthread_t threads[4];
    intptr_t taken = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_in_thread, &bucket), 0);
    for (int i = 0; i < 4; i++) {
        void *part;
        assert_int_equal(pthread_join(threads[i], &part), 0);
        taken += (intptr_t)part;
    }
    assert_int_equal(taken, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_its_events_at_once),
        cmocka_unit_test(tokens_come_back_one_by_one),
        cmocka_unit_test(who_is_refused_learns_when_to_come_back),
        cmocka_unit_test(no_rate_refuses_nobody),
        cmocka_unit_test(a_bucket_of_the_same_rate_goes_on_where_the_older_stands),
        cmocka_unit_test(threads_share_one_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
