#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What the kernel says of the mapping that an address lies in: is `flag` set? */
static bool mapping_has(const void *address, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false, found = false;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        char *from_end, *to_end;
        uintptr_t from = strtoul(line, &from_end, 16);
        uintptr_t to = *from_end == '-' ? strtoul(from_end + 1, &to_end, 16) : 0;
        if (to != 0 && *to_end == ' ')
            inside = from <= (uintptr_t)address && (uintptr_t)address < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found |= strstr(line, flag) != NULL;
    }
    fclose(maps);
    return found;
}

static void a_guarded_secret_is_left_out_of_core_dumps(void **state)
{
    (void)state;
    ferry_secret_guard();
    struct ferry_secret small = ferry_secret_copy(FERRY_SLICE("topsecret"));
    assert_true(mapping_has(small.ptr, " dd")); /* "do not dump" */
    ferry_secret_done(&small);
}

static void a_text_too_large_for_the_guarded_pages_is_kept_elsewhere(void **state)
{
    (void)state;
    static char large[8 << 20];
    ferry_secret_guard();
    struct ferry_secret secret = ferry_secret_copy(ferry_slice_of(large, sizeof large));
    assert_non_null(secret.ptr);
    ferry_secret_done(&secret);
}

/* A thread's own random numbers begin with a seed in the same pages. */
static void *take_random(void *taken)
{
    unsigned char bytes[16];
    *(bool *)taken = RAND_priv_bytes(bytes, sizeof bytes) == 1;
    return NULL;
}

static void many_secrets_leave_room_for_what_openssl_itself_keeps_there(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static struct ferry_secret secrets[MANY];
    static const char text[4000];
    bool taken = false;
    pthread_t thread;
    ferry_secret_guard();
    for (size_t i = 0; i < MANY; i++) {
        secrets[i] = ferry_secret_copy(ferry_slice_of(text, sizeof text));
        assert_non_null(secrets[i].ptr);
    }
    assert_int_equal(pthread_create(&thread, NULL, take_random, &taken), 0);
    pthread_join(thread, NULL);
    assert_true(taken);
    for (size_t i = 0; i < MANY; i++)
        ferry_secret_done(&secrets[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_a_copy_that_ends_in_nul),
        cmocka_unit_test(a_secret_may_hold_any_byte),
        cmocka_unit_test(a_secret_that_is_done_is_no_secret),
        cmocka_unit_test(nothing_is_a_secret_without_bytes),
        cmocka_unit_test(a_guarded_secret_is_left_out_of_core_dumps),
        cmocka_unit_test(a_text_too_large_for_the_guarded_pages_is_kept_elsewhere),
        cmocka_unit_test(many_secrets_leave_room_for_what_openssl_itself_keeps_there),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
