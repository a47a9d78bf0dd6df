#include "bridge/tally.h"

void ferry_tally_init(struct ferry_tally *tally, struct ferry_metrics *metrics)
{
    static const char *const by_origin[] = {"from", NULL}, *const by_reason[] = {"reason", NULL};
    struct ferry_metric *received =
        ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_events_received_total",
                             "Events that senders brought, or that the spool held at the start", by_origin);
    struct ferry_metric *published = ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_events_published_total",
                                                          "Records that Kafka has acknowledged", NULL);
    *tally = (struct ferry_tally){
        .from_senders = ferry_metric_series(received, &FERRY_SLICE("sender")),
        .from_spool = ferry_metric_series(received, &FERRY_SLICE("spool")),
        .published = ferry_metric_series(published, NULL),
        .refused = ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_events_refused_total",
                                        "Events, or whole requests, that are neither in Kafka nor on disk", by_reason),
    };
}

void ferry_tally_receive(const struct ferry_tally *tally, size_t records)
{
    ferry_series_add(tally->from_senders, records);
}

void ferry_tally_find(const struct ferry_tally *tally, size_t rows)
{
    ferry_series_add(tally->from_spool, rows);
}

void ferry_tally_publish(const struct ferry_tally *tally)
{
    ferry_series_add(tally->published, 1);
}

void ferry_tally_refuse(const struct ferry_tally *tally, enum ferry_code why, size_t records)
{
    const struct ferry_slice reason = ferry_slice_from(ferry_code_name(why));
    ferry_series_add(ferry_metric_series(tally->refused, &reason), records);
}
