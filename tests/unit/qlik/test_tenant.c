/* A session with a tenant that answers, refuses, hangs or lies as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/qlik/tenant.h"
#include "site.h"

static char key_text[] = "api-key-of-the-test", secret_text[] = "client-secret-of-the-test";
static const struct ferry_auth key = {.kind = FERRY_AUTH_API_KEY, .api_key = {key_text, sizeof key_text - 1}};
static const struct ferry_auth client = {.kind = FERRY_AUTH_OAUTH,
                                         .client_id = "client-of-the-test",
                                         .client_secret = {secret_text, sizeof secret_text - 1}};
static const struct ferry_auth basic = {
    .kind = FERRY_AUTH_BASIC, .user = "anna", .password = {secret_text, sizeof secret_text - 1}};

struct scene {
    struct server *server;
    struct ferry_tenant *tenant;
    struct ferry_tenant_answer answer;
    struct ferry_error error;
    char seen[8192];
};

static struct scene *open_scene(struct page *pages, const struct ferry_auth *auth)
{
    struct scene *scene = calloc(1, sizeof *scene);
    char url[SITE_URL];
    site_pages = pages;
    scene->server = server_start(site_answer);
    site_url(scene->server, "/", url); /* people write the slash, too */
    assert_int_equal(ferry_tenant_open(url, auth, NULL, &scene->tenant, &scene->error), FERRY_OK);
    return scene;
}

static void close_scene(struct scene *scene)
{
    ferry_tenant_answer_done(&scene->answer);
    ferry_tenant_close(scene->tenant);
    server_stop(scene->server);
    free(scene);
}

static enum ferry_code call(struct scene *scene, const char *method, const char *link, const char *body)
{
    const struct ferry_tenant_request request = {.method = method, .link = link, .body = ferry_slice_from(body)};
    scene->error = (struct ferry_error){0};
    return ferry_tenant_call(scene->tenant, &request, &scene->answer, &scene->error);
}

static bool saw(struct scene *scene, const char *text)
{
    return strstr(site_seen(scene->server, scene->seen), text) != NULL;
}

static int requests(const struct scene *scene)
{
    return atomic_load(&scene->server->requests);
}

static void an_api_key_goes_along_and_the_answer_comes_with_its_date(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /api/v1/users", OK("{\"data\":[]}"), 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    assert_int_equal(call(scene, "GET", "/api/v1/users", NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 200);
    assert_string_equal(scene->answer.body.ptr, "{\"data\":[]}");
    assert_int_equal(scene->answer.date_ms, INT64_C(1795374685000));
    assert_true(saw(scene, "GET /api/v1/users HTTP/1.1\r\n"));
    assert_true(saw(scene, "Authorization: Bearer api-key-of-the-test\r\n"));
    close_scene(scene);
}

static void basic_credentials_go_along(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /", OK("{}"), 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &basic);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_true(saw(scene, "Authorization: Basic YW5uYTpjbGllbnQtc2VjcmV0LW9mLXRoZS10ZXN0\r\n"));
    close_scene(scene);
}

static void one_token_is_enough_for_all_calls(void **state)
{
    (void)state;
    struct page pages[] = {{"POST /oauth/token", TOKEN("first"), 0}, {"GET /api", OK("{}"), 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &client);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_true(saw(scene, "Authorization: Bearer first\r\n"));
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_int_equal(requests(scene), 3);
    close_scene(scene);
}

static void a_token_that_is_refused_is_replaced_and_the_call_repeated(void **state)
{
    (void)state;
    static const char refused[] = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n";
    struct page pages[] = {{"POST /oauth/token", TOKEN("ended"), 1},
                           {"POST /oauth/token", TOKEN("fresh"), 0},
                           {"GET /api", refused, 1},
                           {"GET /api", OK("{}"), 0},
                           {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &client);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 200);
    assert_true(saw(scene, "Authorization: Bearer fresh\r\n"));
    assert_int_equal(requests(scene), 4);
    close_scene(scene);
}

static void a_client_that_is_refused_is_told_without_its_secret(void **state)
{
    (void)state;
    struct page pages[] = {
        {"POST /oauth/token", "HTTP/1.1 401 No\r\nConnection: close\r\n\r\nclient-secret-of-the-test", 0},
        {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &client);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_HTTP_REFUSED);
    assert_non_null(strstr(scene->error.text, "/oauth/token answered 401"));
    assert_null(strstr(scene->error.text, secret_text));
    assert_int_equal(scene->answer.status, 0);
    close_scene(scene);
}

static void a_login_that_is_put_off_is_the_answer_to_the_call(void **state)
{
    (void)state;
    struct page pages[] = {{"POST /oauth/token", "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &client);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 503);
    close_scene(scene);
}

static void a_429_is_remembered_for_everybody_who_asks_this_tenant(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /api", "HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nConnection: close\r\n\r\n", 1},
                           {"GET /api", OK("{}"), 0},
                           {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    assert_int_equal(call(scene, "GET", "/api", NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 429);
    assert_int_equal(scene->answer.retry_after_ms, 30000);
    struct ferry_tenant *other;
    char url[SITE_URL];
    site_url(scene->server, "", url);
    assert_int_equal(ferry_tenant_open(url, &basic, NULL, &other, NULL), FERRY_OK);
    const struct ferry_tenant_request request = {.method = "GET", .link = "/api"};
    assert_int_equal(ferry_tenant_call(other, &request, &scene->answer, NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 429);
    assert_in_range(scene->answer.retry_after_ms, 1, 30000);
    assert_int_equal(requests(scene), 1);
    ferry_tenant_close(other);
    close_scene(scene);
}

static void a_link_that_leads_away_sends_nothing(void **state)
{
    (void)state;
    struct page pages[] = {{NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    static const char *const links[] = {"https://example.com/api/v1/audits?next=x", "http://127.0.0.1:1/api", "api", "",
                                        "http://acme@127.0.0.1/api"};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        assert_int_equal(call(scene, "GET", links[i], NULL), FERRY_CONFIG);
    assert_int_equal(requests(scene), 0);
    close_scene(scene);
}

static void a_whole_url_of_the_tenant_is_followed_as_given(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /api/v1/audits?next=a%2Fb..", OK("{}"), 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    char link[SITE_URL];
    site_url(scene->server, "/api/v1/audits?next=a%2Fb..", link);
    assert_int_equal(call(scene, "GET", link, NULL), FERRY_OK);
    assert_int_equal(scene->answer.status, 200);
    close_scene(scene);
}

static void half_an_answer_is_none(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /half", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\"", 0},
                           {"GET /none", NULL, 0},
                           {"POST /none", NULL, 0},
                           {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    assert_int_equal(call(scene, "GET", "/half", NULL), FERRY_NETWORK);
    assert_int_equal(scene->answer.status, 0);
    assert_null(scene->answer.body.ptr);
    assert_int_equal(call(scene, "GET", "/none", NULL), FERRY_NETWORK);
    assert_int_equal(call(scene, "POST", "/none", "{}"), FERRY_OUTCOME_UNKNOWN);
    close_scene(scene);
}

static void an_answer_may_be_as_long_as_the_caller_says(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    static char answer[LONG + 200];
    int head =
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", LONG);
    memset(answer + head, 'x', LONG);
    struct page pages[] = {{"GET /", answer, 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    struct ferry_tenant_request request = {.method = "GET", .link = "/long", .answer_max = LONG};
    assert_int_equal(ferry_tenant_call(scene->tenant, &request, &scene->answer, &scene->error), FERRY_OK);
    assert_int_equal(scene->answer.body.len, LONG);
    request.answer_max = LONG - 1;
    assert_int_equal(ferry_tenant_call(scene->tenant, &request, &scene->answer, &scene->error), FERRY_TOO_LARGE);
    assert_null(scene->answer.body.ptr);
    close_scene(scene);
}

static void *abort_soon(void *context)
{
    struct scene *scene = context;
    while (requests(scene) == 0)
        usleep(1000);
    ferry_tenant_abort(scene->tenant);
    return NULL;
}

static void a_call_that_hangs_can_be_broken_off(void **state)
{
    (void)state;
    struct page pages[] = {{"GET /", HANG, 0}, {NULL, NULL, 0}};
    struct scene *scene = open_scene(pages, &key);
    pthread_t thread;
    int64_t began_ms = ferry_clock_mono_ms();
    pthread_create(&thread, NULL, abort_soon, scene);
    assert_int_equal(call(scene, "GET", "/", NULL), FERRY_STOPPING);
    assert_true(ferry_clock_mono_ms() - began_ms < 20000); /* the call's own limit is 30 s */
    pthread_join(thread, NULL);
    assert_int_equal(call(scene, "GET", "/", NULL), FERRY_STOPPING);
    assert_int_equal(requests(scene), 1);
    close_scene(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_api_key_goes_along_and_the_answer_comes_with_its_date),
        cmocka_unit_test(basic_credentials_go_along),
        cmocka_unit_test(one_token_is_enough_for_all_calls),
        cmocka_unit_test(a_token_that_is_refused_is_replaced_and_the_call_repeated),
        cmocka_unit_test(a_client_that_is_refused_is_told_without_its_secret),
        cmocka_unit_test(a_login_that_is_put_off_is_the_answer_to_the_call),
        cmocka_unit_test(a_429_is_remembered_for_everybody_who_asks_this_tenant),
        cmocka_unit_test(a_link_that_leads_away_sends_nothing),
        cmocka_unit_test(a_whole_url_of_the_tenant_is_followed_as_given),
        cmocka_unit_test(half_an_answer_is_none),
        cmocka_unit_test(an_answer_may_be_as_long_as_the_caller_says),
        cmocka_unit_test(a_call_that_hangs_can_be_broken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
