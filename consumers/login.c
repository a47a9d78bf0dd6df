#include "consumers/login.h"

enum { TIMEOUT_MS = 15000 };

bool ferry_login_authorize(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_wipe) struct ferry_buffer value;
    ferry_buffer_init(&value, 64 * 1024);
    if (!ferry_login_authorization(tenant, auth, &value) || value.failed)
        return false;
    return value.len == 0 || ferry_effect_header(effect, "Authorization", ferry_buffer_slice(&value)) == FERRY_OK;
}

enum ferry_code ferry_login_request(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_printf(&url, "%s/oauth/token", tenant);
    ferry_login_body(auth, &effect->body);
    if (url.failed || effect->body.failed ||
        ferry_effect_request(effect, "POST", ferry_buffer_slice(&url), TIMEOUT_MS) != FERRY_OK)
        return FERRY_MEMORY;
    return ferry_effect_header(effect, "Content-Type", FERRY_SLICE("application/json"));
}
