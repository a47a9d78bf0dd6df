/* Who calls the triggers: calls, last use and last address of each key, from the events in Kafka, whichever bridge took
 * the call. The list and the printing are pure; ferry/triggers.c reads the topics. */
#ifndef FERRY_CALLERS_H
#define FERRY_CALLERS_H

#include <stdio.h>

#include "core/arena.h"
#include "core/config.h"
#include "core/event.h"
#include "core/record.h"

enum ferry_caller_standing {
    FERRY_CALLER_CONFIGURED,   /* a key of the configuration */
    FERRY_CALLER_OF_KIT,       /* a key of the kit that still opens */
    FERRY_CALLER_REVOKED,      /* a key of the kit whose label has ended */
    FERRY_CALLER_UNCONFIGURED, /* the key, or the one it derives from, is not configured any more */
    FERRY_CALLER_NO_TRIGGER    /* the trigger is not */
};

/* One key of one trigger. */
struct ferry_caller {
    struct ferry_slice trigger;
    struct ferry_slice key; /* "load-script", "load-script/anna" */
    enum ferry_caller_standing standing;
    int64_t calls;
    int64_t last_ms;            /* 0: never */
    struct ferry_slice address; /* of the last call; absent: none was kept */
};

struct ferry_callers {
    const struct ferry_bridge_config *bridge;
    const char *only; /* a trigger's name; NULL: all */
    struct ferry_arena arena;
    struct ferry_caller *items;
    size_t count, room;
};

/* Begins with the configured keys, which nobody has used yet. The configuration is borrowed. FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_callers_init(struct ferry_callers *callers,
                                                   const struct ferry_bridge_config *bridge, const char *only,
                                                   struct ferry_error *error);
/* Fit for FERRY_CLEANUP after {0}. */
void ferry_callers_done(struct ferry_callers *callers);
/* Counts the call that a record is about; other records, and what was replayed, count nothing. FERRY_MEMORY. */
FERRY_NODISCARD enum ferry_code ferry_callers_take(struct ferry_callers *callers, const struct ferry_record *record,
                                                   const struct ferry_event *event, struct ferry_error *error);

/* By trigger, then by last use, the latest first. */
void ferry_callers_sort(struct ferry_callers *callers);
void ferry_callers_print_text(const struct ferry_callers *callers, int64_t now_ms, FILE *out);
/* A JSON object a line. */
void ferry_callers_print_json(const struct ferry_callers *callers, FILE *out);

#endif
