#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/buffer.h"
#include "core/yaml.h"

struct parsed {
    struct ferry_arena arena;
    const struct ferry_yaml_node *root;
    enum ferry_code code;
    struct ferry_buffer problems; /* "LINE text\n" */
};

static void note_problem(void *context, int line, const char *text)
{
    ferry_buffer_printf(context, "%d %s\n", line, text);
}

static void done(struct parsed *parsed)
{
    ferry_arena_done(&parsed->arena);
    ferry_buffer_done(&parsed->problems);
}

static void parse(struct ferry_slice text, struct parsed *parsed)
{
    *parsed = (struct parsed){0};
    ferry_buffer_init(&parsed->problems, 1 << 16);
    const struct ferry_yaml_listener listener = {&parsed->problems, note_problem};
    parsed->code = ferry_yaml_parse(text, &parsed->arena, &listener, &parsed->root);
}

static const char *problems(const struct parsed *parsed)
{
    return parsed->problems.ptr != NULL ? parsed->problems.ptr : "";
}

static void maps_lists_and_scalars_become_nodes_with_lines(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: 1\n\nb:\n  - x\n  - {c: 'd'}\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_OK);
    assert_int_equal(parsed.root->count, 2);
    const struct ferry_yaml_member *b = ferry_yaml_get(parsed.root, "b");
    assert_int_equal(b->line, 3);
    assert_int_equal(b->value->kind, FERRY_YAML_LIST);
    assert_int_equal(b->value->items[1]->line, 5);
    const struct ferry_yaml_node *d = ferry_yaml_get(b->value->items[1], "c")->value;
    assert_string_equal(d->text.ptr, "d");
    assert_false(d->plain);
    assert_true(ferry_yaml_get(parsed.root, "a")->value->plain);
    assert_null(ferry_yaml_get(parsed.root, "z"));
    assert_null(ferry_yaml_get(d, "z"));
}

static void the_text_of_a_block_begins_one_line_below_its_bar(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: |-\n  one\n  two\nb: three\n"), &parsed);
    const struct ferry_yaml_node *a = ferry_yaml_get(parsed.root, "a")->value;
    assert_string_equal(a->text.ptr, "one\ntwo");
    assert_int_equal(a->line, 1);
    assert_int_equal(a->text_line, 2);
    assert_int_equal(ferry_yaml_get(parsed.root, "b")->value->text_line, 4);
}

static void nothing_tilde_and_null_are_null_only_without_quotes(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("- \n- ~\n- null\n- ''\n- 'null'\n- {}\n"), &parsed);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(ferry_yaml_is_null(parsed.root->items[i]), i < 3);
}

static void a_key_may_stand_once(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: 1\nb: 2\na: 3\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_CONFIG);
    assert_string_equal(problems(&parsed), "3 a: stands here for the second time, first in line 1\n");
    assert_string_equal(ferry_yaml_get(parsed.root, "a")->value->text.ptr, "1");
}

static void an_alias_is_the_node_of_its_anchor(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: &x [1, 2]\nb: *x\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_OK);
    assert_ptr_equal(ferry_yaml_get(parsed.root, "a")->value, ferry_yaml_get(parsed.root, "b")->value);
}

static void an_alias_cannot_make_a_circle(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: &x\n  b: *x\nc: *y\n"), &parsed);
    assert_string_equal(problems(&parsed), "2 *x: there is no complete &x above it\n"
                                           "3 *y: there is no complete &y above it\n");
}

/* Nine levels of nine: a reader that copied would build 387 million nodes. */
static void aliases_of_aliases_cost_nothing(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    FERRY_CLEANUP(done) struct parsed parsed;
    ferry_buffer_init(&text, 4096);
    ferry_buffer_add_text(&text, "- &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        ferry_buffer_printf(&text, "- &a%d [", i);
        for (int k = 0; k < 9; k++)
            ferry_buffer_printf(&text, "%s*a%d", k > 0 ? "," : "", i - 1);
        ferry_buffer_add_text(&text, "]\n");
    }
    parse(ferry_buffer_slice(&text), &parsed);
    assert_int_equal(parsed.code, FERRY_OK);
    assert_int_equal(parsed.root->count, 9);
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("---\na: 1\n---\nb: 2\n"), &parsed);
    assert_string_equal(problems(&parsed), "3 a second document begins here, the configuration is one\n");
}

static void a_document_may_have_its_marks(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("%YAML 1.1\n---\na: 1\n...\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_OK);
}

static void nothing_at_all_is_no_tree_and_no_mistake(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("# a comment\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_OK);
    assert_null(parsed.root);
}

static void tags_and_keys_that_are_no_words_are_refused(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: !!binary aGVsbG8=\n? [b]\n: c\nd: !map {e: f}\n"), &parsed);
    assert_string_equal(problems(&parsed), "1 the tag tag:yaml.org,2002:binary has no meaning here, leave it out\n"
                                           "2 a key is a word\n"
                                           "4 the tag !map has no meaning here, leave it out\n");
    assert_int_equal(parsed.root->count, 2);
}

static void a_text_with_a_nul_is_refused(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: \"x\\0y\"\n"), &parsed);
    assert_string_equal(problems(&parsed), "1 the text holds a NUL character\n");
}

static void a_broken_syntax_is_said_with_its_line(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: 1\nb: [1, 2\nc: 3\n"), &parsed);
    assert_int_equal(parsed.code, FERRY_CONFIG);
    assert_null(parsed.root);
    assert_int_equal(strncmp(problems(&parsed), "3 not YAML: ", 12), 0);
}

static void bytes_that_are_no_text_are_said_with_their_line(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct parsed parsed;
    parse(FERRY_SLICE("a: 1\nb: \xff\n"), &parsed);
    assert_string_equal(problems(&parsed), "2 not YAML: invalid leading UTF-8 octet\n");
}

static void what_is_nested_too_deeply_ends_the_reading(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    FERRY_CLEANUP(done) struct parsed parsed;
    ferry_buffer_init(&text, 4096);
    for (int i = 0; i < 65; i++)
        ferry_buffer_add_char(&text, '[');
    for (int i = 0; i < 65; i++)
        ferry_buffer_add_char(&text, ']');
    parse(ferry_buffer_slice(&text), &parsed);
    assert_string_equal(problems(&parsed), "1 nested too deeply\n");
    assert_null(parsed.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_become_nodes_with_lines),
        cmocka_unit_test(the_text_of_a_block_begins_one_line_below_its_bar),
        cmocka_unit_test(nothing_tilde_and_null_are_null_only_without_quotes),
        cmocka_unit_test(nothing_at_all_is_no_tree_and_no_mistake),
        cmocka_unit_test(a_document_may_have_its_marks),
        cmocka_unit_test(a_key_may_stand_once),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(tags_and_keys_that_are_no_words_are_refused),
        cmocka_unit_test(a_text_with_a_nul_is_refused),
        cmocka_unit_test(an_alias_is_the_node_of_its_anchor),
        cmocka_unit_test(an_alias_cannot_make_a_circle),
        cmocka_unit_test(aliases_of_aliases_cost_nothing),
        cmocka_unit_test(a_broken_syntax_is_said_with_its_line),
        cmocka_unit_test(bytes_that_are_no_text_are_said_with_their_line),
        cmocka_unit_test(what_is_nested_too_deeply_ends_the_reading),
    };
    return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
