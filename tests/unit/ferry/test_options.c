#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "ferry/options.h"
#include "tests/unit/ferry/capture.h"

static struct {
    const char *config, *to;
    char taken[16];
    bool json;
    int first; /* argument that is no flag */
} said;

static const char *take_word(const char *argument, void *target)
{
    strncat(target, argument, 4);
    return strcmp(argument, "bad") == 0 ? "--word is good" : NULL;
}

static int read_options(int argc, char **argv)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &said.config},
        {"to", .text = &said.to},
        {"word", .take = take_word, .target = said.taken},
        {"json", 'j', .flag = &said.json},
        {"total", .flag = &said.json},
        {0},
    };
    memset(&said, 0, sizeof said);
    int code = ferry_options_read(argc, argv, "walk", "usage: ferry walk\n", options);
    said.first = optind;
    return code;
}

#define READ(...) capture_run(read_options, (const char *const[]){"ferry walk", __VA_ARGS__, NULL})

static void each_flag_goes_where_its_row_says(void **state)
{
    (void)state;
    assert_int_equal(READ("--config", "a", "--to=b", "--word", "one", "--json", "--word", "two")->exit_code, -1);
    assert_string_equal(said.config, "a");
    assert_string_equal(said.to, "b");
    assert_string_equal(said.taken, "onetwo");
    assert_true(said.json);
}

static void letters_are_the_same_flags_and_the_last_text_counts(void **state)
{
    (void)state;
    assert_int_equal(READ("--config", "a", "-jc", "b")->exit_code, -1);
    assert_string_equal(said.config, "b");
    assert_true(said.json);
}

static void what_is_not_said_stays_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(READ("--")->exit_code, -1);
    assert_null(said.config);
    assert_null(said.to);
    assert_false(said.json);
}

static void arguments_are_left_behind_the_flags(void **state)
{
    (void)state;
    assert_int_equal(READ("x", "--json", "--", "--to")->exit_code, -1);
    assert_true(said.json);
    assert_null(said.to);
    assert_int_equal(said.first, 3); /* of: --json -- x --to */
}

static void help_is_every_commands(void **state)
{
    (void)state;
    const char *const words[] = {"--help", "-h", "--he"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const struct capture *run = READ(words[i], "--nonsense");
        assert_int_equal(run->exit_code, 0);
        assert_string_equal(run->out, "usage: ferry walk\n");
        assert_string_equal(run->err, "");
    }
}

static void the_first_mistake_is_told_and_where_help_is(void **state)
{
    (void)state;
    const struct capture *run = READ("--word", "bad", "--nonsense");
    assert_int_equal(run->exit_code, 2);
    assert_string_equal(run->err, "ferry walk: --word is good\nTry `ferry walk --help`.\n");
    run = READ("--nonsense", "--word", "bad");
    assert_int_equal(run->exit_code, 2);
    assert_string_equal(run->err, "ferry walk: unrecognized option '--nonsense'\nTry `ferry walk --help`.\n");
    run = READ("-c");
    assert_int_equal(run->exit_code, 2);
    assert_string_equal(run->err, "ferry walk: option requires an argument -- 'c'\nTry `ferry walk --help`.\n");
    assert_int_equal(READ("--json=yes")->exit_code, 2);
}

static void an_abbreviation_of_two_flags_is_neither(void **state)
{
    (void)state;
    const struct capture *run = READ("--t", "x");
    assert_int_equal(run->exit_code, 2);
    assert_non_null(strstr(run->err, "'--t' is ambiguous"));
    assert_false(said.json);
    assert_int_equal(READ("--tot")->exit_code, -1);
    assert_true(said.json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flag_goes_where_its_row_says),
        cmocka_unit_test(letters_are_the_same_flags_and_the_last_text_counts),
        cmocka_unit_test(what_is_not_said_stays_as_it_was),
        cmocka_unit_test(arguments_are_left_behind_the_flags),
        cmocka_unit_test(help_is_every_commands),
        cmocka_unit_test(the_first_mistake_is_told_and_where_help_is),
        cmocka_unit_test(an_abbreviation_of_two_flags_is_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
