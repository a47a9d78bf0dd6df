/* What the demo plays: three events in three forms each, a forged one, and one that is sent twice; each is followed
 * from the HTTP answer over the record in Kafka to its effects at the stand-ins. */
#ifndef FERRY_DEMO_STORY_H
#define FERRY_DEMO_STORY_H

#include "core/kafka/consumer.h"
#include "ferry/demo/inbox.h"
#include "ferry/demo/show.h"
#include "ferry/sender.h"

enum { FERRY_STORY_EFFECTS = 64 };

struct ferry_story {
    /* borrowed */
    const struct ferry_sender *sender;
    struct ferry_consumer *reader;
    struct ferry_inbox *inbox;
    const struct ferry_show *show;
    const char *slack_metrics; /* URL of ferry-slack's /metrics */
    /* Asked while the story waits: false ends it (a signal, a program that died). */
    bool (*go_on)(void *context);
    void *context;

    /* what came of it */
    size_t events;                            /* accepted */
    size_t arrivals;                          /* looked at, of the inbox */
    double milliseconds[FERRY_STORY_EFFECTS]; /* from POST to effect */
    size_t effects;
    size_t failures;
    char failure[512]; /* the first */
};

/* Plays it, printing as it goes. All is well if `failures` is 0 afterwards. */
void ferry_story_play(struct ferry_story *story);
/* "10 events, 12 effects, POST to effect: p50 21 ms, slowest 40 ms". */
void ferry_story_summary(struct ferry_story *story, char *out, size_t bytes);
/* Prints the records and arrivals that came by now, waiting at most `timeout_ms` for one. */
void ferry_story_follow(struct ferry_story *story, int timeout_ms);

/* Does a text hold the word null, as a template without a value would leave it? Public for tests. */
bool ferry_story_has_null(const char *text);

#endif
