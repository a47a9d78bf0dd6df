/* Outgoing HTTP and SMTP: one thread that owns a libcurl multi handle. Only files in core/net name libcurl.
 *
 * http and https (smtp and smtps) alone, no redirects, answers bounded, the peer's certificate verified. The callback
 * comes on the client's thread, once for each request, and must not block. */
#ifndef FERRY_CORE_NET_CLIENT_H
#define FERRY_CORE_NET_CLIENT_H

#include <stdint.h>

#include "core/error.h"
#include "core/secret.h"
#include "core/slice.h"

struct ferry_client;

/* How far an exchange came: what decides between "try again" and "in doubt". */
enum ferry_exchange {
    FERRY_EXCHANGE_NOT_SENT, /* failed before a byte of the request left: name, connect, TLS */
    FERRY_EXCHANGE_IN_DOUBT, /* sent (in part), no complete answer */
    FERRY_EXCHANGE_ANSWERED  /* a status came */
};

/* The answer; slices live during the callback. */
struct ferry_answer {
    enum ferry_exchange exchange;
    int status;              /* HTTP status or SMTP code; 0 without an answer */
    struct ferry_slice body; /* cut at `answer_max` (`truncated`); SMTP: the last reply line if known */
    bool truncated;
    int64_t retry_after_ms; /* Retry-After in seconds or as a date; -1 without or when absurd */
    int64_t date_ms;        /* the peer's clock: Date, by the wall, in whole seconds; -1 without */
    const char *reason;     /* libcurl's words when something failed; never a URL's secret part */
    double seconds;
};

typedef void ferry_answer_fn(void *context, const struct ferry_answer *answer);

/* A request; copied at submit. Header values may be secrets: they are wiped after use and never logged. */
struct ferry_http_request {
    const char *method;
    const char *url;
    const struct ferry_pair *headers;
    size_t header_count;
    struct ferry_slice body;
    int64_t timeout_ms; /* of the whole exchange; 0: 30 s */
    size_t answer_max;  /* bytes of the answer's body; 0: 64 KiB */
};

/* One mail to one recipient. `message` is a whole RFC 5322 message with CRLF line ends. */
struct ferry_mail_request {
    const char *url;      /* smtp:// or smtps:// */
    const char *username; /* NULL: no AUTH */
    struct ferry_slice password;
    bool tls_required;
    const char *sender; /* bare addresses, checked by the caller */
    const char *recipient;
    struct ferry_slice message;
    int64_t timeout_ms;
};

/* `ca_file` NULL: the system's trust. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_client_start(const char *ca_file, struct ferry_client **out,
                                                   struct ferry_error *error);
/* Any thread. On FERRY_OK `done` will be called exactly once. */
FERRY_NODISCARD enum ferry_code ferry_client_http(struct ferry_client *client, const struct ferry_http_request *request,
                                                  ferry_answer_fn *done, void *context, struct ferry_error *error);
FERRY_NODISCARD enum ferry_code ferry_client_mail(struct ferry_client *client, const struct ferry_mail_request *request,
                                                  ferry_answer_fn *done, void *context, struct ferry_error *error);
/* Logs in at the SMTP server and leaves (`ferry check --online`). */
FERRY_NODISCARD enum ferry_code ferry_client_smtp_probe(struct ferry_client *client,
                                                        const struct ferry_mail_request *request, ferry_answer_fn *done,
                                                        void *context, struct ferry_error *error);
/* Aborts what runs (each gets its callback), joins the thread, frees. */
void ferry_client_stop(struct ferry_client *client);

/* Is this URL http(s) and, unless `insecure`, TLS or loopback? Userinfo, controls and other schemes are refused. */
FERRY_NODISCARD enum ferry_code ferry_url_check(const char *url, bool insecure, struct ferry_error *error);
/* Do both name the same scheme, host and port (RFC 6454)? False where one is no URL or brings user or password. */
bool ferry_url_same_origin(const char *a, const char *b);

#endif
