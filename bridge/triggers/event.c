/* A call as an event.
 *
 * Its id is a hash of the trigger, the caller, and the Idempotency-Key or else the inputs and the second, so that one
 * call through two bridges is one event: the workers' "once" goes by source and id. The hash is keyed with the
 * configured key behind the call: any of a trigger's keys makes tokens for any id, so nobody else may work one out. A
 * second has an end, and a call
 * that is repeated across it must still be one: so calls of the last second are looked for among the recent ones first,
 * and keep the id that they got. Among several bridges that share no memory, what is repeated through another one
 * across the end of a second remains two calls; an Idempotency-Key leaves no such gap. */
#include "bridge/triggers/inside.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "core/base64.h"
#include "core/hex.h"

enum {
    REPEATED_MS = 1000,
    IDEMPOTENT_MS = 600000,
    IDEMPOTENCY_KEY_MAX = 255,
};

/* ---- hashes ---- */

/* SHA-256 of the parts, each with its length before it, so that no two lists make the same bytes. */
static bool hash_parts(const struct ferry_slice *parts, size_t count, unsigned char digest[EVP_MAX_MD_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; done && i < count; i++) {
        char len[24];
        int len_len = snprintf(len, sizeof len, "%zu:", parts[i].len);
        done = EVP_DigestUpdate(context, len, (size_t)len_len) && EVP_DigestUpdate(context, parts[i].ptr, parts[i].len);
    }
    done = done && EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    return done;
}

bool ferry_trigger_run_token(const struct ferry_trigger_config *trigger, const struct ferry_trigger_key *key,
                             struct ferry_slice id, char token[FERRY_TRIGGER_TOKEN + 1])
{
    enum { TOKEN_BYTES = 16 };
    unsigned char digest[FERRY_DIGEST];
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer message;
    ferry_buffer_init(&message, 1024);
    ferry_buffer_printf(&message, "ferry run\n%s\n%.*s", trigger->name, FERRY_SLICE_ARGS(id));
    if (message.failed || !ferry_hmac_sha256(ferry_secret_slice(key->secret), ferry_buffer_slice(&message), digest))
        return false;
    ferry_base64url_encode(ferry_slice_of((const char *)digest, TOKEN_BYTES), token);
    return true;
}

/* ---- which event it is ---- */

static enum ferry_code no_memory(struct ferry_error *error)
{
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

/* Absent where there is none. */
static enum ferry_code find_idempotency_key(const struct ferry_trigger_call *call, struct ferry_slice *key,
                                            struct ferry_error *error)
{
    struct ferry_pairs headers = call->request.in->headers;
    struct ferry_slice found = ferry_pairs_get(headers, "Idempotency-Key");
    if (ferry_pairs_count(headers, "Idempotency-Key") > 1 || found.len > IDEMPOTENCY_KEY_MAX)
        return ferry_fail(error, FERRY_INPUT_REFUSED, "Idempotency-Key: is there twice, or longer than %d bytes",
                          IDEMPOTENCY_KEY_MAX);
    *key = found.len > 0 ? found : (struct ferry_slice){NULL, 0};
    return FERRY_OK;
}

/* A call that is the first of its kind: an id of its own, for this second if nothing else tells it from others. */
static bool make_id(struct ferry_trigger_call *call, bool idempotent)
{
    char second[24] = "";
    if (!idempotent)
        snprintf(second, sizeof second, "%lld", (long long)(call->request.in->wall_ms / 1000));
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer message;
    ferry_buffer_init(&message, sizeof call->kind + sizeof second);
    ferry_buffer_add(&message, ferry_slice_of((const char *)call->kind, sizeof call->kind));
    ferry_buffer_add_text(&message, second);
    unsigned char digest[FERRY_DIGEST];
    if (message.failed ||
        !ferry_hmac_sha256(ferry_secret_slice(call->key->secret), ferry_buffer_slice(&message), digest))
        return false;
    ferry_hex_write(digest, FERRY_TRIGGER_ID / 2, call->id);
    return true;
}

static bool find_kind(struct ferry_trigger_call *call, struct ferry_slice idempotency_key, struct ferry_slice data)
{
    bool idempotent = idempotency_key.ptr != NULL;
    const struct ferry_slice parts[] = {
        ferry_slice_from(call->trigger->config->name),
        call->caller,
        idempotent ? FERRY_SLICE("key") : FERRY_SLICE("inputs"),
        idempotent ? idempotency_key : data,
    };
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!hash_parts(parts, sizeof parts / sizeof parts[0], digest))
        return false;
    memcpy(call->kind, digest, sizeof call->kind);
    return true;
}

bool ferry_trigger_name_run(struct ferry_trigger_call *call)
{
    if (call->id[0] == '\0') {
        snprintf(call->id, sizeof call->id, "%.*s", FERRY_SLICE_ARGS(call->path.run));
        snprintf(call->token, sizeof call->token, "%.*s", FERRY_SLICE_ARGS(call->path.token));
    }
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
    ferry_buffer_init(&text, 4096);
    const char *base = ferry_trigger_base(call->request.snapshot, call->request.arena);
    ferry_buffer_printf(&text, "%s/triggers/%s/runs/%s/%s", base != NULL ? base : "", call->trigger->config->name,
                        call->id, call->token);
    call->run_url = ferry_arena_text(call->request.arena, ferry_buffer_slice(&text));
    if (base == NULL || text.failed || call->run_url == NULL)
        return false;
    call->run_path = call->run_url + strlen(base);
    return true;
}

enum ferry_code ferry_trigger_identify(struct ferry_trigger_call *call, struct ferry_slice data,
                                       struct ferry_error *error)
{
    struct ferry_slice idempotency_key = {NULL, 0};
    enum ferry_code code = find_idempotency_key(call, &idempotency_key, error);
    if (code != FERRY_OK)
        return code;
    bool idempotent = idempotency_key.ptr != NULL, safe = false;
    if (!find_kind(call, idempotency_key, data) || !make_id(call, idempotent))
        return no_memory(error);
    bool again = ferry_recent_take(call->shared->recent, call->kind, idempotent ? IDEMPOTENT_MS : REPEATED_MS,
                                   call->request.in->mono_ms, call->id, &safe);
    call->duplicate = again && safe;
    call->twin = again && !safe;
    if (ferry_trigger_run_token(call->trigger->config, call->key, ferry_slice_from(call->id), call->token) &&
        ferry_trigger_name_run(call))
        return FERRY_OK;
    if (!again)
        ferry_recent_settle(call->shared->recent, call->kind, call->id, false);
    return no_memory(error);
}

/* ---- the record ---- */

/* public_url without a slash at its end; "" where it is not set. NULL when memory ran out. */
const char *ferry_trigger_base(const struct ferry_snapshot *snapshot, struct ferry_arena *arena)
{
    struct ferry_slice base = ferry_slice_from(snapshot->config->bridge.public_url);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    return base.len > 0 ? ferry_arena_text(arena, base) : "";
}

/* Of the request's fields those that go along with every event: a form's Content-Type is not the event's. */
static struct ferry_pairs trace_fields(const struct ferry_trigger_call *call)
{
    struct ferry_pairs headers = call->request.in->headers;
    struct ferry_pair *kept = ferry_arena_new_array(call->request.arena, headers.count + 1, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; kept != NULL && i < headers.count; i++) {
        if (ferry_slice_starts_nocase(headers.items[i].name, "trace"))
            kept[count++] = headers.items[i];
    }
    return (struct ferry_pairs){kept, count};
}

static enum ferry_code make_event(const struct ferry_trigger_call *call, struct ferry_slice data,
                                  struct ferry_events *events, struct ferry_error *error)
{
    struct ferry_arena *arena = call->request.arena;
    const char *base = ferry_trigger_base(call->request.snapshot, arena), *name = call->trigger->config->name;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer source, type;
    ferry_buffer_init(&source, 4096);
    ferry_buffer_init(&type, 128);
    ferry_buffer_printf(&source, "%s/triggers/%s", base != NULL ? base : "", name);
    ferry_buffer_printf(&type, "com.ferry.trigger.%s", name);
    const struct ferry_envelope_input input = {
        .headers = trace_fields(call),
        .body = data,
        .received_ms = call->request.in->wall_ms,
        .json_type = ferry_arena_slice(arena, ferry_buffer_slice(&type)),
        .json_id = ferry_slice_from(call->id),
        .json_source = ferry_arena_slice(arena, ferry_buffer_slice(&source)),
    };
    if (base == NULL || source.failed || type.failed || input.json_type.ptr == NULL || input.json_source.ptr == NULL)
        return no_memory(error);
    enum ferry_code code = ferry_envelope_read(FERRY_ENVELOPE_JSON, &input, arena, events, error);
    if (code == FERRY_OK) {
        events->items[0].format = FERRY_FORMAT_TRIGGER;
        events->items[0].subject = call->caller;
    }
    return code;
}

/* Who called from where: in a header of our own, not in the event, which goes on to automations. */
static enum ferry_code add_caller(const struct ferry_trigger_call *call, struct ferry_record *record,
                                  struct ferry_error *error)
{
    enum ferry_caller_address kept = call->trigger->config->caller_address;
    if (!call->request.has_client || kept == FERRY_CALLER_NONE)
        return FERRY_OK;
    struct ferry_ip ip = kept == FERRY_CALLER_FULL ? call->request.client : ferry_ip_blur(&call->request.client);
    char text[FERRY_IP_TEXT];
    ferry_ip_format(&ip, text);
    struct ferry_slice value = ferry_arena_slice(call->request.arena, ferry_slice_from(text));
    struct ferry_pair *headers = ferry_arena_new_array(call->request.arena, record->header_count + 1, sizeof *headers);
    if (value.ptr == NULL || headers == NULL)
        return no_memory(error);
    memcpy(headers, record->headers, record->header_count * sizeof *headers);
    headers[record->header_count] = (struct ferry_pair){FERRY_SLICE("ferry-caller"), value};
    record->headers = headers;
    record->header_count++;
    return FERRY_OK;
}

enum ferry_code ferry_trigger_make(const struct ferry_trigger_call *call, struct ferry_slice data,
                                   struct ferry_admission *admission, struct ferry_error *error)
{
    struct ferry_arena *arena = call->request.arena;
    struct ferry_record *record = ferry_arena_new(arena, sizeof *record);
    struct ferry_events events = {NULL, 0};
    if (record == NULL)
        return no_memory(error);
    enum ferry_code code = make_event(call, data, &events, error);
    if (code == FERRY_OK)
        code = ferry_admit_record(call->request.snapshot, &events.items[0], NULL, arena, record, error);
    if (code == FERRY_OK)
        code = add_caller(call, record, error);
    if (code != FERRY_OK)
        return code;
    admission->events = events;
    admission->records = record;
    admission->record_count = 1;
    return FERRY_OK;
}
