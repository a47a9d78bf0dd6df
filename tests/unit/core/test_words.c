#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/words.h"

static void the_distance_counts_changes_additions_omissions_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(ferry_words_distance("listen", "listen"), 0);
    assert_int_equal(ferry_words_distance("listen", "LISTEN"), 0);
    assert_int_equal(ferry_words_distance("lisen", "listen"), 1);
    assert_int_equal(ferry_words_distance("lisste", "listen"), 2);
    assert_int_equal(ferry_words_distance("litsen", "listen"), 1);
    assert_int_equal(ferry_words_distance("", "abc"), 3);
    assert_int_equal(ferry_words_distance("ca", "abc"), 3);
    assert_int_equal(ferry_words_distance("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a"),
                     SIZE_MAX);
}

static void the_nearest_word_is_named_only_when_it_is_near(void **state)
{
    static const char *const known[] = {"body", "headers", "concurrency", "to"};
    (void)state;
    assert_string_equal(ferry_words_nearest("bodi", known, 4), "body");
    assert_string_equal(ferry_words_nearest("header", known, 4), "headers");
    assert_string_equal(ferry_words_nearest("concurency", known, 4), "concurrency");
    assert_null(ferry_words_nearest("zebra", known, 4));
    assert_null(ferry_words_nearest("xy", known, 4)); /* as far as the word is long */
    assert_null(ferry_words_nearest("body", known, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_distance_counts_changes_additions_omissions_and_swaps),
        cmocka_unit_test(the_nearest_word_is_named_only_when_it_is_near),
    };
    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
