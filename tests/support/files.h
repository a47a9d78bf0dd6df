/* For unit tests: whole files and folders of tests/data. Fails the test when one cannot be read. */
#ifndef FERRY_TESTS_SUPPORT_FILES_H
#define FERRY_TESTS_SUPPORT_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/slice.h"

/* All bytes, in memory that is exactly as large as they are, so that a sanitizer sees every byte read past the end.
 * Free `ptr`. Absent if there is no such file. */
static inline struct ferry_slice read_file_if_there(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return (struct ferry_slice){NULL, 0};
    fseek(file, 0, SEEK_END);
    long len = ftell(file);
    rewind(file);
    char *bytes = malloc(len > 0 ? (size_t)len : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)len, file), len);
    fclose(file);
    return ferry_slice_of(bytes, (size_t)len);
}

static inline struct ferry_slice read_file(const char *path)
{
    struct ferry_slice bytes = read_file_if_there(path);
    if (bytes.ptr == NULL)
        fail_msg("cannot read %s", path);
    return bytes;
}

static inline int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Names in a folder, sorted. Free each, then the list. */
static inline int list_folder(const char *path, struct dirent ***names)
{
    int count = scandir(path, names, not_hidden, alphasort);
    if (count <= 0)
        fail_msg("nothing in %s", path);
    return count;
}

#endif
