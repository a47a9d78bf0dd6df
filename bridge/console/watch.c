/* The thread goes round: look at Kafka when it is time, read along, put what is known into `parts`, which are pieces of
 * JSON that a question is answered with. A look that took long is followed by a long pause, so that the console never
 * takes more than a third of a core or of a broker's patience. */
#include "bridge/console/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/console/follow.h"
#include "bridge/console/print.h"
#include "core/clock.h"
#include "core/spool/spool_reader.h"

enum {
    IDLE_MS = 15000, /* nobody has asked for so long: nothing is read */
    LOOK_EVERY_MS = 2000,
    LOOK_PAUSE = 2, /* times as long as the look took */
    QUESTION_MS = 3000,
    POLL_MS = 250,
    PART_MAX_BYTES = 4 << 20,
    ASIDE_ROWS = 20,
    OVERRIDES = 16,
};

enum part { PART_KAFKA, PART_LETTERS, PART_FLOW, PART_SPOOL, PART_CONFIG, PART_COUNT };

struct ferry_console_watch {
    struct ferry_console_subject subject;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;

    /* under the lock */
    bool stopping;
    int64_t asked_ms; /* monotonic; 0: never, or long ago */
    struct ferry_buffer parts[PART_COUNT];
    struct ferry_console_letters letters;
    char problem[sizeof((struct ferry_error *)0)->text]; /* of the last look; "": none */
    int64_t looked_ms;                                   /* wall; the last good one */
    int64_t took_ms;

    /* the thread's own */
    struct ferry_console_follow follow;
    int64_t look_again_ms; /* monotonic */
    uint64_t letters_mark; /* 0: not read yet */
    struct timespec config_time;
};

static bool is_stopping(void *context)
{
    struct ferry_console_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    bool stopping = watch->stopping;
    pthread_mutex_unlock(&watch->lock);
    return stopping;
}

/* Takes the text. */
static void set_part(struct ferry_console_watch *watch, enum part part, struct ferry_buffer *text)
{
    pthread_mutex_lock(&watch->lock);
    struct ferry_buffer old = watch->parts[part];
    if (!text->failed)
        watch->parts[part] = *text;
    pthread_mutex_unlock(&watch->lock);
    ferry_buffer_done(text->failed ? text : &old);
}

/* ---- Kafka ---- */

/* Of the bridge's own properties those by which one comes to a broker: the others are a producer's. */
static bool is_of_connection(const char *name)
{
    static const char *const beginnings[] = {"bootstrap.servers", "security.", "sasl.",  "ssl.",
                                             "enable.sasl.",      "broker.",   "socket."};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

static struct ferry_properties make_overrides(const struct ferry_config *config, struct ferry_property out[OVERRIDES])
{
    static const struct ferry_property own[] = {{.name = "fetch.wait.max.ms", .value = "100"},
                                                {.name = "queued.max.messages.kbytes", .value = "8192"}};
    size_t count = 0;
    for (; count < sizeof own / sizeof own[0]; count++)
        out[count] = own[count];
    for (size_t i = 0; i < config->bridge.kafka.count && count < OVERRIDES; i++)
        if (is_of_connection(config->bridge.kafka.items[i].name))
            out[count++] = config->bridge.kafka.items[i];
    return (struct ferry_properties){out, count};
}

/* Dead letters are read again when there are others, or some were handled. */
static enum ferry_code read_letters(struct ferry_console_watch *watch, struct ferry_console_look *look,
                                    struct ferry_error *error)
{
    uint64_t mark = ferry_console_look_mark(look);
    if (mark == watch->letters_mark)
        return FERRY_OK;
    struct ferry_console_letters letters = {.count = 0};
    struct ferry_buffer text;
    ferry_buffer_init(&text, PART_MAX_BYTES);
    enum ferry_code code = ferry_console_look_letters(look, &text, &letters, error);
    if (code == FERRY_OK) {
        set_part(watch, PART_LETTERS, &text);
        pthread_mutex_lock(&watch->lock);
        struct ferry_console_letters old = watch->letters;
        watch->letters = letters;
        pthread_mutex_unlock(&watch->lock);
        watch->letters_mark = mark;
        letters = old;
    } else {
        ferry_buffer_done(&text);
    }
    ferry_console_letters_done(&letters);
    return code;
}

static enum ferry_code look_at_kafka(struct ferry_console_watch *watch, const struct ferry_config *config,
                                     struct ferry_error *error)
{
    struct ferry_property own[OVERRIDES];
    const struct ferry_survey_caller caller = {.context = watch, .look_ms = QUESTION_MS, .stopped = is_stopping};
    FERRY_CLEANUP(ferry_console_look_done) struct ferry_console_look look;
    enum ferry_code code = ferry_console_look(&look, config, make_overrides(config, own), &caller, error);
    if (code == FERRY_OK)
        code = ferry_console_follow_topics(&watch->follow, &look, error);
    if (code == FERRY_OK)
        code = read_letters(watch, &look, error);
    if (code != FERRY_OK)
        return code;
    ferry_console_follow_poll(&watch->follow, POLL_MS); /* routes are shown with what was read */
    struct ferry_buffer text;
    ferry_buffer_init(&text, PART_MAX_BYTES);
    ferry_console_look_print(&look, &watch->follow.flow, &text);
    set_part(watch, PART_KAFKA, &text);
    return FERRY_OK;
}

/* ---- the spool ---- */

static enum ferry_code print_aside(struct ferry_spool_reader *reader, struct ferry_arena *arena,
                                   struct ferry_buffer *out, struct ferry_error *error)
{
    enum ferry_code code = ferry_spool_reader_select(reader, FERRY_SPOOL_ASIDE, error);
    bool more = code == FERRY_OK;
    ferry_console_open(out, "aside", '[');
    for (int i = 0; more && i < ASIDE_ROWS; i++) {
        struct ferry_spool_stored row;
        code = ferry_spool_reader_next(reader, arena, &row, &more, error);
        more = more && code == FERRY_OK;
        if (!more)
            break;
        ferry_console_open(out, NULL, '{');
        ferry_console_add_text(out, "topic", row.topic);
        ferry_console_add_text(out, "reason", row.reason);
        ferry_console_add_moment(out, "since", row.since_ms);
        ferry_console_close(out, '}');
    }
    ferry_console_close(out, ']');
    return code;
}

static void print_spool_topics(const struct ferry_spool_summary *topics, size_t count, struct ferry_buffer *out)
{
    ferry_console_open(out, "topics", '[');
    for (size_t i = 0; i < count; i++) {
        ferry_console_open(out, NULL, '{');
        ferry_console_add_text(out, "topic", topics[i].topic);
        ferry_console_add_number(out, "events", topics[i].rows);
        ferry_console_add_number(out, "bytes", topics[i].bytes);
        ferry_console_add_moment(out, "oldest", topics[i].oldest_ms);
        ferry_console_close(out, '}');
    }
    ferry_console_close(out, ']');
}

static enum ferry_code print_spool(const char *directory, struct ferry_buffer *out, struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct ferry_spool_reader *reader = NULL;
    struct ferry_spool_summary *topics;
    size_t count;
    enum ferry_code code = ferry_spool_reader_open(directory, &reader, error);
    if (code != FERRY_OK)
        return code;
    ferry_console_add_number(out, "used_bytes", ferry_spool_reader_used_bytes(reader));
    ferry_console_add_number(out, "events", ferry_spool_reader_count(reader, FERRY_SPOOL_WAITING));
    ferry_console_add_number(out, "set_aside", ferry_spool_reader_count(reader, FERRY_SPOOL_ASIDE));
    code = ferry_spool_reader_topics(reader, &arena, &topics, &count, error);
    if (code == FERRY_OK) {
        print_spool_topics(topics, count, out);
        code = print_aside(reader, &arena, out, error);
    }
    ferry_spool_reader_close(reader);
    return code;
}

static void look_at_spool(struct ferry_console_watch *watch, const struct ferry_config *config)
{
    const char *directory = config->bridge.spool_directory;
    struct ferry_error error = {.text = ""};
    struct ferry_buffer text;
    ferry_buffer_init(&text, PART_MAX_BYTES);
    ferry_console_open(&text, "spool", '{');
    ferry_console_add_text(&text, "directory", ferry_slice_from(directory));
    ferry_console_add_number(&text, "limit_bytes", config->bridge.spool_limit_bytes);
    if (directory != NULL && print_spool(directory, &text, &error) != FERRY_OK)
        ferry_console_add_text(&text, "problem", ferry_slice_from(error.text));
    ferry_console_close(&text, '}');
    set_part(watch, PART_SPOOL, &text);
}

/* ---- the configuration ---- */

static void print_findings(const struct ferry_findings *findings, struct ferry_buffer *out)
{
    ferry_console_open(out, "findings", '[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct ferry_finding *finding = &findings->items[i];
        ferry_console_open(out, NULL, '{');
        ferry_console_add_text(out, "file", ferry_slice_from(finding->place.file));
        ferry_console_add_number(out, "line", finding->place.line);
        ferry_console_add_flag(out, "warning", finding->warning);
        ferry_console_add_text(out, "text", ferry_slice_from(finding->text));
        ferry_console_close(out, '}');
    }
    ferry_console_close(out, ']');
}

/* The file as it stands now, of all programs, without a secret; read again when it has changed. */
static void look_at_config(struct ferry_console_watch *watch)
{
    struct stat file;
    const char *path = watch->subject.config_path;
    if (stat(path, &file) != 0)
        file.st_mtim = (struct timespec){.tv_sec = 0, .tv_nsec = -1}; /* a finding as well */
    if (file.st_mtim.tv_sec == watch->config_time.tv_sec && file.st_mtim.tv_nsec == watch->config_time.tv_nsec)
        return;
    struct ferry_config *config = NULL;
    struct ferry_findings findings = {0};
    struct ferry_error error = {.text = ""};
    enum ferry_code code =
        ferry_config_load(path, FERRY_SECTION_ALL | FERRY_SECTION_NO_SECRETS, &config, &findings, &error);
    struct ferry_buffer text;
    ferry_buffer_init(&text, PART_MAX_BYTES);
    ferry_console_open(&text, "config", '{');
    ferry_console_add_text(&text, "file", ferry_slice_from(path));
    ferry_console_add_flag(&text, "good", code == FERRY_OK);
    ferry_console_add_moment(&text, "changed", (int64_t)file.st_mtim.tv_sec * 1000);
    print_findings(&findings, &text);
    ferry_console_close(&text, '}');
    set_part(watch, PART_CONFIG, &text);
    ferry_config_free(config);
    watch->config_time = file.st_mtim;
}

/* ---- going round ---- */

static void look(struct ferry_console_watch *watch)
{
    struct ferry_error error = {.text = "no Kafka broker answers"};
    struct ferry_snapshot *snapshot = ferry_snapshot_slot_get(watch->subject.snapshots);
    int64_t began_ms = ferry_clock_mono_ms();
    look_at_config(watch);
    look_at_spool(watch, snapshot->config);
    enum ferry_code code = FERRY_KAFKA;
    if (ferry_publisher_up(watch->subject.publisher))
        code = look_at_kafka(watch, snapshot->config, &error);
    ferry_snapshot_drop(snapshot);
    int64_t took_ms = ferry_clock_mono_ms() - began_ms;
    int64_t pause_ms = took_ms * LOOK_PAUSE > LOOK_EVERY_MS ? took_ms * LOOK_PAUSE : LOOK_EVERY_MS;
    watch->look_again_ms = ferry_clock_mono_ms() + pause_ms;
    pthread_mutex_lock(&watch->lock);
    snprintf(watch->problem, sizeof watch->problem, "%s", code == FERRY_OK ? "" : error.text);
    if (code == FERRY_OK)
        watch->looked_ms = ferry_clock_wall_ms();
    watch->took_ms = took_ms;
    pthread_mutex_unlock(&watch->lock);
}

static void read_along(struct ferry_console_watch *watch)
{
    const struct timespec rest = {.tv_nsec = POLL_MS * 1000000L};
    if (watch->follow.scan != NULL)
        ferry_console_follow_poll(&watch->follow, POLL_MS);
    else
        nanosleep(&rest, NULL);
    struct ferry_buffer text;
    ferry_buffer_init(&text, PART_MAX_BYTES);
    ferry_flow_print(&watch->follow.flow, ferry_clock_wall_ms(), &text);
    set_part(watch, PART_FLOW, &text);
}

/* Lets go of what was read: the next who comes is shown nothing old. */
static void let_go(struct ferry_console_watch *watch)
{
    ferry_console_follow_done(&watch->follow);
    watch->look_again_ms = 0;
    watch->letters_mark = 0;
    watch->config_time = (struct timespec){0};
    pthread_mutex_lock(&watch->lock);
    for (int i = 0; i < PART_COUNT; i++)
        ferry_buffer_done(&watch->parts[i]);
    ferry_console_letters_done(&watch->letters);
    watch->problem[0] = '\0';
    watch->looked_ms = 0;
    pthread_mutex_unlock(&watch->lock);
}

static bool is_idle(const struct ferry_console_watch *watch)
{
    return watch->asked_ms == 0 || ferry_clock_mono_ms() - watch->asked_ms > IDLE_MS;
}

/* False: it is over. */
static bool wait_for_somebody(struct ferry_console_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    if (is_idle(watch) && !watch->stopping && watch->asked_ms != 0) {
        watch->asked_ms = 0;
        pthread_mutex_unlock(&watch->lock);
        let_go(watch);
        pthread_mutex_lock(&watch->lock);
    }
    while (!watch->stopping && is_idle(watch))
        pthread_cond_wait(&watch->woken, &watch->lock);
    bool stopping = watch->stopping;
    pthread_mutex_unlock(&watch->lock);
    return !stopping;
}

static void *run(void *context)
{
    struct ferry_console_watch *watch = context;
    while (wait_for_somebody(watch)) {
        if (ferry_clock_mono_ms() >= watch->look_again_ms)
            look(watch);
        read_along(watch);
    }
    let_go(watch);
    return NULL;
}

/* ---- life ---- */

enum ferry_code ferry_console_watch_start(const struct ferry_console_subject *subject, struct ferry_console_watch **out,
                                          struct ferry_error *error)
{
    struct ferry_console_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    watch->subject = *subject;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->woken, NULL);
    int failed = pthread_create(&watch->thread, NULL, run, watch);
    if (failed != 0) {
        pthread_cond_destroy(&watch->woken);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
        return ferry_fail(error, FERRY_SYSTEM, "the console's thread cannot be started: %s", strerror(failed));
    }
    *out = watch;
    return FERRY_OK;
}

void ferry_console_watch_stop(struct ferry_console_watch *watch)
{
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_signal(&watch->woken);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->woken);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

/* ---- questions ---- */

void ferry_console_watch_print(struct ferry_console_watch *watch, struct ferry_buffer *out)
{
    ferry_console_open(out, NULL, '{');
    ferry_console_add_plain(out, "version", FERRY_VERSION);
    ferry_console_add_moment(out, "now", ferry_clock_wall_ms());
    ferry_console_add_flag(out, "kafka", ferry_publisher_up(watch->subject.publisher));
    ferry_console_add_flag(out, "accepts", ferry_publisher_accepts(watch->subject.publisher));
    pthread_mutex_lock(&watch->lock);
    watch->asked_ms = ferry_clock_mono_ms();
    pthread_cond_signal(&watch->woken);
    ferry_console_add_moment(out, "looked", watch->looked_ms);
    ferry_console_add_number(out, "took", watch->took_ms);
    ferry_console_add_text(out, "problem", ferry_slice_from(watch->problem[0] != '\0' ? watch->problem : NULL));
    for (int i = 0; i < PART_COUNT; i++) {
        if (watch->parts[i].len == 0)
            continue;
        ferry_buffer_add_char(out, ',');
        ferry_buffer_add(out, ferry_buffer_slice(&watch->parts[i]));
    }
    pthread_mutex_unlock(&watch->lock);
    ferry_console_close(out, '}');
}

bool ferry_console_watch_letter(struct ferry_console_watch *watch, const char *name, struct ferry_buffer *out)
{
    bool found = false;
    pthread_mutex_lock(&watch->lock);
    for (size_t i = 0; i < watch->letters.count && !found; i++) {
        found = strcmp(watch->letters.items[i].name, name) == 0;
        if (found)
            ferry_buffer_add_text(out, watch->letters.items[i].json);
    }
    pthread_mutex_unlock(&watch->lock);
    return found;
}
