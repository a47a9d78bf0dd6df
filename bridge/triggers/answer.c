#include "bridge/triggers/inside.h"

#include <stdio.h>

#include "bridge/triggers/page.h"
#include "core/json.h"

enum { REALM_MAX_BYTES = 160 };

/* ---- what all answers say ---- */

const char *ferry_trigger_methods(enum ferry_trigger_place place)
{
    static const char *const methods[] = {
        [FERRY_TRIGGER_CALL] = "GET, POST, HEAD, OPTIONS",
        [FERRY_TRIGGER_RUN] = "GET, HEAD, OPTIONS",
        [FERRY_TRIGGER_EVENTS] = "GET, OPTIONS",
        [FERRY_TRIGGER_KIT] = "GET, POST, HEAD, OPTIONS",
    };
    return methods[place];
}

/* Basic first: a browser asks its user, and a favourite needs no key in its URL. */
static void add_challenges(const struct ferry_trigger_call *call, struct ferry_response *answer)
{
    static const char *const forms[] = {"Basic realm=\"Ferry trigger %s\", charset=\"UTF-8\"",
                                        "Bearer realm=\"Ferry trigger %s\""};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        FERRY_CLEANUP(ferry_buffer_done) struct ferry_buffer text;
        ferry_buffer_init(&text, REALM_MAX_BYTES);
        const char *at = strstr(forms[i], "%s");
        ferry_buffer_add(&text, ferry_slice_of(forms[i], (size_t)(at - forms[i])));
        ferry_buffer_add_text(&text, call->trigger->config->name);
        ferry_buffer_add_text(&text, at + strlen("%s"));
        const char *challenge = ferry_arena_text(call->request.arena, ferry_buffer_slice(&text));
        if (!text.failed && challenge != NULL)
            ferry_response_add(answer, "WWW-Authenticate", challenge);
    }
}

static void add_cors(const struct ferry_trigger_call *call, struct ferry_response *answer)
{
    if (call->trigger->config->cors.count > 0)
        ferry_response_add(answer, "Vary", "Origin");
    if (call->allowed_origin == NULL)
        return;
    ferry_response_add(answer, "Access-Control-Allow-Origin", call->allowed_origin);
    ferry_response_add(answer, "Access-Control-Expose-Headers", "Location, Retry-After");
}

void ferry_trigger_add_fields(const struct ferry_trigger_call *call, enum ferry_code code,
                              struct ferry_response *answer)
{
    ferry_response_add(answer, "Cache-Control", "no-store");
    ferry_response_add(answer, "Referrer-Policy", "no-referrer");
    ferry_response_add(answer, "X-Content-Type-Options", "nosniff");
    if (call->trigger == NULL)
        return;
    if (code == FERRY_METHOD)
        ferry_response_add(answer, "Allow", ferry_trigger_methods(call->path.place));
    if (ferry_code_status(code) == 401)
        add_challenges(call, answer);
    add_cors(call, answer);
}

void ferry_trigger_answer_preflight(const struct ferry_trigger_call *call, struct ferry_response *answer)
{
    answer->status = 204;
    ferry_response_add(answer, "Allow", ferry_trigger_methods(call->path.place));
    if (call->allowed_origin == NULL)
        return;
    ferry_response_add(answer, "Access-Control-Allow-Methods", "GET, POST");
    ferry_response_add(answer, "Access-Control-Allow-Headers",
                       "Accept, Authorization, Content-Type, Idempotency-Key, X-Ferry-Key");
    ferry_response_add(answer, "Access-Control-Max-Age", "600");
}

/* ---- asked first ---- */

/* The value of a query's field, which is always a text. */
static struct ferry_slice text_of(const struct ferry_trigger_call *call, struct ferry_slice json)
{
    struct ferry_slice text = {NULL, 0};
    const struct ferry_json string = {FERRY_JSON_STRING, json};
    return ferry_json_unescape(string, call->request.arena, &text, NULL) == FERRY_OK ? text
                                                                                     : (struct ferry_slice){NULL, 0};
}

static void add_hidden(struct ferry_buffer *page, struct ferry_slice name, struct ferry_slice value)
{
    ferry_buffer_add_text(page, "<input type=\"hidden\" name=\"");
    ferry_html_add(page, name);
    ferry_buffer_add_text(page, "\" value=\"");
    ferry_html_add(page, value);
    ferry_buffer_add_text(page, "\">\n");
}

static void add_shown(struct ferry_buffer *page, struct ferry_slice name, struct ferry_slice value)
{
    ferry_buffer_add_text(page, "<dt>");
    ferry_html_add(page, name);
    ferry_buffer_add_text(page, "</dt><dd>");
    ferry_html_add(page, value);
    ferry_buffer_add_text(page, "</dd>\n");
}

static void add_inputs(const struct ferry_trigger_call *call, const struct ferry_trigger_inputs *inputs,
                       struct ferry_buffer *page,
                       void (*add)(struct ferry_buffer *page, struct ferry_slice name, struct ferry_slice value))
{
    struct ferry_strings names = call->trigger->config->inputs;
    for (size_t i = 0; i < names.count; i++) {
        if (inputs->values[i].ptr != NULL)
            add(page, ferry_slice_from(names.items[i]), text_of(call, inputs->values[i]));
    }
}

/* The form goes to "?", which is the same path without its query: a key in the path stays, and is not on the page. */
void ferry_trigger_answer_confirm(const struct ferry_trigger_call *call, const struct ferry_trigger_inputs *inputs,
                                  struct ferry_response *answer)
{
    struct ferry_buffer *page = &answer->body;
    const char *name = call->trigger->config->name; /* letters, digits and . _ - */
    char title[96];
    (void)snprintf(title, sizeof title, "Start %s?", name);
    answer->status = 200;
    answer->media_type = FERRY_PAGE_MEDIA_TYPE;
    ferry_page_begin(page, ferry_slice_from(title), NULL);
    ferry_buffer_printf(
        page, "<h1>%s</h1>\n<p>A page of another site leads here. Nothing has been started yet.</p>\n<dl>\n", title);
    add_inputs(call, inputs, page, add_shown);
    ferry_buffer_add_text(page, "</dl>\n<form method=\"post\" action=\"?\">\n");
    add_inputs(call, inputs, page, add_hidden);
    if (inputs->wait.ptr != NULL)
        add_hidden(page, FERRY_SLICE("wait"), inputs->wait);
    ferry_buffer_printf(page, "<button class=\"main\" id=\"start\">Start %s</button>\n</form>\n", name);
    ferry_page_end(page, NULL);
    if (!ferry_page_add_fields(answer, call->request.arena, NULL))
        page->failed = true;
}
