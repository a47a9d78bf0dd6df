/* The program of a worker: starts the threads in the order in which they need each other, serves signals, and stops
 * them in the opposite order. */
#include "consumers/worker.h"

#include <stdio.h>
#include <stdlib.h>

#include "consumers/engine.h"
#include "consumers/render.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/net/listener.h"

enum {
    LOOK_AROUND_MS = 1000, /* between two looks at the producer */
    CREATE_AGAIN_MS = 30000,
    LAST_LETTERS_MS = 1000,
    LAST_NEWS_MS = 500
};

struct worker {
    struct ferry_program program;
    struct ferry_engine engine;
    struct ferry_metrics *metrics;
    struct ferry_listener *admin;
    struct ferry_evaluator evaluators[FERRY_EVALUATORS];
    size_t evaluator_count;
    pthread_t poller;
    bool polling;
    pthread_t restorer;
    bool restoring;
    pthread_t retriever;
    bool retrieving;
    pthread_t prover;
    bool proving;
    struct ferry_series *reload_success;
    bool topics_created;
    int64_t create_again_ms;
};

/* ---- start ---- */

static bool is_ready(void *context, char *why, size_t why_bytes)
{
    struct ferry_engine *engine = context;
    bool ready = atomic_load(&engine->ready_for_work);
    if (!ready)
        snprintf(why, why_bytes, "waiting for the group to assign partitions");
    return ready;
}

static enum ferry_code setup_metrics(struct worker *worker)
{
    static const char *const no_labels[] = {NULL};
    static const char *const version_label[] = {"version", NULL};
    const struct ferry_slice version = FERRY_SLICE_LITERAL(FERRY_VERSION);
    worker->metrics = ferry_metrics_new();
    if (worker->metrics == NULL)
        return FERRY_MEMORY;
    struct ferry_metric *build = ferry_metrics_family(worker->metrics, FERRY_GAUGE, "ferry_build_info",
                                                      "1; the version is in the label", version_label);
    struct ferry_metric *reload =
        ferry_metrics_family(worker->metrics, FERRY_GAUGE, "ferry_config_reload_success",
                             "1 if the last configuration that was read is in use", no_labels);
    if (build == NULL || reload == NULL)
        return FERRY_MEMORY;
    ferry_series_set(ferry_metric_series(build, &version), 1);
    worker->reload_success = ferry_metric_series(reload, NULL);
    ferry_series_set(worker->reload_success, 1);
    return FERRY_OK;
}

static void create_topics(struct worker *worker)
{
    if (worker->topics_created || ferry_clock_mono_ms() < worker->create_again_ms)
        return;
    /* The main thread alone replaces the configuration, so it may read it. */
    worker->topics_created = ferry_engine_create_topics(&worker->engine, worker->engine.current->config);
    worker->create_again_ms = ferry_clock_mono_ms() + CREATE_AGAIN_MS;
}

static void name_settled(void *context, uint64_t key)
{
    struct ferry_engine *engine = context;
    ferry_engine_lock(engine);
    ferry_tasks_named(engine, key);
    ferry_engine_unlock(engine);
}

static enum ferry_code start_lookup(struct worker *worker, const struct ferry_config *config, struct ferry_error *error)
{
    const struct ferry_lookup_listener listener = {&worker->engine, name_settled};
    worker->engine.lookup = ferry_lookup_new(worker->metrics, &listener);
    if (worker->engine.lookup == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_engine_use_lookup(&worker->engine, config);
    return code == FERRY_OK ? code : ferry_fail(error, code, "names cannot be looked up");
}

static enum ferry_code start_telling(struct worker *worker, const struct ferry_config *config,
                                     struct ferry_error *error)
{
    const struct ferry_telling *telling = worker->engine.channel->telling;
    if (telling == NULL)
        return FERRY_OK;
    worker->engine.teller = telling->open(worker->metrics);
    if (worker->engine.teller == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    telling->tend(worker->engine.teller, config);
    return FERRY_OK;
}

/* The main thread alone replaces the configuration, so it may read it. */
static void tend_telling(struct worker *worker)
{
    if (worker->engine.teller != NULL)
        worker->engine.channel->telling->tend(worker->engine.teller, worker->engine.current->config);
}

static enum ferry_code start_clients(struct worker *worker, const struct ferry_config *config,
                                     struct ferry_error *error)
{
    struct ferry_engine *engine = &worker->engine;
    const struct ferry_channel *channel = engine->channel;
    const struct ferry_admin admin = {.metrics = worker->metrics, .ready = is_ready, .context = engine};
    enum ferry_code code = ferry_client_start(channel->ca_file(config), &engine->client, error);
    if (code == FERRY_OK)
        code = start_lookup(worker, config, error);
    if (code == FERRY_OK)
        code = ferry_engine_open_producer(engine, error);
    if (code == FERRY_OK)
        code = start_telling(worker, config, error);
    if (code == FERRY_OK)
        code = ferry_admin_listener_start(&channel->worker(config)->admin, &admin, &worker->admin, error);
    if (code != FERRY_OK)
        return code;
    create_topics(worker); /* before the subscription: what it does not find at once it finds seconds later */
    return ferry_poller_open(engine, error);
}

static enum ferry_code start_threads(struct worker *worker, struct ferry_error *error)
{
    struct ferry_engine *engine = &worker->engine;
    for (size_t i = 0; i < FERRY_EVALUATORS; i++) {
        struct ferry_evaluator *evaluator = &worker->evaluators[i];
        evaluator->engine = engine;
        enum ferry_code code = ferry_evaluator_refresh(evaluator, error); /* compiled before the first record */
        worker->evaluator_count +=
            code == FERRY_OK && pthread_create(&evaluator->thread, NULL, ferry_evaluator_run, evaluator) == 0;
        if (worker->evaluator_count != i + 1) {
            ferry_evaluator_done(evaluator);
            return code != FERRY_OK ? code : ferry_fail(error, FERRY_SYSTEM, "cannot start a thread");
        }
    }
    worker->restoring = pthread_create(&worker->restorer, NULL, ferry_restorer_run, engine) == 0;
    worker->retrieving =
        worker->restoring && pthread_create(&worker->retriever, NULL, ferry_retriever_run, engine) == 0;
    worker->proving = worker->retrieving && pthread_create(&worker->prover, NULL, ferry_prover_run, engine) == 0;
    worker->polling = worker->proving && pthread_create(&worker->poller, NULL, ferry_poller_run, engine) == 0;
    return worker->polling ? FERRY_OK : ferry_fail(error, FERRY_SYSTEM, "cannot start a thread");
}

/* ---- signals ---- */

/* The engine owns the configuration, and frees the old one when the last call that was made from it has ended. */
static void reload(struct worker *worker)
{
    struct ferry_config *config = ferry_program_reload(&worker->program);
    bool adopted = config != NULL && ferry_engine_adopt(&worker->engine, config) == FERRY_OK;
    ferry_series_set(worker->reload_success, adopted ? 1 : 0);
    worker->topics_created = worker->topics_created && !adopted; /* its routes may need others */
    if (adopted)
        ferry_log(FERRY_LOG_INFO, "configuration reloaded", FERRY_NO_FIELDS);
}

static void serve(struct worker *worker)
{
    for (;;) {
        switch (ferry_program_wait(&worker->program, LOOK_AROUND_MS)) {
        case FERRY_SIGNAL_STOP:
            return;
        case FERRY_SIGNAL_RELOAD:
            reload(worker);
            break;
        case FERRY_SIGNAL_NONE:
            ferry_engine_mend_producer(&worker->engine);
            tend_telling(worker);
            create_topics(worker);
            break;
        }
    }
}

/* ---- stop ---- */

/* The poller lets go of its partitions (which finishes what is in flight), then nobody hands out work any more. */
static void stop_threads(struct worker *worker, int64_t timeout_ms)
{
    struct ferry_engine *engine = &worker->engine;
    ferry_engine_lock(engine);
    engine->stopping = true;
    engine->stop_by_ms = ferry_clock_mono_ms() + timeout_ms;
    pthread_cond_broadcast(&engine->restore);
    pthread_cond_broadcast(&engine->retrieve);
    ferry_engine_unlock(engine);
    if (worker->polling)
        pthread_join(worker->poller, NULL);
    else if (engine->consumer != NULL)
        ferry_consumer_close(engine->consumer);
    if (worker->restoring)
        pthread_join(worker->restorer, NULL);
    if (worker->retrieving)
        pthread_join(worker->retriever, NULL);
    ferry_engine_lock(engine);
    engine->ended = true;
    pthread_cond_broadcast(&engine->work);
    pthread_cond_broadcast(&engine->prove);
    ferry_engine_unlock(engine);
    if (worker->proving)
        pthread_join(worker->prover, NULL);
    for (size_t i = 0; i < worker->evaluator_count; i++) {
        pthread_join(worker->evaluators[i].thread, NULL);
        ferry_evaluator_done(&worker->evaluators[i]);
    }
}

static void stop(struct worker *worker, int64_t timeout_ms)
{
    struct ferry_engine *engine = &worker->engine;
    stop_threads(worker, timeout_ms);
    ferry_lookup_free(engine->lookup);
    if (engine->client != NULL)
        ferry_client_stop(engine->client);
    if (engine->producer != NULL) {
        if (ferry_producer_flush(engine->producer, LAST_LETTERS_MS) != FERRY_OK)
            ferry_log(FERRY_LOG_WARN, "not every dead letter was written; their records are read again",
                      FERRY_NO_FIELDS);
        ferry_producer_close(engine->producer);
    }
    if (engine->teller != NULL) /* the last reports were news too */
        engine->channel->telling->close(engine->teller, LAST_NEWS_MS);
    if (worker->admin != NULL)
        ferry_listener_stop(worker->admin);
    ferry_engine_done(engine);
    ferry_metrics_free(worker->metrics);
}

static int refuse(const struct worker *worker, const struct ferry_error *error)
{
    ferry_log(FERRY_LOG_ERROR, "cannot start", FERRY_FIELDS(ferry_text("reason", error->text)));
    fprintf(stderr, "%s: %s\n", worker->program.name, error->text);
    return error->code == FERRY_CONFIG ? FERRY_EXIT_CONFIG : FERRY_EXIT_FAILED;
}

static int run(struct worker *worker, const struct ferry_config *config)
{
    struct ferry_error error = {0};
    enum ferry_code code = start_clients(worker, config, &error);
    if (code == FERRY_OK)
        code = start_threads(worker, &error);
    if (code != FERRY_OK) {
        error.code = code;
        return refuse(worker, &error);
    }
    ferry_log(FERRY_LOG_INFO, "started",
              FERRY_FIELDS(ferry_text("admin", worker->engine.channel->worker(config)->admin.text),
                           ferry_number("routes", (int64_t)worker->engine.channel->route_count(config)),
                           ferry_number("topics", (int64_t)worker->engine.subscription.count)));
    serve(worker);
    ferry_log(FERRY_LOG_INFO, "stopping", FERRY_NO_FIELDS);
    return FERRY_EXIT_DONE;
}

int ferry_worker_main(const struct ferry_channel *channel, const char *summary, int argc, char **argv)
{
    if (ferry_render_wanted(argc, argv))
        return ferry_render_main(channel, argc, argv);
    struct worker worker = {
        .program = {.name = channel->program, .summary = summary, .sections = FERRY_SECTION_KAFKA | channel->section}};
    int exit_code = ferry_program_begin(&worker.program, argc, argv);
    if (exit_code >= 0)
        return exit_code;
    struct ferry_config *config = worker.program.config;
    worker.program.config = NULL; /* the engine's from here on */
    int64_t shutdown_ms = config->shutdown_timeout_ms;
    exit_code = FERRY_EXIT_FAILED;
    if (setup_metrics(&worker) != FERRY_OK)
        ferry_config_free(config);
    else {
        if (ferry_engine_init(&worker.engine, channel, config, worker.metrics) == FERRY_OK)
            exit_code = run(&worker, config);
        stop(&worker, shutdown_ms);
    }
    ferry_program_end(&worker.program);
    return exit_code;
}
