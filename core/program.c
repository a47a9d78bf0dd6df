#include "core/program.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "core/secret.h"

enum { FINDINGS_MAX_BYTES = 1024 * 1024 };

static const char *const default_paths[] = {"/etc/ferry/ferry.yaml", "./ferry.yaml"};

enum flag { FLAG_CONFIG = 'c', FLAG_HELP = 'h', FLAG_VERSION = 'V', FLAG_ALLOW_ROOT = 256, FLAG_LOG_FORMAT };

static const struct option long_flags[] = {
    {"config", required_argument, NULL, FLAG_CONFIG},
    {"help", no_argument, NULL, FLAG_HELP},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"allow-root", no_argument, NULL, FLAG_ALLOW_ROOT},
    {"log-format", required_argument, NULL, FLAG_LOG_FORMAT},
    {NULL, 0, NULL, 0},
};

static void print_help(const struct ferry_program *program)
{
    printf("%s: %s\n\n"
           "Usage: %s [-c FILE] [flags]\n\n"
           "  -c, --config FILE       the configuration (default: %s, then %s)\n"
           "      --log-format WORD   json (default): one object a line on stderr | text: for people\n"
           "      --allow-root        run as root all the same\n"
           "      --help              print this\n"
           "      --version           print the version\n\n"
           "SIGTERM and SIGINT finish what is in flight and end the program; SIGHUP reloads secrets, certificates and\n"
           "routes. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration is wrong.\n"
           "`ferry check` reads the whole configuration; docs/configuration.md lists every key.\n",
           program->name, program->summary, program->name, default_paths[0], default_paths[1]);
}

static int refuse_usage(const struct ferry_program *program)
{
    fprintf(stderr, "Try `%s --help`.\n", program->name);
    return FERRY_EXIT_USAGE;
}

/* What one flag means; -1 to go on. */
static int take_flag(struct ferry_program *program, int flag, bool *allow_root)
{
    switch (flag) {
    case FLAG_CONFIG:
        program->config_path = optarg;
        return -1;
    case FLAG_ALLOW_ROOT:
        *allow_root = true;
        return -1;
    case FLAG_LOG_FORMAT:
        if (strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0) {
            fprintf(stderr, "%s: --log-format: \"%s\" is neither json nor text\n", program->name, optarg);
            return refuse_usage(program);
        }
        program->log_format = strcmp(optarg, "text") == 0 ? FERRY_LOG_TEXT : FERRY_LOG_JSON;
        return -1;
    case FLAG_HELP:
        print_help(program);
        return FERRY_EXIT_DONE;
    case FLAG_VERSION:
        printf("%s %s\n", program->name, FERRY_VERSION FERRY_CRASH_POINT_NOTE);
        return FERRY_EXIT_DONE;
    default: /* getopt has said what is wrong */
        return refuse_usage(program);
    }
}

static int parse_flags(struct ferry_program *program, int argc, char **argv, bool *allow_root)
{
    optind = 0; /* glibc: from the beginning, also at a second call in one process */
    for (int flag; (flag = getopt_long(argc, argv, "c:", long_flags, NULL)) != -1;) {
        int exit_code = take_flag(program, flag, allow_root);
        if (exit_code >= 0)
            return exit_code;
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "%s: \"%s\" is not expected: only flags are\n", program->name, argv[optind]);
    return refuse_usage(program);
}

/* Memory will hold secrets, copies in the buffers of libraries too: no core file. */
static void forbid_core_files(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* No ptrace and no /proc/PID/mem by other processes of this user. It also closes /proc/self/fd to this very process, so
 * that it comes after a configuration that may be read from /dev/stdin. */
static void forbid_inspection(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

const char *ferry_program_config_path(void)
{
    if (access(default_paths[0], F_OK) == 0)
        return default_paths[0];
    return default_paths[1];
}

/* A program whose own section is missing would idle for ever and look healthy. */
static const char *missing_section(const struct ferry_program *program, const struct ferry_config *config)
{
    const struct {
        unsigned section;
        bool present;
        const char *key;
    } sections[] = {
        {FERRY_SECTION_BRIDGE, config->bridge.present, "bridge"},
        {FERRY_SECTION_SLACK, config->slack.worker.present, "slack"},
        {FERRY_SECTION_MAIL, config->mail.worker.present, "mail"},
        {FERRY_SECTION_AUTOMATION, config->automation.worker.present, "automation"},
    };
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if ((program->sections & sections[i].section) != 0 && !sections[i].present)
            return sections[i].key;
    return NULL;
}

void ferry_program_print_findings(const struct ferry_findings *findings)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, FINDINGS_MAX_BYTES);
    ferry_findings_print(findings, &text);
    fputs(text.ptr != NULL ? text.ptr : "", stderr);
}

static void log_findings(const struct ferry_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct ferry_finding *finding = &findings->items[i];
        ferry_log(finding->warning ? FERRY_LOG_WARN : FERRY_LOG_ERROR, "configuration",
                  FERRY_FIELDS(ferry_text("file", finding->place.file), ferry_number("line", finding->place.line),
                               ferry_text("finding", finding->text)));
    }
}

/* Loads, and hands every finding to `show`. NULL if the file cannot be used. */
static struct ferry_config *load(const struct ferry_program *program, void (*show)(const struct ferry_findings *),
                                 struct ferry_error *error)
{
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    enum ferry_code code = ferry_config_load(program->config_path, program->sections, &config, &findings, error);
    if (config != NULL)
        show(&findings);
    const char *missing = code == FERRY_OK && config != NULL ? missing_section(program, config) : NULL;
    if (missing != NULL)
        code = ferry_fail(error, FERRY_CONFIG, "%s:1: %s: missing, %s needs this section", program->config_path,
                          missing, program->name);
    if (code == FERRY_OK)
        return config;
    ferry_config_free(config);
    return NULL;
}

static int load_first(struct ferry_program *program)
{
    struct ferry_error error = {0};
    if (program->config_path == NULL)
        program->config_path = ferry_program_config_path();
    program->config = load(program, ferry_program_print_findings, &error);
    if (program->config != NULL)
        return -1;
    if (error.text[0] != '\0')
        fprintf(stderr, "%s\n", error.text);
    return error.code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

/* Signals are read from a descriptor by the main thread; they are blocked before other threads start, which inherit
 * that. A broken connection is an error of write(2), never a signal. */
static int take_signals(struct ferry_program *program)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    program->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    sigaddset(&set, SIGPIPE);
    if (program->signal_fd >= 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        return -1;
    fprintf(stderr, "%s: signals: %s\n", program->name, strerror(errno));
    return FERRY_EXIT_FAILED;
}

/* A thread that is woken then waits for its turn and does not push another one off its core: on a busy machine it finds
 * more to do at once when it comes (sched(7), SCHED_BATCH); on an idle one nothing changes. Threads inherit it. Where
 * it is forbidden each event costs a little more. */
static void let_others_finish(void)
{
    const struct sched_param none = {0};
    (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

int ferry_program_begin(struct ferry_program *program, int argc, char **argv)
{
    bool allow_root = false;
    program->config_path = NULL;
    program->config = NULL;
    program->signal_fd = -1;
    int exit_code = parse_flags(program, argc, argv, &allow_root);
    if (exit_code >= 0)
        return exit_code;
    if (geteuid() == 0 && !allow_root) {
        fprintf(stderr, "%s: will not run as root; use another user, or --allow-root\n", program->name);
        return FERRY_EXIT_FAILED;
    }
    let_others_finish();
    forbid_core_files();
    ferry_secret_guard();
    exit_code = load_first(program);
    forbid_inspection();
    if (exit_code < 0)
        exit_code = take_signals(program);
    if (exit_code >= 0) {
        ferry_program_end(program);
        return exit_code;
    }
    ferry_log_setup(program->name, program->log_format, program->config->log_level);
    ferry_log_events_set(program->config->log_events);
    return -1;
}

static enum ferry_signal read_signal(int fd)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return FERRY_SIGNAL_NONE;
    return info.ssi_signo == SIGHUP ? FERRY_SIGNAL_RELOAD : FERRY_SIGNAL_STOP;
}

enum ferry_signal ferry_program_wait(struct ferry_program *program, int timeout_ms)
{
    struct pollfd waited = {.fd = program->signal_fd, .events = POLLIN};
    if (poll(&waited, 1, timeout_ms) <= 0)
        return FERRY_SIGNAL_NONE;
    return read_signal(program->signal_fd);
}

struct ferry_config *ferry_program_reload(struct ferry_program *program)
{
    struct ferry_error error = {0};
    struct ferry_config *config = load(program, log_findings, &error);
    if (config == NULL) {
        ferry_log(FERRY_LOG_ERROR, "configuration not reloaded, the old one stays",
                  FERRY_FIELDS(ferry_text("file", program->config_path), ferry_text("reason", error.text)));
        return NULL;
    }
    ferry_log_level_set(config->log_level);
    ferry_log_events_set(config->log_events);
    return config;
}

void ferry_program_end(struct ferry_program *program)
{
    ferry_config_free(program->config);
    program->config = NULL;
    if (program->signal_fd >= 0)
        close(program->signal_fd);
    program->signal_fd = -1;
}
