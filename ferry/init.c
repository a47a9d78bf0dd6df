/* ferry init: a first configuration that works at once.
 *
 * Four questions, each also a flag; what is asked is read from standard input, so that a pipe may answer. Two files are
 * written: the configuration, and beside it the secrets as NAME=value lines that nobody else may read.
 *
 * In the package's /etc/ferry two things differ. Programs run as users of their own there and share a group, to which
 * new files of that folder belong (it is set-group-id): the group may read the secrets. And what the bridge keeps on
 * disk lies where its unit lets it write. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/config.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/options.h"

enum { SECRET_CHARS = 48, ANSWER_BYTES = 1024, FILE_BYTES = 64 * 1024 };

static const char usage[] =
    "usage: ferry init [--config FILE] [answers] [--force]\n"
    "\n"
    "Writes a configuration and, beside it, a file of secrets (mode 0600) with a new webhook secret; then says what to "
    "enter\nin Qlik. What no flag answers is asked on standard input. A file that is all comments counts as none.\n"
    "  -c, --config FILE         where to (default: ferry.yaml; the secrets go to FILE without .yaml + .env)\n"
    "      --tenant URL          the tenant, https://acme.eu.qlikcloud.com\n"
    "      --kafka SERVERS       host:port of Kafka (default: 127.0.0.1:9092)\n"
    "      --slack-webhook URL   an incoming webhook of Slack; \"\" for none\n"
    "      --smtp URL            smtps://mail.example.com:465; \"\" for none\n"
    "      --force               overwrite files that are there\n";

/* What is asked: in this order. */
enum question { TENANT, KAFKA, SLACK, SMTP, QUESTION_COUNT };

static const struct {
    const char *text;
    const char *preset;
} questions[QUESTION_COUNT] = {
    [TENANT] = {"Your Qlik Cloud tenant (https://acme.eu.qlikcloud.com)", ""},
    [KAFKA] = {"Where is Kafka", "127.0.0.1:9092"},
    [SLACK] = {"Slack incoming webhook URL (empty: no Slack)", ""},
    [SMTP] = {"SMTP server, smtps://host:465 or smtp://host:587 (empty: no mail)", ""},
};

struct request {
    const char *config;
    const char *answers[QUESTION_COUNT]; /* by flags; NULL: to be asked */
    bool force;
};

struct answers {
    char text[QUESTION_COUNT][ANSWER_BYTES];
    char secret[SECRET_CHARS + 1];
    char secrets_path[ANSWER_BYTES];
    const char *config_path;
    bool installed; /* in the package's folder */
};

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"tenant", .text = &request->answers[TENANT]},
        {"kafka", .text = &request->answers[KAFKA]},
        {"slack-webhook", .text = &request->answers[SLACK]},
        {"smtp", .text = &request->answers[SMTP]},
        {"force", .flag = &request->force},
        {0},
    };
    int code = ferry_options_read(argc, argv, "init", usage, options);
    return code >= 0 || optind == argc ? code : ferry_cli_refuse("init", "takes flags only");
}

/* ---- asking ---- */

/* One answer becomes one scalar of YAML and one line of the secrets file. */
static bool is_plain(const char *answer)
{
    for (; *answer != '\0'; answer++)
        if ((unsigned char)*answer <= ' ' || *answer == 0x7f || *answer == '"' || *answer == '\\')
            return false;
    return true;
}

static void ask(enum question question, char answer[ANSWER_BYTES])
{
    const char *preset = questions[question].preset;
    printf("%s%s%s%s: ", questions[question].text, preset[0] != '\0' ? " [" : "", preset, preset[0] != '\0' ? "]" : "");
    fflush(stdout);
    if (fgets(answer, ANSWER_BYTES, stdin) == NULL)
        answer[0] = '\0'; /* the end of the input answers all that is left with its default */
    answer[strcspn(answer, "\r\n")] = '\0';
    if (!isatty(STDIN_FILENO))
        putchar('\n');
}

static bool take_answer(const struct request *request, enum question question, char answer[ANSWER_BYTES])
{
    if (request->answers[question] == NULL)
        ask(question, answer);
    else
        snprintf(answer, ANSWER_BYTES, "%s", request->answers[question]);
    if (answer[0] == '\0')
        snprintf(answer, ANSWER_BYTES, "%s", questions[question].preset);
    if (is_plain(answer))
        return true;
    fprintf(stderr, "ferry init: \"%s\" has blanks or quotes in it\n", answer);
    return false;
}

/* acme.eu.qlikcloud.com and https://acme.eu.qlikcloud.com/ mean https://acme.eu.qlikcloud.com. */
static bool tidy_tenant(char tenant[ANSWER_BYTES])
{
    static const char scheme[] = "https://";
    size_t len = strlen(tenant);
    if (len > 0 && tenant[len - 1] == '/')
        tenant[--len] = '\0';
    if (len == 0 || strstr(tenant, "://") != NULL)
        return true;
    if (len + sizeof scheme > ANSWER_BYTES) {
        fputs("ferry init: the tenant's name is too long\n", stderr);
        return false;
    }
    memmove(tenant + strlen(scheme), tenant, len + 1);
    memcpy(tenant, scheme, strlen(scheme));
    return true;
}

static bool gather(const struct request *request, struct answers *answers)
{
    for (int question = 0; question < QUESTION_COUNT; question++)
        if (!take_answer(request, (enum question)question, answers->text[question]))
            return false;
    return tidy_tenant(answers->text[TENANT]);
}

/* ---- the two files ---- */

/* Is it in a folder whose new files belong to the folder's group? */
static bool is_installed(const char *config_path)
{
    char folder[ANSWER_BYTES];
    const char *slash = strrchr(config_path, '/');
    size_t len = slash != NULL ? (size_t)(slash - config_path) : 0;
    if (len == 0 || len >= sizeof folder)
        return false;
    memcpy(folder, config_path, len);
    folder[len] = '\0';
    struct stat status;
    return stat(folder, &status) == 0 && (status.st_mode & S_ISGID) != 0;
}

static mode_t secrets_mode(const struct answers *answers)
{
    return answers->installed ? 0640 : 0600;
}

/* 48 characters of 64: 288 bits. */
static bool make_secret(char secret[SECRET_CHARS + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[SECRET_CHARS];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < SECRET_CHARS; i++)
        secret[i] = alphabet[random[i] % 64];
    secret[SECRET_CHARS] = '\0';
    explicit_bzero(random, sizeof random);
    return true;
}

/* ferry.yaml → ferry.env, in the same folder. */
static void name_secrets(struct answers *answers)
{
    size_t len = strlen(answers->config_path);
    bool yaml = len > 5 && strcmp(answers->config_path + len - 5, ".yaml") == 0;
    snprintf(answers->secrets_path, sizeof answers->secrets_path, "%.*s.env", (int)(yaml ? len - 5 : len),
             answers->config_path);
}

static void add_slack(struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, "\nslack:\n"
                               "  admin: 127.0.0.1:8082\n"
                               "  routes:\n"
                               "    - name: new-app\n"
                               "      events: [app.created]\n"
                               "      when: .resource.isSessionApp != true\n"
                               "      webhook: {env: SLACK_WEBHOOK_URL}\n"
                               "      text: |-\n"
                               "        *\\(.resource.name // \"An app\")* was created by \\(.userid // \"Qlik\")\n"
                               "    - name: reload-failed\n"
                               "      events: [reload.finished]\n"
                               "      when: .resource.status == \"FAILED\"\n"
                               "      webhook: {env: SLACK_WEBHOOK_URL}\n"
                               "      text: |-\n"
                               "        The reload of app \\(.resource.appId // \"?\") failed: "
                               "\\(.resource.errorMessage // \"no message\")\n");
}

static void add_mail(const struct answers *answers, struct ferry_buffer *out)
{
    bool plain = strncmp(answers->text[SMTP], "smtp://127.", 11) == 0 ||
                 strncmp(answers->text[SMTP], "smtp://localhost", 16) == 0;
    ferry_buffer_printf(out,
                        "\nmail:\n"
                        "  admin: 127.0.0.1:8083\n"
                        "  smtp:\n"
                        "    url: \"%s\"\n"
                        "    tls: %s\n"
                        "    # username: ferry\n"
                        "    # password: {env: SMTP_PASSWORD}     # a line SMTP_PASSWORD=… in the secrets file\n"
                        "  from: Analytics team <no-reply@example.com>   # yours\n"
                        "  recipient_domains: [example.com]              # yours; nobody else gets mail\n"
                        "  routes:\n"
                        "    - name: welcome\n"
                        "      events: [user.created]\n"
                        "      to: .resource.email\n"
                        "      subject: Welcome to Qlik Cloud, \\(.resource.name // \"colleague\")\n"
                        "      text: |\n"
                        "        Hello \\(.resource.name // \"colleague\"),\n"
                        "\n"
                        "        your account is ready: %s\n"
                        "      once_per: [.tenantid, .resource.id]\n",
                        answers->text[SMTP], plain ? "none" : "required", answers->text[TENANT]);
}

static void compose_config(const struct answers *answers, struct ferry_buffer *out)
{
    const char *slash = strrchr(answers->secrets_path, '/');
    ferry_buffer_printf(out,
                        "# Written by `ferry init`. Every key: docs/configuration.md; a whole file: "
                        "ferry.yaml.example.\n"
                        "# `ferry check` reads it, `ferry check --online` tries the others too.\n\n"
                        "secrets: %s                  # NAME=value lines behind {env: NAME}; mode %04o\n\n"
                        "kafka:\n"
                        "  bootstrap.servers: \"%s\"\n\n"
                        "topics:\n"
                        "  replication: -1                    # the broker's default; production: 3\n\n"
                        "bridge:\n"
                        "  listen: 127.0.0.1:8080             # behind a proxy with TLS, or with `tls:`\n"
                        "  admin: 127.0.0.1:8081\n"
                        "  spool: {directory: %s, limit: 1GiB}\n"
                        "  webhooks:\n"
                        "    - path: /webhooks/qlik\n"
                        "      format: qlik\n"
                        "      signature: qlik\n"
                        "      secrets: [{env: QLIK_WEBHOOK_SECRET}]\n",
                        slash != NULL ? slash + 1 : answers->secrets_path, (unsigned)secrets_mode(answers),
                        answers->text[KAFKA], answers->installed ? "/var/lib/ferry/spool" : "spool");
    if (answers->text[SLACK][0] != '\0')
        add_slack(out);
    if (answers->text[SMTP][0] != '\0')
        add_mail(answers, out);
}

static void compose_secrets(const struct answers *answers, struct ferry_buffer *out)
{
    ferry_buffer_printf(out, "# Secrets of %s. Keep it to yourself: mode %04o.\nQLIK_WEBHOOK_SECRET=%s\n",
                        answers->config_path, (unsigned)secrets_mode(answers), answers->secret);
    if (answers->text[SLACK][0] != '\0')
        ferry_buffer_printf(out, "SLACK_WEBHOOK_URL=%s\n", answers->text[SLACK]);
}

/* The whole text under that name with that mode, or nothing: by a temporary name beside it. */
static bool write_file(const char *path, const struct ferry_buffer *text, mode_t mode)
{
    char temporary[ANSWER_BYTES + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool written = fd >= 0 && !text->failed && write(fd, text->ptr, text->len) == (ssize_t)text->len;
    if (fd >= 0 && close(fd) != 0)
        written = false;
    if (written && rename(temporary, path) == 0)
        return true;
    fprintf(stderr, "ferry init: %s cannot be written: %s\n", path, strerror(errno));
    (void)unlink(temporary);
    return false;
}

/* As the package's own file is, which configures nothing yet. */
static bool is_all_comments(const char *path)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, FERRY_CLI_FILE_BYTES);
    if (!ferry_cli_read(path, &text))
        return false;
    struct ferry_slice rest = ferry_buffer_slice(&text);
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct ferry_slice line = ferry_slice_trim(ferry_slice_of(rest.ptr, len));
        if (line.len > 0 && line.ptr[0] != '#')
            return false;
        rest = ferry_slice_skip(rest, end != NULL ? len + 1 : len);
    }
    return true;
}

static bool may_write(const struct request *request, const char *path)
{
    if (request->force || access(path, F_OK) != 0 || is_all_comments(path))
        return true;
    fprintf(stderr, "ferry init: %s is there already; --force overwrites it, -c FILE writes another\n", path);
    return false;
}

/* Secrets first: the configuration is read through them. */
static bool write_files(const struct answers *answers)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer config;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer secrets;
    ferry_buffer_init(&config, FILE_BYTES);
    ferry_buffer_init(&secrets, FILE_BYTES);
    compose_config(answers, &config);
    compose_secrets(answers, &secrets);
    bool written = write_file(answers->secrets_path, &secrets, secrets_mode(answers)) &&
                   write_file(answers->config_path, &config, 0644);
    if (secrets.ptr != NULL)
        explicit_bzero(secrets.ptr, secrets.len);
    return written;
}

/* ---- afterwards ---- */

/* What was written is read as a program would: a wrong answer is said with its line. */
static int check_written(const struct answers *answers)
{
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    enum ferry_code code = ferry_config_load(answers->config_path, FERRY_SECTION_ALL, &config, &findings, &error);
    if (config != NULL)
        ferry_program_print_findings(&findings);
    ferry_config_free(config);
    if (code == FERRY_OK)
        return FERRY_EXIT_DONE;
    fputs("ferry init: written, but not right yet; mend these lines\n", stderr);
    return FERRY_EXIT_CONFIG;
}

static void explain_start(const struct answers *answers)
{
    static const struct {
        const char *program, *unit, *note;
    } programs[] = {
        {"ferry-bridge", "ferry-bridge", ""},
        {"ferry-slack", "ferry-worker@slack", ""},
        {"ferry-mail", "ferry-worker@mail", "        (first your addresses: `from`, `recipient_domains`)"},
    };
    const bool wanted[] = {true, answers->text[SLACK][0] != '\0', answers->text[SMTP][0] != '\0'};
    printf("Then:\n  ferry check -c %s --online\n", answers->config_path);
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (wanted[i] && answers->installed)
            printf("  systemctl enable --now %s%s\n", programs[i].unit, programs[i].note);
        else if (wanted[i])
            printf("  %s -c %s%s\n", programs[i].program, answers->config_path, programs[i].note);
    }
}

static void explain(const struct answers *answers)
{
    bool has_slack = answers->text[SLACK][0] != '\0', has_mail = answers->text[SMTP][0] != '\0';
    printf(
        "Wrote %s and %s (mode %04o).\n\n"
        "Enter this in Qlik: %s%s\n"
        "  URL      https://YOUR-HOST/webhooks/qlik   (your proxy passes it to http://127.0.0.1:8080/webhooks/qlik)\n"
        "  Secret   %s\n"
        "  Events   all that you want in Kafka%s%s%s%s\n\n",
        answers->config_path, answers->secrets_path, (unsigned)secrets_mode(answers),
        answers->text[TENANT][0] != '\0' ? answers->text[TENANT] : "Administration → Webhooks → Create",
        answers->text[TENANT][0] != '\0' ? "/console/webhooks → Create" : "", answers->secret,
        has_slack || has_mail ? "; for the routes of this file: " : "", has_slack ? "app.created, reload.finished" : "",
        has_slack && has_mail ? ", " : "", has_mail ? "user.created" : "");
    explain_start(answers);
}

int ferry_command_init(int argc, char **argv)
{
    struct request request = {.config = "ferry.yaml"};
    struct answers answers = {0};
    int exit_code = parse(argc, argv, &request);
    if (exit_code >= 0)
        return exit_code;
    answers.config_path = request.config;
    answers.installed = is_installed(request.config);
    name_secrets(&answers);
    if (!may_write(&request, answers.config_path) || !may_write(&request, answers.secrets_path))
        return FERRY_EXIT_FAILED;
    if (!gather(&request, &answers))
        return FERRY_EXIT_USAGE;
    exit_code = FERRY_EXIT_FAILED;
    if (make_secret(answers.secret) && write_files(&answers))
        exit_code = check_written(&answers);
    if (exit_code == FERRY_EXIT_DONE)
        explain(&answers);
    explicit_bzero(&answers, sizeof answers);
    return exit_code;
}
