/* What the topics are set to, asked of the brokers in one request. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/kafka/common.h"

static void visit_settings(rd_kafka_event_t *answer, ferry_admin_setting_fn *visit, void *context)
{
    size_t count, entry_count;
    const rd_kafka_ConfigResource_t **topics =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(topics[i], &entry_count);
        for (size_t e = 0; !rd_kafka_ConfigResource_error(topics[i]) && e < entry_count; e++)
            if (rd_kafka_ConfigEntry_value(entries[e]) != NULL)
                visit(context, rd_kafka_ConfigResource_name(topics[i]), rd_kafka_ConfigEntry_name(entries[e]),
                      rd_kafka_ConfigEntry_value(entries[e]));
    }
}

static enum ferry_code ask(rd_kafka_t *client, rd_kafka_ConfigResource_t **topics, size_t count, int timeout_ms,
                           ferry_admin_setting_fn *visit, void *context, struct ferry_error *error)
{
    char words[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words);
    rd_kafka_DescribeConfigs(client, topics, count, options, answers);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, timeout_ms + 500); /* librdkafka's own time-out first */
    enum ferry_code code = FERRY_OK;
    if (answer == NULL)
        code = ferry_fail(error, FERRY_KAFKA, "no Kafka broker answered in %d s", timeout_ms / 1000);
    else if (rd_kafka_event_error(answer))
        code = ferry_fail(error, FERRY_KAFKA, "%s", rd_kafka_event_error_string(answer));
    else
        visit_settings(answer, visit, context);
    if (answer != NULL)
        rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(answers);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

enum ferry_code ferry_admin_settings(const struct ferry_config *config, struct ferry_topic_list topics, int timeout_ms,
                                     ferry_admin_setting_fn *visit, void *context, struct ferry_error *error)
{
    rd_kafka_conf_t *conf;
    rd_kafka_t *client;
    enum ferry_code code = ferry_kafka_conf((struct ferry_kafka_settings){NULL, NULL}, config->kafka,
                                            (struct ferry_properties){NULL, 0}, &conf, error);
    if (code == FERRY_OK)
        code = ferry_kafka_client(RD_KAFKA_PRODUCER, conf, &client, error);
    if (code != FERRY_OK)
        return code;
    rd_kafka_ConfigResource_t **resources = calloc(topics.count + 1, sizeof(rd_kafka_ConfigResource_t *));
    if (resources == NULL) {
        code = ferry_fail(error, FERRY_MEMORY, "out of memory");
    } else if (topics.count > 0) {
        for (size_t i = 0; i < topics.count; i++)
            resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics.names[i]);
        code = ask(client, resources, topics.count, timeout_ms, visit, context, error);
        rd_kafka_ConfigResource_destroy_array(resources, topics.count);
    }
    free(resources);
    rd_kafka_destroy(client);
    return code;
}
