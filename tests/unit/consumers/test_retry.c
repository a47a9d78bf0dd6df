#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/backoff.h"
#include "consumers/decide.h"
#include "consumers/pace.h"
#include "consumers/timers.h"

/* ---- back-off ---- */

static void each_failure_doubles_the_wait_up_to_the_most(void **state)
{
    (void)state;
    const int64_t longest[] = {1000, 2000, 4000, 8000, 10000, 10000};
    for (int failures = 1; failures <= 6; failures++) {
        int64_t most = ferry_backoff_ms(1000, 10000, failures, UINT32_MAX);
        int64_t least = ferry_backoff_ms(1000, 10000, failures, 0);
        assert_int_equal(most, longest[failures - 1]);
        assert_int_equal(least, longest[failures - 1] / 2);
    }
}

static void the_thousandth_failure_does_not_overflow(void **state)
{
    (void)state;
    int64_t delay = ferry_backoff_ms(10000, 3600000, 1000, 12345);
    assert_true(delay >= 1800000 && delay <= 3600000);
}

static void what_the_peer_asks_for_is_obeyed_up_to_an_hour(void **state)
{
    (void)state;
    assert_int_equal(ferry_backoff_obey_ms(-1, 777, 5), 777);
    assert_int_equal(ferry_backoff_obey_ms(0, 777, 0), 777); /* a date that is over */
    assert_int_equal(ferry_backoff_obey_ms(30000, 777, 0), 30000);
    assert_true(ferry_backoff_obey_ms(30000, 777, UINT32_MAX) <= 33000);
    assert_int_equal(ferry_backoff_obey_ms(7200000, 777, 0), 3600000);
}

/* ---- decisions ---- */

static const struct ferry_worker_config worker = {
    .retry_first_ms = 1000, .retry_max_ms = 60000, .retry_for_ms = 10 * 60000};

static struct ferry_next decide(enum ferry_outcome outcome, enum ferry_code code, int attempts, int64_t failing_ms)
{
    struct ferry_verdict verdict;
    struct ferry_next next;
    ferry_verdict_set(&verdict, outcome, code, "why");
    ferry_decide(&verdict, &worker, attempts, failing_ms, UINT32_MAX, &next);
    return next;
}

static void done_and_skipped_are_settled(void **state)
{
    (void)state;
    assert_int_equal(decide(FERRY_OUTCOME_DONE, FERRY_OK, 1, 0).kind, FERRY_NEXT_FINISH);
    assert_int_equal(decide(FERRY_OUTCOME_SKIPPED, FERRY_OK, 1, 0).kind, FERRY_NEXT_FINISH);
}

static void dead_and_doubtful_are_buried_as_what_they_are(void **state)
{
    (void)state;
    struct ferry_next dead = decide(FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED, 1, 0);
    assert_int_equal(dead.kind, FERRY_NEXT_BURY);
    assert_int_equal(dead.code, FERRY_HTTP_REFUSED);
    struct ferry_next doubtful = decide(FERRY_OUTCOME_DOUBTFUL, FERRY_OUTCOME_UNKNOWN, 1, 0);
    assert_int_equal(doubtful.kind, FERRY_NEXT_BURY);
    assert_int_equal(doubtful.outcome, FERRY_OUTCOME_DOUBTFUL);
}

static void a_temporary_failure_comes_again_until_retry_for_is_over(void **state)
{
    (void)state;
    struct ferry_next again = decide(FERRY_OUTCOME_RETRY, FERRY_NETWORK, 3, 1000);
    assert_int_equal(again.kind, FERRY_NEXT_AGAIN);
    assert_int_equal(again.delay_ms, 4000);
    struct ferry_next given_up = decide(FERRY_OUTCOME_RETRY, FERRY_NETWORK, 30, 10 * 60000 - 5000);
    assert_int_equal(given_up.kind, FERRY_NEXT_BURY);
    assert_int_equal(given_up.code, FERRY_RETRIES_EXHAUSTED);
    assert_int_equal(given_up.outcome, FERRY_OUTCOME_DEAD);
    assert_non_null(strstr(given_up.reason, "30 attempts"));
}

static void a_follow_up_is_followed_whatever_its_outcome_says(void **state)
{
    (void)state;
    struct ferry_verdict verdict;
    struct ferry_next next;
    ferry_verdict_set(&verdict, FERRY_OUTCOME_RETRY, FERRY_OK, "run");
    verdict.follow_up = true;
    verdict.retry_after_ms = 2000;
    ferry_decide(&verdict, &worker, 1, INT64_C(100000000), 0, &next);
    assert_int_equal(next.kind, FERRY_NEXT_FOLLOW);
    assert_int_equal(next.delay_ms, 2000);
}

/* ---- verdicts by status ---- */

static struct ferry_verdict by_status(enum ferry_exchange exchange, int status)
{
    const struct ferry_answer answer = {.exchange = exchange, .status = status, .retry_after_ms = 5, .reason = "x"};
    struct ferry_verdict verdict;
    ferry_verdict_by_status(&answer, &verdict);
    return verdict;
}

static void the_status_alone_says_done_again_or_never(void **state)
{
    (void)state;
    const struct {
        int status;
        enum ferry_outcome outcome;
        enum ferry_code code;
    } cases[] = {
        {200, FERRY_OUTCOME_DONE, FERRY_OK},           {204, FERRY_OUTCOME_DONE, FERRY_OK},
        {301, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED}, {400, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
        {404, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED}, {408, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {425, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},   {429, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {500, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},   {503, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY},
        {100, FERRY_OUTCOME_DEAD, FERRY_HTTP_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_verdict verdict = by_status(FERRY_EXCHANGE_ANSWERED, cases[i].status);
        assert_int_equal(verdict.outcome, cases[i].outcome);
        assert_int_equal(verdict.code, cases[i].code);
        assert_int_equal(verdict.retry_after_ms, 5);
    }
}

static void what_was_not_sent_comes_again_and_what_was_not_answered_is_in_doubt(void **state)
{
    (void)state;
    assert_int_equal(by_status(FERRY_EXCHANGE_NOT_SENT, 0).outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(by_status(FERRY_EXCHANGE_NOT_SENT, 0).code, FERRY_NETWORK);
    assert_int_equal(by_status(FERRY_EXCHANGE_IN_DOUBT, 0).outcome, FERRY_OUTCOME_DOUBTFUL);
    assert_int_equal(by_status(FERRY_EXCHANGE_IN_DOUBT, 0).code, FERRY_OUTCOME_UNKNOWN);
}

/* ---- pace ---- */

static void one_a_second_makes_a_queue(void **state)
{
    (void)state;
    struct ferry_pace pace = {0};
    const struct ferry_rate rate = {1, 1000};
    assert_int_equal(ferry_pace_reserve(&pace, rate, 5000), 5000);
    assert_int_equal(ferry_pace_reserve(&pace, rate, 5000), 6000);
    assert_int_equal(ferry_pace_reserve(&pace, rate, 5100), 7000);
    assert_int_equal(ferry_pace_reserve(&pace, rate, 9000), 9000);
}

static void a_bucket_of_ten_gives_ten_at_once(void **state)
{
    (void)state;
    struct ferry_pace pace = {0};
    const struct ferry_rate rate = {10, 60000};
    for (int i = 0; i < 10; i++)
        assert_int_equal(ferry_pace_reserve(&pace, rate, 100000), 100000);
    assert_int_equal(ferry_pace_reserve(&pace, rate, 100000), 106000);
    assert_int_equal(ferry_pace_reserve(&pace, rate, 100000), 112000);
}

static void a_destination_that_asked_for_peace_gets_it(void **state)
{
    (void)state;
    struct ferry_pace pace = {0};
    ferry_pace_block(&pace, 50000);
    ferry_pace_block(&pace, 40000);
    assert_int_equal(ferry_pace_reserve(&pace, (struct ferry_rate){1, 1000}, 1000), 50000);
    assert_int_equal(ferry_pace_reserve(&pace, (struct ferry_rate){1, 1000}, 1000), 51000);
    assert_int_equal(ferry_pace_reserve(&pace, (struct ferry_rate){0, 0}, 1000), 50000);
}

/* ---- timers ---- */

static void timers_come_in_the_order_of_their_moments(void **state)
{
    (void)state;
    enum { TIMERS = 1000 };
    struct ferry_timers timers = {0};
    struct ferry_timer items[TIMERS] = {{0}};
    srand(3);
    for (size_t i = 0; i < TIMERS; i++)
        assert_int_equal(ferry_timers_set(&timers, &items[i], rand() % 500), FERRY_OK);
    for (size_t i = 0; i < TIMERS; i += 3)
        ferry_timers_cancel(&timers, &items[i]);
    ferry_timers_cancel(&timers, &items[0]); /* not set: nothing happens */
    size_t count = 0;
    int64_t before = -1;
    for (struct ferry_timer *first; (first = ferry_timers_first(&timers)) != NULL; count++) {
        assert_true(first->due_ms >= before);
        assert_int_not_equal((first - items) % 3, 0);
        before = first->due_ms;
        ferry_timers_cancel(&timers, first);
    }
    assert_int_equal(count, TIMERS - (TIMERS + 2) / 3);
    ferry_timers_done(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_doubles_the_wait_up_to_the_most),
        cmocka_unit_test(the_thousandth_failure_does_not_overflow),
        cmocka_unit_test(what_the_peer_asks_for_is_obeyed_up_to_an_hour),
        cmocka_unit_test(done_and_skipped_are_settled),
        cmocka_unit_test(dead_and_doubtful_are_buried_as_what_they_are),
        cmocka_unit_test(a_temporary_failure_comes_again_until_retry_for_is_over),
        cmocka_unit_test(a_follow_up_is_followed_whatever_its_outcome_says),
        cmocka_unit_test(the_status_alone_says_done_again_or_never),
        cmocka_unit_test(what_was_not_sent_comes_again_and_what_was_not_answered_is_in_doubt),
        cmocka_unit_test(one_a_second_makes_a_queue),
        cmocka_unit_test(a_bucket_of_ten_gives_ten_at_once),
        cmocka_unit_test(a_destination_that_asked_for_peace_gets_it),
        cmocka_unit_test(timers_come_in_the_order_of_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
