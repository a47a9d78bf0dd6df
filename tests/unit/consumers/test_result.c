/* What is told of a trigger's call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "consumers/automation/result.h"

static char token[] = "execution-token-of-the-tests";
static char authorization[] = "Bearer crm-key-of-the-tests";
static char stars[] = "********"; /* a place-holder that somebody forgot */

static const struct ferry_secret_header headers[] = {
    {"Authorization", {authorization, sizeof authorization - 1}},
    {"X-Stars", {stars, sizeof stars - 1}},
};
static const struct ferry_automation_route routes[] = {
    {.common = {.name = "refresh"}, .is_qlik = true, .qlik = {.token = {token, sizeof token - 1}}},
    {.common = {.name = "crm"}, .request = {.headers = headers, .header_count = 2}},
};
static const struct ferry_config config = {.automation = {.routes = routes, .route_count = 2}};
static const struct ferry_event event = {.id = FERRY_SLICE_LITERAL("run-1"),
                                         .type = FERRY_SLICE_LITERAL("com.ferry.trigger.nightly"),
                                         .canonical = FERRY_SLICE_LITERAL("trigger.nightly")};

struct told {
    struct ferry_news news;
    struct ferry_answer answer;
    struct ferry_effect effect;
    struct ferry_verdict verdict;
    struct ferry_result result;
    struct ferry_buffer value;
};

static int setup(void **state)
{
    struct told *told = calloc(1, sizeof *told);
    ferry_effect_init(&told->effect);
    told->answer = (struct ferry_answer){.exchange = FERRY_EXCHANGE_ANSWERED, .status = 200};
    told->news = (struct ferry_news){.kind = FERRY_NEWS_ANSWER,
                                     .event = &event,
                                     .route = "refresh",
                                     .routes = 1,
                                     .attempts = 1,
                                     .config = &config,
                                     .answer = &told->answer,
                                     .effect = &told->effect,
                                     .verdict = &told->verdict};
    ferry_buffer_init(&told->value, FERRY_RESULT_RECORD_MAX);
    *state = told;
    return 0;
}

static int teardown(void **state)
{
    struct told *told = *state;
    ferry_buffer_done(&told->value);
    ferry_effect_done(&told->effect);
    free(told);
    return 0;
}

static const char *print(struct told *told)
{
    ferry_buffer_clear(&told->value);
    ferry_result_print(&told->news, &told->result, 0, &told->value);
    assert_false(told->value.failed);
    return told->value.ptr;
}

static void after(struct told *told, const char *body, enum ferry_outcome outcome, bool follow_up)
{
    told->answer.body = ferry_slice_from(body);
    told->verdict.outcome = outcome;
    told->verdict.follow_up = follow_up;
    assert_true(ferry_result_of(&told->news, &told->result));
}

static void only_calls_of_triggers_are_told(void **state)
{
    (void)state;
    const struct ferry_event other = {.type = FERRY_SLICE("com.qlik.app.created"),
                                      .canonical = FERRY_SLICE("app.created")};
    const struct ferry_event poser = {.type = FERRY_SLICE("trigger.nightly"),
                                      .canonical = FERRY_SLICE("trigger.nightly")};
    assert_true(ferry_result_wanted(&event));
    assert_false(ferry_result_wanted(&other));
    assert_false(ferry_result_wanted(&poser));
}

static void a_call_that_begins_is_running(void **state)
{
    struct told *told = *state;
    told->news.kind = FERRY_NEWS_CALL;
    assert_true(ferry_result_of(&told->news, &told->result));
    assert_string_equal(print(told),
                        "{\"version\":1,\"id\":\"run-1\",\"trigger\":\"nightly\",\"route\":\"refresh\",\"routes\":1,"
                        "\"state\":\"running\",\"final\":false,\"at\":\"1970-01-01T00:00:00.000Z\",\"attempts\":1}");
}

static void the_answer_is_the_output(void **state)
{
    struct told *told = *state;
    after(told, "{\"rows\":3}", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"state\":\"finished\",\"final\":true"));
    assert_non_null(strstr(told->value.ptr, "\"output\":{\"type\":\"application/json\",\"text\":\"{\\\"rows\\\":3}\","
                                            "\"truncated\":false}"));
    after(told, "<b>done</b>", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"type\":\"text/plain\",\"text\":\"<b>done</b>\""));
    after(told, "", FERRY_OUTCOME_DONE, false);
    assert_null(strstr(print(told), "output"));
}

static void json_that_was_cut_is_text(void **state)
{
    struct told *told = *state;
    told->answer.truncated = true;
    after(told, "12", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"type\":\"text/plain\",\"text\":\"12\",\"truncated\":true"));
}

static void a_queued_run_that_nobody_follows_is_at_its_end(void **state)
{
    struct told *told = *state;
    after(told, "{\"status\":\"queued\",\"id\":\"r-1\"}", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"state\":\"queued\",\"final\":true"));
    assert_non_null(strstr(told->value.ptr, "\"run\":\"r-1\""));
    assert_null(strstr(told->value.ptr, "output"));
    told->news.index = 1; /* of a request the same answer is an output like any other */
    after(told, "{\"status\":\"queued\",\"id\":\"r-1\"}", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"state\":\"finished\",\"final\":true"));
}

static void a_run_is_queued_then_running_then_finished(void **state)
{
    struct told *told = *state;
    strcpy(told->effect.note, "r-1");
    told->effect.step = 2;
    after(told, "{\"status\":\"queued\",\"id\":\"r-1\"}", FERRY_OUTCOME_RETRY, true);
    assert_non_null(strstr(print(told), "\"state\":\"queued\",\"final\":false"));
    after(told, "{\"status\":\"running\",\"id\":\"r-1\"}", FERRY_OUTCOME_RETRY, true);
    assert_non_null(strstr(print(told), "\"state\":\"running\",\"final\":false"));
    assert_non_null(strstr(told->value.ptr, "\"run\":\"r-1\""));
    after(told, "{\"status\":\"finished\",\"id\":\"r-1\"}", FERRY_OUTCOME_DONE, false);
    assert_non_null(strstr(print(told), "\"state\":\"finished\",\"final\":true"));
    assert_non_null(strstr(told->value.ptr, "\\\"status\\\":\\\"finished\\\""));
}

static void a_login_is_no_news(void **state)
{
    struct told *told = *state;
    told->answer.body = FERRY_SLICE("{\"access_token\":\"secret\"}");
    told->verdict = (struct ferry_verdict){.outcome = FERRY_OUTCOME_RETRY, .follow_up = true};
    assert_false(ferry_result_of(&told->news, &told->result));
}

static void a_run_that_goes_on_is_told_once_a_minute(void **state)
{
    struct told *told = *state;
    int news = 0;
    told->answer.body = FERRY_SLICE("{\"status\":\"running\",\"id\":\"r-1\"}");
    told->verdict = (struct ferry_verdict){.outcome = FERRY_OUTCOME_RETRY, .follow_up = true};
    for (told->effect.looks = 1; told->effect.looks <= 100; told->effect.looks++)
        news += ferry_result_of(&told->news, &told->result);
    assert_in_range(news, 25, 35);
}

static void a_failed_run_brings_qliks_words_and_is_final_with_its_letter(void **state)
{
    struct told *told = *state;
    told->effect.step = 2;
    ferry_verdict_set(&told->verdict, FERRY_OUTCOME_DEAD, FERRY_RUN_FAILED, "run r-1: failed");
    after(told, "{\"status\":\"failed\",\"error\":[{\"message\":\"no data\"}]}", FERRY_OUTCOME_DEAD, false);
    assert_non_null(strstr(print(told), "\"state\":\"failed\",\"final\":false"));
    assert_non_null(strstr(told->value.ptr, "no data"));
    assert_non_null(strstr(told->value.ptr, "\"error\":{\"code\":\"run-failed\",\"text\":\"run r-1: failed\"}"));
    told->news.kind = FERRY_NEWS_OUTCOME;
    told->news.outcome = FERRY_OUTCOME_DEAD;
    told->news.code = FERRY_RUN_FAILED;
    told->news.reason = "run r-1: failed";
    assert_true(ferry_result_of(&told->news, &told->result));
    assert_non_null(strstr(print(told), "\"state\":\"failed\",\"final\":true"));
}

static void a_refusal_is_told_without_its_body(void **state)
{
    struct told *told = *state;
    told->answer.status = 403;
    told->answer.body = FERRY_SLICE("bad token execution-token-of-the-tests");
    told->verdict = (struct ferry_verdict){.outcome = FERRY_OUTCOME_DEAD, .code = FERRY_HTTP_REFUSED};
    assert_false(ferry_result_of(&told->news, &told->result));
}

static void what_became_of_it_without_an_answer_is_told(void **state)
{
    const struct {
        enum ferry_outcome outcome;
        enum ferry_code code;
        const char *expected;
    } cases[] = {
        {FERRY_OUTCOME_SKIPPED, FERRY_OK, "\"state\":\"failed\",\"final\":true,"},
        {FERRY_OUTCOME_SKIPPED, FERRY_OK, "{\"code\":\"skipped\",\"text\":\"why\"}"},
        {FERRY_OUTCOME_EXPIRED, FERRY_OK, "{\"code\":\"expired\""},
        {FERRY_OUTCOME_DUPLICATE, FERRY_OK, "{\"code\":\"duplicate\""},
        {FERRY_OUTCOME_DEAD, FERRY_TEMPLATE_NULL, "{\"code\":\"template_null\""},
        {FERRY_OUTCOME_DOUBTFUL, FERRY_OUTCOME_UNKNOWN, "{\"code\":\"outcome-unknown\""},
        {FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY, "\"state\":\"queued\",\"final\":false,"},
        {FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY, "{\"code\":\"http-busy\",\"text\":\"why\"}"},
    };
    struct told *told = *state;
    told->news.kind = FERRY_NEWS_OUTCOME;
    told->news.reason = "why";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        told->news.outcome = cases[i].outcome;
        told->news.code = cases[i].code;
        assert_true(ferry_result_of(&told->news, &told->result));
        assert_non_null(strstr(print(told), cases[i].expected));
    }
}

static void secrets_are_blotted_out_of_the_output(void **state)
{
    struct told *told = *state;
    after(told, "called with execution-token-of-the-tests, twice execution-token-of-the-tests", FERRY_OUTCOME_DONE,
          false);
    assert_null(strstr(print(told), "execution-token"));
    assert_non_null(strstr(told->value.ptr, "called with ****"));
    told->news.index = 1;
    after(told, "{\"authorization\":\"Bearer crm-key-of-the-tests\",\"x\":\"********\"}", FERRY_OUTCOME_DONE, false);
    assert_null(strstr(print(told), "crm-key"));
    assert_non_null(strstr(told->value.ptr, "application/json"));
}

static char *filled(size_t len, const char *with)
{
    char *text = malloc(len + 1);
    size_t step = strlen(with);
    for (size_t i = 0; i < len; i++)
        text[i] = with[i % step];
    text[len] = '\0';
    return text;
}

static void a_large_output_is_cut_between_characters(void **state)
{
    struct told *told = *state;
    char *text = filled(300 * 1024, "\xC3\xA5.");
    after(told, text, FERRY_OUTCOME_DONE, false);
    print(told);
    assert_in_range(told->value.len, 256 * 1024 - 3, 258 * 1024);
    assert_null(strstr(told->value.ptr, "\xEF\xBF\xBD"));
    assert_non_null(strstr(told->value.ptr, "\"truncated\":true"));
    free(text);
}

static void a_large_output_of_control_characters_still_fits_a_record(void **state)
{
    struct told *told = *state;
    char *text = filled(256 * 1024, "\x01");
    after(told, text, FERRY_OUTCOME_DONE, false);
    print(told);
    assert_in_range(told->value.len, 100 * 1024, FERRY_RESULT_RECORD_MAX);
    assert_non_null(strstr(told->value.ptr, "\"truncated\":true"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_calls_of_triggers_are_told),
        cmocka_unit_test_setup_teardown(a_call_that_begins_is_running, setup, teardown),
        cmocka_unit_test_setup_teardown(the_answer_is_the_output, setup, teardown),
        cmocka_unit_test_setup_teardown(json_that_was_cut_is_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queued_run_that_nobody_follows_is_at_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_is_queued_then_running_then_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(a_login_is_no_news, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_goes_on_is_told_once_a_minute, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_run_brings_qliks_words_and_is_final_with_its_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_told_without_its_body, setup, teardown),
        cmocka_unit_test_setup_teardown(what_became_of_it_without_an_answer_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_blotted_out_of_the_output, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_output_is_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_output_of_control_characters_still_fits_a_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
