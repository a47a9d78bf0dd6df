/* What makes two records one effect.
 *
 * The key hashes worker and route with what identifies the action: the rendered `once_per`; or, for Qlik's creations
 * and deletions, tenant + canonical event + resource, which is the same under both names of one action and in every
 * resend; or source + id, the identity of a CloudEvent. Each part goes in with its length, and the rule with a letter,
 * so that no two rules or lists of parts can meet. */
#include <openssl/evp.h>

#include "consumers/worker.h"
#include "core/buffer.h"
#include "core/hex.h"

static void add(struct ferry_buffer *text, struct ferry_slice part)
{
    ferry_buffer_printf(text, "%zu:", part.len);
    ferry_buffer_add(text, part);
}

static bool ends_with(struct ferry_slice text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len >= len && memcmp(text.ptr + text.len - len, suffix, len) == 0;
}

/* Something is created or deleted once; it is updated many times. */
bool ferry_effect_key_by_resource(const struct ferry_event *event)
{
    return ferry_slice_starts(event->type, "com.qlik.") &&
           (ends_with(event->canonical, ".created") || ends_with(event->canonical, ".deleted")) &&
           ferry_event_extension(event, "tenantid").len > 0;
}

static void hash(struct ferry_slice text, char out[FERRY_EFFECT_KEY])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL);
    ferry_hex_write(digest, 16, out);
}

void ferry_effect_key(const char *worker, const char *route, const struct ferry_event *event,
                      struct ferry_slice resource_id, struct ferry_slice delete_type,
                      const struct ferry_slice *once_per, size_t once_per_count, char out[FERRY_EFFECT_KEY])
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 8 * 1024 * 1024);
    add(&text, ferry_slice_from(worker));
    add(&text, ferry_slice_from(route));
    if (once_per_count > 0) {
        ferry_buffer_add_char(&text, 'o');
        for (size_t i = 0; i < once_per_count; i++)
            add(&text, once_per[i]);
    } else if (resource_id.len > 0 && ferry_effect_key_by_resource(event)) {
        ferry_buffer_add_char(&text, 'r');
        add(&text, ferry_event_extension(event, "tenantid"));
        add(&text, event->canonical);
        add(&text, resource_id);
        if (ferry_slice_is(event->canonical, "app.deleted"))
            add(&text, delete_type);
    } else {
        ferry_buffer_add_char(&text, 'i');
        add(&text, event->source);
        add(&text, event->id);
    }
    hash(ferry_buffer_slice(&text), out);
}

void ferry_effect_key_again(struct ferry_slice run, char key[FERRY_EFFECT_KEY])
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 1024 * 1024);
    ferry_buffer_add_char(&text, 'a');
    add(&text, ferry_slice_from(key));
    add(&text, run);
    hash(ferry_buffer_slice(&text), key);
}
