#include <stdlib.h>

#include "core/kafka/consumer_private.h"

/* One block: the struct, its headers, then all bytes. */
struct room {
    char *at;
};

static struct ferry_slice keep(struct room *room, const void *bytes, size_t len)
{
    if (bytes == NULL)
        return (struct ferry_slice){NULL, 0};
    char *to = room->at;
    memcpy(to, bytes, len);
    room->at += len;
    return ferry_slice_of(to, len);
}

static size_t headers_bytes(const rd_kafka_headers_t *headers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name;
        const void *value;
        size_t len;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len))
            break;
        bytes += strlen(name) + len;
    }
    return bytes;
}

static void keep_headers(struct room *room, const rd_kafka_headers_t *headers, struct ferry_record *record)
{
    for (size_t i = 0; i < record->header_count; i++) {
        const char *name;
        const void *value;
        size_t len;
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len)) {
            record->header_count = i;
            return;
        }
        record->headers[i].name = keep(room, name, strlen(name));
        record->headers[i].value = keep(room, value, len);
    }
}

struct ferry_fetched *ferry_fetched_copy(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        count = rd_kafka_header_cnt(headers);
    const char *topic = rd_kafka_topic_name(message->rkt);
    size_t fixed = sizeof(struct ferry_fetched) + count * sizeof(struct ferry_pair);
    struct ferry_fetched *fetched =
        malloc(fixed + strlen(topic) + 1 + message->key_len + message->len + headers_bytes(headers, count));
    if (fetched == NULL)
        return NULL;
    struct room room = {(char *)fetched + fixed};
    struct ferry_record *record = &fetched->record;
    *record = (struct ferry_record){.partition = message->partition, .offset = message->offset};
    record->headers = (struct ferry_pair *)(fetched + 1);
    record->header_count = count;
    record->topic = keep(&room, topic, strlen(topic) + 1);
    record->topic.len--; /* it ends in NUL, so that it can be handed back as a name */
    record->key = keep(&room, message->key, message->key_len);
    record->value = keep(&room, message->payload, message->len);
    keep_headers(&room, headers, record);
    rd_kafka_timestamp_type_t type;
    record->timestamp_ms = rd_kafka_message_timestamp(message, &type);
    return fetched;
}

void ferry_fetched_free(struct ferry_fetched *fetched)
{
    free(fetched);
}
