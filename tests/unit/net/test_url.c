#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/net/client.h"

static bool allowed(const char *url, bool insecure)
{
    struct ferry_error error;
    return ferry_url_check(url, insecure, &error) == FERRY_OK;
}

static void https_is_allowed_to_anywhere(void **state)
{
    (void)state;
    assert_true(allowed("https://crm.example.com/users/1?a=b", false));
    assert_true(allowed("HTTPS://crm.example.com", false));
    assert_true(allowed("https://[2001:db8::1]:8443/", false));
    assert_true(allowed("https://hooks.example.com/services/T0/B0/x/../y", false));
}

static void http_is_allowed_to_loopback_or_when_it_is_said(void **state)
{
    (void)state;
    static const char *const loopback[] = {"http://127.0.0.1:8080/x", "http://localhost/", "http://LOCALHOST:1/",
                                           "http://[::1]:8080/",      "http://127.9.9.9/", "http://127.1/",
                                           "http://0x7f000001/"};
    static const char *const elsewhere[] = {"http://crm.example.com/",
                                            "http://10.0.0.1/",
                                            "http://localhost.example.com/",
                                            "http://127.0.0.1.example.com/",
                                            "http://[::2]/",
                                            "http://1270.0.0.1/",
                                            "http://0.0.0.0/"};
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        assert_true(allowed(loopback[i], false));
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        assert_false(allowed(elsewhere[i], false));
        assert_true(allowed(elsewhere[i], true));
    }
}

static void other_schemes_users_and_controls_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "crm.example.com/users",
                                      "//crm.example.com/",
                                      "ftp://example.com/",
                                      "file:///etc/passwd",
                                      "smtp://example.com",
                                      "gopher://example.com",
                                      "javascript:alert(1)",
                                      "https://",
                                      "https:///path",
                                      "https:/example.com/",
                                      "https:example.com",
                                      "https://user@example.com/",
                                      "https://user:word@example.com/",
                                      "https://:word@example.com/",
                                      "https://example.com/a b",
                                      "https://example.com/a\r\nHost: evil",
                                      "https://example.com/\t",
                                      " https://example.com/",
                                      "https://exam\x7fple.com/",
                                      "https://example.com:99999/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(allowed(bad[i], true));
}

static void a_message_does_not_repeat_the_secret_part(void **state)
{
    (void)state;
    static const char *const bad[] = {"http://hooks.example.com/services/s3cret", "ftp://example.com/s3cret",
                                      "https://me:s3cret@example.com/", "https://example.com/s3cret x",
                                      "https://example.com:s3cret/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ferry_error error = {.text = ""};
        assert_int_equal(ferry_url_check(bad[i], false, &error), FERRY_CONFIG);
        assert_string_not_equal(error.text, "");
        assert_null(strstr(error.text, "s3cret"));
    }
}

static void links_of_one_origin_are_told_from_those_that_lead_elsewhere(void **state)
{
    (void)state;
    static const char tenant[] = "https://acme.eu.qlikcloud.com";
    static const char *const same[] = {"https://acme.eu.qlikcloud.com/api/v1/audits?next=x",
                                       "https://ACME.eu.qlikcloud.com:443/", "HTTPS://acme.eu.qlikcloud.com"};
    static const char *const other[] = {"http://acme.eu.qlikcloud.com/api",
                                        "https://acme.eu.qlikcloud.com:8443/api",
                                        "https://acme.eu.qlikcloud.com.example.com/api",
                                        "https://acme.eu.qlikcloud.com@example.com/",
                                        "https://user:word@acme.eu.qlikcloud.com/",
                                        "https://example.com/acme.eu.qlikcloud.com",
                                        "https://acme.eu.qlikcloud.com/a b",
                                        "//acme.eu.qlikcloud.com/api",
                                        "/api",
                                        ""};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_true(ferry_url_same_origin(tenant, same[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(ferry_url_same_origin(tenant, other[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(https_is_allowed_to_anywhere),
        cmocka_unit_test(http_is_allowed_to_loopback_or_when_it_is_said),
        cmocka_unit_test(other_schemes_users_and_controls_are_refused),
        cmocka_unit_test(a_message_does_not_repeat_the_secret_part),
        cmocka_unit_test(links_of_one_origin_are_told_from_those_that_lead_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
