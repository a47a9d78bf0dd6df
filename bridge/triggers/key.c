/* Which key a request shows: in the path, in X-Ferry-Key, as Authorization: Bearer, or as the password of basic
 * authorization, whose user says nothing. Several fields may show one, since a proxy may have a password of its own:
 * one right key is enough. What stands in the path stands alone: a revoked or misspelt key there is not made good by
 * the password that a browser adds by itself.
 *
 * Every configured key of the trigger is compared, in a time that does not depend on what was shown. Whoever shows
 * wrong keys waits (backoff); who shows none does not: a browser's first request has none, and is told by the
 * 401 to ask for one. */
#include "bridge/triggers/inside.h"
#include "core/base64.h"
#include "core/derived_key.h"

enum { SHOWN = 3, KEY_MAX_BYTES = 1024 };

struct shown {
    struct {
        struct ferry_slice text;
        enum ferry_trigger_way way;
    } keys[SHOWN];
    size_t count;
};

/* ---- what is shown ---- */

static void add(struct shown *shown, struct ferry_slice text, enum ferry_trigger_way way)
{
    if (text.len == 0 || text.len > KEY_MAX_BYTES || shown->count == SHOWN)
        return;
    shown->keys[shown->count].text = text;
    shown->keys[shown->count++].way = way;
}

/* "Bearer KEY": what stands behind the scheme, without blanks; absent for another scheme. */
static struct ferry_slice credentials(struct ferry_slice value, const char *scheme)
{
    size_t len = strlen(scheme);
    if (value.len <= len || !ferry_slice_starts_nocase(value, scheme) || value.ptr[len] != ' ')
        return (struct ferry_slice){NULL, 0};
    return ferry_slice_trim(ferry_slice_skip(value, len));
}

static bool add_password(struct shown *shown, struct ferry_slice encoded, struct ferry_arena *arena)
{
    size_t room = ferry_base64_room(encoded.len), len;
    if (encoded.len == 0 || room > 2 * KEY_MAX_BYTES)
        return true;
    char *text = ferry_arena_new(arena, room);
    if (text == NULL)
        return false;
    if (!ferry_base64_decode(encoded, text, room, &len))
        return true;
    const char *colon = memchr(text, ':', len);
    if (colon != NULL)
        add(shown, ferry_slice_skip(ferry_slice_of(text, len), (size_t)(colon + 1 - text)), FERRY_KEY_AS_PASSWORD);
    return true;
}

/* False when memory ran out. A field that is there twice shows nothing. */
static bool gather(const struct ferry_trigger_call *call, struct shown *shown)
{
    struct ferry_pairs headers = call->request.in->headers;
    *shown = (struct shown){.count = 0};
    add(shown, call->path.key, FERRY_KEY_IN_PATH);
    if (call->path.key.len > 0)
        return true;
    if (ferry_pairs_count(headers, "X-Ferry-Key") == 1)
        add(shown, ferry_pairs_get(headers, "X-Ferry-Key"), FERRY_KEY_IN_HEADER);
    if (ferry_pairs_count(headers, "Authorization") != 1)
        return true;
    struct ferry_slice authorization = ferry_pairs_get(headers, "Authorization");
    add(shown, credentials(authorization, "Bearer"), FERRY_KEY_IN_HEADER);
    return add_password(shown, credentials(authorization, "Basic"), call->request.arena);
}

/* ---- whose it is ---- */

/* All of them, also after one has matched. */
static const struct ferry_trigger_key *find_configured(const struct ferry_trigger_config *trigger,
                                                       struct ferry_slice text)
{
    const struct ferry_trigger_key *found = NULL;
    for (size_t i = 0; i < trigger->key_count; i++) {
        const struct ferry_trigger_key *key = &trigger->keys[i];
        if (ferry_equal_constant_time(text, ferry_secret_slice(key->secret)))
            found = key;
    }
    return found;
}

static enum ferry_code take_configured(struct ferry_trigger_call *call, const struct ferry_trigger_key *key,
                                       bool in_path, struct ferry_error *error)
{
    if (in_path && !key->in_url)
        return ferry_fail(error, FERRY_KEY_WRONG, "the key %s may not stand in a URL (in_url)", key->name);
    call->key = key;
    call->caller = ferry_slice_from(key->name);
    return FERRY_OK;
}

/* A key of the kit is called by the key it derives from, and its label. */
static enum ferry_code take_derived(struct ferry_trigger_call *call, const struct ferry_derived_key *derived,
                                    struct ferry_error *error)
{
    if (derived->revoked)
        return ferry_fail(error, FERRY_KEY_WRONG, "the kit's key %.*s is revoked", FERRY_SLICE_ARGS(derived->label));
    if (call->path.place == FERRY_TRIGGER_KIT)
        return ferry_fail(error, FERRY_KEY_WRONG, "a key of the kit does not open the kit");
    size_t parent = strlen(derived->parent->name), len = parent + 1 + derived->label.len;
    char *caller = ferry_arena_new(call->request.arena, len);
    if (caller == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    memcpy(caller, derived->parent->name, parent);
    caller[parent] = '/';
    memcpy(caller + parent + 1, derived->label.ptr, derived->label.len);
    call->key = derived->parent;
    call->label = ferry_slice_of(caller + parent + 1, derived->label.len);
    call->caller = ferry_slice_of(caller, len);
    return FERRY_OK;
}

static enum ferry_code look_up(struct ferry_trigger_call *call, struct ferry_slice text, enum ferry_trigger_way way,
                               struct ferry_error *error)
{
    call->way = way;
    const struct ferry_trigger_config *trigger = call->trigger->config;
    const struct ferry_trigger_key *configured = find_configured(trigger, text);
    struct ferry_derived_key derived;
    bool is_derived = ferry_derived_key_verify(trigger, text, &derived);
    if (configured != NULL)
        return take_configured(call, configured, way == FERRY_KEY_IN_PATH, error);
    if (is_derived)
        return take_derived(call, &derived, error);
    return ferry_fail(error, FERRY_KEY_WRONG, "a wrong key");
}

/* ---- the check ---- */

static void note(const struct ferry_trigger_call *call, bool right)
{
    const struct ferry_trigger_request *request = &call->request;
    if (!request->has_client)
        return;
    if (right)
        ferry_backoff_right(call->shared->backoff, &request->client, call->trigger->config->name);
    else
        ferry_backoff_wrong(call->shared->backoff, &request->client, call->trigger->config->name, request->in->mono_ms);
}

enum ferry_code ferry_trigger_check_key(struct ferry_trigger_call *call, struct ferry_error *error)
{
    const struct ferry_trigger_request *request = &call->request;
    struct shown shown;
    if (!gather(call, &shown))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (shown.count == 0)
        return ferry_fail(error, FERRY_KEY_MISSING, "no key");
    if (request->has_client)
        call->retry_after_ms = ferry_backoff_wait(call->shared->backoff, &request->client, call->trigger->config->name,
                                                  request->in->mono_ms);
    if (call->retry_after_ms > 0)
        return ferry_fail(error, FERRY_KEY_BLOCKED, "too many wrong keys from this address");
    enum ferry_code code = FERRY_KEY_WRONG;
    for (size_t i = 0; code == FERRY_KEY_WRONG && i < shown.count; i++)
        code = look_up(call, shown.keys[i].text, shown.keys[i].way, error);
    if (code == FERRY_OK || code == FERRY_KEY_WRONG)
        note(call, code == FERRY_OK);
    return code;
}

enum ferry_code ferry_trigger_check_token(struct ferry_trigger_call *call, struct ferry_error *error)
{
    const struct ferry_trigger_config *trigger = call->trigger->config;
    for (size_t i = 0; i < trigger->key_count; i++) {
        char genuine[FERRY_TRIGGER_TOKEN + 1];
        if (trigger->keys[i].secret.ptr != NULL &&
            ferry_trigger_run_token(trigger, &trigger->keys[i], call->path.run, genuine) &&
            ferry_equal_constant_time(call->path.token, ferry_slice_of(genuine, FERRY_TRIGGER_TOKEN)))
            call->key = &trigger->keys[i];
    }
    return call->key != NULL ? FERRY_OK : ferry_fail(error, FERRY_NOT_FOUND, "no such run");
}
