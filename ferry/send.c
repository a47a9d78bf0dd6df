/* ferry send: be the sender. Makes an example event (or takes a file), signs it, posts it, prints the answer. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/program.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/examples.h"
#include "ferry/options.h"
#include "ferry/sender.h"

static const char usage[] =
    "usage: ferry send [-c FILE | --to URL] (--event EVENT | --file FILE) [OPTION]...\n"
    "\n"
    "Signs an event as its sender would, posts it, prints the status and the body of the answer.\n"
    "  -c, --config FILE    address, scheme and secret from the first webhook of this configuration\n"
    "  --to URL             post to this address\n"
    "  --scheme SCHEME      qlik (default), github, stripe, slack, standard-webhooks, bearer or none\n"
    "  --secret-env NAME    the secret is in this environment variable\n"
    "  --secret-file FILE   the secret is in this file\n"
    "  --event EVENT        an example of this event, a name or a type of `ferry catalog`\n"
    "  --form FORM          legacy, hybrid or cloudevents (default)\n"
    "  --set PATH=VALUE     change the example: data.name=Sales, resource.name=Sales, tenantid=x; may be repeated\n"
    "  --file FILE          the body is this file (- for standard input)\n"
    "  --count N            send N events\n"
    "  --bad-signature      sign another body\n"
    "  --print              print the body, send nothing\n";

enum { SETS = 64 };

struct request {
    const char *config;
    const char *to;
    const char *scheme;
    const char *secret_env;
    const char *secret_file;
    const char *event;
    const char *form;
    const char *file;
    const char *count;
    const char *sets[SETS];
    size_t set_count;
    bool bad_signature;
    bool print;
};

/* What is sent where, made of the request. */
struct job {
    struct ferry_config *config;
    struct ferry_client *client;
    struct ferry_sender sender;
    struct ferry_secret secret;
    struct ferry_buffer url;
    struct ferry_buffer file;
    struct ferry_example example;
    long count;
};

static int wrong_usage(const char *complaint)
{
    return ferry_cli_refuse("send", complaint);
}

static const char *take_set(const char *argument, void *target)
{
    struct request *request = target;
    if (request->set_count == SETS)
        return "too many --set";
    request->sets[request->set_count++] = argument;
    return NULL;
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"to", .text = &request->to},
        {"scheme", .text = &request->scheme},
        {"secret-env", .text = &request->secret_env},
        {"secret-file", .text = &request->secret_file},
        {"event", .text = &request->event},
        {"form", .text = &request->form},
        {"file", .text = &request->file},
        {"count", .text = &request->count},
        {"set", .take = take_set, .target = request},
        {"bad-signature", .flag = &request->bad_signature},
        {"print", .flag = &request->print},
        {0},
    };
    int code = ferry_options_read(argc, argv, "send", usage, options);
    if (code >= 0)
        return code;
    if (optind < argc)
        return wrong_usage("arguments are not taken, only options");
    if ((request->event == NULL) == (request->file == NULL))
        return wrong_usage("name what to send: --event or --file");
    if (request->secret_env != NULL && request->secret_file != NULL)
        return wrong_usage("name one secret: --secret-env or --secret-file");
    return -1;
}

/* ---- the parts of the job; each -1 to go on, or the exit code after a complaint ---- */

static int prepare_body(const struct request *request, struct job *job)
{
    job->count = request->count != NULL ? strtol(request->count, NULL, 10) : 1;
    if (job->count < 1)
        return wrong_usage("--count is a number from 1");
    job->example.format = FERRY_FORMAT_CLOUDEVENTS;
    if (request->form != NULL && !ferry_example_form_parse(request->form, &job->example.format))
        return wrong_usage("--form is one of legacy, hybrid, cloudevents");
    if (request->file != NULL)
        return ferry_cli_read(request->file, &job->file) ? -1 : FERRY_EXIT_FAILED;
    const struct ferry_catalog_entry *entry = ferry_cli_event(request->event);
    if (entry == NULL)
        return FERRY_EXIT_USAGE;
    job->example.type = entry->type;
    job->example.sets = request->sets;
    job->example.set_count = request->set_count;
    return -1;
}

/* The address at which a bridge of that configuration is reached from this machine. */
static void add_local_url(const struct ferry_bridge_config *bridge, struct ferry_buffer *url)
{
    const char *host = bridge->listen.host;
    if (bridge->tls.certificate != NULL && bridge->public_url != NULL) {
        ferry_buffer_add_text(url, bridge->public_url); /* the certificate's name */
    } else {
        bool any = host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
        bool is_v6 = strchr(host, ':') != NULL && !any;
        ferry_buffer_printf(url, "%s://%s%s%s:%u", bridge->tls.certificate != NULL ? "https" : "http", is_v6 ? "[" : "",
                            any ? "127.0.0.1" : host, is_v6 ? "]" : "", bridge->listen.port);
    }
    ferry_buffer_add_text(url, bridge->webhooks[0].path);
}

static int use_config(const char *path, struct job *job)
{
    struct ferry_findings findings;
    struct ferry_error error;
    enum ferry_code code = ferry_config_load(path, FERRY_SECTION_BRIDGE, &job->config, &findings, &error);
    if (code != FERRY_OK) {
        if (job->config != NULL && findings.count > 0)
            ferry_program_print_findings(&findings);
        else
            fprintf(stderr, "%s\n", error.text);
        return FERRY_EXIT_CONFIG;
    }
    const struct ferry_bridge_config *bridge = &job->config->bridge;
    if (bridge->webhook_count == 0) {
        fprintf(stderr, "ferry: %s has no webhook\n", path);
        return FERRY_EXIT_CONFIG;
    }
    const struct ferry_webhook_config *webhook = &bridge->webhooks[0];
    add_local_url(bridge, &job->url);
    job->sender.scheme = webhook->signature;
    job->sender.headers = webhook->headers;
    job->sender.header_count = webhook->header_count;
    if (webhook->secret_count > 0)
        job->sender.secret = webhook->secrets[0];
    return -1;
}

static int prepare_sender(const struct request *request, struct job *job)
{
    bool guess = request->to == NULL && request->config == NULL;
    const char *config = guess ? ferry_program_config_path() : request->config;
    int code = config != NULL ? use_config(config, job) : -1;
    if (code >= 0)
        return code;
    job->sender.url = request->to != NULL ? request->to : ferry_buffer_slice(&job->url).ptr;
    if (request->scheme != NULL && !ferry_signature_scheme_parse(request->scheme, &job->sender.scheme))
        return wrong_usage("--scheme is one of qlik, github, stripe, slack, standard-webhooks, bearer, none");
    if (request->secret_env != NULL || request->secret_file != NULL) {
        if (!ferry_cli_secret(request->secret_env, request->secret_file, &job->secret))
            return FERRY_EXIT_FAILED;
        job->sender.secret = job->secret;
    }
    if (job->sender.secret.ptr == NULL && job->sender.scheme != FERRY_SIGNATURE_NONE)
        return wrong_usage("a secret is needed: --secret-env, --secret-file, or -c");
    struct ferry_error error;
    if (ferry_client_start(NULL, &job->client, &error) != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    job->sender.client = job->client;
    return -1;
}

/* ---- sending ---- */

/* Prints the answer; was it a 2xx? */
static bool show(const struct ferry_sent *sent)
{
    static const char *const meanings[] = {[202 - 200] = ", on the bridge's disk: Kafka does not answer it",
                                           [204 - 200] = ", in Kafka"};
    bool is_told = sent->status == 202 || sent->status == 204;
    if (sent->status == 0)
        printf("no answer: %s; does ferry-bridge run there?\n", ferry_buffer_slice(&sent->body).ptr);
    else
        printf("%d in %.1f ms%s%s%s\n", sent->status, sent->milliseconds, is_told ? meanings[sent->status - 200] : "",
               sent->body.len > 0 ? "\n" : "", ferry_buffer_slice(&sent->body).ptr);
    return sent->status >= 200 && sent->status < 300;
}

/* An exit code. */
static int send_one(const struct request *request, struct job *job)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    ferry_buffer_init(&body, FERRY_CLI_FILE_BYTES);
    struct ferry_error error;
    struct ferry_sent sent;
    enum ferry_code code = FERRY_OK;
    job->example.now_ms = ferry_clock_wall_ms();
    if (request->file != NULL)
        ferry_buffer_add(&body, ferry_buffer_slice(&job->file));
    else
        code = ferry_example_make(&job->example, &body, &error);
    if (code == FERRY_OK && request->print) {
        puts(ferry_buffer_slice(&body).ptr);
        return FERRY_EXIT_DONE;
    }
    if (code == FERRY_OK)
        code = ferry_sender_post(&job->sender, ferry_buffer_slice(&body), request->bad_signature, &sent, &error);
    if (code != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return code == FERRY_USAGE ? FERRY_EXIT_USAGE : FERRY_EXIT_FAILED;
    }
    bool done = show(&sent);
    ferry_sent_done(&sent);
    return done ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static void job_done(struct job *job)
{
    if (job->client != NULL)
        ferry_client_stop(job->client);
    ferry_secret_done(&job->secret);
    ferry_buffer_done(&job->url);
    ferry_buffer_done(&job->file);
    ferry_config_free(job->config);
}

int ferry_command_send(int argc, char **argv)
{
    struct request request = {0};
    int code = parse(argc, argv, &request);
    if (code >= 0)
        return code;
    FERRY_CLEANUP(job_done) struct job job = {.sender.scheme = FERRY_SIGNATURE_QLIK};
    ferry_buffer_init(&job.url, FERRY_CLI_FILE_BYTES);
    ferry_buffer_init(&job.file, FERRY_CLI_FILE_BYTES);
    code = prepare_body(&request, &job);
    if (code < 0 && !request.print)
        code = prepare_sender(&request, &job);
    if (code >= 0)
        return code;
    int worst = FERRY_EXIT_DONE;
    for (long i = 0; i < job.count && worst != FERRY_EXIT_USAGE; i++) {
        code = send_one(&request, &job);
        if (code > worst)
            worst = code;
    }
    return worst;
}
