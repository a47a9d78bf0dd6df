/* The bridge's books: what came, and what became of it. Whenever nothing is on its way,
 *
 *   received {sender} + received {spool}  =  published + events in the spool + set aside + refused
 *
 * to the unit (docs/operations.md, "Do the books balance?"). The unit is a record: an event, or a request kept in
 * quarantine. A request that was refused before it became records counts as one on both sides, whatever it carried:
 * its body may never have been read. What the spool held at the start was received from it. */
#ifndef FERRY_BRIDGE_TALLY_H
#define FERRY_BRIDGE_TALLY_H

#include "core/error.h"
#include "core/metrics.h"

struct ferry_tally {
    struct ferry_series *from_senders;
    struct ferry_series *from_spool;
    struct ferry_series *published;
    struct ferry_metric *refused; /* by the code's name */
};

/* Without metrics (NULL) nothing is counted. */
void ferry_tally_init(struct ferry_tally *tally, struct ferry_metrics *metrics);

/* Any thread. */
void ferry_tally_receive(const struct ferry_tally *tally, size_t records);
void ferry_tally_find(const struct ferry_tally *tally, size_t rows); /* in the spool, at the start */
void ferry_tally_publish(const struct ferry_tally *tally);
void ferry_tally_refuse(const struct ferry_tally *tally, enum ferry_code why, size_t records);

#endif
