#include "core/kafka/group.h"

#include "core/clock.h"
#include "core/kafka/common.h"

enum { GRACE_MS = 500 }; /* librdkafka's own time-out comes first */

static const struct ferry_kafka_setting defaults[] = {
    {"allow.auto.create.topics", "false"},
    {NULL, NULL},
};

static void close_client(rd_kafka_t **client)
{
    if (*client != NULL)
        rd_kafka_destroy_flags(*client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void destroy_event(rd_kafka_event_t **event)
{
    if (*event != NULL)
        rd_kafka_event_destroy(*event);
}

static enum ferry_code refused(const char *group, rd_kafka_resp_err_t failed, struct ferry_error *error)
{
    if (failed == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        return ferry_fail(error, FERRY_KAFKA, "needs Describe on group %s", group);
    return ferry_fail(error, FERRY_KAFKA, "group %s: %s", group, rd_kafka_err2str(failed));
}

/* ---- its commits ---- */

static enum ferry_code find_commits(rd_kafka_t *client, const char *group, struct ferry_partition *partitions,
                                    size_t count, int timeout_ms, struct ferry_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition);
    rd_kafka_resp_err_t failed = count > 0 ? rd_kafka_committed(client, list, timeout_ms) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!failed)
        failed = ferry_kafka_list_error(list);
    for (int i = 0; i < list->cnt && !failed; i++)
        partitions[i].offset = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return failed ? refused(group, failed, error) : FERRY_OK;
}

/* ---- its members ---- */

/* The answer, or NULL; the caller destroys it. */
static rd_kafka_event_t *ask(rd_kafka_t *client, const char *group, int timeout_ms)
{
    char words[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words);
    rd_kafka_DescribeConsumerGroups(client, &group, 1, options, answers);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, timeout_ms + GRACE_MS);
    rd_kafka_queue_destroy(answers);
    rd_kafka_AdminOptions_destroy(options);
    return answer;
}

static struct ferry_slice copy(struct ferry_arena *arena, const char *text)
{
    return ferry_arena_slice(arena, ferry_slice_from(text != NULL ? text : ""));
}

static bool note_members(const rd_kafka_ConsumerGroupDescription_t *description, struct ferry_arena *arena,
                         struct ferry_group *out)
{
    size_t count = rd_kafka_ConsumerGroupDescription_member_count(description);
    struct ferry_group group = {
        .state = copy(arena, rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(description))),
        .members = ferry_arena_new_array(arena, count, sizeof *group.members),
        .member_count = count};
    if (group.members == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(description, i);
        const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
        const rd_kafka_topic_partition_list_t *partitions =
            assignment != NULL ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        group.members[i] = (struct ferry_group_member){copy(arena, rd_kafka_MemberDescription_client_id(member)),
                                                       copy(arena, rd_kafka_MemberDescription_host(member)),
                                                       partitions != NULL ? (size_t)partitions->cnt : 0};
    }
    *out = group;
    return true;
}

static enum ferry_code describe(rd_kafka_t *client, const char *group, int timeout_ms, struct ferry_arena *arena,
                                struct ferry_group *out, struct ferry_error *error)
{
    FERRY_CLEANUP(destroy_event) rd_kafka_event_t *answer = ask(client, group, timeout_ms);
    rd_kafka_resp_err_t failed = answer != NULL ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (failed)
        return refused(group, failed, error);
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(answer), &count);
    const rd_kafka_error_t *problem = count == 1 ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
    if (count != 1 || problem != NULL)
        return refused(group, problem != NULL ? rd_kafka_error_code(problem) : RD_KAFKA_RESP_ERR__FAIL, error);
    return note_members(groups[0], arena, out) ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

enum ferry_code ferry_group_look(struct ferry_properties common, struct ferry_properties overrides, const char *group,
                                 struct ferry_partition *partitions, size_t count, int timeout_ms,
                                 struct ferry_arena *arena, struct ferry_group *out, struct ferry_error *error)
{
    const struct ferry_kafka_setting owned[] = {
        {"group.id", group}, {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"}, {NULL, NULL}};
    FERRY_CLEANUP(close_client) rd_kafka_t *client = NULL;
    rd_kafka_conf_t *conf;
    int64_t until_ms = ferry_clock_mono_ms() + timeout_ms;
    enum ferry_code code =
        ferry_kafka_conf((struct ferry_kafka_settings){defaults, owned}, common, overrides, &conf, error);
    if (code == FERRY_OK)
        code = ferry_kafka_client(RD_KAFKA_CONSUMER, conf, &client, error);
    if (code == FERRY_OK)
        code = find_commits(client, group, partitions, count, timeout_ms, error);
    int64_t left_ms = until_ms - ferry_clock_mono_ms();
    if (code == FERRY_OK)
        code = describe(client, group, left_ms > 1000 ? (int)left_ms : 1000, arena, out, error);
    return code;
}
