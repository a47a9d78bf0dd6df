/* Memory of large bodies, used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/body_pool.h"

enum { MAX = 900 << 10, LARGE = 64 << 10 };

static void fill(struct ferry_buffer *body, size_t bytes)
{
    static char piece[1000];
    memset(piece, 'b', sizeof piece);
    for (size_t more; body->len < bytes; ferry_buffer_add(body, ferry_slice_of(piece, more)))
        more = bytes - body->len < sizeof piece ? bytes - body->len : sizeof piece;
    assert_false(body->failed);
    assert_int_equal(body->len, bytes);
}

static char *use_once(struct ferry_body_pool *pool, size_t bytes, size_t max)
{
    struct ferry_buffer body;
    ferry_buffer_init(&body, max);
    ferry_body_pool_take(pool, &body, bytes);
    assert_int_equal(body.len, 0);
    fill(&body, bytes);
    char *memory = body.ptr;
    ferry_body_pool_give(pool, &body);
    assert_null(body.ptr);
    return memory;
}

static void a_large_body_gets_the_memory_of_the_one_before(void **state)
{
    (void)state;
    struct ferry_body_pool pool;
    ferry_body_pool_init(&pool);
    char *first = use_once(&pool, LARGE, MAX);
    assert_int_equal(pool.count, 1);
    assert_ptr_equal(use_once(&pool, FERRY_BODY_PIECE - 1, MAX), first);
    assert_ptr_equal(use_once(&pool, FERRY_BODY_SMALL + 1, MAX), first);
    assert_int_equal(pool.count, 1);
    ferry_body_pool_done(&pool);
}

static void small_and_huge_bodies_are_the_heaps(void **state)
{
    (void)state;
    struct ferry_body_pool pool;
    ferry_body_pool_init(&pool);
    (void)use_once(&pool, 900, MAX);
    (void)use_once(&pool, FERRY_BODY_SMALL, MAX);
    (void)use_once(&pool, FERRY_BODY_PIECE, MAX);
    (void)use_once(&pool, MAX, MAX);
    (void)use_once(&pool, LARGE, LARGE); /* a limit below a piece */
    assert_int_equal(pool.count, 0);
    ferry_body_pool_done(&pool);
}

static void a_body_may_outgrow_what_was_declared(void **state)
{
    (void)state;
    struct ferry_body_pool pool;
    struct ferry_buffer body;
    ferry_body_pool_init(&pool);
    ferry_buffer_init(&body, MAX);
    ferry_body_pool_take(&pool, &body, LARGE);
    fill(&body, 5 * FERRY_BODY_PIECE);
    ferry_body_pool_give(&pool, &body);
    assert_int_equal(pool.count, 0);
    ferry_body_pool_done(&pool);
}

static void no_more_is_kept_than_allowed(void **state)
{
    enum { BODIES = FERRY_BODY_KEPT + 3 };
    (void)state;
    struct ferry_body_pool pool;
    struct ferry_buffer bodies[BODIES];
    ferry_body_pool_init(&pool);
    for (int i = 0; i < BODIES; i++) {
        ferry_buffer_init(&bodies[i], MAX);
        ferry_body_pool_take(&pool, &bodies[i], LARGE);
        fill(&bodies[i], LARGE);
    }
    for (int i = 0; i < BODIES; i++)
        ferry_body_pool_give(&pool, &bodies[i]);
    assert_int_equal(pool.count, FERRY_BODY_KEPT);
    ferry_body_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_body_gets_the_memory_of_the_one_before),
        cmocka_unit_test(small_and_huge_bodies_are_the_heaps),
        cmocka_unit_test(a_body_may_outgrow_what_was_declared),
        cmocka_unit_test(no_more_is_kept_than_allowed),
    };
    return cmocka_run_group_tests_name("body_pool", tests, NULL, NULL);
}
