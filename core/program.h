/* What every program does first and last: flags, configuration, log, root check, signals. */
#ifndef FERRY_CORE_PROGRAM_H
#define FERRY_CORE_PROGRAM_H

#include "core/config.h"

/* Exit codes (docs/contract.md, "Programs"). */
enum ferry_exit { FERRY_EXIT_DONE = 0, FERRY_EXIT_FAILED = 1, FERRY_EXIT_USAGE = 2, FERRY_EXIT_CONFIG = 78 };

struct ferry_program {
    const char *name;    /* "ferry-slack" */
    const char *summary; /* for --help */
    unsigned sections;   /* enum ferry_sections */

    /* filled by ferry_program_begin */
    const char *config_path;
    enum ferry_log_format log_format;
    struct ferry_config *config;
    int signal_fd;
};

/* Parses `--config --help --version --allow-root --log-format`, refuses root, loads the configuration (its findings go
 * to stderr), sets the log up, blocks SIGTERM SIGINT SIGHUP SIGPIPE for this and all later threads. Returns -1 to go
 * on, or the exit code. Before other threads start. */
int ferry_program_begin(struct ferry_program *program, int argc, char **argv);

/* What was found in a configuration, a FILE:LINE: line each, on stderr. */
void ferry_program_print_findings(const struct ferry_findings *findings);

/* Where the configuration is when no flag says it: /etc/ferry/ferry.yaml if it exists, else ./ferry.yaml. */
const char *ferry_program_config_path(void);

enum ferry_signal { FERRY_SIGNAL_NONE, FERRY_SIGNAL_STOP, FERRY_SIGNAL_RELOAD };
/* Waits at most `timeout_ms` (-1: for ever) for a signal. */
enum ferry_signal ferry_program_wait(struct ferry_program *program, int timeout_ms);

/* Reads the configuration anew; NULL (and the findings logged) if it is wrong: the old one stays. The caller owns the
 * new one and frees the old one when nothing uses it any more. */
struct ferry_config *ferry_program_reload(struct ferry_program *program);

/* Frees the configuration. */
void ferry_program_end(struct ferry_program *program);

#endif
