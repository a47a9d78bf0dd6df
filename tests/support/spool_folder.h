/* For unit tests: a temporary folder with a spool in it. */
#ifndef FERRY_TESTS_SUPPORT_SPOOL_FOLDER_H
#define FERRY_TESTS_SUPPORT_SPOOL_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPOOL_FOLDER = 64 };

/* `path` is filled in. In memory where that is wanted and there is a /dev/shm. */
static inline bool spool_folder_make(char path[SPOOL_FOLDER], const char *purpose, bool in_memory)
{
    const char *above = in_memory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, SPOOL_FOLDER, "%s/ferry-%s-XXXXXX", above, purpose);
    return mkdtemp(path) != NULL;
}

/* What a spool leaves there, and the folder. False: it holds something else. */
static inline bool spool_folder_remove(const char *path)
{
    static const char *const files[] = {"spool.db", "spool.db-wal", "spool.db-shm", "lock", "reserve"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char file[SPOOL_FOLDER + 16];
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        unlink(file);
    }
    return rmdir(path) == 0;
}

#endif
