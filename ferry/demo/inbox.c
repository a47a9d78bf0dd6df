#include "ferry/demo/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/wait.h"

enum { LINE_BYTES = 4 * 1024 };

struct ferry_inbox {
    pthread_mutex_t lock; /* guards all below; the arrivals themselves do not change */
    pthread_cond_t grown;
    struct ferry_arrival **items;
    size_t count;
    size_t capacity;
};

const char *ferry_reached_name(enum ferry_place_reached place)
{
    static const char *const names[] = {
        [FERRY_REACHED_SLACK] = "Slack",
        [FERRY_REACHED_MAIL] = "mail",
        [FERRY_REACHED_AUTOMATION] = "automation",
        [FERRY_REACHED_CRM] = "CRM",
    };
    return names[place];
}

struct ferry_inbox *ferry_inbox_new(void)
{
    struct ferry_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL)
        return NULL;
    ferry_condition_init(&inbox->grown);
    pthread_mutex_init(&inbox->lock, NULL);
    return inbox;
}

static void arrival_free(struct ferry_arrival *arrival)
{
    if (arrival == NULL)
        return;
    free(arrival->text);
    free(arrival->raw);
    free(arrival);
}

void ferry_inbox_free(struct ferry_inbox *inbox)
{
    if (inbox == NULL)
        return;
    for (size_t i = 0; i < inbox->count; i++)
        arrival_free(inbox->items[i]);
    free(inbox->items);
    pthread_cond_destroy(&inbox->grown);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

/* A copy as one line: controls become spaces, so that no sender steers a terminal. */
static char *one_line(struct ferry_slice text)
{
    char *line = strndup(text.ptr != NULL ? text.ptr : "", text.len < LINE_BYTES ? text.len : LINE_BYTES);
    for (char *at = line; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    return line;
}

static struct ferry_arrival *arrival_new(enum ferry_place_reached place, bool accepted, struct ferry_slice text,
                                         struct ferry_slice raw)
{
    struct ferry_arrival *arrival = calloc(1, sizeof *arrival);
    if (arrival == NULL)
        return NULL;
    *arrival = (struct ferry_arrival){
        .place = place,
        .accepted = accepted,
        .wall_ms = ferry_clock_wall_ms(),
        .mono_ms = ferry_clock_mono_ms(),
        .text = one_line(text),
        .raw = strndup(raw.ptr != NULL ? raw.ptr : "", raw.len),
    };
    if (arrival->text == NULL || arrival->raw == NULL) {
        arrival_free(arrival);
        return NULL;
    }
    return arrival;
}

/* With the lock held. */
static bool append(struct ferry_inbox *inbox, struct ferry_arrival *arrival)
{
    if (inbox->count == inbox->capacity) {
        size_t capacity = inbox->capacity > 0 ? inbox->capacity * 2 : 64;
        struct ferry_arrival **grown = realloc(inbox->items, capacity * sizeof(struct ferry_arrival *));
        if (grown == NULL)
            return false;
        inbox->items = grown;
        inbox->capacity = capacity;
    }
    inbox->items[inbox->count++] = arrival;
    return true;
}

void ferry_inbox_add(struct ferry_inbox *inbox, enum ferry_place_reached place, bool accepted, struct ferry_slice text,
                     struct ferry_slice raw)
{
    struct ferry_arrival *arrival = arrival_new(place, accepted, text, raw);
    if (arrival == NULL)
        return;
    pthread_mutex_lock(&inbox->lock);
    bool kept = append(inbox, arrival);
    pthread_cond_broadcast(&inbox->grown);
    pthread_mutex_unlock(&inbox->lock);
    if (!kept)
        arrival_free(arrival);
}

const struct ferry_arrival *ferry_inbox_wait(struct ferry_inbox *inbox, size_t index, int64_t timeout_ms)
{
    const struct timespec until = ferry_deadline_in(timeout_ms);
    pthread_mutex_lock(&inbox->lock);
    while (inbox->count <= index)
        if (pthread_cond_timedwait(&inbox->grown, &inbox->lock, &until) == ETIMEDOUT)
            break;
    const struct ferry_arrival *arrival = index < inbox->count ? inbox->items[index] : NULL;
    pthread_mutex_unlock(&inbox->lock);
    return arrival;
}

void ferry_inbox_print(struct ferry_inbox *inbox, struct ferry_buffer *out)
{
    pthread_mutex_lock(&inbox->lock);
    for (size_t i = 0; i < inbox->count; i++) {
        const struct ferry_arrival *arrival = inbox->items[i];
        char time[FERRY_TIME_TEXT];
        ferry_time_format(arrival->wall_ms, time);
        ferry_buffer_printf(out, "%s  %s%s  %s\n%s\n\n", time, ferry_reached_name(arrival->place),
                            arrival->accepted ? "" : " (refused)", arrival->text, arrival->raw);
    }
    pthread_mutex_unlock(&inbox->lock);
    if (out->len == 0)
        ferry_buffer_add_text(out, "nothing has arrived yet\n");
}
