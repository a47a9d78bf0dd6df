/* `ferry check --online`: is everybody there that the configuration names? */
#ifndef FERRY_CHECK_ONLINE_H
#define FERRY_CHECK_ONLINE_H

#include <stdio.h>

#include "core/config.h"

/* Tries Kafka and its topics, the SMTP server, Slack's tokens and Qlik's tenants of those `sections`; one line each on
 * `out`. False if one of them failed. Waits, about half a minute at most for each. */
bool ferry_check_online(const struct ferry_config *config, unsigned sections, FILE *out);

#endif
