/* The operators' journal: what a record says, and what it must not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/buffer.h"
#include "ferry/operations.h"

static json_t *printed(const struct ferry_operation *operation, struct ferry_slice details)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, 64 * 1024);
    ferry_operation_print(operation, "ada@bastion", 0, "done", 12, details, &out);
    json_t *root = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_at(const json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

static void a_record_says_who_did_what_and_how_much(void **state)
{
    (void)state;
    const char *const arguments[] = {"--worker", "mail", "--where", ".data.name == \"a\\b\""};
    const struct ferry_operation operation = {.command = "dlq redrive",
                                              .arguments = arguments,
                                              .argument_count = 4,
                                              .run = "run-1",
                                              .filter = FERRY_SLICE("{\"worker\":\"mail\"}")};
    json_t *root = printed(&operation, FERRY_SLICE("[1]"));
    assert_string_equal(text_at(root, "time"), "1970-01-01T00:00:00.000Z");
    assert_string_equal(text_at(root, "who"), "ada@bastion");
    assert_string_equal(text_at(root, "command"), "dlq redrive");
    assert_string_equal(text_at(root, "run"), "run-1");
    assert_string_equal(text_at(root, "state"), "done");
    assert_int_equal(json_integer_value(json_object_get(root, "count")), 12);
    assert_string_equal(text_at(json_object_get(root, "filter"), "worker"), "mail");
    assert_int_equal(json_array_size(json_object_get(root, "details")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(root, "arguments"), 3)), arguments[3]);
    json_decref(root);
}

static void a_url_keeps_its_host_alone(void **state)
{
    (void)state;
    const char *const arguments[] = {"https://hooks.example.com/services/T0/B0/token",
                                     "--to-url=https://u:p@h.example?k=v", "http://127.0.0.1:80"};
    const struct ferry_operation operation = {
        .command = "replay", .arguments = arguments, .argument_count = 3, .run = "run-1"};
    json_t *root = printed(&operation, (struct ferry_slice){NULL, 0});
    json_t *list = json_object_get(root, "arguments");
    assert_string_equal(json_string_value(json_array_get(list, 0)), "https://hooks.example.com/…");
    assert_string_equal(json_string_value(json_array_get(list, 1)), "--to-url=https://h.example/…");
    assert_string_equal(json_string_value(json_array_get(list, 2)), "http://127.0.0.1:80");
    assert_null(json_object_get(root, "filter"));
    assert_null(json_object_get(root, "details"));
    json_decref(root);
}

static void a_run_id_is_new_each_time_and_good(void **state)
{
    (void)state;
    char one[FERRY_RUN_ID], other[FERRY_RUN_ID];
    ferry_run_id_new(one);
    ferry_run_id_new(other);
    assert_true(ferry_run_id_valid(one));
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), strlen("20261122T100000-1f0c9a"));
}

static void a_run_id_is_a_plain_word(void **state)
{
    (void)state;
    char long_one[70];
    memset(long_one, 'a', sizeof long_one);
    long_one[64] = '\0';
    assert_true(ferry_run_id_valid(long_one));
    memcpy(long_one + 64, "a", 2);
    assert_false(ferry_run_id_valid(long_one));
    assert_false(ferry_run_id_valid(""));
    assert_false(ferry_run_id_valid("a b"));
    assert_false(ferry_run_id_valid("a\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_says_who_did_what_and_how_much),
        cmocka_unit_test(a_url_keeps_its_host_alone),
        cmocka_unit_test(a_run_id_is_new_each_time_and_good),
        cmocka_unit_test(a_run_id_is_a_plain_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
