/* What the subcommands have in common. Each complains on stderr itself, in the words of `ferry`. */
#ifndef FERRY_CLI_H
#define FERRY_CLI_H

#include "core/buffer.h"
#include "core/catalog.h"
#include "core/error.h"
#include "core/secret.h"

/* The largest file that a subcommand reads. */
enum { FERRY_CLI_FILE_BYTES = 8 * 1024 * 1024 };

/* Says what is wrong with the arguments (NULL: getopt has said it) and where help is; an exit code. */
int ferry_cli_refuse(const char *command, const char *complaint);

/* slack, mail, automation. */
bool ferry_cli_is_worker(const char *name);
/* Is the argument of --worker (NULL: there is none) a worker? -1 to go on, or the exit code after a complaint. */
int ferry_cli_check_worker(const char *command, const char *worker);

/* The catalogue's row of an event's canonical name or type. NULL after a complaint that names the nearest. */
const struct ferry_catalog_entry *ferry_cli_event(const char *name);

/* Appends a whole file, standard input for "-". False after a complaint. */
bool ferry_cli_read(const char *path, struct ferry_buffer *out);

/* The secret of an environment variable or of a file (one trailing newline dropped); exactly one of the two is not
 * NULL. False after a complaint. The caller ends it with ferry_secret_done. */
bool ferry_cli_secret(const char *variable, const char *file, struct ferry_secret *secret);

/* The path of another program of Ferry: it lies beside this one. False (after a complaint) where it does not. */
enum { FERRY_CLI_PATH = 4096 };
bool ferry_cli_sibling(const char *name, char path[FERRY_CLI_PATH]);

/* On stderr: the same command with the run's id, fit to be pasted. `argv` as getopt left it. */
void ferry_cli_print_how_to_go_on(const char *command, int argc, char **argv, const char *run);

#endif
