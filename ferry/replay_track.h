/* How far a replay is: which records are on their way, and from where each partition would have to go on.
 *
 * Records of a partition go in order and are settled out of order, by reports that come on other threads. A partition's
 * position is the offset behind the last record before which all are settled, or were left out: whoever goes on there
 * loses nothing. */
#ifndef FERRY_REPLAY_TRACK_H
#define FERRY_REPLAY_TRACK_H

#include "core/kafka/scan.h"

struct ferry_track;

/* A record on its way. */
struct ferry_track_item {
    struct ferry_fetched *fetched; /* until it is settled */
    /* the track's own */
    size_t span;
    size_t pending;
    size_t bytes;
    int64_t resume;
    struct ferry_track_item *next;
};

/* Positions begin at each span's `next`. NULL when memory ran out. */
struct ferry_track *ferry_track_new(const struct ferry_span *spans, size_t count);
/* Frees what was never settled too. No reports may come any more. */
void ferry_track_free(struct ferry_track *track);

/* Takes the record over; it is settled when so many reports have come (1 at least). NULL when memory ran out: the
 * record is still the caller's. One thread makes these two calls, in the order of the offsets. */
struct ferry_track_item *ferry_track_add(struct ferry_track *track, size_t span, struct ferry_fetched *fetched,
                                         size_t reports);
/* The record at that offset is left out. */
void ferry_track_pass(struct ferry_track *track, size_t span, int64_t offset);

/* One of its reports has come, and is good: frees the record with the last one. Any thread. */
void ferry_track_settle(struct ferry_track *track, struct ferry_track_item *item);
/* Something failed for good; the first reason is kept. Any thread. */
void ferry_track_fail(struct ferry_track *track, enum ferry_code code, const char *reason);

struct ferry_track_load {
    size_t in_flight;
    size_t bytes;
    int64_t settled;
    enum ferry_code code; /* FERRY_OK, or why it failed */
    char reason[256];
};
struct ferry_track_load ferry_track_look(struct ferry_track *track);
int64_t ferry_track_position(struct ferry_track *track, size_t span);

#endif
