#include "bridge/admit.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/admit_json.h"
#include "core/catalog.h"
#include "core/clock.h"

/* What the checks hand from one to the next. */
struct checks {
    struct ferry_snapshot *snapshot;
    const struct ferry_admit_request *request;
    struct ferry_admit_thread *thread;
    struct ferry_arena *arena;
    struct ferry_admission *admission;
    struct ferry_error *error;
};

/* ---- before the body ---- */

static enum ferry_code find_door(struct checks *checks)
{
    checks->admission->door = ferry_snapshot_door(checks->snapshot, checks->request->path);
    return checks->admission->door != NULL ? FERRY_OK : ferry_fail(checks->error, FERRY_NOT_FOUND, "no such path");
}

static enum ferry_code check_method(struct checks *checks)
{
    return ferry_slice_is(checks->request->method, "POST")
               ? FERRY_OK
               : ferry_fail(checks->error, FERRY_METHOD, "events come with POST");
}

static enum ferry_code check_rate(struct checks *checks)
{
    struct ferry_bucket *bucket = &checks->admission->door->bucket;
    return ferry_bucket_take(bucket, checks->request->mono_ms, &checks->admission->retry_after_ms)
               ? FERRY_OK
               : ferry_fail(checks->error, FERRY_RATE, "over the rate of this webhook");
}

static enum ferry_code check_required_headers(struct checks *checks)
{
    const struct ferry_webhook_config *webhook = checks->admission->door->config;
    for (size_t i = 0; i < webhook->header_count; i++) {
        const struct ferry_secret_header *wanted = &webhook->headers[i];
        struct ferry_slice value = ferry_pairs_get(checks->request->headers, wanted->name);
        if (ferry_pairs_count(checks->request->headers, wanted->name) != 1 ||
            !ferry_equal_constant_time(value, ferry_secret_slice(wanted->value)))
            return ferry_fail(checks->error, FERRY_HEADER_WRONG, "the header %s is missing or wrong", wanted->name);
    }
    return FERRY_OK;
}

/* ---- with the body ---- */

static enum ferry_code check_signature(struct checks *checks)
{
    const struct ferry_admit_request *request = checks->request;
    return ferry_verifier_check(checks->admission->door->verifier, request->headers, request->body, request->wall_ms,
                                checks->error);
}

static enum ferry_code check_content_coding(struct checks *checks)
{
    struct ferry_pairs headers = checks->request->headers;
    for (size_t i = 0; i < headers.count; i++) {
        if (ferry_slice_is_nocase(headers.items[i].name, "Content-Encoding") && headers.items[i].value.len > 0 &&
            !ferry_slice_is_nocase(headers.items[i].value, "identity"))
            return ferry_fail(checks->error, FERRY_MEDIA_TYPE, "a Content-Encoding is not taken here");
    }
    return FERRY_OK;
}

static enum ferry_code read_events(struct checks *checks)
{
    static const enum ferry_envelope_rules rules[] = {
        [FERRY_DOOR_QLIK] = FERRY_ENVELOPE_QLIK,
        [FERRY_DOOR_CLOUDEVENTS] = FERRY_ENVELOPE_CLOUDEVENTS,
        [FERRY_DOOR_JSON] = FERRY_ENVELOPE_JSON,
    };
    const struct ferry_door *door = checks->admission->door;
    struct ferry_envelope_input input = {
        .headers = checks->request->headers,
        .body = checks->request->body,
        .received_ms = checks->request->wall_ms,
    };
    if (door->config->format == FERRY_DOOR_JSON) {
        enum ferry_code code =
            ferry_admit_json(checks->thread, checks->snapshot, door, &input, checks->arena, checks->error);
        if (code != FERRY_OK)
            return code;
    }
    return ferry_envelope_read(rules[door->config->format], &input, checks->arena, &checks->admission->events,
                               checks->error);
}

static enum ferry_code check_tenants(struct checks *checks)
{
    struct ferry_strings tenants = checks->admission->door->config->tenants;
    for (size_t i = 0; tenants.count > 0 && i < checks->admission->events.count; i++) {
        struct ferry_slice tenant = ferry_event_extension(&checks->admission->events.items[i], "tenantid");
        bool named = false;
        for (size_t t = 0; t < tenants.count && !named; t++)
            named = ferry_slice_is(tenant, tenants.items[t]);
        if (!named)
            return ferry_fail(checks->error, FERRY_TENANT_REFUSED, "events of tenant \"%.*s\" are not taken here",
                              FERRY_SLICE_ARGS(tenant));
    }
    return FERRY_OK;
}

/* How many bytes of a type or name say whose it is, up to and with the first dot; 0 if it has none. */
static size_t family_length(struct ferry_slice name)
{
    const char *dot = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
    return dot != NULL ? (size_t)(dot - name.ptr) + 1 : 0;
}

/* One sender must not speak for another. Types of Ferry and Qlik, and bare types whose canonical name is one of theirs
 * (they would reach the same topic and the same routes), are brought only by a door whose glob spells out as many
 * bytes of the name as this; 0 for everybody else's types. */
static size_t reserved_length(const struct ferry_event *event)
{
    static const char *const owners[] = {"com.ferry.", "com.qlik."};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        if (ferry_slice_starts_nocase(event->type, owners[i]))
            return strlen(owners[i]);
    }
    if (ferry_slice_starts(event->canonical, "trigger.") || ferry_catalog_find_event(event->canonical) != NULL)
        return family_length(event->canonical) > 0 ? family_length(event->canonical) : event->canonical.len;
    return 0;
}

static bool may_bring(const struct ferry_webhook_config *webhook, const struct ferry_event *event)
{
    size_t reserved = reserved_length(event);
    for (size_t i = 0; i < webhook->events.count; i++) {
        const char *glob = webhook->events.items[i];
        if (strcspn(glob, "*?") >= reserved && ferry_glob_match(glob, event->type))
            return true;
    }
    return false;
}

static enum ferry_code check_types(struct checks *checks)
{
    const struct ferry_admission *admission = checks->admission;
    for (size_t i = 0; i < admission->events.count; i++) {
        const struct ferry_event *event = &admission->events.items[i];
        if (!may_bring(admission->door->config, event))
            return ferry_fail(checks->error, FERRY_TYPE_REFUSED, "events of type \"%.*s\" are not taken here",
                              FERRY_SLICE_ARGS(event->type));
    }
    return FERRY_OK;
}

enum ferry_code ferry_admit_record(const struct ferry_snapshot *snapshot, const struct ferry_event *event,
                                   const struct ferry_record_marks *marks, struct ferry_arena *arena,
                                   struct ferry_record *record, struct ferry_error *error)
{
    return ferry_route_record(&snapshot->config->topics, snapshot->topics, event, marks, arena, record, error);
}

static enum ferry_code make_records(struct checks *checks)
{
    struct ferry_events events = checks->admission->events;
    struct ferry_record *records = ferry_arena_new_array(checks->arena, events.count + 1, sizeof *records);
    if (records == NULL)
        return ferry_fail(checks->error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < events.count; i++) {
        enum ferry_code code =
            ferry_admit_record(checks->snapshot, &events.items[i], NULL, checks->arena, &records[i], checks->error);
        if (code != FERRY_OK)
            return code;
    }
    checks->admission->records = records;
    checks->admission->record_count = events.count;
    return FERRY_OK;
}

/* ---- quarantine: signed, but no event ---- */

static bool is_no_event(enum ferry_code code)
{
    return code == FERRY_JSON_INVALID || code == FERRY_EVENT_INVALID;
}

enum ferry_code ferry_admit_quarantine(const struct ferry_snapshot *snapshot, const struct ferry_quarantine *kept,
                                       struct ferry_arena *arena, struct ferry_record *record,
                                       struct ferry_error *error)
{
    enum { MAX_HEADERS = 5 };
    const char *internal = snapshot->config->topics.internal;
    size_t topic_bytes = strlen(internal) + sizeof ".quarantine";
    char *topic = ferry_arena_new(arena, topic_bytes);
    char *received = ferry_arena_new(arena, FERRY_TIME_TEXT);
    struct ferry_pair *headers = ferry_arena_new_array(arena, MAX_HEADERS, sizeof *headers);
    struct ferry_slice reason = ferry_arena_slice(arena, kept->reason);
    if (topic == NULL || received == NULL || headers == NULL || reason.ptr == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    snprintf(topic, topic_bytes, "%s.quarantine", internal);
    size_t received_len = ferry_time_format(kept->wall_ms, received);
    size_t count = 0;
    headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-error"), ferry_slice_from(ferry_code_name(kept->why))};
    headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-reason"), reason};
    headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-received"), ferry_slice_of(received, received_len)};
    headers[count++] = (struct ferry_pair){FERRY_SLICE("ferry-path"), kept->path};
    if (kept->media_type.ptr != NULL)
        headers[count++] = (struct ferry_pair){FERRY_SLICE("content-type"), kept->media_type};
    *record = (struct ferry_record){
        .topic = ferry_slice_of(topic, topic_bytes - 1),
        .value = kept->body.ptr != NULL ? kept->body : FERRY_SLICE(""),
        .headers = headers,
        .header_count = count,
    };
    return FERRY_OK;
}

/* One record with the raw body, so that nothing is lost that was signed. */
static enum ferry_code quarantine(struct checks *checks, enum ferry_code why)
{
    const struct ferry_admit_request *request = checks->request;
    const struct ferry_quarantine kept = {
        .why = why,
        .reason = ferry_slice_from(checks->error->text),
        .path = request->path,
        .media_type = ferry_pairs_get(request->headers, "Content-Type"),
        .body = request->body,
        .wall_ms = request->wall_ms,
    };
    struct ferry_record *record = ferry_arena_new(checks->arena, sizeof *record);
    if (record == NULL)
        return ferry_fail(checks->error, FERRY_MEMORY, "out of memory");
    enum ferry_code code = ferry_admit_quarantine(checks->snapshot, &kept, checks->arena, record, checks->error);
    if (code != FERRY_OK)
        return code;
    checks->admission->records = record;
    checks->admission->record_count = 1;
    checks->admission->events = (struct ferry_events){0};
    checks->admission->quarantined = why;
    return FERRY_OK;
}

/* ---- the table ---- */

typedef enum ferry_code admit_check(struct checks *checks);

static admit_check *const head_checks[] = {
    find_door,
    check_method,
    check_rate,
    check_required_headers,
};

static admit_check *const body_checks[] = {
    check_signature, /* before a byte of the body is parsed */
    check_content_coding, read_events, check_tenants, check_types, make_records,
};

/* The first that refuses decides. */
static enum ferry_code run_checks(admit_check *const *table, size_t count, struct checks *checks)
{
    for (size_t i = 0; i < count; i++) {
        enum ferry_code code = table[i](checks);
        if (code != FERRY_OK)
            return code;
    }
    return FERRY_OK;
}

enum ferry_code ferry_admit_head(struct ferry_snapshot *snapshot, const struct ferry_admit_request *request,
                                 struct ferry_admission *admission, struct ferry_error *error)
{
    *admission = (struct ferry_admission){0};
    struct checks checks = {.snapshot = snapshot, .request = request, .admission = admission, .error = error};
    return run_checks(head_checks, sizeof head_checks / sizeof head_checks[0], &checks);
}

enum ferry_code ferry_admit_body(struct ferry_snapshot *snapshot, const struct ferry_admit_request *request,
                                 struct ferry_admit_thread *thread, struct ferry_arena *arena,
                                 struct ferry_admission *admission, struct ferry_error *error)
{
    struct checks checks = {
        .snapshot = snapshot,
        .request = request,
        .thread = thread,
        .arena = arena,
        .admission = admission,
        .error = error,
    };
    enum ferry_code code = run_checks(body_checks, sizeof body_checks / sizeof body_checks[0], &checks);
    if (is_no_event(code) && admission->door->config->quarantine)
        return quarantine(&checks, code);
    return code;
}

/* ---- OPTIONS ---- */

static void print_allowed_rate(struct ferry_rate rate, char *out, size_t out_bytes)
{
    if (rate.events <= 0)
        snprintf(out, out_bytes, "*");
    else
        snprintf(out, out_bytes, "%lld", (long long)(rate.events * 60000 / rate.window_ms));
}

struct ferry_handshake ferry_admit_handshake(const struct ferry_door *door, struct ferry_pairs headers)
{
    struct ferry_handshake handshake = {0};
    struct ferry_slice origin = ferry_pairs_get(headers, "WebHook-Request-Origin");
    if (ferry_pairs_count(headers, "WebHook-Request-Origin") != 1 || origin.len == 0)
        return handshake;
    for (size_t i = 0; i < door->config->allow_origins.count; i++) {
        struct ferry_slice allowed = ferry_slice_from(door->config->allow_origins.items[i]);
        if (ferry_slice_is(allowed, "*") || ferry_slice_equal(allowed, origin)) {
            handshake.allowed_origin = allowed;
            print_allowed_rate(door->config->rate, handshake.allowed_rate, sizeof handshake.allowed_rate);
            break;
        }
    }
    return handshake;
}
