/* What a caller is shown of its run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/triggers/feedback.h"
#include "bridge/triggers/feedback_inside.h"

#define RUN_PATH "/triggers/nightly/runs/0123456789abcdef0123456789abcdef/AAAAAAAAAAAAAAAAAAAAAA"

struct fixture {
    struct ferry_results *results;
    struct ferry_trigger_config config;
    struct ferry_trigger trigger;
    struct ferry_arena arena;
    struct ferry_trigger_call call;
    struct ferry_response answer;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->results = ferry_results_new(NULL);
    f->config.name = "nightly";
    f->trigger.config = &f->config;
    f->call = (struct ferry_trigger_call){.trigger = &f->trigger,
                                          .request = {.arena = &f->arena},
                                          .id = "0123456789abcdef0123456789abcdef",
                                          .run_url = "https://ferry.example.com/in" RUN_PATH,
                                          .run_path = RUN_PATH};
    ferry_response_init(&f->answer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ferry_response_done(&f->answer);
    ferry_arena_done(&f->arena);
    ferry_results_free(f->results);
    free(f);
    return 0;
}

/* The run after one more piece of news about it. */
static struct ferry_run *after(struct fixture *f, const char *state, bool final, const char *more)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer value;
    ferry_buffer_init(&value, 1 << 20);
    ferry_buffer_printf(&value,
                        "{\"id\":\"%s\",\"trigger\":\"nightly\",\"route\":\"r\",\"state\":\"%s\",\"final\":%s%s}",
                        f->call.id, state, final ? "true" : "false", more);
    const struct ferry_record record = {.value = ferry_buffer_slice(&value)};
    assert_int_equal(ferry_results_learn(f->results, &record, 0, NULL), FERRY_OK);
    return ferry_results_get(f->results, ferry_slice_from(f->call.id));
}

static const char *answer(struct fixture *f, struct ferry_run *run, bool waited)
{
    ferry_response_done(&f->answer);
    ferry_response_init(&f->answer);
    ferry_feedback_answer(&f->call, run, waited, &f->answer);
    ferry_run_drop(run);
    assert_false(f->answer.body.failed);
    return f->answer.body.ptr != NULL ? f->answer.body.ptr : "";
}

static const char *field(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->answer.field_count; i++)
        if (strcmp(f->answer.fields[i].name, name) == 0)
            return f->answer.fields[i].value;
    return NULL;
}

static void a_wait_is_a_duration_with_a_most(void **state)
{
    const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {{"55s", 55000},
                 {"55", 55000},
                 {"250ms", 250},
                 {"1m", 60000},
                 {"1h", FERRY_FEEDBACK_WAIT_MAX_MS},
                 {"99999999999999999999s", -1},
                 {"999999999h", FERRY_FEEDBACK_WAIT_MAX_MS},
                 {"0", 0},
                 {"", -1},
                 {"s", -1},
                 {"-1", -1},
                 {"1.5s", -1},
                 {"5 s", -1},
                 {"5d", -1}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        f->call.wait = ferry_slice_from(cases[i].text);
        assert_int_equal(ferry_feedback_wait(&f->call, &ms, NULL), cases[i].ms >= 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void a_browser_does_not_wait(void **state)
{
    struct fixture *f = *state;
    int64_t ms = -1;
    f->call.wait = FERRY_SLICE("55s");
    f->call.browser = true;
    assert_true(ferry_feedback_wait(&f->call, &ms, NULL));
    assert_int_equal(ms, 0);
}

static void who_starts_a_run_is_told_where_it_is(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(answer(f, NULL, false),
                        "{\"id\":\"0123456789abcdef0123456789abcdef\",\"trigger\":\"nightly\",\"state\":\"queued\","
                        "\"final\":false,\"known\":false,\"status_url\":\"https://ferry.example.com/in" RUN_PATH
                        "\",\"results\":[]}\n");
    assert_int_equal(f->answer.status, 202);
    assert_string_equal(field(f, "Location"), f->call.run_url);
}

static void who_looks_gets_200(void **state)
{
    struct fixture *f = *state;
    f->call.path.place = FERRY_TRIGGER_RUN;
    answer(f, NULL, false);
    assert_int_equal(f->answer.status, 200);
    assert_null(field(f, "Location"));
}

static void the_output_comes_as_what_it_is_and_never_as_html(void **state)
{
    struct fixture *f = *state;
    const char *json = ",\"output\":{\"type\":\"application/json\",\"text\":\"{\\\"a\\\":\\n1}\",\"truncated\":false}";
    assert_string_equal(answer(f, after(f, "finished", true, json), true), "{\"a\":\n1}");
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.media_type, "application/json");
    const char *page = ",\"output\":{\"type\":\"text/html\",\"text\":\"<b>\",\"truncated\":true}";
    assert_string_equal(answer(f, after(f, "finished", true, page), true), "<b>");
    assert_string_equal(f->answer.media_type, "text/plain; charset=utf-8");
    assert_string_equal(field(f, "Ferry-Truncated"), "true");
}

static void without_an_output_the_answer_is_empty(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(answer(f, after(f, "finished", true, ""), true), "");
    assert_int_equal(f->answer.status, 200);
}

static void without_waiting_the_state_is_the_answer_also_at_the_end(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(answer(f, after(f, "finished", true, ""), false), "\"state\":\"finished\",\"final\":true"));
    assert_int_equal(f->answer.status, 202);
}

static void a_failure_is_a_problem_with_its_reason(void **state)
{
    struct fixture *f = *state;
    const char *error = ",\"error\":{\"code\":\"run-failed\",\"text\":\"run 7: \\\"failed\\\"\"}";
    const char *body = answer(f, after(f, "failed", true, error), true);
    assert_int_equal(f->answer.status, 502);
    assert_string_equal(f->answer.media_type, "application/problem+json");
    assert_non_null(strstr(body, "\"detail\":\"run 7: \\\"failed\\\"\",\"code\":\"run-failed\",\"run\":{\"id\":"));
}

static void what_is_not_over_is_202_to_who_waited(void **state)
{
    struct fixture *f = *state;
    f->call.path.place = FERRY_TRIGGER_RUN;
    answer(f, after(f, "running", false, ""), true);
    assert_int_equal(f->answer.status, 202);
    answer(f, after(f, "queued", true, ",\"run\":\"q\""), true); /* nobody follows it: the end for us */
    assert_int_equal(f->answer.status, 202);
}

static void the_state_is_one_line_whatever_the_output(void **state)
{
    struct fixture *f = *state;
    const char *json = ",\"output\":{\"type\":\"application/json\",\"text\":\"[\\r\\n1,\\n\\\"a\\\\nb\\\"]\"}";
    struct ferry_run *run = after(f, "finished", true, json);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 65536);
    ferry_feedback_json(&f->call, run, &out);
    assert_null(strpbrk(out.ptr, "\r\n"));
    assert_non_null(strstr(out.ptr, "\"output\":[  1, \"a\\nb\"]"));
    ferry_run_drop(run);
}

static void outputs_that_do_not_fit_a_state_are_left_out_whole(void **state)
{
    enum { ROUTES = 6, OUTPUT_BYTES = 240 * 1024 };
    struct fixture *f = *state;
    struct ferry_run *run = NULL;
    char *value = malloc(OUTPUT_BYTES + 512);
    for (int i = 0; i < ROUTES; i++) {
        ferry_run_drop(run);
        int len = snprintf(value, 512,
                           "{\"id\":\"%s\",\"trigger\":\"nightly\",\"route\":\"r%d\",\"routes\":6,"
                           "\"state\":\"finished\",\"final\":true,\"output\":{\"type\":\"text/plain\",\"text\":\"",
                           f->call.id, i);
        memset(value + len, 'x', OUTPUT_BYTES);
        memcpy(value + len + OUTPUT_BYTES, "\"}}", sizeof "\"}}");
        const struct ferry_record record = {.value = ferry_slice_from(value)};
        assert_int_equal(ferry_results_learn(f->results, &record, 0, NULL), FERRY_OK);
        run = ferry_results_get(f->results, ferry_slice_from(f->call.id));
    }
    free(value);
    const char *json = answer(f, run, false);
    assert_in_range(strlen(json), 3 * OUTPUT_BYTES, FERRY_RESPONSE_MAX_BYTES);
    assert_non_null(strstr(json, "\"route\":\"r5\",\"state\":\"finished\",\"final\":true,\"attempts\":0,"
                                 "\"output\":null,\"truncated\":true}"));
}

static void events_say_when_they_are_the_last(void **state)
{
    struct fixture *f = *state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 65536);
    struct ferry_run *run = after(f, "running", false, "");
    ferry_feedback_event(&f->call, run, false, &out);
    assert_memory_equal(out.ptr, "event: state\nid: 1\ndata: {\"id\":", 31);
    assert_null(strstr(out.ptr, "event: end"));
    ferry_run_drop(run);
    run = after(f, "finished", true, "");
    ferry_feedback_event(&f->call, run, false, &out);
    assert_non_null(strstr(out.ptr, "\n\nevent: end\ndata: final\n\n"));
    ferry_run_drop(run);
}

static void a_page_as_an_event_has_every_line_marked(void **state)
{
    struct fixture *f = *state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 65536);
    const char *text = ",\"output\":{\"type\":\"text/plain\",\"text\":\"a\\n\\nevent: end\\r\\rdata: x\\r\\nz\"}";
    struct ferry_run *run = after(f, "running", false, text);
    ferry_feedback_event(&f->call, run, true, &out);
    ferry_run_drop(run);
    assert_null(strchr(out.ptr, '\r'));
    assert_non_null(strstr(out.ptr, "data: a\ndata: \ndata: event: end\ndata: \ndata: data: x\ndata: z"));
    assert_string_equal(strstr(out.ptr, "\n\n"), "\n\n"); /* the one at its end */
}

static void the_page_escapes_everything(void **state)
{
    struct fixture *f = *state;
    f->call.browser = true;
    const char *hostile = ",\"run\":\"<i>\",\"at\":\"'\\\"<i>\",\"attempts\":2,"
                          "\"error\":{\"code\":\"<i>\",\"text\":\"<i>&\"},"
                          "\"output\":{\"type\":\"application/json\",\"text\":\"{\\\"<i>\\\":[\\\"<\\/pre><i>\\\"]}\"}";
    const char *page = answer(f, after(f, "failed", false, hostile), false);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->answer.media_type, "text/html; charset=utf-8");
    assert_null(strstr(page, "<i>"));
    assert_null(strstr(page, "</pre>"));
    assert_non_null(strstr(page, "&lt;/pre&gt;&lt;i&gt;"));
    assert_non_null(strstr(field(f, "Content-Security-Policy"), "default-src 'none'"));
}

static void the_page_leaves_the_address_of_the_call(void **state)
{
    struct fixture *f = *state;
    f->call.browser = true;
    const char *refresh = "<meta http-equiv=\"refresh\" content=\"3;url=/in" RUN_PATH "\">";
    assert_non_null(strstr(answer(f, after(f, "finished", true, ""), false), refresh));
    f->call.path.place = FERRY_TRIGGER_RUN;
    assert_null(strstr(answer(f, after(f, "finished", true, ""), false), "http-equiv"));
    assert_non_null(strstr(answer(f, after(f, "running", false, ""), false), refresh));
}

/* ---- the tree ---- */

static const char *tree(struct ferry_buffer *out, const char *json, size_t max_bytes, bool whole)
{
    ferry_buffer_init(out, 1 << 21);
    ferry_buffer_add_text(out, "before:");
    assert_int_equal(ferry_feedback_tree(ferry_slice_from(json), max_bytes, out), whole);
    assert_false(out->failed);
    assert_memory_equal(out->ptr, "before:", 7);
    return out->ptr + 7;
}

static void json_becomes_a_tree(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    assert_string_equal(tree(&out, "{\"a\":[1,null],\"b\":{},\"\\u0063\":\"x\\ny\"}", 10000, true),
                        "<details open><summary><span class=\"soft\">{3}</span></summary>\n"
                        "<details open><summary><b>a</b>: <span class=\"soft\">[2]</span></summary>\n"
                        "<div><code>1</code></div>\n<div><code>null</code></div>\n</details>\n"
                        "<div><b>b</b>: <code>{}</code></div>\n"
                        "<div><b>c</b>: <code>\"x\ny\"</code></div>\n</details>\n");
}

static void what_is_no_tree_is_text(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    assert_string_equal(tree(&out, "\"<\"", 10000, true), "<pre tabindex=\"0\">\n&quot;&lt;&quot;</pre>\n");
    ferry_buffer_done(&out);
    assert_string_equal(tree(&out, "{no json", 10000, true), "<pre tabindex=\"0\">\n{no json</pre>\n");
}

static void a_tree_that_is_too_large_or_too_deep_is_text(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    char wide[4002], deep[1001];
    for (size_t i = 0; i + 1 < sizeof wide; i += 2)
        memcpy(wide + i, i == 0 ? "[1" : ",1", 2);
    wide[4000] = ']';
    wide[4001] = '\0';
    const char *text = tree(&out, wide, 30000, true); /* the tree would have 40,000 bytes, the text fits */
    assert_memory_equal(text, "<pre", 4);
    ferry_buffer_done(&out);
    text = tree(&out, wide, 6000, false);
    assert_in_range(strlen(text), 900, 7000);
    ferry_buffer_done(&out);
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    deep[1000] = '\0';
    text = tree(&out, deep, 100000, true);
    assert_non_null(strstr(text, "<code>[[[[")); /* from a depth on it stands as it came */
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    char text[1001];
    for (size_t i = 0; i < 1000; i += 2)
        memcpy(text + i, "\xC3\xA5", 2);
    text[1000] = '\0';
    ferry_buffer_init(&out, 65536);
    assert_false(ferry_feedback_text(ferry_slice_from(text), 207, &out));
    assert_null(strstr(out.ptr, "\xC3<"));
    assert_non_null(strstr(out.ptr, "\xA5</pre>"));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_wait_is_a_duration_with_a_most),
        WITH(a_browser_does_not_wait),
        WITH(who_starts_a_run_is_told_where_it_is),
        WITH(who_looks_gets_200),
        WITH(the_output_comes_as_what_it_is_and_never_as_html),
        WITH(without_an_output_the_answer_is_empty),
        WITH(without_waiting_the_state_is_the_answer_also_at_the_end),
        WITH(a_failure_is_a_problem_with_its_reason),
        WITH(what_is_not_over_is_202_to_who_waited),
        WITH(the_state_is_one_line_whatever_the_output),
        WITH(outputs_that_do_not_fit_a_state_are_left_out_whole),
        WITH(events_say_when_they_are_the_last),
        WITH(a_page_as_an_event_has_every_line_marked),
        WITH(the_page_escapes_everything),
        WITH(the_page_leaves_the_address_of_the_call),
        cmocka_unit_test(json_becomes_a_tree),
        cmocka_unit_test(what_is_no_tree_is_text),
        cmocka_unit_test(a_tree_that_is_too_large_or_too_deep_is_text),
        cmocka_unit_test(text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
