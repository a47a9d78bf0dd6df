#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "ferry/lag.h"

/* ---- what waits in a retry topic ---- */

static void take(struct ferry_retry_tally *tally, enum ferry_retry_kind kind, const char *route, int64_t offset)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_record record;
    const struct ferry_record original = {.key = FERRY_SLICE("k"), .value = FERRY_SLICE("{}")};
    const struct ferry_retry_note note = {.route = ferry_slice_from(route),
                                          .origin = {FERRY_SLICE("qlik.app.created"), 0, offset}};
    enum ferry_code code = kind == FERRY_RETRY_ENTRY ? ferry_retry_entry_make(&note, &original, "t", &arena, &record)
                           : kind == FERRY_RETRY_AGAIN
                               ? ferry_retry_again_make(&note, original.key, "t", &arena, &record)
                               : ferry_retry_done_make(&note, original.key, "t", &arena, &record);
    assert_int_equal(code, FERRY_OK);
    ferry_retry_tally_add(tally, &record);
}

static void an_entry_waits_until_it_is_done(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_retry_tally_done) struct ferry_retry_tally tally = {0};
    assert_int_equal(ferry_retry_tally_count(&tally), 0);
    take(&tally, FERRY_RETRY_ENTRY, "a", 1);
    take(&tally, FERRY_RETRY_ENTRY, "a", 2);
    take(&tally, FERRY_RETRY_AGAIN, "a", 1);
    take(&tally, FERRY_RETRY_DONE, "a", 2);
    assert_int_equal(ferry_retry_tally_count(&tally), 1);
}

static void note(struct ferry_retry_tally *tally, enum ferry_retry_kind kind, int64_t offset, const char *error,
                 int attempts, int64_t due_ms)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_record record;
    const struct ferry_record original = {.key = FERRY_SLICE("k"), .value = FERRY_SLICE("{}")};
    const struct ferry_retry_note told = {.route = FERRY_SLICE("a"),
                                          .origin = {FERRY_SLICE("qlik.app.created"), 0, offset},
                                          .attempts = attempts,
                                          .error = ferry_slice_from(error),
                                          .reason = FERRY_SLICE("no answer"),
                                          .first_failure_ms = 1000 + offset,
                                          .due_ms = due_ms};
    enum ferry_code code = kind == FERRY_RETRY_ENTRY
                               ? ferry_retry_entry_make(&told, &original, "t", &arena, &record)
                               : ferry_retry_again_make(&told, original.key, "t", &arena, &record);
    assert_int_equal(code, FERRY_OK);
    ferry_retry_tally_add(tally, &record);
}

static void what_waits_is_grouped_by_route_and_latest_error(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_retry_tally_done) struct ferry_retry_tally tally = {0};
    note(&tally, FERRY_RETRY_ENTRY, 1, "http-busy", 1, 9000);
    note(&tally, FERRY_RETRY_ENTRY, 2, "http-busy", 1, 7000);
    note(&tally, FERRY_RETRY_ENTRY, 3, "http-busy", 2, 8000);
    note(&tally, FERRY_RETRY_AGAIN, 3, "unavailable", 5, 20000);
    note(&tally, FERRY_RETRY_AGAIN, 99, "unavailable", 9, 1); /* whose entry was settled before what is read */
    assert_int_equal(ferry_retry_tally_count(&tally), 3);
    assert_int_equal(tally.group_count, 2);
    assert_string_equal(tally.groups[0].error, "http-busy");
    assert_int_equal(tally.groups[0].waiting, 2);
    assert_int_equal(tally.groups[0].due_ms, 7000);
    assert_int_equal(tally.groups[0].since_ms, 1001);
    assert_string_equal(tally.groups[1].error, "unavailable");
    assert_int_equal(tally.groups[1].waiting, 1);
    assert_int_equal(tally.groups[1].attempts, 5);
    assert_string_equal(tally.groups[1].reason, "no answer");
}

static void routes_and_origins_are_told_apart_and_repeats_count_once(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_retry_tally_done) struct ferry_retry_tally tally = {0};
    take(&tally, FERRY_RETRY_ENTRY, "a", 1);
    take(&tally, FERRY_RETRY_ENTRY, "b", 1);
    take(&tally, FERRY_RETRY_ENTRY, "a", 1);
    take(&tally, FERRY_RETRY_DONE, "b", 1);
    assert_int_equal(ferry_retry_tally_count(&tally), 1);
}

static void what_is_redriven_after_it_was_done_waits_again(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_retry_tally_done) struct ferry_retry_tally tally = {0};
    for (int i = 0; i < 600; i++) { /* more than the first room */
        take(&tally, FERRY_RETRY_ENTRY, "a", i);
        take(&tally, FERRY_RETRY_DONE, "a", i);
    }
    take(&tally, FERRY_RETRY_DONE, "a", 700);
    take(&tally, FERRY_RETRY_ENTRY, "a", 7);
    assert_int_equal(ferry_retry_tally_count(&tally), 1);
}

/* ---- printing ---- */

static struct ferry_lag_partition partitions[] = {{"qlik.app.created", 0, 7, 10, 3, 40000},
                                                  {"qlik.app.created", 1, -1, 0, 0, 0}};
static struct ferry_group_member members[] = {{FERRY_SLICE_LITERAL("ferry"), FERRY_SLICE_LITERAL("/127.0.0.1"), 2}};
static const struct ferry_lag found = {.workers = {{.name = "slack",
                                                    .group = "ferry-slack",
                                                    .state = {FERRY_SLICE_LITERAL("Stable"), members, 1},
                                                    .partitions = partitions,
                                                    .partition_count = 2,
                                                    .lag = 3,
                                                    .oldest_ms = 40000,
                                                    .retries_waiting = 5,
                                                    .dead_letters = 2}},
                                       .worker_count = 1};

static char *printed(bool json, bool all)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (json)
        ferry_lag_print_json(&found, 100000, out);
    else
        ferry_lag_print_text(&found, 100000, all, out);
    fclose(out);
    return text;
}

static void the_table_shows_what_is_behind_and_all_of_it_where_asked(void **state)
{
    (void)state;
    char *text = printed(false, false);
    assert_string_equal(text, "worker  group        state   members  lag  oldest  retries  dead letters\n"
                              "slack   ferry-slack  Stable        1    3    60 s        5             2\n"
                              "\nslack, 2 partitions\n"
                              "topic             partition  committed  end  lag  oldest\n"
                              "qlik.app.created          0          7   10    3    60 s\n");
    free(text);
    text = printed(false, true);
    assert_non_null(strstr(text, "qlik.app.created          1          -    0    0       -\n"));
    free(text);
}

static void the_json_is_whole(void **state)
{
    (void)state;
    char *text = printed(true, false);
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    const json_t *worker = json_array_get(json_object_get(root, "workers"), 0);
    const json_t *list = json_object_get(worker, "partitions");
    assert_int_equal(json_integer_value(json_object_get(worker, "retries_waiting")), 5);
    assert_true(json_real_value(json_object_get(worker, "oldest_seconds")) == 60.0);
    assert_int_equal(json_array_size(list), 2);
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "committed")));
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(json_object_get(worker, "members"), 0), "partitions")), 2);
    json_decref(root);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_waits_until_it_is_done),
        cmocka_unit_test(what_waits_is_grouped_by_route_and_latest_error),
        cmocka_unit_test(routes_and_origins_are_told_apart_and_repeats_count_once),
        cmocka_unit_test(what_is_redriven_after_it_was_done_waits_again),
        cmocka_unit_test(the_table_shows_what_is_behind_and_all_of_it_where_asked),
        cmocka_unit_test(the_json_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
