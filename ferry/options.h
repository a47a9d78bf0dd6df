/* The flags of a subcommand as a table: each row says where the flag's word goes. `--help` and `-h` are every command's
 * and stand in no table. */
#ifndef FERRY_OPTIONS_H
#define FERRY_OPTIONS_H

#include <stdbool.h>

struct ferry_option {
    const char *name; /* "config" of --config */
    char letter;      /* 'c' of -c; 0: it has none */

    /* one of these three */
    bool *flag;                                              /* takes no argument, and becomes true */
    const char **text;                                       /* the argument; the last one counts */
    const char *(*take)(const char *argument, void *target); /* NULL, or a complaint about the argument */
    void *target;                                            /* of `take` */
};

/* Reads the flags of argv until the row without a name; getopt has then sorted argv, and optind is the first argument
 * that is none. -1 to go on, or the exit code after the usage (which --help prints) or a complaint. */
int ferry_options_read(int argc, char **argv, const char *command, const char *usage,
                       const struct ferry_option *options);

#endif
