/* Which events were meant, which webhook, and what has to change at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "ferry/setup.h"

static const char *const types[] = {"com.qlik.v1.app.created", "com.qlik.app.created", "com.qlik.app.deleted",
                                    "com.qlik.v1.reload.finished", "com.qlik.user.created"};
static const struct ferry_strings available = {types, sizeof types / sizeof types[0]};

static void assert_events(const char *words, const char *const *wanted, size_t count)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings chosen = {0};
    struct ferry_error error = {.text = ""};
    if (ferry_setup_events(words, available, &arena, &chosen, &error) != FERRY_OK)
        fail_msg("%s: %s", words, error.text);
    assert_int_equal(chosen.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(chosen.items[i], wanted[i]);
}

static void assert_refused(const char *words, const char *said)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_strings chosen = {0};
    struct ferry_error error = {.text = ""};
    assert_int_equal(ferry_setup_events(words, available, &arena, &chosen, &error), FERRY_USAGE);
    if (strstr(error.text, said) == NULL)
        fail_msg("%s: %s", words, error.text);
}

static void a_canonical_name_is_one_type_so_that_nothing_comes_twice(void **state)
{
    (void)state;
    assert_events("app.created", (const char *const[]){"com.qlik.app.created"}, 1);
    assert_events("com.qlik.v1.app.created", (const char *const[]){"com.qlik.v1.app.created"}, 1);
    /* A name that Qlik has given up means what took its place. */
    assert_events("com.qlik.v1.user.created", (const char *const[]){"com.qlik.user.created"}, 1);
}

static void globs_lists_and_repetitions_come_to_a_sorted_set(void **state)
{
    (void)state;
    assert_events("app.*", (const char *const[]){"com.qlik.app.created", "com.qlik.app.deleted"}, 2);
    assert_events("user.created, app.created,,app.created",
                  (const char *const[]){"com.qlik.app.created", "com.qlik.user.created"}, 2);
    assert_events("*",
                  (const char *const[]){"com.qlik.app.created", "com.qlik.app.deleted", "com.qlik.user.created",
                                        "com.qlik.v1.reload.finished"},
                  4);
}

static void an_unknown_event_is_refused_with_what_is_near(void **state)
{
    (void)state;
    assert_refused("app.creatd", "did you mean app.created?");
    assert_refused("app.created,zebra.galloped", "zebra.galloped");
    assert_refused("zebra.*", "zebra.*");
    assert_refused("api-key.created", "Audits API"); /* Qlik knows it, as no webhook */
    assert_refused(" ,", "names no event");
}

static void only_a_host_name_over_https_can_be_sent_to(void **state)
{
    static const struct {
        const char *url;
        enum ferry_code code;
    } cases[] = {
        {"https://ferry.example.com/webhooks/qlik", FERRY_OK},
        {"https://ferry.example.com:8443/webhooks/qlik", FERRY_OK},
        {"https://10.example.com/", FERRY_OK},
        {"http://ferry.example.com/", FERRY_USAGE},
        {"https://192.0.2.7/webhooks/qlik", FERRY_USAGE},
        {"https://192.0.2.7:8443", FERRY_USAGE},
        {"https://[2001:db8::7]/", FERRY_USAGE},
        {"https://user:word@ferry.example.com/", FERRY_USAGE},
        {"ferry.example.com", FERRY_USAGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ferry_setup_check_url(cases[i].url, NULL) != cases[i].code)
            fail_msg("%s", cases[i].url);
}

static void the_webhook_is_found_by_url_and_name_then_url_then_name(void **state)
{
    const struct ferry_qlik_webhook hooks[] = {{.id = "a", .url = "u1", .name = "n1"},
                                               {.id = "b", .url = "u1", .name = "n2"},
                                               {.id = "c", .url = "u2", .name = "n2"}};
    (void)state;
    assert_string_equal(ferry_setup_find(hooks, 3, "u1", "n2")->id, "b");
    assert_string_equal(ferry_setup_find(hooks, 3, "u1", NULL)->id, "a");
    assert_string_equal(ferry_setup_find(hooks, 3, "u2", "n9")->id, "c");
    assert_string_equal(ferry_setup_find(hooks, 3, "u9", "n2")->id, "b");
    assert_null(ferry_setup_find(hooks, 3, "u9", "n9"));
    assert_null(ferry_setup_find(NULL, 0, "u1", NULL));
}

/* ---- the plan ---- */

static const char *const two[] = {"com.qlik.app.created", "com.qlik.app.deleted"};
static char header_value[] = "caller-itself";
static const struct ferry_secret_header caller = {"X-Caller", {header_value, sizeof header_value - 1}};

static struct ferry_setup_wish a_wish(void)
{
    return (struct ferry_setup_wish){.url = "https://ferry.example.com/webhooks/qlik",
                                     .events = {two, 2},
                                     .secret = FERRY_SLICE("a-secret \"quoted\" of 32 characters")};
}

static struct ferry_qlik_webhook as_wished(void)
{
    return (struct ferry_qlik_webhook){.id = "w1",
                                       .name = "by hand",
                                       .url = "https://ferry.example.com/webhooks/qlik",
                                       .enabled = true,
                                       .disabled_reason = "",
                                       .secret_added = true,
                                       .events = {two, 2}};
}

/* The body as JSON; the plan is freed. */
static json_t *plan(const struct ferry_setup_wish *wish, const struct ferry_qlik_webhook *present, size_t changes)
{
    FERRY_CLEANUP(ferry_setup_plan_done) struct ferry_setup_plan made;
    assert_int_equal(ferry_setup_plan_make(wish, present, &made, NULL), FERRY_OK);
    assert_int_equal(made.changes, changes);
    if (made.text.ptr != NULL)
        assert_null(strstr(made.text.ptr, "a-secret"));
    json_t *body = json_loadb(made.body.ptr, made.body.len, 0, NULL);
    assert_non_null(body);
    return body;
}

static void a_new_webhook_is_told_everything(void **state)
{
    (void)state;
    struct ferry_setup_wish wish = a_wish();
    json_t *body = plan(&wish, NULL, 8);
    assert_string_equal(json_string_value(json_object_get(body, "name")), "Ferry");
    assert_string_equal(json_string_value(json_object_get(body, "level")), "tenant");
    assert_string_equal(json_string_value(json_object_get(body, "secret")), wish.secret.ptr);
    assert_int_equal(json_array_size(json_object_get(body, "eventTypes")), 2);
    assert_true(json_is_true(json_object_get(body, "enabled")));
    json_decref(body);
}

static void what_is_as_wished_is_not_touched(void **state)
{
    (void)state;
    struct ferry_setup_wish wish = a_wish();
    struct ferry_qlik_webhook present = as_wished();
    json_decref(plan(&wish, &present, 0));
    wish.events = (struct ferry_strings){NULL, 0}; /* no wish */
    json_decref(plan(&wish, &present, 0));
}

static void each_difference_is_one_change(void **state)
{
    (void)state;
    struct ferry_setup_wish wish = a_wish();
    struct ferry_qlik_webhook present = as_wished();
    present.enabled = false;
    present.disabled_reason = "Too many failures";
    present.events = (struct ferry_strings){two, 1};
    present.secret_added = false;
    json_t *body = plan(&wish, &present, 3);
    const char *const paths[] = {"/eventTypes", "/secret", "/enabled"};
    for (size_t i = 0; i < 3; i++) {
        const json_t *change = json_array_get(body, i);
        assert_string_equal(json_string_value(json_object_get(change, "op")), "replace");
        assert_string_equal(json_string_value(json_object_get(change, "path")), paths[i]);
    }
    json_decref(body);
}

static void headers_are_told_when_one_is_missing_or_the_url_moves(void **state)
{
    (void)state;
    static const char *const names[] = {"x-caller"};
    struct ferry_setup_wish wish = a_wish();
    struct ferry_qlik_webhook present = as_wished();
    wish.headers = &caller;
    wish.header_count = 1;
    json_t *body = plan(&wish, &present, 1);
    const json_t *value = json_object_get(json_array_get(body, 0), "value");
    assert_string_equal(json_string_value(json_object_get(value, "X-Caller")), header_value);
    json_decref(body);
    present.encrypted_headers = (struct ferry_strings){names, 1};
    json_decref(plan(&wish, &present, 0));
    present.url = "https://old.example.com/";
    json_decref(plan(&wish, &present, 2));
}

static void a_secret_that_is_set_is_set_again_only_when_asked(void **state)
{
    (void)state;
    struct ferry_setup_wish wish = a_wish();
    struct ferry_qlik_webhook present = as_wished();
    json_decref(plan(&wish, &present, 0));
    wish.set_secret = true;
    json_decref(plan(&wish, &present, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_canonical_name_is_one_type_so_that_nothing_comes_twice),
        cmocka_unit_test(globs_lists_and_repetitions_come_to_a_sorted_set),
        cmocka_unit_test(an_unknown_event_is_refused_with_what_is_near),
        cmocka_unit_test(only_a_host_name_over_https_can_be_sent_to),
        cmocka_unit_test(the_webhook_is_found_by_url_and_name_then_url_then_name),
        cmocka_unit_test(a_new_webhook_is_told_everything),
        cmocka_unit_test(what_is_as_wished_is_not_touched),
        cmocka_unit_test(each_difference_is_one_change),
        cmocka_unit_test(headers_are_told_when_one_is_missing_or_the_url_moves),
        cmocka_unit_test(a_secret_that_is_set_is_set_again_only_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
