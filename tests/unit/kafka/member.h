/* A member of a group, and what the tests of the consumer ask of it. */
#ifndef FERRY_TESTS_UNIT_KAFKA_MEMBER_H
#define FERRY_TESTS_UNIT_KAFKA_MEMBER_H

#include <string.h>

#include "cluster.h"
#include "core/kafka/consumer.h"

struct member {
    struct ferry_consumer *consumer;
    int assigned; /* partitions now */
    int assignments;
    int revocations;
    bool lost;
    int64_t first_offset;
    /* stored when partitions are revoked, as a worker does with what was in flight */
    const char *store_topic;
    int64_t store_offset;
};

static inline void on_assigned(void *context, const struct ferry_partition *partitions, size_t count)
{
    struct member *member = context;
    member->assigned += (int)count;
    member->assignments++;
    member->first_offset = partitions[0].offset;
}

static inline void on_revoked(void *context, const struct ferry_partition *partitions, size_t count, bool lost)
{
    struct member *member = context;
    member->assigned -= (int)count;
    member->revocations++;
    member->lost = lost;
    for (size_t i = 0; i < count; i++)
        if (member->store_topic != NULL && strcmp(partitions[i].topic, member->store_topic) == 0)
            ferry_consumer_store(member->consumer, partitions[i].topic, partitions[i].partition, member->store_offset);
}

static inline void join_with(struct member *member, struct cluster *cluster, const char *topic, enum ferry_start start,
                             struct ferry_metrics *metrics)
{
    *member = (struct member){.first_offset = -2};
    struct ferry_consumer_options options = {
        .group = "group", .topics = {&topic, 1}, .start = start, .common = cluster->properties};
    struct ferry_consumer_listener listener = {member, on_assigned, on_revoked};
    struct ferry_error error = {.text = ""};
    if (ferry_consumer_open(&options, &listener, metrics, &member->consumer, &error) != FERRY_OK)
        fail_msg("%s", error.text);
}

static inline void join(struct member *member, struct cluster *cluster, const char *topic, enum ferry_start start)
{
    join_with(member, cluster, topic, start, NULL);
}

static inline void leave(struct member *member)
{
    ferry_consumer_close(member->consumer);
    member->consumer = NULL;
}

/* Polls without expecting a record until the condition holds. */
#define POLL_UNTIL(member, condition)                                 \
    do {                                                              \
        int64_t until_ = ferry_clock_mono_ms() + 20000;               \
        while (!(condition) && ferry_clock_mono_ms() < until_)        \
            assert_null(ferry_consumer_poll((member)->consumer, 50)); \
        assert_true(condition);                                       \
    } while (0)

/* The next record; it must be that one. Its settled offset is stored when asked for. */
static inline void expect(struct member *member, const char *topic, int value, bool store)
{
    struct ferry_fetched *fetched = NULL;
    int64_t until = ferry_clock_mono_ms() + 20000;
    while (fetched == NULL && ferry_clock_mono_ms() < until)
        fetched = ferry_consumer_poll(member->consumer, 100);
    if (fetched == NULL) {
        fail_msg("%s", "no record came");
        return;
    }
    char text[8];
    snprintf(text, sizeof text, "%d", value);
    if (!ferry_slice_is(fetched->record.value, text))
        fail_msg("expected %d, got %.*s at %lld", value, FERRY_SLICE_ARGS(fetched->record.value),
                 (long long)fetched->record.offset);
    assert_string_equal(fetched->record.topic.ptr, topic);
    if (store)
        ferry_consumer_store(member->consumer, topic, fetched->record.partition, fetched->record.offset + 1);
    ferry_fetched_free(fetched);
}

static inline void expect_nothing_for(struct member *member, int ms)
{
    for (int64_t until = ferry_clock_mono_ms() + ms; ferry_clock_mono_ms() < until;)
        assert_null(ferry_consumer_poll(member->consumer, 50));
}

#endif
