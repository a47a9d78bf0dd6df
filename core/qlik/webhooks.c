#include "core/qlik/webhooks.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

enum {
    PAGES_MAX = 1000,      /* nobody has more: a list that does not end is none */
    ANSWER_MAX = 64 << 20, /* of deliveries, with their bodies */
    LINK_MAX = 64 * 1024,
    SUCCESSES_MAX = 20000,     /* deliveries that are looked through for events that failed before */
    RESEND_TIMEOUT_MS = 60000, /* the tenant delivers before it answers */
};

/* ---- one call ---- */

/* Text of a peer, for one line of people's. */
static void add_words(struct ferry_buffer *out, const char *text)
{
    for (; *text != '\0'; text++)
        ferry_buffer_add_char(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

/* {"errors":[{"title":…,"detail":…}]} as ": title: detail". */
static void add_reason(struct ferry_buffer *out, const struct ferry_tenant_answer *answer)
{
    json_t *root = answer->body.ptr != NULL ? json_loadb(answer->body.ptr, answer->body.len, 0, NULL) : NULL;
    const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
    static const char *const members[] = {"title", "detail"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *text = json_string_value(json_object_get(first, members[i]));
        if (text == NULL)
            continue;
        ferry_buffer_add_text(out, ": ");
        add_words(out, text);
    }
    json_decref(root);
}

static const char *cure_of(int status)
{
    static const struct {
        int status;
        const char *cure;
    } cures[] = {
        {401, "; the key is wrong, ended or revoked; make a new one"},
        {403, "; the key is good, but its user may not do this: webhooks of a tenant need the role TenantAdmin"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
        if (cures[i].status == status)
            return cures[i].cure;
    return "";
}

static enum ferry_code judge(const struct ferry_tenant_answer *answer, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer reason;
    ferry_buffer_init(&reason, 64 * 1024);
    if (answer->status / 100 == 2)
        return FERRY_OK;
    add_reason(&reason, answer);
    bool busy = answer->status == 408 || answer->status == 429 || answer->status >= 500;
    return ferry_fail(error, busy ? FERRY_HTTP_BUSY : FERRY_HTTP_REFUSED, "the tenant answered %d%.300s%s",
                      answer->status, reason.ptr != NULL ? reason.ptr : "", cure_of(answer->status));
}

static enum ferry_code not_documented(struct ferry_error *error, const char *what)
{
    return ferry_fail(error, FERRY_JSON_INVALID, "an answer that is not the webhooks API's: %s", what);
}

/* `*root` (may be NULL: its answer has no body) is the caller's. */
static enum ferry_code call(struct ferry_tenant *tenant, const struct ferry_tenant_request *request, json_t **root,
                            struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_tenant_answer_done) struct ferry_tenant_answer answer = {0};
    enum ferry_code code = ferry_tenant_call(tenant, request, &answer, error);
    if (code == FERRY_OK)
        code = judge(&answer, error);
    if (code != FERRY_OK || root == NULL)
        return code;
    *root = json_loadb(answer.body.ptr != NULL ? answer.body.ptr : "", answer.body.len, 0, NULL);
    return *root != NULL ? FERRY_OK : not_documented(error, "no JSON");
}

/* ---- lists ---- */

/* Takes the elements of one page; `*more` false: no further page is wanted. */
typedef enum ferry_code visit_fn(void *context, const json_t *item, bool *more, struct ferry_error *error);

static enum ferry_code visit_page(const json_t *page, visit_fn *visit, void *context, bool *more,
                                  struct ferry_error *error)
{
    const json_t *data = json_object_get(page, "data"), *item;
    size_t i;
    if (!json_is_array(data))
        return not_documented(error, "there is no array data in it");
    *more = *more && json_array_size(data) > 0;
    enum ferry_code code = FERRY_OK;
    json_array_foreach (data, i, item)
        if (*more && code == FERRY_OK)
            code = visit(context, item, more, error);
    return code;
}

/* The elements of all pages; links are followed as they are given. */
static enum ferry_code list(struct ferry_tenant *tenant, const char *path, visit_fn *visit, void *context,
                            struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer link;
    ferry_buffer_init(&link, LINK_MAX);
    ferry_buffer_add_text(&link, path);
    enum ferry_code code = FERRY_OK;
    bool more = true;
    for (int pages = 0; code == FERRY_OK && more; pages++) {
        const struct ferry_tenant_request request = {.method = "GET", .link = link.ptr, .answer_max = ANSWER_MAX};
        json_t *page = NULL;
        if (link.failed || pages == PAGES_MAX)
            return not_documented(error, "a list that does not end");
        code = call(tenant, &request, &page, error);
        if (code == FERRY_OK)
            code = visit_page(page, visit, context, &more, error);
        const char *next =
            json_string_value(json_object_get(json_object_get(json_object_get(page, "links"), "next"), "href"));
        more = more && next != NULL && next[0] != '\0';
        ferry_buffer_clear(&link);
        ferry_buffer_add_text(&link, more ? next : "");
        json_decref(page);
    }
    return code;
}

/* The member as a text in the arena, "" where there is none; NULL when memory ran out. */
static const char *text_of(const json_t *object, const char *member, struct ferry_arena *arena)
{
    const char *text = json_string_value(json_object_get(object, member));
    return ferry_arena_text(arena, ferry_slice_from(text != NULL ? text : ""));
}

/* The texts of an array. False when memory ran out. */
static bool texts_of(const json_t *array, struct ferry_arena *arena, struct ferry_strings *texts)
{
    const char **items = ferry_arena_new_array(arena, json_array_size(array) + 1, sizeof *items);
    const json_t *item;
    size_t i, count = 0;
    if (items == NULL)
        return false;
    json_array_foreach (array, i, item)
        if (json_is_string(item) &&
            (items[count++] = ferry_arena_text(arena, ferry_slice_from(json_string_value(item)))) == NULL)
            return false;
    *texts = (struct ferry_strings){items, count};
    return true;
}

/* It becomes a part of a path. */
static bool is_id(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return id != NULL && id[0] != '\0' && id[strspn(id, allowed)] == '\0';
}

/* ---- webhooks ---- */

struct gathering {
    struct ferry_arena *arena;
    struct ferry_qlik_webhook *items;
    size_t count, room;
};

static enum ferry_code take_webhook(void *context, const json_t *item, bool *more, struct ferry_error *error)
{
    struct gathering *gathering = context;
    (void)more;
    if (!is_id(json_string_value(json_object_get(item, "id"))))
        return FERRY_OK;
    if (gathering->count == gathering->room) {
        size_t room = gathering->room > 0 ? 2 * gathering->room : 32;
        struct ferry_qlik_webhook *items = ferry_arena_new_array(gathering->arena, room, sizeof *items);
        if (items == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
        if (gathering->count > 0)
            memcpy(items, gathering->items, gathering->count * sizeof *items);
        gathering->items = items;
        gathering->room = room;
    }
    struct ferry_qlik_webhook webhook = {.id = text_of(item, "id", gathering->arena),
                                         .name = text_of(item, "name", gathering->arena),
                                         .url = text_of(item, "url", gathering->arena),
                                         .enabled = !json_is_false(json_object_get(item, "enabled")),
                                         .disabled_reason = text_of(item, "disabledReason", gathering->arena),
                                         .secret_added = json_is_true(json_object_get(item, "secretKeyAdded"))};
    if (webhook.id == NULL || webhook.name == NULL || webhook.url == NULL || webhook.disabled_reason == NULL ||
        !texts_of(json_object_get(item, "eventTypes"), gathering->arena, &webhook.events) ||
        !texts_of(json_object_get(item, "encryptedHeaders"), gathering->arena, &webhook.encrypted_headers))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    gathering->items[gathering->count++] = webhook;
    return FERRY_OK;
}

enum ferry_code ferry_qlik_webhooks_list(struct ferry_tenant *tenant, struct ferry_arena *arena,
                                         struct ferry_qlik_webhooks *webhooks, struct ferry_error *error)
{
    struct gathering gathering = {.arena = arena};
    enum ferry_code code = list(tenant, "/api/v1/webhooks?limit=100", take_webhook, &gathering, error);
    if (code == FERRY_OK)
        *webhooks = (struct ferry_qlik_webhooks){gathering.items, gathering.count};
    return code;
}

/* The names of the elements. */
static enum ferry_code take_names(const json_t *data, struct ferry_arena *arena, struct ferry_strings *names,
                                  struct ferry_error *error)
{
    const char **items = ferry_arena_new_array(arena, json_array_size(data) + 1, sizeof *items);
    size_t count = 0, i;
    const json_t *item;
    if (!json_is_array(data))
        return not_documented(error, "there is no array data in it");
    if (items == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    json_array_foreach (data, i, item)
        if (json_is_string(json_object_get(item, "name")) && (items[count++] = text_of(item, "name", arena)) == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *names = (struct ferry_strings){items, count};
    return FERRY_OK;
}

enum ferry_code ferry_qlik_webhooks_types(struct ferry_tenant *tenant, struct ferry_arena *arena,
                                          struct ferry_strings *types, struct ferry_error *error)
{
    const struct ferry_tenant_request request = {.method = "GET", .link = "/api/v1/webhooks/event-types"};
    json_t *root = NULL;
    enum ferry_code code = call(tenant, &request, &root, error);
    if (code == FERRY_OK)
        code = take_names(json_object_get(root, "data"), arena, types, error);
    json_decref(root);
    return code;
}

enum ferry_code ferry_qlik_webhooks_create(struct ferry_tenant *tenant, struct ferry_slice body,
                                           struct ferry_arena *arena, const char **id, struct ferry_error *error)
{
    const struct ferry_tenant_request request = {.method = "POST", .link = "/api/v1/webhooks", .body = body};
    json_t *root = NULL;
    enum ferry_code code = call(tenant, &request, &root, error);
    const char *made = text_of(root, "id", arena);
    if (code == FERRY_OK && made == NULL)
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK && !is_id(made))
        code = not_documented(error, "a new webhook without an id");
    if (code == FERRY_OK)
        *id = made;
    json_decref(root);
    return code;
}

enum ferry_code ferry_qlik_webhooks_patch(struct ferry_tenant *tenant, const char *id, struct ferry_slice body,
                                          struct ferry_error *error)
{
    char link[256];
    snprintf(link, sizeof link, "/api/v1/webhooks/%s", id);
    const struct ferry_tenant_request request = {.method = "PATCH", .link = link, .body = body};
    return call(tenant, &request, NULL, error);
}

bool ferry_qlik_webhook_is_under(const char *url, const char *public_url)
{
    size_t len = strlen(public_url);
    len -= len > 0 && public_url[len - 1] == '/';
    return strncmp(url, public_url, len) == 0 && (url[len] == '\0' || strchr("/?", url[len]) != NULL);
}

/* ---- deliveries ----
 *
 * A delivery that failed stays in the list as failed, whatever comes later: what is still missing are the events of
 * failed deliveries without those of good ones. Both lists are read from the newest on; of the good ones no further
 * than to the oldest failure. */

struct search {
    json_t *missing; /* event id → {"id": delivery, "at": milliseconds} of its newest failure */
    size_t looked_at, max;
    size_t successes;  /* that were looked at */
    int64_t oldest_ms; /* of the failures */
};

/* The event's id as it stands in the payload, which is an object or a text; else the delivery's. A new reference. */
static json_t *event_of(const json_t *delivery)
{
    static const char *const members[] = {"id", "eventId"};
    json_t *body = json_incref(json_object_get(json_object_get(delivery, "request"), "body"));
    if (json_is_string(body)) {
        json_t *parsed = json_loads(json_string_value(body), 0, NULL);
        json_decref(body);
        body = parsed;
    }
    json_t *id = NULL;
    for (size_t i = 0; id == NULL && i < sizeof members / sizeof members[0]; i++)
        if (json_string_length(json_object_get(body, members[i])) > 0)
            id = json_incref(json_object_get(body, members[i]));
    json_decref(body);
    return id != NULL ? id : json_incref(json_object_get(delivery, "id"));
}

static int64_t time_of(const json_t *delivery)
{
    const char *text = json_string_value(json_object_get(delivery, "triggeredAt"));
    int64_t at_ms = 0;
    return text != NULL && ferry_time_parse(ferry_slice_from(text), &at_ms) ? at_ms : 0;
}

static enum ferry_code take_failure(void *context, const json_t *item, bool *more, struct ferry_error *error)
{
    struct search *search = context;
    const json_t *id = json_object_get(item, "id");
    if (!is_id(json_string_value(id)))
        return FERRY_OK;
    json_t *event = event_of(item);
    int64_t at_ms = time_of(item);
    bool known = json_object_get(search->missing, json_string_value(event)) != NULL;
    bool kept = known || json_object_set_new(search->missing, json_string_value(event),
                                             json_pack("{s:O, s:I}", "id", id, "at", (json_int_t)at_ms)) == 0;
    json_decref(event);
    search->oldest_ms = at_ms;
    *more = ++search->looked_at < search->max;
    return kept ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code take_success(void *context, const json_t *item, bool *more, struct ferry_error *error)
{
    struct search *search = context;
    (void)error;
    json_t *event = event_of(item);
    if (json_is_string(event))
        json_object_del(search->missing, json_string_value(event));
    json_decref(event);
    *more = time_of(item) >= search->oldest_ms && json_object_size(search->missing) > 0 &&
            ++search->successes < SUCCESSES_MAX;
    return FERRY_OK;
}

static int compare_times(const void *a, const void *b)
{
    const struct ferry_qlik_failure *x = a, *y = b;
    return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

static enum ferry_code hand_out(json_t *missing, struct ferry_arena *arena, struct ferry_qlik_failures *failures,
                                struct ferry_error *error)
{
    struct ferry_qlik_failure *items = ferry_arena_new_array(arena, json_object_size(missing) + 1, sizeof *items);
    const char *event;
    json_t *failure;
    size_t count = 0;
    bool good = items != NULL;
    json_object_foreach (missing, event, failure) {
        if (!good)
            break;
        items[count] = (struct ferry_qlik_failure){.id = text_of(failure, "id", arena),
                                                   .event = ferry_arena_text(arena, ferry_slice_from(event)),
                                                   .at_ms = json_integer_value(json_object_get(failure, "at"))};
        good = items[count].id != NULL && items[count].event != NULL;
        count++;
    }
    if (!good)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    qsort(items, count, sizeof *items, compare_times);
    *failures = (struct ferry_qlik_failures){items, count};
    return FERRY_OK;
}

static enum ferry_code list_deliveries(struct ferry_tenant *tenant, const char *webhook, const char *status,
                                       visit_fn *visit, struct search *search, struct ferry_error *error)
{
    char path[256];
    snprintf(path, sizeof path, "/api/v1/webhooks/%.100s/deliveries?status=%s&sort=-triggeredAt&limit=100", webhook,
             status);
    return list(tenant, path, visit, search, error);
}

enum ferry_code ferry_qlik_webhooks_failures(struct ferry_tenant *tenant, const char *webhook, size_t max,
                                             struct ferry_arena *arena, struct ferry_qlik_failures *failures,
                                             struct ferry_error *error)
{
    struct search search = {.missing = json_object(), .max = max};
    enum ferry_code code = search.missing != NULL ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (code == FERRY_OK)
        code = list_deliveries(tenant, webhook, "fail", take_failure, &search, error);
    if (code == FERRY_OK && json_object_size(search.missing) > 0)
        code = list_deliveries(tenant, webhook, "success", take_success, &search, error);
    if (code == FERRY_OK)
        code = hand_out(search.missing, arena, failures, error);
    json_decref(search.missing);
    return code;
}

static void read_resent(const json_t *delivery, struct ferry_qlik_resent *resent)
{
    const json_t *status = json_object_get(json_object_get(delivery, "response"), "statusCode");
    const char *word = json_string_value(json_object_get(delivery, "status"));
    const char *message = json_string_value(json_object_get(delivery, "statusMessage"));
    *resent = (struct ferry_qlik_resent){.arrived = word != NULL && strcmp(word, "success") == 0};
    if (resent->arrived)
        return;
    if (json_is_integer(status))
        snprintf(resent->why, sizeof resent->why, "status %d", (int)json_integer_value(status));
    else
        snprintf(resent->why, sizeof resent->why, "%s", message != NULL ? message : "no answer");
}

enum ferry_code ferry_qlik_webhooks_resend(struct ferry_tenant *tenant, const char *webhook, const char *delivery,
                                           struct ferry_qlik_resent *resent, struct ferry_error *error)
{
    char link[384];
    snprintf(link, sizeof link, "/api/v1/webhooks/%.100s/deliveries/%.100s/actions/resend", webhook, delivery);
    const struct ferry_tenant_request request = {.method = "POST", .link = link, .timeout_ms = RESEND_TIMEOUT_MS};
    json_t *root = NULL;
    enum ferry_code code = call(tenant, &request, &root, error);
    if (code == FERRY_OK)
        read_resent(root, resent);
    json_decref(root);
    return code;
}
