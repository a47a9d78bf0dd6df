#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/secret.h"

static void a_secret_is_a_copy_that_ends_in_nul(void **state)
{
    (void)state;
    char original[] = "topsecret";
    struct ferry_secret secret = ferry_secret_copy(ferry_slice_of(original, 3));
    original[0] = 'x';
    assert_string_equal(secret.ptr, "top");
    assert_int_equal(secret.len, 3);
    assert_true(ferry_slice_is(ferry_secret_slice(secret), "top"));
    ferry_secret_done(&secret);
}

static void a_secret_may_hold_any_byte(void **state)
{
    (void)state;
    struct ferry_secret secret = ferry_secret_copy(ferry_slice_of("a\0b", 3));
    assert_int_equal(secret.len, 3);
    assert_memory_equal(secret.ptr, "a\0b", 4);
    ferry_secret_done(&secret);
}

static void a_secret_that_is_done_is_no_secret(void **state)
{
    (void)state;
    struct ferry_secret secret = ferry_secret_copy(FERRY_SLICE("topsecret"));
    ferry_secret_done(&secret);
    assert_null(secret.ptr);
    assert_int_equal(secret.len, 0);
    ferry_secret_done(&secret); /* again: nothing happens */
}

static void nothing_is_a_secret_without_bytes(void **state)
{
    (void)state;
    struct ferry_secret secret = ferry_secret_copy((struct ferry_slice){NULL, 0});
    assert_string_equal(secret.ptr, "");
    ferry_secret_done(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy_that_ends_in_nul),
        cmocka_unit_test(a_secret_may_hold_any_byte),
        cmocka_unit_test(a_secret_that_is_done_is_no_secret),
        cmocka_unit_test(nothing_is_a_secret_without_bytes),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
