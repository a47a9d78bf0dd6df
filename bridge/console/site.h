/* The console's pages below /console/ of the admin address: who may come in, and what is answered. docs/console.md. */
#ifndef FERRY_BRIDGE_CONSOLE_SITE_H
#define FERRY_BRIDGE_CONSOLE_SITE_H

#include "bridge/console/watch.h"
#include "core/net/listener.h"

struct ferry_console_site;

/* `metrics` get ferry_console_logins_total. Whether there is a console, and its key, is asked of the current snapshot
 * at each call, so that a reload can open and close it. Fails with FERRY_SYSTEM or FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_console_site_start(const struct ferry_console_subject *subject,
                                                         struct ferry_metrics *metrics, struct ferry_console_site **out,
                                                         struct ferry_error *error);
/* When the listener has stopped. NULL is allowed. */
void ferry_console_site_stop(struct ferry_console_site *site);

/* A ferry_http_handler whose context is the site; without a console, and outside /console, nothing is answered. */
void ferry_console_site_answer(void *site, const struct ferry_http_call *call, struct ferry_http_reply *reply);

#endif
