/* Topics are looked at before they are made: whoever may not create topics shall not be told so about those that are
 * there. A look asks for the topics by name, because the list of all topics leaves out what one may not see. */
#include "core/kafka/admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/kafka/common.h"
#include "core/kafka/topic_plan.h"
#include "core/route.h"

static const struct ferry_kafka_setting defaults[] = {
    {"allow.auto.create.topics", "false"}, /* a look must not make what it looks for */
    {NULL, NULL},
};

/* One call: a client, its time, and what came out. */
struct visit {
    rd_kafka_t *client;
    int64_t deadline_ms;
    const struct ferry_config *config;
    struct ferry_topic_list topics;
    struct ferry_topic_result *results;
};

static int time_left(const struct visit *visit)
{
    int64_t left = visit->deadline_ms - ferry_clock_mono_ms();
    return left > 1 ? (int)left : 1;
}

static void close_client(rd_kafka_t **client)
{
    if (*client != NULL)
        rd_kafka_destroy(*client);
}

static enum ferry_code no_broker(const struct visit *visit, rd_kafka_resp_err_t failed, struct ferry_error *error)
{
    char servers[256] = "";
    ferry_kafka_value(visit->client, "bootstrap.servers", servers, sizeof servers);
    return ferry_fail(error, FERRY_KAFKA, "no Kafka broker answered at %s: %s", servers, rd_kafka_err2str(failed));
}

static void conclude(struct ferry_topic_result *result, enum ferry_topic_state state, const char *reason)
{
    result->state = state;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
}

/* ---- looking ---- */

static bool has_leaders(const struct rd_kafka_metadata_topic *topic)
{
    bool has = !topic->err && topic->partition_cnt > 0;
    for (int i = 0; has && i < topic->partition_cnt; i++)
        has = topic->partitions[i].leader >= 0;
    return has;
}

static void note_look(struct ferry_topic_result *result, const struct rd_kafka_metadata_topic *topic)
{
    switch (topic->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE: /* being made, or its broker is away */
        conclude(result, FERRY_TOPIC_EXISTS, "");
        result->led = has_leaders(topic);
        result->partitions = topic->partition_cnt;
        result->replication = topic->partition_cnt > 0 ? topic->partitions[0].replica_cnt : -1;
        break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        conclude(result, FERRY_TOPIC_MISSING, "");
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        conclude(result, FERRY_TOPIC_DENIED, "");
        snprintf(result->reason, sizeof result->reason, "needs Describe on topic %s", result->name);
        break;
    default:
        conclude(result, FERRY_TOPIC_FAILED, rd_kafka_err2str(topic->err));
    }
}

static void note_looks(const struct visit *visit, const struct rd_kafka_metadata *metadata)
{
    for (size_t i = 0; i < visit->topics.count; i++) {
        struct ferry_topic_result *result = &visit->results[i];
        *result = (struct ferry_topic_result){
            .name = visit->topics.names[i], .state = FERRY_TOPIC_MISSING, .partitions = -1, .replication = -1};
        for (int t = 0; t < metadata->topic_cnt; t++)
            if (strcmp(metadata->topics[t].topic, result->name) == 0)
                note_look(result, &metadata->topics[t]);
    }
}

/* librdkafka asks for exactly the topics that it has handles of. */
static enum ferry_code look(const struct visit *visit, struct ferry_error *error)
{
    rd_kafka_topic_t **handles = calloc(visit->topics.count + 1, sizeof(rd_kafka_topic_t *));
    if (handles == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < visit->topics.count; i++)
        handles[i] = rd_kafka_topic_new(visit->client, visit->topics.names[i], NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t failed = rd_kafka_metadata(visit->client, 0, NULL, &metadata, time_left(visit));
    for (size_t i = 0; i < visit->topics.count; i++)
        if (handles[i] != NULL)
            rd_kafka_topic_destroy(handles[i]);
    free(handles);
    if (failed)
        return no_broker(visit, failed, error);
    note_looks(visit, metadata);
    rd_kafka_metadata_destroy(metadata);
    return FERRY_OK;
}

static enum ferry_code begin(struct visit *visit, struct ferry_properties overrides, int timeout_ms,
                             struct ferry_error *error)
{
    rd_kafka_conf_t *conf;
    enum ferry_code code =
        ferry_kafka_conf((struct ferry_kafka_settings){defaults, NULL}, visit->config->kafka, overrides, &conf, error);
    if (code == FERRY_OK)
        code = ferry_kafka_client(RD_KAFKA_PRODUCER, conf, &visit->client, error);
    visit->deadline_ms = ferry_clock_mono_ms() + timeout_ms;
    return code == FERRY_OK ? look(visit, error) : code;
}

enum ferry_code ferry_admin_look(const struct ferry_config *config, struct ferry_properties overrides,
                                 struct ferry_topic_list topics, int timeout_ms, struct ferry_topic_result *results,
                                 struct ferry_error *error)
{
    struct visit visit = {.config = config, .topics = topics, .results = results};
    enum ferry_code code = begin(&visit, overrides, timeout_ms, error);
    close_client(&visit.client);
    return code;
}

/* ---- creating ---- */

static int widest_input(const struct visit *visit)
{
    int widest = 0;
    for (size_t i = 0; i < visit->topics.count; i++)
        if (visit->results[i].partitions > widest &&
            !ferry_route_topic_is_internal(&visit->config->topics, ferry_slice_from(visit->results[i].name)))
            widest = visit->results[i].partitions;
    return widest;
}

/* NULL, with the result concluded, when librdkafka refuses it. */
static rd_kafka_NewTopic_t *new_topic(const struct visit *visit, struct ferry_topic_result *result, int widest)
{
    struct ferry_topic_plan plan;
    ferry_topic_plan(visit->config, result->name, widest, &plan);
    char words[128] = "";
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(result->name, plan.partitions, plan.replication, words, sizeof words);
    if (topic == NULL) {
        conclude(result, FERRY_TOPIC_FAILED, words);
        return NULL;
    }
    for (size_t i = 0; i < plan.setting_count; i++)
        rd_kafka_NewTopic_set_config(topic, plan.settings[i].name, plan.settings[i].value);
    for (size_t i = 0; i < visit->config->topics.settings.count; i++) {
        const struct ferry_property *setting = &visit->config->topics.settings.items[i];
        if (!ferry_topic_plan_sets(&plan, setting->name))
            rd_kafka_NewTopic_set_config(topic, setting->name, setting->value);
    }
    return topic;
}

/* What the broker's refusal means, and the cure. */
static void note_refusal(struct ferry_topic_result *result, rd_kafka_resp_err_t failed, const char *words)
{
    static const struct {
        rd_kafka_resp_err_t failed;
        const char *cure;
    } cures[] = {
        {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, "; topics.replication cannot exceed the number of brokers"},
        {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, "; mend topics.partitions"},
        {RD_KAFKA_RESP_ERR_INVALID_CONFIG, "; mend topics.config"},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "; the brokers have a policy for new topics"},
        {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, "; these brokers cannot create topics on request, make it by hand"},
        {RD_KAFKA_RESP_ERR__TIMED_OUT, "; the brokers did not create it in time, try again or make it by hand"},
    };
    if (failed == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        failed == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
        result->state = FERRY_TOPIC_DENIED;
        snprintf(result->reason, sizeof result->reason, "needs Create on topic %s (or on the cluster)", result->name);
        return;
    }
    const char *cure = "";
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
        if (cures[i].failed == failed)
            cure = cures[i].cure;
    result->state = FERRY_TOPIC_FAILED;
    snprintf(result->reason, sizeof result->reason, "%s%s", words != NULL ? words : rd_kafka_err2str(failed), cure);
}

static struct ferry_topic_result *find_result(const struct visit *visit, const char *name)
{
    for (size_t i = 0; i < visit->topics.count; i++)
        if (strcmp(visit->results[i].name, name) == 0)
            return &visit->results[i];
    return NULL;
}

static void note_created(const struct visit *visit, const rd_kafka_topic_result_t *created)
{
    struct ferry_topic_result *result = find_result(visit, rd_kafka_topic_result_name(created));
    rd_kafka_resp_err_t failed = rd_kafka_topic_result_error(created);
    if (result == NULL)
        return;
    if (!failed)
        conclude(result, FERRY_TOPIC_CREATED, "");
    else if (failed == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        conclude(result, FERRY_TOPIC_EXISTS, "");
    else
        note_refusal(result, failed, rd_kafka_topic_result_error_string(created));
}

/* The brokers were there for the look: what goes wrong now is told of the topics, and stops nobody. */
static void note_answer(const struct visit *visit, rd_kafka_event_t *answer)
{
    rd_kafka_resp_err_t failed = answer != NULL ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (failed) {
        for (size_t i = 0; i < visit->topics.count; i++)
            if (visit->results[i].state == FERRY_TOPIC_MISSING)
                note_refusal(&visit->results[i], failed, answer != NULL ? rd_kafka_event_error_string(answer) : NULL);
        return;
    }
    size_t count;
    const rd_kafka_topic_result_t **created =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count);
    for (size_t i = 0; i < count; i++)
        note_created(visit, created[i]);
}

static void request(const struct visit *visit, rd_kafka_NewTopic_t **wanted, size_t count)
{
    char words[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(visit->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(visit->client);
    int patience = time_left(visit);
    rd_kafka_AdminOptions_set_request_timeout(options, patience, words, sizeof words);
    rd_kafka_AdminOptions_set_operation_timeout(options, patience, words, sizeof words);
    rd_kafka_CreateTopics(visit->client, wanted, count, options, answers);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, patience + 500); /* librdkafka's own time-out first */
    note_answer(visit, answer);
    rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(answers);
    rd_kafka_AdminOptions_destroy(options);
}

static enum ferry_code create_missing(const struct visit *visit, struct ferry_error *error)
{
    rd_kafka_NewTopic_t **wanted = calloc(visit->topics.count + 1, sizeof(rd_kafka_NewTopic_t *));
    if (wanted == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    size_t count = 0;
    int widest = widest_input(visit);
    for (size_t i = 0; i < visit->topics.count; i++) {
        if (visit->results[i].state != FERRY_TOPIC_MISSING)
            continue;
        rd_kafka_NewTopic_t *topic = new_topic(visit, &visit->results[i], widest);
        if (topic != NULL)
            wanted[count++] = topic;
    }
    if (count > 0)
        request(visit, wanted, count);
    rd_kafka_NewTopic_destroy_array(wanted, count);
    free(wanted);
    return FERRY_OK;
}

enum ferry_code ferry_admin_create(const struct ferry_config *config, struct ferry_properties overrides,
                                   struct ferry_topic_list topics, int timeout_ms, struct ferry_topic_result *results,
                                   struct ferry_error *error)
{
    struct visit visit = {.config = config, .topics = topics, .results = results};
    enum ferry_code code = begin(&visit, overrides, timeout_ms, error);
    if (code == FERRY_OK)
        code = create_missing(&visit, error);
    close_client(&visit.client);
    return code;
}

/* ---- properties ---- */

enum ferry_code ferry_kafka_property_check(const char *name, const char *value, struct ferry_error *error)
{
    const struct ferry_property property = {.name = name, .value = value};
    rd_kafka_conf_t *conf;
    enum ferry_code code =
        ferry_kafka_conf((struct ferry_kafka_settings){NULL, NULL}, (struct ferry_properties){&property, 1},
                         (struct ferry_properties){NULL, 0}, &conf, error);
    if (code == FERRY_OK)
        rd_kafka_conf_destroy(conf);
    return code;
}
