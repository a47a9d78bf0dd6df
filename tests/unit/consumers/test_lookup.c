/* Names: which ids an event has, what is kept of them, and what stands in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"

/* ---- what is kept ---- */

static struct ferry_known_name *add(struct ferry_name_cache *cache, const char *id, int64_t now_ms)
{
    struct ferry_known_name *known = ferry_name_cache_add(cache, FERRY_NAME_USER, ferry_slice_from(id), now_ms);
    assert_non_null(known);
    return known;
}

static struct ferry_known_name *find(struct ferry_name_cache *cache, const char *id, int64_t now_ms)
{
    return ferry_name_cache_find(cache, FERRY_NAME_USER, ferry_slice_from(id), now_ms);
}

static void a_name_is_known_until_its_time_is_over(void **state)
{
    (void)state;
    struct ferry_name_cache cache = {0};
    ferry_name_cache_settle(add(&cache, "u1", 0), strdup("{}"), 1000);
    ferry_name_cache_settle(add(&cache, "u2", 0), NULL, 500);
    assert_int_equal(find(&cache, "u1", 999)->state, FERRY_NAME_KNOWN);
    assert_int_equal(find(&cache, "u2", 499)->state, FERRY_NAME_UNKNOWN);
    assert_null(find(&cache, "u2", 500));
    assert_null(find(&cache, "u1", 1000));
    ferry_name_cache_done(&cache);
}

static void a_user_and_an_app_of_one_id_are_two(void **state)
{
    (void)state;
    struct ferry_name_cache cache = {0};
    add(&cache, "x", 0);
    assert_null(ferry_name_cache_find(&cache, FERRY_NAME_APP, FERRY_SLICE("x"), 0));
    assert_int_not_equal(ferry_name_key(FERRY_NAME_USER, FERRY_SLICE("x")),
                         ferry_name_key(FERRY_NAME_APP, FERRY_SLICE("x")));
    ferry_name_cache_done(&cache);
}

static void the_table_is_bounded_and_keeps_what_is_of_use(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct ferry_name_cache cache = {0};
    char id[32];
    ferry_name_cache_settle(add(&cache, "often", 0), strdup("{}"), INT64_MAX);
    for (int i = 1; i <= MANY; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        ferry_name_cache_settle(add(&cache, id, i), strdup("{}"), INT64_MAX);
        assert_non_null(find(&cache, "often", i));
    }
    size_t kept = 0;
    for (int i = 1; i <= MANY; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        kept += find(&cache, id, MANY) != NULL;
    }
    assert_true(kept > FERRY_NAME_SETS * FERRY_NAME_WAYS / 2 && kept < FERRY_NAME_SETS * FERRY_NAME_WAYS);
    ferry_name_cache_done(&cache);
}

static void what_is_being_asked_for_makes_no_room(void **state)
{
    (void)state;
    struct ferry_name_cache cache = {0};
    size_t refused = 0;
    char id[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        refused += ferry_name_cache_add(&cache, FERRY_NAME_APP, ferry_slice_from(id), i) == NULL;
    }
    assert_int_equal(refused, 20000 - FERRY_NAME_SETS * FERRY_NAME_WAYS);
    ferry_name_cache_done(&cache);
}

static void an_id_that_is_no_part_of_a_url_is_not_asked_for(void **state)
{
    (void)state;
    assert_true(ferry_name_id_valid(FERRY_SLICE("6f7a0c1e-2b3d_X")));
    static const char *const bad[] = {"",
                                      "../users/me",
                                      "a b",
                                      "a%2f",
                                      "auth0|x",
                                      "ä",
                                      "0123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ferry_name_id_valid(ferry_slice_from(bad[i])));
}

/* ---- an event's ids ---- */

static struct ferry_view *view_of(const char *canonical, const char *data, struct ferry_pair *extensions, size_t count)
{
    const struct ferry_event event = {.id = FERRY_SLICE("1"),
                                      .canonical = ferry_slice_from(canonical),
                                      .extensions = extensions,
                                      .extension_count = count,
                                      .data_kind = FERRY_DATA_JSON,
                                      .data = ferry_slice_from(data)};
    struct ferry_view *view = NULL;
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    return view;
}

static const char *member(const struct ferry_naming *naming, enum ferry_name_kind kind)
{
    return naming->members[kind].len > 0 ? naming->members[kind].ptr : "";
}

/* Without a lookup ids stand in, which shows which they are. */
static void expect(const char *canonical, const char *data, const char *space, const char *app)
{
    struct ferry_pair extensions[] = {{FERRY_SLICE("userid"), FERRY_SLICE("u")},
                                      {FERRY_SLICE("toplevelresourceid"), FERRY_SLICE("top")}};
    struct ferry_view *view = view_of(canonical, data, extensions, 2);
    struct ferry_namer namer = {0};
    struct ferry_naming naming;
    ferry_naming_init(&naming);
    assert_int_equal(ferry_namer_name(&namer, NULL, 7, view, &naming, NULL), FERRY_OK);
    assert_string_equal(member(&naming, FERRY_NAME_USER), "{\"id\":\"u\",\"name\":\"u\",\"email\":null}");
    assert_string_equal(member(&naming, FERRY_NAME_SPACE), space);
    assert_string_equal(member(&naming, FERRY_NAME_APP), app);
    assert_false(ferry_naming_is_pending(&naming));
    ferry_naming_done(&naming);
    ferry_namer_done(&namer);
    ferry_view_free(view);
}

static void the_ids_are_found_in_every_family(void **state)
{
    (void)state;
    expect("app.created", "{\"id\":\"a\",\"spaceId\":\"s\"}", "{\"id\":\"s\",\"name\":\"s\"}",
           "{\"id\":\"top\",\"name\":\"top\"}");
    expect("app.created", "{\"attributes\":{\"id\":\"a\",\"spaceId\":\"s\"}}", "{\"id\":\"s\",\"name\":\"s\"}",
           "{\"id\":\"top\",\"name\":\"top\"}");
    expect("app.reload.finished", "{\"status\":\"ok\"}", "", "{\"id\":\"top\",\"name\":\"top\"}");
    expect("reload.finished", "{\"id\":\"r\",\"appId\":\"a\"}", "", "{\"id\":\"a\",\"name\":\"a\"}");
    expect("user.created", "{\"id\":\"x\"}", "", "");
    expect("space.created", "[1,2]", "", "");
    expect("space.created", "{\"spaceId\":{\"odd\":1}}", "", "");
}

static void only_the_kinds_that_are_asked_for_are_named(void **state)
{
    (void)state;
    struct ferry_pair extensions[] = {{FERRY_SLICE("userid"), FERRY_SLICE("u")}};
    struct ferry_view *view = view_of("reload.finished", "{\"appId\":\"a\"}", extensions, 1);
    struct ferry_namer namer = {0};
    struct ferry_naming naming;
    ferry_naming_init(&naming);
    assert_int_equal(ferry_namer_name(&namer, NULL, 1 << FERRY_NAME_APP, view, &naming, NULL), FERRY_OK);
    assert_int_equal(naming.stood_in, 1 << FERRY_NAME_APP);
    assert_string_equal(member(&naming, FERRY_NAME_USER), "");
    ferry_naming_done(&naming);
    ferry_namer_done(&namer);
    ferry_view_free(view);
}

/* What an expression sees of an event with an attribute and names. */
static void a_members_name_does_not_displace_an_attribute(void **state)
{
    (void)state;
    struct ferry_pair extensions[] = {{FERRY_SLICE("userid"), FERRY_SLICE("u")},
                                      {FERRY_SLICE("app"), FERRY_SLICE("an attribute")}};
    struct ferry_view *view = view_of("reload.finished", "{\"appId\":\"a\"}", extensions, 2), *named = NULL;
    struct ferry_namer namer = {0};
    struct ferry_naming naming;
    struct ferry_expression *expression = NULL;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 1000);
    ferry_naming_init(&naming);
    assert_int_equal(ferry_namer_name(&namer, NULL, 7, view, &naming, NULL), FERRY_OK);
    assert_int_equal(ferry_naming_view(&naming, view, &named, NULL), FERRY_OK);
    assert_int_equal(ferry_expression_new("[.user.name, .user.email, .app, .space]", &expression, NULL), FERRY_OK);
    assert_int_equal(ferry_expression_json(expression, named, &out, NULL), FERRY_OK);
    assert_true(ferry_slice_is(ferry_buffer_slice(&out), "[\"u\",null,\"an attribute\",null]"));
    ferry_buffer_clear(&out);
    assert_int_equal(ferry_expression_json(expression, view, &out, NULL), FERRY_OK); /* the view itself is as it was */
    assert_true(ferry_slice_is(ferry_buffer_slice(&out), "[null,null,\"an attribute\",null]"));
    ferry_expression_free(expression);
    ferry_naming_done(&naming);
    ferry_namer_done(&namer);
    ferry_view_free(named);
    ferry_view_free(view);
}

/* ---- the lookup, at an address where nobody listens ---- */

struct heard {
    pthread_mutex_t lock;
    unsigned count;
};

static void hear(void *context, uint64_t key)
{
    struct heard *heard = context;
    (void)key;
    pthread_mutex_lock(&heard->lock);
    heard->count++;
    pthread_mutex_unlock(&heard->lock);
}

static void wait_until_heard(struct heard *heard, unsigned count)
{
    int64_t until_ms = ferry_clock_mono_ms() + 10000;
    for (unsigned now = 0; now < count;) {
        assert_true(ferry_clock_mono_ms() < until_ms);
        pthread_mutex_lock(&heard->lock);
        now = heard->count;
        pthread_mutex_unlock(&heard->lock);
    }
}

static enum ferry_lookup_result ask(struct ferry_lookup *lookup, const char *id)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer json;
    ferry_buffer_init(&json, 1000);
    return ferry_lookup_ask(lookup, FERRY_NAME_USER, ferry_slice_from(id), &json);
}

static void after_three_failures_nothing_is_asked_for_some_time(void **state)
{
    (void)state;
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct ferry_lookup_listener listener = {&heard, hear};
    const struct ferry_lookup_config nowhere = {.tenant = "http://127.0.0.1:1/",
                                                .auth = {.kind = FERRY_AUTH_API_KEY, .api_key = {(char *)"key", 3}}};
    struct ferry_lookup *lookup = ferry_lookup_new(NULL, &listener);
    assert_int_equal(ask(lookup, "u0"), FERRY_LOOKUP_NONE); /* nobody to ask yet */
    assert_int_equal(ferry_lookup_use(lookup, &nowhere, NULL, NULL), FERRY_OK);
    assert_int_equal(ask(lookup, "a/b"), FERRY_LOOKUP_NONE);
    for (unsigned i = 1; i <= FERRY_LOOKUP_FAILURES; i++) {
        char id[16];
        snprintf(id, sizeof id, "u%u", i);
        assert_int_equal(ask(lookup, id), FERRY_LOOKUP_PENDING);
        wait_until_heard(&heard, i);
        assert_int_equal(ask(lookup, id), FERRY_LOOKUP_NONE); /* not asked again at once */
    }
    assert_int_equal(ask(lookup, "u9"), FERRY_LOOKUP_NONE);
    assert_int_equal(ferry_lookup_use(lookup, &nowhere, NULL, NULL), FERRY_OK); /* a reload may have brought the cure */
    assert_int_equal(ask(lookup, "u9"), FERRY_LOOKUP_PENDING);
    ferry_lookup_free(lookup);
}

static void answers_that_are_late_pause_the_lookups_too(void **state)
{
    (void)state;
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const struct ferry_lookup_listener listener = {&heard, hear};
    const struct ferry_lookup_config nowhere = {.tenant = "http://127.0.0.1:1",
                                                .auth = {.kind = FERRY_AUTH_API_KEY, .api_key = {(char *)"key", 3}}};
    struct ferry_lookup *lookup = ferry_lookup_new(NULL, &listener);
    assert_int_equal(ferry_lookup_use(lookup, &nowhere, NULL, NULL), FERRY_OK);
    for (unsigned i = 0; i < FERRY_LOOKUP_FAILURES; i++) {
        ferry_lookup_missed(lookup, FERRY_NAME_USER, false); /* there is none: no failure of the lookup */
        ferry_lookup_missed(lookup, FERRY_NAME_USER, true);
    }
    assert_int_equal(ask(lookup, "u"), FERRY_LOOKUP_NONE);
    ferry_lookup_free(lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_known_until_its_time_is_over),
        cmocka_unit_test(a_user_and_an_app_of_one_id_are_two),
        cmocka_unit_test(the_table_is_bounded_and_keeps_what_is_of_use),
        cmocka_unit_test(what_is_being_asked_for_makes_no_room),
        cmocka_unit_test(an_id_that_is_no_part_of_a_url_is_not_asked_for),
        cmocka_unit_test(the_ids_are_found_in_every_family),
        cmocka_unit_test(only_the_kinds_that_are_asked_for_are_named),
        cmocka_unit_test(a_members_name_does_not_displace_an_attribute),
        cmocka_unit_test(after_three_failures_nothing_is_asked_for_some_time),
        cmocka_unit_test(answers_that_are_late_pause_the_lookups_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
