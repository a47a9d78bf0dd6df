/* The Audits API's links, pages and records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/qlik/audits.h"
#include "site.h"

#define RECORD                                                                                                        \
    "{\"id\":\"r-1\",\"eventId\":\"e-1\",\"eventType\":\"com.qlik.app.created\",\"eventTypeVersion\":\"1.0.0\","      \
    "\"eventTime\":\"2026-11-22T10:00:00Z\",\"source\":\"com.qlik/app\",\"tenantId\":\"t-1\",\"userId\":\"u-1\","     \
    "\"contentType\":\"application/json\",\"extensions\":{\"topLevelResourceId\":\"a-1\"},\"data\":{\"id\":\"a-1\"}," \
    "\"links\":{\"self\":{\"href\":\"https://acme.eu.qlikcloud.com/api/v1/audits/r-1\"}}}"

static char key_text[] = "api-key-of-the-test";
static const struct ferry_auth key = {.kind = FERRY_AUTH_API_KEY, .api_key = {key_text, sizeof key_text - 1}};

static struct server *server;
static struct ferry_tenant *tenant;

static void answer_with(struct page *pages)
{
    site_pages = pages;
    server = server_start(site_answer);
    char url[SITE_URL];
    site_url(server, "", url);
    assert_int_equal(ferry_tenant_open(url, &key, NULL, &tenant, NULL), FERRY_OK);
}

static int stop(void **state)
{
    (void)state;
    ferry_tenant_close(tenant);
    if (server != NULL)
        server_stop(server);
    tenant = NULL;
    server = NULL;
    return 0;
}

static void links_name_instants_with_milliseconds_and_days(void **state)
{
    (void)state;
    struct ferry_buffer link;
    ferry_buffer_init(&link, 1024);
    ferry_audits_link(INT64_C(1795374685123), INT64_C(1795374745123), &link);
    assert_string_equal(link.ptr, "/api/v1/audits?eventTime=2026-11-22T19:11:25.123Z/2026-11-22T19:12:25.123Z"
                                  "&limit=100&sort=eventTime");
    ferry_buffer_clear(&link);
    ferry_audits_archive_link(INT64_C(1795374685123), &link);
    assert_string_equal(link.ptr, "/api/v1/audits/archive?date=2026-11-22");
    ferry_buffer_done(&link);
}

static void a_page_has_records_and_a_link_to_the_next(void **state)
{
    (void)state;
    struct page pages[] = {
        {"GET /one", OK("{\"data\":[" RECORD "," RECORD "],\"links\":{\"next\":{\"href\":\"\\/two\"}}}"), 0},
        {"GET /two", OK("{\"links\":{\"next\":null,\"self\":{\"href\":\"x\"}},\"data\":[]}"), 0},
        {NULL, NULL, 0}};
    answer_with(pages);
    struct ferry_audits_page page = {0};
    assert_int_equal(ferry_audits_fetch(tenant, "/one", &page, NULL), FERRY_OK);
    assert_int_equal(page.records.count, 2);
    assert_string_equal(page.next.ptr, "/two");
    assert_int_equal(ferry_audits_fetch(tenant, page.next.ptr, &page, NULL), FERRY_OK);
    assert_int_equal(page.records.count, 0);
    assert_null(page.next.ptr);
    ferry_audits_page_done(&page);
}

static void a_record_becomes_the_event_of_the_webhook(void **state)
{
    (void)state;
    struct ferry_arena arena = {0};
    struct ferry_event event;
    struct ferry_json record = {FERRY_JSON_OBJECT, FERRY_SLICE(RECORD)};
    assert_int_equal(ferry_audits_event(record, 0, &arena, &event, NULL), FERRY_OK);
    assert_true(ferry_slice_is(event.id, "e-1"));
    assert_true(ferry_slice_is(event.source, "com.qlik/app"));
    assert_true(ferry_slice_is(event.canonical, "app.created"));
    assert_true(ferry_slice_is(ferry_event_extension(&event, "tenantid"), "t-1"));
    assert_true(ferry_slice_is(ferry_event_extension(&event, "toplevelresourceid"), "a-1"));
    assert_null(ferry_event_extension(&event, "links").ptr);
    assert_true(ferry_slice_is(event.data, "{\"id\":\"a-1\"}"));
    assert_int_equal(event.format, FERRY_FORMAT_AUDIT);
    ferry_arena_done(&arena);
}

static void what_is_not_the_audits_api_is_refused(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /html", OK("<html>log in</html>"), 0},
                           {"GET /list", OK("[]"), 0},
                           {"GET /none", OK("{\"links\":{}}"), 0},
                           {"GET /odd", OK("{\"data\":{}}"), 0},
                           {"GET /link", OK("{\"data\":[],\"links\":{\"next\":{\"href\":7}}}"), 0},
                           {"GET /empty", OK(""), 0},
                           {NULL, NULL, 0}};
    answer_with(pages);
    static const char *const links[] = {"/html", "/list", "/none", "/odd", "/link", "/empty"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct ferry_audits_page page = {0};
        struct ferry_error error = {0};
        assert_int_equal(ferry_audits_fetch(tenant, links[i], &page, &error), FERRY_JSON_INVALID);
        assert_int_equal(page.records.count, 0);
        assert_int_equal(page.answer.status, 200);
        assert_null(strstr(error.text, "log in"));
        ferry_audits_page_done(&page);
    }
}

static void a_page_that_leads_to_itself_is_refused(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /round", OK("{\"data\":[" RECORD "],\"links\":{\"next\":{\"href\":\"/round\"}}}"), 0},
                           {NULL, NULL, 0}};
    answer_with(pages);
    struct ferry_audits_page page = {0};
    struct ferry_error error = {0};
    assert_int_equal(ferry_audits_fetch(tenant, "/round", &page, &error), FERRY_JSON_INVALID);
    assert_non_null(strstr(error.text, "itself"));
    assert_null(page.next.ptr);
    assert_int_equal(page.records.count, 0);
    ferry_audits_page_done(&page);
}

static void each_status_says_what_is_to_be_done(void **state)
{
    (void)state;
    static const struct {
        const char *link;
        const char *answer;
        enum ferry_code code;
        const char *text;
    } cases[] = {
        {"/401", "HTTP/1.1 401 x\r\nConnection: close\r\n\r\n", FERRY_HTTP_REFUSED, "make a new one"},
        {"/403", "HTTP/1.1 403 x\r\nConnection: close\r\n\r\n", FERRY_HTTP_REFUSED, "may not read audits"},
        {"/404?a=b", "HTTP/1.1 404 x\r\nConnection: close\r\n\r\n", FERRY_HTTP_REFUSED, "404 to /404"},
        {"/302", "HTTP/1.1 302 x\r\nLocation: /401\r\nConnection: close\r\n\r\n", FERRY_HTTP_REFUSED, "302"},
        {"/500", "HTTP/1.1 500 x\r\nConnection: close\r\n\r\n", FERRY_HTTP_BUSY, "500"},
        {"/429", "HTTP/1.1 429 x\r\nRetry-After: 7\r\nConnection: close\r\n\r\n", FERRY_HTTP_BUSY, "7 s"},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    char paths[CASES][32];
    struct page pages[CASES + 1] = {0};
    for (size_t i = 0; i < CASES; i++) {
        snprintf(paths[i], sizeof paths[i], "GET %s", cases[i].link);
        pages[i] = (struct page){paths[i], cases[i].answer, 0};
    }
    answer_with(pages);
    for (size_t i = 0; i < CASES; i++) {
        struct ferry_audits_page page = {0};
        struct ferry_error error = {0};
        assert_int_equal(ferry_audits_fetch(tenant, cases[i].link, &page, &error), cases[i].code);
        assert_non_null(strstr(error.text, cases[i].text));
        ferry_audits_page_done(&page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_name_instants_with_milliseconds_and_days),
        cmocka_unit_test_teardown(a_page_has_records_and_a_link_to_the_next, stop),
        cmocka_unit_test(a_record_becomes_the_event_of_the_webhook),
        cmocka_unit_test_teardown(what_is_not_the_audits_api_is_refused, stop),
        cmocka_unit_test_teardown(a_page_that_leads_to_itself_is_refused, stop),
        cmocka_unit_test_teardown(each_status_says_what_is_to_be_done, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
