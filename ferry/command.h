/* The subcommands of `ferry`: one file each. argv[0] is what getopt puts before its complaints; each reads its flags
 * (ferry/options.h) and returns an exit code (enum ferry_exit). */
#ifndef FERRY_COMMAND_H
#define FERRY_COMMAND_H

int ferry_command_audits(int argc, char **argv);
int ferry_command_catalog(int argc, char **argv);
int ferry_command_check(int argc, char **argv);
int ferry_command_demo(int argc, char **argv);
int ferry_command_dlq(int argc, char **argv);
int ferry_command_init(int argc, char **argv);
int ferry_command_replay(int argc, char **argv);
int ferry_command_lag(int argc, char **argv);
int ferry_command_send(int argc, char **argv);
int ferry_command_setup(int argc, char **argv);
int ferry_command_sign(int argc, char **argv);
int ferry_command_spool(int argc, char **argv);
int ferry_command_tail(int argc, char **argv);
int ferry_command_topics(int argc, char **argv);
int ferry_command_triggers(int argc, char **argv);
int ferry_command_try(int argc, char **argv);

#endif
