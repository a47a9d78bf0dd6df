/* Every row of the admission table: what refuses, in which order, and what records come out. */
#include "doors.h"

#include "bridge/admit.h"

static const char yaml[] = "kafka: {bootstrap.servers: '127.0.0.1:9'}\n"
                           "bridge:\n"
                           "  webhooks:\n"
                           "    - path: /qlik\n"
                           "      secrets: [{env: FERRY_TEST_SECRET}]\n"
                           "    - path: /no-quarantine\n"
                           "      secrets: [{env: FERRY_TEST_SECRET}]\n"
                           "      quarantine: false\n"
                           "    - path: /mine\n"
                           "      secrets: [{env: FERRY_TEST_SECRET}]\n"
                           "      tenants: [mine]\n"
                           "    - path: /strict\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['com.acme.*']\n"
                           "    - path: /any\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['*']\n"
                           "    - path: /relay\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['com.qlik.*', 'app.*']\n"
                           "    - path: /limited\n"
                           "      format: cloudevents\n"
                           "      signature: none\n"
                           "      events: ['com.acme.*']\n"
                           "      rate: 2/1m\n"
                           "      headers: {X-Caller: {env: FERRY_TEST_SECRET}}\n"
                           "      allow_origins: [good.example]\n"
                           "    - path: /github\n"
                           "      format: json\n"
                           "      signature: none\n"
                           "      events: ['com.github.*']\n"
                           "      type: 'com.github.\\(.headers[\"x-github-event\"])'\n"
                           "      id: '\\(.headers[\"x-github-delivery\"])-\\(.data.number)'\n"
                           "      source: https://github.com/acme\n";

enum { PAIRS = 8 };

struct fixture {
    struct ferry_snapshot *snapshot;
    struct ferry_admit_thread *thread;
    struct ferry_arena arena;
    struct ferry_admission admission;
    struct ferry_error error;
    struct ferry_pair pairs[PAIRS];
    size_t pair_count;
    int64_t mono_ms;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->snapshot = doors_open(yaml);
    fixture->thread = ferry_admit_thread_new();
    fixture->mono_ms = 1000000;
    ferry_arena_init(&fixture->arena);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ferry_admit_thread_free(fixture->thread);
    ferry_snapshot_drop(fixture->snapshot);
    ferry_arena_done(&fixture->arena);
    free(fixture);
    return 0;
}

static void header(struct fixture *fixture, const char *name, const char *value)
{
    assert_true(fixture->pair_count < PAIRS);
    fixture->pairs[fixture->pair_count++] = (struct ferry_pair){ferry_slice_from(name), ferry_slice_from(value)};
}

/* The whole way of a request through both tables. */
static enum ferry_code request(struct fixture *fixture, const char *method, const char *path, struct ferry_slice body)
{
    struct ferry_admit_request in = {
        .method = ferry_slice_from(method),
        .path = ferry_slice_from(path),
        .headers = {fixture->pairs, fixture->pair_count},
        .body = body,
        .wall_ms = 1795374685123,
        .mono_ms = fixture->mono_ms,
    };
    enum ferry_code code = ferry_admit_head(fixture->snapshot, &in, &fixture->admission, &fixture->error);
    if (code == FERRY_OK)
        code = ferry_admit_body(fixture->snapshot, &in, fixture->thread, &fixture->arena, &fixture->admission,
                                &fixture->error);
    return code;
}

static enum ferry_code post(struct fixture *fixture, const char *path, const char *body)
{
    return request(fixture, "POST", path, ferry_slice_from(body));
}

static enum ferry_code post_signed(struct fixture *fixture, const char *path, const char *body)
{
    header(fixture, "Qlik-Signature", doors_sign(ferry_slice_from(body)));
    header(fixture, "Content-Type", "application/json");
    return post(fixture, path, body);
}

static enum ferry_code post_event(struct fixture *fixture, const char *path, const char *type)
{
    char body[512];
    snprintf(body, sizeof body, "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"%s\"}", type);
    fixture->pair_count = 0;
    header(fixture, "Content-Type", "application/cloudevents+json");
    return request(fixture, "POST", path, ferry_arena_slice(&fixture->arena, ferry_slice_from(body)));
}

static const char *record_header(const struct fixture *fixture, const char *name)
{
    static char text[256];
    struct ferry_slice value = ferry_record_header(&fixture->admission.records[0], name);
    if (value.ptr == NULL)
        return NULL;
    snprintf(text, sizeof text, "%.*s", FERRY_SLICE_ARGS(value));
    return text;
}

static void assert_slice(struct ferry_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.ptr, text, slice.len);
}

/* ---- before the body ---- */

static void an_unknown_path_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/", "", "/qlik/", "/QLIK", "//qlik", "/qlik/..", "/%71lik", "/qlikx", "/qli"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(post(fixture, paths[i], "{}"), FERRY_NOT_FOUND);
        assert_null(fixture->admission.door);
    }
}

static void another_method_than_post_is_refused_and_the_door_is_known(void **state)
{
    struct fixture *fixture = *state;
    static const char *const methods[] = {"GET", "PUT", "OPTIONS", "post", "POSTS"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_int_equal(request(fixture, methods[i], "/qlik", FERRY_SLICE("{}")), FERRY_METHOD);
        assert_string_equal(fixture->admission.door->config->path, "/qlik");
    }
}

static void over_the_rate_the_answer_says_when_to_come_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_RATE);
    assert_int_equal(fixture->admission.retry_after_ms, 30000);
    fixture->mono_ms += 30000;
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
}

static void a_wrong_method_takes_nothing_from_the_rate(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(request(fixture, "GET", "/limited", FERRY_SLICE("")), FERRY_METHOD);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
}

static void a_required_header_must_be_there_once_and_match(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "X-Caller", "somebody else");
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    fixture->pair_count = 0;
    header(fixture, "x-caller", DOORS_SECRET);
    header(fixture, "X-Caller", DOORS_SECRET);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    fixture->mono_ms += 60000;
    fixture->pair_count = 1;
    header(fixture, "Content-Type", "application/cloudevents+json");
    assert_int_equal(post(fixture, "/limited",
                          "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
                          "\"type\":\"com.acme.x\"}"),
                     FERRY_OK);
}

/* ---- with the body ---- */

static void nothing_is_parsed_before_the_signature_is_right(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Encoding", "gzip");
    assert_int_equal(post(fixture, "/qlik", "{\"cut\":"), FERRY_SIGNATURE_MISSING);
    header(fixture, "Qlik-Signature", doors_sign(FERRY_SLICE("another body")));
    assert_int_equal(post(fixture, "/qlik", "{\"cut\":"), FERRY_SIGNATURE_WRONG);
    header(fixture, "Qlik-Signature", doors_sign(FERRY_SLICE("{\"cut\":")));
    assert_int_equal(post(fixture, "/qlik", "{\"cut\":"), FERRY_SIGNATURE_REPEATED);
}

static void a_content_coding_other_than_identity_is_refused(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Encoding", "gzip");
    assert_int_equal(post_signed(fixture, "/qlik", "{}"), FERRY_MEDIA_TYPE);
    fixture->pair_count = 0;
    header(fixture, "Content-Encoding", "Identity");
    assert_int_equal(post_signed(fixture, "/qlik", "{}"), FERRY_OK);
    fixture->pair_count = 0;
    header(fixture, "Content-Encoding", "identity");
    header(fixture, "content-encoding", "br");
    assert_int_equal(post_signed(fixture, "/qlik", "{}"), FERRY_MEDIA_TYPE);
}

static void an_unknown_event_format_is_refused_and_never_quarantined(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/cloudevents+avro");
    header(fixture, "Qlik-Signature", doors_sign(FERRY_SLICE("{}")));
    assert_int_equal(post(fixture, "/qlik", "{}"), FERRY_MEDIA_TYPE);
    assert_int_equal(fixture->admission.quarantined, FERRY_OK);
}

static void a_signed_event_becomes_one_record_for_its_topic(void **state)
{
    struct fixture *fixture = *state;
    const char *body =
        "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"com.qlik/x\",\"type\":"
        "\"com.qlik.v1.app.created\",\"time\":\"2026-01-01T00:00:00Z\",\"data\":{\"id\":\"a\",\"n\":1.10}}";
    assert_int_equal(post_signed(fixture, "/qlik", body), FERRY_OK);
    assert_int_equal(fixture->admission.record_count, 1);
    assert_slice(fixture->admission.records[0].topic, "qlik.app.created");
    assert_slice(fixture->admission.records[0].key, "a");
    assert_slice(fixture->admission.records[0].value, "{\"id\":\"a\",\"n\":1.10}");
    assert_string_equal(record_header(fixture, "ferry-event"), "app.created");
    assert_int_equal(fixture->admission.events.count, 1);
}

static void an_event_whose_topic_is_not_created_goes_to_the_other_topic(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post_event(fixture, "/strict", "com.acme.thing"), FERRY_OK);
    assert_slice(fixture->admission.records[0].topic, "qlik.other");
    assert_string_equal(record_header(fixture, "ferry-event"), "com.acme.thing");
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/cloudevents-batch+json");
    const char *good = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"com.acme.x\"}";
    char body[512];
    snprintf(body, sizeof body, "[%s,%s]", good, good);
    assert_int_equal(post(fixture, "/strict", body), FERRY_OK);
    assert_int_equal(fixture->admission.record_count, 2);
    snprintf(body, sizeof body, "[%s,{\"specversion\":\"1.0\"}]", good);
    assert_int_equal(post(fixture, "/strict", body), FERRY_EVENT_INVALID);
    assert_int_equal(fixture->admission.record_count, 0);
    assert_int_equal(post(fixture, "/strict", "[]"), FERRY_OK);
    assert_int_equal(fixture->admission.record_count, 0);
}

/* ---- quarantine ---- */

static void what_is_signed_but_no_event_is_kept_byte_by_byte(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bodies[] = {"hello", "{\"cut\":", "{}", "\xff\xfe", ""};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fixture->pair_count = 0;
        assert_int_equal(post_signed(fixture, "/qlik", bodies[i]), FERRY_OK);
        assert_int_equal(fixture->admission.record_count, 1);
        assert_int_not_equal(fixture->admission.quarantined, FERRY_OK);
        assert_int_equal(fixture->admission.events.count, 0);
        assert_slice(fixture->admission.records[0].topic, "ferry.quarantine");
        assert_slice(fixture->admission.records[0].value, bodies[i]);
        assert_non_null(fixture->admission.records[0].value.ptr);
    }
}

static void a_quarantined_record_says_why_whence_and_when(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post_signed(fixture, "/qlik", "hello"), FERRY_OK);
    assert_string_equal(record_header(fixture, "ferry-error"), "json-invalid");
    assert_true(strlen(record_header(fixture, "ferry-reason")) > 0);
    assert_string_equal(record_header(fixture, "content-type"), "application/json");
    assert_string_equal(record_header(fixture, "ferry-path"), "/qlik");
    assert_string_equal(record_header(fixture, "ferry-received"), "2026-11-22T19:11:25.123Z");
}

static void without_quarantine_no_event_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post_signed(fixture, "/no-quarantine", "hello"), FERRY_JSON_INVALID);
    fixture->pair_count = 0;
    assert_int_equal(post_signed(fixture, "/no-quarantine", "{}"), FERRY_EVENT_INVALID);
    assert_int_equal(fixture->admission.record_count, 0);
}

static void what_a_door_may_not_bring_is_refused_and_not_quarantined(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post_signed(fixture, "/qlik",
                                 "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
                                 "\"type\":\"com.acme.x\",\"time\":\"2026-01-01T00:00:00Z\"}"),
                     FERRY_TYPE_REFUSED);
}

/* ---- what a door may bring ---- */

static void only_the_named_tenants_are_taken(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *tenant;
        enum ferry_code code;
    } rows[] = {
        {",\"tenantid\":\"mine\"", FERRY_OK},
        {",\"tenantid\":\"yours\"", FERRY_TENANT_REFUSED},
        {",\"tenantid\":\"mine2\"", FERRY_TENANT_REFUSED},
        {"", FERRY_TENANT_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"com.qlik.app.created\","
                 "\"time\":\"2026-01-01T00:00:00Z\"%s}",
                 rows[i].tenant);
        fixture->pair_count = 0;
        assert_int_equal(post_signed(fixture, "/mine", body), rows[i].code);
    }
}

static void one_sender_cannot_speak_for_another(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *path;
        const char *type;
        enum ferry_code code;
    } rows[] = {
        {"/strict", "com.acme.thing", FERRY_OK},
        {"/strict", "com.acme", FERRY_TYPE_REFUSED},
        {"/strict", "com.acmeother.thing", FERRY_TYPE_REFUSED},
        {"/strict", "com.qlik.user.created", FERRY_TYPE_REFUSED},
        /* a wildcard does not reach names that are somebody's */
        {"/any", "org.example.thing", FERRY_OK},
        {"/any", "com.qlik.user.created", FERRY_TYPE_REFUSED},
        {"/any", "com.qlik.never.heard.of", FERRY_TYPE_REFUSED},
        {"/any", "COM.QLIK.user.created", FERRY_TYPE_REFUSED},
        {"/any", "com.ferry.trigger.nightly", FERRY_TYPE_REFUSED},
        {"/any", "com.ferry.audit", FERRY_TYPE_REFUSED},
        {"/any", "user.created", FERRY_TYPE_REFUSED},
        {"/any", "trigger.nightly", FERRY_TYPE_REFUSED},
        /* a glob that spells the name out does */
        {"/relay", "com.qlik.user.created", FERRY_OK},
        {"/relay", "app.created", FERRY_OK},
        {"/relay", "user.created", FERRY_TYPE_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum ferry_code code = post_event(fixture, rows[i].path, rows[i].type);
        if (code != rows[i].code)
            print_error("%s %s\n", rows[i].path, rows[i].type);
        assert_int_equal(code, rows[i].code);
    }
}

/* ---- doors of format json ---- */

static void a_json_door_makes_type_and_id_from_the_request(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/json");
    header(fixture, "X-GitHub-Event", "push");
    header(fixture, "X-GitHub-Delivery", "d\"7");
    assert_int_equal(post(fixture, "/github", "{\"number\":12345678901234567891}"), FERRY_OK);
    assert_string_equal(record_header(fixture, "ce_type"), "com.github.push");
    assert_string_equal(record_header(fixture, "ce_id"), "d\"7-12345678901234567891");
    assert_string_equal(record_header(fixture, "ce_source"), "https://github.com/acme");
    assert_string_equal(record_header(fixture, "ferry-format"), "json");
    assert_slice(fixture->admission.records[0].value, "{\"number\":12345678901234567891}");
}

static void a_json_door_takes_the_first_of_a_repeated_header(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/json");
    header(fixture, "X-GitHub-Event", "push");
    header(fixture, "x-github-event", "delete");
    header(fixture, "X-GitHub-Delivery", "7");
    assert_int_equal(post(fixture, "/github", "{\"number\":1}"), FERRY_OK);
    assert_string_equal(record_header(fixture, "ce_type"), "com.github.push");
}

static void a_json_door_says_which_attribute_the_request_does_not_carry(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/json");
    assert_int_equal(post(fixture, "/github", "{\"number\":1}"), FERRY_EVENT_INVALID);
    assert_non_null(strstr(fixture->error.text, "type"));
    assert_null(strstr(fixture->error.text, "x-github-event"));
}

static void a_json_door_takes_json_objects_alone(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Content-Type", "application/json");
    header(fixture, "X-GitHub-Event", "push");
    header(fixture, "X-GitHub-Delivery", "7");
    assert_int_equal(post(fixture, "/github", "{\"number\":1"), FERRY_JSON_INVALID);
    assert_int_equal(post(fixture, "/github", "{\"number\":nan}"), FERRY_JSON_INVALID);
    assert_int_not_equal(post(fixture, "/github", "[1]"), FERRY_OK);
    assert_int_not_equal(post(fixture, "/github", ""), FERRY_OK);
}

/* ---- OPTIONS ---- */

static struct ferry_handshake handshake(struct fixture *fixture, const char *path)
{
    const struct ferry_door *door = ferry_snapshot_door(fixture->snapshot, ferry_slice_from(path));
    return ferry_admit_handshake(door, (struct ferry_pairs){fixture->pairs, fixture->pair_count});
}

static void the_handshake_grants_exactly_the_named_origins(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *origin;
        bool granted;
    } rows[] = {
        {"good.example", true},
        {"good.example.evil.org", false},
        {"good.exampl", false},
        {"evil.org/good.example", false},
        {"GOOD.EXAMPLE", false},
        {"", false},
        {"*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->pair_count = 0;
        header(fixture, "WebHook-Request-Origin", rows[i].origin);
        struct ferry_handshake granted = handshake(fixture, "/limited");
        assert_int_equal(granted.allowed_origin.ptr != NULL, rows[i].granted);
        assert_string_equal(granted.allowed_rate, rows[i].granted ? "2" : "");
    }
}

static void any_origin_is_granted_a_star(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "WebHook-Request-Origin", "whoever.example");
    struct ferry_handshake granted = handshake(fixture, "/qlik");
    assert_slice(granted.allowed_origin, "*");
    assert_string_equal(granted.allowed_rate, "*");
}

static void without_an_origin_or_with_two_nothing_is_granted(void **state)
{
    struct fixture *fixture = *state;
    assert_null(handshake(fixture, "/qlik").allowed_origin.ptr);
    header(fixture, "WebHook-Request-Origin", "good.example");
    header(fixture, "WebHook-Request-Origin", "good.example");
    assert_null(handshake(fixture, "/limited").allowed_origin.ptr);
}

/* ---- snapshots ---- */

static void a_reload_is_no_way_around_the_rate(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_HEADER_WRONG);
    struct ferry_snapshot *older = fixture->snapshot;
    assert_int_equal(ferry_snapshot_new(doors_config(yaml), true, older, &fixture->snapshot, &fixture->error),
                     FERRY_OK);
    ferry_snapshot_drop(older);
    assert_int_equal(post(fixture, "/limited", "{}"), FERRY_RATE);
}

static void a_thread_forgets_the_templates_of_an_older_snapshot(void **state)
{
    struct fixture *fixture = *state;
    a_json_door_takes_the_first_of_a_repeated_header(state);
    struct ferry_snapshot *older = fixture->snapshot;
    fixture->snapshot = doors_open(yaml);
    ferry_snapshot_drop(older); /* the thread still holds it */
    assert_int_equal(post(fixture, "/github", "{\"number\":1}"), FERRY_OK);
}

#define ROW_OF(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW_OF(an_unknown_path_is_not_found),
        ROW_OF(another_method_than_post_is_refused_and_the_door_is_known),
        ROW_OF(over_the_rate_the_answer_says_when_to_come_back),
        ROW_OF(a_wrong_method_takes_nothing_from_the_rate),
        ROW_OF(a_required_header_must_be_there_once_and_match),
        ROW_OF(nothing_is_parsed_before_the_signature_is_right),
        ROW_OF(a_content_coding_other_than_identity_is_refused),
        ROW_OF(an_unknown_event_format_is_refused_and_never_quarantined),
        ROW_OF(a_signed_event_becomes_one_record_for_its_topic),
        ROW_OF(an_event_whose_topic_is_not_created_goes_to_the_other_topic),
        ROW_OF(a_batch_is_taken_whole_or_not_at_all),
        ROW_OF(what_is_signed_but_no_event_is_kept_byte_by_byte),
        ROW_OF(a_quarantined_record_says_why_whence_and_when),
        ROW_OF(without_quarantine_no_event_is_an_error),
        ROW_OF(what_a_door_may_not_bring_is_refused_and_not_quarantined),
        ROW_OF(only_the_named_tenants_are_taken),
        ROW_OF(one_sender_cannot_speak_for_another),
        ROW_OF(a_json_door_makes_type_and_id_from_the_request),
        ROW_OF(a_json_door_takes_the_first_of_a_repeated_header),
        ROW_OF(a_json_door_says_which_attribute_the_request_does_not_carry),
        ROW_OF(a_json_door_takes_json_objects_alone),
        ROW_OF(the_handshake_grants_exactly_the_named_origins),
        ROW_OF(any_origin_is_granted_a_star),
        ROW_OF(without_an_origin_or_with_two_nothing_is_granted),
        ROW_OF(a_reload_is_no_way_around_the_rate),
        ROW_OF(a_thread_forgets_the_templates_of_an_older_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
