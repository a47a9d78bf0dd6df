#include "bridge/ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/tally.h"
#include "core/catalog.h"
#include "core/net/listener.h"

/* X(NAME, kind, name, help, labels …): every family of the bridge but those that the producer keeps. */
#define FAMILIES(X)                                                                                                    \
    X(REQUESTS, COUNTER, "ferry_http_requests_total", "Requests of the ingress by configured path and status", "path", \
      "status")                                                                                                        \
    X(EVENTS, COUNTER, "ferry_events_total", "Events that reached Kafka, by canonical name and format", "event",       \
      "format")                                                                                                        \
    X(REPAIRS, COUNTER, "ferry_repairs_total", "What was mended in events that stray from the standard", "kind")       \
    X(SIGNATURES, COUNTER, "ferry_signature_failures_total", "Requests whose signature or key was refused", "path",    \
      "reason")                                                                                                        \
    X(QUARANTINED, COUNTER, "ferry_quarantined_total", "Requests that were signed but no event, kept in quarantine",   \
      "path")                                                                                                          \
    X(REFUSED, COUNTER, "ferry_connections_refused_total", "Connections closed at once because of a limit", "reason")  \
    X(IN_FLIGHT, GAUGE, "ferry_requests_in_flight", "Requests begun and not yet answered", NULL)                       \
    X(LAST_EVENT, GAUGE, "ferry_last_event_timestamp_seconds", "When the last event of a path reached Kafka", "path")  \
    X(CERTIFICATE, GAUGE, "ferry_certificate_expiry_timestamp_seconds", "When the server's certificate ends", NULL)    \
    X(RELOAD, GAUGE, "ferry_config_reload_success", "1 if the last reload of the configuration was good", NULL)        \
    X(TOPICS, GAUGE, "ferry_topics_missing", "Topics that are to be there and are not, or may not be used", NULL)      \
    X(BUILD, GAUGE, "ferry_build_info", "Always 1; what was built", "version")

enum family {
#define FAMILY_ENUM(id, ...) FAMILY_##id,
    FAMILIES(FAMILY_ENUM)
#undef FAMILY_ENUM
        FAMILY_COUNT
};

static const struct {
    enum ferry_metric_kind kind;
    const char *name;
    const char *help;
    const char *labels[FERRY_METRIC_LABELS + 1];
} families[] = {
#define FAMILY_ROW(id, kind, name, help, ...) [FAMILY_##id] = {FERRY_##kind, name, help, {__VA_ARGS__}},
    FAMILIES(FAMILY_ROW)
#undef FAMILY_ROW
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
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        ops->families[i] = ferry_metrics_family(ops->metrics, families[i].kind, families[i].name, families[i].help,
                                                families[i].labels);
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
