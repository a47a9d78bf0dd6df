/* Preloaded: the k-th allocation fails, once.
 *
 * Allocations are counted that Ferry makes itself or has made for it by the libraries on the way of a request, told
 * apart by where the call comes from. librdkafka and libjq are left out: they end the process when memory runs out, by
 * design (docs/operations.md, "Memory"); and so is what libc allocates for itself.
 *
 * FERRY_MALLOC_CONTROL names a file of three 64-bit numbers that the test writes and reads while the program runs:
 * how many more are to succeed (negative: off), how many were counted, and how many failed. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANGES = 64 };

struct control {
    _Atomic int64_t left;
    _Atomic int64_t counted;
    _Atomic int64_t failed;
};

static struct control idle = {.left = -1};
static struct control *control = &idle;
static struct range {
    uintptr_t begin, end;
} ranges[RANGES];
static size_t range_count;

/* glibc's own, under the names that it keeps for this. */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

static bool is_on_the_way(const char *path)
{
    static const char *const names[] = {"libmicrohttpd.", "libcrypto.", "libsqlite3.", "libjansson."};
    if (path[0] == '\0') /* the program */
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strstr(path, names[i]) != NULL)
            return true;
    return false;
}

static int add_ranges(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes, (void)context;
    for (int i = 0; is_on_the_way(info->dlpi_name) && i < info->dlpi_phnum && range_count < RANGES; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0)
            ranges[range_count++] = (struct range){begin, begin + segment->p_memsz};
    }
    return 0;
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("FERRY_MALLOC_CONTROL");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    dl_iterate_phdr(add_ranges, NULL);
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    close(fd);
}

static bool must_fail(const void *caller)
{
    if (atomic_load(&control->left) < 0)
        return false;
    bool ours = false;
    for (size_t i = 0; !ours && i < range_count; i++)
        ours = (uintptr_t)caller - ranges[i].begin < ranges[i].end - ranges[i].begin;
    if (!ours)
        return false;
    atomic_fetch_add(&control->counted, 1);
    if (atomic_fetch_sub(&control->left, 1) != 0)
        return false;
    atomic_fetch_add(&control->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(old, bytes);
}
