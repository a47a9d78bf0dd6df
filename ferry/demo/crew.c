#include "ferry/demo/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

enum { TAIL_LINES = 12, TAIL_BYTES = 4096, PAUSE_MS = 20 };

/* In the child: calls nothing but what is safe after a fork of a process with threads. */
static void become(const char *const *argv, pid_t parent, int log_fd, int null_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C is the demo's alone: it stops the crew in its own order */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it ended before prctl took hold */
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execv(argv[0], (char *const *)argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

enum ferry_code ferry_crew_start(struct ferry_crew *crew, const char *name, const char *const *argv, const char *log,
                                 struct ferry_error *error)
{
    if (crew->count == FERRY_CREW_MEMBERS)
        return ferry_fail(error, FERRY_SYSTEM, "too many programs");
    struct ferry_crew_member *member = &crew->members[crew->count];
    *member = (struct ferry_crew_member){.name = name};
    snprintf(member->log, sizeof member->log, "%s", log);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    member->pid = log_fd >= 0 && null_fd >= 0 ? fork() : -1;
    if (member->pid == 0)
        become(argv, parent, log_fd, null_fd);
    int failure = errno;
    close(log_fd);
    close(null_fd);
    if (member->pid < 0)
        return ferry_fail(error, FERRY_SYSTEM, "cannot start %s: %s", name, strerror(failure));
    crew->count++;
    return FERRY_OK;
}

static void look(struct ferry_crew_member *member)
{
    if (member->pid != 0 && waitpid(member->pid, &member->status, WNOHANG) == member->pid)
        member->pid = 0;
}

const struct ferry_crew_member *ferry_crew_lost(struct ferry_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++) {
        look(&crew->members[i]);
        if (crew->members[i].pid == 0)
            return &crew->members[i];
    }
    return NULL;
}

/* The last lines of a file. */
static void print_tail(const char *path, FILE *out)
{
    char bytes[TAIL_BYTES + 1];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fseek(file, -TAIL_BYTES, SEEK_END) != 0)
        rewind(file);
    size_t len = fread(bytes, 1, TAIL_BYTES, file);
    fclose(file);
    bytes[len] = '\0';
    size_t start = len, lines = 0;
    while (start > 0 && (bytes[start - 1] != '\n' || start == len || ++lines < TAIL_LINES))
        start--;
    fprintf(out, "%s%s", bytes + start, len > 0 && bytes[len - 1] != '\n' ? "\n" : "");
}

void ferry_crew_report(const struct ferry_crew_member *member, FILE *out)
{
    if (member->pid != 0)
        fprintf(out, "%s is running; the end of its log:\n", member->name);
    else if (WIFSIGNALED(member->status))
        fprintf(out, "%s ended by signal %d; the end of its log:\n", member->name, WTERMSIG(member->status));
    else
        fprintf(out, "%s ended with exit status %d; the end of its log:\n", member->name, WEXITSTATUS(member->status));
    print_tail(member->log, out);
}

static bool any_left(struct ferry_crew *crew)
{
    bool left = false;
    for (size_t i = 0; i < crew->count; i++) {
        look(&crew->members[i]);
        left |= crew->members[i].pid != 0;
    }
    return left;
}

static void signal_all(struct ferry_crew *crew, int signal_number)
{
    for (size_t i = 0; i < crew->count; i++)
        if (crew->members[i].pid != 0)
            kill(crew->members[i].pid, signal_number);
}

void ferry_crew_stop(struct ferry_crew *crew, int64_t patience_ms)
{
    int64_t until = ferry_clock_mono_ms() + patience_ms;
    signal_all(crew, SIGTERM);
    while (any_left(crew) && ferry_clock_mono_ms() < until)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    signal_all(crew, SIGKILL);
    for (size_t i = 0; i < crew->count; i++)
        if (crew->members[i].pid != 0)
            waitpid(crew->members[i].pid, &crew->members[i].status, 0);
    crew->count = 0;
}
