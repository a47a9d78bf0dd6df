/* Where a call comes from: a person, a page of another site, or a machine that looks at a link in advance.
 *
 * A GET that acts is a target: `<img src=…/triggers/NAME>` on any page makes a browser send it, with the password that
 * it keeps for our address. Browsers say where a request comes from (Sec-Fetch-Site, over HTTPS and on loopback), and a
 * page cannot forge that:
 *
 *   none, same-origin      typed, a favourite, our own pages: taken
 *   cross-site, same-site  a page of `cors`: taken. A person followed a link (GET, a navigation of the whole window):
 * is asked first, by a page of ours. Anything else: refused.
 *
 * `cross_site: true` takes them all. So does a key of the kit in the path: it was made to stand in a link or a button
 * of some other page, and a page that does not know it cannot name it; what a browser adds by itself is not needed.
 * Whoever says nothing of it is no browser, or an old one, whose Origin field must then be ours or one of `cors`. */
#include "bridge/triggers/inside.h"

/* ---- CORS ---- */

static bool is_any(const char *allowed)
{
    return strcmp(allowed, "*") == 0;
}

void ferry_trigger_note_origin(struct ferry_trigger_call *call)
{
    struct ferry_pairs headers = call->request.in->headers;
    struct ferry_slice origin = ferry_pairs_get(headers, "Origin");
    struct ferry_strings allowed = call->trigger->config->cors;
    if (ferry_pairs_count(headers, "Origin") != 1)
        return;
    for (size_t i = 0; i < allowed.count && call->allowed_origin == NULL; i++) {
        if (is_any(allowed.items[i]) || ferry_slice_is(origin, allowed.items[i]))
            call->allowed_origin = allowed.items[i];
    }
}

/* ---- previews ---- */

static bool contains_nocase(struct ferry_slice text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (strncasecmp(text.ptr + i, word, len) == 0)
            return true;
    }
    return false;
}

/* What programs say of themselves that fetch a link because it stands in a message, and of those that index. */
static const char *const preview_agents[] = {
    "Slackbot",
    "Slack-ImgProxy",
    "facebookexternalhit",
    "Facebot",
    "Twitterbot",
    "WhatsApp",
    "TelegramBot",
    "Discordbot",
    "LinkedInBot",
    "SkypeUriPreview",
    "BingPreview",
    "bingbot",
    "Googlebot",
    "Google-PageRenderer",
    "redditbot",
    "Applebot",
    "Mastodon/",
    "Embedly",
    "Iframely",
    "Viber",
    "Pinterestbot",
    "Mattermost-Bot",
    "vkShare",
    "YandexBot",
    "DuckDuckBot",
};

static const struct {
    const char *name;
    const char *says;
} preview_fields[] = {
    {"Purpose", "prefetch"}, {"X-Purpose", "preview"},    {"X-Purpose", "prefetch"},
    {"X-Moz", "prefetch"},   {"Sec-Purpose", "prefetch"}, /* also "prefetch;prerender" */
};

static bool is_preview(struct ferry_pairs headers)
{
    for (size_t i = 0; i < sizeof preview_fields / sizeof preview_fields[0]; i++) {
        if (contains_nocase(ferry_pairs_get(headers, preview_fields[i].name), preview_fields[i].says))
            return true;
    }
    struct ferry_slice agent = ferry_pairs_get(headers, "User-Agent");
    for (size_t i = 0; i < sizeof preview_agents / sizeof preview_agents[0]; i++) {
        if (contains_nocase(agent, preview_agents[i]))
            return true;
    }
    return false;
}

enum ferry_code ferry_trigger_check_preview(struct ferry_trigger_call *call, struct ferry_error *error)
{
    if (!ferry_slice_is(call->request.in->method, "GET") || call->path.place != FERRY_TRIGGER_CALL ||
        !is_preview(call->request.in->headers))
        return FERRY_OK;
    return ferry_fail(error, FERRY_PREVIEW, "a preview or prefetch of the address");
}

/* ---- pages of other sites ---- */

/* "https://host[:port]" of a URL. */
static struct ferry_slice origin_of(struct ferry_slice url)
{
    const char *host = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;
    size_t len = host != NULL ? (size_t)(host + 3 - url.ptr) : url.len;
    while (len < url.len && url.ptr[len] != '/')
        len++;
    return ferry_slice_of(url.ptr, len);
}

/* Is an Origin field that of our own pages? By public_url, or by the host that the request names. */
static bool is_ours(const struct ferry_trigger_call *call, struct ferry_slice origin)
{
    const char *public_url = call->request.snapshot->config->bridge.public_url;
    if (public_url != NULL && ferry_slice_equal(origin, origin_of(ferry_slice_from(public_url))))
        return true;
    struct ferry_slice host = ferry_pairs_get(call->request.in->headers, "Host");
    const char *authority = origin.len > 0 ? memmem(origin.ptr, origin.len, "://", 3) : NULL;
    if (authority == NULL || host.len == 0)
        return false;
    return ferry_slice_equal(host, ferry_slice_skip(origin, (size_t)(authority + 3 - origin.ptr)));
}

/* A window is to show what we answer: somebody followed a link, or sent a form. */
static bool is_navigation(struct ferry_pairs headers)
{
    struct ferry_slice destination = ferry_pairs_get(headers, "Sec-Fetch-Dest");
    return ferry_slice_is(ferry_pairs_get(headers, "Sec-Fetch-Mode"), "navigate") &&
           (destination.len == 0 || ferry_slice_is(destination, "document"));
}

static bool is_foreign(const struct ferry_trigger_call *call)
{
    struct ferry_pairs headers = call->request.in->headers;
    struct ferry_slice site = ferry_pairs_get(headers, "Sec-Fetch-Site");
    struct ferry_slice origin = ferry_pairs_get(headers, "Origin");
    if (ferry_pairs_count(headers, "Sec-Fetch-Site") > 0)
        return !ferry_slice_is(site, "none") && !ferry_slice_is(site, "same-origin");
    return ferry_pairs_count(headers, "Origin") > 0 && !is_ours(call, origin);
}

/* Is the page one of `cors`? Any page may be meant, but then not with a password that the browser added by itself. */
static bool is_allowed(const struct ferry_trigger_call *call)
{
    return call->allowed_origin != NULL && !(is_any(call->allowed_origin) && call->way == FERRY_KEY_AS_PASSWORD);
}

enum ferry_code ferry_trigger_check_origin(struct ferry_trigger_call *call, struct ferry_error *error)
{
    const struct ferry_admit_request *in = call->request.in;
    if (call->path.place != FERRY_TRIGGER_CALL || is_allowed(call) || call->trigger->config->cross_site ||
        !is_foreign(call))
        return FERRY_OK;
    bool navigation = is_navigation(in->headers);
    bool by_kit = call->way == FERRY_KEY_IN_PATH && call->label.len > 0;
    if (navigation && by_kit)
        return FERRY_OK;
    if (!navigation || ferry_slice_is(in->method, "POST"))
        return ferry_fail(error, FERRY_CROSS_SITE, "a call from a page of another site");
    call->confirm = true;
    return FERRY_OK;
}
