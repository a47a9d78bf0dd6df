/* Preloaded into a program under test (LD_PRELOAD): a disk that fails, lies or is slow, and a wall clock that jumps.
 *
 *   FERRY_SHIM_CONTROL=FILE   struct control, mapped: the test changes it while the program runs (tests/faults/shim.py)
 *   FERRY_SHIM_SYNCED=DIR     after each fsync that was carried out, a copy of the file as it is then: what a loss of
 * power would leave behind. A file that was never synced has no copy there.
 *
 * A jump of the real clock moves the ends of the waits that are measured by it; this one must not, so such ends are
 * translated back before the kernel sees them. Ends by the monotonic clock are told apart by their size. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum fsync_mode { CARRY_OUT, FAIL, PRETEND };

struct control {
    int64_t fsync_mode;     /* enum fsync_mode */
    int64_t fsync_left;     /* how many the mode is for; below 0: all */
    int64_t fsync_delay_ms; /* before each */
    int64_t clock_offset_s; /* added to the wall clock */
    int64_t read_only;      /* writing files fails */
    int64_t fsyncs;         /* how many there were: the shim counts */
};

static struct control *control;
static const char *synced;
static pthread_mutex_t copying = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&(name)))real(#name, NULL))
#define REAL_OF(name, version) ((__typeof__(&(name)))real(#name, version))

static void *real(const char *name, const char *version)
{
    return version != NULL ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FERRY_SHIM_CONTROL");
    synced = getenv("FERRY_SHIM_SYNCED");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    control = mapped != MAP_FAILED ? mapped : NULL;
}

/* ---- the disk ---- */

static void copy_bytes(int from, int to)
{
    static char bytes[1 << 16];
    ssize_t count;
    for (off_t at = 0; (count = pread(from, bytes, sizeof bytes, at)) > 0; at += count)
        if (REAL(pwrite64)(to, bytes, (size_t)count, at) != count)
            abort();
}

/* By the program's own descriptor: closing another one of the same file would drop SQLite's locks. */
static void keep_copy(int fd)
{
    char link[64], path[2048], copy[4096], part[4200];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    struct stat info;
    if (synced == NULL || length <= 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return;
    path[length] = '\0';
    snprintf(copy, sizeof copy, "%s/%s", synced, strrchr(path, '/') + 1);
    snprintf(part, sizeof part, "%s.part", copy);
    pthread_mutex_lock(&copying);
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to >= 0) {
        copy_bytes(fd, to);
        close(to);
        rename(part, copy);
    }
    pthread_mutex_unlock(&copying);
}

static enum fsync_mode take_mode(void)
{
    if (control == NULL)
        return CARRY_OUT;
    __atomic_fetch_add(&control->fsyncs, 1, __ATOMIC_SEQ_CST);
    const struct timespec delay = {control->fsync_delay_ms / 1000, control->fsync_delay_ms % 1000 * 1000000};
    if (control->fsync_delay_ms > 0)
        nanosleep(&delay, NULL);
    if (control->fsync_mode == CARRY_OUT || control->fsync_left == 0)
        return CARRY_OUT;
    if (control->fsync_left > 0)
        __atomic_fetch_sub(&control->fsync_left, 1, __ATOMIC_SEQ_CST);
    return (enum fsync_mode)control->fsync_mode;
}

static int sync_by(int (*carry_out)(int fd), int fd)
{
    switch (take_mode()) {
    case FAIL:
        errno = EIO;
        return -1;
    case PRETEND:
        return 0;
    case CARRY_OUT:
        break;
    }
    int result = carry_out(fd);
    if (result == 0)
        keep_copy(fd);
    return result;
}

int fsync(int fd)
{
    return sync_by(REAL(fsync), fd);
}

int fdatasync(int fd)
{
    return sync_by(REAL(fdatasync), fd);
}

static bool is_refused(void)
{
    if (control == NULL || !control->read_only)
        return false;
    errno = EROFS;
    return true;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return is_refused() ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}

int ftruncate64(int fd, off64_t length)
{
    return is_refused() ? -1 : REAL(ftruncate64)(fd, length);
}

/* ---- the clock ---- */

enum { WALL_SECONDS_AT_LEAST = 1000000000 }; /* no machine is up for thirty years */

static time_t offset(void)
{
    return control != NULL ? (time_t)control->clock_offset_s : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = REAL(gettimeofday)(now, zone);
    if (result == 0)
        now->tv_sec += offset();
    return result;
}

time_t time(time_t *out)
{
    time_t now = REAL(time)(NULL) + offset();
    if (out != NULL)
        *out = now;
    return now;
}

int timespec_get(struct timespec *now, int base)
{
    int result = REAL(timespec_get)(now, base);
    if (result == TIME_UTC)
        now->tv_sec += offset();
    return result;
}

static struct timespec kernel_time(const struct timespec *end)
{
    struct timespec result = *end;
    if (result.tv_sec >= WALL_SECONDS_AT_LEAST)
        result.tv_sec -= offset();
    return result;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict end)
{
    const struct timespec until = kernel_time(end);
    return REAL_OF(pthread_cond_timedwait, "GLIBC_2.3.2")(cond, mutex, &until);
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict end)
{
    const struct timespec until = kernel_time(end);
    return REAL(cnd_timedwait)(cond, mutex, &until);
}
