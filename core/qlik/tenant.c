#include "core/qlik/tenant.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/net/client.h"
#include "core/qlik/login.h"
#include "core/qlik/tier.h"
#include "core/wait.h"

enum {
    LOGIN_TIMEOUT_MS = 15000,
    CALL_TIMEOUT_MS = 30000,
    ANSWER_MAX = 1 << 20,
    LINK_MAX = 64 * 1024,
    BLOCK_MS = 10000, /* after a 429 that does not say how long */
    SHORTEST_BLOCK_MS = 1000,
    LONGEST_BLOCK_MS = 3600 * 1000,
};

struct ferry_tenant {
    char *url; /* without a slash at its end */
    const struct ferry_auth *auth;
    pthread_mutex_t lock; /* of the next three, and of the exchanges that wait */
    pthread_cond_t changed;
    struct ferry_client *client; /* NULL: aborted */
    bool aborted;
    pthread_mutex_t login; /* held while a token is fetched, so that one is enough for all */
};

/* One exchange that somebody waits for. */
struct exchange {
    struct ferry_tenant *tenant;
    struct ferry_tenant_answer *answer;
    bool done;
    bool truncated;
    enum ferry_exchange how;
    char reason[256];
};

/* ---- life ---- */

static void free_tenant(struct ferry_tenant *tenant)
{
    pthread_cond_destroy(&tenant->changed);
    pthread_mutex_destroy(&tenant->lock);
    pthread_mutex_destroy(&tenant->login);
    free(tenant->url);
    free(tenant);
}

enum ferry_code ferry_tenant_open(const char *url, const struct ferry_auth *auth, const char *ca_file,
                                  struct ferry_tenant **out, struct ferry_error *error)
{
    struct ferry_tenant *tenant = calloc(1, sizeof *tenant);
    if (tenant == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    pthread_mutex_init(&tenant->lock, NULL);
    pthread_mutex_init(&tenant->login, NULL);
    ferry_condition_init(&tenant->changed);
    tenant->auth = auth;
    size_t len = strlen(url);
    tenant->url = strndup(url, len > 0 && url[len - 1] == '/' ? len - 1 : len);
    enum ferry_code code = tenant->url != NULL ? ferry_client_start(ca_file, &tenant->client, error)
                                               : ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code != FERRY_OK) {
        free_tenant(tenant);
        return code;
    }
    *out = tenant;
    return FERRY_OK;
}

void ferry_tenant_abort(struct ferry_tenant *tenant)
{
    pthread_mutex_lock(&tenant->lock);
    struct ferry_client *client = tenant->client;
    tenant->client = NULL;
    tenant->aborted = true;
    pthread_cond_broadcast(&tenant->changed);
    pthread_mutex_unlock(&tenant->lock);
    ferry_client_stop(client); /* what runs gets its callback, which takes the lock */
}

void ferry_tenant_close(struct ferry_tenant *tenant)
{
    if (tenant == NULL)
        return;
    ferry_tenant_abort(tenant);
    free_tenant(tenant);
}

void ferry_tenant_answer_done(struct ferry_tenant_answer *answer)
{
    ferry_buffer_done(&answer->body);
    *answer = (struct ferry_tenant_answer){0};
}

/* ---- one exchange ---- */

/* On the client's thread. */
static void take_answer(void *context, const struct ferry_answer *came)
{
    struct exchange *exchange = context;
    struct ferry_tenant_answer *answer = exchange->answer;
    answer->status = came->status;
    answer->retry_after_ms = came->retry_after_ms;
    answer->date_ms = came->date_ms;
    if (!came->truncated)
        ferry_buffer_add(&answer->body, came->body);
    exchange->truncated = came->truncated;
    exchange->how = came->exchange;
    size_t len = strnlen(came->reason, sizeof exchange->reason - 1);
    memcpy(exchange->reason, came->reason, len);
    pthread_mutex_lock(&exchange->tenant->lock);
    exchange->done = true;
    pthread_cond_broadcast(&exchange->tenant->changed);
    pthread_mutex_unlock(&exchange->tenant->lock);
}

/* Waits for the turn; false when the session was aborted meanwhile. The lock is held. */
static bool await_turn(struct ferry_tenant *tenant)
{
    struct timespec turn = ferry_deadline_in(ferry_tier_turn_ms(tenant->url, ferry_clock_mono_ms()));
    while (!tenant->aborted && pthread_cond_timedwait(&tenant->changed, &tenant->lock, &turn) == 0)
        ;
    return !tenant->aborted;
}

static enum ferry_code stopping(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_STOPPING, "the program is stopping");
}

/* Hands the request over and waits. The lock is taken for both, so that the client cannot go in between. */
static enum ferry_code send_and_wait(struct ferry_tenant *tenant, const struct ferry_http_request *request,
                                     struct exchange *exchange, struct ferry_error *error)
{
    pthread_mutex_lock(&tenant->lock);
    enum ferry_code code = FERRY_OK;
    if (!await_turn(tenant))
        code = stopping(error);
    if (code == FERRY_OK)
        code = ferry_client_http(tenant->client, request, take_answer, exchange, error);
    while (code == FERRY_OK && !exchange->done)
        pthread_cond_wait(&tenant->changed, &tenant->lock);
    if (code == FERRY_OK && tenant->aborted && exchange->how != FERRY_EXCHANGE_ANSWERED)
        code = stopping(error);
    pthread_mutex_unlock(&tenant->lock);
    return code;
}

/* What the end of an exchange means to the caller. */
static enum ferry_code judge(const struct exchange *exchange, const struct ferry_http_request *request,
                             struct ferry_error *error)
{
    bool repeatable = strcmp(request->method, "GET") == 0 || exchange->how == FERRY_EXCHANGE_NOT_SENT;
    if (exchange->how != FERRY_EXCHANGE_ANSWERED)
        return ferry_fail(error, repeatable ? FERRY_NETWORK : FERRY_OUTCOME_UNKNOWN, "%s: no answer: %s",
                          exchange->tenant->url, exchange->reason);
    if (exchange->truncated)
        return ferry_fail(error, FERRY_TOO_LARGE, "%s: the answer is longer than %zu bytes", exchange->tenant->url,
                          request->answer_max);
    if (exchange->answer->body.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (exchange->reason[0] != '\0')
        return ferry_fail(error, repeatable ? FERRY_NETWORK : FERRY_OUTCOME_UNKNOWN, "%s: half an answer: %s",
                          exchange->tenant->url, exchange->reason);
    return FERRY_OK;
}

/* A 429 is remembered, for all who ask this tenant. */
static void note_block(const struct ferry_tenant *tenant, struct ferry_tenant_answer *answer)
{
    if (answer->status != 429)
        return;
    if (answer->retry_after_ms < 0)
        answer->retry_after_ms = BLOCK_MS;
    if (answer->retry_after_ms < SHORTEST_BLOCK_MS)
        answer->retry_after_ms = SHORTEST_BLOCK_MS;
    if (answer->retry_after_ms > LONGEST_BLOCK_MS)
        answer->retry_after_ms = LONGEST_BLOCK_MS;
    ferry_tier_block(tenant->url, ferry_clock_mono_ms(), answer->retry_after_ms);
}

static void answer_blocked(struct ferry_tenant_answer *answer, int64_t left_ms)
{
    answer->status = 429;
    answer->retry_after_ms = left_ms;
    answer->date_ms = -1;
}

static enum ferry_code exchange(struct ferry_tenant *tenant, const struct ferry_http_request *request,
                                struct ferry_tenant_answer *answer, struct ferry_error *error)
{
    ferry_tenant_answer_done(answer);
    int64_t blocked_ms = ferry_tier_blocked_ms(tenant->url, ferry_clock_mono_ms());
    if (blocked_ms > 0) {
        answer_blocked(answer, blocked_ms);
        return FERRY_OK;
    }
    struct exchange waiting = {.tenant = tenant, .answer = answer};
    ferry_buffer_init(&answer->body, request->answer_max);
    enum ferry_code code = send_and_wait(tenant, request, &waiting, error);
    if (code == FERRY_OK)
        code = judge(&waiting, request, error);
    if (code == FERRY_OK)
        note_block(tenant, answer);
    else
        ferry_tenant_answer_done(answer);
    return code;
}

/* ---- logging in ---- */

static bool is_temporary(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* Fetches a token; a temporary refusal is the caller's answer. The lock `login` is held. */
static enum ferry_code fetch_token(struct ferry_tenant *tenant, struct ferry_tenant_answer *answer,
                                   struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    FERRY_CLEANUP(ferry_buffer_wipe) struct ferry_buffer body;
    ferry_buffer_init(&url, LINK_MAX);
    ferry_buffer_init(&body, LINK_MAX);
    ferry_buffer_printf(&url, "%s/oauth/token", tenant->url);
    ferry_login_body(tenant->auth, &body);
    if (url.failed || body.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    const struct ferry_pair header = {FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")};
    const struct ferry_http_request request = {.method = "POST",
                                               .url = url.ptr,
                                               .headers = &header,
                                               .header_count = 1,
                                               .body = ferry_buffer_slice(&body),
                                               .timeout_ms = LOGIN_TIMEOUT_MS,
                                               .answer_max = ANSWER_MAX};
    enum ferry_code code = exchange(tenant, &request, answer, error);
    if (code == FERRY_OUTCOME_UNKNOWN)
        return ferry_fail(error, FERRY_NETWORK, "%s: no answer to the log-in", tenant->url);
    if (code != FERRY_OK || is_temporary(answer->status))
        return code;
    int status = answer->status;
    bool kept = status == 200 &&
                ferry_login_keep(tenant->url, tenant->auth, ferry_buffer_slice(&answer->body), ferry_clock_mono_ms());
    ferry_buffer_wipe(&answer->body); /* it holds the token */
    ferry_tenant_answer_done(answer);
    if (kept)
        return FERRY_OK;
    return ferry_fail(error, FERRY_HTTP_REFUSED,
                      "%s: the log-in of the OAuth client is refused: /oauth/token answered %d", tenant->url, status);
}

/* Appends the Authorization header's value. Without one, FERRY_OK, and `answer` has a status: that is the call's. */
static enum ferry_code authorize(struct ferry_tenant *tenant, struct ferry_buffer *value,
                                 struct ferry_tenant_answer *answer, struct ferry_error *error)
{
    ferry_tenant_answer_done(answer);
    if (ferry_login_authorization(tenant->url, tenant->auth, value))
        return FERRY_OK;
    pthread_mutex_lock(&tenant->login);
    enum ferry_code code = FERRY_OK;
    if (!ferry_login_authorization(tenant->url, tenant->auth, value)) { /* unless another thread was here before */
        code = fetch_token(tenant, answer, error);
        if (code == FERRY_OK && answer->status == 0 && !ferry_login_authorization(tenant->url, tenant->auth, value))
            code = ferry_fail(error, FERRY_HTTP_REFUSED, "%s: the token that came has no lifetime", tenant->url);
    }
    pthread_mutex_unlock(&tenant->login);
    return code;
}

/* ---- calls ---- */

static enum ferry_code resolve(const struct ferry_tenant *tenant, const char *link, struct ferry_buffer *url,
                               struct ferry_error *error)
{
    if (link[0] == '/')
        ferry_buffer_add_text(url, tenant->url);
    ferry_buffer_add_text(url, link);
    if (url->failed)
        return ferry_fail(error, FERRY_CONFIG, "%s: a link is too long", tenant->url);
    if (!ferry_url_same_origin(tenant->url, url->ptr))
        return ferry_fail(error, FERRY_CONFIG, "%s: a link leads away from the tenant and is not followed",
                          tenant->url);
    return FERRY_OK;
}

/* One attempt, logged in. */
static enum ferry_code try_call(struct ferry_tenant *tenant, const char *url, const struct ferry_tenant_request *asked,
                                struct ferry_tenant_answer *answer, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_wipe) struct ferry_buffer authorization;
    ferry_buffer_init(&authorization, LINK_MAX);
    enum ferry_code code = authorize(tenant, &authorization, answer, error);
    if (code != FERRY_OK || answer->status != 0)
        return code;
    if (authorization.failed)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    struct ferry_pair headers[3];
    size_t count = 0;
    headers[count++] = (struct ferry_pair){FERRY_SLICE("Accept"), FERRY_SLICE("application/json")};
    if (authorization.len > 0)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("Authorization"), ferry_buffer_slice(&authorization)};
    if (asked->body.ptr != NULL)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("Content-Type"), FERRY_SLICE("application/json")};
    const struct ferry_http_request request = {.method = asked->method,
                                               .url = url,
                                               .headers = headers,
                                               .header_count = count,
                                               .body = asked->body,
                                               .timeout_ms =
                                                   asked->timeout_ms > 0 ? asked->timeout_ms : CALL_TIMEOUT_MS,
                                               .answer_max = asked->answer_max > 0 ? asked->answer_max : ANSWER_MAX};
    return exchange(tenant, &request, answer, error);
}

enum ferry_code ferry_tenant_call(struct ferry_tenant *tenant, const struct ferry_tenant_request *request,
                                  struct ferry_tenant_answer *answer, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, LINK_MAX);
    ferry_tenant_answer_done(answer);
    enum ferry_code code = resolve(tenant, request->link, &url, error);
    if (code == FERRY_OK)
        code = try_call(tenant, url.ptr, request, answer, error);
    if (code == FERRY_OK && answer->status == 401 && tenant->auth->kind == FERRY_AUTH_OAUTH) {
        ferry_login_forget(tenant->url, tenant->auth); /* ended early, or revoked: a refused request did nothing */
        code = try_call(tenant, url.ptr, request, answer, error);
    }
    return code;
}
