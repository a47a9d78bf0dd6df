/* One table describes every scheme: where its parts stand, and which bytes are signed. The code below the table knows
 * none of them by name, but for `bearer`, which signs nothing.
 *
 * The steps of a check: take each header exactly once; find the time; decode the candidates (Stripe and
 * standard-webhooks send several, of which any may match); one HMAC for each secret; compare every secret with every
 * candidate, without stopping at a match. Only then look at the clock, so that "stale" means a genuine sender. */
#include "core/signature.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/attrs.h"
#include "core/base64.h"
#include "core/buffer.h"
#include "core/hex.h"

enum {
    DIGEST = FERRY_DIGEST,
    BLOCK = 64,      /* of SHA-256 */
    CANDIDATES = 16, /* signatures in one header */
    QLIK_SECRET = 32 /* characters at least */
};

enum text_form { FORM_HEX, FORM_BASE64 };

static const struct scheme {
    const char *name;
    const char *signature; /* header; NULL: nothing is signed */
    const char *time;      /* header; NULL: none */
    const char *id;        /* header; NULL: none */
    const char *prefix;    /* of each signature */
    const char *time_item; /* prefix of the time inside the signature's header, or NULL */
    char separator;        /* of the items of the signature's header; '\0': there is one */
    enum text_form form;   /* of a signature after its prefix */
    const char *message;   /* the signed bytes: B body, T time, I id, anything else itself */
    int tolerance_s;       /* both ways; 0: the time is not looked at */
    bool secret_is_base64; /* after an optional `whsec_`; else the secret's own bytes */
    size_t secret_least;   /* characters */
} schemes[] = {
    [FERRY_SIGNATURE_QLIK] =
        {.name = "qlik", .signature = "Qlik-Signature", .prefix = "", .message = "B", .secret_least = QLIK_SECRET},
    [FERRY_SIGNATURE_GITHUB] =
        {.name = "github", .signature = "X-Hub-Signature-256", .prefix = "sha256=", .message = "B", .secret_least = 1},
    [FERRY_SIGNATURE_STRIPE] = {.name = "stripe",
                                .signature = "Stripe-Signature",
                                .prefix = "v1=",
                                .time_item = "t=",
                                .separator = ',',
                                .message = "T.B",
                                .tolerance_s = 300,
                                .secret_least = 1},
    [FERRY_SIGNATURE_SLACK] = {.name = "slack",
                               .signature = "X-Slack-Signature",
                               .time = "X-Slack-Request-Timestamp",
                               .prefix = "v0=",
                               .message = "v0:T:B",
                               .tolerance_s = 300,
                               .secret_least = 1},
    [FERRY_SIGNATURE_STANDARD_WEBHOOKS] = {.name = "standard-webhooks",
                                           .signature = "webhook-signature",
                                           .time = "webhook-timestamp",
                                           .id = "webhook-id",
                                           .prefix = "v1,",
                                           .separator = ' ',
                                           .form = FORM_BASE64,
                                           .message = "I.T.B",
                                           .tolerance_s = 300,
                                           .secret_is_base64 = true,
                                           .secret_least = 1},
    [FERRY_SIGNATURE_BEARER] = {.name = "bearer", .secret_least = 1},
    [FERRY_SIGNATURE_NONE] = {.name = "none"},
};
enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

bool ferry_signature_scheme_parse(const char *word, enum ferry_signature_scheme *scheme)
{
    for (size_t i = 0; i < SCHEMES; i++) {
        if (strcmp(schemes[i].name, word) == 0) {
            *scheme = (enum ferry_signature_scheme)i;
            return true;
        }
    }
    return false;
}

const char *ferry_signature_scheme_name(enum ferry_signature_scheme scheme)
{
    assert((size_t)scheme < SCHEMES);
    return schemes[scheme].name;
}

/* No branch but on the lengths: which byte differs, or whether one does, must not show in the time before the verdict
 * (tests/support/constant_time.c looks). */
bool ferry_equal_constant_time(struct ferry_slice a, struct ferry_slice b)
{
    if (a.len != b.len)
        return false;
    return CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* ---- HMAC-SHA256 ---- */

/* RFC 2104, by hand: OpenSSL's own contexts keep a copy of the key on the heap, where a core dump would show it. Here
 * are the two halves after the key's block; what they hold tells nothing of the key. */
struct hmac {
    EVP_MD_CTX *inner; /* read only: copied for every message */
    EVP_MD_CTX *outer;
};

static void hmac_done(struct hmac *hmac)
{
    EVP_MD_CTX_free(hmac->inner);
    EVP_MD_CTX_free(hmac->outer);
    *hmac = (struct hmac){NULL, NULL};
}

static EVP_MD_CTX *begin_half(const EVP_MD *sha256, unsigned char block[BLOCK], unsigned char pad)
{
    EVP_MD_CTX *half = EVP_MD_CTX_new();
    for (size_t i = 0; i < BLOCK; i++)
        block[i] ^= pad;
    if (half != NULL && EVP_DigestInit_ex(half, sha256, NULL) == 1 && EVP_DigestUpdate(half, block, BLOCK) == 1)
        return half;
    EVP_MD_CTX_free(half);
    return NULL;
}

/* False when memory ran out. */
static bool hmac_init(struct hmac *hmac, const EVP_MD *sha256, struct ferry_slice key)
{
    enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c };
    unsigned char block[BLOCK] = {0};
    bool good = true;
    if (key.len > BLOCK)
        good = EVP_Digest(key.ptr, key.len, block, NULL, sha256, NULL) == 1;
    else if (key.len > 0)
        memcpy(block, key.ptr, key.len);
    struct hmac begun = {NULL, NULL};
    if (good) {
        begun.inner = begin_half(sha256, block, INNER_PAD);
        begun.outer = begin_half(sha256, block, INNER_PAD ^ OUTER_PAD);
    }
    OPENSSL_cleanse(block, sizeof block);
    if (begun.inner == NULL || begun.outer == NULL) {
        hmac_done(&begun);
        return false;
    }
    *hmac = begun;
    return true;
}

/* ---- the keys of a door ---- */

struct ferry_verifier {
    enum ferry_signature_scheme scheme;
    EVP_MD *sha256;
    struct key {
        struct hmac hmac;
        struct ferry_secret secret; /* of `bearer` */
    } * keys;
    size_t key_count;
};

void ferry_verifier_free(struct ferry_verifier *verifier)
{
    if (verifier == NULL)
        return;
    for (size_t i = 0; i < verifier->key_count; i++) {
        hmac_done(&verifier->keys[i].hmac);
        ferry_secret_done(&verifier->keys[i].secret);
    }
    free(verifier->keys);
    EVP_MD_free(verifier->sha256);
    free(verifier);
}

static enum ferry_code make_key(const EVP_MD *sha256, struct ferry_slice key, struct hmac *out,
                                struct ferry_error *error)
{
    return hmac_init(out, sha256, key) ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code make_decoded_key(const EVP_MD *sha256, struct ferry_slice secret, struct hmac *out,
                                        struct ferry_error *error)
{
    const char *prefix = "whsec_";
    if (ferry_slice_starts(secret, prefix))
        secret = ferry_slice_skip(secret, strlen(prefix));
    size_t room = ferry_base64_room(secret.len), len = 0;
    char *key = malloc(room);
    if (key == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = FERRY_OK;
    if (!ferry_base64_decode(secret, key, room, &len) || len == 0)
        code = ferry_fail(error, FERRY_CONFIG, "a standard-webhooks secret must be base64, with or without `whsec_`");
    else
        code = make_key(sha256, ferry_slice_of(key, len), out, error);
    OPENSSL_cleanse(key, room);
    free(key);
    return code;
}

static enum ferry_code add_key(struct ferry_verifier *verifier, struct ferry_slice secret, struct ferry_error *error)
{
    const struct scheme *scheme = &schemes[verifier->scheme];
    struct key *key = &verifier->keys[verifier->key_count];
    if (secret.len == 0)
        return ferry_fail(error, FERRY_CONFIG, "the secret is empty");
    if (secret.len < scheme->secret_least)
        return ferry_fail(error, FERRY_CONFIG, "a %s secret has at least %zu characters, this one has %zu",
                          scheme->name, scheme->secret_least, secret.len);
    enum ferry_code code = FERRY_OK;
    if (scheme->signature == NULL) {
        key->secret = ferry_secret_copy(secret);
        if (key->secret.ptr == NULL)
            code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    } else if (scheme->secret_is_base64) {
        code = make_decoded_key(verifier->sha256, secret, &key->hmac, error);
    } else {
        code = make_key(verifier->sha256, secret, &key->hmac, error);
    }
    if (code == FERRY_OK)
        verifier->key_count++;
    return code;
}

static enum ferry_code add_keys(struct ferry_verifier *verifier, const struct ferry_secret *secrets,
                                size_t secret_count, struct ferry_error *error)
{
    if (secret_count == 0)
        return ferry_fail(error, FERRY_CONFIG, "signature `%s` needs a secret", schemes[verifier->scheme].name);
    verifier->keys = calloc(secret_count, sizeof *verifier->keys);
    verifier->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (verifier->keys == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (verifier->sha256 == NULL)
        return ferry_fail(error, FERRY_SYSTEM, "OpenSSL has no SHA-256");
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; code == FERRY_OK && i < secret_count; i++)
        code = add_key(verifier, ferry_secret_slice(secrets[i]), error);
    return code;
}

enum ferry_code ferry_verifier_new(enum ferry_signature_scheme scheme, const struct ferry_secret *secrets,
                                   size_t secret_count, struct ferry_verifier **out, struct ferry_error *error)
{
    struct ferry_verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    verifier->scheme = scheme;
    enum ferry_code code = FERRY_OK;
    if (scheme != FERRY_SIGNATURE_NONE)
        code = add_keys(verifier, secrets, secret_count, error);
    if (code == FERRY_OK)
        *out = verifier;
    else
        ferry_verifier_free(verifier);
    return code;
}

/* ---- what a request claims ---- */

struct claim {
    struct ferry_slice id;
    struct ferry_slice time; /* as it stands: these characters are signed */
    int64_t time_s;
    char digests[CANDIDATES][DIGEST];
    size_t digest_count;
};

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

/* Over the scheme's message. */
static bool sign(const struct hmac *hmac, const char *message, const struct claim *claim, struct ferry_slice body,
                 char digest[DIGEST])
{
    FERRY_CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char *out = (unsigned char *)digest;
    bool good = context != NULL && EVP_MD_CTX_copy_ex(context, hmac->inner) == 1;
    for (const char *c = message; good && *c != '\0'; c++) {
        struct ferry_slice part = *c == 'B'   ? body
                                  : *c == 'T' ? claim->time
                                  : *c == 'I' ? claim->id
                                              : ferry_slice_of(c, 1);
        good = part.len == 0 || EVP_DigestUpdate(context, part.ptr, part.len) == 1;
    }
    return good && EVP_DigestFinal_ex(context, out, NULL) == 1 && EVP_MD_CTX_copy_ex(context, hmac->outer) == 1 &&
           EVP_DigestUpdate(context, out, DIGEST) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1;
}

bool ferry_hmac_sha256(struct ferry_slice key, struct ferry_slice message, unsigned char digest[FERRY_DIGEST])
{
    FERRY_CLEANUP(hmac_done) struct hmac hmac = {NULL, NULL};
    const struct claim nothing = {.digest_count = 0};
    return hmac_init(&hmac, EVP_sha256(), key) && sign(&hmac, "B", &nothing, message, (char *)digest);
}

static enum ferry_code take_header(struct ferry_pairs headers, const char *name, struct ferry_slice *out,
                                   struct ferry_error *error)
{
    if (name == NULL)
        return FERRY_OK;
    size_t count = ferry_pairs_count(headers, name);
    struct ferry_slice value = ferry_slice_trim(ferry_pairs_get(headers, name));
    if (count > 1)
        return ferry_fail(error, FERRY_SIGNATURE_REPEATED, "the header %s came %zu times", name, count);
    if (value.len == 0)
        return ferry_fail(error, FERRY_SIGNATURE_MISSING, "the header %s is missing", name);
    *out = value;
    return FERRY_OK;
}

static bool decode_hex(struct ferry_slice text, char digest[DIGEST])
{
    if (text.len != (size_t)2 * DIGEST)
        return false;
    for (size_t i = 0; i < DIGEST; i++) {
        int high = ferry_hex_digit(text.ptr[2 * i]), low = ferry_hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest[i] = (char)(high << 4 | low);
    }
    return true;
}

static bool decode_digest(enum text_form form, struct ferry_slice text, char digest[DIGEST])
{
    size_t len = 0;
    if (form == FORM_HEX)
        return decode_hex(text, digest);
    return ferry_base64_decode(text, digest, DIGEST, &len) && len == DIGEST;
}

/* Cuts the next item off; false when none is left. */
static bool next_item(struct ferry_slice *rest, char separator, struct ferry_slice *item)
{
    if (rest->len == 0)
        return false;
    const char *end = separator != '\0' ? memchr(rest->ptr, separator, rest->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    *item = ferry_slice_trim(ferry_slice_of(rest->ptr, len));
    *rest = ferry_slice_skip(*rest, end != NULL ? len + 1 : len);
    return true;
}

/* The signature's header: items of other versions and such as do not decode are passed over, one good one is enough. */
static enum ferry_code read_items(const struct scheme *scheme, struct ferry_slice header, struct claim *claim,
                                  struct ferry_error *error)
{
    size_t times = 0;
    for (struct ferry_slice item; next_item(&header, scheme->separator, &item);) {
        if (scheme->time_item != NULL && ferry_slice_starts(item, scheme->time_item)) {
            claim->time = ferry_slice_skip(item, strlen(scheme->time_item));
            times++;
        } else if (ferry_slice_starts(item, scheme->prefix)) {
            if (claim->digest_count == CANDIDATES)
                return ferry_fail(error, FERRY_SIGNATURE_MALFORMED, "%s has too many signatures", scheme->signature);
            item = ferry_slice_skip(item, strlen(scheme->prefix));
            claim->digest_count += decode_digest(scheme->form, item, claim->digests[claim->digest_count]);
        }
    }
    if (claim->digest_count == 0)
        return ferry_fail(error, FERRY_SIGNATURE_MALFORMED, "%s holds no signature of the scheme `%s`",
                          scheme->signature, scheme->name);
    if (scheme->time_item != NULL && times != 1)
        return ferry_fail(error, FERRY_SIGNATURE_MALFORMED, "%s must hold one time", scheme->signature);
    return FERRY_OK;
}

/* Seconds since 1970: up to 12 digits, nothing else. */
static bool read_seconds(struct ferry_slice text, int64_t *seconds)
{
    if (text.len == 0 || text.len > 12)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *seconds = value;
    return true;
}

static enum ferry_code read_claim(const struct scheme *scheme, struct ferry_pairs headers, struct claim *claim,
                                  struct ferry_error *error)
{
    struct ferry_slice signature = {NULL, 0};
    enum ferry_code code = take_header(headers, scheme->signature, &signature, error);
    if (code == FERRY_OK)
        code = take_header(headers, scheme->time, &claim->time, error);
    if (code == FERRY_OK)
        code = take_header(headers, scheme->id, &claim->id, error);
    if (code == FERRY_OK)
        code = read_items(scheme, signature, claim, error);
    if (code == FERRY_OK && scheme->tolerance_s > 0 && !read_seconds(claim->time, &claim->time_s))
        code = ferry_fail(error, FERRY_SIGNATURE_MALFORMED, "the signature's time is no number of seconds");
    return code;
}

/* ---- checking ---- */

static enum ferry_code compare(const struct ferry_verifier *verifier, const struct claim *claim,
                               struct ferry_slice body, struct ferry_error *error)
{
    const struct scheme *scheme = &schemes[verifier->scheme];
    bool matched = false;
    for (size_t i = 0; i < verifier->key_count; i++) {
        char digest[DIGEST];
        if (!sign(&verifier->keys[i].hmac, scheme->message, claim, body, digest))
            return ferry_fail(error, FERRY_MEMORY, "OpenSSL could not compute an HMAC");
        for (size_t j = 0; j < claim->digest_count; j++)
            matched |= CRYPTO_memcmp(digest, claim->digests[j], DIGEST) == 0;
    }
    if (!matched)
        return ferry_fail(error, FERRY_SIGNATURE_WRONG, "the signature does not match the body");
    return FERRY_OK;
}

static enum ferry_code check_freshness(const struct scheme *scheme, int64_t time_s, int64_t wall_ms,
                                       struct ferry_error *error)
{
    int64_t age_s = wall_ms / 1000 - time_s;
    if (scheme->tolerance_s > 0 && (age_s > scheme->tolerance_s || age_s < -scheme->tolerance_s))
        return ferry_fail(error, FERRY_SIGNATURE_STALE, "the signature's time is more than %d s off",
                          scheme->tolerance_s);
    return FERRY_OK;
}

static enum ferry_code check_bearer(const struct ferry_verifier *verifier, struct ferry_pairs headers,
                                    struct ferry_error *error)
{
    struct ferry_slice token = {NULL, 0};
    enum ferry_code code = take_header(headers, "Authorization", &token, error);
    if (code != FERRY_OK)
        return code;
    const char *word = "Bearer ";
    if (!ferry_slice_starts_nocase(token, word))
        return ferry_fail(error, FERRY_SIGNATURE_MALFORMED, "Authorization must be `Bearer` and a token");
    token = ferry_slice_trim(ferry_slice_skip(token, strlen(word)));
    bool matched = false;
    for (size_t i = 0; i < verifier->key_count; i++)
        matched |= ferry_equal_constant_time(token, ferry_secret_slice(verifier->keys[i].secret));
    if (!matched)
        return ferry_fail(error, FERRY_SIGNATURE_WRONG, "the bearer token is wrong");
    return FERRY_OK;
}

enum ferry_code ferry_verifier_check(const struct ferry_verifier *verifier, struct ferry_pairs headers,
                                     struct ferry_slice body, int64_t wall_ms, struct ferry_error *error)
{
    const struct scheme *scheme = &schemes[verifier->scheme];
    if (verifier->scheme == FERRY_SIGNATURE_NONE)
        return FERRY_OK;
    if (verifier->scheme == FERRY_SIGNATURE_BEARER)
        return check_bearer(verifier, headers, error);
    struct claim claim = {.digest_count = 0};
    enum ferry_code code = read_claim(scheme, headers, &claim, error);
    if (code == FERRY_OK)
        code = compare(verifier, &claim, body, error);
    if (code == FERRY_OK)
        code = check_freshness(scheme, claim.time_s, wall_ms, error);
    return code;
}

/* ---- making ---- */

static void print_digest(enum text_form form, const char digest[DIGEST], struct ferry_buffer *out)
{
    if (form == FORM_BASE64)
        ferry_base64_encode(ferry_slice_of(digest, DIGEST), out);
    else
        for (size_t i = 0; i < DIGEST; i++)
            ferry_buffer_printf(out, "%02x", (unsigned char)digest[i]);
}

static void print_headers(const struct scheme *scheme, const struct claim *claim, const char digest[DIGEST],
                          struct ferry_buffer *out)
{
    if (scheme->id != NULL)
        ferry_buffer_printf(out, "%s: %.*s\n", scheme->id, FERRY_SLICE_ARGS(claim->id));
    if (scheme->time != NULL)
        ferry_buffer_printf(out, "%s: %.*s\n", scheme->time, FERRY_SLICE_ARGS(claim->time));
    ferry_buffer_printf(out, "%s: ", scheme->signature);
    if (scheme->time_item != NULL)
        ferry_buffer_printf(out, "%s%.*s%c", scheme->time_item, FERRY_SLICE_ARGS(claim->time), scheme->separator);
    ferry_buffer_add_text(out, scheme->prefix);
    print_digest(scheme->form, digest, out);
    ferry_buffer_add_char(out, '\n');
}

static enum ferry_code make_signed(const struct ferry_verifier *verifier, struct ferry_slice body, int64_t wall_ms,
                                   const char *id, struct ferry_buffer *out, struct ferry_error *error)
{
    const struct scheme *scheme = &schemes[verifier->scheme];
    char seconds[24], digest[DIGEST];
    int len = snprintf(seconds, sizeof seconds, "%lld", (long long)(wall_ms / 1000));
    struct claim claim = {.id = ferry_slice_from(id), .time = ferry_slice_of(seconds, (size_t)len)};
    if (scheme->id != NULL && claim.id.len == 0)
        return ferry_fail(error, FERRY_USAGE, "signature `%s` needs an id", scheme->name);
    if (!sign(&verifier->keys[0].hmac, scheme->message, &claim, body, digest))
        return ferry_fail(error, FERRY_MEMORY, "OpenSSL could not compute an HMAC");
    print_headers(scheme, &claim, digest, out);
    return FERRY_OK;
}

enum ferry_code ferry_signature_make(enum ferry_signature_scheme scheme, const struct ferry_secret *secret,
                                     struct ferry_slice body, int64_t wall_ms, const char *id, struct ferry_buffer *out,
                                     struct ferry_error *error)
{
    struct ferry_verifier *verifier = NULL;
    if (scheme == FERRY_SIGNATURE_NONE)
        return FERRY_OK;
    enum ferry_code code = ferry_verifier_new(scheme, secret, 1, &verifier, error);
    if (verifier == NULL)
        return code;
    if (scheme == FERRY_SIGNATURE_BEARER)
        ferry_buffer_printf(out, "Authorization: Bearer %s\n", secret->ptr);
    else
        code = make_signed(verifier, body, wall_ms, id, out, error);
    ferry_verifier_free(verifier);
    return code;
}
