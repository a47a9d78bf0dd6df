/* ferry demo: the whole of Ferry on one machine, with stand-ins for everybody outside.
 *
 *   this process: the broker (in memory), the stand-ins, the sender, a reader of Kafka
 *   its children: ferry-bridge, ferry-slack, ferry-mail, ferry-automation, as they run in production
 *
 * The parts are started in the order of the table `stages` and stopped in the reverse one; whatever ends the demo, a
 * signal, a failure or its own end, goes through `stop`. Children die with this process even when it is killed. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/kafka/mock_broker.h"
#include "core/program.h"
#include "core/route.h"
#include "ferry/cli.h"
#include "ferry/command.h"
#include "ferry/demo/crew.h"
#include "ferry/demo/site.h"
#include "ferry/demo/smtp_sink.h"
#include "ferry/demo/stand_ins.h"
#include "ferry/demo/story.h"
#include "ferry/examples.h"

static const char usage[] =
    "usage: ferry demo [--once] [--keep DIR]\n"
    "\n"
    "Runs the bridge and the workers with an in-memory broker and stand-ins for Slack, Qlik, a CRM and a mail server,\n"
    "sends signed events in all three forms, shows what becomes of them, and then waits for events of yours.\n"
    "  --once      end when all was seen: exit code 0, or 1 with the reason\n"
    "  --keep DIR  put configuration, secrets and logs there and leave them\n";

enum { READY_MS = 30000, STOP_MS = 2500, PAUSE_MS = 50, BODY_BYTES = 64 * 1024 };

static const char *const programs[] = {"ferry-bridge", "ferry-slack", "ferry-mail", "ferry-automation"};
/* Where each of them says whether it is ready. */
static const enum ferry_site_port admin_ports[] = {FERRY_SITE_BRIDGE_ADMIN, FERRY_SITE_SLACK_ADMIN,
                                                   FERRY_SITE_MAIL_ADMIN, FERRY_SITE_AUTOMATION_ADMIN};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

struct demo {
    bool once;
    const char *keep;

    struct ferry_site site;
    struct ferry_inbox *inbox;
    struct ferry_smtp_sink *smtp;
    struct ferry_stand_ins stand_ins;
    struct ferry_mock_broker *broker;
    struct ferry_config *config;
    struct ferry_topic_set *topics;
    struct ferry_crew crew;
    struct ferry_client *client;
    struct ferry_consumer *reader;
    struct ferry_sender sender;
    struct ferry_show show;

    sigset_t signals;
    bool interrupted;
    const struct ferry_crew_member *lost;
};

/* ---- going on ---- */

/* False when a signal came or a program ended; see `interrupted` and `lost`. */
static bool go_on(void *context)
{
    struct demo *demo = context;
    const struct timespec now = {0};
    if (!demo->interrupted && sigtimedwait(&demo->signals, NULL, &now) > 0)
        demo->interrupted = true;
    if (demo->lost == NULL)
        demo->lost = ferry_crew_lost(&demo->crew);
    return !demo->interrupted && demo->lost == NULL;
}

static void url_of(const struct demo *demo, enum ferry_site_port port, const char *path, char out[128])
{
    snprintf(out, 128, "http://127.0.0.1:%u%s", demo->site.ports[port], path);
}

/* ---- the stages of the start ---- */

static enum ferry_code open_site(struct demo *demo, struct ferry_error *error)
{
    return ferry_site_open(&demo->site, demo->keep, error);
}

static enum ferry_code start_stand_ins(struct demo *demo, struct ferry_error *error)
{
    demo->inbox = ferry_inbox_new();
    if (demo->inbox == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory");
    demo->stand_ins.inbox = demo->inbox;
    demo->stand_ins.execution_token = demo->site.execution_token;
    demo->stand_ins.crm_authorization = demo->site.crm_authorization;
    enum ferry_code code = ferry_smtp_sink_start(demo->inbox, &demo->smtp, error);
    return code == FERRY_OK ? ferry_stand_ins_start(&demo->stand_ins, error) : code;
}

/* The broker has no CreateTopics, so those topics that Ferry would create are made here. */
static enum ferry_code start_broker(struct demo *demo, struct ferry_error *error)
{
    struct ferry_findings findings;
    char path[FERRY_SITE_PATH];
    ferry_site_path(&demo->site, "ferry.yaml", path);
    enum ferry_code code = ferry_mock_broker_start(&demo->broker, error);
    if (code == FERRY_OK)
        code = ferry_site_write_config(&demo->site, ferry_mock_broker_address(demo->broker),
                                       ferry_stand_ins_port(&demo->stand_ins), ferry_smtp_sink_port(demo->smtp), error);
    if (code == FERRY_OK)
        code = ferry_config_load(path, FERRY_SECTION_BRIDGE, &demo->config, &findings, error);
    if (code != FERRY_OK)
        return code;
    demo->topics = ferry_topic_set_new(demo->config);
    if (demo->topics == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory");
    struct ferry_topic_list list = ferry_topic_set_list(demo->topics);
    return ferry_mock_broker_topics(demo->broker, list.names, list.count, error);
}

static enum ferry_code start_programs(struct demo *demo, struct ferry_error *error)
{
    char config[FERRY_SITE_PATH], log[FERRY_SITE_PATH], name[64], path[FERRY_CLI_PATH];
    ferry_site_path(&demo->site, "ferry.yaml", config);
    for (size_t i = 0; i < PROGRAMS; i++) {
        if (!ferry_cli_sibling(programs[i], path))
            return ferry_fail(error, FERRY_SYSTEM, "%s is not installed", programs[i]);
        const char *argv[] = {path, "--config", config, "--log-format", "text", geteuid() == 0 ? "--allow-root" : NULL,
                              NULL};
        snprintf(name, sizeof name, "%s.log", programs[i]);
        ferry_site_path(&demo->site, name, log);
        enum ferry_code code = ferry_crew_start(&demo->crew, programs[i], argv, log, error);
        if (code != FERRY_OK)
            return code;
    }
    return ferry_client_start(NULL, &demo->client, error);
}

static bool is_ready(struct demo *demo, enum ferry_site_port port, char *why, size_t why_bytes)
{
    char url[128];
    struct ferry_sent page;
    url_of(demo, port, "/readyz", url);
    if (ferry_sender_get(demo->client, url, &page, NULL) != FERRY_OK)
        return false;
    snprintf(why, why_bytes, "%s", ferry_buffer_slice(&page.body).ptr);
    bool ready = page.status == 200;
    ferry_sent_done(&page);
    return ready;
}

static enum ferry_code give_up(const struct demo *demo, size_t program, const char *why, struct ferry_error *error)
{
    ferry_crew_report(&demo->crew.members[program], stderr);
    return ferry_fail(error, FERRY_UNAVAILABLE, "%s is not ready after %d s: %s", programs[program], READY_MS / 1000,
                      why);
}

static enum ferry_code await_programs(struct demo *demo, struct ferry_error *error)
{
    int64_t until = ferry_clock_mono_ms() + READY_MS;
    char why[256] = "";
    for (size_t i = 0; i < PROGRAMS; i++) {
        while (!is_ready(demo, admin_ports[i], why, sizeof why)) {
            if (!go_on(demo))
                return ferry_fail(error, FERRY_STOPPING, "stopped while starting");
            if (ferry_clock_mono_ms() > until)
                return give_up(demo, i, why, error);
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        }
    }
    return FERRY_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* A reader of all topics but the workers' own book-keeping. */
static enum ferry_code open_reader(struct demo *demo, struct ferry_error *error)
{
    struct ferry_topic_list list = ferry_topic_set_list(demo->topics);
    const char **names = calloc(list.count, sizeof *names);
    if (names == NULL)
        return ferry_fail(error, FERRY_MEMORY, "no memory");
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++)
        if (!ends_with(list.names[i], ".retry") && !ends_with(list.names[i], ".effects"))
            names[count++] = list.names[i];
    enum ferry_code code =
        ferry_reader_open(demo->config->kafka, (struct ferry_strings){names, count}, false, &demo->reader, error);
    free(names);
    return code;
}

/* `what` completes "cannot …". */
static const struct stage {
    const char *what;
    enum ferry_code (*start)(struct demo *demo, struct ferry_error *error);
} stages[] = {
    {"make a place for its files", open_site},
    {"start the stand-ins", start_stand_ins},
    {"start the broker", start_broker},
    {"start the programs", start_programs},
    {"begin", await_programs},
    {"read from the broker", open_reader},
};

static void stop(struct demo *demo)
{
    if (demo->reader != NULL)
        ferry_consumer_close(demo->reader);
    if (demo->client != NULL)
        ferry_client_stop(demo->client);
    ferry_crew_stop(&demo->crew, STOP_MS);
    ferry_topic_set_free(demo->topics);
    ferry_config_free(demo->config);
    ferry_stand_ins_stop(&demo->stand_ins);
    ferry_smtp_sink_stop(demo->smtp);
    ferry_mock_broker_stop(demo->broker);
    ferry_inbox_free(demo->inbox);
    ferry_site_close(&demo->site);
}

/* ---- what is said ---- */

static void print_beginning(const struct demo *demo)
{
    FILE *out = demo->show.out;
    fprintf(out,
            "broker     %s, Kafka's protocol, in memory: what is in it is gone afterwards\n"
            "bridge     http://127.0.0.1:%u%s\n"
            "workers    ferry-slack, ferry-mail, ferry-automation\n"
            "stand-ins  http://127.0.0.1:%u/ shows what Slack, Qlik, the CRM and the mail server were sent\n"
            "files      %s\n",
            ferry_mock_broker_address(demo->broker), demo->site.ports[FERRY_SITE_BRIDGE],
            demo->config->bridge.webhooks[0].path, ferry_stand_ins_port(&demo->stand_ins), demo->site.directory);
    fflush(out);
}

/* An event of the user's own as a curl command: its file, and the header that signs it. */
static void print_curl(const struct demo *demo)
{
    static const char *const sets[] = {"resource.name=Made with curl"};
    struct ferry_example example = {.type = "com.qlik.app.created",
                                    .format = FERRY_FORMAT_CLOUDEVENTS,
                                    .now_ms = ferry_clock_wall_ms(),
                                    .sets = sets,
                                    .set_count = 1};
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer body;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer header;
    char path[FERRY_SITE_PATH];
    ferry_buffer_init(&body, BODY_BYTES);
    ferry_buffer_init(&header, BODY_BYTES);
    ferry_site_path(&demo->site, "event.json", path);
    if (ferry_example_make(&example, &body, NULL) != FERRY_OK ||
        ferry_site_write(&demo->site, "event.json", ferry_buffer_slice(&body).ptr, NULL) != FERRY_OK ||
        ferry_signature_make(demo->sender.scheme, &demo->sender.secret, ferry_buffer_slice(&body), example.now_ms, "",
                             &header, NULL) != FERRY_OK)
        return;
    fprintf(demo->show.out, "  curl -i -H 'Content-Type: application/json' -H '%.*s' --data-binary @%s %s\n",
            (int)header.len - 1, header.ptr, path, demo->sender.url);
}

static void print_invitation(const struct demo *demo)
{
    char self[FERRY_CLI_PATH], config[FERRY_SITE_PATH];
    ferry_site_path(&demo->site, "ferry.yaml", config);
    ferry_show_title(&demo->show, "Send events of your own; they show up here. Ctrl-C ends the demo.");
    if (ferry_cli_sibling("ferry", self))
        fprintf(demo->show.out, "  %s send -c %s --event app.created --set 'data.name=My app'\n", self, config);
    print_curl(demo);
    ferry_show_headings(&demo->show);
    fflush(demo->show.out);
}

/* Why it ends before its time; an exit code. */
static int print_end(const struct demo *demo, const char *what, const struct ferry_error *error)
{
    if (demo->interrupted)
        return demo->once ? FERRY_EXIT_FAILED : FERRY_EXIT_DONE;
    fflush(demo->show.out);
    if (demo->lost != NULL)
        ferry_crew_report(demo->lost, stderr);
    else
        fprintf(stderr, "ferry demo: cannot %s: %s\n", what, error->text);
    return FERRY_EXIT_FAILED;
}

/* ---- the run ---- */

/* An exit code; -1 when all is well. */
static int start(struct demo *demo)
{
    struct ferry_error error = {0};
    int64_t began = ferry_clock_mono_ms();
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        if (stages[i].start(demo, &error) != FERRY_OK) {
            go_on(demo); /* a program that ended is the better reason */
            return print_end(demo, stages[i].what, &error);
        }
        if (stages[i].start == start_programs)
            print_beginning(demo);
    }
    fprintf(demo->show.out, "ready      after %.1f s\n", (double)(ferry_clock_mono_ms() - began) / 1000);
    return -1;
}

static int run(struct demo *demo)
{
    char url[128], metrics[128], summary[256];
    url_of(demo, FERRY_SITE_BRIDGE, demo->config->bridge.webhooks[0].path, url);
    url_of(demo, FERRY_SITE_SLACK_ADMIN, "/metrics", metrics);
    demo->sender = (struct ferry_sender){.client = demo->client,
                                         .url = url,
                                         .scheme = demo->config->bridge.webhooks[0].signature,
                                         .secret = demo->config->bridge.webhooks[0].secrets[0]};
    struct ferry_story story = {.sender = &demo->sender,
                                .reader = demo->reader,
                                .inbox = demo->inbox,
                                .show = &demo->show,
                                .slack_metrics = metrics,
                                .go_on = go_on,
                                .context = demo};
    ferry_story_play(&story);
    if (!go_on(demo))
        return print_end(demo, "go on", NULL);
    ferry_story_summary(&story, summary, sizeof summary);
    ferry_show_title(&demo->show, summary);
    int code = story.failures == 0 ? FERRY_EXIT_DONE : FERRY_EXIT_FAILED;
    if (code != FERRY_EXIT_DONE)
        fprintf(stderr, "ferry demo: %s\n", story.failure);
    if (demo->once)
        return code;
    print_invitation(demo);
    while (go_on(demo))
        ferry_story_follow(&story, 100);
    return demo->lost != NULL ? print_end(demo, "go on", NULL) : code;
}

/* -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct demo *demo)
{
    static const struct option options[] = {{"once", no_argument, NULL, 'o'},
                                            {"keep", required_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'o') {
            demo->once = true;
        } else if (option == 'k') {
            demo->keep = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? FERRY_EXIT_DONE : FERRY_EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fputs(usage, stderr);
    return FERRY_EXIT_USAGE;
}

int ferry_command_demo(int argc, char **argv)
{
    struct demo demo = {0};
    int code = parse(argc, argv, &demo);
    if (code >= 0)
        return code;
    sigemptyset(&demo.signals);
    sigaddset(&demo.signals, SIGINT);
    sigaddset(&demo.signals, SIGTERM);
    sigaddset(&demo.signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &demo.signals, NULL); /* before any thread starts */
    signal(SIGPIPE, SIG_IGN);
    ferry_show_init(&demo.show, stdout);
    code = start(&demo);
    if (code < 0)
        code = run(&demo);
    stop(&demo);
    return code;
}
