/* The programs that the demo runs: children of this process, which end when it does, however it ends. Their logs go
 * into files. Not for several threads at once; start them from the thread that lives longest. */
#ifndef FERRY_DEMO_CREW_H
#define FERRY_DEMO_CREW_H

#include <stdio.h>
#include <sys/types.h>

#include "core/error.h"
#include "ferry/cli.h"

enum { FERRY_CREW_MEMBERS = 8, FERRY_CREW_ARGUMENTS = 16 };

struct ferry_crew {
    struct ferry_crew_member {
        const char *name; /* borrowed */
        pid_t pid;        /* 0: ended, and waited for */
        int status;       /* of waitpid, once ended */
        char log[FERRY_CLI_PATH];
    } members[FERRY_CREW_MEMBERS];
    size_t count;
};

/* Starts `argv[0]` (a path), ended by NULL, with stderr and stdout into the file `log`, in a process group of its own
 * and with no signal blocked. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_crew_start(struct ferry_crew *crew, const char *name, const char *const *argv,
                                                 const char *log, struct ferry_error *error);
/* A member that has ended although nobody asked, or NULL. */
const struct ferry_crew_member *ferry_crew_lost(struct ferry_crew *crew);
/* How it ended ("exit status 1", "signal 11"), or that it runs, and the last lines of its log. */
void ferry_crew_report(const struct ferry_crew_member *member, FILE *out);
/* SIGTERM to all, SIGKILL to those that are still there after `patience_ms`. */
void ferry_crew_stop(struct ferry_crew *crew, int64_t patience_ms);

#endif
