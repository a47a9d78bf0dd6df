/* Runs a subcommand in the test's process and keeps what it prints. */
#ifndef TEST_CAPTURE_H
#define TEST_CAPTURE_H

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct capture {
    int exit_code;
    char out[256 * 1024];
    char err[16 * 1024];
};

static inline int capture_begin(int fd, FILE **file)
{
    int kept = dup(fd);
    *file = tmpfile();
    dup2(fileno(*file), fd);
    return kept;
}

static inline void capture_end(int fd, int kept, FILE *file, char *out, size_t bytes)
{
    fflush(fd == STDOUT_FILENO ? stdout : stderr);
    dup2(kept, fd);
    close(kept);
    rewind(file);
    out[fread(out, 1, bytes - 1, file)] = '\0';
    fclose(file);
}

/* `words` ends with NULL. The result lives until the next call. */
static inline const struct capture *capture_run(int (*command)(int, char **), const char *const *words)
{
    static struct capture capture;
    char *argv[32] = {NULL}; /* getopt sorts it */
    int argc = 0;
    for (; words[argc] != NULL && argc < 31; argc++)
        argv[argc] = (char *)words[argc];
    FILE *out, *err;
    fflush(NULL);
    int kept_out = capture_begin(STDOUT_FILENO, &out);
    int kept_err = capture_begin(STDERR_FILENO, &err);
    optind = 0; /* getopt starts afresh */
    capture.exit_code = command(argc, argv);
    capture_end(STDOUT_FILENO, kept_out, out, capture.out, sizeof capture.out);
    capture_end(STDERR_FILENO, kept_err, err, capture.err, sizeof capture.err);
    return &capture;
}

#define CAPTURE(command, ...) capture_run(ferry_command_##command, (const char *const[]){#command, __VA_ARGS__})

/* A file of that content, to be unlinked by the caller; the name lives until the next call. */
static inline const char *capture_file(const char *content)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/ferry-test-XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs(content, file);
    fclose(file);
    return path;
}

#endif
