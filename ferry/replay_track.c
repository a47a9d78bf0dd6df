#include "ferry/replay_track.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct row {
    struct ferry_track_item *head; /* the oldest that is not popped; behind a settled head nothing waits */
    struct ferry_track_item *tail;
    int64_t position; /* while the row is empty; else the head decides */
};

struct ferry_track {
    pthread_mutex_t lock;
    struct ferry_track_load load;
    struct ferry_track_item *spare; /* to be used again: most are freed on another thread than they are made on */
    size_t count;
    struct row rows[];
};

struct ferry_track *ferry_track_new(const struct ferry_span *spans, size_t count)
{
    struct ferry_track *track = calloc(1, sizeof *track + count * sizeof track->rows[0]);
    if (track == NULL)
        return NULL;
    pthread_mutex_init(&track->lock, NULL);
    track->count = count;
    for (size_t i = 0; i < count; i++)
        track->rows[i].position = spans[i].next;
    return track;
}

void ferry_track_free(struct ferry_track *track)
{
    if (track == NULL)
        return;
    for (size_t i = 0; i < track->count; i++) {
        for (struct ferry_track_item *item = track->rows[i].head, *next; item != NULL; item = next) {
            next = item->next;
            ferry_fetched_free(item->fetched);
            free(item);
        }
    }
    for (struct ferry_track_item *item = track->spare, *next; item != NULL; item = next) {
        next = item->next;
        free(item);
    }
    pthread_mutex_destroy(&track->lock);
    free(track);
}

/* A used one, or a new one. The lock is held. */
static struct ferry_track_item *new_item(struct ferry_track *track)
{
    struct ferry_track_item *item = track->spare;
    if (item == NULL)
        return malloc(sizeof *item);
    track->spare = item->next;
    return item;
}

struct ferry_track_item *ferry_track_add(struct ferry_track *track, size_t span, struct ferry_fetched *fetched,
                                         size_t reports)
{
    const struct ferry_record *record = &fetched->record;
    pthread_mutex_lock(&track->lock);
    struct ferry_track_item *item = new_item(track);
    if (item == NULL) {
        pthread_mutex_unlock(&track->lock);
        return NULL;
    }
    *item = (struct ferry_track_item){.fetched = fetched,
                                      .span = span,
                                      .pending = reports,
                                      .bytes = record->key.len + record->value.len,
                                      .resume = record->offset + 1};
    struct row *row = &track->rows[span];
    if (row->head == NULL)
        row->head = item;
    else
        row->tail->next = item;
    row->tail = item;
    track->load.in_flight++;
    track->load.bytes += item->bytes;
    pthread_mutex_unlock(&track->lock);
    return item;
}

void ferry_track_pass(struct ferry_track *track, size_t span, int64_t offset)
{
    pthread_mutex_lock(&track->lock);
    struct row *row = &track->rows[span];
    if (row->head == NULL)
        row->position = offset + 1;
    else
        row->tail->resume = offset + 1; /* passed with the one before it */
    pthread_mutex_unlock(&track->lock);
}

/* Takes off the front what is settled. */
static void advance(struct ferry_track *track, struct row *row)
{
    while (row->head != NULL && row->head->pending == 0) {
        struct ferry_track_item *item = row->head;
        row->position = item->resume;
        row->head = item->next;
        item->next = track->spare;
        track->spare = item;
    }
}

void ferry_track_settle(struct ferry_track *track, struct ferry_track_item *item)
{
    struct ferry_fetched *fetched = NULL;
    pthread_mutex_lock(&track->lock);
    if (--item->pending == 0) {
        fetched = item->fetched;
        item->fetched = NULL;
        track->load.in_flight--;
        track->load.bytes -= item->bytes;
        track->load.settled++;
        advance(track, &track->rows[item->span]);
    }
    pthread_mutex_unlock(&track->lock);
    ferry_fetched_free(fetched);
}

void ferry_track_fail(struct ferry_track *track, enum ferry_code code, const char *reason)
{
    pthread_mutex_lock(&track->lock);
    if (track->load.code == FERRY_OK) {
        track->load.code = code;
        snprintf(track->load.reason, sizeof track->load.reason, "%s", reason);
    }
    pthread_mutex_unlock(&track->lock);
}

struct ferry_track_load ferry_track_look(struct ferry_track *track)
{
    pthread_mutex_lock(&track->lock);
    struct ferry_track_load load = track->load;
    pthread_mutex_unlock(&track->lock);
    return load;
}

int64_t ferry_track_position(struct ferry_track *track, size_t span)
{
    pthread_mutex_lock(&track->lock);
    int64_t position = track->rows[span].position;
    pthread_mutex_unlock(&track->lock);
    return position;
}
