/* Metrics and log lines of the workers. No secrets, no bodies, no addresses in full. */
#include "consumers/engine.h"

#include "core/clock.h"
#include "core/envelope.h"
#include "core/log.h"
#include "core/mask.h"

static struct ferry_metric *family(struct ferry_engine *engine, enum ferry_metric_kind kind, const char *name,
                                   const char *help, const char *const *labels)
{
    return engine->metrics != NULL ? ferry_metrics_family(engine->metrics, kind, name, help, labels) : NULL;
}

static struct ferry_series *series(struct ferry_metric *metric, const char *first, const char *second,
                                   const char *third)
{
    const struct ferry_slice values[] = {ferry_slice_from(first), ferry_slice_from(second), ferry_slice_from(third)};
    return metric != NULL ? ferry_metric_series(metric, values) : NULL;
}

static const char *const by_outcome[] = {"worker", "route", "outcome", NULL};
static const char *const by_worker_route[] = {"worker", "route", NULL};
static const char *const by_worker_standing[] = {"worker", "standing", NULL};
static const char *const by_worker_cap[] = {"worker", "cap", NULL};
static const char *const by_route[] = {"route", NULL};
static const char *const by_route_error[] = {"route", "error", NULL};

void ferry_report_setup(struct ferry_engine *engine)
{
    engine->outcomes = family(engine, FERRY_COUNTER, "ferry_effects_total",
                              "Effects by what became of them; retry counts every attempt that failed", by_outcome);
    engine->dead_letters = family(engine, FERRY_COUNTER, "ferry_dead_letters_total",
                                  "Records written to the dead letter topic", by_route_error);
    static const char *const standings[FERRY_STANDING_COUNT] = {"free", "ours", "inherited", "others", "dead", "done"};
    struct ferry_metric *claims =
        family(engine, FERRY_COUNTER, "ferry_claims_total",
               "Claims of keys that cross partitions by how they stood when they were read back", by_worker_standing);
    for (int i = 0; i < FERRY_STANDING_COUNT; i++)
        engine->standings[i] = series(claims, engine->channel->name, standings[i], NULL);
    if (engine->channel->limits != NULL)
        engine->capped = family(engine, FERRY_GAUGE, "ferry_cap_waiting",
                                "Effects that wait because a cap is reached; no attempts, no failures", by_worker_cap);
}

struct ferry_series *ferry_report_cap(struct ferry_engine *engine, const char *name)
{
    return series(engine->capped, engine->channel->name, name, NULL);
}

void ferry_report_slot(struct ferry_engine *engine, struct ferry_slot *slot)
{
    const char *worker = engine->channel->name;
    for (int outcome = 0; outcome < FERRY_OUTCOME_COUNT; outcome++)
        slot->outcomes[outcome] =
            series(engine->outcomes, worker, slot->name, ferry_outcome_name((enum ferry_outcome)outcome));
    slot->effect_seconds = series(family(engine, FERRY_HISTOGRAM, "ferry_effect_seconds",
                                         "From the first exchange of an attempt to its verdict", by_worker_route),
                                  worker, slot->name, NULL);
    slot->end_to_end_seconds = series(family(engine, FERRY_HISTOGRAM, "ferry_end_to_end_seconds",
                                             "From the event's time to its effect", by_worker_route),
                                      worker, slot->name, NULL);
    slot->retry_waiting = series(family(engine, FERRY_GAUGE, "ferry_retry_waiting",
                                        "Effects that failed and wait for their next attempt", by_route),
                                 slot->name, NULL, NULL);
    slot->retry_oldest = series(family(engine, FERRY_GAUGE, "ferry_retry_oldest_seconds",
                                       "How long what waits in the retry topic has been failing, at most", by_route),
                                slot->name, NULL, NULL);
    slot->parked = series(family(engine, FERRY_GAUGE, "ferry_route_parked",
                                 "1 while the route's destination is dead and its events are dead letters", by_route),
                          slot->name, NULL, NULL);
}

static void count_end_to_end(const struct ferry_task *task)
{
    int64_t event_ms;
    if (!ferry_time_parse(task->delivery->event.time, &event_ms))
        return;
    int64_t took_ms = ferry_clock_wall_ms() - event_ms;
    ferry_series_observe_ms(task->slot->end_to_end_seconds, took_ms > 0 ? (double)took_ms : 0);
}

static void count_outcome(struct ferry_engine *engine, const struct ferry_task *task, enum ferry_outcome outcome,
                          enum ferry_code code)
{
    const char *route = task->slot != NULL ? task->slot->name : "";
    bool is_letter = outcome == FERRY_OUTCOME_DEAD || outcome == FERRY_OUTCOME_DOUBTFUL;
    if (is_letter)
        ferry_series_add(series(engine->dead_letters, route, ferry_code_name(code), NULL), 1);
    if (task->slot == NULL)
        return;
    ferry_series_add(task->slot->outcomes[outcome], 1);
    if (outcome == FERRY_OUTCOME_RETRY && code == FERRY_OUTCOME_UNKNOWN)
        ferry_series_add(task->slot->outcomes[FERRY_OUTCOME_DOUBTFUL], 1); /* a possible repeat */
    if (outcome == FERRY_OUTCOME_DONE)
        count_end_to_end(task);
}

void ferry_report_outcome(struct ferry_engine *engine, const struct ferry_task *task, enum ferry_outcome outcome,
                          enum ferry_code code, const char *reason)
{
    const struct ferry_event *event = &task->delivery->event;
    bool failed = outcome == FERRY_OUTCOME_DEAD || outcome == FERRY_OUTCOME_DOUBTFUL || outcome == FERRY_OUTCOME_RETRY;
    char words[512];
    count_outcome(engine, task, outcome, code);
    bool logged = failed || ferry_log_wants_events();
    if (!logged && outcome == FERRY_OUTCOME_DONE)
        return;
    ferry_mask_addresses(ferry_slice_from(reason), words, sizeof words);
    ferry_task_tell_outcome(engine, task, outcome, code, words); /* whatever is logged */
    if (!logged)
        return;
    int64_t since_ms = task->called_ms != 0 ? task->called_ms : task->started_ms;
    ferry_log(failed ? FERRY_LOG_WARN : FERRY_LOG_INFO, "effect",
              FERRY_FIELDS(ferry_field_slice("id", event->id), ferry_field_slice("event", event->canonical),
                           ferry_text("route", task->slot != NULL ? task->slot->name : ""),
                           ferry_text("outcome", ferry_outcome_name(outcome)),
                           ferry_text("error", failed ? ferry_code_name(code) : ""), ferry_text("reason", words),
                           ferry_number("attempts", task->attempts),
                           ferry_number("ms", ferry_clock_mono_ms() - since_ms),
                           ferry_field_if("trace", ferry_traceparent_trace(event->traceparent))));
}
