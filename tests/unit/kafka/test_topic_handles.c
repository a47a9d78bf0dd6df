/* Handles of topics by name, asked for from many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "core/kafka/topic_handles.h"

enum { THREADS = 4, NAMES = 3 * FERRY_TOPIC_HANDLE_HEADS };

static rd_kafka_t *client_without_brokers(void)
{
    char words[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    assert_non_null(client);
    return client;
}

struct asking {
    struct ferry_topic_handles *handles;
    rd_kafka_topic_t *found[NAMES];
};

static void *ask_for_all(void *context)
{
    struct asking *asking = context;
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        rd_kafka_resp_err_t failure;
        int len = snprintf(name, sizeof name, "topic-%d.and more", i);
        asking->found[i] = ferry_topic_handle(asking->handles, ferry_slice_of(name, (size_t)len - 9), &failure);
    }
    return NULL;
}

static void a_name_has_one_handle_whoever_asks(void **state)
{
    (void)state;
    static struct asking asking[THREADS];
    pthread_t threads[THREADS];
    struct ferry_topic_handles handles;
    rd_kafka_t *client = client_without_brokers();
    ferry_topic_handles_init(&handles, client);
    for (int i = 0; i < THREADS; i++) {
        asking[i].handles = &handles;
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_all, &asking[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int n = 0; n < NAMES; n++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", n);
        assert_non_null(asking[0].found[n]);
        assert_string_equal(rd_kafka_topic_name(asking[0].found[n]), name);
        for (int i = 1; i < THREADS; i++)
            assert_ptr_equal(asking[i].found[n], asking[0].found[n]);
    }
    ferry_topic_handles_done(&handles);
    rd_kafka_destroy(client);
}

static void a_name_that_is_none_is_refused(void **state)
{
    (void)state;
    struct ferry_topic_handles handles;
    rd_kafka_resp_err_t failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_t *client = client_without_brokers();
    char name[600];
    memset(name, 'a', sizeof name);
    ferry_topic_handles_init(&handles, client);
    assert_null(ferry_topic_handle(&handles, ferry_slice_of(name, sizeof name), &failure));
    assert_int_not_equal(failure, RD_KAFKA_RESP_ERR_NO_ERROR);
    ferry_topic_handles_done(&handles);
    rd_kafka_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_one_handle_whoever_asks),
        cmocka_unit_test(a_name_that_is_none_is_refused),
    };
    return cmocka_run_group_tests_name("topic_handles", tests, NULL, NULL);
}
