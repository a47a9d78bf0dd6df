/* GnuTLS borrows the chain and the key from ferry_tls_retrieve until the handshake ends, but does not say when that
 * is. So a connection holds, from its first moment to its first request, the certificate that was current then, and
 * every certificate holds its successor: whichever of them the handshake was given, it lives. */
#include "bridge/http_tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/x509.h>

enum { CHAIN_MAX = 16 };

struct ferry_certificate {
    atomic_uint references;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_length;
    gnutls_privkey_t key;
    int64_t expiry;
    struct ferry_certificate *next; /* its successor, held */
};

/* What tells one state of a file from another. */
struct stamp {
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct ferry_tls {
    pthread_mutex_t lock;
    struct ferry_certificate *current;
    char *certificate_path;
    char *key_path;
    struct stamp tried[2];
};

static _Atomic(struct ferry_tls *) served;

static struct stamp stamp_of(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct stamp){0};
    return (struct stamp){.changed = found.st_mtim, .size = found.st_size, .inode = found.st_ino};
}

static bool same_stamp(struct stamp a, struct stamp b)
{
    return a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec && a.size == b.size &&
           a.inode == b.inode;
}

static void free_certificate(struct ferry_certificate *certificate)
{
    for (unsigned i = 0; i < certificate->chain_length; i++)
        gnutls_pcert_deinit(&certificate->chain[i]);
    if (certificate->key != NULL)
        gnutls_privkey_deinit(certificate->key);
    free(certificate);
}

void ferry_tls_drop(struct ferry_certificate *certificate)
{
    while (certificate != NULL && atomic_fetch_sub(&certificate->references, 1) == 1) {
        struct ferry_certificate *next = certificate->next;
        free_certificate(certificate);
        certificate = next;
    }
}

struct ferry_certificate *ferry_tls_hold(struct ferry_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    struct ferry_certificate *certificate = tls->current;
    atomic_fetch_add(&certificate->references, 1);
    pthread_mutex_unlock(&tls->lock);
    return certificate;
}

/* ---- reading ---- */

static enum ferry_code read_chain(struct ferry_certificate *certificate, const char *path, struct ferry_error *error)
{
    gnutls_datum_t pem;
    int failed = gnutls_load_file(path, &pem);
    if (failed)
        return ferry_fail(error, FERRY_CONFIG, "bridge.tls.certificate: %s cannot be read: %s", path,
                          gnutls_strerror(failed));
    unsigned length = CHAIN_MAX;
    failed = gnutls_pcert_list_import_x509_raw(certificate->chain, &length, &pem, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(pem.data);
    if (failed < 0 || length == 0)
        return ferry_fail(error, FERRY_CONFIG,
                          "bridge.tls.certificate: %s holds no PEM certificate chain, the server's first: %s", path,
                          gnutls_strerror(failed));
    certificate->chain_length = length;
    return FERRY_OK;
}

static enum ferry_code read_key(struct ferry_certificate *certificate, const char *path, struct ferry_error *error)
{
    gnutls_datum_t pem;
    int failed = gnutls_load_file(path, &pem);
    if (failed)
        return ferry_fail(error, FERRY_CONFIG, "bridge.tls.key: %s cannot be read: %s", path, gnutls_strerror(failed));
    failed = gnutls_privkey_init(&certificate->key);
    if (!failed)
        failed = gnutls_privkey_import_x509_raw(certificate->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    if (failed)
        return ferry_fail(error, FERRY_CONFIG, "bridge.tls.key: %s holds no PEM private key without password: %s", path,
                          gnutls_strerror(failed));
    return FERRY_OK;
}

static bool key_fits(const struct ferry_certificate *certificate)
{
    unsigned char of_key[64], of_chain[64];
    size_t key_bytes = sizeof of_key, chain_bytes = sizeof of_chain;
    gnutls_pubkey_t public_key;
    if (gnutls_pubkey_init(&public_key) != 0)
        return false;
    bool known =
        gnutls_pubkey_import_privkey(public_key, certificate->key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, of_key, &key_bytes) == 0 &&
        gnutls_pubkey_get_key_id(certificate->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_chain, &chain_bytes) == 0;
    gnutls_pubkey_deinit(public_key);
    return known && key_bytes == chain_bytes && memcmp(of_key, of_chain, key_bytes) == 0;
}

static int64_t first_expiry(const struct ferry_certificate *certificate)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < certificate->chain_length; i++) {
        gnutls_x509_crt_t parsed;
        if (gnutls_x509_crt_init(&parsed) != 0)
            continue;
        if (gnutls_x509_crt_import(parsed, &certificate->chain[i].cert, GNUTLS_X509_FMT_DER) == 0) {
            int64_t end = gnutls_x509_crt_get_expiration_time(parsed);
            first = end < first ? end : first;
        }
        gnutls_x509_crt_deinit(parsed);
    }
    return first;
}

static enum ferry_code read_certificate(const char *certificate_path, const char *key_path,
                                        struct ferry_certificate **out, struct ferry_error *error)
{
    struct ferry_certificate *certificate = calloc(1, sizeof *certificate);
    if (certificate == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    atomic_init(&certificate->references, 1);
    enum ferry_code code = read_chain(certificate, certificate_path, error);
    if (code == FERRY_OK)
        code = read_key(certificate, key_path, error);
    if (code == FERRY_OK && !key_fits(certificate))
        code = ferry_fail(error, FERRY_CONFIG, "bridge.tls: the key %s does not belong to the certificate %s", key_path,
                          certificate_path);
    if (code != FERRY_OK) {
        free_certificate(certificate);
        return code;
    }
    certificate->expiry = first_expiry(certificate);
    *out = certificate;
    return FERRY_OK;
}

/* ---- the store ---- */

static enum ferry_code read_files(struct ferry_tls *tls, struct ferry_certificate **out, struct ferry_error *error)
{
    tls->tried[0] = stamp_of(tls->certificate_path);
    tls->tried[1] = stamp_of(tls->key_path);
    return read_certificate(tls->certificate_path, tls->key_path, out, error);
}

enum ferry_code ferry_tls_open(const struct ferry_tls_files *files, struct ferry_tls **out, struct ferry_error *error)
{
    struct ferry_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    pthread_mutex_init(&tls->lock, NULL);
    tls->certificate_path = strdup(files->certificate);
    tls->key_path = strdup(files->key);
    enum ferry_code code = tls->certificate_path != NULL && tls->key_path != NULL
                               ? read_files(tls, &tls->current, error)
                               : ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code != FERRY_OK) {
        ferry_tls_close(tls);
        return code;
    }
    atomic_store(&served, tls);
    *out = tls;
    return FERRY_OK;
}

void ferry_tls_close(struct ferry_tls *tls)
{
    if (tls == NULL)
        return;
    struct ferry_tls *mine = tls;
    atomic_compare_exchange_strong(&served, &mine, NULL);
    ferry_tls_drop(tls->current);
    free(tls->certificate_path);
    free(tls->key_path);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

enum ferry_code ferry_tls_reload(struct ferry_tls *tls, struct ferry_error *error)
{
    struct ferry_certificate *fresh = NULL;
    enum ferry_code code = read_files(tls, &fresh, error);
    if (code != FERRY_OK)
        return code;
    pthread_mutex_lock(&tls->lock);
    struct ferry_certificate *before = tls->current;
    atomic_fetch_add(&fresh->references, 1);
    before->next = fresh;
    tls->current = fresh;
    pthread_mutex_unlock(&tls->lock);
    ferry_tls_drop(before);
    return FERRY_OK;
}

bool ferry_tls_changed(struct ferry_tls *tls)
{
    return !same_stamp(tls->tried[0], stamp_of(tls->certificate_path)) ||
           !same_stamp(tls->tried[1], stamp_of(tls->key_path));
}

int64_t ferry_tls_expiry(struct ferry_tls *tls)
{
    struct ferry_certificate *certificate = ferry_tls_hold(tls);
    int64_t expiry = certificate->expiry;
    ferry_tls_drop(certificate);
    return expiry;
}

int ferry_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *request_names, int request_count,
                       const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                       unsigned *chain_length, gnutls_privkey_t *key)
{
    (void)session, (void)request_names, (void)request_count, (void)algorithms, (void)algorithm_count;
    struct ferry_tls *tls = atomic_load(&served);
    if (tls == NULL)
        return GNUTLS_E_NO_CERTIFICATE_FOUND;
    struct ferry_certificate *certificate = ferry_tls_hold(tls);
    *chain = certificate->chain;
    *chain_length = certificate->chain_length;
    *key = certificate->key;
    ferry_tls_drop(certificate); /* the connection holds it, or one that holds it */
    return 0;
}
