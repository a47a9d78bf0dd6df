/* The inside of the worker engine. Private to the engine; channels see worker.h alone.
 *
 * Threads and what they touch:
 *
 *   main        signals, reload, replacing a broken producer
 *   poller      all calls of the consumer; intake.c. Never waits but in a rebalance, bounded
 *   evaluators  perform.c: take a task that is ready, render, hand the exchange to the client
 *   client      call.c, digest.c: the answer, and what follows from it
 *   lookup      lookup.c: the names that were asked for; wakes who waits for them
 *   producer    publish.c: the reports of dead letters, marks and of what goes to the retry topic
 *   restorer    marks.c: reads the marks of a partition back before its first effect, and follows the retry topic
 *   retriever   retrieve.c: brings what is due from the retry topic
 *   prover      prove.c: reads back the claims of keys that cross partitions, renews them, takes them back
 *
 * One lock guards everything in `struct ferry_engine` and the lists in what hangs on it. A task is worked on by one
 * thread at a time, which owns its other members meanwhile:
 *
 *   QUEUED      behind others in its lane, or its partition is being restored
 *      │ head of the lane
 *   READY       in `ready`, for the next evaluator ◀────────────────────────────────────────┐
 *      │ ├─▶ GATED     its destination has not answered yet, one call at a time ────────────┤
 *   RUNNING     one thread has it: an evaluator, or whoever brings the answer               │
 *      │ ├─▶ WAITING   until a timer: failed before, pace, caps, names, another is at it ───┤
 *      │ ├─▶ COLLECTED in a digest that waits for more ─▶ RIDING in its message ─────▶ RUNNING
 *      │ ├─▶ MARKING   a mark is on its way to Kafka ─▶ the call ───────────────────────────┤
 *      │ ├─▶ PROVING   its claim is in Kafka, and is read back ─▶ the call, or WAITING ─────┤
 *   CALLING     the client has it                         or settled                        │
 *      │ ├─▶ FOLLOWING until the next exchange of an effect that was accepted ──────────────┘
 *      │ ├─▶ BURYING   its dead letter is on its way to Kafka ─▶ settled
 *      │ └─▶ NOTING    what it is to the retry topic is on its way to Kafka ─▶ settled, or waits there
 *   settled     the record is done for this route; the next of the lane becomes READY
 *
 * A task is "begun" while it is RUNNING or in a state after that, and while something of it stands in the world, or in
 * the log as an intent: a rebalance waits for it. Everything else is dropped with its partition, and the next owner
 * reads the record again. A claim alone (that of who waits in a digest) does not hold up a rebalance: the prover takes
 * it back.
 *
 * Marks: before a call that must not be repeated an intent is written, and the call is made after its report; after an
 * effect its mark is written, and the record is settled after that report. The intent of a key that crosses partitions
 * is a claim, and the call is made after it was read back as the first.
 *
 * A task is made of a record of an input topic, or of an entry of the retry topic that is due; then `row` is its place
 * in the index, and its partition is the one of the retry topic. docs/decisions/retry.md. */
#ifndef FERRY_CONSUMERS_ENGINE_H
#define FERRY_CONSUMERS_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "consumers/cap.h"
#include "consumers/claims.h"
#include "consumers/decide.h"
#include "consumers/lanes.h"
#include "consumers/naming.h"
#include "consumers/offsets.h"
#include "consumers/once.h"
#include "consumers/pace.h"
#include "consumers/retry_index.h"
#include "consumers/timers.h"
#include "consumers/worker.h"
#include "core/kafka/consumer.h"
#include "core/kafka/producer.h"
#include "core/metrics.h"

enum {
    FERRY_HELD_RECORDS = 10000,          /* a partition with more is paused … */
    FERRY_HELD_BYTES = 64 * 1024 * 1024, /* … or with more bytes; resumed at half of it */
    FERRY_HELD_OFFSETS = 1000000,        /* … or with so many offsets between the first unsettled and the newest */
    FERRY_RETRIEVED = 256,               /* entries of the retry topic that are tasks at the same time */
    FERRY_ENTRY_PATIENCE_MS = 1000,      /* an entry of the retry topic that has to wait longer goes back there */
    FERRY_PROBE_MS = 5 * 60 * 1000,      /* between two calls to a dead destination */
    FERRY_CLAIM_AGAIN_MS = 200,          /* while another record is at the same effect */
    FERRY_EVALUATORS = 2
};

/* One configuration; lives while anybody works with it. */
struct ferry_generation {
    struct ferry_config *config;
    unsigned number;
    int references; /* under the lock */
};

/* What is being joined for one destination (digest.c). */
struct ferry_digest {
    struct ferry_task *first, *last; /* those that are COLLECTED, in the order in which they came */
    size_t count;
    size_t bytes;   /* of their bodies */
    int64_t due_ms; /* when its window closes */
    bool reserved;  /* has a token for `token_ms` */
    int64_t token_ms;
    struct ferry_flight *flight; /* the message that is under way; NULL: none */
};

/* What several routes send to: one webhook, one channel. */
struct ferry_destination {
    uint64_t id;
    struct ferry_pace pace;
    struct ferry_digest digest;
    struct ferry_destination *next;
};

struct ferry_task_list {
    struct ferry_task *first;
    struct ferry_task *last;
};

/* A route by its name, across reloads. */
struct ferry_slot {
    char *name;
    ptrdiff_t index; /* in the current configuration; -1: it is not there any more */
    struct ferry_slot *next;

    struct ferry_rate rate;
    struct ferry_destination *destination; /* NULL: without a pace */

    /* A destination that has not answered yet gets one call at a time, so that a dead one costs one call; the others
     * wait at the gate. */
    bool proven;
    struct ferry_task *at_gate;
    struct ferry_task_list gated;
    int64_t probe_ms; /* parked: when the next call may be made (monotonic); 0: not parked */

    size_t waiting;     /* tasks that failed and wait for their next attempt */
    size_t outstanding; /* entries in those partitions of the retry topic that are ours */
    struct ferry_series *outcomes[FERRY_OUTCOME_COUNT];
    struct ferry_series *effect_seconds;
    struct ferry_series *end_to_end_seconds;
    struct ferry_series *retry_waiting;
    struct ferry_series *retry_oldest;
    struct ferry_series *parked;
};

/* A partition that is ours, or was while tasks of it are still at work. */
struct ferry_held_partition {
    char *topic;
    int32_t number;
    bool retry; /* of the retry topic: ours are its entries, by the index; nothing is fetched */
    struct ferry_offsets offsets;
    size_t records; /* that are held */
    size_t bytes;   /* of them */
    size_t tasks;
    size_t begun;
    struct ferry_task *first, *last; /* all tasks of it, the oldest first */
    bool paused;
    bool restoring; /* its marks are being read back: nothing is begun */
    unsigned restore_batch;
    bool revoking; /* nothing is begun or put off any more */
    bool gone;     /* not ours any more: nothing is stored */
    int64_t stored;
    int64_t rests_until_ms; /* of the retry topic: it could not be read, and is tried again then (monotonic) */
};

/* A record that is held, with the event in it. Shared by its tasks. */
struct ferry_delivery {
    struct ferry_fetched *fetched;
    struct ferry_arena arena;
    struct ferry_event event;
    struct ferry_error unreadable; /* code FERRY_OK: `event` is good */
    struct ferry_retry_note note;  /* of an entry of the retry topic; `fetched` is its original then */
    uint64_t serial;
    size_t bytes;
    int references; /* tasks; under the lock */
};

enum ferry_task_state {
    FERRY_TASK_QUEUED,
    FERRY_TASK_READY,
    FERRY_TASK_GATED,
    FERRY_TASK_WAITING,
    FERRY_TASK_COLLECTED,
    FERRY_TASK_RUNNING, /* from here on: begun */
    FERRY_TASK_RIDING,
    FERRY_TASK_CALLING,
    FERRY_TASK_FOLLOWING,
    FERRY_TASK_MARKING,
    FERRY_TASK_PROVING,
    FERRY_TASK_BURYING,
    FERRY_TASK_NOTING
};

/* What a task has to write before it goes on. */
enum ferry_writing {
    FERRY_WRITE_NOTHING,
    FERRY_WRITE_MARK,   /* of its effect: task->mark */
    FERRY_WRITE_CLAIM,  /* that it is at its effect, whose key crosses partitions */
    FERRY_WRITE_LETTER, /* its dead letter */
    FERRY_WRITE_ENTRY,  /* that it waits in the retry topic from now on */
    FERRY_WRITE_AGAIN,  /* that its entry goes on waiting */
    FERRY_WRITE_DONE,   /* that its entry is settled */
    FERRY_WRITE_COUNT
};

/* After the report of a mark, or with a claim that was read back. */
enum ferry_after { FERRY_AFTER_CALL, FERRY_AFTER_SETTLE, FERRY_AFTER_TRIAL /* on with its trial: it joins a digest */ };

/* One record for one route. */
struct ferry_task {
    struct ferry_lane_place place;
    struct ferry_timer timer;
    struct ferry_task_list *list; /* READY, or the gate's; NULL: in none */
    struct ferry_task *list_before, *list_behind;
    struct ferry_task *before, *behind; /* in the partition */

    enum ferry_task_state state;
    struct ferry_held_partition *partition;
    struct ferry_delivery *delivery;
    struct ferry_slot *slot;     /* NULL: the record cannot be read, it only has to be buried */
    struct ferry_retry_row *row; /* of an entry of the retry topic, taken; NULL: a record of an input */

    bool failed; /* counted in slot->waiting while it waits */
    bool claimed;
    struct ferry_once_key key;
    bool crossing; /* two processes may be at this key: its claim goes to the log */
    bool held;     /* … and was read back as the first */
    int looks;     /* how often another process was found at it */
    bool reserved; /* has a token of its destination for `token_ms` */
    int64_t token_ms;
    struct ferry_cap *turned_away; /* by this cap: counted in its `waiting`; NULL: by none */
    uint64_t caps[FERRY_LIMITS];   /* that its last call was counted in */
    size_t cap_count;
    int64_t names_by_ms;           /* its names are waited for until then; 0: not yet */
    uint64_t awaited[FERRY_NAMES]; /* … by these keys, while it is in engine->nameless */
    unsigned stood_in;             /* 1 << kind: counted as such */
    int attempts;
    int64_t first_failure_ms; /* wall clock; 0: none */
    int64_t due_ms;           /* of what goes to the retry topic: when it is due there (wall clock) */
    int64_t started_ms;       /* when an evaluator took it last */
    int64_t called_ms;        /* of the attempt's first exchange */

    struct ferry_effect effect;          /* holds the next exchange while FOLLOWING */
    struct ferry_generation *generation; /* what the effect was made from: a reference, from the call to its verdict */
    size_t index;
    bool follow;
    struct ferry_call *call; /* while CALLING */

    struct ferry_destination *collected; /* the one in whose digest it waits; NULL: in none */
    struct ferry_task *member_before, *member_behind;
    struct ferry_load load;
    struct ferry_flight *flight; /* the digest's message that it is in, until it is settled or tried again */
    bool alone;                  /* it was in a message that was refused: no digest any more */

    /* What is left to do when it runs next; nothing of it: to be tried. */
    bool intended;              /* an intent stands in the log: make the call */
    enum ferry_writing writing; /* changed only while it is begun */
    const char *mark;           /* which one … */
    enum ferry_after after;     /* … and what comes after it */
    struct ferry_next end;      /* what it is settled, buried or put behind as */
    int publish_failures;
};

struct ferry_engine {
    const struct ferry_channel *channel;
    struct ferry_metrics *metrics;
    struct ferry_client *client;
    struct ferry_teller *teller;     /* NULL: nobody is told */
    struct ferry_consumer *consumer; /* of the poller */
    char *dead_letter_topic;
    char *effects_topic;
    char *retry_topic;

    pthread_mutex_t claim_lock;    /* taken first: what is sent of one claim keeps its order */
    pthread_mutex_t producer_lock; /* never inside `lock` */
    struct ferry_producer *producer;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* something is ready, or a timer was set */
    pthread_cond_t settled; /* something that was begun has ended */
    pthread_cond_t prove;   /* a claim has to be read back or taken back */
    struct ferry_generation *current;
    struct ferry_slot *slots;
    struct ferry_destination *destinations;
    struct ferry_caps caps;
    struct ferry_held_partition **partitions; /* in no order; those that are gone too while tasks of them live */
    size_t partition_count;
    struct ferry_lanes lanes;
    struct ferry_timers timers;
    struct ferry_task_list ready;
    struct ferry_task_list proving;  /* PROVING */
    struct ferry_lookup *lookup;     /* NULL: names are not looked up */
    struct ferry_task_list nameless; /* WAITING for names */
    uint64_t names_settled;          /* how many answers came */
    size_t working;                  /* RUNNING and CALLING: at most worker.concurrency */
    struct ferry_once *once;
    struct ferry_claims *claims;
    int32_t effects_width; /* partitions of the effects topic; 0: there is none, marks are kept in memory alone */
    unsigned restore_batch;
    pthread_cond_t restore;           /* a partition has to be restored */
    struct ferry_marks_reader *marks; /* marks.c's own */
    struct ferry_retry_index *retries;
    int32_t retry_width;     /* partitions of the retry topic; 0: there is none, what fails waits in its lane alone */
    pthread_cond_t retrieve; /* something of the index has changed that may be due */
    size_t retrieved;        /* tasks with a row */
    uint64_t serial;
    struct ferry_arena subscription_arena;
    struct ferry_strings subscription; /* of the poller */
    bool resubscribe;                  /* the configuration has changed: look whether the subscription has */
    bool stopping;                     /* the poller ends */
    bool ended;                        /* the evaluators end */
    int64_t stop_by_ms;

    atomic_bool ready_for_work; /* the assignment is known */

    struct ferry_metric *dead_letters;
    struct ferry_metric *outcomes;
    struct ferry_metric *capped;
    struct ferry_series *standings[FERRY_STANDING_COUNT];
};

static inline void ferry_engine_lock(struct ferry_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
}

static inline void ferry_engine_unlock(struct ferry_engine *engine)
{
    pthread_mutex_unlock(&engine->lock);
}

/* ---- engine.c ---- */

/* Takes the configuration in any case. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_engine_init(struct ferry_engine *engine, const struct ferry_channel *channel,
                                                  struct ferry_config *config, struct ferry_metrics *metrics);
/* All threads have ended. */
void ferry_engine_done(struct ferry_engine *engine);
/* Makes a configuration the current one; takes it in any case. Fails with FERRY_MEMORY: the old one stays. */
FERRY_NODISCARD enum ferry_code ferry_engine_adopt(struct ferry_engine *engine, struct ferry_config *config);
/* Names are asked for as this configuration, which is or becomes the current one, says. Fails as ferry_lookup_use. */
FERRY_NODISCARD enum ferry_code ferry_engine_use_lookup(struct ferry_engine *engine, const struct ferry_config *config);
/* One reference less; the lock is held. NULL is allowed. */
void ferry_generation_drop(struct ferry_generation *generation);
/* A reference to the current configuration, and its end; no lock. */
struct ferry_generation *ferry_engine_take_generation(struct ferry_engine *engine);
void ferry_engine_drop_generation(struct ferry_engine *engine, struct ferry_generation *generation);
/* The worker's part of the current configuration; the lock is held. */
const struct ferry_worker_config *ferry_engine_worker(const struct ferry_engine *engine);
/* The properties of the worker's clients: the common ones, its own, and `more` behind them (as many as there are before
 * a NULL name). In the arena. */
struct ferry_properties ferry_engine_properties(const struct ferry_engine *engine, const struct ferry_config *config,
                                                const struct ferry_property *more, struct ferry_arena *arena);
bool ferry_engine_is_stopping(struct ferry_engine *engine);
/* Sleeps until the condition is signalled; false: `until_ms` (monotonic) came first. The lock is held, but in the
 * sleep. */
bool ferry_engine_sleep(struct ferry_engine *engine, pthread_cond_t *condition, int64_t until_ms);
/* The slot of that route, made if need be: it may be gone from the configuration. The lock is held. NULL: no memory. */
struct ferry_slot *ferry_engine_slot(struct ferry_engine *engine, const char *route);
uint32_t ferry_random(void);

/* ---- tasks.c: the lock is held in all of them, but ferry_tasks_next's caller sleeps in it ---- */

/* A new task of a record goes to the end of its lane; one of the retry topic has a row. Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_task_add(struct ferry_engine *engine, struct ferry_held_partition *partition,
                                               struct ferry_delivery *delivery, struct ferry_slot *slot,
                                               struct ferry_retry_row *row);
/* The next task that may run now (it is RUNNING then), or NULL. */
struct ferry_task *ferry_tasks_take(struct ferry_engine *engine);
/* The same, but waits for one. NULL: the engine has ended. */
struct ferry_task *ferry_tasks_next(struct ferry_engine *engine);
/* To the end of those that may run. */
void ferry_task_make_ready(struct ferry_engine *engine, struct ferry_task *task);
/* The partition's marks are read back: what waits at the head of its lane may run. */
void ferry_tasks_release(struct ferry_engine *engine, struct ferry_held_partition *partition);
/* Changes the state and keeps the counts that hang on it. */
void ferry_task_enter(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state);
/* Its claim is to be read back: PROVING. */
void ferry_task_prove(struct ferry_engine *engine, struct ferry_task *task);
/* Takes a task out of whatever it waits in: RUNNING. */
void ferry_task_take(struct ferry_engine *engine, struct ferry_task *task);
/* Puts a task off until `due_ms` as WAITING or FOLLOWING; drops it when its partition goes away. */
void ferry_task_put_off(struct ferry_engine *engine, struct ferry_task *task, enum ferry_task_state state,
                        int64_t due_ms);
/* The same as WAITING, but not longer than until one of task->awaited is settled. */
void ferry_task_await_names(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms);
/* Wakes whoever waits for the name of this key. */
void ferry_tasks_named(struct ferry_engine *engine, uint64_t key);
/* Settles the record for this route, makes the next of the lane ready, frees the task. */
void ferry_task_settle(struct ferry_engine *engine, struct ferry_task *task);
/* Frees a task without settling its record. */
void ferry_task_drop(struct ferry_engine *engine, struct ferry_task *task);
/* Nothing of its partition may be put off any more. */
bool ferry_task_unwanted(const struct ferry_task *task);
/* Back to its place in the lane: READY if it is the head, else QUEUED; dropped when it is unwanted. */
void ferry_task_return(struct ferry_engine *engine, struct ferry_task *task);
/* Lets the next of the lane run while this one is still in it. */
void ferry_task_pass_on(struct ferry_engine *engine, struct ferry_task *task);
/* Who is before it in its lane, or NULL. */
struct ferry_task *ferry_task_before(const struct ferry_task *task);
bool ferry_task_begun(const struct ferry_task *task);
/* May tasks of this partition begin now? */
bool ferry_partition_may_begin(const struct ferry_held_partition *partition);
/* ferry_retry_waiting of a slot, after a change. */
void ferry_slot_count_waiting(struct ferry_slot *slot);
/* Frees a delivery that no task holds. */
void ferry_delivery_free(struct ferry_delivery *delivery);
/* Takes the record and reads its event; no lock. NULL when memory ran out: the record is still the caller's. */
struct ferry_delivery *ferry_delivery_new(struct ferry_fetched *fetched, uint64_t serial);

/* ---- partitions.c: the lock is held ---- */

/* The partition that is ours, or NULL. */
struct ferry_held_partition *ferry_partition_find(const struct ferry_engine *engine, struct ferry_slice topic,
                                                  int32_t number);
/* Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_partition_add(struct ferry_engine *engine, const char *topic, int32_t number);
/* Nothing begins any more, and what is not begun is dropped. */
void ferry_partition_close(struct ferry_engine *engine, struct ferry_held_partition *partition);
/* Of a closed one: waits for what is begun, until `soft_ms` for its own end, then calls without an answer are ended as
 * such, and until `hard_ms` for the rest (both monotonic). Releases the lock meanwhile. */
void ferry_partition_drain(struct ferry_engine *engine, struct ferry_held_partition *partition, int64_t soft_ms,
                           int64_t hard_ms);
/* It is not ours any more: nothing is stored for it. Freed with its last task. */
void ferry_partition_give_up(struct ferry_engine *engine, struct ferry_held_partition *partition);
/* Frees it if it is given up and has no task. */
void ferry_partition_reap(struct ferry_engine *engine, struct ferry_held_partition *partition);

/* ---- topics.c ---- */

/* Creates the topics that are to be created; waits for the broker, some seconds. False if it did not answer. */
bool ferry_engine_create_topics(struct ferry_engine *engine, const struct ferry_config *config);

/* ---- intake.c: the poller ---- */

void *ferry_poller_run(void *engine);
/* Opens the consumer for the current configuration. Fails as ferry_consumer_open. */
FERRY_NODISCARD enum ferry_code ferry_poller_open(struct ferry_engine *engine, struct ferry_error *error);

/* ---- perform.c: the evaluators ---- */

struct ferry_evaluator {
    struct ferry_engine *engine;
    pthread_t thread;
    struct ferry_generation *generation;
    struct ferry_compiled *routes;
    struct ferry_expression *resource_id;
    struct ferry_expression *delete_type;
    struct ferry_view *view; /* of the delivery `view_serial` */
    uint64_t view_serial;
    struct ferry_namer namer;
};
void *ferry_evaluator_run(void *evaluator);

/* ---- compile.c ---- */

/* A route's programs, compiled for one evaluator. */
struct ferry_compiled {
    struct ferry_expression *when; /* NULL: always */
    struct ferry_expression **once_per;
    size_t once_per_count;
    struct ferry_channel_route *route;
};
/* Sees to it that the evaluator works with the current configuration, as long as that compiles. */
FERRY_NODISCARD enum ferry_code ferry_evaluator_refresh(struct ferry_evaluator *evaluator, struct ferry_error *error);
void ferry_evaluator_done(struct ferry_evaluator *evaluator);

/* ---- room.c: the lock is held ---- */

/* Counts the task's call in all its caps. Or in none, and then `*until_ms` is when to ask again, later than `now_ms`.
 * Fails with FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_task_take_room(struct ferry_engine *engine, struct ferry_task *task,
                                                     const struct ferry_limit *limits, size_t count, int64_t now_ms,
                                                     int64_t *until_ms);
/* It is not among those that wait for room any more. */
void ferry_task_forgo_room(struct ferry_task *task);
/* The other side has said that there are too many calls, and when it wants more (-1: not when; at most an hour): until
 * then nothing more goes through the task's caps. */
void ferry_task_close_caps(struct ferry_engine *engine, const struct ferry_task *task, int64_t for_ms);

/* ---- call.c ---- */

/* Carries out task->effect, made for the route at task->index of task->generation. The task is RUNNING and belongs to
 * the callee from here on. */
void ferry_call_begin(struct ferry_engine *engine, struct ferry_task *task);
/* Ends what is CALLING or FOLLOWING in this partition as "sent without an answer"; late answers are ignored. */
void ferry_calls_abandon(struct ferry_engine *engine, struct ferry_held_partition *partition);
/* Ends a task as "begun, and nobody knows whether it took effect", as its channel sees that. RUNNING. */
void ferry_call_in_doubt(struct ferry_engine *engine, struct ferry_task *task, const char *why);
/* What follows from a verdict; the task is RUNNING and belongs to the callee. */
void ferry_task_apply(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_verdict *verdict);
/* The same once it is decided. */
void ferry_task_proceed(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *next,
                        int64_t now_ms);

/* ---- digest.c ---- */

/* Takes a task that is RUNNING and rendered into the digest of its destination, or, if it came too early, back into its
 * lane. False: it goes alone, and is still the caller's. */
FERRY_NODISCARD bool ferry_digest_take(struct ferry_engine *engine, struct ferry_task *task, int64_t window_ms);
/* The digest's moment has come: the first of its members is RUNNING and belongs to the callee. */
void ferry_digest_depart(struct ferry_engine *engine, struct ferry_task *driver);
/* When the message of a task that is COLLECTED may go at the earliest (monotonic). The lock is held. */
int64_t ferry_digest_due_ms(const struct ferry_task *task);
/* A task that goes away is in no digest any more; nothing happens if it is in none. The lock is held. */
void ferry_digest_leave(struct ferry_engine *engine, struct ferry_task *task);

/* ---- publish.c ---- */

/* Sends the record to the dead letter topic, as often as it takes, and settles the task after the report. The task is
 * RUNNING and belongs to the callee. */
void ferry_task_bury(struct ferry_engine *engine, struct ferry_task *task, const struct ferry_next *end);
/* Writes the mark, as often as it takes, and does what comes after it. Without an effects topic, at once. */
void ferry_task_mark(struct ferry_engine *engine, struct ferry_task *task, const char *mark, enum ferry_after after,
                     const struct ferry_next *end);
/* Writes that to the retry topic, as often as it takes; see requeue.c. */
void ferry_task_note(struct ferry_engine *engine, struct ferry_task *task, enum ferry_writing writing);
/* Writes what is to be written (again). */
void ferry_task_publish_again(struct ferry_engine *engine, struct ferry_task *task);
/* Takes an intent back: the call had no effect. Not waited for. */
void ferry_task_withdraw(struct ferry_engine *engine, struct ferry_task *task);
FERRY_NODISCARD enum ferry_code ferry_engine_open_producer(struct ferry_engine *engine, struct ferry_error *error);
/* Replaces a producer that is broken for good. */
void ferry_engine_mend_producer(struct ferry_engine *engine);

/* ---- send.c ---- */

/* Hands a record to the producer, whoever has it at this moment; the report's tag is the task, or NULL. */
FERRY_NODISCARD enum ferry_code ferry_engine_send(struct ferry_engine *engine, const struct ferry_record *record,
                                                  int32_t partition, struct ferry_task *task,
                                                  struct ferry_error *error);

/* ---- requeue.c: to the retry topic, and back from it ---- */

/* The task has to wait until `due_ms` (wall clock): an entry of the retry topic, or its entry's next attempt. `why`:
 * the failure, or code FERRY_OK. The task is RUNNING and belongs to the callee. */
void ferry_task_requeue(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms,
                        const struct ferry_next *why);
/* An entry that nobody has tried goes back to the index, until `due_ms` (monotonic), with the token that it holds (0:
 * none). Nothing is written. The lock is held; the task is gone afterwards. */
void ferry_task_postpone(struct ferry_engine *engine, struct ferry_task *task, int64_t due_ms, int64_t now_ms,
                         int64_t token_ms);
/* Settled without a letter: an entry by its `done`. The task is RUNNING and belongs to the callee. */
void ferry_task_conclude(struct ferry_engine *engine, struct ferry_task *task, enum ferry_outcome outcome);
/* Sends the note that task->writing names. From a successful send on the task may be gone. */
FERRY_NODISCARD enum ferry_code ferry_note_send(struct ferry_engine *engine, struct ferry_task *task,
                                                struct ferry_error *error);
/* Its report has come, from that place: what follows. FERRY_MEMORY: nothing has, it has to be written once more. */
FERRY_NODISCARD enum ferry_code ferry_note_written(struct ferry_engine *engine, struct ferry_task *task,
                                                   int32_t partition, int64_t offset);
/* Something of its lane waits in the retry topic: the record of an input has to go there too. The lock is held. */
bool ferry_task_blocked(const struct ferry_engine *engine, const struct ferry_task *task);
/* Of a partition that holds too much, those that wait longest for their destination's pace go to the retry topic. The
 * lock is held. */
void ferry_partition_spill(struct ferry_engine *engine, struct ferry_held_partition *partition);

/* ---- retrieve.c ---- */

void *ferry_retriever_run(void *engine);

/* ---- follow.c: reads along the retry topic, on the restorer's thread ---- */

struct ferry_follower {
    struct ferry_engine *engine;
    struct ferry_consumer *reader; /* NULL: not open */
    int32_t width;
    int64_t look_ms; /* when to look for the topic again (monotonic) */
    int64_t tell_ms; /* when to say again that there is something newer */
    bool warned;
};
/* Everything that stands in the topic at this moment is in the index when it returns true; also when there is no topic
 * for us. False: no broker answered, or the worker ends. Waits. */
bool ferry_follower_catch_up(struct ferry_follower *follower, const struct ferry_config *config);
/* Reads what has come, for up to `timeout_ms`. */
void ferry_follower_poll(struct ferry_follower *follower, int timeout_ms);
void ferry_follower_close(struct ferry_follower *follower);

/* ---- marks.c ---- */

/* The values of marks in the effects topic; the key is the effect key's 16 bytes, the time the record's. No value: an
 * intent that was taken back. The header `ferry-version` is 1, or absent; what another version says of an effect counts
 * as an intent (docs/upgrade.md). */
#define FERRY_MARK_VERSION "1"
#define FERRY_MARK_INTENT "intent"
#define FERRY_MARK_DONE "done"
#define FERRY_MARK_DOUBT "doubt"

void *ferry_restorer_run(void *engine);
FERRY_NODISCARD enum ferry_code ferry_marks_open(struct ferry_engine *engine);
void ferry_marks_close(struct ferry_engine *engine);
/* Reads what has come to those partitions of the effects topic since they were read last. `wanted` by number, of
 * `width`, or NULL: all. False: it has to be tried again. Any thread without the lock; waits. */
bool ferry_marks_catch_up(struct ferry_engine *engine, const struct ferry_config *config, const bool *wanted,
                          int32_t width);
/* A mark of somebody was read. The lock is held. */
void ferry_engine_learn_mark(struct ferry_engine *engine, const struct ferry_once_key *key, int64_t when_ms,
                             bool doubtful);
/* How many partitions the topic has for us; 0: there is none, -1: no broker could say. Waits. */
int32_t ferry_engine_look_at_width(struct ferry_engine *engine, const struct ferry_config *config, const char *topic);

/* What has a key of its own beside that of the marks, so that a reader of marks alone passes it over: the effect key's
 * 16 bytes and FERRY_CLAIM_MARK. */
#define FERRY_CLAIM_CLAIM "claim" /* headers: who, and over which dead one */
#define FERRY_CLAIM_VOID "void"
#define FERRY_CLAIM_BY "by"
#define FERRY_CLAIM_OVER "over"
enum { FERRY_CLAIM_MARK = 'c' };

/* ---- prove.c: keys that cross partitions ---- */

void *ferry_prover_run(void *engine);
/* The partition of the effects topic that has the marks of a key that crosses partitions. */
int32_t ferry_claim_partition(const struct ferry_once_key *key, int32_t width);
/* Claims the task's key in the log and reads that back, before what comes after it; or waits for whoever is at it. The
 * task is RUNNING, claimed and crossing, and belongs to the callee. */
void ferry_task_claim(struct ferry_engine *engine, struct ferry_task *task, enum ferry_after after);
/* Sends the claim. From a successful send on the task may be gone. */
FERRY_NODISCARD enum ferry_code ferry_claim_send(struct ferry_engine *engine, struct ferry_task *task,
                                                 struct ferry_error *error);
/* Its report has come: it can be read back. */
void ferry_claim_written(struct ferry_engine *engine, struct ferry_task *task);
/* The log was read as far as the task's claim, at least: what follows. The task is PROVING. */
void ferry_claim_judge(struct ferry_engine *engine, struct ferry_task *task);
/* Takes the claim back, if one may stand in the log. Not waited for. */
void ferry_claim_withdraw(struct ferry_engine *engine, const struct ferry_task *task);
/* A record of the effects topic with a claim in it. The lock is held. */
void ferry_claim_read(struct ferry_engine *engine, const struct ferry_record *record);
/* The lease and the window that the configuration says. The lock is held. */
void ferry_claim_set_terms(struct ferry_engine *engine, const struct ferry_config *config);

/* ---- tell.c: to the channel's teller; the task belongs to the caller; no lock ---- */

void ferry_task_tell_call(struct ferry_engine *engine, const struct ferry_task *task);
void ferry_task_tell_answer(struct ferry_engine *engine, const struct ferry_task *task,
                            const struct ferry_answer *answer, const struct ferry_verdict *verdict);
void ferry_task_tell_outcome(struct ferry_engine *engine, const struct ferry_task *task, enum ferry_outcome outcome,
                             enum ferry_code code, const char *reason);

/* ---- report.c ---- */

void ferry_report_setup(struct ferry_engine *engine);
/* How many wait for room under the caps of this name. */
struct ferry_series *ferry_report_cap(struct ferry_engine *engine, const char *name);
void ferry_report_slot(struct ferry_engine *engine, struct ferry_slot *slot);
/* Counts and logs an outcome. The task belongs to the caller; no lock. */
void ferry_report_outcome(struct ferry_engine *engine, const struct ferry_task *task, enum ferry_outcome outcome,
                          enum ferry_code code, const char *reason);

#endif
