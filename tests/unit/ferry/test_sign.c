#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/program.h"
#include "ferry/command.h"
#include "tests/unit/ferry/capture.h"

#define KEY "0123456789abcdef0123456789abcdef"

static int setup(void **state)
{
    (void)state;
    return setenv("FERRY_TEST_SECRET", KEY, 1);
}

static void the_qlik_header_of_a_file_is_printed(void **state)
{
    (void)state;
    const char *file = capture_file("{}");
    const struct capture *run = CAPTURE(sign, "--secret-env", "FERRY_TEST_SECRET", file, NULL);
    unlink(file);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_string_equal(run->out, "Qlik-Signature: b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899d\n");
}

static void a_secret_file_may_end_in_a_newline(void **state)
{
    (void)state;
    char secret[64];
    snprintf(secret, sizeof secret, "%s", capture_file(KEY "\n"));
    const char *body = capture_file("{}");
    const struct capture *run = CAPTURE(sign, "--secret-file", secret, body, NULL);
    unlink(secret);
    unlink(body);
    assert_non_null(strstr(run->out, "b326604c"));
}

static void the_scheme_decides_on_the_header(void **state)
{
    (void)state;
    const char *file = capture_file("{}");
    const struct capture *run = CAPTURE(sign, "--scheme", "github", "--secret-env", "FERRY_TEST_SECRET", file, NULL);
    unlink(file);
    assert_string_equal(run->out, "X-Hub-Signature-256: sha256="
                                  "b326604c0dc7364c8b688556189c0a510e5150cd4628736be814c7c9898f899d\n");
}

static void schemes_without_a_signature_are_refused(void **state)
{
    (void)state;
    assert_int_equal(CAPTURE(sign, "--scheme", "bearer", "--secret-env", "FERRY_TEST_SECRET", NULL)->exit_code,
                     FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(sign, "--scheme", "md5", "--secret-env", "FERRY_TEST_SECRET", NULL)->exit_code,
                     FERRY_EXIT_USAGE);
}

static void exactly_one_secret_is_named(void **state)
{
    (void)state;
    assert_int_equal(CAPTURE(sign, NULL)->exit_code, FERRY_EXIT_USAGE);
    assert_int_equal(CAPTURE(sign, "--secret-env", "FERRY_TEST_SECRET", "--secret-file", "/dev/null", NULL)->exit_code,
                     FERRY_EXIT_USAGE);
}

static void a_secret_that_is_not_there_is_named(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(sign, "--secret-env", "FERRY_NO_SUCH_VARIABLE", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_non_null(strstr(run->err, "FERRY_NO_SUCH_VARIABLE"));
    run = CAPTURE(sign, "--secret-file", "/dev/null", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_non_null(strstr(run->err, "is empty"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_qlik_header_of_a_file_is_printed),
        cmocka_unit_test(a_secret_file_may_end_in_a_newline),
        cmocka_unit_test(the_scheme_decides_on_the_header),
        cmocka_unit_test(schemes_without_a_signature_are_refused),
        cmocka_unit_test(exactly_one_secret_is_named),
        cmocka_unit_test(a_secret_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
