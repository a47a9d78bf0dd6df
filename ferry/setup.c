/* ferry setup qlik: the webhook of a tenant, made or changed so that it sends the events that are wanted to this
 * bridge, signed with its secret.
 *
 *   what the tenant has, and can send ──▶ what is to differ ──▶ shown ──▶ done, unless --dry-run
 *
 * What is as it is to be is not touched, so that a second run changes nothing. */
#include "ferry/setup.h"

#include <getopt.h>
#include <stdio.h>

#include "core/program.h"
#include "ferry/at_tenant.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/console.h"
#include "ferry/options.h"

static const char usage[] =
    "usage: ferry setup qlik [-c FILE] [--tenant URL] [--events LIST] [--url URL] [OPTION]...\n"
    "\n"
    "Makes the webhook of a Qlik Cloud tenant, or changes it to what is asked for; shows the difference. A second run\n"
    "changes nothing.\n"
    "  --events LIST             what it sends: names or types of `ferry catalog`, globs: 'app.*,user.created'\n"
    "                            (a new webhook needs it; without it an old one keeps its own)\n"
    "  --url URL                 where it sends to (default: bridge.public_url); without a path, that of the first\n"
    "                            webhook of bridge.webhooks that Qlik signs\n"
    "  --name NAME               its name (default: Ferry)\n"
    "  --secret-env NAME         it signs with the secret in this environment variable (default: the first secret of\n"
    "                            that webhook in the configuration)\n"
    "  --set-secret              set the secret, and the headers that the bridge asks for, even where some are set:\n"
    "                            the tenant does not tell which\n"
    "  --resend-failed           afterwards ask for the failed deliveries of the last week "
    "again\n" FERRY_AT_TENANT_USAGE "  --dry-run                 only show what would be done\n"
    "  --json                    the result as a JSON object\n"
    "  -c, --config FILE         the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n";

struct request {
    const char *config;
    const char *events;
    const char *url;
    const char *name;
    const char *secret_env;
    bool set_secret;
    bool resend_failed;
    bool dry_run;
    bool json;
};

/* One run. */
struct setup {
    const struct request *request;
    struct ferry_config *config;
    struct ferry_at_tenant at;
    struct ferry_arena arena;
    struct ferry_secret secret; /* of --secret-env */
    struct ferry_buffer url;
    struct ferry_setup_wish wish;
    const struct ferry_qlik_webhook *present;  /* NULL: there is none yet … */
    const struct ferry_qlik_webhook *namesake; /* … but one of the name that it gets, which sends elsewhere */
    size_t webhooks;                           /* that the tenant has */
    struct ferry_setup_plan plan;
    const char *id; /* NULL: a webhook that would be made */
    struct ferry_setup_resent resent;
};

/* ---- the flags ---- */

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct request *request, struct ferry_at_tenant *at)
{
    const struct ferry_option options[] = {
        {"config", 'c', .text = &request->config},
        {"events", .text = &request->events},
        {"url", .text = &request->url},
        {"name", .text = &request->name},
        {"secret-env", .text = &request->secret_env},
        {"set-secret", .flag = &request->set_secret},
        {"resend-failed", .flag = &request->resend_failed},
        {"dry-run", .flag = &request->dry_run},
        {"json", .flag = &request->json},
        FERRY_AT_TENANT_OPTIONS(at),
        {0},
    };
    int code = ferry_options_read(argc, argv, "setup", usage, options);
    if (code >= 0)
        return code;
    if (optind + 1 != argc || strcmp(argv[optind], "qlik") != 0)
        return ferry_cli_refuse("setup", "say what to set up: qlik");
    return -1;
}

/* ---- what is wished ---- */

static int complain(const struct ferry_error *error)
{
    if (error->code == FERRY_USAGE)
        return ferry_cli_refuse("setup", error->text);
    fprintf(stderr, "ferry: %s\n", error->text);
    return FERRY_EXIT_FAILED;
}

/* Where the path of a URL begins; "" or "/" where it has none. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + strlen("://") : url;
    return host + strcspn(host, "/?#");
}

/* The door that is to take what is sent there: of that path, or without one the first that Qlik signs. */
static const struct ferry_webhook_config *find_door(const struct ferry_bridge_config *bridge, const char *path)
{
    bool any = path[0] == '\0' || strcmp(path, "/") == 0;
    for (size_t i = 0; i < bridge->webhook_count; i++) {
        const struct ferry_webhook_config *door = &bridge->webhooks[i];
        /* A proxy may put something before the path. */
        size_t len = strlen(door->path), path_len = strlen(path);
        bool there = path_len >= len && strcmp(path + path_len - len, door->path) == 0;
        if (door->signature == FERRY_SIGNATURE_QLIK && (any || there))
            return door;
    }
    return NULL;
}

/* -1 to go on, or the exit code. */
static int wish_url(struct setup *setup, const struct ferry_webhook_config **door)
{
    const char *url = setup->request->url != NULL ? setup->request->url : setup->config->bridge.public_url;
    struct ferry_error error;
    if (url == NULL)
        return ferry_cli_refuse("setup", "--url is missing, and bridge.public_url too: where is it to send to?");
    const char *path = path_of(url);
    *door = find_door(&setup->config->bridge, path);
    if (*door == NULL && setup->request->url == NULL) /* the base of all: a path may follow it */
        *door = find_door(&setup->config->bridge, path = "");
    size_t len = strlen(url);
    bool bare = path[0] == '\0' || strcmp(path, "/") == 0;
    ferry_buffer_add(&setup->url, ferry_slice_of(url, bare && len > 0 && url[len - 1] == '/' ? len - 1 : len));
    ferry_buffer_add_text(&setup->url, bare && *door != NULL ? (*door)->path : "");
    if (setup->url.failed)
        return ferry_cli_refuse("setup", "--url is too long");
    setup->wish.url = setup->url.ptr;
    return ferry_setup_check_url(setup->wish.url, &error) == FERRY_OK ? -1 : complain(&error);
}

static int wish_secret(struct setup *setup, const struct ferry_webhook_config *door)
{
    enum { LEAST = 32, MOST = 64 };
    const char *variable = setup->request->secret_env;
    if (variable == NULL && door == NULL)
        return ferry_cli_refuse("setup",
                                "no webhook in bridge.webhooks with `signature: qlik` has the path of this URL");
    if (variable != NULL && !ferry_cli_secret(variable, NULL, &setup->secret))
        return FERRY_EXIT_FAILED;
    setup->wish.secret = ferry_secret_slice(variable != NULL ? setup->secret : door->secrets[0]);
    setup->wish.set_secret = setup->request->set_secret;
    if (setup->wish.secret.len >= LEAST && setup->wish.secret.len <= MOST)
        return -1;
    fprintf(stderr, "ferry: the secret has %zu characters; Qlik takes %d to %d (`ferry init` makes a good one)\n",
            setup->wish.secret.len, LEAST, MOST);
    return FERRY_EXIT_FAILED;
}

/* -1 to go on, or the exit code. */
static int wish(struct setup *setup)
{
    const struct ferry_webhook_config *door = NULL;
    int code = wish_url(setup, &door);
    if (code < 0)
        code = wish_secret(setup, door);
    setup->wish.name = setup->request->name;
    if (code < 0 && door != NULL) {
        setup->wish.headers = door->headers;
        setup->wish.header_count = door->header_count;
    }
    return code;
}

/* ---- what is, and what is to be done ---- */

static enum ferry_code find_webhook(struct setup *setup, struct ferry_error *error)
{
    struct ferry_qlik_webhooks webhooks = {0};
    int attempt = 0;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_list(setup->at.session, &setup->arena, &webhooks, error);
    } while (ferry_at_tenant_again(&setup->at, code, &attempt));
    if (code != FERRY_OK)
        return code;
    setup->webhooks = webhooks.count;
    setup->present = ferry_setup_find(webhooks.items, webhooks.count, setup->wish.url, setup->wish.name);
    setup->id = setup->present != NULL ? setup->present->id : NULL;
    if (setup->present == NULL && setup->wish.name == NULL)
        setup->namesake = ferry_setup_find(webhooks.items, webhooks.count, setup->wish.url, FERRY_SETUP_NAME);
    return FERRY_OK;
}

static enum ferry_code choose_events(struct setup *setup, struct ferry_error *error)
{
    struct ferry_strings available = {0};
    int attempt = 0;
    enum ferry_code code;
    if (setup->request->events == NULL && setup->present == NULL)
        return ferry_fail(error, FERRY_USAGE,
                          "--events is missing: what is the new webhook to send? 'app.*,user.created'");
    if (setup->request->events == NULL)
        return FERRY_OK;
    do {
        code = ferry_qlik_webhooks_types(setup->at.session, &setup->arena, &available, error);
    } while (ferry_at_tenant_again(&setup->at, code, &attempt));
    if (code == FERRY_OK)
        code = ferry_setup_events(setup->request->events, available, &setup->arena, &setup->wish.events, error);
    return code;
}

/* ---- doing it ---- */

static enum ferry_code create(struct setup *setup, struct ferry_error *error)
{
    int attempt = 0;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_create(setup->at.session, ferry_buffer_slice(&setup->plan.body), &setup->arena,
                                          &setup->id, error);
    } while (code == FERRY_HTTP_BUSY && ferry_at_tenant_again(&setup->at, code, &attempt));
    if (code != FERRY_HTTP_REFUSED || setup->webhooks < FERRY_QLIK_WEBHOOKS_MAX)
        return code;
    struct ferry_error why = *error;
    return ferry_fail(error, code, "this tenant has %zu webhooks, as many as Qlik allows: delete one; %.300s",
                      setup->webhooks, why.text);
}

static enum ferry_code change(struct setup *setup, struct ferry_error *error)
{
    int attempt = 0;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_patch(setup->at.session, setup->id, ferry_buffer_slice(&setup->plan.body), error);
    } while (ferry_at_tenant_again(&setup->at, code, &attempt)); /* twice is as good as once */
    return code;
}

static enum ferry_code carry_out(struct setup *setup, struct ferry_error *error)
{
    if (setup->request->dry_run || setup->plan.changes == 0)
        return FERRY_OK;
    return setup->present == NULL ? create(setup, error) : change(setup, error);
}

/* ---- telling ---- */

static void tell(const struct setup *setup)
{
    static const char *const done[] = {"made", "changed"}, *const planned[] = {"would be made", "would be changed"};
    const char *name = setup->wish.name != NULL ? setup->wish.name
                       : setup->present != NULL ? setup->present->name
                                                : FERRY_SETUP_NAME;
    const char *const *words = setup->request->dry_run ? planned : done;
    printf("webhook \"%s\" of %s%s%s%s: %s\n", name, setup->at.url, setup->id != NULL ? " (" : "",
           setup->id != NULL ? setup->id : "", setup->id != NULL ? ")" : "",
           setup->plan.changes == 0 ? "nothing to change" : words[setup->present != NULL]);
    fputs(setup->plan.text.ptr != NULL ? setup->plan.text.ptr : "", stdout);
    fflush(stdout);
}

/* On stderr: a second webhook is seldom what was meant by another URL. */
static void tell_namesake(const struct setup *setup)
{
    if (setup->namesake == NULL)
        return;
    fprintf(stderr, "ferry setup: note that a webhook \"%s\" with URL %s exists already and stays; %s\n",
            setup->namesake->name, setup->namesake->url,
            setup->request->dry_run ? "--name " FERRY_SETUP_NAME " to move it instead"
                                    : "delete it at the tenant where it is not wanted any more");
}

static void tell_json(const struct setup *setup, bool failed)
{
    const char *state = setup->plan.changes == 0 ? "unchanged" : setup->present == NULL ? "created" : "changed";
    const struct ferry_setup_resent *resent = &setup->resent;
    printf("{\"tenant\":\"%s\",\"webhook\":%s%s%s,\"state\":\"%s\",\"dry_run\":%s,\"changes\":[%s]", setup->at.url,
           setup->id != NULL ? "\"" : "", setup->id != NULL ? setup->id : "null", setup->id != NULL ? "\"" : "",
           failed ? "failed" : state, setup->request->dry_run ? "true" : "false",
           setup->plan.fields.ptr != NULL ? setup->plan.fields.ptr : "");
    if (setup->request->resend_failed)
        printf(",\"resent\":{\"missing\":%zu,\"arrived\":%zu,\"failed_again\":%zu}", resent->failed, resent->arrived,
               resent->again);
    puts("}");
}

static void tell_resent(const struct setup *setup)
{
    const struct ferry_setup_resent *resent = &setup->resent;
    if (resent->failed == 0)
        puts("no event of the last week is missing");
    else if (setup->request->dry_run)
        printf("%zu events of failed deliveries would be asked for again\n", resent->failed);
    else
        printf("%zu events of failed deliveries asked for again: %zu arrived, %zu failed once more%s%s%s\n",
               resent->arrived + resent->again, resent->arrived, resent->again, resent->again > 0 ? " (" : "",
               resent->again > 0 ? resent->why : "", resent->again > 0 ? ")" : "");
}

/* ---- the run ---- */

/* True: the events of all deliveries are there. */
static bool resend(struct setup *setup)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code = FERRY_OK;
    if (!setup->request->resend_failed || setup->id == NULL)
        return true;
    code = ferry_setup_resend(&setup->at, setup->id, setup->request->dry_run, &setup->resent, &error);
    if (!setup->request->json)
        tell_resent(setup);
    if (code != FERRY_OK)
        fprintf(stderr, "ferry: %s\n", error.text);
    return code == FERRY_OK && setup->resent.again == 0;
}

static int run(struct setup *setup)
{
    struct ferry_error error = {.text = ""};
    enum ferry_code code = find_webhook(setup, &error);
    if (code == FERRY_OK)
        code = choose_events(setup, &error);
    if (code == FERRY_OK)
        code = ferry_setup_plan_make(&setup->wish, setup->present, &setup->plan, &error);
    if (code == FERRY_OK)
        code = carry_out(setup, &error);
    if (code == FERRY_OK && !setup->request->json)
        tell(setup);
    if (code == FERRY_OK)
        tell_namesake(setup);
    bool whole = code == FERRY_OK && resend(setup);
    if (setup->request->json && code != FERRY_USAGE)
        tell_json(setup, code != FERRY_OK);
    if (code != FERRY_OK)
        return complain(&error);
    return whole ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
}

static void end(struct setup *setup)
{
    ferry_at_tenant_done(&setup->at);
    ferry_setup_plan_done(&setup->plan);
    ferry_buffer_done(&setup->url);
    ferry_secret_done(&setup->secret);
    ferry_arena_done(&setup->arena);
    ferry_config_free(setup->config);
}

int ferry_command_setup(int argc, char **argv)
{
    struct request request = {0};
    struct setup setup = {.request = &request};
    ferry_buffer_init(&setup.url, 4096);
    int code = parse(argc, argv, &request, &setup.at);
    if (code < 0)
        code = ferry_console_config_for(request.config, FERRY_SECTION_BRIDGE, &setup.config);
    if (code >= 0)
        return code;
    ferry_console_catch();
    code = ferry_at_tenant_begin(&setup.at, "setup", setup.config);
    if (code < 0)
        code = wish(&setup);
    if (code < 0)
        code = run(&setup);
    end(&setup);
    return code;
}
