/* Webhook signatures: five schemes and a bearer token, from one table (Qlik, GitHub, Stripe, Slack,
 * standard-webhooks). HMAC-SHA256 by OpenSSL over the received bytes; the decoded 32 bytes are compared in constant
 * time, against every secret, so that the time does not tell which one matched. Nothing is parsed before. */
#ifndef FERRY_CORE_SIGNATURE_H
#define FERRY_CORE_SIGNATURE_H

#include <stdint.h>

#include "core/error.h"
#include "core/secret.h"
#include "core/slice.h"

enum ferry_signature_scheme {
    FERRY_SIGNATURE_QLIK,
    FERRY_SIGNATURE_GITHUB,
    FERRY_SIGNATURE_STRIPE,
    FERRY_SIGNATURE_SLACK,
    FERRY_SIGNATURE_STANDARD_WEBHOOKS,
    FERRY_SIGNATURE_BEARER,
    FERRY_SIGNATURE_NONE
};

/* "qlik" … to the scheme; false for another word. */
bool ferry_signature_scheme_parse(const char *word, enum ferry_signature_scheme *scheme);
const char *ferry_signature_scheme_name(enum ferry_signature_scheme scheme);

/* The keys of one door, made ready once (OpenSSL contexts keyed in advance). Verifying is allowed from many threads
 * at once. */
struct ferry_verifier;

/* Fails with FERRY_CONFIG when a secret does not fit its scheme: empty, a Qlik secret under 32 characters, a
 * standard-webhooks secret that is not base64. Secrets are copied. The caller frees. */
FERRY_NODISCARD enum ferry_code ferry_verifier_new(enum ferry_signature_scheme scheme,
                                                   const struct ferry_secret *secrets, size_t secret_count,
                                                   struct ferry_verifier **out, struct ferry_error *error);
void ferry_verifier_free(struct ferry_verifier *verifier);

/* FERRY_OK, or one of FERRY_SIGNATURE_MISSING, _REPEATED, _MALFORMED, _WRONG, _STALE (it is genuine, but its time is
 * more than 300 s off); FERRY_MEMORY when OpenSSL has none. `wall_ms` is the clock of the check. */
FERRY_NODISCARD enum ferry_code ferry_verifier_check(const struct ferry_verifier *verifier, struct ferry_pairs headers,
                                                     struct ferry_slice body, int64_t wall_ms,
                                                     struct ferry_error *error);

/* Makes the headers that a sender of this scheme would send (`ferry sign`, `ferry send`, tests), with the first
 * secret. Appends them as "Name: value\n" lines. `id` for standard-webhooks. */
struct ferry_buffer;
FERRY_NODISCARD enum ferry_code ferry_signature_make(enum ferry_signature_scheme scheme,
                                                     const struct ferry_secret *secret, struct ferry_slice body,
                                                     int64_t wall_ms, const char *id, struct ferry_buffer *out,
                                                     struct ferry_error *error);

/* HMAC-SHA256 of one message, for the keys and ids that Ferry makes itself; fetches from OpenSSL, so not for a hot
 * path. False, and `digest` undefined, when OpenSSL fails. */
enum { FERRY_DIGEST = 32 };
FERRY_NODISCARD bool ferry_hmac_sha256(struct ferry_slice key, struct ferry_slice message,
                                       unsigned char digest[FERRY_DIGEST]);

/* The same bytes? In a time that depends on the lengths alone. */
bool ferry_equal_constant_time(struct ferry_slice a, struct ferry_slice b);

#endif
