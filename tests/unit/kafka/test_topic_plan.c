/* With which settings a topic is created. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/kafka/topic_plan.h"

enum { DAY = 24 * 3600 * 1000 };

static struct ferry_config config_with(const struct ferry_property *settings, size_t count)
{
    struct ferry_config config = {
        .topics = {.internal = "ferry", .partitions = 6, .replication = 3, .settings = {settings, count}},
        .slack.worker = {.dedupe_window_ms = 8 * (int64_t)DAY, .retry_for_ms = DAY},
        .mail.worker = {.dedupe_window_ms = DAY, .retry_for_ms = 30 * (int64_t)DAY},
    };
    return config;
}

static const char *planned(const struct ferry_topic_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->setting_count; i++)
        if (strcmp(plan->settings[i].name, name) == 0)
            return plan->settings[i].value;
    return "";
}

static void an_event_topic_takes_what_is_configured(void **state)
{
    (void)state;
    static const char *const topics[] = {
        "qlik.app.created",        "qlik.other", "ferry.operations", "ferry.quarantine",
        "ferryboat.slack.effects", "ferry",      "ferry.",           "ferry.teams.effects",
        "ferry.slack.effects.old"};
    struct ferry_config config = config_with(NULL, 0);
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct ferry_topic_plan plan;
        ferry_topic_plan(&config, topics[i], 12, &plan);
        assert_int_equal(plan.partitions, 6);
        assert_int_equal(plan.replication, 3);
        assert_int_equal(plan.setting_count, 0);
    }
}

static void marks_are_compacted_and_live_as_long_as_the_window(void **state)
{
    (void)state;
    static const struct ferry_property settings[] = {{.name = "retention.ms", .value = "7776000000"}};
    struct ferry_config config = config_with(settings, 1);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.slack.effects", 0, &plan);
    assert_string_equal(planned(&plan, "cleanup.policy"), "compact,delete");
    assert_string_equal(planned(&plan, "retention.ms"), "694800000"); /* 8 days and an hour */
    assert_string_equal(planned(&plan, "retention.bytes"), "-1");
    assert_true(ferry_topic_plan_sets(&plan, "retention.ms"));
    assert_false(ferry_topic_plan_sets(&plan, "min.insync.replicas"));
}

static void marks_and_what_waits_are_as_wide_as_the_widest_input(void **state)
{
    (void)state;
    struct ferry_config config = config_with(NULL, 0);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.slack.effects", 48, &plan);
    assert_int_equal(plan.partitions, 48);
    ferry_topic_plan(&config, "ferry.slack.effects", 2, &plan);
    assert_int_equal(plan.partitions, 6);
    ferry_topic_plan(&config, "ferry.slack.retry", 48, &plan);
    assert_int_equal(plan.partitions, 48);
    ferry_topic_plan(&config, "ferry.slack.dlq", 48, &plan);
    assert_int_equal(plan.partitions, 6);
}

static void what_waits_outlives_its_retries(void **state)
{
    (void)state;
    static const struct ferry_property hour[] = {{.name = "retention.ms", .value = "3600000"}};
    static const struct ferry_property ever[] = {{.name = "retention.ms", .value = "-1"}};
    struct ferry_config config = config_with(hour, 1);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.slack.retry", 0, &plan);
    assert_string_equal(planned(&plan, "retention.ms"), "691200000"); /* a day of retries, and a week */
    config = config_with(ever, 1);
    ferry_topic_plan(&config, "ferry.slack.retry", 0, &plan);
    assert_false(ferry_topic_plan_sets(&plan, "retention.ms"));
    config = config_with(NULL, 0); /* the broker's week is longer than a day of retries, not than a month */
    ferry_topic_plan(&config, "ferry.slack.retry", 0, &plan);
    assert_string_equal(planned(&plan, "retention.ms"), "1209600000");
    ferry_topic_plan(&config, "ferry.mail.retry", 0, &plan);
    assert_string_equal(planned(&plan, "retention.ms"), "3196800000");
}

static void letters_and_waiting_records_are_never_compacted(void **state)
{
    (void)state;
    static const struct ferry_property compact[] = {{.name = "cleanup.policy", .value = "compact"}};
    struct ferry_config config = config_with(compact, 1);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.automation.dlq", 0, &plan);
    assert_string_equal(planned(&plan, "cleanup.policy"), "delete");
    ferry_topic_plan(&config, "ferry.automation.retry", 0, &plan);
    assert_string_equal(planned(&plan, "cleanup.policy"), "delete");
}

static void checkpoints_of_audits_are_compacted_whatever_events_are(void **state)
{
    (void)state;
    static const struct ferry_property day[] = {{.name = "retention.ms", .value = "86400000"},
                                                {.name = "cleanup.policy", .value = "delete"}};
    struct ferry_config config = config_with(day, 2);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.audits", 48, &plan);
    assert_int_equal(plan.partitions, 6);
    assert_string_equal(planned(&plan, "cleanup.policy"), "compact");
    assert_string_equal(planned(&plan, "segment.bytes"), "16777216");
}

static void results_of_triggers_are_gone_after_an_hour(void **state)
{
    (void)state;
    static const struct ferry_property quarter[] = {{.name = "retention.ms", .value = "7776000000"},
                                                    {.name = "cleanup.policy", .value = "compact"}};
    struct ferry_config config = config_with(quarter, 2);
    struct ferry_topic_plan plan;
    ferry_topic_plan(&config, "ferry.results", 48, &plan);
    assert_int_equal(plan.partitions, 6);
    assert_string_equal(planned(&plan, "cleanup.policy"), "delete");
    assert_string_equal(planned(&plan, "retention.ms"), "3600000");
    assert_string_equal(planned(&plan, "segment.ms"), "600000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_topic_takes_what_is_configured),
        cmocka_unit_test(marks_are_compacted_and_live_as_long_as_the_window),
        cmocka_unit_test(marks_and_what_waits_are_as_wide_as_the_widest_input),
        cmocka_unit_test(what_waits_outlives_its_retries),
        cmocka_unit_test(letters_and_waiting_records_are_never_compacted),
        cmocka_unit_test(checkpoints_of_audits_are_compacted_whatever_events_are),
        cmocka_unit_test(results_of_triggers_are_gone_after_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
