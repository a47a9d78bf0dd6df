/* Which webhooks are ours. What is done with them is tested against a tenant (tests/integration). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/qlik/webhooks.h"

static void a_webhook_under_the_public_url_is_ours_and_no_lookalike(void **state)
{
    static const struct {
        const char *url, *public_url;
        bool ours;
    } cases[] = {
        {"https://ferry.example.com/webhooks/qlik", "https://ferry.example.com", true},
        {"https://ferry.example.com/webhooks/qlik", "https://ferry.example.com/", true},
        {"https://ferry.example.com", "https://ferry.example.com/", true},
        {"https://ferry.example.com/in/webhooks/qlik", "https://ferry.example.com/in", true},
        {"https://ferry.example.com/inner/webhooks/qlik", "https://ferry.example.com/in", false},
        {"https://ferry.example.com.evil.example/", "https://ferry.example.com", false},
        {"https://ferry.example.com:8443/webhooks/qlik", "https://ferry.example.com", false},
        {"http://ferry.example.com/webhooks/qlik", "https://ferry.example.com", false},
        {"", "https://ferry.example.com", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ferry_qlik_webhook_is_under(cases[i].url, cases[i].public_url) != cases[i].ours)
            fail_msg("%s under %s", cases[i].url, cases[i].public_url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_under_the_public_url_is_ours_and_no_lookalike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
