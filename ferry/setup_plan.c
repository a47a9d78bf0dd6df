/* What has to change at a webhook. Only what differs is told to the tenant: what people set there by hand (a filter, a
 * description) stays. */
#include <arpa/inet.h>
#include <stdio.h>

#include "core/net/client.h"
#include "ferry/setup.h"

enum { TEXT_MAX_BYTES = 256 * 1024, SECRET_LEAST = 32, SECRET_MOST = 64 };

/* ---- the URL ---- */

static bool is_address(struct ferry_slice host)
{
    char text[128];
    unsigned char address[16];
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return host.ptr[0] == '[' || inet_pton(AF_INET, text, address) == 1;
}

enum ferry_code ferry_setup_check_url(const char *url, struct ferry_error *error)
{
    if (strncmp(url, "https://", strlen("https://")) != 0)
        return ferry_fail(error, FERRY_USAGE, "--url: Qlik sends to https:// alone, not to %s", url);
    if (ferry_url_check(url, false, error) != FERRY_OK)
        return FERRY_USAGE;
    const char *host = url + strlen("https://");
    const char *end = host + strcspn(host, "/?#");
    if (host[0] != '[')
        end = host + strcspn(host, ":/?#");
    if (is_address(ferry_slice_of(host, (size_t)(end - host))))
        return ferry_fail(error, FERRY_USAGE, "--url: Qlik sends to a host's name, never to an address: %s", url);
    return FERRY_OK;
}

/* ---- which webhook ---- */

const struct ferry_qlik_webhook *ferry_setup_find(const struct ferry_qlik_webhook *webhooks, size_t count,
                                                  const char *url, const char *name)
{
    const struct ferry_qlik_webhook *by_url = NULL, *by_name = NULL;
    for (size_t i = 0; i < count; i++) {
        bool named = name != NULL && strcmp(webhooks[i].name, name) == 0;
        bool there = strcmp(webhooks[i].url, url) == 0;
        if (named && there)
            return &webhooks[i];
        if (there && by_url == NULL)
            by_url = &webhooks[i];
        if (named && by_name == NULL)
            by_name = &webhooks[i];
    }
    return by_url != NULL ? by_url : by_name;
}

/* ---- what changes ---- */

/* While a plan is made: its members go into a PATCH as operations, into a POST as members. */
struct draft {
    struct ferry_setup_plan *plan;
    bool create;
};

/* Begins a change of the field; its value is to be added to the body next. */
static void begin_change(struct draft *draft, const char *field)
{
    struct ferry_setup_plan *plan = draft->plan;
    const char *comma = plan->changes > 0 ? "," : "";
    ferry_buffer_printf(&plan->fields, "%s\"%s\"", comma, field);
    if (draft->create)
        ferry_buffer_printf(&plan->body, "%s\"%s\":", comma, field);
    else
        ferry_buffer_printf(&plan->body, "%s{\"op\":\"replace\",\"path\":\"/%s\",\"value\":", comma, field);
    plan->changes++;
}

static void end_change(struct draft *draft)
{
    if (!draft->create)
        ferry_buffer_add_char(&draft->plan->body, '}');
}

static void change_text(struct draft *draft, const char *field, struct ferry_slice value)
{
    begin_change(draft, field);
    ferry_buffer_add_json_string(&draft->plan->body, value);
    end_change(draft);
}

static void change_flag(struct draft *draft, const char *field, bool value)
{
    begin_change(draft, field);
    ferry_buffer_add_text(&draft->plan->body, value ? "true" : "false");
    end_change(draft);
}

static void show(struct draft *draft, const char *field, const char *before, const char *after)
{
    ferry_buffer_printf(&draft->plan->text, "  %-8s %s%s%s\n", field, before, before[0] != '\0' ? " -> " : "", after);
}

static void plan_text(struct draft *draft, const char *field, const char *before, const char *after)
{
    if (before != NULL && strcmp(before, after) == 0)
        return;
    show(draft, field, before != NULL ? before : "", after);
    change_text(draft, field, ferry_slice_from(after));
}

static bool has(struct ferry_strings list, const char *text)
{
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i], text) == 0)
            return true;
    return false;
}

/* The texts of `list` that `other` has not, each on a line; how many. */
static size_t show_only_in(struct draft *draft, struct ferry_strings list, struct ferry_strings other, char sign)
{
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (has(other, list.items[i]))
            continue;
        ferry_buffer_printf(&draft->plan->text, "  %-8s %c %s\n", "events", sign, list.items[i]);
        count++;
    }
    return count;
}

static void plan_events(struct draft *draft, struct ferry_strings before, struct ferry_strings after)
{
    struct ferry_buffer *body = &draft->plan->body;
    if (after.count == 0)
        return;
    size_t differences = show_only_in(draft, after, before, '+');
    differences += show_only_in(draft, before, after, '-');
    if (differences == 0)
        return;
    begin_change(draft, "eventTypes");
    for (size_t i = 0; i < after.count; i++) {
        ferry_buffer_add_char(body, i == 0 ? '[' : ',');
        ferry_buffer_add_json_string(body, ferry_slice_from(after.items[i]));
    }
    ferry_buffer_add_char(body, ']');
    end_change(draft);
}

/* All or none: the tenant tells their names alone. Their case does not count. A webhook whose URL changes forgets
 * them. */
static void plan_headers(struct draft *draft, const struct ferry_setup_wish *wish, struct ferry_strings before,
                         bool again)
{
    struct ferry_buffer *body = &draft->plan->body;
    size_t missing = 0;
    for (size_t i = 0; i < wish->header_count; i++) {
        bool there = false;
        for (size_t j = 0; j < before.count; j++)
            there |= strcasecmp(before.items[j], wish->headers[i].name) == 0;
        missing += !there;
    }
    if (wish->header_count == 0 || (missing == 0 && !again))
        return;
    begin_change(draft, "encryptedHeaders");
    for (size_t i = 0; i < wish->header_count; i++) {
        ferry_buffer_add_char(body, i == 0 ? '{' : ',');
        ferry_buffer_add_json_string(body, ferry_slice_from(wish->headers[i].name));
        ferry_buffer_add_char(body, ':');
        ferry_buffer_add_json_string(body, ferry_secret_slice(wish->headers[i].value));
        ferry_buffer_printf(&draft->plan->text, "  %-8s %s: (secret)\n", "header", wish->headers[i].name);
    }
    ferry_buffer_add_char(body, '}');
    end_change(draft);
}

static void plan_secret(struct draft *draft, const struct ferry_setup_wish *wish, bool there)
{
    if (wish->secret.len == 0 || (there && !wish->set_secret))
        return;
    show(draft, "secret", there ? "(set)" : "", there ? "(set again)" : "(set)");
    change_text(draft, "secret", wish->secret);
}

static void plan_enabled(struct draft *draft, const struct ferry_qlik_webhook *present)
{
    if (present->enabled)
        return;
    char before[256];
    snprintf(before, sizeof before, "disabled%s%s%s", present->disabled_reason[0] != '\0' ? " (" : "",
             present->disabled_reason, present->disabled_reason[0] != '\0' ? ")" : "");
    show(draft, "state", before, "enabled");
    change_flag(draft, "enabled", true);
}

/* What only a new one is told. */
static void plan_birth(struct draft *draft)
{
    change_text(draft, "level", FERRY_SLICE("tenant"));
    change_text(draft, "origin", FERRY_SLICE("api"));
    change_text(draft, "description", FERRY_SLICE("Made by `ferry setup qlik`"));
    change_flag(draft, "enabled", true);
}

enum ferry_code ferry_setup_plan_make(const struct ferry_setup_wish *wish, const struct ferry_qlik_webhook *present,
                                      struct ferry_setup_plan *plan, struct ferry_error *error)
{
    static const struct ferry_qlik_webhook nothing = {.enabled = true, .disabled_reason = ""};
    const struct ferry_qlik_webhook *before = present != NULL ? present : &nothing;
    struct draft draft = {plan, present == NULL};
    *plan = (struct ferry_setup_plan){0};
    ferry_buffer_init(&plan->text, TEXT_MAX_BYTES);
    ferry_buffer_init(&plan->fields, TEXT_MAX_BYTES);
    ferry_buffer_init(&plan->body, TEXT_MAX_BYTES);
    ferry_buffer_add_char(&plan->body, draft.create ? '{' : '[');
    /* Without a wish for a name what is there keeps its own. */
    plan_text(&draft, "name", before->name,
              wish->name != NULL ? wish->name
              : draft.create     ? FERRY_SETUP_NAME
                                 : before->name);
    plan_text(&draft, "url", before->url, wish->url);
    plan_events(&draft, before->events, wish->events);
    plan_secret(&draft, wish, before->secret_added);
    bool moves = before->url != NULL && strcmp(before->url, wish->url) != 0;
    plan_headers(&draft, wish, before->encrypted_headers, moves || wish->set_secret);
    plan_enabled(&draft, before);
    if (draft.create)
        plan_birth(&draft);
    ferry_buffer_add_char(&plan->body, draft.create ? '}' : ']');
    if (!plan->text.failed && !plan->body.failed && !plan->fields.failed)
        return FERRY_OK;
    ferry_setup_plan_done(plan);
    return ferry_fail(error, FERRY_MEMORY, "out of memory");
}

void ferry_setup_plan_done(struct ferry_setup_plan *plan)
{
    ferry_buffer_done(&plan->text);
    ferry_buffer_done(&plan->fields);
    ferry_buffer_wipe(&plan->body);
}
