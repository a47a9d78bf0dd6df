/* Looking names up at Qlik's REST API, without anybody waiting for it here: who asks is told what is known at once, and
 * is called when more is.
 *
 * Names are kept for an hour, that there is none for a minute, at most 4096 of both. An answer that comes too late for
 * who asked is kept all the same. When lookups fail or are late, three in a row, there are no new ones for some
 * seconds: a slow tenant costs three effects 200 ms, not each of them. */
#ifndef FERRY_CONSUMERS_LOOKUP_H
#define FERRY_CONSUMERS_LOOKUP_H

#include "consumers/name_cache.h"
#include "core/buffer.h"
#include "core/config.h"
#include "core/metrics.h"

enum {
    FERRY_LOOKUP_PATIENCE_MS = 200, /* of an effect; then the id stands in */
    FERRY_LOOKUP_FAILURES = 3,
    FERRY_LOOKUP_PAUSE_MS = 10000
};

struct ferry_lookup;

/* On the lookup's own thread, without a lock: what this key means is settled now. */
struct ferry_lookup_listener {
    void *context;
    void (*settled)(void *context, uint64_t key);
};

/* NULL when memory ran out. Does nothing before ferry_lookup_use. */
struct ferry_lookup *ferry_lookup_new(struct ferry_metrics *metrics, const struct ferry_lookup_listener *listener);
/* Aborts what is under way. NULL is allowed. */
void ferry_lookup_free(struct ferry_lookup *lookup);

/* From now on it asks there; `config` lives until the next call, or the end. With another tenant everything that is
 * known is forgotten. `ca_file` as of ferry_client_start, at the first tenant. Fails as that does. NULL is allowed. */
FERRY_NODISCARD enum ferry_code ferry_lookup_use(struct ferry_lookup *lookup, const struct ferry_lookup_config *config,
                                                 const char *ca_file, struct ferry_error *error);

enum ferry_lookup_result {
    FERRY_LOOKUP_FOUND,   /* the member was appended, as JSON text */
    FERRY_LOOKUP_NONE,    /* there is no such name, or nobody can say at the moment */
    FERRY_LOOKUP_PENDING, /* it was asked for; the listener is called */
};
/* Any thread; never waits for the network. */
enum ferry_lookup_result ferry_lookup_ask(struct ferry_lookup *lookup, enum ferry_name_kind kind, struct ferry_slice id,
                                          struct ferry_buffer *json);
/* An id stood in for its name; `late`: because it was waited for long enough. */
void ferry_lookup_missed(struct ferry_lookup *lookup, enum ferry_name_kind kind, bool late);

/* The member that stands in: {"id":ID,"name":ID}, of a user "email":null too. Appended. */
void ferry_lookup_stand_in(enum ferry_name_kind kind, struct ferry_slice id, struct ferry_buffer *json);

#endif
