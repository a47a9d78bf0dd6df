#include "core/attribute.h"
#include "core/catalog.h"
#include "core/clock.h"
#include "core/envelope_draft.h"
#include "core/media_type.h"
#include "core/uri.h"

/* Qlik's three shapes, and how each becomes one CloudEvent
 *
 * Legacy events have their own names for everything (`eventId`, `eventType`, an object `extensions`), CloudEvents the
 * standard's, and hybrid ones both. An attribute that has two names is read from both: the first good value wins, the
 * CloudEvents one before the legacy one, and where two good ones differ that is a repair, `disagreement`.
 *
 * What strays from the standard is mended, noted and never refused, with four exceptions that leave nothing to send or
 * more than one way to read it: no type, a type that cannot be one, a member that is there twice, unreadable data. The
 * bridge keeps those in quarantine. What is mended how:
 *
 *   specversion        anything but "1.0" counts as "1.0"
 *   id                 a stable hash of the event; a number is taken as text
 *   source             the one that the catalogue names for the type, else "com.qlik/unknown"; bytes that no URI has
 *                      are percent-encoded
 *   time               a date alone becomes its midnight in UTC; else the receive time
 *   datacontenttype    application/json where `data` is JSON, else left out
 *   subject            left out when empty
 *   dataschema         kept as the extension `extdataschema` when it is no URI
 *   extensions         names in lower case without other characters, behind "ext" if the name is taken by the standard;
 *                      objects, arrays and numbers that are no int32 as their JSON text
 *   text               U+FFFD for characters that attributes may not hold; lone surrogates stay escaped */

struct reader {
    const struct ferry_draft *draft;
    struct ferry_event event; /* under construction */
    bool audit;
    bool no_memory; /* what was left out for want of it is missed at the end */
};

static void note(struct reader *r, enum ferry_repair repair)
{
    r->event.repairs |= UINT32_C(1) << repair;
}

static bool is_there(const struct reader *r, enum ferry_draft_name name)
{
    return r->draft->known[name].text.ptr != NULL;
}

/* ---- attributes under their two names ---- */

static bool is_nested(const struct ferry_draft_field *field)
{
    return field->type == FERRY_JSON_OBJECT || field->type == FERRY_JSON_ARRAY;
}

/* A value that is there as a String; objects, arrays and numbers as the JSON text that they are. */
static struct ferry_slice mend(struct reader *r, const struct ferry_draft_field *field)
{
    struct ferry_slice mended = ferry_attribute_text_mend(field->text, r->draft->arena);
    if (field->surrogate || mended.ptr != field->text.ptr)
        note(r, FERRY_REPAIR_ATTRIBUTE);
    r->no_memory = r->no_memory || mended.ptr == NULL;
    return mended;
}

/* The value of one of the standard's attributes; absent where none is, or an object or array. */
static struct ferry_slice text_of(struct reader *r, const struct ferry_draft_field *field)
{
    if (field->text.ptr == NULL)
        return field->text;
    if (field->type != FERRY_JSON_STRING)
        note(r, FERRY_REPAIR_ATTRIBUTE);
    return is_nested(field) ? (struct ferry_slice){NULL, 0} : mend(r, field);
}

typedef bool accept_function(struct ferry_slice value);

static bool is_not_empty(struct ferry_slice value)
{
    return value.len > 0;
}

static bool is_time(struct ferry_slice value)
{
    int64_t ignored;
    return ferry_time_parse(value, &ignored);
}

/* Two spellings of one instant agree. */
static bool agree(struct ferry_slice a, struct ferry_slice b)
{
    int64_t a_ms, b_ms;
    return ferry_slice_equal(a, b) || (ferry_time_parse(a, &a_ms) && ferry_time_parse(b, &b_ms) && a_ms == b_ms);
}

/* The first good value of an attribute under its new and its old name; absent if there is none. */
static struct ferry_slice choose(struct reader *r, enum ferry_draft_name new_name, enum ferry_draft_name old_name,
                                 accept_function *good)
{
    struct ferry_slice new_value = text_of(r, &r->draft->known[new_name]);
    struct ferry_slice old_value = text_of(r, &r->draft->known[old_name]);
    bool new_good = new_value.ptr != NULL && good(new_value);
    bool old_good = old_value.ptr != NULL && good(old_value);
    if (new_good && old_good && !agree(new_value, old_value))
        note(r, FERRY_REPAIR_DISAGREEMENT);
    if (new_good)
        return new_value;
    return old_good ? old_value : (struct ferry_slice){NULL, 0};
}

static void read_shape(struct reader *r)
{
    static const enum ferry_draft_name old_names[] = {FERRY_DRAFT_LEGACY_SPECVERSION, FERRY_DRAFT_LEGACY_ID,
                                                      FERRY_DRAFT_LEGACY_TIME, FERRY_DRAFT_LEGACY_DATACONTENTTYPE,
                                                      FERRY_DRAFT_LEGACY_TYPE_VERSION};
    bool is_new = is_there(r, FERRY_DRAFT_SPECVERSION) || is_there(r, FERRY_DRAFT_TYPE);
    bool is_old = false;
    for (size_t i = 0; i < sizeof old_names / sizeof old_names[0]; i++)
        is_old = is_old || is_there(r, old_names[i]);
    r->event.format = !is_new ? FERRY_FORMAT_LEGACY : is_old ? FERRY_FORMAT_HYBRID : FERRY_FORMAT_CLOUDEVENTS;
    if (is_new && !ferry_slice_is(r->draft->known[FERRY_DRAFT_SPECVERSION].text, "1.0"))
        note(r, FERRY_REPAIR_SPECVERSION);
    /* Members that belong to the old shape, in an event that otherwise has none of it. */
    if (r->event.format == FERRY_FORMAT_CLOUDEVENTS && is_there(r, FERRY_DRAFT_LEGACY_TYPE))
        note(r, FERRY_REPAIR_EVENT_TYPE);
    if (r->event.format == FERRY_FORMAT_CLOUDEVENTS && is_there(r, FERRY_DRAFT_EXTENSIONS))
        note(r, FERRY_REPAIR_EXTENSIONS);
}

/* The old name of a type wins only where the catalogue knows it alone: the documented task events say
 * `com.qlik.scheduling.tasks.created` in `type` and what happened in `eventType`. */
static enum ferry_code read_type(struct reader *r)
{
    const struct ferry_draft_field *new_field = &r->draft->known[FERRY_DRAFT_TYPE];
    const struct ferry_draft_field *old_field = &r->draft->known[FERRY_DRAFT_LEGACY_TYPE];
    bool new_there = new_field->type == FERRY_JSON_STRING && new_field->text.len > 0;
    bool old_there = old_field->type == FERRY_JSON_STRING && old_field->text.len > 0;
    if (!new_there && !old_there)
        return ferry_draft_fail(r->draft, FERRY_SLICE("type"), "missing, and no eventType either");
    bool differ = new_there && old_there && !ferry_slice_equal(new_field->text, old_field->text);
    if (differ)
        note(r, FERRY_REPAIR_DISAGREEMENT);
    bool old_wins = !new_there || (differ && ferry_catalog_find_type(new_field->text) == NULL &&
                                   ferry_catalog_find_type(old_field->text) != NULL);
    const struct ferry_draft_field *winner = old_wins ? old_field : new_field;
    if (winner->surrogate || !ferry_attribute_text_valid(winner->text))
        return ferry_draft_fail(r->draft, winner->name, "a character that attributes may not hold");
    r->event.type = winner->text;
    return FERRY_OK;
}

static enum ferry_code read_id(struct reader *r)
{
    r->event.id = choose(r, FERRY_DRAFT_ID, FERRY_DRAFT_LEGACY_ID, is_not_empty);
    if (r->event.id.ptr != NULL)
        return FERRY_OK;
    note(r, FERRY_REPAIR_ID);
    return ferry_draft_stable_id(r->draft, &r->event.id);
}

static enum ferry_code percent_encode(const struct ferry_draft *draft, struct ferry_slice *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *encoded = ferry_arena_new_array(draft->arena, text->len, 3);
    if (encoded == NULL)
        return ferry_draft_no_memory(draft);
    size_t len = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->ptr[i];
        if (ferry_uri_byte_is_unreserved(c) || c == '/') {
            encoded[len++] = (char)c;
            continue;
        }
        encoded[len++] = '%';
        encoded[len++] = digits[c >> 4];
        encoded[len++] = digits[c & 0xF];
    }
    *text = ferry_slice_of(encoded, len);
    return FERRY_OK;
}

static enum ferry_code read_source(struct reader *r)
{
    struct ferry_slice source = text_of(r, &r->draft->known[FERRY_DRAFT_SOURCE]);
    r->event.source = source;
    if (source.len > 0 && ferry_uri_reference_valid(source))
        return FERRY_OK;
    note(r, FERRY_REPAIR_ATTRIBUTE);
    if (source.len > 0)
        return percent_encode(r->draft, &r->event.source);
    const struct ferry_catalog_entry *entry = ferry_catalog_find_type(r->event.type);
    bool documented = entry != NULL && entry->source[0] != '\0';
    r->event.source = documented ? ferry_slice_from(entry->source) : FERRY_SLICE("com.qlik/unknown");
    return FERRY_OK;
}

/* The midnight, in UTC, of a date that stands where a time should; absent if it is none. */
static struct ferry_slice midnight_of(struct reader *r, struct ferry_slice date)
{
    static const char midnight[] = "T00:00:00Z";
    enum { DATE_LEN = 10 };
    char text[DATE_LEN + sizeof midnight];
    if (date.len != DATE_LEN)
        return (struct ferry_slice){NULL, 0};
    memcpy(text, date.ptr, DATE_LEN);
    memcpy(text + DATE_LEN, midnight, sizeof midnight);
    struct ferry_slice time = ferry_slice_of(text, sizeof text - 1);
    if (!is_time(time))
        return (struct ferry_slice){NULL, 0};
    time = ferry_arena_slice(r->draft->arena, time);
    r->no_memory = r->no_memory || time.ptr == NULL;
    return time;
}

static void read_time(struct reader *r)
{
    r->event.time = choose(r, FERRY_DRAFT_TIME, FERRY_DRAFT_LEGACY_TIME, is_time);
    bool strays = is_there(r, FERRY_DRAFT_TIME) && !is_time(r->draft->known[FERRY_DRAFT_TIME].text);
    if (r->event.time.ptr == NULL || strays)
        note(r, FERRY_REPAIR_TIME);
    if (r->event.time.ptr == NULL)
        r->event.time = midnight_of(r, r->draft->known[FERRY_DRAFT_TIME].text);
    if (r->event.time.ptr == NULL)
        r->event.time = midnight_of(r, r->draft->known[FERRY_DRAFT_LEGACY_TIME].text);
}

static void read_datacontenttype(struct reader *r)
{
    r->event.datacontenttype =
        choose(r, FERRY_DRAFT_DATACONTENTTYPE, FERRY_DRAFT_LEGACY_DATACONTENTTYPE, ferry_media_type_valid);
    const struct ferry_draft_field *new_field = &r->draft->known[FERRY_DRAFT_DATACONTENTTYPE];
    const struct ferry_draft_field *old_field = &r->draft->known[FERRY_DRAFT_LEGACY_DATACONTENTTYPE];
    bool strays = (new_field->text.ptr != NULL && !ferry_media_type_valid(new_field->text)) ||
                  (old_field->text.ptr != NULL && !ferry_media_type_valid(old_field->text));
    if (strays)
        note(r, FERRY_REPAIR_DATACONTENTTYPE);
    if (strays && r->event.datacontenttype.ptr == NULL && r->draft->data_from == FERRY_DRAFT_DATA_MEMBER)
        r->event.datacontenttype = FERRY_SLICE("application/json");
}

static void read_subject_and_schema(struct reader *r)
{
    r->event.subject = text_of(r, &r->draft->known[FERRY_DRAFT_SUBJECT]);
    r->event.dataschema = text_of(r, &r->draft->known[FERRY_DRAFT_DATASCHEMA]);
    bool no_subject = r->event.subject.ptr != NULL && r->event.subject.len == 0;
    bool no_schema = r->event.dataschema.ptr != NULL && !ferry_uri_valid(r->event.dataschema);
    if (no_subject || no_schema)
        note(r, FERRY_REPAIR_ATTRIBUTE);
    if (no_subject)
        r->event.subject = (struct ferry_slice){NULL, 0};
    if (no_schema)
        r->event.dataschema = (struct ferry_slice){NULL, 0};
}

/* ---- extensions ---- */

/* Lower-case letters and digits of `name`; returns how many. */
static size_t lower_name(struct ferry_slice name, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[len++] = c;
    }
    return len;
}

static bool is_taken(const struct reader *r, struct ferry_slice name)
{
    for (int i = 0; i < FERRY_DRAFT_CORE_NAMES; i++)
        if (ferry_slice_equal(name, r->draft->known[i].name))
            return true;
    return !ferry_attribute_name_valid(name);
}

/* "topLevelResourceId" to "toplevelresourceid", "time" to "exttime". */
static struct ferry_slice extension_name(struct reader *r, struct ferry_slice name)
{
    static const char prefix[] = "ext";
    enum { PREFIX_LEN = sizeof prefix - 1 };
    char *text = ferry_arena_new(r->draft->arena, PREFIX_LEN + name.len);
    if (text == NULL) {
        r->no_memory = true;
        return name;
    }
    memcpy(text, prefix, PREFIX_LEN);
    size_t len = lower_name(name, text + PREFIX_LEN);
    struct ferry_slice plain = ferry_slice_of(text + PREFIX_LEN, len);
    return is_taken(r, plain) ? ferry_slice_of(text, PREFIX_LEN + len) : plain;
}

/* Adds an extension, unless one of that name came before: that one wins. */
static void add_extension(struct reader *r, struct ferry_slice name, struct ferry_slice value)
{
    struct ferry_event *event = &r->event;
    for (size_t i = 0; i < event->extension_count; i++) {
        if (!ferry_slice_equal(event->extensions[i].name, name))
            continue;
        if (!ferry_slice_equal(event->extensions[i].value, value))
            note(r, FERRY_REPAIR_DISAGREEMENT);
        return;
    }
    event->extensions[event->extension_count++] = (struct ferry_pair){name, value};
}

/* A member whose nature it is to have camel case, or to be an object: those of `extensions`, legacy ones. */
static void read_legacy_extension(struct reader *r, const struct ferry_draft_field *field)
{
    if (field->text.ptr != NULL)
        add_extension(r, extension_name(r, field->name), mend(r, field));
}

/* A member of the event itself that is none of the standard's. */
static void read_extension(struct reader *r, const struct ferry_draft_field *field)
{
    if (field->text.ptr == NULL)
        return;
    bool legal_name = ferry_attribute_name_valid(field->name);
    bool fraction = field->type == FERRY_JSON_NUMBER && !ferry_attribute_integer_valid(field->text);
    if (field->type == FERRY_JSON_ARRAY && ferry_slice_is(field->name, "updates"))
        note(r, FERRY_REPAIR_UPDATES);
    else if (is_nested(field) || fraction || !legal_name)
        note(r, FERRY_REPAIR_ATTRIBUTE);
    add_extension(r, legal_name ? field->name : extension_name(r, field->name), mend(r, field));
}

/* The object `extensions` as a draft of its own, all of whose members are extensions. */
static enum ferry_code open_extensions(const struct reader *r, struct ferry_draft *nested)
{
    const struct ferry_draft_field *field = &r->draft->known[FERRY_DRAFT_EXTENSIONS];
    *nested = (struct ferry_draft){.arena = r->draft->arena, .error = r->draft->error};
    if (field->type != FERRY_JSON_OBJECT)
        return FERRY_OK;
    struct ferry_json_parts members;
    enum ferry_code code =
        ferry_json_open((struct ferry_json){field->type, field->text}, nested->arena, &members, nested->error);
    return code == FERRY_OK ? ferry_draft_from_json(nested, members) : code;
}

/* Members of the event itself: the well-named ones first, so that they win. */
static void read_own_extensions(struct reader *r)
{
    const struct ferry_draft *draft = r->draft;
    for (int well_named = 1; well_named >= 0; well_named--) {
        for (size_t i = 0; i < draft->other_count; i++) {
            const struct ferry_draft_field *field = &draft->others[i];
            if (ferry_attribute_name_valid(field->name) != (bool)well_named)
                continue;
            if (r->audit)
                read_legacy_extension(r, field);
            else
                read_extension(r, field);
        }
    }
}

static enum ferry_code read_extensions(struct reader *r)
{
    const struct ferry_draft_field *known = r->draft->known;
    struct ferry_draft nested;
    enum ferry_code code = open_extensions(r, &nested);
    if (code == FERRY_OK)
        code = ferry_draft_reserve(r->draft, &r->event, nested.other_count + 3);
    if (code != FERRY_OK)
        return code;
    read_own_extensions(r);
    for (size_t i = 0; i < nested.other_count; i++)
        read_legacy_extension(r, &nested.others[i]);
    read_legacy_extension(r, &known[FERRY_DRAFT_LEGACY_TYPE_VERSION]);
    if (known[FERRY_DRAFT_EXTENSIONS].type != FERRY_JSON_OBJECT)
        read_extension(r, &known[FERRY_DRAFT_EXTENSIONS]);
    if (r->event.dataschema.ptr == NULL)
        read_legacy_extension(r, &known[FERRY_DRAFT_DATASCHEMA]);
    return FERRY_OK;
}

/* ---- all of it ---- */

static enum ferry_code read_event(struct reader *r, struct ferry_event *event)
{
    read_shape(r);
    if (r->audit)
        r->event.format = FERRY_FORMAT_AUDIT;
    enum ferry_code code = read_type(r);
    if (code == FERRY_OK)
        code = read_id(r);
    if (code == FERRY_OK)
        code = read_source(r);
    if (code != FERRY_OK)
        return code;
    read_time(r);
    read_datacontenttype(r);
    read_subject_and_schema(r);
    code = read_extensions(r);
    if (code == FERRY_OK)
        code = ferry_draft_settle_data(r->draft, &r->event);
    if (code == FERRY_OK)
        code = ferry_draft_finish(r->draft, &r->event);
    if (code == FERRY_OK && r->no_memory)
        code = ferry_draft_no_memory(r->draft);
    if (code == FERRY_OK)
        *event = r->event;
    return code;
}

enum ferry_code ferry_draft_read_qlik(struct ferry_draft *draft, struct ferry_event *event)
{
    struct reader reader = {.draft = draft};
    return read_event(&reader, event);
}

/* A record of the Audits API is a legacy event with two members of its own: `links`, and an `id` that is the record's,
 * not the event's. */
enum ferry_code ferry_draft_read_audit(struct ferry_draft *draft, struct ferry_event *event)
{
    struct reader reader = {.draft = draft, .audit = true};
    if (draft->known[FERRY_DRAFT_LEGACY_ID].text.ptr != NULL)
        draft->known[FERRY_DRAFT_ID].text = (struct ferry_slice){NULL, 0};
    for (size_t i = 0; i < draft->other_count; i++)
        if (ferry_slice_is(draft->others[i].name, "links"))
            draft->others[i].text = (struct ferry_slice){NULL, 0};
    return read_event(&reader, event);
}
