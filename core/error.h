/* One table of everything that can go wrong.
 *
 * A fallible function returns an `enum ferry_code` (FERRY_OK is 0) and fills a `struct ferry_error`, which needs no
 * allocation. The table says what follows from a code: the HTTP status that the ingress answers, and whether a worker
 * tries again. The name of a code is also its label in metrics and the value of the header `ferry-error`. */
#ifndef FERRY_CORE_ERROR_H
#define FERRY_CORE_ERROR_H

#include <stdbool.h>

#include "core/attrs.h"

/* What a worker does with an effect that ended so. */
enum ferry_retry {
    FERRY_RETRY_NEVER,   /* permanent: dead letter */
    FERRY_RETRY_LATER,   /* temporary: the effect did not happen, try again */
    FERRY_RETRY_IN_DOUBT /* the effect may have happened */
};

/* X(CODE, name, HTTP status, retry) */
#define FERRY_CODES(X)                                                            \
    X(OK, "ok", 204, NEVER)                                                       \
    /* the ingress, in the order in which a request meets them */                 \
    X(HTTP_MALFORMED, "http-malformed", 400, NEVER)                               \
    X(NOT_FOUND, "not-found", 404, NEVER)                                         \
    X(METHOD, "method", 405, NEVER)                                               \
    X(REQUEST_TIMEOUT, "request-timeout", 408, NEVER)                             \
    X(TOO_LARGE, "too-large", 413, NEVER)                                         \
    X(MEDIA_TYPE, "media-type", 415, NEVER)                                       \
    X(HEADERS_TOO_LARGE, "headers-too-large", 431, NEVER)                         \
    X(RATE, "rate", 429, NEVER)                                                   \
    X(SIGNATURE_MISSING, "signature-missing", 401, NEVER)                         \
    X(SIGNATURE_REPEATED, "signature-repeated", 401, NEVER)                       \
    X(SIGNATURE_MALFORMED, "signature-malformed", 401, NEVER)                     \
    X(SIGNATURE_WRONG, "signature-wrong", 401, NEVER)                             \
    X(SIGNATURE_STALE, "signature-stale", 401, NEVER)                             \
    X(HEADER_WRONG, "header-wrong", 401, NEVER)                                   \
    X(JSON_INVALID, "json-invalid", 400, NEVER)                                   \
    X(EVENT_INVALID, "event-invalid", 400, NEVER)                                 \
    X(TENANT_REFUSED, "tenant-refused", 403, NEVER)                               \
    X(TYPE_REFUSED, "type-refused", 403, NEVER)                                   \
    X(PREVIEW, "preview", 403, NEVER) /* triggers, in the same order */           \
    X(KEY_BLOCKED, "key-blocked", 429, NEVER)                                     \
    X(KEY_MISSING, "key-missing", 401, NEVER)                                     \
    X(KEY_WRONG, "key-wrong", 401, NEVER)                                         \
    X(CROSS_SITE, "cross-site", 403, NEVER)                                       \
    X(INPUT_REFUSED, "input-refused", 400, NEVER)                                 \
    X(SPOOLED, "spooled", 202, NEVER) /* no failure: on disk, not in Kafka yet */ \
    X(SPOOL_FULL, "spool-full", 503, LATER)                                       \
    X(SPOOL_BROKEN, "spool-broken", 503, LATER)                                   \
    X(UNAVAILABLE, "unavailable", 503, LATER)                                     \
    /* Kafka */                                                                   \
    X(QUEUE_FULL, "queue-full", 503, LATER)                                       \
    X(KAFKA, "kafka", 503, LATER)                                                 \
    X(KAFKA_FATAL, "kafka-fatal", 503, LATER)                                     \
    X(TOPIC_UNKNOWN, "topic-unknown", 503, LATER)                                 \
    X(RECORD_TOO_LARGE, "record-too-large", 413, NEVER)                           \
    /* the workers */                                                             \
    X(RECORD_INVALID, "record_invalid", 500, NEVER)                               \
    X(TEMPLATE, "template_error", 500, NEVER)                                     \
    X(TEMPLATE_NULL, "template_null", 500, NEVER)                                 \
    X(TOO_DEEP, "too-deep", 400, NEVER)                                           \
    X(HTTP_REFUSED, "http-refused", 502, NEVER)                                   \
    X(HTTP_BUSY, "http-busy", 502, LATER)                                         \
    X(NETWORK, "network", 502, LATER)                                             \
    X(OUTCOME_UNKNOWN, "outcome-unknown", 502, IN_DOUBT)                          \
    X(DESTINATION_DEAD, "destination-dead", 502, NEVER)                           \
    X(RUN_FAILED, "run-failed", 502, NEVER)                                       \
    X(SMTP_REFUSED, "smtp-refused", 502, NEVER)                                   \
    X(SMTP_BUSY, "smtp-busy", 502, LATER)                                         \
    X(RECIPIENT_REFUSED, "recipient-refused", 502, NEVER)                         \
    X(ADDRESS_INVALID, "address-invalid", 502, NEVER)                             \
    X(RETRIES_EXHAUSTED, "retries-exhausted", 502, NEVER)                         \
    X(ROUTE_GONE, "route-gone", 502, NEVER)                                       \
    /* the program itself */                                                      \
    X(USAGE, "usage", 500, NEVER)                                                 \
    X(CONFIG, "config", 500, NEVER)                                               \
    X(MEMORY, "memory", 503, LATER)                                               \
    X(SYSTEM, "system", 503, LATER)                                               \
    X(STOPPING, "stopping", 503, LATER)

enum ferry_code {
#define FERRY_CODE_ENUM(code, name, status, retry) FERRY_##code,
    FERRY_CODES(FERRY_CODE_ENUM)
#undef FERRY_CODE_ENUM
        FERRY_CODE_COUNT
};

/* `text` is for people: one line, no secrets, no bodies. Empty after FERRY_OK. */
struct ferry_error {
    enum ferry_code code;
    char text[512];
};

/* Fills `error` (which may be NULL) and returns `code`; a text that is too long is cut. */
enum ferry_code ferry_fail(struct ferry_error *error, enum ferry_code code, const char *format, ...) FERRY_PRINTF(3, 4);

/* The table's columns; static strings. */
const char *ferry_code_name(enum ferry_code code);
int ferry_code_status(enum ferry_code code);
enum ferry_retry ferry_code_retry(enum ferry_code code);

#endif
