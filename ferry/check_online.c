#include "ferry/check_online.h"

#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/buffer.h"
#include "core/kafka/admin.h"
#include "core/net/client.h"
#include "core/route.h"

enum { TIMEOUT_MS = 10000, REQUEST_MAX_BYTES = 64 * 1024 };

struct visit {
    const struct ferry_config *config;
    struct ferry_client *client;
    FILE *out;
    bool failed;
};

/* "ok" or "--" (not tried) or "BAD", who it is about, and what was found. */
static void say(struct visit *visit, const char *mark, const char *who, const char *format, ...) FERRY_PRINTF(4, 5);

static void say(struct visit *visit, const char *mark, const char *who, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(visit->out, "%-4s %s: ", mark, who);
    vfprintf(visit->out, format, args);
    fputc('\n', visit->out);
    va_end(args);
}

static void say_bad(struct visit *visit, const char *who, const char *what, const char *cure)
{
    visit->failed = true;
    say(visit, "BAD", who, "%s; %s", what, cure);
}

/* ---- one exchange, waited for ---- */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool done;
    enum ferry_exchange exchange;
    int status;
    char reason[512];
    struct ferry_buffer body;
};

static void waiting_init(struct waiting *waiting)
{
    *waiting = (struct waiting){.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};
    ferry_buffer_init(&waiting->body, REQUEST_MAX_BYTES);
}

static void waiting_done(struct waiting *waiting)
{
    ferry_buffer_done(&waiting->body);
}

static void take_answer(void *context, const struct ferry_answer *answer)
{
    struct waiting *waiting = context;
    pthread_mutex_lock(&waiting->lock);
    waiting->exchange = answer->exchange;
    waiting->status = answer->status;
    snprintf(waiting->reason, sizeof waiting->reason, "%s", answer->reason != NULL ? answer->reason : "no answer");
    ferry_buffer_add(&waiting->body, answer->body);
    waiting->done = true;
    pthread_cond_signal(&waiting->came);
    pthread_mutex_unlock(&waiting->lock);
}

/* After a submit that gave `code`; false if no status came, with the reason in `waiting`. */
static bool wait_for(struct waiting *waiting, enum ferry_code code, const struct ferry_error *error)
{
    if (code != FERRY_OK) {
        snprintf(waiting->reason, sizeof waiting->reason, "%s", error->text);
        return false;
    }
    pthread_mutex_lock(&waiting->lock);
    while (!waiting->done)
        pthread_cond_wait(&waiting->came, &waiting->lock);
    pthread_mutex_unlock(&waiting->lock);
    return waiting->exchange == FERRY_EXCHANGE_ANSWERED;
}

static void wipe_text(struct ferry_buffer *buffer)
{
    if (buffer->ptr != NULL)
        explicit_bzero(buffer->ptr, buffer->len);
    ferry_buffer_done(buffer);
}

/* `authorization` NULL: without; `type` NULL: no body. */
static bool call(struct visit *visit, const char *method, const char *url, const char *authorization, const char *type,
                 struct ferry_slice body, struct waiting *waiting)
{
    struct ferry_pair headers[2];
    size_t count = 0;
    struct ferry_error error = {0};
    if (authorization != NULL)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("Authorization"), ferry_slice_from(authorization)};
    if (type != NULL)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("Content-Type"), ferry_slice_from(type)};
    const struct ferry_http_request request = {.method = method,
                                               .url = url,
                                               .headers = headers,
                                               .header_count = count,
                                               .body = body,
                                               .timeout_ms = TIMEOUT_MS};
    return wait_for(waiting, ferry_client_http(visit->client, &request, take_answer, waiting, &error), &error);
}

/* The text member of a JSON object into `out`; false if there is none. */
static bool json_text(const struct ferry_buffer *body, const char *member, struct ferry_buffer *out)
{
    json_t *root = json_loadb(body->ptr != NULL ? body->ptr : "", body->len, 0, NULL);
    const char *text = json_string_value(json_object_get(root, member));
    if (text != NULL)
        ferry_buffer_add_text(out, text);
    json_decref(root);
    return text != NULL;
}

static bool json_is_ok(const struct ferry_buffer *body)
{
    json_t *root = json_loadb(body->ptr != NULL ? body->ptr : "", body->len, 0, NULL);
    bool ok = json_is_true(json_object_get(root, "ok"));
    json_decref(root);
    return ok;
}

/* ---- Kafka ---- */

static void say_topics(struct visit *visit, const char *who, const struct ferry_topic_result *results, size_t count)
{
    size_t missing = 0, bad = 0;
    for (size_t i = 0; i < count; i++) {
        missing += results[i].state == FERRY_TOPIC_MISSING;
        if (results[i].state != FERRY_TOPIC_DENIED && results[i].state != FERRY_TOPIC_FAILED)
            continue;
        bad++;
        say_bad(visit, results[i].name, "topic refused", results[i].reason);
    }
    if (missing > 0 && visit->config->topics.create == FERRY_CREATE_NEVER)
        say_bad(visit, who, "topics are missing and topics.create is never",
                "create them, or say topics.create: known");
    else if (bad == 0)
        say(visit, "ok", who, "answers; of %zu topics %zu are there, %zu will be created", count, count - missing,
            missing);
}

static void visit_kafka(struct visit *visit, const char *who, struct ferry_properties overrides)
{
    struct ferry_topic_set *set = ferry_topic_set_new(visit->config);
    struct ferry_topic_list topics = set != NULL ? ferry_topic_set_list(set) : (struct ferry_topic_list){NULL, 0};
    struct ferry_topic_result *results = calloc(topics.count + 1, sizeof *results);
    struct ferry_error error = {0};
    if (set == NULL || results == NULL)
        say_bad(visit, who, "no memory", "try again");
    else if (ferry_admin_look(visit->config, overrides, topics, TIMEOUT_MS, results, &error) != FERRY_OK)
        say_bad(visit, who, error.text, "is bootstrap.servers right, and may this machine reach it?");
    else
        say_topics(visit, who, results, topics.count);
    free(results);
    ferry_topic_set_free(set);
}

static void visit_all_kafka(struct visit *visit, unsigned sections)
{
    const struct ferry_config *config = visit->config;
    const struct {
        unsigned section;
        const char *who;
        struct ferry_properties overrides;
    } users[] = {
        {FERRY_SECTION_BRIDGE, "Kafka with bridge.kafka", config->bridge.kafka},
        {FERRY_SECTION_SLACK, "Kafka with slack.kafka", config->slack.worker.kafka},
        {FERRY_SECTION_MAIL, "Kafka with mail.kafka", config->mail.worker.kafka},
        {FERRY_SECTION_AUTOMATION, "Kafka with automation.kafka", config->automation.worker.kafka},
    };
    visit_kafka(visit, "Kafka", (struct ferry_properties){NULL, 0});
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++)
        if ((sections & users[i].section) != 0 && users[i].overrides.count > 0)
            visit_kafka(visit, users[i].who, users[i].overrides);
}

/* ---- SMTP ---- */

static void probe_smtp(struct visit *visit, struct ferry_client *client, const struct ferry_smtp_config *smtp)
{
    const struct ferry_mail_request request = {.url = smtp->url,
                                               .username = smtp->username,
                                               .password = ferry_secret_slice(smtp->password),
                                               .tls_required = smtp->tls_required,
                                               .timeout_ms = TIMEOUT_MS};
    FERRY_CLEANUP(waiting_done) struct waiting waiting;
    struct ferry_error error = {0};
    waiting_init(&waiting);
    bool answered =
        wait_for(&waiting, ferry_client_smtp_probe(client, &request, take_answer, &waiting, &error), &error);
    if (answered && waiting.status < 400)
        say(visit, "ok", "SMTP", "%s%s", smtp->url, smtp->username != NULL ? ", logged in" : "");
    else if (waiting.status == 535 || waiting.status == 530 || waiting.status == 534)
        say_bad(visit, "SMTP", waiting.reason, "are mail.smtp.username and password right?");
    else
        say_bad(visit, "SMTP", waiting.reason, "are mail.smtp.url, tls and ca_file right?");
}

/* A server with trust anchors of its own is visited by a client of its own. */
static void visit_smtp(struct visit *visit, const struct ferry_smtp_config *smtp)
{
    struct ferry_client *client = NULL;
    struct ferry_error error = {0};
    if (smtp->ca == NULL) {
        probe_smtp(visit, visit->client, smtp);
    } else if (ferry_client_start(smtp->ca, &client, &error) != FERRY_OK) {
        say_bad(visit, "SMTP", error.text, "is mail.smtp.ca right?");
    } else {
        probe_smtp(visit, client, smtp);
        ferry_client_stop(client);
    }
}

/* ---- Slack ---- */

static void visit_slack_route(struct visit *visit, const struct ferry_slack_route *route)
{
    char who[128];
    snprintf(who, sizeof who, "Slack, route %s", route->common.name);
    if (route->channel == NULL) {
        say(visit, "--", who, "a webhook cannot be tried without a message, so it was not");
        return;
    }
    FERRY_CLEANUP(wipe_text) struct ferry_buffer authorization;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer reason;
    FERRY_CLEANUP(waiting_done) struct waiting waiting;
    ferry_buffer_init(&authorization, REQUEST_MAX_BYTES);
    ferry_buffer_init(&url, REQUEST_MAX_BYTES);
    ferry_buffer_init(&reason, 256);
    waiting_init(&waiting);
    ferry_buffer_printf(&authorization, "Bearer %s", route->token.ptr);
    ferry_buffer_printf(&url, "%s/auth.test", route->api);
    if (!call(visit, "POST", url.ptr, authorization.ptr, "application/x-www-form-urlencoded", FERRY_SLICE(""),
              &waiting))
        say_bad(visit, who, waiting.reason, "may this machine reach Slack?");
    else if (json_is_ok(&waiting.body))
        say(visit, "ok", who, "the token is good");
    else
        say_bad(visit, who, json_text(&waiting.body, "error", &reason) ? reason.ptr : "no answer of Slack's Web API",
                "is the bot token right, and has it chat:write?");
}

/* ---- Qlik ---- */

/* The access token of client credentials, appended to `out`. */
static bool fetch_oauth_token(struct visit *visit, const char *tenant, const struct ferry_auth *auth,
                              struct waiting *waiting, struct ferry_buffer *out)
{
    FERRY_CLEANUP(wipe_text) struct ferry_buffer body;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&body, REQUEST_MAX_BYTES);
    ferry_buffer_init(&url, REQUEST_MAX_BYTES);
    ferry_buffer_printf(&url, "%s/oauth/token", tenant);
    ferry_buffer_add_text(&body, "{\"grant_type\":\"client_credentials\",\"client_id\":");
    ferry_buffer_add_json_string(&body, ferry_slice_from(auth->client_id));
    ferry_buffer_add_text(&body, ",\"client_secret\":");
    ferry_buffer_add_json_string(&body, ferry_secret_slice(auth->client_secret));
    ferry_buffer_add_char(&body, '}');
    return call(visit, "POST", url.ptr, NULL, "application/json", ferry_buffer_slice(&body), waiting) &&
           waiting->status == 200 && json_text(&waiting->body, "access_token", out);
}

static void add_basic(const struct ferry_auth *auth, struct ferry_buffer *out)
{
    FERRY_CLEANUP(wipe_text) struct ferry_buffer pair;
    ferry_buffer_init(&pair, REQUEST_MAX_BYTES);
    ferry_buffer_printf(&pair, "%s:%s", auth->user, auth->password.ptr);
    ferry_base64_encode(ferry_buffer_slice(&pair), out);
}

/* The whole value of the header Authorization. */
static bool authorize(struct visit *visit, const char *tenant, const struct ferry_auth *auth, struct waiting *waiting,
                      struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, auth->kind == FERRY_AUTH_BASIC ? "Basic " : "Bearer ");
    if (auth->kind == FERRY_AUTH_OAUTH)
        return fetch_oauth_token(visit, tenant, auth, waiting, out);
    if (auth->kind == FERRY_AUTH_BASIC)
        add_basic(auth, out);
    else
        ferry_buffer_add(out, ferry_secret_slice(auth->api_key));
    return true;
}

/* What is asked of a tenant, and what a 403 to it means. */
struct question {
    const char *link;
    const char *good;
    const char *forbidden, *cure;
};

static const struct question who_am_i = {"/api/v1/users/me", "logged in", "the log-in is refused",
                                         "is auth right, and has its user the rights?"};
static const struct question any_audits = {"/api/v1/audits?limit=1", "logged in, and may read audits",
                                           "the log-in is good, but its user may not read audits",
                                           "it needs the role of a tenant or audit administrator"};

static void visit_tenant(struct visit *visit, const char *what, const char *tenant, const struct ferry_auth *auth,
                         const struct question *question)
{
    char who[256];
    snprintf(who, sizeof who, "%s, %s", what, tenant);
    if (auth->kind == FERRY_AUTH_NONE) {
        say(visit, "--", who, "without auth there is nothing to try but a run, so it was not tried");
        return;
    }
    FERRY_CLEANUP(wipe_text) struct ferry_buffer authorization;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    FERRY_CLEANUP(waiting_done) struct waiting login;
    FERRY_CLEANUP(waiting_done) struct waiting waiting;
    ferry_buffer_init(&authorization, REQUEST_MAX_BYTES);
    ferry_buffer_init(&url, REQUEST_MAX_BYTES);
    waiting_init(&login);
    waiting_init(&waiting);
    ferry_buffer_printf(&url, "%s%s", tenant, question->link);
    if (!authorize(visit, tenant, auth, &login, &authorization))
        say_bad(visit, who, login.status != 0 ? "no access token" : login.reason,
                "are client_id and client_secret right?");
    else if (!call(visit, "GET", url.ptr, authorization.ptr, NULL, FERRY_SLICE(""), &waiting))
        say_bad(visit, who, waiting.reason, "is the tenant's URL right?");
    else if (waiting.status == 200)
        say(visit, "ok", who, "%s", question->good);
    else if (waiting.status == 403)
        say_bad(visit, who, question->forbidden, question->cure);
    else if (waiting.status == 401)
        say_bad(visit, who, who_am_i.forbidden, who_am_i.cure);
    else {
        char answered[64];
        snprintf(answered, sizeof answered, "the tenant answered %d", waiting.status);
        say_bad(visit, who, answered, "is the tenant's URL right?");
    }
}

/* ---- all ---- */

static void visit_bridge(struct visit *visit)
{
    const struct ferry_bridge_config *bridge = &visit->config->bridge;
    for (size_t i = 0; i < bridge->audits_count; i++)
        visit_tenant(visit, "Audits API", bridge->audits[i].tenant, &bridge->audits[i].auth, &any_audits);
}

static void visit_lookup(struct visit *visit, const char *what, const struct ferry_worker_config *worker)
{
    if (worker->lookup.tenant != NULL)
        visit_tenant(visit, what, worker->lookup.tenant, &worker->lookup.auth, &who_am_i);
}

static void visit_slack(struct visit *visit)
{
    visit_lookup(visit, "names for slack", &visit->config->slack.worker);
    for (size_t i = 0; i < visit->config->slack.route_count; i++)
        visit_slack_route(visit, &visit->config->slack.routes[i]);
}

static void visit_mail(struct visit *visit)
{
    visit_lookup(visit, "names for mail", &visit->config->mail.worker);
    if (visit->config->mail.worker.present)
        visit_smtp(visit, &visit->config->mail.smtp);
}

static void visit_automation(struct visit *visit)
{
    visit_lookup(visit, "names for automation", &visit->config->automation.worker);
    char what[128];
    for (size_t i = 0; i < visit->config->automation.route_count; i++) {
        const struct ferry_automation_route *route = &visit->config->automation.routes[i];
        snprintf(what, sizeof what, "automation route %s", route->common.name);
        if (route->is_qlik)
            visit_tenant(visit, what, route->qlik.tenant, &route->qlik.auth, &who_am_i);
        else
            say(visit, "--", what, "a request cannot be tried without its effect, so it was not");
    }
}

bool ferry_check_online(const struct ferry_config *config, unsigned sections, FILE *out)
{
    static const struct {
        unsigned section;
        void (*visit)(struct visit *visit);
    } visits[] = {
        {FERRY_SECTION_BRIDGE, visit_bridge},
        {FERRY_SECTION_SLACK, visit_slack},
        {FERRY_SECTION_MAIL, visit_mail},
        {FERRY_SECTION_AUTOMATION, visit_automation},
    };
    struct visit visit = {.config = config, .out = out};
    struct ferry_error error = {0};
    visit_all_kafka(&visit, sections);
    if (ferry_client_start(config->ca, &visit.client, &error) != FERRY_OK) {
        say_bad(&visit, "network", error.text, "is ca_file right?");
        return false;
    }
    for (size_t i = 0; i < sizeof visits / sizeof visits[0]; i++)
        if ((sections & visits[i].section) != 0)
            visits[i].visit(&visit);
    ferry_client_stop(visit.client);
    return !visit.failed;
}
