/* What the commands share that talk to a tenant's REST API: which tenant, logged in how, and patience. */
#ifndef FERRY_AT_TENANT_H
#define FERRY_AT_TENANT_H

#include "core/config.h"
#include "core/qlik/tenant.h"
#include "ferry/options.h"

/* The flags, and what they come to. Zero it; end it with ferry_at_tenant_done. */
struct ferry_at_tenant {
    const char *tenant; /* a URL; NULL: the only one of the configuration */
    const char *api_key_env;
    const char *client_id;
    const char *client_secret_env;

    /* from ferry_at_tenant_begin on */
    char url[512]; /* without a slash at its end */
    struct ferry_tenant *session;
    struct ferry_auth auth; /* of the flags; this and the next are the module's own */
    bool answered;          /* it is there */
};

/* Rows of a command's table of options, and lines of its usage. */
#define FERRY_AT_TENANT_OPTIONS(at)                                                 \
    {"tenant", .text = &(at)->tenant}, {"api-key-env", .text = &(at)->api_key_env}, \
        {"client-id", .text = &(at)->client_id},                                    \
    {                                                                               \
        "client-secret-env", .text = &(at)->client_secret_env                       \
    }
#define FERRY_AT_TENANT_USAGE                                                                       \
    "  --tenant URL              the tenant (default: the only one that the configuration names)\n" \
    "  --api-key-env NAME        log in with the API key in this environment variable\n"            \
    "  --client-id ID            … or as this OAuth client\n"                                     \
    "  --client-secret-env NAME  … whose secret is in this one (default: as the configuration logs in there)\n"

/* Finds the tenant and opens the session; asks nobody yet. -1 to go on, or the exit code after a complaint. `config`
 * is borrowed until the end. */
int ferry_at_tenant_begin(struct ferry_at_tenant *at, const char *command, const struct ferry_config *config);
/* Fit for FERRY_CLEANUP. */
void ferry_at_tenant_done(struct ferry_at_tenant *at);

/* After a call that ended with `code`: is it to be made again? Waits until then: as long as the tenant wants not to be
 * asked (429), and a little longer each time where it is away or ill, a quarter of a minute in all; less as long as it
 * has never answered, since the URL may be wrong. `*attempt` is 0 at first. False too at Ctrl-C. */
bool ferry_at_tenant_again(struct ferry_at_tenant *at, enum ferry_code code, int *attempt);

#endif
