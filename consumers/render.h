/* `ferry-slack --render ROUTE [--send] < EVENT`: what a route makes of one event, without Kafka; the inside of
 * `ferry try`.
 *
 * Prints the whole exchange to stdout: the request or the mail. It is rendered from a configuration without secrets,
 * so that none can be printed; only for `--send` they are read, and then the exchange is carried out too. */
#ifndef FERRY_CONSUMERS_RENDER_H
#define FERRY_CONSUMERS_RENDER_H

#include "consumers/worker.h"

/* Is that what the program was called for? */
bool ferry_render_wanted(int argc, char **argv);
/* The whole program then; an exit code. An event that the route does not take is done, one that would be a dead letter
 * has failed. */
int ferry_render_main(const struct ferry_channel *channel, int argc, char **argv);

#endif
