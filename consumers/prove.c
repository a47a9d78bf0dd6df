/* Claims in the log: keys that cross partitions (docs/decisions/once.md).
 *
 * Two processes can be at the same such key in the same moment, each with a partition of its own. So before the call a
 * task writes a claim to the effects partition that follows from the key, and the log is read back at least as far as
 * that. Who stands there first makes the call (claims.c says who that is):
 *
 *   write ─▶ MARKING ─ its report ─▶ PROVING ─ read back ─▶ ours       the call; the claim is its intent as well
 *     ▲                                 ▲                   inherited  its owner died with it: in doubt
 *     │                                 │                   done       a duplicate
 *     │                                 │                   others     WAITING, then read back again
 *     └─────────────────────────────────┴─────────────────  free, dead: claimed (anew)
 *
 * The claim ends with the mark of the effect or of its doubt, or with a void when nothing came of it. Until then the
 * process renews it, at a third of the lease; who does not renew for a lease (the session timeout and a margin) is
 * dead.
 *
 * Reading back costs a visit to the broker, some milliseconds. The prover alone does it, for all that wait at the same
 * time: neither the poller nor an evaluator waits for it, and the lock is not held. */
#include <stdlib.h>
#include <time.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    ROUND = 1024,
    SESSION_MS = 45000, /* librdkafka's own */
    MARGIN_MS = 5000,
    RENEWALS = 3,          /* in a lease */
    AGAIN_MS = 1000,       /* after a broker that did not answer */
    LOOK_AGAIN_MS = 200,   /* while another process is at it, … */
    LOOK_AGAIN_DOUBLES = 4 /* … up to 3.2 s */
};

struct prover {
    struct ferry_engine *engine;
    struct ferry_task *tasks[ROUND]; /* of this round; PROVING, so nobody else touches them */
    size_t count;
    int64_t renew_ms; /* monotonic */
};

/* ---- terms ---- */

static const char *find_property(struct ferry_properties properties, const char *name)
{
    for (size_t i = 0; i < properties.count; i++)
        if (strcmp(properties.items[i].name, name) == 0)
            return properties.items[i].value;
    return NULL;
}

void ferry_claim_set_terms(struct ferry_engine *engine, const struct ferry_config *config)
{
    static const char name[] = "session.timeout.ms";
    const struct ferry_worker_config *worker = engine->channel->worker(config);
    const char *text = find_property(worker->kafka, name);
    if (text == NULL)
        text = find_property(config->kafka, name);
    long session_ms = text != NULL ? strtol(text, NULL, 10) : 0;
    ferry_claims_set_terms(engine->claims, (session_ms > 0 ? session_ms : SESSION_MS) + MARGIN_MS,
                           worker->dedupe_window_ms);
}

/* ---- writing ---- */

/* By its last bytes, whatever the machine's byte order: all processes come to the same. */
int32_t ferry_claim_partition(const struct ferry_once_key *key, int32_t width)
{
    uint32_t tail = 0;
    for (size_t i = sizeof key->bytes - 4; i < sizeof key->bytes; i++)
        tail = tail << 8 | key->bytes[i];
    return (int32_t)(tail % (uint32_t)width);
}

/* Key and headers are copied, and the value is static text, so nobody has to keep anything until the report. */
static enum ferry_code send(struct ferry_engine *engine, const struct ferry_once_key *key, const char *value,
                            const struct ferry_claimant *by, const struct ferry_claimant *over, int32_t width,
                            struct ferry_task *tag, struct ferry_error *error)
{
    char name[sizeof key->bytes + 1], by_text[FERRY_CLAIMANT_TEXT], over_text[FERRY_CLAIMANT_TEXT];
    memcpy(name, key->bytes, sizeof key->bytes);
    name[sizeof key->bytes] = FERRY_CLAIM_MARK;
    ferry_claimant_print(by, by_text);
    ferry_claimant_print(over, over_text);
    struct ferry_pair headers[] = {{FERRY_SLICE(FERRY_CLAIM_BY), ferry_slice_from(by_text)},
                                   {FERRY_SLICE(FERRY_CLAIM_OVER), ferry_slice_from(over_text)}};
    const struct ferry_record record = {.topic = ferry_slice_from(engine->effects_topic),
                                        .key = ferry_slice_of(name, sizeof name),
                                        .value = ferry_slice_from(value),
                                        .headers = headers,
                                        .header_count = over->process != 0 ? 2 : 1};
    return ferry_engine_send(engine, &record, ferry_claim_partition(key, width), tag, error);
}

/* What follows a claim that may stand in the log. Not waited for. */
struct sequel {
    bool (*enter)(struct ferry_claims *claims, const struct ferry_once_key *key, struct ferry_claimant *by);
    const char *value;
    const char *unsent; /* what is said when it could not be sent */
};
static const struct sequel withdrawal = {ferry_claims_withdraw, FERRY_CLAIM_VOID,
                                         "a claim could not be taken back; the effect will be in doubt"};
static const struct sequel renewal = {ferry_claims_renew, FERRY_CLAIM_CLAIM, "a claim could not be renewed"};

static void send_sequel(struct ferry_engine *engine, const struct sequel *sequel, const struct ferry_once_key *key)
{
    struct ferry_claimant by;
    pthread_mutex_lock(&engine->claim_lock);
    ferry_engine_lock(engine);
    int32_t width = engine->effects_width;
    bool stands = sequel->enter(engine->claims, key, &by);
    ferry_engine_unlock(engine);
    if (stands && width > 0 &&
        send(engine, key, sequel->value, &by, &(struct ferry_claimant){0}, width, NULL, NULL) != FERRY_OK)
        ferry_log(FERRY_LOG_WARN, sequel->unsent, FERRY_NO_FIELDS);
    pthread_mutex_unlock(&engine->claim_lock);
}

void ferry_claim_withdraw(struct ferry_engine *engine, const struct ferry_task *task)
{
    send_sequel(engine, &withdrawal, &task->key);
}

enum ferry_code ferry_claim_send(struct ferry_engine *engine, struct ferry_task *task, struct ferry_error *error)
{
    struct ferry_claimant by, over;
    ferry_engine_lock(engine);
    ferry_claims_write(engine->claims, &task->key, ferry_clock_mono_ms(), &by, &over);
    int32_t width = engine->effects_width;
    ferry_engine_unlock(engine);
    if (width > 0)
        return send(engine, &task->key, FERRY_CLAIM_CLAIM, &by, &over, width, task, error);
    ferry_claim_written(engine, task); /* the topic is gone: nothing to read back either */
    return FERRY_OK;
}

void ferry_claim_written(struct ferry_engine *engine, struct ferry_task *task)
{
    task->writing = FERRY_WRITE_NOTHING;
    ferry_engine_lock(engine);
    ferry_task_prove(engine, task);
    ferry_engine_unlock(engine);
}

/* While another process is known to be at it there is no use in one more claim: first the log is read again. */
void ferry_task_claim(struct ferry_engine *engine, struct ferry_task *task, enum ferry_after after)
{
    task->after = after;
    ferry_engine_lock(engine);
    enum ferry_standing standing =
        ferry_claims_standing(engine->claims, &task->key, ferry_clock_mono_ms(), ferry_clock_wall_ms());
    bool look = standing == FERRY_STANDING_OTHERS || standing == FERRY_STANDING_DONE;
    if (look)
        ferry_task_prove(engine, task);
    ferry_engine_unlock(engine);
    if (!look)
        ferry_task_note(engine, task, FERRY_WRITE_CLAIM);
}

/* ---- what follows from how it stands ---- */

/* Of a partition that goes away nothing begins any more; what was claimed is taken back. */
static bool drop_unwanted(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_engine_lock(engine);
    bool unwanted = ferry_task_unwanted(task);
    if (unwanted)
        ferry_task_drop(engine, task);
    ferry_engine_unlock(engine);
    return unwanted;
}

static void go_on(struct ferry_engine *engine, struct ferry_task *task)
{
    if (drop_unwanted(engine, task))
        return;
    ferry_engine_lock(engine);
    task->held = true;
    task->looks = 0;
    task->intended = task->after == FERRY_AFTER_CALL;
    ferry_task_make_ready(engine, task);
    ferry_engine_unlock(engine);
}

static void claim_anew(struct ferry_engine *engine, struct ferry_task *task)
{
    if (!drop_unwanted(engine, task))
        ferry_task_note(engine, task, FERRY_WRITE_CLAIM);
}

/* Also in a partition that goes away: the doubt is ours now. */
static void be_in_doubt(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_engine_lock(engine);
    task->held = true;
    ferry_engine_unlock(engine);
    ferry_call_in_doubt(engine, task, "a worker that had begun it died");
}

static void look_later(struct ferry_engine *engine, struct ferry_task *task)
{
    int doubles = task->looks < LOOK_AGAIN_DOUBLES ? task->looks : LOOK_AGAIN_DOUBLES;
    ferry_effect_done(&task->effect);
    ferry_engine_lock(engine);
    task->looks++;
    ferry_task_put_off(engine, task, FERRY_TASK_WAITING, ferry_clock_mono_ms() + (LOOK_AGAIN_MS << doubles));
    ferry_engine_unlock(engine);
}

/* Our own claim, if there is one, is taken back: behind the mark it would look like one of a worker that died. */
static void be_duplicate(struct ferry_engine *engine, struct ferry_task *task)
{
    bool doubtful;
    ferry_effect_done(&task->effect);
    ferry_claim_withdraw(engine, task);
    ferry_engine_lock(engine);
    int64_t marked_ms = ferry_claims_marked_ms(engine->claims, &task->key, &doubtful);
    ferry_claims_forget(engine->claims, &task->key);
    ferry_once_release(engine->once, &task->key);
    task->claimed = task->held = false;
    ferry_engine_learn_mark(engine, &task->key, marked_ms, doubtful);
    ferry_engine_unlock(engine);
    ferry_report_outcome(engine, task, FERRY_OUTCOME_DUPLICATE, FERRY_OK, "another process has had the effect");
    ferry_task_conclude(engine, task, FERRY_OUTCOME_DUPLICATE);
}

static void (*const follows[FERRY_STANDING_COUNT])(struct ferry_engine *engine, struct ferry_task *task) = {
    [FERRY_STANDING_FREE] = claim_anew,       [FERRY_STANDING_OURS] = go_on,      [FERRY_STANDING_OTHERS] = look_later,
    [FERRY_STANDING_INHERITED] = be_in_doubt, [FERRY_STANDING_DEAD] = claim_anew, [FERRY_STANDING_DONE] = be_duplicate,
};

void ferry_claim_judge(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_engine_lock(engine);
    if (task->delivery->note.redrive.ptr != NULL)
        ferry_claims_absolve(engine->claims, &task->key); /* the operator has decided */
    enum ferry_standing standing =
        ferry_claims_standing(engine->claims, &task->key, ferry_clock_mono_ms(), ferry_clock_wall_ms());
    if (engine->effects_width <= 0)
        standing = FERRY_STANDING_OURS; /* as it is without claims */
    ferry_task_take(engine, task);
    ferry_engine_unlock(engine);
    ferry_series_add(engine->standings[standing], 1);
    follows[standing](engine, task);
}

/* ---- reading ---- */

static struct ferry_claimant claimant_in(const struct ferry_record *record, const char *header)
{
    struct ferry_slice text = ferry_record_header(record, header);
    struct ferry_claimant claimant = {0};
    if (text.ptr == NULL || !ferry_claimant_parse(text.ptr, text.len, &claimant))
        return (struct ferry_claimant){0};
    return claimant;
}

void ferry_claim_read(struct ferry_engine *engine, const struct ferry_record *record)
{
    struct ferry_once_key key;
    struct ferry_claimant by = claimant_in(record, FERRY_CLAIM_BY);
    if (by.process == 0 || record->key.len != sizeof key.bytes + 1 ||
        record->key.ptr[sizeof key.bytes] != FERRY_CLAIM_MARK)
        return;
    memcpy(key.bytes, record->key.ptr, sizeof key.bytes);
    /* A renewal that crossed with the mark comes behind it, and opens nothing. */
    bool done = ferry_once_is_done(engine->once, &key, ferry_clock_wall_ms());
    if (ferry_slice_is(record->value, FERRY_CLAIM_VOID))
        ferry_claims_read_void(engine->claims, &key, by);
    else if (ferry_slice_is(record->value, FERRY_CLAIM_CLAIM) && !done)
        ferry_claims_read(engine->claims, &key, by, claimant_in(record, FERRY_CLAIM_OVER), ferry_clock_mono_ms());
}

/* The partitions of the round's keys, once for all of them. False: it has to be tried again. */
static bool read_back(struct prover *prover)
{
    struct ferry_engine *engine = prover->engine;
    ferry_engine_lock(engine);
    int32_t width = engine->effects_width;
    ferry_engine_unlock(engine);
    if (width <= 0)
        return true;
    bool *wanted = calloc((size_t)width, sizeof *wanted);
    if (wanted == NULL)
        return false;
    for (size_t i = 0; i < prover->count; i++)
        wanted[ferry_claim_partition(&prover->tasks[i]->key, width)] = true;
    struct ferry_generation *generation = ferry_engine_take_generation(engine);
    bool good = ferry_marks_catch_up(engine, generation->config, wanted, width);
    ferry_engine_drop_generation(engine, generation);
    free(wanted);
    return good;
}

/* ---- the thread ---- */

/* Those whose claims are in the log by now; who comes later needs a later look. */
static void collect(struct prover *prover)
{
    prover->count = 0;
    ferry_engine_lock(prover->engine);
    for (struct ferry_task *task = prover->engine->proving.first; task != NULL && prover->count < ROUND;
         task = task->list_behind)
        prover->tasks[prover->count++] = task;
    ferry_engine_unlock(prover->engine);
}

/* A worker that stops reads no further; what it has read is judged, and the rest is dropped and taken back. */
static void prove(struct prover *prover)
{
    if (!read_back(prover) && !ferry_engine_is_stopping(prover->engine)) {
        const struct timespec pause = {.tv_sec = AGAIN_MS / 1000, .tv_nsec = AGAIN_MS % 1000 * 1000000L};
        nanosleep(&pause, NULL);
        return;
    }
    for (size_t i = 0; i < prover->count; i++)
        ferry_claim_judge(prover->engine, prover->tasks[i]);
}

/* What was dropped with a claim: nobody here claims the key before it is taken back. */
static void take_back_left(struct ferry_engine *engine)
{
    struct ferry_once_key key;
    for (;;) {
        ferry_engine_lock(engine);
        bool found = ferry_claims_take_left(engine->claims, &key);
        ferry_engine_unlock(engine);
        if (!found)
            return;
        send_sequel(engine, &withdrawal, &key);
        ferry_engine_lock(engine);
        ferry_claims_forget(engine->claims, &key);
        ferry_once_release(engine->once, &key);
        ferry_engine_unlock(engine);
    }
}

static void renew_all(struct prover *prover)
{
    struct ferry_engine *engine = prover->engine;
    size_t count;
    ferry_engine_lock(engine);
    struct ferry_once_key *keys = ferry_claims_standing_keys(engine->claims, &count);
    prover->renew_ms = ferry_clock_mono_ms() + ferry_claims_lease_ms(engine->claims) / RENEWALS;
    ferry_engine_unlock(engine);
    for (size_t i = 0; i < count; i++)
        send_sequel(engine, &renewal, &keys[i]);
    free(keys);
}

/* False: the worker has ended. */
static bool wait_for_work(struct prover *prover)
{
    struct ferry_engine *engine = prover->engine;
    ferry_engine_lock(engine);
    while (!engine->ended && engine->proving.first == NULL && !ferry_claims_any_left(engine->claims) &&
           ferry_clock_mono_ms() < prover->renew_ms)
        ferry_engine_sleep(engine, &engine->prove, prover->renew_ms);
    bool ended = engine->ended;
    ferry_engine_unlock(engine);
    return !ended;
}

void *ferry_prover_run(void *context)
{
    struct prover prover = {.engine = context};
    while (wait_for_work(&prover)) {
        take_back_left(prover.engine);
        if (ferry_clock_mono_ms() >= prover.renew_ms)
            renew_all(&prover);
        collect(&prover);
        if (prover.count > 0)
            prove(&prover);
    }
    take_back_left(prover.engine);
    return NULL;
}
