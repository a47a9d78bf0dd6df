#include "core/attribute.h"
#include "core/clock.h"
#include "core/envelope_draft.h"
#include "core/media_type.h"
#include "core/uri.h"

/* ---- the context attributes of the specification, section "Context Attributes" ---- */

/* What is wrong with a value that is a non-empty String, or NULL. */
typedef const char *check_function(struct ferry_slice value);

static const char *check_specversion(struct ferry_slice value)
{
    return ferry_slice_is(value, "1.0") ? NULL : "not \"1.0\"";
}

static const char *check_any(struct ferry_slice value)
{
    (void)value;
    return NULL;
}

static const char *check_uri_reference(struct ferry_slice value)
{
    return ferry_uri_reference_valid(value) ? NULL : "not a URI-reference";
}

static const char *check_uri(struct ferry_slice value)
{
    return ferry_uri_valid(value) ? NULL : "not a URI";
}

static const char *check_time(struct ferry_slice value)
{
    int64_t ignored;
    return ferry_time_parse(value, &ignored) ? NULL : "not an RFC 3339 date-time with seconds and offset";
}

static const char *check_media_type(struct ferry_slice value)
{
    return ferry_media_type_valid(value) ? NULL : "not a media type";
}

#define NOWHERE SIZE_MAX /* checked, not kept */

static const struct {
    bool required;
    check_function *check;
    size_t member; /* of struct ferry_event */
} rules[] = {
    [FERRY_DRAFT_SPECVERSION] = {true, check_specversion, NOWHERE},
    [FERRY_DRAFT_ID] = {true, check_any, offsetof(struct ferry_event, id)},
    [FERRY_DRAFT_SOURCE] = {true, check_uri_reference, offsetof(struct ferry_event, source)},
    [FERRY_DRAFT_TYPE] = {true, check_any, offsetof(struct ferry_event, type)},
    [FERRY_DRAFT_TIME] = {false, check_time, offsetof(struct ferry_event, time)},
    [FERRY_DRAFT_SUBJECT] = {false, check_any, offsetof(struct ferry_event, subject)},
    [FERRY_DRAFT_DATASCHEMA] = {false, check_uri, offsetof(struct ferry_event, dataschema)},
    [FERRY_DRAFT_DATACONTENTTYPE] = {false, check_media_type, offsetof(struct ferry_event, datacontenttype)},
};

static const char *wrong_text(const struct ferry_draft_field *field)
{
    if (field->surrogate || !ferry_attribute_text_valid(field->text))
        return "a character that attributes may not hold";
    return NULL;
}

static enum ferry_code read_core(const struct ferry_draft *draft, enum ferry_draft_name name, struct ferry_event *event)
{
    const struct ferry_draft_field *field = &draft->known[name];
    const char *wrong = NULL;
    if (field->text.ptr == NULL)
        return rules[name].required ? ferry_draft_fail(draft, field->name, "missing") : FERRY_OK;
    if (field->type != FERRY_JSON_STRING)
        wrong = "not a string";
    else if (field->text.len == 0)
        wrong = "empty";
    else if ((wrong = wrong_text(field)) == NULL)
        wrong = rules[name].check(field->text);
    if (wrong != NULL)
        return ferry_draft_fail(draft, field->name, wrong);
    if (rules[name].member != NOWHERE)
        memcpy((char *)event + rules[name].member, &field->text, sizeof field->text);
    return FERRY_OK;
}

/* ---- extensions ---- */

static const char *wrong_extension(const struct ferry_draft_field *field)
{
    if (!ferry_attribute_name_valid(field->name))
        return "not the name of an attribute (lower-case letters and digits)";
    switch (field->type) {
    case FERRY_JSON_STRING:
        return wrong_text(field);
    case FERRY_JSON_NUMBER:
        return ferry_attribute_integer_valid(field->text) ? NULL : "not an integer of 32 bits";
    case FERRY_JSON_ARRAY:
        return "an array";
    case FERRY_JSON_OBJECT:
        return "an object";
    default:
        return NULL;
    }
}

static enum ferry_code read_extensions(const struct ferry_draft *draft, struct ferry_event *event)
{
    enum ferry_code code = ferry_draft_reserve(draft, event, 0);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < draft->other_count; i++) {
        const struct ferry_draft_field *field = &draft->others[i];
        const char *wrong = wrong_extension(field);
        if (wrong != NULL)
            return ferry_draft_fail(draft, field->name, wrong);
        if (field->text.ptr != NULL)
            event->extensions[event->extension_count++] = (struct ferry_pair){field->name, field->text};
    }
    return FERRY_OK;
}

enum ferry_code ferry_draft_read_strict(struct ferry_draft *draft, struct ferry_event *event)
{
    struct ferry_event read = {.format = FERRY_FORMAT_CLOUDEVENTS};
    enum ferry_code code = FERRY_OK;
    for (int name = 0; code == FERRY_OK && name < FERRY_DRAFT_CORE_NAMES; name++)
        code = read_core(draft, (enum ferry_draft_name)name, &read);
    if (code == FERRY_OK)
        code = read_extensions(draft, &read);
    if (code == FERRY_OK)
        code = ferry_draft_settle_data(draft, &read);
    if (code == FERRY_OK)
        code = ferry_draft_finish(draft, &read);
    if (code == FERRY_OK)
        *event = read;
    return code;
}
