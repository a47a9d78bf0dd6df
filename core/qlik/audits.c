#include "core/qlik/audits.h"

#include "core/clock.h"

enum {
    PAGE_BYTES = 64 << 20,     /* of 100 records */
    ARCHIVE_BYTES = 512 << 20, /* of a day */
    PAGE_TIMEOUT_MS = 30000,
    ARCHIVE_TIMEOUT_MS = 600000,
    DATE_LEN = 10, /* of "2026-11-22" */
};

static const char archive_path[] = "/api/v1/audits/archive?date=";

void ferry_audits_link(int64_t from_ms, int64_t to_ms, struct ferry_buffer *link)
{
    char from[FERRY_TIME_TEXT], to[FERRY_TIME_TEXT];
    ferry_time_format(from_ms, from);
    ferry_time_format(to_ms, to);
    ferry_buffer_printf(link, "/api/v1/audits?eventTime=%s/%s&limit=%d&sort=eventTime", from, to, FERRY_AUDITS_PAGE);
}

void ferry_audits_archive_link(int64_t day_ms, struct ferry_buffer *link)
{
    char day[FERRY_TIME_TEXT];
    ferry_time_format(day_ms, day);
    ferry_buffer_printf(link, "%s%.*s", archive_path, DATE_LEN, day);
}

void ferry_audits_page_done(struct ferry_audits_page *page)
{
    ferry_tenant_answer_done(&page->answer);
    ferry_arena_done(&page->arena);
    *page = (struct ferry_audits_page){0};
}

/* ---- statuses ---- */

static enum ferry_code judge_status(const char *link, const struct ferry_audits_page *page, struct ferry_error *error)
{
    int status = page->answer.status;
    if (status == 200)
        return FERRY_OK;
    if (status == 429)
        return ferry_fail(error, FERRY_HTTP_BUSY, "the tenant answered 429: asked too often, it wants %lld s of rest",
                          (long long)(page->answer.retry_after_ms / 1000));
    if (status == 408 || status >= 500)
        return ferry_fail(error, FERRY_HTTP_BUSY, "the tenant answered %d", status);
    if (status == 401)
        return ferry_fail(error, FERRY_HTTP_REFUSED,
                          "the tenant answered 401: the key is wrong, ended or revoked; make a "
                          "new one and mend auth");
    if (status == 403)
        return ferry_fail(error, FERRY_HTTP_REFUSED,
                          "the tenant answered 403: the key is good, but its user may not read "
                          "audits; it needs the role of a tenant or audit administrator");
    return ferry_fail(error, FERRY_HTTP_REFUSED, "the tenant answered %d to %.*s", status, (int)strcspn(link, "?"),
                      link);
}

/* ---- the answer ---- */

static enum ferry_code not_documented(struct ferry_error *error, const char *what)
{
    return ferry_fail(error, FERRY_JSON_INVALID, "an answer that is not the Audits API's: %s", what);
}

/* The member of an object, or NULL; NULL too when `value` is no object. */
static const struct ferry_json *find_member(const struct ferry_json *value, const char *name, struct ferry_arena *arena)
{
    struct ferry_json_parts members = {NULL, 0};
    if (value == NULL || value->type != FERRY_JSON_OBJECT || ferry_json_open(*value, arena, &members, NULL) != FERRY_OK)
        return NULL;
    const struct ferry_json_member *member = ferry_json_find(&members, name);
    return member != NULL ? &member->value : NULL;
}

/* links.next.href; absent, null and "" all say that there is no more. */
static enum ferry_code read_next(const struct ferry_json *answer, struct ferry_audits_page *page,
                                 struct ferry_error *error)
{
    const struct ferry_json *links = find_member(answer, "links", &page->arena);
    const struct ferry_json *href = find_member(find_member(links, "next", &page->arena), "href", &page->arena);
    struct ferry_slice text = {NULL, 0};
    if (href == NULL || href->type == FERRY_JSON_NULL)
        return FERRY_OK;
    if (href->type != FERRY_JSON_STRING || ferry_json_unescape(*href, &page->arena, &text, NULL) != FERRY_OK)
        return not_documented(error, "links.next.href is no string");
    if (text.len == 0)
        return FERRY_OK;
    page->next = ferry_arena_slice(&page->arena, text);
    return page->next.ptr != NULL ? FERRY_OK : ferry_fail(error, FERRY_MEMORY, "out of memory");
}

static enum ferry_code read_page(struct ferry_audits_page *page, struct ferry_error *error)
{
    struct ferry_json value;
    struct ferry_error why = {0};
    if (ferry_json_scan(ferry_buffer_slice(&page->answer.body), &page->arena, &value, NULL, &why) != FERRY_OK)
        return not_documented(error, why.text);
    const struct ferry_json *data = find_member(&value, "data", &page->arena);
    if (data == NULL || data->type != FERRY_JSON_ARRAY)
        return not_documented(error, "there is no array data in it");
    enum ferry_code code = ferry_json_open(*data, &page->arena, &page->records, error);
    return code == FERRY_OK ? read_next(&value, page, error) : code;
}

enum ferry_code ferry_audits_fetch(struct ferry_tenant *tenant, const char *link, struct ferry_audits_page *page,
                                   struct ferry_error *error)
{
    bool archive = strstr(link, archive_path) != NULL;
    const struct ferry_tenant_request request = {.method = "GET",
                                                 .link = link,
                                                 .timeout_ms = archive ? ARCHIVE_TIMEOUT_MS : PAGE_TIMEOUT_MS,
                                                 .answer_max = archive ? ARCHIVE_BYTES : PAGE_BYTES};
    struct ferry_audits_page fresh = {0};
    enum ferry_code code = ferry_tenant_call(tenant, &request, &fresh.answer, error);
    if (code == FERRY_OK)
        code = judge_status(link, &fresh, error);
    if (code == FERRY_OK)
        code = read_page(&fresh, error);
    if (code == FERRY_OK && fresh.next.ptr != NULL && strcmp(fresh.next.ptr, link) == 0)
        code = not_documented(error, "links.next leads to the page itself"); /* to follow it has no end */
    if (code != FERRY_OK) {
        fresh.records = (struct ferry_json_parts){NULL, 0};
        fresh.next = (struct ferry_slice){NULL, 0};
    }
    /* The old page goes last: `link` may be its link to the next. */
    ferry_audits_page_done(page);
    *page = fresh;
    return code;
}

enum ferry_code ferry_audits_event(struct ferry_json record, int64_t received_ms, struct ferry_arena *arena,
                                   struct ferry_event *event, struct ferry_error *error)
{
    return ferry_envelope_read_audit(record.text, received_ms, arena, event, error);
}
