#include "core/derived_key.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "core/config_shape.h"

bool ferry_derived_label_is_valid(struct ferry_slice label)
{
    return label.len > 0 && ferry_shape_name.good(label);
}

/* Neither a trigger's name nor a label has a slash: no two pairs make one message. */
static bool make_mac(struct ferry_slice parent, const char *trigger, struct ferry_slice label,
                     char mac[FERRY_DERIVED_MAC_LEN + 1])
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer message;
    ferry_buffer_init(&message, strlen(trigger) + 1 + label.len);
    ferry_buffer_printf(&message, "%s/%.*s", trigger, FERRY_SLICE_ARGS(label));
    unsigned char digest[FERRY_DIGEST];
    if (message.failed || !ferry_hmac_sha256(parent, ferry_buffer_slice(&message), digest))
        return false;
    ferry_base64url_encode(ferry_slice_of((const char *)digest, sizeof digest), mac);
    OPENSSL_cleanse(digest, sizeof digest);
    return true;
}

bool ferry_derived_key_make(struct ferry_slice parent, const char *trigger, struct ferry_slice label,
                            char key[FERRY_DERIVED_KEY_ROOM])
{
    assert(ferry_derived_label_is_valid(label));
    char mac[FERRY_DERIVED_MAC_LEN + 1];
    if (!make_mac(parent, trigger, label, mac))
        return false;
    (void)snprintf(key, FERRY_DERIVED_KEY_ROOM, "%.*s.%s", FERRY_SLICE_ARGS(label), mac);
    OPENSSL_cleanse(mac, sizeof mac);
    return true;
}

/* The MAC has one length, so that the dots of a label do not matter. */
static bool split(struct ferry_slice text, struct ferry_slice *label, struct ferry_slice *mac)
{
    enum { TAIL = 1 + FERRY_DERIVED_MAC_LEN };
    if (text.len <= TAIL || text.ptr[text.len - TAIL] != '.')
        return false;
    *label = ferry_slice_of(text.ptr, text.len - TAIL);
    *mac = ferry_slice_skip(text, text.len - FERRY_DERIVED_MAC_LEN);
    return ferry_derived_label_is_valid(*label);
}

bool ferry_derived_label_is_revoked(const struct ferry_strings *revoked, struct ferry_slice label)
{
    for (size_t i = 0; i < revoked->count; i++) {
        size_t len = strlen(revoked->items[i]);
        if (ferry_slice_starts(label, revoked->items[i]) && (label.len == len || label.ptr[len] == '.'))
            return true;
    }
    return false;
}

bool ferry_derived_key_verify(const struct ferry_trigger_config *trigger, struct ferry_slice text,
                              struct ferry_derived_key *out)
{
    struct ferry_slice label, mac;
    if (!split(text, &label, &mac))
        return false;
    const struct ferry_trigger_key *parent = NULL;
    for (size_t i = 0; i < trigger->key_count; i++) { /* all of them: the time must not tell which */
        const struct ferry_trigger_key *key = &trigger->keys[i];
        char genuine[FERRY_DERIVED_MAC_LEN + 1];
        if (key->secret.ptr == NULL || !make_mac(ferry_secret_slice(key->secret), trigger->name, label, genuine))
            continue;
        if (ferry_equal_constant_time(mac, ferry_slice_of(genuine, FERRY_DERIVED_MAC_LEN)))
            parent = key;
        OPENSSL_cleanse(genuine, sizeof genuine);
    }
    if (parent == NULL)
        return false;
    *out = (struct ferry_derived_key){parent, label, ferry_derived_label_is_revoked(&trigger->revoked, label)};
    return true;
}
