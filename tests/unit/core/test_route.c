#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/catalog.h"
#include "core/route.h"
#include "tests/support/arena.h"

static struct ferry_topics_config topics_named(const char *name)
{
    return (struct ferry_topics_config){
        .name = name, .internal = "ferry", .other = "qlik.other", .create = FERRY_CREATE_KNOWN};
}

static void assert_slice(struct ferry_slice actual, const char *expected)
{
    if (!ferry_slice_is(actual, expected))
        fail_msg("%.*s is not %s", FERRY_SLICE_ARGS(actual), expected);
}

/* ---- topics ---- */

static void assert_topic(const char *name, const char *type, const char *expected)
{
    struct ferry_topics_config topics = topics_named(name);
    struct ferry_event event = {.type = ferry_slice_from(type),
                                .canonical = ferry_catalog_canonical(ferry_slice_from(type))};
    struct ferry_slice topic = {NULL, 0};
    struct ferry_error error = {.text = ""};
    if (ferry_route_topic(&topics, &event, &arena, &topic, &error) != FERRY_OK)
        fail_msg("%s: %s", type, error.text);
    assert_slice(topic, expected);
}

static void the_template_names_the_topic(void **state)
{
    (void)state;
    assert_topic("qlik.{event}", "com.qlik.v1.app.created", "qlik.app.created");
    assert_topic("qlik.{event}", "com.qlik.analytics.app.created", "qlik.app.created");
    assert_topic("qlik.{event}", "com.github.push", "qlik.com.github.push");
    assert_topic("qlik.{event}", "com.ferry.trigger.nightly", "qlik.trigger.nightly");
    assert_topic("qlik.{family}", "com.qlik.app.reload.finished", "qlik.app");
    assert_topic("qlik.{family}", "oneword", "qlik.oneword");
    assert_topic("{type}", "com.qlik.v1.app.created", "com.qlik.v1.app.created");
    assert_topic("a-{family}-{event}.{event}", "com.qlik.app.created", "a-app-app.created.app.created");
    assert_topic("all", "com.qlik.app.created", "all");
    assert_topic("{x}.{event", "com.qlik.app.created", "-x-.-event");
}

static void each_character_that_kafka_forbids_becomes_a_dash(void **state)
{
    (void)state;
    assert_topic("{event}", "a/b:c d_E-1.\xC3\xA5\xE2\x82\xAC!", "a-b-c-d_E-1.---");
}

static void assert_no_topic(const char *name, const char *type)
{
    struct ferry_topics_config topics = topics_named(name);
    struct ferry_event event = {.type = ferry_slice_from(type), .canonical = ferry_slice_from(type)};
    struct ferry_slice topic = {NULL, 0};
    assert_int_equal(ferry_route_topic(&topics, &event, &arena, &topic, NULL), FERRY_EVENT_INVALID);
    assert_null(topic.ptr);
}

static void a_name_that_kafka_would_refuse_is_an_invalid_event(void **state)
{
    (void)state;
    char longest[251];
    memset(longest, 'a', sizeof longest - 1);
    longest[250] = '\0';
    assert_no_topic("{event}", longest);
    longest[249] = '\0';
    assert_topic("{event}", longest, longest);
    assert_no_topic("q{event}", longest);
    assert_no_topic("{event}", ".");
    assert_no_topic("{event}", "..");
    assert_no_topic("{event}", "");
}

static void no_event_gets_into_ferrys_own_topics(void **state)
{
    (void)state;
    static const char *const internal[] = {"ferry.slack.retry", "ferry.mail.dlq", "ferry.automation.effects",
                                           "ferry.audits",      "ferry.results",  "ferry.quarantine",
                                           "ferry.operations"};
    for (size_t i = 0; i < sizeof internal / sizeof internal[0]; i++)
        assert_no_topic("{event}", internal[i]);
    assert_topic("{event}", "ferry.slack.other", "ferry.slack.other");
    assert_topic("{event}", "ferry.slack", "ferry.slack");
    assert_topic("{event}", "ferryboat.arrived", "ferryboat.arrived");
}

/* ---- keys ---- */

static struct ferry_pair tenant_and_resource[] = {
    {FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("t1")},
    {FERRY_SLICE_LITERAL("toplevelresourceid"), FERRY_SLICE_LITERAL("r1")}};

static struct ferry_event event_with(const char *data)
{
    return (struct ferry_event){.id = FERRY_SLICE("e1"),
                                .source = FERRY_SLICE("s1"),
                                .type = FERRY_SLICE("com.qlik.app.created"),
                                .canonical = FERRY_SLICE("app.created"),
                                .data_kind = data != NULL ? FERRY_DATA_JSON : FERRY_DATA_NONE,
                                .data = ferry_slice_from(data)};
}

static void assert_key(enum ferry_key kind, const struct ferry_event *event, const char *expected)
{
    struct ferry_topics_config topics = topics_named("{event}");
    topics.key = kind;
    struct ferry_slice key = {NULL, 0};
    assert_int_equal(ferry_route_key(&topics, event, &arena, &key, NULL), FERRY_OK);
    assert_slice(key, expected);
}

static void the_resource_is_looked_for_in_the_contracts_order(void **state)
{
    (void)state;
    struct ferry_event event = event_with("{\"id\":\"d1\",\"attributes\":{\"id\":\"a1\"}}");
    event.extensions = tenant_and_resource;
    event.extension_count = 2;
    event.subject = FERRY_SLICE("sub");
    assert_key(FERRY_KEY_RESOURCE, &event, "r1");
    event.extension_count = 1;
    assert_key(FERRY_KEY_RESOURCE, &event, "d1");
    event.data = FERRY_SLICE("{\"attributes\":{\"id\":\"a1\"}}");
    assert_key(FERRY_KEY_RESOURCE, &event, "a1");
    event.data = FERRY_SLICE("{\"attributes\":{\"name\":\"x\"}}");
    assert_key(FERRY_KEY_RESOURCE, &event, "sub");
    event.subject = (struct ferry_slice){NULL, 0};
    assert_key(FERRY_KEY_RESOURCE, &event, "e1");
}

static void only_strings_and_numbers_identify(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        const char *key;
    } cases[] = {{"{\"id\":12345678901234567891}", "12345678901234567891"},
                 {"{\"id\":1.50}", "1.50"},
                 {"{\"\\u0069d\":\"x\\u00e5\"}", "x\xC3\xA5"},
                 {"{\"id\":\"\"}", "e1"},
                 {"{\"id\":null}", "e1"},
                 {"{\"id\":true}", "e1"},
                 {"{\"id\":{}}", "e1"},
                 {"{\"id\":\"\\ud800\"}", "e1"},
                 {"{\"id\":[1],\"attributes\":{\"id\":2}}", "2"},
                 {"{\"id\":\"\",\"attributes\":{\"id\":\"3\"}}", "3"},
                 {"{\"attributes\":[{\"id\":1}]}", "e1"},
                 {"{\"x\":{\"id\":1}}", "e1"},
                 {"[{\"id\":1}]", "e1"},
                 {"\"id\"", "e1"},
                 {NULL, "e1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_event event = event_with(cases[i].data);
        assert_key(FERRY_KEY_RESOURCE, &event, cases[i].key);
    }
    struct ferry_event bytes = event_with("{\"id\":1}");
    bytes.data_kind = FERRY_DATA_BYTES;
    assert_key(FERRY_KEY_RESOURCE, &bytes, "e1");
}

static void the_other_keys_are_attributes(void **state)
{
    (void)state;
    struct ferry_event event = event_with("{\"id\":\"d1\"}");
    assert_key(FERRY_KEY_TENANT, &event, "s1"); /* no tenant: its source */
    event.extensions = tenant_and_resource;
    event.extension_count = 2;
    assert_key(FERRY_KEY_TENANT, &event, "t1");
    assert_key(FERRY_KEY_TYPE, &event, "com.qlik.app.created");
    assert_key(FERRY_KEY_ID, &event, "e1");
}

/* ---- the set ---- */

static const char *const slack_events[] = {"app.*", "com.github.push", "trigger.nightly", "com.example.*"};
static const char *const mail_events[] = {"user.created"};
static const struct ferry_slack_route slack_routes[] = {{.common = {.name = "a", .events = {slack_events, 4}}}};
static const struct ferry_mail_route mail_routes[] = {{.common = {.name = "b", .events = {mail_events, 1}}}};
static const char *const github_types[] = {"com.github.*", "com.github.star"};
static const char *const qlik_types[] = {"com.qlik.*", "com.qlik.space.created"};
static const struct ferry_webhook_config doors[] = {
    {.path = "/q", .format = FERRY_DOOR_QLIK, .events = {qlik_types, 2}},
    {.path = "/g", .format = FERRY_DOOR_JSON, .events = {github_types, 2}}};
static const struct ferry_trigger_config triggers[] = {{.name = "refresh"}};

static struct ferry_config example(enum ferry_create create)
{
    struct ferry_config config = {
        .topics = topics_named("qlik.{event}"),
        .bridge = {.present = true, .webhooks = doors, .webhook_count = 2, .triggers = triggers, .trigger_count = 1},
        .slack = {.worker = {.present = true}, .routes = slack_routes, .route_count = 1},
        .mail = {.worker = {.present = true}, .routes = mail_routes, .route_count = 1},
    };
    config.topics.create = create;
    return config;
}

static bool has(const struct ferry_topic_set *set, const char *topic)
{
    return ferry_topic_set_has(set, ferry_slice_from(topic));
}

static void what_is_routed_gets_its_topic(void **state)
{
    (void)state;
    static const char *const expected[] = {"ferry.audits",         "ferry.mail.dlq",    "ferry.mail.effects",
                                           "ferry.mail.retry",     "ferry.operations",  "ferry.quarantine",
                                           "ferry.results",        "ferry.slack.dlq",   "ferry.slack.effects",
                                           "ferry.slack.retry",    "qlik.app.created",  "qlik.com.github.push",
                                           "qlik.com.github.star", "qlik.other",        "qlik.trigger.nightly",
                                           "qlik.trigger.refresh", "qlik.user.created", "qlik.app.reload.finished"};
    static const char *const unexpected[] = {"ferry.automation.retry", "qlik.space.created", "qlik.com.github.-",
                                             "qlik.com.example.-",     "qlik.app",           "",
                                             "qlik.user.created2"};
    for (int create = FERRY_CREATE_ROUTED; create <= FERRY_CREATE_NEVER; create++) {
        struct ferry_config config = example((enum ferry_create)create);
        struct ferry_topic_set *set = ferry_topic_set_new(&config);
        for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
            if (!has(set, expected[i]))
                fail_msg("missing: %s", expected[i]);
        for (size_t i = 0; i < sizeof unexpected / sizeof unexpected[0]; i++)
            if (has(set, unexpected[i]))
                fail_msg("not wanted: %s", unexpected[i]);
        ferry_topic_set_free(set);
    }
}

static void what_is_known_gets_its_topic_too(void **state)
{
    (void)state;
    struct ferry_config config = example(FERRY_CREATE_KNOWN);
    struct ferry_topic_set *set = ferry_topic_set_new(&config);
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < count; i++) {
        struct ferry_slice topic;
        assert_int_equal(ferry_route_topic_of(&config.topics, ferry_slice_from(entries[i].canonical),
                                              ferry_slice_from(entries[i].type), &arena, &topic, NULL),
                         FERRY_OK);
        assert_true(ferry_topic_set_has(set, topic));
    }
    assert_true(has(set, "qlik.com.github.push"));
    ferry_topic_set_free(set);
}

static void the_list_is_sorted_and_has_nothing_twice(void **state)
{
    (void)state;
    struct ferry_config config = example(FERRY_CREATE_KNOWN);
    config.topics.name = "qlik.{family}";
    struct ferry_topic_set *set = ferry_topic_set_new(&config);
    struct ferry_topic_list list = ferry_topic_set_list(set);
    assert_true(list.count > 30);
    for (size_t i = 1; i < list.count; i++)
        assert_true(strcmp(list.names[i - 1], list.names[i]) < 0);
    assert_true(has(set, "qlik.app"));
    ferry_topic_set_free(set);
}

static void topics_by_type_hold_every_name_of_an_event(void **state)
{
    (void)state;
    struct ferry_config config = example(FERRY_CREATE_ROUTED);
    config.topics.name = "{type}";
    struct ferry_topic_set *set = ferry_topic_set_new(&config);
    assert_true(has(set, "com.qlik.v1.app.created"));
    assert_true(has(set, "com.qlik.app.created"));
    assert_true(has(set, "com.ferry.trigger.refresh"));
    assert_true(has(set, "com.github.push"));
    assert_false(has(set, "app.created"));
    ferry_topic_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_template_names_the_topic),
        cmocka_unit_test(each_character_that_kafka_forbids_becomes_a_dash),
        cmocka_unit_test(a_name_that_kafka_would_refuse_is_an_invalid_event),
        cmocka_unit_test(no_event_gets_into_ferrys_own_topics),
        cmocka_unit_test(the_resource_is_looked_for_in_the_contracts_order),
        cmocka_unit_test(only_strings_and_numbers_identify),
        cmocka_unit_test(the_other_keys_are_attributes),
        cmocka_unit_test(what_is_routed_gets_its_topic),
        cmocka_unit_test(what_is_known_gets_its_topic_too),
        cmocka_unit_test(the_list_is_sorted_and_has_nothing_twice),
        cmocka_unit_test(topics_by_type_hold_every_name_of_an_event),
    };
    return cmocka_run_group_tests(tests, fresh_arena, free_arena);
}
