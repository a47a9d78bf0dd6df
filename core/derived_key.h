/* Keys that the kit makes of the key that opened it: `label.MAC`.
 *
 * MAC is base64url(HMAC-SHA256(the opening key, "trigger/label")), without padding: nothing is stored, every bridge
 * that knows the configured key knows the derived one, and whoever holds a derived key can make neither the configured
 * one of it nor one of another label. A label in the trigger's `revoked` ends the keys of that label and of the
 * labels under it (`ann` also `ann.curl`); taking the configured key away ends all that derive from it. Derived keys
 * are fit for URLs, and none of them opens the kit. */
#ifndef FERRY_CORE_DERIVED_KEY_H
#define FERRY_CORE_DERIVED_KEY_H

#include "core/base64.h"
#include "core/config.h"
#include "core/signature.h"

enum {
    FERRY_DERIVED_LABEL_MAX = 64,
    FERRY_DERIVED_MAC_LEN = FERRY_BASE64URL_LEN(FERRY_DIGEST),
    FERRY_DERIVED_KEY_ROOM = FERRY_DERIVED_LABEL_MAX + 1 + FERRY_DERIVED_MAC_LEN + 1
};

/* May this text be a label? The same as a name in the configuration, so that `revoked` can name every label: 1 to 64
 * letters, digits and . _ -, the first one a letter or digit. */
bool ferry_derived_label_is_valid(struct ferry_slice label);

/* Does `revoked` name the label, or one that it stands under: all up to one of its dots? */
bool ferry_derived_label_is_revoked(const struct ferry_strings *revoked, struct ferry_slice label);

/* Writes the key of `label` and a NUL; the label must be valid. False, `key` undefined, when OpenSSL fails. */
FERRY_NODISCARD bool ferry_derived_key_make(struct ferry_slice parent, const char *trigger, struct ferry_slice label,
                                            char key[FERRY_DERIVED_KEY_ROOM]);

/* Whose child a key is. */
struct ferry_derived_key {
    const struct ferry_trigger_key *parent; /* one of the trigger's */
    struct ferry_slice label;               /* borrowed from the key that was shown */
    bool revoked;                           /* genuine, but its label has ended: opens nothing */
};

/* Is this text a key that derives from one of the trigger's? Looks at every key, in a time that does not depend on the
 * text but for its shape; `out` is untouched when it is none. Any thread. */
FERRY_NODISCARD bool ferry_derived_key_verify(const struct ferry_trigger_config *trigger, struct ferry_slice text,
                                              struct ferry_derived_key *out);

#endif
