/* The parts of `ferry demo`; the whole of it runs in the integration tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "ferry/demo/crew.h"
#include "ferry/demo/show.h"
#include "ferry/demo/sighting.h"
#include "ferry/demo/site.h"
#include "ferry/demo/story.h"

/* ---- the site ---- */

static int open_site(void **state)
{
    static struct ferry_site site;
    struct ferry_error error = {0};
    assert_int_equal(ferry_site_open(&site, NULL, &error), FERRY_OK);
    *state = &site;
    return 0;
}

static int close_site(void **state)
{
    ferry_site_close(*state);
    return 0;
}

static void the_configuration_that_is_written_is_good(void **state)
{
    const struct ferry_site *site = *state;
    char path[FERRY_SITE_PATH];
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    ferry_site_path(site, "ferry.yaml", path);
    assert_int_equal(ferry_site_write_config(site, "127.0.0.1:9092", 4711, 4712, &error), FERRY_OK);
    assert_int_equal(ferry_config_load(path, FERRY_SECTION_ALL, &config, &findings, &error), FERRY_OK);
    assert_int_equal(findings.count, 0);
    assert_int_equal(config->bridge.listen.port, site->ports[FERRY_SITE_BRIDGE]);
    assert_int_equal(config->automation.worker.admin.port, site->ports[FERRY_SITE_AUTOMATION_ADMIN]);
    assert_string_equal(config->bridge.webhooks[0].secrets[0].ptr, site->webhook_secret);
    assert_string_equal(config->mail.smtp.url, "smtp://127.0.0.1:4712");
    assert_string_equal(config->automation.routes[0].qlik.tenant, "http://127.0.0.1:4711");
    ferry_config_free(config);
}

static void secrets_are_new_each_time_and_files_are_private(void **state)
{
    const struct ferry_site *site = *state;
    struct ferry_site other;
    struct ferry_error error = {0};
    char path[FERRY_SITE_PATH];
    struct stat status;
    assert_int_equal(ferry_site_open(&other, NULL, &error), FERRY_OK);
    assert_string_not_equal(site->webhook_secret, other.webhook_secret);
    assert_string_not_equal(site->webhook_secret, site->execution_token);
    assert_int_equal(ferry_site_write(&other, "secret", "x", &error), FERRY_OK);
    ferry_site_path(&other, "secret", path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    ferry_site_close(&other);
    assert_int_equal(stat(path, &status), -1);
    assert_int_equal(errno, ENOENT);
}

static void a_directory_that_is_kept_stays(void **state)
{
    const struct ferry_site *site = *state;
    struct ferry_site kept;
    struct ferry_error error = {0};
    char path[FERRY_SITE_PATH];
    struct stat status;
    ferry_site_path(site, "kept", path);
    assert_int_equal(ferry_site_open(&kept, path, &error), FERRY_OK);
    ferry_site_close(&kept);
    assert_int_equal(stat(path, &status), 0);
}

/* ---- the crew ---- */

static void start_shell(struct ferry_crew *crew, const struct ferry_site *site, const char *script)
{
    char log[FERRY_SITE_PATH];
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct ferry_error error = {0};
    ferry_site_path(site, "log", log);
    assert_int_equal(ferry_crew_start(crew, "shell", argv, log, &error), FERRY_OK);
}

static const struct ferry_crew_member *wait_lost(struct ferry_crew *crew)
{
    int64_t until = ferry_clock_mono_ms() + 5000;
    const struct ferry_crew_member *lost = NULL;
    while (lost == NULL && ferry_clock_mono_ms() < until) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        lost = ferry_crew_lost(crew);
    }
    return lost;
}

static void a_program_that_ends_is_lost_and_its_last_words_are_reported(void **state)
{
    struct ferry_crew crew = {0};
    char text[8192] = "";
    start_shell(&crew, *state, "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done; echo oh no >&2; exit 78");
    const struct ferry_crew_member *lost = wait_lost(&crew);
    assert_non_null(lost);
    FILE *out = fmemopen(text, sizeof text, "w");
    ferry_crew_report(lost, out);
    fclose(out);
    assert_memory_equal(text, "shell ended with exit status 78;", 32);
    assert_non_null(strstr(text, "line 39\noh no\n"));
    assert_null(strstr(text, "line 20\n"));
    ferry_crew_stop(&crew, 0);
}

static void a_program_that_works_is_not_lost(void **state)
{
    struct ferry_crew crew = {0};
    start_shell(&crew, *state, "exec sleep 60");
    assert_null(ferry_crew_lost(&crew));
    pid_t pid = crew.members[0].pid;
    ferry_crew_stop(&crew, 2000);
    assert_int_equal(kill(pid, 0), -1);
}

static void a_program_that_does_not_stop_is_killed(void **state)
{
    struct ferry_crew crew = {0};
    start_shell(&crew, *state, "trap '' TERM; while :; do sleep 0.05; done");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* lets the shell come to its trap */
    int64_t began = ferry_clock_mono_ms();
    ferry_crew_stop(&crew, 100);
    assert_true(ferry_clock_mono_ms() - began < 3000);
}

static void children_end_with_their_parent(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct ferry_crew crew = {0};
        start_shell(&crew, *state, "exec sleep 60");
        if (write(ends[1], &crew.members[0].pid, sizeof(pid_t)) != sizeof(pid_t))
            _exit(1);
        pause();
    }
    pid_t child = 0;
    assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    int64_t until = ferry_clock_mono_ms() + 5000;
    bool gone = false;
    while (!gone && ferry_clock_mono_ms() < until) {
        FILE *file = fopen(path, "r");
        gone = file == NULL || fgets(line, sizeof line, file) == NULL || strstr(line, ") Z ") != NULL;
        if (file != NULL)
            fclose(file);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_true(gone);
    close(ends[0]);
    close(ends[1]);
}

/* ---- sightings ---- */

static struct ferry_pair header(const char *name, const char *value)
{
    return (struct ferry_pair){ferry_slice_from(name), ferry_slice_from(value)};
}

static void a_sighting_tells_event_form_and_place_of_a_record(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {
        header("ce_specversion", "1.0"),           header("ce_id", "e\x1b[31m"),
        header("ce_source", "com.qlik/engine"),    header("ce_type", "com.qlik.app.created"),
        header("ce_time", "2026-11-22T19:11:25Z"), header("content-type", "application/json"),
        header("ferry-event", "app.created"),      header("ferry-format", "hybrid"),
    };
    struct ferry_record record = {.topic = FERRY_SLICE("qlik.app.created"),
                                  .value = FERRY_SLICE("{}"),
                                  .headers = headers,
                                  .header_count = sizeof headers / sizeof headers[0],
                                  .partition = 2,
                                  .offset = 7};
    struct ferry_sighting sighting;
    ferry_sighting_of(&record, &sighting);
    assert_string_equal(sighting.record, "qlik.app.created/2/7");
    assert_string_equal(sighting.event, "app.created");
    assert_string_equal(sighting.format, "hybrid");
    assert_string_equal(sighting.id, "e?[31m");
    assert_string_equal(sighting.trouble, "");
}

static void a_dead_letter_is_seen_with_its_reason(void **state)
{
    (void)state;
    struct ferry_pair headers[] = {
        header("ferry-error", "http-refused"),
        header("ferry-reason", "status 404"),
        header("ferry-route", "crm"),
    };
    struct ferry_record record = {
        .topic = FERRY_SLICE("ferry.automation.dlq"), .value = FERRY_SLICE(""), .headers = headers, .header_count = 3};
    struct ferry_sighting sighting;
    ferry_sighting_of(&record, &sighting);
    assert_string_equal(sighting.trouble, "dead letter of route crm: http-refused: status 404");
}

/* ---- the story ---- */

static void null_is_found_as_a_word(void **state)
{
    (void)state;
    assert_true(ferry_story_has_null("null"));
    assert_true(ferry_story_has_null("*null* was created"));
    assert_true(ferry_story_has_null("{\"user\":null}"));
    assert_true(ferry_story_has_null("nullify null"));
    assert_false(ferry_story_has_null("annulled nullify null7"));
    assert_false(ferry_story_has_null(""));
}

static void the_summary_has_the_median(void **state)
{
    (void)state;
    struct ferry_story story = {.events = 4, .effects = 3, .milliseconds = {30, 10, 20}};
    char text[128];
    ferry_story_summary(&story, text, sizeof text);
    assert_string_equal(text, "4 events, 3 effects; from POST to effect: p50 20 ms, slowest 30 ms");
    story = (struct ferry_story){.events = 1};
    ferry_story_summary(&story, text, sizeof text);
    assert_string_equal(text, "1 events, 0 effects");
}

static void what_is_not_a_terminal_is_not_coloured(void **state)
{
    (void)state;
    char text[1024] = "";
    FILE *out = tmpfile();
    struct ferry_show show;
    ferry_show_init(&show, out);
    ferry_show_row(&show, &(struct ferry_show_row){.event = "app.created",
                                                   .form = "legacy",
                                                   .status = 204,
                                                   .record = "qlik.app.created/0/0",
                                                   .milliseconds = 12.4,
                                                   .place = "Slack",
                                                   .text = "hello"});
    rewind(out);
    assert_non_null(fgets(text, sizeof text, out));
    fclose(out);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "app.created   legacy        204  qlik.app.created/0/0"));
    assert_non_null(strstr(text, "12  Slack: hello\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_configuration_that_is_written_is_good, open_site, close_site),
        cmocka_unit_test_setup_teardown(secrets_are_new_each_time_and_files_are_private, open_site, close_site),
        cmocka_unit_test_setup_teardown(a_directory_that_is_kept_stays, open_site, close_site),
        cmocka_unit_test_setup_teardown(a_program_that_ends_is_lost_and_its_last_words_are_reported, open_site,
                                        close_site),
        cmocka_unit_test_setup_teardown(a_program_that_works_is_not_lost, open_site, close_site),
        cmocka_unit_test_setup_teardown(a_program_that_does_not_stop_is_killed, open_site, close_site),
        cmocka_unit_test_setup_teardown(children_end_with_their_parent, open_site, close_site),
        cmocka_unit_test(a_sighting_tells_event_form_and_place_of_a_record),
        cmocka_unit_test(a_dead_letter_is_seen_with_its_reason),
        cmocka_unit_test(null_is_found_as_a_word),
        cmocka_unit_test(the_summary_has_the_median),
        cmocka_unit_test(what_is_not_a_terminal_is_not_coloured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
