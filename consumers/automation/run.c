/* A run of an automation, from the answer to its execution to its end.
 *
 *   EXECUTE ──2xx──▶ done                          wait: accepted, or the answer is the output
 *      │ queued
 *      ▼
 *   LOOK ──finished──▶ done      ──failed, stopped …──▶ dead letter run-failed
 *    ▲ │ still going, or the look itself failed: again, a little later each time
 *    │ └─ no token, or refused ──▶ LOGIN ─┐
 *    └───────────────────────────────────┘
 *
 * Once the execution is accepted, nothing leads back to EXECUTE: a run that cannot be seen to end is in doubt, and
 * parked, whatever `in_doubt` says, for another execution would be a second run. */
#include <jansson.h>
#include <stdio.h>

#include "consumers/automation/automation.h"
#include "consumers/login.h"
#include "core/clock.h"

enum { EXECUTE, LOGIN, LOOK };

enum {
    LOOK_TIMEOUT_MS = 15000,
    LOOK_FIRST_MS = 1000,
    LOOK_MAX_MS = 15000,
    LOOKS = 5760,     /* a day of them */
    REFUSED_LOOKS = 3 /* with a token that may have been withdrawn */
};

/* ---- the next exchange ---- */

/* 1, 2, 4, 8, 15, 15 … seconds. */
static int64_t look_delay_ms(int looks)
{
    return looks < 4 ? LOOK_FIRST_MS << looks : LOOK_MAX_MS;
}

static enum ferry_code describe_look(const struct ferry_qlik_call *call, struct ferry_effect *effect)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer url;
    ferry_buffer_init(&url, 4096);
    ferry_buffer_printf(&url, "%s/api/v1/automations/%s/runs/%s", call->tenant, call->automation, effect->note);
    ferry_effect_clear(effect);
    if (!ferry_login_authorize(call->tenant, &call->auth, effect)) {
        effect->step = LOGIN;
        return ferry_login_request(call->tenant, &call->auth, effect);
    }
    effect->step = LOOK;
    return ferry_effect_request(effect, "GET", ferry_buffer_slice(&url), LOOK_TIMEOUT_MS);
}

static void park(const struct ferry_effect *effect, const char *why, struct ferry_verdict *verdict)
{
    ferry_verdict_set(verdict, FERRY_OUTCOME_DOUBTFUL, FERRY_OUTCOME_UNKNOWN, "run %s was accepted, but %s",
                      effect->note, why);
}

static void look_in(const struct ferry_qlik_call *call, int64_t delay_ms, struct ferry_effect *effect,
                    struct ferry_verdict *verdict)
{
    if (++effect->looks > LOOKS) {
        park(effect, "it has not ended for a day", verdict);
    } else if (describe_look(call, effect) != FERRY_OK) {
        park(effect, "memory ran out", verdict);
    } else {
        ferry_verdict_set(verdict, FERRY_OUTCOME_RETRY, FERRY_OK, "run %s", effect->note);
        verdict->follow_up = true;
        verdict->retry_after_ms = delay_ms;
    }
}

static void look_later(const struct ferry_qlik_call *call, const struct ferry_answer *answer,
                       struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    int64_t delay_ms = look_delay_ms(effect->looks);
    look_in(call, answer->retry_after_ms > delay_ms ? answer->retry_after_ms : delay_ms, effect, verdict);
}

/* ---- answers ---- */

/* The member as text into `out`; "" where there is none or it is too long. */
static void member(const json_t *object, const char *name, char *out, size_t out_bytes)
{
    const char *text = json_string_value(json_object_get(object, name));
    snprintf(out, out_bytes, "%s", text != NULL && strlen(text) < out_bytes ? text : "");
}

/* It becomes part of a URL. */
static bool is_run_id(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return id[0] != '\0' && id[strspn(id, allowed)] == '\0';
}

/* {"status":"queued","id":…}: the run's id goes into the note. False for every other answer, which is the output. */
static bool is_queued(struct ferry_slice body, struct ferry_effect *effect)
{
    char status[32], id[sizeof effect->note];
    json_t *answer = json_loadb(body.ptr, body.len, 0, NULL);
    member(answer, "status", status, sizeof status);
    member(answer, "id", id, sizeof id);
    json_decref(answer);
    if (strcmp(status, "queued") != 0 || !is_run_id(id))
        return false;
    memcpy(effect->note, id, sizeof id);
    return true;
}

static void settle_execution(const struct ferry_qlik_call *call, enum ferry_in_doubt in_doubt,
                             const struct ferry_answer *answer, struct ferry_effect *effect,
                             struct ferry_verdict *verdict)
{
    ferry_verdict_by_status(answer, verdict);
    if (verdict->outcome == FERRY_OUTCOME_DONE && call->wait_finished && is_queued(answer->body, effect)) {
        effect->looks = 0;
        look_in(call, LOOK_FIRST_MS, effect, verdict);
    } else if (answer->status == 400 && effect->attempt <= FERRY_QLIK_QUEUE_FULL_TRIES) {
        ferry_verdict_set(verdict, FERRY_OUTCOME_RETRY, FERRY_HTTP_BUSY, "status 400: the queue may be full");
        verdict->retry_after_ms = answer->retry_after_ms;
    } else if (verdict->outcome == FERRY_OUTCOME_DOUBTFUL) {
        ferry_automation_doubt(in_doubt, verdict);
    }
}

static bool is_refused(const struct ferry_answer *answer)
{
    struct ferry_verdict verdict;
    ferry_verdict_by_status(answer, &verdict);
    return verdict.outcome == FERRY_OUTCOME_DEAD;
}

static void settle_login(const struct ferry_qlik_call *call, const struct ferry_answer *answer,
                         struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    bool good = answer->exchange == FERRY_EXCHANGE_ANSWERED && answer->status / 100 == 2;
    if (good && ferry_login_keep(call->tenant, &call->auth, answer->body, ferry_clock_mono_ms())) {
        look_in(call, 0, effect, verdict);
    } else if (good || is_refused(answer)) {
        char why[64];
        snprintf(why, sizeof why, "the login to look at it was refused: status %d", answer->status);
        park(effect, why, verdict);
    } else {
        look_later(call, answer, effect, verdict);
    }
}

/* Qlik's words for the end of a run; all others mean that it is still going. */
static const struct {
    const char *status;
    bool good;
} ends[] = {{"finished", true},   {"finished with warnings", true}, {"failed", false}, {"stopped", false},
            {"must stop", false}, {"exceeded limit", false}};

static void settle_status(const struct ferry_qlik_call *call, const struct ferry_answer *answer,
                          struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    char status[32];
    json_t *run = json_loadb(answer->body.ptr, answer->body.len, 0, NULL);
    member(run, "status", status, sizeof status);
    json_decref(run);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (strcmp(status, ends[i].status) != 0)
            continue;
        ferry_verdict_set(verdict, ends[i].good ? FERRY_OUTCOME_DONE : FERRY_OUTCOME_DEAD,
                          ends[i].good ? FERRY_OK : FERRY_RUN_FAILED, "run %s: %s", effect->note, ends[i].status);
        return;
    }
    look_later(call, answer, effect, verdict);
}

static void settle_look(const struct ferry_qlik_call *call, const struct ferry_answer *answer,
                        struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    if (answer->exchange == FERRY_EXCHANGE_ANSWERED && answer->status / 100 == 2) {
        settle_status(call, answer, effect, verdict);
    } else if (answer->status == 401 && effect->looks < REFUSED_LOOKS) {
        ferry_login_forget(call->tenant, &call->auth);
        look_later(call, answer, effect, verdict);
    } else if (is_refused(answer)) {
        char why[64];
        snprintf(why, sizeof why, "a look at it was refused: status %d", answer->status);
        park(effect, why, verdict);
    } else {
        look_later(call, answer, effect, verdict);
    }
}

void ferry_qlik_settle(const struct ferry_qlik_call *call, enum ferry_in_doubt in_doubt,
                       const struct ferry_answer *answer, struct ferry_effect *effect, struct ferry_verdict *verdict)
{
    if (effect->step == EXECUTE)
        settle_execution(call, in_doubt, answer, effect, verdict);
    else if (effect->step == LOGIN)
        settle_login(call, answer, effect, verdict);
    else
        settle_look(call, answer, effect, verdict);
}
