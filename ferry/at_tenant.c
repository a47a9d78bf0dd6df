#include "ferry/at_tenant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/net/client.h"
#include "core/program.h"
#include "core/qlik/tier.h"
#include "ferry/cli.h"
#include "ferry/console.h"

enum { STEP_MS = 50, FIRST_MS = 500, ATTEMPTS = 5, ATTEMPTS_AT_FIRST = 2 };

/* ---- which tenant ---- */

/* Do they name the same tenant? A slash at the end does not count. */
static bool is_same(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    a_len -= a_len > 0 && a[a_len - 1] == '/';
    b_len -= b_len > 0 && b[b_len - 1] == '/';
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* A tenant of the configuration: those of `audits`, then those of `watch`. False behind the last. */
static bool configured_at(const struct ferry_bridge_config *bridge, size_t index, const char **tenant,
                          const struct ferry_auth **auth)
{
    bool audits = index < bridge->audits_count;
    if (!audits && index - bridge->audits_count >= bridge->watch_count)
        return false;
    const struct ferry_watch_config *watch = audits ? NULL : &bridge->watch[index - bridge->audits_count];
    *tenant = audits ? bridge->audits[index].tenant : watch->tenant;
    *auth = audits ? &bridge->audits[index].auth : &watch->auth;
    return true;
}

/* NULL: the configuration does not say how to log in there. */
static const struct ferry_auth *find_configured(const struct ferry_config *config, const char *wanted)
{
    const char *tenant;
    const struct ferry_auth *auth;
    for (size_t i = 0; configured_at(&config->bridge, i, &tenant, &auth); i++)
        if (is_same(tenant, wanted))
            return auth;
    return NULL;
}

/* The only tenant that the configuration names, or NULL. */
static const char *only_tenant(const struct ferry_config *config)
{
    const char *tenant, *only = NULL;
    const struct ferry_auth *auth;
    for (size_t i = 0; configured_at(&config->bridge, i, &tenant, &auth); i++) {
        if (only != NULL && !is_same(tenant, only))
            return NULL;
        only = tenant;
    }
    return only;
}

static int refuse_tenant(const char *command, const struct ferry_config *config)
{
    const char *tenant;
    const struct ferry_auth *auth;
    int code = ferry_cli_refuse(command, "--tenant is missing: https://NAME.REGION.qlikcloud.com");
    for (size_t i = 0; configured_at(&config->bridge, i, &tenant, &auth); i++)
        fprintf(stderr, "configured: %s\n", tenant);
    return code;
}

static int take_url(struct ferry_at_tenant *at, const char *command)
{
    struct ferry_error error = {.text = "this is too long"};
    size_t len = strlen(at->tenant);
    if (len < sizeof at->url && ferry_url_check(at->tenant, false, &error) == FERRY_OK) {
        memcpy(at->url, at->tenant, len + 1);
        if (at->url[len - 1] == '/')
            at->url[len - 1] = '\0';
        return -1;
    }
    char complaint[640];
    snprintf(complaint, sizeof complaint, "--tenant: %s", error.text);
    return ferry_cli_refuse(command, complaint);
}

/* ---- logged in how ---- */

/* -1 to go on, or the exit code. `auth->kind` stays NONE where no flag tells. */
static int read_flags(struct ferry_at_tenant *at, const char *command)
{
    struct ferry_auth *auth = &at->auth;
    if (at->api_key_env != NULL && at->client_id != NULL)
        return ferry_cli_refuse(command, "log in one way: --api-key-env or --client-id");
    if ((at->client_id != NULL) != (at->client_secret_env != NULL))
        return ferry_cli_refuse(command, "--client-id and --client-secret-env belong together");
    const char *variable = at->api_key_env != NULL ? at->api_key_env : at->client_secret_env;
    struct ferry_secret *secret = at->api_key_env != NULL ? &auth->api_key : &auth->client_secret;
    if (variable == NULL)
        return -1;
    if (getenv(variable) == NULL) {
        char complaint[512];
        snprintf(complaint, sizeof complaint, "%s: the environment has no %s; export it",
                 at->api_key_env != NULL ? "--api-key-env" : "--client-secret-env", variable);
        return ferry_cli_refuse(command, complaint);
    }
    if (!ferry_cli_secret(variable, NULL, secret))
        return FERRY_EXIT_FAILED;
    auth->kind = at->api_key_env != NULL ? FERRY_AUTH_API_KEY : FERRY_AUTH_OAUTH;
    auth->client_id = at->client_id;
    return -1;
}

int ferry_at_tenant_begin(struct ferry_at_tenant *at, const char *command, const struct ferry_config *config)
{
    if (at->tenant == NULL && (at->tenant = only_tenant(config)) == NULL)
        return refuse_tenant(command, config);
    int code = take_url(at, command);
    if (code < 0)
        code = read_flags(at, command);
    if (code >= 0)
        return code;
    struct ferry_error error;
    const struct ferry_auth *auth = &at->auth;
    if (auth->kind == FERRY_AUTH_NONE && (auth = find_configured(config, at->tenant)) == NULL)
        return ferry_cli_refuse(command, "how to log in at this tenant? --api-key-env, --client-id, or auth of "
                                         "bridge.audits or bridge.watch");
    if (ferry_tenant_open(at->url, auth, config->ca, &at->session, &error) == FERRY_OK)
        return -1;
    fprintf(stderr, "ferry: %s\n", error.text);
    return FERRY_EXIT_FAILED;
}

void ferry_at_tenant_done(struct ferry_at_tenant *at)
{
    ferry_tenant_close(at->session);
    ferry_secret_done(&at->auth.api_key);
    ferry_secret_done(&at->auth.client_secret);
}

/* ---- patience ---- */

/* False when Ctrl-C came meanwhile. */
static bool sleep_for(int64_t ms)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int64_t until_ms = ferry_clock_mono_ms() + ms;
    while (ferry_clock_mono_ms() < until_ms && !ferry_console_interrupted())
        nanosleep(&step, NULL);
    return !ferry_console_interrupted();
}

bool ferry_at_tenant_again(struct ferry_at_tenant *at, enum ferry_code code, int *attempt)
{
    int64_t blocked_ms = ferry_tier_blocked_ms(at->url, ferry_clock_mono_ms());
    at->answered |= code == FERRY_OK;
    if (code != FERRY_HTTP_BUSY && code != FERRY_NETWORK)
        return false;
    if (blocked_ms > 0) /* not ill: it says when to come again */
        return sleep_for(blocked_ms);
    if (*attempt == (at->answered ? ATTEMPTS : ATTEMPTS_AT_FIRST))
        return false;
    return sleep_for(FIRST_MS << (*attempt)++);
}
