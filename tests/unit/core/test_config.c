/* The configuration: golden folders for what is refused, and the values of what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/config.h"

#define EXAMPLE FERRY_TEST_DATA "/../../ferry.yaml.example"
#define REFERENCE FERRY_TEST_DATA "/../../docs/configuration.md"
#define FOLDER FERRY_TEST_DATA "/config/"

enum { TEXT_MAX = 1 << 20 };

struct loaded {
    struct ferry_config *config;
    struct ferry_findings findings;
    enum ferry_code code;
};

static void done(struct loaded *loaded)
{
    ferry_config_free(loaded->config);
}

static struct loaded load(const char *path, unsigned sections)
{
    struct loaded loaded = {0};
    struct ferry_error error = {0};
    loaded.code = ferry_config_load(path, sections, &loaded.config, &loaded.findings, &error);
    assert_non_null(loaded.config);
    assert_int_equal(loaded.code == FERRY_OK, loaded.findings.errors == 0);
    return loaded;
}

static struct loaded parse(const char *text, unsigned sections)
{
    struct loaded loaded = {0};
    struct ferry_error error = {0};
    loaded.code =
        ferry_config_parse("test.yaml", ferry_slice_from(text), sections, &loaded.config, &loaded.findings, &error);
    assert_non_null(loaded.config);
    return loaded;
}

static void read_file(const char *path, struct ferry_buffer *out)
{
    char chunk[4096];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, file)) > 0;)
        ferry_buffer_add(out, ferry_slice_of(chunk, got));
    fclose(file);
}

/* Every path of the folder without the folder, so that expectations are the same on all machines. */
static void print_without_folder(const struct ferry_findings *findings, const char *folder, struct ferry_buffer *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, TEXT_MAX);
    ferry_findings_print(findings, &text);
    char *real = realpath(folder, NULL);
    assert_non_null(real);
    for (const char *at = text.ptr; at != NULL && *at != '\0';) {
        size_t as_written = strncmp(at, folder, strlen(folder)) == 0 ? strlen(folder) : 0;
        size_t absolute = strncmp(at, real, strlen(real)) == 0 ? strlen(real) + 1 : 0;
        if (as_written == 0 && absolute == 0)
            ferry_buffer_add_char(out, *at);
        at += as_written != 0 ? as_written : absolute != 0 ? absolute : 1;
    }
    free(real);
}

/* NAME.yaml gives the lines of NAME.expected; no such file: no line. With FERRY_TEST_WRITE in the environment the
 * expectations are written, to be read by whoever changed a message. */
static void check_golden(const char *folder, const char *name)
{
    char path[512], expected_path[512];
    snprintf(path, sizeof path, "%s%s", folder, name);
    snprintf(expected_path, sizeof expected_path, "%s%.*s.expected", folder, (int)strlen(name) - 5, name);
    FERRY_CLEANUP(done) struct loaded loaded = load(path, FERRY_SECTION_ALL);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer got;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer expected;
    ferry_buffer_init(&got, TEXT_MAX);
    ferry_buffer_init(&expected, TEXT_MAX);
    print_without_folder(&loaded.findings, folder, &got);
    if (getenv("FERRY_TEST_WRITE") != NULL && got.len > 0) {
        FILE *file = fopen(expected_path, "w");
        assert_non_null(file);
        fwrite(got.ptr, 1, got.len, file);
        fclose(file);
    }
    if (access(expected_path, F_OK) == 0)
        read_file(expected_path, &expected);
    if (!ferry_slice_equal(ferry_buffer_slice(&got), ferry_buffer_slice(&expected)))
        fail_msg("%s%s gives\n%.*sexpected\n%.*s", folder, name, FERRY_SLICE_ARGS(ferry_buffer_slice(&got)),
                 FERRY_SLICE_ARGS(ferry_buffer_slice(&expected)));
}

static size_t check_folder(const char *folder)
{
    size_t count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0) {
            check_golden(folder, entry->d_name);
            count++;
        }
    }
    closedir(directory);
    return count;
}

static void every_mistake_of_a_broken_file_is_said_with_its_line(void **state)
{
    (void)state;
    assert_true(check_folder(FOLDER "broken/") >= 30);
}

static void a_good_file_is_taken_and_what_is_odd_is_a_warning(void **state)
{
    (void)state;
    assert_true(check_folder(FOLDER "good/") >= 5);
    FERRY_CLEANUP(done) struct loaded loaded = load(FOLDER "good/06-warnings.yaml", FERRY_SECTION_ALL);
    assert_int_equal(loaded.code, FERRY_OK);
    assert_true(loaded.findings.count > 0);
}

/* ---- values ---- */

static void the_example_file_is_good_without_a_warning(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load(EXAMPLE, FERRY_SECTION_ALL);
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, TEXT_MAX);
    ferry_findings_print(&loaded.findings, &text);
    assert_string_equal(text.ptr != NULL ? text.ptr : "", "");
}

static void the_bridge_of_the_example_is_what_it_says(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load(EXAMPLE, FERRY_SECTION_ALL);
    const struct ferry_bridge_config *bridge = &loaded.config->bridge;
    assert_true(bridge->present);
    assert_string_equal(bridge->listen.host, "127.0.0.1");
    assert_int_equal(bridge->listen.port, 8080);
    assert_int_equal(bridge->limits.body_bytes, 900 * 1024);
    assert_int_equal(bridge->limits.header_timeout_ms, 5000);
    assert_int_equal(bridge->ack_timeout_ms, 1500);
    assert_int_equal(bridge->spool_limit_bytes, 1 << 30);
    assert_int_equal(bridge->webhook_count, 2);
    const struct ferry_webhook_config *qlik = &bridge->webhooks[0], *github = &bridge->webhooks[1];
    assert_string_equal(qlik->path, "/webhooks/qlik");
    assert_string_equal(qlik->secrets[0].ptr, "0123456789abcdef0123456789abcdef");
    assert_string_equal(qlik->headers[0].name, "X-Caller");
    assert_string_equal(qlik->headers[0].value.ptr, "caller");
    assert_true(qlik->quarantine);
    assert_int_equal(qlik->rate.events, 1000);
    assert_int_equal(qlik->rate.window_ms, 1000);
    assert_string_equal(qlik->events.items[0], "com.qlik.*");
    assert_int_equal(github->format, FERRY_DOOR_JSON);
    assert_false(github->quarantine);
    assert_string_equal(github->type.text, "com.github.\\(.headers[\"x-github-event\"])");
    assert_string_equal(github->allow_origins.items[0], "*");
    assert_true(bridge->triggers[0].keys[1].in_url);
    assert_int_equal(bridge->triggers[0].inputs.count, 2);
    assert_int_equal(bridge->audits[0].auth.kind, FERRY_AUTH_API_KEY);
    assert_int_equal(bridge->audits[0].overlap_ms, 600 * 1000);
}

static void the_workers_of_the_example_are_what_they_say(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load(EXAMPLE, FERRY_SECTION_ALL);
    const struct ferry_slack_route *slack = &loaded.config->slack.routes[0];
    assert_string_equal(loaded.config->slack.worker.group, "ferry-slack");
    assert_string_equal(slack->common.name, "new-app");
    assert_string_equal(slack->common.when.text, ".resource.isSessionApp != true");
    assert_int_equal(slack->pace.events, 1);
    assert_int_equal(slack->digest_ms, 0);
    assert_string_equal(slack->text.text, "*\\(.resource.name)* was created by \\(.userid // \"Qlik\")");
    assert_string_equal(slack->api, "https://slack.com/api");
    const struct ferry_mail_config *mail = &loaded.config->mail;
    assert_string_equal(mail->smtp.url, "smtps://mail.example.com:465");
    assert_true(mail->smtp.tls_required);
    assert_string_equal(mail->recipient_domains.items[0], "example.com");
    assert_int_equal(mail->routes[0].common.once_per_count, 2);
    assert_string_equal(mail->routes[0].common.once_per[1].text, ".resource.id");
    const struct ferry_automation_config *automation = &loaded.config->automation;
    assert_int_equal(automation->in_doubt, FERRY_IN_DOUBT_PARK);
    assert_true(automation->routes[0].is_qlik);
    assert_string_equal(automation->routes[0].input.members[0].name, "user");
    assert_string_equal(automation->routes[0].input.members[0].source.text, ".resource.id");
    const struct ferry_request_call *request = &automation->routes[1].request;
    assert_false(automation->routes[1].is_qlik);
    assert_string_equal(request->method, "PATCH");
    assert_int_equal(request->accept_count, 3);
    assert_int_equal(request->accept[0].from, 200);
    assert_int_equal(request->accept[0].to, 299);
    assert_int_equal(request->accept[2].from, 410);
    assert_string_equal(request->json.members[0].source.text, "\"inactive\"");
}

static void an_empty_section_has_the_defaults(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = parse("log: {}\n", FERRY_SECTION_ALL);
    const struct ferry_config *config = loaded.config;
    assert_int_equal(loaded.code, FERRY_OK);
    assert_string_equal(config->kafka.items[0].name, "bootstrap.servers");
    assert_string_equal(config->kafka.items[0].value, "127.0.0.1:9092");
    assert_string_equal(config->topics.name, "qlik.{event}");
    assert_string_equal(config->topics.settings.items[0].value, "7776000000");
    assert_int_equal(config->topics.partitions, 6);
    assert_int_equal(config->topics.replication, -1);
    assert_false(config->bridge.present);
    assert_string_equal(config->bridge.spool_directory, "/var/lib/ferry/spool");
    assert_null(config->bridge.tls.certificate);
    assert_int_equal(config->bridge.limits.connections, 4096);
    assert_false(config->mail.worker.present);
    assert_int_equal(config->mail.worker.concurrency, 64);
    assert_int_equal(config->mail.worker.admin.port, 8083);
    assert_int_equal(config->mail.worker.max_age_ms, 7 * INT64_C(86400000));
    assert_int_equal(config->log_level, FERRY_LOG_INFO);
    assert_int_equal(config->shutdown_timeout_ms, 10000);
}

static void a_worker_inherits_what_its_own_section_does_not_say(void **state)
{
    (void)state;
    FERRY_CLEANUP(done)
    struct loaded loaded = parse("worker: {concurrency: 8, retry: {first: 1s, for: 1h}, max_age: off}\n"
                                 "slack: {concurrency: 3, retry: {max: 30m}, start: earliest}\n",
                                 FERRY_SECTION_ALL);
    const struct ferry_worker_config *slack = &loaded.config->slack.worker, *mail = &loaded.config->mail.worker;
    assert_int_equal(loaded.findings.errors, 0);
    assert_int_equal(slack->concurrency, 3);
    assert_int_equal(slack->retry_first_ms, 1000);
    assert_int_equal(slack->retry_max_ms, 30 * 60 * 1000);
    assert_int_equal(slack->retry_for_ms, 60 * 60 * 1000);
    assert_int_equal(slack->retry_in_lane_ms, 60 * 1000);
    assert_int_equal(slack->max_age_ms, 0);
    assert_int_equal(slack->start, FERRY_START_EARLIEST);
    assert_int_equal(mail->concurrency, 8);
    assert_int_equal(mail->retry_max_ms, 60 * 60 * 1000);
    assert_int_equal(mail->start, FERRY_START_NOW);
    assert_true(slack->present);
    assert_false(mail->present);
}

static const char two_programs[] = "bridge:\n"
                                   "  webhooks:\n"
                                   "    - {path: /webhooks/qlik, secrets: [{env: NOT_SET_A}]}\n"
                                   "slack:\n"
                                   "  routes:\n"
                                   "    - name: a\n"
                                   "      events: [app.created]\n"
                                   "      webhook: {env: SLACK_URL}\n"
                                   "      text: x\n";

static void a_program_resolves_only_its_own_secrets(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded slack = parse(two_programs, FERRY_SECTION_KAFKA | FERRY_SECTION_SLACK);
    assert_int_equal(slack.code, FERRY_OK);
    assert_int_equal(slack.config->bridge.webhook_count, 1);
    assert_int_equal(slack.config->bridge.webhooks[0].secret_count, 0);
    assert_string_equal(slack.config->slack.routes[0].webhook.ptr, "https://hooks.slack.com/services/T/B/x");

    FERRY_CLEANUP(done) struct loaded bridge = parse(two_programs, FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE);
    assert_int_equal(bridge.code, FERRY_CONFIG);
    assert_int_equal(bridge.findings.errors, 1);
    assert_int_equal(bridge.findings.items[0].place.line, 3);
    assert_null(bridge.config->slack.routes[0].webhook.ptr);
    assert_string_equal(bridge.config->slack.routes[0].common.events.items[0], "app.created");
}

static void a_section_can_be_read_without_its_secrets(void **state)
{
    (void)state;
    FERRY_CLEANUP(done)
    struct loaded loaded = parse("automation:\n"
                                 "  routes:\n"
                                 "    - name: a\n"
                                 "      events: [app.created]\n"
                                 "      request:\n"
                                 "        method: POST\n"
                                 "        url: {env: NOT_SET_B, default: https://crm.example.com/}\n"
                                 "        headers: {Authorization: {env: NOT_SET_A}, X-Caller: {file: /no/such},"
                                 " X-Plain: shown}\n",
                                 FERRY_SECTION_AUTOMATION | FERRY_SECTION_NO_SECRETS);
    const struct ferry_request_call *request = &loaded.config->automation.routes[0].request;
    assert_string_equal(request->url.text, "https://crm.example.com/");
    assert_int_equal(request->header_count, 3);
    assert_string_equal(request->headers[0].name, "Authorization");
    assert_null(request->headers[0].value.ptr);
    assert_string_equal(request->headers[1].name, "X-Caller");
    assert_null(request->headers[1].value.ptr);
    assert_string_equal(request->headers[2].value.ptr, "shown");
}

static void the_spool_can_be_switched_off(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = parse("bridge: {spool: off}\n", FERRY_SECTION_ALL);
    assert_int_equal(loaded.code, FERRY_OK);
    assert_null(loaded.config->bridge.spool_directory);
}

static void a_relative_path_starts_at_the_file(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load(FOLDER "good/02-literals-and-references.yaml", FERRY_SECTION_ALL);
    assert_int_equal(loaded.config->bridge.listen.port, 9999);
    assert_string_equal(loaded.config->bridge.webhooks[0].secrets[1].ptr,
                        "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL");
    assert_int_equal(loaded.config->topics.partitions, 12);
}

static void a_file_that_is_not_there_is_a_finding(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load("/no/such/ferry.yaml", FERRY_SECTION_ALL);
    assert_int_equal(loaded.code, FERRY_CONFIG);
    assert_string_equal(loaded.findings.items[0].text, "/no/such/ferry.yaml cannot be read: No such file or directory; "
                                                       "`ferry init` writes one, -c FILE names another");
}

/* ---- the file of secrets ---- */

static void write_file(const char *folder, const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"ferry.yaml", "ferry.env"};
    char path[256];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static struct loaded load_with_secrets(const char *lines, mode_t mode)
{
    char folder[] = "/tmp/ferry-config-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    write_file(folder, "ferry.env", lines, mode);
    write_file(folder, "ferry.yaml",
               "secrets: ferry.env\n"
               "bridge:\n"
               "  webhooks: [{path: /a, secrets: [{env: FROM_FILE}]}, {path: /b, secrets: [{env: SECRET_A}]}]\n",
               0644);
    snprintf(path, sizeof path, "%s/ferry.yaml", folder);
    struct loaded loaded = load(path, FERRY_SECTION_ALL);
    remove_folder(folder);
    return loaded;
}

static void secrets_come_from_a_file_that_nobody_else_may_read(void **state)
{
    (void)state;
    FERRY_CLEANUP(done)
    struct loaded loaded =
        load_with_secrets("# a comment\n\nFROM_FILE=0123456789=\"0123456789 0123456789\r\nSECRET_A=never\n", 0600);
    assert_int_equal(loaded.code, FERRY_OK);
    assert_string_equal(loaded.config->bridge.webhooks[0].secrets[0].ptr, "0123456789=\"0123456789 0123456789");
    assert_string_equal(loaded.config->bridge.webhooks[1].secrets[0].ptr,
                        "0123456789abcdef0123456789abcdef0123456789abcdef"); /* the environment wins */
}

static void a_secrets_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    FERRY_CLEANUP(done) struct loaded loaded = load_with_secrets("FROM_FILE=0123456789abcdef0123456789abcdef\n", 0644);
    assert_int_equal(loaded.code, FERRY_CONFIG);
    assert_non_null(strstr(loaded.findings.items[0].text, "chmod 600"));
}

static void a_line_of_the_secrets_file_that_is_none_is_said_with_its_file(void **state)
{
    (void)state;
    FERRY_CLEANUP(done)
    struct loaded loaded = load_with_secrets("FROM_FILE=0123456789abcdef0123456789abcdef\nexport X=y\n", 0600);
    assert_int_equal(loaded.findings.errors, 1);
    assert_non_null(strstr(loaded.findings.items[0].place.file, "ferry.env"));
    assert_int_equal(loaded.findings.items[0].place.line, 2);
}

static void a_secret_is_in_no_finding(void **state)
{
    (void)state;
    FERRY_CLEANUP(done)
    struct loaded loaded = parse(
        "bridge:\n  listen: {env: SECRET_A}\n  ack_timeout: {env: SECRET_A}\n  limits: {per_address: {env: SECRET_A}}\n"
        "  trusted_proxies: [{env: SECRET_A}]\n  webhooks: [{path: {env: SECRET_A}, format: {env: SECRET_A}}]\n"
        "log: {level: {env: SECRET_A}}\nmail: {smtp: {url: {env: SECRET_A}}, from: {env: SECRET_A}}\n",
        FERRY_SECTION_ALL);
    assert_true(loaded.findings.errors >= 8);
    for (size_t i = 0; i < loaded.findings.count; i++)
        assert_null(strstr(loaded.findings.items[i].text, "0123456789"));
}

/* ---- the reference ---- */

static void the_page_of_all_keys_is_the_one_that_the_tables_print(void **state)
{
    (void)state;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer printed;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer page;
    ferry_buffer_init(&printed, TEXT_MAX);
    ferry_buffer_init(&page, TEXT_MAX);
    ferry_config_print_reference(&printed);
    read_file(REFERENCE, &page);
    if (!ferry_slice_equal(ferry_buffer_slice(&printed), ferry_buffer_slice(&page)))
        fail_msg("docs/configuration.md is old: ferry check --reference > docs/configuration.md");
}

static void an_owned_property_says_why(void **state)
{
    (void)state;
    assert_non_null(ferry_kafka_property_owned("acks"));
    assert_non_null(ferry_kafka_property_owned("enable.auto.offset.store"));
    assert_null(ferry_kafka_property_owned("bootstrap.servers"));
    assert_null(ferry_kafka_property_owned("linger.ms"));
}

/* What the golden files and the example refer to. */
static int set_environment(void **state)
{
    static const char *const variables[][2] = {
        {"QLIK_WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef"},
        {"CALLER", "caller"},
        {"GITHUB_SECRET", "github"},
        {"KEY_A", "0123456789abcdef0123456789abcdef"},
        {"KEY_B", "fedcba9876543210fedcba9876543210"},
        {"QLIK_API_KEY", "key"},
        {"SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/x"},
        {"SMTP_PASSWORD", "password"},
        {"QLIK_EXECUTION_TOKEN", "token"},
        {"CRM_AUTH", "Bearer x"},
        {"SECRET_A", "0123456789abcdef0123456789abcdef0123456789abcdef"},
        {"SHORT", "tooshort"},
        {"EMPTY", ""},
        {"NOT_BASE64", "whsec_%%%%"},
        {"KIT", "kit"},
        {"TINY", "tiny"},
        {"NOT_FOR_URLS", "a/b?c-0123456789"},
        {"SLACK_URL", "https://hooks.slack.com/services/T/B/x"},
        {"PLAIN_URL", "http://hooks.example.com/x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        setenv(variables[i][0], variables[i][1], 1);
    unsetenv("KAFKA_BOOTSTRAP");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_section_has_the_defaults),
        cmocka_unit_test(a_worker_inherits_what_its_own_section_does_not_say),
        cmocka_unit_test(a_section_can_be_read_without_its_secrets),
        cmocka_unit_test(the_spool_can_be_switched_off),
        cmocka_unit_test(a_relative_path_starts_at_the_file),
        cmocka_unit_test(a_file_that_is_not_there_is_a_finding),
        cmocka_unit_test(an_owned_property_says_why),
        cmocka_unit_test(the_example_file_is_good_without_a_warning),
        cmocka_unit_test(the_bridge_of_the_example_is_what_it_says),
        cmocka_unit_test(the_workers_of_the_example_are_what_they_say),
        cmocka_unit_test(a_program_resolves_only_its_own_secrets),
        cmocka_unit_test(secrets_come_from_a_file_that_nobody_else_may_read),
        cmocka_unit_test(a_secrets_file_that_others_may_read_is_refused),
        cmocka_unit_test(a_line_of_the_secrets_file_that_is_none_is_said_with_its_file),
        cmocka_unit_test(a_secret_is_in_no_finding),
        cmocka_unit_test(a_good_file_is_taken_and_what_is_odd_is_a_warning),
        cmocka_unit_test(every_mistake_of_a_broken_file_is_said_with_its_line),
        cmocka_unit_test(the_page_of_all_keys_is_the_one_that_the_tables_print),
    };
    return cmocka_run_group_tests_name("config", tests, set_environment, NULL);
}
