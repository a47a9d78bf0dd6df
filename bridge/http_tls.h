/* The server's certificate, replaceable while connections go on. GnuTLS, because that is what libmicrohttpd has. */
#ifndef FERRY_BRIDGE_HTTP_TLS_H
#define FERRY_BRIDGE_HTTP_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "core/config.h"

struct ferry_tls;
struct ferry_certificate;

/* Reads both files. Fails with FERRY_CONFIG: which file, what is wrong with it. */
FERRY_NODISCARD enum ferry_code ferry_tls_open(const struct ferry_tls_files *files, struct ferry_tls **out,
                                               struct ferry_error *error);
void ferry_tls_close(struct ferry_tls *tls);
/* Reads the files anew; when they are wrong the old certificate stays. Any thread. */
FERRY_NODISCARD enum ferry_code ferry_tls_reload(struct ferry_tls *tls, struct ferry_error *error);
/* Are the files other ones than at the last attempt to read them? */
bool ferry_tls_changed(struct ferry_tls *tls);
/* When the first certificate of the chain ends, seconds since 1970. */
int64_t ferry_tls_expiry(struct ferry_tls *tls);

/* Each connection holds the certificate that is current when it begins, until its handshake has ended; that keeps all
 * newer ones alive as well. */
struct ferry_certificate *ferry_tls_hold(struct ferry_tls *tls);
void ferry_tls_drop(struct ferry_certificate *certificate);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK, which knows no context: serves the store that was opened last. */
int ferry_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *request_names, int request_count,
                       const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                       unsigned *chain_length, gnutls_privkey_t *key);

#endif
