/* Logging in at Qlik's REST API: an API key or basic credentials with every request, or a token by OAuth client
 * credentials. Tokens are kept for the whole program, by tenant and client, and wiped when they are replaced. */
#include "consumers/login.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/clock.h"

enum {
    TIMEOUT_MS = 15000,
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

static void wipe(struct ferry_buffer *buffer)
{
    if (buffer->ptr != NULL)
        explicit_bzero(buffer->ptr, buffer->len);
    ferry_buffer_done(buffer);
}

static bool add_authorization(struct ferry_effect *effect, const char *scheme, struct ferry_slice credentials)
{
    FERRY_CLEANUP(wipe) struct ferry_buffer value;
    ferry_buffer_init(&value, 64 * 1024);
    ferry_buffer_printf(&value, "%s ", scheme);
    ferry_buffer_add(&value, credentials);
    return !value.failed && ferry_effect_header(effect, "Authorization", ferry_buffer_slice(&value)) == FERRY_OK;
}

static bool add_basic(struct ferry_effect *effect, const struct ferry_auth *auth)
{
    FERRY_CLEANUP(wipe) struct ferry_buffer plain;
    FERRY_CLEANUP(wipe) struct ferry_buffer encoded;
    ferry_buffer_init(&plain, 16 * 1024);
    ferry_buffer_init(&encoded, 32 * 1024);
    ferry_buffer_printf(&plain, "%s:", auth->user);
    ferry_buffer_add(&plain, ferry_secret_slice(auth->password));
    ferry_base64_encode(ferry_buffer_slice(&plain), &encoded);
    return add_authorization(effect, "Basic", ferry_buffer_slice(&encoded));
}

static bool add_kept_token(struct ferry_effect *effect, const char *tenant, const struct ferry_auth *auth)
{
    pthread_mutex_lock(&lock);
    const struct token *token = find(tenant, auth);
    bool added = token != NULL && token->value.ptr != NULL && ferry_clock_mono_ms() < token->until_ms &&
                 add_authorization(effect, "Bearer", ferry_secret_slice(token->value));
    pthread_mutex_unlock(&lock);
    return added;
}

bool ferry_login_authorize(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect)
{
    switch (auth->kind) {
    case FERRY_AUTH_API_KEY:
        return add_authorization(effect, "Bearer", ferry_secret_slice(auth->api_key));
    case FERRY_AUTH_BASIC:
        return add_basic(effect, auth);
    case FERRY_AUTH_OAUTH:
        return add_kept_token(effect, tenant, auth);
    case FERRY_AUTH_NONE:
        break;
    }
    return true;
}

enum ferry_code ferry_login_request(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_printf(&url, "%s/oauth/token", tenant);
    ferry_buffer_add_text(&effect->body, "{\"grant_type\":\"client_credentials\",\"client_id\":");
    ferry_buffer_add_json_string(&effect->body, ferry_slice_from(auth->client_id));
    ferry_buffer_add_text(&effect->body, ",\"client_secret\":");
    ferry_buffer_add_json_string(&effect->body, ferry_secret_slice(auth->client_secret));
    ferry_buffer_add_char(&effect->body, '}');
    if (url.failed || effect->body.failed ||
        ferry_effect_request(effect, "POST", ferry_buffer_slice(&url), TIMEOUT_MS) != FERRY_OK)
        return FERRY_MEMORY;
    return ferry_effect_header(effect, "Content-Type", FERRY_SLICE("application/json"));
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
