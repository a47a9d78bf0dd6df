/* An evaluator: from a task that is ready to an exchange that is under way.
 *
 * The way of a task is the table `steps`, from top to bottom. Each step lets it go on or ends the trial: as settled
 * without a call, as a dead letter, or put off until later. */
#include "consumers/engine.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdio.h>

enum { LATER_MS = 1000 }; /* when memory ran out, or the routes do not compile */

/* What somebody wants of an old record: headers of its own, or of its entry in the retry topic. */
struct asked {
    struct ferry_slice run; /* absent: it is live, or a redrive */
    bool old;               /* back-filled or replayed */
    bool effects;           /* it is to take effect, if it has not before */
    bool again;             /* … though it has before */
};

struct trial {
    struct ferry_engine *engine;
    struct ferry_evaluator *evaluator;
    struct ferry_task *task;
    const struct ferry_event *event;
    size_t index; /* of the route in the evaluator's generation */
    const struct ferry_compiled *compiled;
    struct asked asked;
    const struct ferry_view *view; /* of the event: the evaluator's, or `named` */
    struct ferry_view *named;      /* with the names of `names`; NULL: without any */
    unsigned names;
    char key[FERRY_EFFECT_KEY];
    struct ferry_error error;
};

/* True: on to the next step. False: the task is in other hands. */
typedef bool step(struct trial *trial);

/* ---- ends ---- */

/* Settled without a call. */
static bool end(struct trial *trial, enum ferry_outcome outcome, const char *why)
{
    ferry_report_outcome(trial->engine, trial->task, outcome, FERRY_OK, why);
    ferry_task_conclude(trial->engine, trial->task, outcome);
    return false;
}

/* The route does not want this event: settled, and no outcome. */
static bool leave(struct trial *trial)
{
    ferry_task_conclude(trial->engine, trial->task, FERRY_OUTCOME_SKIPPED);
    return false;
}

static bool put_off(struct trial *trial, int64_t due_ms)
{
    ferry_effect_done(&trial->task->effect);
    ferry_engine_lock(trial->engine);
    ferry_task_put_off(trial->engine, trial->task, FERRY_TASK_WAITING, due_ms);
    ferry_engine_unlock(trial->engine);
    return false;
}

/* A dead letter; but what is wrong with us, and not with the event, is tried again. */
static bool fail(struct trial *trial, enum ferry_code code)
{
    if (ferry_code_retry(code) == FERRY_RETRY_LATER)
        return put_off(trial, ferry_clock_mono_ms() + LATER_MS);
    struct ferry_next end = {.kind = FERRY_NEXT_BURY, .outcome = FERRY_OUTCOME_DEAD, .code = code};
    snprintf(end.reason, sizeof end.reason, "%s", trial->error.text);
    ferry_task_bury(trial->engine, trial->task, &end);
    return false;
}

/* ---- steps ---- */

static bool is_readable(struct trial *trial)
{
    if (trial->task->slot != NULL && trial->task->delivery->unreadable.code == FERRY_OK)
        return true;
    trial->error = trial->task->delivery->unreadable;
    return fail(trial, trial->error.code);
}

static bool says_yes(const struct ferry_record *record, const char *name)
{
    return ferry_slice_is(ferry_record_header(record, name), "yes");
}

/* What its entry says goes before what the record says: a letter of a replay that is redriven is a redrive. */
static struct asked what_is_asked(const struct ferry_delivery *delivery)
{
    const struct ferry_retry_note *note = &delivery->note;
    const struct ferry_record *record = &delivery->fetched->record;
    if (note->redrive.ptr != NULL)
        return (struct asked){.effects = true};
    if (note->replay.ptr != NULL)
        return (struct asked){note->replay, true, note->effects, note->again};
    struct ferry_slice run = ferry_record_header(record, "ferry-replay");
    bool old = run.ptr != NULL || ferry_record_header(record, "ferry-backfill").ptr != NULL;
    return (struct asked){run, old, old && says_yes(record, "ferry-effects"), old && says_yes(record, "ferry-again")};
}

/* Back-filled and replayed records take effect only when asked. */
static bool is_live(struct trial *trial)
{
    trial->asked = what_is_asked(trial->task->delivery);
    if (!trial->asked.old || trial->asked.effects || trial->asked.again)
        return true;
    return end(trial, FERRY_OUTCOME_SKIPPED, trial->asked.run.ptr != NULL ? "replayed" : "back-filled");
}

static bool has_route(struct trial *trial)
{
    const struct ferry_channel *channel = trial->engine->channel;
    const struct ferry_config *config = trial->evaluator->generation->config;
    for (size_t i = 0; i < channel->route_count(config); i++)
        if (strcmp(channel->route(config, i)->name, trial->task->slot->name) == 0) {
            trial->index = i;
            trial->compiled = &trial->evaluator->routes[i];
            return true;
        }
    if (trial->task->row == NULL)
        return end(trial, FERRY_OUTCOME_SKIPPED, "the route was removed from the configuration");
    ferry_fail(&trial->error, FERRY_ROUTE_GONE, "the route was removed while the event waited for its next attempt");
    return fail(trial, FERRY_ROUTE_GONE); /* not silently: somebody has waited for it */
}

/* The view of the record before is kept: an event's routes come one after the other. */
static bool has_view(struct trial *trial)
{
    struct ferry_evaluator *evaluator = trial->evaluator;
    uint64_t serial = trial->task->delivery->serial;
    if (evaluator->view != NULL && evaluator->view_serial == serial) {
        trial->view = evaluator->view;
        return true;
    }
    ferry_view_free(evaluator->view);
    evaluator->view = NULL;
    enum ferry_code code = ferry_view_new(trial->event, &evaluator->view, &trial->error);
    if (code != FERRY_OK)
        return fail(trial, code);
    evaluator->view_serial = serial;
    trial->view = evaluator->view;
    return true;
}

/* The first time that a name is missing, its effect waits a moment; what did not come in it does not come any more. */
static bool may_wait(struct ferry_task *task, int64_t now_ms)
{
    if (task->names_by_ms == 0)
        task->names_by_ms = now_ms + FERRY_LOOKUP_PATIENCE_MS;
    return now_ms < task->names_by_ms;
}

/* Waits in its lane, without an evaluator. What was settled between the question and now is there already. */
static bool await_names(struct trial *trial, const struct ferry_naming *naming, uint64_t settled_before, int64_t now_ms)
{
    struct ferry_engine *engine = trial->engine;
    struct ferry_task *task = trial->task;
    ferry_engine_lock(engine);
    memcpy(task->awaited, naming->pending, sizeof task->awaited);
    bool missed_it = engine->names_settled != settled_before;
    ferry_task_await_names(engine, task, missed_it ? now_ms : task->names_by_ms);
    ferry_engine_unlock(engine);
    return false;
}

static void count_stand_ins(struct trial *trial, const struct ferry_naming *naming)
{
    struct ferry_task *task = trial->task;
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        if ((naming->stood_in & ~task->stood_in & 1U << kind) != 0)
            ferry_lookup_missed(trial->engine->lookup, (enum ferry_name_kind)kind, naming->pending[kind] != 0);
    task->stood_in |= naming->stood_in;
}

static uint64_t names_settled(struct ferry_engine *engine)
{
    ferry_engine_lock(engine);
    uint64_t settled = engine->names_settled;
    ferry_engine_unlock(engine);
    return settled;
}

/* Adds the names of these kinds to what the route's programs see. */
static bool add_names(struct trial *trial, unsigned kinds)
{
    struct ferry_engine *engine = trial->engine;
    const struct ferry_worker_config *worker = engine->channel->worker(trial->evaluator->generation->config);
    if ((kinds & ~trial->names) == 0 || engine->lookup == NULL || worker->lookup.tenant == NULL)
        return true;
    FERRY_CLEANUP(ferry_naming_done) struct ferry_naming naming;
    ferry_naming_init(&naming);
    uint64_t settled = names_settled(engine);
    int64_t now_ms = ferry_clock_mono_ms();
    enum ferry_code code = ferry_namer_name(&trial->evaluator->namer, engine->lookup, kinds, trial->evaluator->view,
                                            &naming, &trial->error);
    if (code == FERRY_OK && ferry_naming_is_pending(&naming) && may_wait(trial->task, now_ms))
        return await_names(trial, &naming, settled, now_ms);
    struct ferry_view *named = NULL;
    if (code == FERRY_OK)
        code = ferry_naming_view(&naming, trial->evaluator->view, &named, &trial->error);
    if (code != FERRY_OK)
        return fail(trial, code);
    count_stand_ins(trial, &naming);
    ferry_view_free(trial->named);
    trial->view = trial->named = named;
    trial->names = kinds;
    return true;
}

static const struct ferry_route_config *route_of(const struct trial *trial)
{
    return trial->engine->channel->route(trial->evaluator->generation->config, trial->index);
}

/* Who is not wanted needs no names, but those that `when` itself speaks of. */
static bool has_names_for_when(struct trial *trial)
{
    return add_names(trial, route_of(trial)->when_names);
}

static bool has_names(struct trial *trial)
{
    return add_names(trial, route_of(trial)->names);
}

static bool is_wanted(struct trial *trial)
{
    bool wanted = true;
    enum ferry_code code = FERRY_OK;
    if (trial->compiled->when != NULL)
        code = ferry_expression_true(trial->compiled->when, trial->view, &wanted, &trial->error);
    if (code != FERRY_OK)
        return fail(trial, code);
    if (!wanted)
        ferry_task_tell_outcome(trial->engine, trial->task, FERRY_OUTCOME_SKIPPED, FERRY_OK, "`when` does not want it");
    return wanted || leave(trial);
}

/* What was asked for may be as old as it likes, and what waits in the retry topic was young enough when it came. */
static bool is_fresh(struct trial *trial)
{
    if (trial->task->row != NULL || trial->asked.effects || trial->asked.again)
        return true;
    int64_t max_age_ms = trial->engine->channel->worker(trial->evaluator->generation->config)->max_age_ms;
    int64_t event_ms;
    if (max_age_ms <= 0 || !ferry_time_parse(trial->event->time, &event_ms) ||
        ferry_clock_wall_ms() - event_ms <= max_age_ms)
        return true;
    return end(trial, FERRY_OUTCOME_EXPIRED, "older than max_age");
}

/* A text that an expression yields; absent for null and for what is no text. */
static struct ferry_slice optional_text(struct ferry_expression *expression, const struct ferry_view *view,
                                        struct ferry_buffer *buffer)
{
    bool is_null = false;
    if (ferry_expression_text(expression, view, buffer, &is_null, NULL) != FERRY_OK || is_null)
        return (struct ferry_slice){0};
    return ferry_buffer_slice(buffer);
}

static void default_key(struct trial *trial)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer id;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer type;
    ferry_buffer_init(&id, FERRY_EFFECT_BODY_MAX);
    ferry_buffer_init(&type, FERRY_EFFECT_BODY_MAX);
    struct ferry_slice resource_id = {0}, delete_type = {0};
    if (ferry_effect_key_by_resource(trial->event)) {
        resource_id = optional_text(trial->evaluator->resource_id, trial->view, &id);
        delete_type = optional_text(trial->evaluator->delete_type, trial->view, &type);
    }
    ferry_effect_key(trial->engine->channel->name, trial->task->slot->name, trial->event, resource_id, delete_type,
                     NULL, 0, trial->key);
}

/* One member of `once_per` as JSON text, so that 1 and "1" differ. null and "" identify nothing. */
static enum ferry_code once_per_member(struct trial *trial, size_t i, struct ferry_buffer *out)
{
    enum ferry_code code = ferry_expression_json(trial->compiled->once_per[i], trial->view, out, &trial->error);
    if (code != FERRY_OK)
        return code;
    struct ferry_slice text = ferry_buffer_slice(out);
    if (!ferry_slice_is(text, "null") && !ferry_slice_is(text, "\"\""))
        return FERRY_OK;
    const struct ferry_route_config *route = route_of(trial);
    return ferry_fail(&trial->error, FERRY_TEMPLATE_NULL, "once_per: %s yields %s", route->once_per[i].text,
                      text.ptr[0] == 'n' ? "null" : "an empty text");
}

static enum ferry_code once_per_key(struct trial *trial)
{
    enum { MEMBERS = 16 };
    struct ferry_buffer buffers[MEMBERS];
    struct ferry_slice texts[MEMBERS] = {0};
    size_t count = trial->compiled->once_per_count;
    if (count > MEMBERS)
        return ferry_fail(&trial->error, FERRY_TEMPLATE, "once_per has more than %d members", MEMBERS);
    enum ferry_code code = FERRY_OK;
    for (size_t i = 0; i < count; i++) {
        ferry_buffer_init(&buffers[i], FERRY_EFFECT_BODY_MAX);
        if (code == FERRY_OK)
            code = once_per_member(trial, i, &buffers[i]);
        texts[i] = ferry_buffer_slice(&buffers[i]);
    }
    if (code == FERRY_OK)
        ferry_effect_key(trial->engine->channel->name, trial->task->slot->name, trial->event, (struct ferry_slice){0},
                         (struct ferry_slice){0}, texts, count, trial->key);
    for (size_t i = 0; i < count; i++)
        ferry_buffer_done(&buffers[i]);
    return code;
}

static bool has_key(struct trial *trial)
{
    enum ferry_code code = FERRY_OK;
    if (trial->compiled->once_per_count > 0)
        code = once_per_key(trial);
    else
        default_key(trial);
    if (code == FERRY_OK && trial->asked.again && trial->asked.run.ptr != NULL)
        ferry_effect_key_again(trial->asked.run, trial->key);
    return code == FERRY_OK || fail(trial, code);
}

/* From which configuration, and which route of it, the call is made. */
static void remember_origin(struct trial *trial)
{
    struct ferry_task *task = trial->task;
    task->index = trial->index;
    if (task->generation == trial->evaluator->generation)
        return; /* by a step before, or in a trial before */
    ferry_engine_lock(trial->engine);
    ferry_generation_drop(task->generation);
    task->generation = trial->evaluator->generation;
    task->generation->references++;
    ferry_engine_unlock(trial->engine);
}

/* May the same key come in two partitions? One that follows from a resource does not where that is the records' key.
 * Without an effects topic there is nothing to claim it in. */
static bool is_crossing(const struct trial *trial)
{
    const struct ferry_config *config = trial->evaluator->generation->config;
    bool crosses = trial->compiled->once_per_count > 0 || config->topics.key != FERRY_KEY_RESOURCE;
    return crosses && trial->engine->effects_width > 0;
}

/* Claims the key inside this process; the lock is held. */
static enum ferry_claim claim_here(struct trial *trial)
{
    struct ferry_engine *engine = trial->engine;
    struct ferry_task *task = trial->task;
    if (task->delivery->note.redrive.ptr != NULL)
        ferry_once_absolve(engine->once, &task->key); /* the operator has decided */
    enum ferry_claim claim = ferry_once_claim(engine->once, &task->key, ferry_clock_wall_ms());
    task->claimed = claim == FERRY_CLAIM_OURS || claim == FERRY_CLAIM_DOUBT;
    task->crossing = is_crossing(trial);
    if (!task->claimed || !task->crossing || ferry_claims_watch(engine->claims, &task->key, ferry_clock_mono_ms()))
        return claim;
    ferry_once_release(engine->once, &task->key);
    task->claimed = false;
    return FERRY_CLAIM_BUSY; /* no memory: later */
}

static bool is_first(struct trial *trial)
{
    struct ferry_task *task = trial->task;
    if (task->claimed)
        return true;
    task->key = ferry_once_key_parse(trial->key);
    ferry_engine_lock(trial->engine);
    enum ferry_claim claim = claim_here(trial);
    ferry_engine_unlock(trial->engine);
    if (claim == FERRY_CLAIM_DONE)
        return end(trial, FERRY_OUTCOME_DUPLICATE, "it took effect before");
    if (claim == FERRY_CLAIM_DOUBT) {
        remember_origin(trial);
        ferry_call_in_doubt(trial->engine, task, "a worker that had begun it died");
        return false;
    }
    return task->claimed || put_off(trial, ferry_clock_mono_ms() + FERRY_CLAIM_AGAIN_MS);
}

/* Behind an entry of its lane in the retry topic nobody is tried: it goes there as well, unless it is there already (a
 * worker died before it had stored the offset). */
static bool is_next(struct trial *trial)
{
    struct ferry_task *task = trial->task;
    struct ferry_engine *engine = trial->engine;
    const struct ferry_record *record = &task->delivery->fetched->record;
    const struct ferry_retry_note entry = {.route = ferry_slice_from(task->slot->name),
                                           .origin = {record->topic, record->partition, record->offset}};
    if (task->row != NULL)
        return true;
    ferry_engine_lock(engine);
    bool blocked = ferry_task_blocked(engine, task);
    bool there = blocked && ferry_retry_index_find(engine->retries, &entry) != NULL;
    ferry_engine_unlock(engine);
    if (there)
        return leave(trial);
    if (blocked)
        ferry_task_requeue(engine, task, ferry_clock_wall_ms(), &(struct ferry_next){.code = FERRY_OK});
    return !blocked;
}

/* A parked route buries without a call, but for a probe now and then. */
static bool is_open(struct trial *trial)
{
    struct ferry_slot *slot = trial->task->slot;
    int64_t now_ms = ferry_clock_mono_ms();
    ferry_engine_lock(trial->engine);
    bool parked = slot->probe_ms != 0 && now_ms < slot->probe_ms;
    if (slot->probe_ms != 0 && !parked)
        slot->probe_ms = now_ms + FERRY_PROBE_MS; /* this one is the probe */
    ferry_engine_unlock(trial->engine);
    if (!parked)
        return true;
    ferry_fail(&trial->error, FERRY_DESTINATION_DEAD, "the route is parked: its destination is dead");
    return fail(trial, FERRY_DESTINATION_DEAD);
}

/* Where messages can be joined the claim comes first: no single one could leave a digest any more, and what is held
 * meets the gate, a parked route and the pace as everything does. */
static bool is_held(struct trial *trial)
{
    struct ferry_task *task = trial->task;
    if (!task->crossing || task->held || trial->engine->channel->joining == NULL)
        return true;
    remember_origin(trial);
    ferry_task_claim(trial->engine, task, FERRY_AFTER_TRIAL);
    return false;
}

static bool is_rendered(struct trial *trial)
{
    bool skip = false;
    ferry_effect_done(&trial->task->effect);
    enum ferry_code code = trial->engine->channel->render(trial->compiled->route, trial->event, trial->view, trial->key,
                                                          &trial->task->effect, &skip, &trial->error);
    if (code != FERRY_OK)
        return fail(trial, code);
    if (trial->task->effect.body.failed) {
        ferry_fail(&trial->error, FERRY_TEMPLATE, "what was rendered is over %d bytes", FERRY_EFFECT_BODY_MAX);
        return fail(trial, FERRY_TEMPLATE);
    }
    return !skip || end(trial, FERRY_OUTCOME_SKIPPED, trial->error.text);
}

/* Its turn comes at `due_ms`: it waits in its lane. An entry that has to wait longer goes back to where it came from
 * and makes room for others; its token is kept for it. */
static bool wait_for_turn(struct trial *trial, int64_t due_ms, int64_t now_ms)
{
    struct ferry_task *task = trial->task;
    if (task->row == NULL || due_ms <= now_ms + FERRY_ENTRY_PATIENCE_MS)
        return put_off(trial, due_ms);
    ferry_engine_lock(trial->engine);
    ferry_task_postpone(trial->engine, task, due_ms, now_ms, task->reserved ? task->token_ms : 0);
    ferry_engine_unlock(trial->engine);
    return false;
}

/* What goes into a digest waits for its fellows there; the digest takes the token. */
static bool goes_alone(struct trial *trial)
{
    const struct ferry_joining *joining = trial->engine->channel->joining;
    if (joining == NULL)
        return true;
    remember_origin(trial);
    int64_t window_ms = joining->window_ms(trial->evaluator->generation->config, trial->index);
    return !ferry_digest_take(trial->engine, trial->task, window_ms);
}

/* Takes a token of the destination; who has to wait for it waits in its lane, and holds up nobody else. */
static bool has_token(struct trial *trial)
{
    struct ferry_task *task = trial->task;
    struct ferry_destination *destination = task->slot->destination;
    if (destination == NULL)
        return true;
    int64_t now_ms = ferry_clock_mono_ms();
    ferry_engine_lock(trial->engine);
    if (!task->reserved || task->token_ms < destination->pace.blocked_ms)
        task->token_ms = ferry_pace_reserve(&destination->pace, task->slot->rate, now_ms);
    task->reserved = true;
    ferry_engine_unlock(trial->engine);
    return task->token_ms <= now_ms || wait_for_turn(trial, task->token_ms, now_ms);
}

/* Over a cap it waits in its lane: that is no attempt. Asked last, for what is counted is called. */
static bool has_room(struct trial *trial)
{
    const struct ferry_channel *channel = trial->engine->channel;
    struct ferry_task *task = trial->task;
    struct ferry_limit limits[FERRY_LIMITS];
    if (channel->limits == NULL)
        return true;
    size_t count =
        channel->limits(trial->evaluator->generation->config, trial->index, trial->event, &task->effect, limits);
    int64_t now_ms = ferry_clock_mono_ms(), until_ms = now_ms;
    ferry_engine_lock(trial->engine);
    enum ferry_code code = ferry_task_take_room(trial->engine, task, limits, count, now_ms, &until_ms);
    ferry_engine_unlock(trial->engine);
    if (code != FERRY_OK)
        return fail(trial, code);
    return until_ms <= now_ms || wait_for_turn(trial, until_ms, now_ms);
}

/* Where a second call would do harm, or two processes may be about to make it, the log knows of the first before it is
 * made. */
static bool call(struct trial *trial)
{
    remember_origin(trial);
    if (trial->task->crossing && !trial->task->held)
        ferry_task_claim(trial->engine, trial->task, FERRY_AFTER_CALL);
    else if (!trial->task->crossing && trial->engine->channel->intends)
        ferry_task_mark(trial->engine, trial->task, FERRY_MARK_INTENT, FERRY_AFTER_CALL, &(struct ferry_next){0});
    else
        ferry_call_begin(trial->engine, trial->task);
    return false;
}

static step *const steps[] = {
    is_readable, is_live, has_route, has_view, has_names_for_when, is_wanted,  is_fresh,  has_names, has_key,
    is_first,    is_next, is_open,   is_held,  is_rendered,        goes_alone, has_token, has_room,  call,
};

/* ---- the thread ---- */

static void try_task(struct ferry_evaluator *evaluator, struct ferry_task *task)
{
    struct trial trial = {
        .engine = evaluator->engine, .evaluator = evaluator, .task = task, .event = &task->delivery->event};
    enum ferry_code code = ferry_evaluator_refresh(evaluator, &trial.error);
    if (code != FERRY_OK)
        ferry_log(FERRY_LOG_ERROR, "the routes do not compile", FERRY_FIELDS(ferry_text("reason", trial.error.text)));
    if (evaluator->generation == NULL) {
        put_off(&trial, ferry_clock_mono_ms() + LATER_MS);
        return;
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && steps[i](&trial); i++)
        ;
    ferry_view_free(trial.named);
}

void *ferry_evaluator_run(void *context)
{
    struct ferry_evaluator *evaluator = context;
    struct ferry_engine *engine = evaluator->engine;
    for (;;) {
        ferry_engine_lock(engine);
        struct ferry_task *task = ferry_tasks_next(engine);
        ferry_engine_unlock(engine);
        if (task == NULL)
            return NULL;
        if (task->writing != FERRY_WRITE_NOTHING)
            ferry_task_publish_again(engine, task);
        else if (task->follow || task->intended)
            ferry_call_begin(engine, task);
        else if (task->collected != NULL)
            ferry_digest_depart(engine, task);
        else
            try_task(evaluator, task);
    }
}
