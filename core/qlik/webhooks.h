/* A tenant's webhooks: which there are, what they send, what became of it; and making them what they are to be.
 *
 * All calls wait for their answers and fail as ferry_tenant_call does, and with
 *   FERRY_HTTP_BUSY     429 (ferry_tier_blocked_ms says for how long), 408, 5xx
 *   FERRY_HTTP_REFUSED  another status that is not the good one; the text has Qlik's words, and a cure where there is
 * one FERRY_JSON_INVALID  an answer that is not what Qlik documents */
#ifndef FERRY_CORE_QLIK_WEBHOOKS_H
#define FERRY_CORE_QLIK_WEBHOOKS_H

#include "core/arena.h"
#include "core/qlik/tenant.h"

/* No text is NULL; they live in the arena. */
struct ferry_qlik_webhook {
    const char *id;
    const char *name;
    const char *url;
    bool enabled;
    const char *disabled_reason;
    bool secret_added; /* which one the tenant does not tell */
    struct ferry_strings events;
    struct ferry_strings encrypted_headers; /* their names */
};
struct ferry_qlik_webhooks {
    const struct ferry_qlik_webhook *items;
    size_t count;
};

/* Does it send to a bridge that is reached under `public_url`? Pure. */
bool ferry_qlik_webhook_is_under(const char *url, const char *public_url);

/* The most that a tenant has. */
enum { FERRY_QLIK_WEBHOOKS_MAX = 100 };

/* All that this user may see. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_list(struct ferry_tenant *tenant, struct ferry_arena *arena,
                                                         struct ferry_qlik_webhooks *webhooks,
                                                         struct ferry_error *error);
/* The types that a webhook can ask for. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_types(struct ferry_tenant *tenant, struct ferry_arena *arena,
                                                          struct ferry_strings *types, struct ferry_error *error);
/* `body`: the webhook as JSON; `*id` (in the arena) is what the tenant calls it. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_create(struct ferry_tenant *tenant, struct ferry_slice body,
                                                           struct ferry_arena *arena, const char **id,
                                                           struct ferry_error *error);
/* `body`: an array of {op, path, value}. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_patch(struct ferry_tenant *tenant, const char *id,
                                                          struct ferry_slice body, struct ferry_error *error);

/* A delivery that failed. */
struct ferry_qlik_failure {
    const char *id;    /* of the delivery */
    const char *event; /* the event's id; the delivery's where its body has none */
    int64_t at_ms;
};
struct ferry_qlik_failures {
    struct ferry_qlik_failure *items; /* the oldest first */
    size_t count;
};
/* The failed deliveries of the last week, Qlik's memory, whose event has not arrived by another delivery of the same
 * webhook; one an event. No more than `max` (the newest) are looked at, and of the good deliveries the newest 20,000:
 * an event that arrived before those counts as failed. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_failures(struct ferry_tenant *tenant, const char *webhook,
                                                             size_t max, struct ferry_arena *arena,
                                                             struct ferry_qlik_failures *failures,
                                                             struct ferry_error *error);

/* What became of a delivery that was asked for again. */
struct ferry_qlik_resent {
    bool arrived;
    char why[64]; /* it did not: the status, or Qlik's word for none */
};
/* The same payload once more, signed with the present secret, to where the webhook sends now. */
FERRY_NODISCARD enum ferry_code ferry_qlik_webhooks_resend(struct ferry_tenant *tenant, const char *webhook,
                                                           const char *delivery, struct ferry_qlik_resent *resent,
                                                           struct ferry_error *error);

#endif
