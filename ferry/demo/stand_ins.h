/* Slack, a Qlik tenant and a CRM on one loopback address: strict about what they are sent, as the real ones are.
 *
 *   POST  /services/…                                Slack's incoming webhook: JSON with a text, answered "ok"
 *   POST  /api/v1/automations/ID/actions/execute     a Qlik automation: X-Execution-Token as a header
 *   PATCH /users/ID                                  the CRM: Authorization
 *   GET   /                                          the log: all that arrived, mails too */
#ifndef FERRY_DEMO_STAND_INS_H
#define FERRY_DEMO_STAND_INS_H

#include "core/net/listener.h"
#include "ferry/demo/inbox.h"

struct ferry_stand_ins {
    struct ferry_inbox *inbox;       /* borrowed; outlives the stand-ins */
    const char *execution_token;     /* what the automation expects; borrowed */
    const char *crm_authorization;   /* what the CRM expects; borrowed */
    struct ferry_listener *listener; /* NULL: not started */
};

/* Listens on a free port of 127.0.0.1; the other members have been set. Fails with FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_stand_ins_start(struct ferry_stand_ins *stand_ins, struct ferry_error *error);
uint16_t ferry_stand_ins_port(const struct ferry_stand_ins *stand_ins);
void ferry_stand_ins_stop(struct ferry_stand_ins *stand_ins);

/* The listener's handler; `context` is the struct ferry_stand_ins. Public for tests. */
void ferry_stand_ins_answer(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply);

#endif
