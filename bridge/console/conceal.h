/* What a console shows came from records that anybody may have filled: secrets and addresses in it are not shown. */
#ifndef FERRY_BRIDGE_CONSOLE_CONCEAL_H
#define FERRY_BRIDGE_CONSOLE_CONCEAL_H

#include "core/buffer.h"

/* Appends a text, JSON or not, with *** in place of
 *   - the value behind a name that speaks of a secret ("token": …, password=…, Authorization: …),
 *   - what looks like a token wherever it stands (JWTs, keys of Slack, GitHub, Stripe and AWS, Slack's webhook URLs,
 *     what stands behind a trigger's name in its addresses),
 *   - the local part of e-mail addresses, as ferry_mask_addresses does.
 * It knows names and shapes, not meaning: a secret that is called "note" is shown. */
void ferry_console_conceal(struct ferry_slice text, struct ferry_buffer *out);

#endif
