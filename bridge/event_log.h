/* The log's lines about single events, so that one finds an event by its id from the door to its effect: here what the
 * bridge did with it; the workers' line is `effect` (consumers/report.c). Nothing is written where `log.events` is off.
 * Any thread. */
#ifndef FERRY_BRIDGE_EVENT_LOG_H
#define FERRY_BRIDGE_EVENT_LOG_H

#include "core/record.h"

/* An event is safe: in Kafka (FERRY_OK), or on disk (FERRY_SPOOLED). `from` is the path or the tenant that it came by.
 */
void ferry_event_log_taken(const struct ferry_event *event, struct ferry_slice topic, const char *from,
                           enum ferry_code code);
/* Kafka has a record of which something else was said first: `what` happened. */
void ferry_event_log_arrived(const char *what, const struct ferry_record *record);
#define FERRY_LEFT_THE_SPOOL "event left the spool"
#define FERRY_CAME_AFTER_ALL "event is in Kafka after all, its sender was told that it is not"

#endif
