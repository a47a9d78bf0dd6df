/* ferry spool status. */
#include <inttypes.h>

#include "core/clock.h"
#include "core/program.h"
#include "ferry/spool.h"
#include "ferry/table.h"

enum { OUTPUT_BYTES = 64 << 20 };

struct status {
    const char *directory;
    bool held;
    char holder[FERRY_SPOOL_HOLDER];
    int64_t limit_bytes; /* 0: not known */
    int64_t used_bytes;
    struct ferry_spool_summary *topics;
    size_t topic_count;
    int64_t events, bytes, oldest_ms; /* of all topics; oldest_ms 0: there are none */
    struct ferry_spool_stored *aside;
    size_t aside_count;
};

static void sum_up(struct status *status)
{
    for (size_t i = 0; i < status->topic_count; i++) {
        const struct ferry_spool_summary *topic = &status->topics[i];
        status->events += topic->rows;
        status->bytes += topic->bytes;
        if (status->oldest_ms == 0 || topic->oldest_ms < status->oldest_ms)
            status->oldest_ms = topic->oldest_ms;
    }
}

static enum ferry_code read_aside(struct ferry_spool_reader *reader, struct ferry_arena *arena, struct status *status,
                                  struct ferry_error *error)
{
    size_t room = (size_t)ferry_spool_reader_count(reader, FERRY_SPOOL_ASIDE);
    status->aside = ferry_arena_new_array(arena, room, sizeof *status->aside);
    if (status->aside == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_spool_reader_select(reader, FERRY_SPOOL_ASIDE, error);
    for (bool more = true; code == FERRY_OK && more && status->aside_count < room;) {
        code = ferry_spool_reader_next(reader, arena, &status->aside[status->aside_count], &more, error);
        status->aside_count += code == FERRY_OK && more;
    }
    return code;
}

static enum ferry_code look(const char *directory, struct ferry_arena *arena, struct status *status,
                            struct ferry_error *error)
{
    struct ferry_spool_reader *reader;
    enum ferry_code code = ferry_spool_reader_open(directory, &reader, error);
    if (code != FERRY_OK)
        return code;
    status->held = ferry_spool_holder(directory, status->holder);
    status->used_bytes = ferry_spool_reader_used_bytes(reader);
    code = ferry_spool_reader_topics(reader, arena, &status->topics, &status->topic_count, error);
    if (code == FERRY_OK)
        code = read_aside(reader, arena, status, error);
    ferry_spool_reader_close(reader);
    sum_up(status);
    return code;
}

/* ---- for people ---- */

static struct ferry_slice number(int64_t value, char out[FERRY_AMOUNT_TEXT])
{
    return ferry_slice_of(out, (size_t)snprintf(out, FERRY_AMOUNT_TEXT, "%" PRId64, value));
}

static void print_topics(const struct status *status, int64_t now_ms)
{
    static const struct ferry_column columns[] = {
        {"topic", false}, {"events", true}, {"bytes", true}, {"oldest", true}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    char texts[3][FERRY_AMOUNT_TEXT];
    ferry_table_init(&table, columns, 4);
    for (size_t i = 0; i < status->topic_count; i++) {
        const struct ferry_spool_summary *topic = &status->topics[i];
        const struct ferry_slice cells[] = {topic->topic, number(topic->rows, texts[0]),
                                            ferry_slice_from(ferry_amount_bytes(topic->bytes, texts[1])),
                                            ferry_slice_from(ferry_amount_time(now_ms - topic->oldest_ms, texts[2]))};
        ferry_table_add(&table, cells);
    }
    if (status->topic_count > 0)
        putchar('\n');
    ferry_table_print(&table, stdout);
}

static void print_aside(const struct status *status)
{
    static const struct ferry_column columns[] = {
        {"set aside", true}, {"topic", false}, {"since", false}, {"reason", false}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    char sequence[FERRY_AMOUNT_TEXT], since[FERRY_TIME_TEXT];
    ferry_table_init(&table, columns, 4);
    for (size_t i = 0; i < status->aside_count; i++) {
        const struct ferry_spool_stored *row = &status->aside[i];
        size_t len = ferry_time_format(row->since_ms, since);
        const struct ferry_slice cells[] = {number(row->row.sequence, sequence),
                                            row->damaged ? FERRY_SLICE("(damaged)") : row->topic,
                                            ferry_slice_of(since, len), row->reason};
        ferry_table_add(&table, cells);
    }
    if (status->aside_count > 0)
        putchar('\n');
    ferry_table_print(&table, stdout);
}

static void print_text(const struct status *status)
{
    int64_t now_ms = ferry_clock_wall_ms();
    char bytes[FERRY_AMOUNT_TEXT], used[FERRY_AMOUNT_TEXT], limit[FERRY_AMOUNT_TEXT], age[FERRY_AMOUNT_TEXT];
    printf("spool      %s, %s%s\n", status->directory, status->held ? "in use by " : "in use by nobody",
           status->held ? status->holder : "");
    printf("waiting    %" PRId64 " events, %s; the file uses %s", status->events,
           ferry_amount_bytes(status->bytes, bytes), ferry_amount_bytes(status->used_bytes, used));
    if (status->limit_bytes > 0)
        printf(" of %s", ferry_amount_bytes(status->limit_bytes, limit));
    printf("\noldest     %s\n", status->events > 0 ? ferry_amount_time(now_ms - status->oldest_ms, age) : "-");
    printf("set aside  %zu\n", status->aside_count);
    print_topics(status, now_ms);
    print_aside(status);
}

/* ---- for programs ---- */

static void add_time(struct ferry_buffer *out, const char *name, int64_t wall_ms)
{
    char text[FERRY_TIME_TEXT];
    size_t len = ferry_time_format(wall_ms, text);
    ferry_buffer_printf(out, "\"%s\": ", name);
    if (wall_ms > 0)
        ferry_buffer_add_json_string(out, ferry_slice_of(text, len));
    else
        ferry_buffer_add_text(out, "null");
}

static void print_json(const struct status *status)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer out;
    ferry_buffer_init(&out, OUTPUT_BYTES);
    ferry_buffer_add_char(&out, '{');
    ferry_json_add_text(&out, "directory", ferry_slice_from(status->directory));
    ferry_json_add_text(&out, "holder", ferry_slice_from(status->held ? status->holder : NULL));
    ferry_buffer_printf(&out, "\"events\": %" PRId64 ", \"bytes\": %" PRId64 ", \"used_bytes\": %" PRId64 ", ",
                        status->events, status->bytes, status->used_bytes);
    if (status->limit_bytes > 0)
        ferry_buffer_printf(&out, "\"limit_bytes\": %" PRId64 ", ", status->limit_bytes);
    add_time(&out, "oldest", status->oldest_ms);
    ferry_buffer_add_text(&out, ", \"topics\": [");
    for (size_t i = 0; i < status->topic_count; i++) {
        ferry_buffer_add_text(&out, i > 0 ? ", {" : "{");
        ferry_json_add_text(&out, "topic", status->topics[i].topic);
        ferry_buffer_printf(&out, "\"events\": %" PRId64 ", \"bytes\": %" PRId64 ", ", status->topics[i].rows,
                            status->topics[i].bytes);
        add_time(&out, "oldest", status->topics[i].oldest_ms);
        ferry_buffer_add_char(&out, '}');
    }
    ferry_buffer_add_text(&out, "], \"set_aside\": [");
    for (size_t i = 0; i < status->aside_count; i++) {
        const struct ferry_spool_stored *row = &status->aside[i];
        ferry_buffer_printf(&out, "%s{\"sequence\": %" PRId64 ", ", i > 0 ? ", " : "", row->row.sequence);
        ferry_json_add_text(&out, "topic", row->topic);
        ferry_json_add_text(&out, "reason", row->reason);
        add_time(&out, "since", row->since_ms);
        ferry_buffer_add_char(&out, '}');
    }
    ferry_buffer_add_text(&out, "]}");
    puts(ferry_buffer_slice(&out).ptr);
}

int ferry_spool_status(const struct ferry_spool_request *request, const struct ferry_config *config)
{
    FERRY_CLEANUP(ferry_arena_done) struct ferry_arena arena = {NULL};
    struct status status = {.directory = request->directory,
                            .limit_bytes = config != NULL ? config->bridge.spool_limit_bytes : 0};
    struct ferry_error error;
    if (look(request->directory, &arena, &status, &error) != FERRY_OK) {
        fprintf(stderr, "ferry: %s\n", error.text);
        return FERRY_EXIT_FAILED;
    }
    (request->json ? print_json : print_text)(&status);
    return FERRY_EXIT_DONE;
}
