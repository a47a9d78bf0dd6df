/* One table says what there is: method, path, whether one must be in, and who answers. Whoever is not in gets the page
 * with the form for every page, and 401 for data, which makes the page's script load the form.
 *
 * Nothing here changes anything but the sessions. A form from another site is refused all the same (Sec-Fetch-Site):
 * logging somebody out is a nuisance. */
#include "bridge/console/site.h"

#include <stdlib.h>

#include "bridge/console/asset.h"
#include "bridge/console/session.h"
#include "core/clock.h"
#include "core/log.h"

#define COOKIE "ferry_console"
#define FORM_MESSAGE "<!--message-->"

enum { KEY_MAX_BYTES = 4096 };

struct ferry_console_site {
    struct ferry_console_subject subject;
    struct ferry_console_watch *watch;
    struct ferry_console_sessions sessions;
    struct ferry_metric *logins;
};

struct answering {
    struct ferry_console_site *site;
    const struct ferry_http_call *call;
    struct ferry_http_reply *reply;
    const char *rest;         /* the path behind what the table names */
    struct ferry_slice token; /* of the cookie; absent: none */
    int64_t now_ms;
};

/* ---- answers ---- */

static const struct ferry_asset *find_asset(const char *name)
{
    const struct ferry_asset *asset = ferry_console_assets;
    while (asset->name != NULL && strcmp(asset->name, name) != 0)
        asset++;
    return asset;
}

static void add_page_headers(struct ferry_http_reply *reply)
{
    ferry_buffer_add_text(&reply->headers,
                          "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                          "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
                          "frame-ancestors 'none'\n"
                          "X-Frame-Options: DENY\n"
                          "X-Content-Type-Options: nosniff\n"
                          "Referrer-Policy: no-referrer\n"
                          "Cross-Origin-Opener-Policy: same-origin\n"
                          "Cross-Origin-Resource-Policy: same-origin\n"
                          "Cache-Control: no-store\n");
}

static void answer_problem(struct answering *answering, int status, const char *title)
{
    answering->reply->status = status;
    answering->reply->content_type = "application/problem+json";
    ferry_buffer_printf(&answering->reply->body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d}", title,
                        status);
}

static void answer_asset(struct answering *answering, const char *name, const char *content_type)
{
    answering->reply->status = 200;
    answering->reply->content_type = content_type;
    ferry_buffer_add(&answering->reply->body, find_asset(name)->bytes);
}

/* Back to the page, which is where everything is relative to. */
static void answer_see_page(struct answering *answering, const char *where)
{
    answering->reply->status = 303;
    answering->reply->content_type = "text/plain; charset=utf-8";
    ferry_buffer_printf(&answering->reply->headers, "Location: %s\n", where);
}

/* The form, with a message of ours above it. */
static void answer_form(struct answering *answering, int status, const char *message)
{
    struct ferry_slice page = find_asset("login.html")->bytes;
    const char *hole = memmem(page.ptr, page.len, FORM_MESSAGE, strlen(FORM_MESSAGE));
    struct ferry_buffer *body = &answering->reply->body;
    answering->reply->status = status;
    answering->reply->content_type = "text/html; charset=utf-8";
    ferry_buffer_add(body, ferry_slice_of(page.ptr, hole != NULL ? (size_t)(hole - page.ptr) : page.len));
    if (message != NULL)
        ferry_buffer_printf(body, "<p class=\"message\" role=\"alert\" id=\"message\">%s</p>", message);
    if (hole != NULL)
        ferry_buffer_add(body, ferry_slice_skip(page, (size_t)(hole - page.ptr) + strlen(FORM_MESSAGE)));
}

/* ---- coming in ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Where the value of a field begins; form.len: it is not there. */
static size_t find_field(struct ferry_slice form, const char *name)
{
    for (size_t i = 0; i < form.len; i++)
        if ((i == 0 || form.ptr[i - 1] == '&') && ferry_slice_starts(ferry_slice_skip(form, i), name))
            return i + strlen(name);
    return form.len;
}

/* The field `key` of a form, decoded into `out`. */
static struct ferry_slice read_key(struct ferry_slice form, char out[KEY_MAX_BYTES])
{
    size_t len = 0;
    for (size_t i = find_field(form, "key="); i < form.len && form.ptr[i] != '&' && len < KEY_MAX_BYTES; i++) {
        char c = form.ptr[i] == '+' ? ' ' : form.ptr[i];
        int high = c == '%' && i + 2 < form.len ? hex_digit(form.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(form.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[len++] = c;
    }
    return ferry_slice_of(out, len);
}

static void count_login(struct ferry_console_site *site, const char *outcome)
{
    ferry_series_add(ferry_metric_series(site->logins, (const struct ferry_slice[]){ferry_slice_from(outcome)}), 1);
}

static void log_in(struct answering *answering)
{
    struct ferry_console_site *site = answering->site;
    char key[KEY_MAX_BYTES], token[FERRY_CONSOLE_TOKEN];
    struct ferry_slice presented = read_key(answering->call->body, key);
    enum ferry_console_login outcome = ferry_console_log_in(&site->sessions, presented, answering->now_ms, token);
    explicit_bzero(key, sizeof key);
    switch (outcome) {
    case FERRY_LOGIN_ACCEPTED:
        answer_see_page(answering, "./");
        ferry_buffer_printf(&answering->reply->headers,
                            "Set-Cookie: " COOKIE "=%s; Path=/console; HttpOnly; SameSite=Strict; Max-Age=%d\n", token,
                            FERRY_CONSOLE_HOURS * 3600);
        explicit_bzero(token, sizeof token);
        count_login(site, "accepted");
        ferry_log(FERRY_LOG_INFO, "console: somebody logged in", FERRY_NO_FIELDS);
        return;
    case FERRY_LOGIN_REFUSED:
        answer_form(answering, 401, "That is not the key.");
        count_login(site, "refused");
        ferry_log(FERRY_LOG_WARN, "console: a wrong key", FERRY_NO_FIELDS);
        return;
    case FERRY_LOGIN_HELD:
        answer_form(answering, 429, "Too many wrong keys. Wait a moment, then try again.");
        ferry_buffer_printf(&answering->reply->headers, "Retry-After: %d\n",
                            (int)ferry_console_held_seconds(&site->sessions, answering->now_ms));
        count_login(site, "held");
        return;
    }
}

static void log_out(struct answering *answering)
{
    ferry_console_log_out(&answering->site->sessions, answering->token);
    answer_see_page(answering, "./");
    ferry_buffer_add_text(&answering->reply->headers,
                          "Set-Cookie: " COOKIE "=; Path=/console; HttpOnly; SameSite=Strict; Max-Age=0\n");
}

/* ---- pages and data ---- */

static void show_folder(struct answering *answering)
{
    answer_see_page(answering, "console/");
}

static void show_page(struct answering *answering)
{
    answer_asset(answering, "console.html", "text/html; charset=utf-8");
}

static void show_style(struct answering *answering)
{
    answer_asset(answering, "console.css", "text/css; charset=utf-8");
}

static void show_script(struct answering *answering)
{
    answer_asset(answering, "console.js", "text/javascript; charset=utf-8");
}

static void show_icon(struct answering *answering)
{
    answer_asset(answering, "icon.svg", "image/svg+xml");
}

static void show_state(struct answering *answering)
{
    answering->reply->status = 200;
    answering->reply->content_type = "application/json";
    ferry_console_watch_print(answering->site->watch, &answering->reply->body);
}

static void show_letter(struct answering *answering)
{
    answering->reply->status = 200;
    answering->reply->content_type = "application/json";
    if (!ferry_console_watch_letter(answering->site->watch, answering->rest, &answering->reply->body))
        answer_problem(answering, 404, "This dead letter is not in the list any more");
}

static const struct page {
    const char *path; /* one that ends in * is the beginning of a path */
    bool posts;       /* else GET and HEAD */
    bool inside;      /* one must be in */
    bool is_data;     /* for the script: no form instead */
    void (*answer)(struct answering *answering);
} pages[] = {
    {"/console", .answer = show_folder},
    {"/console/", .inside = true, .answer = show_page},
    {"/console/console.css", .answer = show_style},
    {"/console/console.js", .answer = show_script},
    {"/console/icon.svg", .answer = show_icon},
    {"/console/login", .posts = true, .answer = log_in},
    {"/console/logout", .posts = true, .answer = log_out},
    {"/console/state.json", .inside = true, .is_data = true, .answer = show_state},
    {"/console/letters/*", .inside = true, .is_data = true, .answer = show_letter},
};

static const struct page *find_page(const char *path, const char **rest)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        size_t len = strcspn(pages[i].path, "*");
        bool whole = pages[i].path[len] == '\0';
        *rest = path + len;
        if (strncmp(path, pages[i].path, len) == 0 && (!whole || path[len] == '\0'))
            return &pages[i];
    }
    return NULL;
}

/* ---- who is asking ---- */

/* The value of our cookie, or absent. */
static struct ferry_slice read_cookie(struct ferry_pairs headers)
{
    struct ferry_slice line = ferry_pairs_get(headers, "Cookie");
    while (line.len > 0) {
        const char *end = memchr(line.ptr, ';', line.len);
        size_t len = end != NULL ? (size_t)(end - line.ptr) : line.len;
        struct ferry_slice pair = ferry_slice_trim(ferry_slice_of(line.ptr, len));
        if (ferry_slice_starts(pair, COOKIE "="))
            return ferry_slice_skip(pair, strlen(COOKIE "="));
        line = ferry_slice_skip(line, end != NULL ? len + 1 : len);
    }
    return (struct ferry_slice){NULL, 0};
}

/* Browsers say where a request comes from; what says nothing is no browser of today, and has no cookie of ours. */
static bool comes_from_elsewhere(struct ferry_pairs headers)
{
    struct ferry_slice site = ferry_pairs_get(headers, "Sec-Fetch-Site");
    return site.ptr != NULL && !ferry_slice_is(site, "same-origin") && !ferry_slice_is(site, "none");
}

/* False: answered already. */
static bool is_method_right(struct answering *answering, const struct page *page)
{
    const char *method = answering->call->method;
    bool right = page->posts ? strcmp(method, "POST") == 0 : strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (right && (!page->posts || !comes_from_elsewhere(answering->call->headers)))
        return true;
    answer_problem(answering, right ? 403 : 405, right ? "Not from another site" : "Another method is expected");
    if (!right)
        ferry_buffer_add_text(&answering->reply->headers, page->posts ? "Allow: POST\n" : "Allow: GET, HEAD\n");
    return false;
}

static void answer_page(struct answering *answering, const struct page *page)
{
    add_page_headers(answering->reply);
    if (!is_method_right(answering, page))
        return;
    bool inside = ferry_console_is_in(&answering->site->sessions, answering->token, answering->now_ms);
    if (!page->inside || inside)
        page->answer(answering);
    else if (page->is_data)
        answer_problem(answering, 401, "Log in first");
    else
        answer_form(answering, 200, NULL);
}

void ferry_console_site_answer(void *context, const struct ferry_http_call *call, struct ferry_http_reply *reply)
{
    struct ferry_console_site *site = context;
    struct answering answering = {.site = site, .call = call, .reply = reply, .now_ms = ferry_clock_mono_ms()};
    const struct page *page = find_page(call->path, &answering.rest);
    if (page == NULL)
        return;
    struct ferry_snapshot *snapshot = ferry_snapshot_slot_get(site->subject.snapshots);
    const struct ferry_console_config *console = &snapshot->config->bridge.console;
    if (console->present) {
        ferry_console_sessions_use(&site->sessions, console->key);
        answering.token = read_cookie(call->headers);
        answer_page(&answering, page);
    }
    ferry_snapshot_drop(snapshot);
}

/* ---- life ---- */

enum ferry_code ferry_console_site_start(const struct ferry_console_subject *subject, struct ferry_metrics *metrics,
                                         struct ferry_console_site **out, struct ferry_error *error)
{
    static const char *const labels[] = {"outcome", NULL};
    struct ferry_console_site *site = calloc(1, sizeof *site);
    if (site == NULL)
        return ferry_fail(error, FERRY_MEMORY, "out of memory");
    site->subject = *subject;
    site->logins = ferry_metrics_family(metrics, FERRY_COUNTER, "ferry_console_logins_total",
                                        "Keys presented at the console: accepted, refused, held back", labels);
    enum ferry_code code = ferry_console_watch_start(subject, &site->watch, error);
    if (code != FERRY_OK) {
        free(site);
        return code;
    }
    *out = site;
    return FERRY_OK;
}

void ferry_console_site_stop(struct ferry_console_site *site)
{
    if (site == NULL)
        return;
    ferry_console_watch_stop(site->watch);
    ferry_console_sessions_done(&site->sessions);
    free(site);
}
