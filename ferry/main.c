/* ferry: the operator's command line. One file a subcommand; this one only finds it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program.h"
#include "core/words.h"
#include "ferry/command.h"

struct ferry_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

/* In the order in which a newcomer meets them. */
static const struct ferry_command commands[] = {
    {"demo", ferry_command_demo, "play events through the whole of Ferry on this machine, without any account"},
    {"init", ferry_command_init, "write a first configuration, with a new webhook secret"},
    {"setup", ferry_command_setup, "make or change the webhook of a Qlik Cloud tenant"},
    {"check", ferry_command_check, "read the configuration and say every mistake; --online tries the peers too"},
    {"catalog", ferry_command_catalog, "the events that Qlik sends, and their other names"},
    {"try", ferry_command_try, "what a route would send for an event"},
    {"sign", ferry_command_sign, "sign a body as a sender would"},
    {"send", ferry_command_send, "send an event to a bridge as Qlik would"},
    {"lag", ferry_command_lag, "how far the workers are behind"},
    {"dlq", ferry_command_dlq, "what the workers gave up: look, try again, drop"},
    {"spool", ferry_command_spool, "what a bridge holds on disk: look, export, bring it to Kafka"},
    {"triggers", ferry_command_triggers, "who calls the triggers: calls, last use, last address of each key"},
    {"topics", ferry_command_topics, "the topics: which there are to be, make them, show them for others to make"},
    {"tail", ferry_command_tail, "watch events as they come, or came"},
    {"replay", ferry_command_replay, "bring old events to a topic, a worker or an URL once more"},
    {"audits", ferry_command_audits, "bring what the Audits API lists into the topics, or compare it with them"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fputs("ferry: the operator's command line of Ferry\n\nUsage: ferry COMMAND [flags]\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`ferry COMMAND --help` says more. Flags of all commands that read it:\n"
          "  -c, --config FILE   the configuration (default: /etc/ferry/ferry.yaml, then ./ferry.yaml)\n"
          "      --allow-root    taken as by every program; the command line runs as root without it too\n"
          "      --version       print the version\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration is wrong.\n",
          out);
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *nearest = ferry_words_nearest(name, names, COMMAND_COUNT);
    fprintf(stderr, "ferry: there is no command \"%s\"%s%s%s\n", name, nearest != NULL ? ", did you mean " : "",
            nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    fputs("Try `ferry --help`.\n", stderr);
    return FERRY_EXIT_USAGE;
}

/* --allow-root is a flag of every program, and means nothing here. */
static int drop_allow_root(int argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--allow-root") != 0)
            argv[kept++] = argv[i];
    argv[kept] = NULL;
    return kept;
}

/* `ferry -c FILE check` means `ferry check -c FILE`: how many arguments stand before the command's name. */
static int leading_flags(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "--config=", strlen("--config=")) == 0)
        return 1;
    if (argc > 2 && (strcmp(argv[1], "-c") == 0 || strcmp(argv[1], "--config") == 0))
        return 2;
    return 0;
}

int main(int argc, char **argv)
{
    argc = drop_allow_root(argc, argv);
    int flags = leading_flags(argc, argv);
    if (argc < 2 + flags) {
        print_help(stderr);
        return FERRY_EXIT_USAGE;
    }
    char *name = argv[1 + flags];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return FERRY_EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        puts("ferry " FERRY_VERSION);
        return FERRY_EXIT_DONE;
    }
    memmove(argv + 2, argv + 1, (size_t)flags * sizeof *argv); /* the flags go behind the name, which goes first */
    char full[64];                                             /* getopt complains in this name */
    snprintf(full, sizeof full, "ferry %s", name);
    argv[1] = full;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(name);
}
