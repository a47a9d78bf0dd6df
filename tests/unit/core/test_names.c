#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/names.h"
#include "core/slice.h"

enum { USER = 1 << FERRY_NAME_USER, SPACE = 1 << FERRY_NAME_SPACE, APP = 1 << FERRY_NAME_APP };

static void names_are_found_where_a_path_begins_with_them(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        unsigned names;
    } cases[] = {
        {".user.name", USER},
        {"\\(.user.name // \"x\") in \\(.space.name), \\( .app.name )", USER | SPACE | APP},
        {"[.app]", APP},
        {".event as $e | . as $all | $all.user.email", USER},
        {"if .app.name==\"x\" then 1 else .id end", APP},
        {".userid", 0},
        {".resource.name", 0},
        {".data.user.name", 0},
        {".data[0].user", 0},
        {"(.data).user", 0},
        {".\"data\".app", 0},
        {".data?.space", 0},
        {".appId", 0},
        {".spaces", 0},
        {"", 0},
        {".", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ferry_names_mentioned(cases[i].source) != cases[i].names)
            fail_msg("%s: %u", cases[i].source, ferry_names_mentioned(cases[i].source));
}

static void each_kind_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(ferry_name_word(FERRY_NAME_USER), "user");
    assert_string_equal(ferry_name_word(FERRY_NAME_SPACE), "space");
    assert_string_equal(ferry_name_word(FERRY_NAME_APP), "app");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_where_a_path_begins_with_them),
        cmocka_unit_test(each_kind_has_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
