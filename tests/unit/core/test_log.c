#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"

enum { CAPTURE_BYTES = 1 << 20 };

static char captured[CAPTURE_BYTES];

/* What `act` writes to stderr. */
static const char *capture(void (*act)(void))
{
    char path[] = "/tmp/ferry-log-XXXXXX";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    assert_true(file >= 0 && saved >= 0);
    unlink(path);
    dup2(file, STDERR_FILENO);
    act();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t len = pread(file, captured, sizeof captured - 1, 0);
    close(file);
    assert_true(len >= 0);
    captured[len] = '\0';
    return captured;
}

static void log_some_fields(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    ferry_log(FERRY_LOG_WARN, "late",
              FERRY_FIELDS(ferry_text("topic", "qlik.app.created"), ferry_number("n", -7), ferry_text("none", NULL)));
}

static void a_line_is_one_json_object(void **state)
{
    (void)state;
    const char *line = capture(log_some_fields);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    int64_t time;
    assert_true(ferry_time_parse(ferry_slice_from(json_string_value(json_object_get(object, "ts"))), &time));
    assert_string_equal(json_string_value(json_object_get(object, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(object, "program")), "ferry-test");
    assert_string_equal(json_string_value(json_object_get(object, "msg")), "late");
    assert_string_equal(json_string_value(json_object_get(object, "topic")), "qlik.app.created");
    assert_int_equal(json_integer_value(json_object_get(object, "n")), -7);
    assert_string_equal(json_string_value(json_object_get(object, "none")), "");
    json_decref(object);
}

static void log_controls(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    ferry_log(FERRY_LOG_INFO, "x", FERRY_FIELDS(ferry_text("a", "one\r\ntwo\x1b[31m\x7f\xff\"\\")));
}

static void log_controls_as_text(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_TEXT, FERRY_LOG_INFO);
    ferry_log(FERRY_LOG_INFO, "x\ny\x1b[2J", FERRY_FIELDS(ferry_text("a", "one\r\ntwo\x1b[31m\x7f")));
}

static void control_characters_never_reach_a_terminal(void **state)
{
    (void)state;
    void (*const acts[])(void) = {log_controls, log_controls_as_text};
    for (size_t i = 0; i < 2; i++) {
        const char *line = capture(acts[i]);
        size_t len = strlen(line);
        assert_int_equal(line[len - 1], '\n');
        for (size_t k = 0; k + 1 < len; k++)
            assert_true((unsigned char)line[k] >= 0x20 && line[k] != 0x7f);
    }
}

static void log_text(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_TEXT, FERRY_LOG_INFO);
    ferry_log(FERRY_LOG_ERROR, "no route",
              FERRY_FIELDS(ferry_text("name", "a b"), ferry_text("key", "plain"), ferry_number("n", 3)));
}

static void people_get_a_line_of_text(void **state)
{
    (void)state;
    const char *line = capture(log_text);
    assert_non_null(strstr(line, " error ferry-test: no route name=\"a b\" key=plain n=3\n"));
}

static void log_all_levels(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_WARN);
    ferry_log(FERRY_LOG_DEBUG, "one", FERRY_NO_FIELDS);
    ferry_log(FERRY_LOG_INFO, "two", FERRY_NO_FIELDS);
    ferry_log(FERRY_LOG_WARN, "three", FERRY_NO_FIELDS);
    ferry_log_level_set(FERRY_LOG_DEBUG);
    ferry_log(FERRY_LOG_DEBUG, "four", FERRY_NO_FIELDS);
}

static void what_is_below_the_level_is_not_written(void **state)
{
    (void)state;
    const char *lines = capture(log_all_levels);
    assert_null(strstr(lines, "\"one\""));
    assert_null(strstr(lines, "\"two\""));
    assert_non_null(strstr(lines, "\"three\""));
    assert_non_null(strstr(lines, "\"four\""));
}

static void log_too_much(void)
{
    static char much[100000];
    memset(much, 'x', sizeof much - 1);
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    ferry_log(FERRY_LOG_INFO, "much", FERRY_FIELDS(ferry_text("a", much)));
}

static void a_line_that_is_too_long_still_says_what_happened(void **state)
{
    (void)state;
    const char *line = capture(log_too_much);
    json_t *object = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(object, "msg")), "much");
    assert_non_null(json_object_get(object, "note"));
    json_decref(object);
}

enum { THREADS = 4, LINES = 200 };

static void *log_many(void *context)
{
    (void)context;
    for (int i = 0; i < LINES; i++)
        ferry_log(FERRY_LOG_INFO, "together", FERRY_FIELDS(ferry_number("i", i)));
    return NULL;
}

static void log_from_threads(void)
{
    pthread_t threads[THREADS];
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    const char *at = capture(log_from_threads);
    int count = 0;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1, count++) {
        json_t *object = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_non_null(object);
        json_decref(object);
    }
    assert_int_equal(count, THREADS * LINES);
}

static off_t written_to(int fd)
{
    return lseek(fd, 0, SEEK_CUR);
}

/* Two short lines, which wait, and one that is larger than what is kept: it takes those before it along. */
static void log_gathered(void)
{
    char text[6000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    ferry_log_gather();
    ferry_log(FERRY_LOG_INFO, "0", FERRY_NO_FIELDS);
    ferry_log(FERRY_LOG_INFO, "1", FERRY_NO_FIELDS);
    assert_int_equal(written_to(STDERR_FILENO), 0);
    ferry_log(FERRY_LOG_INFO, "2", FERRY_FIELDS(ferry_text("text", text)));
    assert_true(written_to(STDERR_FILENO) > 6000);
    off_t before = written_to(STDERR_FILENO);
    ferry_log(FERRY_LOG_INFO, "3", FERRY_NO_FIELDS);
    assert_int_equal(written_to(STDERR_FILENO), before);
    ferry_log(FERRY_LOG_WARN, "4", FERRY_NO_FIELDS); /* comes at once, behind what was kept */
    assert_true(written_to(STDERR_FILENO) > before);
    before = written_to(STDERR_FILENO);
    ferry_log(FERRY_LOG_INFO, "5", FERRY_NO_FIELDS);
    assert_int_equal(written_to(STDERR_FILENO), before);
    ferry_log_write_gathered();
    assert_true(written_to(STDERR_FILENO) > before);
    ferry_log(FERRY_LOG_INFO, "6", FERRY_NO_FIELDS);
}

static void lines_that_are_gathered_come_whole_and_in_order(void **state)
{
    (void)state;
    const char *at = capture(log_gathered);
    int count = 0;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1, count++) {
        json_t *object = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_non_null(object);
        assert_int_equal(json_string_value(json_object_get(object, "msg"))[0], '0' + count);
        json_decref(object);
    }
    assert_int_equal(count, 7);
}

/* More than is kept, so that it is written on the way. */
static void log_much_gathered(void)
{
    ferry_log_setup("ferry-test", FERRY_LOG_JSON, FERRY_LOG_INFO);
    ferry_log_gather();
    (void)log_many(NULL);
    ferry_log_write_gathered();
}

static void what_is_gathered_is_never_lost(void **state)
{
    (void)state;
    int count = 0;
    for (const char *at = capture(log_much_gathered); (at = strchr(at, '\n')) != NULL; at++)
        count++;
    assert_int_equal(count, LINES);
}

static void a_level_has_four_words(void **state)
{
    enum ferry_log_level level = FERRY_LOG_ERROR;
    (void)state;
    assert_true(ferry_log_level_parse("debug", &level));
    assert_int_equal(level, FERRY_LOG_DEBUG);
    assert_true(ferry_log_level_parse("warn", &level));
    assert_false(ferry_log_level_parse("warning", &level));
    assert_int_equal(level, FERRY_LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_has_four_words),
        cmocka_unit_test(a_line_is_one_json_object),
        cmocka_unit_test(people_get_a_line_of_text),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(control_characters_never_reach_a_terminal),
        cmocka_unit_test(a_line_that_is_too_long_still_says_what_happened),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(lines_that_are_gathered_come_whole_and_in_order),
        cmocka_unit_test(what_is_gathered_is_never_lost),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
