/* A session at Qlik's REST API: an API key or basic credentials with every request, or a token by OAuth client
 * credentials, which is kept for the whole program, by tenant and client. Any thread. */
#ifndef FERRY_CONSUMERS_LOGIN_H
#define FERRY_CONSUMERS_LOGIN_H

#include "consumers/worker.h"

/* Adds the Authorization header. False when a token has to be fetched first. */
bool ferry_login_authorize(const char *tenant, const struct ferry_auth *auth, struct ferry_effect *effect);
/* Describes the exchange that fetches a token (OAuth client credentials). */
FERRY_NODISCARD enum ferry_code ferry_login_request(const char *tenant, const struct ferry_auth *auth,
                                                    struct ferry_effect *effect);
/* Keeps the token of the answer until a minute before it expires. False when there is none in it. */
bool ferry_login_keep(const char *tenant, const struct ferry_auth *auth, struct ferry_slice body, int64_t now_ms);
/* Drops a token that was refused. */
void ferry_login_forget(const char *tenant, const struct ferry_auth *auth);

#endif
