/* What the console does not show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/console/conceal.h"

static void assert_shown(const char *text, const char *expected)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 4096);
    ferry_console_conceal(ferry_slice_from(text), &out);
    assert_false(out.failed);
    assert_string_equal(out.ptr != NULL ? out.ptr : "", expected);
}

static void values_of_telling_names_are_hidden_in_json(void **state)
{
    (void)state;
    assert_shown("{\"token\":\"abc\",\"name\":\"Sales\"}", "{\"token\":\"***\",\"name\":\"Sales\"}");
    assert_shown("{\"API_Key\" : \"a\\\"b\" , \"n\":1}", "{\"API_Key\" : \"***\" , \"n\":1}");
    assert_shown("{\"webhookSecret\":42}", "{\"webhookSecret\":***}");
    assert_shown("{\"password\":null,\"hasToken\":true}", "{\"password\":null,\"hasToken\":true}");
    assert_shown("{\"secrets\":[\"a\",\"]\"],\"n\":1}", "{\"secrets\":***,\"n\":1}");
    assert_shown("{\"credentials\":{\"user\":\"u\",\"pw\":\"}\"},\"n\":1}", "{\"credentials\":***,\"n\":1}");
}

static void json_inside_json_is_looked_through(void **state)
{
    (void)state;
    assert_shown("{\"body\":\"{\\\"token\\\":\\\"abc\\\",\\\"n\\\":1}\"}",
                 "{\"body\":\"{\\\"token\\\":\\\"***\\\",\\\"n\\\":1}\"}");
}

static void they_are_hidden_in_forms_headers_and_words(void **state)
{
    (void)state;
    assert_shown("https://x.example/?token=abc&page=2", "https://x.example/?token=***&page=2");
    assert_shown("password: hunter2, then", "password: ***, then");
    assert_shown("Authorization: Bearer abc def\nHost: x", "Authorization: ***\nHost: x");
    assert_shown("Set-Cookie: a=b; c=d", "Set-Cookie: ***");
    assert_shown("the token was refused", "the token was refused");
    assert_shown("token", "token");
    assert_shown("token:", "token:");
}

static void tokens_are_known_by_their_shape(void **state)
{
    (void)state;
    assert_shown("sent eyJhbGciOi.eyJzdWIi.c2ln to", "sent *** to");
    assert_shown("xoxb-123456789012-abc", "***");
    assert_shown("with Bearer abcdef123 in it", "with Bearer *** in it");
    assert_shown("https://hooks.slack.com/services/T0/B0/XyZ said no", "https://hooks.slack.com/services*** said no");
    assert_shown("ghp_short", "ghp_short");
    assert_shown("at https://f.example/triggers/nightly.1/ann.curl.MAC_- now",
                 "at https://f.example/triggers/nightly.1/*** now");
    assert_shown("/triggers/nightly/runs/0af/Zk-1?x", "/triggers/nightly/***?x");
    assert_shown("https://f.example/triggers/nightly", "https://f.example/triggers/nightly");
    assert_shown("all triggers/of it", "all triggers/of it");
    assert_shown("X-Ferry-Key: abc", "X-Ferry-Key: ***");
    assert_shown("a basic truth", "a basic truth");
}

static void ids_numbers_and_addresses_domains_stay(void **state)
{
    (void)state;
    const char *plain = "{\"id\":\"6f7a0c1e-2b3d-4c5e-8f90-a1b2c3d4e5f6\",\"n\":12345678901234567891}";
    assert_shown(plain, plain);
    assert_shown("to ada.lovelace@example.com", "to a***@example.com");
    assert_shown("to ada%40example.com&n=1", "to a***%40example.com&n=1");
    assert_shown("{\"user\":\"ada\\u0040example.com\"}", "{\"user\":\"a***\\u0040example.com\"}");
    assert_shown("", "");
}

/* Whatever is cut off in the middle: nothing is read behind the end (the sanitizer looks). */
static void texts_that_break_off_are_hidden_too(void **state)
{
    (void)state;
    assert_shown("{\"token\":\"abc", "{\"token\":\"***");
    assert_shown("{\"token\":\"abc\\", "{\"token\":\"***");
    assert_shown("{\"secrets\":[\"a\",{", "{\"secrets\":***");
    assert_shown("{\"token\\", "{\"token\\");
    assert_shown("password=", "password=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_telling_names_are_hidden_in_json),
        cmocka_unit_test(json_inside_json_is_looked_through),
        cmocka_unit_test(they_are_hidden_in_forms_headers_and_words),
        cmocka_unit_test(tokens_are_known_by_their_shape),
        cmocka_unit_test(ids_numbers_and_addresses_domains_stay),
        cmocka_unit_test(texts_that_break_off_are_hidden_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
