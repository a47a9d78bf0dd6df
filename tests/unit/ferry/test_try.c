/* The workers' programs lie beside the test's, and are built before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/net/listener.h"
#include "core/program.h"
#include "ferry/command.h"
#include "tests/unit/ferry/capture.h"

static const char config_text[] =
    "slack:\n"
    "  routes:\n"
    "    - name: new\n"
    "      events: [app.created]\n"
    "      webhook: {env: FERRY_TEST_SLACK_URL}\n"
    "      text: '*\\(.resource.name)* is new'\n"
    "      digest: 10s\n"
    "    - name: picky\n"
    "      events: [\"space.*\"]\n"
    "      when: .resource.name == \"nobody\"\n"
    "      webhook: {env: FERRY_TEST_SLACK_URL}\n"
    "      text: x\n"
    "    - name: broken\n"
    "      events: [app.created]\n"
    "      webhook: {env: FERRY_TEST_SLACK_URL}\n"
    "      text: \\(.resource.nosuch)\n"
    "    - name: other\n"
    "      events: [com.example.thing]\n"
    "      webhook: {env: FERRY_TEST_SLACK_URL}\n"
    "      text: x\n"
    "mail:\n"
    "  smtp: {url: \"smtps://mail.example.com:465\", username: ferry, password: {env: FERRY_TEST_NO_SUCH}}\n"
    "  from: no-reply@example.com\n"
    "  recipient_domains: [example.com]\n"
    "  routes:\n"
    "    - name: welcome\n"
    "      events: [user.created]\n"
    "      to: .resource.email\n"
    "      subject: Hello \\(.resource.name)\n"
    "      text: Welcome.\n";

static char config[64];

static int setup(void **state)
{
    (void)state;
    unsetenv("FERRY_TEST_SLACK_URL");
    snprintf(config, sizeof config, "%s", capture_file(config_text));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(config);
}

static const struct capture *run(const char *route, const char *option, const char *value)
{
    const char *const words[] = {"try", route, "-c", config, option, value, NULL};
    return capture_run(ferry_command_try, words);
}

static void the_forms_of_an_event_give_one_request_without_its_secret(void **state)
{
    (void)state;
    const struct capture *shown = run("slack/new", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(shown->out, "== app.created\n-- legacy, hybrid, cloudevents\nPOST (the URL is a secret)\n"));
    assert_non_null(strstr(shown->out, "\"text\":\"*Sales overview* is new\""));
    assert_non_null(strstr(shown->out, "what else comes for this destination within 10 s goes in the same message"));
}

static void a_mail_is_shown_whole(void **state)
{
    (void)state;
    const struct capture *shown = run("mail/welcome", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(shown->out, "-- legacy, hybrid, cloudevents\n"));
    assert_non_null(strstr(shown->out, "mail from <no-reply@example.com> to <ada.lovelace@example.com>"));
    assert_non_null(strstr(shown->out, "Subject: Hello Ada Lovelace"));
    assert_non_null(strstr(shown->out, "Welcome."));
}

static void an_event_that_is_not_taken_is_said_so(void **state)
{
    (void)state;
    const struct capture *shown = run("slack/picky", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(shown->out, "nothing: `when` does not hold"));
    assert_non_null(strstr(shown->out, "more events; --event NAME shows one"));
}

static void a_hole_without_a_value_fails_and_is_named(void **state)
{
    (void)state;
    const struct capture *shown = run("slack/broken", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_FAILED);
    assert_non_null(strstr(shown->out, "a dead letter, template_null: "));
    assert_non_null(strstr(shown->out, ".resource.nosuch"));
}

static void the_event_may_be_a_file(void **state)
{
    (void)state;
    char file[64];
    snprintf(file, sizeof file, "%s",
             capture_file("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"com.example.thing\","
                          "\"data\":{\"name\":\"Mine\"}}"));
    const struct capture *shown = run("slack/new", "--event", file);
    unlink(file);
    assert_int_equal(shown->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(shown->out, "*Mine* is new"));
}

static void a_route_of_events_without_examples_wants_a_file(void **state)
{
    (void)state;
    const struct capture *shown = run("slack/other", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_USAGE);
    assert_non_null(strstr(shown->err, "bring one with --event FILE"));
}

static void an_unknown_route_is_answered_with_those_that_are_there(void **state)
{
    (void)state;
    const struct capture *shown = run("slack/nwe", NULL, NULL);
    assert_int_equal(shown->exit_code, FERRY_EXIT_USAGE);
    assert_non_null(strstr(shown->err, "  slack/new\n"));
    assert_non_null(strstr(shown->err, "  mail/welcome\n"));
    assert_int_equal(run("new", NULL, NULL)->exit_code, FERRY_EXIT_USAGE);
}

static void count_call(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    size_t *calls = context;
    *calls += strcmp(call->path, "/services/x") == 0;
    reply->status = 200;
    ferry_buffer_add_text(&reply->body, "ok");
}

static void sending_carries_it_out_once(void **state)
{
    (void)state;
    const struct ferry_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct ferry_listener *listener = NULL;
    struct ferry_error error = {0};
    size_t calls = 0;
    char url[64];
    assert_int_equal(ferry_listener_start(&address, count_call, &calls, &listener, &error), FERRY_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/services/x", ferry_listener_port(listener));
    setenv("FERRY_TEST_SLACK_URL", url, 1);
    const struct capture *shown = run("slack/new", "--send", NULL);
    ferry_listener_stop(listener);
    assert_int_equal(shown->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(shown->out, "-- sending\nsent: answered 200, done"));
    assert_null(strstr(shown->out, url));
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_of_an_event_give_one_request_without_its_secret),
        cmocka_unit_test(a_mail_is_shown_whole),
        cmocka_unit_test(an_event_that_is_not_taken_is_said_so),
        cmocka_unit_test(a_hole_without_a_value_fails_and_is_named),
        cmocka_unit_test(the_event_may_be_a_file),
        cmocka_unit_test(a_route_of_events_without_examples_wants_a_file),
        cmocka_unit_test(an_unknown_route_is_answered_with_those_that_are_there),
        cmocka_unit_test(sending_carries_it_out_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
