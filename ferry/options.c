#include "ferry/options.h"

#include <assert.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>

#include "core/program.h"
#include "ferry/cli.h"

/* getopt's name of a flag is its letter, or its row from LONG on: getopt takes for one flag what has one name. */
enum { MOST_OPTIONS = 32, LONG = 256, HELP = 'h' };

struct syntax {
    struct option longs[MOST_OPTIONS + 2]; /* and help, and the end */
    char letters[2 * MOST_OPTIONS + 2];
};

static void describe(const struct ferry_option *options, struct syntax *syntax)
{
    char *letters = syntax->letters;
    int row = 0;
    for (; options[row].name != NULL; row++) {
        const struct ferry_option *option = &options[row];
        bool argument = option->flag == NULL;
        assert(row < MOST_OPTIONS);
        syntax->longs[row] = (struct option){option->name, argument ? required_argument : no_argument, NULL,
                                             option->letter != 0 ? option->letter : LONG + row};
        if (option->letter != 0)
            *letters++ = option->letter;
        if (option->letter != 0 && argument)
            *letters++ = ':';
    }
    syntax->longs[row] = (struct option){"help", no_argument, NULL, HELP};
    syntax->longs[row + 1] = (struct option){0};
    letters[0] = HELP;
    letters[1] = '\0';
}

static const struct ferry_option *find(const struct ferry_option *options, int chosen)
{
    if (chosen >= LONG)
        return &options[chosen - LONG];
    while (options->letter != chosen)
        options++;
    return options;
}

/* NULL, or a complaint. */
static const char *take(const struct ferry_option *option, const char *argument)
{
    if (option->flag != NULL)
        *option->flag = true;
    else if (option->text != NULL)
        *option->text = argument;
    else
        return option->take(argument, option->target);
    return NULL;
}

int ferry_options_read(int argc, char **argv, const char *command, const char *usage,
                       const struct ferry_option *options)
{
    struct syntax syntax;
    describe(options, &syntax);
    optind = 0; /* glibc: from the beginning, also at a second call in one process */
    for (int chosen; (chosen = getopt_long(argc, argv, syntax.letters, syntax.longs, NULL)) != -1;) {
        if (chosen == HELP) {
            fputs(usage, stdout);
            return FERRY_EXIT_DONE;
        }
        if (chosen == '?') /* getopt has said what is wrong */
            return ferry_cli_refuse(command, NULL);
        const char *complaint = take(find(options, chosen), optarg);
        if (complaint != NULL)
            return ferry_cli_refuse(command, complaint);
    }
    return -1;
}
