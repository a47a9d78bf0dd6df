#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ferry/demo/stand_ins.h"

struct fixture {
    struct ferry_stand_ins stand_ins;
    struct ferry_http_reply reply;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){
        .stand_ins = {.inbox = ferry_inbox_new(), .execution_token = "run-me", .crm_authorization = "Bearer crm"}};
    ferry_buffer_init(&fixture.reply.body, 1 << 16);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    ferry_buffer_done(&fixture->reply.body);
    ferry_inbox_free(fixture->stand_ins.inbox);
    return 0;
}

static int call(struct fixture *fixture, const char *method, const char *path, const char *name, const char *value,
                const char *body)
{
    struct ferry_pair header = {ferry_slice_from(name), ferry_slice_from(value)};
    struct ferry_http_call http_call = {
        .method = method, .path = path, .headers = {&header, name != NULL ? 1 : 0}, .body = ferry_slice_from(body)};
    ferry_buffer_clear(&fixture->reply.body);
    fixture->reply.status = 0;
    ferry_stand_ins_answer(&fixture->stand_ins, &http_call, &fixture->reply);
    return fixture->reply.status;
}

static const struct ferry_arrival *first(struct fixture *fixture)
{
    return ferry_inbox_wait(fixture->stand_ins.inbox, 0, 0);
}

static void slack_takes_a_message_and_says_ok(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(call(fixture, "POST", "/services/T/B/x", NULL, NULL, "{\"text\":\"*Sales*\\nis new\"}"), 200);
    assert_string_equal(fixture->reply.body.ptr, "ok");
    assert_true(first(fixture)->accepted);
    assert_string_equal(first(fixture)->text, "*Sales* is new");
    assert_int_equal(first(fixture)->place, FERRY_REACHED_SLACK);
}

static void slack_refuses_a_message_without_text(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(call(fixture, "POST", "/services/T/B/x", NULL, NULL, "{\"blocks\":[]}"), 400);
    assert_string_equal(fixture->reply.body.ptr, "no_text");
    assert_false(first(fixture)->accepted);
    assert_int_equal(call(fixture, "POST", "/services/T/B/x", NULL, NULL, "{"), 400);
    assert_string_equal(fixture->reply.body.ptr, "invalid_payload");
}

static void an_automation_runs_only_with_the_token_as_a_header(void **state)
{
    struct fixture *fixture = *state;
    const char *path = "/api/v1/automations/6f7a/actions/execute";
    assert_int_equal(call(fixture, "POST", path, NULL, NULL, "{}"), 401);
    assert_int_equal(call(fixture, "POST", path, "x-execution-token", "other", "{}"), 401);
    assert_int_equal(call(fixture, "POST", path, "x-execution-token", "run-me", "{\"user\":\"u1\"}"), 200);
    assert_string_equal(ferry_inbox_wait(fixture->stand_ins.inbox, 2, 0)->text, "run with {\"user\":\"u1\"}");
}

static void an_unknown_automation_path_is_not_found(void **state)
{
    assert_int_equal(call(*state, "POST", "/api/v1/automations/6f7a", "X-Execution-Token", "run-me", "{}"), 404);
}

static void the_crm_wants_its_authorization_and_json(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(call(fixture, "PATCH", "/users/u1", NULL, NULL, "{}"), 401);
    assert_int_equal(call(fixture, "PATCH", "/users/u1", "Authorization", "Bearer crm", "status=x"), 400);
    assert_int_equal(call(fixture, "PATCH", "/users/u1", "Authorization", "Bearer crm", "{\"status\":1}"), 200);
    assert_string_equal(ferry_inbox_wait(fixture->stand_ins.inbox, 2, 0)->text, "PATCH /users/u1 {\"status\":1}");
}

static void another_method_or_path_is_not_found(void **state)
{
    assert_int_equal(call(*state, "GET", "/services/T/B/x", NULL, NULL, ""), 404);
    assert_int_equal(call(*state, "POST", "/", NULL, NULL, ""), 404);
    assert_null(first(*state));
}

static void the_log_shows_what_arrived(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(call(fixture, "GET", "/", NULL, NULL, ""), 200);
    assert_string_equal(fixture->reply.body.ptr, "nothing has arrived yet\n");
    call(fixture, "POST", "/services/T/B/x", NULL, NULL, "{\"text\":\"hello\"}");
    assert_int_equal(call(fixture, "GET", "/", NULL, NULL, ""), 200);
    assert_non_null(strstr(fixture->reply.body.ptr, "Slack  hello\n{\"text\":\"hello\"}\n"));
}

static void waiting_for_what_never_comes_ends(void **state)
{
    struct fixture *fixture = *state;
    assert_null(ferry_inbox_wait(fixture->stand_ins.inbox, 0, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slack_takes_a_message_and_says_ok, setup, teardown),
        cmocka_unit_test_setup_teardown(slack_refuses_a_message_without_text, setup, teardown),
        cmocka_unit_test_setup_teardown(an_automation_runs_only_with_the_token_as_a_header, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_automation_path_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_crm_wants_its_authorization_and_json, setup, teardown),
        cmocka_unit_test_setup_teardown(another_method_or_path_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_shows_what_arrived, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_for_what_never_comes_ends, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
