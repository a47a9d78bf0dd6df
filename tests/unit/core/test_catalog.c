/* The catalogue, and the canonical names of types that are in it and that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/catalog.h"
#include "tests/support/files.h"

static void assert_canonical(const char *type, const char *expected)
{
    struct ferry_slice canonical = ferry_catalog_canonical(ferry_slice_from(type));
    if (!ferry_slice_is(canonical, expected))
        fail_msg("%s became %.*s, not %s", type, FERRY_SLICE_ARGS(canonical), expected);
}

/* The next field of a line, which loses it. */
static struct ferry_slice next_field(struct ferry_slice *line)
{
    size_t len = 0;
    while (len < line->len && line->ptr[len] != '\t')
        len++;
    struct ferry_slice field = ferry_slice_of(line->ptr, len);
    *line = ferry_slice_skip(*line, len < line->len ? len + 1 : len);
    return field;
}

static void assert_row(const struct ferry_catalog_entry *entry, struct ferry_slice line)
{
    const char *const columns[] = {entry->family, entry->canonical, entry->type,
                                   entry->source[0] != '\0' ? entry->source : "-", entry->note};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct ferry_slice field = next_field(&line);
        if (!ferry_slice_is(field, columns[i]))
            fail_msg("%s: the table has %s, the catalogue %.*s", entry->type, columns[i], FERRY_SLICE_ARGS(field));
    }
}

static void the_table_is_the_catalogue(void **state)
{
    (void)state;
    size_t count, row = 0;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    struct ferry_slice file = read_file(FERRY_TEST_DATA "/catalog.tsv"), rest = file;
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct ferry_slice line = ferry_slice_of(rest.ptr, len);
        rest = ferry_slice_skip(rest, end != NULL ? len + 1 : len);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        assert_true(row < count);
        assert_row(&entries[row++], line);
    }
    assert_int_equal(row, count);
    assert_int_equal(count, 154);
    free((void *)file.ptr);
}

static void every_row_is_found_by_its_type_and_its_event(void **state)
{
    (void)state;
    size_t count;
    const struct ferry_catalog_entry *entries = ferry_catalog_entries(&count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(ferry_catalog_find_type(ferry_slice_from(entries[i].type)), &entries[i]);
        const struct ferry_catalog_entry *first = ferry_catalog_find_event(ferry_slice_from(entries[i].canonical));
        assert_non_null(first);
        assert_string_equal(first->canonical, entries[i].canonical);
        assert_true(first <= &entries[i]);
        assert_canonical(entries[i].type, entries[i].canonical);
    }
    assert_null(ferry_catalog_find_type(FERRY_SLICE("com.qlik.app.invented")));
    assert_null(ferry_catalog_find_type((struct ferry_slice){NULL, 0}));
    assert_null(ferry_catalog_find_event(FERRY_SLICE("app")));
}

static void a_rename_at_qlik_cuts_nobody_off(void **state)
{
    (void)state;
    assert_canonical("com.qlik.v1.app.created", "app.created");
    assert_canonical("com.qlik.app.created", "app.created");
    assert_canonical("com.qlik.analytics.app.created", "app.created");
    assert_canonical("com.qlik.v2.app.created", "app.created");
    assert_canonical("com.qlik.v1.v1.app.created", "app.created");
    assert_canonical("com.qlik.v17.core.user.created", "user.created");
    assert_canonical("com.qlik.core.v1.user.created", "user.created");
    assert_canonical("com.qlik.ai.mcp.tool.invented", "mcp.tool.invented");
    assert_canonical("com.qlik.scheduling.task.invented", "task.invented");
    assert_canonical("com.qlik.scheduling.tasks.created", "tasks.created");
}

static void only_what_is_a_prefix_is_taken_away(void **state)
{
    (void)state;
    assert_canonical("com.qlik.core.core.x", "core.x");
    assert_canonical("com.qlik.corex.y", "corex.y");
    assert_canonical("com.qlik.vx.y", "vx.y");
    assert_canonical("com.qlik.v1x.y", "v1x.y");
    assert_canonical("com.qlik.v.y", "v.y");
    assert_canonical("com.qlikx.v1.app.created", "com.qlikx.v1.app.created");
    assert_canonical("com.github.push", "com.github.push");
    assert_canonical("v1.app.created", "v1.app.created");
    assert_canonical("COM.QLIK.app.created", "COM.QLIK.app.created");
}

static void nothing_has_an_empty_name(void **state)
{
    (void)state;
    assert_canonical("com.qlik.", "com.qlik.");
    assert_canonical("com.qlik.v1.", "com.qlik.v1.");
    assert_canonical("com.qlik.v1.core.", "com.qlik.v1.core.");
    assert_canonical("com.ferry.trigger.", "com.ferry.trigger.");
}

static void a_trigger_is_called_by_its_name(void **state)
{
    (void)state;
    assert_canonical("com.ferry.trigger.nightly-refresh", "trigger.nightly-refresh");
    assert_canonical("com.ferry.other", "com.ferry.other");
}

static void a_misspelt_event_finds_its_neighbour(void **state)
{
    (void)state;
    assert_string_equal(ferry_catalog_nearest("app.creatd"), "app.created");
    assert_string_equal(ferry_catalog_nearest("apps.created"), "app.created");
    assert_string_equal(ferry_catalog_nearest("user.delete"), "user.deleted");
    assert_string_equal(ferry_catalog_nearest("app.reload.ended"), "app.reload.ended");
    assert_string_equal(ferry_catalog_nearest("automations.run.*"), "automation.run.ended");
    assert_null(ferry_catalog_nearest("com.github.push"));
    assert_null(ferry_catalog_nearest("xy"));
    char endless[2000];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(ferry_catalog_nearest(endless));
}

static void a_glob_counts_each_event_once(void **state)
{
    (void)state;
    assert_int_equal(ferry_catalog_match_count("app.created"), 1);
    assert_int_equal(ferry_catalog_match_count("group.*"), 4);
    assert_int_equal(ferry_catalog_match_count("apps.*"), 0);
    size_t all = ferry_catalog_match_count("*");
    assert_true(all > 102 && all < 154);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_the_catalogue),
        cmocka_unit_test(every_row_is_found_by_its_type_and_its_event),
        cmocka_unit_test(a_rename_at_qlik_cuts_nobody_off),
        cmocka_unit_test(only_what_is_a_prefix_is_taken_away),
        cmocka_unit_test(nothing_has_an_empty_name),
        cmocka_unit_test(a_trigger_is_called_by_its_name),
        cmocka_unit_test(a_misspelt_event_finds_its_neighbour),
        cmocka_unit_test(a_glob_counts_each_event_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
