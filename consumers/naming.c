#include "consumers/naming.h"

enum { ID_MAX = 512, MEMBER_MAX = 64 * 1024 };

/* Where the id stands. An app's is in `appId` wherever there is one; in the events of the app itself it is the
 * resource's, or, where their data do not have it (app.reload.finished), at the top. */
static const char *const programs[FERRY_NAMES] = {
    [FERRY_NAME_USER] = ".userid",
    [FERRY_NAME_SPACE] = "(.resource.spaceId? // .data.spaceId? // .spaceid)",
    [FERRY_NAME_APP] = ("(.resource.appId? // .data.appId? // "
                        "if .event | startswith(\"app.\") then .toplevelresourceid // .resource.id? else null end)"),
};

void ferry_namer_done(struct ferry_namer *namer)
{
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++) {
        ferry_expression_free(namer->ids[kind]);
        namer->ids[kind] = NULL;
    }
}

void ferry_naming_init(struct ferry_naming *naming)
{
    *naming = (struct ferry_naming){0};
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        ferry_buffer_init(&naming->members[kind], MEMBER_MAX);
}

void ferry_naming_done(struct ferry_naming *naming)
{
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        ferry_buffer_done(&naming->members[kind]);
}

/* Stays empty where the event has none, or none that is a text. */
static enum ferry_code find_id(struct ferry_namer *namer, unsigned kind, const struct ferry_view *view,
                               struct ferry_buffer *id, struct ferry_error *error)
{
    if (namer->ids[kind] == NULL) {
        enum ferry_code code = ferry_expression_new(programs[kind], &namer->ids[kind], error);
        if (code != FERRY_OK)
            return code;
    }
    bool is_null = false;
    if (ferry_expression_text(namer->ids[kind], view, id, &is_null, NULL) != FERRY_OK)
        ferry_buffer_clear(id);
    return FERRY_OK;
}

static void name(struct ferry_lookup *lookup, enum ferry_name_kind kind, struct ferry_slice id,
                 struct ferry_naming *naming)
{
    enum ferry_lookup_result result =
        lookup != NULL ? ferry_lookup_ask(lookup, kind, id, &naming->members[kind]) : FERRY_LOOKUP_NONE;
    if (result == FERRY_LOOKUP_FOUND)
        return;
    if (result == FERRY_LOOKUP_PENDING)
        naming->pending[kind] = ferry_name_key(kind, id);
    naming->stood_in |= 1U << kind;
    ferry_lookup_stand_in(kind, id, &naming->members[kind]);
}

enum ferry_code ferry_namer_name(struct ferry_namer *namer, struct ferry_lookup *lookup, unsigned kinds,
                                 const struct ferry_view *view, struct ferry_naming *naming, struct ferry_error *error)
{
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++) {
        if ((kinds & 1U << kind) == 0)
            continue;
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer id;
        ferry_buffer_init(&id, ID_MAX);
        enum ferry_code code = find_id(namer, kind, view, &id, error);
        if (code != FERRY_OK)
            return code;
        if (id.len > 0 && !id.failed)
            name(lookup, (enum ferry_name_kind)kind, ferry_buffer_slice(&id), naming);
    }
    return FERRY_OK;
}

bool ferry_naming_is_pending(const struct ferry_naming *naming)
{
    bool pending = false;
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        pending |= naming->pending[kind] != 0;
    return pending;
}

enum ferry_code ferry_naming_view(const struct ferry_naming *naming, const struct ferry_view *view,
                                  struct ferry_view **out, struct ferry_error *error)
{
    struct ferry_pair members[FERRY_NAMES];
    size_t count = 0;
    for (unsigned kind = 0; kind < FERRY_NAMES; kind++)
        if (naming->members[kind].len > 0)
            members[count++] = (struct ferry_pair){ferry_slice_from(ferry_name_word((enum ferry_name_kind)kind)),
                                                   ferry_buffer_slice(&naming->members[kind])};
    return ferry_view_with(view, members, count, out, error);
}
