/* Routes that would feed themselves: Qlik reports the end of every run of an automation, also of those that a route
 * started, and a route that takes `automation.run.ended` could start the next one with it.
 *
 * Its `when` has to leave them out. Whether it does is not read from its text but tried: with the ends of the
 * automation's own runs, all of Qlik's words for how a run ended and where it was started from. If it takes one of
 * them, the route is refused. */
#include <stdio.h>

#include "core/catalog.h"
#include "core/config_check.h"
#include "core/template.h"

static const char ended[] = "automation.run.ended";

/* How a run ends, and from where one can be started that the route did not start by hand. */
static const char *const statuses[] = {"finished",  "finished with warnings", "failed", "stopped",
                                       "must stop", "exceeded limit"};
static const char *const contexts[] = {"api_sync", "api_async", "webhook", "triggered"};
enum { STATUSES = sizeof statuses / sizeof statuses[0], CONTEXTS = sizeof contexts / sizeof contexts[0] };

/* ---- which automation ---- */

/* The ID in a literal …/api/v1/automations/ID/…; absent where a hole decides it. */
static struct ferry_slice automation_in_url(const char *url)
{
    static const char before[] = "/api/v1/automations/";
    const char *at = url != NULL ? strstr(url, before) : NULL;
    if (at == NULL)
        return (struct ferry_slice){0};
    at += sizeof before - 1;
    struct ferry_slice id = ferry_slice_of(at, strcspn(at, "/?#"));
    bool has_hole = memmem(id.ptr, id.len, "\\(", 2) != NULL;
    return has_hole ? (struct ferry_slice){0} : id;
}

static bool runs_automations(const struct ferry_automation_route *route)
{
    const char *url = route->request.url.text;
    return route->is_qlik || (url != NULL && strstr(url, "/api/v1/automations/") != NULL);
}

static struct ferry_slice automation_of(const struct ferry_automation_route *route)
{
    return route->is_qlik ? ferry_slice_from(route->qlik.automation) : automation_in_url(route->request.url.text);
}

/* ---- the trial ---- */

/* A `when` that fails makes a dead letter of the event, and no call. */
static bool takes(struct ferry_expression *when, struct ferry_slice automation, const char *status, const char *context)
{
    char data[256];
    int len = snprintf(data, sizeof data,
                       "{\"id\":\"run\",\"title\":\"run\",\"status\":\"%s\",\"context\":\"%s\",\"ownerId\":\"owner\","
                       "\"startTime\":\"2026-01-01T00:00:00Z\",\"stopTime\":\"2026-01-01T00:00:01Z\"}",
                       status, context);
    struct ferry_pair extensions[] = {{FERRY_SLICE("toplevelresourceid"), automation},
                                      {FERRY_SLICE("tenantid"), FERRY_SLICE("tenant")},
                                      {FERRY_SLICE("userid"), FERRY_SLICE("user")},
                                      {FERRY_SLICE("ownerid"), FERRY_SLICE("owner")}};
    const struct ferry_event event = {
        .id = FERRY_SLICE("event"),
        .source = FERRY_SLICE("com.qlik/automations"),
        .type = FERRY_SLICE("com.qlik.v1.automation.run.ended"),
        .time = FERRY_SLICE("2026-01-01T00:00:01Z"),
        .datacontenttype = FERRY_SLICE("application/json"),
        .extensions = extensions,
        .extension_count = sizeof extensions / sizeof extensions[0],
        .data_kind = FERRY_DATA_JSON,
        .data = ferry_slice_of(data, (size_t)len),
        .canonical = ferry_slice_from(ended),
    };
    struct ferry_view *view = NULL;
    bool wanted = false;
    if (ferry_view_new(&event, &view, NULL) == FERRY_OK && ferry_expression_true(when, view, &wanted, NULL) != FERRY_OK)
        wanted = false;
    ferry_view_free(view);
    return wanted;
}

/* The end of an own run that the `when` takes, as words for the message; NULL: it takes none, or does not compile,
 * which is said elsewhere. */
static const char *own_run_taken(const char *source, struct ferry_slice automation)
{
    struct ferry_expression *when = NULL;
    const char *taken = NULL;
    if (ferry_expression_new(source, &when, NULL) != FERRY_OK)
        return NULL;
    for (size_t i = 0; i < STATUSES && taken == NULL; i++)
        for (size_t k = 0; k < CONTEXTS && taken == NULL; k++)
            if (takes(when, automation, statuses[i], contexts[k]))
                taken = statuses[i];
    ferry_expression_free(when);
    return taken;
}

/* ---- the finding ---- */

static void refuse(struct ferry_config_reader *reader, const struct ferry_yaml_node *node, const char *glob,
                   struct ferry_slice automation)
{
    ferry_config_error_at(reader, node, "events",
                          "\"%s\" takes %s, which Qlik sends for the runs that this route starts: it would feed "
                          "itself. Add a `when` that leaves them out, like when: .toplevelresourceid != \"%.*s\"",
                          glob, ended, FERRY_SLICE_ARGS(automation.len > 0 ? automation : FERRY_SLICE("ID")));
}

void ferry_config_check_loop(struct ferry_config_reader *reader, const struct ferry_yaml_node *node,
                             const struct ferry_automation_route *route)
{
    size_t i = 0;
    while (i < route->common.events.count && !ferry_glob_match(route->common.events.items[i], ferry_slice_from(ended)))
        i++;
    if (i == route->common.events.count || !runs_automations(route))
        return;
    struct ferry_slice automation = automation_of(route);
    if (!ferry_config_has(node, "when")) {
        refuse(reader, node, route->common.events.items[i], automation);
        return;
    }
    if (!reader->own || automation.len == 0 || route->common.when.text == NULL)
        return;
    const char *taken = own_run_taken(route->common.when.text, automation);
    if (taken != NULL)
        ferry_config_error_at(reader, node, "when",
                              "takes the end (%s) of runs that this route starts: it would feed itself. Leave them "
                              "out, like .toplevelresourceid != \"%.*s\" and …",
                              taken, FERRY_SLICE_ARGS(automation));
}
