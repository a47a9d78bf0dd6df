/* One name, from the question to what is kept of the answer:
 *
 *   (not there) ─ask─▶ WANTED ─a place under way─▶ ASKED ─2xx─▶ KNOWN for an hour
 *                        ▲  │                        │ └─403, 404 …─▶ UNKNOWN for a minute
 *                        │  └─ a token is fetched    └─anything else─▶ UNKNOWN for some seconds, and a failure
 *                        └──── first, all wait for it
 *
 * Three failures in a row, or one 429, and nothing is asked until the pause is over; what is known stays known. */
#include "consumers/lookup.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "consumers/login.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    UNDER_WAY = 16,
    TIMEOUT_MS = 5000, /* an answer that is late for everybody still fills the table */
    KNOWN_MS = 3600 * 1000,
    UNKNOWN_MS = 60 * 1000,
    FAILED_MS = 5 * 1000,
    PAUSE_MAX_MS = 5 * 60 * 1000,
    NAME_MAX = 1024 /* bytes; what is longer is no name */
};

struct ferry_lookup {
    struct ferry_lookup_listener listener;
    struct ferry_client *client; /* NULL: nothing to look up */
    struct ferry_series *failures[FERRY_NAMES];
    pthread_mutex_t lock;
    const struct ferry_lookup_config *config;
    char *tenant;   /* without a slash at its end */
    unsigned epoch; /* of the tenant: answers of the one before are ignored */
    struct ferry_name_cache cache;
    struct ferry_known_name *wanted; /* the line, and where it ends */
    struct ferry_known_name **wanted_end;
    size_t under_way;
    bool logging_in;
    int failures_in_a_row;
    int64_t paused_until_ms;
};

/* One exchange under way. */
struct question {
    struct ferry_lookup *lookup;
    unsigned epoch;
    bool is_login;
    enum ferry_name_kind kind;
    char id[FERRY_NAME_ID];
};

/* ---- failures ---- */

/* The lock is held. What waits in the line is given up: nobody shall wait for what is not asked. */
static void pause_lookups(struct ferry_lookup *lookup, int64_t pause_ms, const char *why)
{
    int64_t now_ms = ferry_clock_mono_ms();
    lookup->failures_in_a_row = 0;
    lookup->paused_until_ms = now_ms + pause_ms;
    for (struct ferry_known_name *known = lookup->wanted; known != NULL; known = known->next)
        ferry_name_cache_settle(known, NULL, lookup->paused_until_ms);
    lookup->wanted = NULL;
    lookup->wanted_end = &lookup->wanted;
    ferry_log(FERRY_LOG_WARN, "names cannot be looked up, ids stand in for some time",
              FERRY_FIELDS(ferry_text("reason", why), ferry_number("seconds", pause_ms / 1000)));
}

/* The lock is held. */
static void note_failure(struct ferry_lookup *lookup, const char *why)
{
    bool paused = ferry_clock_mono_ms() < lookup->paused_until_ms;
    if (!paused && ++lookup->failures_in_a_row >= FERRY_LOOKUP_FAILURES)
        pause_lookups(lookup, FERRY_LOOKUP_PAUSE_MS, why);
}

void ferry_lookup_missed(struct ferry_lookup *lookup, enum ferry_name_kind kind, bool late)
{
    ferry_series_add(lookup->failures[kind], 1);
    pthread_mutex_lock(&lookup->lock);
    if (late)
        note_failure(lookup, "the answers are late");
    pthread_mutex_unlock(&lookup->lock);
}

/* ---- questions ---- */

static void take_answer(void *context, const struct ferry_answer *answer);

static enum ferry_code describe(const struct ferry_lookup *lookup, const struct question *question,
                                struct ferry_effect *effect)
{
    static const char *const collections[FERRY_NAMES] = {
        [FERRY_NAME_USER] = "users", [FERRY_NAME_SPACE] = "spaces", [FERRY_NAME_APP] = "apps"};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_printf(&url, "%s/api/v1/%s/%s", lookup->tenant, collections[question->kind], question->id);
    return url.failed ? FERRY_MEMORY : ferry_effect_request(effect, "GET", ferry_buffer_slice(&url), TIMEOUT_MS);
}

/* The lock is held; the client's callback, on its own thread, waits for it. */
static bool send(struct ferry_lookup *lookup, const struct question *question, struct ferry_effect *effect)
{
    struct question *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return false;
    *copy = *question;
    if (ferry_effect_submit(lookup->client, effect, take_answer, copy, NULL) == FERRY_OK)
        return true;
    free(copy);
    return false;
}

static bool log_in(struct ferry_lookup *lookup)
{
    FERRY_CLEANUP(ferry_effect_done) struct ferry_effect effect;
    const struct question question = {.lookup = lookup, .epoch = lookup->epoch, .is_login = true};
    ferry_effect_init(&effect);
    lookup->logging_in = ferry_login_request(lookup->tenant, &lookup->config->auth, &effect) == FERRY_OK &&
                         send(lookup, &question, &effect);
    return lookup->logging_in;
}

enum sent { SENT, NOT_SENT, NEEDS_LOGIN };

static enum sent send_question(struct ferry_lookup *lookup, const struct ferry_known_name *known)
{
    FERRY_CLEANUP(ferry_effect_done) struct ferry_effect effect;
    struct question question = {.lookup = lookup, .epoch = lookup->epoch, .kind = known->kind};
    memcpy(question.id, known->id, sizeof question.id);
    ferry_effect_init(&effect);
    if (!ferry_login_authorize(lookup->tenant, &lookup->config->auth, &effect))
        return NEEDS_LOGIN;
    bool sent = describe(lookup, &question, &effect) == FERRY_OK && send(lookup, &question, &effect);
    return sent ? SENT : NOT_SENT;
}

/* Sends as much of the line as may be under way. The lock is held. */
static void send_wanted(struct ferry_lookup *lookup)
{
    while (lookup->wanted != NULL && lookup->under_way < UNDER_WAY && !lookup->logging_in) {
        struct ferry_known_name *known = lookup->wanted;
        enum sent sent = send_question(lookup, known);
        if (sent == NEEDS_LOGIN && log_in(lookup))
            return;
        lookup->wanted = known->next;
        if (lookup->wanted == NULL)
            lookup->wanted_end = &lookup->wanted;
        known->next = NULL;
        known->state = FERRY_NAME_ASKED;
        lookup->under_way += sent == SENT;
        if (sent != SENT)
            ferry_name_cache_settle(known, NULL, ferry_clock_mono_ms() + FAILED_MS);
    }
}

/* The lock is held. False when there is no room. */
static bool want(struct ferry_lookup *lookup, enum ferry_name_kind kind, struct ferry_slice id, int64_t now_ms)
{
    struct ferry_known_name *known = ferry_name_cache_add(&lookup->cache, kind, id, now_ms);
    if (known == NULL)
        return false;
    *lookup->wanted_end = known;
    lookup->wanted_end = &known->next;
    send_wanted(lookup);
    return known->state == FERRY_NAME_WANTED || known->state == FERRY_NAME_ASKED;
}

/* The lock is held. */
static enum ferry_lookup_result ask(struct ferry_lookup *lookup, enum ferry_name_kind kind, struct ferry_slice id,
                                    struct ferry_buffer *json)
{
    int64_t now_ms = ferry_clock_mono_ms();
    const struct ferry_known_name *known = ferry_name_cache_find(&lookup->cache, kind, id, now_ms);
    if (known != NULL && known->state == FERRY_NAME_KNOWN) {
        ferry_buffer_add_text(json, known->json);
        return FERRY_LOOKUP_FOUND;
    }
    if (now_ms < lookup->paused_until_ms || (known != NULL && known->state == FERRY_NAME_UNKNOWN))
        return FERRY_LOOKUP_NONE;
    return known != NULL || want(lookup, kind, id, now_ms) ? FERRY_LOOKUP_PENDING : FERRY_LOOKUP_NONE;
}

enum ferry_lookup_result ferry_lookup_ask(struct ferry_lookup *lookup, enum ferry_name_kind kind, struct ferry_slice id,
                                          struct ferry_buffer *json)
{
    if (!ferry_name_id_valid(id))
        return FERRY_LOOKUP_NONE;
    pthread_mutex_lock(&lookup->lock);
    enum ferry_lookup_result result =
        lookup->client != NULL && lookup->tenant != NULL ? ask(lookup, kind, id, json) : FERRY_LOOKUP_NONE;
    pthread_mutex_unlock(&lookup->lock);
    return result;
}

/* ---- answers ---- */

static const char *text_of(const json_t *object, const char *member)
{
    const json_t *text = json_object_get(object, member);
    size_t len = json_string_length(text);
    return len > 0 && len <= NAME_MAX ? json_string_value(text) : NULL;
}

static void add_member(struct ferry_buffer *json, const char *before, const char *text)
{
    ferry_buffer_add_text(json, before);
    if (text != NULL)
        ferry_buffer_add_json_string(json, ferry_slice_from(text));
    else
        ferry_buffer_add_text(json, "null");
}

static void add_named(enum ferry_name_kind kind, const char *id, const char *name, const char *email,
                      struct ferry_buffer *json)
{
    add_member(json, "{\"id\":", id);
    add_member(json, ",\"name\":", name);
    if (kind == FERRY_NAME_USER)
        add_member(json, ",\"email\":", email);
    ferry_buffer_add_char(json, '}');
}

void ferry_lookup_stand_in(enum ferry_name_kind kind, struct ferry_slice id, struct ferry_buffer *json)
{
    char *text = strndup(id.ptr, id.len);
    add_named(kind, text, text, NULL, json);
    free(text);
}

/* What is kept of a resource, malloc'ed; NULL if it has no name. An app's is among its attributes. */
static char *read_name(const struct question *question, struct ferry_slice body)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer json;
    ferry_buffer_init(&json, 16 * 1024);
    json_t *resource = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    const char *name = text_of(resource, "name");
    if (name == NULL)
        name = text_of(json_object_get(resource, "attributes"), "name");
    if (name != NULL)
        add_named(question->kind, question->id, name, text_of(resource, "email"), &json);
    json_decref(resource);
    return name != NULL ? ferry_buffer_take(&json) : NULL;
}

/* No such resource, or not for our eyes: an answer like another. */
static bool is_no(int status)
{
    return status == 400 || status == 403 || status == 404 || status == 410;
}

/* The lock is held. */
static void fail(struct ferry_lookup *lookup, const struct ferry_answer *answer)
{
    char why[64];
    snprintf(why, sizeof why, answer->status != 0 ? "status %d" : "no answer", answer->status);
    if (answer->status == 401)
        ferry_login_forget(lookup->tenant, &lookup->config->auth);
    if (answer->status == 429) {
        int64_t pause_ms =
            answer->retry_after_ms > FERRY_LOOKUP_PAUSE_MS ? answer->retry_after_ms : FERRY_LOOKUP_PAUSE_MS;
        pause_lookups(lookup, pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS, why);
        return;
    }
    note_failure(lookup, why);
}

/* The lock is held. */
static void settle_name(struct ferry_lookup *lookup, const struct question *question, const struct ferry_answer *answer)
{
    int64_t now_ms = ferry_clock_mono_ms();
    bool good = answer->exchange == FERRY_EXCHANGE_ANSWERED && answer->status / 100 == 2;
    bool answered = good || is_no(answer->status);
    struct ferry_known_name *known =
        ferry_name_cache_find(&lookup->cache, question->kind, ferry_slice_from(question->id), now_ms);
    char *json = good ? read_name(question, answer->body) : NULL;
    lookup->under_way--;
    if (known != NULL)
        ferry_name_cache_settle(known, json, now_ms + (json != NULL ? KNOWN_MS : answered ? UNKNOWN_MS : FAILED_MS));
    else
        free(json);
    if (answered)
        lookup->failures_in_a_row = 0;
    else
        fail(lookup, answer);
}

/* The lock is held. */
static void settle_login(struct ferry_lookup *lookup, const struct ferry_answer *answer)
{
    bool good = answer->exchange == FERRY_EXCHANGE_ANSWERED && answer->status / 100 == 2;
    lookup->logging_in = false;
    if (!good || !ferry_login_keep(lookup->tenant, &lookup->config->auth, answer->body, ferry_clock_mono_ms()))
        pause_lookups(lookup, FERRY_LOOKUP_PAUSE_MS, "the login was refused");
}

static void take_answer(void *context, const struct ferry_answer *answer)
{
    struct question *question = context;
    struct ferry_lookup *lookup = question->lookup;
    pthread_mutex_lock(&lookup->lock);
    bool current = question->epoch == lookup->epoch;
    if (current && question->is_login)
        settle_login(lookup, answer);
    else if (current)
        settle_name(lookup, question, answer);
    if (current)
        send_wanted(lookup);
    pthread_mutex_unlock(&lookup->lock);
    if (current && !question->is_login)
        lookup->listener.settled(lookup->listener.context,
                                 ferry_name_key(question->kind, ferry_slice_from(question->id)));
    free(question);
}

/* ---- life ---- */

struct ferry_lookup *ferry_lookup_new(struct ferry_metrics *metrics, const struct ferry_lookup_listener *listener)
{
    static const char *const labels[] = {"kind", NULL};
    struct ferry_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    lookup->listener = *listener;
    lookup->wanted_end = &lookup->wanted;
    pthread_mutex_init(&lookup->lock, NULL);
    struct ferry_metric *family = metrics != NULL
                                      ? ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_lookup_failures_total",
                                                             "Effects in which an id stood in for its name", labels)
                                      : NULL;
    for (unsigned kind = 0; kind < FERRY_NAMES && family != NULL; kind++) {
        struct ferry_slice word = ferry_slice_from(ferry_name_word(kind));
        lookup->failures[kind] = ferry_metric_series(family, &word);
    }
    return lookup;
}

void ferry_lookup_free(struct ferry_lookup *lookup)
{
    if (lookup == NULL)
        return;
    ferry_client_stop(lookup->client); /* what is under way calls back, and is not sent anew */
    ferry_name_cache_done(&lookup->cache);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup->tenant);
    free(lookup);
}

/* The lock is held. `tenant` NULL: none from now on. */
static enum ferry_code change_tenant(struct ferry_lookup *lookup, const char *tenant, struct ferry_error *error)
{
    struct ferry_slice text = tenant != NULL ? ferry_slice_from(tenant) : (struct ferry_slice){0};
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    if (lookup->tenant != NULL && tenant != NULL && ferry_slice_is(text, lookup->tenant))
        return FERRY_OK;
    char *copy = tenant != NULL ? strndup(text.ptr, text.len) : NULL;
    if (copy == NULL && tenant != NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    free(lookup->tenant);
    lookup->tenant = copy;
    lookup->epoch++;
    lookup->wanted = NULL;
    lookup->wanted_end = &lookup->wanted;
    lookup->under_way = 0;
    lookup->logging_in = false;
    ferry_name_cache_done(&lookup->cache);
    return FERRY_OK;
}

enum ferry_code ferry_lookup_use(struct ferry_lookup *lookup, const struct ferry_lookup_config *config,
                                 const char *ca_file, struct ferry_error *error)
{
    if (lookup == NULL)
        return FERRY_OK;
    pthread_mutex_lock(&lookup->lock);
    lookup->config = config;
    lookup->failures_in_a_row = 0;
    lookup->paused_until_ms = 0; /* the new one may have brought the cure */
    enum ferry_code code = change_tenant(lookup, config->tenant, error);
    if (code == FERRY_OK && config->tenant != NULL && lookup->client == NULL)
        code = ferry_client_start(ca_file, &lookup->client, error);
    pthread_mutex_unlock(&lookup->lock);
    return code;
}
