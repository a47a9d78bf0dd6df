/* What all callers of one tenant share in this program: how often it may be asked, and how long it wants not to be
 * asked at all. Qlik allows 1,000 requests a minute, and a 429 blocks the whole tier, whoever caused it. Any thread. */
#ifndef FERRY_CORE_QLIK_TIER_H
#define FERRY_CORE_QLIK_TIER_H

#include <stdint.h>

/* Takes the next turn; how long from `mono_ms` until it comes. */
int64_t ferry_tier_turn_ms(const char *tenant, int64_t mono_ms);
/* The tenant answered 429: nobody is to ask for so long. */
void ferry_tier_block(const char *tenant, int64_t mono_ms, int64_t for_ms);
/* How long from `mono_ms` nobody is to ask; 0: ask. */
int64_t ferry_tier_blocked_ms(const char *tenant, int64_t mono_ms);

#endif
