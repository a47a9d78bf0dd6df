#include "bridge/console/session.h"

#include <sys/random.h>

#include "core/base64.h"
#include "core/signature.h"

enum { RANDOM_BYTES = 32, FREE_FAILURES = 3, LONGEST_S = 60 };

static void end_all(struct ferry_console_sessions *sessions)
{
    explicit_bzero(sessions->items, sizeof sessions->items);
}

void ferry_console_sessions_done(struct ferry_console_sessions *sessions)
{
    end_all(sessions);
    ferry_secret_done(&sessions->key);
}

void ferry_console_sessions_use(struct ferry_console_sessions *sessions, struct ferry_secret key)
{
    if (sessions->key.ptr != NULL &&
        ferry_equal_constant_time(ferry_secret_slice(sessions->key), ferry_secret_slice(key)))
        return;
    end_all(sessions);
    ferry_secret_done(&sessions->key);
    sessions->key = ferry_secret_copy(ferry_secret_slice(key));
}

/* ---- coming in ---- */

int64_t ferry_console_held_seconds(const struct ferry_console_sessions *sessions, int64_t now_ms)
{
    int64_t left_ms = sessions->closed_until_ms - now_ms;
    return left_ms > 0 ? (left_ms + 999) / 1000 : 0;
}

static void note_failure(struct ferry_console_sessions *sessions, int64_t now_ms)
{
    sessions->failures++;
    if (sessions->failures < FREE_FAILURES)
        return;
    unsigned doublings = sessions->failures - FREE_FAILURES;
    int64_t seconds = doublings < 6 ? INT64_C(1) << doublings : LONGEST_S;
    sessions->closed_until_ms = now_ms + (seconds < LONGEST_S ? seconds : LONGEST_S) * 1000;
}

static bool make_token(char token[FERRY_CONSOLE_TOKEN])
{
    _Static_assert(FERRY_CONSOLE_TOKEN == FERRY_BASE64URL_LEN(RANDOM_BYTES) + 1, "a token holds its random bytes");
    char random[RANDOM_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    ferry_base64url_encode(ferry_slice_of(random, sizeof random), token);
    explicit_bzero(random, sizeof random);
    return true;
}

enum ferry_console_login ferry_console_log_in(struct ferry_console_sessions *sessions, struct ferry_slice key,
                                              int64_t now_ms, char token[FERRY_CONSOLE_TOKEN])
{
    if (ferry_console_held_seconds(sessions, now_ms) > 0)
        return FERRY_LOGIN_HELD;
    if (sessions->key.len == 0 || !ferry_equal_constant_time(key, ferry_secret_slice(sessions->key)) ||
        !make_token(token)) {
        note_failure(sessions, now_ms);
        return FERRY_LOGIN_REFUSED;
    }
    size_t place = 0; /* a free one, else that of the oldest */
    for (size_t i = 1; i < FERRY_CONSOLE_SESSIONS; i++)
        if (sessions->items[i].until_ms < sessions->items[place].until_ms)
            place = i;
    memcpy(sessions->items[place].token, token, FERRY_CONSOLE_TOKEN);
    sessions->items[place].until_ms = now_ms + FERRY_CONSOLE_HOURS * INT64_C(3600000);
    sessions->failures = 0;
    return FERRY_LOGIN_ACCEPTED;
}

/* ---- being in ---- */

/* All are looked at, whichever it is. -1: none. */
static int find(const struct ferry_console_sessions *sessions, struct ferry_slice token)
{
    int found = -1;
    for (int i = 0; i < FERRY_CONSOLE_SESSIONS; i++)
        if (ferry_equal_constant_time(token, ferry_slice_of(sessions->items[i].token, FERRY_CONSOLE_TOKEN - 1)) &&
            sessions->items[i].until_ms > 0)
            found = i;
    return found;
}

bool ferry_console_is_in(const struct ferry_console_sessions *sessions, struct ferry_slice token, int64_t now_ms)
{
    int place = find(sessions, token);
    return place >= 0 && sessions->items[place].until_ms > now_ms;
}

void ferry_console_log_out(struct ferry_console_sessions *sessions, struct ferry_slice token)
{
    int place = find(sessions, token);
    if (place >= 0)
        explicit_bzero(&sessions->items[place], sizeof sessions->items[place]);
}
