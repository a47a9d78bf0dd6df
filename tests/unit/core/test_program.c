/* Each case runs in a child: a program's beginning changes signals, limits and the log of its process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/crash_point.h"
#include "core/program.h"

static char good_file[64], bad_file[64], bridge_file[64];
static char output[1 << 16];

enum { WENT_ON = 100, CHILD_FAILED = 101 };

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* What the child does after a beginning that went on; its result is the child's exit code. */
typedef int then_fn(struct ferry_program *program);

static int begin(then_fn *then, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    struct ferry_program program = {
        .name = "ferry-test", .summary = "tests", .sections = FERRY_SECTION_KAFKA | FERRY_SECTION_SLACK};
    int exit_code = ferry_program_begin(&program, argc, argv);
    if (exit_code >= 0)
        return exit_code;
    exit_code = then != NULL ? then(&program) : WENT_ON;
    ferry_program_end(&program);
    return exit_code;
}

/* Runs the program in a child, with what it prints in `output`. */
static int run(then_fn *then, char **argv)
{
    char path[] = "/tmp/ferry-program-XXXXXX";
    int file = mkstemp(path), status;
    assert_true(file >= 0);
    unlink(path);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(file, STDOUT_FILENO);
        dup2(file, STDERR_FILENO);
        int exit_code = begin(then, argv);
        fflush(NULL);
        _exit(exit_code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    ssize_t len = pread(file, output, sizeof output - 1, 0);
    close(file);
    output[len > 0 ? len : 0] = '\0';
    return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_FAILED;
}

#define ARGV(...) ((char **)(const char *[]){"ferry-test", __VA_ARGS__, NULL})

static void help_names_the_flags(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, ARGV("--help")), FERRY_EXIT_DONE);
    assert_non_null(strstr(output, "--config FILE"));
    assert_non_null(strstr(output, "--allow-root"));
    assert_non_null(strstr(output, "--log-format"));
}

static void version_is_printed(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, ARGV("--version")), FERRY_EXIT_DONE);
    assert_string_equal(output, "ferry-test " FERRY_VERSION FERRY_CRASH_POINT_NOTE "\n");
}

static void wrong_usage_is_2(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, ARGV("--no-such-flag")), FERRY_EXIT_USAGE);
    assert_int_equal(run(NULL, ARGV("--config")), FERRY_EXIT_USAGE);
    assert_int_equal(run(NULL, ARGV("--log-format", "xml")), FERRY_EXIT_USAGE);
    assert_int_equal(run(NULL, ARGV("--allow-root", "--config", good_file, "extra")), FERRY_EXIT_USAGE);
}

static void root_is_refused_without_the_flag(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run(NULL, ARGV("--config", good_file)), FERRY_EXIT_FAILED);
    assert_non_null(strstr(output, "--allow-root"));
}

static void a_wrong_configuration_is_78_with_every_mistake(void **state)
{
    char expected[256];
    (void)state;
    assert_int_equal(run(NULL, ARGV("--allow-root", "-c", bad_file)), FERRY_EXIT_CONFIG);
    snprintf(expected, sizeof expected, "%s:1: slak: unknown key, did you mean slack?\n", bad_file);
    assert_non_null(strstr(output, expected));
    snprintf(expected, sizeof expected, "%s:2: log.level: ", bad_file);
    assert_non_null(strstr(output, expected));
    assert_int_equal(run(NULL, ARGV("--allow-root", "-c", "/no/such/file.yaml")), FERRY_EXIT_CONFIG);
}

static void a_program_whose_section_is_missing_does_not_start(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, ARGV("--allow-root", "-c", bridge_file)), FERRY_EXIT_CONFIG);
    assert_non_null(strstr(output, "slack: missing"));
}

static void a_good_configuration_goes_on(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, ARGV("--allow-root", "--config", good_file, "--log-format", "text")), WENT_ON);
    assert_string_equal(output, "");
}

static int look_at_memory(struct ferry_program *program)
{
    struct rlimit core;
    (void)program;
    getrlimit(RLIMIT_CORE, &core);
    return core.rlim_cur == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? WENT_ON : CHILD_FAILED;
}

static void memory_is_in_no_core_file(void **state)
{
    (void)state;
    assert_int_equal(run(look_at_memory, ARGV("--allow-root", "-c", good_file)), WENT_ON);
}

static int send_signals(struct ferry_program *program)
{
    if (ferry_program_wait(program, 0) != FERRY_SIGNAL_NONE)
        return 1;
    raise(SIGHUP);
    if (ferry_program_wait(program, 1000) != FERRY_SIGNAL_RELOAD)
        return 2;
    raise(SIGTERM);
    if (ferry_program_wait(program, 1000) != FERRY_SIGNAL_STOP)
        return 3;
    raise(SIGINT);
    if (ferry_program_wait(program, -1) != FERRY_SIGNAL_STOP)
        return 4;
    raise(SIGPIPE); /* blocked: a closed connection is an error of write */
    return ferry_program_wait(program, 0) == FERRY_SIGNAL_NONE ? WENT_ON : 5;
}

static void signals_are_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run(send_signals, ARGV("--allow-root", "-c", good_file)), WENT_ON);
}

static int reload(struct ferry_program *program)
{
    write_text(program->config_path, "slack: {concurrency: 5}\nlog: {level: error}\n");
    struct ferry_config *config = ferry_program_reload(program);
    if (config == NULL || config->slack.worker.concurrency != 5)
        return 1;
    ferry_config_free(config);
    write_text(program->config_path, "slack: {concurrency: many}\n");
    if (ferry_program_reload(program) != NULL)
        return 2;
    return program->config->slack.worker.concurrency == 64 ? WENT_ON : 3; /* the first one stays as it was */
}

static void a_reload_reads_anew_and_a_bad_file_changes_nothing(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s.reload", good_file);
    write_text(path, "slack: {}\n");
    assert_int_equal(run(reload, ARGV("--allow-root", "-c", path)), WENT_ON);
    assert_non_null(strstr(output, "\"finding\":\"slack.concurrency: \\\"many\\\" is not a whole number\""));
    assert_non_null(strstr(output, "the old one stays"));
    unlink(path);
}

static int write_files(void **state)
{
    (void)state;
    snprintf(good_file, sizeof good_file, "/tmp/ferry-program-%d.yaml", (int)getpid());
    snprintf(bad_file, sizeof bad_file, "/tmp/ferry-program-%d-bad.yaml", (int)getpid());
    snprintf(bridge_file, sizeof bridge_file, "/tmp/ferry-program-%d-bridge.yaml", (int)getpid());
    write_text(good_file, "slack: {}\n");
    write_text(bad_file, "slak: {}\nlog: {level: loud}\n");
    write_text(bridge_file, "bridge: {}\n");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(good_file);
    unlink(bad_file);
    unlink(bridge_file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_names_the_flags),
        cmocka_unit_test(version_is_printed),
        cmocka_unit_test(wrong_usage_is_2),
        cmocka_unit_test(root_is_refused_without_the_flag),
        cmocka_unit_test(a_wrong_configuration_is_78_with_every_mistake),
        cmocka_unit_test(a_program_whose_section_is_missing_does_not_start),
        cmocka_unit_test(a_good_configuration_goes_on),
        cmocka_unit_test(memory_is_in_no_core_file),
        cmocka_unit_test(signals_are_waited_for),
        cmocka_unit_test(a_reload_reads_anew_and_a_bad_file_changes_nothing),
    };
    return cmocka_run_group_tests_name("program", tests, write_files, remove_files);
}
