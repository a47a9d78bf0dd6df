#include "core/envelope_draft.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "core/attribute.h"
#include "core/base64.h"
#include "core/catalog.h"
#include "core/clock.h"
#include "core/hex.h"
#include "core/media_type.h"
#include "core/utf8.h"

/* ---- failing ---- */

enum ferry_code ferry_draft_fail(const struct ferry_draft *draft, struct ferry_slice name, const char *what)
{
    /* The name is the sender's: what is not plain could make the text more than one line. */
    char shown[41];
    size_t len = name.len < sizeof shown - 1 ? name.len : sizeof shown - 1;
    for (size_t i = 0; i < len; i++)
        shown[i] = (char)(name.ptr[i] > 0x20 && name.ptr[i] < 0x7F ? name.ptr[i] : '?');
    shown[len] = '\0';
    return ferry_fail(draft->error, FERRY_EVENT_INVALID, "%s: %s", shown, what);
}

enum ferry_code ferry_draft_no_memory(const struct ferry_draft *draft)
{
    return ferry_fail(draft->error, FERRY_MEMORY, "out of memory");
}

/* ---- an object taken apart ---- */

enum ferry_code ferry_draft_check_names(const struct ferry_draft *draft, const struct ferry_slice *names, size_t count)
{
    /* Bounded, because all pairs are compared: the fastest way for the twenty that an event has. */
    if (count > FERRY_EVENT_MEMBERS)
        return ferry_fail(draft->error, FERRY_EVENT_INVALID, "more than %d attributes", FERRY_EVENT_MEMBERS);
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (ferry_slice_equal(names[i], names[j]))
                return ferry_draft_fail(draft, names[i], "is there twice");
    return FERRY_OK;
}

static const struct ferry_slice known_names[] = {
#define NAME(code, name) [FERRY_DRAFT_##code] = FERRY_SLICE_LITERAL(name),
    FERRY_DRAFT_NAMES(NAME)
#undef NAME
};

void ferry_draft_add(struct ferry_draft *draft, struct ferry_draft_field field)
{
    for (size_t i = 0; i < draft->known_count; i++) {
        if (ferry_slice_equal(field.name, known_names[i])) {
            draft->known[i] = field;
            return;
        }
    }
    draft->others[draft->other_count++] = field;
}

enum ferry_code ferry_draft_start(struct ferry_draft *draft, size_t count, struct ferry_slice **names)
{
    for (size_t i = 0; i < FERRY_DRAFT_NAME_COUNT; i++)
        draft->known[i] = (struct ferry_draft_field){.name = known_names[i], .type = FERRY_JSON_NULL};
    draft->others = ferry_arena_new_array(draft->arena, count, sizeof *draft->others);
    draft->other_count = 0;
    *names = ferry_arena_new_array(draft->arena, count, sizeof **names);
    return draft->others != NULL && *names != NULL ? FERRY_OK : ferry_draft_no_memory(draft);
}

static enum ferry_code read_value(const struct ferry_draft *draft, struct ferry_json value,
                                  struct ferry_draft_field *field)
{
    field->type = value.type;
    field->text = value.text;
    if (value.type == FERRY_JSON_NULL)
        field->text = (struct ferry_slice){NULL, 0};
    if (value.type != FERRY_JSON_STRING)
        return FERRY_OK;
    enum ferry_code code = ferry_json_unescape(value, draft->arena, &field->text, draft->error);
    if (code != FERRY_JSON_INVALID)
        return code;
    field->text = ferry_slice_of(value.text.ptr + 1, value.text.len - 2);
    field->surrogate = true;
    return FERRY_OK;
}

static enum ferry_code read_member(struct ferry_draft *draft, struct ferry_slice name, struct ferry_json value)
{
    bool base64 = ferry_slice_is(name, "data_base64");
    if (draft->known_count > 0 && (base64 || ferry_slice_is(name, "data"))) {
        enum ferry_draft_data from = base64 ? FERRY_DRAFT_DATA_BASE64 : FERRY_DRAFT_DATA_MEMBER;
        if (draft->data_from != FERRY_DRAFT_NO_DATA)
            return ferry_draft_fail(
                draft, name, draft->data_from == from ? "is there twice" : "data and data_base64 exclude each other");
        draft->data_from = from;
        draft->data = value;
        return FERRY_OK;
    }
    struct ferry_draft_field field = {.name = name};
    enum ferry_code code = read_value(draft, value, &field);
    if (code == FERRY_OK)
        ferry_draft_add(draft, field);
    return code;
}

enum ferry_code ferry_draft_from_json(struct ferry_draft *draft, struct ferry_json_parts members)
{
    struct ferry_slice *names;
    enum ferry_code code = ferry_draft_start(draft, members.count, &names);
    for (size_t i = 0; code == FERRY_OK && i < members.count; i++) {
        code = ferry_json_member_name(&members.items[i], draft->arena, &names[i], draft->error);
        if (code == FERRY_JSON_INVALID)
            return ferry_draft_fail(draft, members.items[i].name, "a lone surrogate in a member's name");
        if (code == FERRY_OK)
            code = read_member(draft, names[i], members.items[i].value);
    }
    return code == FERRY_OK ? ferry_draft_check_names(draft, names, members.count) : code;
}

/* ---- what the rules share ---- */

enum ferry_code ferry_draft_reserve(const struct ferry_draft *draft, struct ferry_event *event, size_t more)
{
    event->extension_count = 0;
    event->extensions = ferry_arena_new_array(draft->arena, draft->other_count + more, sizeof *event->extensions);
    return event->extensions != NULL ? FERRY_OK : ferry_draft_no_memory(draft);
}

static enum ferry_code settle_member(const struct ferry_draft *draft, struct ferry_event *event)
{
    bool declared = event->datacontenttype.ptr != NULL;
    bool json = !declared || ferry_media_type_is_json(event->datacontenttype);
    if (!declared)
        event->datacontenttype = FERRY_SLICE("application/json");
    if (json || draft->data.type != FERRY_JSON_STRING) {
        event->data_kind = FERRY_DATA_JSON;
        event->data = draft->data.text;
        return FERRY_OK;
    }
    event->data_kind = FERRY_DATA_BYTES;
    enum ferry_code code = ferry_json_unescape(draft->data, draft->arena, &event->data, draft->error);
    return code == FERRY_JSON_INVALID ? ferry_draft_fail(draft, FERRY_SLICE("data"), "a lone surrogate") : code;
}

/* Bytes that call themselves JSON have to be: consumers, and structured mode, take them for it. */
static enum ferry_code settle_bytes(const struct ferry_draft *draft, struct ferry_event *event,
                                    struct ferry_slice bytes, struct ferry_slice name)
{
    event->data = bytes;
    event->data_kind = FERRY_DATA_BYTES;
    if (!ferry_media_type_is_json(event->datacontenttype))
        return FERRY_OK;
    event->data_kind = FERRY_DATA_JSON;
    struct ferry_json value;
    struct ferry_error why;
    enum ferry_code code = ferry_json_scan(bytes, draft->arena, &value, NULL, &why);
    if (code == FERRY_OK)
        return FERRY_OK;
    return ferry_fail(draft->error, code, "%.*s: %s", FERRY_SLICE_ARGS(name), why.text);
}

static enum ferry_code settle_base64(const struct ferry_draft *draft, struct ferry_event *event)
{
    static const struct ferry_slice name = FERRY_SLICE_LITERAL("data_base64");
    if (draft->data.type != FERRY_JSON_STRING)
        return ferry_draft_fail(draft, name, "not a string");
    struct ferry_slice text;
    enum ferry_code code = ferry_json_unescape(draft->data, draft->arena, &text, draft->error);
    if (code == FERRY_MEMORY)
        return code;
    size_t room = ferry_base64_room(draft->data.text.len), len;
    char *bytes = ferry_arena_new(draft->arena, room);
    if (bytes == NULL)
        return ferry_draft_no_memory(draft);
    if (code != FERRY_OK || text.len % 4 != 0 || !ferry_base64_decode(text, bytes, room, &len))
        return ferry_draft_fail(draft, name, "not base64");
    return settle_bytes(draft, event, ferry_slice_of(bytes, len), name);
}

enum ferry_code ferry_draft_settle_data(const struct ferry_draft *draft, struct ferry_event *event)
{
    switch (draft->data_from) {
    case FERRY_DRAFT_DATA_MEMBER:
        return settle_member(draft, event);
    case FERRY_DRAFT_DATA_BASE64:
        return settle_base64(draft, event);
    case FERRY_DRAFT_DATA_BODY:
        return settle_bytes(draft, event, draft->data.text, FERRY_SLICE("body"));
    case FERRY_DRAFT_NO_DATA:
        break;
    }
    event->data_kind = FERRY_DATA_NONE;
    return FERRY_OK;
}

/* Type and subtype in lower case; parameters may be case-sensitive. */
static enum ferry_code lower_media_type(const struct ferry_draft *draft, struct ferry_slice *media_type)
{
    struct ferry_slice essence = ferry_media_type_essence(*media_type);
    size_t upper = 0;
    for (size_t i = 0; i < essence.len; i++)
        upper += essence.ptr[i] >= 'A' && essence.ptr[i] <= 'Z';
    if (upper == 0)
        return FERRY_OK;
    char *text = ferry_arena_text(draft->arena, *media_type);
    if (text == NULL)
        return ferry_draft_no_memory(draft);
    size_t start = (size_t)(essence.ptr - media_type->ptr);
    for (size_t i = start; i < start + essence.len; i++)
        text[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
    media_type->ptr = text;
    return FERRY_OK;
}

enum ferry_code ferry_draft_finish(const struct ferry_draft *draft, struct ferry_event *event)
{
    event->received_ms = draft->received_ms;
    event->canonical = ferry_catalog_canonical(event->type);
    if (event->canonical.len > FERRY_EVENT_NAME)
        return ferry_draft_fail(draft, FERRY_SLICE("type"), "longer than 200 bytes");
    if (event->time.ptr == NULL) {
        char *text = ferry_arena_new(draft->arena, FERRY_TIME_TEXT);
        if (text == NULL)
            return ferry_draft_no_memory(draft);
        event->time = ferry_slice_of(text, ferry_time_format(draft->received_ms, text));
    }
    return lower_media_type(draft, &event->datacontenttype);
}

static bool hash_attributes(EVP_MD_CTX *context, const struct ferry_draft *draft)
{
    bool done = true;
    for (size_t i = 0; done && draft->attributes_apart && i < FERRY_DRAFT_CORE_NAMES; i++) {
        struct ferry_slice text = draft->known[i].text;
        done = EVP_DigestUpdate(context, text.ptr, text.len) && EVP_DigestUpdate(context, "\n", 1);
    }
    return done;
}

static bool hash_draft(EVP_MD_CTX *context, const struct ferry_draft *draft, unsigned char hash[EVP_MAX_MD_SIZE])
{
    char place[24];
    int place_len = draft->index > 0 ? snprintf(place, sizeof place, "#%zu", draft->index) : 0;
    return EVP_DigestInit_ex(context, EVP_sha256(), NULL) && hash_attributes(context, draft) &&
           EVP_DigestUpdate(context, draft->text.ptr, draft->text.len) &&
           EVP_DigestUpdate(context, place, (size_t)place_len) && EVP_DigestFinal_ex(context, hash, NULL);
}

enum ferry_code ferry_draft_stable_id(const struct ferry_draft *draft, struct ferry_slice *id)
{
    enum { ID_LEN = 32 };
    unsigned char hash[EVP_MAX_MD_SIZE];
    char *text = ferry_arena_new(draft->arena, ID_LEN + 1);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = text != NULL && context != NULL && hash_draft(context, draft, hash);
    EVP_MD_CTX_free(context);
    if (!done)
        return ferry_draft_no_memory(draft);
    ferry_hex_write(hash, ID_LEN / 2, text);
    *id = ferry_slice_of(text, ID_LEN);
    return FERRY_OK;
}
