/* A mail server that takes every mail and delivers it to the inbox: the demo's stand-in for a company's SMTP server.
 * Loopback, no TLS, no AUTH; one thread serves all connections. */
#ifndef FERRY_DEMO_SMTP_SINK_H
#define FERRY_DEMO_SMTP_SINK_H

#include "core/error.h"
#include "ferry/demo/inbox.h"

struct ferry_smtp_sink;

/* Listens on a free port of 127.0.0.1. Each mail becomes an arrival: `text` is recipient and subject, `raw` the message
 * without dot-stuffing. Fails with FERRY_SYSTEM. The inbox outlives the sink. */
FERRY_NODISCARD enum ferry_code ferry_smtp_sink_start(struct ferry_inbox *inbox, struct ferry_smtp_sink **out,
                                                      struct ferry_error *error);
uint16_t ferry_smtp_sink_port(const struct ferry_smtp_sink *sink);
/* Cuts open connections, joins the thread, frees. NULL is allowed. */
void ferry_smtp_sink_stop(struct ferry_smtp_sink *sink);

#endif
