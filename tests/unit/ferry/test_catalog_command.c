#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/catalog.h"
#include "core/program.h"
#include "ferry/command.h"
#include "ferry/shapes.h"
#include "tests/unit/ferry/capture.h"

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static json_t *schema_of(const char *event)
{
    const struct capture *run = CAPTURE(catalog, "--schema", event, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    json_t *schema = json_loads(run->out, 0, NULL);
    assert_non_null(schema);
    return schema;
}

static const char *type_at(json_t *schema, const char *name)
{
    json_t *member = json_object_get(json_object_get(schema, "properties"), name);
    return json_string_value(json_object_get(member, "type"));
}

static void the_table_has_a_line_for_each_type_and_one_of_headings(void **state)
{
    (void)state;
    size_t count;
    ferry_catalog_entries(&count);
    const struct capture *run = CAPTURE(catalog, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_int_equal(lines_of(run->out), count + 1);
}

static void the_columns_are_aligned_and_no_line_ends_in_blanks(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(catalog, NULL);
    const char *heading = strstr(run->out, "type");
    const char *row = strstr(run->out, "\nApps");
    assert_non_null(strstr(row, "app.opened"));
    assert_memory_equal(row + 1 + (heading - run->out), "com.qlik.", 9);
    assert_null(strstr(run->out, " \n"));
}

static void the_json_has_every_column_of_every_type(void **state)
{
    (void)state;
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    json_t *rows = json_loads(CAPTURE(catalog, "--json", NULL)->out, 0, NULL);
    assert_int_equal(json_array_size(rows), count);
    json_t *last = json_array_get(rows, count - 1);
    assert_string_equal(json_string_value(json_object_get(last, "family")), entries[count - 1].family);
    assert_string_equal(json_string_value(json_object_get(last, "event")), entries[count - 1].canonical);
    assert_string_equal(json_string_value(json_object_get(last, "type")), entries[count - 1].type);
    assert_string_equal(json_string_value(json_object_get(last, "source")), entries[count - 1].source);
    assert_string_equal(json_string_value(json_object_get(last, "note")), entries[count - 1].note);
    json_decref(rows);
}

static void a_schema_names_the_members_of_data_and_their_types(void **state)
{
    (void)state;
    json_t *schema = schema_of("app.created");
    assert_string_equal(json_string_value(json_object_get(schema, "title")), "com.qlik.app.created");
    assert_string_equal(type_at(schema, "name"), "string");
    assert_string_equal(type_at(schema, "published"), "boolean");
    json_t *size = json_object_get(json_object_get(schema, "properties"), "size");
    assert_string_equal(type_at(size, "memory"), "integer");
    json_decref(schema);
}

static void a_schema_describes_what_lists_hold(void **state)
{
    (void)state;
    json_t *schema = schema_of("user.created");
    json_t *roles = json_object_get(json_object_get(schema, "properties"), "assignedRoles");
    assert_string_equal(json_string_value(json_object_get(roles, "type")), "array");
    assert_string_equal(type_at(json_object_get(roles, "items"), "level"), "string");
    json_decref(schema);
}

static void another_name_of_an_action_has_its_schema(void **state)
{
    (void)state;
    json_t *schema = schema_of("com.qlik.v1.app.created");
    assert_string_equal(json_string_value(json_object_get(schema, "title")), "com.qlik.v1.app.created");
    assert_string_equal(type_at(schema, "name"), "string");
    json_decref(schema);
}

static void an_undocumented_event_has_a_schema_that_says_so(void **state)
{
    (void)state;
    json_t *schema = schema_of("space.share.created");
    assert_non_null(json_object_get(schema, "$comment"));
    assert_null(json_object_get(schema, "type"));
    json_decref(schema);
}

static void an_unknown_event_is_answered_with_the_nearest(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(catalog, "--schema", "app.craeted", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_USAGE);
    assert_string_equal(run->out, "");
    assert_non_null(strstr(run->err, "did you mean app.created?"));
}

static void an_unknown_option_is_wrong_usage(void **state)
{
    (void)state;
    assert_int_equal(CAPTURE(catalog, "--yaml", NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(catalog, "app.created", NULL)->exit_code, FERRY_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_a_line_for_each_type_and_one_of_headings),
        cmocka_unit_test(the_columns_are_aligned_and_no_line_ends_in_blanks),
        cmocka_unit_test(the_json_has_every_column_of_every_type),
        cmocka_unit_test(a_schema_names_the_members_of_data_and_their_types),
        cmocka_unit_test(a_schema_describes_what_lists_hold),
        cmocka_unit_test(another_name_of_an_action_has_its_schema),
        cmocka_unit_test(an_undocumented_event_has_a_schema_that_says_so),
        cmocka_unit_test(an_unknown_event_is_answered_with_the_nearest),
        cmocka_unit_test(an_unknown_option_is_wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
