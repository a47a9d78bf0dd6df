#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "bridge/problem.h"

static json_t *print(enum ferry_code code, const char *said)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, 8192);
    ferry_problem_print(code, said, &body);
    assert_false(body.failed);
    json_t *problem = json_loadb(body.ptr, body.len, 0, NULL);
    assert_non_null(problem);
    return problem;
}

static const char *member(const json_t *problem, const char *name)
{
    return json_string_value(json_object_get(problem, name));
}

static void every_code_is_a_problem_with_its_four_members(void **state)
{
    (void)state;
    for (enum ferry_code code = FERRY_HTTP_MALFORMED; code < FERRY_CODE_COUNT; code++) {
        json_t *problem = print(code, "because");
        assert_int_equal(json_object_size(problem), 4);
        assert_string_equal(member(problem, "type"), "about:blank");
        assert_true(strlen(member(problem, "title")) > 0);
        assert_true(strlen(member(problem, "detail")) > 0);
        assert_int_equal(json_integer_value(json_object_get(problem, "status")), ferry_code_status(code));
        json_decref(problem);
    }
}

static void a_sender_learns_what_is_wrong_with_its_own_event(void **state)
{
    (void)state;
    json_t *problem = print(FERRY_EVENT_INVALID, "event 2: \"id\" is empty\n");
    assert_string_equal(member(problem, "detail"), "event 2: \"id\" is empty\n");
    json_decref(problem);
}

static void a_sender_learns_nothing_of_secrets_rules_and_our_inside(void **state)
{
    (void)state;
    static const enum ferry_code codes[] = {
        FERRY_SIGNATURE_MISSING, FERRY_SIGNATURE_WRONG, FERRY_SIGNATURE_STALE, FERRY_HEADER_WRONG,
        FERRY_TENANT_REFUSED,    FERRY_TYPE_REFUSED,    FERRY_NOT_FOUND,       FERRY_RATE,
        FERRY_UNAVAILABLE,       FERRY_KAFKA,           FERRY_MEMORY,          FERRY_QUEUE_FULL,
        FERRY_STOPPING,          FERRY_TEMPLATE,        FERRY_KEY_WRONG,       FERRY_KEY_MISSING,
        FERRY_KEY_BLOCKED,       FERRY_PREVIEW,         FERRY_CROSS_SITE,
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        json_t *problem = print(codes[i], "the secret is hunter2");
        assert_null(strstr(member(problem, "detail"), "hunter2"));
        json_decref(problem);
    }
}

static void missing_and_wrong_signatures_look_the_same(void **state)
{
    (void)state;
    json_t *missing = print(FERRY_SIGNATURE_MISSING, "a"), *wrong = print(FERRY_SIGNATURE_WRONG, "b");
    assert_true(json_equal(missing, wrong));
    json_decref(missing);
    json_decref(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_a_problem_with_its_four_members),
        cmocka_unit_test(a_sender_learns_what_is_wrong_with_its_own_event),
        cmocka_unit_test(a_sender_learns_nothing_of_secrets_rules_and_our_inside),
        cmocka_unit_test(missing_and_wrong_signatures_look_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
