/* A server inside the test: it listens on loopback and hands each connection, on a thread of its own, to a script that
 * reads and writes as it likes, over TLS when it asks for it. Its certificate is made anew, for localhost alone. */
#ifndef FERRY_TESTS_UNIT_NET_PEER_H
#define FERRY_TESTS_UNIT_NET_PEER_H

#include <arpa/inet.h>
#include <assert.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct server;

/* One connection, as the script sees it. */
struct peer {
    struct server *server;
    int fd;
    int number; /* 1 for the first connection */
    gnutls_session_t tls;
};

typedef void peer_script(struct peer *peer);

enum { PEERS_MAX = 16 };

struct server {
    int fd;
    uint16_t port;
    peer_script *script;
    pthread_t acceptor;
    pthread_t threads[PEERS_MAX];
    struct peer peers[PEERS_MAX];
    atomic_int connections;
    atomic_int requests; /* the script counts */
    gnutls_certificate_credentials_t credentials;
    char ca_file[64];
    pthread_mutex_t lock;
    char seen[8192]; /* what the script saw last; under the lock */
};

/* ---- talking ---- */

static inline ssize_t peer_receive(struct peer *peer, void *out, size_t len)
{
    return peer->tls != NULL ? gnutls_record_recv(peer->tls, out, len) : recv(peer->fd, out, len, 0);
}

static inline void peer_send(struct peer *peer, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent =
            peer->tls != NULL ? gnutls_record_send(peer->tls, bytes, len) : send(peer->fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

static inline void peer_say(struct peer *peer, const char *text)
{
    peer_send(peer, text, strlen(text));
}

/* Until `end` has come; false when the peer left or `size` is full. */
static inline bool peer_read_until(struct peer *peer, const char *end, char *out, size_t size)
{
    size_t len = 0, tail = strlen(end);
    while (len + 1 < size && peer_receive(peer, out + len, 1) == 1) {
        out[++len] = '\0';
        if (len >= tail && strcmp(out + len - tail, end) == 0)
            return true;
    }
    out[len] = '\0';
    return false;
}

/* One HTTP request into `server->seen`; counts it. False when the client left. */
static inline bool peer_read_request(struct peer *peer)
{
    char request[sizeof peer->server->seen];
    if (!peer_read_until(peer, "\r\n\r\n", request, sizeof request))
        return false;
    size_t head = strlen(request);
    const char *length = strcasestr(request, "\r\nContent-Length:");
    size_t body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    for (size_t got = 0; got < body;) {
        char sink[4096];
        size_t want = body - got < sizeof sink ? body - got : sizeof sink;
        ssize_t n = peer_receive(peer, sink, want);
        if (n <= 0)
            return false;
        if (head + got + (size_t)n < sizeof request) {
            memcpy(request + head + got, sink, (size_t)n);
            request[head + got + (size_t)n] = '\0';
        }
        got += (size_t)n;
    }
    pthread_mutex_lock(&peer->server->lock);
    memcpy(peer->server->seen, request, sizeof request);
    pthread_mutex_unlock(&peer->server->lock);
    atomic_fetch_add(&peer->server->requests, 1);
    return true;
}

/* Closes with a reset instead of an orderly end. */
static inline void peer_reset(struct peer *peer)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static inline bool peer_start_tls(struct peer *peer)
{
    gnutls_init(&peer->tls, GNUTLS_SERVER);
    gnutls_set_default_priority(peer->tls);
    gnutls_credentials_set(peer->tls, GNUTLS_CRD_CERTIFICATE, peer->server->credentials);
    gnutls_transport_set_int(peer->tls, peer->fd);
    int done;
    do
        done = gnutls_handshake(peer->tls);
    while (done < 0 && !gnutls_error_is_fatal(done));
    return done == 0;
}

/* ---- life ---- */

/* Self-signed, for "localhost"; written to `ca_file`, so that a client can trust it. */
static inline void server_make_certificate(struct server *server)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&certificate);
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, "\1", 1);
    gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 3600);
    gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 3600);
    gnutls_x509_crt_set_dn(certificate, "CN=localhost", NULL);
    gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_basic_constraints(certificate, 1, -1);
    gnutls_x509_crt_set_key(certificate, key);
    gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    gnutls_certificate_allocate_credentials(&server->credentials);
    gnutls_certificate_set_x509_key(server->credentials, &certificate, 1, key);

    gnutls_datum_t pem;
    gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem);
    snprintf(server->ca_file, sizeof server->ca_file, "/tmp/ferry-test-ca-XXXXXX");
    int fd = mkstemp(server->ca_file);
    assert(fd >= 0 && write(fd, pem.data, pem.size) == (ssize_t)pem.size);
    close(fd);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}

static inline void *server_run_peer(void *context)
{
    struct peer *peer = context;
    peer->server->script(peer);
    if (peer->tls != NULL)
        gnutls_deinit(peer->tls);
    shutdown(peer->fd, SHUT_RDWR);
    close(peer->fd);
    return NULL;
}

static inline void *server_accept(void *context)
{
    struct server *server = context;
    for (int n = 0; n < PEERS_MAX; n++) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            break;
        struct timeval patience = {.tv_sec = 10}; /* no test hangs on a script */
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        server->peers[n] = (struct peer){.server = server, .fd = fd, .number = n + 1};
        pthread_create(&server->threads[n], NULL, server_run_peer, &server->peers[n]);
        atomic_store(&server->connections, n + 1);
    }
    return NULL;
}

static inline struct server *server_start(peer_script *script)
{
    struct server *server = calloc(1, sizeof *server);
    assert(server != NULL);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof own;
    server->script = script;
    pthread_mutex_init(&server->lock, NULL);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert(bind(server->fd, (struct sockaddr *)&own, sizeof own) == 0 && listen(server->fd, PEERS_MAX) == 0);
    getsockname(server->fd, (struct sockaddr *)&own, &len);
    server->port = ntohs(own.sin_port);
    server_make_certificate(server);
    pthread_create(&server->acceptor, NULL, server_accept, server);
    return server;
}

/* After the client has left, so that no script waits for it. */
static inline void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    close(server->fd);
    for (int i = 0; i < atomic_load(&server->connections); i++)
        pthread_join(server->threads[i], NULL);
    gnutls_certificate_free_credentials(server->credentials);
    pthread_mutex_destroy(&server->lock);
    unlink(server->ca_file);
    free(server);
}

#endif
