/* A record that the demo sees in Kafka: what it prints of it. */
#ifndef FERRY_DEMO_SIGHTING_H
#define FERRY_DEMO_SIGHTING_H

#include "core/kafka/consumer.h"

struct ferry_sighting {
    char record[300]; /* "qlik.app.created/1/0" */
    char event[256];  /* canonical name */
    char format[16];
    char id[256];
    char trouble[400]; /* of a dead letter or a request that was no event: why; else empty */
};

/* The next record within `timeout_ms`, or false. Owner thread of the reader. */
bool ferry_sighting_next(struct ferry_consumer *reader, int timeout_ms, struct ferry_sighting *out);
/* The same of a record that is at hand. */
void ferry_sighting_of(const struct ferry_record *record, struct ferry_sighting *out);

#endif
