/* Logging in at Qlik's REST API: an API key or basic credentials with every request, or a token by OAuth client
 * credentials, which is kept for the whole program, by tenant and client, and wiped when it is replaced. Any thread. */
#ifndef FERRY_CORE_QLIK_LOGIN_H
#define FERRY_CORE_QLIK_LOGIN_H

#include "core/buffer.h"
#include "core/config.h"

/* Appends the value of the Authorization header, a secret (ferry_buffer_wipe); nothing for FERRY_AUTH_NONE. False when
 * a token has to be fetched first. */
bool ferry_login_authorization(const char *tenant, const struct ferry_auth *auth, struct ferry_buffer *value);
/* Appends the body, a secret too, of the exchange that fetches a token: POST TENANT/oauth/token, application/json. */
void ferry_login_body(const struct ferry_auth *auth, struct ferry_buffer *body);
/* Keeps the token of the answer until a minute before it expires. False when there is none in it. */
bool ferry_login_keep(const char *tenant, const struct ferry_auth *auth, struct ferry_slice body, int64_t now_ms);
/* Drops a token that was refused. */
void ferry_login_forget(const char *tenant, const struct ferry_auth *auth);

#endif
