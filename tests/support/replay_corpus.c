/* Gives every file of a folder to a fuzz target, once: what a fuzzer has found stays found, also without libFuzzer.
 * usage: replay_NAME FOLDER */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 for a file that was replayed, 0 for a folder, -1 for what cannot be read. */
static int replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode))
        return 0;
    size_t size = (size_t)status.st_size;
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    int result = -1;
    if (file != NULL && bytes != NULL && fread(bytes, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(bytes, size);
        result = 1;
    }
    if (file != NULL)
        fclose(file);
    free(bytes);
    return result;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    int count = 0, unread = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        int result = replay(path);
        count += result == 1;
        unread += result < 0;
    }
    if (folder != NULL)
        closedir(folder);
    printf("%d inputs\n", count);
    return count > 0 && unread == 0 ? EXIT_SUCCESS : EXIT_FAILURE; /* an empty corpus proves nothing */
}
