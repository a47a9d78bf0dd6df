#include "core/secret.h"

#include <stdlib.h>
#include <string.h>

/* Secrets share heap pages with other things, so that it is the whole process that is kept out of core dumps
 * (core/program.c); this file wipes. */

struct ferry_secret ferry_secret_copy(struct ferry_slice bytes)
{
    char *copy = malloc(bytes.len + 1);
    if (copy == NULL)
        return (struct ferry_secret){NULL, 0};
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return (struct ferry_secret){copy, bytes.len};
}

void ferry_secret_done(struct ferry_secret *secret)
{
    if (secret->ptr != NULL)
        explicit_bzero(secret->ptr, secret->len);
    free(secret->ptr);
    *secret = (struct ferry_secret){NULL, 0};
}
