#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base64.h"

/* RFC 4648, section 10, and bytes that use the last letters of the alphabet. */
static const struct {
    const char *plain;
    const char *encoded;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"},
               {"\xfb\xef\xff", "++//"}};

static void the_vectors_of_rfc_4648_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct ferry_slice plain = ferry_slice_from(vectors[i].plain);
        struct ferry_buffer out;
        ferry_buffer_init(&out, 100);
        ferry_base64_encode(plain, &out);
        assert_true(ferry_slice_is(ferry_buffer_slice(&out), vectors[i].encoded));
        ferry_buffer_done(&out);
        char bytes[16];
        size_t len = 99;
        assert_true(ferry_base64_decode(ferry_slice_from(vectors[i].encoded), bytes, plain.len, &len));
        assert_true(ferry_slice_equal(ferry_slice_of(bytes, len), plain));
    }
}

static void padding_may_be_missing(void **state)
{
    (void)state;
    char bytes[4];
    size_t len = 0;
    assert_true(ferry_base64_decode(FERRY_SLICE("Zm8"), bytes, sizeof bytes, &len));
    assert_true(ferry_slice_is(ferry_slice_of(bytes, len), "fo"));
}

static void what_is_no_base64_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "=", "Z", "Zg=", "Z===", "Zg==Zg==", "Zm9v\n", "Zm 9v", "Zm-_", "Zm9vY", "===="};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char bytes[16];
        size_t len = 99;
        if (ferry_base64_decode(ferry_slice_from(wrong[i]), bytes, sizeof bytes, &len))
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(len, 99);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char bytes[4];
    size_t len = 0;
    assert_false(ferry_base64_decode(FERRY_SLICE("Zm9v"), bytes, 2, &len));
}

/* The same digits, but for the last two of the alphabet, and no padding. */
static void in_urls_it_has_no_letters_that_mean_something_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct ferry_slice plain = ferry_slice_from(vectors[i].plain);
        char expected[16] = "", text[FERRY_BASE64URL_LEN(6) + 1];
        size_t len = strcspn(vectors[i].encoded, "=");
        for (size_t k = 0; k < len; k++) {
            char c = vectors[i].encoded[k];
            expected[k] = c == '+' ? '-' : c == '/' ? '_' : c;
        }
        ferry_base64url_encode(plain, text);
        assert_string_equal(text, expected);
        assert_int_equal(strlen(text), FERRY_BASE64URL_LEN(plain.len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_go_both_ways),
        cmocka_unit_test(padding_may_be_missing),
        cmocka_unit_test(what_is_no_base64_is_refused),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(in_urls_it_has_no_letters_that_mean_something_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
