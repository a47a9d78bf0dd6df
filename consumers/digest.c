/* Digests: what waits for one destination goes as one message.
 *
 * A route with a window does not send what it rendered: the task is COLLECTED in the digest of its destination, beside
 * those of other routes that send there and collect too. The first one opens the window; the first one also drives: its
 * timer is the digest's, and when it goes away the next one takes its place.
 *
 *   waiting   first ─ … ─ last   COLLECTED, in the order in which they came; not begun: a rebalance drops them
 *      │  the window has closed, the destination has a token, no message of it is under way:
 *      │  as many from the front as fit into one message get on board
 *   flight    members[]          RIDING; begun. One flight a destination, so its messages keep their order
 *      │  the answer is that of each member, as if it had been sent alone
 *      ├─▶ done: marked and settled, in order; the flight is over with its last mark
 *      ├─▶ temporary: a failure of each, in order, after the same delay; they meet in a digest again
 *      ├─▶ permanent: each goes alone, so that only those become dead letters that deserve it
 *      └─▶ the destination is dead: dead letters, and who waits asks again whether its route is parked
 *
 * Order in a lane: who is collected lets the next of its lane run, so that one message can hold several of a lane. Two
 * rules keep them in order whatever happens in between. A task joins behind another of its lane only if that one is in
 * this digest or its flight; and it gets on board only if nobody is left before it in the lane, or in the retry topic,
 * but who is on board already. Who breaks a rule goes back to its place in the lane, and is called again when its turn
 * has come. */
#include <stdlib.h>

#include "consumers/engine.h"
#include "core/clock.h"
#include "core/log.h"

enum {
    GATHER_MS = 500,                    /* the window of those that come back together after a failure */
    COLLECTED_BYTES = 16 * 1024 * 1024, /* bodies that wait for one destination; what is more … */
    COLLECT_LATER_MS = 5000             /* … comes again after this, rendered anew */
};

/* A digest's message on its way. It lives until it is answered and its last member has left. */
struct ferry_flight {
    struct ferry_engine *engine;
    struct ferry_destination *destination;
    struct ferry_generation *generation; /* a reference; what the answer is judged by, */
    size_t index;                        /* … and which route of it */
    struct ferry_effect effect;
    int64_t called_ms;
    size_t holders; /* members that are on board, and the answer that is to come */
    size_t count;
    struct ferry_task *members[]; /* in order; NULL: has left */
};

/* ---- who waits ---- */

static struct ferry_slice body_of(const struct ferry_task *task)
{
    return ferry_buffer_slice(&task->effect.body);
}

static void append(struct ferry_destination *destination, struct ferry_task *task)
{
    struct ferry_digest *digest = &destination->digest;
    task->collected = destination;
    task->member_before = digest->last;
    task->member_behind = NULL;
    if (digest->last != NULL)
        digest->last->member_behind = task;
    else
        digest->first = task;
    digest->last = task;
    digest->count++;
    digest->bytes += body_of(task).len;
}

static void take_out(struct ferry_task *task)
{
    struct ferry_digest *digest = &task->collected->digest;
    if (task->member_before != NULL)
        task->member_before->member_behind = task->member_behind;
    else
        digest->first = task->member_behind;
    if (task->member_behind != NULL)
        task->member_behind->member_before = task->member_before;
    else
        digest->last = task->member_before;
    digest->count--;
    digest->bytes -= body_of(task).len;
    task->collected = NULL;
}

/* The first of those that wait comes back at `due_ms`, to depart. */
static void drive(struct ferry_engine *engine, struct ferry_task *driver, int64_t due_ms)
{
    ferry_timers_cancel(&engine->timers, &driver->timer);
    if (ferry_timers_set(&engine->timers, &driver->timer, due_ms) != FERRY_OK)
        ferry_task_make_ready(engine, driver);
    else
        pthread_cond_signal(&engine->work);
}

/* A driver that finds the way blocked is COLLECTED again; it may have to leave instead. False then. */
static bool step_back(struct ferry_engine *engine, struct ferry_task *driver)
{
    if (ferry_task_unwanted(driver)) {
        ferry_task_drop(engine, driver);
        return false;
    }
    ferry_task_enter(engine, driver, FERRY_TASK_COLLECTED);
    return true;
}

/* Back to the lane. What was rendered is rendered anew when it is called again. */
static void send_back(struct ferry_engine *engine, struct ferry_task *task)
{
    ferry_digest_leave(engine, task);
    ferry_effect_done(&task->effect);
    ferry_task_return(engine, task);
}

int64_t ferry_digest_due_ms(const struct ferry_task *task)
{
    const struct ferry_digest *digest = &task->collected->digest;
    int64_t due_ms = digest->reserved ? digest->token_ms : digest->due_ms;
    return due_ms > task->collected->pace.blocked_ms ? due_ms : task->collected->pace.blocked_ms;
}

/* Only so many entries of the retry topic are in hand at the same time: one that would wait long goes back there. */
static bool is_to_go_back(const struct ferry_task *task, const struct ferry_destination *destination, int64_t now_ms)
{
    return task->row != NULL && destination->pace.blocked_ms > now_ms + FERRY_ENTRY_PATIENCE_MS;
}

/* ---- collecting ---- */

/* Whether it may wait here though others of its lane have not taken effect yet. */
static bool follows_a_member(const struct ferry_task *task, const struct ferry_destination *destination)
{
    const struct ferry_task *before = ferry_task_before(task);
    return before == NULL || before->collected == destination ||
           (before->flight != NULL && before->flight->destination == destination);
}

static void collect(struct ferry_engine *engine, struct ferry_task *task, struct ferry_destination *destination,
                    int64_t window_ms)
{
    struct ferry_digest *digest = &destination->digest;
    if ((task->failed || task->row != NULL) && window_ms > GATHER_MS)
        window_ms = GATHER_MS;
    int64_t due_ms = ferry_clock_mono_ms() + window_ms;
    append(destination, task);
    ferry_task_enter(engine, task, FERRY_TASK_COLLECTED);
    bool opens = digest->first == task;
    bool hastens = !opens && due_ms < digest->due_ms && digest->first->timer.slot != 0 && !digest->reserved;
    if (opens || hastens) {
        digest->due_ms = due_ms;
        drive(engine, digest->first, due_ms);
    }
    ferry_task_pass_on(engine, task);
}

bool ferry_digest_take(struct ferry_engine *engine, struct ferry_task *task, int64_t window_ms)
{
    bool taken = true;
    int64_t now_ms = ferry_clock_mono_ms();
    bool alone = window_ms <= 0 || task->alone;
    if (!alone)
        task->load = engine->channel->joining->weigh(body_of(task)); /* reads all of the body */
    ferry_engine_lock(engine);
    struct ferry_destination *destination = task->slot->destination;
    alone = alone || destination == NULL;
    if (alone && ferry_task_before(task) == NULL)
        taken = false;
    else if (alone || ferry_task_unwanted(task) || !follows_a_member(task, destination))
        send_back(engine, task);
    else if (is_to_go_back(task, destination, now_ms))
        ferry_task_postpone(engine, task, destination->pace.blocked_ms, now_ms, 0);
    else if (destination->digest.count > 0 && destination->digest.bytes + body_of(task).len > COLLECTED_BYTES) {
        ferry_effect_done(&task->effect);
        ferry_task_put_off(engine, task, FERRY_TASK_WAITING, now_ms + COLLECT_LATER_MS);
    } else {
        collect(engine, task, destination, window_ms);
    }
    ferry_engine_unlock(engine);
    return taken;
}

/* ---- boarding ---- */

/* Takes a token of the destination; false: not before `*due_ms`. */
static bool take_token(struct ferry_destination *destination, struct ferry_rate rate, int64_t now_ms, int64_t *due_ms)
{
    struct ferry_digest *digest = &destination->digest;
    if (!digest->reserved || digest->token_ms < destination->pace.blocked_ms)
        digest->token_ms = ferry_pace_reserve(&destination->pace, rate, now_ms);
    digest->reserved = digest->token_ms > now_ms;
    *due_ms = digest->token_ms;
    return !digest->reserved;
}

/* What was before it in the lane may have gone to the retry topic since it was collected: then it follows there. */
static bool is_next_of_its_lane(const struct ferry_engine *engine, const struct ferry_task *task,
                                const struct ferry_flight *flight)
{
    const struct ferry_task *before = ferry_task_before(task);
    return (before == NULL || before->flight == flight) && !ferry_task_blocked(engine, task);
}

/* A destination is a webhook or a channel; the token that a channel is posted to with can differ, by route or by a
 * reload. */
static bool same_address(const struct ferry_effect *a, const struct ferry_effect *b)
{
    bool same = strcmp(a->method, b->method) == 0 && strcmp(a->url, b->url) == 0 && a->header_count == b->header_count;
    for (size_t i = 0; same && i < a->header_count; i++)
        same = strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
               strcmp(a->headers[i].value, b->headers[i].value) == 0;
    return same;
}

static struct ferry_load sum(struct ferry_load a, struct ferry_load b)
{
    return (struct ferry_load){a.characters + b.characters, a.blocks + b.blocks, a.sections + b.sections};
}

/* Gets the task on board if it goes into the same message as those before it. */
static bool get_on(struct ferry_engine *engine, struct ferry_flight *flight, struct ferry_task *task,
                   struct ferry_load *load)
{
    struct ferry_load more = sum(*load, task->load);
    if (flight->count > 0 &&
        (!engine->channel->joining->fits(&more) || !same_address(&flight->members[0]->effect, &task->effect)))
        return false;
    *load = more;
    take_out(task);
    ferry_task_take(engine, task);
    task->flight = flight;
    flight->members[flight->count++] = task;
    return true;
}

/* From the front as many as fit; who may not go yet is sent back. */
static void board(struct ferry_engine *engine, struct ferry_destination *destination, struct ferry_flight *flight)
{
    struct ferry_load load = {0};
    for (struct ferry_task *task = destination->digest.first, *behind; task != NULL; task = behind) {
        behind = task->member_behind;
        if (!is_next_of_its_lane(engine, task, flight))
            send_back(engine, task);
        else if (!get_on(engine, flight, task, &load))
            break;
    }
}

/* A flight with its members RUNNING, or NULL: nobody may go, or memory ran out. */
static struct ferry_flight *prepare(struct ferry_engine *engine, struct ferry_task *driver)
{
    struct ferry_destination *destination = driver->collected;
    size_t bytes = sizeof(struct ferry_flight) + destination->digest.count * sizeof(struct ferry_task *);
    struct ferry_flight *flight = calloc(1, bytes);
    if (flight == NULL) {
        if (step_back(engine, driver))
            drive(engine, driver, ferry_clock_mono_ms() + GATHER_MS);
        return NULL;
    }
    board(engine, destination, flight);
    if (flight->count == 0) {
        free(flight);
        return NULL;
    }
    flight->engine = engine;
    flight->destination = destination;
    flight->generation = flight->members[0]->generation;
    flight->generation->references++;
    flight->index = flight->members[0]->index;
    flight->holders = flight->count + 1;
    destination->digest.flight = flight;
    return flight;
}

/* ---- the end of a flight ---- */

/* One holder less; with the last one the destination is free for the next message. The lock is held. */
static void release(struct ferry_flight *flight)
{
    if (--flight->holders > 0)
        return;
    struct ferry_engine *engine = flight->engine;
    struct ferry_digest *digest = &flight->destination->digest;
    struct ferry_task *driver = digest->first;
    digest->flight = NULL;
    if (driver != NULL && driver->state == FERRY_TASK_COLLECTED && driver->timer.slot == 0)
        ferry_task_make_ready(engine, driver); /* its window closed meanwhile, or it did not fit */
    ferry_generation_drop(flight->generation);
    ferry_effect_done(&flight->effect);
    free(flight);
}

static void get_off(struct ferry_task *task)
{
    struct ferry_flight *flight = task->flight;
    for (size_t i = 0; i < flight->count; i++)
        if (flight->members[i] == task)
            flight->members[i] = NULL;
    task->flight = NULL;
    release(flight);
}

void ferry_digest_leave(struct ferry_engine *engine, struct ferry_task *task)
{
    if (task->flight != NULL)
        get_off(task);
    if (task->collected == NULL)
        return;
    struct ferry_digest *digest = &task->collected->digest;
    bool drove = digest->first == task;
    take_out(task);
    if (drove && digest->first != NULL)
        drive(engine, digest->first, digest->due_ms);
}

/* ---- what follows from the answer ---- */

/* Each failed; the first of each lane waits for its next attempt, and the others behind it. All wait equally long, so
 * that they meet again. */
static void retry_each(struct ferry_engine *engine, struct ferry_flight *flight, const struct ferry_verdict *verdict)
{
    int64_t now_ms = ferry_clock_mono_ms(), wall_ms = ferry_clock_wall_ms();
    int attempts = flight->members[0]->attempts;
    uint32_t random = ferry_random();
    for (size_t i = 0; i < flight->count; i++) {
        struct ferry_task *task = flight->members[i];
        int64_t failing_ms = task->first_failure_ms != 0 ? wall_ms - task->first_failure_ms : 0;
        struct ferry_next next;
        ferry_decide(verdict, engine->channel->worker(flight->generation->config), attempts, failing_ms, random, &next);
        ferry_engine_lock(engine);
        bool head = ferry_task_before(task) == NULL;
        get_off(task);
        ferry_engine_unlock(engine);
        if (head) {
            ferry_task_proceed(engine, task, &next, now_ms);
            continue;
        }
        ferry_report_outcome(engine, task, FERRY_OUTCOME_RETRY, verdict->code, verdict->reason);
        ferry_engine_lock(engine);
        task->failed = true;
        if (task->first_failure_ms == 0)
            task->first_failure_ms = wall_ms;
        ferry_task_return(engine, task);
        ferry_engine_unlock(engine);
    }
}

/* One of them may be what the destination refused: each shall find out for itself. */
static void send_singly(struct ferry_engine *engine, struct ferry_flight *flight)
{
    ferry_engine_lock(engine);
    for (size_t i = 0; i < flight->count; i++) {
        struct ferry_task *task = flight->members[i];
        task->alone = true;
        get_off(task);
        ferry_task_return(engine, task);
    }
    ferry_engine_unlock(engine);
}

/* Marks or dead letters; each gets off with the report. */
static void settle_each(struct ferry_engine *engine, struct ferry_flight *flight, const struct ferry_verdict *verdict)
{
    for (size_t i = 0; i < flight->count; i++)
        ferry_task_apply(engine, flight->members[i], verdict);
}

/* The destination is dead: who finds its route parked shall not wait for it. */
static bool is_parked(const struct ferry_task *task)
{
    return task->slot->probe_ms != 0;
}

/* Those before it in the lane are not settled, and not among those that wait. */
static bool is_overtaking(const struct ferry_task *task)
{
    const struct ferry_task *before = ferry_task_before(task);
    return before != NULL && before->collected == NULL;
}

/* Those that wait and should not go with the next message are called again when their turn has come. (A driver that is
 * RUNNING is about to look for itself.) */
static void call_back(struct ferry_engine *engine, struct ferry_destination *destination,
                      bool (*which)(const struct ferry_task *task))
{
    ferry_engine_lock(engine);
    for (struct ferry_task *task = destination->digest.first, *behind; task != NULL; task = behind) {
        behind = task->member_behind;
        if (task->state != FERRY_TASK_RUNNING && which(task))
            send_back(engine, task);
    }
    ferry_engine_unlock(engine);
}

static void conclude(struct ferry_engine *engine, struct ferry_flight *flight, const struct ferry_verdict *verdict)
{
    if (flight->count == 0)
        return; /* all had to leave before the answer came */
    bool dead = verdict->outcome == FERRY_OUTCOME_DEAD;
    bool destination_dead = dead && verdict->code == FERRY_DESTINATION_DEAD;
    bool again = verdict->outcome == FERRY_OUTCOME_RETRY;
    bool singly = dead && !destination_dead && flight->count > 1;
    if (again || singly)
        call_back(engine, flight->destination, is_overtaking);
    if (again)
        retry_each(engine, flight, verdict);
    else if (singly)
        send_singly(engine, flight);
    else
        settle_each(engine, flight, verdict);
    if (destination_dead)
        call_back(engine, flight->destination, is_parked);
}

/* ---- the exchange ---- */

/* The members that have stayed are RUNNING again, and stand without gaps. */
static void come_down(struct ferry_flight *flight)
{
    size_t count = 0;
    ferry_engine_lock(flight->engine);
    for (size_t i = 0; i < flight->count; i++)
        if (flight->members[i] != NULL)
            flight->members[count++] = flight->members[i];
    flight->count = count;
    for (size_t i = 0; i < count; i++)
        ferry_task_take(flight->engine, flight->members[i]);
    ferry_engine_unlock(flight->engine);
}

static void observe(const struct ferry_flight *flight, const struct ferry_verdict *verdict)
{
    int64_t took_ms = ferry_clock_mono_ms() - flight->called_ms;
    for (size_t i = 0; i < flight->count; i++)
        ferry_series_observe_ms(flight->members[i]->slot->effect_seconds, (double)took_ms);
    if (flight->count < 2)
        return;
    ferry_log(verdict->outcome == FERRY_OUTCOME_DONE ? FERRY_LOG_INFO : FERRY_LOG_WARN, "digest",
              FERRY_FIELDS(ferry_text("route", flight->members[0]->slot->name),
                           ferry_number("events", (int64_t)flight->count),
                           ferry_text("outcome", ferry_outcome_name(verdict->outcome)),
                           ferry_text("reason", verdict->reason), ferry_number("ms", took_ms)));
}

static void land(void *context, const struct ferry_answer *answer)
{
    struct ferry_flight *flight = context;
    struct ferry_engine *engine = flight->engine;
    struct ferry_verdict verdict = {.retry_after_ms = -1};
    come_down(flight);
    engine->channel->settle(flight->generation->config, flight->index, answer, &flight->effect, &verdict);
    observe(flight, &verdict);
    conclude(engine, flight, &verdict);
    ferry_engine_lock(engine);
    release(flight);
    ferry_engine_unlock(engine);
}

/* The body of the first, or of all in one. */
static enum ferry_code join_bodies(struct ferry_flight *flight)
{
    struct ferry_buffer *body = &flight->effect.body;
    struct ferry_slice *bodies = flight->count > 1 ? calloc(flight->count, sizeof *bodies) : NULL;
    if (flight->count == 1)
        return FERRY_OK;
    if (bodies == NULL)
        return FERRY_MEMORY;
    struct ferry_buffer joined;
    ferry_buffer_init(&joined, FERRY_EFFECT_BODY_MAX);
    for (size_t i = 0; i < flight->count; i++)
        bodies[i] = i == 0 ? ferry_buffer_slice(body) : body_of(flight->members[i]);
    flight->engine->channel->joining->join(bodies, flight->count, &joined);
    free(bodies);
    ferry_buffer_done(body);
    *body = joined;
    return joined.failed ? FERRY_MEMORY : FERRY_OK;
}

/* The exchange of the first becomes that of all. */
static enum ferry_code describe(struct ferry_flight *flight)
{
    struct ferry_task *first = flight->members[0];
    flight->called_ms = ferry_clock_mono_ms();
    flight->effect = first->effect;
    ferry_effect_init(&first->effect);
    enum ferry_code code = join_bodies(flight);
    for (size_t i = 0; i < flight->count; i++) {
        struct ferry_task *task = flight->members[i];
        ferry_effect_done(&task->effect);
        task->attempts++;
        task->called_ms = flight->called_ms;
    }
    flight->effect.attempt = first->attempts;
    return code;
}

/* From the submission on the members may leave, and the answer may come. */
static void take_off(struct ferry_engine *engine, struct ferry_flight *flight)
{
    struct ferry_error error = {.text = "out of memory"};
    enum ferry_code code = describe(flight);
    ferry_engine_lock(engine);
    for (size_t i = 0; i < flight->count; i++)
        ferry_task_enter(engine, flight->members[i], FERRY_TASK_RIDING);
    ferry_engine_unlock(engine);
    if (code == FERRY_OK)
        code = ferry_effect_submit(engine->client, &flight->effect, land, flight, &error);
    if (code != FERRY_OK)
        land(flight,
             &(struct ferry_answer){.exchange = FERRY_EXCHANGE_NOT_SENT, .retry_after_ms = -1, .reason = error.text});
}

/* The lock is held. */
static void call_rows_back(struct ferry_engine *engine, struct ferry_destination *destination, int64_t now_ms)
{
    for (struct ferry_task *task = destination->digest.first, *behind; task != NULL; task = behind) {
        behind = task->member_behind;
        if (is_to_go_back(task, destination, now_ms))
            send_back(engine, task);
    }
}

void ferry_digest_depart(struct ferry_engine *engine, struct ferry_task *driver)
{
    struct ferry_flight *flight = NULL;
    int64_t now_ms = ferry_clock_mono_ms(), due_ms;
    ferry_engine_lock(engine);
    struct ferry_destination *destination = driver->collected;
    if (destination->digest.flight != NULL)
        step_back(engine, driver); /* called again when that one is over */
    else if (take_token(destination, driver->slot->rate, now_ms, &due_ms))
        flight = prepare(engine, driver);
    else {
        if (step_back(engine, driver))
            drive(engine, driver, due_ms);
        call_rows_back(engine, destination, now_ms);
    }
    ferry_engine_unlock(engine);
    if (flight != NULL)
        take_off(engine, flight);
}
