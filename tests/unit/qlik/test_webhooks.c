/* Which webhooks are ours, and how much is read of one. What is done with them is tested against a tenant
 * (tests/integration). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/qlik/webhooks.h"
#include "site.h"

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

static void a_week_of_good_deliveries_is_not_read_without_an_end(void **state)
{
    (void)state;
    static const char delivery[] = "{\"id\":\"d\",\"triggeredAt\":\"2026-11-22T11:00:00Z\"}";
    static const char next[] = "/api/v1/webhooks/w/deliveries?status=success&next=again";
    struct ferry_buffer many;
    ferry_buffer_init(&many, 1 << 20);
    ferry_buffer_add_text(&many, OK("{\"data\":["));
    for (int i = 0; i < 4000; i++)
        ferry_buffer_printf(&many, "%s%s", i > 0 ? "," : "", delivery);
    ferry_buffer_printf(&many, "],\"links\":{\"next\":{\"href\":\"%s\"}}}", next);
    assert_false(many.failed);
    struct page pages[] = {{"GET /api/v1/webhooks/w/deliveries?status=fail",
                            OK("{\"data\":[{\"id\":\"f\",\"triggeredAt\":\"2026-11-22T10:00:00Z\"}]}"), 0},
                           {"GET /api/v1/webhooks/w/deliveries?status=success", many.ptr, 0},
                           {NULL, NULL, 0}};
    static char key_text[] = "api-key-of-the-test";
    const struct ferry_auth key = {.kind = FERRY_AUTH_API_KEY, .api_key = {key_text, sizeof key_text - 1}};
    char url[SITE_URL];
    struct ferry_tenant *tenant = NULL;
    site_pages = pages;
    struct server *server = server_start(site_answer);
    site_url(server, "", url);
    assert_int_equal(ferry_tenant_open(url, &key, NULL, &tenant, NULL), FERRY_OK);
    struct ferry_arena arena = {0};
    struct ferry_qlik_failures failures = {0};
    assert_int_equal(ferry_qlik_webhooks_failures(tenant, "w", 1000, &arena, &failures, NULL), FERRY_OK);
    assert_int_equal(failures.count, 1);
    ferry_arena_done(&arena);
    ferry_tenant_close(tenant);
    server_stop(server);
    ferry_buffer_done(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_under_the_public_url_is_ours_and_no_lookalike),
        cmocka_unit_test(a_week_of_good_deliveries_is_not_read_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
