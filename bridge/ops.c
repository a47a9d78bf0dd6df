#include "bridge/ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/tally.h"
#include "core/catalog.h"
#include "core/net/listener.h"

/* The families of requests and of the bridge as a whole; the parts keep their own. */
enum family {
    FAMILY_REQUESTS,
    FAMILY_EVENTS,
    FAMILY_REPAIRS,
    FAMILY_SIGNATURES,
    FAMILY_QUARANTINED,
    FAMILY_REFUSED,
    FAMILY_IN_FLIGHT,
    FAMILY_LAST_EVENT,
    FAMILY_CERTIFICATE,
    FAMILY_RELOAD,
    FAMILY_TOPICS,
    FAMILY_BUILD,
    FAMILY_COUNT
};

static const struct ferry_metric_row families[] = {
    [FAMILY_REQUESTS] = {FERRY_COUNTER,
                         "ferry_http_requests_total",
                         "Requests of the ingress by configured path and status",
                         {"path", "status"}},
    [FAMILY_EVENTS] = {FERRY_COUNTER,
                       "ferry_events_total",
                       "Events that reached Kafka, by canonical name and format",
                       {"event", "format"}},
    [FAMILY_REPAIRS] = {FERRY_COUNTER,
                        "ferry_repairs_total",
                        "What was mended in events that stray from the standard",
                        {"kind"}},
    [FAMILY_SIGNATURES] = {FERRY_COUNTER,
                           "ferry_signature_failures_total",
                           "Requests whose signature or key was refused",
                           {"path", "reason"}},
    [FAMILY_QUARANTINED] = {FERRY_COUNTER,
                            "ferry_quarantined_total",
                            "Requests that were signed but no event, kept in quarantine",
                            {"path"}},
    [FAMILY_REFUSED] = {FERRY_COUNTER,
                        "ferry_connections_refused_total",
                        "Connections closed at once because of a limit",
                        {"reason"}},
    [FAMILY_IN_FLIGHT] = {FERRY_GAUGE, "ferry_requests_in_flight", "Requests begun and not yet answered", {NULL}},
    [FAMILY_LAST_EVENT] = {FERRY_GAUGE,
                           "ferry_last_event_timestamp_seconds",
                           "When the last event of a path reached Kafka",
                           {"path"}},
    [FAMILY_CERTIFICATE] = {FERRY_GAUGE,
                            "ferry_certificate_expiry_timestamp_seconds",
                            "When the server's certificate ends",
                            {NULL}},
    [FAMILY_RELOAD] = {FERRY_GAUGE,
                       "ferry_config_reload_success",
                       "1 if the last reload of the configuration was good",
                       {NULL}},
    [FAMILY_TOPICS] = {FERRY_GAUGE,
                       "ferry_topics_missing",
                       "Topics that are to be there and are not, or may not be used",
                       {NULL}},
    [FAMILY_BUILD] = {FERRY_GAUGE, "ferry_build_info", "Always 1; what was built", {"version"}},
};

struct ferry_ops {
    struct ferry_metrics *metrics;
    struct ferry_metric *families[FAMILY_COUNT];
    struct ferry_tally tally;
    struct ferry_series *in_flight;
    struct ferry_listener *admin;
    struct ferry_publisher *publisher;
    atomic_bool serving;
    atomic_bool draining;
};

static struct ferry_series *series(struct ferry_ops *ops, enum family family, const char *first, const char *second)
{
    const struct ferry_slice values[] = {ferry_slice_from(first), ferry_slice_from(second)};
    return ferry_metric_series(ops->families[family], values);
}

struct ferry_ops *ferry_ops_new(void)
{
    struct ferry_ops *ops = calloc(1, sizeof *ops);
    if (ops == NULL || (ops->metrics = ferry_metrics_new()) == NULL) {
        free(ops);
        return NULL;
    }
    ferry_metrics_families(ops->metrics, families, FAMILY_COUNT, ops->families);
    ferry_tally_init(&ops->tally, ops->metrics);
    ops->in_flight = series(ops, FAMILY_IN_FLIGHT, NULL, NULL);
    ferry_series_set(ops->in_flight, 0);
    ferry_series_set(series(ops, FAMILY_BUILD, FERRY_VERSION, NULL), 1);
    return ops;
}

void ferry_ops_free(struct ferry_ops *ops)
{
    if (ops == NULL)
        return;
    ferry_ops_close(ops);
    ferry_metrics_free(ops->metrics);
    free(ops);
}

struct ferry_metrics *ferry_ops_metrics(struct ferry_ops *ops)
{
    return ops->metrics;
}

/* ---- the admin address ---- */

static bool is_ready(void *context, char *why, size_t why_bytes)
{
    struct ferry_ops *ops = context;
    if (atomic_load(&ops->draining)) {
        snprintf(why, why_bytes, "draining");
        return false;
    }
    if (!atomic_load(&ops->serving)) {
        snprintf(why, why_bytes, "starting");
        return false;
    }
    if (!ferry_publisher_accepts(ops->publisher)) {
        snprintf(why, why_bytes, "no Kafka broker answers with the topics, and no spool can take an event");
        return false;
    }
    return true;
}

enum ferry_code ferry_ops_listen(struct ferry_ops *ops, const struct ferry_address *address,
                                 struct ferry_publisher *publisher, struct ferry_console_site *console,
                                 struct ferry_error *error)
{
    ops->publisher = publisher;
    const struct ferry_admin admin = {.metrics = ops->metrics,
                                      .ready = is_ready,
                                      .context = ops,
                                      .more = ferry_console_site_answer,
                                      .more_context = console};
    return ferry_admin_listener_start(address, &admin, &ops->admin, error);
}

void ferry_ops_close(struct ferry_ops *ops)
{
    if (ops->admin != NULL)
        ferry_listener_stop(ops->admin);
    ops->admin = NULL;
}

void ferry_ops_serve(struct ferry_ops *ops)
{
    atomic_store(&ops->serving, true);
}

void ferry_ops_drain(struct ferry_ops *ops)
{
    atomic_store(&ops->draining, true);
}

/* ---- counting ---- */

void ferry_ops_count_request(struct ferry_ops *ops, const char *path, int status)
{
    char text[8];
    snprintf(text, sizeof text, "%d", status);
    ferry_series_add(series(ops, FAMILY_REQUESTS, path != NULL ? path : "other", text), 1);
}

void ferry_ops_count_refused_request(struct ferry_ops *ops, enum ferry_code why)
{
    ferry_tally_receive(&ops->tally, 1);
    ferry_tally_refuse(&ops->tally, why, 1);
}

void ferry_ops_count_signature_failure(struct ferry_ops *ops, const char *path, enum ferry_code code)
{
    ferry_series_add(series(ops, FAMILY_SIGNATURES, path, ferry_code_name(code)), 1);
}

void ferry_ops_count_event(struct ferry_ops *ops, const struct ferry_event *event)
{
    const struct ferry_catalog_entry *known = ferry_catalog_find_event(event->canonical);
    ferry_series_add(
        series(ops, FAMILY_EVENTS, known != NULL ? known->canonical : "other", ferry_format_name(event->format)), 1);
    for (int repair = 0; repair < FERRY_REPAIR_COUNT; repair++) {
        if (event->repairs & (uint32_t)1 << repair)
            ferry_series_add(series(ops, FAMILY_REPAIRS, ferry_repair_name((enum ferry_repair)repair), NULL), 1);
    }
}

void ferry_ops_count_events(struct ferry_ops *ops, const char *path, const struct ferry_admission *admission,
                            int64_t wall_ms)
{
    if (admission->quarantined != FERRY_OK)
        ferry_series_add(series(ops, FAMILY_QUARANTINED, path, NULL), 1);
    for (size_t i = 0; i < admission->events.count; i++)
        ferry_ops_count_event(ops, &admission->events.items[i]);
    if (admission->events.count > 0)
        ferry_series_set(series(ops, FAMILY_LAST_EVENT, path, NULL), (double)wall_ms / 1000);
}

void ferry_ops_count_refused_connection(struct ferry_ops *ops, const char *reason)
{
    ferry_series_add(series(ops, FAMILY_REFUSED, reason, NULL), 1);
}

void ferry_ops_begin_request(struct ferry_ops *ops)
{
    ferry_series_add(ops->in_flight, 1);
}

void ferry_ops_end_request(struct ferry_ops *ops)
{
    ferry_series_add(ops->in_flight, (uint64_t)-1);
}

void ferry_ops_set_reload(struct ferry_ops *ops, bool success)
{
    ferry_series_set(series(ops, FAMILY_RELOAD, NULL, NULL), success ? 1 : 0);
}

void ferry_ops_set_certificate_expiry(struct ferry_ops *ops, int64_t seconds)
{
    ferry_series_set(series(ops, FAMILY_CERTIFICATE, NULL, NULL), (double)seconds);
}

void ferry_ops_set_topics_missing(struct ferry_ops *ops, size_t count)
{
    ferry_series_set(series(ops, FAMILY_TOPICS, NULL, NULL), (double)count);
}
