#include "core/qlik/login.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/clock.h"

enum {
    EARLY_MS = 60000,        /* a token is renewed so long before it expires */
    LIFETIME_SECONDS = 3600, /* where the answer does not say */
    LONGEST_SECONDS = 7 * 24 * 3600
};

struct token {
    char *tenant;
    char *client_id;
    struct ferry_secret value;
    int64_t until_ms; /* monotonic */
    struct token *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct token *tokens;

/* The lock is held. */
static struct token *find(const char *tenant, const struct ferry_auth *auth)
{
    for (struct token *token = tokens; token != NULL; token = token->next)
        if (strcmp(token->tenant, tenant) == 0 && strcmp(token->client_id, auth->client_id) == 0)
            return token;
    return NULL;
}

/* The lock is held. */
static struct token *find_or_add(const char *tenant, const struct ferry_auth *auth)
{
    struct token *token = find(tenant, auth);
    if (token != NULL || (token = calloc(1, sizeof *token)) == NULL)
        return token;
    token->tenant = strdup(tenant);
    token->client_id = strdup(auth->client_id);
    if (token->tenant == NULL || token->client_id == NULL) {
        free(token->tenant);
        free(token->client_id);
        free(token);
        return NULL;
    }
    token->next = tokens;
    tokens = token;
    return token;
}

static void add(struct ferry_buffer *value, const char *scheme, struct ferry_slice credentials)
{
    ferry_buffer_printf(value, "%s ", scheme);
    ferry_buffer_add(value, credentials);
}

static void add_basic(struct ferry_buffer *value, const struct ferry_auth *auth)
{
    FERRY_CLEANUP(ferry_buffer_wipe) struct ferry_buffer plain;
    FERRY_CLEANUP(ferry_buffer_wipe) struct ferry_buffer encoded;
    ferry_buffer_init(&plain, 16 * 1024);
    ferry_buffer_init(&encoded, 32 * 1024);
    ferry_buffer_printf(&plain, "%s:", auth->user);
    ferry_buffer_add(&plain, ferry_secret_slice(auth->password));
    ferry_base64_encode(ferry_buffer_slice(&plain), &encoded);
    value->failed |= plain.failed || encoded.failed;
    add(value, "Basic", ferry_buffer_slice(&encoded));
}

static bool add_kept_token(struct ferry_buffer *value, const char *tenant, const struct ferry_auth *auth)
{
    pthread_mutex_lock(&lock);
    const struct token *token = find(tenant, auth);
    bool kept = token != NULL && token->value.ptr != NULL && ferry_clock_mono_ms() < token->until_ms;
    if (kept)
        add(value, "Bearer", ferry_secret_slice(token->value));
    pthread_mutex_unlock(&lock);
    return kept;
}

bool ferry_login_authorization(const char *tenant, const struct ferry_auth *auth, struct ferry_buffer *value)
{
    switch (auth->kind) {
    case FERRY_AUTH_API_KEY:
        add(value, "Bearer", ferry_secret_slice(auth->api_key));
        break;
    case FERRY_AUTH_BASIC:
        add_basic(value, auth);
        break;
    case FERRY_AUTH_OAUTH:
        return add_kept_token(value, tenant, auth);
    case FERRY_AUTH_NONE:
        break;
    }
    return true;
}

void ferry_login_body(const struct ferry_auth *auth, struct ferry_buffer *body)
{
    ferry_buffer_add_text(body, "{\"grant_type\":\"client_credentials\",\"client_id\":");
    ferry_buffer_add_json_string(body, ferry_slice_from(auth->client_id));
    ferry_buffer_add_text(body, ",\"client_secret\":");
    ferry_buffer_add_json_string(body, ferry_secret_slice(auth->client_secret));
    ferry_buffer_add_char(body, '}');
}

static int64_t lifetime_ms(const json_t *answer)
{
    json_int_t seconds = json_integer_value(json_object_get(answer, "expires_in"));
    if (seconds <= 0)
        seconds = LIFETIME_SECONDS;
    if (seconds > LONGEST_SECONDS)
        seconds = LONGEST_SECONDS;
    int64_t ms = seconds * 1000;
    return ms > 2 * EARLY_MS ? ms - EARLY_MS : ms / 2;
}

bool ferry_login_keep(const char *tenant, const struct ferry_auth *auth, struct ferry_slice body, int64_t now_ms)
{
    json_t *answer = json_loadb(body.ptr, body.len, 0, NULL);
    const json_t *text = json_object_get(answer, "access_token");
    bool kept = false;
    if (json_string_length(text) > 0) {
        pthread_mutex_lock(&lock);
        struct token *token = find_or_add(tenant, auth);
        if (token != NULL) {
            ferry_secret_done(&token->value);
            token->value = ferry_secret_copy(ferry_slice_of(json_string_value(text), json_string_length(text)));
            token->until_ms = now_ms + lifetime_ms(answer);
            kept = token->value.ptr != NULL;
        }
        pthread_mutex_unlock(&lock);
    }
    json_decref(answer);
    return kept;
}

void ferry_login_forget(const char *tenant, const struct ferry_auth *auth)
{
    if (auth->kind != FERRY_AUTH_OAUTH)
        return;
    pthread_mutex_lock(&lock);
    struct token *token = find(tenant, auth);
    if (token != NULL)
        ferry_secret_done(&token->value);
    pthread_mutex_unlock(&lock);
}
