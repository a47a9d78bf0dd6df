#include "ferry/operations.h"

#include <jansson.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/kafka/admin.h"
#include "core/kafka/producer.h"

enum { LOOK_MS = 8000, NOTE_MS = 8000, RECORD_MAX_BYTES = 900 * 1024 };

struct ferry_operations {
    const struct ferry_operation *operation;
    struct ferry_producer *producer;
    char topic[256];
    char who[256];
    atomic_int reported; /* enum ferry_code of the latest record */
    char reason[256];    /* written before `reported` */
};

/* ---- who and which ---- */

/* user@host; under sudo the person, not root. */
static void find_who(char *out, size_t out_bytes)
{
    const char *sudo = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    const struct passwd *user = getpwuid(geteuid());
    char number[32], host[128] = "";
    snprintf(number, sizeof number, "uid-%u", (unsigned)geteuid());
    gethostname(host, sizeof host - 1);
    snprintf(out, out_bytes, "%s@%s", sudo != NULL ? sudo : user != NULL ? user->pw_name : number, host);
}

void ferry_run_id_new(char out[FERRY_RUN_ID])
{
    unsigned char random[3] = {0};
    time_t now = (time_t)(ferry_clock_wall_ms() / 1000);
    struct tm utc;
    gmtime_r(&now, &utc);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        random[0] = (unsigned char)getpid();
    size_t len = strftime(out, FERRY_RUN_ID, "%Y%m%dT%H%M%S", &utc);
    snprintf(out + len, FERRY_RUN_ID - len, "-%02x%02x%02x", random[0], random[1], random[2]);
}

bool ferry_run_id_valid(const char *run)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(run);
    return len > 0 && len < FERRY_RUN_ID && strspn(run, allowed) == len;
}

/* ---- the record ---- */

/* Of an URL only the scheme and the host: user info, path and query may each hold a secret. `https://h/…` */
static void add_argument(struct ferry_buffer *out, const char *argument)
{
    const char *host = strstr(argument, "://");
    if (host == NULL) {
        ferry_buffer_add_json_string(out, ferry_slice_from(argument));
        return;
    }
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer masked;
    ferry_buffer_init(&masked, RECORD_MAX_BYTES);
    host += strlen("://");
    ferry_buffer_add(&masked, ferry_slice_of(argument, (size_t)(host - argument)));
    struct ferry_slice authority = ferry_slice_of(host, strcspn(host, "/?#"));
    const char *at = authority.len > 0 ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (at != NULL)
        authority = ferry_slice_skip(authority, (size_t)(at + 1 - authority.ptr));
    ferry_buffer_add(&masked, authority);
    if (host[strcspn(host, "/?#")] != '\0')
        ferry_buffer_add_text(&masked, "/…");
    ferry_buffer_add_json_string(out, ferry_buffer_slice(&masked));
}

static void add_text(struct ferry_buffer *out, const char *name, const char *text)
{
    ferry_buffer_printf(out, "\"%s\":", name);
    ferry_buffer_add_json_string(out, ferry_slice_from(text));
    ferry_buffer_add_char(out, ',');
}

static void add_json(struct ferry_buffer *out, const char *name, struct ferry_slice json)
{
    if (json.ptr == NULL)
        return;
    ferry_buffer_printf(out, ",\"%s\":", name);
    ferry_buffer_add(out, json);
}

void ferry_operation_print(const struct ferry_operation *operation, const char *who, int64_t wall_ms, const char *state,
                           int64_t count, struct ferry_slice details, struct ferry_buffer *out)
{
    char time[FERRY_TIME_TEXT];
    ferry_time_format(wall_ms, time);
    ferry_buffer_add_char(out, '{');
    add_text(out, "time", time);
    add_text(out, "who", who);
    add_text(out, "command", operation->command);
    ferry_buffer_add_text(out, "\"arguments\":[");
    for (size_t i = 0; i < operation->argument_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? "," : "");
        add_argument(out, operation->arguments[i]);
    }
    ferry_buffer_add_text(out, "],");
    add_text(out, "run", operation->run);
    add_text(out, "state", state);
    ferry_buffer_printf(out, "\"count\":%lld", (long long)count);
    add_json(out, "filter", operation->filter);
    add_json(out, "details", details);
    ferry_buffer_add_char(out, '}');
}

/* ---- appending ---- */

static void take_report(void *context, const struct ferry_report *report)
{
    struct ferry_operations *journal = context;
    free(report->tag); /* the value */
    snprintf(journal->reason, sizeof journal->reason, "%s", report->reason != NULL ? report->reason : "");
    atomic_store(&journal->reported, (int)report->code);
}

/* Is the topic there, or made now? */
static enum ferry_code make_topic(const struct ferry_config *config, const char *topic, struct ferry_error *error)
{
    const char *const names[] = {topic};
    struct ferry_topic_list list = {names, 1};
    struct ferry_topic_result result = {.state = FERRY_TOPIC_MISSING};
    const struct ferry_properties none = {NULL, 0};
    enum ferry_code code = config->topics.create == FERRY_CREATE_NEVER
                               ? ferry_admin_look(config, none, list, LOOK_MS, &result, error)
                               : ferry_admin_create(config, none, list, LOOK_MS, &result, error);
    if (code != FERRY_OK)
        return code;
    if (result.state == FERRY_TOPIC_MISSING)
        return ferry_fail(
            error, FERRY_TOPIC_UNKNOWN,
            "what is changed is written down in %s, which is missing, and topics.create is never: make it "
            "(`ferry topics --format strimzi` shows how)",
            topic);
    if (result.state == FERRY_TOPIC_DENIED || result.state == FERRY_TOPIC_FAILED)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN, "what is changed is written down in %s: %s", topic,
                          result.reason);
    return FERRY_OK;
}

enum ferry_code ferry_operations_open(const struct ferry_config *config, const struct ferry_operation *operation,
                                      struct ferry_operations **out, struct ferry_error *error)
{
    struct ferry_operations *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    journal->operation = operation;
    ferry_journal_topic(&config->topics, journal->topic);
    find_who(journal->who, sizeof journal->who);
    enum ferry_code code = make_topic(config, journal->topic, error);
    const struct ferry_producer_listener listener = {journal, take_report, NULL};
    if (code == FERRY_OK)
        code = ferry_producer_open(config->kafka, (struct ferry_properties){NULL, 0}, &listener, NULL,
                                   &journal->producer, error);
    if (code != FERRY_OK) {
        free(journal);
        return code;
    }
    *out = journal;
    return FERRY_OK;
}

enum ferry_code ferry_operations_note(struct ferry_operations *journal, const char *state, int64_t count,
                                      struct ferry_slice details, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer value;
    ferry_buffer_init(&value, RECORD_MAX_BYTES);
    ferry_operation_print(journal->operation, journal->who, ferry_clock_wall_ms(), state, count, details, &value);
    size_t len = value.len;
    char *text = ferry_buffer_take(&value);
    if (text == NULL)
        return ferry_fail(error, FERRY_RECORD_TOO_LARGE, "the record for %s is too large", journal->topic);
    const struct ferry_record record = {.topic = ferry_slice_from(journal->topic),
                                        .key = ferry_slice_from(journal->operation->run),
                                        .value = ferry_slice_of(text, len)};
    atomic_store(&journal->reported, FERRY_KAFKA);
    enum ferry_code code = ferry_producer_send(journal->producer, &record, text, error);
    if (code != FERRY_OK) {
        free(text);
        return code;
    }
    if (ferry_producer_flush(journal->producer, NOTE_MS) != FERRY_OK)
        return ferry_fail(error, FERRY_KAFKA, "%s: not acknowledged within %d s", journal->topic, NOTE_MS / 1000);
    code = (enum ferry_code)atomic_load(&journal->reported);
    return code == FERRY_OK ? FERRY_OK : ferry_fail(error, code, "%s: %s", journal->topic, journal->reason);
}

void ferry_operations_close(struct ferry_operations *journal)
{
    if (journal == NULL)
        return;
    ferry_producer_close(journal->producer);
    free(journal);
}

/* ---- reading ---- */

enum ferry_code ferry_operations_read(const struct ferry_config *config, const char *run, ferry_journal_fn *visit,
                                      void *context, struct ferry_error *error)
{
    struct ferry_scan *scan = NULL;
    const struct ferry_survey_caller caller = {.look_ms = LOOK_MS};
    enum ferry_code code = ferry_scan_open(config->kafka, (struct ferry_properties){NULL, 0}, &scan, error);
    if (code == FERRY_OK)
        code = ferry_journal_read(scan, &config->topics, run, &caller, visit, context, error);
    ferry_scan_close(scan);
    return code;
}
