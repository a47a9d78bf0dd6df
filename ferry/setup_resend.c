/* --resend-failed: the events that a webhook could not deliver, once more.
 *
 * A delivery that is asked for again is a delivery like any other: when it fails, that counts against the webhook,
 * which Qlik disables after too many. So this gives up when the bridge refuses several in a row. */
#include <stdio.h>

#include "ferry/console.h"
#include "ferry/setup.h"

enum { LOOK_AT = 10000, IN_A_ROW = 5 };

static enum ferry_code list(struct ferry_at_tenant *at, const char *webhook, struct ferry_arena *arena,
                            struct ferry_qlik_failures *failures, struct ferry_error *error)
{
    int attempt = 0;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_failures(at->session, webhook, LOOK_AT, arena, failures, error);
    } while (ferry_at_tenant_again(at, code, &attempt));
    return code;
}

static enum ferry_code resend_one(struct ferry_at_tenant *at, const char *webhook, const char *delivery,
                                  struct ferry_qlik_resent *one, struct ferry_error *error)
{
    int attempt = 0;
    enum ferry_code code;
    do {
        code = ferry_qlik_webhooks_resend(at->session, webhook, delivery, one, error);
    } while (ferry_at_tenant_again(at, code, &attempt));
    return code;
}

enum ferry_code ferry_setup_resend(struct ferry_at_tenant *at, const char *webhook, bool dry_run,
                                   struct ferry_setup_resent *resent, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {0};
    struct ferry_qlik_failures failures = {0};
    enum ferry_code code = list(at, webhook, &arena, &failures, error);
    struct ferry_progress progress = {.what = "resending", .total = (int64_t)failures.count};
    *resent = (struct ferry_setup_resent){.failed = failures.count};
    int in_a_row = 0;
    for (size_t i = 0; code == FERRY_OK && !dry_run && i < failures.count; i++) {
        struct ferry_qlik_resent one = {0};
        if (ferry_console_interrupted())
            code = ferry_fail(error, FERRY_STOPPING, "stopped; run it again to go on");
        else if (in_a_row == IN_A_ROW)
            code = ferry_fail(error, FERRY_HTTP_REFUSED,
                              "%d in a row did not arrive (%s): stopped, so that Qlik does not disable the webhook; "
                              "does the bridge answer at this URL, with this secret? `--set-secret` sets it",
                              IN_A_ROW, resent->why);
        else
            code = resend_one(at, webhook, failures.items[i].id, &one, error);
        if (code != FERRY_OK)
            break;
        resent->arrived += one.arrived;
        resent->again += !one.arrived;
        in_a_row = one.arrived ? 0 : in_a_row + 1;
        if (!one.arrived)
            snprintf(resent->why, sizeof resent->why, "%s", one.why);
        ferry_progress_show(&progress, (int64_t)i + 1);
    }
    ferry_progress_end(&progress);
    return code;
}
