/* A logged-in session with the REST API of one Qlik tenant, for callers that may wait: commands, background threads.
 *
 * It logs in by itself (API key, OAuth client credentials, basic), fetches a token anew when it ends or is refused,
 * keeps to the rate that Qlik allows, and asks nothing while the tenant wants not to be asked (429), whoever in this
 * program was told so. It follows no redirect and no link that leaves the tenant. */
#ifndef FERRY_CORE_QLIK_TENANT_H
#define FERRY_CORE_QLIK_TENANT_H

#include "core/buffer.h"
#include "core/config.h"
#include "core/error.h"

struct ferry_tenant;

/* `url` is copied, `auth` borrowed until ferry_tenant_close; `ca_file` NULL: the system's trust. Connects to nobody
 * yet. Fails with FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_tenant_open(const char *url, const struct ferry_auth *auth, const char *ca_file,
                                                  struct ferry_tenant **out, struct ferry_error *error);

struct ferry_tenant_request {
    const char *method;      /* "GET", "POST", "PATCH", "PUT", "DELETE" */
    const char *link;        /* "/api/v1/…", or a whole URL of the tenant */
    struct ferry_slice body; /* JSON, or absent */
    int64_t timeout_ms;      /* 0: 30 s */
    size_t answer_max;       /* bytes; 0: 1 MiB. A longer answer is a failure: half a JSON text is none */
};

struct ferry_tenant_answer {
    int status;
    int64_t retry_after_ms; /* with 429 always there; else -1 where the tenant did not say */
    int64_t date_ms;        /* the tenant's clock when it answered, in whole seconds; -1 where it did not say */
    struct ferry_buffer body;
};
/* Fit for FERRY_CLEANUP. An answer that is {0} may be handed over and be done with. */
void ferry_tenant_answer_done(struct ferry_tenant_answer *answer);

/* Makes a request and waits for its answer. Any thread, several at once. FERRY_OK when a status came, any status; a 429
 * may be an earlier one, remembered. What `answer` held before is freed. Fails, with `answer` empty, with
 *   FERRY_CONFIG           a link that leaves the tenant; nothing was sent
 *   FERRY_HTTP_REFUSED     the log-in was refused
 *   FERRY_NETWORK          no answer, or half of one; a GET, or nothing was sent
 *   FERRY_OUTCOME_UNKNOWN  the same for another method, which may have taken effect
 *   FERRY_TOO_LARGE        an answer over `answer_max`
 *   FERRY_STOPPING         ferry_tenant_abort; FERRY_MEMORY
 * and a text that holds no secret. */
FERRY_NODISCARD enum ferry_code ferry_tenant_call(struct ferry_tenant *tenant,
                                                  const struct ferry_tenant_request *request,
                                                  struct ferry_tenant_answer *answer, struct ferry_error *error);

/* Ends the calls that run, and all later ones at once, with FERRY_STOPPING. Any thread (no signal handler). */
void ferry_tenant_abort(struct ferry_tenant *tenant);
/* When no call runs any more. NULL is allowed. */
void ferry_tenant_close(struct ferry_tenant *tenant);

#endif
