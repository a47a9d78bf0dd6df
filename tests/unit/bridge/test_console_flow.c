/* What the console counts of the events that flow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/console/flow.h"
#include "core/clock.h"

#define NOW_MS INT64_C(1764000000000) /* the beginning of a bucket */

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct ferry_flow));
    return *state == NULL;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

/* An event that happened at `event_ms` and came to Kafka at `at_ms`. */
static void add(struct ferry_flow *flow, const char *name, int64_t event_ms, int64_t at_ms, int64_t offset)
{
    char time[FERRY_TIME_TEXT];
    ferry_time_format(event_ms, time);
    struct ferry_pair headers[] = {{FERRY_SLICE("ferry-event"), ferry_slice_from(name)},
                                   {FERRY_SLICE("ce_id"), FERRY_SLICE("id-1")},
                                   {FERRY_SLICE("ce_time"), ferry_slice_from(time)}};
    const struct ferry_record record = {.topic = FERRY_SLICE("qlik.app.created"),
                                        .offset = offset,
                                        .timestamp_ms = at_ms,
                                        .headers = headers,
                                        .header_count = 3};
    ferry_flow_add(flow, &record, NOW_MS);
}

static json_t *print(struct ferry_flow *flow, int64_t now_ms)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 1 << 20);
    ferry_buffer_add_char(&out, '{');
    ferry_flow_print(flow, now_ms, &out);
    ferry_buffer_add_char(&out, '}');
    assert_false(out.failed);
    json_error_t problem;
    json_t *root = json_loads(out.ptr, 0, &problem);
    if (root == NULL)
        fail_msg("%s: %s", problem.text, out.ptr);
    return root;
}

static json_int_t count_of(const json_t *event, size_t bucket)
{
    return json_integer_value(json_array_get(json_object_get(event, "counts"), bucket));
}

static void events_are_counted_by_name_and_half_minute(void **state)
{
    struct ferry_flow *flow = *state;
    add(flow, "app.created", NOW_MS - 40000, NOW_MS - 31000, 0);
    add(flow, "app.created", NOW_MS, NOW_MS, 1);
    add(flow, "user.deleted", NOW_MS, NOW_MS, 2);
    json_t *root = print(flow, NOW_MS), *events = json_object_get(json_object_get(root, "flow"), "events");
    assert_int_equal(json_array_size(events), 2);
    const json_t *app = json_array_get(events, 0);
    assert_int_equal(json_integer_value(json_object_get(app, "total")), 2);
    assert_int_equal(count_of(app, FERRY_FLOW_BUCKETS - 1), 1);
    assert_int_equal(count_of(app, FERRY_FLOW_BUCKETS - 3), 1);
    json_decref(root);
    root = print(flow, NOW_MS + FERRY_FLOW_WINDOW_MS - FERRY_FLOW_BUCKET_MS);
    app = json_array_get(json_object_get(json_object_get(root, "flow"), "events"), 0);
    assert_int_equal(json_integer_value(json_object_get(app, "total")), 1);
    assert_int_equal(count_of(app, 0), 1);
    json_decref(root);
    root = print(flow, NOW_MS + 5 * FERRY_FLOW_WINDOW_MS);
    app = json_array_get(json_object_get(json_object_get(root, "flow"), "events"), 0);
    assert_int_equal(json_integer_value(json_object_get(app, "total")), 0);
    json_decref(root);
}

static void times_out_of_the_window_do_no_harm(void **state)
{
    struct ferry_flow *flow = *state;
    add(flow, "app.created", 0, -1, 0);
    add(flow, "app.created", 0, INT64_C(253402300799000), 1);
    add(flow, "app.created", 0, NOW_MS - 2 * FERRY_FLOW_WINDOW_MS, 2);
    add(flow, "app.created", NOW_MS, NOW_MS, 3);
    json_t *root = print(flow, NOW_MS);
    const json_t *app = json_array_get(json_object_get(json_object_get(root, "flow"), "events"), 0);
    assert_int_equal(json_integer_value(json_object_get(app, "total")), 1);
    json_decref(root);
}

static void delays_are_told_as_what_half_and_most_stay_below(void **state)
{
    struct ferry_flow *flow = *state;
    for (int i = 0; i < 90; i++)
        add(flow, "app.created", NOW_MS - 100, NOW_MS, i);
    for (int i = 0; i < 10; i++)
        add(flow, "app.created", NOW_MS - 5000, NOW_MS, 90 + i);
    int64_t half = ferry_flow_delay(&flow->events[0], 0.5), most = ferry_flow_delay(&flow->events[0], 0.95);
    assert_in_range(half, 100, 119);
    assert_in_range(most, 5000, 5950);
    const struct ferry_flow_event none = {.last_ms = 0};
    assert_int_equal(ferry_flow_delay(&none, 0.5), -1);
}

static void the_newest_events_are_kept_whatever_comes_first(void **state)
{
    struct ferry_flow *flow = *state;
    for (int i = 0; i < 2 * FERRY_FLOW_RECENT; i++) /* the odd ones first, backwards */
        add(flow, "app.created", NOW_MS, NOW_MS - (i % 2 == 0 ? i : 2 * FERRY_FLOW_RECENT - i), i);
    assert_int_equal(flow->recent_count, FERRY_FLOW_RECENT);
    for (size_t i = 0; i < flow->recent_count; i++)
        assert_true(flow->recent[i].at_ms >= NOW_MS - FERRY_FLOW_RECENT);
}

static void too_many_names_are_counted_together(void **state)
{
    struct ferry_flow *flow = *state;
    char name[32];
    for (int i = 0; i < FERRY_FLOW_NAMES + 20; i++) {
        snprintf(name, sizeof name, "com.acme.n%d", i);
        add(flow, name, NOW_MS, NOW_MS, i);
    }
    assert_int_equal(flow->event_count, FERRY_FLOW_NAMES);
    assert_string_equal(flow->events[FERRY_FLOW_NAMES - 1].name, "other");
    assert_int_equal(flow->events[FERRY_FLOW_NAMES - 1].counts[flow->newest % FERRY_FLOW_BUCKETS], 21);
}

static void add_mark(struct ferry_flow *flow, const char *value, int64_t at_ms, bool named)
{
    struct ferry_pair headers[] = {{FERRY_SLICE("ferry-route"), FERRY_SLICE("new-app")},
                                   {FERRY_SLICE("ferry-event"), FERRY_SLICE("app.created")},
                                   {FERRY_SLICE("ce_time"), FERRY_SLICE("2025-11-24T15:59:58Z")}};
    const struct ferry_record record = {
        .value = ferry_slice_from(value), .timestamp_ms = at_ms, .headers = headers, .header_count = named ? 3 : 0};
    ferry_flow_add_effect(flow, "slack", &record);
}

static void a_routes_last_effect_is_its_newest_mark(void **state)
{
    struct ferry_flow *flow = *state;
    add_mark(flow, "intent", NOW_MS, true);
    add_mark(flow, "done", NOW_MS, false);
    assert_null(ferry_flow_route(flow, "slack", "new-app"));
    add_mark(flow, "done", NOW_MS, true);
    add_mark(flow, "doubt", NOW_MS - 1, true);
    const struct ferry_flow_route *route = ferry_flow_route(flow, "slack", "new-app");
    assert_non_null(route);
    assert_int_equal(route->at_ms, NOW_MS);
    assert_int_equal(route->delay_ms, 2000);
    assert_int_equal(route->count, 2);
    assert_false(route->doubtful);
    assert_null(ferry_flow_route(flow, "mail", "new-app"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_are_counted_by_name_and_half_minute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_out_of_the_window_do_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(delays_are_told_as_what_half_and_most_stay_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_events_are_kept_whatever_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_names_are_counted_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_routes_last_effect_is_its_newest_mark, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
