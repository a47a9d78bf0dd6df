/* Qlik's Audits API: the second way in which a tenant's events are delivered, with another envelope and the same data.
 *
 *   GET /api/v1/audits?eventTime=FROM/TO&limit=100&sort=eventTime    by pages, for the last 90 days
 *   GET /api/v1/audits/archive?date=YYYY-MM-DD                       a whole day, for what is older
 *
 * Both answer {"data":[…], "links":{"next":{"href":…}}}. Cursors are opaque: the link to the next page is followed as
 * it was given. */
#ifndef FERRY_CORE_QLIK_AUDITS_H
#define FERRY_CORE_QLIK_AUDITS_H

#include "core/envelope.h"
#include "core/json.h"
#include "core/qlik/tenant.h"

/* How far back the pages go. */
#define FERRY_AUDITS_KEPT_MS (INT64_C(90) * 24 * 3600 * 1000)
#define FERRY_AUDITS_DAY_MS (INT64_C(24) * 3600 * 1000)
enum { FERRY_AUDITS_PAGE = 100 }; /* records a page, the most that Qlik gives */

/* Appends the link of the first page of what happened from `from_ms` to `to_ms`, both included. */
void ferry_audits_link(int64_t from_ms, int64_t to_ms, struct ferry_buffer *link);
/* Appends the link of the archive of the day (UTC) that `day_ms` lies in. */
void ferry_audits_archive_link(int64_t day_ms, struct ferry_buffer *link);

/* What one request brought. Zero it before the first use, free it with ferry_audits_page_done. */
struct ferry_audits_page {
    struct ferry_tenant_answer answer;
    struct ferry_arena arena;
    struct ferry_json_parts records; /* the elements of `data`; they lie in the answer's body */
    struct ferry_slice next;         /* the link to the next page, with a NUL behind it; absent: this was the last */
};
/* Fit for FERRY_CLEANUP. */
void ferry_audits_page_done(struct ferry_audits_page *page);

/* Asks for `link` and takes the answer apart; what the page held before is freed. A day of the archive may be a few
 * hundred MiB. Fails as ferry_tenant_call does, and with
 *   FERRY_HTTP_BUSY     429 (page->answer.retry_after_ms says for how long), 408, 5xx
 *   FERRY_HTTP_REFUSED  another status that is not 200; the text names it and, for 401 and 403, the cure
 *   FERRY_JSON_INVALID  an answer that is not what Qlik documents
 * and then there are no records; page->answer.status is the status, or 0. */
FERRY_NODISCARD enum ferry_code ferry_audits_fetch(struct ferry_tenant *tenant, const char *link,
                                                   struct ferry_audits_page *page, struct ferry_error *error);

/* A record of a page as the event that the webhook would have brought: ferry_envelope_read_audit. */
FERRY_NODISCARD enum ferry_code ferry_audits_event(struct ferry_json record, int64_t received_ms,
                                                   struct ferry_arena *arena, struct ferry_event *event,
                                                   struct ferry_error *error);

#endif
