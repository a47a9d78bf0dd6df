/* What the subcommands share that work on Kafka for a while: the configuration, Ctrl-C, the progress line, moments. */
#ifndef FERRY_CONSOLE_H
#define FERRY_CONSOLE_H

#include "core/clock.h"
#include "core/config.h"
#include "core/survey/read.h"

/* Loads `path` (NULL: where programs look) with the secrets of `kafka` alone, and sets the log up for people. -1 to go
 * on, or the exit code after a complaint. The caller frees `*config`. */
int ferry_console_config(const char *path, struct ferry_config **config);
/* The same with the secrets of these sections (enum ferry_sections). */
int ferry_console_config_for(const char *path, unsigned sections, struct ferry_config **config);

/* From now on Ctrl-C and SIGTERM are asked for here; a second one ends the process at once. */
void ferry_console_catch(void);
bool ferry_console_interrupted(void);

/* A line on stderr that says how far it is; silent where stderr is no terminal, and twenty times a second at most. */
struct ferry_progress {
    const char *what; /* "replaying" */
    int64_t total;    /* 0: unknown */
    int percent;      /* where the total is unknown: how far it is, if that is known; else 0 */
    bool silent;
    int64_t began_ms; /* 0: not begun; these are the module's own */
    int64_t shown_ms;
    bool shown;
};
void ferry_progress_show(struct ferry_progress *progress, int64_t done);
/* Wipes the line. */
void ferry_progress_end(struct ferry_progress *progress);
/* The line's text, "replaying  42 %  1234567/2939444  200000/s", without its control characters. Pure. */
enum { FERRY_PROGRESS_TEXT = 128 };
void ferry_progress_text(const struct ferry_progress *progress, int64_t done, int64_t elapsed_ms,
                         char out[FERRY_PROGRESS_TEXT]);

/* A moment on a command line: RFC 3339, a date (its beginning in UTC), `-90s` `-1h` `-7d` (before `now_ms`), "now",
 * or "earliest", which is FERRY_EARLIEST_MS. False for anything else. */
bool ferry_moment_parse(const char *text, int64_t now_ms, int64_t *wall_ms);

/* Whoever sits at the terminal: Ctrl-C stops what is read, and a progress line says how far it is. */
extern const struct ferry_survey_caller ferry_console_caller;

#endif
