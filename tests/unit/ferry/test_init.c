#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "core/program.h"
#include "ferry/command.h"
#include "tests/unit/ferry/capture.h"

static char folder[] = "/tmp/ferry-init-XXXXXX";
static char config[64], secrets[64];

/* Runs `ferry init -c CONFIG FLAG` with these lines on standard input. */
static const struct capture *init(const char *lines, const char *flag)
{
    char path[64];
    snprintf(path, sizeof path, "%s", capture_file(lines));
    assert_non_null(freopen(path, "r", stdin));
    unlink(path);
    return CAPTURE(init, "-c", config, flag, NULL);
}

static const char *read_text(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* The 48 characters of the new webhook secret. */
static void read_secret(char secret[49])
{
    const char *line = strstr(read_text(secrets), "QLIK_WEBHOOK_SECRET=");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "QLIK_WEBHOOK_SECRET=%48[A-Za-z0-9_-]\n", secret), 1);
    assert_int_equal(strlen(secret), 48);
}

static const char all_answers[] = "acme.eu.qlikcloud.com/\nkafka-1:9092,kafka-2:9092\n"
                                  "https://hooks.slack.com/services/T/B/x\nsmtps://mail.example.com:465\n";

static void what_a_pipe_answers_is_written_and_good_at_once(void **state)
{
    (void)state;
    const struct capture *run = init(all_answers, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_string_equal(run->err, "");
    const struct capture *check = CAPTURE(check, "-c", config, NULL);
    assert_int_equal(check->exit_code, FERRY_EXIT_DONE);
    assert_string_equal(check->err, "");

    struct ferry_config *loaded = NULL;
    struct ferry_findings findings;
    struct ferry_error error;
    assert_int_equal(ferry_config_load(config, FERRY_SECTION_ALL, &loaded, &findings, &error), FERRY_OK);
    assert_string_equal(loaded->kafka.items[0].value, "kafka-1:9092,kafka-2:9092");
    assert_string_equal(loaded->slack.routes[0].webhook.ptr, "https://hooks.slack.com/services/T/B/x");
    assert_string_equal(loaded->mail.smtp.url, "smtps://mail.example.com:465");
    assert_true(loaded->mail.smtp.tls_required);
    ferry_config_free(loaded);
}

static void only_the_secrets_file_holds_secrets_and_nobody_else_reads_it(void **state)
{
    struct stat status;
    char secret[49];
    (void)state;
    init(all_answers, NULL);
    assert_int_equal(stat(secrets, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    read_secret(secret);
    assert_null(strstr(read_text(config), secret));
    assert_null(strstr(read_text(config), "hooks.slack.com"));
}

static void what_to_enter_in_qlik_is_said(void **state)
{
    char secret[49];
    (void)state;
    const struct capture *run = init(all_answers, NULL);
    read_secret(secret);
    assert_non_null(strstr(run->out, secret));
    assert_non_null(strstr(run->out, "https://acme.eu.qlikcloud.com"));
    assert_non_null(strstr(run->out, "/webhooks/qlik"));
    assert_non_null(strstr(run->out, "app.created"));
}

static void the_end_of_the_input_takes_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(init("", NULL)->exit_code, FERRY_EXIT_DONE);
    const char *text = read_text(config);
    assert_non_null(strstr(text, "bootstrap.servers: \"127.0.0.1:9092\""));
    assert_null(strstr(text, "slack:"));
    assert_null(strstr(text, "mail:"));
}

static void flags_answer_without_a_question(void **state)
{
    (void)state;
    const struct capture *run = CAPTURE(init, "-c", config, "--tenant", "https://acme.eu.qlikcloud.com", "--kafka",
                                        "k:9092", "--slack-webhook", "", "--smtp", "smtp://localhost:2525", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_null(strstr(run->out, "Where is Kafka"));
    assert_non_null(strstr(read_text(config), "tls: none"));
}

static void files_that_are_there_stay_without_force(void **state)
{
    char first[49], second[49];
    (void)state;
    init(all_answers, NULL);
    read_secret(first);
    const struct capture *run = init(all_answers, NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_FAILED);
    assert_non_null(strstr(run->err, "--force"));
    read_secret(second);
    assert_string_equal(first, second);
    assert_int_equal(init(all_answers, "--force")->exit_code, FERRY_EXIT_DONE);
    read_secret(second);
    assert_string_not_equal(first, second);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_file_that_is_all_comments_counts_as_none(void **state)
{
    (void)state;
    write_text(config, "# nothing yet\n\n   # still nothing\n#");
    assert_int_equal(init(all_answers, NULL)->exit_code, FERRY_EXIT_DONE);
    unlink(secrets);
    write_text(config, "# something\nlog: {level: info}\n");
    assert_int_equal(init(all_answers, NULL)->exit_code, FERRY_EXIT_FAILED);
}

static void in_the_packages_folder_the_programs_group_reads_the_secrets(void **state)
{
    struct stat status;
    (void)state;
    assert_int_equal(chmod(folder, 02700), 0);
    const struct capture *run = init(all_answers, NULL);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(run->exit_code, FERRY_EXIT_DONE);
    assert_non_null(strstr(run->out, "systemctl enable --now ferry-worker@slack"));
    assert_non_null(strstr(read_text(config), "directory: /var/lib/ferry/spool"));
    assert_int_equal(stat(secrets, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void an_answer_that_does_not_fit_is_said(void **state)
{
    (void)state;
    const struct capture *run = init("acme\n\nhttp://hooks.example.com/x\n\n", NULL);
    assert_int_equal(run->exit_code, FERRY_EXIT_CONFIG);
    assert_non_null(strstr(run->err, "slack.routes[0].webhook: the URL is without TLS"));
    assert_int_equal(init("acme\nk\": [\n\n\n", "--force")->exit_code, FERRY_EXIT_USAGE);
}

static int remove_files(void **state)
{
    (void)state;
    unlink(config);
    unlink(secrets);
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(config, sizeof config, "%s/ferry.yaml", folder);
    snprintf(secrets, sizeof secrets, "%s/ferry.env", folder);
    unsetenv("QLIK_WEBHOOK_SECRET");
    unsetenv("SLACK_WEBHOOK_URL");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_a_pipe_answers_is_written_and_good_at_once, remove_files),
        cmocka_unit_test_teardown(only_the_secrets_file_holds_secrets_and_nobody_else_reads_it, remove_files),
        cmocka_unit_test_teardown(what_to_enter_in_qlik_is_said, remove_files),
        cmocka_unit_test_teardown(the_end_of_the_input_takes_the_defaults, remove_files),
        cmocka_unit_test_teardown(flags_answer_without_a_question, remove_files),
        cmocka_unit_test_teardown(files_that_are_there_stay_without_force, remove_files),
        cmocka_unit_test_teardown(a_file_that_is_all_comments_counts_as_none, remove_files),
        cmocka_unit_test_teardown(in_the_packages_folder_the_programs_group_reads_the_secrets, remove_files),
        cmocka_unit_test_teardown(an_answer_that_does_not_fit_is_said, remove_files),
    };
    return cmocka_run_group_tests_name("init", tests, make_folder, remove_folder);
}
