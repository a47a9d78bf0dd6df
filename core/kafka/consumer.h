/* The consumer of a group: manual offset storing, cooperative-sticky, never a commit of what is not settled.
 * One thread (the owner) makes all calls, but ferry_consumer_store, which any thread may call. */
#ifndef FERRY_CORE_KAFKA_CONSUMER_H
#define FERRY_CORE_KAFKA_CONSUMER_H

#include "core/config.h"
#include "core/metrics.h"
#include "core/record.h"

struct ferry_consumer;

struct ferry_partition {
    const char *topic; /* borrowed during a callback */
    int32_t partition;
    /* Assigned: the next one by the group's commit, -1 without one. Readers: where to begin; -1: at the beginning;
     * FERRY_OFFSET_COMMITTED. ferry_reader_ends: the end. */
    int64_t offset;
};

/* A reader begins where the group of the property group.id stands, without joining it; else at the beginning. */
enum { FERRY_OFFSET_COMMITTED = -2 };

/* Called on the owner thread, inside ferry_consumer_poll. */
struct ferry_consumer_listener {
    void *context;
    /* These partitions are ours from now on. */
    void (*assigned)(void *context, const struct ferry_partition *partitions, size_t count);
    /* These are taken away when the call returns: finish or abandon their records, store offsets. Afterwards they are
     * committed, unless `lost` (then nothing more may be stored for them). */
    void (*revoked)(void *context, const struct ferry_partition *partitions, size_t count, bool lost);
};

struct ferry_consumer_options {
    const char *group;
    struct ferry_strings topics; /* exact names; those that begin with ^ are regular expressions */
    enum ferry_start start;      /* of a group without any commit */
    const char *from_beginning;  /* a topic that begins at its beginning all the same; NULL: none */
    struct ferry_properties common;
    struct ferry_properties overrides;
};

/* Does not wait for a broker. Fails with FERRY_CONFIG or FERRY_SYSTEM. */
FERRY_NODISCARD enum ferry_code ferry_consumer_open(const struct ferry_consumer_options *options,
                                                    const struct ferry_consumer_listener *listener,
                                                    struct ferry_metrics *metrics, struct ferry_consumer **out,
                                                    struct ferry_error *error);

/* A fetched record with everything in it copied out of librdkafka's hands or kept by it; the caller frees it with
 * ferry_fetched_free, on any thread. */
struct ferry_fetched {
    struct ferry_record record;
};

/* The next record, or NULL when none came within `timeout_ms`. Call it at least every few seconds, whatever else
 * happens: it is also what keeps the membership. */
struct ferry_fetched *ferry_consumer_poll(struct ferry_consumer *consumer, int timeout_ms);
void ferry_fetched_free(struct ferry_fetched *fetched);

/* Stop and go on fetching a partition; polling goes on. */
void ferry_consumer_pause(struct ferry_consumer *consumer, const char *topic, int32_t partition);
void ferry_consumer_resume(struct ferry_consumer *consumer, const char *topic, int32_t partition);

/* Everything below `next_offset` of the partition is settled. Committed in the background every second, on revoke
 * and on close. Any thread. Ignored for a partition that is no longer ours. */
void ferry_consumer_store(struct ferry_consumer *consumer, const char *topic, int32_t partition, int64_t next_offset);

/* Its assignment has been taken over (readiness); it may be empty. False until then, and again after a loss. */
bool ferry_consumer_ready(const struct ferry_consumer *consumer);
/* Refreshes ferry_consumer_lag{topic,partition}; cheap, from cached watermarks. Owner thread. */
void ferry_consumer_update_lag(struct ferry_consumer *consumer);
/* Commits what is stored, leaves the group, frees. */
void ferry_consumer_close(struct ferry_consumer *consumer);

/* Reading without a group: `assign` from the beginning (or from the end), never touches a live group. Polled and closed
 * like a consumer. Waits up to 10 s for a broker (FERRY_KAFKA); topics that are all missing: FERRY_TOPIC_UNKNOWN. */
FERRY_NODISCARD enum ferry_code ferry_reader_open(struct ferry_properties common, struct ferry_strings topics,
                                                  bool from_end, struct ferry_consumer **out,
                                                  struct ferry_error *error);
/* The same for these partitions alone, each from its offset (-1: from the beginning). Does not wait for a broker. */
FERRY_NODISCARD enum ferry_code ferry_reader_open_at(struct ferry_properties common,
                                                     const struct ferry_partition *partitions, size_t count,
                                                     struct ferry_consumer **out, struct ferry_error *error);
/* Reads these partitions instead; none: rests. Fails with FERRY_MEMORY or FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_reader_move(struct ferry_consumer *reader,
                                                  const struct ferry_partition *partitions, size_t count,
                                                  struct ferry_error *error);
/* A poll has come to the end of every partition at least once since the reader was opened or moved: what was there then
 * has been handed out. Polls return NULL at an end, so go on polling until this is true. */
bool ferry_reader_ended(struct ferry_consumer *reader);
/* The next offset that a poll of the partition will look at; -1 while that is not known. */
int64_t ferry_reader_position(struct ferry_consumer *reader, const char *topic, int32_t partition);
/* Asks for the present ends of these partitions, any partitions. Waits at most `timeout_ms` for each: FERRY_KAFKA. */
FERRY_NODISCARD enum ferry_code ferry_reader_ends(struct ferry_consumer *reader, struct ferry_partition *partitions,
                                                  size_t count, int timeout_ms, struct ferry_error *error);

#endif
