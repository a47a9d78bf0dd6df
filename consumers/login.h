/* Logging in at Qlik's REST API (core/qlik/login.h), as effects. Any thread. */
#ifndef FERRY_CONSUMERS_LOGIN_H
#define FERRY_CONSUMERS_LOGIN_H

#include "consumers/worker.h"
#include "core/qlik/login.h"

/* Adds the Authorization header. False when a token has to be fetched first. */
bool ferry_login_authorize(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect);
/* Describes the exchange that fetches a token (OAuth client credentials). */
FERRY_NODISCARD enum ferry_code ferry_login_request(const char *tenant, const struct ferry_auth *auth,
                                                    struct ferry_effect *effect);

#endif
