#include "ferry/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/config.h"
#include "core/program.h"
#include "core/route.h"

int ferry_cli_refuse(const char *command, const char *complaint)
{
    if (complaint != NULL)
        fprintf(stderr, "ferry %s: %s\n", command, complaint);
    fprintf(stderr, "Try `ferry %s --help`.\n", command);
    return FERRY_EXIT_USAGE;
}

bool ferry_cli_is_worker(const char *name)
{
    for (const char *const *known = ferry_worker_names; *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

int ferry_cli_check_worker(const char *command, const char *worker)
{
    if (worker == NULL || ferry_cli_is_worker(worker))
        return -1;
    return ferry_cli_refuse(command, "--worker is one of slack, mail, automation");
}

const struct ferry_catalog_entry *ferry_cli_event(const char *name)
{
    const struct ferry_catalog_entry *entry = ferry_catalog_find_type(ferry_slice_from(name));
    if (entry == NULL)
        entry = ferry_catalog_find_event(ferry_slice_from(name));
    if (entry != NULL)
        return entry;
    const char *nearest = ferry_catalog_nearest(name);
    if (nearest != NULL)
        fprintf(stderr, "ferry: there is no event \"%s\"; did you mean %s?\n", name, nearest);
    else
        fprintf(stderr, "ferry: there is no event \"%s\"; `ferry catalog` shows all\n", name);
    return NULL;
}

static bool read_all(int fd, struct ferry_buffer *out)
{
    char bytes[16 * 1024];
    ssize_t len;
    while ((len = read(fd, bytes, sizeof bytes)) != 0) {
        if (len < 0 && errno != EINTR)
            return false;
        if (len > 0)
            ferry_buffer_add(out, ferry_slice_of(bytes, (size_t)len));
    }
    explicit_bzero(bytes, sizeof bytes); /* it may have been a secret */
    errno = EFBIG;
    return !out->failed;
}

bool ferry_cli_read(const char *path, struct ferry_buffer *out)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && read_all(fd, out);
    if (!done)
        fprintf(stderr, "ferry: cannot read %s: %s\n", standard ? "standard input" : path, strerror(errno));
    if (fd >= 0 && !standard)
        close(fd);
    return done;
}

static bool secret_of_file(const char *file, struct ferry_secret *secret)
{
    struct ferry_buffer bytes;
    ferry_buffer_init(&bytes, FERRY_CLI_FILE_BYTES);
    bool done = ferry_cli_read(file, &bytes);
    if (done && bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\n')
        bytes.len--;
    if (done)
        *secret = ferry_secret_copy(ferry_buffer_slice(&bytes));
    if (bytes.ptr != NULL)
        explicit_bzero(bytes.ptr, bytes.capacity);
    ferry_buffer_done(&bytes);
    return done;
}

bool ferry_cli_secret(const char *variable, const char *file, struct ferry_secret *secret)
{
    struct ferry_secret found = {NULL, 0};
    if (file != NULL && !secret_of_file(file, &found))
        return false;
    const char *value = variable != NULL ? getenv(variable) : NULL;
    if (variable != NULL && value == NULL) {
        fprintf(stderr, "ferry: the environment has no %s\n", variable);
        return false;
    }
    if (value != NULL)
        found = ferry_secret_copy(ferry_slice_from(value));
    if (found.len == 0) {
        fprintf(stderr, "ferry: the secret in %s is empty\n", file != NULL ? file : variable);
        ferry_secret_done(&found);
        return false;
    }
    *secret = found;
    return true;
}

bool ferry_cli_sibling(const char *name, char path[FERRY_CLI_PATH])
{
    ssize_t len = readlink("/proc/self/exe", path, FERRY_CLI_PATH - 1);
    path[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(path, '/');
    size_t room = slash != NULL ? FERRY_CLI_PATH - (size_t)(slash + 1 - path) : 0;
    if (strlen(name) < room)
        memcpy(slash + 1, name, strlen(name) + 1);
    if (strlen(name) < room && access(path, X_OK) == 0)
        return true;
    fprintf(stderr, "ferry: %s is missing; it belongs beside ferry\n", path);
    return false;
}

static void print_quoted(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=,@%+";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    putc('\'', out);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            putc(*word, out);
    }
    putc('\'', out);
}

void ferry_cli_print_how_to_go_on(const char *command, int argc, char **argv, const char *run)
{
    fprintf(stderr, "to go on: ferry %s", command);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--run-id") == 0)
            i++;
        else if (strncmp(argv[i], "--run-id=", strlen("--run-id=")) != 0) {
            putc(' ', stderr);
            print_quoted(stderr, argv[i]);
        }
    }
    fprintf(stderr, " --run-id %s\n", run);
}
