#include <inttypes.h>
#include <stdio.h>

#include "core/clock.h"
#include "ferry/lag.h"
#include "ferry/table.h"

enum { OUTPUT_BYTES = 64 << 20 };

/* Texts of one row. */
struct texts {
    char items[8][FERRY_AMOUNT_TEXT];
    size_t used;
};

static struct ferry_slice number(int64_t value, struct texts *texts)
{
    char *out = texts->items[texts->used++];
    return ferry_slice_of(out, (size_t)snprintf(out, FERRY_AMOUNT_TEXT, "%" PRId64, value));
}

static struct ferry_slice age(int64_t since_ms, int64_t now_ms, struct texts *texts)
{
    if (since_ms == 0)
        return FERRY_SLICE("-");
    return ferry_slice_from(ferry_amount_time(now_ms - since_ms, texts->items[texts->used++]));
}

/* ---- for people ---- */

static void print_workers(const struct ferry_lag *lag, int64_t now_ms, FILE *out)
{
    static const struct ferry_column columns[] = {{"worker", false}, {"group", false},      {"state", false},
                                                  {"members", true}, {"lag", true},         {"oldest", true},
                                                  {"retries", true}, {"dead letters", true}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    ferry_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < lag->worker_count; i++) {
        const struct ferry_lag_worker *worker = &lag->workers[i];
        struct texts texts = {.used = 0};
        bool unknown = ferry_slice_is(worker->state.state, "Dead");
        const struct ferry_slice cells[] = {ferry_slice_from(worker->name),
                                            ferry_slice_from(worker->group),
                                            unknown ? FERRY_SLICE("never started") : worker->state.state,
                                            number((int64_t)worker->state.member_count, &texts),
                                            number(worker->lag, &texts),
                                            age(worker->oldest_ms, now_ms, &texts),
                                            number(worker->retries_waiting, &texts),
                                            number(worker->dead_letters, &texts)};
        ferry_table_add(&table, cells);
    }
    ferry_table_print(&table, out);
}

static void print_partitions(const struct ferry_lag_worker *worker, int64_t now_ms, bool all, FILE *out)
{
    static const struct ferry_column columns[] = {{"topic", false}, {"partition", true}, {"committed", true},
                                                  {"end", true},    {"lag", true},       {"oldest", true}};
    FERRY_CLEANUP(ferry_table_done) struct ferry_table table;
    ferry_table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct ferry_lag_partition *partition = &worker->partitions[i];
        struct texts texts = {.used = 0};
        if (partition->lag == 0 && !all)
            continue;
        const struct ferry_slice cells[] = {ferry_slice_from(partition->topic),
                                            number(partition->partition, &texts),
                                            partition->committed >= 0 ? number(partition->committed, &texts)
                                                                      : FERRY_SLICE("-"),
                                            number(partition->end, &texts),
                                            number(partition->lag, &texts),
                                            age(partition->oldest_ms, now_ms, &texts)};
        ferry_table_add(&table, cells);
    }
    if (table.cell_count > 0)
        fprintf(out, "\n%s, %zu partitions\n", worker->name, worker->partition_count);
    ferry_table_print(&table, out);
}

void ferry_lag_print_text(const struct ferry_lag *lag, int64_t now_ms, bool all, FILE *out)
{
    if (lag->worker_count == 0)
        fputs("this configuration has no such worker: slack, mail and automation come with their section\n", out);
    print_workers(lag, now_ms, out);
    for (size_t i = 0; i < lag->worker_count; i++)
        print_partitions(&lag->workers[i], now_ms, all, out);
}

/* ---- for programs ---- */

static void add_age(struct ferry_buffer *out, int64_t since_ms, int64_t now_ms)
{
    if (since_ms == 0)
        ferry_buffer_add_text(out, "\"oldest_seconds\": null");
    else
        ferry_buffer_printf(out, "\"oldest_seconds\": %.3f",
                            (double)(now_ms > since_ms ? now_ms - since_ms : 0) / 1000);
}

static void add_partition(const struct ferry_lag_partition *partition, int64_t now_ms, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '{');
    ferry_json_add_text(out, "topic", ferry_slice_from(partition->topic));
    ferry_buffer_printf(out, "\"partition\": %" PRId32 ", \"committed\": ", partition->partition);
    if (partition->committed >= 0)
        ferry_buffer_printf(out, "%" PRId64, partition->committed);
    else
        ferry_buffer_add_text(out, "null");
    ferry_buffer_printf(out, ", \"end\": %" PRId64 ", \"lag\": %" PRId64 ", ", partition->end, partition->lag);
    add_age(out, partition->oldest_ms, now_ms);
    ferry_buffer_add_char(out, '}');
}

static void add_members(const struct ferry_group *group, struct ferry_buffer *out)
{
    ferry_buffer_add_text(out, ", \"members\": [");
    for (size_t i = 0; i < group->member_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? ", {" : "{");
        ferry_json_add_text(out, "client", group->members[i].client);
        ferry_json_add_text(out, "host", group->members[i].host);
        ferry_buffer_printf(out, "\"partitions\": %zu}", group->members[i].partitions);
    }
    ferry_buffer_add_char(out, ']');
}

static void add_worker(const struct ferry_lag_worker *worker, int64_t now_ms, struct ferry_buffer *out)
{
    ferry_buffer_add_char(out, '{');
    ferry_json_add_text(out, "worker", ferry_slice_from(worker->name));
    ferry_json_add_text(out, "group", ferry_slice_from(worker->group));
    ferry_json_add_text(out, "state", worker->state.state);
    ferry_buffer_printf(out, "\"lag\": %" PRId64 ", ", worker->lag);
    add_age(out, worker->oldest_ms, now_ms);
    ferry_buffer_printf(out, ", \"retries_waiting\": %" PRId64 ", \"dead_letters\": %" PRId64, worker->retries_waiting,
                        worker->dead_letters);
    add_members(&worker->state, out);
    ferry_buffer_add_text(out, ", \"partitions\": [");
    for (size_t i = 0; i < worker->partition_count; i++) {
        ferry_buffer_add_text(out, i > 0 ? ", " : "");
        add_partition(&worker->partitions[i], now_ms, out);
    }
    ferry_buffer_add_text(out, "]}");
}

void ferry_lag_print_json(const struct ferry_lag *lag, int64_t now_ms, FILE *out)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer line;
    char time[FERRY_TIME_TEXT];
    ferry_buffer_init(&line, OUTPUT_BYTES);
    ferry_time_format(now_ms, time);
    ferry_buffer_printf(&line, "{\"time\": \"%s\", \"workers\": [", time);
    for (size_t i = 0; i < lag->worker_count; i++) {
        ferry_buffer_add_text(&line, i > 0 ? ", " : "");
        add_worker(&lag->workers[i], now_ms, &line);
    }
    ferry_buffer_add_text(&line, "]}");
    fprintf(out, "%s\n", line.failed ? "null" : line.ptr);
}
