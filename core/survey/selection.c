#include "core/survey/selection.h"

#include <stdlib.h>

#include "core/buffer.h"
#include "core/catalog.h"
#include "core/media_type.h"
#include "core/route.h"
#include "core/template.h"

enum { LOOK_MS = 10000, GLOB_MAX_BYTES = 1024 };

/* ---- life ---- */

/* People know events by their types too: com.qlik.v1.app.created is app.created, com.qlik.app.* is app.* */
static char *glob_of(const char *event)
{
    struct ferry_slice glob = ferry_slice_from(event);
    if (ferry_slice_starts(glob, "com.qlik."))
        glob = ferry_catalog_canonical(glob);
    return strndup(glob.ptr, glob.len);
}

enum ferry_code ferry_selection_begin(struct ferry_selection *selection, struct ferry_error *error)
{
    if (selection->event != NULL && strcmp(selection->event, "*") != 0) {
        selection->glob = glob_of(selection->event);
        if (selection->glob == NULL)
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
    }
    if (selection->where == NULL)
        return FERRY_OK;
    struct ferry_error why = {.text = ""};
    enum ferry_code code = ferry_expression_new(selection->where, &selection->expression, &why);
    return code == FERRY_OK ? FERRY_OK : ferry_fail(error, code, "--where: %s", why.text);
}

void ferry_selection_end(struct ferry_selection *selection)
{
    free(selection->glob);
    ferry_expression_free(selection->expression);
    ferry_arena_done(&selection->arena);
    *selection = (struct ferry_selection){0};
}

/* ---- records ---- */

static bool is_structured(const struct ferry_record *record)
{
    struct ferry_slice essence = ferry_media_type_essence(ferry_record_header(record, "content-type"));
    return ferry_slice_starts_nocase(essence, "application/cloudevents");
}

/* What the headers of a binary record say is what the event would say. False: it is not chosen. */
static bool headers_fit(const struct ferry_selection *selection, const struct ferry_record *record)
{
    struct ferry_slice name = ferry_record_header(record, "ferry-event");
    struct ferry_slice type = ferry_record_header(record, "ce_type");
    if (name.len == 0 && type.len > 0)
        name = ferry_catalog_canonical(type);
    return (selection->glob == NULL || ferry_glob_match(selection->glob, name)) &&
           (selection->id == NULL || ferry_slice_is(ferry_record_header(record, "ce_id"), selection->id)) &&
           (selection->tenant == NULL || ferry_slice_is(ferry_record_header(record, "ce_tenantid"), selection->tenant));
}

static bool event_fits(const struct ferry_selection *selection, const struct ferry_event *event)
{
    return (selection->glob == NULL || ferry_glob_match(selection->glob, event->canonical)) &&
           (selection->id == NULL || ferry_slice_is(event->id, selection->id)) &&
           (selection->tenant == NULL || ferry_slice_is(ferry_event_extension(event, "tenantid"), selection->tenant));
}

static bool where_holds(struct ferry_selection *selection, const struct ferry_event *event)
{
    struct ferry_view *view = NULL;
    struct ferry_error why = {.text = ""};
    bool holds = false;
    enum ferry_code code = ferry_view_new(event, &view, &why);
    if (code == FERRY_OK)
        code = ferry_expression_true(selection->expression, view, &holds, &why);
    ferry_view_free(view);
    if (code == FERRY_OK)
        return holds;
    if (selection->where_failed++ == 0)
        selection->why = why;
    return false;
}

bool ferry_selection_takes(struct ferry_selection *selection, const struct ferry_record *record,
                           struct ferry_event *event)
{
    bool structured = is_structured(record);
    if (!structured && !headers_fit(selection, record))
        return false;
    bool fits_by_headers = !structured && ferry_record_header(record, "ce_type").len > 0;
    if (fits_by_headers && selection->expression == NULL && event == NULL)
        return true;
    struct ferry_event read;
    ferry_arena_reset(&selection->arena);
    if (ferry_record_read(record, &selection->arena, &read, NULL) != FERRY_OK) {
        selection->no_events++;
        return false;
    }
    if (!event_fits(selection, &read) || (selection->expression != NULL && !where_holds(selection, &read)))
        return false;
    if (event != NULL)
        *event = read;
    return true;
}

/* ---- topics ---- */

static bool is_allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* A byte of the template or of a name, as ferry_route_topic writes it. */
static void add_byte(struct ferry_buffer *out, char c)
{
    bool continuation = ((unsigned char)c & 0xC0) == 0x80; /* of a character that has its '-' */
    if (is_allowed(c))
        ferry_buffer_add_char(out, c);
    else if (!continuation)
        ferry_buffer_add_char(out, '-');
}

static void add_event_glob(struct ferry_buffer *out, const char *glob)
{
    for (; *glob != '\0'; glob++) {
        if (*glob == '*' || *glob == '?')
            ferry_buffer_add_char(out, *glob);
        else
            add_byte(out, *glob);
    }
}

/* The first word; a wildcard in it may stand for the dot that ends it. */
static void add_family_glob(struct ferry_buffer *out, const char *glob)
{
    size_t len = strcspn(glob, ".*?");
    for (size_t i = 0; i < len; i++)
        add_byte(out, glob[i]);
    if (glob[len] == '*' || glob[len] == '?')
        ferry_buffer_add_char(out, '*');
}

/* The template with the glob in its holes; what a type looks like a name does not tell. */
static void add_template(struct ferry_buffer *out, const char *template, const char *glob)
{
    while (*template != '\0') {
        if (strncmp(template, "{event}", 7) == 0) {
            add_event_glob(out, glob);
            template += 7;
        } else if (strncmp(template, "{family}", 8) == 0) {
            add_family_glob(out, glob);
            template += 8;
        } else if (strncmp(template, "{type}", 6) == 0) {
            ferry_buffer_add_char(out, '*');
            template += 6;
        } else {
            add_byte(out, *template ++);
        }
    }
}

bool ferry_selection_reads(const struct ferry_selection *selection, const struct ferry_topics_config *topics,
                           const char *topic)
{
    if (strcmp(topic, topics->other) == 0)
        return true;
    if (strncmp(topic, "__", 2) == 0 || ferry_route_topic_is_internal(topics, ferry_slice_from(topic)))
        return false;
    FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer glob;
    ferry_buffer_init(&glob, GLOB_MAX_BYTES);
    add_template(&glob, topics->name, selection->glob != NULL ? selection->glob : "*");
    return !glob.failed && glob.ptr != NULL && ferry_glob_match(glob.ptr, ferry_slice_from(topic));
}

int64_t ferry_selection_when(int64_t moment_ms)
{
    return moment_ms < 0 ? FERRY_SCAN_EARLIEST : moment_ms; /* before 1970 there was no Kafka */
}

/* The partitions of one topic behind those that are there. */
static bool add_topic(const struct ferry_scan_topic *topic, struct ferry_arena *arena, struct ferry_span *spans,
                      size_t *count)
{
    const char *name = ferry_arena_text(arena, ferry_slice_from(topic->name));
    for (int p = 0; name != NULL && p < topic->partitions; p++)
        spans[(*count)++] = (struct ferry_span){.topic = name, .partition = p};
    return name != NULL;
}

enum ferry_code ferry_selection_spans(const struct ferry_selection *selection, const struct ferry_topics_config *topics,
                                      struct ferry_scan *scan, struct ferry_arena *arena, struct ferry_span **spans,
                                      size_t *count, struct ferry_error *error)
{
    const struct ferry_scan_topic *all;
    size_t all_count, room = 0, found = 0;
    enum ferry_code code = ferry_scan_topics(scan, LOOK_MS, &all, &all_count, error);
    if (code != FERRY_OK)
        return code;
    for (size_t i = 0; i < all_count; i++)
        room += (size_t)(all[i].partitions > 0 ? all[i].partitions : 0);
    struct ferry_span *made = ferry_arena_new_array(arena, room + 1, sizeof *made);
    if (made == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    for (size_t i = 0; i < all_count; i++)
        if (ferry_selection_reads(selection, topics, all[i].name) && !add_topic(&all[i], arena, made, &found))
            return ferry_fail(error, FERRY_MEMORY, "out of memory");
    if (found == 0)
        return ferry_fail(error, FERRY_TOPIC_UNKNOWN,
                          "there is no topic for %s by topics.name \"%s\"; does this user see the topics, and was the "
                          "bridge ever started?",
                          selection->event != NULL ? selection->event : "events", topics->name);
    *spans = made;
    *count = found;
    return FERRY_OK;
}
