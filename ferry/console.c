#include "ferry/console.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/program.h"
#include "ferry/cli.h"

enum { SHOW_EVERY_MS = 50 };

/* ---- the configuration ---- */

int ferry_console_config(const char *path, struct ferry_config **config)
{
    return ferry_console_config_for(path, FERRY_SECTION_KAFKA, config);
}

int ferry_console_config_for(const char *path, unsigned sections, struct ferry_config **config)
{
    struct ferry_config *loaded = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    if (path == NULL)
        path = ferry_program_config_path();
    enum ferry_code code = ferry_config_load(path, sections, &loaded, &findings, &error);
    if (code == FERRY_OK) {
        /* What librdkafka warns of is often the reason: a name that is unknown, a password that is wrong. */
        ferry_log_setup("ferry", FERRY_LOG_TEXT, FERRY_LOG_WARN);
        *config = loaded;
        return -1;
    }
    if (loaded != NULL && findings.errors > 0)
        ferry_program_print_findings(&findings);
    else
        fprintf(stderr, "ferry: %s\n", error.text);
    ferry_config_free(loaded);
    return code == FERRY_MEMORY ? FERRY_EXIT_FAILED : FERRY_EXIT_CONFIG;
}

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t interrupted;

static void note_signal(int number)
{
    if (interrupted)
        _exit(128 + number); /* whoever asks twice does not want to wait */
    interrupted = 1;
}

void ferry_console_catch(void)
{
    const struct sigaction action = {.sa_handler = note_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool ferry_console_interrupted(void)
{
    return interrupted != 0;
}

/* ---- progress ---- */

void ferry_progress_text(const struct ferry_progress *progress, int64_t done, int64_t elapsed_ms,
                         char out[FERRY_PROGRESS_TEXT])
{
    int64_t rate = elapsed_ms > 0 ? done * 1000 / elapsed_ms : 0;
    if (progress->total > 0)
        snprintf(out, FERRY_PROGRESS_TEXT, "%s %3d %%  %" PRId64 "/%" PRId64 "  %" PRId64 "/s", progress->what,
                 (int)(done * 100 / progress->total), done, progress->total, rate);
    else if (progress->percent > 0)
        snprintf(out, FERRY_PROGRESS_TEXT, "%s %3d %%  %" PRId64 "  %" PRId64 "/s", progress->what, progress->percent,
                 done, rate);
    else
        snprintf(out, FERRY_PROGRESS_TEXT, "%s  %" PRId64 "  %" PRId64 "/s", progress->what, done, rate);
}

void ferry_progress_show(struct ferry_progress *progress, int64_t done)
{
    int64_t now_ms = ferry_clock_mono_ms();
    if (progress->began_ms == 0) {
        progress->began_ms = now_ms;
        progress->silent |= isatty(STDERR_FILENO) == 0;
    }
    if (progress->silent || now_ms - progress->shown_ms < SHOW_EVERY_MS)
        return;
    char text[FERRY_PROGRESS_TEXT];
    ferry_progress_text(progress, done, now_ms - progress->began_ms, text);
    fprintf(stderr, "\r\033[K%s", text);
    progress->shown_ms = now_ms;
    progress->shown = true;
}

void ferry_progress_end(struct ferry_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}

/* ---- moments ---- */

/* "-90s" and the like to milliseconds. */
static bool parse_age(const char *text, int64_t *age_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    enum { LONGEST = 9 }; /* digits: no product outgrows its type */
    size_t digits = text[0] == '-' ? strspn(text + 1, "0123456789") : 0;
    if (digits == 0 || digits > LONGEST)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + 1 + digits, units[i].unit) != 0)
            continue;
        *age_ms = strtoll(text + 1, NULL, 10) * units[i].ms;
        return true;
    }
    return false;
}

bool ferry_moment_parse(const char *text, int64_t now_ms, int64_t *wall_ms)
{
    char midnight[FERRY_TIME_TEXT];
    int64_t age_ms;
    if (strcmp(text, "earliest") == 0)
        *wall_ms = FERRY_EARLIEST_MS;
    else if (strcmp(text, "now") == 0)
        *wall_ms = now_ms;
    else if (parse_age(text, &age_ms))
        *wall_ms = now_ms - age_ms;
    else if (strlen(text) == strlen("2026-11-22") &&
             snprintf(midnight, sizeof midnight, "%sT00:00:00Z", text) < (int)sizeof midnight)
        return ferry_time_parse(ferry_slice_from(midnight), wall_ms);
    else
        return ferry_time_parse(ferry_slice_from(text), wall_ms);
    return true;
}

/* ---- reading ---- */

enum { LOOK_MS = 9000 };

static bool is_interrupted(void *context)
{
    (void)context;
    return ferry_console_interrupted();
}

static void show_reading(void *context, int64_t done, int64_t total)
{
    static struct ferry_progress progress;
    (void)context;
    if (done < total) {
        progress.what = "reading";
        progress.total = total;
        ferry_progress_show(&progress, done);
        return;
    }
    ferry_progress_end(&progress);
    progress = (struct ferry_progress){0};
}

const struct ferry_survey_caller ferry_console_caller = {
    .look_ms = LOOK_MS, .stopped = is_interrupted, .progress = show_reading};
