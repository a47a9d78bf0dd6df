/* ferry-bridge: takes signed webhooks, and answers when their events are safe in Kafka.
 *
 * The main thread starts everything and then waits for signals; twice a second it looks after the producer and the
 * certificate. Requests are served by the shards of bridge/http. */
#include <stdio.h>
#include <sys/resource.h>

#include "bridge/audits/audits.h"
#include "bridge/console/site.h"
#include "bridge/http.h"
#include "bridge/ops.h"
#include "bridge/publish.h"
#include "bridge/snapshot.h"
#include "bridge/topics.h"
#include "bridge/webhook_watch.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/program.h"

enum { TICK_MS = 500 };

struct bridge {
    struct ferry_program program;
    struct ferry_ops *ops;
    struct ferry_snapshot_slot snapshots;
    bool has_snapshots;
    struct ferry_publisher *publisher;
    struct ferry_console_site *console;
    struct ferry_topics *topics;
    struct ferry_triggers *triggers;
    struct ferry_results *results;
    struct ferry_webhook_watch *watch;
    struct ferry_audits *audits;
    struct ferry_http *http;
    bool config_good; /* at the last attempt to read it */
    bool certificate_good;
};

/* Every connection is a file: asks for as many as the system allows us. */
static void raise_file_limit(const struct ferry_bridge_config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < (rlim_t)config->limits.connections + FERRY_HTTP_FILES_BESIDE)
        ferry_log(FERRY_LOG_WARN, "fewer files may be open than bridge.limits.connections asks for",
                  FERRY_FIELDS(ferry_number("files", (int64_t)limit.rlim_max),
                               ferry_number("connections", config->limits.connections)));
}

/* ---- start ---- */

static void show_reload(struct bridge *bridge)
{
    ferry_ops_set_reload(bridge->ops, bridge->config_good && bridge->certificate_good);
}

static enum ferry_code open_snapshots(struct bridge *bridge, struct ferry_error *error)
{
    struct ferry_snapshot *first;
    enum ferry_code code = ferry_snapshot_new(bridge->program.config, false, NULL, &first, error);
    if (code != FERRY_OK)
        return code;
    ferry_snapshot_slot_init(&bridge->snapshots, first);
    bridge->has_snapshots = true;
    return FERRY_OK;
}

static enum ferry_code open_publisher(struct bridge *bridge, struct ferry_error *error)
{
    return ferry_publisher_open(bridge->program.config, ferry_ops_metrics(bridge->ops), &bridge->publisher, error);
}

static enum ferry_code start_console(struct bridge *bridge, struct ferry_error *error)
{
    const struct ferry_console_subject subject = {&bridge->snapshots, bridge->publisher, bridge->program.config_path};
    return ferry_console_site_start(&subject, ferry_ops_metrics(bridge->ops), &bridge->console, error);
}

static enum ferry_code open_admin(struct bridge *bridge, struct ferry_error *error)
{
    return ferry_ops_listen(bridge->ops, &bridge->program.config->bridge.admin, bridge->publisher, bridge->console,
                            error);
}

static enum ferry_code start_topics(struct bridge *bridge, struct ferry_error *error)
{
    return ferry_topics_start(&bridge->snapshots, bridge->publisher, bridge->ops, &bridge->topics, error);
}

static enum ferry_code start_watch(struct bridge *bridge, struct ferry_error *error)
{
    return ferry_webhook_watch_start(&bridge->snapshots, ferry_ops_metrics(bridge->ops), &bridge->watch, error);
}

static enum ferry_code start_audits(struct bridge *bridge, struct ferry_error *error)
{
    return ferry_audits_start(bridge->program.config, &bridge->snapshots, bridge->publisher, bridge->ops,
                              &bridge->audits, error);
}

static enum ferry_code open_triggers(struct bridge *bridge, struct ferry_error *error)
{
    bridge->triggers = ferry_triggers_new(ferry_ops_metrics(bridge->ops));
    return bridge->triggers != NULL ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* With the Kafka of the start: triggers may come with a reload. */
static enum ferry_code start_results(struct bridge *bridge, const struct ferry_config *config,
                                     struct ferry_error *error)
{
    if (config->bridge.trigger_count == 0)
        return FERRY_OK;
    return ferry_results_start(bridge->results, bridge->program.config, error);
}

static enum ferry_code open_results(struct bridge *bridge, struct ferry_error *error)
{
    bridge->results = ferry_results_new(ferry_ops_metrics(bridge->ops));
    if (bridge->results == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return start_results(bridge, bridge->program.config, error);
}

static enum ferry_code start_http(struct bridge *bridge, struct ferry_error *error)
{
    const struct ferry_http_options options = {
        .config = &bridge->program.config->bridge,
        .snapshots = &bridge->snapshots,
        .publisher = bridge->publisher,
        .ops = bridge->ops,
        .triggers = bridge->triggers,
        .results = bridge->results,
    };
    return ferry_http_start(&options, &bridge->http, error);
}

/* In this order; ended in the opposite one. */
static enum ferry_code (*const starts[])(struct bridge *bridge, struct ferry_error *error) = {
    open_snapshots, open_publisher, start_console, open_admin,   start_topics,
    start_watch,    start_audits,   open_triggers, open_results, start_http,
};

static enum ferry_code start(struct bridge *bridge, struct ferry_error *error)
{
    bridge->ops = ferry_ops_new();
    if (bridge->ops == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    bridge->config_good = bridge->certificate_good = true;
    show_reload(bridge);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        enum ferry_code code = starts[i](bridge, error);
        if (code != FERRY_OK)
            return code;
    }
    ferry_ops_serve(bridge->ops);
    return FERRY_OK;
}

/* ---- while it runs ---- */

static void reload_certificate(struct bridge *bridge, bool only_if_changed)
{
    struct ferry_error error = {0};
    bool read;
    enum ferry_code code = ferry_http_reload_certificate(bridge->http, only_if_changed, &read, &error);
    if (!read)
        return;
    bridge->certificate_good = code == FERRY_OK;
    show_reload(bridge);
    if (code == FERRY_OK)
        ferry_log(FERRY_LOG_INFO, "certificate reloaded", FERRY_NO_FIELDS);
    else
        ferry_log(FERRY_LOG_ERROR, "the new certificate is bad, the old one stays",
                  FERRY_FIELDS(ferry_text("reason", error.text)));
}

/* Sockets and the producer are those of the start. */
static void warn_of_restart(const struct ferry_config *before, const struct ferry_config *after)
{
    if (strcmp(before->bridge.listen.text, after->bridge.listen.text) != 0 ||
        strcmp(before->bridge.admin.text, after->bridge.admin.text) != 0)
        ferry_log(FERRY_LOG_WARN, "another bridge.listen or bridge.admin takes effect at the next start",
                  FERRY_NO_FIELDS);
}

static void reload(struct bridge *bridge)
{
    struct ferry_error error = {0};
    struct ferry_config *config = ferry_program_reload(&bridge->program); /* logs what is wrong */
    struct ferry_snapshot *current = ferry_snapshot_slot_get(&bridge->snapshots), *next = NULL;
    if (config != NULL && ferry_snapshot_new(config, true, current, &next, &error) != FERRY_OK) {
        ferry_config_free(config);
        ferry_log(FERRY_LOG_ERROR, "the new configuration is bad, the old one stays",
                  FERRY_FIELDS(ferry_text("reason", error.text)));
    }
    ferry_snapshot_drop(current);
    bridge->config_good = next != NULL;
    show_reload(bridge);
    if (next != NULL) {
        warn_of_restart(bridge->program.config, config);
        if (start_results(bridge, config, &error) != FERRY_OK)
            ferry_log(FERRY_LOG_ERROR, "results of triggers", FERRY_FIELDS(ferry_text("reason", error.text)));
        ferry_snapshot_slot_set(&bridge->snapshots, next);
        ferry_topics_again(bridge->topics);
        ferry_audits_again(bridge->audits);
        ferry_log(FERRY_LOG_INFO, "configuration reloaded", FERRY_NO_FIELDS);
    }
    reload_certificate(bridge, false);
}

static void tick(struct bridge *bridge)
{
    struct ferry_error error = {0};
    if (ferry_publisher_tend(bridge->publisher, ferry_clock_mono_ms(), &error) != FERRY_OK)
        ferry_log(FERRY_LOG_ERROR, "producer", FERRY_FIELDS(ferry_text("reason", error.text)));
    reload_certificate(bridge, true);
}

static void run(struct bridge *bridge)
{
    ferry_log(FERRY_LOG_INFO, "listening",
              FERRY_FIELDS(ferry_text("address", bridge->program.config->bridge.listen.text),
                           ferry_number("port", ferry_http_port(bridge->http)), ferry_text("version", FERRY_VERSION)));
    for (;;) {
        switch (ferry_program_wait(&bridge->program, TICK_MS)) {
        case FERRY_SIGNAL_STOP:
            return;
        case FERRY_SIGNAL_RELOAD:
            reload(bridge);
            break;
        case FERRY_SIGNAL_NONE:
            tick(bridge);
            break;
        }
    }
}

/* ---- end ---- */

/* Four tenths of the time are for requests, two for what Kafka still has to acknowledge, the rest to take everything
 * down. What is left then was answered 503, or is in the spool. */
static void drain(struct bridge *bridge)
{
    int64_t total_ms = bridge->program.config->shutdown_timeout_ms;
    int64_t until = ferry_clock_mono_ms() + total_ms * 6 / 10;
    ferry_log(FERRY_LOG_INFO, "draining", FERRY_NO_FIELDS);
    ferry_ops_drain(bridge->ops);
    ferry_audits_drain(bridge->audits);
    ferry_http_drain(bridge->http, total_ms * 4 / 10);
    int64_t left = ferry_publisher_up(bridge->publisher) ? until - ferry_clock_mono_ms() : 0;
    if (ferry_publisher_flush(bridge->publisher, left > 0 ? left : 0) != FERRY_OK)
        ferry_log(FERRY_LOG_WARN,
                  "Kafka does not take what is left: the spool keeps what was answered 202, the rest was answered 503",
                  FERRY_NO_FIELDS);
}

/* Whatever has been started. Late reports name the shards: the publisher goes before them. */
static void end(struct bridge *bridge)
{
    ferry_webhook_watch_stop(bridge->watch);
    ferry_audits_stop(bridge->audits);
    ferry_topics_stop(bridge->topics);
    if (bridge->ops != NULL)
        ferry_ops_close(bridge->ops);
    ferry_console_site_stop(bridge->console);
    ferry_publisher_close(bridge->publisher);
    ferry_audits_free(bridge->audits);
    ferry_http_stop(bridge->http);
    ferry_results_stop(bridge->results);
    ferry_results_free(bridge->results);
    ferry_triggers_free(bridge->triggers);
    if (bridge->has_snapshots)
        ferry_snapshot_slot_done(&bridge->snapshots);
    ferry_ops_free(bridge->ops);
}

static int fail(const struct ferry_error *error)
{
    ferry_log(FERRY_LOG_ERROR, error->text, FERRY_NO_FIELDS);
    return error->code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

static int serve(struct bridge *bridge)
{
    struct ferry_error error = {0};
    if (!bridge->program.config->bridge.present) {
        (void)ferry_fail(&error, FERRY_CONFIG, "%s: there is no section bridge", bridge->program.config_path);
        return fail(&error);
    }
    raise_file_limit(&bridge->program.config->bridge);
    int exit_code = FERRY_EXIT_DONE;
    if (start(bridge, &error) == FERRY_OK) {
        run(bridge);
        drain(bridge);
        ferry_log(FERRY_LOG_INFO, "stopped", FERRY_NO_FIELDS);
    } else {
        exit_code = fail(&error);
    }
    end(bridge);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct bridge bridge = {
        .program =
            {
                .name = "ferry-bridge",
                .summary = "takes signed webhooks and publishes their events to Kafka",
                .sections = FERRY_SECTION_KAFKA | FERRY_SECTION_BRIDGE,
            },
    };
    int exit_code = ferry_program_begin(&bridge.program, argc, argv);
    if (exit_code < 0) {
        exit_code = serve(&bridge);
        ferry_program_end(&bridge.program);
    }
    return exit_code;
}
