#include "core/kafka/topic_handles.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/hash.h"

struct ferry_topic_handle {
    struct ferry_topic_handle *next;
    rd_kafka_topic_t *topic;
    size_t name_len;
    char name[]; /* with a NUL */
};

void ferry_topic_handles_init(struct ferry_topic_handles *handles, rd_kafka_t *client)
{
    handles->client = client;
    pthread_mutex_init(&handles->lock, NULL);
    for (size_t i = 0; i < FERRY_TOPIC_HANDLE_HEADS; i++)
        atomic_init(&handles->heads[i], NULL);
}

void ferry_topic_handles_done(struct ferry_topic_handles *handles)
{
    for (size_t i = 0; i < FERRY_TOPIC_HANDLE_HEADS; i++) {
        for (struct ferry_topic_handle *handle = atomic_load(&handles->heads[i]), *next; handle != NULL;
             handle = next) {
            next = handle->next;
            rd_kafka_topic_destroy(handle->topic);
            free(handle);
        }
    }
    pthread_mutex_destroy(&handles->lock);
}

static struct ferry_topic_handle *find(struct ferry_topic_handles *handles, size_t head, struct ferry_slice name)
{
    struct ferry_topic_handle *handle = atomic_load_explicit(&handles->heads[head], memory_order_acquire);
    while (handle != NULL && !ferry_slice_equal(ferry_slice_of(handle->name, handle->name_len), name))
        handle = handle->next;
    return handle;
}

/* Under the lock. */
static struct ferry_topic_handle *add(struct ferry_topic_handles *handles, size_t head, struct ferry_slice name,
                                      rd_kafka_resp_err_t *failure)
{
    struct ferry_topic_handle *handle = malloc(sizeof *handle + name.len + 1);
    *failure = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
    if (handle == NULL)
        return NULL;
    handle->name_len = name.len;
    memcpy(handle->name, name.ptr, name.len);
    handle->name[name.len] = '\0';
    handle->topic = rd_kafka_topic_new(handles->client, handle->name, NULL);
    if (handle->topic == NULL) {
        *failure = rd_kafka_last_error();
        free(handle);
        return NULL;
    }
    handle->next = atomic_load(&handles->heads[head]);
    atomic_store_explicit(&handles->heads[head], handle, memory_order_release);
    return handle;
}

rd_kafka_topic_t *ferry_topic_handle(struct ferry_topic_handles *handles, struct ferry_slice name,
                                     rd_kafka_resp_err_t *failure)
{
    size_t head = ferry_hash(FERRY_HASH_EMPTY, name) % FERRY_TOPIC_HANDLE_HEADS;
    struct ferry_topic_handle *handle = find(handles, head, name);
    if (handle == NULL) {
        pthread_mutex_lock(&handles->lock);
        handle = find(handles, head, name);
        if (handle == NULL)
            handle = add(handles, head, name, failure);
        pthread_mutex_unlock(&handles->lock);
    }
    return handle != NULL ? handle->topic : NULL;
}
