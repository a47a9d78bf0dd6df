#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/kafka/mock_broker.h"
#include "core/net/listener.h"
#include "core/program.h"
#include "ferry/command.h"
#include "ferry/demo/smtp_sink.h"
#include "tests/unit/ferry/capture.h"

/* Runs `ferry check` over that text, with at most two flags more. */
static const struct capture *check(const char *text, const char *flag, const char *value)
{
    const char *file = capture_file(text);
    const struct capture *run = CAPTURE(check, "-c", file, flag, value, NULL);
    unlink(file);
    return run;
}

static void a_good_file_is_0(void **state)
{
    (void)state;
    const struct capture *run = check("slack: {}\n", NULL, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(run->out, ": good\n"));
    assert_string_equal(run->err, "");
}

static void a_warning_is_printed_and_is_0(void **state)
{
    (void)state;
    const struct capture *run = check("slack:\n"
                                      "  routes:\n"
                                      "    - name: a\n"
                                      "      events: [app.creted]\n"
                                      "      webhook: {env: CHECK_SLACK}\n"
                                      "      text: x\n",
                                      NULL, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(run->err, ":4: warning: slack.routes[0].events: "));
    assert_non_null(strstr(run->err, "did you mean app.created?"));
    assert_non_null(strstr(run->out, ": good, with 1 warning\n"));
}

static void every_mistake_is_printed_and_is_78(void **state)
{
    (void)state;
    const struct capture *run = check("bridge: {lisen: 1}\nworker: {concurrency: many}\n", NULL, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_CONFIG);
    assert_non_null(strstr(run->err, ":1: bridge.lisen: unknown key, did you mean listen?\n"));
    assert_non_null(strstr(run->err, ":2: worker.concurrency: \"many\" is not a whole number\n"));
    assert_non_null(strstr(run->err, ": 2 mistakes\n"));
    assert_string_equal(run->out, "");
}

static void a_property_that_librdkafka_does_not_know_is_a_mistake(void **state)
{
    (void)state;
    const struct capture *run =
        check("kafka:\n  no.such.property: 1\nslack:\n  kafka: {linger.ms: soon}\n", NULL, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_CONFIG);
    assert_non_null(strstr(run->err, ":2: kafka.no.such.property: "));
    assert_non_null(strstr(run->err, ":4: slack.kafka.linger.ms: "));
}

static void only_some_sections_can_be_asked_for(void **state)
{
    static const char text[] = "bridge: {webhooks: [{path: /a, secrets: [{env: CHECK_NOT_SET}]}]}\n";
    (void)state;
    assert_int_equal(check(text, NULL, NULL)->exit_code, FERRY_EXIT_CONFIG);
    assert_int_equal(check(text, "--only", "bridge,mail")->exit_code, FERRY_EXIT_CONFIG);
    assert_int_equal(check(text, "--only", "slack,mail")->exit_code, FERRY_EXIT_DONE);
    assert_int_equal(check(text, "--only", "slak")->exit_code, FERRY_EXIT_USAGE);
}

static void wrong_usage_is_2(void **state)
{
    (void)state;
    assert_int_equal(CAPTURE(check, "--no-such-flag", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(check, "ferry.yaml", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(check, "--help", NULL)->exit_code, FERRY_EXIT_DONE);
}

static void the_reference_is_printed(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(check, "--reference", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(run->out, "| `listen` | address | `127.0.0.1:8080` |"));
}

/* ---- online: everybody on loopback ---- */

struct world {
    struct ferry_mock_broker *broker;
    struct ferry_listener *web;
    struct ferry_inbox *inbox;
    struct ferry_smtp_sink *smtp;
};

/* Slack's auth.test, Qlik's users/me and audits, each with one good token; "half" may log in at Qlik, and no more. */
static void answer(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    struct ferry_slice authorization = ferry_pairs_get(call->headers, "Authorization");
    (void)context;
    reply->content_type = "application/json";
    if (strcmp(call->path, "/slack/auth.test") == 0) {
        reply->status = 200;
        ferry_buffer_add_text(&reply->body, ferry_slice_is(authorization, "Bearer good")
                                                ? "{\"ok\":true}"
                                                : "{\"ok\":false,\"error\":\"invalid_auth\"}");
    } else if (strcmp(call->path, "/oauth/token") == 0) {
        reply->status = 200;
        ferry_buffer_add_text(&reply->body, "{\"access_token\":\"good\"}");
    } else if (strcmp(call->path, "/api/v1/users/me") == 0) {
        reply->status = ferry_slice_is(authorization, "Bearer good") ? 200 : 401;
        ferry_buffer_add_text(&reply->body, "{}");
    } else if (strcmp(call->path, "/api/v1/audits") == 0) {
        reply->status = ferry_slice_is(authorization, "Bearer good")   ? 200
                        : ferry_slice_is(authorization, "Bearer half") ? 403
                                                                       : 401;
        ferry_buffer_add_text(&reply->body, "{\"data\":[]}");
    }
}

static int set_up_world(void **state)
{
    static struct world world;
    const struct ferry_address any = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct ferry_error error;
    world.inbox = ferry_inbox_new();
    if (world.inbox == NULL || ferry_mock_broker_start(&world.broker, &error) != FERRY_OK ||
        ferry_listener_start(&any, answer, NULL, &world.web, &error) != FERRY_OK ||
        ferry_smtp_sink_start(world.inbox, &world.smtp, &error) != FERRY_OK)
        return -1;
    *state = &world;
    return 0;
}

static int tear_down_world(void **state)
{
    struct world *world = *state;
    ferry_smtp_sink_stop(world->smtp);
    ferry_listener_stop(world->web);
    ferry_mock_broker_stop(world->broker);
    ferry_inbox_free(world->inbox);
    return 0;
}

/* A file whose every peer is in that world; `token` is what Slack and Qlik are shown. */
static const struct capture *check_online(const struct world *world, const char *token, unsigned smtp_port)
{
    char text[4096];
    unsigned web = ferry_listener_port(world->web);
    setenv("CHECK_TOKEN", token, 1);
    snprintf(
        text, sizeof text,
        "kafka: {bootstrap.servers: \"%s\"}\n"
        "bridge:\n"
        "  audits:\n"
        "    - {tenant: \"http://127.0.0.1:%u\", auth: {api_key: {env: CHECK_TOKEN}}}\n"
        "    - {tenant: \"http://localhost:%u\", auth: {oauth: {client_id: a, client_secret: {env: CHECK_TOKEN}}}}\n"
        "slack:\n"
        "  lookup: {tenant: \"http://127.0.0.1:%u\", auth: {api_key: {env: CHECK_TOKEN}}}\n"
        "  routes:\n"
        "    - {name: channel, events: [app.created], channel: C1, token: {env: CHECK_TOKEN}, text: x,\n"
        "       api: \"http://127.0.0.1:%u/slack\"}\n"
        "    - {name: hook, events: [app.created], webhook: {env: CHECK_SLACK}, text: x}\n"
        "mail:\n"
        "  smtp: {url: \"smtp://127.0.0.1:%u\", tls: none}\n"
        "  from: a@example.com\n"
        "  recipient_domains: [example.com]\n"
        "automation:\n"
        "  routes:\n"
        "    - {name: run, events: [user.deleted],\n"
        "       qlik: {tenant: \"http://127.0.0.1:%u\", automation: a, token: {env: CHECK_TOKEN}}}\n",
        ferry_mock_broker_address(world->broker), web, web, web, web, smtp_port, web);
    return check(text, "--online", NULL);
}

static void everybody_who_answers_has_a_line(void **state)
{
    const struct world *world = *state;
    const struct capture *run = check_online(world, "good", ferry_smtp_sink_port(world->smtp));
    assert_non_null(strstr(run->out, "\nok   Kafka: answers;"));
    assert_non_null(strstr(run->out, "\nok   Audits API, http://127.0.0.1:"));
    assert_non_null(strstr(run->out, "\nok   Audits API, http://localhost:"));
    assert_non_null(strstr(run->out, "\nok   names for slack, http://127.0.0.1:"));
    assert_null(strstr(run->out, "names for mail"));
    assert_non_null(strstr(run->out, "\nok   Slack, route channel: the token is good"));
    assert_non_null(strstr(run->out, "\n--   Slack, route hook: "));
    assert_non_null(strstr(run->out, "\nok   SMTP: smtp://127.0.0.1:"));
    assert_non_null(strstr(run->out, "\n--   automation route run, "));
    assert_null(strstr(run->out, "BAD"));
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
}

static void who_refuses_or_is_not_there_has_a_line_with_the_cure(void **state)
{
    const struct capture *run = check_online(*state, "bad", 1);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_non_null(strstr(run->out, "\nBAD  Audits API, http://127.0.0.1:"));
    assert_non_null(strstr(run->out, "the log-in is refused; is auth right"));
    assert_non_null(strstr(run->out, "\nBAD  names for slack, http://127.0.0.1:"));
    assert_non_null(strstr(run->out, "\nBAD  Slack, route channel: invalid_auth; is the bot token right"));
    assert_non_null(strstr(run->out, "\nBAD  SMTP: "));
}

static void a_log_in_that_may_not_read_audits_is_told(void **state)
{
    const struct capture *run = check_online(*state, "half", 1);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    const char *line = strstr(run->out, "\nBAD  Audits API, http://127.0.0.1:");
    assert_non_null(line);
    assert_non_null(strstr(line, "may not read audits; it needs the role of a tenant or audit administrator"));
}

static int set_environment(void **state)
{
    (void)state;
    unsetenv("CHECK_NOT_SET");
    return setenv("CHECK_SLACK", "https://hooks.slack.com/services/T/B/x", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_2),
        cmocka_unit_test(the_reference_is_printed),
        cmocka_unit_test(a_good_file_is_0),
        cmocka_unit_test(a_warning_is_printed_and_is_0),
        cmocka_unit_test(every_mistake_is_printed_and_is_78),
        cmocka_unit_test(a_property_that_librdkafka_does_not_know_is_a_mistake),
        cmocka_unit_test(only_some_sections_can_be_asked_for),
        cmocka_unit_test_setup_teardown(everybody_who_answers_has_a_line, set_up_world, tear_down_world),
        cmocka_unit_test_setup_teardown(who_refuses_or_is_not_there_has_a_line_with_the_cure, set_up_world,
                                        tear_down_world),
        cmocka_unit_test_setup_teardown(a_log_in_that_may_not_read_audits_is_told, set_up_world, tear_down_world),
    };
    return cmocka_run_group_tests_name("check", tests, set_environment, NULL);
}
