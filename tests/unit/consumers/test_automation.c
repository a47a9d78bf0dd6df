#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/automation/automation.h"
#include "consumers/login.h"

static struct ferry_secret secret(const char *text)
{
    return ferry_secret_copy(ferry_slice_from(text));
}

static const char *header(const struct ferry_effect *effect, const char *name)
{
    for (size_t i = 0; i < effect->header_count; i++)
        if (strcmp(effect->headers[i].name, name) == 0)
            return effect->headers[i].value;
    return NULL;
}

static struct ferry_answer answer_of(int status, const char *body)
{
    return (struct ferry_answer){
        .exchange = FERRY_EXCHANGE_ANSWERED, .status = status, .body = ferry_slice_from(body), .retry_after_ms = -1};
}

static const struct ferry_answer not_sent = {
    .exchange = FERRY_EXCHANGE_NOT_SENT, .retry_after_ms = -1, .reason = "refused"};
static const struct ferry_answer in_doubt = {
    .exchange = FERRY_EXCHANGE_IN_DOUBT, .retry_after_ms = -1, .reason = "reset"};

/* ---- executions and runs ---- */

struct run {
    struct ferry_qlik_call call;
    struct ferry_effect effect;
    struct ferry_verdict verdict;
};

static int setup(void **state)
{
    struct run *run = calloc(1, sizeof *run);
    run->call = (struct ferry_qlik_call){.tenant = "https://acme.eu.qlikcloud.com",
                                         .automation = "a-1",
                                         .token = secret("token"),
                                         .wait_finished = true,
                                         .auth = {.kind = FERRY_AUTH_API_KEY, .api_key = secret("key")}};
    ferry_effect_init(&run->effect);
    run->effect.attempt = 1;
    *state = run;
    return 0;
}

static int teardown(void **state)
{
    struct run *run = *state;
    ferry_login_forget(run->call.tenant, &run->call.auth);
    ferry_secret_done(&run->call.token);
    ferry_secret_done(&run->call.auth.api_key);
    ferry_secret_done(&run->call.auth.client_secret);
    ferry_effect_done(&run->effect);
    free(run);
    return 0;
}

static enum ferry_outcome settle(struct run *run, struct ferry_answer answer)
{
    ferry_qlik_settle(&run->call, FERRY_IN_DOUBT_PARK, &answer, &run->effect, &run->verdict);
    return run->verdict.outcome;
}

static void use_oauth(struct run *run)
{
    run->call.auth.kind = FERRY_AUTH_OAUTH;
    run->call.auth.client_id = "client";
    run->call.auth.client_secret = secret("client-secret");
}

static void an_answer_with_output_is_done(void **state)
{
    assert_int_equal(settle(*state, answer_of(200, "{\"status\":\"done\",\"id\":\"r1\"}")), FERRY_OUTCOME_DONE);
    assert_int_equal(settle(*state, answer_of(200, "any text")), FERRY_OUTCOME_DONE);
    assert_int_equal(settle(*state, answer_of(204, "")), FERRY_OUTCOME_DONE);
}

static void a_queued_run_is_done_where_accepted_is_enough(void **state)
{
    struct run *run = *state;
    run->call.wait_finished = false;
    assert_int_equal(settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}")), FERRY_OUTCOME_DONE);
    assert_false(run->verdict.follow_up);
}

static void a_queued_run_is_looked_at_with_the_key_and_without_the_token(void **state)
{
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r-1\"}"));
    assert_true(run->verdict.follow_up);
    assert_string_equal(run->effect.method, "GET");
    assert_string_equal(run->effect.url, "https://acme.eu.qlikcloud.com/api/v1/automations/a-1/runs/r-1");
    assert_string_equal(header(&run->effect, "Authorization"), "Bearer key");
    assert_null(header(&run->effect, "X-Execution-Token"));
}

static void a_run_ends_well_or_as_a_dead_letter(void **state)
{
    const struct {
        const char *body;
        enum ferry_outcome outcome;
    } cases[] = {
        {"{\"status\":\"finished\"}", FERRY_OUTCOME_DONE},
        {"{\"status\":\"finished with warnings\"}", FERRY_OUTCOME_DONE},
        {"{\"status\":\"failed\"}", FERRY_OUTCOME_DEAD},
        {"{\"status\":\"stopped\"}", FERRY_OUTCOME_DEAD},
        {"{\"status\":\"must stop\"}", FERRY_OUTCOME_DEAD},
        {"{\"status\":\"exceeded limit\"}", FERRY_OUTCOME_DEAD},
    };
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(settle(run, answer_of(200, cases[i].body)), cases[i].outcome);
        assert_false(run->verdict.follow_up);
        if (cases[i].outcome == FERRY_OUTCOME_DEAD)
            assert_int_equal(run->verdict.code, FERRY_RUN_FAILED);
    }
}

static void a_run_that_goes_on_is_looked_at_ever_more_rarely(void **state)
{
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    int64_t before = 0;
    for (int i = 0; i < 10; i++) {
        settle(run, answer_of(200, "{\"status\":\"running\"}"));
        assert_true(run->verdict.follow_up);
        assert_true(run->verdict.retry_after_ms >= before);
        before = run->verdict.retry_after_ms;
    }
    assert_int_equal(before, 15000);
}

static void a_look_that_fails_is_repeated_and_never_the_execution(void **state)
{
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    const struct ferry_answer bad[] = {not_sent, in_doubt, answer_of(503, ""), answer_of(429, ""),
                                       answer_of(200, "<html>")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        settle(run, bad[i]);
        assert_true(run->verdict.follow_up);
        assert_string_equal(run->effect.method, "GET");
    }
}

static void a_run_that_may_not_be_looked_at_is_parked(void **state)
{
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    assert_int_equal(settle(run, answer_of(403, "")), FERRY_OUTCOME_DOUBTFUL);
    assert_int_equal(run->verdict.code, FERRY_OUTCOME_UNKNOWN);
    assert_non_null(strstr(run->verdict.reason, "r1"));
}

static void an_odd_run_id_never_gets_into_a_url(void **state)
{
    struct run *run = *state;
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"../../x?y\"}"));
    assert_false(run->verdict.follow_up);
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"\"}"));
    assert_false(run->verdict.follow_up);
}

static void a_full_queue_is_believed_a_few_times(void **state)
{
    struct run *run = *state;
    for (run->effect.attempt = 1; run->effect.attempt <= FERRY_QLIK_QUEUE_FULL_TRIES; run->effect.attempt++)
        assert_int_equal(settle(run, answer_of(400, "{}")), FERRY_OUTCOME_RETRY);
    assert_int_equal(settle(run, answer_of(400, "{}")), FERRY_OUTCOME_DEAD);
}

static void a_wrong_token_or_automation_is_permanent(void **state)
{
    assert_int_equal(settle(*state, answer_of(401, "")), FERRY_OUTCOME_DEAD);
    assert_int_equal(settle(*state, answer_of(403, "")), FERRY_OUTCOME_DEAD);
    assert_int_equal(settle(*state, answer_of(404, "")), FERRY_OUTCOME_DEAD);
    assert_int_equal(settle(*state, answer_of(429, "")), FERRY_OUTCOME_RETRY);
    assert_int_equal(settle(*state, not_sent), FERRY_OUTCOME_RETRY);
}

static void an_execution_in_doubt_is_parked_or_repeated_as_configured(void **state)
{
    struct run *run = *state;
    assert_int_equal(settle(run, in_doubt), FERRY_OUTCOME_DOUBTFUL);
    ferry_qlik_settle(&run->call, FERRY_IN_DOUBT_RETRY, &in_doubt, &run->effect, &run->verdict);
    assert_int_equal(run->verdict.outcome, FERRY_OUTCOME_RETRY);
    assert_int_equal(run->verdict.code, FERRY_OUTCOME_UNKNOWN);
}

static void oauth_fetches_a_token_once_and_looks_with_it(void **state)
{
    struct run *run = *state;
    use_oauth(run);
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    assert_string_equal(run->effect.method, "POST");
    assert_string_equal(run->effect.url, "https://acme.eu.qlikcloud.com/oauth/token");
    assert_non_null(strstr(run->effect.body.ptr, "\"client_secret\":\"client-secret\""));
    settle(run, answer_of(200, "{\"access_token\":\"t-1\",\"expires_in\":3600}"));
    assert_true(run->verdict.follow_up);
    assert_string_equal(run->effect.method, "GET");
    assert_string_equal(header(&run->effect, "Authorization"), "Bearer t-1");
    assert_int_equal(run->effect.body.len, 0);
    settle(run, answer_of(200, "{\"status\":\"running\"}"));
    assert_string_equal(header(&run->effect, "Authorization"), "Bearer t-1");
}

static void a_withdrawn_token_is_fetched_anew(void **state)
{
    struct run *run = *state;
    use_oauth(run);
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    settle(run, answer_of(200, "{\"access_token\":\"t-1\",\"expires_in\":3600}"));
    settle(run, answer_of(401, ""));
    assert_true(run->verdict.follow_up);
    assert_string_equal(run->effect.url, "https://acme.eu.qlikcloud.com/oauth/token");
}

static void a_refused_login_parks_the_run(void **state)
{
    struct run *run = *state;
    use_oauth(run);
    settle(run, answer_of(200, "{\"status\":\"queued\",\"id\":\"r1\"}"));
    assert_int_equal(settle(run, answer_of(401, "")), FERRY_OUTCOME_DOUBTFUL);
    assert_null(strstr(run->verdict.reason, "client-secret"));
}

static void basic_credentials_are_encoded(void **state)
{
    (void)state;
    struct ferry_qlik_call call = {.auth = {.kind = FERRY_AUTH_BASIC, .user = "u", .password = secret("p")}};
    struct ferry_effect effect;
    ferry_effect_init(&effect);
    assert_true(ferry_login_authorize(call.tenant, &call.auth, &effect));
    assert_string_equal(header(&effect, "Authorization"), "Basic dTpw");
    ferry_effect_done(&effect);
    ferry_secret_done(&call.auth.password);
}

/* ---- bodies ---- */

static struct ferry_event event_of(enum ferry_data_kind kind, struct ferry_slice data)
{
    return (struct ferry_event){.id = FERRY_SLICE("1"),
                                .source = FERRY_SLICE("com.qlik/x"),
                                .type = FERRY_SLICE("com.qlik.user.deleted"),
                                .time = FERRY_SLICE("2026-11-22T19:31:25Z"),
                                .canonical = FERRY_SLICE("user.deleted"),
                                .data_kind = kind,
                                .data = data};
}

static void data_go_as_they_came(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 1000);
    struct ferry_event json = event_of(FERRY_DATA_JSON, FERRY_SLICE("{ \"n\": 1.10, \"big\": 12345678901234567891 }"));
    ferry_body_data(&json, &out);
    assert_string_equal(out.ptr, "{ \"n\": 1.10, \"big\": 12345678901234567891 }");
    ferry_buffer_clear(&out);
    struct ferry_event none = event_of(FERRY_DATA_NONE, (struct ferry_slice){0});
    ferry_body_data(&none, &out);
    assert_string_equal(out.ptr, "{}");
    ferry_buffer_clear(&out);
    struct ferry_event text = event_of(FERRY_DATA_BYTES, FERRY_SLICE("a \"b\""));
    ferry_body_data(&text, &out);
    assert_string_equal(out.ptr, "\"a \\\"b\\\"\"");
    ferry_buffer_clear(&out);
    struct ferry_event bytes = event_of(FERRY_DATA_BYTES, FERRY_SLICE("\xff\x00"));
    ferry_body_data(&bytes, &out);
    assert_string_equal(out.ptr, "{\"data_base64\":\"/wA=\"}");
}

static struct ferry_automation_route qlik_route(void)
{
    return (struct ferry_automation_route){
        .is_qlik = true,
        .qlik = {.tenant = "https://acme.eu.qlikcloud.com", .automation = "a-1", .token = secret("tok")}};
}

static void data_over_the_limit_are_left_out_and_said_to_be(void **state)
{
    (void)state;
    struct ferry_automation_route config = qlik_route();
    struct ferry_qlik_route *route;
    assert_int_equal(ferry_qlik_new(&config, &route, NULL), FERRY_OK);
    char *data = malloc(FERRY_QLIK_BODY_MAX + 1);
    memset(data, '1', FERRY_QLIK_BODY_MAX + 1);
    for (size_t len = FERRY_QLIK_BODY_MAX; len <= FERRY_QLIK_BODY_MAX + 1; len++) {
        struct ferry_effect effect;
        ferry_effect_init(&effect);
        struct ferry_event event = event_of(FERRY_DATA_JSON, ferry_slice_of(data, len));
        assert_int_equal(ferry_qlik_render(route, &event, NULL, &effect, NULL), FERRY_OK);
        if (len == FERRY_QLIK_BODY_MAX)
            assert_int_equal(effect.body.len, len);
        else
            assert_non_null(
                strstr(effect.body.ptr, "\"event\":\"user.deleted\",\"note\":\"data left out: 61441 bytes"));
        assert_string_equal(effect.url, "https://acme.eu.qlikcloud.com/api/v1/automations/a-1/actions/execute");
        assert_string_equal(header(&effect, "X-Execution-Token"), "tok");
        ferry_effect_done(&effect);
    }
    free(data);
    ferry_qlik_free(route);
    ferry_secret_done(&config.qlik.token);
}

static void the_trace_goes_on(void **state)
{
    (void)state;
    struct ferry_effect effect;
    ferry_effect_init(&effect);
    struct ferry_event event = event_of(FERRY_DATA_NONE, (struct ferry_slice){0});
    assert_int_equal(ferry_effect_trace(&event, &effect), FERRY_OK);
    assert_int_equal(effect.header_count, 0);
    event.traceparent = FERRY_SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    event.tracestate = FERRY_SLICE("a=b");
    assert_int_equal(ferry_effect_trace(&event, &effect), FERRY_OK);
    assert_string_equal(header(&effect, "traceparent"), event.traceparent.ptr);
    assert_string_equal(header(&effect, "tracestate"), "a=b");
    ferry_effect_done(&effect);
}

/* ---- requests ---- */

static void a_request_is_made_of_the_event(void **state)
{
    (void)state;
    const struct ferry_secret_header headers[] = {{"Authorization", secret("Bearer crm")}};
    const struct ferry_named_source members[] = {{"status", {.text = "\"inactive\""}}, {"left", {.text = ".time"}}};
    struct ferry_automation_route config = {
        .request = {.method = "PATCH",
                    .url = {.text = "https://crm.example.com/users/\\(.resource.id)?x=\\(.event)"},
                    .headers = headers,
                    .header_count = 1,
                    .json = {.members = members, .member_count = 2}}};
    struct ferry_request_route *route;
    struct ferry_view *view;
    struct ferry_effect effect;
    ferry_effect_init(&effect);
    struct ferry_event event = event_of(FERRY_DATA_JSON, FERRY_SLICE("{\"id\":\"a/b c\"}"));
    assert_int_equal(ferry_request_new(&config, &route, NULL), FERRY_OK);
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    assert_int_equal(ferry_request_render(route, &event, view, "0123", &effect, NULL), FERRY_OK);
    assert_string_equal(effect.method, "PATCH");
    assert_string_equal(effect.url, "https://crm.example.com/users/a%2Fb%20c?x=user.deleted");
    assert_string_equal(effect.body.ptr, "{\"status\":\"inactive\",\"left\":\"2026-11-22T19:31:25Z\"}");
    assert_string_equal(header(&effect, "Authorization"), "Bearer crm");
    assert_string_equal(header(&effect, "Idempotency-Key"), "0123");
    assert_string_equal(header(&effect, "Content-Type"), "application/json");
    ferry_effect_done(&effect);
    ferry_view_free(view);
    ferry_request_free(route);
    struct ferry_secret used = headers[0].value;
    ferry_secret_done(&used);
}

static void a_configured_header_wins_over_ours(void **state)
{
    (void)state;
    const struct ferry_secret_header headers[] = {{"idempotency-key", secret("mine")}};
    struct ferry_automation_route config = {
        .request = {
            .method = "POST", .url = {.text = "https://crm.example.com/x"}, .headers = headers, .header_count = 1}};
    struct ferry_request_route *route;
    struct ferry_view *view;
    struct ferry_effect effect;
    ferry_effect_init(&effect);
    struct ferry_event event = event_of(FERRY_DATA_NONE, (struct ferry_slice){0});
    assert_int_equal(ferry_request_new(&config, &route, NULL), FERRY_OK);
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    assert_int_equal(ferry_request_render(route, &event, view, "0123", &effect, NULL), FERRY_OK);
    assert_string_equal(header(&effect, "idempotency-key"), "mine");
    assert_null(header(&effect, "Idempotency-Key"));
    assert_null(header(&effect, "Content-Type"));
    assert_int_equal(effect.body.len, 0);
    ferry_effect_done(&effect);
    ferry_view_free(view);
    ferry_request_free(route);
    struct ferry_secret used = headers[0].value;
    ferry_secret_done(&used);
}

static void accept_says_what_is_done(void **state)
{
    (void)state;
    const struct ferry_status_range ranges[] = {{200, 299}, {404, 404}, {503, 503}};
    const struct ferry_request_call call = {.accept = ranges, .accept_count = 3};
    const struct ferry_request_call strict = {.accept = ranges + 1, .accept_count = 1};
    const struct {
        const struct ferry_request_call *call;
        int status;
        enum ferry_outcome outcome;
    } cases[] = {
        {&call, 204, FERRY_OUTCOME_DONE},   {&call, 404, FERRY_OUTCOME_DONE},    {&call, 503, FERRY_OUTCOME_DONE},
        {&call, 410, FERRY_OUTCOME_DEAD},   {&call, 500, FERRY_OUTCOME_RETRY},   {&strict, 200, FERRY_OUTCOME_DEAD},
        {&strict, 404, FERRY_OUTCOME_DONE}, {&strict, 429, FERRY_OUTCOME_RETRY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_answer answer = answer_of(cases[i].status, "");
        struct ferry_verdict verdict;
        ferry_request_settle(cases[i].call, FERRY_IN_DOUBT_PARK, &answer, &verdict);
        assert_int_equal(verdict.outcome, cases[i].outcome);
    }
    struct ferry_verdict verdict;
    ferry_request_settle(&call, FERRY_IN_DOUBT_PARK, &in_doubt, &verdict);
    assert_int_equal(verdict.outcome, FERRY_OUTCOME_DOUBTFUL);
    ferry_request_settle(&call, FERRY_IN_DOUBT_RETRY, &in_doubt, &verdict);
    assert_int_equal(verdict.outcome, FERRY_OUTCOME_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_with_output_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queued_run_is_done_where_accepted_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queued_run_is_looked_at_with_the_key_and_without_the_token, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_ends_well_or_as_a_dead_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_goes_on_is_looked_at_ever_more_rarely, setup, teardown),
        cmocka_unit_test_setup_teardown(a_look_that_fails_is_repeated_and_never_the_execution, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_may_not_be_looked_at_is_parked, setup, teardown),
        cmocka_unit_test_setup_teardown(an_odd_run_id_never_gets_into_a_url, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_is_believed_a_few_times, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_token_or_automation_is_permanent, setup, teardown),
        cmocka_unit_test_setup_teardown(an_execution_in_doubt_is_parked_or_repeated_as_configured, setup, teardown),
        cmocka_unit_test_setup_teardown(oauth_fetches_a_token_once_and_looks_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_withdrawn_token_is_fetched_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_login_parks_the_run, setup, teardown),
        cmocka_unit_test(basic_credentials_are_encoded),
        cmocka_unit_test(data_go_as_they_came),
        cmocka_unit_test(data_over_the_limit_are_left_out_and_said_to_be),
        cmocka_unit_test(the_trace_goes_on),
        cmocka_unit_test(a_request_is_made_of_the_event),
        cmocka_unit_test(a_configured_header_wins_over_ours),
        cmocka_unit_test(accept_says_what_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
