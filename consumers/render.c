#include "consumers/render.h"

#include <errno.h>
#include <getopt.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "consumers/naming.h"
#include "core/clock.h"
#include "core/envelope.h"

enum {
    EVENT_BYTES = 16 * 1024 * 1024,
    FOLLOW_UPS = 60,
    NAMES_MS = 5000, /* somebody is watching: longer than a worker waits */
    LOOK_AGAIN_MS = 10
};

/* An effect's key as it could be; a mail's Message-ID is made of it. */
static const char some_key[] = "00000000000000000000000000000000";

struct job {
    const struct ferry_channel *channel;
    const char *route_name;
    const char *config_path;
    bool send;

    struct ferry_config *config;
    size_t index; /* of the route */
    struct ferry_expression *when;
    struct ferry_channel_route *route;
    struct ferry_buffer input;
    struct ferry_arena arena;
    struct ferry_events events;
    struct ferry_client *client;
    struct ferry_lookup *lookup; /* NULL: not sent, no secret is read, ids stand in */
    struct ferry_namer namer;
};

enum flag { FLAG_RENDER = 1, FLAG_SEND, FLAG_CONFIG = 'c', FLAG_IGNORED = 'i' };

bool ferry_render_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--render") == 0)
            return true;
    return false;
}

static bool parse(struct job *job, int argc, char **argv)
{
    static const struct option flags[] = {
        {"render", required_argument, NULL, FLAG_RENDER},      {"send", no_argument, NULL, FLAG_SEND},
        {"config", required_argument, NULL, FLAG_CONFIG},      {"allow-root", no_argument, NULL, FLAG_IGNORED},
        {"log-format", required_argument, NULL, FLAG_IGNORED}, {0},
    };
    int flag;
    optind = 0;
    while ((flag = getopt_long(argc, argv, "c:", flags, NULL)) != -1) {
        if (flag == FLAG_RENDER)
            job->route_name = optarg;
        else if (flag == FLAG_CONFIG)
            job->config_path = optarg;
        else if (flag == FLAG_SEND)
            job->send = true;
        else if (flag != FLAG_IGNORED)
            return false;
    }
    return optind == argc;
}

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* ---- what is needed; each an exit code after a complaint, or -1 ---- */

static int complain(const struct job *job, int exit_code, const char *text)
{
    fprintf(stderr, "%s: %s\n", job->channel->program, text);
    return exit_code;
}

static int load(struct job *job)
{
    struct ferry_findings findings = {0};
    struct ferry_error error = {0};
    const char *path = job->config_path != NULL ? job->config_path : ferry_program_config_path();
    unsigned sections = job->channel->section | (job->send ? 0 : FERRY_SECTION_NO_SECRETS);
    if (ferry_config_load(path, sections, &job->config, &findings, &error) == FERRY_OK)
        return -1;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, EVENT_BYTES);
    if (job->config != NULL)
        ferry_findings_print(&findings, &text);
    fputs(text.len > 0 ? text.ptr : error.text, stderr);
    return FERRY_EXIT_CONFIG;
}

static void ignore_key(void *context, uint64_t key)
{
    (void)context, (void)key; /* it is looked again and again */
}

static enum ferry_code start_lookup(struct job *job, struct ferry_error *error)
{
    const struct ferry_lookup_listener listener = {NULL, ignore_key};
    job->lookup = ferry_lookup_new(NULL, &listener);
    if (job->lookup == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    return ferry_lookup_use(job->lookup, &job->channel->worker(job->config)->lookup, job->config->ca, error);
}

static int compile(struct job *job)
{
    const struct ferry_channel *channel = job->channel;
    struct ferry_error error = {0};
    size_t count = channel->route_count(job->config);
    while (job->index < count && strcmp(channel->route(job->config, job->index)->name, job->route_name) != 0)
        job->index++;
    if (job->index == count)
        return complain(job, FERRY_EXIT_USAGE, "there is no such route");
    const char *when = channel->route(job->config, job->index)->when.text;
    enum ferry_code code = when != NULL ? ferry_expression_new(when, &job->when, &error) : FERRY_OK;
    if (code == FERRY_OK)
        code = channel->route_new(job->config, job->index, &job->route, &error);
    if (code == FERRY_OK && job->send)
        code = ferry_client_start(channel->ca_file(job->config), &job->client, &error);
    if (code == FERRY_OK && job->send)
        code = start_lookup(job, &error);
    return code == FERRY_OK ? -1 : complain(job, FERRY_EXIT_FAILED, error.text);
}

static int read_events(struct job *job)
{
    char bytes[16 * 1024];
    ssize_t len;
    while ((len = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        ferry_buffer_add(&job->input, ferry_slice_of(bytes, (size_t)len));
    static const struct ferry_pair type = {FERRY_SLICE_LITERAL("content-type"),
                                           FERRY_SLICE_LITERAL("application/json")};
    const struct ferry_envelope_input input = {
        .headers = {&type, 1}, .body = ferry_buffer_slice(&job->input), .received_ms = ferry_clock_wall_ms()};
    struct ferry_error error = {0};
    if (len < 0 || job->input.failed)
        return complain(job, FERRY_EXIT_FAILED, "the event cannot be read");
    if (ferry_envelope_read(FERRY_ENVELOPE_QLIK, &input, &job->arena, &job->events, &error) != FERRY_OK)
        return complain(job, FERRY_EXIT_FAILED, error.text);
    return -1;
}

/* ---- showing ---- */

static void show(const struct ferry_effect *effect)
{
    if (effect->smtp != NULL) {
        printf("mail from <%s> to <%s> over %s\n\n", effect->sender, effect->recipient, effect->smtp->url);
    } else {
        /* What is empty is a secret, and was not read. */
        printf("%s %s\n", effect->method, effect->url[0] != '\0' ? effect->url : "(the URL is a secret)");
        for (size_t i = 0; i < effect->header_count; i++) {
            const char *value = effect->headers[i].value;
            bool bare = value[0] == '\0' || strcmp(value, "Bearer ") == 0;
            printf("%s: %s%s\n", effect->headers[i].name, value, bare ? "***" : "");
        }
        printf("\n");
    }
    fwrite(ferry_buffer_slice(&effect->body).ptr, 1, effect->body.len, stdout);
    printf("\n");
}

/* What is seen here comes with others, where the route has a digest. */
static void show_digest(const struct job *job)
{
    const struct ferry_joining *joining = job->channel->joining;
    int64_t window_ms = joining != NULL ? joining->window_ms(job->config, job->index) : 0;
    if (window_ms > 0)
        printf("digest: what else comes for this destination within %g s goes in the same message\n",
               (double)window_ms / 1000);
}

/* ---- sending ---- */

struct exchange {
    const struct job *job;
    struct ferry_effect *effect;
    struct ferry_verdict verdict;
    int status;
    sem_t answered;
};

static void take_answer(void *context, const struct ferry_answer *answer)
{
    struct exchange *exchange = context;
    exchange->status = answer->status;
    exchange->job->channel->settle(exchange->job->config, exchange->job->index, answer, exchange->effect,
                                   &exchange->verdict);
    sem_post(&exchange->answered);
}

static enum ferry_code exchange_once(struct exchange *exchange, struct ferry_error *error)
{
    exchange->verdict = (struct ferry_verdict){.retry_after_ms = -1};
    sem_init(&exchange->answered, 0, 0);
    enum ferry_code code = ferry_effect_submit(exchange->job->client, exchange->effect, take_answer, exchange, error);
    while (code == FERRY_OK && sem_wait(&exchange->answered) != 0 && errno == EINTR)
        continue;
    sem_destroy(&exchange->answered);
    return code;
}

/* Carries the effect out, follow-ups too; says what came of it. */
static bool carry_out(const struct job *job, struct ferry_effect *effect)
{
    struct exchange exchange = {.job = job, .effect = effect};
    struct ferry_error error = {0};
    effect->attempt = 1;
    for (int i = 0; i < FOLLOW_UPS; i++) {
        if (exchange_once(&exchange, &error) != FERRY_OK) {
            printf("not sent: %s\n", error.text);
            return false;
        }
        if (!exchange.verdict.follow_up)
            break;
        pause_ms(exchange.verdict.retry_after_ms > 0 ? exchange.verdict.retry_after_ms : 0);
    }
    bool done = exchange.verdict.outcome == FERRY_OUTCOME_DONE && !exchange.verdict.follow_up;
    printf("sent: answered %d, %s%s%s\n", exchange.status, ferry_outcome_name(exchange.verdict.outcome),
           exchange.verdict.reason[0] != '\0' ? ": " : "", exchange.verdict.reason);
    return done;
}

/* ---- an event ---- */

static unsigned names_of(const struct job *job)
{
    bool looked_up = job->channel->worker(job->config)->lookup.tenant != NULL;
    return looked_up ? job->channel->route(job->config, job->index)->names : 0;
}

/* Replaces the view by one with the names that the route speaks of. */
static enum ferry_code add_names(struct job *job, struct ferry_view **view, struct ferry_error *error)
{
    if (names_of(job) == 0)
        return FERRY_OK;
    struct ferry_naming naming;
    ferry_naming_init(&naming);
    enum ferry_code code = ferry_namer_name(&job->namer, job->lookup, names_of(job), *view, &naming, error);
    for (int i = 0; code == FERRY_OK && ferry_naming_is_pending(&naming) && i < NAMES_MS / LOOK_AGAIN_MS; i++) {
        pause_ms(LOOK_AGAIN_MS);
        ferry_naming_done(&naming);
        ferry_naming_init(&naming);
        code = ferry_namer_name(&job->namer, job->lookup, names_of(job), *view, &naming, error);
    }
    struct ferry_view *named = NULL;
    if (code == FERRY_OK)
        code = ferry_naming_view(&naming, *view, &named, error);
    ferry_naming_done(&naming);
    if (code != FERRY_OK)
        return code;
    ferry_view_free(*view);
    *view = named;
    return FERRY_OK;
}

/* Renders into `effect`; says why there is nothing to see, and then `*skip` is true. */
static enum ferry_code render(struct job *job, const struct ferry_event *event, struct ferry_effect *effect, bool *skip,
                              struct ferry_error *error)
{
    struct ferry_view *view = NULL;
    bool wanted = true;
    enum ferry_code code = ferry_view_new(event, &view, error);
    if (code == FERRY_OK)
        code = add_names(job, &view, error);
    if (code == FERRY_OK && job->when != NULL)
        code = ferry_expression_true(job->when, view, &wanted, error);
    *skip = !wanted;
    if (code == FERRY_OK && wanted)
        code = job->channel->render(job->route, event, view, some_key, effect, skip, error);
    if (code == FERRY_OK && *skip)
        printf("nothing: %s\n", wanted ? error->text : "`when` does not hold");
    ferry_view_free(view);
    return code;
}

static bool render_and_send(struct job *job, const struct ferry_event *event)
{
    struct ferry_effect effect;
    struct ferry_error error = {0};
    bool skip = false, done = true;
    ferry_effect_init(&effect);
    enum ferry_code code = render(job, event, &effect, &skip, &error);
    if (code != FERRY_OK) {
        printf("a dead letter, %s: %s\n", ferry_code_name(code), error.text);
        done = false;
    } else if (!skip && job->send) {
        done = carry_out(job, &effect);
    } else if (!skip) {
        show(&effect);
        if (names_of(job) != 0)
            printf("(names are looked up when it is sent; here ids stand in)\n");
        show_digest(job);
    }
    ferry_effect_done(&effect);
    return done;
}

static int run(struct job *job)
{
    int (*const steps[])(struct job *) = {load, compile, read_events};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = steps[i](job);
        if (code >= 0)
            return code;
    }
    bool done = true;
    for (size_t i = 0; i < job->events.count; i++)
        done &= render_and_send(job, &job->events.items[i]);
    return done ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

int ferry_render_main(const struct ferry_channel *channel, int argc, char **argv)
{
    struct job job = {.channel = channel};
    if (!parse(&job, argc, argv)) {
        fprintf(stderr, "usage: %s --render ROUTE [--send] [-c FILE] < EVENT\n", channel->program);
        return FERRY_EXIT_USAGE;
    }
    ferry_buffer_init(&job.input, EVENT_BYTES);
    int code = run(&job);
    ferry_lookup_free(job.lookup);
    ferry_namer_done(&job.namer);
    if (job.client != NULL)
        ferry_client_stop(job.client);
    if (job.route != NULL)
        channel->route_free(job.route);
    ferry_expression_free(job.when);
    ferry_arena_done(&job.arena);
    ferry_buffer_done(&job.input);
    ferry_config_free(job.config);
    return code;
}
