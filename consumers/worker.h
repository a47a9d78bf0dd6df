/* The worker engine: everything that Slack, mail and automation workers share.
 *
 * Kafka → lanes → effect → offset. The poller thread fetches records and keeps them in order by lane (route + topic +
 * partition + key); evaluator threads render (`when`, templates) off the polling thread; the client's thread carries
 * out; an outcome settles the record for its route, and a partition's stored offset is the highest contiguous settled
 * one. Permanent failures go to `<internal>.<worker>.dlq`, and the record is settled after that report.
 *
 * A channel says what is special: how a route's event becomes one or more exchanges, and what an answer means. */
#ifndef FERRY_CONSUMERS_WORKER_H
#define FERRY_CONSUMERS_WORKER_H

#include "core/config.h"
#include "core/event.h"
#include "core/metrics.h"
#include "core/net/client.h"
#include "core/program.h"
#include "core/template.h"

/* What became of an effect: label `outcome` of ferry_effects_total. */
enum ferry_outcome {
    FERRY_OUTCOME_DONE,
    FERRY_OUTCOME_SKIPPED,
    FERRY_OUTCOME_EXPIRED,
    FERRY_OUTCOME_DUPLICATE,
    FERRY_OUTCOME_DOUBTFUL,
    FERRY_OUTCOME_RETRY,
    FERRY_OUTCOME_DEAD,
    FERRY_OUTCOME_COUNT
};
const char *ferry_outcome_name(enum ferry_outcome outcome);

enum {
    FERRY_EFFECT_HEADERS = 32,
    FERRY_EFFECT_KEY = 33,                  /* 32 hex digits and NUL */
    FERRY_EFFECT_BODY_MAX = 4 * 1024 * 1024 /* of a request; of a whole mail */
};

/* One exchange with the world, owned by the engine; strings are malloc'ed, and freed (secrets wiped) by it. */
struct ferry_effect {
    const struct ferry_smtp_config *smtp; /* of a mail, borrowed from the configuration; NULL: HTTP */
    /* HTTP */
    char *method;
    char *url;
    struct ferry_effect_header {
        char *name;
        char *value;
    } headers[FERRY_EFFECT_HEADERS];
    size_t header_count;
    struct ferry_buffer body; /* of the request; for mail the whole message */
    size_t answer_max;        /* bytes of the answer that are wanted; 0: 64 KiB */
    /* mail */
    char *sender;
    char *recipient;
    int64_t timeout_ms;
    /* Carried from one exchange of an effect to the next; ferry_effect_clear leaves them alone. */
    int attempt; /* which one this is, from 1; set by the engine */
    int step;    /* 0 at the first exchange; the rest is the channel's affair */
    int looks;   /* how often the channel has looked at what it began */
    char note[128];
};

void ferry_effect_init(struct ferry_effect *effect);
/* Wipes and frees everything. */
void ferry_effect_done(struct ferry_effect *effect);
/* Wipes the exchange, so that the next one can be described. */
void ferry_effect_clear(struct ferry_effect *effect);
/* What is asked of whom; both copied. FERRY_MEMORY when memory ran out. */
FERRY_NODISCARD enum ferry_code ferry_effect_request(struct ferry_effect *effect, const char *method,
                                                     struct ferry_slice url, int64_t timeout_ms);
/* One more header; both copied. FERRY_MEMORY when there is no room or memory. */
FERRY_NODISCARD enum ferry_code ferry_effect_header(struct ferry_effect *effect, const char *name,
                                                    struct ferry_slice value);
/* Passes the event's trace on: traceparent and tracestate, where it has them. */
FERRY_NODISCARD enum ferry_code ferry_effect_trace(const struct ferry_event *event, struct ferry_effect *effect);

/* Hands it to the client; see core/net/client.h for `done`. The effect may go when the call returns. */
FERRY_NODISCARD enum ferry_code ferry_effect_submit(struct ferry_client *client, const struct ferry_effect *effect,
                                                    ferry_answer_fn *done, void *context, struct ferry_error *error);

/* What a channel's `settle` decides. */
struct ferry_verdict {
    enum ferry_outcome outcome; /* DONE, SKIPPED, RETRY, DEAD, or DOUBTFUL: a dead letter `outcome-unknown` */
    enum ferry_code code;       /* for RETRY, DEAD and DOUBTFUL; RETRY with OUTCOME_UNKNOWN is a possible repeat */
    char reason[256];           /* for people; the header ferry-reason */
    int64_t retry_after_ms;     /* for RETRY: -1 by the back-off */
    bool follow_up;             /* not settled yet: carry out what is now in `effect` after `retry_after_ms` */
};

/* Fills a verdict without a follow-up; a reason that is too long is cut. */
void ferry_verdict_set(struct ferry_verdict *verdict, enum ferry_outcome outcome, enum ferry_code code,
                       const char *format, ...) FERRY_PRINTF(4, 5);
/* What an answer means by its status alone (docs/contract.md, "Workers"): 2xx done; 408 425 429 5xx and what was not
 * sent RETRY, with Retry-After; in doubt DOUBTFUL; everything else DEAD. */
void ferry_verdict_by_status(const struct ferry_answer *answer, struct ferry_verdict *verdict);

/* A cap that an effect comes under: at most `rate` for everybody with the same name and key. */
struct ferry_limit {
    const char *name; /* "domain": static, a label in metrics */
    struct ferry_rate rate;
    char key[256]; /* for logs too: nobody's address, no secret */
};
enum { FERRY_LIMITS = 2 };

/* How much of one message's limits is used. */
struct ferry_load {
    size_t characters; /* of its text */
    size_t blocks;     /* of the members that have blocks */
    size_t sections;   /* that the texts of the others would need as blocks */
};

/* How a channel joins what waits for one destination: "digests" (consumers/digest.c). The verdict on a joined exchange
 * is that on each of its members; it has no follow-up, and comes under no limits. */
struct ferry_joining {
    /* The window of a route; 0: its effects go singly. */
    int64_t (*window_ms)(const struct ferry_config *config, size_t index);
    /* What an effect with this body takes up. */
    struct ferry_load (*weigh)(struct ferry_slice body);
    /* Whether one message can hold as much. */
    bool (*fits)(const struct ferry_load *load);
    /* One body in place of two or more, in their order; they fit. `out` is failed when memory ran out. */
    void (*join)(const struct ferry_slice *bodies, size_t count, struct ferry_buffer *out);
};

/* What becomes of an event on a route, as it happens; borrowed during the call. */
enum ferry_news_kind {
    FERRY_NEWS_CALL,   /* an attempt begins */
    FERRY_NEWS_ANSWER, /* an exchange has ended; the verdict on it may be that another one follows */
    FERRY_NEWS_OUTCOME /* what ferry_effects_total counts, but `done`, which was news with its answer */
};
struct ferry_news {
    enum ferry_news_kind kind;
    const struct ferry_event *event;
    const char *route;
    size_t routes; /* of this worker that take the event */
    int attempts;
    /* ANSWER: of the route at `index` of `config`; `effect` holds what follows */
    const struct ferry_config *config;
    size_t index;
    const struct ferry_answer *answer;
    const struct ferry_effect *effect;
    const struct ferry_verdict *verdict;
    /* OUTCOME */
    enum ferry_outcome outcome;
    enum ferry_code code;
    const char *reason; /* masked */
};

/* How a channel tells somebody outside what becomes of events. It is news, not bookkeeping: nothing waits for it. */
struct ferry_teller;
struct ferry_telling {
    /* NULL when memory ran out. */
    struct ferry_teller *(*open)(struct ferry_metrics *metrics);
    /* Every second, and before the first news; on the main thread. The configuration is the current one. */
    void (*tend)(struct ferry_teller *teller, const struct ferry_config *config);
    bool (*wants)(const struct ferry_event *event);
    /* Any thread, also a producer's own; must not wait. */
    void (*tell)(struct ferry_teller *teller, const struct ferry_news *news);
    /* What is on its way has `timeout_ms`. */
    void (*close)(struct ferry_teller *teller, int64_t timeout_ms);
};

/* A route compiled for one evaluator thread. */
struct ferry_channel_route;

struct ferry_channel {
    const char *name;    /* "slack" */
    const char *program; /* "ferry-slack" */
    unsigned section;
    const struct ferry_worker_config *(*worker)(const struct ferry_config *config);
    size_t (*route_count)(const struct ferry_config *config);
    const struct ferry_route_config *(*route)(const struct ferry_config *config, size_t index);
    /* A second call would do harm: an intent is written before each, so that a crash in the middle is noticed. */
    bool intends;
    /* The trust anchors of its connections; NULL: the system's. */
    const char *(*ca_file)(const struct ferry_config *config);

    /* The pace of a route's destination, and a text that is the same for routes that share one (a secret may be in it:
     * only its hash is kept). NULL: no destination has a pace. */
    struct ferry_rate (*pace)(const struct ferry_config *config, size_t index, struct ferry_slice *destination);
    /* NULL: the channel has no digests. */
    const struct ferry_joining *joining;

    /* The caps of a rendered effect, filled from the first; how many. NULL: there are none. On an evaluator thread. */
    size_t (*limits)(const struct ferry_config *config, size_t index, const struct ferry_event *event,
                     const struct ferry_effect *effect, struct ferry_limit limits[FERRY_LIMITS]);

    /* Compiles a route's templates for the calling thread. */
    enum ferry_code (*route_new)(const struct ferry_config *config, size_t index, struct ferry_channel_route **out,
                                 struct ferry_error *error);
    void (*route_free)(struct ferry_channel_route *route);

    /* Renders an event into `effect`, which is clear. FERRY_OK, or a permanent code (dead letter); `*skip` true: a
     * counted skip, its reason in `error->text`. `effect_key` is 32 hex digits, the same for every repeat of this
     * effect. On an evaluator thread; the route was compiled there. */
    enum ferry_code (*render)(struct ferry_channel_route *route, const struct ferry_event *event,
                              const struct ferry_view *view, const char *effect_key, struct ferry_effect *effect,
                              bool *skip, struct ferry_error *error);

    /* What an answer means; on the client's thread: quick, no jq. For a follow-up it replaces `effect`'s content. */
    void (*settle)(const struct ferry_config *config, size_t index, const struct ferry_answer *answer,
                   struct ferry_effect *effect, struct ferry_verdict *verdict);

    /* NULL: nobody is told. */
    const struct ferry_telling *telling;
};

extern const struct ferry_channel ferry_slack_channel;
extern const struct ferry_channel ferry_mail_channel;
extern const struct ferry_channel ferry_automation_channel;

/* The whole program of a worker: main() of each returns this. */
int ferry_worker_main(const struct ferry_channel *channel, const char *summary, int argc, char **argv);

/* The key under which the same effect is had once more, by that run: `key` before, the new one afterwards. */
void ferry_effect_key_again(struct ferry_slice run, char key[FERRY_EFFECT_KEY]);

/* The key of "once" (docs/contract.md, "Workers"), as 32 hex digits with NUL: worker + route + what identifies the
 * action. `once_per` are the rendered members, none for the default. Absent slices: the event has none. */
void ferry_effect_key(const char *worker, const char *route, const struct ferry_event *event,
                      struct ferry_slice resource_id, struct ferry_slice delete_type,
                      const struct ferry_slice *once_per, size_t once_per_count, char out[FERRY_EFFECT_KEY]);
/* May the resource stand for the action? If not, the default key depends on neither of the two slices. */
bool ferry_effect_key_by_resource(const struct ferry_event *event);

#endif
