/* Where a group begins that has no commit yet, and which partitions its subscription stands for. */
#include <regex.h>
#include <stdlib.h>

#include "core/kafka/consumer_private.h"

/* librdkafka compiles an expression the same way. */
static bool topic_matches(const char *wanted, const char *topic)
{
    if (wanted[0] != '^')
        return strcmp(wanted, topic) == 0;
    regex_t expression;
    if (regcomp(&expression, wanted, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool matches = regexec(&expression, topic, 0, NULL, 0) == 0;
    regfree(&expression);
    return matches;
}

static bool is_subscribed(const rd_kafka_topic_partition_list_t *subscription, const char *topic)
{
    for (int i = 0; i < subscription->cnt; i++)
        if (topic_matches(subscription->elems[i].topic, topic))
            return true;
    return false;
}

enum ferry_code ferry_kafka_partitions(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *subscription,
                                       int timeout_ms, rd_kafka_topic_partition_list_t **out)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(client, 1, NULL, &metadata, timeout_ms))
        return FERRY_KAFKA;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(metadata->topic_cnt);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (is_subscribed(subscription, topic->topic))
            rd_kafka_topic_partition_list_add_range(list, topic->topic, 0, topic->partition_cnt - 1);
    }
    rd_kafka_metadata_destroy(metadata);
    *out = list;
    return FERRY_OK;
}

static void set_offsets(rd_kafka_topic_partition_list_t *list, int64_t offset)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = offset;
}

static bool has_commit(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset >= 0)
            return true;
    return false;
}

/* Two members that start at the same moment may both find no commit and both write the ends. The second then writes
 * ends that are a moment younger; the first goes on from where it stands and commits over them. */
static enum ferry_code commit_ends(rd_kafka_t *client, rd_kafka_topic_partition_list_t *all, int timeout_ms)
{
    set_offsets(all, RD_KAFKA_OFFSET_END); /* as a timestamp: one request a broker, not one a partition */
    if (rd_kafka_offsets_for_times(client, all, timeout_ms) || ferry_kafka_list_error(all) ||
        rd_kafka_commit(client, all, 0) || ferry_kafka_list_error(all))
        return FERRY_KAFKA;
    return FERRY_OK;
}

static void leave_out(rd_kafka_topic_partition_list_t *list, const char *topic)
{
    for (int i = list->cnt - 1; i >= 0; i--)
        if (topic != NULL && strcmp(list->elems[i].topic, topic) == 0)
            rd_kafka_topic_partition_list_del_by_idx(list, i);
}

enum ferry_code ferry_consumer_begin_now(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *subscription,
                                         const char *except, int timeout_ms)
{
    rd_kafka_topic_partition_list_t *all;
    enum ferry_code code = ferry_kafka_partitions(client, subscription, timeout_ms, &all);
    if (code != FERRY_OK)
        return code;
    leave_out(all, except);
    if (all->cnt > 0) {
        if (rd_kafka_committed(client, all, timeout_ms) || ferry_kafka_list_error(all))
            code = FERRY_KAFKA;
        else if (!has_commit(all))
            code = commit_ends(client, all, timeout_ms);
    }
    rd_kafka_topic_partition_list_destroy(all);
    return code;
}
