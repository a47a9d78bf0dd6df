/* What is remembered of runs, and what is told to whoever waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/triggers/results.h"

enum { HOUR_MS = 3600 * 1000 };

static int setup(void **state)
{
    *state = ferry_results_new(NULL);
    return *state == NULL;
}

static int teardown(void **state)
{
    ferry_results_free(*state);
    return 0;
}

static enum ferry_code learn_at(struct ferry_results *results, const char *value, int64_t mono_ms)
{
    const struct ferry_record record = {.value = ferry_slice_from(value)};
    return ferry_results_learn(results, &record, mono_ms, NULL);
}

static void learn(struct ferry_results *results, const char *value)
{
    assert_int_equal(learn_at(results, value, 0), FERRY_OK);
}

static struct ferry_run *get(struct ferry_results *results, const char *id)
{
    return ferry_results_get(results, ferry_slice_from(id));
}

/* The state of the run `r`, and whether it is final: "queued", "finished!". */
static const char *state_of(struct ferry_results *results)
{
    static char text[32];
    struct ferry_run *run = get(results, "r");
    snprintf(text, sizeof text, "%s%s", run != NULL ? ferry_run_state_name(run->state) : "unknown",
             run != NULL && run->final ? "!" : "");
    ferry_run_drop(run);
    return text;
}

#define TOLD(route, routes, state, final, more)                                                        \
    "{\"id\":\"r\",\"trigger\":\"t\",\"route\":\"" route "\",\"routes\":" routes ",\"state\":\"" state \
    "\",\"final\":" final more "}"
#define ERROR(code) ",\"error\":{\"code\":\"" code "\",\"text\":\"why\"}"
#define OUTPUT(text) ",\"output\":{\"type\":\"application/json\",\"text\":\"" text "\",\"truncated\":false}"

static void a_run_goes_from_state_to_state(void **state)
{
    assert_string_equal(state_of(*state), "unknown");
    learn(*state, TOLD("a", "1", "queued", "false", ""));
    assert_string_equal(state_of(*state), "queued");
    learn(*state, TOLD("a", "1", "running", "false", ""));
    assert_string_equal(state_of(*state), "running");
    learn(*state, TOLD("a", "1", "finished", "true", OUTPUT("[1]")));
    assert_string_equal(state_of(*state), "finished!");
    struct ferry_run *run = get(*state, "r");
    assert_int_equal(run->result_count, 1);
    assert_true(ferry_slice_is(run->results[0]->output, "[1]"));
    ferry_run_drop(run);
}

static void a_run_of_two_routes_ends_when_both_have(void **state)
{
    learn(*state, TOLD("a", "2", "finished", "true", ""));
    assert_string_equal(state_of(*state), "running");
    learn(*state, TOLD("b", "2", "queued", "false", ""));
    assert_string_equal(state_of(*state), "running");
    learn(*state, TOLD("b", "2", "finished", "true", ""));
    assert_string_equal(state_of(*state), "finished!");
}

static void a_run_has_failed_when_one_of_its_routes_has(void **state)
{
    learn(*state, TOLD("a", "2", "failed", "true", ERROR("run-failed")));
    learn(*state, TOLD("b", "2", "finished", "true", ""));
    assert_string_equal(state_of(*state), "failed!");
}

static void a_route_that_had_nothing_to_do_does_not_count(void **state)
{
    learn(*state, TOLD("a", "2", "failed", "true", ERROR("skipped")));
    assert_string_equal(state_of(*state), "running");
    learn(*state, TOLD("b", "2", "finished", "true", ""));
    assert_string_equal(state_of(*state), "finished!");
}

static void a_run_with_nothing_to_do_at_all_has_failed(void **state)
{
    learn(*state, TOLD("a", "1", "failed", "true", ERROR("skipped")));
    assert_string_equal(state_of(*state), "failed!");
}

static void what_had_been_done_before_does_not_change_an_end(void **state)
{
    const char *const voids[] = {TOLD("a", "1", "failed", "true", ERROR("duplicate")),
                                 TOLD("a", "1", "failed", "true", ERROR("skipped")),
                                 TOLD("a", "1", "failed", "true", ERROR("expired"))};
    learn(*state, TOLD("a", "1", "finished", "true", OUTPUT("[1]")));
    for (size_t i = 0; i < sizeof voids / sizeof voids[0]; i++) {
        learn(*state, voids[i]);
        assert_string_equal(state_of(*state), "finished!");
    }
}

static void what_had_been_done_before_ends_what_was_open(void **state)
{
    learn(*state, TOLD("a", "1", "running", "false", ""));
    learn(*state, TOLD("a", "1", "failed", "true", ERROR("duplicate")));
    assert_string_equal(state_of(*state), "failed!");
}

static void a_dead_letter_that_is_tried_again_may_still_finish(void **state)
{
    learn(*state, TOLD("a", "1", "failed", "true", ERROR("http-refused")));
    learn(*state, TOLD("a", "1", "running", "false", ""));
    assert_string_equal(state_of(*state), "running");
    learn(*state, TOLD("a", "1", "finished", "true", ""));
    assert_string_equal(state_of(*state), "finished!");
}

static void a_failed_run_keeps_its_output_when_its_letter_is_written(void **state)
{
    learn(*state, TOLD("a", "1", "failed", "false", OUTPUT("[7]")));
    assert_string_equal(state_of(*state), "failed");
    learn(*state, TOLD("a", "1", "failed", "true", ERROR("run-failed")));
    assert_string_equal(state_of(*state), "failed!");
    struct ferry_run *run = get(*state, "r");
    assert_true(ferry_slice_is(run->results[0]->output, "[7]"));
    assert_true(ferry_slice_is(run->results[0]->output_type, "application/json"));
    ferry_run_drop(run);
}

static void a_run_that_is_held_stays_as_it_was(void **state)
{
    learn(*state, TOLD("a", "1", "running", "false", ""));
    struct ferry_run *before = get(*state, "r");
    learn(*state, TOLD("a", "1", "finished", "true", ""));
    struct ferry_run *after = get(*state, "r");
    assert_int_equal(before->state, FERRY_RUN_IS_RUNNING);
    assert_int_equal(after->state, FERRY_RUN_HAS_FINISHED);
    assert_true(after->version > before->version);
    ferry_run_drop(before);
    ferry_run_drop(after);
}

static void what_is_no_result_is_refused(void **state)
{
    const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"trigger\":\"t\",\"state\":\"queued\"}",
        "{\"id\":\"r\",\"state\":\"queued\"}",
        "{\"id\":7,\"trigger\":\"t\",\"state\":\"queued\"}",
        "{\"id\":\"r\",\"trigger\":\"t\"}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"flying\"}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"queued\",\"final\":1}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"queued\",\"routes\":0}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"queued\",\"routes\":99999999999999999999}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"queued\",\"output\":\"text\"}",
        "{\"id\":\"r\",\"trigger\":\"t\",\"state\":\"queued\",\"error\":{\"code\":1}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(learn_at(*state, bad[i], 0), FERRY_RECORD_INVALID);
    assert_string_equal(state_of(*state), "unknown");
}

static void output_that_only_claims_to_be_json_is_text(void **state)
{
    learn(*state, TOLD("a", "1", "finished", "true", OUTPUT("<b>")));
    struct ferry_run *run = get(*state, "r");
    assert_true(ferry_slice_is(run->results[0]->output_type, "text/plain"));
    ferry_run_drop(run);
}

static void runs_are_forgotten_by_age_the_oldest_first(void **state)
{
    char value[256];
    assert_int_equal(learn_at(*state, TOLD("a", "1", "running", "false", ""), 0), FERRY_OK);
    for (int i = 1; i <= 3; i++) {
        snprintf(value, sizeof value, "{\"id\":\"o%d\",\"trigger\":\"t\",\"state\":\"queued\"}", i);
        assert_int_equal(learn_at(*state, value, (int64_t)i * HOUR_MS / 2), FERRY_OK);
    }
    assert_string_equal(state_of(*state), "unknown");
    struct ferry_run *young = get(*state, "o3");
    assert_non_null(young);
    ferry_run_drop(young);
}

static void runs_are_forgotten_when_there_are_too_many(void **state)
{
    char value[256];
    for (int i = 0; i < 21000; i++) {
        snprintf(value, sizeof value, "{\"id\":\"o%d\",\"trigger\":\"t\",\"state\":\"queued\"}", i);
        assert_int_equal(learn_at(*state, value, 0), FERRY_OK);
    }
    assert_null(get(*state, "o0"));
    struct ferry_run *last = get(*state, "o20999");
    assert_non_null(last);
    ferry_run_drop(last);
}

static void runs_are_forgotten_when_their_outputs_are_too_large(void **state)
{
    enum { OUTPUT_BYTES = 250 * 1024, RUNS = 200 };
    char *value = malloc(OUTPUT_BYTES + 256);
    for (int i = 0; i < RUNS; i++) {
        int len =
            snprintf(value, 256, "{\"id\":\"o%d\",\"trigger\":\"t\",\"state\":\"finished\",\"output\":{\"text\":\"", i);
        memset(value + len, 'x', OUTPUT_BYTES);
        memcpy(value + len + OUTPUT_BYTES, "\"}}", sizeof "\"}}");
        assert_int_equal(learn_at(*state, value, 0), FERRY_OK);
    }
    free(value);
    assert_null(get(*state, "o0"));
    struct ferry_run *last = get(*state, "o199");
    assert_int_equal(last->results[0]->output.len, OUTPUT_BYTES);
    ferry_run_drop(last);
}

static int changes;

static void count_change(struct ferry_watch *watch)
{
    (void)watch;
    changes++;
}

static void who_watches_a_run_hears_of_its_changes_alone(void **state)
{
    struct ferry_watch mine = {.id = FERRY_SLICE("r"), .changed = count_change};
    struct ferry_watch other = {.id = FERRY_SLICE("s"), .changed = count_change};
    changes = 0;
    ferry_results_watch(*state, &mine);
    ferry_results_watch(*state, &other);
    learn(*state, TOLD("a", "1", "queued", "false", ""));
    assert_int_equal(changes, 1);
    learn(*state, TOLD("a", "1", "finished", "true", ""));
    assert_int_equal(changes, 2);
    learn(*state, TOLD("a", "1", "failed", "true", ERROR("duplicate")));
    assert_int_equal(changes, 2); /* that changed nothing */
    ferry_results_unwatch(*state, &other);
    ferry_results_unwatch(*state, &mine);
    learn(*state, TOLD("a", "1", "running", "false", ""));
    assert_int_equal(changes, 2);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_run_goes_from_state_to_state),
        WITH(a_run_of_two_routes_ends_when_both_have),
        WITH(a_run_has_failed_when_one_of_its_routes_has),
        WITH(a_route_that_had_nothing_to_do_does_not_count),
        WITH(a_run_with_nothing_to_do_at_all_has_failed),
        WITH(what_had_been_done_before_does_not_change_an_end),
        WITH(what_had_been_done_before_ends_what_was_open),
        WITH(a_dead_letter_that_is_tried_again_may_still_finish),
        WITH(a_failed_run_keeps_its_output_when_its_letter_is_written),
        WITH(a_run_that_is_held_stays_as_it_was),
        WITH(what_is_no_result_is_refused),
        WITH(output_that_only_claims_to_be_json_is_text),
        WITH(runs_are_forgotten_by_age_the_oldest_first),
        WITH(runs_are_forgotten_when_there_are_too_many),
        WITH(runs_are_forgotten_when_their_outputs_are_too_large),
        WITH(who_watches_a_run_hears_of_its_changes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
