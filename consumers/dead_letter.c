#include "consumers/dead_letter.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/retry_record.h"

char *ferry_internal_topic(const struct ferry_topics_config *topics, const char *worker, const char *what,
                           struct ferry_arena *arena)
{
    char name[512];
    int len = snprintf(name, sizeof name, "%s.%s.%s", topics->internal, worker, what);
    return ferry_arena_text(arena, ferry_slice_of(name, (size_t)len));
}

static struct ferry_slice number(int value, struct ferry_arena *arena)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", value);
    return ferry_arena_slice(arena, ferry_slice_of(text, (size_t)len));
}

static struct ferry_slice moment(int64_t wall_ms, struct ferry_arena *arena)
{
    char text[FERRY_TIME_TEXT];
    size_t len = ferry_time_format(wall_ms, text);
    return ferry_arena_slice(arena, ferry_slice_of(text, len));
}

enum ferry_code ferry_dead_letter_make(const struct ferry_dead_letter *letter, const struct ferry_record *origin,
                                       const char *topic, struct ferry_arena *arena, struct ferry_record *record)
{
    struct ferry_pair *headers =
        ferry_arena_new_array(arena, origin->header_count + FERRY_LETTER_HEADERS, sizeof *headers);
    if (headers == NULL)
        return FERRY_MEMORY;
    size_t count = ferry_retry_letter_original(origin).header_count;
    if (count > 0)
        memcpy(headers, origin->headers, count * sizeof *headers);
    const struct ferry_slice values[FERRY_LETTER_HEADERS] = {
        ferry_slice_from(ferry_code_name(letter->error)),
        ferry_slice_from(letter->reason),
        number(letter->attempts, arena),
        ferry_origin_text(&(struct ferry_origin){origin->topic, origin->partition, origin->offset}, arena),
        ferry_slice_from(letter->route != NULL ? letter->route : ""),
        moment(letter->failed_at_ms, arena),
    };
    for (size_t i = 0; i < FERRY_LETTER_HEADERS; i++) {
        if (values[i].ptr == NULL)
            return FERRY_MEMORY;
        headers[count++] = (struct ferry_pair){ferry_slice_from(ferry_letter_headers[i]), values[i]};
    }
    *record = (struct ferry_record){.topic = ferry_slice_from(topic),
                                    .key = origin->key,
                                    .value = origin->value,
                                    .headers = headers,
                                    .header_count = count,
                                    .partition = -1,
                                    .offset = -1};
    return FERRY_OK;
}
