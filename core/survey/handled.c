/* What became of dead letters, as it stands in the operators' journal. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/survey/dlq.h"

#define SKEW_MS INT64_C(300000) /* by which the clocks of a worker and of an operator may differ */

static const struct {
    const char *command;
    enum ferry_letter_state state;
} commands[] = {{"dlq redrive", FERRY_LETTER_REDRIVEN}, {"dlq drop", FERRY_LETTER_DROPPED}};

const char *ferry_letter_state_name(enum ferry_letter_state state)
{
    static const char *const names[] = {
        [FERRY_LETTER_OPEN] = "open", [FERRY_LETTER_REDRIVEN] = "redriven", [FERRY_LETTER_DROPPED] = "dropped"};
    return names[state];
}

/* ---- writing ---- */

static bool is_next_to(const struct ferry_letter *one, const struct ferry_letter *next)
{
    return one->queue == next->queue && one->partition == next->partition && one->offset + 1 == next->offset;
}

void ferry_dlq_print_details(const struct ferry_dlq *dlq, const struct ferry_letters *letters, struct ferry_buffer *out)
{
    const struct ferry_letter *items = letters->items;
    ferry_buffer_add_text(out, "{\"letters\": {");
    for (size_t i = 0; i < letters->count;) {
        bool first = i == 0, new_queue = first || items[i].queue != items[i - 1].queue;
        size_t last = i;
        while (last + 1 < letters->count && is_next_to(&items[last], &items[last + 1]))
            last++;
        if (new_queue)
            ferry_buffer_printf(out, "%s\"%s\": {", first ? "" : "]}, ", dlq->queues[items[i].queue].topic);
        if (new_queue || items[i].partition != items[i - 1].partition)
            ferry_buffer_printf(out, "%s\"%" PRId32 "\": [", new_queue ? "" : "], ", items[i].partition);
        else
            ferry_buffer_add_text(out, ", ");
        ferry_buffer_printf(out, "[%" PRId64 ", %" PRId64 "]", items[i].offset, items[last].offset);
        i = last + 1;
    }
    ferry_buffer_add_text(out, letters->count > 0 ? "]}}}" : "}}");
}

/* ---- reading ---- */

static bool read_command(const json_t *record, struct ferry_dlq_range *range)
{
    const char *command = json_string_value(json_object_get(record, "command"));
    const char *time = json_string_value(json_object_get(record, "time"));
    if (command == NULL || time == NULL || !ferry_time_parse(ferry_slice_from(time), &range->when_ms))
        return false;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(command, commands[i].command) == 0) {
            range->state = commands[i].state;
            return true;
        }
    return false;
}

static void walk_partition(json_t *ranges, struct ferry_dlq_range *range, ferry_dlq_range_fn *visit, void *context)
{
    size_t i;
    json_t *pair;
    json_array_foreach (ranges, i, pair) {
        const json_t *first = json_array_get(pair, 0), *last = json_array_get(pair, 1);
        if (!json_is_integer(first) || !json_is_integer(last))
            continue;
        range->first = json_integer_value(first);
        range->last = json_integer_value(last);
        visit(context, range);
    }
}

void ferry_dlq_walk(const struct ferry_dlq *dlq, const struct json_t *record, ferry_dlq_range_fn *visit, void *context)
{
    struct ferry_dlq_range range = {0};
    json_t *letters = json_object_get(json_object_get(record, "details"), "letters");
    if (!read_command(record, &range))
        return;
    for (range.queue = 0; range.queue < FERRY_DLQ_QUEUES; range.queue++) {
        json_t *partitions = json_object_get(letters, dlq->queues[range.queue].topic), *ranges;
        const char *number;
        json_object_foreach (partitions, number, ranges) {
            range.partition = (int32_t)strtol(number, NULL, 10);
            walk_partition(ranges, &range, visit, context);
        }
    }
}

/* The first letter at or behind that place. */
static size_t lower_bound(const struct ferry_letters *letters, const struct ferry_dlq_range *range)
{
    size_t low = 0, high = letters->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ferry_letter *letter = &letters->items[middle];
        bool before = letter->queue != range->queue           ? letter->queue < range->queue
                      : letter->partition != range->partition ? letter->partition < range->partition
                                                              : letter->offset < range->first;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void apply_range(void *context, const struct ferry_dlq_range *range)
{
    struct ferry_letters *letters = context;
    for (size_t i = lower_bound(letters, range); i < letters->count; i++) {
        struct ferry_letter *letter = &letters->items[i];
        if (letter->queue != range->queue || letter->partition != range->partition || letter->offset > range->last)
            return;
        if (letter->note.failed_at_ms <= range->when_ms + SKEW_MS)
            letter->state = range->state;
    }
}

void ferry_dlq_apply(const struct ferry_dlq *dlq, const struct json_t *record, struct ferry_letters *letters)
{
    ferry_dlq_walk(dlq, record, apply_range, letters);
}
