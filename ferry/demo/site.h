/* The demo's place on disk and on the network: a directory with a configuration, secrets made for this run and logs,
 * and free ports of 127.0.0.1. */
#ifndef FERRY_DEMO_SITE_H
#define FERRY_DEMO_SITE_H

#include <stdint.h>

#include "core/error.h"

enum { FERRY_SITE_PATH = 1024, FERRY_SITE_SECRET = 33 };

/* A port for each address that the configuration names. */
enum ferry_site_port {
    FERRY_SITE_BRIDGE,
    FERRY_SITE_BRIDGE_ADMIN,
    FERRY_SITE_SLACK_ADMIN,
    FERRY_SITE_MAIL_ADMIN,
    FERRY_SITE_AUTOMATION_ADMIN,
    FERRY_SITE_PORTS
};

struct ferry_site {
    char directory[FERRY_SITE_PATH];
    bool kept;
    uint16_t ports[FERRY_SITE_PORTS];
    char webhook_secret[FERRY_SITE_SECRET];
    char execution_token[FERRY_SITE_SECRET];
    char crm_authorization[FERRY_SITE_SECRET];
};

/* Makes the directory: `keep` (which stays), or a new one under $TMPDIR; draws secrets, finds ports. Fails with
 * FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_site_open(struct ferry_site *site, const char *keep, struct ferry_error *error);
/* Writes ferry.yaml and the files of secrets that it names. */
FERRY_NODISCARD enum ferry_code ferry_site_write_config(const struct ferry_site *site, const char *broker,
                                                        uint16_t stand_ins_port, uint16_t smtp_port,
                                                        struct ferry_error *error);
/* Writes one file, readable by its owner alone. */
FERRY_NODISCARD enum ferry_code ferry_site_write(const struct ferry_site *site, const char *name, const char *text,
                                                 struct ferry_error *error);
/* The path of a file in it. */
void ferry_site_path(const struct ferry_site *site, const char *name, char path[FERRY_SITE_PATH]);
/* Removes the directory and all in it, unless it is kept. */
void ferry_site_close(struct ferry_site *site);

#endif
