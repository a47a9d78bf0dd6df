#include "doors.h"

#include "bridge/triggers/inside.h"
#include "bridge/triggers/kit.h"
#include "core/derived_key.h"

static const char yaml[] = "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                           "bridge:\n"
                           "  public_url: https://ferry.example.com/\n"
                           "  triggers:\n"
                           "    - name: nightly\n"
                           "      inputs: [page, note]\n"
                           "      keys: [{name: office, secret: {env: KEY_OFFICE}}]\n"
                           "    - name: plain\n"
                           "      keys: [{name: office, secret: {env: KEY_OFFICE}}]\n"
                           "    - name: foreign\n"
                           "      inputs: [page]\n"
                           "      keys: [{name: other, secret: {env: KEY_OTHER}}]\n";
static const char office[] = "office-key-of-32-characters-long";
static const char other[] = "others-key-of-32-characters-long";

static struct ferry_snapshot *snapshot;
static struct ferry_triggers *shared;
static struct ferry_arena arena;
static struct ferry_response answer;
static struct ferry_error error;
static struct ferry_ip client;
static size_t room; /* of the answer's body */

static int make(void **state)
{
    (void)state;
    setenv("KEY_OFFICE", office, 1);
    setenv("KEY_OTHER", other, 1);
    room = FERRY_RESPONSE_MAX_BYTES;
    snapshot = doors_open(yaml);
    shared = ferry_triggers_new(NULL);
    assert_non_null(shared);
    ferry_arena_init(&arena);
    ferry_response_init(&answer);
    assert_true(ferry_ip_parse(FERRY_SLICE("192.0.2.7"), &client));
    return 0;
}

static int drop(void **state)
{
    (void)state;
    ferry_response_done(&answer);
    ferry_arena_done(&arena);
    ferry_triggers_free(shared);
    ferry_snapshot_drop(snapshot);
    return 0;
}

static enum ferry_code ask(const char *method, const char *type, const char *query, const char *form)
{
    const struct ferry_pair headers[] = {{FERRY_SLICE("Host"), FERRY_SLICE("evil.example.net")},
                                         {FERRY_SLICE("Content-Type"), ferry_slice_from(type)}};
    const struct ferry_admit_request in = {
        .method = ferry_slice_from(method), .headers = {headers, 2}, .body = ferry_slice_from(form), .mono_ms = 1000};
    struct ferry_trigger_call call = {.shared = shared};
    call.request = (struct ferry_trigger_request){.in = &in,
                                                  .query = ferry_slice_from(query),
                                                  .client = client,
                                                  .has_client = true,
                                                  .snapshot = snapshot,
                                                  .arena = &arena};
    call.trigger = ferry_snapshot_trigger(snapshot, FERRY_SLICE("nightly"));
    call.key = &call.trigger->config->keys[0];
    ferry_response_done(&answer);
    ferry_response_init(&answer);
    answer.body.max = room;
    return ferry_kit_answer(&call, &answer, &error);
}

static void get(const char *query)
{
    assert_int_equal(ask("GET", "", query, NULL), FERRY_OK);
}

static void post(const char *form)
{
    assert_int_equal(ask("POST", "application/x-www-form-urlencoded; charset=utf-8", NULL, form), FERRY_OK);
}

static bool shows(const char *text)
{
    return strstr(answer.body.ptr, text) != NULL;
}

static const char *key_of(const char *parent, const char *trigger, const char *label)
{
    static char key[FERRY_DERIVED_KEY_ROOM];
    assert_true(ferry_derived_key_make(ferry_slice_from(parent), trigger, ferry_slice_from(label), key));
    return key;
}

static void the_page_begins_with_a_form_and_no_key(void **state)
{
    (void)state;
    get(NULL);
    assert_int_equal(answer.status, 200);
    assert_true(shows("<form method=\"post\" action=\"kit\">"));
    assert_true(shows("<option>note</option>"));
    assert_true(shows("value=\"plain\"> plain"));
    assert_false(shows("value=\"foreign\""));
    assert_false(shows("role=\"alert\""));
    assert_false(shows("<section"));
    assert_false(shows(office));
}

static void every_snippet_has_a_key_of_its_own(void **state)
{
    (void)state;
    static const char *const labels[] = {"ann.bookmarklet", "ann.favourite", "ann.button", "ann.fetch",
                                         "ann.curl",        "ann.script",    "ann.ifttt"};
    post("label=ann&page=page&text=note");
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        char section[64];
        (void)snprintf(section, sizeof section, "<section id=\"%s\">", labels[i] + 4);
        const char *begin = strstr(answer.body.ptr, section), *end = begin != NULL ? strstr(begin, "</section>") : NULL;
        const char *key = strstr(answer.body.ptr, key_of(office, "nightly", labels[i]));
        if (end == NULL || key == NULL || key < begin || key > end)
            fail_msg("%s", labels[i]);
    }
    assert_false(shows(office));
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer first;
    ferry_buffer_init(&first, 1 << 20);
    ferry_buffer_add(&first, ferry_buffer_slice(&answer.body));
    get("label=ann&page=page&text=note");
    assert_true(ferry_slice_equal(ferry_buffer_slice(&first), ferry_buffer_slice(&answer.body)));
}

static void addresses_begin_with_the_public_url_and_not_with_what_the_request_says(void **state)
{
    (void)state;
    post("label=ann");
    assert_true(shows("https://ferry.example.com/triggers/nightly"));
    assert_false(shows("evil.example.net"));
    assert_false(shows("example.com//"));
}

static void snippets_speak_their_languages(void **state)
{
    (void)state;
    post("label=ann&page=page&text=note");
    assert_true(shows("href=\"javascript:void%20window.open(%22https://ferry.example.com/triggers/nightly/ann."));
    assert_true(shows("%3Fpage=%22+encodeURIComponent(location.href.slice(0,2000))+%22%26note=%22+encodeURIComponent("
                      "String(getSelection()).slice(0,2000))"));
    assert_true(shows("&lt;input name=&quot;note&quot;&gt;"));
    assert_true(shows("JSON.stringify({&quot;page&quot;: &quot;&quot;, &quot;note&quot;: &quot;&quot;})"));
    assert_true(shows("--data-urlencode &#39;page=&#39;"));
    assert_true(shows("HTTPHEADER &quot;X-Ferry-Key&quot; &quot;ann.script."));
    assert_true(shows("QUERY &quot;note&quot; &quot;&quot;"));
    assert_true(shows("&quot;note&quot;: &quot;&lt;&lt;&lt;{{Ingredient}}&gt;&gt;&gt;&quot;"));
}

static void a_wrong_form_says_what_is_wrong_and_makes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *form;
        const char *complaint;
    } cases[] = {
        {"label=", "Give the keys a label"},
        {"label=a%20b", "Give the keys a label"},
        {"label=%3Cscript%3E", "Give the keys a label"},
        {"label=-ann", "Give the keys a label"},
        {"label=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff", "Give the keys a label"},
        {"label=office", "one of the trigger's own keys"},
        {"label=ann&page=nothing", "no such input"},
        {"label=ann&text=Page", "no such input"},
        {"label=ann&page=note&text=note", "same input"},
        {"label=ann&trigger=foreign", "Choose a trigger"},
        {"label=ann&keys=guessed-key-of-32-characters-xxx", "opens no trigger"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        post(cases[i].form);
        if (answer.status != 400 || !shows(cases[i].complaint) || shows("<section") || shows("<script>"))
            fail_msg("%s: %d %s", cases[i].form, answer.status, answer.body.ptr);
    }
    post("label=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeff");
    assert_int_equal(answer.status, 200);
    assert_true(shows("<section"));
}

static void the_file_of_bookmarks_has_what_was_chosen(void **state)
{
    (void)state;
    post("label=ann&page=page&trigger=nightly&trigger=plain&as=bookmarks&keys=");
    assert_int_equal(answer.status, 200);
    assert_true(ferry_slice_starts(ferry_buffer_slice(&answer.body), "<!DOCTYPE NETSCAPE-Bookmark-file-1>\n"));
    assert_true(shows(key_of(office, "nightly", "ann.bookmarks")));
    assert_true(shows(key_of(office, "plain", "ann.bookmarks")));
    assert_true(shows(">nightly with this page</A>"));
    assert_false(shows(">plain with this page</A>"));
    assert_false(shows("foreign"));
    assert_string_equal(answer.fields[0].name, "Content-Disposition");
    post("label=ann&as=bookmarks");
    assert_true(shows(">nightly</A>"));
    assert_false(shows(">plain</A>"));
}

static void keys_of_further_triggers_bring_them_into_the_file(void **state)
{
    (void)state;
    post("label=ann&page=page&trigger=plain&as=bookmarks&keys=+others-key-of-32-characters-long%0d%0a%0d%0aoffice-key-"
         "of-32-characters-long");
    assert_int_equal(answer.status, 200);
    assert_true(shows(key_of(other, "foreign", "ann.bookmarks")));
    assert_true(shows(">plain</A>"));
    assert_true(shows(">foreign with this page</A>"));
    assert_false(shows(">nightly</A>"));
    assert_false(shows(other));
}

static void keys_in_the_query_are_not_looked_at(void **state)
{
    (void)state;
    get("label=ann&as=bookmarks&keys=others-key-of-32-characters-long");
    assert_false(shows("foreign"));
}

static void whoever_guesses_keys_here_is_made_to_wait(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        post("label=ann&keys=guessed-key-of-32-characters-xxx");
        ferry_backoff_right(shared->backoff, &client, "nightly"); /* as the head of every such request does */
    }
    post("label=ann&as=bookmarks&keys=others-key-of-32-characters-long");
    assert_int_equal(answer.status, 400);
    assert_true(shows("Too many wrong keys"));
    assert_false(shows(key_of(other, "foreign", "ann.bookmarks")));
    post("label=ann"); /* who brings none is not held up */
    assert_int_equal(answer.status, 200);
}

static void another_kind_of_form_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ask("POST", "multipart/form-data; boundary=x", NULL, "--x"), FERRY_MEDIA_TYPE);
    assert_int_equal(ask("POST", "", NULL, "label=ann"), FERRY_MEDIA_TYPE);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer many;
    ferry_buffer_init(&many, 10000);
    for (int i = 0; i < 1000; i++)
        ferry_buffer_add_text(&many, "a=1&");
    assert_int_equal(ask("POST", "application/x-www-form-urlencoded", NULL, many.ptr), FERRY_INPUT_REFUSED);
}

static void half_an_answer_is_none(void **state)
{
    (void)state;
    for (room = 10; room < 10000; room += 1111) {
        if (ask("GET", "", "label=ann", NULL) == FERRY_OK)
            continue;
        assert_int_equal(error.code, FERRY_MEMORY);
        assert_int_equal(answer.status, 0);
        assert_null(answer.media_type);
        assert_int_equal(answer.field_count, 0);
        assert_int_equal(answer.body.len, 0);
    }
    assert_int_equal(answer.status, 200);
}

static void without_a_public_url_the_address_bar_has_the_address_if_it_is_one(void **state)
{
    (void)state;
    struct ferry_config *config = (struct ferry_config *)snapshot->config;
    config->bridge.public_url = NULL;
    post("label=ann");
    assert_true(shows("http://evil.example.net/triggers/nightly"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(the_page_begins_with_a_form_and_no_key),
        TEST(every_snippet_has_a_key_of_its_own),
        TEST(addresses_begin_with_the_public_url_and_not_with_what_the_request_says),
        TEST(snippets_speak_their_languages),
        TEST(a_wrong_form_says_what_is_wrong_and_makes_nothing),
        TEST(the_file_of_bookmarks_has_what_was_chosen),
        TEST(keys_of_further_triggers_bring_them_into_the_file),
        TEST(keys_in_the_query_are_not_looked_at),
        TEST(whoever_guesses_keys_here_is_made_to_wait),
        TEST(another_kind_of_form_is_refused),
        TEST(half_an_answer_is_none),
        TEST(without_a_public_url_the_address_bar_has_the_address_if_it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
