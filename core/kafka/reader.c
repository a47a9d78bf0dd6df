/* Reading without a group: partitions are assigned by hand, nothing is joined and nothing is ever committed. */
#include <stdlib.h>

#include "core/kafka/common.h"
#include "core/kafka/consumer_private.h"

enum { BROKER_MS = 10000 };

static const struct ferry_kafka_setting defaults[] = {
    {"group.id", "ferry-reader"}, /* librdkafka wants a name; a group of that name never comes to be */
    {"allow.auto.create.topics", "false"},
    {NULL, NULL},
};

static const struct ferry_kafka_setting owned_settings[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {"auto.offset.reset", "earliest"},
    {NULL, NULL},
};

enum ferry_code ferry_reader_client(const struct ferry_kafka_setting *client_defaults, struct ferry_properties common,
                                    struct ferry_properties overrides, rd_kafka_t **out, struct ferry_error *error)
{
    rd_kafka_conf_t *conf;
    rd_kafka_t *client;
    enum ferry_code code = ferry_kafka_conf((struct ferry_kafka_settings){client_defaults, owned_settings}, common,
                                            overrides, &conf, error);
    if (code == FERRY_OK)
        code = ferry_kafka_client(RD_KAFKA_CONSUMER, conf, &client, error);
    if (code != FERRY_OK)
        return code;
    rd_kafka_poll_set_consumer(client);
    *out = client;
    return FERRY_OK;
}

static enum ferry_code open_client(struct ferry_properties common, struct ferry_consumer **out,
                                   struct ferry_error *error)
{
    struct ferry_consumer *reader = ferry_consumer_new();
    if (reader == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code =
        ferry_reader_client(defaults, common, (struct ferry_properties){NULL, 0}, &reader->client, error);
    if (code != FERRY_OK) {
        ferry_consumer_free(reader);
        return code;
    }
    *out = reader;
    return FERRY_OK;
}

static enum ferry_code assign(struct ferry_consumer *reader, const rd_kafka_topic_partition_list_t *partitions,
                              struct ferry_error *error)
{
    if (!ferry_consumer_own(reader, partitions))
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    rd_kafka_resp_err_t failed = rd_kafka_assign(reader->client, partitions);
    if (failed)
        return ferry_fail(error, FERRY_KAFKA, "cannot read: %s", rd_kafka_err2str(failed));
    atomic_store(&reader->ready, true);
    return FERRY_OK;
}

/* Their partitions, each with the offset to begin at. */
static enum ferry_code find_partitions(struct ferry_consumer *reader, struct ferry_strings topics, int64_t begin,
                                       rd_kafka_topic_partition_list_t **out, struct ferry_error *error)
{
    rd_kafka_topic_partition_list_t *wanted = rd_kafka_topic_partition_list_new((int)topics.count);
    for (size_t i = 0; i < topics.count; i++)
        rd_kafka_topic_partition_list_add(wanted, topics.items[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_t *found;
    enum ferry_code code = ferry_kafka_partitions(reader->client, wanted, BROKER_MS, &found);
    rd_kafka_topic_partition_list_destroy(wanted);
    if (code != FERRY_OK)
        return ferry_fail(error, code, "no Kafka broker answered in %d s", BROKER_MS / 1000);
    if (found->cnt == 0 && topics.count > 0) {
        rd_kafka_topic_partition_list_destroy(found);
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "there is no topic %s", topics.items[0]);
    }
    for (int i = 0; i < found->cnt; i++)
        found->elems[i].offset = begin;
    *out = found;
    return FERRY_OK;
}

enum ferry_code ferry_reader_open(struct ferry_properties common, struct ferry_strings topics, bool from_end,
                                  struct ferry_consumer **out, struct ferry_error *error)
{
    struct ferry_consumer *reader = NULL;
    enum ferry_code code = open_client(common, &reader, error);
    if (reader == NULL)
        return code;
    rd_kafka_topic_partition_list_t *partitions = NULL;
    code =
        find_partitions(reader, topics, from_end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING, &partitions, error);
    if (code == FERRY_OK)
        code = assign(reader, partitions, error);
    if (partitions != NULL)
        rd_kafka_topic_partition_list_destroy(partitions);
    if (code != FERRY_OK) {
        ferry_consumer_free(reader);
        return code;
    }
    *out = reader;
    return FERRY_OK;
}

static int64_t begin_of(int64_t offset)
{
    if (offset >= 0)
        return offset;
    return offset == FERRY_OFFSET_COMMITTED ? RD_KAFKA_OFFSET_STORED : RD_KAFKA_OFFSET_BEGINNING;
}

enum ferry_code ferry_reader_move(struct ferry_consumer *reader, const struct ferry_partition *partitions, size_t count,
                                  struct ferry_error *error)
{
    ferry_consumer_disown_all(reader);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition)->offset =
            begin_of(partitions[i].offset);
    enum ferry_code code = assign(reader, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

enum ferry_code ferry_reader_open_at(struct ferry_properties common, const struct ferry_partition *partitions,
                                     size_t count, struct ferry_consumer **out, struct ferry_error *error)
{
    struct ferry_consumer *reader = NULL;
    enum ferry_code code = open_client(common, &reader, error);
    if (reader == NULL)
        return code;
    code = ferry_reader_move(reader, partitions, count, error);
    if (code != FERRY_OK) {
        ferry_consumer_free(reader);
        return code;
    }
    *out = reader;
    return FERRY_OK;
}

bool ferry_reader_ended(struct ferry_consumer *reader)
{
    bool ended = true;
    pthread_mutex_lock(&reader->lock);
    for (size_t i = 0; i < reader->owned_count; i++)
        ended &= reader->owned[i].ended;
    pthread_mutex_unlock(&reader->lock);
    return ended;
}

int64_t ferry_reader_position(struct ferry_consumer *reader, const char *topic, int32_t partition)
{
    pthread_mutex_lock(&reader->lock);
    const struct ferry_owned_partition *row = ferry_consumer_find(reader, topic, partition);
    int64_t position = row != NULL ? row->position : -1;
    pthread_mutex_unlock(&reader->lock);
    return position;
}

enum ferry_code ferry_reader_ends(struct ferry_consumer *reader, struct ferry_partition *partitions, size_t count,
                                  int timeout_ms, struct ferry_error *error)
{
    for (size_t i = 0; i < count; i++) {
        int64_t low, high;
        rd_kafka_resp_err_t failed = rd_kafka_query_watermark_offsets(reader->client, partitions[i].topic,
                                                                      partitions[i].partition, &low, &high, timeout_ms);
        if (failed)
            return ferry_fail(error, FERRY_KAFKA, "the end of %s is not known: %s", partitions[i].topic,
                              rd_kafka_err2str(failed));
        partitions[i].offset = high;
    }
    return FERRY_OK;
}
