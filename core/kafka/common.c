#include "core/kafka/common.h"

#include <pthread.h>
#include <syslog.h>

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"

enum { KINDS = 64, QUIET_MS = 60000 };

/* The hash of a text without its digits: what repeats with other ports, times and counts is one kind. */
static uint64_t kind_of(const char *text)
{
    uint64_t hash = FERRY_HASH_EMPTY;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9')
            hash = ferry_hash_byte(hash, (unsigned char)*text);
    return hash;
}

/* Has this kind not been logged for a minute? Any thread. */
static bool is_news(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        uint64_t kind;
        int64_t logged_ms;
    } kinds[KINDS];
    uint64_t kind = kind_of(text);
    int64_t now_ms = ferry_clock_mono_ms();
    pthread_mutex_lock(&lock);
    bool news = kinds[kind % KINDS].kind != kind || now_ms - kinds[kind % KINDS].logged_ms >= QUIET_MS;
    if (news) {
        kinds[kind % KINDS].kind = kind;
        kinds[kind % KINDS].logged_ms = now_ms;
    }
    pthread_mutex_unlock(&lock);
    return news;
}

/* librdkafka's own default is stderr. Its errors are the only place where it says why it cannot log in or connect, and
 * repeat with every attempt: of each kind one a minute is a warning, the rest is for debugging. */
static void forward_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    bool warn = level <= LOG_ERR && is_news(text);
    ferry_log(warn ? FERRY_LOG_WARN : FERRY_LOG_DEBUG, text,
              FERRY_FIELDS(ferry_text("client", client != NULL ? rd_kafka_name(client) : ""),
                           ferry_text("facility", facility)));
}

static enum ferry_code set(rd_kafka_conf_t *conf, const char *name, const char *value, const struct ferry_place *place,
                           struct ferry_error *error)
{
    char words[384] = "";
    if (rd_kafka_conf_set(conf, name, value, words, sizeof words) == RD_KAFKA_CONF_OK)
        return FERRY_OK;
    /* With the name as it was written: librdkafka's words tell that of an alias. */
    if (place != NULL && place->file != NULL)
        return ferry_fail(error, FERRY_CONFIG, "%s:%d: %s: %s", place->file, place->line, name, words);
    return ferry_fail(error, FERRY_CONFIG, "%s: %s", name, words);
}

static enum ferry_code set_own(rd_kafka_conf_t *conf, const struct ferry_kafka_setting *table,
                               struct ferry_error *error)
{
    for (; table != NULL && table->name != NULL; table++) {
        enum ferry_code code = set(conf, table->name, table->value, NULL, error);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

static enum ferry_code set_users(rd_kafka_conf_t *conf, struct ferry_properties properties, struct ferry_error *error)
{
    for (size_t i = 0; i < properties.count; i++) {
        const struct ferry_property *property = &properties.items[i];
        enum ferry_code code = set(conf, property->name, property->value, &property->place, error);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

enum ferry_code ferry_kafka_conf(struct ferry_kafka_settings settings, struct ferry_properties common,
                                 struct ferry_properties overrides, rd_kafka_conf_t **out, struct ferry_error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, forward_log);
    enum ferry_code code = set(conf, "client.id", "ferry", NULL, error);
    if (code == FERRY_OK)
        code = set_own(conf, settings.defaults, error);
    if (code == FERRY_OK)
        code = set_users(conf, common, error);
    if (code == FERRY_OK)
        code = set_users(conf, overrides, error);
    if (code == FERRY_OK)
        code = set_own(conf, settings.owned, error);
    if (code != FERRY_OK) {
        rd_kafka_conf_destroy(conf);
        return code;
    }
    *out = conf;
    return FERRY_OK;
}

enum ferry_code ferry_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
                                   struct ferry_error *error)
{
    char words[384] = "";
    rd_kafka_t *client = rd_kafka_new(type, conf, words, sizeof words);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return ferry_fail(error, FERRY_CONFIG, "kafka: %s", words);
    }
    *out = client;
    return FERRY_OK;
}

enum ferry_code ferry_kafka_code(rd_kafka_resp_err_t failure)
{
    static const struct {
        rd_kafka_resp_err_t failure;
        enum ferry_code code;
    } table[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, FERRY_OK},
        {RD_KAFKA_RESP_ERR__QUEUE_FULL, FERRY_QUEUE_FULL},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, FERRY_RECORD_TOO_LARGE},
        {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, FERRY_RECORD_TOO_LARGE},
        {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, FERRY_TOPIC_UNKNOWN},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, FERRY_TOPIC_UNKNOWN},
        {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, FERRY_TOPIC_UNKNOWN},
        {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, FERRY_TOPIC_UNKNOWN},
        {RD_KAFKA_RESP_ERR__FATAL, FERRY_KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR__FENCED, FERRY_KAFKA_FATAL},
        {RD_KAFKA_RESP_ERR__DESTROY, FERRY_STOPPING},
        {RD_KAFKA_RESP_ERR__PURGE_QUEUE, FERRY_STOPPING},
        {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, FERRY_STOPPING},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].failure == failure)
            return table[i].code;
    return FERRY_KAFKA;
}

rd_kafka_resp_err_t ferry_kafka_list_error(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err)
            return list->elems[i].err;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void ferry_kafka_value(rd_kafka_t *client, const char *name, char *out, size_t out_bytes)
{
    size_t len = out_bytes;
    if (rd_kafka_conf_get(rd_kafka_conf(client), name, out, &len) != RD_KAFKA_CONF_OK)
        out[0] = '\0';
}
