#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/template.h"

/* ---- an event to look at ---- */

static struct ferry_pair extensions[] = {{FERRY_SLICE_LITERAL("tenantid"), FERRY_SLICE_LITERAL("t1")},
                                         {FERRY_SLICE_LITERAL("userid"), FERRY_SLICE_LITERAL("u1")}};

static struct ferry_event event_with(const char *data)
{
    return (struct ferry_event){.id = FERRY_SLICE("e1"),
                                .source = FERRY_SLICE("com.qlik/my-service"),
                                .type = FERRY_SLICE("com.qlik.app.created"),
                                .time = FERRY_SLICE("2026-11-22T10:00:00Z"),
                                .extensions = extensions,
                                .extension_count = 2,
                                .data_kind = FERRY_DATA_JSON,
                                .data = ferry_slice_from(data),
                                .canonical = FERRY_SLICE("app.created")};
}

static struct ferry_view *view_of(const char *data)
{
    struct ferry_event event = event_with(data);
    struct ferry_view *view = NULL;
    struct ferry_error error = {.text = ""};
    if (ferry_view_new(&event, &view, &error) != FERRY_OK)
        fail_msg("%s: %s", data, error.text);
    return view;
}

/* The text of a template over `data`, or "CODE: message"; valid until the next call. */
static const char *render(const char *source, enum ferry_escape escape, const char *data)
{
    static char result[8192];
    struct ferry_template *compiled = NULL;
    struct ferry_error error = {.text = ""};
    if (ferry_template_new(source, escape, &compiled, &error) != FERRY_OK) {
        snprintf(result, sizeof result, "%s: %s", ferry_code_name(error.code), error.text);
        return result;
    }
    struct ferry_view *view = view_of(data);
    struct ferry_buffer out;
    ferry_buffer_init(&out, 1 << 20);
    enum ferry_code code = ferry_template_render(compiled, view, &out, &error);
    if (code == FERRY_OK)
        snprintf(result, sizeof result, "%s", ferry_buffer_slice(&out).ptr);
    else
        snprintf(result, sizeof result, "%s: %s", ferry_code_name(error.code), error.text);
    assert_true(code == FERRY_OK || out.len == 0);
    ferry_buffer_done(&out);
    ferry_view_free(view);
    ferry_template_free(compiled);
    return result;
}

/* The same for an expression as JSON. */
static const char *evaluate_on(const char *source, struct ferry_view *view)
{
    static char result[8192];
    struct ferry_expression *expression = NULL;
    struct ferry_error error = {.text = ""};
    struct ferry_buffer out;
    ferry_buffer_init(&out, 1 << 20);
    if (ferry_expression_new(source, &expression, &error) != FERRY_OK ||
        ferry_expression_json(expression, view, &out, &error) != FERRY_OK)
        snprintf(result, sizeof result, "%s: %s", ferry_code_name(error.code), error.text);
    else
        snprintf(result, sizeof result, "%s", ferry_buffer_slice(&out).ptr);
    ferry_buffer_done(&out);
    ferry_expression_free(expression);
    return result;
}

static const char *evaluate(const char *source, const char *data)
{
    struct ferry_view *view = view_of(data);
    const char *result = evaluate_on(source, view);
    ferry_view_free(view);
    return result;
}

/* ---- what both see ---- */

static void every_attribute_is_a_top_level_member_and_nothing_else(void **state)
{
    (void)state;
    assert_string_equal(evaluate("keys", "{}"), "[\"data\",\"event\",\"id\",\"resource\",\"source\",\"specversion\","
                                                "\"tenantid\",\"time\",\"type\",\"userid\"]");
    assert_string_equal(evaluate("[.specversion,.id,.source,.type,.time,.subject,.tenantid,.event]", "{}"),
                        "[\"1.0\",\"e1\",\"com.qlik/my-service\",\"com.qlik.app.created\",\"2026-11-22T10:00:00Z\","
                        "null,\"t1\",\"app.created\"]");
}

static void the_resource_is_data_or_its_attributes(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".resource.id", "{\"id\":\"flat\"}"), "\"flat\"");
    assert_string_equal(evaluate(".resource.id", "{\"attributes\":{\"id\":\"nested\"}}"), "\"nested\"");
    assert_string_equal(evaluate(".resource.id", "{\"id\":1,\"attributes\":[2]}"), "1");
    assert_string_equal(evaluate(".resource", "[1]"), "[1]");
    assert_string_equal(evaluate(".data.attributes.id", "{\"attributes\":{\"id\":\"nested\"}}"), "\"nested\"");
}

static void an_extension_cannot_pose_as_event_or_data(void **state)
{
    (void)state;
    struct ferry_pair posing[] = {{FERRY_SLICE("event"), FERRY_SLICE("x")},
                                  {FERRY_SLICE("resource"), FERRY_SLICE("x")}};
    struct ferry_event event = event_with("{\"id\":1}");
    event.extensions = posing;
    struct ferry_view *view = NULL;
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    assert_string_equal(evaluate_on("[.event,.resource.id]", view), "[\"app.created\",1]");
    ferry_view_free(view);
}

static void data_that_is_no_json_is_text_or_base64(void **state)
{
    (void)state;
    static const struct {
        struct ferry_slice data;
        const char *expected;
    } cases[] = {{FERRY_SLICE_LITERAL("{\"a\""), "\"{\\\"a\\\"\""},
                 {FERRY_SLICE_LITERAL("\xff\x00"), "\"/wA=\""},
                 {FERRY_SLICE_LITERAL(""), "\"\""}};
    for (size_t i = 0; i < 3; i++) {
        struct ferry_event event = event_with("");
        event.data_kind = FERRY_DATA_BYTES;
        event.data = cases[i].data;
        struct ferry_view *view = NULL;
        assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
        assert_string_equal(evaluate_on(".data", view), cases[i].expected);
        ferry_view_free(view);
    }
}

static void no_data_is_null(void **state)
{
    (void)state;
    struct ferry_event event = event_with("");
    event.data_kind = FERRY_DATA_NONE;
    struct ferry_view *view = NULL;
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_OK);
    assert_string_equal(evaluate_on("[.data,.resource,.resource.id]", view), "[null,null,null]");
    ferry_view_free(view);
}

static void data_that_claims_to_be_json_and_is_not_is_an_invalid_record(void **state)
{
    (void)state;
    static const char *const invalid[] = {"", "{", "nan", "{\"a\":1,}", "1 2", "\xef\xbb\xbf{}", "\"\xff\""};
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        struct ferry_event event = event_with(invalid[i]);
        struct ferry_view *view = NULL;
        assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_RECORD_INVALID);
        assert_null(view);
    }
}

static void nested_to(char *text, size_t depth)
{
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
}

static void data_deeper_than_256_levels_is_refused_before_jq_sees_it(void **state)
{
    (void)state;
    char deep[600];
    nested_to(deep, 256);
    assert_string_equal(evaluate(".data|[getpath([range(255)|0])]", deep), "[[]]");
    nested_to(deep, 257);
    struct ferry_event event = event_with(deep);
    struct ferry_view *view = NULL;
    assert_int_equal(ferry_view_new(&event, &view, NULL), FERRY_TOO_DEEP);
    assert_string_equal(evaluate(".data", "\"[[[[\\\"[[[\""), "\"[[[[\\\"[[[\""); /* brackets in strings are text */
}

static void no_digit_of_a_big_integer_is_lost(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".data",
                                 "[9007199254740992,-9007199254740992,9007199254740993,-9007199254740993,"
                                 "12345678901234567891,1e3,0.5,\"9007199254740993\",{\"123456789012345678\":1}]"),
                        "[9007199254740992,-9007199254740992,\"9007199254740993\",\"-9007199254740993\","
                        "\"12345678901234567891\",1000,0.5,\"9007199254740993\",{\"123456789012345678\":1}]");
    assert_string_equal(render("\\(.data.n)", FERRY_ESCAPE_NONE, "{\"s\":\"\\\"9\",\"n\":98765432109876543210}"),
                        "98765432109876543210");
}

static void a_view_of_json_is_that_json(void **state)
{
    (void)state;
    struct ferry_view *view = NULL;
    struct ferry_slice request = FERRY_SLICE("{\"headers\":{\"x-github-event\":\"push\"},\"data\":{\"n\":1}}");
    assert_int_equal(ferry_view_of_json(request, &view, NULL), FERRY_OK);
    assert_string_equal(evaluate_on(".headers[\"x-github-event\"]", view), "\"push\"");
    assert_string_equal(evaluate_on("keys", view), "[\"data\",\"headers\"]");
    ferry_view_free(view);
    struct ferry_view *none = NULL;
    assert_int_equal(ferry_view_of_json(FERRY_SLICE("{"), &none, NULL), FERRY_JSON_INVALID);
}

/* ---- expressions ---- */

static void an_expression_yields_its_first_result(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".data.a, .data.b", "{\"a\":{\"x\":[1,\"\\u00e5\",true]},\"b\":2}"),
                        "{\"x\":[1,\"\xC3\xA5\",true]}");
    assert_string_equal(evaluate("empty", "{}"), "null");
    assert_string_equal(evaluate("def twice: . * 2; .data.n | twice # a comment", "{\"n\":2}"), "4");
}

static void jq_errors_are_one_short_line(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".data.a.b", "{\"a\":\"x\"}"),
                        "template_error: Cannot index string with string \"b\"");
    assert_string_equal(evaluate("error({a:\"x\\ny\"})", "{}"), "template_error: {\"a\":\"x\\ny\"}");
    const char *message = evaluate("error(\"line\\nfeed\" + \"\u00e5\" * 500)", "{}");
    assert_memory_equal(message, "template_error: line feed\u00e5", 26);
    assert_true(strlen(message) < 230);
    assert_string_equal(message + strlen(message) - 3, "\xE2\x80\xA6");
}

static void an_error_leaves_nothing_behind(void **state)
{
    (void)state;
    struct ferry_expression *expression = NULL;
    assert_int_equal(ferry_expression_new(".data | if . == 1 then error(\"one\") else (., 99) end", &expression, NULL),
                     FERRY_OK);
    struct ferry_view *bad = view_of("1"), *good = view_of("2");
    struct ferry_buffer out;
    ferry_buffer_init(&out, 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ferry_expression_json(expression, bad, &out, NULL), FERRY_TEMPLATE);
        assert_int_equal(ferry_expression_json(expression, good, &out, NULL), FERRY_OK);
    }
    assert_string_equal(ferry_buffer_slice(&out).ptr, "222");
    ferry_buffer_done(&out);
    ferry_view_free(bad);
    ferry_view_free(good);
    ferry_expression_free(expression);
}

static void a_condition_is_true_unless_null_or_false(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        bool expected;
    } cases[] = {{"true", true}, {"0", true}, {"\"\"", true}, {"false", false}, {"null", false}};
    struct ferry_expression *expression = NULL;
    assert_int_equal(ferry_expression_new(".data", &expression, NULL), FERRY_OK);
    for (size_t i = 0; i < 5; i++) {
        struct ferry_view *view = view_of(cases[i].data);
        bool is_true = !cases[i].expected;
        assert_int_equal(ferry_expression_true(expression, view, &is_true, NULL), FERRY_OK);
        assert_int_equal(is_true, cases[i].expected);
        ferry_view_free(view);
    }
    ferry_expression_free(expression);
}

static void an_expression_as_text_is_a_scalar(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        const char *expected;
        bool is_null;
        enum ferry_code code;
    } cases[] = {
        {"\"a\\\"b\"", "a\"b", false, FERRY_OK}, {"1.5", "1.5", false, FERRY_OK}, {"false", "false", false, FERRY_OK},
        {"\"\"", "", false, FERRY_OK},           {"null", "", true, FERRY_OK},    {"{}", "", true, FERRY_TEMPLATE},
        {"[1]", "", true, FERRY_TEMPLATE}};
    struct ferry_expression *expression = NULL;
    assert_int_equal(ferry_expression_new(".data", &expression, NULL), FERRY_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_view *view = view_of(cases[i].data);
        struct ferry_buffer out;
        ferry_buffer_init(&out, 100);
        bool is_null = true;
        assert_int_equal(ferry_expression_text(expression, view, &out, &is_null, NULL), cases[i].code);
        assert_int_equal(is_null, cases[i].is_null);
        assert_string_equal(ferry_buffer_slice(&out).ptr, cases[i].expected);
        ferry_buffer_done(&out);
        ferry_view_free(view);
    }
    ferry_expression_free(expression);
}

static void what_reaches_outside_the_event_is_not_available(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *name;
    } cases[] = {{"env", "`env`"},
                 {"env.HOME", "`env`"},
                 {"[.data[] | env]", "`env`"},
                 {"\"\\(env)\"", "`env`"},
                 {"$ENV", "`$ENV`"},
                 {"$ENV.HOME", "`$ENV`"},
                 {"$ ENV", "`$ENV`"},
                 {"$ # comment\n ENV", "`$ENV`"},
                 {"\"a\\(\"b\\($ENV.HOME)\")\"", "`$ENV`"},
                 {"input", "`input`"},
                 {"[inputs]", "`inputs`"},
                 {"debug", "`debug`"},
                 {"stderr", "`stderr`"},
                 {"halt", "`halt`"},
                 {"halt_error", "`halt_error`"},
                 {"halt_error(1)", "`halt_error`"},
                 {"input_filename", "`input_filename`"},
                 {"input_line_number", "`input_line_number`"},
                 {"modulemeta", "`modulemeta`"},
                 {"get_search_list", "`get_search_list`"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ferry_expression *expression = NULL;
        struct ferry_error error = {.text = ""};
        assert_int_equal(ferry_expression_new(cases[i].source, &expression, &error), FERRY_CONFIG);
        if (strncmp(error.text, cases[i].name, strlen(cases[i].name)) != 0 || !strstr(error.text, "is not available"))
            fail_msg("%s: %s", cases[i].source, error.text);
    }
    static const char *const modules[] = {"import \"a\" as a; 1", "include \"a\"; 1", "module {}; 1",
                                          "import \"a\" as $a; 1", ". as $__prog_args | $__prog_arg"};
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        struct ferry_expression *expression = NULL;
        assert_int_equal(ferry_expression_new(modules[i], &expression, NULL), FERRY_CONFIG);
    }
}

static void the_same_words_as_member_names_are_fine(void **state)
{
    (void)state;
    assert_string_equal(evaluate("{env: .data.env, input: .data.input, a: \"$ENV\", $x} | .env", "{\"env\":1}"),
                        "config: $x is not defined, line 1");
    assert_string_equal(evaluate(".data | {env, input, \"debug\": .debug, a: \"$ENV\", ENVY: 1, b: \"env\"}",
                                 "{\"env\":1,\"input\":2,\"debug\":3}"),
                        "{\"env\":1,\"input\":2,\"debug\":3,\"a\":\"$ENV\",\"ENVY\":1,\"b\":\"env\"}");
    assert_string_equal(evaluate(". as $ENVIRONMENT | $ENVIRONMENT.id", "{}"), "\"e1\"");
}

static void compile_errors_name_the_line_of_the_source(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".a |\n.b | nonsense", "{}"), "config: nonsense/0 is not defined, line 2");
    assert_string_equal(evaluate(".a )", "{}"),
                        "config: syntax error, unexpected INVALID_CHARACTER, expecting $end, line 1");
    assert_string_equal(evaluate("", "{}"), "config: the expression is empty");
    assert_string_equal(evaluate(" # nothing", "{}"), "config: the expression is empty");
}

static void a_date_that_is_none_is_an_error_and_no_crash(void **state)
{
    (void)state;
    assert_string_equal(evaluate(".data | todate", "0"), "\"1970-01-01T00:00:00Z\"");
    assert_string_equal(evaluate(".data | strftime(\"%Y\")", "0"), "\"1970\"");
    static const char *const sources[] = {".data | todate", ".data | todateiso8601", ".data | strftime(\"%Y\")",
                                          ".data | strflocaltime(\"%Y\")"};
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(evaluate(sources[i], "1e300"), "template_error: ", 16);
}

/* ---- templates ---- */

static void text_outside_of_holes_is_literal(void **state)
{
    (void)state;
    static const char *const literal[] = {"", "plain", "a \"quoted\" 'text' $x {y} %s (z) \\n \\ \\\\ \\",
                                          "\xC3\xA5\n"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(render(literal[i], FERRY_ESCAPE_HTML, "{}"), literal[i]);
    assert_string_equal(render("\\\\(.id)", FERRY_ESCAPE_NONE, "{}"), "\\(.id)");
    assert_string_equal(render("\\\\\\(.id)", FERRY_ESCAPE_NONE, "{}"), "\\\\(.id)");
}

static void holes_are_replaced_by_their_values(void **state)
{
    (void)state;
    assert_string_equal(
        render("*\\(.resource.name)* by \\(.userid // \"Qlik\")", FERRY_ESCAPE_NONE, "{\"name\":\"Sales\"}"),
        "*Sales* by u1");
    assert_string_equal(render("\\(.id)\\(.id)", FERRY_ESCAPE_NONE, "{}"), "e1e1");
    assert_string_equal(render("\\(.nobody // \"someone\")", FERRY_ESCAPE_NONE, "{}"), "someone");
}

static void a_hole_may_hold_any_jq(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *expected;
    } cases[] = {{"\\((.data.n + 1) * (2))", "6"},
                 {"\\(\")\")", ")"},
                 {"\\(\"a)\\\"b\")", "a)\"b"},
                 {"\\(\"n=\\(.data.n | tostring | \"<\\(.)>\")!\")", "n=<2>!"},
                 {"\\(\"\\\\\")\\(.data.n)", "\\2"},
                 {"\\(.data.n # two )\n)", "2"},
                 {"\\(.data.n, 7)", "2"},
                 {"\\(if .data.n == 2 then \"two\" else \"other\" end)", "two"},
                 {"\\(def f: . + 1; .data.n | f)", "3"},
                 {"\\([.data.n] | map(. * 2) | .[0])", "4"},
                 {"\\(.data | .[\"n\"])", "2"},
                 {"\\(try error(\"x\") catch .)", "x"},
                 {"\\(@base64 \"x\\(.id)\")", "xZTE="}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(render(cases[i].source, FERRY_ESCAPE_NONE, "{\"n\":2}"), cases[i].expected);
}

static void values_that_are_no_strings_are_json(void **state)
{
    (void)state;
    assert_string_equal(render("\\(.data.a) \\(.data.b) \\(.data.c) \\(.data.d)", FERRY_ESCAPE_NONE,
                               "{\"a\":[1,\"x\"],\"b\":{\"k\":null},\"c\":1.50,\"d\":false}"),
                        "[1,\"x\"] {\"k\":null} 1.5 false");
}

static void a_hole_that_yields_null_is_an_error_that_names_it(void **state)
{
    (void)state;
    assert_string_equal(render("\\(.id) \\(.resource.email)", FERRY_ESCAPE_NONE, "{}"),
                        "template_null: hole 2, \\(.resource.email): yields null");
    assert_string_equal(render("\\(empty)", FERRY_ESCAPE_NONE, "{}"), "template_null: hole 1, \\(empty): yields null");
    assert_string_equal(render("\\(\"\")", FERRY_ESCAPE_NONE, "{}"), "");
    assert_string_equal(render("\\(\"\")", FERRY_ESCAPE_URL, "{}"),
                        "template_null: hole 1, \\(\"\"): yields \"\" in a URL");
}

static void an_error_names_its_hole(void **state)
{
    (void)state;
    assert_string_equal(render("\\(.id) \\(.id.x) \\(.time)", FERRY_ESCAPE_NONE, "{}"),
                        "template_error: hole 2, \\(.id.x): Cannot index string with string \"x\"");
}

static void a_template_that_does_not_compile_names_its_hole(void **state)
{
    (void)state;
    assert_string_equal(render("\\(.id) \\(.id |) \\(.time)", FERRY_ESCAPE_NONE, "{}"),
                        "config: hole 2, \\(.id |): syntax error, unexpected $end, line 1");
    assert_string_equal(render("\\(.id) \\(nonsense)", FERRY_ESCAPE_NONE, "{}"),
                        "config: hole 2, \\(nonsense): nonsense/0 is not defined, line 1");
    assert_string_equal(render("\\(.id) \\(env.HOME)", FERRY_ESCAPE_NONE, "{}"),
                        "config: hole 2, \\(env.HOME): `env` is not available, line 1");
    assert_string_equal(render("\\()", FERRY_ESCAPE_NONE, "{}"), "config: hole 1, \\(): the expression is empty");
    assert_string_equal(render("a \\(.id) \\(\"b)", FERRY_ESCAPE_NONE, "{}"),
                        "config: hole 2 is not closed: \\(\"b), line 1");
    assert_string_equal(render("first\nsecond \\(.id) \\(.a |\n .b c)", FERRY_ESCAPE_NONE, "{}"),
                        "config: hole 2, \\(.a |  .b c): syntax error, unexpected IDENT, expecting $end, line 3");
    assert_memory_equal(render("\\(1] , [2)", FERRY_ESCAPE_NONE, "{}"), "config: hole 1", 14);
    assert_memory_equal(render("\\(1; 2)", FERRY_ESCAPE_NONE, "{}"), "config: hole 1", 14);
}

static void each_place_has_its_escaping(void **state)
{
    (void)state;
    static const char data[] = "{\"s\":\"<a href='x'>&\\\"\xC3\xA5/~ \"}";
    static const char source[] = "<\\(.data.s)>";
    assert_string_equal(render(source, FERRY_ESCAPE_NONE, data), "<<a href='x'>&\"\xC3\xA5/~ >");
    assert_string_equal(render(source, FERRY_ESCAPE_HTML, data), "<&lt;a href=&#39;x&#39;&gt;&amp;&quot;\xC3\xA5/~ >");
    assert_string_equal(render(source, FERRY_ESCAPE_SLACK, data), "<&lt;a href='x'&gt;&amp;\"\xC3\xA5/~ >");
    assert_string_equal(render(source, FERRY_ESCAPE_URL, data), "<%3Ca%20href%3D%27x%27%3E%26%22%C3%A5%2F~%20>");
    assert_string_equal(render(source, FERRY_ESCAPE_HEADER, data), "<<a href='x'>&\"\xC3\xA5/~ >");
}

static void a_url_part_may_not_climb(void **state)
{
    (void)state;
    static const char expected[] = "address-invalid: hole 1, \\(.data): `.` and `..` may not be a part of a URL";
    assert_string_equal(render("/users/\\(.data)", FERRY_ESCAPE_URL, "\"..\""), expected);
    assert_string_equal(render("/users/.\\(.data)", FERRY_ESCAPE_URL, "\".\""), expected);
    assert_string_equal(render("/users/\\(.data)", FERRY_ESCAPE_URL, "\"../x\""), "/users/..%2Fx");
    assert_string_equal(render("/users/\\(.data)", FERRY_ESCAPE_URL, "\"%2e\\u0000\""), "/users/%252e%00");
}

static void a_mail_header_stays_one_line(void **state)
{
    (void)state;
    static const char *const values[] = {"\"a\\r\\nBcc: x\"", "\"a\\n\"", "\"a\\u0000b\""};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(render("Hello \\(.data)", FERRY_ESCAPE_HEADER, values[i]),
                            "address-invalid: hole 1, \\(.data): CR, LF and NUL may not stand in a mail header");
    assert_string_equal(render("Hello\nBcc: x", FERRY_ESCAPE_HEADER, "1"), "config: a mail header is one line");
}

static void a_result_never_outgrows_its_buffer(void **state)
{
    (void)state;
    struct ferry_template *compiled = NULL;
    assert_int_equal(ferry_template_new("<\\(.data)>", FERRY_ESCAPE_NONE, &compiled, NULL), FERRY_OK);
    struct ferry_view *view = view_of("\"0123456789\"");
    struct ferry_buffer out;
    ferry_buffer_init(&out, 14);
    ferry_buffer_add_text(&out, "abc");
    assert_int_equal(ferry_template_render(compiled, view, &out, NULL), FERRY_TEMPLATE);
    assert_string_equal(ferry_buffer_slice(&out).ptr, "abc");
    assert_false(out.failed);
    ferry_buffer_clear(&out);
    assert_int_equal(ferry_template_render(compiled, view, &out, NULL), FERRY_OK);
    assert_string_equal(ferry_buffer_slice(&out).ptr, "<0123456789>");
    ferry_buffer_done(&out);
    ferry_view_free(view);
    ferry_template_free(compiled);
}

static void a_template_may_have_hundreds_of_holes(void **state)
{
    (void)state;
    char source[300 * 12 + 1] = "", expected[300 * 4 + 1] = "";
    for (int i = 0; i < 300; i++) {
        sprintf(source + strlen(source), "\\(%d),", i);
        sprintf(expected + strlen(expected), "%d,", i);
    }
    assert_string_equal(render(source, FERRY_ESCAPE_NONE, "{}"), expected);
}

enum { THREADS = 4, ROUNDS = 300 };

/* Counts the wrong answers of a template that is this thread's own. */
static void *render_often(void *context)
{
    size_t wrong = 0;
    struct ferry_template *compiled = NULL;
    if (ferry_template_new("\\(.id) \\(.data.n + 0.25) \\(.data.s | ascii_upcase)", FERRY_ESCAPE_HTML, &compiled,
                           NULL) != FERRY_OK)
        return context;
    for (int i = 0; i < ROUNDS; i++) {
        struct ferry_event event = event_with("{\"n\":1.5,\"s\":\"<x>\"}");
        struct ferry_view *view = NULL;
        struct ferry_buffer out;
        ferry_buffer_init(&out, 100);
        wrong += ferry_view_new(&event, &view, NULL) != FERRY_OK ||
                 ferry_template_render(compiled, view, &out, NULL) != FERRY_OK ||
                 !ferry_slice_is(ferry_buffer_slice(&out), "e1 1.75 &lt;X&gt;");
        ferry_buffer_done(&out);
        ferry_view_free(view);
    }
    ferry_template_free(compiled);
    return (void *)wrong;
}

static void threads_with_templates_of_their_own_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, render_often, threads), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_is_a_top_level_member_and_nothing_else),
        cmocka_unit_test(the_resource_is_data_or_its_attributes),
        cmocka_unit_test(an_extension_cannot_pose_as_event_or_data),
        cmocka_unit_test(data_that_is_no_json_is_text_or_base64),
        cmocka_unit_test(no_data_is_null),
        cmocka_unit_test(data_that_claims_to_be_json_and_is_not_is_an_invalid_record),
        cmocka_unit_test(data_deeper_than_256_levels_is_refused_before_jq_sees_it),
        cmocka_unit_test(no_digit_of_a_big_integer_is_lost),
        cmocka_unit_test(a_view_of_json_is_that_json),
        cmocka_unit_test(an_expression_yields_its_first_result),
        cmocka_unit_test(jq_errors_are_one_short_line),
        cmocka_unit_test(an_error_leaves_nothing_behind),
        cmocka_unit_test(a_condition_is_true_unless_null_or_false),
        cmocka_unit_test(an_expression_as_text_is_a_scalar),
        cmocka_unit_test(what_reaches_outside_the_event_is_not_available),
        cmocka_unit_test(the_same_words_as_member_names_are_fine),
        cmocka_unit_test(compile_errors_name_the_line_of_the_source),
        cmocka_unit_test(a_date_that_is_none_is_an_error_and_no_crash),
        cmocka_unit_test(text_outside_of_holes_is_literal),
        cmocka_unit_test(holes_are_replaced_by_their_values),
        cmocka_unit_test(a_hole_may_hold_any_jq),
        cmocka_unit_test(values_that_are_no_strings_are_json),
        cmocka_unit_test(a_hole_that_yields_null_is_an_error_that_names_it),
        cmocka_unit_test(an_error_names_its_hole),
        cmocka_unit_test(a_template_that_does_not_compile_names_its_hole),
        cmocka_unit_test(each_place_has_its_escaping),
        cmocka_unit_test(a_url_part_may_not_climb),
        cmocka_unit_test(a_mail_header_stays_one_line),
        cmocka_unit_test(a_result_never_outgrows_its_buffer),
        cmocka_unit_test(a_template_may_have_hundreds_of_holes),
        cmocka_unit_test(threads_with_templates_of_their_own_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
