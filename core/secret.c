#include "core/secret.h"

#include <openssl/crypto.h>
#include <string.h>

/* OpenSSL's secure heap serves both sides: our secrets, and what it keeps there itself: private keys, and the seed of
 * every thread's random numbers, without which no connection is made. So half of it is OpenSSL's, whatever secrets
 * there are. Large texts (a request body that may hold a secret) stay out of it, so that they cannot crowd out a key.
 */
enum { HEAP_BYTES = 2 << 20, SMALLEST_BYTES = 32, LARGEST_BYTES = 4 << 10, OURS_BYTES = HEAP_BYTES / 2 };

void ferry_secret_guard(void)
{
    (void)CRYPTO_secure_malloc_init(HEAP_BYTES, SMALLEST_BYTES);
}

static char *room_for(size_t bytes)
{
    bool fits = bytes <= LARGEST_BYTES && CRYPTO_secure_malloc_initialized() &&
                CRYPTO_secure_used() + LARGEST_BYTES <= OURS_BYTES;
    char *room = fits ? OPENSSL_secure_malloc(bytes) : NULL;
    return room != NULL ? room : OPENSSL_malloc(bytes);
}

struct ferry_secret ferry_secret_copy(struct ferry_slice bytes)
{
    char *copy = room_for(bytes.len + 1);
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
        OPENSSL_secure_clear_free(secret->ptr, secret->len + 1);
    *secret = (struct ferry_secret){NULL, 0};
}
