/* Rules of the workers' sections and their routes. */
#include <stdio.h>

#include "core/catalog.h"
#include "core/config_check.h"
#include "core/config_shape.h"
#include "core/names.h"
#include "core/route.h"

static const char *const http_schemes[] = {"https", "http", NULL};

/* ---- what workers and routes share ---- */

void ferry_config_inherit_worker(struct ferry_config_reader *reader, void *target)
{
    *(struct ferry_worker_config *)target = reader->config->worker;
}

void ferry_config_check_lookup(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_lookup_config *lookup = target;
    if (ferry_config_has(node, "tenant") && lookup->tenant != NULL)
        ferry_config_check_tenant(reader, node, lookup->tenant, false);
}

void ferry_config_begin_route(struct ferry_config_reader *reader, void *target)
{
    (void)target;
    reader->names = 0;
}

/* Routes begin with struct ferry_route_config, whatever the worker. */
static void note_names(const struct ferry_config_reader *reader, struct ferry_route_config *route)
{
    route->names = reader->names;
    route->when_names = route->when.text != NULL ? ferry_names_mentioned(route->when.text) : 0;
}

/* Names change, and ids stand in for them: two events would be the same today and different tomorrow. */
static void check_identity(struct ferry_config_reader *reader, const struct ferry_route_config *route)
{
    for (size_t i = 0; i < route->once_per_count; i++)
        if (route->once_per[i].text != NULL && ferry_names_mentioned(route->once_per[i].text) != 0)
            ferry_config_error(
                reader, route->once_per[i].place,
                "once_per speaks of a name, which may change or be missing; what is looked up identifies "
                "nothing, use the id, like .userid");
}

/* A route that hopes for names where nobody looks them up. */
static void warn_of_names(struct ferry_config_reader *reader, const struct ferry_route_config *route)
{
    enum ferry_name_kind kind = FERRY_NAME_USER;
    while ((route->names & 1U << kind) == 0)
        kind++;
    ferry_config_warning(
        reader, route->place,
        "speaks of .%s, which is absent: names are added where `lookup` says where to ask for them (in "
        "worker, or here)",
        ferry_name_word(kind));
}

static void check_names(struct ferry_config_reader *reader, const struct ferry_worker_config *worker,
                        const void *routes, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        const struct ferry_route_config *route = (const void *)((const char *)routes + i * size);
        if (route->names == 0)
            continue;
        size_t before = ferry_config_enter(reader, "routes", 0);
        ferry_config_enter(reader, NULL, i);
        if (worker->lookup.tenant == NULL)
            warn_of_names(reader, route);
        else
            check_identity(reader, route);
        ferry_config_leave(reader, before);
    }
}

void ferry_config_check_worker(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_worker_config *worker = target;
    if (ferry_config_has(node, "retry") && worker->retry_first_ms > worker->retry_max_ms)
        ferry_config_error_at(reader, node, "retry", "first is longer than max");
    bool ages = ferry_config_has(node, "max_age") || ferry_config_has(node, "dedupe_window");
    if (ages && (worker->max_age_ms == 0 || worker->max_age_ms > worker->dedupe_window_ms))
        ferry_config_warning_at(reader, node, ferry_config_has(node, "max_age") ? "max_age" : "dedupe_window",
                                "an event may come again after its effect is forgotten: max_age should not be longer "
                                "than dedupe_window");
}

/* May one of the doors or triggers of this file bring an event that the glob means? */
static bool comes_from_elsewhere(const struct ferry_bridge_config *bridge, const char *glob)
{
    for (size_t i = 0; i < bridge->trigger_count; i++) {
        char name[128] = "trigger.";
        if (bridge->triggers[i].name == NULL)
            continue;
        strncat(name, bridge->triggers[i].name, sizeof name - strlen(name) - 1);
        if (ferry_glob_match(glob, ferry_slice_from(name)))
            return true;
    }
    for (size_t i = 0; i < bridge->webhook_count; i++) {
        const struct ferry_webhook_config *door = &bridge->webhooks[i];
        for (size_t k = 0; k < door->events.count && door->format != FERRY_DOOR_QLIK; k++)
            if (ferry_glob_match(door->events.items[k], ferry_slice_from(glob)) ||
                ferry_glob_match(glob, ferry_slice_from(door->events.items[k])))
                return true;
    }
    return false;
}

/* A type where a canonical name belongs is the likeliest mistake of all; then a misspelt name. */
static void warn_of_unknown(struct ferry_config_reader *reader, struct ferry_place place, const char *glob)
{
    struct ferry_slice canonical = ferry_catalog_canonical(ferry_slice_from(glob));
    const char *nearest = ferry_catalog_nearest(glob);
    if (!ferry_slice_is(canonical, glob))
        ferry_config_warning(reader, place, "\"%s\" is a type, routes go by canonical names: %.*s", glob,
                             FERRY_SLICE_ARGS(canonical));
    else if (nearest != NULL)
        ferry_config_warning(reader, place, "\"%s\" matches no known event, did you mean %s?", glob, nearest);
    else
        ferry_config_warning(reader, place, "\"%s\" matches no known event, `ferry catalog` lists them", glob);
}

static void check_events(struct ferry_config_reader *reader, const struct ferry_yaml_node *route)
{
    const struct ferry_yaml_member *events = ferry_yaml_get(route, "events");
    if (events == NULL || events->value->kind != FERRY_YAML_LIST)
        return;
    if (events->value->count == 0)
        ferry_config_error_at(reader, route, "events", "is empty, the route would never take place");
    size_t before = ferry_config_enter(reader, "events", 0);
    for (size_t i = 0; i < events->value->count; i++) {
        const struct ferry_yaml_node *item = events->value->items[i];
        if (item->kind != FERRY_YAML_SCALAR || !ferry_shape_glob.good(item->text))
            continue;
        const char *glob = item->text.ptr;
        if (ferry_catalog_match_count(glob) == 0 && !comes_from_elsewhere(&reader->config->bridge, glob))
            warn_of_unknown(reader, ferry_config_place(reader, item), glob);
    }
    ferry_config_leave(reader, before);
}

/* Does a route of one of the workers take this event? */
static bool is_taken(const struct ferry_config *config, const char *canonical)
{
    for (const char *const *worker = ferry_worker_names; *worker != NULL; worker++) {
        const struct ferry_route_config *route;
        for (size_t r = 0; (route = ferry_config_route(config, *worker, r)) != NULL; r++)
            for (size_t i = 0; i < route->events.count; i++)
                if (ferry_glob_match(route->events.items[i], ferry_slice_from(canonical)))
                    return true;
    }
    return false;
}

void ferry_config_check_taken(struct ferry_config_reader *reader, const struct ferry_config *config)
{
    const struct ferry_bridge_config *bridge = &config->bridge;
    if (!config->slack.worker.present && !config->mail.worker.present && !config->automation.worker.present)
        return;
    for (size_t i = 0; i < bridge->trigger_count; i++) {
        char name[FERRY_EVENT_NAME];
        if (bridge->triggers[i].name == NULL || bridge->triggers[i].name[0] == '\0')
            continue;
        snprintf(name, sizeof name, "trigger.%s", bridge->triggers[i].name);
        if (!is_taken(config, name))
            ferry_config_warning(reader, bridge->triggers[i].place,
                                 "no route takes %s: calls are published, and nothing is started", name);
    }
}

static void check_url(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *key,
                      struct ferry_slice url, bool insecure)
{
    const char *problem = url.len > 0 ? ferry_config_url_problem(url, http_schemes, 1, insecure) : NULL;
    if (problem != NULL)
        ferry_config_error_at(reader, node, key, "the URL %s, allowed is https://, or insecure: true", problem);
}

/* Routes begin with struct ferry_route_config, whatever the worker. */
static void check_route_names(struct ferry_config_reader *reader, const void *routes, size_t count, size_t size)
{
    ferry_config_check_names(
        reader, &(struct ferry_config_names){routes, count, size, offsetof(struct ferry_route_config, name),
                                             offsetof(struct ferry_route_config, place), "routes", "name"});
}

/* ---- Slack ---- */

void ferry_config_check_slack_route(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                    void *target)
{
    struct ferry_slack_route *route = target;
    bool webhook = ferry_config_has(node, "webhook"), channel = ferry_config_has(node, "channel");
    note_names(reader, &route->common);
    check_events(reader, node);
    if (webhook == channel)
        ferry_config_error_at(reader, node, webhook ? "channel" : "webhook",
                              "%s, allowed is exactly one: webhook, or channel with token",
                              webhook ? "stands beside webhook" : "is missing");
    if (channel != ferry_config_has(node, "token"))
        ferry_config_error_at(reader, node, "token",
                              channel ? "is missing, channel needs a bot token" : "has no meaning without channel");
    check_url(reader, node, "webhook", ferry_secret_slice(route->webhook), route->insecure);
    check_url(reader, node, "api", ferry_slice_from(route->api), route->insecure);
}

void ferry_config_check_slack(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_slack_config *slack = target;
    ferry_config_check_worker(reader, node, target);
    check_route_names(reader, slack->routes, slack->route_count, sizeof slack->routes[0]);
    check_names(reader, &slack->worker, slack->routes, slack->route_count, sizeof slack->routes[0]);
}

/* ---- mail ---- */

void ferry_config_check_mail_route(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    struct ferry_mail_route *route = target;
    note_names(reader, &route->common);
    check_events(reader, node);
}

void ferry_config_check_smtp(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    static const char *const schemes[] = {"smtps", "smtp", NULL};
    const struct ferry_smtp_config *smtp = target;
    struct ferry_slice url = ferry_slice_from(smtp->url);
    bool says_smtps = ferry_slice_starts_nocase(url, "smtps:");
    const char *problem =
        url.len > 0 ? ferry_config_url_problem(url, schemes, 1, smtp->tls_required || smtp->insecure) : NULL;
    if (problem != NULL)
        ferry_config_error_at(
            reader, node, "url",
            "the URL %s, allowed is smtps://host:465, smtp://host:587 with tls: required, or insecure: "
            "true",
            problem);
    else if (says_smtps && !smtp->tls_required)
        ferry_config_error_at(reader, node, "tls", "none: smtps:// is TLS from the first byte, use smtp:// without it");
    bool user = ferry_config_has(node, "username"), password = ferry_config_has(node, "password");
    if (user != password)
        ferry_config_error_at(reader, node, user ? "password" : "username", "is missing beside %s",
                              user ? "username" : "password");
}

void ferry_config_check_mail(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_mail_config *mail = target;
    const struct ferry_yaml_member *domains = ferry_yaml_get(node, "recipient_domains");
    ferry_config_check_worker(reader, node, target);
    if (domains != NULL && domains->value->kind == FERRY_YAML_LIST && domains->value->count == 0)
        ferry_config_error_at(reader, node, "recipient_domains",
                              "is empty, no mail could go anywhere; name domains, or \"*\" for any");
    check_route_names(reader, mail->routes, mail->route_count, sizeof mail->routes[0]);
    check_names(reader, &mail->worker, mail->routes, mail->route_count, sizeof mail->routes[0]);
}

/* ---- automation ---- */

void ferry_config_check_qlik_call(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_qlik_call *call = target;
    if (call->wait_finished && !ferry_config_has(node, "auth"))
        ferry_config_error_at(reader, node, "auth", "is missing, wait: finished looks at the run and has to log in");
}

/* Scheme and host must be literal, so that no event can choose where a request goes: what stands before the first hole
 * is looked at, and a hole must come after the host has ended. */
static void check_request_url(struct ferry_config_reader *reader, const struct ferry_yaml_node *route,
                              const struct ferry_automation_route *call)
{
    const struct ferry_yaml_member *request = ferry_yaml_get(route, "request");
    const char *url = call->request.url.text;
    if (url == NULL || request == NULL)
        return;
    const char *hole = strstr(url, "\\("), *authority = strstr(url, "://");
    struct ferry_slice literal = ferry_slice_of(url, hole != NULL ? (size_t)(hole - url) : strlen(url));
    size_t before = ferry_config_enter(reader, "request", 0);
    if (hole != NULL &&
        (authority == NULL || strpbrk(authority + 3, "/?#") == NULL || strpbrk(authority + 3, "/?#") > hole))
        ferry_config_error_at(reader, request->value, "url",
                              "has a hole in its host, which no event may choose: write scheme and host out");
    else
        check_url(reader, request->value, "url", literal, call->insecure);
    ferry_config_leave(reader, before);
}

void ferry_config_check_automation_route(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                                         void *target)
{
    struct ferry_automation_route *route = target;
    bool qlik = ferry_config_has(node, "qlik"), request = ferry_config_has(node, "request");
    route->is_qlik = qlik;
    note_names(reader, &route->common);
    check_events(reader, node);
    if (qlik == request)
        ferry_config_error_at(reader, node, qlik ? "request" : "qlik", "%s, allowed is exactly one of qlik and request",
                              qlik ? "stands beside qlik" : "is missing");
    if (ferry_config_has(node, "input") && !qlik)
        ferry_config_error_at(reader, node, "input", "has no meaning without qlik; the body of a request is `json`");
    if (qlik) {
        size_t before = ferry_config_enter(reader, "qlik", 0);
        ferry_config_check_tenant(reader, ferry_yaml_get(node, "qlik")->value, route->qlik.tenant, route->insecure);
        ferry_config_leave(reader, before);
    }
    check_request_url(reader, node, route);
    ferry_config_check_loop(reader, node, route);
}

void ferry_config_check_automation(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, void *target)
{
    const struct ferry_automation_config *automation = target;
    ferry_config_check_worker(reader, node, target);
    check_route_names(reader, automation->routes, automation->route_count, sizeof automation->routes[0]);
    check_names(reader, &automation->worker, automation->routes, automation->route_count, sizeof automation->routes[0]);
}
