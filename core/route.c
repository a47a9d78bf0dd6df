#include "core/route.h"

#include "core/buffer.h"
#include "core/json.h"

/* ---- topics ---- */

static bool is_allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* Each character that Kafka forbids becomes one '-', however many bytes it has. */
static void add_to_topic(struct ferry_buffer *topic, struct ferry_slice text)
{
    for (size_t i = 0, allowed; i < text.len; i++) {
        for (allowed = i; i < text.len && is_allowed(text.ptr[i]);)
            i++;
        ferry_buffer_add(topic, ferry_slice_of(text.ptr + allowed, i - allowed));
        bool continuation = i < text.len && ((unsigned char)text.ptr[i] & 0xC0) == 0x80;
        if (i < text.len && !continuation)
            ferry_buffer_add_char(topic, '-');
    }
}

static struct ferry_slice family_of(struct ferry_slice canonical)
{
    const char *dot = canonical.len > 0 ? memchr(canonical.ptr, '.', canonical.len) : NULL;
    return dot != NULL ? ferry_slice_of(canonical.ptr, (size_t)(dot - canonical.ptr)) : canonical;
}

static void expand(const char *template, struct ferry_slice canonical, struct ferry_slice type,
                   struct ferry_buffer *topic)
{
    const struct {
        const char *hole;
        struct ferry_slice text;
    } holes[] = {{"{event}", canonical}, {"{family}", family_of(canonical)}, {"{type}", type}};
    while (*template != '\0') {
        size_t literal = strcspn(template + 1, "{") + 1; /* up to the next hole, if there is none here */
        struct ferry_slice text = ferry_slice_of(template, literal);
        size_t taken = literal;
        for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++) {
            if (strncmp(template, holes[i].hole, strlen(holes[i].hole)) != 0)
                continue;
            text = holes[i].text;
            taken = strlen(holes[i].hole);
        }
        add_to_topic(topic, text);
        template += taken;
    }
}

/* Cuts `prefix` off; false if it is not there. */
static bool take_prefix(struct ferry_slice *text, const char *prefix)
{
    if (!ferry_slice_starts(*text, prefix))
        return false;
    *text = ferry_slice_skip(*text, strlen(prefix));
    return true;
}

bool ferry_route_topic_is_internal(const struct ferry_topics_config *topics, struct ferry_slice topic)
{
    if (!take_prefix(&topic, topics->internal) || !take_prefix(&topic, "."))
        return false;
    for (const char *const *name = ferry_internal_topics; *name != NULL; name++)
        if (ferry_slice_is(topic, *name))
            return true;
    for (const char *const *worker = ferry_worker_names; *worker != NULL; worker++) {
        struct ferry_slice rest = topic;
        if (!take_prefix(&rest, *worker) || !take_prefix(&rest, "."))
            continue;
        for (const char *const *name = ferry_worker_topics; *name != NULL; name++)
            if (ferry_slice_is(rest, *name))
                return true;
    }
    return false;
}

enum ferry_code ferry_route_topic_of(const struct ferry_topics_config *topics, struct ferry_slice canonical,
                                     struct ferry_slice type, struct ferry_arena *arena, struct ferry_slice *topic,
                                     struct ferry_error *error)
{
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer name;
    ferry_buffer_init(&name, FERRY_TOPIC_NAME);
    expand(topics->name, canonical, type, &name);
    struct ferry_slice made = ferry_buffer_slice(&name);
    if (name.starved)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (name.failed)
        return ferry_fail(error, FERRY_EVENT_INVALID, "type: too long for the name of a topic");
    if (made.len == 0 || ferry_slice_is(made, ".") || ferry_slice_is(made, ".."))
        return ferry_fail(error, FERRY_EVENT_INVALID, "type: makes no name for a topic");
    if (ferry_route_topic_is_internal(topics, made))
        return ferry_fail(error, FERRY_EVENT_INVALID, "type: its topic would be one of Ferry's own");
    made = ferry_arena_slice(arena, made);
    if (made.ptr == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    *topic = made;
    return FERRY_OK;
}

enum ferry_code ferry_route_topic(const struct ferry_topics_config *topics, const struct ferry_event *event,
                                  struct ferry_arena *arena, struct ferry_slice *topic, struct ferry_error *error)
{
    return ferry_route_topic_of(topics, event->canonical, event->type, arena, topic, error);
}

/* ---- keys ---- */

/* The text of an object's id: a non-empty string, or a number as it stands; anything else identifies nothing. */
static enum ferry_code read_id(struct ferry_slice object, struct ferry_arena *arena, struct ferry_slice *id)
{
    struct ferry_json member;
    struct ferry_slice text = {NULL, 0};
    if (!ferry_json_seek(object, "id", &member))
        return FERRY_OK;
    if (member.type == FERRY_JSON_NUMBER)
        text = member.text;
    else if (member.type == FERRY_JSON_STRING && ferry_json_unescape(member, arena, &text, NULL) == FERRY_MEMORY)
        return FERRY_MEMORY;
    if (text.len > 0)
        *id = text;
    return FERRY_OK;
}

/* `data.id`, in legacy app events `data.attributes.id`; `*id` stays absent where there is none. */
static enum ferry_code find_data_id(const struct ferry_event *event, struct ferry_arena *arena, struct ferry_slice *id)
{
    struct ferry_json attributes;
    if (event->data_kind != FERRY_DATA_JSON)
        return FERRY_OK;
    enum ferry_code code = read_id(event->data, arena, id);
    if (code == FERRY_OK && id->ptr == NULL && ferry_json_seek(event->data, "attributes", &attributes))
        code = read_id(attributes.text, arena, id);
    return code;
}

static enum ferry_code resource_key(const struct ferry_event *event, struct ferry_arena *arena, struct ferry_slice *key)
{
    struct ferry_slice found = ferry_event_extension(event, "toplevelresourceid");
    enum ferry_code code = FERRY_OK;
    if (found.len == 0) {
        found = (struct ferry_slice){NULL, 0};
        code = find_data_id(event, arena, &found);
    }
    if (found.len == 0)
        found = event->subject.len > 0 ? event->subject : event->id;
    *key = found;
    return code;
}

enum ferry_code ferry_route_key(const struct ferry_topics_config *topics, const struct ferry_event *event,
                                struct ferry_arena *arena, struct ferry_slice *key, struct ferry_error *error)
{
    struct ferry_slice found = event->id;
    enum ferry_code code = FERRY_OK;
    switch (topics->key) {
    case FERRY_KEY_RESOURCE:
        code = resource_key(event, arena, &found);
        break;
    case FERRY_KEY_TYPE:
        found = event->type;
        break;
    case FERRY_KEY_TENANT:
        found = ferry_event_extension(event, "tenantid");
        if (found.len == 0)
            found = event->source;
        break;
    case FERRY_KEY_ID:
        break;
    }
    if (code != FERRY_OK)
        return ferry_fail(error, code, "out of memory");
    *key = found;
    return FERRY_OK;
}
