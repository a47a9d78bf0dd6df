#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "bridge/triggers/page.h"
#include "core/base64.h"

static struct ferry_response answer;
static struct ferry_arena arena;

static int make(void **state)
{
    (void)state;
    ferry_response_init(&answer);
    ferry_arena_init(&arena);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    ferry_response_done(&answer);
    ferry_arena_done(&arena);
    return 0;
}

static const char *field(const char *name)
{
    for (size_t i = 0; i < answer.field_count; i++)
        if (strcmp(answer.fields[i].name, name) == 0)
            return answer.fields[i].value;
    fail_msg("no field %s", name);
    return "";
}

/* What the browser will compute of the bytes between two tags. */
static void assert_allowed(const char *from, const char *to)
{
    const char *begin = strstr(answer.body.ptr, from), *end = begin != NULL ? strstr(begin, to) : NULL;
    assert_non_null(end);
    begin += strlen(from);
    unsigned char digest[32];
    assert_int_equal(EVP_Digest(begin, (size_t)(end - begin), digest, NULL, EVP_sha256(), NULL), 1);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 100);
    ferry_base64_encode(ferry_slice_of((const char *)digest, sizeof digest), &text);
    assert_non_null(strstr(field("Content-Security-Policy"), text.ptr));
}

static void the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else(void **state)
{
    (void)state;
    const char *script = "document.title=\"x\"";
    ferry_page_begin(&answer.body, FERRY_SLICE("t"), NULL);
    ferry_page_end(&answer.body, script);
    assert_true(ferry_page_add_fields(&answer, &arena, script));
    assert_allowed("<style>", "</style>");
    assert_allowed("<script>", "</script>");
    const char *policy = field("Content-Security-Policy");
    assert_non_null(strstr(policy, "default-src 'none'"));
    assert_non_null(strstr(policy, "frame-ancestors 'none'"));
    assert_non_null(strstr(policy, "base-uri 'none'"));
    assert_non_null(strstr(policy, "form-action 'self'"));
    assert_null(strstr(policy, "unsafe"));
    assert_string_equal(field("X-Frame-Options"), "DENY");
}

static void a_page_without_a_script_allows_none(void **state)
{
    (void)state;
    ferry_page_begin(&answer.body, FERRY_SLICE("t"), NULL);
    ferry_page_end(&answer.body, NULL);
    assert_true(ferry_page_add_fields(&answer, &arena, NULL));
    assert_null(strstr(answer.body.ptr, "<script"));
    assert_null(strstr(field("Content-Security-Policy"), "script-src"));
    assert_null(strstr(field("Content-Security-Policy"), "connect-src"));
}

static void a_title_is_escaped_and_the_head_is_taken_as_it_is(void **state)
{
    (void)state;
    ferry_page_begin(&answer.body, FERRY_SLICE("</title><script>"), "<meta http-equiv=\"refresh\" content=\"2\">");
    assert_non_null(strstr(answer.body.ptr, "<title>&lt;/title&gt;&lt;script&gt;</title>"));
    assert_non_null(strstr(answer.body.ptr, "<meta http-equiv=\"refresh\" content=\"2\">"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else, make,
                                        drop),
        cmocka_unit_test_setup_teardown(a_page_without_a_script_allows_none, make, drop),
        cmocka_unit_test_setup_teardown(a_title_is_escaped_and_the_head_is_taken_as_it_is, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
