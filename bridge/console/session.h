/* Who is logged in at the console: the key makes a session, a random token names it in a cookie. In memory alone: a
 * restart of the bridge logs everybody out. On the admin listener's thread; times are of the monotonic clock. */
#ifndef FERRY_BRIDGE_CONSOLE_SESSION_H
#define FERRY_BRIDGE_CONSOLE_SESSION_H

#include <stdint.h>

#include "core/secret.h"

enum {
    FERRY_CONSOLE_SESSIONS = 16, /* one more ends the oldest */
    FERRY_CONSOLE_TOKEN = 44,    /* 32 random bytes in base64url, and NUL */
    FERRY_CONSOLE_HOURS = 12,    /* a session lives */
};

struct ferry_console_sessions {
    struct ferry_secret key; /* what they were opened with; another key ends them */
    struct {
        char token[FERRY_CONSOLE_TOKEN];
        int64_t until_ms; /* 0: none */
    } items[FERRY_CONSOLE_SESSIONS];
    unsigned failures; /* wrong keys since the last right one */
    int64_t closed_until_ms;
};
void ferry_console_sessions_done(struct ferry_console_sessions *sessions);

/* To be called before each of the others: the key of the configuration, which may have been changed. */
void ferry_console_sessions_use(struct ferry_console_sessions *sessions, struct ferry_secret key);

/* After three wrong keys in a row nobody is let in, right key or not, for 1 s, then 2 s, up to a minute: the admin
 * address does not know who is asking, so all wait, and those who are in stay in. */
enum ferry_console_login { FERRY_LOGIN_ACCEPTED, FERRY_LOGIN_REFUSED, FERRY_LOGIN_HELD };
/* The key is compared in constant time. Accepted: `token` is filled. */
enum ferry_console_login ferry_console_log_in(struct ferry_console_sessions *sessions, struct ferry_slice key,
                                              int64_t now_ms, char token[FERRY_CONSOLE_TOKEN]);
/* Seconds until somebody may try again, 0: at once. */
int64_t ferry_console_held_seconds(const struct ferry_console_sessions *sessions, int64_t now_ms);
/* Is this the token of a session? */
bool ferry_console_is_in(const struct ferry_console_sessions *sessions, struct ferry_slice token, int64_t now_ms);
void ferry_console_log_out(struct ferry_console_sessions *sessions, struct ferry_slice token);

#endif
