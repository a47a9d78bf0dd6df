/* A call without sockets: what is refused, in which order; what becomes data, an id, an event; what an answer says. */
#include "doors.h"

#include "bridge/triggers/trigger.h"
#include "core/derived_key.h"

#define SCRIPT DOORS_SECRET
#define IFTTT "key-of-ifttt-0123456789abcdef"

static const char yaml[] = "kafka: {bootstrap.servers: '127.0.0.1:9'}\n"
                           "bridge:\n"
                           "  public_url: https://ferry.example.com/in/\n"
                           "  triggers:\n"
                           "    - name: nightly\n"
                           "      keys:\n"
                           "        - {name: script, secret: {env: FERRY_TEST_SECRET}}\n"
                           "        - {name: ifttt, secret: {env: FERRY_TEST_IFTTT}, in_url: true}\n"
                           "      inputs: [app, date]\n"
                           "      revoked: [gone]\n"
                           "      cors: [https://good.example]\n"
                           "    - name: limited\n"
                           "      keys: [{name: script, secret: {env: FERRY_TEST_SECRET}}]\n"
                           "      inputs: [app]\n"
                           "      rate: 1/1m\n";

enum { PAIRS = 8, WALL_MS = 1795374685 };

struct fixture {
    struct ferry_snapshot *snapshot;
    struct ferry_triggers *triggers;
    struct ferry_arena arena;
    struct ferry_admit_request in;
    struct ferry_trigger_call call;
    struct ferry_admission admission;
    struct ferry_response answer;
    struct ferry_error error;
    struct ferry_pair pairs[PAIRS];
    size_t pair_count;
    int64_t now_ms; /* after the fixture's beginning */
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    setenv("FERRY_TEST_IFTTT", IFTTT, 1);
    fixture->snapshot = doors_open(yaml);
    fixture->triggers = ferry_triggers_new(NULL);
    ferry_arena_init(&fixture->arena);
    ferry_response_init(&fixture->answer);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ferry_response_done(&fixture->answer);
    ferry_triggers_free(fixture->triggers);
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

/* One request with the headers that were said before it, up to where it would be published. */
static enum ferry_code ask(struct fixture *fixture, const char *method, const char *target, const char *body)
{
    size_t path = strcspn(target, "?");
    fixture->in = (struct ferry_admit_request){
        .method = ferry_slice_from(method),
        .path = ferry_slice_of(target, path),
        .headers = {fixture->pairs, fixture->pair_count},
        .body = ferry_slice_from(body),
        .wall_ms = WALL_MS * INT64_C(1000) + fixture->now_ms,
        .mono_ms = 5000 + fixture->now_ms,
    };
    struct ferry_trigger_request request = {
        .in = &fixture->in,
        .query = ferry_slice_from(target[path] == '?' ? target + path + 1 : ""),
        .has_client = true,
        .snapshot = fixture->snapshot,
        .arena = &fixture->arena,
    };
    assert_true(ferry_ip_parse(FERRY_SLICE("192.0.2.77"), &request.client));
    ferry_response_done(&fixture->answer);
    ferry_response_init(&fixture->answer);
    fixture->admission = (struct ferry_admission){0};
    enum ferry_code code = ferry_trigger_head(fixture->triggers, &request, &fixture->call, &fixture->error);
    if (code == FERRY_OK)
        code = ferry_trigger_end(&fixture->call, &fixture->admission, &fixture->answer, &fixture->error);
    fixture->pair_count = 0;
    return code;
}

static enum ferry_code get(struct fixture *fixture, const char *target)
{
    header(fixture, "X-Ferry-Key", SCRIPT);
    return ask(fixture, "GET", target, "");
}

static enum ferry_code post(struct fixture *fixture, const char *content_type, const char *body)
{
    header(fixture, "X-Ferry-Key", SCRIPT);
    header(fixture, "Content-Type", content_type);
    return ask(fixture, "POST", "/triggers/nightly", body);
}

/* It was published, or could not be. */
static void publish(struct fixture *fixture, enum ferry_code code)
{
    assert_int_equal(fixture->admission.record_count, 1);
    ferry_trigger_published(&fixture->call, code, &fixture->answer);
}

static void assert_data(const struct fixture *fixture, const char *json)
{
    assert_int_equal(fixture->admission.record_count, 1);
    struct ferry_slice value = fixture->admission.records[0].value;
    assert_int_equal(value.len, strlen(json));
    assert_memory_equal(value.ptr, json, value.len);
}

static const char *field(const struct fixture *fixture, const char *name)
{
    for (size_t i = 0; i < fixture->answer.field_count; i++)
        if (strcmp(fixture->answer.fields[i].name, name) == 0)
            return fixture->answer.fields[i].value;
    return NULL;
}

/* ---- paths ---- */

#define ID "0123456789abcdef0123456789abcdef"
#define RUN_TOKEN "AbCdEfGhIjKlMnOpQrSt-_"

static void paths_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum ferry_trigger_place place;
        const char *key;
    } cases[] = {
        {"/triggers/nightly", FERRY_TRIGGER_CALL, ""},
        {"/triggers/nightly/" IFTTT, FERRY_TRIGGER_CALL, IFTTT},
        {"/triggers/nightly/kit", FERRY_TRIGGER_KIT, ""},
        {"/triggers/nightly/runs/" ID "/" RUN_TOKEN, FERRY_TRIGGER_RUN, ""},
        {"/triggers/nightly/runs/" ID "/" RUN_TOKEN "/events", FERRY_TRIGGER_EVENTS, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_trigger_path path;
        assert_true(ferry_trigger_path_parse(ferry_slice_from(cases[i].path), &path));
        assert_int_equal(path.place, cases[i].place);
        assert_true(ferry_slice_is(path.name, "nightly"));
        assert_true(ferry_slice_is(path.key, cases[i].key));
    }
}

static void other_paths_are_none(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/triggers/",
        "/triggers//key",
        "/triggers",
        "/Triggers/nightly",
        "/triggers/nightly/",
        "/triggers/nightly/key/",
        "/triggers/nightly/key/more",
        "/triggers/nightly/kit/" IFTTT,
        "/triggers/nightly/runs",
        "/triggers/nightly/runs/" ID,
        "/triggers/nightly/runs/" ID "/short",
        "/triggers/nightly/runs/" ID "/" RUN_TOKEN "/",
        "/triggers/nightly/runs/" ID "/" RUN_TOKEN "/event",
        "/triggers/nightly/runs/" ID "/" RUN_TOKEN "/events/x",
        "/triggers/nightly/runs/0123456789ABCDEF0123456789abcdef/" RUN_TOKEN,
        "/triggers/nightly/runs/" ID "/AbCdEfGhIjKlMnOpQrSt%_",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct ferry_trigger_path path;
        assert_false(ferry_trigger_path_parse(ferry_slice_from(paths[i]), &path));
    }
}

/* ---- keys ---- */

static void each_way_of_showing_a_key_opens(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *name, *value;
        enum ferry_trigger_way way;
    } ways[] = {
        {"X-Ferry-Key", SCRIPT, FERRY_KEY_IN_HEADER},
        {"Authorization", "Bearer " SCRIPT, FERRY_KEY_IN_HEADER},
        {"authorization", "bearer   " SCRIPT, FERRY_KEY_IN_HEADER},
        /* me:0123456789abcdef0123456789abcdef */
        {"Authorization", "Basic bWU6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", FERRY_KEY_AS_PASSWORD},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        header(fixture, ways[i].name, ways[i].value);
        assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), FERRY_OK);
        assert_int_equal(fixture->answer.status, 204);
        assert_true(ferry_slice_is(fixture->call.caller, "script"));
        assert_int_equal(fixture->call.way, ways[i].way);
    }
    assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly/" IFTTT, ""), FERRY_OK);
    assert_int_equal(fixture->call.way, FERRY_KEY_IN_PATH);
}

static const char *derive(const char *parent, const char *trigger, const char *label)
{
    static char key[FERRY_DERIVED_KEY_ROOM];
    assert_true(ferry_derived_key_make(ferry_slice_from(parent), trigger, ferry_slice_from(label), key));
    return key;
}

static void one_right_key_among_several_is_enough(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "X-Ferry-Key", SCRIPT);
    header(fixture, "Authorization", "Basic cHJveHk6cGFzc3dvcmQ=");
    assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), FERRY_OK);
}

static void a_wrong_key_in_the_path_is_not_made_good_by_another(void **state)
{
    struct fixture *fixture = *state;
    char target[256];
    snprintf(target, sizeof target, "/triggers/nightly/%s", derive(SCRIPT, "nightly", "gone"));
    const char *const targets[] = {"/triggers/nightly/wrong", "/triggers/nightly/Kit", "/triggers/nightly/" SCRIPT,
                                   target};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        header(fixture, "X-Ferry-Key", SCRIPT);
        header(fixture, "Authorization", "Basic bWU6MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        assert_int_equal(ask(fixture, "GET", targets[i], ""), FERRY_KEY_WRONG);
    }
}

static void a_key_that_is_right_but_for_its_length_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    for (size_t len = 0; len < strlen(SCRIPT); len += 8) {
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)len, SCRIPT);
        header(fixture, "X-Ferry-Key", part);
        assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), len == 0 ? FERRY_KEY_MISSING : FERRY_KEY_WRONG);
    }
}

static void a_key_of_the_kit_opens_its_trigger_by_every_way(void **state)
{
    struct fixture *fixture = *state;
    char target[256];
    snprintf(target, sizeof target, "/triggers/nightly/%s", derive(SCRIPT, "nightly", "anna"));
    assert_int_equal(ask(fixture, "HEAD", target, ""), FERRY_OK);
    assert_true(ferry_slice_is(fixture->call.caller, "script/anna"));
    assert_true(ferry_slice_is(fixture->call.label, "anna"));
    assert_string_equal(fixture->call.key->name, "script");
    header(fixture, "X-Ferry-Key", derive(IFTTT, "nightly", "anna"));
    assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), FERRY_OK);
    assert_true(ferry_slice_is(fixture->call.caller, "ifttt/anna"));
}

static void neither_a_revoked_key_of_the_kit_nor_one_of_another_trigger_opens(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "X-Ferry-Key", derive(SCRIPT, "nightly", "gone"));
    assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), FERRY_KEY_WRONG);
    header(fixture, "X-Ferry-Key", derive(SCRIPT, "limited", "anna"));
    assert_int_equal(ask(fixture, "HEAD", "/triggers/nightly", ""), FERRY_KEY_WRONG);
    header(fixture, "X-Ferry-Key", derive(SCRIPT, "nightly", "anna"));
    assert_int_equal(ask(fixture, "GET", "/triggers/nightly/kit", ""), FERRY_KEY_WRONG);
}

static void a_token_opens_its_own_run_and_no_other(void **state)
{
    struct fixture *fixture = *state;
    char token[FERRY_TRIGGER_TOKEN + 1], target[160];
    const struct ferry_trigger *trigger = ferry_snapshot_trigger(fixture->snapshot, FERRY_SLICE("nightly"));
    assert_true(ferry_trigger_run_token(trigger->config, &trigger->config->keys[1], FERRY_SLICE(ID), token));
    const struct {
        const char *name, *id, *token;
        bool opens;
    } cases[] = {
        {"nightly", ID, token, true},
        {"limited", ID, token, false},
        {"nightly", "1123456789abcdef0123456789abcdef", token, false},
        {"nightly", ID, RUN_TOKEN, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(target, sizeof target, "/triggers/%s/runs/%s/%s", cases[i].name, cases[i].id, cases[i].token);
        (void)ask(fixture, "GET", target, "");
        assert_int_equal(fixture->call.key != NULL, cases[i].opens);
    }
}

/* ---- the order of the checks ---- */

static void the_first_that_refuses_decides(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *method, *target, *name, *value;
        enum ferry_code code;
    } cases[] = {
        {"PUT", "/triggers/nobody", "X-Ferry-Key", "wrong", FERRY_NOT_FOUND},
        {"PUT", "/triggers/nightly", "Purpose", "prefetch", FERRY_METHOD},
        {"GET", "/triggers/nightly", "Purpose", "prefetch", FERRY_PREVIEW},
        {"GET", "/triggers/nightly?nonsense=1", "X-Ferry-Key", "", FERRY_KEY_MISSING},
        {"POST", "/triggers/nightly?nonsense=1", "Origin", "https://evil.example", FERRY_KEY_MISSING},
        {"OPTIONS", "/triggers/nightly", "X-Ferry-Key", "wrong", FERRY_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        header(fixture, cases[i].name, cases[i].value);
        assert_int_equal(ask(fixture, cases[i].method, cases[i].target, ""), cases[i].code);
    }
    header(fixture, "Origin", "https://evil.example");
    header(fixture, "X-Ferry-Key", SCRIPT);
    assert_int_equal(ask(fixture, "POST", "/triggers/nightly?nonsense=1", ""), FERRY_CROSS_SITE);
}

/* ---- inputs ---- */

static void inputs_become_data_in_the_order_of_the_configuration(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?date=a+b%2Bc%26&app=%C3%BC%22"), FERRY_OK);
    assert_data(fixture, "{\"app\":\"ü\\\"\",\"date\":\"a b+c&\"}");
    assert_int_equal(get(fixture, "/triggers/nightly?date"), FERRY_OK);
    assert_data(fixture, "{\"date\":\"\"}");
    assert_int_equal(get(fixture, "/triggers/nightly?&&"), FERRY_OK);
    assert_data(fixture, "{}");
    assert_int_equal(get(fixture, "/triggers/nightly?app=100%&date=%zz"), FERRY_OK);
    assert_data(fixture, "{\"app\":\"100%\",\"date\":\"%zz\"}");
    assert_int_equal(post(fixture, "application/x-www-form-urlencoded; charset=UTF-8", "app=x"), FERRY_OK);
    assert_data(fixture, "{\"app\":\"x\"}");
    assert_int_equal(post(fixture, "application/json", " {\"date\": [1.10, null], \"\\u0061pp\":true} "), FERRY_OK);
    assert_data(fixture, "{\"app\":true,\"date\":[1.10, null]}");
}

static void wait_is_ours_and_no_input(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1&wait=5%73"), FERRY_OK);
    assert_data(fixture, "{\"app\":\"1\"}");
    assert_true(ferry_slice_is(fixture->call.wait, "5s"));
    assert_int_equal(post(fixture, "application/json", "{\"wait\":\"7s\"}"), FERRY_OK);
    assert_true(ferry_slice_is(fixture->call.wait, "7s"));
}

static void what_cannot_be_an_input_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const targets[] = {
        "/triggers/nightly?other=1", "/triggers/nightly?App=1",      "/triggers/nightly?app=1&app=1",
        "/triggers/nightly?app=%FF", "/triggers/nightly?=x",         "/triggers/nightly?wait=1s&wait=1s",
        "/triggers/nightly?%00=x",   "/triggers/nightly?app=%C0%80",
    };
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        assert_int_equal(get(fixture, targets[i]), FERRY_INPUT_REFUSED);
    static const struct {
        const char *content_type, *body;
        enum ferry_code code;
    } bodies[] = {
        {"application/json", "[]", FERRY_INPUT_REFUSED},
        {"application/json", "{\"app\":1,\"app\":1}", FERRY_INPUT_REFUSED},
        {"application/json", "{\"wait\":1}", FERRY_INPUT_REFUSED},
        {"application/json", "{\"app\":\"\\ud800", FERRY_JSON_INVALID},
        {"application/json", "app=1", FERRY_JSON_INVALID},
        {"multipart/form-data", "app=1", FERRY_MEDIA_TYPE},
        {"", "app=1", FERRY_MEDIA_TYPE},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_int_equal(post(fixture, bodies[i].content_type, bodies[i].body), bodies[i].code);
}

static void a_strange_name_is_shown_so_that_it_harms_nobody(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?%0A%1B%5B31m%22<script>=1"), FERRY_INPUT_REFUSED);
    assert_string_equal(fixture->error.text, "\"??[31m?<script>\" is no input here; there are: app, date");
}

/* ---- the event ---- */

static void the_event_says_who_called_and_where(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    header(fixture, "Content-Type", "application/cloudevents+json"); /* is not the event's */
    header(fixture, "ce-type", "com.qlik.user.deleted");
    assert_int_equal(get(fixture, "/triggers/nightly"), FERRY_OK);
    const struct ferry_event *event = &fixture->admission.events.items[0];
    assert_true(ferry_slice_is(event->type, "com.ferry.trigger.nightly"));
    assert_true(ferry_slice_is(event->canonical, "trigger.nightly"));
    assert_true(ferry_slice_is(event->source, "https://ferry.example.com/in/triggers/nightly"));
    assert_true(ferry_slice_is(event->subject, "script"));
    assert_true(ferry_slice_is(event->datacontenttype, "application/json"));
    assert_int_equal(event->format, FERRY_FORMAT_TRIGGER);
    assert_true(event->traceparent.len > 0);
    const struct ferry_record *record = &fixture->admission.records[0];
    assert_true(ferry_slice_is(ferry_record_header(record, "ferry-caller"), "192.0.2.77"));
    assert_true(ferry_slice_is(record->topic, "qlik.trigger.nightly"));
    for (size_t i = 0; i < record->header_count; i++)
        assert_null(memmem(record->headers[i].value.ptr, record->headers[i].value.len, SCRIPT, strlen(SCRIPT)));
}

/* The id of a call, after it was published. */
static const char *call_id(struct fixture *fixture, const char *key, const char *target)
{
    header(fixture, "X-Ferry-Key", key);
    assert_int_equal(ask(fixture, "GET", target, ""), FERRY_OK);
    if (!fixture->call.duplicate)
        publish(fixture, FERRY_OK);
    return ferry_arena_text(&fixture->arena, ferry_slice_from(fixture->call.id));
}

static void an_id_cannot_be_worked_out_without_the_key(void **state)
{
    struct fixture *fixture = *state;
    const char *first = call_id(fixture, IFTTT, "/triggers/nightly?app=1");
    ferry_snapshot_drop(fixture->snapshot);
    ferry_triggers_free(fixture->triggers);
    setenv("FERRY_TEST_IFTTT", "another-" IFTTT, 1);
    fixture->snapshot = doors_open(yaml);
    fixture->triggers = ferry_triggers_new(NULL);
    assert_string_not_equal(call_id(fixture, "another-" IFTTT, "/triggers/nightly?app=1"), first);
}

static void a_repeated_call_is_known_for_a_second(void **state)
{
    struct fixture *fixture = *state;
    fixture->now_ms = 900; /* late in its second */
    const char *first = call_id(fixture, SCRIPT, "/triggers/nightly?app=1&date=2");
    assert_false(fixture->call.duplicate);
    fixture->now_ms = 1899; /* in the next */
    assert_string_equal(call_id(fixture, SCRIPT, "/triggers/nightly?date=2&app=1"), first);
    assert_true(fixture->call.duplicate);
    assert_int_equal(fixture->admission.record_count, 0);
    assert_int_equal(fixture->answer.status, 202);
    fixture->now_ms = 1900;
    assert_string_not_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=1&date=2"), first);
    assert_false(fixture->call.duplicate);
}

static void two_bridges_give_one_call_the_same_id(void **state)
{
    struct fixture *fixture = *state;
    const char *first = call_id(fixture, SCRIPT, "/triggers/nightly?app=1");
    ferry_triggers_free(fixture->triggers);
    fixture->triggers = ferry_triggers_new(NULL);
    fixture->now_ms = 400;
    assert_string_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=1"), first);
    assert_false(fixture->call.duplicate);
}

static void other_callers_and_other_inputs_are_other_calls(void **state)
{
    struct fixture *fixture = *state;
    const char *first = call_id(fixture, SCRIPT, "/triggers/nightly?app=1");
    assert_string_not_equal(call_id(fixture, IFTTT, "/triggers/nightly?app=1"), first);
    assert_string_not_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=2"), first);
    assert_string_not_equal(call_id(fixture, SCRIPT, "/triggers/nightly?date=1"), first);
    assert_string_not_equal(call_id(fixture, derive(SCRIPT, "nightly", "a"), "/triggers/nightly?app=1"), first);
}

static void an_idempotency_key_stands_for_the_inputs_and_the_second(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Idempotency-Key", "order-1");
    const char *first = call_id(fixture, SCRIPT, "/triggers/nightly?app=1");
    fixture->now_ms = 590000;
    header(fixture, "Idempotency-Key", "order-1");
    assert_string_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=2"), first);
    assert_true(fixture->call.duplicate);
    fixture->now_ms = 700000; /* forgotten, but of the same id */
    header(fixture, "Idempotency-Key", "order-1");
    assert_string_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=1"), first);
    assert_false(fixture->call.duplicate);
    header(fixture, "Idempotency-Key", "order-2");
    assert_string_not_equal(call_id(fixture, SCRIPT, "/triggers/nightly?app=1"), first);
}

static void a_call_that_was_not_safe_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    publish(fixture, FERRY_UNAVAILABLE);
    assert_int_equal(fixture->answer.status, 0);
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    assert_false(fixture->call.duplicate);
    publish(fixture, FERRY_SPOOLED);
    assert_int_equal(fixture->answer.status, 202);
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    assert_true(fixture->call.duplicate);
}

static void the_same_call_on_its_way_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    struct ferry_trigger_call first = fixture->call;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    assert_true(fixture->call.twin);
    assert_int_equal(fixture->admission.record_count, 0);
    assert_int_equal(fixture->answer.status, 0);
    const char *read = fixture->call.data.ptr;
    assert_int_equal(ferry_trigger_end(&fixture->call, &fixture->admission, &fixture->answer, NULL), FERRY_OK);
    assert_true(fixture->call.twin);
    assert_ptr_equal(fixture->call.data.ptr, read); /* not once more: it looks fifty times a second */
    ferry_trigger_published(&first, FERRY_OK, &fixture->answer);
    assert_int_equal(ferry_trigger_end(&fixture->call, &fixture->admission, &fixture->answer, NULL), FERRY_OK);
    assert_false(fixture->call.twin);
    assert_true(fixture->call.duplicate);
}

static void whose_twin_could_not_be_published_is_published_itself(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    struct ferry_trigger_call first = fixture->call;
    assert_int_equal(get(fixture, "/triggers/nightly?app=1"), FERRY_OK);
    ferry_trigger_published(&first, FERRY_UNAVAILABLE, &fixture->answer);
    assert_int_equal(ferry_trigger_end(&fixture->call, &fixture->admission, &fixture->answer, NULL), FERRY_OK);
    assert_false(fixture->call.twin);
    assert_int_equal(fixture->admission.record_count, 1);
}

static void a_call_that_is_refused_leaves_no_twin_behind(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/limited?app=1"), FERRY_OK);
    assert_int_equal(get(fixture, "/triggers/limited?app=2"), FERRY_RATE);
    assert_int_equal(get(fixture, "/triggers/limited?app=2"), FERRY_RATE);
}

static void a_repeated_call_costs_nothing_of_the_rate(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(get(fixture, "/triggers/limited?app=1"), FERRY_OK);
    publish(fixture, FERRY_OK);
    assert_int_equal(get(fixture, "/triggers/limited?app=1"), FERRY_OK);
    assert_int_equal(get(fixture, "/triggers/limited?app=2"), FERRY_RATE);
    assert_true(fixture->call.retry_after_ms > 0);
}

/* ---- answers ---- */

static void who_shows_no_key_is_asked_for_one(void **state)
{
    struct fixture *fixture = *state;
    enum ferry_code code = ask(fixture, "GET", "/triggers/nightly", "");
    ferry_trigger_add_fields(&fixture->call, code, &fixture->answer);
    assert_string_equal(field(fixture, "WWW-Authenticate"), "Basic realm=\"Ferry trigger nightly\", charset=\"UTF-8\"");
    assert_string_equal(field(fixture, "Cache-Control"), "no-store");
    assert_string_equal(field(fixture, "Referrer-Policy"), "no-referrer");
}

static void a_preflight_request_needs_no_key(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Origin", "https://good.example");
    assert_int_equal(ask(fixture, "OPTIONS", "/triggers/nightly", ""), FERRY_OK);
    ferry_trigger_add_fields(&fixture->call, FERRY_OK, &fixture->answer);
    assert_int_equal(fixture->answer.status, 204);
    assert_string_equal(field(fixture, "Access-Control-Allow-Origin"), "https://good.example");
    assert_string_equal(field(fixture, "Access-Control-Allow-Methods"), "GET, POST");
    header(fixture, "Origin", "https://good.example.evil.example");
    assert_int_equal(ask(fixture, "OPTIONS", "/triggers/nightly", ""), FERRY_OK);
    ferry_trigger_add_fields(&fixture->call, FERRY_OK, &fixture->answer);
    assert_null(field(fixture, "Access-Control-Allow-Origin"));
    assert_null(field(fixture, "Access-Control-Allow-Methods"));
    assert_string_equal(field(fixture, "Vary"), "Origin");
}

static void who_follows_a_foreign_link_is_asked_without_being_shown_the_key(void **state)
{
    struct fixture *fixture = *state;
    header(fixture, "Sec-Fetch-Site", "cross-site");
    header(fixture, "Sec-Fetch-Mode", "navigate");
    header(fixture, "Sec-Fetch-Dest", "document");
    assert_int_equal(ask(fixture, "GET", "/triggers/nightly/" IFTTT "?app=%22%3E%3Cscript%3E'", ""), FERRY_OK);
    assert_true(fixture->call.confirm);
    assert_int_equal(fixture->admission.record_count, 0);
    assert_null(strstr(fixture->answer.body.ptr, IFTTT));
    assert_null(strstr(fixture->answer.body.ptr, "\"><script"));
    assert_non_null(strstr(fixture->answer.body.ptr, "value=\"&quot;&gt;&lt;script&gt;&#39;\""));
    assert_non_null(strstr(field(fixture, "Content-Security-Policy"), "frame-ancestors 'none'"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(other_paths_are_none),
        TEST(each_way_of_showing_a_key_opens),
        TEST(one_right_key_among_several_is_enough),
        TEST(a_wrong_key_in_the_path_is_not_made_good_by_another),
        TEST(a_key_that_is_right_but_for_its_length_is_wrong),
        TEST(a_key_of_the_kit_opens_its_trigger_by_every_way),
        TEST(neither_a_revoked_key_of_the_kit_nor_one_of_another_trigger_opens),
        TEST(a_token_opens_its_own_run_and_no_other),
        TEST(the_first_that_refuses_decides),
        TEST(inputs_become_data_in_the_order_of_the_configuration),
        TEST(wait_is_ours_and_no_input),
        TEST(what_cannot_be_an_input_is_refused),
        TEST(a_strange_name_is_shown_so_that_it_harms_nobody),
        TEST(the_event_says_who_called_and_where),
        TEST(an_id_cannot_be_worked_out_without_the_key),
        TEST(a_repeated_call_is_known_for_a_second),
        TEST(two_bridges_give_one_call_the_same_id),
        TEST(other_callers_and_other_inputs_are_other_calls),
        TEST(an_idempotency_key_stands_for_the_inputs_and_the_second),
        TEST(a_call_that_was_not_safe_is_made_again),
        TEST(the_same_call_on_its_way_is_waited_for),
        TEST(whose_twin_could_not_be_published_is_published_itself),
        TEST(a_call_that_is_refused_leaves_no_twin_behind),
        TEST(a_repeated_call_costs_nothing_of_the_rate),
        TEST(who_shows_no_key_is_asked_for_one),
        TEST(a_preflight_request_needs_no_key),
        TEST(who_follows_a_foreign_link_is_asked_without_being_shown_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
