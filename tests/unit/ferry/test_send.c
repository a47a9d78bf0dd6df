#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/clock.h"
#include "core/net/listener.h"
#include "core/program.h"
#include "ferry/command.h"
#include "tests/unit/ferry/capture.h"

#define KEY "0123456789abcdef0123456789abcdef"

/* A receiver that checks the signature, as the bridge would. */
struct receiver {
    struct ferry_listener *listener;
    struct ferry_verifier *verifier;
    char url[64];
    size_t calls;
    char ids[8][64];
    char last_body[64 * 1024];
};

static void receive(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    struct receiver *receiver = context;
    struct ferry_error error;
    enum ferry_code code =
        ferry_verifier_check(receiver->verifier, call->headers, call->body, ferry_clock_wall_ms(), &error);
    reply->status = ferry_code_status(code);
    if (code != FERRY_OK)
        ferry_buffer_add_text(&reply->body, ferry_code_name(code));
    json_t *event = json_loadb(call->body.ptr, call->body.len, 0, NULL);
    const char *id = json_string_value(json_object_get(event, "id"));
    snprintf(receiver->ids[receiver->calls++ % 8], 64, "%s", id != NULL ? id : "");
    snprintf(receiver->last_body, sizeof receiver->last_body, "%.*s", FERRY_SLICE_ARGS(call->body));
    json_decref(event);
}

static int setup(void **state)
{
    static struct receiver receiver;
    static char key[] = KEY;
    receiver = (struct receiver){0};
    const struct ferry_secret secret = {key, sizeof key - 1};
    const struct ferry_address address = {.text = "127.0.0.1:0", .host = "127.0.0.1"};
    struct ferry_error error = {0};
    setenv("FERRY_TEST_SECRET", KEY, 1);
    assert_int_equal(ferry_verifier_new(FERRY_SIGNATURE_QLIK, &secret, 1, &receiver.verifier, &error), FERRY_OK);
    assert_int_equal(ferry_listener_start(&address, receive, &receiver, &receiver.listener, &error), FERRY_OK);
    snprintf(receiver.url, sizeof receiver.url, "http://127.0.0.1:%u/webhooks/qlik",
             ferry_listener_port(receiver.listener));
    *state = &receiver;
    return 0;
}

static int teardown(void **state)
{
    struct receiver *receiver = *state;
    ferry_listener_stop(receiver->listener);
    ferry_verifier_free(receiver->verifier);
    return 0;
}

#define SEND(receiver, ...) CAPTURE(send, "--to", (receiver)->url, "--secret-env", "FERRY_TEST_SECRET", __VA_ARGS__)

static void an_example_arrives_with_a_signature_that_fits(void **state)
{
    struct receiver *receiver = *state;
    const struct capture *run = SEND(receiver, "--event", "app.created", "--set", "data.name=Budget", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_memory_equal(run->out, "204 in ", 7);
    assert_non_null(strstr(receiver->last_body, "\"name\":\"Budget\""));
    assert_non_null(strstr(receiver->last_body, "\"type\":\"com.qlik.app.created\""));
}

static void the_form_is_chosen(void **state)
{
    struct receiver *receiver = *state;
    assert_int_equal(SEND(receiver, "--event", "user.created", "--form", "legacy", NULL)->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(receiver->last_body, "\"eventType\":\"com.qlik.v1.user.created\""));
    assert_int_equal(SEND(receiver, "--event", "user.created", "--form", "avro", NULL)->exit_code, FERRY_EXIT_USAGE);
}

static void several_events_have_ids_of_their_own(void **state)
{
    struct receiver *receiver = *state;
    assert_int_equal(SEND(receiver, "--event", "app.created", "--count", "3", NULL)->exit_code, FERRY_EXIT_DONE);
    assert_int_equal(receiver->calls, 3);
    assert_string_not_equal(receiver->ids[0], receiver->ids[1]);
    assert_string_not_equal(receiver->ids[1], receiver->ids[2]);
}

static void a_bad_signature_is_refused_and_said(void **state)
{
    const struct capture *run = SEND((struct receiver *)*state, "--event", "app.created", "--bad-signature", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_memory_equal(run->out, "401 in ", 7);
    assert_non_null(strstr(run->out, "\nsignature-wrong"));
}

static void a_file_is_sent_byte_for_byte(void **state)
{
    struct receiver *receiver = *state;
    const char *file = capture_file("{ \"any\" :\t1 }\n");
    assert_int_equal(SEND(receiver, "--file", file, NULL)->exit_code, FERRY_EXIT_DONE);
    unlink(file);
    assert_string_equal(receiver->last_body, "{ \"any\" :\t1 }\n");
}

static void printing_sends_nothing(void **state)
{
    struct receiver *receiver = *state;
    const struct capture *run = SEND(receiver, "--event", "app.created", "--print", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_int_equal(run->out[0], '{');
    assert_int_equal(receiver->calls, 0);
}

static void a_bridge_that_is_down_is_a_failure_not_a_hang(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(send, "--to", "http://127.0.0.1:1/webhooks/qlik", "--secret-env",
                                        "FERRY_TEST_SECRET", "--event", "app.created", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_memory_equal(run->out, "no answer: ", 11);
}

static void what_to_send_and_with_which_secret_must_be_said(void **state)
{
    struct receiver *receiver = *state;
    assert_int_equal(SEND(receiver, NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(SEND(receiver, "--event", "app.created", "--file", "x", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(send, "--to", receiver->url, "--event", "app.created", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(SEND(receiver, "--event", "app.created", "--set", "data.name", NULL)->exit_code, FERRY_EXIT_USAGE);
    const struct capture *run = SEND(receiver, "--event", "user.craeted", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_USAGE);
    assert_non_null(strstr(run->err, "did you mean user.created?"));
    assert_int_equal(receiver->calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_example_arrives_with_a_signature_that_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(the_form_is_chosen, setup, teardown),
        cmocka_unit_test_setup_teardown(several_events_have_ids_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_signature_is_refused_and_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_sent_byte_for_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(printing_sends_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bridge_that_is_down_is_a_failure_not_a_hang, setup, teardown),
        cmocka_unit_test_setup_teardown(what_to_send_and_with_which_secret_must_be_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
