/* The inside of `ferry setup qlik`: one webhook of a tenant becomes what it is to be.
 *
 *   setup.c          the command: flags, and a run from its beginning to its end
 *   setup_events.c   which of the tenant's event types were meant
 *   setup_plan.c     what has to change, for the tenant and for people
 *   setup_resend.c   --resend-failed */
#ifndef FERRY_SETUP_H
#define FERRY_SETUP_H

#include "core/buffer.h"
#include "core/config.h"
#include "core/qlik/webhooks.h"
#include "ferry/at_tenant.h"

/* The name of a new webhook. */
#define FERRY_SETUP_NAME "Ferry"

/* What the webhook is to be. */
struct ferry_setup_wish {
    const char *url;
    const char *name;
    struct ferry_strings events; /* types of the tenant, sorted; none: as they are */
    struct ferry_slice secret;
    bool set_secret;                           /* even where one is set: the tenant does not tell which */
    const struct ferry_secret_header *headers; /* that the bridge asks for; kept encrypted over there */
    size_t header_count;
};

/* Types of the tenant for the words of --events: a type, a canonical name, or a glob over canonical names. Of several
 * types that mean one action the catalogue's present one is taken, so that no action comes twice. Sorted, no
 * duplicates, in the arena. Fails with FERRY_USAGE (the word, and what is near, or where such events come from) or
 * FERRY_MEMORY. Pure. */
FERRY_NODISCARD enum ferry_code ferry_setup_events(const char *words, struct ferry_strings available,
                                                   struct ferry_arena *arena, struct ferry_strings *types,
                                                   struct ferry_error *error);

/* Can Qlik send to this URL? FERRY_USAGE with the reason. Pure. */
FERRY_NODISCARD enum ferry_code ferry_setup_check_url(const char *url, struct ferry_error *error);

/* The webhook that is meant: of those that send to that URL the one of that name, else the first; else the one of that
 * name, which is to send elsewhere from now on. NULL: there is none yet. Pure. */
const struct ferry_qlik_webhook *ferry_setup_find(const struct ferry_qlik_webhook *webhooks, size_t count,
                                                  const char *url, const char *name);

/* From what is (NULL: nothing) to what is wished. */
struct ferry_setup_plan {
    size_t changes;             /* 0: nothing is to be done */
    struct ferry_buffer text;   /* the difference, for people: a line each */
    struct ferry_buffer fields; /* the names of what changes, as members of a JSON array */
    struct ferry_buffer body;   /* of the POST or the PATCH; holds secrets */
};
/* FERRY_MEMORY. Pure. */
FERRY_NODISCARD enum ferry_code ferry_setup_plan_make(const struct ferry_setup_wish *wish,
                                                      const struct ferry_qlik_webhook *present,
                                                      struct ferry_setup_plan *plan, struct ferry_error *error);
/* Fit for FERRY_CLEANUP. */
void ferry_setup_plan_done(struct ferry_setup_plan *plan);

/* Asks for the events of a webhook's failed deliveries again (`dry_run`: only counts them). */
struct ferry_setup_resent {
    size_t failed;  /* events that did not arrive by any delivery */
    size_t arrived; /* now */
    size_t again;   /* failed once more */
    char why[64];   /* the last of those */
};
/* Ends early with FERRY_STOPPING at Ctrl-C, with FERRY_HTTP_REFUSED when several in a row failed once more; else fails
 * as core/qlik/webhooks.h says. */
FERRY_NODISCARD enum ferry_code ferry_setup_resend(struct ferry_at_tenant *at, const char *webhook, bool dry_run,
                                                   struct ferry_setup_resent *resent, struct ferry_error *error);

#endif
